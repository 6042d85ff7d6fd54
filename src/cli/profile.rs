//! Profiles and customers on the command line.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;

use anyhow::bail;
use serde_json::{Map, Value};
use strict_config::nearest;

use crate::config::{Config, Profile};
use crate::route::{Customer, Router};
use crate::schema::registry::{ProfileId, Profiles};

/// A profile, either by its name in the configuration or spelled out.
#[derive(Debug, Clone)]
pub(super) enum ProfileChoice {
    Named(String),
    SpelledOut(Profile),
}

impl Default for ProfileChoice {
    fn default() -> Self {
        Self::Named("default".to_owned())
    }
}

impl FromStr for ProfileChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.contains('=') {
            return Ok(Self::SpelledOut(spelled_out(text)?));
        }
        Ok(Self::Named(text.to_owned()))
    }
}

impl ProfileChoice {
    /// Returns the configured profiles together with a profile that is spelled out, which is then the default.
    pub(super) fn added_to(&self, mut configured: BTreeMap<String, Profile>) -> BTreeMap<String, Profile> {
        if let Self::SpelledOut(profile) = self {
            configured.insert("default".to_owned(), profile.clone());
        }
        configured
    }

    /// Returns the profiles, and the number of the chosen one. `is_configured` says whether there is a configuration.
    pub(super) fn among(
        &self,
        configured: &BTreeMap<String, Profile>,
        is_configured: bool,
    ) -> anyhow::Result<(Profiles, ProfileId)> {
        let profiles = Profiles::new(&self.added_to(configured.clone()));
        let profile = match self {
            Self::Named(name) => find_profile(&profiles, name, is_configured)?,
            Self::SpelledOut(_) => ProfileId::default(),
        };
        Ok((profiles, profile))
    }
}

/// The settings of a profile on the command line: each key of a profile with its values.
const SETTINGS: &str = "field-names=json|proto, int64=string|number, enums=name|number, bytes=base64|base64url|hex, \
                        unknown-any=refuse|bytes, invalid-utf8=refuse|replace, emit-defaults=true|false";

/// Reads a profile that is spelled out on the command line.
///
/// # Errors
/// Returns an error that lists the settings if one of `text` is not among them.
fn spelled_out(text: &str) -> Result<Profile, String> {
    let mut settings = Map::new();
    for pair in text.split(',').filter(|pair| !pair.is_empty()) {
        let is_setting = |(key, value): &(&str, &str)| {
            let known = SETTINGS.split(", ").filter_map(|setting| setting.split_once('='));
            known.into_iter().any(|(name, values)| name == *key && values.split('|').any(|known| known == *value))
        };
        let Some((key, value)) = pair.split_once('=').filter(is_setting) else {
            return Err(format!("`{pair}` is not one of {SETTINGS}"));
        };
        let value = value.parse().map_or_else(|_| Value::from(value), Value::Bool);
        settings.insert(key.replace('-', "_"), value);
    }
    serde_json::from_value(settings.into()).map_err(|error| error.to_string())
}

fn find_profile(profiles: &Profiles, name: &str, is_configured: bool) -> anyhow::Result<ProfileId> {
    if let Some(known) = profiles.find(name) {
        return Ok(known);
    }
    if !is_configured {
        bail!(
            "a profile name such as {name} requires a configuration; use --config FILE, or spell the profile out as KEY=VALUE,…"
        );
    }
    let known = || profiles.names().iter().map(String::as_str);
    let all = format!("the configuration has: {}", known().collect::<Vec<_>>().join(", "));
    bail!("there is no profile {name}{}", hint(nearest(name, known()), &all))
}

/// Returns the customer with this id, enabled or not.
pub(super) fn find_customer(router: &Router, id: &str, config: &Config) -> anyhow::Result<Arc<Customer>> {
    if let Some(customer) = router.customers().find(|customer| &*customer.id == id) {
        return Ok(Arc::clone(customer));
    }
    let enabled = router.customers().filter(|customer| customer.enabled);
    bail!(
        "{} has no customer {id}{}",
        config.route.customers_file,
        hint(nearest(id, enabled.map(|customer| &*customer.id)), "its `id:` lines name the customers")
    )
}

/// Returns the end of an error message about an unknown name: the nearest known name, or else some other advice.
pub(super) fn hint(nearest: Option<&str>, otherwise: &str) -> String {
    match nearest {
        Some(known) => format!("; did you mean {known}?"),
        None => format!("; {otherwise}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_setting_of_the_command_line_is_a_setting_of_a_profile() {
        for setting in SETTINGS.split(", ") {
            let (key, values) = setting.split_once('=').unwrap();
            for value in values.split('|') {
                let profile = serde_json::to_value(spelled_out(&format!("{key}={value}")).unwrap()).unwrap();
                assert_eq!(profile[key.replace('-', "_")].to_string().trim_matches('"'), value, "{key}");
            }
        }
        assert_eq!(spelled_out(",,").unwrap(), Profile::default());
        for wrong in ["int64=hex", "int64", "redact=a", "bytes="] {
            assert_eq!(spelled_out(wrong).unwrap_err(), format!("`{wrong}` is not one of {SETTINGS}"));
        }
    }
}
