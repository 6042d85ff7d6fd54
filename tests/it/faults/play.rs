//! Plays a scenario in a world of its own, on one thread and in tokio's time.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use protobridge::app::{App, Loaded};
use protobridge::config::{Config, Queue};
use protobridge::message::OutcomeLabel;
use protobridge::route::Routes;
use protobridge::schema::registry::Registry;
use tempfile::TempDir;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::scenario::{CUSTOMERS, End, Expect, Life, Scenario, Setup};
use crate::model::World;
use crate::model::log::{Entry, What};

/// What was played.
#[derive(Debug)]
pub(super) struct Played {
    pub(super) log: Vec<Entry>,
    /// The ids that the messages of the scenario got, in order.
    pub(super) ids: Vec<String>,
    /// The ids of the messages that are still on the source.
    pub(super) left: BTreeSet<String>,
    /// The runs of the service that came to their end by themselves.
    pub(super) ended: Vec<Ended>,
    /// The most messages that were in flight in any run of the service, where that was looked at.
    pub(super) most_in_flight: usize,
}

/// One run of the service that was stopped, by its own account.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) instance: u32,
    pub(super) received: u64,
    pub(super) settled: u64,
    /// Of those, what was published.
    pub(super) published: u64,
    /// Messages of which no account was closed.
    pub(super) open: u64,
}

/// The budget of a scenario with a small one: room for two polls.
pub(super) const SMALL_BUDGET: usize = 20;
/// Of a retry, in seconds.
pub(super) const LONGEST_DELAY: u64 = 20;
const WAIT: Duration = Duration::from_secs(20);
/// After the last fault, everything has to be done in this time.
const PATIENCE: Duration = Duration::from_secs(30 * 60);

/// Plays a scenario from beginning to end.
pub(super) fn play(scenario: &Scenario) -> Played {
    // Loading draws from the thread's chance, too.
    drop(parts(scenario.setup));
    fastrand::seed(scenario.seed);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    runtime.expect("there can be a runtime").block_on(stage(scenario))
}

/// What the replicas of a scenario have in common.
#[derive(Debug)]
struct Common {
    world: World,
    config: Config,
    setup: Setup,
    watched: bool,
    over: CancellationToken,
}

async fn stage(scenario: &Scenario) -> Played {
    let world = World::new(scenario.seed, scenario.faults);
    let suffix = if scenario.fifo { ".fifo" } else { "" };
    let source = world.create_queue(&format!("source{suffix}"));
    let quarantine = scenario.quarantine.then(|| world.create_queue(&format!("quarantine{suffix}")));
    for customer in 0..scenario.setup.customers {
        world.create_topic(&scenario.setup.topic(customer));
    }
    let common = Arc::new(Common {
        world: world.clone(),
        config: config(scenario, &source, quarantine),
        setup: scenario.setup,
        watched: scenario.small_budget,
        over: CancellationToken::new(),
    });
    let began = Instant::now();
    let replicas: Vec<_> = scenario
        .replicas
        .iter()
        .enumerate()
        .map(|(number, lives)| {
            let (common, lives) = (Arc::clone(&common), lives.clone());
            tokio::spawn(replica(common, 100 * (number as u32 + 1), lives))
        })
        .collect();
    for (at, hold) in scenario.competitors.clone() {
        let (world, source) = (world.clone(), source.clone());
        tokio::spawn(async move {
            sleep_until(began + at).await;
            world.compete(&source, hold);
        });
    }
    let mut ids = Vec::with_capacity(scenario.messages.len());
    for planned in &scenario.messages {
        sleep_until(began + planned.at).await;
        ids.push(world.send(&source, planned.message.clone()));
    }
    sleep_until(began + scenario.troubled).await;
    world.heal();

    let stays = |planned: &Expect| matches!(planned, Expect::Quarantined(_)) && !scenario.quarantine;
    let staying: BTreeSet<String> = ids
        .iter()
        .zip(&scenario.messages)
        .filter(|(_, planned)| stays(&planned.expect))
        .map(|(id, _)| id.clone())
        .collect();
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline && world.messages(&source) != staying {
        sleep(Duration::from_millis(500)).await;
    }
    common.over.cancel();
    let (mut ended, mut most_in_flight) = (Vec::new(), 0);
    for replica in replicas {
        let (of_replica, most) = replica.await.expect("a replica does not panic");
        ended.extend(of_replica);
        most_in_flight = most_in_flight.max(most);
    }
    Played { log: world.log(), ids, left: world.messages(&source), ended, most_in_flight }
}

/// One replica through its lives, the last of which ends when all is over.
async fn replica(common: Arc<Common>, mut instance: u32, lives: Vec<Life>) -> (Vec<Ended>, usize) {
    let (mut ended, mut most_in_flight) = (Vec::new(), 0);
    for life in lives {
        most_in_flight = most_in_flight.max(live(&common, instance, Some(life), &mut ended).await);
        sleep(life.pause).await;
        instance += 1;
    }
    most_in_flight = most_in_flight.max(live(&common, instance, None, &mut ended).await);
    (ended, most_in_flight)
}

