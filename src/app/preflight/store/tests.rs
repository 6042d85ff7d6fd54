use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;

use super::*;
use crate::app::preflight::Receives;
use crate::aws::scripted::clients;
use crate::config::{self, Config};

const OBJECTS: &str = "arn:aws:s3:::acme/prod/*";
const KMS_KEY: &str = "arn:aws:kms:eu-west-1:123456789012:key/1234abcd";

/// The heads of the requests that a server received.
type Heads = Arc<Mutex<Vec<String>>>;

/// Starts a server that answers every request with this status and body.
async fn server(status: &'static str, body: &'static str) -> (String, Heads) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let heads = Heads::default();
    let record = Arc::clone(&heads);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let mut stream = BufReader::new(stream);
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") && stream.read_line(&mut head).await.unwrap() > 0 {}
            head.make_ascii_lowercase();
            let length = head.split_once("content-length: ").and_then(|(_, rest)| rest.split("\r\n").next());
            let mut sent = vec![0; length.map_or(0, |length| length.parse().unwrap())];
            stream.read_exact(&mut sent).await.unwrap();
            record.lock().unwrap().push(head);
            let length = body.len();
            let answer = format!(
                "HTTP/1.1 {status}\r\netag: \"1\"\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
            );
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (url, heads)
}

/// Returns the proofs and the errors of the check of this store, with S3 at `endpoint_url`.
async fn check(store: config::Store, endpoint_url: &str) -> (Vec<(&'static str, String, ProofResult)>, Vec<String>) {
    let (mut clients, _) = clients(|_, _| (200, "{}".to_owned()));
    clients.shared = clients.shared.to_builder().endpoint_url(endpoint_url).build();
    let config = Config { store, ..Config::default() };
    let Preflight { proofs, findings, .. } = Preflight::run(&clients, &config, &[], Receives::None).await;
    let proofs = proofs.into_iter().map(|proof| (proof.action, proof.resource, proof.result)).collect();
    (proofs, findings.iter().map(ToString::to_string).collect())
}

fn bucket(kms_key_id: Option<&str>) -> config::Store {
    config::Store { url: Some("s3://acme/prod/".into()), kms_key_id: kms_key_id.map(str::to_owned) }
}

#[tokio::test]
async fn one_put_proves_that_the_service_can_write_to_a_bucket() {
    let (url, heads) = server("200 OK", "").await;
    let (proofs, errors) = check(bucket(Some(KMS_KEY)), &url).await;
    let expected = [("s3:PutObject", OBJECTS), ("kms:GenerateDataKey", KMS_KEY)];
    assert_eq!(proofs, expected.map(|(action, on)| (action, on.to_owned(), ProofResult::Proven)));
    assert_eq!(errors, [""; 0]);
    let heads = heads.lock().unwrap();
    assert!(heads.len() == 1 && heads[0].starts_with("put /acme/prod/check/v1/"), "only PutObject: {heads:?}");
    assert!(heads[0].contains(&format!("x-amz-server-side-encryption-aws-kms-key-id: {}", KMS_KEY.to_lowercase())));
}

#[tokio::test]
async fn a_denied_put_names_the_actions_that_the_role_can_lack() {
    const DENIED: &str = "<Error><Code>AccessDenied</Code><Message>not authorized to perform: x</Message></Error>";
    let (url, _) = server("403 Forbidden", DENIED).await;
    let (proofs, errors) = check(bucket(None), &url).await;
    assert_eq!(proofs, [("s3:PutObject", OBJECTS.to_owned(), ProofResult::Denied)]);
    let message = format!("store.url: s3:PutObject on {OBJECTS} is denied: AccessDenied: not authorized to perform: x");
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(errors[0].starts_with(&format!("{message}; allow s3:PutObject on {OBJECTS}; ")), "{errors:?}");

    let (proofs, errors) = check(bucket(Some(KMS_KEY)), &url).await;
    assert!(proofs.len() == 2 && proofs.iter().all(|proof| proof.2 == ProofResult::Denied), "{proofs:?}");
    assert!(errors[0].contains(&format!(" or kms:GenerateDataKey on {KMS_KEY} is denied: AccessDenied")), "{errors:?}");
    assert!(errors[0].ends_with(&format!("; also allow kms:GenerateDataKey on {KMS_KEY}")), "{errors:?}");
}

#[tokio::test]
async fn a_bucket_that_does_not_exist_is_an_error_with_the_way_out() {
    let missing = "<Error><Code>NoSuchBucket</Code><Message>none</Message></Error>";
    let (url, _) = server("404 Not Found", missing).await;
    let (proofs, errors) = check(bucket(None), &url).await;
    assert_eq!(proofs, [("s3:PutObject", OBJECTS.to_owned(), ProofResult::Failed)]);
    assert!(errors[0].contains("NoSuchBucket") && errors[0].contains("correct `store.url`"), "{errors:?}");
}

#[tokio::test]
async fn a_folder_is_proven_by_a_file_that_is_deleted_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new");
    let store = |path: &Path| config::Store { url: Some(format!("file://{}", path.display())), kms_key_id: None };
    let (proofs, errors) = check(store(&path), "http://127.0.0.1:1").await;
    let resource = format!("the folder {} of store.url", path.display());
    assert_eq!((proofs, errors), (vec![("write", resource, ProofResult::Proven)], vec![]));
    let left = std::fs::read_dir(path.join("check/v1")).map_or(0, Iterator::count);
    assert_eq!(left, 0, "the file is deleted");

    let file = tempfile::NamedTempFile::new().unwrap();
    let (proofs, errors) = check(store(&file.path().join("x")), "http://127.0.0.1:1").await;
    assert_eq!(proofs, []);
    assert!(errors.len() == 1 && errors[0].starts_with("store.url: the folder /"), "{errors:?}");
    assert!(errors[0].contains("; create it"), "{errors:?}");
}
