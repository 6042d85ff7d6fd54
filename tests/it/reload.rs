//! Changes to descriptor sets and customers while the service runs, on a real file system.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use protobridge::cli::embedded::samples::UNKNOWN_TYPE;
use protobridge::message::OutcomeLabel;
use protobridge::telemetry::{BreakingChangeLabels, ReloadLabels, ReloadResult, ReloadSubject, SetState};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::emulator::{Emulator, scenarios};
use crate::http;
use crate::queue::Input;
use crate::source;
use crate::stage::{Running, Stage};
use crate::wait;

scenarios! {
    both: [an_event_of_an_unknown_type_is_published_once_its_set_arrives];
    // These scenarios test the file system rather than SQS and SNS, so one emulator is enough.
    embedded: [
        a_config_map_update_is_loaded,
        a_file_replaced_by_a_rename_is_loaded,
        a_half_written_file_is_refused,
        the_sets_stay_in_force_while_their_folder_is_missing,
        polling_finds_a_change_that_the_watch_misses,
        a_refused_set_does_not_block_the_others,
        a_breaking_change_is_refused_if_the_policy_is_refuse,
        a_changed_customers_file_is_loaded_unless_it_has_a_mistake,
        a_hundred_reloads_under_traffic_lose_no_event,
        half_sent_requests_stop_neither_the_probes_nor_a_reload,
    ];
    ministack: [];
}

/// Compiles a descriptor set with one message, `fresh.v1.<name>`, with these fields.
pub(crate) fn set(name: &str, fields: &str) -> Vec<u8> {
    source::compile(&format!("syntax = \"proto3\"; package fresh.v1; message {name} {{ {fields} }}"))
}

/// Creates a stage with its own folder of descriptor sets, which holds copies of the committed sets. Returns both.
pub(crate) async fn stage(emulator: &Emulator) -> (Stage, PathBuf) {
    let mut stage = Stage::new(emulator).await.customer("acme", "").await;
    let folder = stage.write_file("customers.yaml", "").with_file_name("descriptors");
    fs::create_dir(&folder).expect("the folder is new");
    for entry in fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/descriptors")).expect("the path exists") {
        let path = entry.expect("the folder can be read").path();
        if path.extension().is_some_and(|extension| extension == "binpb") {
            fs::copy(&path, folder.join(path.file_name().expect("a file has a name"))).expect("the file can be copied");
        }
    }
    stage.config.descriptors.path = folder.as_path().into();
    // Without polling, the service sees only the changes that its watch reports.
    stage.config.descriptors.poll_seconds = 0;
    (stage, folder)
}

/// Returns the answer of `/schemas`.
pub(crate) async fn schemas(running: &Running) -> serde_json::Value {
    http::get(running.address, "/schemas").await.expect("the service runs").json()
}

/// Waits until the service knows this message type.
pub(crate) async fn wait_until_known(running: &Running, name: &str) {
    let is_known = async || schemas(running).await["types"].get(name).map(drop);
    wait::until(&format!("{name} is known"), is_known).await;
}

/// Waits until the service no longer knows this message type.
async fn wait_until_unknown(running: &Running, name: &str) {
    let is_gone = async || schemas(running).await["types"].get(name).is_none().then_some(());
    wait::until(&format!("{name} is no longer known"), is_gone).await;
}

/// Waits until the service refuses a set. Returns the reason.
pub(crate) async fn wait_until_refused(running: &Running, name: &str) -> String {
    wait::until(&format!("{name} is refused"), async || {
        let schemas = schemas(running).await;
        let refused = schemas["refused"].as_array()?.iter().find(|refused| refused["name"] == name)?.clone();
        Some(refused["reason"].as_str()?.to_owned())
    })
    .await
}

async fn an_event_of_an_unknown_type_is_published_once_its_set_arrives(emulator: &Emulator) {
    let (mut stage, folder) = stage(emulator).await;
    let event = stage.samples.unknown_type(&["acme"]);
    let running = stage.start().await;
    stage.source.send([Input::body(&event).attribute("customer-id", "acme")]).await;
    running.wait_until_settled(OutcomeLabel::Retried, 1).await;
    let (package, name) = UNKNOWN_TYPE.rsplit_once('.').expect("the type name has a package");
    let set = source::compile(&format!("syntax = \"proto3\"; package {package}; message {name} {{}}"));
    fs::write(folder.join("late.binpb"), set).expect("the file can be written");
    wait_until_known(&running, UNKNOWN_TYPE).await;
    let message = stage.delivered_one("acme").await;
    assert_eq!(message.attribute("event-type"), Some(UNKNOWN_TYPE));
    stage.source.wait_until_empty().await;
    assert_eq!(running.settled(OutcomeLabel::Quarantined), 0);
    running.stop().await;
}

