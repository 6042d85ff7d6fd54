//! Checks that the JSON of the corpus fits its JSON Schema, and that a schema contains what its readers need.

#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

#[path = "../corpus/corpus.rs"]
mod corpus;
#[path = "support/judge.rs"]
mod judge;
#[path = "support/source.rs"]
mod source;

use judge::Judge;
use protojson::{Additions, Bytes, Enums, FieldNames, Int64, Options, Schema, UnknownAny};
use serde_json::{Value, json};

fn shop() -> Schema {
    let mut compiler = protox::Compiler::new([concat!(env!("CARGO_MANIFEST_DIR"), "/tests/proto")]).unwrap();
    compiler.include_imports(true).include_source_info(true).open_file("order.proto").unwrap();
    Schema::builder().set("order.binpb", &compiler.encode_file_descriptor_set()).unwrap().build().unwrap()
}

fn options(set: impl FnOnce(&mut Options)) -> Options {
    let mut options = Options::default();
    set(&mut options);
    options
}

/// Returns one property of OrderPlaced.
fn property(options: &Options, name: &str) -> Value {
    shop().json_schema("shop.v1.OrderPlaced", options, Additions::Accepted).unwrap()["$defs"]["shop_v1_OrderPlaced"]["properties"][name]
        .take()
}

#[test]
fn the_corpus_fits_its_schema_in_every_spelling_and_mutants_do_not() {
    let schema = Schema::builder().set("corpus", corpus::DESCRIPTOR_SET).unwrap().build().unwrap();
    let spellings = [
        Options::default(),
        options(|options| {
            options.field_names = FieldNames::Proto;
            options.int64 = Int64::Number;
            options.enums = Enums::Number;
            options.bytes = Bytes::Base64Url;
            options.emit_defaults = true;
        }),
        options(|options| {
            options.bytes = Bytes::Hex;
            options.unknown_any = UnknownAny::Bytes;
        }),
    ];
    for set in corpus::sets() {
        for options in &spellings {
            let judge = Judge::new(&schema, set.message_type, options);
            let plan = schema.plan(set.message_type, options).unwrap();
            // The payloads of a set are similar, and some contain a thousand numbers.
            for (index, payload) in set.payloads.iter().enumerate().take(40) {
                let mut json = Vec::new();
                plan.transcode(payload, &mut json).unwrap();
                judge.accepts(&json).unwrap_or_else(|error| panic!("{} {index}: {error}", set.name));
                if index == 0 && json.len() < 4_000 {
                    assert_ne!(judge.refuses_mutants(&json).unwrap(), 0, "{}", set.name);
                }
            }
        }
    }
}

#[test]
fn a_schema_contains_the_types_comments_and_oneofs_of_its_source() {
    let schema = shop().json_schema("shop.v1.OrderPlaced", &Options::default(), Additions::Accepted).unwrap();
    assert_eq!(
        schema,
        json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": "shop_v1_OrderPlaced",
            "$ref": "#/$defs/shop_v1_OrderPlaced",
            "$defs": {
                "google_protobuf_Timestamp": {
                    "description": "A point in time in UTC, in RFC 3339 format.",
                    "type": "string",
                    "format": "date-time",
                    "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{3}([0-9]{3}([0-9]{3})?)?)?Z$"
                },
                "shop_v1_Line": {
                    "type": "object",
                    "properties": {
                        "sku": {"type": "string"},
                        "quantity": {"type": "integer", "minimum": 0, "maximum": 4_294_967_295u32}
                    },
                    "additionalProperties": true
                },
                "shop_v1_OrderPlaced": {
                    "description": "A customer has\nplaced an order.\n\nHow the order is paid. At most one of these is present: `card`, `voucher`.",
                    "type": "object",
                    "properties": {
                        "orderId": {"description": "Unique over all shops.", "type": "string"},
                        "status": {"$ref": "#/$defs/shop_v1_Status"},
                        "totalMinor": {
                            "description": "In cents.", "type": "string", "pattern": "^(0|-?[1-9][0-9]{0,18})$"
                        },
                        "lines": {
                            "type": "object",
                            "propertyNames": {"pattern": "^(0|-?[1-9][0-9]{0,9})$"},
                            "additionalProperties": {"$ref": "#/$defs/shop_v1_Line"}
                        },
                        "card": {"type": "string"},
                        "voucher": {"type": "string"},
                        "note": {"deprecated": true, "type": "string"},
                        "placedAt": {"$ref": "#/$defs/google_protobuf_Timestamp"},
                        "replaces": {"$ref": "#/$defs/shop_v1_OrderPlaced"},
                        "digest": {
                            "type": "string",
                            "contentEncoding": "base64",
                            "pattern": "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"
                        }
                    },
                    "additionalProperties": true
                },
                "shop_v1_Status": {
                    "description": "The state of the order.\n\n- `STATUS_UNSPECIFIED`\n- `STATUS_PAID`: The money has arrived.",
                    "anyOf": [
                        {"type": "string", "enum": ["STATUS_UNSPECIFIED", "STATUS_PAID"]},
                        {"type": "string"},
                        {"type": "integer", "minimum": i32::MIN, "maximum": i32::MAX}
                    ]
                }
            }
        })
    );
}

