//! Profiles and customers on the command line.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;

use anyhow::bail;
use strict_config::nearest;

use crate::config::{Bytes, Config, Enums, FieldNames, Int64, InvalidUtf8, Profile, UnknownAny};
use crate::route::{Customer, Router};
use crate::schema::registry::{ProfileId, Profiles};

/// A profile, either by its name in the configuration or spelled out.
#[derive(Debug, Clone)]
pub(super) enum ProfileChoice {
    Named(String),
    SpelledOut(Profile),
}

impl FromStr for ProfileChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.contains('=') {
            return Ok(Self::SpelledOut(ProfileArg::from_str(text)?.0));
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

/// A profile that is spelled out on the command line.
#[derive(Debug, Clone, Default)]
struct ProfileArg(Profile);

impl FromStr for ProfileArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut profile = Profile::default();
        for pair in text.split(',').filter(|pair| !pair.is_empty()) {
            match pair {
                "field-names=json" => profile.field_names = FieldNames::Json,
                "field-names=proto" => profile.field_names = FieldNames::Proto,
                "int64=string" => profile.int64 = Int64::String,
                "int64=number" => profile.int64 = Int64::Number,
                "enums=name" => profile.enums = Enums::Name,
                "enums=number" => profile.enums = Enums::Number,
                "bytes=base64" => profile.bytes = Bytes::Base64,
                "bytes=base64url" => profile.bytes = Bytes::Base64Url,
                "bytes=hex" => profile.bytes = Bytes::Hex,
                "unknown-any=refuse" => profile.unknown_any = UnknownAny::Refuse,
                "unknown-any=bytes" => profile.unknown_any = UnknownAny::Bytes,
                "invalid-utf8=refuse" => profile.invalid_utf8 = InvalidUtf8::Refuse,
                "invalid-utf8=replace" => profile.invalid_utf8 = InvalidUtf8::Replace,
                "emit-defaults=true" => profile.emit_defaults = true,
                "emit-defaults=false" => profile.emit_defaults = false,
                _ => {
                    return Err(format!(
                        "`{pair}` is not one of field-names=json|proto, int64=string|number, enums=name|number, bytes=base64|base64url|hex, unknown-any=refuse|bytes, invalid-utf8=refuse|replace, emit-defaults=true|false"
                    ));
                }
            }
        }
        Ok(Self(profile))
    }
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
        config.route.customers_file.display(),
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
