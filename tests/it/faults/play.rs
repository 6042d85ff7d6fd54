//! Plays a scenario in its own world, on one thread and in tokio's time.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use protobridge::app::{App, Loaded};
use protobridge::config::{Config, FallbackPolicy, Profile, Queue};
use protobridge::message::OutcomeLabel;
use protobridge::route::Routes;
use protobridge::schema::registry::Registry;
use tempfile::TempDir;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::archive;
use super::claims;
use super::hazard::Planted;
use super::scenario::{CUSTOMERS, End, Expect, FALLBACK, MAX_ENTRY_BYTES, Run, SLIM, Scenario, Setup};
use crate::model::World;
use crate::model::attempts::Attempt;
use crate::model::claims::Claims;
use crate::model::log::{Entry, What};

/// The result of a scenario.
#[derive(Debug)]
pub(super) struct Played {
    pub(super) log: Vec<Entry>,
    /// The entries in calls to publish, in the order of the calls.
    pub(super) attempts: Vec<Attempt>,
    /// What the service stored for claim checks.
    pub(super) claims: Claims,
    /// The message ids of the scenario's messages, in order.
    pub(super) ids: Vec<Arc<str>>,
    /// The ids of the messages that are still on the source queue.
    pub(super) left: BTreeSet<Arc<str>>,
    /// The ids of the messages in the dead-letter queue.
    pub(super) dead: BTreeSet<Arc<str>>,
    /// The runs of the service that stopped by themselves, as opposed to those that crashed.
    pub(super) ended: Vec<Ended>,
    /// The largest number of messages in flight in any run of the service, or zero if it was not watched.
    pub(super) most_in_flight: usize,
}

/// The counters of one run of the service that stopped by itself.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) instance: u32,
    pub(super) received: u64,
    pub(super) settled: u64,
    /// The number of settled messages with the outcome `published`.
    pub(super) published: u64,
    /// The settled messages that were abandoned, at the end of a drain that took too long.
    pub(super) abandoned: u64,
    /// The number of messages still in flight.
    pub(super) open: u64,
}

/// The in-flight budget of a scenario with a small budget, in messages: room for two polls.
pub(super) const SMALL_BUDGET: usize = 20;
/// The longest delay of a retry, in seconds.
pub(super) const LONGEST_DELAY: u64 = 20;
/// The longest time that a segment of the journal covers, in seconds.
pub(super) const SEGMENT_SECONDS: u64 = 5;
const WAIT: Duration = Duration::from_secs(20);
/// The time after the last fault in which every message must reach its outcome.
const PATIENCE: Duration = Duration::from_secs(30 * 60);

/// Plays a scenario from beginning to end.
pub(super) fn play(scenario: &Scenario) -> Played {
    play_with(scenario, None, None)
}

/// Plays a scenario in which every run of the service keeps a journal, in a store of its own: a folder in `stores` with
/// the number of the run as its name.
///
/// Tokio's time stands still while a thread writes a file, so the store takes no time.
pub(super) fn play_with_stores(scenario: &Scenario, stores: &Path) -> Played {
    play_with(scenario, Some(stores.to_owned()), None)
}

/// Plays a scenario in which every run of the service keeps an archive, in a store of its own like
/// [`play_with_stores`].
pub(super) fn play_with_archives(scenario: &Scenario, stores: &Path, archive: &archive::Setup) -> Played {
    play_with(scenario, Some(stores.to_owned()), Some(archive.clone()))
}

fn play_with(scenario: &Scenario, stores: Option<PathBuf>, archive: Option<archive::Setup>) -> Played {
    // Load before seeding, because loading draws from the thread's random numbers, too.
    drop(parts(scenario.setup));
    fastrand::seed(scenario.seed);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("the runtime can be built").block_on(stage(scenario, stores, archive))
}

/// The parts of a scenario that its replicas share.
#[derive(Debug)]
struct Common {
    world: World,
    config: Config,
    setup: Setup,
    watched: bool,
    finished: CancellationToken,
    /// The folder of the stores, if the runs have stores.
    stores: Option<PathBuf>,
    /// The archive, if the runs have one instead of a journal.
    archive: Option<archive::Setup>,
}

