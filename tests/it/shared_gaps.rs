//! The missing heartbeats of a source, which two replicas know together through a real Redis.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use ::redis::aio::MultiplexedConnection;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use protobridge::message::OutcomeLabel;
use protobridge::telemetry::StoreOperation;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::command::{self, protobridge};
use crate::emulator::{Emulator, scenarios};
use crate::http;
use crate::queue::Input;
use crate::redis::Redis;
use crate::stage::{Running, Stage};
use crate::wait;

scenarios! {
    both: [];
    embedded: [
        replicas_know_together_which_heartbeats_are_missing,
        the_lists_are_unknown_while_redis_is_down_and_nothing_waits_for_it,
        a_redis_that_does_not_answer_delays_no_heartbeat_and_leaves_the_lists_unknown,
        a_list_that_another_replica_replaced_is_read_again_and_not_overwritten,
        the_lists_are_unknown_while_a_replica_shares_nothing_until_it_is_forgotten,
        a_value_that_no_replica_writes_is_replaced_and_sources_beyond_the_limit_are_counted,
        a_redis_that_refuses_the_lists_still_has_the_window,
        the_documented_commands_of_redis_are_enough,
    ];
    ministack: [];
}

/// Returns a heartbeat of the source `eu` with the shortest interval, so that a number is a gap after three seconds.
fn heartbeat(number: u64) -> Input {
    heartbeat_of("eu", number)
}

fn heartbeat_of(source: &str, number: u64) -> Input {
    let mut interval = Vec::new();
    prost::encoding::uint64::encode(1, &1, &mut interval);
    let mut payload = Vec::new();
    prost::encoding::string::encode(1, &source.to_owned(), &mut payload);
    prost::encoding::uint64::encode(2, &number, &mut payload);
    prost::encoding::bytes::encode(4, &interval, &mut payload);
    Input::text(BASE64_STANDARD.encode(payload)).attribute("message-type", "protobridge.v1.Heartbeat")
}

/// The missing heartbeats as one replica shows them.
#[derive(Debug, PartialEq, Eq)]
struct Shown {
    knowledge: String,
    first: u64,
    last: u64,
    missing: BTreeSet<u64>,
}

async fn shown(replica: &Running) -> Shown {
    let status = http::get(replica.address, "/status").await.expect("the service runs").json();
    let gaps = &status["sources"]["gaps"];
    let list = &gaps["list"][0];
    let number = |value: &Value| value.as_u64().unwrap_or(0);
    let ranges = list["ranges"].as_array().cloned().unwrap_or_default();
    let missing: BTreeSet<u64> =
        ranges.iter().flat_map(|range| number(&range["first"])..=number(&range["last"])).collect();
    assert_eq!(number(&list["missing"]), missing.len() as u64, "{gaps}");
    let knowledge = gaps["knowledge"].as_str().expect("the replicas share a Redis").to_owned();
    assert_eq!(gaps["known"], knowledge.starts_with("over all replicas"), "{gaps}");
    Shown { knowledge, first: number(&list["first"]), last: number(&list["last"]), missing }
}

/// Waits until every replica shows what is expected.
async fn wait_until(replicas: &[&Running], what: &str, is_expected: impl Fn(&Shown) -> bool) {
    for replica in replicas {
        wait::until(what, async || is_expected(&shown(replica).await).then_some(())).await;
    }
}

/// Starts two replicas, whose list begins with the heartbeat 1001.
async fn replicas(stage: &mut Stage, redis: &Redis) -> [Running; 2] {
    stage.config.dedupe.redis_url = Some(redis.url());
    stage.config.dedupe.redis_timeout_ms = 5_000;
    let replicas = [stage.start().await, stage.start().await];
    stage.source.send([heartbeat(1_001)]).await;
    let has_begun = |shown: &Shown| shown.first == 1_001 && shown.knowledge == "over all replicas (2)";
    wait_until(&[&replicas[0], &replicas[1]], "the list begins", has_begun).await;
    replicas
}

