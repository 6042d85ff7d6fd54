//! Proxies and certificates: which connections of the service go through a proxy, which authorities it trusts, and what
//! its errors say about both.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::Command;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::{get, post};
use protobridge::message::OutcomeLabel;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::collector::Collector;
use crate::command::{self, Ended, bare, protobridge};
use crate::emulator::{Emulator, scenarios};
use crate::proxy::{Proxy, Rules};
use crate::queue::Input;
use crate::service::Service;
use crate::stage::Stage;

scenarios! {
    both: [];
    embedded: [
        every_connection_goes_through_the_proxy_and_trusts_the_private_authority,
        a_refusal_names_the_proxy_and_keeps_its_password_secret,
        a_certificate_of_an_unknown_authority_is_refused,
        this_machine_is_reached_without_the_proxy,
    ];
    ministack: [];
}

const SQS: &str = "sqs.eu-west-1.amazonaws.com";
const SNS: &str = "sns.eu-west-1.amazonaws.com";
const STS: &str = "sts.eu-west-1.amazonaws.com";
const S3: &str = "large.s3.eu-west-1.amazonaws.com";
const REGISTRY: &str = "registry.example.com";
const COLLECTOR: &str = "collector.example.com";

/// The answer of STS to a web identity. The embedded services accept any credentials.
const ASSUMED: &str = "\
<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
<AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>AKIDEXAMPLE</AccessKeyId><SecretAccessKey>secret</SecretAccessKey>\
<SessionToken>token</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials>\
</AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>";

/// The services beside SQS and SNS: STS, a bucket of S3 without the object that is asked for, and a schema registry.
struct Others {
    address: SocketAddr,
    _serving: JoinSet<()>,
}

impl Others {
    async fn start() -> Self {
        let no_such_key = "<Error><Code>NoSuchKey</Code><Message>there is none</Message></Error>";
        let credentials = r#"{"AccessKeyId": "AKIDEXAMPLE", "SecretAccessKey": "secret", "Token": "token",
            "Expiration": "2099-01-01T00:00:00Z"}"#;
        let routes = Router::new()
            .route("/", post(async || ASSUMED))
            .route("/credentials", get(async move || credentials))
            .route("/schemas/types", get(async || "[]"))
            .fallback(async move || (StatusCode::NOT_FOUND, no_such_key));
        let listener = TcpListener::bind("0.0.0.0:0").await.expect("a port is free");
        let port = listener.local_addr().expect("the listener is bound").port();
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(listener, routes).await.expect("the server runs until it is dropped") });
        Self { address: ([127, 0, 0, 1], port).into(), _serving: serving }
    }
}

fn address(url: &str) -> SocketAddr {
    url.trim_start_matches("http://").trim_end_matches('/').parse().expect("the URL has an address and a port")
}

/// Makes the service call all services by their names.
fn use_names(stage: &mut Stage) {
    let config = &mut stage.config;
    let emulator = config.aws.endpoint_url.take().expect("the emulator has a URL");
    let queue = &mut config.queues[0];
    for url in [Some(&mut queue.url), queue.quarantine_url.as_mut()].into_iter().flatten() {
        *url = url.replace(emulator.trim_end_matches('/'), &format!("https://{SQS}"));
    }
    config.aws.max_attempts = 1;
    config.envelope.s3_buckets = vec!["large".to_owned()];
    config.confluent.registry_url = Some(format!("https://{REGISTRY}"));
    config.traces.otlp_endpoint = Some(format!("https://{COLLECTOR}"));
}

fn servers(emulator: &Emulator, others: &Others, collector: &Collector) -> BTreeMap<String, SocketAddr> {
    let emulator = address(&emulator.endpoint_url);
    let servers = [
        (SQS, emulator),
        (SNS, emulator),
        (STS, others.address),
        (S3, others.address),
        (REGISTRY, others.address),
        (COLLECTOR, address(&collector.url)),
        ("0.0.0.0", others.address),
    ];
    servers.into_iter().map(|(name, address)| (name.to_owned(), address)).collect()
}

/// Runs a command on a thread of its own, so that it does not block the test's tasks.
async fn run(mut command: Command) -> Ended {
    let run = move || command::run(&mut command, b"");
    tokio::task::spawn_blocking(run).await.expect("the task does not panic")
}

async fn check(stage: &Stage, mut command: Command) -> Ended {
    command.arg("check").arg("--online").arg("--config").arg(stage.write_files());
    run(command).await
}