async fn a_config_map_update_is_loaded(emulator: &Emulator) {
    let (mut stage, folder) = stage(emulator).await;
    let mount = folder.with_file_name("mount");
    let version = |number: u32, name: &str| {
        let data = mount.join(format!("..2026_{number}"));
        fs::create_dir_all(&data).expect("the folder can be created");
        fs::write(data.join("fresh.binpb"), set(name, "")).expect("the file can be written");
        data
    };
    let first = version(1, "One");
    symlink(&first, mount.join("..data")).expect("a symbolic link can be created");
    symlink("..data/fresh.binpb", mount.join("fresh.binpb")).expect("a symbolic link can be created");
    stage.config.descriptors.path = mount.as_path().into();
    let running = stage.start().await;
    wait_until_known(&running, "fresh.v1.One").await;
    for (number, name) in [(2, "Two"), (3, "Three")] {
        // Update as the kubelet does: write a new folder, link to it beside the old link, and rename over the old link.
        let next = version(number, name);
        symlink(&next, mount.join("..data_tmp")).expect("a symbolic link can be created");
        fs::rename(mount.join("..data_tmp"), mount.join("..data")).expect("the path can be renamed");
        wait_until_known(&running, &format!("fresh.v1.{name}")).await;
    }
    fs::remove_dir_all(first).expect("the path exists");
    wait_until_known(&running, "fresh.v1.Three").await;
    running.stop().await;
}

async fn a_file_replaced_by_a_rename_is_loaded(emulator: &Emulator) {
    let (stage, folder) = stage(emulator).await;
    fs::create_dir(folder.join("team")).expect("the folder is new");
    let running = stage.start().await;
    for name in ["One", "Two"] {
        let hidden = folder.join("team/.fresh.binpb.swp");
        fs::write(&hidden, set(name, "")).expect("the file can be written");
        fs::rename(&hidden, folder.join("team/fresh.binpb")).expect("the path can be renamed");
        wait_until_known(&running, &format!("fresh.v1.{name}")).await;
    }
    wait_until_unknown(&running, "fresh.v1.One").await;
    fs::remove_file(folder.join("team/fresh.binpb")).expect("the path exists");
    wait_until_unknown(&running, "fresh.v1.Two").await;
    running.stop().await;
}

async fn a_half_written_file_is_refused(emulator: &Emulator) {
    let (stage, folder) = stage(emulator).await;
    let (path, bytes) = (folder.join("fresh.binpb"), set("One", "string a = 1;"));
    let running = stage.start().await;
    fs::write(&path, &bytes[..bytes.len() / 2]).expect("the file can be written");
    let reason = wait_until_refused(&running, "fresh.binpb").await;
    assert!(reason.contains("not a compiled FileDescriptorSet"), "{reason}");
    fs::write(&path, &bytes).expect("the file can be written");
    wait_until_known(&running, "fresh.v1.One").await;
    fs::write(&path, "").expect("the file can be written");
    let reason = wait_until_refused(&running, "fresh.binpb").await;
    assert!(reason.contains("half written"), "{reason}");
    wait_until_known(&running, "fresh.v1.One").await;
    running.stop().await;
}

async fn the_sets_stay_in_force_while_their_folder_is_missing(emulator: &Emulator) {
    let (mut stage, folder) = stage(emulator).await;
    let aside = folder.with_file_name("aside");
    let running = stage.start().await;
    fs::rename(&folder, &aside).expect("the path can be renamed");
    let unreadable = running
        .metrics
        .reloads
        .with(&ReloadLabels { what: ReloadSubject::Descriptors, result: ReloadResult::Unreadable });
    wait::until("the service notices the missing folder", async || (unreadable.get() > 0).then_some(())).await;
    let in_force = || running.metrics.last_reload.sum_where(|labels| labels.what == ReloadSubject::Descriptors) == 1;
    assert!(!in_force());
    let event = stage.samples.next_event(&["acme"]);
    stage.source.send([Input::body(&event)]).await;
    stage.delivered_one("acme").await;
    fs::write(aside.join("fresh.binpb"), set("One", "")).expect("the file can be written");
    fs::rename(&aside, &folder).expect("the path can be renamed");
    wait_until_known(&running, "fresh.v1.One").await;
    wait::until("the sets of the restored folder are in force", async || in_force().then_some(())).await;
    running.stop().await;
}

