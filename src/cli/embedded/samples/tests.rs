use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use prost_reflect::prost_types::field_descriptor_proto::{Label, Type};
use prost_reflect::prost_types::{DescriptorProto, FieldDescriptorProto, FileDescriptorProto};
use prost_reflect::{self as reflect, MessageDescriptor};

use super::*;

const CUSTOMERS: &[&str] = &["acme", "bluebird", "café-nord"];

#[test]
fn every_event_decodes_and_contains_its_id_and_customer() {
    let mut samples = Samples::new(1);
    for _ in 0..2_000 {
        let sample = samples.next_event(CUSTOMERS);
        let json = json_of(&sample);
        let identity = if sample.message_type == "shop.v1.ChangeEvent" { &json } else { &json["meta"] };
        assert_eq!(identity["eventId"], sample.event_id.as_str(), "{json:#}");
        assert_eq!(identity["tenantId"], sample.customer.as_deref().expect("a customer"), "{json:#}");
    }
}

#[test]
fn the_samples_cover_exactly_the_event_types_of_the_sets() {
    let mut samples = Samples::new(2);
    let seen: BTreeSet<String> = (0..5_000).map(|_| samples.next_event(CUSTOMERS).message_type).collect();

    let has_meta = |message: &MessageDescriptor| {
        message.full_name() == "shop.v1.ChangeEvent" || message.get_field(1).is_some_and(|field| field.name() == "meta")
    };
    let of_sets: BTreeSet<String> = messages().filter(has_meta).map(|message| message.full_name().to_owned()).collect();
    assert_eq!(seen, of_sets);
}

#[test]
fn the_samples_set_every_field_of_the_sets() {
    let mut samples = Samples::new(3);
    let mut seen = BTreeSet::new();
    for _ in 0..5_000 {
        note_fields(&decode(&samples.next_event(CUSTOMERS)), &mut seen);
    }
    let unseen: Vec<String> = messages()
        .filter(|message| message.package_name() == "shop.v1" && !message.is_map_entry())
        .flat_map(|message| message.fields().collect::<Vec<_>>())
        .map(|field| field.full_name().to_owned())
        .filter(|name| !seen.contains(name))
        .collect();
    assert_eq!(unseen, Vec::<String>::new());
}

