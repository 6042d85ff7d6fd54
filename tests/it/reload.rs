//! Descriptor sets and customers that change while the service runs, on a real file system.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use protobridge::cli::embedded::samples::UNKNOWN_TYPE;

use crate::emulator::{Emulator, scenarios};
use crate::http;
use crate::queue::Input;
use crate::source;
use crate::stage::{Running, Stage};
use crate::wait;

scenarios! {
    both: [a_type_that_was_not_known_goes_through_once_its_set_is_dropped];
    // These ask more of the file system than of SQS and SNS.
    embedded: [
        a_config_map_is_swapped,
        an_editor_writes_and_renames,
        a_file_that_is_half_written_is_not_admitted,
        a_folder_that_is_deleted_comes_back,
        without_watching_the_folder_is_read_every_now_and_then,
        one_bad_set_does_not_hold_up_the_others,
        a_break_is_refused_where_the_policy_says_so,
        customers_change_and_a_mistake_changes_nothing,
        a_hundred_reloads_under_traffic_lose_nothing,
    ];
    ministack: [];
}

/// A set with a message `fresh.v1.<name>` of one field.
fn set(name: &str, field: &str) -> Vec<u8> {
    source::compile(&format!("syntax = \"proto3\"; package fresh.v1; message {name} {{ {field} }}"))
}

/// A stage with a folder of descriptor sets of its own, which holds those of the samples.
async fn stage(emulator: &Emulator) -> (Stage, PathBuf) {
    let mut stage = Stage::new(emulator).await.customer("acme", "").await;
    let folder = stage.write_file("customers.yaml", "").with_file_name("descriptors");
    fs::create_dir(&folder).expect("the folder is new");
    for entry in fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/descriptors")).expect("it is there") {
        let path = entry.expect("it can be read").path();
        if path.extension().is_some_and(|extension| extension == "binpb") {
            fs::copy(&path, folder.join(path.file_name().expect("a file has a name"))).expect("it can be copied");
        }
    }
    stage.config.descriptors.path = folder.clone();
    // What is not seen at once is not seen at all.
    stage.config.descriptors.poll_seconds = 0;
    (stage, folder)
}

/// What `/schemas` says.
async fn schemas(running: &Running) -> serde_json::Value {
    http::get(running.app.admin_address(), "/schemas").await.expect("the service runs").json()
}

async fn knows(running: &Running, name: &str) {
    let is_known = async || schemas(running).await["types"].get(name).map(drop);
    wait::until(&format!("{name} is known"), is_known).await;
}

async fn knows_no_more(running: &Running, name: &str) {
    let is_gone = async || schemas(running).await["types"].get(name).is_none().then_some(());
    wait::until(&format!("{name} is not known any more"), is_gone).await;
}

/// Returns when a set is refused, with the reason.
async fn refuses(running: &Running, name: &str) -> String {
    wait::until(&format!("{name} is refused"), async || {
        let schemas = schemas(running).await;
        let refused = schemas["refused"].as_array()?.iter().find(|refused| refused["name"] == name)?.clone();
        Some(refused["reason"].as_str()?.to_owned())
    })
    .await
}

async fn a_type_that_was_not_known_goes_through_once_its_set_is_dropped(emulator: &Emulator) {
    let (mut stage, folder) = stage(emulator).await;
    let event = stage.samples.unknown_type(&["acme"]);
    let running = stage.start().await;
    stage.source.send([Input::body(&event).attribute("customer-id", "acme")]).await;
    running.has_settled("retried", 1).await;
    let (package, name) = UNKNOWN_TYPE.rsplit_once('.').expect("it is in a package");
    let set = source::compile(&format!("syntax = \"proto3\"; package {package}; message {name} {{}}"));
    fs::write(folder.join("late.binpb"), set).expect("it can be written");
    knows(&running, UNKNOWN_TYPE).await;
    let message = stage.delivered_one("acme").await;
    assert_eq!(message.attribute("event-type"), Some(UNKNOWN_TYPE));
    stage.source.is_empty().await;
    assert_eq!(running.settled("quarantined"), 0);
    running.stop().await;
}