/// One run of the service. Returns the most messages that were in flight.
async fn live(common: &Common, instance: u32, life: Option<Life>, ended: &mut Vec<Ended>) -> usize {
    let world = &common.world;
    let mut app = loop {
        let clients = world.clients(instance);
        match App::start_with(&common.config, parts(common.setup), clients).await {
            Ok(app) => break app,
            // Whoever runs it starts it again.
            Err(_) => sleep(Duration::from_secs(1)).await,
        }
    };
    world.note(Some(instance), What::Started);
    let mut most_in_flight = 0;
    let until = life.map(|life| Instant::now() + life.runs);
    loop {
        let step = Instant::now() + Duration::from_secs(if common.watched { 1 } else { 3_600 });
        let next = until.map_or(step, |until| until.min(step));
        tokio::select! {
            biased;
            () = common.over.cancelled(), if life.is_none() => break,
            defect = app.failed() => panic!("a task of the service ended: {defect}"),
            () = sleep_until(next) => {}
        }
        if common.watched {
            most_in_flight = most_in_flight.max(in_flight(&app));
        }
        if until.is_some_and(|until| until <= Instant::now()) {
            break;
        }
    }
    let limit = match life.map(|life| life.end) {
        Some(End::Crash) => Duration::ZERO,
        Some(End::Kill(limit)) => limit,
        Some(End::Stop) | None => Duration::MAX,
    };
    let metrics = Arc::clone(app.metrics());
    if !limit.is_zero() {
        world.note(Some(instance), What::Stopping);
    }
    let drained = if limit.is_zero() { None } else { timeout(limit, app.stop()).await.ok() };
    let Some(drained) = drained else {
        world.crash(instance);
        return most_in_flight;
    };
    world.stopped(instance, drained.returned);
    ended.push(Ended {
        instance,
        received: metrics.received.sum(),
        settled: metrics.settled.sum(),
        published: metrics.settled.sum_where(|labels| labels.outcome == OutcomeLabel::Published),
        open: metrics.in_flight.sum(),
    });
    most_in_flight
}

/// Messages in flight by the service's own account.
fn in_flight(app: &App) -> usize {
    let text = app.metrics().render();
    let value = text.lines().find_map(|line| line.strip_prefix("protobridge_messages_in_flight "));
    value.and_then(|value| value.parse::<f64>().ok()).unwrap_or_default() as usize
}

fn config(scenario: &Scenario, source: &str, quarantine: Option<String>) -> Config {
    let mut config = base();
    config.queues = vec![Queue { url: source.to_owned(), quarantine_url: quarantine, ..Queue::default() }];
    config.visibility.timeout_seconds = scenario.visibility_seconds;
    if scenario.small_budget {
        config.receive.max_in_flight_messages = SMALL_BUDGET;
        config.receive.max_in_flight_bytes = 2 * 1024 * 1024;
    }
    config
}

fn base() -> Config {
    let mut config = Config::default();
    config.aws.region = Some("eu-west-1".to_owned());
    config.receive.max_pollers = 3;
    config.receive.wait_seconds = WAIT.as_secs() as u32;
    config.descriptors.path = Path::new(env!("CARGO_MANIFEST_DIR")).join("descriptors");
    let paths = |paths: &[&str]| paths.iter().map(|path| (*path).to_owned()).collect();
    config.taps.customer = paths(&["meta.tenant_id"]);
    config.taps.event_id = paths(&["meta.event_id"]);
    config.taps.ordering = paths(&["order_id"]);
    config.retry.min_seconds = 1;
    config.retry.max_seconds = LONGEST_DELAY as u32;
    config.retry.unknown_type_grace_seconds = 15;
    config.shutdown.drain_timeout_seconds = 15;
    // Files are read in real time.
    config.descriptors.reload = false;
    config.route.check_topics = false;
    config.admin.listen = ([127, 0, 0, 1], 0).into();
    config
}

/// Descriptor sets and customers, loaded once for all lives that have the same.
fn parts(setup: Setup) -> Loaded {
    type Definitions = (Arc<Registry>, Arc<Routes>);
    static LOADED: OnceLock<std::sync::Mutex<BTreeMap<Setup, Definitions>>> = OnceLock::new();
    let mut loaded = LOADED.get_or_init(Default::default).lock().expect("the customers are good");
    let (registry, routes) = loaded.entry(setup).or_insert_with(|| {
        let parts = load(setup);
        (parts.registry, parts.routes)
    });
    Loaded { registry: Arc::clone(registry), routes: Arc::clone(routes), schemas: None, warnings: Vec::new() }
}

fn load(setup: Setup) -> Loaded {
    let topic = |name: &str| format!("arn:aws:sns:eu-west-1:000000000000:{name}");
    let mut customers = "customers:\n".to_owned();
    for (number, id) in CUSTOMERS.iter().enumerate().take(setup.customers) {
        customers += &format!("  - {{id: {id}, topic: '{}'}}\n", topic(&setup.topic(number)));
    }
    customers += &format!("  - {{id: dora, topic: '{}', enabled: false}}\n", topic("dora"));
    customers += &format!("  - {{id: ella, topic: '{}', events: [shop.v1.PaymentCaptured]}}\n", topic("ella"));
    let folder = TempDir::new().expect("there is a place for temporary files");
    let mut config = base();
    config.route.customers_file = folder.path().join("customers.yaml");
    std::fs::write(&config.route.customers_file, customers).expect("it can be written");
    Loaded::load(&config).expect("descriptor sets and customers are good")
}
