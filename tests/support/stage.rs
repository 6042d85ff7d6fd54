//! The setup of one test: a source queue and its quarantine queue, customers with their topics and queues, the files
//! that the service reads, and the service itself.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use protobridge::app::{App, CanaryApp, Drained, Listener, Loaded};
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

/// The setup of one test. The service runs only after [`Stage::start`] or [`Stage::spawn`].
#[derive(Debug)]
pub(crate) struct Stage {
    emulator: Emulator,
    name: String,
    folder: TempDir,
    /// The queue that the service receives from.
    pub(crate) source: Queue,
    /// The queue for messages that cannot be published.
    pub(crate) quarantine: Queue,
    /// The generator of events to send.
    pub(crate) samples: Samples,
    /// The configuration. Tests change it before they start the service.
    pub(crate) config: Config,
    customers: Vec<Customer>,
}

/// A customer and the queue that is subscribed to the customer's topic.
#[derive(Debug)]
struct Customer {
    id: String,
    topic: String,
    settings: String,
    queue: Queue,
}

/// A service that runs in this process.
#[derive(Debug)]
pub(crate) struct Running {
    /// The running service.
    pub(crate) app: App,
    /// The service's metrics.
    pub(crate) metrics: Arc<Metrics>,
    /// The address of the admin endpoint.
    pub(crate) address: SocketAddr,
}

/// A prober of canaries that runs in this process.
#[derive(Debug)]
pub(crate) struct Canaries {
    _app: CanaryApp,
    /// The prober's metrics.
    pub(crate) metrics: Arc<Metrics>,
    /// The address of the admin endpoint.
    pub(crate) address: SocketAddr,
}

impl Stage {
    /// Creates a stage with standard queues.
    pub(crate) async fn new(emulator: &Emulator) -> Self {
        Self::of_kind(emulator, "").await
    }

    /// Creates a stage with FIFO queues.
    pub(crate) async fn fifo(emulator: &Emulator) -> Self {
        Self::of_kind(emulator, ".fifo").await
    }

    async fn of_kind(emulator: &Emulator, kind: &str) -> Self {
        static STAGES: AtomicU32 = AtomicU32::new(0);
        let number = STAGES.fetch_add(1, Ordering::Relaxed);
        let source = Queue::create(emulator, &format!("stage-{number}{kind}")).await;
        let quarantine = Queue::create(emulator, &format!("stage-{number}-quarantine{kind}")).await;
        let folder = TempDir::new().expect("a temporary folder can be created");
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

    /// Adds a customer with a standard topic. `settings` holds further keys of the customer's entry as YAML, such as
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
        let topic = self.topic(&name, &queue, true).await;
        self.customers.push(Customer { id: id.to_owned(), topic, settings: settings.to_owned(), queue });
    }

    /// Creates a topic and subscribes a queue to it. `raw` asks for raw delivery. Returns the topic's ARN.
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

    /// Configures a canary, of the kind of the source queue, with an interval of one second and this deadline. `raw` is the
    /// form of the subscription of the return queue; `None` subscribes none. Returns the return queue.
    pub(crate) async fn canary(&mut self, deadline_seconds: u64, raw: Option<bool>) -> Queue {
        let kind = if self.source.url.ends_with(".fifo") { ".fifo" } else { "" };
        let name = format!("{}-canary", self.name);
        let back = Queue::create(&self.emulator, &format!("{name}-return{kind}")).await;
        let subscriber = match raw {
            Some(_) => back.clone(),
            None => Queue::create(&self.emulator, &format!("{name}-elsewhere{kind}")).await,
        };
        let topic = self.topic(&format!("{name}{kind}"), &subscriber, raw.unwrap_or_default()).await;
        self.config.canary = protobridge::config::Canary {
            topic: Some(topic),
            return_queue_url: Some(back.url.clone()),
            interval_seconds: 1,
            deadline_seconds,
            ..Default::default()
        };
        back
    }

