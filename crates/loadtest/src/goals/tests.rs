use super::*;
use crate::emulator::stats::{ArrivalStats, Stats};
use crate::measure::{Measured, RunPlan};
use crate::report::{FloorFigures, Machine};
use crate::spec::{Faults, SendSchedule};

/// Returns the measurements of a flawless drain of a thousand events.
fn drained() -> Measured {
    let mut stats = Stats { sent: 1_000, ..Stats::default() };
    stats.arrived = ArrivalStats { expected: 1_000, arrived: 1_000, last_us: 1_000_000, ..ArrivalStats::default() };
    for (operation, calls) in [("ReceiveMessage", 100), ("PublishBatch", 100), ("DeleteMessageBatch", 100)] {
        (0..calls).for_each(|_| stats.calls.add(operation, true, 10, 1));
    }
    Measured {
        cpu_ms: 50,
        after: stats.clone(),
        stats,
        stopped_well: true,
        peak_rss_kib: 50 << 10,
        ..Measured::default()
    }
}

fn plan() -> RunPlan {
    RunPlan { spec: Spec { events: 1_000, ..Spec::default() }, ..RunPlan::default() }
}

fn report(scenario: &str, plan: RunPlan, measured: Measured) -> Report {
    let floor =
        FloorFigures { events: 1_000, events_per_second: 1.0, cpu_us_per_event: 40.0, calls_per_event: Some(0.3) };
    let run = Run::new(scenario.to_owned(), String::new(), 0.0, plan, measured, vec![floor]).unwrap();
    Report {
        machine: Machine::default(),
        version: String::new(),
        variables: Vec::new(),
        runs: vec![run],
        goals: Vec::new(),
    }
}

fn missed(goals: &[Goal]) -> Vec<&str> {
    goals.iter().filter(|goal| !goal.is_met()).map(|goal| goal.name.as_str()).collect()
}

#[test]
fn a_drain_slower_than_the_floor_misses_the_session_goal_but_no_smoke_goal() {
    let report = report("drain", plan(), drained());
    assert_eq!(missed(&smoke(&report)), [""; 0]);
    assert_eq!(missed(&goals(&report)), ["CPU per event in a drain, × floor"], "50 µs, and the floor takes 40");
}

#[test]
fn a_lost_event_breaks_a_guarantee() {
    let mut measured = drained();
    measured.after.arrived.arrived = 999;
    let report = report("drain", plan(), measured);
    assert_eq!(report.runs[0].figures.lost, 1);
    assert_eq!(missed(&smoke(&report)), ["drain: broken guarantees"]);
}

#[test]
fn an_event_still_on_the_queue_is_not_lost() {
    let mut measured = drained();
    measured.after.arrived.arrived = 999;
    measured.after.on_queue = 1;
    assert_eq!(measured.lost(&plan().spec), 0);
}

#[test]
fn every_broken_guarantee_is_reported() {
    let breaks: [fn(&mut Measured); 6] = [
        |measured| measured.after.arrived.doubled = 1,
        |measured| measured.after.arrived.astray = 1,
        |measured| measured.after.arrived.altered = 1,
        |measured| measured.after.arrived.deleted_early = 1,
        |measured| measured.after.arrived.quarantined = 1,
        |measured| measured.stopped_well = false,
    ];
    for (index, break_it) in breaks.into_iter().enumerate() {
        let mut measured = drained();
        break_it(&mut measured);
        let report = report("drain", plan(), measured);
        assert!(!report.runs[0].broken.is_empty(), "breakage {index} is not reported");
        assert_eq!(missed(&smoke(&report)), ["drain: broken guarantees"], "breakage {index}");
    }
}

#[test]
fn the_smoke_goals_bound_memory_calls_and_cpu() {
    let mut measured = drained();
    measured.cpu_ms = 101;
    measured.peak_rss_kib = 151 << 10;
    (0..101).for_each(|_| measured.stats.calls.add("ReceiveMessage", true, 0, 0));
    let report = report("drain", plan(), measured);
    let expected = ["drain: peak MiB", "drain: calls per event", "drain: CPU per event, × floor"];
    assert_eq!(missed(&smoke(&report)), expected);
}

