//! The deliveries that the journal shows as confirmed, and what it does not know.

use std::ops::Range;
use std::time::SystemTime;

use super::session::Session;
use crate::base::time::unix_micros;
use crate::cli::columns::{grouped, span, utc};
use crate::cli::journal::with_progress;
use crate::delivery::confirmed::ConfirmedDeliveries;
use crate::store::journal::{HoleKind, Looked, Reader};

const DAY_MICROS: i64 = 86_400_000_000;

/// What the journal says.
pub(super) struct Found {
    pub(super) confirmed: ConfirmedDeliveries,
    /// Whether deliveries without a row can have been confirmed nevertheless.
    pub(super) has_doubts: bool,
}

/// Reads the confirmed deliveries of a customer, and tells on standard error what the journal does not know.
///
/// # Errors
/// Returns an error if the journal cannot be read.
pub(super) async fn read(session: &Session, customer: &str, window: &Range<i64>) -> anyhow::Result<Found> {
    let (journal, now) = (Reader::new(session.store.clone()), unix_micros(SystemTime::now()));
    let reading = ConfirmedDeliveries::read(&journal, customer, window, now);
    let (confirmed, looked) = with_progress("reading the journal", reading).await?;
    let settings = &session.config.journal;
    let doubts =
        doubts(&looked, window, settings.sample_published, now - DAY_MICROS * i64::from(settings.retention_days));
    anstream::eprintln!(
        "the journal shows {} deliveries to {customer} as confirmed, since ten minutes before the window",
        grouped(confirmed.len() as f64)
    );
    for doubt in &doubts {
        anstream::eprintln!("not known: {doubt}");
    }
    if !doubts.is_empty() {
        anstream::eprintln!(
            "\"no record\" does not mean \"not delivered\": what the journal does not know is sent, so {customer} can \
             receive events a second time; consumers that deduplicate by `event-type` and `event-id` skip them"
        );
    }
    Ok(Found { confirmed, has_doubts: !doubts.is_empty() })
}

/// Returns why a delivery of the window can be confirmed without a row.
fn doubts(looked: &Looked, window: &Range<i64>, sampled: f64, kept_since: i64) -> Vec<String> {
    let mut doubts = Vec::new();
    if looked.segments == 0 {
        doubts.push("the journal has no segment of this time, so nothing counts as confirmed".to_owned());
    }
    if sampled < 1.0 {
        doubts.push(format!("`journal.sample_published` is {sampled}, so most confirmed deliveries can have no row"));
    }
    if window.start < kept_since {
        doubts.push(format!("the journal is kept since {} UTC, and the window begins before", utc(kept_since)));
    }
    // What is missing after the window can only hide that an event was sent once more.
    let touches = |from: i64, to: Option<i64>| from < window.end && to.is_none_or(|to| to > window.start);
    for hole in looked.holes.iter().filter(|hole| touches(hole.from, hole.to)) {
        let replica = &hole.replica;
        let why = match hole.kind {
            HoleKind::Died => "the process did not stop in order, and its last rows are missing",
            HoleKind::Missing => "a segment is gone",
            HoleKind::NotStoredYet => "its rows are not stored yet; wait `journal.segment_seconds` and try again",
        };
        doubts.push(match hole.to {
            Some(to) => format!("{replica} from {} UTC: {why}", span(hole.from, "to", to)),
            None => format!("{replica} from {} UTC on: {why}", utc(hole.from)),
        });
    }
    for dropped in looked.dropped.iter().filter(|dropped| touches(dropped.from, Some(dropped.to))) {
        let (replica, rows) = (&dropped.replica, grouped(dropped.rows as f64));
        let time = span(dropped.from, "to", dropped.to);
        doubts.push(format!("{replica} from {time} UTC: {rows} rows were dropped, because the store did not keep up"));
    }
    doubts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::journal::{Dropped, Hole};

    #[test]
    fn the_holes_that_touch_the_window_are_doubts_and_no_others() {
        let hole = |from, to, kind| Hole { replica: "pod-a".into(), incarnation: "1".into(), from, to, kind };
        let dropped = |from, to| Dropped { replica: "pod-b".into(), from, to, rows: 7 };
        let of = |holes: Vec<Hole>, dropped: Vec<Dropped>| {
            doubts(&Looked { segments: 3, holes, dropped, ..Looked::default() }, &(100..200), 1.0, 0)
        };
        for (from, to, is_doubt) in [
            (50, Some(100), false),
            (50, Some(101), true),
            (199, None, true),
            (200, None, false),
            (150, Some(160), true),
            (0, Some(900), true),
        ] {
            let found = of(vec![hole(from, to, HoleKind::Died)], vec![]);
            assert_eq!(found.len(), usize::from(is_doubt), "{from} {to:?}: {found:?}");
        }
        assert_eq!(of(vec![], vec![dropped(0, 100), dropped(0, 150), dropped(200, 300)]).len(), 1);
        let looked = Looked { segments: 1, ..Looked::default() };
        assert_eq!(doubts(&looked, &(100..200), 1.0, 100), [""; 0]);
        assert_eq!(doubts(&looked, &(100..200), 0.1, 101).len(), 2);
        assert_eq!(doubts(&Looked::default(), &(100..200), 1.0, 0).len(), 1);
    }
}
