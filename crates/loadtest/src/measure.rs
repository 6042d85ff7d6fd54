//! One run: an emulator, somebody who is measured against it, and what is seen of both from the outside.

use std::time::Duration;

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

use crate::backend::Backend;
use crate::emulator::ControlCommand;
use crate::emulator::stats::Stats;
use crate::process::Usage;
use crate::progress::Progress;
use crate::spec::Spec;
use crate::subject::{RunningSubject, Subject};

/// How a run goes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct RunPlan {
    pub(crate) spec: Spec,
    /// How long nothing is sent at first, in seconds; for that time the processor time of doing nothing is measured.
    pub(crate) quiet_seconds: u64,
    /// When the run ends even if there is something left, in seconds after the start.
    pub(crate) limit_seconds: Option<u64>,
    /// `publish.linger_ms` of the service.
    pub(crate) linger_ms: u64,
}

impl Default for RunPlan {
    fn default() -> Self {
        Self { spec: Spec::default(), quiet_seconds: 0, limit_seconds: None, linger_ms: 10 }
    }
}

/// What was measured.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Measured {
    /// Of the process that was measured, from start to end.
    pub(crate) cpu_ms: u64,
    /// Of the emulator, in the same time.
    pub(crate) emulator_cpu_ms: u64,
    /// Memory of the process, the most it ever was, in KiB.
    pub(crate) peak_rss_kib: u64,
    /// Processor time a second while there was nothing to do, in percent of a core.
    pub(crate) idle_cpu_percent: Option<f64>,
    /// Whether it ended with exit code 0 when it was asked to.
    pub(crate) stopped_well: bool,
    /// At the end of the run: what the figures are made of.
    pub(crate) stats: Stats,
    /// After the process has stopped: what the promises are held against.
    pub(crate) after: Stats,
    /// Two hundred moments at most.
    pub(crate) moments: Vec<Moment>,
}

/// How things were at one moment.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Moment {
    /// Since the start, in milliseconds.
    pub(crate) at_ms: u64,
    pub(crate) arrived: u64,
    pub(crate) on_queue: u64,
    pub(crate) rss_kib: u64,
    pub(crate) cpu_ms: u64,
}

/// Between two looks.
const SAMPLE_INTERVAL: Duration = Duration::from_millis(200);
/// Without any progress for so long, a run has failed.
const STALL_TIMEOUT: Duration = Duration::from_secs(120);
/// How long the subject may take to begin to poll.
const START_TIMEOUT: Duration = Duration::from_secs(120);
/// More moments than this are thinned out.
const MAX_MOMENTS: usize = 200;

/// Runs it.
///
/// # Errors
/// When one of the processes does not start, ends by itself, or gets nowhere.
pub(crate) async fn measure(plan: &RunPlan, subject: &Subject, progress: &mut Progress) -> anyhow::Result<Measured> {
    let mut backend = Backend::start(&plan.spec).await.context("the emulator")?;
    let mut running = subject.start(&plan.spec, backend.port)?;
    let measured = observe(plan, subject, &mut backend, &mut running, progress).await;
    progress.clear();
    let mut measured = match measured {
        Ok(measured) => measured,
        Err(error) => bail!("{error:#}\nthe {} logged last:\n{}", subject.name(), running.log_tail()),
    };
    if let Subject::Service { .. } = subject {
        let ended = running.process.stop(Duration::from_secs(40)).await.context("the service")?;
        measured.stopped_well = ended.success();
    }
    // A second delivery may come late, and a process that stops finishes what it has begun.
    measured.after = backend.send(ControlCommand::Stats).await?;
    Ok(measured)
}

async fn observe(
    plan: &RunPlan,
    subject: &Subject,
    backend: &mut Backend,
    running: &mut RunningSubject,
    progress: &mut Progress,
) -> anyhow::Result<Measured> {
    wait_for_poll(backend, running).await?;
    let mut measured = Measured::default();
    if plan.quiet_seconds > 0 {
        progress.message(&format!("quiet for {} s", plan.quiet_seconds));
        let before = running.process.usage()?;
        sleep(Duration::from_secs(plan.quiet_seconds)).await;
        let used = running.process.usage()?.cpu_ms - before.cpu_ms;
        measured.idle_cpu_percent = Some(used as f64 / 10.0 / plan.quiet_seconds as f64);
    }
    let before = (running.process.usage()?, backend.process.usage()?);
    let mut stats = backend.send(ControlCommand::Start).await?;
    let (mut best, mut since) = ((0, 0), Instant::now());
    loop {
        sleep(SAMPLE_INTERVAL).await;
        if let Some(ended) = running.process.child.try_wait()? {
            bail!("the {} ended by itself: {ended}", subject.name());
        }
        stats =
            backend.send(ControlCommand::Stats).await.map_err(|error| error.context(format!("{} sent", stats.sent)))?;
        let usage = running.process.usage()?;
        measured.moments.push(moment(&stats, usage, before.0));
        progress.show(&plan.spec, &stats, usage, before.0);
        let is_late = plan.limit_seconds.is_some_and(|limit| stats.elapsed_us >= limit * 1_000_000);
        if is_done(&plan.spec, &stats) || is_late {
            measured.peak_rss_kib = usage.peak_rss_kib;
            measured.cpu_ms = usage.cpu_ms - before.0.cpu_ms;
            measured.emulator_cpu_ms = backend.process.usage()?.cpu_ms - before.1.cpu_ms;
            break;
        }
        let reached = (stats.arrived.arrived, stats.sent - stats.on_queue);
        if reached > best {
            (best, since) = (reached, Instant::now());
        } else if since.elapsed() > STALL_TIMEOUT {
            bail!(
                "nothing moved for {STALL_TIMEOUT:?}: {} of {} arrived",
                stats.arrived.arrived,
                stats.arrived.expected
            );
        }
    }
    measured.stats = stats;
    thin_out(&mut measured.moments);
    Ok(measured)
}

