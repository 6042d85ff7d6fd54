//! A world: its queues, topics, objects and schemas, its random numbers and its log.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use fastrand::Rng;
use protobridge::aws::Clients;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::attempts::Attempt;
use super::bill::Bill;
use super::claims::Claims;
use super::connector;
use super::faults::Faults;
use super::log::{Entry, What};
use super::lookups::Found;
use super::queue::{Incoming, Queue, Redrive};
use super::topic::Topic;
use super::trouble::{Balance, Target, Trouble};

/// A model of AWS that is independent of all other worlds. Clones share one world.
#[derive(Debug, Clone)]
pub(crate) struct World(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Notify,
}

/// The state of a world.
#[derive(Debug)]
pub(super) struct State {
    pub(super) random: Rng,
    pub(super) faults: Faults,
    /// The queues by URL.
    pub(super) queues: BTreeMap<String, Queue>,
    /// The topics by ARN.
    pub(super) topics: BTreeMap<String, Topic>,
    /// The objects in S3 and the schemas of the registry.
    pub(super) found: Found,
    /// The objects of claim checks.
    pub(super) claims: Claims,
    pub(super) log: Vec<Entry>,
    /// The name in the log of each message that was ever sent, by message id.
    names: BTreeMap<Arc<str>, Arc<str>>,
    /// The time by which the clock of SQS is ahead of ours, in seconds.
    pub(super) clock_skew: i64,
    /// The number of messages that SNS has accepted.
    pub(super) published: u64,
    /// The balance of the publish quota.
    pub(super) quota: Balance,
    /// The targets in trouble. A quota of a topic has its own balance.
    pub(super) troubles: BTreeMap<Target, (Trouble, Balance)>,
    began: Instant,
    requests: u64,
    crashed: BTreeSet<u32>,
    /// What AWS counts for each run of the service.
    bills: BTreeMap<u32, Bill>,
    /// The entries in calls to publish, in the order of the calls.
    pub(super) attempts: Vec<Attempt>,
}

const ACCOUNT: &str = "000000000000";

impl World {
    /// Creates a world without queues and topics. The seed determines every random choice.
    pub(crate) fn new(seed: u64, faults: Faults) -> Self {
        let state = State {
            random: Rng::with_seed(seed),
            faults,
            queues: BTreeMap::new(),
            topics: BTreeMap::new(),
            found: Found::default(),
            claims: Claims::default(),
            log: Vec::new(),
            names: BTreeMap::new(),
            clock_skew: 0,
            published: 0,
            quota: Balance::empty(),
            troubles: BTreeMap::new(),
            began: Instant::now(),
            requests: 0,
            crashed: BTreeSet::new(),
            bills: BTreeMap::new(),
            attempts: Vec::new(),
        };
        Self(Arc::new(Shared { state: Mutex::new(state), changed: Notify::new() }))
    }

    /// Returns the clients of one run of the service.
    pub(crate) fn clients(&self, instance: u32) -> Clients {
        connector::clients(self, instance)
    }

    /// Creates a queue: a FIFO queue if the name ends with `.fifo`. Returns its URL.
    pub(crate) fn create_queue(&self, name: &str) -> String {
        let url = queue_url(name);
        self.lock().queues.entry(url.clone()).or_insert_with(|| Queue::new(name));
        url
    }

    /// Returns the URL of a queue with this name.
    pub(crate) fn queue_url(name: &str) -> String {
        queue_url(name)
    }

    /// Gives a queue a redrive policy: a message that was received `max_receives` times moves to the dead-letter queue
    /// instead of being received once more.
    pub(crate) fn set_redrive(&self, url: &str, dead_letter: &str, max_receives: u32) {
        let redrive = Redrive { dead_letter: dead_letter.into(), max_receives };
        self.lock().queue(url).redrive = Some(redrive);
    }

    /// Creates a topic: a FIFO topic if the name ends with `.fifo`. Returns its ARN.
    pub(crate) fn create_topic(&self, name: &str) -> String {
        let arn = topic_arn(name);
        self.lock().topics.entry(arn.clone()).or_insert_with(|| Topic::new(name));
        arn
    }

    /// Subscribes a queue to a topic, with raw delivery.
    pub(crate) fn subscribe(&self, topic: &str, url: &str) {
        let mut state = self.lock();
        state.topics.get_mut(topic).expect("the topic exists").queues.push(url.to_owned());
    }

    /// Sends a message for a producer whose calls never fail. Returns the message id.
    pub(crate) fn send(&self, url: &str, message: Incoming) -> Arc<str> {
        let (id, _) = self.lock().send(url, message);
        self.changed().notify_waiters();
        id
    }

    /// Receives some messages for another consumer, which hides them for `hold` and does not delete them.
    pub(crate) fn compete(&self, url: &str, hold: Duration) {
        let mut state = self.lock();
        state.redrive(url);
        let (now, most) = (Instant::now(), state.random.usize(1..=10));
        for number in state.queue(url).receivable(now).into_iter().take(most) {
            let (_, message) = state.queue(url).receive(number, now, now + hold);
            state.fault(message.name(), "another consumer holds it for a while");
        }
    }

