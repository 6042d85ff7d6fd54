//! `protobridge descriptors`, the command for schema owners.

use std::fs;

use insta::assert_snapshot;
use tempfile::TempDir;

use crate::command::protobridge;
use crate::source;

/// Creates a folder of descriptor sets, each compiled from the text of a schema.
fn folder(sets: &[(&str, &str)]) -> TempDir {
    let folder = TempDir::new().expect("a temporary folder can be created");
    for (name, text) in sets {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("the path has a parent folder")).expect("the folder can be created");
        let set = source::compile(&format!("syntax = \"proto3\"; package shop; {text}"));
        fs::write(path, set).expect("the file can be written");
    }
    folder
}

fn descriptors(folder: &TempDir, args: &[&str]) -> String {
    let output = protobridge().arg("descriptors").args(args).current_dir(folder.path()).output();
    let output = output.expect("the command was built with the tests");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{}{}exit code {}", text(&output.stdout), text(&output.stderr), output.status.code().unwrap_or(-1))
}

#[test]
fn list_shows_each_set_with_its_types() {
    let folder =
        folder(&[("team/a.binpb", "message A { B b = 1; } message B {}"), ("b.binpb", "message B { int32 n = 1; }")]);
    assert_snapshot!(descriptors(&folder, &["list", "."]), @r#"
    b.binpb (ae0239ed94ad195a, 49 bytes, 1 file(s))
      b65b2f607b871e28  shop.B
    team/a.binpb (c36727d621f585de, 63 bytes, 1 file(s))
      3c1b319852bd13ab  shop.A
    note: shop.B has a larger definition in b.binpb than in team/a.binpb; the one in b.binpb is used
    exit code 0
    "#);
}

#[test]
fn check_names_the_unusable_sets() {
    let folder = folder(&[("a.binpb", "message A { string a = 1; }"), ("b.binpb", "message A { int32 a = 1; }")]);
    assert_snapshot!(descriptors(&folder, &["check", "."]), @r#"
    refused: descriptor set b.binpb: shop.A is defined differently in a.binpb (look at field a); compile both from the same source, or remove one of them
    2 set(s) with 1 message type(s) can be used
    error: 1 set(s) cannot be used
    exit code 1
    "#);
    assert_snapshot!(descriptors(&folder, &["check", "a.binpb"]), @r#"
    1 set(s) with 1 message type(s) can be used
    exit code 0
    "#);
}

#[test]
fn check_warns_about_sources_in_the_folder() {
    let folder = folder(&[("a.binpb", "message A { string a = 1; }")]);
    std::fs::write(folder.path().join("a.proto"), "").expect("the file can be written");
    assert_snapshot!(descriptors(&folder, &["check", "."]), @"
    warning: a.proto is a source, which protobridge does not read; compile a set with `protoc --include_imports --descriptor_set_out=FILE.binpb` or `buf build -o FILE.binpb`, and keep the sources out of .
    1 set(s) with 1 message type(s) can be used
    exit code 0
    ");
}

#[test]
fn diff_lists_breaking_changes_and_fails() {
    let folder = folder(&[
        ("old.binpb", "message A { string a = 1; E e = 2; } enum E { X = 0; Y = 1; }"),
        ("new.binpb", "message A { int32 a = 1; E e = 2; int32 more = 3; } enum E { X = 0; Z = 1; }"),
        ("larger.binpb", "message A { string a = 1; E e = 2; int32 more = 3; } enum E { X = 0; Y = 1; }"),
    ]);
    assert_snapshot!(descriptors(&folder, &["diff", "old.binpb", "new.binpb"]), @r#"
    shop.A.a: string is now int32 (type_changed)
    shop.A.e: value 1 of shop.E was Y and is Z (enum_value_renamed)
    error: 2 change(s) break the consumers of the JSON
    exit code 1
    "#);
    assert_snapshot!(descriptors(&folder, &["diff", "old.binpb", "larger.binpb"]), @r#"
    no breaking changes
    exit code 0
    "#);
    fs::write(
        folder.path().join("customers.yaml"),
        "customers: [{id: acme, topic: 'arn:aws:sns:eu-west-1:123456789012:acme'}]",
    )
    .expect("the file can be written");
    fs::write(
        folder.path().join("protobridge.yaml"),
        "queues: [{url: 'https://sqs.eu-west-1.amazonaws.com/123456789012/events'}]",
    )
    .expect("the file can be written");
    let args = ["diff", "old.binpb", "new.binpb", "--config", "protobridge.yaml", "--json"];
    assert_snapshot!(descriptors(&folder, &args), @r#"
    {
      "breaking": [
        {
          "message_type": "shop.A",
          "element": "a",
          "rule": "type_changed",
          "text": "string is now int32",
          "customers": [
            "acme"
          ]
        },
        {
          "message_type": "shop.A",
          "element": "e",
          "rule": "enum_value_renamed",
          "text": "value 1 of shop.E was Y and is Z",
          "customers": [
            "acme"
          ]
        }
      ],
      "not_breaking": []
    }
    error: 2 change(s) break the consumers of the JSON
    exit code 1
    "#);
}

#[test]
fn diff_reports_redactions_of_the_schema_and_with_a_configuration_of_the_profiles() {
    let folder = folder(&[
        ("old.binpb", "message A { string a = 1 [debug_redact = true]; string b = 2; string pan = 3; }"),
        (
            "new.binpb",
            "message A { string a = 1; string b = 2 [debug_redact = true]; string number = 3; string c = 4; }",
        ),
        (
            "more.binpb",
            "message A { string a = 1 [debug_redact = true]; string b = 2 [debug_redact = true]; string pan = 3; }",
        ),
    ]);
    assert_snapshot!(descriptors(&folder, &["diff", "old.binpb", "new.binpb"]), @r#"
    shop.A.a: the option debug_redact was removed (redaction_removed)
    shop.A.b: the option debug_redact was added (redaction_added)
    shop.A.pan: "pan" is now "number" in JSON (field_renamed)
    error: 2 change(s) break the consumers of the JSON
    exit code 1
    "#);
    assert_snapshot!(descriptors(&folder, &["diff", "old.binpb", "more.binpb"]), @"
    shop.A.b: the option debug_redact was added (redaction_added)
    no breaking changes
    exit code 0
    ");
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("the file can be written");
    write("customers.yaml", "customers: [{id: acme, topic: 'arn:aws:sns:eu-west-1:123456789012:acme'}]");
    write(
        "protobridge.yaml",
        "queues: [{url: 'https://sqs.eu-west-1.amazonaws.com/123456789012/events'}]
profiles: {default: {redact: [pan], drop: [shop.A/c]}}",
    );
    let args = ["diff", "old.binpb", "new.binpb", "--config", "protobridge.yaml"];
    assert_snapshot!(descriptors(&folder, &args), @r#"
    shop.A.a: the option debug_redact was removed (redaction_removed); received by acme
    shop.A.b: the option debug_redact was added (redaction_added); received by acme
    shop.A.pan: "pan" is now "number" in JSON (field_renamed); received by acme
    shop.A.pan: the profile `default` hides `pan`, which no longer leads to a field (redaction_removed); received by acme
    shop.A.c: the profile `default` hides `shop.A/c`, which led to no field (redaction_added); received by acme
    error: 3 change(s) break the consumers of the JSON
    exit code 1
    "#);
}

#[test]
fn check_and_diff_report_the_fields_around_a_mark_that_have_another_type() {
    let folder = folder(&[
        ("a.binpb", "message Order { Card card = 3; } message Card { string number = 1 [debug_redact = true]; }"),
        ("b.binpb", "message Order { bytes card = 3; }"),
        ("c.binpb", "message Order { bytes card = 3; } message Own {}"),
    ]);
    assert_snapshot!(descriptors(&folder, &["diff", "a.binpb", "b.binpb"]), @"
    shop.Card: the message type was removed (message_removed)
    shop.Order.card: shop.Card is now bytes (type_changed)
    shop.Order.card: debug_redact hides a field inside shop.Card, and card = 3 has the type bytes now (redaction_removed)
    error: 3 change(s) break the consumers of the JSON
    exit code 1
    ");
    let checked = descriptors(&folder, &["check", "."]);
    let note = "note: shop.Order.card is hidden where a profile has redact_marked, because debug_redact hides a field \
                inside its type shop.Card in a.binpb, and it is used with another type\n";
    assert!(checked.contains(note), "{checked}");
}
