//! The environment of the demo: queues, topics, and a temporary folder with the configuration.

use std::fs;
use std::path::{Path, PathBuf};

use anstyle::{AnsiColor, Style};
use anyhow::Context as _;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::json;
use tempfile::TempDir;

use super::Args;
use super::course::{self, Course};
use crate::aws::Clients;
use crate::cli::embedded::Embedded;
use crate::cli::embedded::samples::{SETS, Samples};
use crate::cli::embedded::setup::{self, Subscribed};
use crate::config::{Config, load};
use crate::route::Glob;

/// A customer of the demo.
#[derive(Debug)]
pub(super) struct Customer {
    pub(super) id: &'static str,
    /// Globs for the message types that the customer receives.
    events: &'static [&'static str],
    profile: &'static str,
    color: AnsiColor,
}

/// One customer who receives everything, one with a filter, and one with another profile.
pub(super) const CUSTOMERS: [Customer; 3] = [
    Customer { id: "acme", events: &["*"], profile: "default", color: AnsiColor::Cyan },
    Customer { id: "globex", events: &["shop.v1.Order*"], profile: "default", color: AnsiColor::Magenta },
    Customer {
        id: "initech",
        events: &["shop.v1.*", "protobridge.v1.Heartbeat"],
        profile: "compact",
        color: AnsiColor::Yellow,
    },
];

impl Customer {
    /// Whether the customer receives events of this type.
    pub(super) fn receives(&self, message_type: &str) -> bool {
        self.events.iter().any(|glob| Glob::new(glob).matches(message_type))
    }

    /// The style of the customer's name on the terminal.
    pub(super) fn style(&self) -> Style {
        self.color.on_default().dimmed()
    }
}

/// The queues, topics and files of the demo.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) embedded: Embedded,
    pub(super) clients: Clients,
    pub(super) config: Config,
    pub(super) queue: String,
    pub(super) quarantine: String,
    /// The ARN of the topic that feeds the input queue; its events arrive as SNS notifications.
    pub(super) input_topic: String,
    /// The topic and the queue of each customer, in the order of [`CUSTOMERS`].
    pub(super) inboxes: Vec<Subscribed>,
    folder: Folder,
}

/// The folder with the configuration.
#[derive(Debug)]
enum Folder {
    /// It is deleted at the end.
    Temporary(TempDir),
    /// It is also the store, and stays.
    Store(PathBuf),
}

impl Folder {
    fn create(store: Option<&Path>) -> anyhow::Result<Self> {
        let Some(folder) = store else {
            let folder = tempfile::Builder::new().prefix("protobridge-demo-").tempdir();
            return Ok(Self::Temporary(folder.context("cannot create a temporary folder")?));
        };
        fs::create_dir_all(folder).with_context(|| format!("--store: cannot create {}", folder.display()))?;
        let absolute =
            fs::canonicalize(folder).with_context(|| format!("--store: cannot read {}", folder.display()))?;
        Ok(Self::Store(absolute))
    }

    fn path(&self) -> &Path {
        match self {
            Self::Temporary(folder) => folder.path(),
            Self::Store(folder) => folder,
        }
    }

    fn is_store(&self) -> bool {
        matches!(self, Self::Store(_))
    }
}

/// The configuration in the folder.
const CONFIG_FILE: &str = "protobridge.yaml";

/// The file with a SendMessage request for a sample order; `curl -d @FILE` sends it.
const REQUEST_FILE: &str = "send-order.json";

