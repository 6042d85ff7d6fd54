//! A scenario: the customers, the replicas, the messages, the faults, and the expected outcome of each message.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use fastrand::Rng;
use serde_json::{Value, json};

use super::claims::{self, Claim};
use super::hazard::{self, Planted};
use super::identity;
use super::references::References;
use crate::model::{Faults, Incoming, Target};

/// A scenario. Its seed determines all of it.
#[derive(Debug)]
pub(super) struct Scenario {
    pub(super) seed: u64,
    pub(super) fifo: bool,
    pub(super) setup: Setup,
    pub(super) quarantine: bool,
    /// Whether the in-flight budget is so small that it is always full.
    pub(super) small_budget: bool,
    pub(super) visibility_seconds: u32,
    /// The time for which the service remembers a published event.
    pub(super) window: Duration,
    pub(super) faults: Faults,
    /// The time from the start during which faults happen.
    pub(super) troubled: Duration,
    pub(super) messages: Vec<Planned>,
    /// The runs of each replica that end early. The last run of a replica follows them and lasts until the end.
    pub(super) replicas: Vec<Vec<Run>>,
    /// The times at which another consumer receives messages, and for how long it holds them.
    pub(super) competitors: Vec<(Duration, Duration)>,
    pub(super) references: References,
    /// Trouble that lasts, if the scenario has any.
    pub(super) hazard: Option<Planted>,
}

/// The number of customers, which of their topics are FIFO topics, which customers have claim checks, and whether events of
/// unknown customers go to a topic. That topic is like the topic of the first customer, without claim checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Setup {
    pub(crate) customers: usize,
    pub(crate) fifo: [bool; 3],
    pub(crate) claims: [Claim; 3],
    pub(crate) has_fallback: bool,
}

/// A message to send, and its expected outcome.
#[derive(Debug)]
pub(super) struct Planned {
    /// The time from the start at which the message is sent.
    pub(super) at: Duration,
    pub(super) message: Incoming,
    pub(super) expect: Expect,
    /// The buckets and the registry, as far as the message depends on them.
    pub(super) needs: Vec<Target>,
}

/// The expected outcome of a message.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Expect {
    /// Published to the topics of these customers, or of [`FALLBACK`], with this body.
    Published {
        customers: Vec<usize>,
        body: String,
    },
    /// Published to the topic of each customer for whom there is a body. If there is none for some, the message is
    /// quarantined for this reason afterwards.
    Broadcast {
        bodies: Vec<Option<String>>,
        refused: Option<&'static str>,
    },
    Filtered,
    /// Quarantined for this reason.
    Quarantined(&'static str),
}

impl Expect {
    /// Returns the reason for which the message is quarantined, if it is.
    pub(super) fn quarantined(&self) -> Option<&'static str> {
        match self {
            Self::Quarantined(reason) | Self::Broadcast { refused: Some(reason), .. } => Some(reason),
            Self::Published { .. } | Self::Broadcast { refused: None, .. } | Self::Filtered => None,
        }
    }
}

/// One run of the service.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run {
    /// The time until the run is ended.
    pub(super) duration: Duration,
    pub(super) end: End,
    /// The time between the end of this run and the start of the next.
    pub(super) pause: Duration,
}

/// How a run of the service ends.
#[derive(Debug, Clone, Copy)]
pub(super) enum End {
    Crash,
    Stop,
    /// Asked to stop, and killed if stopping takes longer than this.
    Kill(Duration),
}

pub(crate) const CUSTOMERS: [&str; 3] = ["acme", "bolt", "corp"];
/// The number of the topic for events of unknown customers, after the customers.
pub(super) const FALLBACK: usize = CUSTOMERS.len();
/// The customer whose profile leaves out the sender and the time of a heartbeat.
pub(super) const SLIM: usize = 1;
/// The largest entry in bytes: room for ten events, and not for a heartbeat with a long sender.
pub(super) const MAX_ENTRY_BYTES: usize = 8 * 1024;
/// The times for which the service remembers a published event: the default, and a time that many outages outlast.
const WINDOWS: [Duration; 2] = [Duration::from_secs(900), Duration::from_secs(60)];

