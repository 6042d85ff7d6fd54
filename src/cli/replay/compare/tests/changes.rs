//! A table of changes.

use super::*;

/// A change: what it is, the name and the content of the candidate, and the expected lines.
type Change<'c> = (&'c str, (&'c str, Vec<u8>), Vec<String>);

#[tokio::test]
async fn a_change_is_reported_for_exactly_the_customers_whose_events_it_changes() {
    let lost = "no_longer_delivered delivered -> quarantined";
    let customers = |text: &str| ("customers-new.yaml", text.as_bytes().to_vec());
    let config = |from: &str, to: &str| {
        assert!(CONFIG.contains(from), "{from}");
        ("new.yaml", CONFIG.replace(from, to).into_bytes())
    };
    let set = |from: &str, to: &str| ("new/order.binpb", order(from, to));
    let cases: Vec<Change<'_>> = vec![
        ("the same set", set("x", "x"), vec![]),
        ("the same customers", customers(CUSTOMERS), vec![]),
        ("the same configuration", config("", ""), vec![]),
        (
            "a field is renamed",
            set("string remark", "string comment"),
            each(&["path_gone remark !", "path_added comment"]),
        ),
        ("a field in an array is renamed", set("sku = 1", "code = 1"), {
            each(&[
                "path_gone items[].sku !",
                "path_gone notes{}.sku !",
                "path_added items[].code",
                "path_added notes{}.code",
            ])
        }),
        ("a field has another JSON type", set("int32 total", "int64 total"), each(&["path_retyped total !"])),
        // The wire type does not fit, so the value is that of an unknown field.
        ("an integer becomes a string", set("int32 total", "string total"), each(&["path_gone total !"])),
        ("a field is removed", set("string remark = 7;", ""), each(&["path_gone remark !"])),
        ("a map is removed", set("map<string, Item> notes = 6;", ""), each(&["path_gone notes !"])),
        ("an enum value is renamed", set("PAID = 1", "SETTLED = 1"), each(&["value_differs status !"])),
        (
            "a field is added",
            set("string remark = 7;", "string remark = 7; string extra = 9;"),
            owned(&["acme x.Order: 1 path_added extra"]),
        ),
        (
            "a set is damaged",
            ("new/order.binpb", b"\x0a\xff\xff".to_vec()),
            owned(&[
                "nobody x.Order: 1 outcome_changed quarantined (malformed_protobuf) -> quarantined (unknown_type)",
                "nobody x.Order: 1 outcome_changed quarantined (no_customer) -> quarantined (unknown_type)",
                &format!("acme x.Order: 2 {lost} (unknown_type) !"),
                &format!("globex x.Order: 1 {lost} (unknown_type) !"),
                &format!("initech x.Order: 1 {lost} (unknown_type) !"),
            ]),
        ),
        (
            "a profile writes enums as numbers",
            config("{field_names: proto}", "{field_names: proto, enums: number}"),
            owned(&["initech x.Order: 1 path_retyped status !"]),
        ),
        (
            "a profile hides a field",
            config("{field_names: proto}", "{field_names: proto, redact: [x.Order/name]}"),
            owned(&["initech x.Order: 1 value_differs name !"]),
        ),
        ("a customer has no profile any more", customers(&CUSTOMERS.replace(", profile: web", "")), vec![]),
        (
            "a customer is gone",
            customers(&CUSTOMERS.replace("  - {id: globex, events: [x.Order]}\n", "")),
            owned(&[
                &format!("globex x.Order: 1 {lost} (no_customer) !"),
                "globex x.Payment: 1 outcome_changed filtered (the customer does not receive this type) -> quarantined \
                 (no_customer) !",
            ]),
        ),
        (
            "a customer is new",
            customers(&format!("{CUSTOMERS}  - {{id: stranger}}\n")),
            owned(&[
                "stranger x.Order: 1 newly_delivered quarantined (no_customer) -> delivered",
                "stranger x.Payment: 1 newly_delivered quarantined (no_customer) -> delivered",
            ]),
        ),
        (
            "a customer receives other types",
            customers(&CUSTOMERS.replace("events: [x.Order]", "events: [x.Payment]")),
            owned(&[
                "globex x.Order: 1 no_longer_delivered delivered -> filtered (the customer does not receive this type) !",
                "globex x.Payment: 1 newly_delivered filtered (the customer does not receive this type) -> delivered",
            ]),
        ),
        (
            "a customer has another topic",
            customers(&CUSTOMERS.replace("initech.fifo", "other.fifo")),
            owned(&[
                "initech x.Order: 1 topic_changed arn:aws:sns:eu-west-1:123456789012:initech.fifo -> \
                 arn:aws:sns:eu-west-1:123456789012:other.fifo !",
                "initech x.Payment: 1 topic_changed arn:aws:sns:eu-west-1:123456789012:initech.fifo -> \
                 arn:aws:sns:eu-west-1:123456789012:other.fifo !",
            ]),
        ),
        (
            "events are ordered by another field",
            config("ordering: [name]", "ordering: [meta.key]"),
            owned(&[
                "initech x.Order: 1 attribute_changed message group !",
                "initech x.Payment: 1 attribute_changed message group !",
            ]),
        ),
        ("the time is taken from another field", config("event_time: [meta.at]", "event_time: [meta.key]"), {
            let line = |group: &str| format!("{group}: 1 attribute_changed event-time !");
            let groups = ["acme x.Order", "acme x.Payment", "globex x.Order", "initech x.Order", "initech x.Payment"];
            groups.map(line).to_vec()
        }),
    ];
    let mut wrong = Vec::new();
    for (what, (name, content), expected) in cases {
        let folder = Folder::new();
        let candidate = folder.write(name, content);
        let compared = folder.compare(&[candidate], &Filter::default(), messages()).await;
        let compared = compared.unwrap_or_else(|error| panic!("{what}: {error}"));
        let lines = compared.lines();
        if lines != expected {
            wrong.push(format!("{what}: {lines:#?}"));
        }
        let totals = compared.comparison.totals();
        assert_eq!(totals.compared, 11, "{what}: each message is compared");
        let is_breaking = expected.iter().any(|line| line.ends_with('!'));
        assert_eq!(compared.fails, [!expected.is_empty(), is_breaking, false], "{what}");
        for secret in SECRETS {
            // The name of a customer that the candidate configures is no value.
            let is_configured = secret == "stranger" && compared.lines().iter().any(|line| line.starts_with(secret));
            assert!(is_configured || !compared.paths_only.contains(secret), "{what}: {}", compared.paths_only);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
