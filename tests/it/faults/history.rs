//! Prints the log for people.

use crate::model::log::{Entry, What};

/// Formats log entries, one per line.
pub(super) fn lines(log: &[Entry]) -> String {
    log.iter().map(|entry| format!("{entry}\n")).collect()
}

/// Formats the last `most` log entries about the service and about one event, or about the service only if `event` is
/// `None`.
pub(super) fn timeline(log: &[Entry], event: Option<&str>, most: usize) -> String {
    let concerns = |entry: &&Entry| match (entry.event(), event) {
        (None, _) => true,
        (Some(of), Some(event)) => of == event,
        (Some(_), None) => false,
    };
    let of_instances = |entry: &&Entry| !matches!(entry.what, What::Hidden { .. }) || event.is_some();
    let shown: Vec<Entry> = log.iter().filter(concerns).filter(of_instances).cloned().collect();
    let skipped = shown.len().saturating_sub(most);
    let before = if skipped > 0 { format!("… {skipped} earlier lines omitted\n") } else { String::new() };
    format!("{before}{}", lines(&shown[skipped..]))
}