impl Common {
    /// Returns the configuration of a run.
    fn config(&self, instance: u32) -> Cow<'_, Config> {
        let Some(stores) = &self.stores else { return Cow::Borrowed(&self.config) };
        let mut config = self.config.clone();
        config.store.url = Some(format!("file://{}", stores.join(instance.to_string()).display()));
        config.journal.segment_seconds = SEGMENT_SECONDS;
        if let Some(archive) = &self.archive {
            config.journal.enabled = false;
            config.archive = archive.settings.clone();
        }
        Cow::Owned(config)
    }
}

async fn stage(scenario: &Scenario, stores: Option<PathBuf>, archive: Option<archive::Setup>) -> Played {
    let world = World::new(scenario.seed, scenario.faults);
    let suffix = if scenario.fifo { ".fifo" } else { "" };
    let source = world.create_queue(&format!("source{suffix}"));
    let quarantine = scenario.quarantine.then(|| world.create_queue(&format!("quarantine{suffix}")));
    let dead_letters = world.create_queue(&format!("dead-letters{suffix}"));
    if let Some(max_receives) = scenario.hazard.as_ref().and_then(|planted| planted.max_receives) {
        world.set_redrive(&source, &dead_letters, max_receives);
    }
    for number in scenario.setup.topics() {
        world.create_topic(&scenario.setup.topic(number));
    }
    scenario.references.store(&world);
    let common = Arc::new(Common {
        world: world.clone(),
        config: config(scenario, &source, quarantine),
        setup: scenario.setup,
        watched: scenario.small_budget,
        finished: CancellationToken::new(),
        stores,
        archive,
    });
    let began = Instant::now();
    if let (Some(archive), Some(stores)) = (&common.archive, &common.stores) {
        for (from, until) in archive.outages.clone() {
            let archives: Vec<PathBuf> =
                instances(scenario).map(|instance| stores.join(format!("{instance}/archive"))).collect();
            tokio::spawn(async move {
                sleep_until(began + from).await;
                archives.iter().for_each(|archive| break_folder(archive));
                sleep_until(began + until).await;
                archives.iter().for_each(|archive| repair_folder(archive));
            });
        }
    }
    let replicas: Vec<_> = scenario
        .replicas
        .iter()
        .enumerate()
        .map(|(number, runs)| {
            let (common, runs) = (Arc::clone(&common), runs.clone());
            tokio::spawn(replica(common, 100 * (number as u32 + 1), runs))
        })
        .collect();
    for (at, hold) in scenario.competitors.clone() {
        let (world, source) = (world.clone(), source.clone());
        tokio::spawn(async move {
            sleep_until(began + at).await;
            world.compete(&source, hold);
        });
    }
    if let Some(Planted { targets, trouble, from, until, .. }) = &scenario.hazard {
        let (world, targets, trouble) = (world.clone(), targets.clone(), *trouble);
        let (from, until) = (began + *from, began + *until);
        tokio::spawn(async move {
            sleep_until(from).await;
            targets.iter().for_each(|target| world.break_target(target.clone(), trouble));
            sleep_until(until).await;
            targets.iter().for_each(|target| world.heal_target(target));
        });
    }
    let mut ids = Vec::with_capacity(scenario.messages.len());
    for planned in &scenario.messages {
        sleep_until(began + planned.at).await;
        ids.push(world.send(&source, planned.message.clone()));
    }
    sleep_until(began + scenario.troubled).await;
    world.heal();

    let stays = |expect: &Expect| expect.quarantined().is_some() && !scenario.quarantine;
    let staying: BTreeSet<Arc<str>> = ids
        .iter()
        .zip(&scenario.messages)
        .filter(|(_, planned)| stays(&planned.expect))
        .map(|(id, _)| Arc::clone(id))
        .collect();
    // The checks find the messages that are left after this time.
    let _is_only = timeout(PATIENCE, world.until_only(&source, &staying)).await;
    common.finished.cancel();
    let (mut ended, mut most_in_flight) = (Vec::new(), 0);
    for replica in replicas {
        let (of_replica, most) = replica.await.expect("a replica does not panic");
        ended.extend(of_replica);
        most_in_flight = most_in_flight.max(most);
    }
    let (left, dead) = (world.messages(&source), world.messages(&dead_letters));
    let (log, attempts, claims) = (world.take_log(), world.take_attempts(), world.claims());
    Played { log, attempts, claims, ids, left, dead, ended, most_in_flight }
}