async fn replicas_know_together_which_heartbeats_are_missing(emulator: &Emulator) {
    let Some(redis) = Redis::start().await else { return };
    let mut stage = Stage::new(emulator).await.customer("acme", "events: [shop.v1.OrderPlaced]").await;
    let replicas = replicas(&mut stage, &redis).await;
    let both = [&replicas[0], &replicas[1]];
    for number in (1_002..=1_020).filter(|number| ![1_007, 1_008, 1_015].contains(number)) {
        stage.source.send([heartbeat(number)]).await;
    }
    let three = BTreeSet::from([1_007, 1_008, 1_015]);
    wait_until(&both, "three are missing", |shown| shown.missing == three).await;
    stage.source.send([heartbeat(1_008)]).await;
    let two = BTreeSet::from([1_007, 1_015]);
    wait_until(&both, "one was late", |shown| shown.missing == two).await;
    both_show_the_gaps_elsewhere(both).await;

    // The source starts again with small numbers. The list begins with the numbers of the replica that shares first.
    let mut number = 0;
    wait::until("the list begins again", async || {
        number += 1;
        stage.source.send([heartbeat(number)]).await;
        let shown = shown(both[0]).await;
        (shown.first < 1_000 && shown.last < 1_000 && shown.missing.is_empty()).then_some(())
    })
    .await;
    let [first, second] = replicas;
    first.stop().await;
    wait_until(&[&second], "one replica is left", |shown| shown.knowledge == "over all replicas (1)").await;
    assert_eq!(shown(&second).await.missing, BTreeSet::new(), "the other replica shared everything before it ended");
    second.stop().await;
}

async fn the_lists_are_unknown_while_redis_is_down_and_nothing_waits_for_it(emulator: &Emulator) {
    let Some(mut redis) = Redis::start().await else { return };
    let mut stage = Stage::new(emulator).await.customer("acme", "events: [shop.v1.OrderPlaced]").await;
    let replicas = replicas(&mut stage, &redis).await;
    let both = [&replicas[0], &replicas[1]];
    redis.stop().await;
    wait_until(&both, "nothing is known", |shown| shown.knowledge.starts_with("not known at the moment: ")).await;
    assert!(!metrics(both[0]).await.contains("protobridge_source_missing_heartbeats{"));
    for number in [1_002, 1_003, 1_004, 1_006, 1_007] {
        stage.source.send([heartbeat(number)]).await;
    }
    let event = stage.event_of_type("acme", "shop.v1.OrderPlaced");
    stage.source.send([Input::body(&event)]).await;
    stage.delivered_one("acme").await;
    let heard = || both.iter().map(|replica| replica.metrics.monitor.heartbeats.sum()).sum::<u64>();
    wait::until("all heartbeats are received", async || (heard() == 6).then_some(())).await;

    // Redis has lost everything. The list begins again, with what the replicas have kept.
    redis.restart().await;
    let is_exact = |shown: &Shown| {
        let missing = [1_005].into_iter().filter(|number| shown.first < *number).collect();
        shown.last == 1_007 && shown.missing == missing
    };
    wait_until(&both, "the list is known again", is_exact).await;
    for replica in replicas {
        replica.stop().await;
    }
}

async fn metrics(replica: &Running) -> String {
    http::get(replica.address, "/metrics").await.expect("the service runs").body
}

