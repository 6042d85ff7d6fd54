//! `protobridge test`, which runs the test cases of a configuration.

use std::fs;
use std::path::Path;

use insta::assert_snapshot;
use serde_json::Value;
use tempfile::TempDir;

use crate::command::{self, protobridge};
use crate::source;

const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/shop");

/// A folder with a copy of the example, which uses the descriptor sets of this repository.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Self(TempDir::new().expect("a temporary folder can be created"));
        for name in ["customers.yaml", "protobridge.yaml"] {
            folder.write(name, &fs::read_to_string(Path::new(EXAMPLE).join(name)).expect("the example exists"));
        }
        for name in ["orders.yaml", "envelopes.yaml"] {
            let text = fs::read_to_string(Path::new(EXAMPLE).join("tests").join(name));
            folder.write(name, &text.expect("the example exists"));
        }
        let sets = concat!("path: ", env!("CARGO_MANIFEST_DIR"), "/descriptors");
        folder.change("protobridge.yaml", "path: ../../descriptors", sets);
        folder
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.0.path().join(name), text).expect("the file can be written");
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.path().join(name)).expect("the file exists")
    }

    fn change(&self, name: &str, from: &str, to: &str) {
        let text = self.read(name);
        assert!(text.contains(from), "{name} has {from}");
        self.write(name, &text.replace(from, to));
    }

    /// Runs `protobridge test` with these arguments. Returns its output and its exit code as text.
    fn test(&self, arguments: &[&str]) -> String {
        let mut command = protobridge();
        let command = command.args(["test", "--config", "protobridge.yaml"]).args(arguments).current_dir(self.0.path());
        let ended = command::run(command, b"");
        let code = ended.code.map_or_else(|| "killed".to_owned(), |code| code.to_string());
        format!("{}{}exit code {code}", ended.stdout, ended.stderr)
    }

    /// Returns the names of the cases that fail.
    fn failed(&self, arguments: &[&str]) -> Vec<String> {
        let output = self.test(arguments);
        let failed = output.lines().filter_map(|line| line.strip_prefix("FAILED   ")?.split_once("  ("));
        let failed: Vec<String> = failed.map(|(name, _)| name.to_owned()).collect();
        assert_eq!(output.ends_with("exit code 1"), !failed.is_empty(), "{output}");
        failed
    }
}

const ALL: [&str; 2] = ["orders.yaml", "envelopes.yaml"];

#[test]
fn the_cases_of_the_example_pass() {
    let mut command = protobridge();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let command = command.args(["test", "--config", "examples/shop/protobridge.yaml"]).current_dir(root);
    let command = command.args(["examples/shop/tests/orders.yaml", "examples/shop/tests/envelopes.yaml"]);
    let ended = command::run(command, b"");
    assert!(ended.stdout.ends_with("14 case(s): 14 passed, 0 failed\n"), "{}{}", ended.stdout, ended.stderr);
    assert_eq!(ended.code, Some(0));
}

#[test]
fn a_broken_profile_route_customer_or_field_fails_a_named_case() {
    for (file, from, to, case) in [
        ("protobridge.yaml", "int64: number", "int64: string", "initech gets order totals as numbers"),
        ("protobridge.yaml", "drop: [shop.v1.OrderPlaced/note]", "drop: []", "globex never gets the note of an order"),
        ("customers.yaml", "events: [shop.v1.Order*]", "events: ['*']", "globex gets no payments"),
        (
            "protobridge.yaml",
            "broadcast: [protobridge.v1.Heartbeat]",
            "broadcast: []",
            "a heartbeat goes to every enabled customer that receives it",
        ),
        (
            "protobridge.yaml",
            "queues:",
            "retry: {unknown_type_grace_seconds: 0}\nqueues:",
            "an unknown type waits for its schema",
        ),
    ] {
        let folder = Folder::new();
        assert_eq!(folder.failed(&ALL), [""; 0]);
        folder.change(file, from, to);
        let failed = folder.failed(&ALL);
        assert!(failed.iter().any(|name| name == case), "{to}: {failed:?}");
    }
}