    /// Starts a prober of canaries in this process, which calls AWS at this endpoint.
    pub(crate) async fn probe_at(&self, endpoint_url: &str) -> Canaries {
        let mut config = load::file(&self.write_files(), []).expect("the configuration is valid");
        config.aws.endpoint_url = Some(endpoint_url.to_owned());
        let clients = Clients::with_credentials(&config.aws, Embedded::credentials()).await;
        let admin = Listener::bind(&config.admin).await.expect("the system chooses a free port");
        let address = admin.address();
        let app = CanaryApp::start(&config, &clients, admin).expect("the configuration has a canary");
        Canaries { metrics: Arc::clone(app.metrics()), _app: app, address }
    }

    /// Starts a prober of canaries in this process.
    pub(crate) async fn probe(&self) -> Canaries {
        self.probe_at(&self.emulator.endpoint_url).await
    }

    /// Creates a topic that delivers to the source queue. Returns its ARN.
    pub(crate) async fn input_topic(&self, raw: bool) -> String {
        self.topic(&format!("{}-input", self.name), &self.source, raw).await
    }

    /// Publishes a message to a topic. Returns the message id from SNS.
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
        request.send().await.expect("the message is published").message_id.expect("a message has an id")
    }

    /// Returns the ARN of a customer's topic.
    pub(crate) fn topic_of(&self, id: &str) -> &str {
        &self.customer_named(id).topic
    }

    /// Returns the queue that is subscribed to a customer's topic.
    pub(crate) fn queue_of(&self, id: &str) -> &Queue {
        &self.customer_named(id).queue
    }

    /// Puts an open gate between the emulator and every service that starts from now on.
    pub(crate) async fn gate(&mut self) -> Gate {
        let gate = Gate::in_front_of(&self.emulator.endpoint_url).await;
        self.config.aws.endpoint_url = Some(gate.endpoint_url());
        gate
    }

    /// Connects every service that starts from now on directly to the emulator.
    pub(crate) fn without_gate(&mut self) {
        self.config.aws.endpoint_url = Some(self.emulator.endpoint_url.clone());
    }

    /// Returns the next generated event of this type for this customer.
    pub(crate) fn event_of_type(&mut self, customer: &str, message_type: &str) -> Sample {
        let mut events = std::iter::repeat_with(|| self.samples.next_event(&[customer]));
        events.find(|event| event.message_type == message_type).expect("the samples are endless")
    }

    /// Writes a file into the folder of the stage. Returns its path.
    pub(crate) fn write_file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).expect("the file can be written");
        path
    }

    /// Writes the configuration and the customers file. Returns the path of the configuration.
    pub(crate) fn write_files(&self) -> PathBuf {
        let mut customers = "customers:\n".to_owned();
        for Customer { id, topic, settings, .. } in &self.customers {
            let _ = writeln!(customers, "  - {{id: {id}, topic: '{topic}', {settings}}}");
        }
        self.write_file("customers.yaml", &customers);
        let config = serde_saphyr::to_string(&self.config).expect("the configuration can be serialized");
        self.write_file("protobridge.yaml", &config)
    }

    /// Starts the service in this process.
    pub(crate) async fn start(&self) -> Running {
        let config = load::file(&self.write_files(), []).expect("the configuration is valid");
        let loaded = Loaded::load(&config).expect("the descriptor sets and customers are valid");
        let clients = Clients::with_credentials(&config.aws, Embedded::credentials()).await;
        let admin = Listener::bind(&config.admin).await.expect("the system chooses a free port");
        let address = admin.address();
        let app = App::start_with(&config, loaded, clients, Some(admin)).expect("the service starts");
        Running { metrics: Arc::clone(app.metrics()), app, address }
    }

    /// Starts the service as a child process.
    pub(crate) async fn spawn(&self) -> Service {
        self.spawn_with(&[]).await
    }

    /// Starts the service as a child process with these further arguments of `run`.
    pub(crate) async fn spawn_with(&self, arguments: &[&str]) -> Service {
        Service::start(&self.write_files(), arguments).await
    }

    /// Takes out exactly `count` messages that a customer's topic has delivered, in the order of their arrival.
    pub(crate) async fn delivered(&self, id: &str, count: usize) -> Vec<Message> {
        let messages = self.queue_of(id).take(count).await;
        messages.into_iter().map(Message::unwrapped).collect()
    }

    /// Takes out the only message that a customer's topic has delivered.
    pub(crate) async fn delivered_one(&self, id: &str) -> Message {
        self.delivered(id, 1).await.remove(0)
    }

    /// Asserts that a customer's topic has delivered no message that was not taken out.
    pub(crate) async fn assert_nothing_more_for(&self, id: &str) {
        assert_eq!(self.queue_of(id).depth().await, 0, "the number of further messages for {id}");
    }

    fn customer_named(&self, id: &str) -> &Customer {
        self.customers.iter().find(|customer| customer.id == id).expect("the customer belongs to this stage")
    }
}

