//! `protobridge replay --compare`, over the samples of the example.

use std::fs;
use std::path::Path;

use insta::assert_snapshot;
use serde_json::Value;
use tempfile::TempDir;

use crate::command::{self, protobridge};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// A folder for candidates and samples.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(TempDir::new().expect("a temporary folder can be created"))
    }

    /// Writes a file, and returns its path.
    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().expect("it has a folder")).expect("the folder can be created");
        fs::write(&path, content).expect("the file can be written");
        path.display().to_string()
    }

    /// Writes the set of the example, in which the JSON name of `order_id` is another one.
    fn renamed(&self) -> String {
        let set = fs::read(Path::new(ROOT).join("descriptors/shop.binpb")).expect("the set exists");
        let mut renamed = set.clone();
        for at in 0..set.len() {
            if set[at..].starts_with(b"orderId") {
                renamed[at..at + 7].copy_from_slice(b"orderNo");
            }
        }
        assert_ne!(renamed, set, "the set has the field");
        self.write("new/shop.binpb", renamed)
    }

    /// Compares, and returns the output and the exit code. Paths of this folder are shown as `DIR`.
    fn compare(&self, arguments: &[&str]) -> (String, i32) {
        let mut command = protobridge();
        let command = command.args(["replay", "--config", "examples/shop/protobridge.yaml"]).args(arguments);
        let ended = command::run(command.current_dir(ROOT), b"");
        let text = format!("{}{}", ended.stdout, ended.stderr).replace(&self.0.path().display().to_string(), "DIR");
        (text, ended.code.expect("it exits"))
    }
}

const SAMPLES: [&str; 2] = ["--samples", "examples/shop/tests"];