#[test]
fn orders_are_most_frequent_then_payments_then_changes_then_accounts() {
    // Also test with as many customers as events, so that nearly every order is the first of its customer.
    let many: Vec<String> = (0..4_000).map(|number| format!("shop-{number}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    for customers in [CUSTOMERS, &many] {
        let mut samples = Samples::new(4);
        let mut counts = BTreeMap::new();
        for _ in 0..4_000 {
            let message_type = samples.next_event(customers).message_type;
            let kind = ["Order", "Payment", "Change", "Customer"]
                .into_iter()
                .find(|kind| message_type.starts_with(&format!("shop.v1.{kind}")));
            *counts.entry(kind.expect("a known kind")).or_insert(0) += 1;
        }
        assert!(counts["Order"] > counts["Payment"], "{counts:?}");
        assert!(counts["Payment"] > counts["Change"], "{counts:?}");
        assert!(counts["Change"] > counts["Customer"], "{counts:?}");
    }
}

#[test]
fn the_same_seed_gives_the_same_ids_types_and_customers() {
    let run = |seed| {
        let mut samples = Samples::new(seed);
        let next = |_| {
            let sample = samples.next_event(CUSTOMERS);
            (sample.event_id, sample.message_type, sample.customer)
        };
        (0..500).map(next).collect::<Vec<_>>()
    };
    assert_eq!(run(5), run(5));
    assert_ne!(run(5), run(6));
}

#[test]
fn ids_are_random_uuids_and_never_repeat() {
    let mut ids = BTreeSet::new();
    for seed in 0..4 {
        let mut samples = Samples::new(seed);
        for _ in 0..500 {
            ids.insert(samples.next_event(CUSTOMERS).event_id);
            ids.insert(samples.heartbeat().event_id);
        }
    }
    assert_eq!(ids.len(), 4 * 1_000);
    for id in ids {
        let groups: Vec<usize> = id.split('-').map(str::len).collect();
        assert_eq!(groups, [8, 4, 4, 4, 12], "{id}");
        assert_eq!(id.as_bytes()[14], b'4', "{id}");
        assert!(b"89ab".contains(&id.as_bytes()[19]), "{id}");
    }
}

#[test]
fn the_amounts_of_an_order_add_up() {
    let mut samples = Samples::new(7);
    let mut placed = 0;
    while placed < 300 {
        let sample = samples.next_event(CUSTOMERS);
        if sample.message_type != "shop.v1.OrderPlaced" {
            continue;
        }
        placed += 1;
        let order = json_of(&sample);
        let lines = order["items"].as_array().expect("items");
        for line in lines {
            let quantity = line["quantity"].as_i64().expect("a quantity");
            assert_eq!(minor(&line["lineTotal"]), quantity * minor(&line["unitPrice"]), "{order:#}");
        }
        assert_eq!(minor(&order["subtotal"]), lines.iter().map(|line| minor(&line["lineTotal"])).sum::<i64>());
        let parts = ["subtotal", "discount", "shipping", "tax"];
        assert_eq!(minor(&order["total"]), parts.iter().map(|part| minor(&order[part])).sum::<i64>(), "{order:#}");
    }
}

#[test]
fn heartbeats_count_up_and_name_their_source_and_interval() {
    let mut samples = Samples::new(8).with_heartbeat_interval(Duration::from_millis(1_500));
    for sequence in 1..=3 {
        let sample = samples.heartbeat();
        assert_eq!(sample.customer, None);
        let json = json_of(&sample);
        assert_eq!(json["source"], "shop-backend-8");
        assert_eq!(json["sequence"], sequence.to_string());
        assert_eq!(json["interval"], "1.500s");
    }
}

#[test]
fn a_heartbeat_of_the_database_is_a_change_in_its_table_and_belongs_to_no_customer() {
    let mut samples = Samples::new(8);
    let (row, change) = (samples.heartbeat_row(), samples.change(CUSTOMERS));
    assert_eq!((row.message_type.as_str(), change.message_type.as_str()), (CHANGE, CHANGE));
    assert_eq!((row.customer.is_some(), change.customer.is_some()), (false, true));
    let (row, change) = (json_of(&row), json_of(&change));
    assert_eq!(row["source"]["table"], "heartbeat");
    assert_ne!(change["source"]["table"], "heartbeat");
    assert_eq!((&row["source"]["cluster"], &change["source"]["cluster"]), (&DATABASE.into(), &DATABASE.into()));
    assert!(row.get("tenantId").is_none() && row.get("commitTime").is_some(), "{row:#}");
}

#[test]
fn the_backend_sends_every_kind_of_event_but_changes_of_the_database() {
    let mut samples = Samples::new(8).with_source("eu");
    let types: BTreeSet<_> = (0..2_000).map(|_| samples.backend_event(CUSTOMERS).message_type).collect();
    let mut all: BTreeSet<_> = (0..2_000).map(|_| samples.next_event(CUSTOMERS).message_type).collect();
    assert!(all.remove(CHANGE));
    assert_eq!(types, all);
    assert_eq!(json_of(&samples.heartbeat())["source"], "eu");
}

#[test]
fn a_malformed_event_does_not_decode() {
    let mut samples = Samples::new(9);
    for _ in 0..1_000 {
        let sample = samples.malformed(CUSTOMERS);
        let decoded = DynamicMessage::decode(descriptor(&sample.message_type), sample.payload.as_slice());
        assert!(decoded.is_err(), "{sample:?}");
        assert!(sample.payload.len() > 36, "{sample:?}");
    }
}

#[test]
fn an_event_of_unknown_type_is_in_no_set_but_its_payload_is_valid() {
    let mut samples = Samples::new(10);
    let sample = samples.unknown_type(CUSTOMERS);
    assert_eq!(sample.message_type, UNKNOWN_TYPE);
    assert!(messages().all(|message| message.full_name() != UNKNOWN_TYPE));

    let mut pool = descriptor("shop.v1.Money").parent_pool().clone();
    pool.add_file_descriptor_proto(gift_cards()).expect("the documented definition links");
    let descriptor = pool.get_message_by_name(UNKNOWN_TYPE).expect("the set was just added");
    let message = DynamicMessage::decode(descriptor, sample.payload.as_slice()).expect("it decodes");
    let json = serde_json::to_value(&message).expect("it serializes");
    assert_eq!(json["meta"]["eventId"], sample.event_id.as_str());
    assert_eq!(json["meta"]["tenantId"], sample.customer.expect("a customer"));
    assert_eq!(json.as_object().map(serde_json::Map::len), Some(5), "{json:#}");
}

#[test]
fn without_customers_an_event_has_no_customer() {
    let sample = Samples::new(11).next_event(&[]);
    assert_eq!(sample.customer, None);
    json_of(&sample);
}

/// Returns the definition of `shop.v1.GiftCardIssued` from the documentation of [`Samples::unknown_type`].
fn gift_cards() -> FileDescriptorProto {
    let field = |number: i32, name: &str, message: Option<&str>| FieldDescriptorProto {
        name: Some(name.to_owned()),
        number: Some(number),
        label: Some(Label::Optional.into()),
        r#type: Some(if message.is_some() { Type::Message } else { Type::String }.into()),
        type_name: message.map(str::to_owned),
        ..FieldDescriptorProto::default()
    };
    FileDescriptorProto {
        name: Some("shop/v1/gift_card.proto".to_owned()),
        package: Some("shop.v1".to_owned()),
        dependency: ["shop/v1/meta.proto", "shop/v1/money.proto", "google/protobuf/timestamp.proto"]
            .map(str::to_owned)
            .into(),
        message_type: vec![DescriptorProto {
            name: Some("GiftCardIssued".to_owned()),
            field: vec![
                field(1, "meta", Some(".shop.v1.EventMeta")),
                field(2, "gift_card_id", None),
                field(3, "value", Some(".shop.v1.Money")),
                field(4, "recipient_email", None),
                field(5, "expires_at", Some(".google.protobuf.Timestamp")),
            ],
            ..DescriptorProto::default()
        }],
        syntax: Some("proto3".to_owned()),
        ..FileDescriptorProto::default()
    }
}

/// The built-in sets, each linked separately. They are linked only once, because linking takes milliseconds.
static POOLS: LazyLock<Vec<DescriptorPool>> =
    LazyLock::new(|| SETS.iter().map(|(_, set)| DescriptorPool::decode(*set).expect("a valid set")).collect());

fn messages() -> impl Iterator<Item = MessageDescriptor> {
    POOLS.iter().flat_map(DescriptorPool::all_messages)
}

fn descriptor(message_type: &str) -> MessageDescriptor {
    POOLS.iter().find_map(|pool| pool.get_message_by_name(message_type)).expect("a type of the sets")
}

fn decode(sample: &Sample) -> DynamicMessage {
    DynamicMessage::decode(descriptor(&sample.message_type), sample.payload.as_slice()).expect("it decodes")
}

fn json_of(sample: &Sample) -> Value {
    serde_json::to_value(decode(sample)).expect("it serializes")
}

/// Returns the amount of a `Money`, or 0 if the field is absent.
fn minor(money: &Value) -> i64 {
    money["amountMinor"].as_str().map_or(0, |text| text.parse().expect("a number"))
}

/// Adds the full names of all fields that are set in `message` and in its nested messages.
fn note_fields(message: &DynamicMessage, seen: &mut BTreeSet<String>) {
    for (field, value) in message.fields() {
        seen.insert(field.full_name().to_owned());
        let held: Vec<&reflect::Value> = match value {
            reflect::Value::List(list) => list.iter().collect(),
            reflect::Value::Map(map) => map.values().collect(),
            single => vec![single],
        };
        for inner in held.into_iter().filter_map(reflect::Value::as_message) {
            note_fields(inner, seen);
        }
    }
}