/// Returns the numbers of all runs of the service.
fn instances(scenario: &Scenario) -> impl Iterator<Item = u32> {
    let runs = |(number, runs): (usize, &Vec<Run>)| {
        let first = 100 * (number as u32 + 1);
        first..=first + runs.len() as u32
    };
    scenario.replicas.iter().enumerate().flat_map(runs)
}

/// Puts a file in the place of a folder, so that nothing can be written below it.
fn break_folder(folder: &Path) {
    if folder.is_dir() {
        std::fs::rename(folder, folder.with_extension("away")).expect("the folder can be moved");
    }
    std::fs::create_dir_all(folder.parent().expect("it is in a folder")).expect("the folder can be created");
    std::fs::write(folder, "").expect("the file can be written");
}

/// Undoes [`break_folder`], if it is not undone.
pub(super) fn repair_folder(folder: &Path) {
    if !folder.is_file() {
        return;
    }
    std::fs::remove_file(folder).expect("the file can be removed");
    let away = folder.with_extension("away");
    if away.is_dir() {
        std::fs::rename(away, folder).expect("the folder can be moved");
    }
}

/// Runs one replica: first its planned runs, then a last run until the scenario is finished.
async fn replica(common: Arc<Common>, mut instance: u32, runs: Vec<Run>) -> (Vec<Ended>, usize) {
    let (mut ended, mut most_in_flight) = (Vec::new(), 0);
    for run in runs {
        most_in_flight = most_in_flight.max(run_service(&common, instance, Some(run), &mut ended).await);
        sleep(run.pause).await;
        instance += 1;
    }
    most_in_flight = most_in_flight.max(run_service(&common, instance, None, &mut ended).await);
    (ended, most_in_flight)
}

/// Runs the service once: for as long as `run` says, or until the scenario is finished if `run` is `None`. Returns the
/// largest number of messages in flight.
async fn run_service(common: &Common, instance: u32, run: Option<Run>, ended: &mut Vec<Ended>) -> usize {
    let world = &common.world;
    let app = App::start_with(&common.config(instance), parts(common.setup), world.clients(instance), None);
    let mut app = app.expect("the service starts");
    world.note(Some(instance), What::Started);
    let mut most_in_flight = 0;
    let until = run.map(|run| Instant::now() + run.duration);
    loop {
        let step = Instant::now() + Duration::from_secs(if common.watched { 1 } else { 3_600 });
        let next = until.map_or(step, |until| until.min(step));
        tokio::select! {
            biased;
            () = common.finished.cancelled(), if run.is_none() => break,
            defect = app.failed() => panic!("a task of the service ended: {defect}"),
            () = sleep_until(next) => {}
        }
        if common.watched {
            most_in_flight = most_in_flight.max(app.metrics().in_flight_messages.get() as usize);
        }
        if until.is_some_and(|until| until <= Instant::now()) {
            break;
        }
    }
    let limit = match run.map(|run| run.end) {
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
        abandoned: metrics.settled.sum_where(|labels| labels.outcome == OutcomeLabel::Abandoned),
        open: metrics.in_flight.sum(),
    });
    most_in_flight
}

