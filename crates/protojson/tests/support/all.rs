//! Random schemas, messages and payloads, and the properties that must hold for them. Tests, fuzz targets and the soak
//! example include this file with `#[path]`.

pub(crate) mod descriptor;
pub(crate) mod encode;
pub(crate) mod json;
pub(crate) mod message;
pub(crate) mod oracle;
pub(crate) mod random;
pub(crate) mod schema;
pub(crate) mod trial;
pub(crate) mod wire;