/// The metric and the command show that the heartbeats 1007 and 1015 are missing.
async fn both_show_the_gaps_elsewhere(replicas: [&Running; 2]) {
    for replica in replicas {
        let metrics = metrics(replica).await;
        let line = r#"protobridge_source_missing_heartbeats{source="eu"} 2"#;
        assert!(metrics.lines().any(|found| found == line), "{metrics}");
    }
    let admin = replicas.map(|replica| format!("http://{}", replica.address));
    let run = async |more: &'static [&'static str]| {
        let admin = admin.clone();
        let run = move || {
            let arguments = ["sources", "--admin", &admin[0], "--admin", &admin[1]];
            command::run(protobridge().args(arguments).args(more), b"")
        };
        tokio::task::spawn_blocking(run).await.expect("the task does not panic").stdout
    };
    let table = run(&[]).await;
    let words: Vec<&str> = table.split_whitespace().collect();
    assert!(words.windows(3).any(|words| words == ["NUMBER", "MISSING", "RESTARTS"]), "{table}");
    let is_line = |line: &str| {
        line.starts_with("eu on ")
            && line.contains(" 2 missing of 1001 to 1020: 1015 (noticed ")
            && line.contains(", 1007 (")
    };
    assert!(table.lines().any(is_line), "{table}");
    let json: Value = serde_json::from_str(&run(&["--json"]).await).expect("it is JSON");
    assert_eq!(json[0]["missing"][0]["ranges"][1]["first"], 1_015, "{json}");
}

async fn a_redis_that_does_not_answer_delays_no_heartbeat_and_leaves_the_lists_unknown(emulator: &Emulator) {
    // Connections are established, and nothing reads from them.
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
    let mut stage = Stage::new(emulator).await.customer("acme", "events: [shop.v1.OrderPlaced]").await;
    let port = silent.local_addr().expect("the listener has an address").port();
    stage.config.dedupe.redis_url = Some(format!("redis://127.0.0.1:{port}"));
    // Nothing may wait for this time.
    stage.config.dedupe.redis_timeout_ms = 10_000;
    let running = stage.start().await;
    let heartbeats = async {
        for number in 1..=30 {
            stage.source.send([heartbeat(number)]).await;
        }
        running.wait_until_settled(OutcomeLabel::Filtered, 30).await;
    };
    timeout(Duration::from_secs(9), heartbeats).await.expect("no heartbeat waits for Redis");
    let shown = shown(&running).await;
    assert_eq!(shown.knowledge, "not known at the moment: the lists were not read yet");
    let drained = timeout(Duration::from_secs(9), running.stop()).await.expect("the end does not wait for Redis");
    assert_eq!(drained.returned, 0);
}

/// Returns a connection to the store, and the key of the lists, which the only replica has created.
async fn store(redis: &Redis) -> (MultiplexedConnection, String) {
    let client = ::redis::Client::open(redis.url()).expect("the URL is valid");
    let mut store = client.get_multiplexed_async_connection().await.expect("Redis answers");
    let key = wait::until("the replica is in the store", async || {
        let keys = ::redis::cmd("KEYS").arg("protobridge:heartbeats:*").query_async::<Vec<String>>(&mut store).await;
        keys.expect("Redis answers").pop()
    });
    let key = key.await;
    (store, key)
}

async fn set(store: &mut MultiplexedConnection, key: &str, field: &str, value: &str) {
    let set = ::redis::cmd("HSET").arg(key).arg(field).arg(value).query_async::<()>(store).await;
    set.expect("Redis answers");
}

/// Forwards connections to Redis. Before the first script runs, sets a field.
async fn forward(listener: tokio::net::TcpListener, redis: String, field: &'static str, value: String) {
    let target = redis.trim_start_matches("redis://").to_owned();
    let client = ::redis::Client::open(redis).expect("the URL is valid");
    let is_set = Arc::new(AtomicBool::new(false));
    while let Ok((inbound, _)) = listener.accept().await {
        let outbound = TcpStream::connect(&target).await.expect("Redis listens");
        let (mut from, mut to) = inbound.into_split();
        let (mut answers, mut requests) = outbound.into_split();
        tokio::spawn(async move { tokio::io::copy(&mut answers, &mut to).await });
        let (client, is_set, value) = (client.clone(), Arc::clone(&is_set), value.clone());
        tokio::spawn(async move {
            let mut bytes = vec![0; 65_536];
            while let Ok(count @ 1..) = from.read(&mut bytes).await {
                let is_script = bytes[..count].windows(4).any(|window| window == b"EVAL");
                if is_script && !is_set.swap(true, Ordering::SeqCst) {
                    let mut store = client.get_multiplexed_async_connection().await.expect("Redis answers");
                    let keys = ::redis::cmd("KEYS").arg("*:heartbeats:*").query_async::<Vec<String>>(&mut store).await;
                    set(&mut store, &keys.expect("Redis answers")[0], field, &value).await;
                }
                requests.write_all(&bytes[..count]).await.expect("Redis reads");
            }
        });
    }
}