async fn a_config_map_is_swapped(emulator: &Emulator) {
    let (mut stage, folder) = stage(emulator).await;
    let mount = folder.with_file_name("mount");
    let version = |number: u32, name: &str| {
        let data = mount.join(format!("..2026_{number}"));
        fs::create_dir_all(&data).expect("it can be made");
        fs::write(data.join("fresh.binpb"), set(name, "")).expect("it can be written");
        data
    };
    let first = version(1, "One");
    symlink(&first, mount.join("..data")).expect("links can be made");
    symlink("..data/fresh.binpb", mount.join("fresh.binpb")).expect("links can be made");
    stage.config.descriptors.path = mount.clone();
    let running = stage.start().await;
    knows(&running, "fresh.v1.One").await;
    for (number, name) in [(2, "Two"), (3, "Three")] {
        // As the kubelet does it: a new folder, a new link beside the old one, and a rename over it.
        let next = version(number, name);
        symlink(&next, mount.join("..data_tmp")).expect("links can be made");
        fs::rename(mount.join("..data_tmp"), mount.join("..data")).expect("it can be renamed");
        knows(&running, &format!("fresh.v1.{name}")).await;
    }
    fs::remove_dir_all(first).expect("it is there");
    knows(&running, "fresh.v1.Three").await;
    running.stop().await;
}

async fn an_editor_writes_and_renames(emulator: &Emulator) {
    let (stage, folder) = stage(emulator).await;
    fs::create_dir(folder.join("team")).expect("it is new");
    let running = stage.start().await;
    for name in ["One", "Two"] {
        let hidden = folder.join("team/.fresh.binpb.swp");
        fs::write(&hidden, set(name, "")).expect("it can be written");
        fs::rename(&hidden, folder.join("team/fresh.binpb")).expect("it can be renamed");
        knows(&running, &format!("fresh.v1.{name}")).await;
    }
    knows_no_more(&running, "fresh.v1.One").await;
    fs::remove_file(folder.join("team/fresh.binpb")).expect("it is there");
    knows_no_more(&running, "fresh.v1.Two").await;
    running.stop().await;
}

async fn a_file_that_is_half_written_is_not_admitted(emulator: &Emulator) {
    let (stage, folder) = stage(emulator).await;
    let (path, bytes) = (folder.join("fresh.binpb"), set("One", "string a = 1;"));
    let running = stage.start().await;
    fs::write(&path, &bytes[..bytes.len() / 2]).expect("it can be written");
    let reason = refuses(&running, "fresh.binpb").await;
    assert!(reason.contains("not a compiled FileDescriptorSet"), "{reason}");
    fs::write(&path, &bytes).expect("it can be written");
    knows(&running, "fresh.v1.One").await;
    fs::write(&path, "").expect("it can be written");
    let reason = refuses(&running, "fresh.binpb").await;
    assert!(reason.contains("half written"), "{reason}");
    knows(&running, "fresh.v1.One").await;
    running.stop().await;
}

async fn a_folder_that_is_deleted_comes_back(emulator: &Emulator) {
    let (mut stage, folder) = stage(emulator).await;
    let aside = folder.with_file_name("aside");
    let running = stage.start().await;
    fs::rename(&folder, &aside).expect("it can be renamed");
    let unreadable = running.metrics.reloads.with(&["descriptors", "unreadable"]);
    wait::until("it is noticed that the folder is gone", async || (unreadable.get() > 0).then_some(())).await;
    let in_force = || running.metrics.last_reload.sum_where("what", "descriptors") == 1;
    assert!(!in_force());
    let event = stage.samples.next_event(&["acme"]);
    stage.source.send([Input::body(&event)]).await;
    stage.delivered_one("acme").await;
    fs::write(aside.join("fresh.binpb"), set("One", "")).expect("it can be written");
    fs::rename(&aside, &folder).expect("it can be renamed");
    knows(&running, "fresh.v1.One").await;
    wait::until("what is there is in force", async || in_force().then_some(())).await;
    running.stop().await;
}

async fn without_watching_the_folder_is_read_every_now_and_then(emulator: &Emulator) {
    let (mut stage, folder) = stage(emulator).await;
    stage.config.descriptors.poll_seconds = 1;
    // What a link leads to is not watched, as nothing is on a network file system.
    let elsewhere = folder.with_file_name("elsewhere.binpb");
    fs::write(&elsewhere, set("One", "")).expect("it can be written");
    symlink(&elsewhere, folder.join("fresh.binpb")).expect("links can be made");
    let running = stage.start().await;
    knows(&running, "fresh.v1.One").await;
    fs::write(&elsewhere, set("Two", "")).expect("it can be written");
    knows(&running, "fresh.v1.Two").await;
    running.stop().await;
}