impl Setup {
    /// Returns the name of a customer's topic.
    pub(crate) fn topic(&self, customer: usize) -> String {
        let (name, is_fifo) = match CUSTOMERS.get(customer) {
            Some(name) => (*name, self.fifo[customer]),
            None => ("rest", self.fifo[0]),
        };
        format!("{name}{}", if is_fifo { ".fifo" } else { "" })
    }

    /// Returns the numbers of the topics.
    pub(super) fn topics(self) -> impl Iterator<Item = usize> {
        (0..self.customers).chain(self.has_fallback.then_some(FALLBACK))
    }
}

impl Scenario {
    /// Returns the scenario of a seed.
    pub(super) fn of(seed: u64) -> Self {
        let mut random = Rng::with_seed(seed ^ 0x5e_ed0f_1ffe);
        let random = &mut random;
        let fifo = random.bool();
        let kind = random.u8(..3);
        let fifo_topics = [kind > 0, kind > 1, kind > 1];
        let has_fallback = identity::has_fallback(seed);
        let claims = claims::draw(seed);
        let setup = Setup { customers: random.usize(1..=3), fifo: fifo_topics, claims, has_fallback };
        let troubled = seconds(random, 20..150);
        let quarantine = random.u8(..5) > 0;
        let replicas = (0..random.usize(1..=2)).map(|_| runs(random)).collect();
        let competitors = match random.u8(..5) {
            0 => (0..random.usize(1..8)).map(|_| (seconds(random, 1..100), seconds(random, 1..40))).collect(),
            _ => Vec::new(),
        };
        let count = random.usize(10..=60);
        let spread = *random.choice(&[1, 1_000, 30_000]).expect("the list is not empty");
        let mut scenario = Self {
            seed,
            fifo,
            setup,
            quarantine,
            small_budget: random.u8(..4) == 0,
            visibility_seconds: *random.choice(&[5, 10, 30, 30, 60]).expect("the list is not empty"),
            faults: Faults::draw(random),
            troubled,
            messages: messages(random, setup, count, fifo, quarantine, spread),
            replicas,
            competitors,
            references: References::default(),
            hazard: None,
            window: *Rng::with_seed(seed ^ 0x0117_d0f0).choice(&WINDOWS).expect("the list is not empty"),
        };
        identity::share_ids(&mut scenario);
        claims::refer(&mut scenario);
        hazard::plant(&mut scenario);
        scenario
    }

    /// Whether one process receives all messages.
    pub(super) fn is_one_process(&self) -> bool {
        self.replicas.len() == 1 && self.replicas.iter().all(Vec::is_empty)
    }

    /// Returns the broadcasts, if several processes receive messages. One topic of a broadcast can delay its message while
    /// the other topics have the event. If another process receives the message afterwards, it publishes the event to all
    /// topics: without Redis, each process has its own window of duplicates.
    pub(super) fn broadcasts_of_several_processes(&self) -> BTreeSet<&str> {
        let is_repeated = |expect: &Expect| matches!(expect, Expect::Broadcast { .. }) && !self.is_one_process();
        let broadcasts = self.messages.iter().filter(|planned| is_repeated(&planned.expect));
        broadcasts.map(|planned| &*planned.message.name).collect()
    }

    /// Describes the scenario in one line, for the message of a failure.
    pub(super) fn summary(&self) -> String {
        let early_ends: usize = self.replicas.iter().map(Vec::len).sum();
        format!(
            "{} source{}, {:?}, {} messages, {} of them with lookups, {} replicas, {early_ends} runs that end early, quarantine {}, {:?}, {:?}",
            if self.fifo { "FIFO" } else { "standard" },
            if self.references.is_framed { " with Confluent's framing" } else { "" },
            self.setup,
            self.messages.len(),
            self.messages.iter().filter(|planned| !planned.needs.is_empty()).count(),
            self.replicas.len(),
            self.quarantine,
            self.faults,
            self.hazard,
        )
    }
}