fn config(scenario: &Scenario, source: &str, quarantine: Option<String>) -> Config {
    let mut config = base();
    config.queues = vec![Queue { url: source.to_owned(), quarantine_url: quarantine, ..Queue::default() }];
    config.visibility.timeout_seconds = scenario.visibility_seconds;
    config.dedupe.window_seconds = scenario.window.as_secs();
    scenario.references.configure(&mut config);
    if scenario.setup.claims != claims::NONE {
        claims::configure(&mut config);
    }
    // No check depends on the gauges of the queue, and each request of its attributes costs as much as an event.
    if !scenario.seed.is_multiple_of(8) {
        config.receive.depth_seconds = 0;
    }
    if scenario.small_budget {
        config.receive.max_in_flight_messages = SMALL_BUDGET;
        config.receive.max_in_flight_bytes = 2 * 1024 * 1024;
    }
    config
}

/// Returns the configuration that all scenarios share.
pub(crate) fn base() -> Config {
    let mut config = Config::default();
    config.aws.region = Some("eu-west-1".to_owned());
    config.receive.max_pollers = 3;
    config.receive.wait_seconds = WAIT.as_secs() as u32;
    config.receive.depth_seconds = 300;
    config.descriptors.path = Path::new(env!("CARGO_MANIFEST_DIR")).join("descriptors").into();
    let paths = |paths: &[&str]| paths.iter().map(|path| (*path).to_owned()).collect();
    config.taps.customer = paths(&["meta.tenant_id"]);
    config.taps.event_id = paths(&["meta.event_id"]);
    config.taps.ordering = paths(&["order_id"]);
    config.retry.min_seconds = 1;
    config.retry.max_seconds = LONGEST_DELAY as u32;
    config.retry.unknown_type_grace_seconds = 15;
    config.shutdown.drain_timeout_seconds = 15;
    // Reloading reads files in real time, which a replay cannot repeat.
    config.descriptors.reload = false;
    config.route.check_topics = false;
    config.publish.max_batch_bytes = MAX_ENTRY_BYTES;
    let drop = paths(&["source", "sent_at"]);
    config.profiles.insert("slim".to_owned(), Profile { drop, ..Profile::default() });
    config.admin.listen = ([127, 0, 0, 1], 0).into();
    config
}

/// Returns the descriptor sets and customers. They are loaded once for all scenarios with the same setup.
pub(crate) fn parts(setup: Setup) -> Loaded {
    type Definitions = (Arc<Registry>, Arc<Routes>);
    static LOADED: OnceLock<std::sync::Mutex<BTreeMap<Setup, Definitions>>> = OnceLock::new();
    let mut loaded = LOADED.get_or_init(Default::default).lock().expect("no thread panicked while it held the lock");
    let (registry, routes) = loaded.entry(setup).or_insert_with(|| {
        let loaded = load(setup);
        (loaded.registry, loaded.routes)
    });
    Loaded {
        registry: Arc::clone(registry),
        routes: Arc::clone(routes),
        schemas: Default::default(),
        warnings: Vec::new(),
        sources: Default::default(),
    }
}

fn load(setup: Setup) -> Loaded {
    let topic = |name: &str| format!("arn:aws:sns:eu-west-1:000000000000:{name}");
    let mut customers = "customers:\n".to_owned();
    for (number, id) in CUSTOMERS.iter().enumerate().take(setup.customers) {
        let profile = if number == SLIM { "slim" } else { "default" };
        let (topic, claim) = (topic(&setup.topic(number)), setup.claims[number].mode());
        customers += &format!("  - {{id: {id}, topic: '{topic}', profile: {profile}, claim_check: '{claim}'}}\n");
    }
    customers += &format!("  - {{id: dora, topic: '{}', enabled: false}}\n", topic("dora"));
    customers += &format!("  - {{id: ella, topic: '{}', events: [shop.v1.PaymentCaptured]}}\n", topic("ella"));
    let folder = TempDir::new().expect("a temporary folder can be created");
    let mut config = base();
    let file = folder.path().join("customers.yaml");
    config.route.customers_file = file.as_path().into();
    claims::configure(&mut config);
    if setup.has_fallback {
        config.route.unknown_customer = FallbackPolicy::Topic(topic(&setup.topic(FALLBACK)));
    }
    std::fs::write(file, customers).expect("the file can be written");
    Loaded::load(&config).expect("the descriptor sets and customers are valid")
}