async fn one_bad_set_does_not_hold_up_the_others(emulator: &Emulator) {
    let (stage, folder) = stage(emulator).await;
    fs::write(folder.join("a.binpb"), set("Shared", "string a = 1;")).expect("it can be written");
    let running = stage.start().await;
    let change = |files: &[(&str, Vec<u8>)]| {
        for (name, bytes) in files {
            fs::write(folder.join(name), bytes).expect("it can be written");
        }
    };
    change(&[
        ("b.binpb", set("Shared", "int32 a = 1;")),
        ("c.binpb", set("Good", "")),
        ("d.binpb", b"what is this?".to_vec()),
    ]);
    knows(&running, "fresh.v1.Good").await;
    let reason = refuses(&running, "b.binpb").await;
    assert!(reason.contains("fresh.v1.Shared is defined differently in a.binpb (look at field a)"), "{reason}");
    refuses(&running, "d.binpb").await;
    // Of two that contradict each other now, the one that was there stays.
    change(&[("a.binpb", set("Shared", "string a = 1; string more = 2;")), ("b.binpb", set("Other", ""))]);
    knows(&running, "fresh.v1.Other").await;
    assert_eq!(running.metrics.descriptor_sets.sum_where("state", "refused"), 1);
    assert_eq!(running.metrics.last_reload.sum_where("what", "descriptors"), 0);
    running.stop().await;
}

async fn a_break_is_refused_where_the_policy_says_so(emulator: &Emulator) {
    let (mut stage, folder) = stage(emulator).await;
    let write = |bytes: Vec<u8>| fs::write(folder.join("fresh.binpb"), bytes).expect("it can be written");
    write(set("One", "string a = 1;"));
    let warning = stage.start().await;
    write(set("One", "string b = 1;"));
    let breaks = warning.metrics.breaking_changes.with(&["field_renamed"]);
    wait::until("the break is counted", async || (breaks.get() > 0).then_some(())).await;
    warning.stop().await;

    stage.config.descriptors.on_break = protobridge::config::OnBreak::Refuse;
    let refusing = stage.start().await;
    write(set("One", "string b = 1; string c = 2;"));
    let is_in_force = async || (refusing.metrics.reloads.sum_where("result", "admitted") > 0).then_some(());
    wait::until("what only adds is admitted", is_in_force).await;
    write(set("One", "string c = 2;"));
    let reason = refuses(&refusing, "fresh.binpb").await;
    assert!(reason.contains("it breaks consumers of the JSON: fresh.v1.One.b: field 1 is gone"), "{reason}");
    fs::remove_file(folder.join("fresh.binpb")).expect("it is there");
    let is_refused = async || refuses(&refusing, "fresh.binpb").await.contains("its removal breaks").then_some(());
    wait::until("the removal is refused", is_refused).await;
    knows(&refusing, "fresh.v1.One").await;
    refusing.stop().await;
}

async fn customers_change_and_a_mistake_changes_nothing(emulator: &Emulator) {
    let (mut stage, _folder) = stage(emulator).await;
    let running = stage.start().await;
    let path = stage.config.route.customers_file.clone();
    let good = fs::read_to_string(&path).expect("it is there");
    let is = |result| running.metrics.reloads.with(&["customers", result]);
    rewrite(&path, &good.replace("acme", "ACME, events: [shop v1]"));
    wait::until("the mistake is refused", async || (is("refused").get() > 0).then_some(())).await;
    let in_force = || running.metrics.last_reload.sum_where("what", "customers");
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
    wait::until("the newcomer is there", async || (is("admitted").get() > 0).then_some(())).await;
    assert_eq!(in_force(), 1);
    let event = stage.samples.next_event(&["newcomer"]);
    stage.source.send([Input::body(&event)]).await;
    running.has_settled("filtered", 1).await;
    running.stop().await;
}

/// As editors do it.
fn rewrite(path: &Path, text: &str) {
    let hidden = path.with_file_name(".customers.swp");
    fs::write(&hidden, text).expect("it can be written");
    fs::rename(&hidden, path).expect("it can be renamed");
}

async fn a_hundred_reloads_under_traffic_lose_nothing(emulator: &Emulator) {
    const RELOADS: u64 = 100;
    let (mut stage, folder) = stage(emulator).await;
    let running = stage.start().await;
    let mut sent = 0;
    for number in 1..=RELOADS {
        let events: Vec<_> = (0..5).map(|_| Input::body(&stage.samples.next_event(&["acme"]))).collect();
        sent += events.len();
        stage.source.send(events).await;
        let field = format!("string a = 1; string b{number} = 2;");
        fs::write(folder.join("fresh.binpb"), set("One", &field)).expect("it can be written");
        let reloads = running.metrics.reloads.with(&["descriptors", "admitted"]);
        wait::until("the set is reloaded", async || (reloads.get() >= number).then_some(())).await;
    }
    running.has_settled("published", sent as u64).await;
    stage.source.is_empty().await;
    stage.delivered("acme", sent).await;
    assert_eq!(running.metrics.received.sum(), sent as u64, "none was tried again");
    assert_eq!(stage.quarantine.depth().await, 0);
    running.stop().await;
}
