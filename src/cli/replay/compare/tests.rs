//! What a change of the configuration or of its files is reported as, and for whom.

use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::engine::{Engine, Read, Subject};
use super::report::{Report, Source};
use super::{FailOn, Filter, archived, candidate, check, refused};
use crate::app::Offline;
use crate::cli::case::Case;
use crate::config::load;
use crate::delivery::compare::Comparison;
use crate::delivery::dry_run::Answers;
use crate::message::Message;
use crate::store::Store;
use crate::store::archive::test_rows::{declared, sparse, stored};
use crate::store::archive::{Declaration, Row};

const META: &str = "syntax = \"proto3\"; package x;
message Meta { string tenant = 1; string id = 2; string at = 3; string key = 4; }
";
const ORDER: &str = "syntax = \"proto3\"; package x; import \"meta.proto\";
enum Status { NEW = 0; PAID = 1; }
message Item { string sku = 1; int32 count = 2; }
message Order {
  Meta meta = 1; string name = 2; int32 total = 3; Status status = 4; repeated Item items = 5;
  map<string, Item> notes = 6; string remark = 7;
}
";
const PAYMENT: &str = "syntax = \"proto3\"; package x; import \"meta.proto\";
message Payment { Meta meta = 1; int32 total = 2; }
";
const CUSTOMERS: &str = "customers:
  - {id: acme}
  - {id: globex, events: [x.Order]}
  - {id: initech, topic: 'arn:aws:sns:eu-west-1:123456789012:initech.fifo', profile: web}
";
const CONFIG: &str = "
aws: {region: eu-west-1}
queues:
  - name: events
    url: https://sqs.eu-west-1.amazonaws.com/123456789012/events
    quarantine_url: https://sqs.eu-west-1.amazonaws.com/123456789012/quarantine
descriptors: {path: sets}
taps: {customer: [meta.tenant], event_id: [meta.id], event_time: [meta.at], ordering: [name]}
profiles: {web: {field_names: proto}}
route:
  customers_file: customers.yaml
  topic_template: arn:aws:sns:eu-west-1:123456789012:events-{customer}
envelope: {s3_buckets: [large]}
";
/// The texts of the events that must not be shown with `--paths-only`.
const SECRETS: [&str; 9] =
    ["Ada Lovelace", "note-key", "sku-7", "id-1", "key-1", "2026-01-02", "777", "ring twice", "stranger"];

/// A folder with the configuration in force, and with candidates.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        folder.write("protobridge.yaml", CONFIG);
        folder.write("customers.yaml", CUSTOMERS);
        folder.write("sets/order.binpb", set(&[("meta.proto", META), ("order.proto", ORDER)]));
        folder.write("sets/payment.binpb", set(&[("meta.proto", META), ("payment.proto", PAYMENT)]));
        folder
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes a file, and returns its path.
    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path.display().to_string()
    }

    fn in_force(&self) -> Offline {
        Offline::load(load::file(&self.path().join("protobridge.yaml"), []).unwrap()).unwrap()
    }

    /// Compares the messages.
    async fn compare(&self, candidates: &[String], filter: &Filter, messages: Vec<Value>) -> Result<Compared, String> {
        let in_force = self.in_force();
        let loaded = candidate::load(candidates, in_force.config()).await;
        let (candidate, recognized) = loaded.map_err(|error| format!("{error:#}"))?;
        let sides = [&in_force, &candidate];
        check(filter, sides).map_err(|error| error.to_string())?;
        let mut engine = Engine::new(sides, filter, 1.0, None);
        for (index, message) in messages.into_iter().enumerate() {
            let case: Case = serde_json::from_value(message).unwrap();
            let message = case.message(&in_force, self.path()).unwrap_or_else(|error| panic!("{}", error.message));
            let subject =
                Subject { name: format!("m-{index}"), message, answers: Answers::default(), schemas: [None, None] };
            if engine.takes(&subject.message.queue, &subject.name) {
                engine.add(subject, None);
            }
        }
        let (comparison, read) = engine.finish();
        let source = || Source::Samples("samples".to_owned());
        let refused = refused(sides);
        let mut fails = Vec::new();
        let mut shown = [String::new(), String::new()];
        let mut meanings = Vec::new();
        for (shown, is_paths_only) in shown.iter_mut().zip([false, true]) {
            let recognized = recognized
                .iter()
                .map(|known| candidate::Recognized { name: known.name.clone(), meaning: known.meaning.clone() });
            let recognized: Vec<_> = recognized.collect();
            meanings = recognized.iter().map(|known| known.meaning.clone()).collect();
            let refused = refused.clone();
            let (source, comparison) = (source(), &comparison);
            let report = Report { recognized, refused, source, share: 1.0, read, comparison, is_paths_only };
            fails = [FailOn::Any, FailOn::Breaking, FailOn::Never].map(|on| report.verdict(on).is_err()).to_vec();
            let mut out = Vec::new();
            report.write_text(&mut out).unwrap();
            report.write_json(&mut out).unwrap();
            *shown = String::from_utf8(out).unwrap();
        }
        let [full, paths_only] = shown;
        Ok(Compared { comparison, read, full, paths_only, meanings, fails })
    }
}

