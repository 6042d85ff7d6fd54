//! One queue: what is in it, who may have it, and for how long. No I/O and no faults of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

/// FIFO queues and topics know a deduplication id for this long.
pub(super) const DEDUPLICATION: Duration = Duration::from_secs(300);

/// A queue.
#[derive(Debug)]
pub(super) struct Queue {
    pub(super) name: String,
    pub(super) fifo: bool,
    pub(super) by_content: bool,
    /// Visibility timeout of a receive that names none.
    pub(super) visibility: Duration,
    messages: BTreeMap<u64, Stored>,
    next: u64,
    known: BTreeMap<String, (Instant, String)>,
}

/// A message to be sent.
#[derive(Debug, Clone, Default)]
pub(crate) struct Incoming {
    pub(crate) body: String,
    /// The message attributes as SQS writes them in JSON.
    pub(crate) attributes: Value,
    pub(crate) group: Option<String>,
    pub(crate) deduplication_id: Option<String>,
    /// What the log calls it.
    pub(crate) name: String,
}

/// A message in the queue.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) body: String,
    pub(super) attributes: Value,
    pub(super) group: Option<String>,
    pub(super) deduplication_id: Option<String>,
    pub(super) sent: Instant,
    pub(super) first_received: Option<Instant>,
    pub(super) receives: u32,
    /// Nobody gets it before.
    pub(super) visible_at: Instant,
    /// It was deleted; if it is still here, it is handed out once more all the same.
    pub(super) ghost: bool,
}

/// What a receipt handle stands for.
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
    /// Nothing that this queue has ever handed out.
    Malformed,
}

impl Queue {
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            fifo: name.ends_with(".fifo"),
            by_content: false,
            visibility: Duration::from_secs(30),
            messages: BTreeMap::new(),
            next: 0,
            known: BTreeMap::new(),
        }
    }

    /// Takes a message, visible from `visible_at`. Returns its id, and whether it was taken for one that is known.
    pub(super) fn send(&mut self, message: Incoming, now: Instant, visible_at: Instant) -> (String, bool) {
        let known_as = match (self.fifo, &message.deduplication_id) {
            (false, _) => None,
            (true, Some(id)) => Some(id.clone()),
            (true, None) => Some(format!("content {}", message.body)),
        };
        if let Some((at, id)) = known_as.as_ref().and_then(|known| self.known.get(known))
            && now - *at < DEDUPLICATION
        {
            return (id.clone(), true);
        }
        self.next += 1;
        let id = format!("{}-message-{}", self.name, self.next);
        if let Some(known) = known_as {
            self.known.insert(known, (now, id.clone()));
        }
        let Incoming { body, attributes, group, deduplication_id, name } = message;
        let stored = Stored {
            id: id.clone(),
            name,
            body,
            attributes,
            group,
            deduplication_id,
            sent: now,
            first_received: None,
            receives: 0,
            visible_at,
            ghost: false,
        };
        self.messages.insert(self.next, stored);
        (id, false)
    }

    /// The messages that a receive may return now, in order.
    pub(super) fn receivable(&self, now: Instant) -> Vec<u64> {
        let hidden = |message: &&Stored| message.visible_at > now;
        let blocked: BTreeSet<&str> = match self.fifo {
            true => self.messages.values().filter(hidden).filter_map(|message| message.group.as_deref()).collect(),
            false => BTreeSet::new(),
        };
        let free = |message: &Stored| {
            message.visible_at <= now && message.group.as_deref().is_none_or(|group| !blocked.contains(group))
        };
        self.messages.iter().filter(|(_, message)| free(message)).map(|(number, _)| *number).collect()
    }

    /// Hides a message until `visible_at` and returns it with the handle of this receive. Earlier handles go stale.
    pub(super) fn receive(&mut self, number: u64, now: Instant, visible_at: Instant) -> (String, Stored) {
        let message = self.messages.get_mut(&number).expect("it was just found");
        message.receives += 1;
        message.first_received.get_or_insert(now);
        message.visible_at = visible_at;
        (format!("{}/{number}/{}", self.name, message.receives), message.clone())
    }

    /// What a handle stands for now.
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
        self.messages.get_mut(&number).expect("it was just found")
    }

    /// The name of the message that a handle once stood for.
    pub(super) fn name_of(&self, handle: &str) -> Option<&str> {
        let number = handle.rsplit('/').nth(1)?.parse().ok()?;
        self.messages.get(&number).map(|message| message.name.as_str())
    }

    pub(super) fn remove(&mut self, number: u64) {
        self.messages.remove(&number);
    }

    /// All messages, hidden ones included, in order.
    pub(super) fn messages(&self) -> impl Iterator<Item = &Stored> {
        self.messages.values()
    }

    /// Messages that were handed out and are hidden.
    pub(super) fn in_flight(&self, now: Instant) -> Vec<u64> {
        let in_flight = |message: &Stored| message.receives > 0 && message.visible_at > now;
        self.messages.iter().filter(|(_, message)| in_flight(message)).map(|(number, _)| *number).collect()
    }

    /// When a message that is hidden now becomes visible.
    pub(super) fn next_visible(&self, now: Instant) -> Option<Instant> {
        self.messages.values().map(|message| message.visible_at).filter(|at| *at > now).min()
    }
}