#[test]
fn a_schema_that_refuses_additions_has_exactly_the_fields_the_names_and_the_oneofs_of_its_source() {
    let schema = shop().json_schema("shop.v1.OrderPlaced", &Options::default(), Additions::Refused).unwrap();
    let root = &schema["$defs"]["shop_v1_OrderPlaced"];
    assert_eq!(root["additionalProperties"], false);
    assert_eq!(
        root["allOf"],
        json!([{
            "description": "How the order is paid.",
            "oneOf": [
                {"required": ["card"]},
                {"required": ["voucher"]},
                {"not": {"anyOf": [{"required": ["card"]}, {"required": ["voucher"]}]}}
            ]
        }])
    );
    assert_eq!(
        schema["$defs"]["shop_v1_Status"]["anyOf"],
        json!([
            {"type": "string", "enum": ["STATUS_UNSPECIFIED", "STATUS_PAID"]},
            {"type": "integer", "minimum": i32::MIN, "maximum": i32::MAX}
        ])
    );
}

#[test]
fn only_a_schema_that_refuses_additions_refuses_a_field_or_an_enum_value_of_a_newer_version() {
    let newer = json!({
        "orderId": "7", "status": "STATUS_LOST", "points": "12",
        "lines": {"1": {"quantity": 2, "color": {"name": "red"}}}
    });
    let is_valid = |additions| {
        let schema = shop().json_schema("shop.v1.OrderPlaced", &Options::default(), additions).unwrap();
        jsonschema::draft202012::is_valid(&schema, &newer)
    };
    assert!(is_valid(Additions::Accepted));
    assert!(!is_valid(Additions::Refused));
}

#[test]
fn titles_and_names_of_definitions_have_no_dots() {
    let schema = Schema::builder().set("corpus", corpus::DESCRIPTOR_SET).unwrap().build().unwrap();
    for set in corpus::sets() {
        let document = schema.json_schema(set.message_type, &Options::default(), Additions::Accepted).unwrap();
        let definitions = document["$defs"].as_object().unwrap();
        let names: Vec<&str> = definitions.keys().map(String::as_str).chain(document["title"].as_str()).collect();
        assert!(names.iter().all(|name| !name.contains('.')), "{names:?}");
    }
}

#[test]
fn a_reference_with_a_description_is_one_that_draft_7_reads() {
    let set = source::proto3("message A {\n// Says.\nB b = 1;\nB c = 2; } message B { int32 x = 1; }");
    let schema = Schema::builder().set("m.binpb", &set).unwrap().build().unwrap();
    let document = schema.json_schema("t.A", &Options::default(), Additions::Accepted).unwrap();
    let properties = &document["$defs"]["t_A"]["properties"];
    assert_eq!(properties["b"], json!({"description": "Says.", "allOf": [{"$ref": "#/$defs/t_B"}]}));
    assert_eq!(properties["c"], json!({"$ref": "#/$defs/t_B"}));
}

#[test]
fn properties_are_in_the_order_of_the_json() {
    let schema = shop().json_schema("shop.v1.OrderPlaced", &Options::default(), Additions::Accepted).unwrap();
    let properties = schema["$defs"]["shop_v1_OrderPlaced"]["properties"].as_object().unwrap();
    let names: Vec<&String> = properties.keys().collect();
    assert_eq!(names[..4], ["orderId", "status", "totalMinor", "lines"]);
    assert_eq!(
        schema.to_string(),
        shop().json_schema("shop.v1.OrderPlaced", &Options::default(), Additions::Accepted).unwrap().to_string()
    );
}

