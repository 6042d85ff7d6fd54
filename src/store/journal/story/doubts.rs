//! Why rows can be missing.

use super::super::{Dropped, Hole, HoleKind, Wanted, stamp};
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
        let mut sentences = Vec::new();
        if self.is_empty {
            sentences.push(
                "The store has no segment of this time: protobridge did not run, or its journal was off, or this is not \
                 the store that it wrote to."
                    .to_owned(),
            );
        }
        if self.is_expired {
            sentences.push(format!(
                "Segments from before {} can be deleted (journal.retention_days).",
                stamp::seconds(evidence.kept_since)
            ));
        }
        sentences.extend(self.holes.iter().map(|hole| hole_sentence(hole, evidence.wanted)));
        sentences.extend(self.dropped.iter().map(|dropped| {
            format!(
                "{} dropped {} {}, because the store did not keep up.",
                dropped.replica,
                count(dropped.rows, "row"),
                between(dropped.from, dropped.to)
            )
        }));
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

fn hole_sentence(hole: &Hole, wanted: &Wanted) -> String {
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
            let (Wanted::Event(id) | Wanted::Message(id) | Wanted::SnsMessage(id)) = wanted;
            let id = percent_encoding::utf8_percent_encode(id, percent_encoding::NON_ALPHANUMERIC);
            let id = id.to_string().replace("%2D", "-");
            let since = stamp::seconds(*from);
            format!("{replica} has not stored its rows since {since} yet; its admin endpoint has them at /trace/{id}.")
        }
    }
}

fn between(from: i64, to: i64) -> String {
    let end = if stamp::day(from) == stamp::day(to) {
        stamp::time_of_day(to)[..8].to_owned()
    } else {
        stamp::seconds(to)
    };
    format!("between {} and {end}", stamp::seconds(from))
}
