//! The descriptor sets and the customers of a command, from paths and from buckets alike.
//!
//! A command whose places are paths calls nothing. For a place in a bucket it uses the region, the credentials and the
//! proxies of the environment, as the service does.

use std::sync::Arc;

use crate::app::{self, Inputs, Loaded, Offline};
use crate::aws::Clients;
use crate::base::http::Network;
use crate::config::{Aws, Config, Descriptors, Taps};
use crate::route;
use crate::schema::registry::{self, File, Profiles, Registry};

/// Loads what a configuration names.
///
/// # Errors
/// Returns an error if it cannot be read, or if it is invalid.
pub(super) fn load(config: &Config) -> anyhow::Result<Loaded> {
    Ok(Loaded::of(config, inputs(config)?)?)
}

/// Loads what a configuration names, for dry runs.
///
/// # Errors
/// Returns an error if it cannot be read, or if it is invalid.
pub(super) fn load_offline(config: Config) -> anyhow::Result<Offline> {
    let inputs = inputs(&config)?;
    Ok(Offline::of(config, inputs)?)
}

fn inputs(config: &Config) -> anyhow::Result<Inputs> {
    if !config.is_in_bucket() {
        return Ok(Inputs::of_paths(config)?);
    }
    let network = Network::of_environment()?;
    Ok(super::runtime()?.block_on(Inputs::read_with(config, &network))?)
}

/// Reads descriptor sets.
///
/// # Errors
/// Returns an error if they cannot be read.
pub(super) fn sets(settings: &Descriptors, aws: &Aws) -> anyhow::Result<Vec<File>> {
    if settings.path.in_bucket().is_none() {
        return Ok(registry::read(settings)?);
    }
    let network = Network::of_environment()?;
    let config = Config { descriptors: settings.clone(), aws: aws.clone(), ..Config::default() };
    let read = async { app::read_sets(&config, &Clients::new(aws, network).await).await };
    super::runtime()?.block_on(read).map_err(|error| match error {
        // The sets can be named by the command line, so the error names no key of a configuration.
        app::Error::Descriptors(error) => error.into(),
        error => error.into(),
    })
}

/// Reads the text of the customers file.
///
/// # Errors
/// Returns an error if it cannot be read.
pub(super) fn customers(config: &Config) -> anyhow::Result<String> {
    let place = &config.route.customers_file;
    if place.in_bucket().is_none() {
        return Ok(route::read(place).map_err(app::Error::from)?);
    }
    let network = Network::of_environment()?;
    let read = async { app::read_customers(config, &Clients::new(&config.aws, network).await).await };
    Ok(super::runtime()?.block_on(read)?)
}

/// Loads descriptor sets without a configuration around them.
///
/// # Errors
/// Returns an error if they cannot be read, or if no set can be used.
pub(super) fn registry(settings: &Descriptors, aws: &Aws, profiles: Arc<Profiles>) -> anyhow::Result<Registry> {
    let files = sets(settings, aws)?;
    Ok(Registry::of(&files, settings, &Taps::default(), profiles)?)
}

/// Names the key of the configuration in an error about descriptor sets.
pub(super) fn of_configuration(error: anyhow::Error) -> anyhow::Error {
    match error.downcast::<registry::Error>() {
        Ok(error) => app::Error::from(error).into(),
        Err(error) => error,
    }
}