#[test]
fn properties_follow_the_spelling_options() {
    let spelled = options(|options| {
        options.field_names = FieldNames::Proto;
        options.int64 = Int64::Number;
        options.bytes = Bytes::Base64Url;
        options.enums = Enums::Number;
    });
    assert_eq!(
        property(&spelled, "total_minor"),
        json!({"description": "In cents.", "type": "integer", "minimum": i64::MIN, "maximum": i64::MAX})
    );
    assert_eq!(property(&spelled, "digest")["contentEncoding"], "base64url");
    let schema = shop().json_schema("shop.v1.OrderPlaced", &spelled, Additions::Accepted).unwrap();
    assert_eq!(
        schema["$defs"]["shop_v1_Status"],
        json!({
            "description": "The state of the order.\n\n- 0: `STATUS_UNSPECIFIED`\n- 1: `STATUS_PAID`: The money has arrived.",
            "type": "integer", "minimum": i32::MIN, "maximum": i32::MAX
        })
    );
}

#[test]
fn fields_that_are_always_written_are_required() {
    let schema = shop()
        .json_schema("shop.v1.OrderPlaced", &options(|options| options.emit_defaults = true), Additions::Accepted)
        .unwrap();
    let required = &schema["$defs"]["shop_v1_OrderPlaced"]["required"];
    assert_eq!(*required, json!(["orderId", "status", "totalMinor", "lines", "note", "digest"]));
}

#[test]
fn rules_hide_fields_only_at_their_paths() {
    let hiding = options(|options| {
        options.drop = vec!["note".into(), "replaces.note".into()];
        options.redact = vec!["lines.sku".into(), "total_minor".into(), "replaces.lines".into()];
        options.redact_marked = true;
    });
    let schema = shop().json_schema("shop.v1.OrderPlaced", &hiding, Additions::Accepted).unwrap();
    assert_eq!(schema["$ref"], "#/$defs/shop_v1_OrderPlaced-root");
    let root = &schema["$defs"]["shop_v1_OrderPlaced-root"]["properties"];
    assert_eq!(root["totalMinor"], json!({"description": "In cents.", "type": "null"}));
    assert_eq!(root["card"], json!({"type": "string", "const": "[REDACTED]"}));
    assert_eq!(root.get("note"), None);
    let line = &schema["$defs"]["shop_v1_Line-shop_v1_OrderPlaced_lines"]["properties"];
    assert_eq!(line["sku"], json!({"type": "string", "const": "[REDACTED]"}));
    assert_eq!(root["replaces"]["$ref"], "#/$defs/shop_v1_OrderPlaced-shop_v1_OrderPlaced_replaces");
    let replaced = &schema["$defs"]["shop_v1_OrderPlaced-shop_v1_OrderPlaced_replaces"]["properties"];
    assert_eq!(replaced["lines"], json!({"type": "null"}));
    assert_eq!(replaced["replaces"]["$ref"], "#/$defs/shop_v1_OrderPlaced");
    let elsewhere = &schema["$defs"]["shop_v1_OrderPlaced"]["properties"];
    assert_eq!(elsewhere["note"], json!({"deprecated": true, "type": "string"}));
    assert_eq!(elsewhere["lines"]["additionalProperties"]["$ref"], "#/$defs/shop_v1_Line");
}

#[test]
fn mutants_of_a_document_do_not_fit_its_schema() {
    let schema = shop();
    let judge = Judge::new(&schema, "shop.v1.OrderPlaced", &Options::default());
    let json =
        br#"{"orderId":"7","status":"STATUS_PAID","lines":{"1":{"quantity":2}},"placedAt":"2026-01-15T09:30:00Z"}"#;
    judge.accepts(json).unwrap();
    assert_eq!(judge.refuses_mutants(json).unwrap(), 11);
    for wrong in [
        r#"{"status":"STATUS_PAYED"}"#,
        r#"{"card":"1","voucher":"2"}"#,
        r#"{"lines":{"01":{}}}"#,
        r#"{"totalMinor":"9.5"}"#,
        r#"{"placedAt":"2026-02-30T09:30:00Z"}"#,
        r#"{"digest":"-_8="}"#,
        r#"{"order_id":"7"}"#,
        r#"{"orderId":null}"#,
    ] {
        assert!(judge.accepts(wrong.as_bytes()).is_err(), "{wrong}");
    }
}

#[test]
fn held_lists_only_types_that_another_type_has_a_field_of() {
    let held = shop().held();
    assert!(held.contains("shop.v1.Line") && held.contains("google.protobuf.Timestamp"), "{held:?}");
    assert!(!held.contains("shop.v1.OrderPlaced"), "only the type itself has a field of this type: {held:?}");
}

#[test]
fn an_unknown_type_has_no_schema_and_no_sample() {
    assert!(shop().json_schema("shop.v1.Order", &Options::default(), Additions::Accepted).is_err());
    assert!(shop().sample("shop.v1.Order").is_err());
}
