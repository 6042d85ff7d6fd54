//! The descriptor sets and the customers file that a configuration names, read from paths and from buckets.

use tokio::task::spawn_blocking;

use super::Error;
use crate::aws::Clients;
use crate::base::http::Network;
use crate::config::{self, Config, Location};
use crate::route::{self, CustomersObject};
use crate::schema::registry::{self, File, Objects};

/// The descriptor sets and the text of the customers file.
#[derive(Debug)]
pub struct Inputs {
    sets: Vec<File>,
    customers: String,
    sources: Sources,
}

/// The readers of the places that are in buckets. They know which versions they have read.
#[derive(Debug, Default)]
pub struct Sources {
    pub(super) sets: Option<Objects>,
    pub(super) customers: Option<CustomersObject>,
}

impl Inputs {
    /// Reads the places that the configuration names.
    ///
    /// # Errors
    /// Returns an error if a place cannot be read, if a bucket denies it, or if there is no descriptor set.
    pub async fn read(config: &Config, clients: &Clients) -> Result<Self, Error> {
        let mut sources = Sources::new(config, clients)?;
        let sets = match &mut sources.sets {
            Some(objects) => objects.read().await?,
            None => files_of(config.descriptors.clone()).await?,
        };
        let customers = match &mut sources.customers {
            // Nothing was read before, so there is a text.
            Some(object) => object.read().await?.unwrap_or_default(),
            None => text_of(config.route.customers_file.clone()).await?,
        };
        Ok(Self { sets, customers, sources })
    }

    /// Reads the places that the configuration names. Creates clients of AWS only if one of them is in a bucket.
    ///
    /// # Errors
    /// Returns an error in the cases of [`Inputs::read`].
    pub async fn read_with(config: &Config, network: &Network) -> Result<Self, Error> {
        if config.is_in_bucket() {
            return Self::read(config, &Clients::new(&config.aws, network.clone()).await).await;
        }
        let config = config.clone();
        spawn_blocking(move || Self::of_paths(&config)).await.unwrap_or_else(resume)
    }

    /// Reads the places that the configuration names, which must be paths. Makes no call.
    ///
    /// # Errors
    /// Returns an error if a place is in a bucket or cannot be read, or if there is no descriptor set.
    pub fn of_paths(config: &Config) -> Result<Self, Error> {
        let sets = registry::read(&config.descriptors)?;
        let customers = route::read(&config.route.customers_file)?;
        Ok(Self { sets, customers, sources: Sources::default() })
    }

    /// Returns the descriptor sets, by name.
    pub fn sets(&self) -> &[File] {
        &self.sets
    }

    /// Returns the descriptor sets, by name, to replace some of them.
    pub fn sets_mut(&mut self) -> &mut Vec<File> {
        &mut self.sets
    }

    /// Returns the text of the customers file.
    pub fn customers(&self) -> &str {
        &self.customers
    }

    /// Returns the readers of the places that are in buckets.
    pub(super) fn into_sources(self) -> Sources {
        self.sources
    }

    /// Returns a warning about the `.proto` objects beside the sets, if the sets are in a bucket and there are any.
    pub(super) fn source_warning(&self) -> Option<String> {
        self.sources.sets.as_ref()?.source_warning()
    }
}

impl Sources {
    /// Creates the readers of the places that are in buckets.
    pub(super) fn new(config: &Config, clients: &Clients) -> Result<Self, Error> {
        Ok(Self { sets: Objects::new(config, clients)?, customers: CustomersObject::new(config, clients)? })
    }
}

/// Reads the descriptor sets at one place, a path or a bucket, within the limits of the settings.
///
/// # Errors
/// Returns an error if the place cannot be read, if a bucket denies it, or if there is no descriptor set.
pub async fn read_sets(config: &Config, clients: &Clients) -> Result<Vec<File>, Error> {
    match Objects::new(config, clients)? {
        Some(mut objects) => Ok(objects.read().await?),
        None => files_of(config.descriptors.clone()).await,
    }
}

/// Reads the text of the customers file, from a path or from a bucket.
///
/// # Errors
/// Returns an error if the file cannot be read, or if a bucket denies it.
pub async fn read_customers(config: &Config, clients: &Clients) -> Result<String, Error> {
    match CustomersObject::new(config, clients)? {
        Some(mut object) => Ok(object.read().await?.unwrap_or_default()),
        None => text_of(config.route.customers_file.clone()).await,
    }
}

async fn files_of(settings: config::Descriptors) -> Result<Vec<File>, Error> {
    let read = spawn_blocking(move || registry::read(&settings)).await;
    Ok(read.unwrap_or_else(resume)?)
}

async fn text_of(place: Location) -> Result<String, Error> {
    let read = spawn_blocking(move || route::read(&place)).await;
    Ok(read.unwrap_or_else(resume)?)
}

/// Continues a panic of a thread for blocking work.
fn resume<T>(panic: tokio::task::JoinError) -> T {
    std::panic::resume_unwind(panic.into_panic())
}
