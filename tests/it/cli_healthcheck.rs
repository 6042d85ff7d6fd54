//! `protobridge healthcheck`: what an image's health check and a test pod ask a running service.

use std::fs;
use std::net::SocketAddr;

use tempfile::TempDir;

use crate::command::{self, Ended, bare};
use crate::emulator::{Emulator, scenarios};
use crate::stage::Stage;

scenarios! {
    both: [];
    embedded: [a_service_that_runs_is_well_and_one_that_is_gone_is_not];
    ministack: [];
}

/// Runs it beside the test's own tasks.
async fn healthcheck(arguments: &[&str]) -> Ended {
    let arguments: Vec<String> = arguments.iter().map(|&argument| argument.to_owned()).collect();
    let run = move || command::run(bare().arg("healthcheck").args(arguments), b"");
    tokio::task::spawn_blocking(run).await.expect("it does not panic")
}

/// A configuration that has the admin endpoint there.
fn config(listen: SocketAddr) -> (TempDir, String) {
    let folder = TempDir::new().expect("there is a place for temporary files");
    let file = folder.path().join("protobridge.yaml");
    let queues = "queues: [{url: 'http://127.0.0.1:1/000000000000/events'}]";
    fs::write(&file, format!("{queues}\nadmin: {{listen: '{listen}'}}\n")).expect("it can be written");
    let file = file.to_str().expect("it is Unicode").to_owned();
    (folder, file)
}

async fn a_service_that_runs_is_well_and_one_that_is_gone_is_not(emulator: &Emulator) {
    let running = Stage::new(emulator).await.start().await;
    let address = running.app.admin_address();
    // As a pod would have it: it listens everywhere, and is asked on loopback.
    let (_folder, file) = config(SocketAddr::from(([0, 0, 0, 0], address.port())));
    let ended = healthcheck(&["--config", &file]).await;
    assert_eq!((ended.code, &*ended.stdout, &*ended.stderr), (Some(0), "ok\n", ""));
    // What else is in it was read when the service started, and may be half edited now.
    fs::write(&file, format!("queues: what\nadmin: {{listen: '{address}'}}\n")).expect("it can be written");
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
async fn one_that_takes_the_connection_and_says_nothing_is_given_up() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let url = format!("http://{}/livez", silent.local_addr().expect("it is bound"));
    let ended = healthcheck(&["--url", &url, "--timeout", "1"]).await;
    assert_eq!((ended.code, ended.stderr), (Some(1), format!("error: {url}: no answer within 1 s\n")));
}

#[tokio::test]
async fn where_to_ask_has_to_be_known() {
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
