//! The rules of profiles and of the fields that they hide.

use super::Rules;
use crate::config::names::{is_dotted, type_glob};
use crate::config::{Config, Profile};

impl Rules {
    pub(super) fn profiles(&mut self, config: &Config) {
        for (name, Profile { include, drop, redact, .. }) in &config.profiles {
            if name.trim().is_empty() {
                self.refuse(format!("profiles.{name}"), "a profile needs a name");
            }
            for (list, paths) in [("include", include), ("drop", drop), ("redact", redact)] {
                for (index, path) in paths.iter().enumerate() {
                    self.path(format!("profiles.{name}.{list}[{index}]"), path);
                }
            }
        }
        for (index, name) in config.descriptors.may_become_visible.iter().enumerate() {
            if !is_fields(name) || !name.contains('.') {
                let message = format!(
                    "{name:?} is not a message type and a field path in it, such as `shop.v1.Order.card.number`"
                );
                self.refuse(format!("descriptors.may_become_visible[{index}]"), message);
            }
        }
    }

    fn path(&mut self, key: String, path: &str) {
        let path = protojson::FieldPath::new(path);
        if let Some(types) = path.types() {
            self.require(key.clone(), type_glob(types));
        }
        if !is_fields(path.fields()) {
            let message = format!(
                "{:?} is not a path of field names such as `meta.tenant_id`, or with types \
                 `shop.v1.Order/meta.tenant_id`",
                path.fields()
            );
            self.refuse(key, message);
        }
    }
}

/// Whether `text` is a path of field names, in which the name of an extension is in brackets.
fn is_fields(text: &str) -> bool {
    protojson::FieldPath::new(text).names().all(|name| {
        let extension = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
        is_dotted(extension.unwrap_or(name))
    })
}
