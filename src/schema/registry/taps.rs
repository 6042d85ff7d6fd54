//! The taps of a type: the configured paths that lead to a value in it.

use protojson::{Schema, TapError, TapErrorKind};

use super::heartbeats::{self, HeartbeatTaps, TapPaths};
use crate::config;

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

/// Returns all configured paths.
pub(super) fn all_paths(taps: &config::Taps) -> impl Iterator<Item = &str> {
    let lists = [&taps.customer, &taps.event_id, &taps.event_time, &taps.ordering];
    lists.into_iter().flatten().map(String::as_str)
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