async fn polling_finds_a_change_that_the_watch_misses(emulator: &Emulator) {
    let (mut stage, folder) = stage(emulator).await;
    stage.config.descriptors.poll_seconds = 1;
    // The service does not watch the target of a link. A network file system has no watches at all.
    let elsewhere = folder.with_file_name("elsewhere.binpb");
    fs::write(&elsewhere, set("One", "")).expect("the file can be written");
    symlink(&elsewhere, folder.join("fresh.binpb")).expect("a symbolic link can be created");
    let running = stage.start().await;
    wait_until_known(&running, "fresh.v1.One").await;
    fs::write(&elsewhere, set("Two", "")).expect("the file can be written");
    wait_until_known(&running, "fresh.v1.Two").await;
    running.stop().await;
}

async fn a_refused_set_does_not_block_the_others(emulator: &Emulator) {
    let (stage, folder) = stage(emulator).await;
    fs::write(folder.join("a.binpb"), set("Shared", "string a = 1;")).expect("the file can be written");
    let running = stage.start().await;
    let change = |files: &[(&str, Vec<u8>)]| {
        for (name, bytes) in files {
            fs::write(folder.join(name), bytes).expect("the file can be written");
        }
    };
    change(&[
        ("b.binpb", set("Shared", "int32 a = 1;")),
        ("c.binpb", set("Good", "")),
        ("d.binpb", b"what is this?".to_vec()),
    ]);
    wait_until_known(&running, "fresh.v1.Good").await;
    let reason = wait_until_refused(&running, "b.binpb").await;
    assert!(reason.contains("fresh.v1.Shared is defined differently in a.binpb (look at field a)"), "{reason}");
    wait_until_refused(&running, "d.binpb").await;
    // b.binpb no longer contradicts a.binpb, so only d.binpb is still refused.
    change(&[("a.binpb", set("Shared", "string a = 1; string more = 2;")), ("b.binpb", set("Other", ""))]);
    wait_until_known(&running, "fresh.v1.Other").await;
    // The gauge is set after the types are known.
    let refused = || running.metrics.descriptor_sets.sum_where(|labels| labels.state == SetState::Refused);
    wait::until("one set is refused", async || (refused() == 1).then_some(())).await;
    assert_eq!(running.metrics.last_reload.sum_where(|labels| labels.what == ReloadSubject::Descriptors), 0);
    running.stop().await;
}

async fn a_breaking_change_is_refused_if_the_policy_is_refuse(emulator: &Emulator) {
    let (mut stage, folder) = stage(emulator).await;
    let write = |bytes: Vec<u8>| fs::write(folder.join("fresh.binpb"), bytes).expect("the file can be written");
    write(set("One", "string a = 1;"));
    let warning = stage.start().await;
    write(set("One", "string b = 1;"));
    let breaks = warning.metrics.breaking_changes.with(&BreakingChangeLabels { rule: protojson::Rule::FieldRenamed });
    wait::until("the breaking change is counted", async || (breaks.get() > 0).then_some(())).await;
    warning.stop().await;

    stage.config.descriptors.on_break = protobridge::config::OnBreak::Refuse;
    let refusing = stage.start().await;
    write(set("One", "string b = 1; string c = 2;"));
    let is_in_force = async || {
        (refusing.metrics.reloads.sum_where(|labels| labels.result == ReloadResult::Admitted) > 0).then_some(())
    };
    wait::until("a set that only adds a field is admitted", is_in_force).await;
    write(set("One", "string c = 2;"));
    let reason = wait_until_refused(&refusing, "fresh.binpb").await;
    assert!(reason.contains("it breaks consumers of the JSON: fresh.v1.One.b: field 1 was removed"), "{reason}");
    fs::remove_file(folder.join("fresh.binpb")).expect("the path exists");
    let is_refused =
        async || wait_until_refused(&refusing, "fresh.binpb").await.contains("its removal breaks").then_some(());
    wait::until("the removal is refused", is_refused).await;
    wait_until_known(&refusing, "fresh.v1.One").await;
    refusing.stop().await;
}

