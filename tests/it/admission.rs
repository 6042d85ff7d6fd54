//! The admission of descriptor sets and customers on a real file system: replicas agree, and what is in force changes at
//! once.

use std::fs;
use std::path::{Path, PathBuf};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use prost::Message as _;
use protobridge::message::OutcomeLabel;
use protobridge::telemetry::{ReloadLabels, ReloadResult, ReloadSubject};
use serde_json::Value;

use crate::emulator::{Emulator, scenarios};
use crate::http;
use crate::queue::Input;
use crate::source;
use crate::stage::{Running, Stage};
use crate::wait;

scenarios! {
    both: [];
    // These scenarios test the file system rather than SQS and SNS, so one emulator is enough.
    embedded: [
        replicas_agree_on_contradicting_sets_whatever_their_names_and_their_order,
        a_set_that_breaks_consumers_is_refused_by_a_restarted_replica_too,
        broadcasts_that_wait_for_their_type_are_published_when_it_arrives,
        a_customers_file_that_lost_its_customers_is_refused,
        an_event_with_an_any_of_unknown_type_is_published_once_its_set_arrives,
        a_type_knows_the_extensions_of_sets_that_arrive_later,
        a_set_with_repeated_files_and_a_clash_of_json_names_is_loaded,
    ];
    ministack: [];
}

/// Creates a stage with an empty folder for descriptor sets, apart from a set of our own types.
async fn stage(emulator: &Emulator) -> (Stage, PathBuf) {
    let mut stage = Stage::new(emulator).await.customer("acme", "").await;
    let folder = stage.write_file("customers.yaml", "").with_file_name("sets");
    fs::create_dir(&folder).expect("the folder is new");
    let ours = concat!(env!("CARGO_MANIFEST_DIR"), "/descriptors/protobridge.binpb");
    fs::copy(ours, folder.join("ours.binpb")).expect("the file can be copied");
    stage.config.descriptors.path = folder.as_path().into();
    stage.config.descriptors.poll_seconds = 0;
    (stage, folder)
}

/// Puts a file in place by a rename.
fn put(folder: &Path, name: &str, bytes: &[u8]) {
    let hidden = folder.join(format!(".{name}.part"));
    fs::write(&hidden, bytes).expect("the file can be written");
    fs::rename(&hidden, folder.join(name)).expect("the file can be renamed");
}

/// A payload that every type accepts: a field that no type has. An empty payload would be an empty body, which SQS refuses.
const ANY: &[u8] = b"\xf8\x7f\x00";

/// Returns an event of this type for acme.
fn event(message_type: &str, payload: &[u8]) -> Input {
    Input::text(BASE64_STANDARD.encode(payload))
        .attribute("message-type", message_type)
        .attribute("customer-id", "acme")
}

async fn schemas(running: &Running) -> Value {
    http::get(running.address, "/schemas").await.expect("the service runs").json()
}

/// Waits until the service knows this message type.
async fn wait_until_known(running: &Running, name: &str) {
    let is_known = async || schemas(running).await["types"].get(name).map(drop);
    wait::until(&format!("{name} is known"), is_known).await;
}

/// Waits until the service refuses a set, as a whole or in part. Returns the reason.
async fn wait_until_refused(running: &Running, name: &str) -> String {
    wait::until(&format!("{name} is refused"), async || {
        let schemas = schemas(running).await;
        let refused = schemas["refused"].as_array()?.iter().find(|refused| refused["name"] == name)?.clone();
        Some(refused["reason"].as_str()?.to_owned())
    })
    .await
}

