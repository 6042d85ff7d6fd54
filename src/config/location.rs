//! Places of files that change while the service runs: paths, and objects of S3.

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use super::Config;

/// The start of the URL of an object.
const BUCKET: &str = "s3://";
/// The start of the URL of a path.
const PATH: &str = "file://";

/// The place of files that others replace while the service runs: a path, written as it is or as `file://…`, or objects
/// of S3, written as `s3://bucket/key`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Location {
    /// A folder or a file.
    Path(PathBuf),
    /// The objects under a prefix of a bucket, or one object.
    Bucket(InBucket),
}

/// A key in a bucket, or the prefix of keys.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct InBucket {
    /// The name of the bucket.
    pub bucket: String,
    /// The key, or the prefix without a slash at its end. It is empty if the URL names the bucket only.
    pub key: String,
}

impl Config {
    /// Whether the descriptor sets or the customers file are in a bucket.
    pub fn is_in_bucket(&self) -> bool {
        [&self.descriptors.path, &self.route.customers_file].iter().any(|place| place.in_bucket().is_some())
    }
}

impl Location {
    /// Returns the path; `None` if the place is in a bucket.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Path(path) => Some(path),
            Self::Bucket(_) => None,
        }
    }

    /// Returns the key in a bucket; `None` if the place is a path.
    pub fn in_bucket(&self) -> Option<&InBucket> {
        match self {
            Self::Path(_) => None,
            Self::Bucket(place) => Some(place),
        }
    }

    /// Whether the place is the empty path, which is no place.
    pub fn is_empty(&self) -> bool {
        self.path().is_some_and(|path| path.as_os_str().is_empty())
    }

    /// Returns the place with a relative path starting at this folder.
    #[must_use]
    pub fn starting_at(self, folder: &Path) -> Self {
        match self {
            Self::Path(path) => Self::Path(folder.join(path)),
            place @ Self::Bucket(_) => place,
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => path.display().fmt(f),
            Self::Bucket(place) => place.fmt(f),
        }
    }
}

impl fmt::Display for InBucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.key.as_str() {
            "" => write!(f, "{BUCKET}{}", self.bucket),
            key => write!(f, "{BUCKET}{}/{key}", self.bucket),
        }
    }
}

impl From<&str> for Location {
    fn from(text: &str) -> Self {
        match text.strip_prefix(BUCKET) {
            Some(place) => {
                let (bucket, key) = place.split_once('/').unwrap_or((place, ""));
                Self::Bucket(InBucket { bucket: bucket.to_owned(), key: key.trim_end_matches('/').to_owned() })
            }
            None => Self::Path(text.strip_prefix(PATH).unwrap_or(text).into()),
        }
    }
}

impl From<String> for Location {
    fn from(text: String) -> Self {
        text.as_str().into()
    }
}

impl From<PathBuf> for Location {
    fn from(path: PathBuf) -> Self {
        Self::Path(path)
    }
}

impl From<&Path> for Location {
    fn from(path: &Path) -> Self {
        Self::Path(path.to_owned())
    }
}

impl From<Location> for String {
    fn from(location: Location) -> Self {
        location.to_string()
    }
}

impl JsonSchema for Location {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Location".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        String::json_schema(generator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_is_a_path_or_a_place_in_a_bucket() {
        let bucket = |key: &str| Location::Bucket(InBucket { bucket: "schemas".into(), key: key.into() });
        let table = [
            ("sets", Location::Path("sets".into()), "sets"),
            ("file:///var/sets", Location::Path("/var/sets".into()), "/var/sets"),
            ("s3://schemas", bucket(""), "s3://schemas"),
            ("s3://schemas/", bucket(""), "s3://schemas"),
            ("s3://schemas/a/b/", bucket("a/b"), "s3://schemas/a/b"),
            ("s3://schemas/a.binpb", bucket("a.binpb"), "s3://schemas/a.binpb"),
        ];
        for (text, expected, shown) in table {
            let location = Location::from(text);
            assert_eq!(location, expected);
            assert_eq!(location.to_string(), shown);
            assert_eq!(serde_json::from_value::<Location>(serde_json::to_value(&location).unwrap()).unwrap(), expected);
        }
    }

    #[test]
    fn only_a_path_starts_at_a_folder() {
        let at = |text: &str| Location::from(text).starting_at(Path::new("/etc/protobridge")).to_string();
        assert_eq!(at("sets"), "/etc/protobridge/sets");
        assert_eq!(at("/sets"), "/sets");
        assert_eq!(at("file:///sets"), "/sets");
        assert_eq!(at("s3://schemas/a"), "s3://schemas/a");
    }
}
