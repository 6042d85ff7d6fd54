//! The descriptor sets that a running service has in force: downloaded, compared with, and the trail of how they came.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::command::{self, protobridge};
use crate::emulator::{Emulator, scenarios};
use crate::reload::{set, stage};
use crate::stage::Running;
use crate::{http, wait};

scenarios! {
    both: [];
    // These scenarios test the file system and the admin endpoint, so one emulator is enough.
    embedded: [
        the_version_in_force_can_be_fetched_after_a_newer_one_was_refused,
        a_set_is_compared_with_the_sets_in_force,
        the_trail_names_each_decision_with_its_set_and_its_breaks,
    ];
    ministack: [];
}

fn put(folder: &Path, name: &str, bytes: &[u8]) {
    let hidden = folder.join(".part");
    fs::write(&hidden, bytes).expect("the file can be written");
    fs::create_dir_all(folder.join(name).parent().expect("a folder")).expect("the folder can be created");
    fs::rename(&hidden, folder.join(name)).expect("the file can be renamed");
}

/// Runs `protobridge descriptors` in a folder. Returns its output and its exit code as text.
fn descriptors(folder: &Path, arguments: &[&str]) -> String {
    let ended = command::run(protobridge().arg("descriptors").args(arguments).current_dir(folder), b"");
    let code = ended.code.map_or_else(|| "killed".to_owned(), |code| code.to_string());
    format!("{}{}exit code {code}", ended.stdout, ended.stderr)
}

async fn schemas(running: &Running) -> Value {
    http::get(running.address, "/schemas").await.expect("the service runs").json()
}

/// Waits until the last decision is this one, and returns it.
async fn wait_for(running: &Running, set: &str, decision: &str) -> Value {
    wait::until(&format!("{set} is {decision}"), async || {
        let last = schemas(running).await["admissions"].as_array()?.last()?.clone();
        (last["set"] == set && last["decision"] == decision).then_some(last)
    })
    .await
}

async fn the_version_in_force_can_be_fetched_after_a_newer_one_was_refused(emulator: &Emulator) {
    let (stage, folder) = stage(emulator).await;
    let good = set("One", "string a = 1;");
    put(&folder, "team/one more.binpb", &good);
    let running = stage.start().await;
    put(&folder, "team/one more.binpb", b"not a set");
    wait_for(&running, "team/one more.binpb", "refused").await;
    let (url, target) = (format!("http://{}", running.address), tempfile::tempdir().expect("a folder can be created"));
    let output = descriptors(target.path(), &["fetch", &url, "--out", "in-force"]);
    assert!(output.ends_with("exit code 0"), "{output}");
    assert_eq!(fs::read(target.path().join("in-force/team/one more.binpb")).expect("it exists"), good);
    let shop = fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/descriptors/shop.binpb")).expect("it exists");
    assert_eq!(fs::read(target.path().join("in-force/shop.binpb")).expect("it exists"), shop);
    let output = descriptors(target.path(), &["fetch", &url, "--set", "shop.binbp"]);
    assert!(output.contains("no set in force has the name shop.binbp; did you mean shop.binpb?"), "{output}");
    assert_eq!(
        http::get(running.address, "/schemas/sets/../protobridge.yaml").await.expect("the service runs").status,
        404
    );
    running.stop().await;
}

async fn a_set_is_compared_with_the_sets_in_force(emulator: &Emulator) {
    let (stage, folder) = stage(emulator).await;
    put(&folder, "team/one.binpb", &set("One", "string a = 1;"));
    let running = stage.start().await;
    let (url, local) = (format!("http://{}", running.address), tempfile::tempdir().expect("a folder can be created"));
    put(local.path(), "one.binpb", &set("One", "int32 a = 1;"));
    put(local.path(), "larger.binpb", &set("One", "string a = 1; string b = 2;"));
    let diff = |arguments: &[&str]| descriptors(local.path(), &[&["diff", "--against", &url], arguments].concat());
    let broken = diff(&["--set", "team/one.binpb", "one.binpb"]);
    assert!(broken.contains("fresh.v1.One.a: string is now int32 (type_changed)\n"), "{broken}");
    assert!(broken.contains("is compared with"), "{broken}");
    assert!(broken.ends_with("error: 1 change(s) break the consumers of the JSON\nexit code 1"), "{broken}");
    let added = diff(&["--set", "team/one.binpb", "larger.binpb"]);
    assert!(added.contains("no breaking changes\n") && added.ends_with("exit code 0"), "{added}");
    // Without the name in the folder of the service, the set would be one more.
    let more = diff(&["one.binpb"]);
    assert!(more.contains("no set in force has the name one.binpb"), "{more}");
    assert!(more.contains("fresh.v1.One is defined differently in"), "{more}");
    // A folder is compared as a whole.
    let whole = diff(&[folder.to_str().expect("it exists")]);
    assert!(whole.contains("no breaking changes\n"), "{whole}");
    put(local.path(), "whole/one.binpb", &set("One", "string a = 1;"));
    let whole = diff(&["whole"]);
    assert!(whole.contains("shop.v1.OrderPlaced: the message type was removed (message_removed)"), "{whole}");
    let nobody = descriptors(local.path(), &["diff", "--against", "http://127.0.0.1:1", "one.binpb"]);
    assert!(nobody.starts_with("error: http://127.0.0.1:1/schemas: ") && nobody.ends_with("exit code 1"), "{nobody}");
    running.stop().await;
}

async fn the_trail_names_each_decision_with_its_set_and_its_breaks(emulator: &Emulator) {
    let (stage, folder) = stage(emulator).await;
    put(&folder, "one.binpb", &set("One", "string a = 1;"));
    let running = stage.start().await;
    put(&folder, "one.binpb", &set("One", "int32 a = 1;"));
    let replaced = wait_for(&running, "one.binpb", "replaced").await;
    let expected = json!([{
        "message_type": "fresh.v1.One", "element": "a", "rule": "type_changed", "text": "string is now int32",
    }]);
    assert_eq!(replaced["breaks"], expected);
    let in_force = schemas(&running).await["sets"]
        .as_array()
        .expect("it exists")
        .iter()
        .find(|set| set["name"] == "one.binpb")
        .cloned();
    assert_eq!(replaced["hash"], in_force.expect("it exists")["hash"]);
    put(&folder, "one.binpb", b"not a set");
    let refused = wait_for(&running, "one.binpb", "refused").await;
    assert_eq!(refused["before"], replaced["hash"]);
    assert!(refused["reason"].as_str().is_some_and(|reason| reason.contains("not a compiled FileDescriptorSet")));
    fs::remove_file(folder.join("one.binpb")).expect("the file exists");
    let removed = wait_for(&running, "one.binpb", "removed").await;
    assert_eq!((&removed["before"], removed.get("hash")), (&replaced["hash"], None));
    assert_eq!(removed["breaks"][0]["rule"], "message_removed");
    let decisions = schemas(&running).await["admissions"].clone();
    let of_one = decisions.as_array().expect("it exists").iter().filter(|one| one["set"] == "one.binpb");
    let of_one: Vec<&Value> = of_one.map(|one| &one["decision"]).collect();
    assert_eq!(of_one, ["added", "replaced", "refused", "removed"]);
    running.stop().await;
}