#[test]
fn the_throttled_goals_judge_rate_calls_and_share_separately() {
    let faults = Faults { quota: Some(300), ..Faults::default() };
    let plan = RunPlan { spec: Spec { faults, ..plan().spec }, limit_seconds: Some(60), ..plan() };
    let missed_with = |rate: u32, others: u32, refused: u64| {
        let mut measured = drained();
        let arrived = &mut measured.stats.arrived;
        (arrived.by_second, arrived.others_by_second, arrived.others_share) = (vec![rate; 60], vec![others; 60], 0.2);
        (0..refused).for_each(|_| measured.stats.calls.add("PublishBatch", false, 10, 1));
        let goals = goals(&report("throttled", plan.clone(), measured));
        missed(&goals).iter().map(|name| name.split_whitespace().next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(missed_with(290, 58, 9), [""; 0]);
    assert_eq!(missed_with(280, 56, 9), ["published"]);
    assert_eq!(missed_with(290, 50, 9), ["throughput"]);
    assert_eq!(missed_with(290, 58, 11), ["publishes"]);
}

#[test]
fn the_goals_for_a_throttled_topic_compare_the_others_with_the_run_without_the_quota() {
    let run = |topic_quota: Option<u32>, all: u32, others: u32| {
        let faults = Faults { topic_quota, ..Faults::default() };
        let plan = RunPlan { spec: Spec { faults, ..plan().spec }, limit_seconds: Some(40), ..plan() };
        let mut measured = drained();
        let arrived = &mut measured.stats.arrived;
        (arrived.by_second, arrived.others_by_second) = (vec![all; 40], vec![others; 40]);
        report("throttled-topic", plan, measured)
    };
    let missed_with = |all: u32, others: u32| {
        let mut report = run(None, 2_000, 1_800);
        assert!(goals(&report).iter().all(|goal| !goal.name.contains("throttled")), "one run cannot be compared");
        report.runs.extend(run(Some(100), all, others).runs);
        missed(&goals(&report))
            .iter()
            .map(|name| name.split_whitespace().next().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(missed_with(1_895, 1_800), [""; 0]);
    assert_eq!(missed_with(1_795, 1_700), ["others"]);
    assert_eq!(missed_with(1_880, 1_800), ["published"]);
}

#[test]
fn the_goals_for_the_journal_take_the_median_of_the_differences_in_pairs() {
    let run = |has_store: bool, cpu_until_exit_ms: u64, peak_mib: u64| {
        let plan = RunPlan { spec: Spec { has_store, ..plan().spec }, ..plan() };
        let peak_until_exit_kib = peak_mib << 10;
        report("journal", plan, Measured { cpu_until_exit_ms, peak_until_exit_kib, ..drained() })
    };
    let figures = |with: [(u64, u64); 3]| {
        let mut report = run(false, 30, 50);
        report.runs.extend(with.into_iter().flat_map(|(cpu_ms, mib)| run(true, cpu_ms, mib).runs));
        report.runs.extend([run(false, 20, 60), run(false, 40, 40)].into_iter().flat_map(|run| run.runs));
        let goals = goals(&report);
        missed(&goals).iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(figures([(32, 114), (90, 60), (42, 104)]), [""; 0], "2, 70 and 2 µs; 64, 0 and 64 MiB");
    assert_eq!(figures([(33, 114), (90, 60), (43, 104)]), ["CPU per event of the journal, µs, median"]);
    assert_eq!(figures([(32, 115), (22, 60), (42, 105)]), ["peak memory of the journal, MiB, median"]);
    assert!(goals(&run(false, 30, 50)).iter().all(|goal| !goal.name.contains("journal")), "there is no pair");
}

#[test]
fn the_goals_for_the_archive_compare_pairs() {
    let run = |has_archive: bool, cpu_until_exit_ms: u64, peak_mib: u64, more_calls: u64| {
        let mut measured = Measured { cpu_until_exit_ms, peak_until_exit_kib: peak_mib << 10, ..drained() };
        (0..more_calls).for_each(|_| measured.stats.calls.add("ReceiveMessage", true, 10, 1));
        report("archive", RunPlan { spec: Spec { has_archive, ..plan().spec }, ..plan() }, measured).runs
    };
    let missed_with = |cpu_ms: u64, peak_mib: u64, more_calls: u64| {
        let mut report = report("archive", plan(), drained());
        report.runs = run(false, 100, 50, 0);
        assert_eq!(goals(&report).len(), 1, "one run cannot be compared");
        report.runs.extend(run(true, cpu_ms, peak_mib, more_calls));
        missed(&goals(&report))
            .iter()
            .map(|name| name.split_whitespace().next().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(missed_with(150, 210, 5), [""; 0]);
    assert_eq!(missed_with(151, 210, 5), ["CPU"]);
    assert_eq!(missed_with(150, 211, 5), ["peak"]);
    assert_eq!(missed_with(150, 210, 7), ["calls"]);
}

#[test]
fn an_outage_of_the_store_must_not_delay_deliveries() {
    let missed_with = |up: f64, down: f64| {
        let mut measured = drained();
        measured.after.arrived.while_store_up.p95 = up;
        measured.after.arrived.while_store_down.p95 = down;
        let outage = Some(crate::measure::Outage { after_seconds: 3, seconds: 8 });
        missed(&goals(&report("store-down", RunPlan { outage, ..plan() }, measured))).len()
    };
    assert_eq!([(20.0, 40.0), (2.0, 12.0), (20.0, 5.0)].map(|(up, down)| missed_with(up, down)), [0, 0, 0]);
    assert_eq!([(20.0, 41.0), (2.0, 13.0)].map(|(up, down)| missed_with(up, down)), [1, 1]);
    assert_eq!(missed_with(20.0, 0.0), 1, "nothing arrived during the outage");
}

#[test]
fn the_goals_for_large_events_compare_pairs_of_the_same_load() {
    // Memory and publishes of backlogs, and the latency of steady loads.
    let run = |large_percent: u32, is_backlog: bool, (peak_mib, publishes, p95, puts): (u64, u64, f64, u64)| {
        let send_schedule = if is_backlog { SendSchedule::AtOnce } else { SendSchedule::Steady { per_second: 300.0 } };
        let mut measured = Measured { peak_until_exit_kib: peak_mib << 10, ..drained() };
        measured.after.arrived.small_in_service.p95 = p95;
        measured.after.claims.pointers = u64::from(large_percent) * 10;
        (0..publishes).for_each(|_| measured.after.calls.add("PublishBatch", true, 10, 1));
        (0..puts).for_each(|_| measured.after.calls.add("PutObject", true, 1, 0));
        let spec = Spec { large_percent, send_schedule, ..plan().spec };
        report("large-events", RunPlan { spec, ..plan() }, measured).runs
    };
    let missed_with = |backlog: (u64, u64, f64, u64), steady: (u64, u64, f64, u64)| {
        let mut report = report("large-events", plan(), drained());
        report.runs = run(0, true, (50, 0, 90.0, 0));
        assert_eq!(goals(&report).len(), 1, "one run cannot be compared");
        report.runs.extend([run(1, true, backlog), run(0, false, (90, 90, 5.0, 0)), run(1, false, steady)].concat());
        missed(&goals(&report)).iter().map(|name| name.split(' ').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(missed_with((178, 30, 900.0, 10), (999, 999, 30.0, 10)), [""; 0]);
    assert_eq!(missed_with((179, 30, 900.0, 10), (999, 999, 30.0, 10)), ["peak"]);
    assert_eq!(missed_with((178, 40, 900.0, 10), (999, 999, 30.0, 10)), ["publishes"]);
    assert_eq!(missed_with((178, 30, 900.0, 10), (999, 999, 30.1, 10)), ["p95"]);
    assert_eq!(missed_with((178, 30, 900.0, 10), (999, 999, 30.0, 11)), ["PUTs"]);
}