async fn a_list_that_another_replica_replaced_is_read_again_and_not_overwritten(emulator: &Emulator) {
    let Some(redis) = Redis::start().await else { return };
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port is free");
    let mut stage = Stage::new(emulator).await.customer("acme", "events: [shop.v1.OrderPlaced]").await;
    let address = listener.local_addr().expect("the listener has an address");
    stage.config.dedupe.redis_url = Some(format!("redis://{address}"));
    stage.config.dedupe.redis_timeout_ms = 10_000;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("it is after 1970").as_millis();
    let missing = format!("[[3,4,{now},{now}]]");
    let other = format!(
        r#"{{"run":{{"begun":0,"lowest":1,"highest":6,"highest_sent":5,"missing":{missing}}},"written":{now}}}"#
    );
    let forwarding = tokio::spawn(forward(listener, redis.url(), "source:eu", other));
    let running = stage.start().await;
    let (_, _key) = store(&redis).await;
    stage.source.send([heartbeat(7)]).await;
    wait_until(&[&running], "the list has the numbers of both replicas", |shown| {
        (shown.first, shown.last) == (1, 7) && shown.missing == BTreeSet::from([3, 4])
    })
    .await;
    running.stop().await;
    forwarding.abort();
}

async fn the_lists_are_unknown_while_a_replica_shares_nothing_until_it_is_forgotten(emulator: &Emulator) {
    let Some(redis) = Redis::start().await else { return };
    let mut stage = Stage::new(emulator).await.customer("acme", "events: [shop.v1.OrderPlaced]").await;
    stage.config.dedupe.redis_url = Some(redis.url());
    stage.config.dedupe.redis_timeout_ms = 10_000;
    let running = stage.start().await;
    let (mut store, key) = store(&redis).await;
    for number in [1, 3] {
        stage.source.send([heartbeat(number)]).await;
    }
    let is_known = |shown: &Shown| shown.missing == BTreeSet::from([2]);
    wait_until(&[&running], "a heartbeat is missing", is_known).await;
    let (seconds, _) = ::redis::cmd("TIME").query_async::<(u64, u64)>(&mut store).await.expect("Redis answers");
    let ago = |ago: u64| ((seconds - ago) * 1_000).to_string();
    set(&mut store, &key, "replica:silent", &ago(60)).await;
    let unknown = "not known at the moment: 1 of 2 replicas have not shared their heartbeats";
    wait_until(&[&running], "a replica is silent", |shown| shown.knowledge == unknown).await;
    set(&mut store, &key, "replica:silent", &ago(400)).await;
    wait_until(&[&running], "the replica is forgotten", is_known).await;
    let left = ::redis::cmd("HEXISTS").arg(&key).arg("replica:silent").query_async::<bool>(&mut store).await;
    assert!(!left.expect("Redis answers"));
    let expires = ::redis::cmd("TTL").arg(&key).query_async::<i64>(&mut store).await.expect("Redis answers");
    assert!((1..=7 * 24 * 3_600).contains(&expires), "{expires}");
    running.stop().await;
}