fn seconds(random: &mut Rng, range: std::ops::Range<u64>) -> Duration {
    Duration::from_millis(random.u64(range.start * 1_000..range.end * 1_000))
}

fn runs(random: &mut Rng) -> Vec<Run> {
    let count = *random.choice(&[0, 0, 1, 1, 2, 4]).expect("the list is not empty");
    let run = |random: &mut Rng| Run {
        duration: seconds(random, 0..40),
        end: match random.u8(..3) {
            0 => End::Crash,
            1 => End::Stop,
            _ => End::Kill(seconds(random, 0..20)),
        },
        pause: seconds(random, 0..10),
    };
    (0..count).map(|_| run(random)).collect()
}

fn messages(random: &mut Rng, setup: Setup, count: usize, fifo: bool, quarantine: bool, spread: u64) -> Vec<Planned> {
    let groups = random.usize(1..=5);
    let mut messages: Vec<Planned> = Vec::with_capacity(count);
    let mut times: Vec<u64> = (0..count).map(|_| random.u64(..spread)).collect();
    times.sort_unstable();
    for (number, at) in times.into_iter().enumerate() {
        let at = Duration::from_millis(at);
        if number > 0 && random.u8(..25) == 0 {
            let Planned { message, expect, .. } = random.choice(&messages).expect("the list is not empty");
            let (mut message, expect) = (message.clone(), expect.clone());
            // The producer sends an event again, and SQS does not take it for a duplicate. On a FIFO queue the second
            // message has its own group, so that it does not change the order of the first one's group.
            message.deduplication_id = fifo.then(|| format!("again-{number}"));
            message.group = fifo.then(|| format!("again-{number}"));
            messages.push(Planned { at, message, expect, needs: Vec::new() });
            continue;
        }
        let (mut message, expect) = event(random, setup, number);
        let own_group = !quarantine && expect.quarantined().is_some();
        if fifo {
            // A message that never leaves the queue would block its group forever, so it gets its own group.
            let group = if own_group { format!("own-{number}") } else { format!("group-{}", random.usize(..groups)) };
            message.group = Some(group);
            message.deduplication_id = Some(format!("sent-{number}"));
        }
        messages.push(Planned { at, message, expect, needs: Vec::new() });
    }
    messages
}

/// Draws the event with this number. Returns its message and its expected outcome.
fn event(random: &mut Rng, setup: Setup, number: usize) -> (Incoming, Expect) {
    let customer = random.usize(..setup.customers);
    let order = format!("order-{number}");
    match random.u8(..20) {
        0 => {
            let kind = *random.choice(&["heartbeat", "heartbeat", "large", "timeless"]).expect("the list is not empty");
            broadcast(&format!("{kind}-{number}"), kind, setup)
        }
        1 => of_order(&format!("disabled-{number}"), "dora", &order, Expect::Filtered),
        2 => of_order(&format!("unwanted-{number}"), "ella", &order, Expect::Filtered),
        3 => {
            let name = format!("stranger-{number}");
            let body = json_of(&name, "stranger", &order);
            let published = Expect::Published { customers: vec![FALLBACK], body };
            let expect = if setup.has_fallback { published } else { Expect::Quarantined("no_customer") };
            of_order(&name, "stranger", &order, expect)
        }
        4 => {
            let name = format!("unknown-{number}");
            let sent = message(&name, "shop.v1.GiftCardIssued", b"", &[("event-id", &name)]);
            (sent, Expect::Quarantined("unknown_type"))
        }
        5 => {
            let name = format!("malformed-{number}");
            let sent = message(&name, ORDER, &[0x0a, 0x20, 0x0a], &[("event-id", &name), ("customer-id", "acme")]);
            (sent, Expect::Quarantined("malformed_protobuf"))
        }
        6 => {
            let name = format!("text-{number}");
            let mut sent = message(&name, ORDER, b"", &[("event-id", &name)]);
            sent.body = "this is no base64!".to_owned();
            (sent, Expect::Quarantined("bad_envelope"))
        }
        kind => {
            let (name, id) = (format!("event-{number}"), CUSTOMERS[customer]);
            let body = json_of(&name, id, &order);
            let expect = Expect::Published { customers: vec![customer], body };
            let (mut sent, expect) = of_order(&name, id, &order, expect);
            if kind % 2 == 0 {
                // Leave the event id and the customer to the payload.
                sent.attributes = attributes(&[("message-type", ORDER)]);
            }
            (sent, expect)
        }
    }
}

