//! The customers file in a bucket.

use crate::aws::Clients;
use crate::aws::s3::place::{Condition, Fetched, Place};
use crate::config::{Config, Location};

use super::Error;

/// The largest customers file that is read, in bytes: some 300,000 customers.
const MAX_BYTES: u64 = 64 * 1024 * 1024;

/// Reads the customers file of a bucket, and remembers which version it has read.
#[derive(Debug)]
pub struct CustomersObject {
    place: Place,
    location: Location,
    /// The ETag of the version that was read last.
    etag: Option<String>,
}

impl CustomersObject {
    /// Creates the reader of the configured place; `None` if the customers file is not in a bucket. Makes no call.
    ///
    /// # Errors
    /// Returns an error if the bucket has no address.
    pub fn new(config: &Config, clients: &Clients) -> Result<Option<Self>, Error> {
        let location = config.route.customers_file.clone();
        let Some(at) = location.in_bucket() else { return Ok(None) };
        let place = Place::new(at, "route.customers_file", (&config.aws).into(), clients)?;
        Ok(Some(Self { place, location, etag: None }))
    }

    /// Returns the place.
    pub fn location(&self) -> &Location {
        &self.location
    }

    /// Reads the text of the file. Returns `None` if it has not changed since it was read last.
    ///
    /// # Errors
    /// Returns an error if S3 does not return the object, if it is larger than 64 MiB, or if it is not UTF-8.
    pub async fn read(&mut self) -> Result<Option<String>, Error> {
        let condition = self.etag.as_deref().map_or(Condition::Always, Condition::HasNot);
        let key = self.place.at().key.as_str();
        let revision = match self.place.get(key, condition, MAX_BYTES).await? {
            Fetched::Unmet => return Ok(None),
            Fetched::TooLarge { .. } => return Err(self.invalid(format!("it has more than {MAX_BYTES} bytes"))),
            Fetched::Revision(revision) => revision,
        };
        let text = String::from_utf8(revision.bytes.into()).map_err(|error| self.invalid(error.to_string()))?;
        self.etag = revision.etag;
        Ok(Some(text))
    }

    fn invalid(&self, reason: String) -> Error {
        let error = std::io::Error::new(std::io::ErrorKind::InvalidData, reason);
        Error::Unreadable { path: self.location.clone(), error }
    }
}
