//! Why a destination got an event again.

use super::super::super::{Row, stamp};
use super::super::fate::time;
use super::super::words::{count, short};

/// Returns a sentence for each publication but the first, as far as the rows tell its cause; at most three.
pub(super) fn of_repeats(published: &[&Row]) -> Vec<String> {
    const SHOWN: usize = 3;
    let repeats = published.len().saturating_sub(1);
    let mut sentences: Vec<String> = (1..published.len()).take(SHOWN).map(|at| cause(published, at)).collect();
    if repeats > SHOWN {
        sentences.push(format!("The timeline has the other {}.", count((repeats - SHOWN) as u64, "repetition")));
    }
    sentences
}

fn cause(published: &[&Row], at: usize) -> String {
    let (row, before) = (published[at], &published[..at]);
    let id = row.sns_message_id.as_deref().map_or_else(|| "The repetition".to_owned(), short);
    if let Some(replay) = &row.replay {
        return format!("{id} comes from the replay {replay}.");
    }
    if row.redrive {
        return format!("{id} comes from the quarantine queue: the message was redriven.");
    }
    let same = before.iter().rev().find(|earlier| earlier.message_id == row.message_id);
    let how = match same {
        Some(earlier) if row.received_at < time(earlier) => {
            format!("SQS delivered message {} again before the publication was confirmed", short(&row.message_id))
        }
        Some(earlier) => format!(
            "SQS delivered message {} again, {} after the publication",
            short(&row.message_id),
            stamp::length(row.received_at - time(earlier))
        ),
        None => format!("a producer sent it again as message {}", short(&row.message_id)),
    };
    format!("{id}: {how}, and {}.", why_not_suppressed(row, before))
}

/// Returns why the window of duplicates did not suppress a publication.
fn why_not_suppressed(row: &Row, before: &[&Row]) -> String {
    if let Some(earlier) = before.iter().rev().find(|earlier| earlier.replica == row.replica) {
        let ago = stamp::length(time(row) - time(earlier));
        return format!(
            "the window of duplicates of {} no longer had the publication of {ago} before (dedupe.window_seconds, \
             dedupe.max_entries, a restart, or dedupe.enabled)",
            row.replica
        );
    }
    let replicas = before.last().map_or("another replica", |earlier| earlier.replica.as_str());
    format!(
        "{} did not know of the publication by {replicas}: replicas share a window of duplicates only with \
         dedupe.redis_url, and only while Redis answers",
        row.replica
    )
}
