use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use prost::Message as _;
use tokio::net::TcpListener;

use super::*;

const FILE: &str = "
schemas:
  - {id: 7, types: [a.B, a.C], nested: {'1.0': a.C.D}}
  - {id: 8, types: [a.E]}
";

fn parse(text: &str) -> Result<File, String> {
    File::parse(Path::new("schemas.yaml"), text).map_err(|error| error.to_string())
}

fn type_name(schemas: &Schemas, id: u32, indexes: &[u32]) -> String {
    let reference = SchemaReference { id, indexes: indexes.to_vec() };
    schemas.type_name(&reference).map_or_else(|error| format!("error: {error}"), |name| name.to_string())
}

fn settings(registry: Option<String>) -> config::Confluent {
    config::Confluent { registry_url: registry, registry_timeout_ms: 2_000, ..Default::default() }
}

fn new_schemas(settings: &config::Confluent, file: Option<File>) -> Result<Schemas, RegistryError> {
    Schemas::new(settings, file, &Network::default())
}

/// Starts a registry that gives this answer to every request. Returns its URL and the count of requests.
async fn registry(status: u16, answer: String) -> (String, Arc<AtomicUsize>) {
    let requests = Arc::new(AtomicUsize::new(0));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let count = Arc::clone(&requests);
    let answer = move |request: axum::extract::Request| {
        count.fetch_add(1, Ordering::Relaxed);
        let uri = request.uri().to_string();
        let is_schema = uri.starts_with("/base/schemas/ids/") && uri.ends_with("?format=serialized");
        assert!(is_schema || uri == "/base/schemas/types", "{uri}");
        let authorization = request.headers().get("authorization").and_then(|value| value.to_str().ok());
        assert_eq!(authorization, Some("Basic dTpwOkA="), "the user is u and the password is p:@");
        std::future::ready((http::StatusCode::from_u16(status).unwrap(), answer.clone()))
    };
    tokio::spawn(async move { axum::serve(listener, axum::Router::new().fallback(answer)).await });
    (url.replace("http://", "http://u:p:%40@") + "/base/", requests)
}

#[test]
fn types_are_found_by_their_indexes() {
    let schemas = new_schemas(&settings(None), Some(parse(FILE).unwrap())).unwrap();
    assert!(schemas.is_configured());
    let found: Vec<String> = [(7, &[0][..]), (7, &[1]), (7, &[1, 0]), (8, &[0]), (7, &[2]), (9, &[0])]
        .map(|(id, indexes)| type_name(&schemas, id, indexes))
        .into();
    assert_eq!(
        found,
        [
            "a.B",
            "a.C",
            "a.C.D",
            "a.E",
            "error: there is no message [2] of Confluent schema 7",
            "error: `confluent.schemas_file` has no schema 9; add it, or set `registry_url`",
        ]
    );
    assert!(!new_schemas(&settings(None), None).unwrap().is_configured());
}

