//! Canaries in the model of AWS, in tokio's time. Whatever fails, each canary has one fate; once all works, none is lost.

use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use protobridge::app::{App, Loaded, Prober};
use protobridge::config::{Config, Queue};
use protobridge::telemetry::{CanaryMetrics, Family, Metrics};
use tempfile::TempDir;
use tokio::time::sleep;

use super::{number, play};
use crate::model::{Faults, World};

/// The default number of seeds.
const SEEDS: u64 = 16;
/// The time in which calls fail, and the time after which nothing is left of that.
const TROUBLED: Duration = Duration::from_secs(10 * 60);
const RECOVERY: Duration = Duration::from_secs(15 * 60);
/// The time in which everything works.
const HEALTHY: Duration = Duration::from_secs(10 * 60);

#[test]
fn each_canary_has_one_fate_whatever_fails_and_none_is_lost_once_all_works() {
    for seed in 0..number("PROTOBRIDGE_FAULT_SEEDS").unwrap_or(SEEDS) {
        let mut random = Rng::with_seed(seed);
        let world_of = |faults| (World::new(seed, faults), TempDir::new().expect("a temporary folder can be created"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.expect("the runtime can be built").block_on(async {
            let (world, folder) = world_of(Faults::draw(&mut random));
            let config = config(&world, &folder);
            let [before, after] = run(&world, &config, &mut random).await;
            check(seed, before, after);
        });
    }
}

/// The counters of a prober at one moment.
#[derive(Debug, Clone, Copy)]
struct Counts {
    sent: u64,
    returned: u64,
    lost: u64,
    late: u64,
    corrupt: u64,
}

impl Counts {
    fn of(canary: &CanaryMetrics) -> Self {
        let [sent, returned, lost, late, corrupt] =
            [&canary.sent, &canary.returned, &canary.lost, &canary.late, &canary.corrupt].map(Family::sum);
        Self { sent, returned, lost, late, corrupt }
    }
}

fn check(seed: u64, before: Counts, after: Counts) {
    let place = || format!("seed {seed}: {before:?}, then {after:?}");
    for counts in [before, after] {
        // At most two canaries are on their way while all works.
        let open = counts.sent.checked_sub(counts.returned + counts.lost);
        assert!(open.is_some_and(|open| open <= 2), "each canary has one fate: {}", place());
        assert!(counts.late <= counts.lost && counts.corrupt == 0, "{}", place());
    }
    assert_eq!((before.lost, before.late), (after.lost, after.late), "{}", place());
    let expected = HEALTHY.as_secs() / 10;
    assert!((expected - 1..=expected + 1).contains(&(after.returned - before.returned)), "{}", place());
}

/// Runs the service, with a crash and a pause, and a prober. Returns the counts before and after all works.
async fn run(world: &World, config: &Config, random: &mut Rng) -> [Counts; 2] {
    let load = || Loaded::load(config).expect("the descriptor sets and customers are valid");
    let start = |instance| App::start_with(config, load(), world.clients(instance), None).expect("the service starts");
    let metrics = Arc::new(Metrics::new(false));
    let prober = Prober::new(config, &world.clients(1), &metrics).expect("the configuration has a canary");
    let _tasks = prober.start();
    let [crash, pause] = [random.u64(30..300), random.u64(0..240)].map(Duration::from_secs);
    let first = start(2);
    sleep(crash).await;
    world.crash(2);
    drop(first);
    sleep(pause).await;
    let _second = start(3);
    sleep(TROUBLED - crash - pause).await;
    world.heal();
    sleep(RECOVERY).await;
    let before = Counts::of(&metrics.canary);
    sleep(HEALTHY).await;
    [before, Counts::of(&metrics.canary)]
}

fn config(world: &World, folder: &TempDir) -> Config {
    let (source, back) = (world.create_queue("source"), world.create_queue("return"));
    let [topic, customer] = ["canary", "ada"].map(|name| world.create_topic(name));
    world.subscribe(&topic, &back);
    let mut config = play::base();
    config.receive.depth_seconds = 0;
    config.queues =
        vec![Queue { url: source, quarantine_url: Some(world.create_queue("quarantine")), ..Queue::default() }];
    config.canary.topic = Some(topic);
    config.canary.return_queue_url = Some(back);
    let file = folder.path().join("customers.yaml");
    config.route.customers_file = file.as_path().into();
    let customers = format!("customers: [{{id: ada, topic: '{customer}', canary: true}}]");
    std::fs::write(file, customers).expect("the file can be written");
    config
}
