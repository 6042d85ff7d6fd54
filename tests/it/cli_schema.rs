//! `protobridge schema`, which describes the JSON that consumers receive.

use std::fs;
use std::path::Path;

use insta::assert_snapshot;
use tempfile::TempDir;

use crate::command::{self, protobridge};

const DESCRIPTORS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/descriptors");

const CONFIG: &str = "\
aws: {region: eu-west-1}
queues: [{url: 'http://127.0.0.1:1/000000000000/events'}]
profiles: {web: {int64: number, field_names: proto}, private: {redact: [amount_minor]}}
route: {topic_template: 'arn:aws:sns:eu-west-1:000000000000:json-{customer}'}
";

const CUSTOMERS: &str = "\
customers:
  - {id: acme, events: ['shop.v1.Order*'], profile: web}
  - {id: globex, events: [protobridge.v1.Heartbeat]}
  - {id: gone, enabled: false}
";

/// Runs the command in a folder with a configuration. Returns its output and its exit code as text.
fn schema(arguments: &[&str]) -> String {
    let folder = TempDir::new().expect("a temporary folder can be created");
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("the file can be written");
    let descriptors = serde_json::Value::from(DESCRIPTORS);
    write("protobridge.yaml", &format!("{CONFIG}descriptors: {{path: {descriptors}}}\n"));
    write("customers.yaml", CUSTOMERS);
    run(folder.path(), arguments)
}

fn run(folder: &Path, arguments: &[&str]) -> String {
    let ended = command::run(protobridge().current_dir(folder).arg("schema").args(arguments), b"");
    let code = ended.code.map_or_else(|| "killed".to_owned(), |code| code.to_string());
    format!("{}{}exit code {code}", ended.stdout, ended.stderr).replace(DESCRIPTORS, "descriptors")
}

