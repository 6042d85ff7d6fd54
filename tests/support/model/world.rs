//! The world: queues, topics, chance, and the log.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use fastrand::Rng;
use protobridge::aws::Clients;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::connector;
use super::faults::Faults;
use super::log::{Entry, What};
use super::queue::{Incoming, Queue};
use super::topic::Topic;

/// A world of its own. Clones are the same world.
#[derive(Debug, Clone)]
pub(crate) struct World(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Notify,
}

/// What a world consists of.
#[derive(Debug)]
pub(super) struct State {
    pub(super) random: Rng,
    pub(super) faults: Faults,
    /// By URL.
    pub(super) queues: BTreeMap<String, Queue>,
    /// By ARN.
    pub(super) topics: BTreeMap<String, Topic>,
    pub(super) log: Vec<Entry>,
    /// What the log calls each message that was ever sent, by its id.
    names: BTreeMap<String, String>,
    /// How many messages SNS has taken.
    pub(super) published: u64,
    /// What is left of the publish quota, and when that was counted.
    pub(super) quota: (f64, Instant),
    began: Instant,
    requests: u64,
    crashed: BTreeSet<u32>,
}

const ACCOUNT: &str = "000000000000";

impl World {
    /// A world without queues and topics. Everything that is left to chance follows from the seed.
    pub(crate) fn new(seed: u64, faults: Faults) -> Self {
        let state = State {
            random: Rng::with_seed(seed),
            faults,
            queues: BTreeMap::new(),
            topics: BTreeMap::new(),
            log: Vec::new(),
            names: BTreeMap::new(),
            published: 0,
            quota: (0.0, Instant::now()),
            began: Instant::now(),
            requests: 0,
            crashed: BTreeSet::new(),
        };
        Self(Arc::new(Shared { state: Mutex::new(state), changed: Notify::new() }))
    }

    /// The clients of one run of the service.
    pub(crate) fn clients(&self, instance: u32) -> Clients {
        connector::clients(self, instance)
    }

    /// Makes a queue, FIFO if its name says so. Returns its URL.
    pub(crate) fn create_queue(&self, name: &str) -> String {
        let url = queue_url(name);
        self.lock().queues.entry(url.clone()).or_insert_with(|| Queue::new(name));
        url
    }

    /// Makes a topic, FIFO if its name says so. Returns its ARN.
    pub(crate) fn create_topic(&self, name: &str) -> String {
        let arn = topic_arn(name);
        self.lock().topics.entry(arn.clone()).or_insert_with(|| Topic::new(name));
        arn
    }

    /// Sends a message as a producer does whose calls never fail. Returns the message's id.
    pub(crate) fn send(&self, url: &str, message: Incoming) -> String {
        let (id, _) = self.lock().send(url, message);
        self.changed().notify_waiters();
        id
    }

    /// Takes some messages of a queue as another consumer does, which lets go of them later.
    pub(crate) fn compete(&self, url: &str, hold: Duration) {
        let mut state = self.lock();
        let (now, most) = (Instant::now(), state.random.usize(1..=10));
        for number in state.queue(url).receivable(now).into_iter().take(most) {
            let (_, message) = state.queue(url).receive(number, now, now + hold);
            state.fault(&message.name, "another consumer holds it for a while");
        }
    }

    /// Everything works from now on.
    pub(crate) fn heal(&self) {
        let mut state = self.lock();
        state.faults = Faults::none();
        state.note(None, What::Healed);
    }

    /// Nothing that this run of the service asks for from now on happens, and no answer reaches it.
    pub(crate) fn crash(&self, instance: u32) {
        let mut state = self.lock();
        state.crashed.insert(instance);
        state.note(Some(instance), What::Crashed);
        state.fault_of_held(instance, "its service crashed");
    }

