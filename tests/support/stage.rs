//! The world of one test: a source queue with its quarantine, customers with their topics and queues, the files that
//! the service reads, and the service.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use protobridge::app::{App, Drained, Loaded};
use protobridge::aws::Clients;
use protobridge::cli::embedded::Embedded;
use protobridge::cli::embedded::samples::{Sample, Samples};
use protobridge::config::{Config, Queue as ConfiguredQueue, load};
use protobridge::message::OutcomeLabel;
use protobridge::telemetry::Metrics;
use tempfile::TempDir;

use crate::emulator::{Emulator, REGION};
use crate::gate::Gate;
use crate::queue::{Input, Message, Queue};
use crate::service::Service;
use crate::wait;

/// The world of one test. Nothing runs before [`Stage::start`] or [`Stage::spawn`].
#[derive(Debug)]
pub(crate) struct Stage {
    emulator: Emulator,
    name: String,
    folder: TempDir,
    /// Where events are sent to.
    pub(crate) source: Queue,
    /// Where those go that cannot be published.
    pub(crate) quarantine: Queue,
    /// Events to send.
    pub(crate) samples: Samples,
    /// The configuration, to be changed before the start.
    pub(crate) config: Config,
    customers: Vec<Customer>,
}

/// A customer, with a queue that is subscribed to the customer's topic.
#[derive(Debug)]
struct Customer {
    id: String,
    topic: String,
    settings: String,
    queue: Queue,
}

/// The service, running in this process.
#[derive(Debug)]
pub(crate) struct Running {
    /// The service.
    pub(crate) app: App,
    /// Its metrics.
    pub(crate) metrics: Arc<Metrics>,
}

impl Stage {
    /// A stage with standard queues and topics.
    pub(crate) async fn new(emulator: &Emulator) -> Self {
        Self::of_kind(emulator, "").await
    }

    /// A stage with FIFO queues and topics.
    pub(crate) async fn fifo(emulator: &Emulator) -> Self {
        Self::of_kind(emulator, ".fifo").await
    }

    async fn of_kind(emulator: &Emulator, kind: &str) -> Self {
        static STAGES: AtomicU32 = AtomicU32::new(0);
        let number = STAGES.fetch_add(1, Ordering::Relaxed);
        let source = Queue::create(emulator, &format!("stage-{number}{kind}")).await;
        let quarantine = Queue::create(emulator, &format!("stage-{number}-quarantine{kind}")).await;
        let folder = TempDir::new().expect("there is a place for temporary files");
        let config = config(emulator, folder.path(), &source, &quarantine);
        Self {
            emulator: emulator.clone(),
            name: format!("stage-{number}"),
            folder,
            source,
            quarantine,
            samples: Samples::new(number.into()),
            config,
            customers: Vec::new(),
        }
    }

    /// Adds a customer with a standard topic. `settings` are more keys of the customer's entry, as YAML:
    /// `events: [a.B], enabled: false`.
    pub(crate) async fn customer(mut self, id: &str, settings: &str) -> Self {
        self.add_customer(id, settings, "").await;
        self
    }

    /// Adds a customer with a FIFO topic.
    pub(crate) async fn fifo_customer(mut self, id: &str) -> Self {
        self.add_customer(id, "", ".fifo").await;
        self
    }

    async fn add_customer(&mut self, id: &str, settings: &str, kind: &str) {
        let name = format!("{}-{id}{kind}", self.name);
        let queue = Queue::create(&self.emulator, &name).await;
        let topic = self.topic(&name, &queue, self.emulator.delivers_raw).await;
        self.customers.push(Customer { id: id.to_owned(), topic, settings: settings.to_owned(), queue });
    }

