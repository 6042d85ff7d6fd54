//! The pages below `/json-schema`: the JSON Schema of an event, by the `schema-hash` that the event carries.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use protojson::Additions;
use serde::Serialize;
use serde_json::Value;

use crate::schema::registry::Snapshot;

/// The event type that a schema hash belongs to.
#[derive(Debug, Serialize)]
pub(super) struct Type {
    hash: String,
    #[serde(rename = "type")]
    name: String,
    /// The descriptor set whose definition of the type serves; `None` if the type is built in.
    #[serde(skip_serializing_if = "Option::is_none")]
    set: Option<Set>,
}

/// A version of a descriptor set.
#[derive(Debug, Serialize)]
struct Set {
    name: String,
    hash: String,
}

/// The answer to a request for a schema that is not in force, with the way out.
#[derive(Debug)]
pub(super) struct NotFound(String);

impl IntoResponse for NotFound {
    fn into_response(self) -> Response {
        (StatusCode::NOT_FOUND, self.0).into_response()
    }
}

const WAY_OUT: &str = "`protobridge descriptors list FOLDER` shows the hash of each type of older descriptor sets, and \
                       `protobridge schema json-schema --descriptors FOLDER` their schemas";

/// Returns the type whose events carry this schema hash.
///
/// # Errors
/// Returns an error if no type in force has the hash.
pub(super) fn find(snapshot: &Snapshot, hash: &str) -> Result<Json<Type>, NotFound> {
    let mut types = snapshot.type_names().into_iter().filter_map(|name| snapshot.find(name));
    let Some(found) = types.find(|known| *known.schema_hash == *hash) else {
        return Err(NotFound(format!("no message type in force has the schema hash {hash}\n{WAY_OUT}\n")));
    };
    let set = snapshot.set_of(found).map(|set| Set { name: set.name.clone(), hash: set.hash.to_string() });
    Ok(Json(Type { hash: hash.to_owned(), name: found.name.to_string(), set }))
}

/// Returns the JSON Schema of a type in a profile. It accepts what newer versions of the type add.
///
/// # Errors
/// Returns an error if the type is not in force, if its schema hash is another one now, or if there is no such profile.
pub(super) fn schema(snapshot: &Snapshot, hash: &str, name: &str, profile: &str) -> Result<Json<Value>, NotFound> {
    let Some(event_type) = snapshot.find(name) else {
        return Err(NotFound(format!("{}\n", snapshot.why_unknown(name))));
    };
    let now = &event_type.schema_hash;
    if **now != *hash {
        return Err(NotFound(format!(
            "events of type {name} carry the schema hash {now} now, not {hash}\n{WAY_OUT}\n"
        )));
    }
    match event_type.find_profile(profile) {
        Some(profile) => Ok(Json(event_type.json_schema(profile, Additions::Accepted))),
        None => Err(NotFound(format!("the configuration has no profile {profile}\n"))),
    }
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
        let set = snapshot.sets().iter().find(|set| set.name == "shop.binpb").unwrap();
        assert_eq!(
            serde_json::to_value(find(&snapshot, hash).unwrap().0).unwrap(),
            serde_json::json!({
                "hash": **hash, "type": "shop.v1.Money", "set": {"name": "shop.binpb", "hash": *set.hash}
            })
        );
    }

    #[test]
    fn an_error_says_how_to_find_the_schema() {
        let snapshot = snapshot();
        let hash = &snapshot.find("protobridge.v1.Heartbeat").unwrap().schema_hash;
        let error = |hash: &str, name: &str, profile: &str| schema(&snapshot, hash, name, profile).unwrap_err().0;
        assert_eq!(
            find(&snapshot, "0123456789abcdef").unwrap_err().0,
            format!("no message type in force has the schema hash 0123456789abcdef\n{WAY_OUT}\n")
        );
        assert_eq!(
            error("0123456789abcdef", "protobridge.v1.Heartbeat", "default"),
            format!(
                "events of type protobridge.v1.Heartbeat carry the schema hash {hash} now, not 0123456789abcdef\n\
                 {WAY_OUT}\n"
            )
        );
        assert_eq!(error(hash, "shop.v1.Nothing", "default"), "no descriptor set defines shop.v1.Nothing\n");
        assert_eq!(error(hash, "protobridge.v1.Heartbeat", "mobile"), "the configuration has no profile mobile\n");
    }
}
