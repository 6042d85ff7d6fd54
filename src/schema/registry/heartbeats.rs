//! The taps of heartbeats: by which rule an event of a type is a heartbeat, and which fields have its values.

use std::time::Duration;

use protojson::Schema;

use super::built_in::HEARTBEAT;
use crate::config;

/// A rule by which an event of a type is a heartbeat. Numbers are indices of the type's taps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeartbeatTaps {
    /// The tap and the value that it must have.
    pub condition: Option<(usize, Box<str>)>,
    /// The tap of the source's name.
    pub source: usize,
    /// The tap of the heartbeat's number.
    pub sequence: Option<usize>,
    /// The tap of the time at which the source sent the heartbeat.
    pub sent_at: Option<usize>,
    /// The time between two heartbeats of a source.
    pub interval: IntervalTap,
}

/// Where the time between two heartbeats comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IntervalTap {
    /// The configuration.
    Configured(Duration),
    /// A tap of a `google.protobuf.Duration`.
    Field(usize),
}

/// The configured paths that are read from events.
#[derive(Debug, Clone, Default)]
pub struct TapPaths {
    pub(super) taps: config::Taps,
    pub(super) heartbeats: Vec<config::HeartbeatType>,
}

impl From<&config::Taps> for TapPaths {
    fn from(taps: &config::Taps) -> Self {
        Self { taps: taps.clone(), heartbeats: Vec::new() }
    }
}

impl From<&config::Config> for TapPaths {
    fn from(config: &config::Config) -> Self {
        Self { taps: config.taps.clone(), heartbeats: config.heartbeats.types.clone() }
    }
}

/// Compiles the rules of a type, and adds their paths to `paths`. A rule with a path that has no single value is left
/// out and described in `problems`.
pub(super) fn compile(
    schema: &Schema,
    name: &str,
    declared: &[config::HeartbeatType],
    paths: &mut Vec<String>,
    problems: &mut Vec<String>,
) -> Vec<HeartbeatTaps> {
    let mut index_of = |path: &str| match paths.iter().position(|known| known == path) {
        Some(index) => index,
        None => {
            paths.push(path.to_owned());
            paths.len() - 1
        }
    };
    if name == HEARTBEAT {
        const FIELDS: [&str; 4] = ["source", "sequence", "sent_at", "interval"];
        // A set of the folder can define another message with this name.
        if FIELDS.iter().any(|path| !matches!(schema.check_tap(name, path), Some(Ok(())))) {
            problems.push(format!(
                "{name} has none of protobridge's own fields {}, so it is no heartbeat",
                FIELDS.join(", ")
            ));
            return Vec::new();
        }
        let [source, sequence, sent_at, interval] = FIELDS.map(&mut index_of);
        let (sequence, sent_at, interval) = (Some(sequence), Some(sent_at), IntervalTap::Field(interval));
        return vec![HeartbeatTaps { condition: None, source, sequence, sent_at, interval }];
    }
    let mut rules = Vec::new();
    for (at, rule) in declared.iter().enumerate().filter(|(_, rule)| rule.r#type == name) {
        let condition = rule.r#where.as_ref().map(|condition| ("where.path", &condition.path));
        let optional = [("sequence", rule.sequence.as_ref()), ("sent_at", rule.sent_at.as_ref())];
        let optional = optional.into_iter().filter_map(|(key, path)| Some((key, path?)));
        let wrong = condition.into_iter().chain([("source", &rule.source)]).chain(optional).find_map(|(key, path)| {
            let error = schema.check_tap(name, path)?.err()?;
            Some(format!("heartbeats.types[{at}].{key}: {error}"))
        });
        if let Some(wrong) = wrong {
            problems.push(wrong);
            continue;
        }
        rules.push(HeartbeatTaps {
            condition: rule.r#where.as_ref().map(|it| (index_of(&it.path), it.equals.as_str().into())),
            source: index_of(&rule.source),
            sequence: rule.sequence.as_deref().map(&mut index_of),
            sent_at: rule.sent_at.as_deref().map(&mut index_of),
            interval: IntervalTap::Configured(Duration::from_secs(rule.interval_seconds)),
        });
    }
    rules
}
