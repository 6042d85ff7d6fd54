//! The type that the tests load.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Library {
    pub(crate) name: String,
    pub(crate) door: Door,
    pub(crate) shelves: Vec<Shelf>,
    pub(crate) readers: BTreeMap<String, Reader>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Door {
    #[schemars(range(min = 1, max = 5_000))]
    pub(crate) width_mm: u32,
    #[schemars(range(min = 1_024))]
    pub(crate) max_weight_grams: u64,
    pub(crate) is_open: bool,
    pub(crate) opening_share: f64,
    pub(crate) paint: Paint,
    pub(crate) keeper: Option<String>,
    pub(crate) signs: Vec<String>,
    #[schemars(with = "String", extend("format" = "socket-address"))]
    pub(crate) bell: String,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Paint {
    /// Without paint.
    #[default]
    None,
    /// With oil paint.
    Oil,
    /// With varnish.
    Varnish,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Shelf {
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) books: u32,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Reader {
    pub(crate) max_loans: u32,
}
