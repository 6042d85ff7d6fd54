//! `protobridge healthcheck`, which the image's health check and test pods run against a running service.

use std::fs;
use std::net::SocketAddr;

use tempfile::TempDir;

use crate::command::{self, Ended, bare};
use crate::emulator::{Emulator, scenarios};
use crate::stage::Stage;

scenarios! {
    both: [];
    embedded: [healthcheck_passes_while_the_service_runs_and_fails_after_it_stops];
    ministack: [];
}

/// Runs the command on a thread of its own, so that it does not block the test's tasks.
async fn healthcheck(arguments: &[&str]) -> Ended {
    let arguments: Vec<String> = arguments.iter().map(|&argument| argument.to_owned()).collect();
    let run = move || command::run(bare().arg("healthcheck").args(arguments), b"");
    tokio::task::spawn_blocking(run).await.expect("the task does not panic")
}

/// Writes a configuration with this address of the admin endpoint. Returns its folder and its path.
fn config(listen: SocketAddr) -> (TempDir, String) {
    let folder = TempDir::new().expect("a temporary folder can be created");
    let file = folder.path().join("protobridge.yaml");
    let queues = "queues: [{url: 'http://127.0.0.1:1/000000000000/events'}]";
    fs::write(&file, format!("{queues}\nadmin: {{listen: '{listen}'}}\n")).expect("the file can be written");
    let file = file.to_str().expect("the path is UTF-8").to_owned();
    (folder, file)
}

async fn healthcheck_passes_while_the_service_runs_and_fails_after_it_stops(emulator: &Emulator) {
    let running = Stage::new(emulator).await.customer("acme", "").await.start().await;
    let address = running.address;
    // As in a pod, `admin.listen` names all interfaces. The health check must then use the loopback address.
    let (_folder, file) = config(SocketAddr::from(([0, 0, 0, 0], address.port())));
    let ended = healthcheck(&["--config", &file]).await;
    assert_eq!((ended.code, &*ended.stdout, &*ended.stderr), (Some(0), "ok\n", ""));
    // The other keys can be half edited, because the service has read them at its start.
    fs::write(&file, format!("queues: what\nadmin: {{listen: '{address}'}}\n")).expect("the file can be written");
    let ended = healthcheck(&["--config", &file, "--ready"]).await;
    assert_eq!((ended.code, &*ended.stdout), (Some(0), "running\n"));
    let ended = healthcheck(&["--url", &format!("http://{address}/nowhere")]).await;
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("/nowhere: try /livez"), "{}", ended.stderr);
    running.stop().await;
    let ended = healthcheck(&["--config", &file]).await;
    assert_eq!((ended.code, &*ended.stdout), (Some(1), ""));
    assert!(
        ended.stderr.starts_with(&format!("error: http://127.0.0.1:{}/livez: ", address.port())),
        "{}",
        ended.stderr
    );
}

#[tokio::test]
async fn healthcheck_times_out_if_the_service_does_not_answer() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let url = format!("http://{}/livez", silent.local_addr().expect("the listener is bound"));
    let ended = healthcheck(&["--url", &url, "--timeout", "1"]).await;
    assert_eq!((ended.code, ended.stderr), (Some(1), format!("error: {url}: no answer within 1 s\n")));
}

#[tokio::test]
async fn healthcheck_requires_a_usable_address() {
    let (_folder, file) = config(SocketAddr::from(([127, 0, 0, 1], 0)));
    let ended = healthcheck(&["--config", &file]).await;
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr.contains("`admin.listen` has port 0"), "{}", ended.stderr);
    let ended = healthcheck(&["--url", "https://localhost/livez"]).await;
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr.contains("must be an http URL"), "{}", ended.stderr);
    let ended = healthcheck(&["--config", "nowhere.yaml"]).await;
    assert_eq!(ended.code, Some(64));
}