async fn a_value_that_no_replica_writes_is_replaced_and_sources_beyond_the_limit_are_counted(emulator: &Emulator) {
    let Some(redis) = Redis::start().await else { return };
    let mut stage = Stage::new(emulator).await.customer("acme", "events: [shop.v1.OrderPlaced]").await;
    stage.config.dedupe.redis_url = Some(redis.url());
    stage.config.dedupe.redis_timeout_ms = 10_000;
    stage.config.heartbeats.max_sources = 2;
    let running = stage.start().await;
    let (mut store, key) = store(&redis).await;
    set(&mut store, &key, "source:eu", "of another program").await;
    stage.source.send([heartbeat(5)]).await;
    wait_until(&[&running], "the list begins", |shown| (shown.first, shown.last) == (5, 5)).await;
    assert_eq!(running.metrics.dedupe_store_invalid.sum(), 1);

    let mut plant = ::redis::pipe();
    for number in 0..300 {
        plant.hset(&key, format!("source:{number}"), "of another program");
    }
    plant.query_async::<()>(&mut store).await.expect("Redis answers");
    stage.source.send([heartbeat_of("us", 1), heartbeat(6)]).await;
    wait_until(&[&running], "the source with a list keeps it", |shown| shown.last == 6).await;
    wait::until("the other source is counted", async || {
        let status = http::get(running.address, "/status").await.expect("the service runs").json();
        (status["sources"]["gaps"]["left_out"] == 1).then_some(())
    })
    .await;
    running.stop().await;
}

/// Lets a service use Redis as a user with these rights.
async fn start_as(stage: &mut Stage, redis: &Redis, rights: &[&str]) -> Running {
    let client = ::redis::Client::open(redis.url()).expect("the URL is valid");
    let mut store = client.get_multiplexed_async_connection().await.expect("Redis answers");
    let user = ::redis::cmd("ACL").arg("SETUSER").arg("user").arg("on").arg(">secret").arg(rights).to_owned();
    user.query_async::<()>(&mut store).await.expect("Redis answers");
    stage.config.dedupe.redis_url = Some(redis.url().replace("redis://", "redis://user:secret@"));
    stage.config.dedupe.redis_timeout_ms = 10_000;
    stage.start().await
}

async fn a_redis_that_refuses_the_lists_still_has_the_window(emulator: &Emulator) {
    let Some(redis) = Redis::start().await else { return };
    let mut stage = Stage::new(emulator).await.customer("acme", "events: [shop.v1.OrderPlaced]").await;
    let running = start_as(&mut stage, &redis, &["+@all", "~protobridge:delivery:*"]).await;
    let is_refused = |shown: &Shown| shown.knowledge.contains("permissions");
    wait_until(&[&running], "the lists are refused", is_refused).await;
    let event = stage.event_of_type("acme", "shop.v1.OrderPlaced");
    stage.source.send([Input::body(&event)]).await;
    stage.delivered_one("acme").await;
    let errors = &running.metrics.dedupe_store_errors;
    assert!(errors.sum_where(|labels| labels.operation == StoreOperation::Share) > 0);
    assert_eq!(errors.sum_where(|labels| labels.operation != StoreOperation::Share), 0, "{errors:?}");
    running.stop().await;
}

async fn the_documented_commands_of_redis_are_enough(emulator: &Emulator) {
    let Some(redis) = Redis::start().await else { return };
    let page = include_str!("../../docs/delivery.md");
    let listed = page.split("needs these commands").nth(1).and_then(|text| text.split("If Redis refuses").next());
    let names = listed.expect("docs/delivery.md lists the commands").split('`').skip(1).step_by(2);
    let commands: Vec<String> =
        names.filter(|name| !name.contains(':')).map(|name| format!("+{}", name.to_lowercase())).collect();
    assert!(commands.len() > 10, "{commands:?}");
    let rights: Vec<&str> = commands.iter().map(String::as_str).chain(["~protobridge:*"]).collect();
    let mut stage = Stage::new(emulator).await.customer("acme", "events: [shop.v1.OrderPlaced]").await;
    let running = start_as(&mut stage, &redis, &rights).await;
    for number in [1, 3] {
        stage.source.send([heartbeat(number)]).await;
    }
    let event = stage.event_of_type("acme", "shop.v1.OrderPlaced");
    stage.source.send([Input::body(&event)]).await;
    stage.delivered_one("acme").await;
    wait_until(&[&running], "a heartbeat is missing", |shown| shown.missing == BTreeSet::from([2])).await;
    assert_eq!(running.metrics.dedupe_store_errors.sum(), 0, "{:?}", running.metrics.dedupe_store_errors);
    running.stop().await;
}
