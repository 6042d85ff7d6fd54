//! One run: starts an emulator and a subject, and measures both from the outside.

mod rate;

use std::time::Duration;

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

use crate::archive::Archive;
use crate::backend::Backend;
use crate::bucket::Condition;
use crate::emulator::ControlCommand;
use crate::emulator::stats::Stats;
use crate::journal::Journal;
use crate::network::Network;
use crate::process::Usage;
use crate::progress::Progress;
use crate::replicas::ReplicaPlan;
use crate::replicas::kill::Kill;
use crate::spec::Spec;
use crate::subject::{RunningSubject, Subject};
use crate::totals::Totals;

/// The plan of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct RunPlan {
    pub(crate) spec: Spec,
    /// The duration of the quiet time before the first event, in seconds. The idle CPU time is measured during it.
    pub(crate) quiet_seconds: u64,
    /// The time after which the run ends even if events are left, in seconds after the start.
    pub(crate) limit_seconds: Option<u64>,
    /// The value of `publish.linger_ms` in the service's configuration.
    pub(crate) linger_ms: u64,
    /// The time in which the service's store does not answer. The store is then a bucket in this process.
    #[serde(default)]
    pub(crate) outage: Option<Outage>,
    /// The label of the drains of whose rate this run has half, as a steady load.
    #[serde(default)]
    pub(crate) half_of: Option<String>,
    /// The duration of that load, in seconds.
    #[serde(default)]
    pub(crate) steady_seconds: u64,
    /// The replicas of the service, if the run needs certain ones.
    #[serde(default)]
    pub(crate) replicas: Option<ReplicaPlan>,
    /// The loops of the floor or of a rival that receive, publish and delete; `None` for the default.
    #[serde(default)]
    pub(crate) loops: Option<u32>,
}

/// A time in which the service's store does not answer. In its first half requests hang, and in its second half the store
/// refuses them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Outage {
    /// The seconds from the start of the run to the begin of the outage.
    pub(crate) after_seconds: u64,
    pub(crate) seconds: u64,
}

impl Default for RunPlan {
    fn default() -> Self {
        Self {
            spec: Spec::default(),
            quiet_seconds: 0,
            limit_seconds: None,
            linger_ms: 10,
            outage: None,
            half_of: None,
            steady_seconds: 0,
            replicas: None,
            loops: None,
        }
    }
}

/// The measurements of one run.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Measured {
    /// The CPU time of the subject from the start to the end of the run.
    pub(crate) cpu_ms: u64,
    /// The CPU time of the emulator in the same period.
    pub(crate) emulator_cpu_ms: u64,
    /// The peak resident memory of the subject, in KiB.
    pub(crate) peak_rss_kib: u64,
    /// The CPU time of the subject during the quiet time, in percent of one core.
    pub(crate) idle_cpu_percent: Option<f64>,
    /// Whether the service exited with code 0 after SIGTERM; always `false` for the floor.
    pub(crate) stopped_well: bool,
    /// The CPU time of the service from the start until it exited. It stores the last rows of its journal at the end.
    #[serde(default)]
    pub(crate) cpu_until_exit_ms: u64,
    /// The peak resident memory of the service until it exited, in KiB.
    #[serde(default)]
    pub(crate) peak_until_exit_kib: u64,
    /// The statistics at the end of the run. The figures are derived from them.
    pub(crate) stats: Stats,
    /// The statistics after the subject stopped. The guarantees are checked against them.
    pub(crate) after: Stats,
    /// The sum of the counters in the service's store, if it has one.
    #[serde(default)]
    pub(crate) stored_totals: Option<Totals>,
    /// The journal in the service's store, if it has one.
    #[serde(default)]
    pub(crate) journal: Option<Journal>,
    /// The archive in the service's store, if it has one.
    #[serde(default)]
    pub(crate) archive: Option<Archive>,
    /// The calls to AWS that failed, as the service counts them; `None` if it was not asked.
    #[serde(default)]
    pub(crate) failed_calls: Option<u64>,
    /// The replica that was killed, if the plan has a kill.
    #[serde(default)]
    pub(crate) kill: Option<Kill>,
    /// Samples over the run, at most [`MAX_MOMENTS`].
    pub(crate) moments: Vec<Moment>,
}

