use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::*;
use crate::aws::s3::double::Double;
use crate::config::Admin;

fn config(folder: &std::path::Path) -> Config {
    let mut config = Config::default();
    config.descriptors.path = "s3://acme/sets".into();
    config.route.customers_file = folder.join("customers.yaml").into();
    std::fs::write(
        folder.join("customers.yaml"),
        "customers: [{id: a, topic: 'arn:aws:sns:eu-west-1:123456789012:a'}]",
    )
    .unwrap();
    config
}

async fn listener() -> Listener {
    Listener::bind(&Admin { listen: "127.0.0.1:0".parse().unwrap() }).await.unwrap()
}

/// Returns the answer of the admin endpoint.
async fn get(admin: &Listener, path: &str) -> String {
    let mut stream = TcpStream::connect(admin.address()).await.unwrap();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nconnection: close\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test(start_paused = true)]
async fn a_start_gives_up_after_a_minute_and_names_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let (bucket, admin) = (Double::default(), listener().await);
    bucket.change(|state| state.denies_lists = true);
    let begin = Instant::now();
    let error = load_at_start(&config(folder.path()), &bucket.clients(), &admin).await.unwrap_err();
    let took = begin.elapsed();
    assert!((PATIENCE..PATIENCE + Duration::from_secs(1)).contains(&took), "{took:?}");
    assert!(bucket.calls().len() >= 7);
    assert!(!error.is_configuration());
    let expected = "descriptors.path: cannot list s3://acme/sets in the region eu-west-1: AccessDenied: scripted; allow \
                    s3:ListBucket on arn:aws:s3:::acme with the prefix sets/; ";
    assert!(error.to_string().starts_with(expected), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_start_continues_once_the_bucket_answers() {
    let folder = tempfile::tempdir().unwrap();
    let (bucket, admin) = (Double::default(), listener().await);
    bucket.change(|state| state.is_missing = true);
    let config = config(folder.path());
    let repair = async {
        sleep(Duration::from_secs(30)).await;
        bucket.change(|state| {
            state.is_missing = false;
            state.put("sets/shop.binpb", &include_bytes!("../../../descriptors/shop.binpb")[..]);
        });
    };
    let clients = bucket.clients();
    let (loaded, ()) = tokio::join!(load_at_start(&config, &clients, &admin), repair);
    assert!(loaded.unwrap().registry.current().find("shop.v1.OrderPlaced").is_some());
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_wrong_fails_the_start_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let (bucket, admin) = (Double::default(), listener().await);
    bucket.put("sets/shop.binpb", "not a set");
    let begin = Instant::now();
    let error = load_at_start(&config(folder.path()), &bucket.clients(), &admin).await.unwrap_err();
    assert!(error.is_configuration() && begin.elapsed() < Duration::from_secs(1), "{error}");
}

#[tokio::test]
async fn the_admin_endpoint_answers_while_the_start_waits() {
    let admin = listener().await;
    let waiting = Waiting::default();
    let answers = waiting.answer(&admin).unwrap();
    assert!(get(&admin, "/livez").await.starts_with("HTTP/1.1 200 "));
    let answer = get(&admin, "/readyz").await;
    assert!(
        answer.starts_with("HTTP/1.1 503 ") && answer.contains("starting: reading the descriptor sets"),
        "{answer}"
    );
    waiting.set("cannot list s3://acme/sets".to_owned());
    assert!(get(&admin, "/readyz").await.ends_with("starting: cannot list s3://acme/sets\n"));
    assert!(get(&admin, "/metrics").await.starts_with("HTTP/1.1 503 "));
    drop(answers);
    // The listener is still open, and the service answers on it.
    let (served, accepted) = tokio::join!(TcpStream::connect(admin.address()), admin.listener.accept());
    assert!(served.is_ok() && accepted.is_ok());
}