impl Stage {
    pub(super) async fn build(args: &Args) -> anyhow::Result<Self> {
        let embedded = Embedded::start_on(args.port.unwrap_or_default()).await;
        let embedded = embedded.with_context(|| match args.port {
            Some(port) => format!("--port {port}: SQS and SNS cannot listen on 127.0.0.1:{port}"),
            None => "cannot listen on 127.0.0.1".to_owned(),
        })?;
        let clients = embedded.clients().await;
        let input = setup::topic_with_queue(&clients, "events", "events").await?;
        let quarantine = setup::queue(&clients.sqs, "events-quarantine").await?;
        let mut inboxes = Vec::with_capacity(CUSTOMERS.len());
        for Customer { id, .. } in &CUSTOMERS {
            let (topic, queue) = (format!("json-events-{id}"), format!("{id}-inbox"));
            inboxes.push(setup::topic_with_queue(&clients, &topic, &queue).await?);
        }

        let folder = Folder::create(args.store.as_deref())?;
        let write = |name: &str, text: &[u8]| {
            let path = folder.path().join(name);
            fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
        };
        let descriptors = match &args.descriptors {
            Some(path) => fs::canonicalize(path).with_context(|| format!("cannot read {}", path.display()))?,
            None => {
                let sets = folder.path().join("descriptors");
                fs::create_dir_all(&sets).with_context(|| format!("cannot create {}", sets.display()))?;
                for (name, set) in SETS {
                    write(&format!("descriptors/{name}"), set)?;
                }
                PathBuf::from("descriptors")
            }
        };
        write("customers.yaml", customers_file(&inboxes).as_bytes())?;
        write(CONFIG_FILE, config_file(args, &embedded, (&input, &quarantine), &descriptors, &folder)?.as_bytes())?;
        write(REQUEST_FILE, send_order(args.seed, &input.queue_url).to_string().as_bytes())?;

        let config = load::file(&folder.path().join(CONFIG_FILE), [])?;
        let Subscribed { topic_arn, queue_url } = input;
        Ok(Self { embedded, clients, config, queue: queue_url, quarantine, input_topic: topic_arn, inboxes, folder })
    }

    /// Returns the text at the start: the endpoints, and commands to explore the demo.
    pub(super) fn introduction(&self, admin: &str) -> String {
        let Self { queue, quarantine, folder, .. } = self;
        let (endpoint, region, key) = (self.embedded.endpoint_url(), Embedded::REGION, Embedded::ACCESS_KEY);
        let (lifetime, resend) = match folder {
            Folder::Temporary(_) => ("deleted at the end", String::new()),
            Folder::Store(folder) => ("kept, with the journal and the archive", resend(folder)),
        };
        let folder = folder.path().display();
        let acme = &self.inboxes[0].topic_arn;
        let mine = format!("arn:aws:sqs:{region}:{}:mine", Embedded::ACCOUNT);
        let mine_url = format!("{endpoint}/{}/mine", Embedded::ACCOUNT);
        format!(
            "\
SQS and SNS     {endpoint}
admin endpoint  {admin}
configuration   {folder}  (protobridge.yaml, customers.yaml, descriptors; {lifetime})

Try these commands in another terminal while the demo runs.
Show the status of the service, with the state of each source, and its metrics:
  curl -s {admin}/status
  curl -s {admin}/metrics
Send one more order for acme:
  curl -s -H 'X-Amz-Target: AmazonSQS.SendMessage' -d @{folder}/{REQUEST_FILE} {endpoint}
Set up the AWS CLI; the demo accepts any credentials:
  export AWS_ACCESS_KEY_ID={key} AWS_SECRET_ACCESS_KEY={key} AWS_DEFAULT_REGION={region}
Show a quarantined message and the reason:
  aws --endpoint-url {endpoint} sqs receive-message --queue-url {quarantine} --message-attribute-names All --visibility-timeout 0
Show the length of the input queue:
  aws --endpoint-url {endpoint} sqs get-queue-attributes --queue-url {queue} --attribute-names All
Subscribe your own queue to the events of acme, and read it:
  aws --endpoint-url {endpoint} sqs create-queue --queue-name mine
  aws --endpoint-url {endpoint} sns subscribe --topic-arn {acme} --protocol sqs --notification-endpoint {mine} --attributes RawMessageDelivery=true
  aws --endpoint-url {endpoint} sqs receive-message --queue-url {mine_url} --message-attribute-names All --wait-time-seconds 5
{resend}"
        )
    }
}

/// Returns the commands that send events again, with the credentials of the AWS CLI.
fn resend(folder: &Path) -> String {
    let config = folder.join(CONFIG_FILE);
    let config = config.display();
    format!(
        "\
Count what is archived, and show what a replay would send; the variables of the AWS CLI must be set:
  protobridge archive stat --config {config} --from 1h
  protobridge replay --config {config} --from 5m --to 5s --dry-run
Show what is in quarantine, and what a redrive would publish:
  protobridge quarantine list --config {config}
  protobridge redrive --config {config} --dry-run
"
    )
}