    /// Sets the time by which the clock of SQS is ahead of ours, in seconds. The times of messages are by its clock.
    pub(crate) fn set_clock_skew(&self, seconds: i64) {
        self.lock().clock_skew = seconds;
    }

    /// Ends all faults and all trouble.
    pub(crate) fn heal(&self) {
        let mut state = self.lock();
        state.troubles.clear();
        state.faults = Faults::none();
        state.note(None, What::Healed);
    }

    /// Crashes a run of the service: from now on its calls have no effect and no answer reaches it.
    pub(crate) fn crash(&self, instance: u32) {
        let mut state = self.lock();
        state.crashed.insert(instance);
        state.note(Some(instance), What::Crashed);
        state.fault_of_held(instance, "its service crashed");
    }

    /// Records that a run of the service has stopped and has made `given_back` unfinished messages visible again.
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

    /// Returns the log so far, and begins a new one.
    pub(crate) fn take_log(&self) -> Vec<Entry> {
        std::mem::take(&mut self.lock().log)
    }

    /// Returns the attempts to publish entries so far, and forgets them.
    pub(crate) fn take_attempts(&self) -> Vec<Attempt> {
        std::mem::take(&mut self.lock().attempts)
    }

    /// Returns what AWS has counted for a run of the service.
    pub(crate) fn bill(&self, instance: u32) -> Bill {
        self.lock().bill(instance).clone()
    }

    /// Returns the ids of the messages in a queue.
    pub(crate) fn messages(&self, url: &str) -> BTreeSet<Arc<str>> {
        self.lock().queue(url).messages().map(|message| Arc::clone(&message.content.id)).collect()
    }

    /// Waits until a queue has no other messages than these.
    pub(crate) async fn until_only(&self, url: &str, ids: &BTreeSet<Arc<str>>) {
        let is_only = || self.lock().queue(url).messages().all(|message| ids.contains(&message.content.id));
        loop {
            let changed = self.changed().notified();
            if is_only() {
                return;
            }
            changed.await;
        }
    }

    pub(super) fn is_crashed(&self, instance: u32) -> bool {
        self.lock().crashed.contains(&instance)
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().expect("no thread panicked while it held the lock")
    }

    /// Returns the notification that wakes long polls, because a message can have become visible.
    pub(super) fn changed(&self) -> &Notify {
        &self.0.changed
    }
}

impl State {
    /// Returns the queue with this URL.
    ///
    /// # Panics
    ///
    /// Panics if there is no such queue.
    pub(super) fn queue(&mut self, url: &str) -> &mut Queue {
        self.queues.get_mut(url).unwrap_or_else(|| panic!("there is no queue {url}"))
    }

    /// Sends a message, which a fault can make visible late. Returns its id and whether it is a duplicate.
    pub(super) fn send(&mut self, url: &str, message: Incoming) -> (Arc<str>, bool) {
        let (now, name) = (Instant::now(), Arc::clone(&message.name));
        let late = self.happens(|faults| faults.late).then(|| Duration::from_millis(self.random.u64(500..30_000)));
        let (id, known) = self.queue(url).send(message, now, now + late.unwrap_or_default());
        if !known {
            self.names.insert(Arc::clone(&id), Arc::clone(&name));
            self.note(None, What::Sent { event: name, message: Arc::clone(&id) });
        }
        (id, known)
    }

    /// Returns the name in the log of the message with this id.
    pub(super) fn name_of(&self, id: &str) -> Arc<str> {
        self.names.get(id).map_or_else(|| id.into(), Arc::clone)
    }

    /// Draws a random number to decide whether a fault happens.
    pub(super) fn happens(&mut self, fault: impl Fn(&Faults) -> f64) -> bool {
        // Draw even if the probability is zero, so that disabling one fault does not change the later draws.
        self.random.f64() < fault(&self.faults)
    }

    /// Logs a fault of receiving a message or of keeping it hidden.
    pub(super) fn fault(&mut self, event: &Arc<str>, cause: &'static str) {
        self.note(None, What::Fault { event: Arc::clone(event), cause, onward: false });
    }

    /// Logs a fault of a publish, a quarantine or a delete.
    pub(super) fn onward_fault(&mut self, event: &Arc<str>, cause: &'static str) {
        self.note(None, What::Fault { event: Arc::clone(event), cause, onward: true });
    }

    /// Logs a fault for each event that this run of the service has received and not deleted.
    fn fault_of_held(&mut self, instance: u32, cause: &'static str) {
        let mut held = BTreeSet::new();
        for entry in self.log.iter().filter(|entry| entry.instance == Some(instance)) {
            match &entry.what {
                What::Handed { event, .. } => held.insert(Arc::clone(event)),
                What::Deleted { event, .. } => held.remove(event),
                _ => continue,
            };
        }
        for event in held {
            self.fault(&event, cause);
        }
    }

    pub(super) fn note(&mut self, instance: Option<u32>, what: What) {
        self.log.push(Entry { at: self.began.elapsed(), clock: SystemTime::now(), instance, what });
    }

    pub(super) fn bill(&mut self, instance: u32) -> &mut Bill {
        self.bills.entry(instance).or_default()
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

/// Returns the ARN of a topic with this name.
pub(crate) fn topic_arn(name: &str) -> String {
    format!("arn:aws:sns:eu-west-1:{ACCOUNT}:{name}")
}
