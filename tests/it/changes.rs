//! Changes while the service runs as a process of its own: SIGHUP, and a changed configuration file.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use serde_json::{Value, json};

use crate::emulator::{Emulator, scenarios};
use crate::queue::Input;
use crate::service::Service;
use crate::stage::Stage;
use crate::wait;

scenarios! {
    both: [];
    // These scenarios test signals and the file system rather than SQS and SNS, so one emulator is enough.
    embedded: [
        sighup_reloads_the_files_and_stops_nothing,
        a_changed_config_map_is_applied_or_reported_as_waiting_for_a_restart,
        sighup_during_a_drain_does_not_end_it,
    ];
    ministack: [];
}

/// Returns the state of the configuration file according to `/status`.
async fn configuration(service: &Service) -> Value {
    service.get("/status").await.expect("the service runs").json()["configuration"].clone()
}

async fn wait_until_pending(service: &Service, keys: Value) {
    let what = format!("these keys wait for a restart: {keys}");
    let is_pending = async || (configuration(service).await["restart_pending"] == keys).then_some(());
    wait::until(&what, is_pending).await;
}

async fn sighup_reloads_the_files_and_stops_nothing(emulator: &Emulator) {
    let mut stage = Stage::new(emulator).await.customer("acme", "").await;
    // Without a watch, only the signal makes the service read the files again.
    stage.config.descriptors.reload = false;
    let service = stage.spawn().await;
    stage = stage.customer("globex", "").await;
    stage.config.publish.linger_ms = 7;
    stage.write_files();
    let status = service.get("/status").await.expect("the service runs").json();
    assert_eq!(
        (&status["customers"]["configured"], &status["configuration"]["restart_pending"]),
        (&json!(1), &json!([]))
    );

    service.hang_up();
    wait_until_pending(&service, json!(["publish.linger_ms"])).await;
    let is_loaded = async || {
        let status = service.get("/status").await.expect("the service runs").json();
        (status["customers"]["configured"] == 2).then_some(())
    };
    wait::until("the customers are loaded", is_loaded).await;
    stage.source.send([Input::body(&stage.samples.next_event(&["globex"]))]).await;
    stage.delivered_one("globex").await;
    service.terminate();
    let (status, log) = service.wait_for_exit().await;
    assert_eq!(status.code(), Some(0), "{log}");
}

/// Makes `mount` show the content of the folder `version`, as the kubelet does.
fn publish(mount: &Path, version: &Path) {
    symlink(version, mount.join("..data_tmp")).expect("a symbolic link can be created");
    fs::rename(mount.join("..data_tmp"), mount.join("..data")).expect("the path can be renamed");
}

async fn a_changed_config_map_is_applied_or_reported_as_waiting_for_a_restart(emulator: &Emulator) {
    let mut stage = Stage::new(emulator).await.customer("acme", "").await;
    stage.config.descriptors.poll_seconds = 0;
    stage.config.dedupe.redis_prefix = "one".to_owned();
    let mount = stage.write_files().with_file_name("mount");
    let versions: Vec<_> = (0..3).map(|number| mount.join(format!("..2026_{number}"))).collect();
    let write = |stage: &Stage, version: &Path| {
        fs::create_dir_all(version).expect("the folder can be created");
        fs::copy(stage.write_files(), version.join("protobridge.yaml")).expect("the file can be copied");
    };
    write(&stage, &versions[0]);
    publish(&mount, &versions[0]);
    symlink("..data/protobridge.yaml", mount.join("protobridge.yaml")).expect("a symbolic link can be created");
    let service = Service::start(&mount.join("protobridge.yaml"), &[]).await;

    stage.config.log.level = "info,protobridge::delivery=debug".to_owned();
    stage.config.dedupe.redis_prefix = "two".to_owned();
    stage.config.dedupe.redis_url = Some("redis://:hunter2@127.0.0.1:1".to_owned());
    write(&stage, &versions[1]);
    publish(&mount, &versions[1]);
    wait_until_pending(&service, json!(["dedupe.redis_prefix", "dedupe.redis_url"])).await;
    let applied = service.wait_for_line("configuration changed: applied").await;
    assert_eq!(
        (&applied["key"], &applied["old"], &applied["new"]),
        (&json!("log.level"), &json!("\"info\""), &json!("\"info,protobridge::delivery=debug\""),)
    );
    let waits = service.wait_for_line("configuration changed: needs a restart").await;
    assert_eq!(
        (&waits["key"], &waits["old"], &waits["new"]),
        (&json!("dedupe.redis_prefix"), &json!("\"one\""), &json!("\"two\""),)
    );
    stage.source.send([Input::body(&stage.samples.next_event(&["acme"]))]).await;
    service.wait_for_line("published").await;

    fs::create_dir(&versions[2]).expect("the folder is new");
    fs::write(versions[2].join("protobridge.yaml"), "publsh: {}\n").expect("the file can be written");
    publish(&mount, &versions[2]);
    let refused = service.wait_for_line("configuration refused; the running configuration stays").await;
    let error = refused["error"].as_str().expect("the line has the error").to_owned();
    assert!(error.contains("publsh: unknown key; did you mean `publish`?"), "{error}");
    assert_eq!(configuration(&service).await["error"], error);
    let metrics = service.get("/metrics").await.expect("the service runs").body;
    for line in [
        "protobridge_restart_pending_keys 2",
        r#"protobridge_reloads_total{what="configuration",result="refused"} 1"#,
        r#"protobridge_last_reload_successful{what="configuration"} 0"#,
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line} is not in\n{metrics}");
    }
    service.terminate();
    let (_, log) = service.wait_for_exit().await;
    assert!(!log.contains("hunter2"), "{log}");
}

async fn sighup_during_a_drain_does_not_end_it(emulator: &Emulator) {
    let mut stage = Stage::new(emulator).await.customer("acme", "").await;
    stage.source.send([Input::body(&stage.samples.next_event(&["acme"]))]).await;
    let gate = stage.gate().await;
    gate.shut();
    let service = stage.spawn().await;
    gate.wait_for_publish().await;
    service.terminate();
    service.wait_for_line("draining").await;
    service.hang_up();
    gate.open();
    let (status, log) = service.wait_for_exit().await;
    assert_eq!(status.code(), Some(0), "{log}");
    stage.delivered_one("acme").await;
}