async fn replicas_agree_on_contradicting_sets_whatever_their_names_and_their_order(emulator: &Emulator) {
    let good = source::compile(
        "syntax = \"proto3\"; package fresh.v1; message Shared { string a = 1; } message Holder { Shared s = 1; } message Free {}",
    );
    let bad =
        source::compile("syntax = \"proto3\"; package fresh.v1; message Shared { int32 a = 1; } message Other {}");
    for (good_name, bad_name, is_good_first) in
        [("a", "b", true), ("b", "a", true), ("a", "b", false), ("b", "a", false)]
    {
        let (stage, folder) = stage(emulator).await;
        let (good_name, bad_name) = (format!("{good_name}.binpb"), format!("{bad_name}.binpb"));
        let drops = [(&*good_name, &good), (&*bad_name, &bad)];
        let (first, second) = if is_good_first { (drops[0], drops[1]) } else { (drops[1], drops[0]) };
        put(&folder, first.0, first.1);
        let running = stage.start().await;
        wait_until_known(&running, "fresh.v1.Shared").await;
        put(&folder, second.0, second.1);
        let reason = wait_until_refused(&running, &bad_name).await;
        assert!(reason.contains(&format!("fresh.v1.Shared is defined differently in {good_name}")), "{reason}");
        let restarted = stage.start().await;
        let [one, other] = [schemas(&running).await, schemas(&restarted).await];
        assert_eq!((&one["types"], &one["refused"]), (&other["types"], &other["refused"]));
        for name in ["fresh.v1.Holder", "fresh.v1.Free", "fresh.v1.Other"] {
            assert!(one["types"].get(name).is_some(), "{name} is in force: {one}");
        }
        // Both replicas receive, so some of the events go through either.
        stage.source.send((0..40).map(|_| event("fresh.v1.Holder", b"\x0a\x03\x0a\x01x"))).await;
        for message in stage.delivered("acme", 40).await {
            assert_eq!(message.body, r#"{"s":{"a":"x"}}"#);
        }
        running.stop().await;
        restarted.stop().await;
    }
}

async fn a_set_that_breaks_consumers_is_refused_by_a_restarted_replica_too(emulator: &Emulator) {
    let (mut stage, folder) = stage(emulator).await;
    let released = folder.with_file_name("released");
    fs::create_dir(&released).expect("the folder is new");
    let set =
        |fields: &str| source::compile(&format!("syntax = \"proto3\"; package fresh.v1; message One {{ {fields} }}"));
    put(&released, "fresh.binpb", &set("string a = 1;"));
    put(&folder, "fresh.binpb", &set("string a = 1;"));
    stage.config.descriptors.baseline = Some(released);
    stage.config.descriptors.on_break = protobridge::config::OnBreak::Refuse;
    let running = stage.start().await;
    put(&folder, "fresh.binpb", &set("string b = 1;"));
    let reason = wait_until_refused(&running, "fresh.binpb").await;
    assert!(reason.contains("it breaks consumers of the JSON"), "{reason}");
    let restarted = stage.start().await;
    let [one, other] = [schemas(&running).await, schemas(&restarted).await];
    assert_eq!((&one["types"], &one["refused"]), (&other["types"], &other["refused"]));
    stage.source.send((0..20).map(|_| event("fresh.v1.One", b"\x0a\x01x"))).await;
    for message in stage.delivered("acme", 20).await {
        assert_eq!(message.body, r#"{"a":"x"}"#);
    }
    running.stop().await;
    restarted.stop().await;
}

async fn broadcasts_that_wait_for_their_type_are_published_when_it_arrives(emulator: &Emulator) {
    const EVENTS: usize = 300;
    let (mut stage, folder) = stage(emulator).await;
    stage.config.route.broadcast = vec!["fresh.v1.*".to_owned()];
    let running = stage.start().await;
    let broadcast = || Input::text(BASE64_STANDARD.encode(ANY)).attribute("message-type", "fresh.v1.Late");
    stage.source.send((0..EVENTS).map(|_| broadcast())).await;
    running.wait_until_settled(OutcomeLabel::Retried, EVENTS as u64).await;
    put(&folder, "late.binpb", &source::compile("syntax = \"proto3\"; package fresh.v1; message Late {}"));
    running.wait_until_settled(OutcomeLabel::Published, EVENTS as u64).await;
    assert_eq!(running.settled(OutcomeLabel::Quarantined), 0);
    stage.delivered("acme", EVENTS).await;
    running.stop().await;
}

async fn a_customers_file_that_lost_its_customers_is_refused(emulator: &Emulator) {
    let (stage, _folder) = stage(emulator).await;
    let stage = stage.customer("globex", "").await.customer("initech", "").await;
    let running = stage.start().await;
    let path = stage.config.route.customers_file.path().expect("it is a file").to_owned();
    let folder = path.parent().expect("the file is in a folder");
    let whole = fs::read_to_string(&path).expect("the path exists");
    let only_acme = whole.lines().take(2).collect::<Vec<_>>().join("\n");
    let result = |result| running.metrics.reloads.with(&ReloadLabels { what: ReloadSubject::Customers, result });
    for (count, text) in [(1, ""), (2, "customers: []"), (3, &*only_acme)] {
        put(folder, "customers.yaml", text.as_bytes());
        let is_refused = async || (result(ReloadResult::Refused).get() >= count).then_some(());
        wait::until("the file is refused", is_refused).await;
    }
    assert_eq!(running.metrics.last_reload.sum_where(|labels| labels.what == ReloadSubject::Customers), 0);
    stage.source.send([event("protobridge.v1.Heartbeat", ANY)]).await;
    for customer in ["acme", "globex", "initech"] {
        stage.delivered_one(customer).await;
    }
    put(folder, "customers.yaml", format!("{only_acme}\nremoved: [globex, initech]\n").as_bytes());
    let is_admitted = async || (result(ReloadResult::Admitted).get() >= 1).then_some(());
    wait::until("the file with the acknowledgement is admitted", is_admitted).await;
    stage.source.send([event("protobridge.v1.Heartbeat", ANY)]).await;
    stage.delivered_one("acme").await;
    stage.source.wait_until_empty().await;
    stage.assert_nothing_more_for("globex").await;
    running.stop().await;
}

async fn an_event_with_an_any_of_unknown_type_is_published_once_its_set_arrives(emulator: &Emulator) {
    let (stage, folder) = stage(emulator).await;
    put(
        &folder,
        "audit.binpb",
        &source::compile(
            "syntax = \"proto3\"; package fresh.v1; import \"google/protobuf/any.proto\"; message Audit { google.protobuf.Any detail = 1; }",
        ),
    );
    let running = stage.start().await;
    stage.source.send([event("fresh.v1.Audit", b"\x0a\x16\x0a\x0ft/fresh.v1.Late\x12\x03\x0a\x01x")]).await;
    running.wait_until_settled(OutcomeLabel::Retried, 1).await;
    put(
        &folder,
        "late.binpb",
        &source::compile("syntax = \"proto3\"; package fresh.v1; message Late { string a = 1; }"),
    );
    let message = stage.delivered_one("acme").await;
    assert_eq!(message.body, r#"{"detail":{"@type":"t/fresh.v1.Late","a":"x"}}"#);
    assert_eq!(running.settled(OutcomeLabel::Quarantined), 0);
    running.stop().await;
}

const CORE: &str = "syntax = \"proto2\"; package x; message Order { optional string id = 1; extensions 100 to 199; }";

/// Returns the set of CORE and of a file that extends it by this field.
fn extension(field: &str) -> Vec<u8> {
    let text = format!("syntax = \"proto2\"; package y; import \"core.proto\"; extend x.Order {{ {field} }}");
    source::compile_files(&[("ext.proto", &text), ("core.proto", CORE)])
}

async fn a_type_knows_the_extensions_of_sets_that_arrive_later(emulator: &Emulator) {
    let (mut stage, folder) = stage(emulator).await;
    stage.config.descriptors.on_break = protobridge::config::OnBreak::Refuse;
    put(&folder, "m.binpb", &extension("optional string note = 100;"));
    let running = stage.start().await;
    put(&folder, "a.binpb", &source::compile_files(&[("core.proto", CORE)]));
    put(&folder, "z.binpb", &extension("optional int32 weight = 101;"));
    let is_in_force = async || (schemas(&running).await["sets"].as_array()?.len() == 4).then_some(());
    wait::until("all sets are in force", is_in_force).await;
    stage.source.send([event("x.Order", b"\x0a\x01a\xa2\x06\x01n\xa8\x06\x07")]).await;
    assert_eq!(stage.delivered_one("acme").await.body, r#"{"id":"a","[y.note]":"n","[y.weight]":7}"#);
    put(&folder, "m.binpb", &extension("optional int32 note = 100;"));
    let reason = wait_until_refused(&running, "m.binpb").await;
    assert!(reason.contains("x.Order.[y.note]: string is now int32 (type_changed)"), "{reason}");
    running.stop().await;
}

async fn a_set_with_repeated_files_and_a_clash_of_json_names_is_loaded(emulator: &Emulator) {
    let (stage, folder) = stage(emulator).await;
    let running = stage.start().await;
    let text = "syntax = \"proto2\"; package fresh.v1; message Clash { optional string eventType = 1; optional string event_type = 2; optional string other_name = 3; }";
    // The compiler of the tests refuses the names, as protoc does not.
    let file = protox::file::File::from_source("clash.proto", text).expect("the text is valid");
    let file = file.file_descriptor_proto().encode_to_vec();
    let mut set = vec![0x0a];
    prost::encoding::encode_varint(file.len() as u64, &mut set);
    set.extend(file);
    // `cat` makes such a set of two copies.
    put(&folder, "twice.binpb", &set.repeat(2));
    wait_until_known(&running, "fresh.v1.Clash").await;
    stage.source.send([event("fresh.v1.Clash", b"\x0a\x01a\x12\x01b\x1a\x01c")]).await;
    assert_eq!(stage.delivered_one("acme").await.body, r#"{"eventType":"a","event_type":"b","otherName":"c"}"#);
    running.stop().await;
}
