//! The usage of a process together with all processes that it started.

use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context as _;

use super::{TICKS_PER_SECOND, Usage};

/// A process and its descendants.
///
/// The memory of several processes is the sum of their proportional set sizes, because they share pages: the resident
/// sets would count such a page several times.
#[derive(Debug)]
pub(super) struct Tree {
    root: u32,
    /// The largest sum of the sizes that was seen, in KiB.
    peak_kib: AtomicU64,
}

/// The fields of /proc/PID/stat that are needed here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stat {
    parent: u32,
    /// The CPU time in clock ticks, user and system, with that of its ended children.
    ticks: u64,
}

impl Tree {
    pub(super) fn new(root: u32) -> Self {
        Self { root, peak_kib: AtomicU64::new(0) }
    }

    /// Returns the usage of the tree. `root` is the usage of the root alone.
    ///
    /// # Errors
    /// Returns an error if the root has ended.
    pub(super) fn usage(&self, root: Usage) -> anyhow::Result<Usage> {
        let stats = all_stats();
        let members = members(&stats, self.root);
        let ticks = members.iter().map(|id| stats[id].ticks).sum::<u64>();
        let cpu_ms = ticks * 1_000 / TICKS_PER_SECOND;
        if let [_] = members.as_slice() {
            return Ok(Usage { cpu_ms, ..root });
        }
        anyhow::ensure!(!members.is_empty(), "the process has ended");
        // A process that ends meanwhile has no size.
        let rss_kib = members.iter().filter_map(|id| proportional_kib(*id).ok()).sum();
        let peak_rss_kib = self.peak_kib.fetch_max(rss_kib, Ordering::Relaxed).max(rss_kib);
        Ok(Usage { cpu_ms, rss_kib, peak_rss_kib })
    }
}

/// Returns the root and its descendants; nothing if the root is not there.
fn members(stats: &BTreeMap<u32, Stat>, root: u32) -> Vec<u32> {
    let mut members: Vec<u32> = stats.keys().copied().filter(|id| *id == root).collect();
    let mut next = 0;
    while next < members.len() {
        let parent = members[next];
        members.extend(stats.iter().filter(|(id, stat)| stat.parent == parent && **id != parent).map(|(id, _)| *id));
        next += 1;
    }
    members
}

fn all_stats() -> BTreeMap<u32, Stat> {
    let folders = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = folders.filter_map(|folder| folder.file_name().to_str()?.parse().ok());
    ids.filter_map(|id: u32| Some((id, Stat::parse(&fs::read_to_string(format!("/proc/{id}/stat")).ok()?)?))).collect()
}

/// Returns the memory of a process, in which a page that n processes share counts as 1/n page.
fn proportional_kib(id: u32) -> anyhow::Result<u64> {
    let text = fs::read_to_string(format!("/proc/{id}/smaps_rollup"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:")).context("there is no Pss")?;
    line.trim().strip_suffix(" kB").context("Pss is not in kB")?.parse().context("Pss is not a number")
}

impl Stat {
    fn parse(stat: &str) -> Option<Self> {
        // The name in parentheses can contain any character. The parent is field 2 after it; utime, stime, cutime and
        // cstime are fields 12 to 15 (proc(5)).
        let (_, fields) = stat.rsplit_once(')')?;
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let times = fields.get(11..15)?.iter().map(|field| field.parse::<u64>());
        Some(Self { parent: fields.get(1)?.parse().ok()?, ticks: times.sum::<Result<u64, _>>().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use std::process::Stdio;
    use std::time::Duration;

    use tokio::process::Command;
    use tokio::time::Instant;

    use super::*;
    use crate::process::Process;

    #[test]
    fn a_stat_is_parsed_for_any_process_name() {
        let stat = "42 (a b) c) S 7 2 3 4 5 6 7 8 9 10 150 27 20 3 20 0";
        assert_eq!(Stat::parse(stat), Some(Stat { parent: 7, ticks: 200 }));
        assert_eq!(Stat::parse("42 (a) Z 7"), None);
    }

    #[test]
    fn members_are_the_root_and_everything_below_it() {
        let stat = |parent| Stat { parent, ticks: 1 };
        let stats = BTreeMap::from([(1, stat(0)), (5, stat(1)), (6, stat(5)), (7, stat(1)), (4, stat(6))]);
        assert_eq!(members(&stats, 5), [5, 6, 4]);
        assert_eq!(members(&stats, 7), [7]);
        assert_eq!(members(&stats, 8), Vec::<u32>::new());
    }

    #[tokio::test]
    async fn the_work_of_running_and_ended_children_counts_and_all_of_them_end_with_the_tree() {
        // One child ends after some work, and another one works until it is killed.
        let script = "sh -c 'i=0; while [ $i -lt 60000 ]; do i=$((i+1)); done'; while :; do :; done & wait";
        let mut command = Command::new("sh");
        let process = Process::start_tree(command.args(["-c", script]).stdin(Stdio::null())).unwrap();
        let until = Instant::now() + Duration::from_secs(60);
        let root = process.id;
        while members(&all_stats(), root).len() < 2 || process.usage().unwrap().cpu_ms < 300 {
            assert!(Instant::now() < until, "{:?}", process.usage());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let usage = process.usage().unwrap();
        assert!(usage.rss_kib > 0 && usage.peak_rss_kib >= usage.rss_kib, "{usage:?}");
        let children = members(&all_stats(), root);
        drop(process);
        // An ended child whose parent has ended too belongs to the init process, which can be slow to collect it.
        let is_running = |id: &u32| {
            let stat = fs::read_to_string(format!("/proc/{id}/stat"));
            stat.is_ok_and(|stat| !stat.contains(") Z "))
        };
        while children.iter().any(is_running) {
            assert!(Instant::now() < until, "{children:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}
