//! The contestants.

use std::fmt;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// The service, the SDK calls alone, or a consumer that a user would write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Contestant {
    /// The service with its default configuration
    Protobridge,
    /// The necessary calls alone, with the clients of the AWS SDK for Rust; the JSON is made beforehand
    Floor,
    /// The AWS SDK for Rust, prost-reflect and serde_json
    Rust,
    /// The AWS SDK for Go v2, dynamicpb and protojson
    Go,
    /// The AWS SDK for JavaScript v3 and @bufbuild/protobuf
    Node,
    /// boto3 and the upb implementation of protobuf
    Python,
}

impl Contestant {
    pub(crate) fn all() -> Vec<Self> {
        Self::value_variants().to_vec()
    }

    /// Whether the contestant renders JSON that can differ from the service's in white space and in the order of keys.
    pub(crate) fn is_rival(self) -> bool {
        !matches!(self, Self::Protobridge | Self::Floor)
    }
}

impl fmt::Display for Contestant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Protobridge => "protobridge",
            Self::Floor => "SDK calls alone",
            Self::Rust => "Rust",
            Self::Go => "Go",
            Self::Node => "Node",
            Self::Python => "Python",
        })
    }
}