#[test]
fn an_invalid_file_is_refused_with_all_its_problems() {
    let yaml = "
schemas:
  - {id: 7, types: []}
  - {id: 7, types: [a b], nested: {'0': a.B, '0.1': .a}}
  - {id: -1, types: [a.B]}
  - {types: [a.B], type: a.B}
";
    insta::assert_snapshot!(parse(yaml).unwrap_err(), @"
    3 problems in schemas.yaml:
      line 5: schemas[2].id: expected an integer from 0 to 4294967295, found -1
      line 6: schemas[3].id: missing
      line 6: schemas[3].type: unknown key; did you mean `types`?
    ");
    insta::assert_snapshot!(parse("schemas:\n- {id: 7, types: []}\n- {id: 7, types: [a b], nested: {'0': a.B, '0.1': .a}}").unwrap_err(), @r#"
    5 problems in schemas.yaml:
      line 2: schemas[0].types: is empty; list the messages of the schema in their order
      line 3: schemas[1].id: 7 is the id of schemas[0] as well
      line 3: schemas[1].types[0]: "a b" is not a full name such as `shop.v1.OrderPlaced`
      line 3: schemas[1].nested.0: is not the indexes of a nested message such as `0.2`
      line 3: schemas[1].nested.0.1: ".a" is not a full name such as `shop.v1.OrderPlaced`
    "#);
}

#[tokio::test]
async fn a_schema_that_is_not_in_the_file_is_requested_from_the_registry_once() {
    // Package `a` with the messages B and C; D is nested in C.
    let file = registry::FileDescriptor::decode(&b"\x12\x01a\x22\x03\x0a\x01B\x22\x08\x0a\x01C\x1a\x03\x0a\x01D"[..]);
    let file = BASE64_STANDARD.encode(file.unwrap().encode_to_vec());
    let answer = serde_json::json!({"schema": file, "schemaType": "PROTOBUF"}).to_string();
    let (url, requests) = registry(200, answer).await;
    let schemas = new_schemas(&settings(Some(url)), Some(parse(FILE).unwrap())).unwrap();
    schemas.learn(8).await.unwrap();
    assert_eq!(requests.load(Ordering::Relaxed), 0, "the file has it");
    let (first, second) = tokio::join!(schemas.learn(9), schemas.learn(9));
    assert!(first.is_ok() && second.is_ok());
    assert_eq!(requests.load(Ordering::Relaxed), 1);
    let found = [&[0][..], &[1], &[1, 0]].map(|indexes| type_name(&schemas, 9, indexes));
    assert_eq!(found, ["a.B", "a.C", "a.C.D"]);
}

#[tokio::test]
async fn an_error_reports_the_answer_of_the_registry() {
    let avro = r#"{"schema": "\"string\""}"#;
    let source = r#"{"schema": "syntax = \"proto3\";", "schemaType": "PROTOBUF"}"#;
    for (status, answer, learnt, name) in [
        (404, "{}", Ok(()), "error: the schema registry has no schema 9"),
        (200, avro, Ok(()), "error: Confluent schema 9 is of type AVRO, not PROTOBUF"),
        (
            200,
            source,
            Ok(()),
            "error: Confluent schema 9 is not a serialized descriptor in the registry's answer; list its types in `confluent.schemas_file`",
        ),
        (
            500,
            "{}",
            Err("the schema registry did not return Confluent schema 9: it answers 500 Internal Server Error; check \
                 `confluent.registry_url`"),
            "error: the schema registry has no schema 9",
        ),
    ] {
        let (url, requests) = registry(status, answer.to_owned()).await;
        let schemas = new_schemas(&settings(Some(url)), None).unwrap();
        for _ in 0..3 {
            let result = schemas.learn(9).await.map_err(|error| error.to_string());
            assert_eq!(result, learnt.map_err(str::to_owned));
        }
        assert_eq!(type_name(&schemas, 9, &[0]), name);
        assert_eq!(requests.load(Ordering::Relaxed), 1, "the answer is kept for a while");
    }
}

#[tokio::test]
async fn a_probe_succeeds_unless_the_registry_denies_access() {
    for (status, expected) in [
        (200, Ok(())),
        (404, Ok(())),
        (401, Err("it answers 401 Unauthorized; check `confluent.registry_url`".to_owned())),
    ] {
        let (url, _) = registry(status, "[]".to_owned()).await;
        let schemas = new_schemas(&settings(Some(url)), None).unwrap();
        let probe = schemas.probe().await.map(|result| result.map_err(|error| error.to_string()));
        assert_eq!(probe, Some(expected));
    }
    assert!(new_schemas(&settings(None), None).unwrap().probe().await.is_none());
}

#[tokio::test]
async fn a_lookup_fails_if_the_registry_does_not_answer_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let mut settings = settings(Some(url));
    settings.registry_timeout_ms = 50;
    let schemas = new_schemas(&settings, None).unwrap();
    let error = schemas.learn(9).await.unwrap_err();
    assert_eq!(error.to_string(), "the schema registry did not return Confluent schema 9: no answer within 50ms");
}

#[test]
fn an_invalid_registry_url_is_refused() {
    for url in ["registry:8081", "http://", "https://a b"] {
        assert!(matches!(new_schemas(&settings(Some(url.into())), None), Err(RegistryError::Url)), "{url}");
    }
}
