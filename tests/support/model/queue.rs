//! One queue: its messages, their visibility and their receipt handles. It does no I/O and adds no faults.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

/// The time for which FIFO queues and topics remember a deduplication id.
pub(super) const DEDUPLICATION: Duration = Duration::from_secs(300);

/// A queue.
#[derive(Debug)]
pub(super) struct Queue {
    pub(super) name: String,
    pub(super) fifo: bool,
    /// Whether the body serves as the deduplication id if a message has none.
    pub(super) by_content: bool,
    /// The visibility timeout of a receive that names none.
    pub(super) visibility: Duration,
    pub(super) redrive: Option<Redrive>,
    messages: BTreeMap<u64, Stored>,
    next: u64,
    known: BTreeMap<String, (Instant, Arc<str>)>,
}

/// The redrive policy of a queue.
#[derive(Debug, Clone)]
pub(super) struct Redrive {
    /// The URL of the dead-letter queue.
    pub(super) dead_letter: Arc<str>,
    /// The number of receives after which a message moves there.
    pub(super) max_receives: u32,
}

/// A message to send.
#[derive(Debug, Clone)]
pub(crate) struct Incoming {
    pub(crate) body: String,
    /// The message attributes as SQS writes them in JSON.
    pub(crate) attributes: Value,
    pub(crate) group: Option<String>,
    pub(crate) deduplication_id: Option<String>,
    /// The name of the message in the log.
    pub(crate) name: Arc<str>,
}

/// The part of a message that never changes.
#[derive(Debug)]
pub(super) struct Content {
    pub(super) id: Arc<str>,
    pub(super) name: Arc<str>,
    pub(super) group: Option<String>,
    pub(super) deduplication_id: Option<String>,
    /// The body as a JSON string.
    pub(super) body: String,
    /// The message attributes as JSON.
    pub(super) attributes: String,
}

/// A message in the queue. Cloning shares its content.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    pub(super) content: Arc<Content>,
    pub(super) sent: Instant,
    pub(super) first_received: Option<Instant>,
    pub(super) receives: u32,
    /// The moment from which a receive can return the message.
    pub(super) visible_at: Instant,
    /// Whether the message was deleted and is handed out once more nevertheless.
    pub(super) ghost: bool,
}

/// The state of a receipt handle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Handle {
    /// The latest receive of a message that is hidden.
    InFlight(u64),
    /// The latest receive of a message that is visible again.
    Lapsed(u64),
    /// An earlier receive of the message.
    Stale(u64),
    /// The message is gone.
    Gone,
    /// This queue has never handed out the handle.
    Malformed,
}

impl Stored {
    pub(super) fn name(&self) -> &Arc<str> {
        &self.content.name
    }

    fn group(&self) -> Option<&str> {
        self.content.group.as_deref()
    }
}

