//! Why rows can be missing.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC};

use super::super::{Dropped, Hole, HoleKind, Looked, Wanted, stamp};
use super::Evidence;
use super::words::count;

/// Why rows of the window can be missing, apart from the sample.
#[derive(Debug)]
pub(super) struct Doubts<'e> {
    holes: &'e [Hole],
    dropped: Vec<&'e Dropped>,
    /// No segment of the window exists, so nothing proves that the journal was on.
    is_empty: bool,
    /// The window begins before the time from which on segments are kept.
    is_expired: bool,
}

impl<'e> Doubts<'e> {
    pub(super) fn of(evidence: &Evidence<'e>) -> Self {
        Self {
            holes: &evidence.looked.holes,
            dropped: evidence.looked.dropped.iter().filter(|dropped| dropped.rows > 0).collect(),
            is_empty: evidence.looked.segments == 0,
            is_expired: evidence.window.start < evidence.kept_since,
        }
    }

    /// Whether all rows of the window were read.
    pub(super) fn is_none(&self) -> bool {
        self.holes.is_empty() && self.dropped.is_empty() && !self.is_empty && !self.is_expired
    }

    /// Returns the time until which all rows were read, if later rows are missing only because they are not stored yet.
    pub(super) fn stored_until(&self) -> Option<i64> {
        let is_pending = |hole: &Hole| hole.kind == HoleKind::NotStoredYet;
        let others = !self.dropped.is_empty() || self.is_empty || self.is_expired;
        if others || !self.holes.iter().all(is_pending) {
            return None;
        }
        self.holes.iter().map(|hole| hole.from).min()
    }

    /// Returns a sentence for each reason.
    pub(super) fn sentences(&self, evidence: &Evidence<'_>, is_sampled: bool) -> Vec<String> {
        let (Wanted::Event(id) | Wanted::Message(id) | Wanted::SnsMessage(id)) = evidence.wanted;
        let mut sentences = not_known(evidence.looked, Some(id));
        if self.is_expired {
            let kept_since = stamp::seconds(evidence.kept_since);
            sentences.push(format!("Segments from before {kept_since} can be deleted (journal.retention_days)."));
        }
        if !is_sampled {
            sentences.push(format!(
                "A share of {} of the published events has rows (journal.sample_published), and this event is not known \
                 to be one of them.",
                evidence.sample_published
            ));
        }
        sentences
    }
}

/// Returns a sentence for each reason why rows of a window can be missing, as far as its segments tell. `id` is the one
/// that was looked up.
pub fn not_known(looked: &Looked, id: Option<&str>) -> Vec<String> {
    let mut sentences = Vec::new();
    if looked.segments == 0 {
        sentences.push(
            "The store has no segment of this time: protobridge did not run, or its journal was off, or this is not the \
             store that it wrote to."
                .to_owned(),
        );
    }
    sentences.extend(looked.holes.iter().map(|hole| hole_sentence(hole, id)));
    sentences.extend(looked.dropped.iter().filter(|dropped| dropped.rows > 0).map(|dropped| {
        let Dropped { replica, from, to, rows } = dropped;
        let (rows, between) = (count(*rows, "row"), between(*from, *to));
        format!("{replica} dropped {rows} {between}, because the store did not keep up.")
    }));
    sentences
}

fn hole_sentence(hole: &Hole, id: Option<&str>) -> String {
    let Hole { replica, from, to, kind, .. } = hole;
    let time = match to {
        Some(to) => between(*from, *to),
        None => format!("since {}", stamp::seconds(*from)),
    };
    match kind {
        HoleKind::Died => format!("No record of {replica} {time}: it died; what it did then is unknown."),
        HoleKind::Missing => {
            format!("No record of {replica} {time}: a segment is gone; what {replica} did then is unknown.")
        }
        HoleKind::NotStoredYet => {
            let since = stamp::seconds(*from);
            let id = percent_encoding::utf8_percent_encode(id.unwrap_or("ID"), PATH);
            format!("{replica} has not stored its rows since {since} yet; its admin endpoint has them at /trace/{id}.")
        }
    }
}

/// The characters that a segment of a path cannot have as they are.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

fn between(from: i64, to: i64) -> String {
    let end = if stamp::day(from) == stamp::day(to) {
        stamp::time_of_day(to)[..8].to_owned()
    } else {
        stamp::seconds(to)
    };
    format!("between {} and {end}", stamp::seconds(from))
}