/// Returns a heartbeat and its expected outcome. The JSON of a `large` one is too large without a claim check, and the
/// time of a `timeless` one cannot be rendered, except for the customer whose profile leaves both out.
fn broadcast(name: &str, kind: &str, setup: Setup) -> (Incoming, Expect) {
    let (more, payload, refused) = match kind {
        "large" => (MAX_ENTRY_BYTES, Vec::new(), Some("too_large")),
        // The year 10000 begins 253,402,300,800 seconds after 1970.
        "timeless" => (0, b"\x1a\x07\x08\x80\x80\x80\x80\x80\x40".to_vec(), Some("unrenderable")),
        _ => (0, Vec::new(), None),
    };
    let source = format!("{name}{}", "x".repeat(more));
    let mut heartbeat = Vec::new();
    prost::encoding::string::encode(1, &source, &mut heartbeat);
    heartbeat.extend(payload);
    let body = |customer| match (customer, refused) {
        (SLIM, _) => Some("{}".to_owned()),
        (_, Some("too_large")) if setup.claims[customer] != Claim::Off => Some(format!("{{\"source\":\"{source}\"}}")),
        (_, Some(_)) => None,
        (_, None) => Some(format!("{{\"source\":\"{source}\"}}")),
    };
    let bodies: Vec<_> = (0..setup.customers).map(body).collect();
    let refused = refused.filter(|_| bodies.iter().any(Option::is_none));
    let expect = Expect::Broadcast { bodies, refused };
    (message(name, "protobridge.v1.Heartbeat", &heartbeat, &[("event-id", name)]), expect)
}

pub(crate) const ORDER: &str = "shop.v1.OrderStatusChanged";

pub(crate) fn of_order(name: &str, customer: &str, order_id: &str, expect: Expect) -> (Incoming, Expect) {
    (order(name, ORDER, customer, order_id), expect)
}

/// Returns the message of an event about an order, whose first two fields are those of [`ORDER`].
pub(super) fn order(id: &str, message_type: &str, customer: &str, order_id: &str) -> Incoming {
    let meta = [field(1, id.as_bytes()), field(2, customer.as_bytes())].concat();
    let payload = [field(1, &meta), field(2, order_id.as_bytes())].concat();
    message(id, message_type, &payload, &[("event-id", id), ("customer-id", customer)])
}

/// Returns an event about an order as ProtoJSON.
pub(super) fn json_of(name: &str, customer: &str, order: &str) -> String {
    format!("{{\"meta\":{{\"eventId\":\"{name}\",\"tenantId\":\"{customer}\"}},\"orderId\":\"{order}\"}}")
}

/// Encodes a length-delimited field whose value is shorter than 128 bytes.
pub(crate) fn field(number: u8, value: &[u8]) -> Vec<u8> {
    let length = u8::try_from(value.len()).expect("the value is shorter than 128 bytes");
    [&[number << 3 | 2, length], value].concat()
}

pub(crate) fn message(name: &str, message_type: &str, payload: &[u8], more: &[(&str, &str)]) -> Incoming {
    let attributes = attributes(&[&[("message-type", message_type)], more].concat());
    // SQS refuses an empty body.
    let payload = if payload.is_empty() { b"\x0a\x00" } else { payload };
    let body = BASE64_STANDARD.encode(payload);
    Incoming { body, attributes, group: None, deduplication_id: None, name: name.into() }
}

fn attributes(texts: &[(&str, &str)]) -> Value {
    let value = |text: &str| json!({"DataType": "String", "StringValue": text});
    let attributes: BTreeMap<&str, Value> = texts.iter().map(|(name, text)| (*name, value(text))).collect();
    json!(attributes)
}