/// Runs a command that must succeed. Returns the JSON that it prints.
fn json(arguments: &[&str]) -> serde_json::Value {
    let end = schema(arguments);
    let text = end.strip_suffix("exit code 0").unwrap_or_else(|| panic!("{end}"));
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

const IN_CONFIG: [&str; 3] = ["json-schema", "--config", "protobridge.yaml"];
const ASYNCAPI: [&str; 3] = ["asyncapi", "--config", "protobridge.yaml"];

#[test]
fn json_schema_describes_the_canonical_json_of_a_type() {
    assert_snapshot!(schema(&["json-schema", "--descriptors", DESCRIPTORS, "--type", "shop.v1.Money"]), @r##"
    {
      "$schema": "https://json-schema.org/draft/2020-12/schema",
      "title": "shop_v1_Money",
      "$ref": "#/$defs/shop_v1_Money",
      "$defs": {
        "shop_v1_Money": {
          "description": "An amount of money. Never a floating-point number: amounts have to add up.",
          "type": "object",
          "properties": {
            "currency": {
              "description": "The ISO 4217 code, in capitals: \"EUR\".",
              "type": "string"
            },
            "amountMinor": {
              "description": "The amount in the currency's smallest unit: 1999 is 19.99 EUR, and 1999 JPY. Negative for money that goes back.",
              "type": "string",
              "pattern": "^(0|-?[1-9][0-9]{0,18})$"
            }
          },
          "additionalProperties": true
        }
      }
    }
    exit code 0
    "##);
}

#[test]
fn only_a_closed_schema_refuses_unknown_keys() {
    let root = |arguments: &[&str]| {
        let schema = json(&[&IN_CONFIG[..], &["--type", "shop.v1.Money"], arguments].concat());
        schema["$defs"]["shop_v1_Money"]["additionalProperties"].clone()
    };
    assert_eq!((root(&[]), root(&["--closed"])), (true.into(), false.into()));
    let component = |arguments: &[&str]| {
        let document = json(&[&ASYNCAPI[..], &["--json"], arguments].concat());
        document["components"]["schemas"]["web-shop_v1_Money"]["additionalProperties"].clone()
    };
    assert_eq!((component(&[]), component(&["--closed"])), (true.into(), false.into()));
}

#[test]
fn json_schema_takes_a_profile_by_name_or_by_options() {
    let properties = |arguments: &[&str]| {
        let mut schema = json(&[arguments, &["--type", "shop.v1.Money"]].concat());
        let root = schema["$ref"].as_str().expect("the schema has a root reference").trim_start_matches('#').to_owned();
        schema.pointer_mut(&root).expect("the root is defined")["properties"].take()
    };
    let web = properties(&[&IN_CONFIG[..], &["--profile", "web"]].concat());
    assert_eq!(web["amount_minor"]["type"], "integer");
    let private = properties(&[&IN_CONFIG[..], &["--profile", "private"]].concat());
    assert_eq!(private["amountMinor"]["type"], "null");
    let spelled = ["--profile", "field-names=proto,int64=number"];
    assert_eq!(properties(&[&IN_CONFIG[..], &spelled].concat()), web);
    assert_eq!(properties(&[&["json-schema", "--descriptors", DESCRIPTORS][..], &spelled].concat()), web);
}

#[test]
fn errors_about_wrong_arguments_explain_the_fix() {
    assert_snapshot!(schema(&[&IN_CONFIG[..], &["--type", "shop.v1.OrderPlacd"]].concat()), @"
    error: no descriptor set in descriptors defines the message type shop.v1.OrderPlacd; did you mean shop.v1.OrderPlaced?
    exit code 1
    ");
    assert_snapshot!(schema(&[&IN_CONFIG[..], &["--type", "shop.v1.Money", "--profile", "wbe"]].concat()), @"
    error: there is no profile wbe; did you mean web?
    exit code 1
    ");
    assert_snapshot!(schema(&[&IN_CONFIG[..], &["--type", "shop.v1.Money", "--profile", "mobile"]].concat()), @"
    error: there is no profile mobile; the configuration has: default, private, web
    exit code 1
    ");
    assert_snapshot!(schema(&["json-schema", "--descriptors", DESCRIPTORS, "--type", "shop.v1.Money", "--profile", "web"]), @"
    error: a profile name such as web requires a configuration; use --config FILE, or spell the profile out as KEY=VALUE,…
    exit code 1
    ");
    assert_snapshot!(schema(&[&IN_CONFIG[..], &["--type", "shop.v1.Money", "--profile", "int64=float"]].concat()), @"
    error: invalid value 'int64=float' for '--profile <PROFILE>': `int64=float` is not one of field-names=json|proto, int64=string|number, enums=name|number, bytes=base64|base64url|hex, unknown-any=refuse|bytes, invalid-utf8=refuse|replace, emit-defaults=true|false

    For more information, try '--help'.
    exit code 2
    ");
    assert_snapshot!(schema(&[&ASYNCAPI[..], &["--customer", "acmee"]].concat()), @"
    error: customers.yaml has no customer acmee; did you mean acme?
    exit code 1
    ");
    assert_snapshot!(schema(&[&ASYNCAPI[..], &["--customer", "gone"]].concat()), @"
    error: customer gone is disabled, so protobridge publishes nothing for it
    exit code 1
    ");
    assert_snapshot!(schema(&[&ASYNCAPI[..], &["--events", "shop.v2.*"]].concat()), @"
    error: --events shop.v2.* matches no known message type; `protobridge descriptors list` shows all types
    exit code 1
    ");
    let empty = TempDir::new().expect("a temporary folder can be created");
    assert_snapshot!(run(empty.path(), &["json-schema", "--type", "shop.v1.Money"]), @"
    error: use --config FILE or --descriptors PATH; this folder has no protobridge.yaml; see --help
    exit code 2
    ");
    assert_snapshot!(schema(&["asyncapi", "--config", "protobrigde.yaml"]), @"
    error: protobrigde.yaml: no such file; an annotated example: `protobridge config example`
    exit code 64
    ");
}

#[test]
fn asyncapi_lists_the_topics_of_enabled_customers() {
    let document = json(&[&ASYNCAPI[..], &["--json"]].concat());
    let channels: Vec<&String> = document["channels"].as_object().expect("the value is a JSON object").keys().collect();
    assert_eq!(channels, ["acme", "globex"]);
    assert_eq!(document["channels"]["acme"]["address"], "arn:aws:sns:eu-west-1:000000000000:json-acme");
    let messages: Vec<&String> =
        document["components"]["messages"].as_object().expect("the value is a JSON object").keys().collect();
    let expected = [
        "default-protobridge_v1_Heartbeat",
        "web-shop_v1_OrderPlaced",
        "web-shop_v1_OrderShipped",
        "web-shop_v1_OrderStatusChanged",
    ];
    assert_eq!(messages, expected);
}

#[test]
fn asyncapi_prints_the_document_of_one_customer_as_yaml() {
    let end = schema(&[&ASYNCAPI[..], &["--customer", "globex"]].concat());
    let start = end.find("channels:").expect("the document has channels");
    let channels = &end[start..end.find("components:").expect("the document has components")];
    assert_snapshot!(channels, @r##"
    channels:
      globex:
        address: arn:aws:sns:eu-west-1:000000000000:json-globex
        title: globex
        servers:
        - $ref: "#/servers/sns-eu-west-1"
        messages:
          protobridge_v1_Heartbeat:
            $ref: "#/components/messages/default-protobridge_v1_Heartbeat"
        bindings:
          sns:
            name: json-globex
    operations:
      globex:
        action: send
        channel:
          $ref: "#/channels/globex"
        summary: protobridge publishes the events of globex; its consumers receive them.
    "##);
}

#[test]
fn asyncapi_describes_only_the_requested_events() {
    let document = json(
        &[&ASYNCAPI[..], &["--json", "--events", "shop.v1.OrderShipped", "--events", "shop.v1.*Changed"]].concat(),
    );
    let messages: Vec<&String> =
        document["components"]["messages"].as_object().expect("the value is a JSON object").keys().collect();
    assert_eq!(messages, ["web-shop_v1_OrderShipped", "web-shop_v1_OrderStatusChanged"]);
}
