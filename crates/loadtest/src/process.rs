//! The child processes: the emulator and the subject.

mod tree;

use std::iter::Sum;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::process::{Child, Command};
use tokio::time::{Instant, timeout};

use tree::Tree;

/// A child process. It has its own process group, so that Ctrl-C reaches only this tool, and is killed on drop.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) child: Child,
    id: u32,
    /// The processes that it starts, if their usage counts.
    tree: Option<Tree>,
}

/// The resource usage of a process, as the kernel reports it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// The CPU time in milliseconds, user and system, over all threads, including ended ones.
    pub(crate) cpu_ms: u64,
    /// The resident memory, in KiB.
    pub(crate) rss_kib: u64,
    /// The peak resident memory, in KiB.
    pub(crate) peak_rss_kib: u64,
}

/// The time between two looks at the usage of a process that stops.
const STOP_SAMPLE: Duration = Duration::from_millis(10);

impl Process {
    /// Starts the process.
    ///
    /// # Errors
    /// Returns an error if the process cannot be started.
    pub(crate) fn start(command: &mut Command) -> anyhow::Result<Self> {
        let name = command.as_std().get_program().to_owned();
        let child = command.kill_on_drop(true).process_group(0).spawn();
        let child = child.with_context(|| format!("cannot start {}", Path::new(&name).display()))?;
        let id = child.id().context("the process has exited already")?;
        Ok(Self { child, id, tree: None })
    }

    /// Starts a process whose usage includes that of the processes it starts. All of them are killed on drop.
    ///
    /// # Errors
    /// Returns an error if the process cannot be started.
    pub(crate) fn start_tree(command: &mut Command) -> anyhow::Result<Self> {
        let mut process = Self::start(command)?;
        process.tree = Some(Tree::new(process.id));
        Ok(process)
    }

    /// Returns the resource usage since the start of the process.
    ///
    /// # Errors
    /// Returns an error if the process has ended.
    pub(crate) fn usage(&self) -> anyhow::Result<Usage> {
        let read = |file: &str| std::fs::read_to_string(format!("/proc/{}/{file}", self.id));
        let (stat, status) = (read("stat")?, read("status")?);
        let usage = Usage::parse(&stat, &status).context("/proc has no usage of the process")?;
        self.tree.as_ref().map_or(Ok(usage), |tree| tree.usage(usage))
    }

    /// Sends SIGTERM to the process and waits until it exits. Returns its exit status and its last resource usage.
    ///
    /// # Errors
    /// Returns an error if the process does not exit in time.
    pub(crate) async fn stop(&mut self, within: Duration) -> anyhow::Result<(ExitStatus, Usage)> {
        // Sending the signal directly would need unsafe code or another crate.
        let id = self.id.to_string();
        Command::new("kill").args(["-TERM", &id]).stderr(Stdio::null()).status().await.context("cannot run kill")?;
        let (since, mut usage) = (Instant::now(), Usage::default());
        loop {
            // An ended process has no usage.
            usage = self.usage().unwrap_or(usage);
            if let Ok(ended) = timeout(STOP_SAMPLE, self.child.wait()).await {
                return Ok((ended?, usage));
            }
            if since.elapsed() > within {
                bail!("the process did not exit within {within:?} after SIGTERM");
            }
        }
    }
}

impl Drop for Process {
    /// Kills the processes of a tree, which are in the process group of their root.
    fn drop(&mut self) {
        // Once the end of the root was noticed, its id can belong to others.
        if self.tree.is_some() && self.child.id().is_some() {
            let mut kill = std::process::Command::new("kill");
            let group = format!("-{}", self.id);
            // The processes may have ended already.
            let _status = kill.args(["-KILL", "--", &group]).stderr(Stdio::null()).status();
        }
    }
}

/// The clock ticks per second in /proc/PID/stat. It has been 100 on Linux for decades on the supported platforms.
const TICKS_PER_SECOND: u64 = 100;

/// Adds up the usage of several processes. The sum of their peaks is an upper bound, because they need not coincide.
impl Sum for Usage {
    fn sum<I: Iterator<Item = Self>>(usages: I) -> Self {
        usages.fold(Self::default(), |sum, usage| Self {
            cpu_ms: sum.cpu_ms + usage.cpu_ms,
            rss_kib: sum.rss_kib + usage.rss_kib,
            peak_rss_kib: sum.peak_rss_kib + usage.peak_rss_kib,
        })
    }
}

impl Usage {
    fn parse(stat: &str, status: &str) -> Option<Self> {
        // The process name in parentheses can contain any character. utime and stime are fields 12 and 13 after it
        // (proc(5)).
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
    fn usage_is_parsed_for_any_process_name() {
        let stat = "42 (a b) c) S 1 2 3 4 5 6 7 8 9 10 150 27 0 0 20 0";
        let status = "Name:\ta b) c\nVmHWM:\t   40960 kB\nVmRSS:\t   20480 kB\n";
        let usage = Usage::parse(stat, status).unwrap();
        assert_eq!(usage, Usage { cpu_ms: 1_770, rss_kib: 20_480, peak_rss_kib: 40_960 });
        assert_eq!(Usage::parse(stat, "Name:\ta zombie\n"), None);
    }
}
