//! The taps of a type: the configured paths that lead to a value in it.

use std::collections::BTreeMap;

use protojson::{Options, Schema, TapError, TapErrorKind};

use super::heartbeats::{self, HeartbeatTaps, TapPaths};
use super::{Profiles, Snapshot};
use crate::config::{self, Warning};

/// A type's taps by their purpose: indices of taps, in the order of the configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TapIndex {
    /// The taps of the customer id.
    pub customer: Vec<usize>,
    /// The taps of the event id.
    pub event_id: Vec<usize>,
    /// The taps of the event time.
    pub event_time: Vec<usize>,
    /// The taps of the ordering key. Events with the same key stay in order.
    pub ordering: Vec<usize>,
    /// The rules by which an event of the type is a heartbeat. The first one that applies is used.
    pub heartbeats: Vec<HeartbeatTaps>,
}

/// A purpose of taps.
struct Purpose {
    key: &'static str,
    /// The places where consumers of the event see the value.
    shown: &'static str,
    paths: fn(&config::Taps) -> &[String],
    indices: fn(&TapIndex) -> &[usize],
}

/// The largest number of types that a warning names.
const SHOWN_TYPES: usize = 3;

const PURPOSES: [Purpose; 4] = [
    Purpose {
        key: "taps.customer",
        shown: "as the attribute `customer-id`, and in the topic's name if that names the customer",
        paths: |taps| &taps.customer,
        indices: |taps| &taps.customer,
    },
    Purpose {
        key: "taps.event_id",
        shown: "as the attribute `event-id`",
        paths: |taps| &taps.event_id,
        indices: |taps| &taps.event_id,
    },
    Purpose {
        key: "taps.event_time",
        shown: "as the attribute `event-time`",
        paths: |taps| &taps.event_time,
        indices: |taps| &taps.event_time,
    },
    Purpose {
        key: "taps.ordering",
        shown: "as the message group on a FIFO topic",
        paths: |taps| &taps.ordering,
        indices: |taps| &taps.ordering,
    },
];

/// Returns all configured paths.
pub(super) fn all_paths(taps: &config::Taps) -> impl Iterator<Item = &str> {
    PURPOSES.iter().flat_map(|purpose| (purpose.paths)(taps)).map(String::as_str)
}

/// Returns the taps of a type: each configured path that leads to a single value in it, once.
///
/// A path is written for some types, and another type can have the same name for something else. So a path that exists in
/// the type but does not lead to a single value is no error; it is added to `refused`. A rule of heartbeats names its type, so
/// such a path is a problem there.
pub(super) fn compile_taps(
    schema: &Schema,
    name: &str,
    TapPaths { taps, heartbeats }: &TapPaths,
    (refused, problems): (&mut Vec<(String, TapError)>, &mut Vec<String>),
) -> (TapIndex, Vec<String>) {
    let mut paths: Vec<String> = Vec::new();
    let mut list = |wanted: &[String]| {
        let mut indices = Vec::new();
        for path in wanted {
            if let Some(index) = paths.iter().position(|known| known == path) {
                indices.push(index);
                continue;
            }
            let first = path.split('.').next().unwrap_or(path);
            if !schema.has_field(name, first) {
                continue;
            }
            match schema.check_tap(name, path).expect("the type comes from this schema") {
                Ok(_) => {
                    indices.push(paths.len());
                    paths.push(path.clone());
                }
                // The type has the first segment of the path, but not a later one.
                Err(error) if error.kind() == TapErrorKind::UnknownField => {}
                Err(error) if refused.iter().any(|(known, _)| known == path) => drop(error),
                Err(error) => refused.push((path.clone(), error)),
            }
        }
        indices
    };
    let mut index = TapIndex {
        customer: list(&taps.customer),
        event_id: list(&taps.event_id),
        event_time: list(&taps.event_time),
        ordering: list(&taps.ordering),
        heartbeats: Vec::new(),
    };
    index.heartbeats = heartbeats::compile(schema, name, heartbeats, &mut paths, problems);
    (index, paths)
}

/// Returns a warning for each tap that publishes the value of a field which a profile drops or redacts. Leaves out the
/// fields that may become visible, such as `shop.v1.Order.card.number`.
pub(super) fn warnings(
    snapshot: &Snapshot,
    taps: &config::Taps,
    profiles: &Profiles,
    may_become_visible: &[String],
) -> Vec<Warning> {
    let hides = |options: &Options| options.redact_marked || !options.drop.is_empty() || !options.redact.is_empty();
    if !profiles.options.iter().any(hides) {
        return Vec::new();
    }
    let schema = &snapshot.in_force.schema;
    let types = snapshot.type_names();
    let mut warnings = Vec::new();
    for purpose in &PURPOSES {
        for path in (purpose.paths)(taps) {
            // Many types can have the same field, and one correction is then enough for all of them.
            let mut hidden: BTreeMap<Vec<usize>, Vec<&str>> = BTreeMap::new();
            for name in &types {
                let event_type = &snapshot.types[*name];
                let is_read = (purpose.indices)(&event_type.taps).iter().any(|tap| event_type.path(*tap) == *path);
                if !is_read || may_become_visible.contains(&format!("{name}.{path}")) {
                    continue;
                }
                let hiding = schema.options_that_hide(name, path, &profiles.options);
                if !hiding.is_empty() {
                    hidden.entry(hiding).or_default().push(name);
                }
            }
            warnings.extend(hidden.iter().map(|(hiding, types)| purpose.warning(path, types, &profiles.hide(hiding))));
        }
    }
    warnings
}

impl Purpose {
    /// Returns the warning about a path that leads to a hidden field in these types.
    fn warning(&self, path: &str, types: &[&str], profiles: &str) -> Warning {
        let Self { key, shown, .. } = self;
        let mut of = types.iter().take(SHOWN_TYPES).copied().collect::<Vec<_>>().join(", ");
        if let Some(more) = types.len().checked_sub(SHOWN_TYPES).filter(|more| *more > 0) {
            of += &format!(" and {more} more message type(s)");
        }
        let message = format!("consumers see `{path}` of {of} {shown}, and {profiles} that field");
        let name = format!("`{}.{path}`", types.first().copied().unwrap_or_default());
        let each = if types.len() > 1 { format!("the field of each type, such as {name},") } else { name };
        let way_out = format!(
            "remove the tap, or let the profile show the field; if consumers may see the value, add {each} to \
             `descriptors.may_become_visible`"
        );
        Warning::new(*key, message).fix(way_out)
    }
}

#[cfg(test)]
mod tests;