fn config(emulator: &Emulator, folder: &Path, source: &Queue, quarantine: &Queue) -> Config {
    let mut config = Config::default();
    config.aws.region = Some(REGION.to_owned());
    config.aws.endpoint_url = Some(emulator.endpoint_url.clone());
    // A publish call that waits at a gate must not time out.
    config.aws.attempt_timeout_ms = 60_000;
    config.queues = vec![ConfiguredQueue {
        url: source.url.clone(),
        quarantine_url: Some(quarantine.url.clone()),
        ..ConfiguredQueue::default()
    }];
    config.receive.max_pollers = 2;
    // An emulator continues a poll whose client has disconnected, and hides the messages that it finds. Keep polls
    // short, so that few messages are hidden that way.
    config.receive.wait_seconds = 1;
    config.descriptors.path = Path::new(env!("CARGO_MANIFEST_DIR")).join("descriptors").into();
    let paths = |paths: &[&str]| paths.iter().map(|path| (*path).to_owned()).collect();
    config.taps.customer = paths(&["meta.tenant_id", "tenant_id"]);
    config.taps.event_id = paths(&["meta.event_id", "event_id"]);
    config.taps.event_time = paths(&["meta.occurred_at", "commit_time"]);
    config.taps.ordering = paths(&["order_id", "row_key"]);
    config.route.customers_file = folder.join("customers.yaml").into();
    config.retry.min_seconds = 1;
    config.admin.listen = ([127, 0, 0, 1], 0).into();
    config
}

impl Running {
    /// Returns the number of messages that were settled with this outcome.
    pub(crate) fn settled(&self, outcome: OutcomeLabel) -> u64 {
        self.metrics.settled.sum_where(|labels| labels.outcome == outcome)
    }

    /// Waits until at least `count` messages were settled with this outcome.
    pub(crate) async fn wait_until_settled(&self, outcome: OutcomeLabel, count: u64) {
        let what = format!("{count} messages are {}", outcome.code());
        wait::until(&what, async || (self.settled(outcome) >= count).then_some(())).await;
    }

    /// Waits until at least `count` messages were received.
    pub(crate) async fn wait_until_received(&self, count: u64) {
        let what = format!("{count} messages are received");
        wait::until(&what, async || (self.metrics.received.sum() >= count).then_some(())).await;
    }

    /// Stops the service. Asserts that every received message has exactly one outcome, in total and per event type.
    pub(crate) async fn stop(self) -> Drained {
        let drained = self.app.stop().await;
        let metrics = &self.metrics;
        let outcomes = &metrics.settled;
        assert_eq!(metrics.received.sum(), metrics.settled.sum(), "every received message is settled: {outcomes:?}");
        assert_eq!(metrics.in_flight.sum(), 0, "no message is in flight: {:?}", metrics.in_flight);
        assert_eq!(
            outcomes.sum_where(|labels| labels.outcome == OutcomeLabel::Abandoned),
            drained.returned as u64,
            "every message returned to the queue counts as abandoned: {outcomes:?}"
        );
        let accounted =
            metrics.accounted.sum_by(|labels| Some((labels.queue.to_owned(), labels.event_type.to_owned())));
        let settled = outcomes.sum_by(|labels| Some((labels.queue.to_owned(), labels.event_type.to_owned())));
        assert_eq!(accounted, settled, "every message is settled, by queue and event type: {outcomes:?}");
        drained
    }
}