/// A sample of the run's state.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Moment {
    /// The time since the start, in milliseconds.
    pub(crate) at_ms: u64,
    pub(crate) arrived: u64,
    pub(crate) on_queue: u64,
    pub(crate) rss_kib: u64,
    pub(crate) cpu_ms: u64,
}

/// The time between two samples.
const SAMPLE_INTERVAL: Duration = Duration::from_millis(200);
/// The time without progress after which a run fails.
const STALL_TIMEOUT: Duration = Duration::from_secs(120);
/// The time within which the subject must begin to poll.
const START_TIMEOUT: Duration = Duration::from_secs(120);
/// The most samples that are kept. Beyond it, every other sample is dropped.
const MAX_MOMENTS: usize = 200;

/// Executes the plan with the subject.
///
/// # Errors
/// Returns an error if a process does not start or exits by itself, or if the run makes no progress.
pub(crate) async fn measure(plan: &RunPlan, subject: &Subject, progress: &mut Progress) -> anyhow::Result<Measured> {
    let mut backend = Backend::start(&plan.spec).await.context("cannot start the emulator")?;
    let mut running = subject.start(plan, &backend).await?;
    let measured = observe(plan, subject, &mut backend, &mut running, progress).await;
    progress.clear();
    let (mut measured, begun) = match measured {
        Ok(measured) => measured,
        Err(error) => bail!("{error:#}\nlast log lines of the {}:\n{}", subject.name(), running.log_tail()),
    };
    let Subject::Service { .. } = subject else {
        measured.after = backend.send(ControlCommand::Stats).await?;
        return Ok(measured);
    };
    if plan.spec.network != Network::default() {
        measured.failed_calls = Some(running.failed_calls().await.context("cannot read the metrics of the service")?);
    }
    let (is_well, usage) = running.stop(Duration::from_secs(40)).await.context("cannot stop the service")?;
    measured.stopped_well = is_well;
    measured.cpu_until_exit_ms = usage.cpu_ms.saturating_sub(begun.cpu_ms);
    measured.peak_until_exit_kib = usage.peak_rss_kib;
    // Duplicates can arrive late, and a stopping service still finishes its work in flight.
    measured.after = backend.send(ControlCommand::Stats).await?;
    if plan.spec.has_store {
        let ids = backend.ids().await?;
        let journal = running.compared_journal(&plan.spec, &ids, &measured.after.arrived);
        measured.journal = Some(journal.context("cannot read the journal")?);
        measured.stored_totals = Some(running.stored_totals()?);
    }
    if plan.spec.has_archive {
        measured.archive = Some(running.compared_archive(&plan.spec).context("cannot read the archive")?);
    }
    Ok(measured)
}