/// Once it polls, it is ready; what it does to get there is not measured.
async fn wait_for_poll(backend: &mut Backend, running: &mut RunningSubject) -> anyhow::Result<()> {
    let since = Instant::now();
    while backend.send(ControlCommand::Stats).await?.waiting_polls == 0 {
        if let Some(ended) = running.process.child.try_wait()? {
            bail!("it ended before it polled: {ended}");
        }
        if since.elapsed() > START_TIMEOUT {
            bail!("it did not poll within {START_TIMEOUT:?}");
        }
        sleep(Duration::from_millis(20)).await;
    }
    // Checks of the start run out beside the first poll.
    sleep(Duration::from_millis(500)).await;
    Ok(())
}

/// Everything that can arrive has, and is off the queue.
fn is_done(spec: &Spec, stats: &Stats) -> bool {
    stats.sent == spec.events && stats.on_queue == refused(spec, stats)
}

/// Events on the queue that cannot arrive.
fn refused(spec: &Spec, stats: &Stats) -> u64 {
    if spec.faults.refusing.is_some() { stats.refused_on_queue } else { 0 }
}

fn moment(stats: &Stats, usage: Usage, before: Usage) -> Moment {
    Moment {
        at_ms: stats.elapsed_us / 1_000,
        arrived: stats.arrived.arrived,
        on_queue: stats.on_queue,
        rss_kib: usage.rss_kib,
        cpu_ms: usage.cpu_ms - before.cpu_ms,
    }
}

fn thin_out(moments: &mut Vec<Moment>) {
    while moments.len() > MAX_MOMENTS {
        let mut index = 0;
        moments.retain(|_| {
            index += 1;
            index % 2 == 0
        });
    }
}

impl Measured {
    /// Events that arrived at the first or only customer of theirs, counted once: deliveries over customers an event.
    pub(crate) fn events(&self, spec: &Spec) -> f64 {
        self.stats.arrived.arrived as f64 / f64::from(spec.customers_per_event())
    }

    /// Events a second, from the start to the last arrival.
    pub(crate) fn per_second(&self, spec: &Spec) -> f64 {
        self.events(spec) / (self.stats.arrived.last_us.max(1) as f64 / 1e6)
    }

    /// Processor time an event, in microseconds.
    pub(crate) fn cpu_us(&self, spec: &Spec) -> f64 {
        self.cpu_ms as f64 * 1e3 / self.events(spec).max(1.0)
    }

    /// API calls an event, where the backend tells.
    pub(crate) fn calls(&self, spec: &Spec) -> Option<f64> {
        let calls = self.stats.calls.sum().calls;
        (calls > 0).then(|| calls as f64 / self.events(spec).max(1.0))
    }

    /// Billed requests an event, where the backend tells.
    pub(crate) fn units(&self, spec: &Spec) -> Option<f64> {
        let units = self.stats.calls.sum().units;
        (units > 0).then(|| units as f64 / self.events(spec).max(1.0))
    }

    /// Deliveries that will never come: their event is not on the queue any more.
    pub(crate) fn lost(&self, spec: &Spec) -> u64 {
        let customers = u64::from(spec.customers_per_event());
        let Stats { sent, on_queue, arrived, .. } = &self.after;
        let missing = (sent * customers).saturating_sub(arrived.arrived);
        let may_come = (on_queue + arrived.quarantined) * customers;
        missing.saturating_sub(may_come).max(arrived.deleted_early)
    }

    /// What the account does not allow, a sentence each.
    pub(crate) fn broken_guarantees(&self, spec: &Spec) -> Vec<String> {
        let arrived = &self.after.arrived;
        let lost = self.lost(spec);
        let mut broken = Vec::new();
        let mut report = |count: u64, violation: &str| {
            if count > 0 {
                broken.push(format!("{count} {violation}"));
            }
        };
        report(lost, "deliveries were lost: their events are gone from the queue and did not arrive");
        report(arrived.doubled, "deliveries came twice");
        report(arrived.astray, "deliveries went to somebody whose event it is not");
        report(arrived.altered, "deliveries have another JSON than their event says");
        report(arrived.deleted_early, "events were deleted before everybody had them");
        report(arrived.quarantined, "events went into quarantine, and all of them are good");
        if !self.stopped_well {
            broken.push("the service did not exit with 0 after SIGTERM".to_owned());
        }
        broken
    }
}
