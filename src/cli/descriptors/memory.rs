//! `protobridge descriptors memory`: measures the memory of descriptor sets, for those who plan the limits of a pod.
//!
//! The command does the same as the service: it loads the sets, and then it replaces each of them by a new version. The
//! numbers are the resident memory of this process, as the kernel counts it against the limit of a container.

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::{fs, io};

use anyhow::{Context as _, ensure};

use super::{bail_if_refused, inputs};
use crate::config::{Aws, Descriptors, Location};
use crate::schema::registry::{File, Profiles};

/// A record that no reader of a FileDescriptorSet knows: field 1000 with the value 0. It makes a new version of a set
/// with the same definitions.
const UNKNOWN_RECORD: [u8; 3] = [0xc0, 0x3e, 0x00];

const MIB: f64 = 1024.0 * 1024.0;

/// Measures the memory of the sets at this path and prints a report.
///
/// # Errors
/// Returns an error if the sets cannot be loaded, or if the kernel does not report the memory of this process.
pub(super) fn report(place: &Location) -> anyhow::Result<ExitCode> {
    let settings = Descriptors { path: place.clone(), ..Descriptors::default() };
    let profiles = Arc::new(Profiles::new(&Default::default()));
    let (before, _) = Memory::of(|| Ok(()))?;
    let (loaded, registry) =
        Memory::of(|| inputs::registry(&settings, &Aws::default(), profiles).with_context(|| place.to_string()))?;
    bail_if_refused(&registry.current())?;
    let (reloaded, ()) = Memory::of(|| {
        let files = inputs::sets(&settings, &Aws::default())?;
        let files: Vec<File> = files.into_iter().map(new_version).collect();
        ensure!(registry.admit(&files).is_some(), "the sets changed while this command read them; run it again");
        Ok(())
    })?;
    let snapshot = registry.current();
    let bytes: usize = snapshot.sets().iter().map(|set| set.bytes).sum();
    let mut out = anstream::stdout().lock();
    writeln!(
        out,
        "{} set(s), {:.1} MiB, {} message types",
        snapshot.sets().len(),
        bytes as f64 / MIB,
        snapshot.types().len()
    )?;
    for (what, resident) in [
        ("process before loading", before.now),
        ("at rest", loaded.now),
        ("peak during the load", loaded.peak),
        ("at rest after a reload", reloaded.now),
        ("peak during the reload", reloaded.peak),
    ] {
        let added = resident.saturating_sub(before.now) as f64;
        let factor = added / bytes as f64;
        writeln!(out, "  {what:<24} {:>7.1} MiB, {factor:>4.1} times the size of the sets", resident as f64 / MIB)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn new_version(file: File) -> File {
    let add = |mut bytes: Vec<u8>| {
        bytes.extend(UNKNOWN_RECORD);
        bytes
    };
    File { content: file.content.map(add), ..file }
}

/// The resident memory of this process, in bytes.
struct Memory {
    now: u64,
    /// The largest value during the step.
    peak: u64,
}

impl Memory {
    /// Runs a step. Returns the memory after the step and the step's result.
    fn of<T>(step: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<(Self, T)> {
        // Resets the peak. If the kernel refuses this, the peak is that of the whole process, which is at least as large.
        let _ = fs::write("/proc/self/clear_refs", "5");
        let result = step()?;
        let status = fs::read_to_string("/proc/self/status");
        let status = status.context("cannot read the memory of this process; this command requires Linux")?;
        let now = field(&status, "VmRSS:")?;
        Ok((Self { now, peak: field(&status, "VmHWM:")?.max(now) }, result))
    }
}

/// Returns a field of `/proc/self/status` in bytes. The kernel counts it in KiB.
fn field(status: &str, name: &str) -> anyhow::Result<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    let kib = kib.ok_or_else(|| io::Error::other(format!("/proc/self/status has no {name}")))?;
    Ok(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_of_the_process_is_read_in_bytes() {
        let status = "Name:\tx\nVmHWM:\t   40960 kB\nVmRSS:\t   20480 kB\n";
        assert_eq!(field(status, "VmRSS:").unwrap(), 20 << 20);
        assert_eq!(field(status, "VmHWM:").unwrap(), 40 << 20);
        assert!(field(status, "VmSwap:").is_err());
    }
}
