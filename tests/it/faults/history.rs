//! The log for people.

use crate::model::log::{Entry, What};

/// Entries, a line each.
pub(super) fn lines(log: &[Entry]) -> String {
    log.iter().map(|entry| format!("{entry}\n")).collect()
}

/// What happened to one event, and to the service meanwhile: the last `most` lines. Without an event, what happened to
/// the service.
pub(super) fn timeline(log: &[Entry], event: Option<&str>, most: usize) -> String {
    let concerns = |entry: &&Entry| match (entry.event(), event) {
        (None, _) => true,
        (Some(of), Some(event)) => of == event,
        (Some(_), None) => false,
    };
    let of_instances = |entry: &&Entry| !matches!(entry.what, What::Hidden { .. }) || event.is_some();
    let told: Vec<Entry> = log.iter().filter(concerns).filter(of_instances).cloned().collect();
    let skipped = told.len().saturating_sub(most);
    let before = if skipped > 0 { format!("… {skipped} lines before\n") } else { String::new() };
    format!("{before}{}", lines(&told[skipped..]))
}