    /// Makes a topic that a queue is subscribed to, and returns its ARN.
    pub(crate) async fn topic(&self, name: &str, subscriber: &Queue, raw: bool) -> String {
        let sns = &self.emulator.sns;
        let mut request = sns.create_topic().name(name);
        if name.ends_with(".fifo") {
            request = request.attributes("FifoTopic", "true");
        }
        let topic = request.send().await.expect("the topic is created").topic_arn.expect("a topic has an ARN");
        let mut request = sns.subscribe().topic_arn(&topic).protocol("sqs").endpoint(&subscriber.arn);
        if raw {
            request = request.attributes("RawMessageDelivery", "true");
        }
        request.send().await.expect("the queue is subscribed");
        topic
    }

    /// A topic that delivers to the source queue.
    pub(crate) async fn input_topic(&self, raw: bool) -> String {
        self.topic(&format!("{}-input", self.name), &self.source, raw).await
    }

    /// Publishes to a topic. Returns the message id that SNS gave.
    pub(crate) async fn publish(&self, topic: &str, input: Input) -> String {
        let mut request = self.emulator.sns.publish().topic_arn(topic).message(input.body);
        for (name, value) in input.attributes {
            let value = aws_sdk_sns::types::MessageAttributeValue::builder()
                .data_type(value.data_type())
                .set_string_value(value.string_value().map(str::to_owned))
                .set_binary_value(value.binary_value().cloned())
                .build();
            request = request.message_attributes(name, value.expect("the data type is given"));
        }
        request.send().await.expect("it is published").message_id.expect("a message has an id")
    }

    /// The ARN of a customer's topic.
    pub(crate) fn topic_of(&self, id: &str) -> &str {
        &self.customer_named(id).topic
    }

    /// The queue that is subscribed to a customer's topic.
    pub(crate) fn queue_of(&self, id: &str) -> &Queue {
        &self.customer_named(id).queue
    }

    /// Puts a gate between the service and the emulator.
    pub(crate) async fn gate(&mut self) -> Gate {
        let gate = Gate::in_front_of(&self.emulator.endpoint_url).await;
        self.config.aws.endpoint_url = Some(gate.endpoint_url());
        gate
    }

    /// Takes away the gate, for whoever starts from now on.
    pub(crate) fn without_gate(&mut self) {
        self.config.aws.endpoint_url = Some(self.emulator.endpoint_url.clone());
    }

    /// The next event of a customer that has this type.
    pub(crate) fn event_of_type(&mut self, customer: &str, message_type: &str) -> Sample {
        let mut events = std::iter::repeat_with(|| self.samples.next_event(&[customer]));
        events.find(|event| event.message_type == message_type).expect("samples never end")
    }

    /// Writes a file into the folder of the stage, and returns its path.
    pub(crate) fn write_file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).expect("it can be written");
        path
    }

    /// Writes the files that the service reads. Returns the path of its configuration.
    pub(crate) fn write_files(&self) -> PathBuf {
        let mut customers = "customers:\n".to_owned();
        for Customer { id, topic, settings, .. } in &self.customers {
            let _ = writeln!(customers, "  - {{id: {id}, topic: '{topic}', {settings}}}");
        }
        self.write_file("customers.yaml", &customers);
        let config = serde_saphyr::to_string(&self.config).expect("a configuration can be written");
        self.write_file("protobridge.yaml", &config)
    }

    /// Starts the service in this process.
    pub(crate) async fn start(&self) -> Running {
        let config = load::file(&self.write_files(), []).expect("the configuration is good");
        let parts = Loaded::load(&config).expect("descriptor sets and customers are good");
        let clients = Clients::with_credentials(&config.aws, Embedded::credentials()).await;
        let app = App::start_with(&config, parts, clients).await.expect("the queues are there");
        Running { metrics: Arc::clone(app.metrics()), app }
    }

    /// Starts the service as a process of its own.
    pub(crate) async fn spawn(&self) -> Service {
        Service::start(&self.write_files()).await
    }

    /// Takes what has arrived at a customer's topic: this many messages, in the order of their arrival.
    pub(crate) async fn delivered(&self, id: &str, count: usize) -> Vec<Message> {
        let messages = self.queue_of(id).take(count).await;
        messages.into_iter().map(Message::unwrapped).collect()
    }

    /// Takes the only message that has arrived at a customer's topic.
    pub(crate) async fn delivered_one(&self, id: &str) -> Message {
        self.delivered(id, 1).await.remove(0)
    }

    /// Asserts that nothing has arrived at a customer's topic beyond what was taken.
    pub(crate) async fn nothing_more_for(&self, id: &str) {
        assert_eq!(self.queue_of(id).depth().await, 0, "messages for {id}");
    }

    fn customer_named(&self, id: &str) -> &Customer {
        self.customers.iter().find(|customer| customer.id == id).expect("a customer of this stage")
    }
}