fn customers_file(inboxes: &[Subscribed]) -> String {
    let mut text = "customers:\n".to_owned();
    for (customer, inbox) in CUSTOMERS.iter().zip(inboxes) {
        let Customer { id, events, profile, .. } = customer;
        let topic = &inbox.topic_arn;
        text.push_str(&format!("  - id: {id}\n    topic: {topic}\n    events: {events:?}\n    profile: {profile}\n"));
    }
    text
}

fn config_file(
    args: &Args,
    embedded: &Embedded,
    (input, quarantine): (&Subscribed, &str),
    descriptors: &Path,
    folder: &Folder,
) -> anyhow::Result<String> {
    let descriptors = descriptors.to_str().with_context(|| format!("{} is not Unicode", descriptors.display()))?;
    Ok(format!(
        "\
# The configuration of the demo. `protobridge config example` explains every key.
aws:
  region: {region}
  endpoint_url: {endpoint}
queues:
  - url: {queue}
    quarantine_url: {quarantine}
descriptors:
  path: {descriptors}
taps:
  customer: [meta.tenant_id, tenant_id]
  event_id: [meta.event_id, event_id]
  event_time: [meta.occurred_at, commit_time, sent_at]
  ordering: [order_id, row_key]
profiles:
  # Field names as in the schema, 64-bit integers as JSON numbers.
  compact:
    field_names: proto
    int64: number
route:
  customers_file: customers.yaml
  # Only the heartbeats of the database have no customer. They reach no customer and count as filtered.
  without_customer: drop
{sources}retry:
  min_seconds: 1
  max_seconds: 5
  unknown_type_grace_seconds: {grace}
admin:
  listen: 127.0.0.1:{admin_port}
log:
  format: human
  level: {level}
metrics:
  customer_label: true
{store}",
        region = Embedded::REGION,
        sources = course::config_section(&Course::new(args.events, args.rate)),
        endpoint = embedded.endpoint_url(),
        queue = input.queue_url,
        // Every JSON string is a valid YAML string, whatever characters it contains.
        descriptors = json!(descriptors),
        grace = args.unknown_grace_seconds,
        admin_port = args.port.map_or(0, |port| port + 1),
        level = json!(args.log),
        store = if folder.is_store() { store_section(folder.path()) } else { String::new() },
    ))
}

fn store_section(folder: &Path) -> String {
    // Every JSON string is a valid YAML string.
    let url = json!(format!("file://{}", folder.display()));
    format!("store:\n  url: {url}\njournal:\n  segment_seconds: 5\narchive:\n  enabled: true\n")
}

/// Returns the text about the store at the end.
pub(super) fn about_store(folder: &Path) -> String {
    let config = folder.join(CONFIG_FILE);
    let config = config.display();
    format!(
        "\nThe journal and the archive stay in {}. Find events that a producer sent twice, tell what became of one, and \
         count what is archived:\n  \
         protobridge duplicates --config {config} --from 1h\n  protobridge trace EVENT-ID --config {config}\n  \
         protobridge archive stat --config {config} --from 1h",
        folder.display(),
    )
}

/// Returns a SendMessage request for an order of the first customer.
fn send_order(seed: u64, queue_url: &str) -> serde_json::Value {
    // Another seed than that of the demo, so that the order has an event id of its own.
    let mut samples = Samples::new(!seed);
    let mut events = std::iter::repeat_with(|| samples.next_event(&[CUSTOMERS[0].id]));
    let order = events.find(|sample| sample.message_type == "shop.v1.OrderPlaced");
    let payload = order.map(|order| BASE64_STANDARD.encode(order.payload)).unwrap_or_default();
    json!({
        "QueueUrl": queue_url,
        "MessageBody": payload,
        "MessageAttributes": { "message-type": { "DataType": "String", "StringValue": "shop.v1.OrderPlaced" } },
    })
}
