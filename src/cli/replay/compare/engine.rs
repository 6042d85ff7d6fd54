//! Decides about each message with both configurations.

use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use crate::app::Offline;
use crate::cli::replay::Filter;
use crate::delivery::compare::{Comparison, prepared, type_of};
use crate::delivery::dry_run::{Answers, Forecast};
use crate::message::{Message, Queue};
use crate::route::Glob;
use crate::schema::confluent::Schemas;

/// A message to compare.
#[derive(Debug)]
pub(super) struct Subject {
    /// The name in an example.
    pub(super) name: String,
    /// The message.
    pub(super) message: Message,
    /// The objects that it refers to.
    pub(super) answers: Answers,
    /// The Confluent schemas, if they are not those of the configuration: of the one in force and of the candidate.
    pub(super) schemas: [Option<Schemas>; 2],
}

/// The numbers of messages that were read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Read {
    /// The messages of the chosen queues.
    pub(super) messages: u64,
    /// Those of them that `--sample` took.
    pub(super) taken: u64,
    /// Whether `--limit` ended the comparison.
    pub(super) is_limited: bool,
}

/// Compares messages.
pub(super) struct Engine<'c> {
    sides: [&'c Offline; 2],
    queues: &'c [String],
    types: Vec<Glob>,
    /// The share of the messages that is compared, from 0 to 1.
    share: f64,
    limit: Option<u64>,
    read: Read,
    comparison: Comparison,
}

impl<'c> Engine<'c> {
    /// Creates an engine for the configuration in force and the candidate.
    pub(super) fn new(sides: [&'c Offline; 2], filter: &'c Filter, share: f64, limit: Option<u64>) -> Self {
        let customers = sides.iter().flat_map(|side| side.customers()).map(Arc::clone);
        Self {
            comparison: Comparison::new(customers, filter.customer.as_deref()),
            queues: &filter.queue,
            types: filter.types.iter().map(|glob| Glob::new(glob)).collect(),
            sides,
            share,
            limit,
            read: Read::default(),
        }
    }

    /// Whether the limit is reached. Call it before a further message is taken.
    pub(super) fn is_full(&mut self) -> bool {
        let is_full = self.limit.is_some_and(|limit| self.read.taken >= limit);
        self.read.is_limited |= is_full;
        is_full
    }

    /// Whether a message with this name is compared. It is counted in any case, unless its queue is not chosen.
    pub(super) fn takes(&mut self, queue: &Queue, name: &str) -> bool {
        if !self.queues.is_empty() && !self.queues.contains(&queue.label) {
            return false;
        }
        self.read.messages += 1;
        let is_taken = is_in_share(name, self.share);
        self.read.taken += u64::from(is_taken);
        is_taken
    }

    /// Compares a message that was taken. `known_type` is the type of its event as the archive has it.
    pub(super) fn add(&mut self, subject: Subject, known_type: Option<&str>) {
        let Subject { name, message, answers, schemas } = subject;
        let message = prepared(message);
        if queue_of(self.sides[0], &message.queue).is_none() {
            self.comparison.add_not_compared("the configuration in force does not have their queue");
            return;
        }
        let Some(queue) = queue_of(self.sides[1], &message.queue) else {
            self.comparison.add_not_compared("the candidate does not have their queue");
            return;
        };
        let old = self.sides[0].forecast(&message, &answers, schemas[0].as_ref());
        let message = Message { queue, ..message };
        let new = self.sides[1].forecast(&message, &answers, schemas[1].as_ref());
        match (old, new) {
            (Ok(old), Ok(new)) => self.add_forecasts(&name, &message, [&old, &new]),
            (Err(unanswered), _) | (_, Err(unanswered)) => {
                if known_type.is_none_or(|name| self.has_type(name)) {
                    self.comparison.add_unanswered(&unanswered);
                }
            }
        }
    }

    fn add_forecasts(&mut self, name: &str, message: &Message, forecasts: [&Forecast; 2]) {
        if self.has_type(&type_of(forecasts)) {
            self.comparison.add(name, message, forecasts);
        }
    }

    fn has_type(&self, name: &str) -> bool {
        self.types.is_empty() || self.types.iter().any(|glob| glob.matches(name))
    }

    /// Returns the result.
    pub(super) fn finish(self) -> (Comparison, Read) {
        (self.comparison, self.read)
    }
}

/// Returns the queue of a configuration that is this one: by its URL, or by its name.
fn queue_of(offline: &Offline, queue: &Queue) -> Option<Arc<Queue>> {
    let by_url = offline.queue(Some(queue.url.as_str()));
    by_url.or_else(|_| offline.queue(Some(&queue.label))).ok()
}

/// Whether a message is in the share. The same message always has the same answer, and a larger share has all messages
/// of a smaller one.
fn is_in_share(name: &str, share: f64) -> bool {
    let digest: [u8; 32] = Sha256::digest(name).into();
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    (u64::from_be_bytes(first) as f64) < share * 2f64.powi(64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_takes_its_share_and_a_larger_one_takes_the_same_messages_and_more() {
        let names: Vec<String> = (0..2_000).map(|number| format!("message-{number}")).collect();
        let taken = |share: f64| names.iter().filter(|name| is_in_share(name, share)).collect::<Vec<_>>();
        assert_eq!((taken(0.0).len(), taken(1.0).len()), (0, 2_000));
        let (tenth, half) = (taken(0.1), taken(0.5));
        // Five standard deviations around the mean.
        assert!((133..=267).contains(&tenth.len()), "{}", tenth.len());
        assert!((888..=1_112).contains(&half.len()), "{}", half.len());
        assert!(tenth.iter().all(|name| half.contains(name)));
    }
}