fn config(emulator: &Emulator, folder: &Path, source: &Queue, quarantine: &Queue) -> Config {
    let mut config = Config::default();
    config.aws.region = Some(REGION.to_owned());
    config.aws.endpoint_url = Some(emulator.endpoint_url.clone());
    // A publish that waits at a gate is waited for.
    config.aws.attempt_timeout_ms = 60_000;
    config.queues = vec![ConfiguredQueue {
        url: source.url.clone(),
        quarantine_url: Some(quarantine.url.clone()),
        ..ConfiguredQueue::default()
    }];
    config.receive.max_pollers = 2;
    // An emulator goes on with a poll whose client is gone, and what it finds is hidden from everyone else.
    config.receive.wait_seconds = 1;
    config.descriptors.path = Path::new(env!("CARGO_MANIFEST_DIR")).join("descriptors");
    let paths = |paths: &[&str]| paths.iter().map(|path| (*path).to_owned()).collect();
    config.taps.customer = paths(&["meta.tenant_id", "tenant_id"]);
    config.taps.event_id = paths(&["meta.event_id", "event_id"]);
    config.taps.event_time = paths(&["meta.occurred_at", "commit_time"]);
    config.taps.ordering = paths(&["order_id", "row_key"]);
    config.route.customers_file = folder.join("customers.yaml");
    config.retry.min_seconds = 1;
    config.admin.listen = ([127, 0, 0, 1], 0).into();
    config
}

impl Running {
    /// How many messages were settled with this outcome.
    pub(crate) fn settled(&self, outcome: OutcomeLabel) -> u64 {
        self.metrics.settled.sum_where(|labels| labels.outcome == outcome)
    }

    /// Returns when this many messages were settled with this outcome.
    pub(crate) async fn has_settled(&self, outcome: OutcomeLabel, count: u64) {
        let what = format!("{count} messages are {}", outcome.code());
        wait::until(&what, async || (self.settled(outcome) >= count).then_some(())).await;
    }

    /// Returns when this many messages were received.
    pub(crate) async fn has_received(&self, count: u64) {
        let what = format!("{count} messages are received");
        wait::until(&what, async || (self.metrics.received.sum() >= count).then_some(())).await;
    }

    /// Stops the service, and asserts that every message it has received came to exactly one outcome, by the type of its
    /// event, too.
    pub(crate) async fn stop(self) -> Drained {
        let drained = self.app.stop().await;
        let metrics = &self.metrics;
        let outcomes = &metrics.settled;
        assert_eq!(metrics.received.sum(), metrics.settled.sum(), "received = settled: {outcomes:?}");
        assert_eq!(metrics.in_flight.sum(), 0, "nothing is in flight: {:?}", metrics.in_flight);
        assert_eq!(
            outcomes.sum_where(|labels| labels.outcome == OutcomeLabel::Abandoned),
            drained.returned as u64,
            "given back = abandoned: {outcomes:?}"
        );
        let accounted =
            metrics.accounted.sum_by(|labels| Some((labels.queue.to_owned(), labels.event_type.to_owned())));
        let settled = outcomes.sum_by(|labels| Some((labels.queue.to_owned(), labels.event_type.to_owned())));
        assert_eq!(accounted, settled, "received = settled, by queue and event type: {outcomes:?}");
        drained
    }
}
