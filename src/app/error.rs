//! Why the service does not start.

use std::net::SocketAddr;

use crate::delivery::SetupError;
use crate::route;
use crate::schema::{confluent, glue, registry};
use crate::store::OpenError;
use crate::telemetry::TracesError;

/// Why the service does not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The descriptor sets do not load.
    #[error("descriptors.path: {0}")]
    Descriptors(#[from] registry::Error),
    /// Paths that hide fields match no field, so they hide nothing.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    UnmatchedPaths(Vec<registry::UnmatchedPath>),
    /// Rules of heartbeats name fields that their types do not have.
    #[error("{}", .0.join("\n"))]
    Heartbeats(Vec<String>),
    /// The customers file does not load.
    #[error(transparent)]
    Customers(#[from] route::Error),
    /// The file of Confluent schemas does not load.
    #[error(transparent)]
    Schemas(#[from] confluent::Error),
    /// The file of Glue schema versions does not load.
    #[error(transparent)]
    GlueSchemas(#[from] glue::Error),
    /// The pipeline cannot be set up.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// Traces cannot be exported.
    #[error(transparent)]
    Traces(#[from] TracesError),
    /// The admin endpoint cannot listen.
    #[error("cannot listen on {address}: {error}; set `admin.listen` to a free address and port")]
    Listen {
        /// The configured address.
        address: SocketAddr,
        /// The error of the operating system.
        error: std::io::Error,
    },
}

impl Error {
    /// Whether a bucket does not have, or does not return, what the configuration says it has. That can pass.
    pub fn is_of_bucket(&self) -> bool {
        match self {
            Self::Descriptors(error) => error.is_of_bucket(),
            Self::Customers(error) => matches!(error, route::Error::Bucket(_)),
            _ => false,
        }
    }

    /// Whether the configuration, or a file that it names, is wrong, rather than the environment.
    pub fn is_configuration(&self) -> bool {
        match self {
            Self::Descriptors(_) | Self::Customers(_) => !self.is_of_bucket(),
            Self::UnmatchedPaths(_) | Self::Traces(_) => true,
            Self::Schemas(_) | Self::GlueSchemas(_) | Self::Heartbeats(_) => true,
            Self::Setup(error) => error.is_configuration(),
            Self::Store(error) => error.is_configuration(),
            Self::Listen { .. } => false,
        }
    }
}