/// Returns the command as a pod with a role has it: its credentials come from STS.
fn with_web_identity(stage: &Stage) -> Command {
    let token = stage.write_file("token", "a token");
    let mut command = bare();
    command.env("AWS_WEB_IDENTITY_TOKEN_FILE", token).env("AWS_ROLE_ARN", "arn:aws:iam::000000000000:role/protobridge");
    command
}

async fn every_connection_goes_through_the_proxy_and_trusts_the_private_authority(emulator: &Emulator) {
    let (others, collector) = (Others::start().await, Collector::start().await);
    let credentials = Some("me:p@ss word");
    let rules = Rules { servers: servers(emulator, &others, &collector), credentials, refuses: false };
    let proxy = Proxy::start(rules).await;
    let mut stage = Stage::new(emulator).await.customer("acme", "").await;
    use_names(&mut stage);
    let bundle = stage.write_file("ca.pem", &proxy.authority);
    let event = stage.samples.next_event(&["acme"]);
    let command = || {
        let mut command = with_web_identity(&stage);
        command.env("HTTPS_PROXY", proxy.url("me:p%40ss%20word")).env("AWS_CA_BUNDLE", &bundle);
        command
    };

    let checked = check(&stage, command()).await;
    assert_eq!(checked.code, Some(0), "{}{}", checked.stdout, checked.stderr);
    let shown = proxy.url("***");
    assert!(checked.stdout.contains(&format!("\nproxy          of https:// addresses: {shown} (HTTPS_PROXY)\n")));
    assert!(checked.stdout.contains(&format!("\ncertificates   {} (AWS_CA_BUNDLE)\n", bundle.display())));
    let connect = |host: &str| format!("CONNECT {host}:443");
    assert_eq!(proxy.seen(), [S3, REGISTRY, SNS, SQS, STS].map(connect));
    let mut offline = command();
    offline.args(["check", "--json", "--config"]).arg(stage.write_files());
    let document: Value = serde_json::from_str(&run(offline).await.stdout).expect("the output is JSON");
    let network = json!({"https_proxy": format!("{shown} (HTTPS_PROXY)"), "ca_bundle": bundle});
    assert_eq!(document["network"], network);

    let service = Service::start_with(command(), &stage.write_files(), &[]).await;
    stage.source.send([Input::body(&event)]).await;
    stage.delivered_one("acme").await;
    service.terminate();
    let (status, log) = service.wait_for_exit().await;
    assert!(status.success(), "{log}");
    assert!(log.lines().next().is_some_and(|first| first.contains(&shown)), "{log}");
    assert!(!log.contains("p%40ss") && !log.contains("p@ss"), "{log}");
    assert_eq!(collector.spans().len(), 1, "{log}");
    assert_eq!(proxy.seen(), [COLLECTOR, S3, REGISTRY, SNS, SQS, STS].map(connect));
}

async fn a_refusal_names_the_proxy_and_keeps_its_password_secret(emulator: &Emulator) {
    let (others, collector) = (Others::start().await, Collector::start().await);
    let servers = servers(emulator, &others, &collector);
    let mut stage = Stage::new(emulator).await.customer("acme", "").await;
    use_names(&mut stage);
    for (rules, refusal) in [
        (
            Rules { servers: servers.clone(), credentials: Some("me:other"), refuses: false },
            "answers 407 to a connection to {host}:443: put its user and password into https_proxy",
        ),
        (
            Rules { servers, credentials: None, refuses: true },
            "refuses a connection to {host}:443: allow it there, or add the host to NO_PROXY",
        ),
    ] {
        let proxy = Proxy::start(rules).await;
        let mut command = protobridge();
        command.env("https_proxy", proxy.url("me:hunter2"));
        let checked = check(&stage, command).await;
        assert_eq!(checked.code, Some(1), "{}{}", checked.stdout, checked.stderr);
        let refusal = format!("the proxy {} (https_proxy) {refusal}", proxy.url("***"));
        for host in [SQS, SNS, S3, REGISTRY] {
            let expected = refusal.replace("{host}", host);
            assert!(checked.stdout.contains(&expected), "{expected}\n{}", checked.stdout);
        }
        assert!(!checked.stdout.contains("hunter2"), "{}", checked.stdout);
    }
}

