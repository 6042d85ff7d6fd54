//! `protobridge check` without `--online`: the findings and the exit code.

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::cli::{CONFIG, CUSTOMERS, Folder};
use crate::command::{bare, protobridge};

#[test]
fn check_names_an_unreadable_descriptor_set() {
    assert_snapshot!(Folder::new().write("descriptors/orders.binpb", "syntax = \"proto3\";").check(), @"
    configuration  protobridge.yaml: 1 queue(s)
    descriptors    descriptors: 2 set(s), 28 message type(s)
    customers      customers.yaml: 1, 1 enabled
    error          descriptors.path: descriptor set orders.binpb: not a compiled FileDescriptorSet (malformed protobuf at byte 12 in FileDescriptorSet: unknown wire type); write it with `protoc --include_imports --descriptor_set_out` or `buf build`; its types are unknown
    error: the check found 1 error
    exit code 1
    ");
}

#[test]
fn check_warns_about_sources_in_the_descriptor_folder() {
    assert_snapshot!(Folder::new().write("descriptors/order.proto", "").check(), @"
    configuration  protobridge.yaml: 1 queue(s)
    descriptors    descriptors: 2 set(s), 28 message type(s)
    customers      customers.yaml: 1, 1 enabled
    warning        descriptors.path: order.proto is a source, which protobridge does not read; compile a set with `protoc --include_imports --descriptor_set_out=FILE.binpb` or `buf build -o FILE.binpb`, and keep the sources out of descriptors
    ok
    exit code 0
    ");
}

#[test]
fn check_warns_about_a_glue_schema_version_that_lists_too_few_messages() {
    let id = "b7b4a7f0-9c96-4e4a-a687-fb5de9ef0c63";
    let other = id.replace("b7", "00");
    let folder = Folder::new();
    folder.write(
        "glue.yaml",
        format!("schemas: [{{id: {id}, types: [shop.v1.OrderShipped]}}, {{id: {other}, types: [a.B]}}]"),
    );
    assert_snapshot!(folder.configure("glue: {schemas_file: glue.yaml}").check(), @"
    configuration  protobridge.yaml: 1 queue(s)
    descriptors    descriptors: 2 set(s), 28 message type(s)
    customers      customers.yaml: 1, 1 enabled
    warning        glue.schemas_file: no type of schema version 00b4a7f0-9c96-4e4a-a687-fb5de9ef0c63 is in a descriptor set yet
    warning        glue.schemas_file: schema version b7b4a7f0-9c96-4e4a-a687-fb5de9ef0c63 does not list shop.v1.Delivery, shop.v1.OrderPlaced, shop.v1.OrderPlaced.LabelsEntry, shop.v1.OrderPlaced.LineItem, shop.v1.OrderPlaced.LineItem.Option, shop.v1.OrderShipped.BackOrderedEntry, shop.v1.OrderShipped.Parcel, shop.v1.OrderStatusChanged, shop.v1.Pickup, which the same .proto file has today; if that version has them, list them, because each message is numbered among all of them
    ok
    exit code 0
    ");
}

#[test]
fn check_warns_about_a_tap_that_publishes_a_hidden_field_and_strict_fails() {
    let folder = Folder::new();
    let hidden = "taps: {event_id: [meta.event_id], customer: [meta.tenant_id]}\n\
                  profiles: {web: {redact: [meta.event_id]}, app: {drop: [shop.v1.OrderPlaced/meta.event_id]}}";
    let warnings = |lines: &str| {
        let text = folder.configure(lines).check();
        text.lines().filter(|line| line.starts_with("warning ")).map(str::to_owned).collect::<Vec<_>>().join("\n")
    };
    assert_snapshot!(warnings(hidden), @"
    warning        taps.event_id: consumers see `meta.event_id` of shop.v1.OrderPlaced as the attribute `event-id`, and the profiles `app`, `web` hide that field; remove the tap, or let the profile show the field; if consumers may see the value, add `shop.v1.OrderPlaced.meta.event_id` to `descriptors.may_become_visible`
    warning        taps.event_id: consumers see `meta.event_id` of shop.v1.CustomerRegistered, shop.v1.CustomerUpdated, shop.v1.OrderShipped and 3 more message type(s) as the attribute `event-id`, and the profile `web` hides that field; remove the tap, or let the profile show the field; if consumers may see the value, add the field of each type, such as `shop.v1.CustomerRegistered.meta.event_id`, to `descriptors.may_become_visible`
    ");
    let strict = folder.output_of(&mut protobridge(), &["check", "--strict", "--config", "protobridge.yaml"]);
    assert!(strict.ends_with("exit code 1"), "{strict}");
    assert_eq!(warnings(&hidden.replace("event_id: [meta.event_id], ", "")), "");
}

#[test]
fn check_names_a_descriptor_set_without_its_imports() {
    // FileDescriptorSet {file: {name: "a.proto", dependency: "b.proto"}}
    let set = b"\x0a\x12\x0a\x07a.proto\x1a\x07b.proto";
    assert_snapshot!(Folder::new().write("descriptors/a.binpb", set).check(), @"
    configuration  protobridge.yaml: 1 queue(s)
    descriptors    descriptors: 2 set(s), 28 message type(s)
    customers      customers.yaml: 1, 1 enabled
    error          descriptors.path: descriptor set a.binpb: import b.proto is missing; compile with `--include_imports`; its types are unknown
    error: the check found 1 error
    exit code 1
    ");
}

#[test]
fn check_refuses_a_topic_of_another_region_than_that_of_the_environment() {
    let folder = Folder::new();
    folder.write("protobridge.yaml", CONFIG.replace("region: eu-west-1, ", ""));
    let check =
        |region: &str| folder.output_of(bare().env("AWS_REGION", region), &["check", "--config", "protobridge.yaml"]);
    assert!(check("eu-west-1").ends_with("ok\nexit code 0"), "{}", check("eu-west-1"));
    assert_snapshot!(check("us-east-1"), @"
    configuration  protobridge.yaml: 1 queue(s)
    error: customers.yaml:1:24: customers[0].topic: arn:aws:sns:eu-west-1:000000000000:acme is in eu-west-1, but protobridge calls AWS in us-east-1 (`aws.region`); one process serves one region
    exit code 64
    ");
}

#[test]
fn check_reports_what_is_loaded() {
    assert_snapshot!(Folder::new().check(), @"
    configuration  protobridge.yaml: 1 queue(s)
    descriptors    descriptors: 2 set(s), 28 message type(s)
    customers      customers.yaml: 1, 1 enabled
    ok
    exit code 0
    ");
}

#[test]
fn check_warns_of_likely_mistakes_and_succeeds() {
    let folder = Folder::new();
    folder.configure(
        "taps: {customer: [meta.tenant]}\nroute: {broadcast: [shop.v2.*]}\ndedupe: {redis_url: 'redis://:pw@redis:6379'}",
    );
    folder.write("customers.yaml", CUSTOMERS.replace("id: acme", "id: acme, events: [shop.v1.Ordr*]"));
    assert_snapshot!(folder.check(), @"
    configuration  protobridge.yaml: 1 queue(s)
    descriptors    descriptors: 2 set(s), 28 message type(s)
    customers      customers.yaml: 1, 1 enabled
    warning        dedupe.redis_url: the connection to redis has no TLS, so other hosts on the network can read the password and change what counts as a duplicate; use `rediss://`
    warning        route.customers_file: customer acme: events `shop.v1.Ordr*` matches no known message type
    warning        route.broadcast: `shop.v2.*` matches no known message type
    warning        taps: no message type has the field path meta.tenant
    ok
    exit code 0
    ");
}

#[test]
fn check_and_run_fail_if_a_path_hides_nothing() {
    let folder = Folder::new();
    folder.configure("profiles: {default: {redact: [meta.tenant], drop: [meta.sorce]}}");
    for output in [folder.check(), folder.run()] {
        for (key, path) in [("redact", "meta.tenant"), ("drop", "meta.sorce")] {
            let line =
                format!("profiles.default.{key}: no message type has the field path `{path}`, so it hides nothing");
            assert!(output.contains(&line), "{output}");
        }
        assert!(output.ends_with("exit code 64"), "{output}");
    }
    folder.configure("profiles: {default: {redact: ['shop.v1.OrderPlaced/meta.tenant']}}");
    let output = folder.check();
    assert!(output.contains("shop.v1.OrderPlaced.meta.tenant: the profile `default` hides"), "{output}");
    assert!(output.ends_with("error: the check found 1 error and 1 warning\nexit code 1"), "{output}");
    folder.configure(
        "profiles: {default: {redact: ['shop v1/meta.tenant', 'meta..id']}}\ndescriptors: {may_become_visible: [x]}",
    );
    assert_snapshot!(folder.check(), @r#"
    error: 3 problems in protobridge.yaml:
      line 4: profiles.default.redact[0]: "shop v1" is not a message type such as `shop.v1.OrderPlaced` or a glob such as `shop.v1.*`
      line 4: profiles.default.redact[1]: "meta..id" is not a path of field names such as `meta.tenant_id`, or with types `shop.v1.Order/meta.tenant_id`
      line 5: descriptors.may_become_visible[0]: "x" is not a message type and a field path in it, such as `shop.v1.Order.card.number`
    exit code 64
    "#);
}

#[test]
fn check_fails_if_run_would_fail() {
    assert_snapshot!(Folder::new().configure("descriptors: {path: descriptor}").check(), @"
    configuration  protobridge.yaml: 1 queue(s)
    error: descriptors.path: cannot read descriptors at descriptor: No such file or directory (os error 2); it must be a folder of compiled sets, or one compiled set
    exit code 64
    ");
}

#[test]
fn check_strict_fails_on_a_warning() {
    let folder = Folder::new();
    folder.configure("route: {max_removed_percent: 100}").write("customers.yaml", "customers: []");
    let strict = || folder.output_of(&mut protobridge(), &["check", "--strict", "--config", "protobridge.yaml"]);
    assert_snapshot!(strict(), @"
    configuration  protobridge.yaml: 1 queue(s)
    descriptors    descriptors: 2 set(s), 28 message type(s)
    customers      customers.yaml: 0, 0 enabled
    warning        route.customers_file: the file has no customers, so no event reaches a customer; add a customer, or enable one
    error: the check found 1 warning, and --strict treats warnings as errors
    exit code 1
    ");
    assert!(folder.check().ends_with("\nok\nexit code 0"), "{}", folder.check());
    folder.configure("").write("customers.yaml", CUSTOMERS);
    assert!(strict().ends_with("\nok\nexit code 0"), "{}", strict());
}

#[test]
fn check_warns_about_a_queue_without_a_quarantine_queue() {
    let folder = Folder::new();
    let without = CONFIG.replace(", quarantine_url: 'http://127.0.0.1:1/000000000000/bad'", "");
    folder.write("protobridge.yaml", without);
    assert_snapshot!(folder.check(), @"
    configuration  protobridge.yaml: 1 queue(s)
    descriptors    descriptors: 2 set(s), 28 message type(s)
    customers      customers.yaml: 1, 1 enabled
    warning        queues[0].quarantine_url: queue events has no quarantine queue: a message that can never be published is received again until the queue's redrive policy moves it or its retention ends; create a queue for such messages, and set the key to its URL
    ok
    exit code 0
    ");
}

#[test]
fn an_empty_customers_file_is_an_error() {
    assert_snapshot!(Folder::new().write("customers.yaml", "").check(), @"
    configuration  protobridge.yaml: 1 queue(s)
    error: customers file customers.yaml has no customers: is it empty, or half written? To run without customers, set `route.max_removed_percent` to 100
    exit code 64
    ");
}

/// Runs `check --json` with these further arguments. Returns the document and the exit code.
fn json_of(folder: &Folder, arguments: &[&str]) -> (Value, i32) {
    let arguments = [&["check", "--json", "--config", "protobridge.yaml"], arguments].concat();
    let output = folder.output_of(&mut protobridge(), &arguments);
    let (text, code) = output.rsplit_once("exit code ").expect("the exit code is last");
    (serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}")), code.parse().expect("a number"))
}

#[test]
fn check_json_has_each_finding_with_its_way_out() {
    let folder = Folder::new();
    folder.configure("dedupe: {redis_url: 'redis://redis:6379'}");
    let (document, code) = json_of(&folder, &[]);
    assert_eq!(code, 0);
    assert_eq!(
        document,
        json!({
            "ok": true,
            "format": 1,
            "configuration": "protobridge.yaml",
            "strict": false,
            "network": {},
            "loaded": {"queues": 1, "descriptor_sets": 2, "message_types": 28, "customers": 1, "enabled_customers": 1},
            "findings": [{
                "severity": "warning",
                "key": "dedupe.redis_url",
                "message": "the connection to redis has no TLS, so other hosts on the network can read the password and \
                            change what counts as a duplicate",
                "way_out": "use `rediss://`",
                "location": null,
            }],
            "proofs": [],
        })
    );
    let (document, code) = json_of(&folder, &["--strict"]);
    assert_eq!((code, &document["ok"], &document["strict"]), (1, &json!(false), &json!(true)));
}

#[test]
fn check_json_has_each_problem_of_a_document_with_its_location() {
    let folder = Folder::new();
    folder.configure("publsh: {linger_ms: 5}");
    let (document, code) = json_of(&folder, &[]);
    assert_eq!((code, &document["ok"], &document["loaded"]), (64, &json!(false), &Value::Null));
    assert_eq!(
        document["findings"],
        json!([{
            "severity": "error",
            "key": "publsh",
            "message": "unknown key",
            "way_out": "did you mean `publish`?",
            "location": "protobridge.yaml:4:1",
        }])
    );
    folder.configure("").write("customers.yaml", "customers: [{id: acme, topic: x}]");
    let (document, code) = json_of(&folder, &[]);
    let finding = &document["findings"][0];
    assert_eq!(
        (code, &finding["key"], &finding["location"]),
        (64, &json!("customers[0].topic"), &json!("customers.yaml:1:24"))
    );
    folder.configure("descriptors: {path: nowhere}");
    let (document, code) = json_of(&folder, &[]);
    assert_eq!((code, &document["findings"][0]["key"]), (64, &json!("descriptors.path")));
}
