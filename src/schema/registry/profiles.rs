//! The profiles of the configuration, as options of the codec.

use protojson::Options;

use crate::config;

/// The profiles of the configuration. Profile 0 is always `default`.
#[derive(Debug, Clone)]
pub struct Profiles {
    pub(super) names: Vec<String>,
    pub(super) options: Vec<Options>,
}

/// The number of a profile in [`Profiles`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct ProfileId(pub(super) usize);

impl Profiles {
    /// Creates the configured profiles. If `default` is not configured, it renders canonical ProtoJSON.
    pub fn new(configured: &std::collections::BTreeMap<String, config::Profile>) -> Self {
        let default = configured.get("default").cloned().unwrap_or_default();
        let mut profiles = Self { names: vec!["default".to_owned()], options: vec![options(&default)] };
        for (name, profile) in configured.iter().filter(|(name, _)| *name != "default") {
            profiles.names.push(name.clone());
            profiles.options.push(options(profile));
        }
        profiles
    }

    /// Returns the number of the profile with this name.
    pub fn find(&self, name: &str) -> Option<ProfileId> {
        self.names.iter().position(|profile| profile == name).map(ProfileId)
    }

    /// Returns the names of these profiles as the subject of a sentence, and the verb "hides".
    pub(super) fn hide(&self, profiles: &[usize]) -> String {
        let names: Vec<String> = profiles.iter().map(|profile| format!("`{}`", self.names[*profile])).collect();
        match names.as_slice() {
            [name] => format!("the profile {name} hides"),
            names => format!("the profiles {} hide", names.join(", ")),
        }
    }

    /// Returns the names of all profiles.
    pub fn names(&self) -> &[String] {
        &self.names
    }
}

/// Converts a profile to the options of the codec.
pub fn options(profile: &config::Profile) -> Options {
    let mut options = Options::default();
    options.field_names = match profile.field_names {
        config::FieldNames::Json => protojson::FieldNames::Json,
        config::FieldNames::Proto => protojson::FieldNames::Proto,
    };
    options.int64 = match profile.int64 {
        config::Int64::String => protojson::Int64::String,
        config::Int64::Number => protojson::Int64::Number,
    };
    options.enums = match profile.enums {
        config::Enums::Name => protojson::Enums::Name,
        config::Enums::Number => protojson::Enums::Number,
    };
    options.bytes = match profile.bytes {
        config::Bytes::Base64 => protojson::Bytes::Base64,
        config::Bytes::Base64Url => protojson::Bytes::Base64Url,
        config::Bytes::Hex => protojson::Bytes::Hex,
    };
    options.unknown_any = match profile.unknown_any {
        config::UnknownAny::Refuse => protojson::UnknownAny::Refuse,
        config::UnknownAny::Bytes => protojson::UnknownAny::Bytes,
    };
    options.invalid_utf8 = match profile.invalid_utf8 {
        config::InvalidUtf8::Refuse => protojson::InvalidUtf8::Refuse,
        config::InvalidUtf8::Replace => protojson::InvalidUtf8::Replace,
    };
    options.emit_defaults = profile.emit_defaults;
    options.include.clone_from(&profile.include);
    options.drop.clone_from(&profile.drop);
    options.redact.clone_from(&profile.redact);
    options.redact_marked = profile.redact_marked;
    options
}
