//! What a change of the configuration or of its files is reported as, and for whom.

mod archive;
mod changes;
mod claim_checks;

use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::engine::{Engine, Read, Subject};
use super::report::{Report, Source};
use super::{FailOn, Filter, candidate, check, refused};
use crate::app::Offline;
use crate::cli::case::Case;
use crate::config::load;
use crate::delivery::compare::Comparison;
use crate::delivery::dry_run::Answers;

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
    /// Returns one line for each difference: the destination, the type, the kind, the place, and whether it breaks
    /// consumers.
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

/// An order and a payment of each customer and of a customer that is not configured, a message of an unknown type, and
/// one that is damaged. The orders have a field that the set in force does not define: number 9.
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
