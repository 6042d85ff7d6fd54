//! `protobridge heartbeat` and `protobridge sources`: a heartbeat is sent, received, and shown.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};

use protobridge::config::ExpectedSource;
use protobridge::message::OutcomeLabel;

use crate::command::{self, Ended, protobridge};
use crate::emulator::{Emulator, scenarios};
use crate::http;
use crate::stage::Stage;

scenarios! {
    both: [];
    embedded: [a_heartbeat_that_the_command_sends_is_received_and_shown];
    ministack: [];
}

/// Runs the command on a thread of its own, so that it does not block the test's tasks.
async fn run(arguments: &[&str]) -> Ended {
    let arguments: Vec<String> = arguments.iter().map(|&argument| argument.to_owned()).collect();
    let run = move || command::run(protobridge().args(arguments), b"");
    tokio::task::spawn_blocking(run).await.expect("the task does not panic")
}

#[tokio::test]
async fn a_replica_that_hangs_does_not_delay_the_question_to_the_others() {
    let [first, second] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").expect("a port is free"));
    let [one, two] = [&first, &second].map(|it| format!("http://{}", it.local_addr().expect("it has an address")));
    // The first replica answers after the second one was asked.
    let answering = std::thread::spawn(move || {
        let mut streams = [&first, &second].map(|it| it.accept().expect("it is asked").0);
        for stream in &mut streams {
            let _request = stream.read(&mut [0; 4_096]).expect("it has a request");
            let body = r#"{"sources":{"knowledge":"","list":[]}}"#;
            let head = format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
            stream.write_all((head + body).as_bytes()).expect("it can answer");
        }
    });
    let shown = run(&["sources", "--admin", &one, "--admin", &two]).await;
    assert_eq!((shown.code, &*shown.stderr), (Some(0), ""));
    answering.join().expect("both replicas were asked");
}

async fn a_heartbeat_that_the_command_sends_is_received_and_shown(emulator: &Emulator) {
    let mut stage = Stage::new(emulator).await.customer("acme", "events: [shop.v1.OrderPlaced]").await;
    let expect = |source: &str| ExpectedSource { source: source.to_owned(), ..ExpectedSource::default() };
    stage.config.heartbeats.expect = vec![expect("orders-eu-1"), expect("orders-us-1")];
    let running = stage.start().await;
    let file = stage.write_files();
    let file = file.to_str().expect("the path is UTF-8");
    for number in ["6", "7"] {
        let arguments = ["heartbeat", "--config", file, "--source", "orders-eu-1", "--interval", "30"];
        let sent = run(&[&arguments[..], &["--sequence", number]].concat()).await;
        assert_eq!((sent.code, &*sent.stderr), (Some(0), ""));
        assert!(sent.stdout.starts_with("sent heartbeat of orders-eu-1 to "), "{}", sent.stdout);
    }
    running.wait_until_settled(OutcomeLabel::Filtered, 2).await;

    let admin = format!("http://{}", running.address);
    let shown = run(&["sources", "--admin", &admin, "--admin", &format!("{admin}/status")]).await;
    assert_eq!((shown.code, &*shown.stderr), (Some(0), ""));
    let rows: Vec<Vec<&str>> = shown.stdout.lines().map(|line| line.split("  ").map(str::trim).collect()).collect();
    let row = |source: &str| rows.iter().find(|row| row[0] == source).expect("the source is shown").join(" ");
    assert!(row("orders-eu-1").contains("quiet") && row("orders-eu-1").contains("30.0 s"), "{}", shown.stdout);
    assert!(row("orders-eu-1").contains(" 7 ") && row("orders-eu-1").ends_with("2 of 2"), "{}", shown.stdout);
    assert!(row("orders-us-1").contains("unknown") && row("orders-us-1").ends_with("0 of 2"), "{}", shown.stdout);

    metrics_and_status_have_the_source(running.address).await;
    let unreachable = run(&["sources", "--json", "--admin", &admin, "--admin", "http://127.0.0.1:1"]).await;
    assert_eq!(unreachable.code, Some(1));
    assert!(unreachable.stderr.starts_with("warning: http://127.0.0.1:1/status"), "{}", unreachable.stderr);
    let warning = "1 of 2 replicas did not answer";
    assert!(unreachable.stderr.contains(warning), "{}", unreachable.stderr);
    let json: serde_json::Value = serde_json::from_str(&unreachable.stdout).expect("it is JSON");
    assert_eq!((&json[0]["source"], &json[0]["state"]), (&"orders-eu-1".into(), &"quiet".into()));
    running.stop().await;
    let none = run(&["sources", "--admin", &admin]).await;
    assert_eq!(none.code, Some(1));
    assert!(none.stderr.contains("none of the 1 admin endpoints answers"), "{}", none.stderr);
}

async fn metrics_and_status_have_the_source(address: SocketAddr) {
    let status = http::get(address, "/status").await.expect("the service runs").json();
    assert_eq!(status["sources"]["knowledge"], "as far as this replica knows");
    let source = &status["sources"]["list"][0];
    assert_eq!(
        (&source["state"], &source["expected"], &source["sequence"]),
        (&"quiet".into(), &true.into(), &7.into())
    );
    let metrics = http::get(address, "/metrics").await.expect("the service runs").body;
    for line in [
        r#"protobridge_source_state{source="orders-eu-1",state="quiet"} 1"#,
        r#"protobridge_source_state{source="orders-us-1",state="unknown"} 1"#,
        r#"protobridge_source_heartbeats_total{source="orders-eu-1"} 2"#,
        r#"protobridge_source_heartbeats_total{source="orders-us-1"} 0"#,
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line} is not in\n{metrics}");
    }
}

#[tokio::test]
async fn an_address_that_is_no_admin_endpoint_is_wrong_usage() {
    let ended = run(&["sources", "--admin", "localhost"]).await;
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr.contains("--admin must be the URL of an admin endpoint"), "{}", ended.stderr);
}