async fn a_changed_customers_file_is_loaded_unless_it_has_a_mistake(emulator: &Emulator) {
    let (mut stage, _folder) = stage(emulator).await;
    let running = stage.start().await;
    let path = stage.config.route.customers_file.path().expect("it is a file").to_owned();
    let good = fs::read_to_string(&path).expect("the path exists");
    let is = |result| running.metrics.reloads.with(&ReloadLabels { what: ReloadSubject::Customers, result });
    rewrite(&path, &good.replace("acme", "ACME, events: [shop v1]"));
    wait::until("the mistake is refused", async || (is(ReloadResult::Refused).get() > 0).then_some(())).await;
    let in_force = || running.metrics.last_reload.sum_where(|labels| labels.what == ReloadSubject::Customers);
    assert_eq!(in_force(), 0);
    let event = stage.samples.next_event(&["acme"]);
    stage.source.send([Input::body(&event)]).await;
    stage.delivered_one("acme").await;
    rewrite(
        &path,
        &format!(
            "{good}  - {{id: newcomer, topic: '{}', events: [nothing.*]}}\n",
            stage.topic_of("acme").replace("acme", "new")
        ),
    );
    wait::until("the new customer is admitted", async || (is(ReloadResult::Admitted).get() > 0).then_some(())).await;
    assert_eq!(in_force(), 1);
    let event = stage.samples.next_event(&["newcomer"]);
    stage.source.send([Input::body(&event)]).await;
    running.wait_until_settled(OutcomeLabel::Filtered, 1).await;
    running.stop().await;
}

/// Replaces a file by a rename, as editors do.
fn rewrite(path: &Path, text: &str) {
    let hidden = path.with_file_name(".customers.swp");
    fs::write(&hidden, text).expect("the file can be written");
    fs::rename(&hidden, path).expect("the path can be renamed");
}

async fn a_hundred_reloads_under_traffic_lose_no_event(emulator: &Emulator) {
    const RELOADS: u64 = 100;
    let (mut stage, folder) = stage(emulator).await;
    let running = stage.start().await;
    let mut sent = 0;
    for number in 1..=RELOADS {
        let events: Vec<_> = (0..5).map(|_| Input::body(&stage.samples.next_event(&["acme"]))).collect();
        sent += events.len();
        stage.source.send(events).await;
        let field = format!("string a = 1; string b{number} = 2;");
        fs::write(folder.join("fresh.binpb"), set("One", &field)).expect("the file can be written");
        let reloads = running
            .metrics
            .reloads
            .with(&ReloadLabels { what: ReloadSubject::Descriptors, result: ReloadResult::Admitted });
        wait::until("the set is reloaded", async || (reloads.get() >= number).then_some(())).await;
    }
    running.wait_until_settled(OutcomeLabel::Published, sent as u64).await;
    stage.source.wait_until_empty().await;
    stage.delivered("acme", sent).await;
    assert_eq!(running.metrics.received.sum(), sent as u64, "no message was retried");
    assert_eq!(stage.quarantine.depth().await, 0);
    running.stop().await;
}

async fn half_sent_requests_stop_neither_the_probes_nor_a_reload(emulator: &Emulator) {
    let (stage, folder) = stage(emulator).await;
    let running = stage.start().await;
    let address = running.address;
    let mut clients = Vec::new();
    for _ in 0..200 {
        let mut client = TcpStream::connect(address).await.expect("the service accepts");
        client.write_all(b"GET /livez HTTP/1.1\r\nhost:").await.expect("the service reads");
        clients.push(client);
    }
    assert_eq!(http::get(address, "/livez").await.expect("the service runs").status, 200);
    fs::write(folder.join("fresh.binpb"), set("One", "")).expect("the file can be written");
    wait_until_known(&running, "fresh.v1.One").await;
    // A connection that is open has nothing to read.
    let is_open =
        |client: &TcpStream| client.try_read(&mut [0]).is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
    let open = clients.iter().filter(|client| is_open(client)).count();
    assert!(open <= 64, "{open} connections are open");
    running.stop().await;
}