/// Observes a run until its end. Also returns the usage of the subject at the start.
async fn observe(
    plan: &RunPlan,
    subject: &Subject,
    backend: &mut Backend,
    running: &mut RunningSubject,
    progress: &mut Progress,
) -> anyhow::Result<(Measured, Usage)> {
    wait_for_poll(backend, running).await?;
    let mut measured = Measured::default();
    if plan.quiet_seconds > 0 {
        progress.message(&format!("quiet for {} s", plan.quiet_seconds));
        let before = running.usage()?;
        sleep(Duration::from_secs(plan.quiet_seconds)).await;
        let used = running.usage()?.cpu_ms - before.cpu_ms;
        measured.idle_cpu_percent = Some(used as f64 / 10.0 / plan.quiet_seconds as f64);
    }
    let before = (running.usage()?, backend.process.usage()?);
    let mut stats = backend.send(ControlCommand::Start).await?;
    let (mut best, mut since) = ((0, 0), Instant::now());
    loop {
        sleep(SAMPLE_INTERVAL).await;
        if let Some(ended) = running.ended()? {
            bail!("the {} exited by itself: {ended}", subject.name());
        }
        stats = backend
            .send(ControlCommand::Stats)
            .await
            .map_err(|error| error.context(format!("after {} sent events", stats.sent)))?;
        if let (Some(outage), Some(bucket)) = (plan.outage, &running.bucket) {
            let condition = outage.condition(stats.elapsed_us);
            if bucket.set(condition) {
                let is_up = condition == Condition::Working;
                backend.send(if is_up { ControlCommand::StoreUp } else { ControlCommand::StoreDown }).await?;
            }
        }
        if let Some(change) = plan.replicas.as_ref().and_then(|replicas| replicas.change) {
            running.change(change, &stats, &mut measured.kill).await?;
        }
        let usage = running.usage()?;
        measured.moments.push(moment(&stats, usage, before.0));
        progress.show(&plan.spec, &stats, usage, before.0);
        let is_late = plan.limit_seconds.is_some_and(|limit| stats.elapsed_us >= limit * 1_000_000);
        if is_done(&plan.spec, &stats) || is_late {
            let is_planned = plan.replicas.as_ref().is_some_and(|replicas| replicas.change.is_some());
            if is_planned && (measured.kill.is_none() || !running.has_added()) {
                bail!("the run ended before a replica was killed and another one was added");
            }
            measured.peak_rss_kib = usage.peak_rss_kib;
            measured.cpu_ms = usage.cpu_ms - before.0.cpu_ms;
            measured.emulator_cpu_ms = backend.process.usage()?.cpu_ms - before.1.cpu_ms;
            break;
        }
        let reached = (stats.arrived.arrived, stats.sent - stats.on_queue);
        if reached > best {
            (best, since) = (reached, Instant::now());
        } else if since.elapsed() > STALL_TIMEOUT {
            bail!("no progress for {STALL_TIMEOUT:?}: {} of {} arrived", stats.arrived.arrived, stats.arrived.expected);
        }
    }
    measured.stats = stats;
    thin_out(&mut measured.moments);
    Ok((measured, before.0))
}

/// Waits until the subject polls. The work before its first poll is not measured.
async fn wait_for_poll(backend: &mut Backend, running: &mut RunningSubject) -> anyhow::Result<()> {
    let since = Instant::now();
    while backend.send(ControlCommand::Stats).await?.waiting_polls == 0 {
        if let Some(ended) = running.ended()? {
            bail!("the subject exited before its first poll: {ended}");
        }
        if since.elapsed() > START_TIMEOUT {
            bail!("the subject did not poll within {START_TIMEOUT:?}");
        }
        sleep(Duration::from_millis(20)).await;
    }
    // The service finishes its startup checks during its first poll.
    sleep(Duration::from_millis(500)).await;
    Ok(())
}

/// Whether all events were sent, and only events that cannot be delivered are left on the queue.
fn is_done(spec: &Spec, stats: &Stats) -> bool {
    stats.sent == spec.events && stats.on_queue == undeliverable(spec, stats)
}

