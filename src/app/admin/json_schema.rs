//! The pages below `/json-schema`: the JSON Schema of an event, by the `schema-hash` that the event carries.

use std::fmt::Display;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use protojson::Additions;
use serde::Serialize;
use serde_json::Value;

use crate::schema::registry::Snapshot;

/// The event types of one version of a descriptor set.
#[derive(Debug, Serialize)]
pub(super) struct Types {
    set: String,
    hash: String,
    types: Vec<String>,
}

/// The answer to a request for a schema that is not in force, with the way out.
#[derive(Debug)]
pub(super) struct NotFound(String);

impl IntoResponse for NotFound {
    fn into_response(self) -> Response {
        (StatusCode::NOT_FOUND, self.0).into_response()
    }
}

/// Returns the types whose events carry this schema hash.
///
/// # Errors
/// Returns an error if no descriptor set in force has the hash.
pub(super) fn types(snapshot: &Snapshot, hash: &str) -> Result<Json<Types>, NotFound> {
    let Some(set) = snapshot.sets().iter().find(|set| &*set.hash == hash) else {
        let known = list(snapshot.sets().iter().map(|set| format!("{} ({})", set.hash, set.name)));
        return Err(NotFound(format!(
            "no descriptor set in force has the schema hash {hash}; in force: {known}\n\
             for an older set, run `protobridge schema json-schema --descriptors FILE`\n"
        )));
    };
    let has_hash = |name: &&str| snapshot.find(name).is_some_and(|known| *known.schema_hash == *hash);
    let types = snapshot.type_names().into_iter().filter(has_hash).map(str::to_owned).collect();
    Ok(Json(Types { set: set.name.clone(), hash: hash.to_owned(), types }))
}

/// Returns the JSON Schema of a type in a profile. It accepts what newer versions of the type add.
///
/// # Errors
/// Returns an error if no descriptor set in force has the hash, if its types do not include this one, or if there is no
/// such profile.
pub(super) fn schema(snapshot: &Snapshot, hash: &str, name: &str, profile: &str) -> Result<Json<Value>, NotFound> {
    let known = types(snapshot, hash)?;
    let event_type = snapshot.find(name).filter(|event_type| *event_type.schema_hash == *hash);
    let Some(event_type) = event_type else {
        let known = list(known.0.types.iter());
        return Err(NotFound(format!(
            "events of type {name} do not carry the schema hash {hash}; these do: {known}\n"
        )));
    };
    match event_type.find_profile(profile) {
        Some(profile) => Ok(Json(event_type.json_schema(profile, Additions::Accepted))),
        None => Err(NotFound(format!("the configuration has no profile {profile}\n"))),
    }
}

/// Joins the first names of a list, because a set can have thousands of types.
fn list(names: impl ExactSizeIterator<Item = impl Display>) -> String {
    const SHOWN: usize = 20;
    let more = names.len().saturating_sub(SHOWN);
    let mut shown: Vec<String> = names.take(SHOWN).map(|name| name.to_string()).collect();
    if more > 0 {
        shown.push(format!("and {more} more"));
    }
    shown.join(", ")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::{Descriptors, Int64, Profile, Taps};
    use crate::schema::registry::{Profiles, Registry};

    fn snapshot() -> Arc<Snapshot> {
        let web = Profile { int64: Int64::Number, ..Profile::default() };
        let profiles = Arc::new(Profiles::new(&[("web".to_owned(), web)].into()));
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/descriptors").into();
        let sets = Descriptors { path, ..Descriptors::default() };
        Registry::load(&sets, &Taps::default(), profiles).unwrap().current()
    }

    #[test]
    fn a_schema_is_found_by_the_hash_of_its_events_in_each_profile() {
        let snapshot = snapshot();
        let hash = &snapshot.find("shop.v1.Money").unwrap().schema_hash;
        let kind = |profile| {
            let document = schema(&snapshot, hash, "shop.v1.Money", profile).unwrap().0;
            document["$defs"]["shop_v1_Money"]["properties"]["amountMinor"]["type"].as_str().map(str::to_owned)
        };
        assert_eq!((kind("default").as_deref(), kind("web").as_deref()), (Some("string"), Some("integer")));
        let types = types(&snapshot, hash).unwrap().0;
        assert_eq!(types.set, "shop.binpb");
        assert!(types.types.contains(&"shop.v1.Money".to_owned()), "{types:?}");
        assert!(!types.types.contains(&"protobridge.v1.Heartbeat".to_owned()), "{types:?}");
    }

    #[test]
    fn an_error_names_what_is_in_force() {
        let snapshot = snapshot();
        let hash = &snapshot.find("protobridge.v1.Heartbeat").unwrap().schema_hash;
        let error = |hash: &str, name: &str, profile: &str| schema(&snapshot, hash, name, profile).unwrap_err().0;
        let unknown = error("0123456789abcdef", "shop.v1.Money", "default");
        assert!(unknown.contains("0123456789abcdef") && unknown.contains(&format!("{hash} (protobridge.binpb)")));
        assert_eq!(
            error(hash, "shop.v1.Money", "default"),
            format!(
                "events of type shop.v1.Money do not carry the schema hash {hash}; these do: protobridge.v1.Canary, protobridge.v1.Heartbeat\n"
            )
        );
        assert_eq!(error(hash, "protobridge.v1.Heartbeat", "mobile"), "the configuration has no profile mobile\n");
        assert!(list((0..100).collect::<Vec<_>>().iter()).ends_with("19, and 80 more"));
    }
}