#[test]
fn a_field_that_the_new_set_lacks_fails_the_cases_that_use_it() {
    let folder = Folder::new();
    let set = source::compile(
        "syntax = \"proto3\"; package shop.v1;
         message EventMeta { string event_id = 1; string tenant_id = 2; }
         message OrderPlaced { EventMeta meta = 1; string number = 2; string note = 14; }",
    );
    fs::write(folder.0.path().join("new.binpb"), set).expect("the file can be written");
    let arguments = ["--descriptors", "new.binpb", "--filter", "note", "orders.yaml"];
    let output = folder.test(&arguments);
    assert!(output.starts_with("FAILED   globex never gets the note of an order  (orders.yaml:"), "{output}");
    assert!(output.contains("order_id") && output.ends_with("exit code 1"), "{output}");
}

#[test]
fn a_failure_shows_each_difference_and_the_result_to_paste() {
    let folder = Folder::new();
    folder.change("orders.yaml", "amount_minor: 4200", "amount_minor: \"4200\"");
    folder.change("orders.yaml", "group: ord_2", "group: ord_1");
    assert_snapshot!(folder.test(&["--filter", "initech", "orders.yaml"]), @r#"
    FAILED   initech gets order totals as numbers  (orders.yaml:40)
               destinations.initech.group: expected "ord_1", found "ord_2"
               destinations.initech.json_contains.total.amount_minor: expected "4200", found 4200
               the outcome was decided because: every destination can have the event
             the actual result, which --update writes:
               expect:
                 outcome: published
                 destinations:
                   initech:
                     group: ord_2
                     json_contains:
                       order_id: ord_2
                       total:
                         amount_minor: 4200
    1 case(s): 0 passed, 1 failed
    error: 1 of 1 case(s) failed
    exit code 1
    "#);
}

#[test]
fn update_writes_the_results_of_failing_cases_and_keeps_everything_else() {
    let folder = Folder::new();
    folder.write(
        "new.yaml",
        "\
# The first comment.
cases:
- name: a block without an expectation
  queue: events
  type: shop.v1.OrderPlaced
  payload: {json: {meta: {eventId: e-1, tenantId: acme}}}   # beside a value

# Before a flow.
- {name: a flow, queue: events, type: shop.v1.OrderPlaced, payload: {base64: CgYSBGFjbWU=}, expect: {outcome: filtered, destinations: {acme: {json: {a: '}'}}}}, attributes: {event-id: x}}
- expect:
    outcome: quarantined   # wrong
    destinations: {}

  # Between two keys.
  name: an expectation that comes first
  queue: events
  type: shop.v1.OrderPlaced
  payload: {base64: CgYSBGFjbWU=}
- {name: a flow without an expectation, queue: events, body: '?'}
# The last comment.
",
    );
    let right = folder.read("orders.yaml");
    let updated = folder.test(&["--update", "new.yaml", "orders.yaml"]);
    assert!(updated.contains("10 case(s): 6 passed, 4 updated, 0 failed\n"), "{updated}");
    assert_eq!(folder.read("orders.yaml"), right);
    assert_snapshot!(folder.read("new.yaml"), @r#"
    # The first comment.
    cases:
    - name: a block without an expectation
      queue: events
      type: shop.v1.OrderPlaced
      payload: {json: {meta: {eventId: e-1, tenantId: acme}}}   # beside a value
      expect:
        outcome: published
        type: shop.v1.OrderPlaced
        event_id: e-1
        destinations:
          acme:
            topic: arn:aws:sns:eu-west-1:123456789012:json-events-acme
            json:
              meta:
                eventId: e-1
                tenantId: acme

    # Before a flow.
    - {name: a flow, queue: events, type: shop.v1.OrderPlaced, payload: {base64: CgYSBGFjbWU=}, expect: {"outcome":"published","destinations":{"acme":{"json":{"meta":{"tenantId":"acme"}}}}}, attributes: {event-id: x}}
    - expect:
        outcome: published
        destinations:
          acme:
            topic: arn:aws:sns:eu-west-1:123456789012:json-events-acme
            json:
              meta:
                tenantId: acme

      # Between two keys.
      name: an expectation that comes first
      queue: events
      type: shop.v1.OrderPlaced
      payload: {base64: CgYSBGFjbWU=}
    - {expect: {"outcome":"quarantined","reason":"bad_envelope","destinations":{}}, name: a flow without an expectation, queue: events, body: '?'}
    # The last comment.
    "#);
    assert!(folder.test(&["new.yaml"]).contains("4 case(s): 4 passed, 0 failed\n"));
}

#[test]
fn a_case_that_cannot_be_run_names_the_value_at_fault() {
    let folder = Folder::new();
    let case = |rest: &str| {
        folder.write("new.yaml", &format!("cases:\n- name: a\n  queue: events\n  {}\n", rest.replace('\n', "\n  ")));
        let output = folder.test(&["new.yaml"]);
        output.lines().take(2).map(|line| line.trim().to_owned()).collect::<Vec<_>>().join("\n")
    };
    assert_snapshot!(case("type: shop.v1.OrderPlaced\npayload:\n  json:\n    items:\n    - sku: a\n      quantty: 3"), @"
    FAILED   a  (new.yaml:9)
    payload.json.items[0].quantty: shop.v1.OrderPlaced.LineItem: it has no field `quantty`
    ");
    assert_snapshot!(case("type: shop.v1.OrderPlcaed\npayload: {json: {}}"), @"
    FAILED   a  (new.yaml:4)
    type: no descriptor set defines shop.v1.OrderPlcaed; did you mean shop.v1.OrderPlaced?
    ");
    assert_snapshot!(case("payload: {json: {}}"), @"
    FAILED   a  (new.yaml:4)
    payload.json: this spelling requires the type of the event; set `type`
    ");
    let pointer = r#"body: '["software.amazon.payloadoffloading.PayloadS3Pointer", {"s3BucketName": "shop-large-events", "s3Key": "1"}]'"#;
    assert_snapshot!(case(pointer), @"
    FAILED   a  (new.yaml:2)
    lookups: the message points to s3://shop-large-events/1, and a dry run does not read from S3; give the answer under `lookups`
    ");
    folder.write("new.yaml", "cases: [{name: a, queue: partners, payload: {hex: 00 00000007 00}}]");
    assert!(
        folder.test(&["new.yaml"]).contains("lookups: the message has Confluent schema 7, and a dry run does not ask")
    );
}

#[test]
fn an_invalid_test_file_exits_with_64_and_reports_all_mistakes() {
    let folder = Folder::new();
    folder.write(
        "new.yaml",
        "cases:\n- name: a\n  payload: {base64: CgA=, hex: 00}\n- name: a\n  body: x\n  expekt: {}\n- body: x\n  attributes: {a: {type: Binary, value: '?'}}\n  expect: {outcome: lost}\n",
    );
    assert_snapshot!(folder.test(&["new.yaml"]), @r#"
    error: 6 problems in new.yaml:
      line 3: cases[0].payload: a payload has exactly one of `json`, `text`, `base64`, `hex` and `file`
      line 4: cases[1].name: another case of this file has this name
      line 6: cases[1].expekt: unknown key; did you mean `expect`?
      line 7: cases[2].name: is empty or missing; say in a few words what the case shows
      line 8: cases[2].attributes.a: the value is not base64: Invalid symbol 63, offset 0.
      line 9: cases[2].expect.outcome: expected `published`, `duplicate`, `filtered`, `quarantined` or `retried`, found "lost"
    exit code 64
    "#);
}

#[test]
fn a_filter_without_a_match_is_wrong_usage() {
    assert_snapshot!(Folder::new().test(&["--filter", "nothing", "orders.yaml"]), @"
    error: no case matches --filter, or the test files have no case; see --help
    exit code 2
    ");
}

#[test]
fn machines_read_the_result_as_json_or_junit() {
    let folder = Folder::new();
    folder.change("orders.yaml", "group: ord_2", "group: <&>");
    let json = folder.test(&["--format", "json", "orders.yaml"]);
    let json = json.split("error:").next().expect("the report comes first");
    let json: Value = serde_json::from_str(json).expect("the report is JSON");
    assert_eq!(json["cases"][0]["passed"], true);
    assert_eq!((&json["cases"][1]["passed"], &json["cases"][1]["line"]), (&false.into(), &40.into()));
    assert_eq!(json["cases"][1]["actual"]["destinations"]["initech"]["group"], "ord_2");
    let junit = folder.test(&["--format", "junit", "--filter", "globex", "orders.yaml"]);
    assert_snapshot!(junit, @r#"
    <?xml version="1.0" encoding="UTF-8"?>
    <testsuite name="protobridge" tests="2" failures="0">
      <testcase name="globex never gets the note of an order" classname="orders.yaml" file="orders.yaml" line="43"/>
      <testcase name="globex gets no payments" classname="orders.yaml" file="orders.yaml" line="57"/>
    </testsuite>
    exit code 0
    "#);
    let junit = folder.test(&["--format", "junit", "--filter", "initech", "orders.yaml"]);
    assert!(junit.contains("destinations.initech.group: expected &quot;&lt;&amp;&gt;&quot;"), "{junit}");
}