    /// A run of the service has stopped, and has given this many messages back that it did not finish.
    pub(crate) fn stopped(&self, instance: u32, given_back: usize) {
        let mut state = self.lock();
        if given_back > 0 {
            state.fault_of_held(instance, "its service stopped before it was done");
        }
        state.note(Some(instance), What::Stopped { given_back });
    }

    pub(crate) fn note(&self, instance: Option<u32>, what: What) {
        self.lock().note(instance, what);
    }

    /// The log so far.
    pub(crate) fn log(&self) -> Vec<Entry> {
        self.lock().log.clone()
    }

    /// The ids of the messages that are in a queue.
    pub(crate) fn messages(&self, url: &str) -> BTreeSet<String> {
        self.lock().queue(url).messages().map(|message| message.id.clone()).collect()
    }

    pub(super) fn is_crashed(&self, instance: u32) -> bool {
        self.lock().crashed.contains(&instance)
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().expect("nothing panics while it holds the world, or the test has failed already")
    }

    /// Something may have become receivable.
    pub(super) fn changed(&self) -> &Notify {
        &self.0.changed
    }
}

impl State {
    /// # Panics
    ///
    /// There is no such queue.
    pub(super) fn queue(&mut self, url: &str) -> &mut Queue {
        self.queues.get_mut(url).unwrap_or_else(|| panic!("no queue {url}"))
    }

    pub(super) fn send(&mut self, url: &str, message: Incoming) -> (String, bool) {
        let (now, name) = (Instant::now(), message.name.clone());
        let late = self.happens(|faults| faults.late).then(|| Duration::from_millis(self.random.u64(500..30_000)));
        let (id, known) = self.queue(url).send(message, now, now + late.unwrap_or_default());
        if !known {
            self.names.insert(id.clone(), name.clone());
            self.note(None, What::Sent { event: name, message: id.clone() });
        }
        (id, known)
    }

    /// What the log calls the message with this id.
    pub(super) fn name_of(&self, id: &str) -> String {
        self.names.get(id).map_or(id, String::as_str).to_owned()
    }

    /// Draws whether a fault happens.
    pub(super) fn happens(&mut self, fault: impl Fn(&Faults) -> f64) -> bool {
        // Drawn in any case, so that a fault that never happens does not change what else does.
        self.random.f64() < fault(&self.faults)
    }

    /// Something goes wrong while the service gets a message and keeps it.
    pub(super) fn fault(&mut self, event: &str, cause: &'static str) {
        self.note(None, What::Fault { event: event.to_owned(), cause, onward: false });
    }

    /// Something goes wrong on the way to a topic, to quarantine or out of the queue.
    pub(super) fn onward_fault(&mut self, event: &str, cause: &'static str) {
        self.note(None, What::Fault { event: event.to_owned(), cause, onward: true });
    }

    /// Everything that was handed to this run of the service and that it has not deleted suffers from this.
    fn fault_of_held(&mut self, instance: u32, cause: &'static str) {
        let mut held = BTreeSet::new();
        for entry in self.log.iter().filter(|entry| entry.instance == Some(instance)) {
            match &entry.what {
                What::Handed { event, .. } => held.insert(event.clone()),
                What::Deleted { event, .. } => held.remove(event),
                _ => continue,
            };
        }
        for event in held {
            self.fault(&event, cause);
        }
    }

    pub(super) fn note(&mut self, instance: Option<u32>, what: What) {
        self.log.push(Entry { at: self.began.elapsed(), instance, what });
    }

    pub(super) fn next_request(&mut self) -> u64 {
        self.requests += 1;
        self.requests
    }
}

pub(super) fn queue_url(name: &str) -> String {
    format!("https://sqs.eu-west-1.amazonaws.com/{ACCOUNT}/{name}")
}

pub(super) fn queue_arn(name: &str) -> String {
    format!("arn:aws:sqs:eu-west-1:{ACCOUNT}:{name}")
}

pub(super) fn topic_arn(name: &str) -> String {
    format!("arn:aws:sns:eu-west-1:{ACCOUNT}:{name}")
}