#[test]
fn a_renamed_field_is_reported_for_the_customers_who_receive_it() {
    let folder = Folder::new();
    let set = folder.renamed();
    let (text, code) = folder.compare(&[&SAMPLES[..], &["--compare", &set]].concat());
    assert_eq!(code, 1);
    assert_snapshot!(text, @r#"
    DIR/new/shop.binpb: a descriptor set; it replaces shop.binpb
    Read 14 message(s) of examples/shop/tests.

    shop.v1.OrderPlaced of acme: 4 event(s), 3 equal, 1 differ, 1 BREAKING
      path gone            orderId       1 event(s)  breaking
      path added           orderNo       1 event(s)
      example: event e-1, sample orders.yaml: acme gets an order in canonical JSON, queue events, 109 bytes
        - orderId: "ord_1"
        + orderNo: "ord_1"

    shop.v1.OrderPlaced of globex: 2 event(s), 1 equal, 1 differ, 1 BREAKING
      path gone            orderId       1 event(s)  breaking
      path added           orderNo       1 event(s)
      example: event e-3, sample orders.yaml: globex never gets the note of an order, queue events, 85 bytes
        - orderId: "ord_3"
        + orderNo: "ord_3"

    All events are equal:
      (no type) of no customer: 1 event(s)
      shop.v1.GiftCardIssued of no customer: 2 event(s)
      shop.v1.OrderPlaced of no customer: 2 event(s)
      protobridge.v1.Heartbeat of acme: 1 event(s)
      shop.v1.PaymentCaptured of globex: 1 event(s)
      protobridge.v1.Heartbeat of initech: 1 event(s)
      shop.v1.OrderPlaced of initech: 1 event(s)

    14 message(s) compared: 12 equal, 2 differ, 2 break consumers
    error: the candidate breaks consumers with 2 of 14 message(s)
    "#);
    let (text, code) = folder.compare(&[&SAMPLES[..], &["--compare", &set, "--paths-only"]].concat());
    assert_eq!(code, 1);
    assert!(text.contains("    - orderId\n    + orderNo\n"), "{text}");
    for value in ["ord_1", "ord_3", "e-1", "e-3"] {
        assert!(!text.contains(value), "{value}: {text}");
    }
    // `initech` receives the names as in the schema, and the payments of acme have no such field.
    let (text, code) = folder.compare(&[&SAMPLES[..], &["--compare", &set, "--customer", "initech"]].concat());
    assert_eq!(code, 0, "{text}");
    let (_, code) = folder.compare(&[&SAMPLES[..], &["--compare", &set, "--fail-on", "never"]].concat());
    assert_eq!(code, 0);
}

#[test]
fn the_json_is_for_machines() {
    let folder = Folder::new();
    let set = folder.renamed();
    let (text, code) = folder.compare(&[&SAMPLES[..], &["--compare", &set, "--json", "--fail-on", "never"]].concat());
    assert_eq!(code, 0, "{text}");
    let json: Value = serde_json::from_str(&text).expect("the output is one JSON document");
    assert_eq!(json["messages"]["breaking"], 2);
    let acme = json["groups"].as_array().expect("a list").iter();
    let mut acme = acme.filter(|group| group["destination"] == "acme" && group["event_type"] == "shop.v1.OrderPlaced");
    let example = &acme.next().expect("acme receives orders")["examples"]["path_gone"];
    assert_eq!(example["event_id"], "e-1");
    assert_eq!(example["changes"][0]["old"], "ord_1");
    assert_eq!(acme.next(), None);
}

#[test]
fn samples_have_several_forms_and_one_that_cannot_be_read_is_an_error() {
    let folder = Folder::new();
    let set = folder.renamed();
    let samples = folder.0.path().join("samples").display().to_string();
    let arguments = ["--samples", &samples, "--queue", "events", "--compare", &set];
    assert!(folder.compare(&arguments).0.contains("samples: No such file"));
    folder.write("samples/README.md", "no sample");
    assert!(folder.compare(&arguments).0.contains("it has no samples"));
    folder.write("samples/shop.v1.OrderPlaced.bin", b"\x0a\x06\x12\x04acme\x12\x05ord_1");
    folder.write("samples/deep/shop.v1.OrderPlaced.big.json", r#"{"meta": {"tenantId": "acme"}, "orderId": "ord_2"}"#);
    folder.write("samples/shop.v1.OrderPlaced.t.txtpb", "meta { tenant_id: \"globex\" } order_id: \"ord_3\"");
    let received = r#"{"Messages": [{"MessageId": "m-1", "Body": "CgYSBGFjbWUSBW9yZF80", "MessageAttributes":
        {"message-type": {"DataType": "String", "StringValue": "shop.v1.OrderPlaced"}}}]}"#;
    folder.write("samples/received.json", received);
    let (text, code) = folder.compare(&arguments);
    assert_eq!(code, 1);
    assert!(text.contains("shop.v1.OrderPlaced of acme: 3 event(s), 0 equal, 3 differ, 3 BREAKING"), "{text}");
    assert!(text.contains("shop.v1.OrderPlaced of globex: 1 event(s), 0 equal, 1 differ, 1 BREAKING"), "{text}");
    let (text, code) = folder.compare(&["--samples", &samples, "--compare", &set]);
    assert!(code == 1 && text.contains("name one of events, partners with --queue"), "{text}");
    for (name, content, error) in [
        ("samples/unknown.bin", "", "name it TYPE.NAME.bin"),
        ("samples/unknown.json", "{}", "its name begins with no known type"),
        ("samples/shop.v1.OrderPlaced.x.json", r#"{"order": 1}"#, "it has no field `order`"),
        ("samples/cases.yaml", "cases: [{name: a, queue: events, type: shop.v1.X, payload: {json: {}}}]", "shop.v1.X"),
    ] {
        let path = folder.write(name, content);
        let (text, code) = folder.compare(&arguments);
        assert!(code == 1 && text.contains(error), "{text}");
        fs::remove_file(path).expect("it exists");
    }
}

#[test]
fn options_that_do_not_fit_together_are_refused() {
    let folder = Folder::new();
    let set = folder.renamed();
    for (arguments, code) in [
        (vec!["--samples", "x"], 2),
        (vec!["--compare", &set, "--samples", "x", "--from", "1h"], 2),
        (vec!["--compare", &set], 2),
        (vec!["--compare", &set, "--from", "1h", "--dry-run"], 2),
        (vec!["--compare", &set, "--from", "1h", "--sample", "1.5"], 2),
        (vec!["--compare", &set, "--from", "1h"], 64),
        (vec!["--compare", "none.binpb", "--samples", "examples/shop/tests"], 1),
    ] {
        let (text, found) = folder.compare(&arguments);
        assert_eq!(found, code, "{arguments:?}: {text}");
    }
}
