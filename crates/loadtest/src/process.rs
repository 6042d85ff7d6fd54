//! Other processes: the emulator, and whoever is measured.

use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// A child in a process group of its own, so that Ctrl-C is ours to act on. It is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) child: Child,
    id: u32,
}

/// What the kernel says of a process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Processor time, user and system, of all its threads, those that have ended included; in milliseconds.
    pub(crate) cpu_ms: u64,
    /// Resident memory, in KiB.
    pub(crate) rss_kib: u64,
    /// The most it ever was, in KiB.
    pub(crate) peak_rss_kib: u64,
}

impl Process {
    /// Starts it.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(crate) fn start(command: &mut Command) -> anyhow::Result<Self> {
        let name = command.as_std().get_program().to_owned();
        let child = command.kill_on_drop(true).process_group(0).spawn();
        let child = child.with_context(|| format!("cannot start {}", Path::new(&name).display()))?;
        let id = child.id().context("it has ended already")?;
        Ok(Self { child, id })
    }

    /// What it has used so far.
    ///
    /// # Errors
    /// When it has ended.
    pub(crate) fn usage(&self) -> anyhow::Result<Usage> {
        let read = |file: &str| std::fs::read_to_string(format!("/proc/{}/{file}", self.id));
        let (stat, status) = (read("stat")?, read("status")?);
        Usage::parse(&stat, &status).context("/proc says nothing of it")
    }

    /// Asks it to stop, and waits until it has.
    ///
    /// # Errors
    /// When it does not stop in time.
    pub(crate) async fn stop(&mut self, within: Duration) -> anyhow::Result<ExitStatus> {
        // The one way to send a signal without unsafe code or a crate for it.
        let id = self.id.to_string();
        Command::new("kill").args(["-TERM", &id]).stderr(Stdio::null()).status().await.context("cannot run kill")?;
        match timeout(within, self.child.wait()).await {
            Ok(ended) => Ok(ended?),
            Err(_) => bail!("it did not stop within {within:?} of SIGTERM"),
        }
    }
}

/// Ticks a second of the times in /proc/PID/stat; Linux has had no other value on these platforms for decades.
const TICKS_PER_SECOND: u64 = 100;

impl Usage {
    fn parse(stat: &str, status: &str) -> Option<Self> {
        // The name in parentheses may hold anything; utime and stime are the 12th and 13th field after it (proc(5)).
        let (_, fields) = stat.rsplit_once(')')?;
        let mut times = fields.split_whitespace().skip(11).map(str::parse::<u64>);
        let (user, system) = (times.next()?.ok()?, times.next()?.ok()?);
        let kib = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
            line.trim().strip_suffix(" kB")?.parse().ok()
        };
        Some(Self {
            cpu_ms: (user + system) * 1_000 / TICKS_PER_SECOND,
            rss_kib: kib("VmRSS")?,
            peak_rss_kib: kib("VmHWM")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_is_read_whatever_the_process_is_called() {
        let stat = "42 (a b) c) S 1 2 3 4 5 6 7 8 9 10 150 27 0 0 20 0";
        let status = "Name:\ta b) c\nVmHWM:\t   40960 kB\nVmRSS:\t   20480 kB\n";
        let usage = Usage::parse(stat, status).unwrap();
        assert_eq!(usage, Usage { cpu_ms: 1_770, rss_kib: 20_480, peak_rss_kib: 40_960 });
        assert_eq!(Usage::parse(stat, "Name:\ta zombie\n"), None);
    }
}