/// Returns the number of events on the queue that cannot be delivered, because their topic refuses them.
fn undeliverable(spec: &Spec, stats: &Stats) -> u64 {
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

impl Outage {
    /// Returns what the store does at this time since the start, in microseconds.
    fn condition(self, elapsed_us: u64) -> Condition {
        let (from, length) = (self.after_seconds * 1_000_000, self.seconds * 1_000_000);
        match elapsed_us.checked_sub(from) {
            Some(down) if down < length / 2 => Condition::Hanging,
            Some(down) if down < length => Condition::Refusing,
            _ => Condition::Working,
        }
    }

    /// Returns the value of `archive.give_up_hold_after_seconds`: the default, or less in a short outage, so that messages
    /// are given up in each.
    pub(crate) fn give_up_seconds(self) -> u64 {
        (self.seconds / 4).clamp(2, 30)
    }

    /// Returns the value of `archive.max_buffered_bytes`: the default, or less in a short outage, so that messages are lost
    /// for the archive in each.
    pub(crate) fn buffered_bytes(self) -> u64 {
        (self.seconds << 19).min(128 << 20)
    }
}

impl Measured {
    /// Returns the number of delivered events: arrivals divided by the number of customers per event.
    pub(crate) fn events(&self, spec: &Spec) -> f64 {
        self.stats.arrived.arrived as f64 / f64::from(spec.customers_per_event())
    }

    /// Returns the events per second from the start to the last arrival.
    pub(crate) fn per_second(&self, spec: &Spec) -> f64 {
        self.events(spec) / (self.stats.arrived.last_us.max(1) as f64 / 1e6)
    }

    /// Returns the CPU time per event, in microseconds.
    pub(crate) fn cpu_us(&self, spec: &Spec) -> f64 {
        self.cpu_ms as f64 * 1e3 / self.events(spec).max(1.0)
    }

    /// Returns the CPU time per event until the subject exited, in microseconds.
    pub(crate) fn cpu_until_exit_us(&self, spec: &Spec) -> f64 {
        self.cpu_until_exit_ms as f64 * 1e3 / self.events(spec).max(1.0)
    }

    /// Returns the API calls per event, or `None` if the backend does not count calls.
    pub(crate) fn calls(&self, spec: &Spec) -> Option<f64> {
        let calls = self.stats.calls.sum().calls;
        (calls > 0).then(|| calls as f64 / self.events(spec).max(1.0))
    }

    /// Returns the billed requests per event, or `None` if the backend does not count calls.
    pub(crate) fn units(&self, spec: &Spec) -> Option<f64> {
        let units = self.stats.calls.sum().units;
        (units > 0).then(|| units as f64 / self.events(spec).max(1.0))
    }

    /// Returns the number of lost deliveries: the event is no longer on the queue, but did not arrive.
    pub(crate) fn lost(&self, spec: &Spec) -> u64 {
        let customers = u64::from(spec.customers_per_event());
        let Stats { sent, on_queue, arrived, .. } = &self.after;
        let missing = (sent * customers).saturating_sub(arrived.arrived);
        let still_possible = (on_queue + arrived.quarantined) * customers;
        missing.saturating_sub(still_possible).max(arrived.deleted_early)
    }

    /// Returns one sentence for each guarantee that the run broke.
    pub(crate) fn broken_guarantees(&self, spec: &Spec) -> Vec<String> {
        let arrived = &self.after.arrived;
        let lost = self.lost(spec);
        let mut broken = Vec::new();
        let mut report = |count: u64, violation: &str| {
            if count > 0 {
                broken.push(format!("{count} {violation}"));
            }
        };
        report(lost, "deliveries were lost: their events left the queue but did not arrive");
        let explained = self.kill.as_ref().map_or(0, |kill| kill.explained(&self.after));
        report(arrived.doubled - explained.min(arrived.doubled), "deliveries were duplicates");
        report(arrived.astray, "deliveries went to a wrong customer or had an unknown event");
        report(arrived.altered, "deliveries had unexpected JSON, or a pointer that did not lead to it");
        report(self.after.claims.orphans, "objects were stored, but no pointer leads to them");
        report(arrived.deleted_early, "events were deleted before every customer had them");
        report(arrived.quarantined, "events went into quarantine, although all are valid");
        broken.extend(self.stored_totals.iter().flat_map(|stored| stored.differences(&self.after.totals)));
        broken.extend(self.journal.iter().flat_map(|journal| journal.differences.iter().cloned()));
        broken.extend(self.archive.iter().flat_map(|archive| archive.differences.iter().cloned()));
        if !self.stopped_well {
            broken.push("the service did not exit with 0 after SIGTERM".to_owned());
        }
        broken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_hangs_and_then_refuses() {
        let outage = Outage { after_seconds: 10, seconds: 20 };
        let at = |second: u64| outage.condition(second * 1_000_000);
        assert_eq!([at(0), at(9), at(30), at(90)], [Condition::Working; 4]);
        assert_eq!([at(10), at(19)], [Condition::Hanging; 2]);
        assert_eq!([at(20), at(29)], [Condition::Refusing; 2]);
    }
}
