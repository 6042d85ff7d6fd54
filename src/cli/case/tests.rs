//! Tests of expectations about claim checks.

use serde_json::{Value, json};

use super::*;
use crate::config::load;

const CONFIG: &str = "
aws: {region: eu-west-1}
queues:
  - {url: 'https://sqs.eu-west-1.amazonaws.com/123456789012/events'}
descriptors: {path: DESCRIPTORS}
taps: {customer: [meta.tenant_id], event_id: [meta.event_id]}
route:
  customers_file: customers.yaml
  topic_template: arn:aws:sns:eu-west-1:123456789012:{customer}
  broadcast: [shop.v1.OrderPlaced]
claim_check: {bucket: acme-claims}
";

/// Runs a case whose event goes to `acme`, as a claim check, and to `globex`, as JSON. Returns it with this expectation.
pub(in crate::cli) fn run(expected: Value) -> (Expect, Forecast) {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("protobridge.yaml", &CONFIG.replace("DESCRIPTORS", concat!(env!("CARGO_MANIFEST_DIR"), "/descriptors")));
    write("customers.yaml", "customers: [{id: acme, claim_check: always}, {id: globex, claim_check: on}]");
    let config = load::file(&folder.path().join("protobridge.yaml"), []).unwrap();
    let offline = Offline::load(config).unwrap();
    let order = json!({"meta": {"eventId": "e-1", "tenantId": "acme"}, "orderId": "ord_1"});
    let case = json!({"name": "n", "type": "shop.v1.OrderPlaced", "payload": {"json": order}, "expect": expected});
    let case: Case = serde_json::from_value(case).unwrap();
    let forecast = case.run(&offline, folder.path()).unwrap_or_else(|unusable| panic!("{}", unusable.message));
    (case.expect.unwrap(), forecast)
}

#[test]
fn a_claim_check_is_expected_by_its_object_or_by_a_truth_value() {
    let differences = |acme: Value, globex: Value| -> Vec<String> {
        let destinations = json!({"acme": {"claim_check": acme}, "globex": {"claim_check": globex}});
        let (expect, forecast) = run(json!({"destinations": destinations}));
        let value = |value: Option<Value>| value.map_or_else(|| "none".to_owned(), |value| value.to_string());
        let all = expect.differences(&forecast).into_iter();
        all.map(|one| format!("{}: {} {}", one.path, value(one.expected), value(one.found))).collect()
    };
    assert_eq!(differences(json!(true), json!(false)), [""; 0]);
    assert_eq!(differences(json!({"bucket": "acme-claims", "bytes": 62}), json!(false)), [""; 0]);
    let found = differences(json!({"bucket": "other", "bytes": 63}), json!(true));
    assert_eq!(
        found,
        [
            r#"destinations.acme.claim_check.bucket: "other" "acme-claims""#,
            "destinations.acme.claim_check.bytes: 63 62",
            "destinations.globex.claim_check: true false",
        ]
    );
    let found = differences(json!(false), json!({"bucket": "acme-claims"}));
    let object = r#"{"bucket":"acme-claims","key":"claims/acme/2026-01-01/"#;
    assert!(found[0].starts_with(&format!("destinations.acme.claim_check: false {object}")), "{found:?}");
    assert_eq!(found[1], r#"destinations.globex.claim_check: {"bucket":"acme-claims"} false"#);
}

#[test]
fn a_corrected_expectation_names_the_parts_that_it_had_and_has_the_json_rather_than_the_pointer() {
    let json = json!({"meta": {"eventId": "e-1", "tenantId": "acme"}, "orderId": "ord_1"});
    let of_acme = json!({"claim_check": {"bytes": 1}, "json": {}, "json_text": ""});
    let (expect, forecast) = run(json!({"destinations": {"acme": of_acme, "globex": {"claim_check": true}}}));
    let corrected = expect.corrected(&forecast);
    let text = r#"{"meta":{"eventId":"e-1","tenantId":"acme"},"orderId":"ord_1"}"#;
    let expected = json!({
        "acme": {"claim_check": {"bytes": text.len()}, "json": json, "json_text": text},
        "globex": {"claim_check": false},
    });
    assert_eq!(corrected["destinations"], expected);
    let new = actual(&forecast);
    assert_eq!(new["destinations"]["acme"]["claim_check"], true);
    assert_eq!(new["destinations"]["globex"].get("claim_check"), None);
    assert_eq!(new["destinations"]["acme"]["json"], json);
}
