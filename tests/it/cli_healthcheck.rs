//! `protobridge healthcheck`, which the image's health check and test pods run against a running service.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::{self, JoinHandle};

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
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let url = format!("http://{}/livez", silent.local_addr().expect("the listener is bound"));
    let ended = healthcheck(&["--url", &url, "--timeout", "1"]).await;
    assert_eq!((ended.code, ended.stderr), (Some(1), format!("error: {url}: no answer within 1 s\n")));
}

/// The end of one connection of [`endpoint`].
#[derive(Clone, Copy)]
enum Turn {
    /// Closes the connection without an answer.
    Closed,
    /// Keeps the connection open until the client closes it.
    Silent,
    Answer(&'static str),
}

/// Starts an endpoint that treats one connection after the other as its turn says. It then stops listening. Returns its
/// URL, and a thread that ends once each turn had its connection.
fn endpoint(turns: Vec<Turn>) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let url = format!("http://{}/readyz", listener.local_addr().expect("the listener is bound"));
    let serve = move || {
        for turn in turns {
            let (mut connection, _) = listener.accept().expect("a client connects");
            read_request(&mut connection);
            match turn {
                Turn::Closed => {}
                Turn::Silent => {
                    let rest = connection.read(&mut [0]).expect("the client closes its connection");
                    assert_eq!(rest, 0, "the client sends one request per connection");
                }
                Turn::Answer(answer) => connection.write_all(answer.as_bytes()).expect("the client reads"),
            }
        }
    };
    (url, thread::spawn(serve))
}

fn read_request(connection: &mut TcpStream) {
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") {
        connection.read_exact(&mut byte).expect("the client sends a request");
        request.push(byte[0]);
    }
}

const RUNNING: &str = "HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nrunning\n";
const STARTING: &str = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 9\r\n\r\nstarting\n";

#[tokio::test]
async fn healthcheck_tries_again_until_the_service_answers() {
    let (url, endpoint) = endpoint(vec![Turn::Closed, Turn::Silent, Turn::Closed, Turn::Answer(RUNNING)]);
    let ended = healthcheck(&["--url", &url, "--timeout", "1", "--retry-for", "60"]).await;
    assert_eq!((ended.code, &*ended.stdout, &*ended.stderr), (Some(0), "running\n", ""));
    endpoint.join().expect("the service was asked four times");
}

#[tokio::test]
async fn healthcheck_does_not_try_again_after_an_answer() {
    let (url, endpoint) = endpoint(vec![Turn::Closed, Turn::Answer(STARTING)]);
    let ended = healthcheck(&["--url", &url, "--retry-for", "60"]).await;
    assert_eq!((ended.code, ended.stderr), (Some(1), format!("error: {url}: starting\n")));
    endpoint.join().expect("the service was asked twice");
}

#[tokio::test]
async fn healthcheck_tries_once_by_default() {
    let (url, endpoint) = endpoint(vec![Turn::Closed]);
    let ended = healthcheck(&["--url", &url]).await;
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("connection closed"), "{}", ended.stderr);
    assert!(!ended.stderr.contains("attempts"), "{}", ended.stderr);
    endpoint.join().expect("the service was asked once");
}

#[tokio::test]
async fn healthcheck_names_the_number_of_its_attempts() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let url = format!("http://{}/readyz", listener.local_addr().expect("the listener is bound"));
    let attempts = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&attempts);
    // The thread ends with the process of the tests.
    thread::spawn(move || {
        while let Ok((mut connection, _)) = listener.accept() {
            counted.fetch_add(1, Ordering::SeqCst);
            read_request(&mut connection);
        }
    });
    let ended = healthcheck(&["--url", &url, "--retry-for", "3"]).await;
    let attempts = attempts.load(Ordering::SeqCst);
    assert!((2..=7).contains(&attempts), "{attempts} attempts with pauses of half a second in three seconds");
    assert_eq!(ended.code, Some(1));
    let error = format!("error: {url}: no answer to {attempts} attempts: ");
    assert!(ended.stderr.starts_with(&error) && ended.stderr.contains("connection closed"), "{}", ended.stderr);
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