impl Queue {
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            fifo: name.ends_with(".fifo"),
            by_content: false,
            visibility: Duration::from_secs(30),
            redrive: None,
            messages: BTreeMap::new(),
            next: 0,
            known: BTreeMap::new(),
        }
    }

    /// Accepts a message that becomes visible at `visible_at`. Returns its id and whether it is a duplicate, in which
    /// case the id is that of the earlier message.
    pub(super) fn send(&mut self, message: Incoming, now: Instant, visible_at: Instant) -> (Arc<str>, bool) {
        let known_as = match (self.fifo, &message.deduplication_id) {
            (false, _) => None,
            (true, Some(id)) => Some(id.clone()),
            (true, None) => Some(format!("content {}", message.body)),
        };
        if let Some((at, id)) = known_as.as_ref().and_then(|known| self.known.get(known))
            && now - *at < DEDUPLICATION
        {
            return (Arc::clone(id), true);
        }
        self.next += 1;
        let id: Arc<str> = format!("{}-message-{}", self.name, self.next).into();
        if let Some(known) = known_as {
            self.known.insert(known, (now, Arc::clone(&id)));
        }
        let Incoming { body, attributes, group, deduplication_id, name } = message;
        let body = serde_json::to_string(&body).expect("a string is valid JSON");
        let attributes = attributes.as_object().map_or_else(|| "{}".to_owned(), |_| attributes.to_string());
        let id_of_content = Arc::clone(&id);
        let stored = Stored {
            content: Arc::new(Content { id: id_of_content, name, group, deduplication_id, body, attributes }),
            sent: now,
            first_received: None,
            receives: 0,
            visible_at,
            ghost: false,
        };
        self.messages.insert(self.next, stored);
        (id, false)
    }

    /// Returns the numbers of the messages that a receive can return now, in order.
    pub(super) fn receivable(&self, now: Instant) -> Vec<u64> {
        let hidden = |message: &&Stored| message.visible_at > now;
        let blocked: BTreeSet<&str> = match self.fifo {
            true => self.messages.values().filter(hidden).filter_map(Stored::group).collect(),
            false => BTreeSet::new(),
        };
        let free = |message: &Stored| {
            message.visible_at <= now && message.group().is_none_or(|group| !blocked.contains(group))
        };
        self.messages.iter().filter(|(_, message)| free(message)).map(|(number, _)| *number).collect()
    }

    /// Hides a message until `visible_at`. Returns it with a new receipt handle; earlier handles become stale.
    pub(super) fn receive(&mut self, number: u64, now: Instant, visible_at: Instant) -> (String, Stored) {
        let message = self.messages.get_mut(&number).expect("the message is in the queue");
        message.receives += 1;
        message.first_received.get_or_insert(now);
        message.visible_at = visible_at;
        (format!("{}/{number}/{}", self.name, message.receives), message.clone())
    }

    /// Returns the current state of a receipt handle.
    pub(super) fn find(&self, handle: &str, now: Instant) -> Handle {
        let mut parts = handle.rsplitn(3, '/');
        let mut part = || parts.next().unwrap_or_default();
        let (receive, number, name) = (part(), part(), part());
        let (Ok(receive), Ok(number), true) = (receive.parse::<u32>(), number.parse::<u64>(), name == self.name) else {
            return Handle::Malformed;
        };
        match self.messages.get(&number) {
            None => Handle::Gone,
            Some(message) if message.receives != receive => Handle::Stale(number),
            Some(message) if message.visible_at > now => Handle::InFlight(number),
            Some(_) => Handle::Lapsed(number),
        }
    }

    pub(super) fn get(&self, number: u64) -> &Stored {
        &self.messages[&number]
    }

    pub(super) fn get_mut(&mut self, number: u64) -> &mut Stored {
        self.messages.get_mut(&number).expect("the message is in the queue")
    }

    /// Returns the name of the message that a receipt handle belongs to, if the message still exists.
    pub(super) fn name_of(&self, handle: &str) -> Option<&Arc<str>> {
        let number = handle.rsplit('/').nth(1)?.parse().ok()?;
        self.messages.get(&number).map(Stored::name)
    }

    /// Removes a message, if it is in the queue, and returns it.
    pub(super) fn remove(&mut self, number: u64) -> Option<Stored> {
        self.messages.remove(&number)
    }

    /// Adds a message that its redrive policy moves here. It keeps its id.
    pub(super) fn add(&mut self, message: Stored, now: Instant) {
        self.next += 1;
        self.messages.insert(self.next, Stored { receives: 0, visible_at: now, ..message });
    }

    /// Returns all messages, including hidden ones, in order.
    pub(super) fn messages(&self) -> impl Iterator<Item = &Stored> {
        self.messages.values()
    }

    /// Returns the numbers of the messages in flight: received and hidden.
    pub(super) fn in_flight(&self, now: Instant) -> Vec<u64> {
        let in_flight = |message: &Stored| message.receives > 0 && message.visible_at > now;
        self.messages.iter().filter(|(_, message)| in_flight(message)).map(|(number, _)| *number).collect()
    }

    /// Returns the next moment at which a hidden message becomes visible.
    pub(super) fn next_visible(&self, now: Instant) -> Option<Instant> {
        self.messages.values().map(|message| message.visible_at).filter(|at| *at > now).min()
    }
}
