//! The rules of heartbeats and silence.

use std::collections::HashMap;

use super::Rules;
use crate::config::names::{is_dotted, type_glob};
use crate::config::{Config, ExpectedSource, HeartbeatType, MAX_SOURCE_NAME, OTHER_SOURCES, SilenceRule};

/// The type that is a heartbeat without any configuration.
const BUILT_IN: &str = "protobridge.v1.Heartbeat";

impl Rules {
    pub(super) fn monitor(&mut self, config: &Config) {
        for (index, declared) in config.heartbeats.types.iter().enumerate() {
            self.heartbeat_type(&format!("heartbeats.types[{index}]"), declared);
            let same = |other: &HeartbeatType| other.r#type == declared.r#type && other.r#where == declared.r#where;
            if let Some(first) = config.heartbeats.types[..index].iter().position(same) {
                let message =
                    format!("has the type and the condition of heartbeats.types[{first}], so it is never used");
                self.refuse(format!("heartbeats.types[{index}]"), message);
            }
        }
        let mut sources = HashMap::new();
        for (index, expected) in config.heartbeats.expect.iter().enumerate() {
            self.expected(&format!("heartbeats.expect[{index}]"), expected);
            if let Some(first) = sources.insert(&expected.source, index)
                && !expected.source.is_empty()
            {
                let message = format!("`{}` is also the source of heartbeats.expect[{first}]", expected.source);
                self.refuse(format!("heartbeats.expect[{index}].source"), message);
            }
        }
        for (index, rule) in config.silence.iter().enumerate() {
            self.silence(&format!("silence[{index}]"), rule);
        }
    }

    fn heartbeat_type(&mut self, key: &str, declared: &HeartbeatType) {
        let HeartbeatType { r#type, r#where, source, sequence, sent_at, .. } = declared;
        if r#type.is_empty() {
            self.refuse(
                format!("{key}.type"),
                "missing; a heartbeat needs its message type, such as `shop.v1.ChangeEvent`",
            );
        } else if !is_dotted(r#type) {
            self.refuse(format!("{key}.type"), "is not a full name such as `shop.v1.ChangeEvent`");
        } else if r#type == BUILT_IN {
            self.refuse(format!("{key}.type"), format!("{BUILT_IN} is a heartbeat already; remove the entry"));
        }
        if source.is_empty() {
            self.refuse(
                format!("{key}.source"),
                "missing; a heartbeat needs the path of the field that names its source",
            );
        }
        let condition = r#where.as_ref().map(|condition| ("where.path", &condition.path));
        let optional = [("sequence", sequence), ("sent_at", sent_at)];
        let optional = optional.into_iter().filter_map(|(name, path)| Some((name, path.as_ref()?)));
        let source = Some(("source", source)).filter(|(_, path)| !path.is_empty());
        for (name, path) in optional.chain(source).chain(condition).filter(|(_, path)| !is_dotted(path)) {
            let message = format!("{path:?} is not a path of field names such as `source.name`");
            self.refuse(format!("{key}.{name}"), message);
        }
        if r#where.as_ref().is_some_and(|condition| condition.equals.is_empty()) {
            self.refuse(
                format!("{key}.where.equals"),
                "must not be empty; a field without a value has no text to compare",
            );
        }
    }

    fn expected(&mut self, key: &str, expected: &ExpectedSource) {
        if expected.source.is_empty() {
            self.refuse(
                format!("{key}.source"),
                "missing; an expected source needs its name, as its heartbeats have it",
            );
        } else if expected.source == OTHER_SOURCES {
            let message =
                format!("`{OTHER_SOURCES}` is the name of all sources beyond heartbeats.max_sources; rename it");
            self.refuse(format!("{key}.source"), message);
        } else if expected.source.chars().count() > MAX_SOURCE_NAME || expected.source.chars().any(char::is_control) {
            let message = format!(
                "has more than {MAX_SOURCE_NAME} characters or a control character, so no heartbeat matches it; give the \
                 source a shorter name"
            );
            self.refuse(format!("{key}.source"), message);
        }
        self.globs(&format!("{key}.events"), &expected.events);
    }

    fn silence(&mut self, key: &str, rule: &SilenceRule) {
        if rule.types.is_empty() {
            self.refuse(format!("{key}.types"), "missing; a silence rule needs the message types that must not stop");
        }
        self.globs(&format!("{key}.types"), &rule.types);
        self.globs(&format!("{key}.while"), &rule.r#while);
        for glob in rule.types.iter().filter(|glob| rule.r#while.contains(glob)) {
            let message =
                format!("has `{glob}`, which is also in `types`: a type that stops cannot show that others flow");
            self.refuse(format!("{key}.while"), message);
        }
    }

    fn globs(&mut self, key: &str, globs: &[String]) {
        for (index, glob) in globs.iter().enumerate() {
            self.require(format!("{key}[{index}]"), type_glob(glob));
        }
    }
}