async fn a_certificate_of_an_unknown_authority_is_refused(emulator: &Emulator) {
    let (others, collector) = (Others::start().await, Collector::start().await);
    let servers = servers(emulator, &others, &collector);
    let proxy = Proxy::start(Rules { servers, ..Rules::default() }).await;
    let other = Proxy::start(Rules::default()).await;
    let mut stage = Stage::new(emulator).await.customer("acme", "").await;
    use_names(&mut stage);
    let system = stage.write_file("system.pem", &proxy.authority);
    let bundle = stage.write_file("other.pem", &other.authority);
    let command = || {
        let mut command = protobridge();
        command.env("HTTPS_PROXY", proxy.url("")).env("SSL_CERT_FILE", &system);
        command
    };
    let checked = check(&stage, command()).await;
    assert_eq!(checked.code, Some(0), "{}{}", checked.stdout, checked.stderr);
    // The bundle replaces the authorities of the system.
    let mut with_bundle = command();
    with_bundle.env("AWS_CA_BUNDLE", bundle);
    let checked = check(&stage, with_bundle).await;
    assert_eq!(checked.code, Some(1), "{}{}", checked.stdout, checked.stderr);
    assert_eq!(checked.stdout.matches("invalid peer certificate").count(), 5, "{}", checked.stdout);
}

async fn this_machine_is_reached_without_the_proxy(emulator: &Emulator) {
    let others = Others::start().await;
    let proxy = Proxy::start(Rules { refuses: true, ..Rules::default() }).await;
    let mut stage = Stage::new(emulator).await.customer("acme", "").await;
    stage.config.confluent.registry_url = Some(format!("http://localhost:{}", others.address.port()));
    let mut command = bare();
    command.env("HTTP_PROXY", proxy.url("")).env("HTTPS_PROXY", proxy.url(""));
    // The metadata service of ECS and EKS in this test.
    let container = format!("http://{}/credentials", others.address);
    command.env("AWS_CONTAINER_CREDENTIALS_FULL_URI", container);
    let checked = check(&stage, command).await;
    assert_eq!(checked.code, Some(0), "{}{}", checked.stdout, checked.stderr);

    let running = stage.start().await;
    let mut command = bare();
    command.env("HTTP_PROXY", proxy.url("")).arg("healthcheck");
    command.arg("--url").arg(format!("http://{}/livez", running.address));
    let ended = run(command).await;
    assert_eq!((ended.code, &*ended.stdout), (Some(0), "ok\n"), "{}", ended.stderr);
    assert_eq!(running.settled(OutcomeLabel::Retried), 0);
    running.stop().await;
    assert!(proxy.seen().is_empty(), "{:?}", proxy.seen());
}

#[tokio::test]
async fn no_proxy_names_the_hosts_that_are_reached_directly() {
    let emulator = Emulator::embedded().await.expect("the embedded services start");
    let others = Others::start().await;
    let servers = BTreeMap::from([("0.0.0.0".to_owned(), others.address)]);
    let mut stage = Stage::new(&emulator).await.customer("acme", "").await;
    // This address reaches a server of this machine, but is not a loopback address.
    let registry = format!("0.0.0.0:{}", others.address.port());
    stage.config.confluent.registry_url = Some(format!("http://{registry}"));
    for (exceptions, expected) in [("", vec![format!("GET {registry}")]), ("example.com,0.0.0.0/8", Vec::new())] {
        let proxy = Proxy::start(Rules { servers: servers.clone(), ..Rules::default() }).await;
        let mut command = protobridge();
        command.env("HTTP_PROXY", proxy.url("")).env("NO_PROXY", exceptions);
        let checked = check(&stage, command).await;
        assert_eq!(checked.code, Some(0), "{}{}", checked.stdout, checked.stderr);
        assert_eq!(proxy.seen(), expected, "NO_PROXY={exceptions}");
    }
}

#[tokio::test]
async fn an_invalid_proxy_or_bundle_is_a_configuration_error_of_check_and_run() {
    let emulator = Emulator::embedded().await.expect("the embedded services start");
    let stage = Stage::new(&emulator).await.customer("acme", "").await;
    let config = stage.write_files();
    for (variable, value, expected) in [
        (
            "HTTPS_PROXY",
            "socks5://me:hunter2@proxy.example.com:1080",
            "error: HTTPS_PROXY: proxies of the kind `socks5` are not supported; set it to the URL of a proxy, such as \
             http://proxy.example.com:3128, or unset it\n",
        ),
        (
            "AWS_CA_BUNDLE",
            "/nonexistent/ca.pem",
            "error: AWS_CA_BUNDLE: /nonexistent/ca.pem: cannot read the file: No such file or directory (os error 2); \
             name a file of PEM certificates, or unset the variable\n",
        ),
    ] {
        for name in ["check", "run"] {
            let mut command = protobridge();
            command.arg(name).arg("--config").arg(&config).env(variable, value);
            let ended = run(command).await;
            assert_eq!((ended.code, &*ended.stderr), (Some(64), expected), "{name}");
        }
    }
}