struct Compared {
    comparison: Comparison,
    read: Read,
    /// The text and the JSON with values.
    full: String,
    /// The text and the JSON without values.
    paths_only: String,
    meanings: Vec<String>,
    /// Whether the command fails with `--fail-on any`, `breaking` and `never`.
    fails: Vec<bool>,
}

impl Compared {
    /// Returns one line for each difference: the destination, the type, the kind, the place, and whether it breaks consumers.
    fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for (group, tally) in self.comparison.groups() {
            for ((kind, place), counted) in &tally.places {
                let destination = group.destination.as_deref().unwrap_or("nobody");
                let mark = if counted.is_breaking { " !" } else { "" };
                let kind = kind.code();
                lines.push(format!("{destination} {}: {} {kind} {place}{mark}", group.event_type, counted.events));
            }
        }
        lines
    }
}

/// Compiles the last of these files with its imports.
fn set(files: &[(&'static str, &str)]) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let mut compiler = protox::Compiler::new([folder.path()]).unwrap();
    compiler.include_imports(true).open_file(files.last().unwrap().0).unwrap();
    compiler.encode_file_descriptor_set()
}

/// Returns the set of a changed `order.proto`.
fn order(from: &str, to: &str) -> Vec<u8> {
    assert!(ORDER.contains(from), "{from}");
    set(&[("meta.proto", META), ("order.proto", &ORDER.replace(from, to))])
}

/// An order and a payment of each customer and of a customer that is not configured, a message of an unknown type, and one
/// that is damaged. The orders have a field that the set in force does not define: number 9.
fn messages() -> Vec<Value> {
    let mut all = Vec::new();
    for (index, tenant) in ["acme", "globex", "initech", "stranger"].iter().enumerate() {
        let meta =
            json!({"tenant": tenant, "id": format!("id-1{index}"), "at": "2026-01-02T00:00:00Z", "key": "key-1"});
        let order = json!({
            "meta": meta, "name": "Ada Lovelace", "total": 777, "status": "PAID", "remark": "ring twice",
            "items": [{"sku": "sku-7", "count": 777}, {"sku": "sku-7"}], "notes": {"note-key": {"sku": "sku-7"}},
        });
        all.push(json!({"type": "x.Order", "payload": {"json": order}}));
        all.push(json!({"type": "x.Payment", "payload": {"json": {"meta": meta, "total": 777}}}));
    }
    // {meta: {tenant: "acme"}, 9: "extra"}
    all.push(json!({"type": "x.Order", "payload": {"hex": "0a060a0461636d654a056578747261"}}));
    all.push(json!({"type": "x.Unknown", "payload": {"base64": "CgA="}}));
    all.push(json!({"type": "x.Order", "payload": {"hex": "0aff"}}));
    all
}

const ORDERS: [&str; 3] = ["acme x.Order", "globex x.Order", "initech x.Order"];

/// Returns a line for the orders of each customer.
fn each(rest: &[&str]) -> Vec<String> {
    ORDERS.iter().flat_map(|group| rest.iter().map(move |rest| format!("{group}: 1 {rest}"))).collect()
}

fn owned(lines: &[&str]) -> Vec<String> {
    lines.iter().map(|line| (*line).to_owned()).collect()
}

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

#[tokio::test]
async fn a_candidate_that_is_refused_or_compared_with_no_message_fails() {
    let folder = Folder::new();
    let damaged = folder.write("payment.binpb", b"\x0a\xff\xff");
    let orders = || messages().into_iter().filter(|message| message["type"] == "x.Order").collect::<Vec<_>>();
    let compared = folder.compare(&[damaged], &Filter::default(), orders()).await.unwrap();
    assert_eq!(compared.lines(), Vec::<String>::new(), "no event is of this set");
    assert_eq!(compared.fails, [true, true, false]);
    assert!(compared.full.contains("The candidate is refused in part: descriptor set payment.binpb: not a compiled"));
    let same = folder.write("order.binpb", order("x", "x"));
    let none = folder.compare(std::slice::from_ref(&same), &Filter::default(), vec![]).await.unwrap();
    assert_eq!(none.fails, [true, true, false]);
    assert_eq!(folder.compare(&[same], &Filter::default(), orders()).await.unwrap().fails, [false, false, false]);
}

#[tokio::test]
async fn the_example_is_the_smallest_event_and_has_both_values() {
    let folder = Folder::new();
    let candidate = folder.write("order.binpb", order("int32 total", "int64 total"));
    let order = |name: &str, total: i32| {
        let json = json!({"meta": {"tenant": "acme", "id": name}, "name": name, "total": total});
        json!({"type": "x.Order", "payload": {"json": json}})
    };
    let messages = vec![order("a long name", 70), order("short", 71), order("b", 0), order("a longer name", 72)];
    let compared = folder.compare(&[candidate], &Filter::default(), messages).await.unwrap();
    assert!(compared.full.contains("example: event short, sample m-1, queue events"), "{}", compared.full);
    assert!(compared.full.contains("    - total: 71\n    + total: \"71\"\n"), "{}", compared.full);
    assert!(compared.full.contains("4 event(s), 1 equal, 3 differ, 3 BREAKING"), "{}", compared.full);
    assert!(compared.paths_only.contains("    ~ total\n"), "{}", compared.paths_only);
    assert_eq!(compared.meanings, ["a descriptor set; it replaces order.binpb"]);
}

#[tokio::test]
async fn a_filter_chooses_the_customer_the_types_and_the_queue() {
    let folder = Folder::new();
    let candidate = folder.write("new.yaml", CONFIG.replace("event_time: [meta.at]", "event_time: [meta.key]"));
    let filter = |customer: Option<&str>, types: &[&str], queue: &[&str]| Filter {
        customer: customer.map(str::to_owned),
        types: owned(types),
        queue: owned(queue),
        json: false,
    };
    let groups = async |filter: Filter| {
        let compared = folder.compare(std::slice::from_ref(&candidate), &filter, messages()).await?;
        assert_eq!(compared.read.messages, 11);
        let groups = compared.comparison.groups().keys();
        Ok::<_, String>(groups.map(|group| format!("{:?} {}", group.destination, group.event_type)).collect::<Vec<_>>())
    };
    assert_eq!(groups(filter(Some("acme"), &["x.P*"], &["events"])).await.unwrap(), ["Some(\"acme\") x.Payment"]);
    assert_eq!(groups(filter(None, &["x.U*"], &[])).await.unwrap(), ["None x.Unknown"]);
    assert_eq!(groups(filter(None, &[], &[])).await.unwrap().len(), 9);
    let error = groups(filter(Some("acmee"), &[], &[])).await.unwrap_err();
    assert_eq!(error, "--customer acmee: neither configuration has this customer; did you mean acme?");
    assert!(groups(filter(None, &[], &["event"])).await.unwrap_err().contains("did you mean events?"));
}

#[tokio::test]
async fn a_message_that_needs_a_lookup_or_a_missing_queue_is_not_compared() {
    let folder = Folder::new();
    let candidate = folder.write("new.yaml", CONFIG);
    let pointer = r#"["software.amazon.payloadoffloading.PayloadS3Pointer", {"s3BucketName": "large", "s3Key": "1"}]"#;
    let message = || vec![json!({"type": "x.Order", "body": pointer})];
    let compared = folder.compare(&[candidate], &Filter::default(), message()).await.unwrap();
    assert!(compared.full.contains("1 message(s) not compared: their payload is in S3"), "{}", compared.full);
    assert_eq!(compared.comparison.totals().compared, 0);
    let other = CONFIG.replace("012/events", "012/others").replace("name: events", "name: others");
    let candidate = folder.write("new.yaml", other);
    let compared = folder.compare(&[candidate], &Filter::default(), messages()).await.unwrap();
    assert!(compared.full.contains("11 message(s) not compared: the candidate does not have their queue"));
}

#[tokio::test]
async fn candidates_are_combined_and_conflicting_ones_are_refused() {
    let folder = Folder::new();
    let config = folder.write("new.yaml", CONFIG.replace("customers.yaml", "none.yaml"));
    let customers = folder.write("c.yaml", CUSTOMERS);
    let other_customers = folder.write("d.yaml", CUSTOMERS);
    let set = folder.write("order.binpb", order("string remark", "string comment"));
    folder.write("folder/deep/order.binpb", order("string remark", "string text"));
    let sets = folder.path().join("folder").display().to_string();
    let compare = async |names: &[&String]| {
        let names: Vec<String> = names.iter().map(|name| (*name).clone()).collect();
        folder.compare(&names, &Filter::default(), messages()).await
    };
    let compared = compare(&[&set, &customers, &config]).await.unwrap();
    let meanings = compared.meanings.join("\n").replace(&folder.path().display().to_string(), "DIR");
    assert_eq!(
        meanings,
        "a descriptor set; it replaces order.binpb\na customers file; it replaces DIR/none.yaml\n\
         a configuration; it replaces the one in force"
    );
    assert_eq!(compared.lines(), each(&["path_gone remark !", "path_added comment"]));
    let compared = compare(&[&sets]).await.unwrap();
    assert!(compared.lines().contains(&"acme x.Order: 1 path_added text".to_owned()), "{:?}", compared.lines());
    let lost = "acme x.Payment: 1 no_longer_delivered delivered -> quarantined (unknown_type) !";
    assert!(compared.lines().contains(&lost.to_owned()), "a folder replaces all sets: {:?}", compared.lines());
    let compared = compare(&[&sets, &set]).await.unwrap();
    assert!(compared.lines().contains(&"acme x.Order: 1 path_added comment".to_owned()), "{:?}", compared.lines());
    for refused in [[&customers, &other_customers], [&sets, &sets], [&config, &config]] {
        assert!(compare(&refused).await.err().unwrap().contains("at most"));
    }
    let text = folder.write("notes.txt", "hello");
    assert!(compare(&[&text]).await.err().unwrap().contains("it is not recognized"));
}

/// A message of the archive that was finished at this second.
fn row(folder: &Folder, in_force: &Offline, id: &str, second: i64, message: Value) -> Row {
    let case: Case = serde_json::from_value(message).unwrap();
    let message = case.message(in_force, folder.path()).unwrap_or_else(|error| panic!("{}", error.message));
    let settled_at = second * 1_000_000;
    let sparse = sparse(id, settled_at, settled_at);
    let message = Message { message_id: id.to_owned(), sent: sparse.message.sent, ..message };
    Row { message: message.into(), ..sparse }
}

#[tokio::test]
async fn the_messages_of_the_archive_are_compared_and_its_gaps_are_told() {
    let folder = Folder::new();
    let in_force = folder.in_force();
    let candidate = folder.write("order.binpb", order("string remark", "string comment"));
    let (candidate, _) = candidate::load(&[candidate], in_force.config()).await.unwrap();
    let store = Store::folder(folder.path().join("store")).unwrap();
    let rows: Vec<Row> = (0_i64..)
        .zip(messages())
        .map(|(index, message)| row(&folder, &in_force, &format!("id-{index:02}"), index, message))
        .collect();
    let (first, second) = rows.split_at(6);
    stored(&store, first, &declared(first, 0, (0, 6)), &[]).await;
    let last = declared(second, 1, (6, 20));
    stored(&store, second, &Declaration { is_last: true, ..last.clone() }, &[]).await;
    let read = async |candidate: &Offline, limit: Option<u64>, share: f64| {
        let filter = Filter::default();
        let mut engine = Engine::new([&in_force, candidate], &filter, share, limit);
        let source = archived::read(store.clone(), &in_force, 0..15_000_000, &mut engine).await.unwrap();
        let (comparison, read) = engine.finish();
        let (recognized, refused) = (Vec::new(), Vec::new());
        let report = Report { recognized, refused, source, share, read, comparison: &comparison, is_paths_only: true };
        let mut out = Vec::new();
        report.write_text(&mut out).unwrap();
        report.write_json(&mut out).unwrap();
        let error = report.verdict(FailOn::Breaking).err().map(|error| error.to_string()).unwrap_or_default();
        (String::from_utf8(out).unwrap(), read, error, comparison)
    };
    let (text, numbers, error, comparison) = read(&candidate, None, 1.0).await;
    assert_eq!(numbers, Read { messages: 11, taken: 11, is_limited: false }, "{text}");
    assert_eq!(comparison.totals().breaking, 3, "{text}");
    assert_eq!(error, "the candidate breaks consumers with 3 of 11 message(s)");
    assert!(
        text.contains("Read 11 message(s) that were finished from 1970-01-01 00:00:00 to 00:00:15 UTC.\n"),
        "{text}"
    );
    assert!(text.contains("example: message id-0"), "{text}");

    let (text, numbers, ..) = read(&candidate, Some(4), 1.0).await;
    assert_eq!(numbers, Read { messages: 4, taken: 4, is_limited: true }, "{text}");
    assert!(text.contains("stopped at --limit (the segments of this time have 11 rows)"), "{text}");
    let (text, numbers, ..) = read(&candidate, Some(11), 1.0).await;
    assert!(!numbers.is_limited, "nothing is left: {text}");
    let (text, numbers, ..) = read(&candidate, None, 0.5).await;
    assert!(numbers.messages == 11 && numbers.taken < 11, "{text}");
    assert!(text.contains(&format!("and took {} of them (--sample 0.5)", numbers.taken)), "{text}");

    // The first segment is gone.
    store.delete(&declared(first, 0, (0, 6)).key()).await.unwrap();
    let (text, numbers, ..) = read(&candidate, None, 1.0).await;
    assert_eq!(numbers.messages, 5, "{text}");
    assert!(text.contains("Gap in the archive: pod-a: a segment of the process 1a is gone"), "{text}");
    assert!(text.contains("\"kind\": \"missing\""), "{text}");
    let (.., error, comparison) = read(&in_force, None, 1.0).await;
    assert_eq!(comparison.totals().different, 0);
    assert_eq!(error, "the archive has a gap in this window, so messages can be missing in the comparison");
}

#[cfg(feature = "demo")]
#[tokio::test]
async fn a_configuration_changes_nothing_against_itself() {
    use crate::cli::embedded::samples::{SETS, Samples};

    let folder = Folder::new();
    std::fs::remove_dir_all(folder.path().join("sets")).unwrap();
    SETS.iter().for_each(|(name, content)| drop(folder.write(&format!("sets/{name}"), content)));
    let config = CONFIG.replace("meta.tenant", "meta.tenant_id").replace("meta.id", "meta.event_id");
    let config = folder.write("protobridge.yaml", config.replace("meta.at", "meta.occurred_at"));
    for seed in 0..20 {
        let mut samples = Samples::new(seed);
        let customers = ["acme", "globex", "initech", "stranger"];
        let mut messages = Vec::new();
        for index in 0..60 {
            let sample = match index % 10 {
                0 => samples.heartbeat(),
                1 => samples.change(&customers),
                2 => samples.malformed(&customers),
                3 => samples.unknown_type(&customers),
                _ => samples.next_event(&customers),
            };
            messages.push(json!({"type": sample.message_type, "payload": {"hex": hex::encode(sample.payload)}}));
        }
        let candidates = [config.clone(), folder.path().join("sets").display().to_string()];
        let compared = folder.compare(&candidates, &Filter::default(), messages).await.unwrap();
        assert_eq!(compared.lines(), Vec::<String>::new(), "seed {seed}");
        let totals = compared.comparison.totals();
        assert_eq!((totals.compared, totals.different), (60, 0), "seed {seed}");
        assert!(compared.comparison.groups().keys().any(|group| group.destination.is_some()), "some are delivered");
    }
}
