//! Redrive: quarantined messages are sent again in place, from the quarantine queue itself.
//!
//! A message is received, restored as it was, and decided about again. If every destination has its event then, it is
//! deleted. Otherwise it stays, with its id, its time of quarantine and its retention; if more destinations have the event than
//! its note says, a copy with a new note takes its place. SQS has no way to look at a message without receiving it, so a run
//! keeps hidden whatever it does not delete, and returns all of that at its end. Thus no message is seen twice in a run.
//!
//! A preview is the same run with a [`Resender`] that publishes nothing and no deletes.
//!
//! If the process is killed between a publish and the delete, the next run publishes again, unless the window of duplicates
//! in Redis still knows the delivery.

mod examined;
mod filter;
mod patience;
mod sending;
mod sweep;

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::SetupError;
use super::resend::{Pace, Resender};
use crate::aws::sqs::delete::Deleter;
use crate::aws::sqs::quarantine::{Quarantine, Sent, Stored};
use crate::aws::sqs::receive::Receiver;
use crate::aws::sqs::release::Releaser;
use crate::aws::sqs::visibility::Visibility;
use crate::aws::{Clients, Failure, Permission};
use crate::config::{self, Config};
use crate::message::{Queue, QueueUrl};
use crate::route::Routes;
use crate::schema::SchemaFiles;
use crate::store::journal::Journal;
use crate::telemetry::Metrics;
pub use examined::{Examined, Example, Verdict};
pub use filter::Filter;
use patience::Silent;
use sweep::Held;
pub use sweep::{Ended, Event, Why};

/// The longest time for the last deletes and for the return of the held messages.
const END_TIMEOUT: Duration = Duration::from_secs(60);

/// What happens to a message that matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It is looked at.
    Look,
    /// Its event is published to the destinations that lack it.
    Send,
    /// It is sent to the queue that it came from.
    SendBack,
    /// It is deleted.
    Discard,
}

/// What a run does.
#[derive(Debug, Clone)]
pub struct Options {
    /// What happens to a message that matches.
    pub action: Action,
    /// Whether nothing is published, sent or deleted.
    pub is_preview: bool,
    /// The messages that the run is about.
    pub filter: Filter,
    /// The most messages that match.
    pub limit: usize,
    /// The most messages per second that are sent.
    pub rate: u32,
    /// Whether messages are sent whose note could not list the destinations that have the event, which get it again.
    pub allow_repeats: bool,
}

/// Why a run did not begin, or ended early.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A part cannot be set up.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// The queue has no quarantine queue.
    #[error("queue {0} has no quarantine queue; set `quarantine_url` of the queue")]
    NoQuarantine(String),
    /// The quarantine queue cannot be received from.
    #[error("cannot receive from {url}: {failure}; {way_out}")]
    Receive {
        /// The URL of the quarantine queue.
        url: QueueUrl,
        /// The failure of the last call.
        failure: Failure,
        /// The change that lets the call succeed.
        way_out: String,
    },
    /// Messages that are to be deleted pile up.
    #[error(
        "SQS does not delete messages of {url}; allow sqs:DeleteMessage, which `protobridge iam-policy --for redrive` has"
    )]
    Deletes {
        /// The URL of the quarantine queue.
        url: QueueUrl,
    },
}

impl Error {
    /// Whether the configuration is wrong, rather than the system or AWS.
    pub fn is_configuration(&self) -> bool {
        match self {
            Self::Setup(error) => error.is_configuration(),
            Self::NoQuarantine(_) => true,
            Self::Receive { .. } | Self::Deletes { .. } => false,
        }
    }
}

/// The proof that a message of the quarantine queue is not needed any more.
#[derive(Debug)]
enum Settled {
    /// Every destination has the event, or a rule drops it.
    Done,
    /// A copy with a new note takes its place.
    Replaced { _copy: Stored },
    /// The source queue has the message.
    SentBack { _sent: Sent },
    /// The operator discards it.
    Discarded,
    /// The message was settled before in this run, and SQS delivered it again.
    Before,
}

/// One run over a quarantine queue.
#[derive(Debug)]
pub struct Redrive {
    source: Arc<Queue>,
    quarantine: Arc<Queue>,
    options: Options,
    receiver: Receiver,
    permission: Permission,
    sqs: aws_sdk_sqs::Client,
    visibility: Visibility,
    deleter: Deleter<Settled>,
    releaser: Releaser,
    store: Quarantine,
    /// Decides and publishes nothing.
    preview: Resender,
    /// Publishes; `None` if the run publishes nothing.
    sender: Option<Resender>,
    pace: Pace,
    /// How long the run waits for the answers to one message.
    patience: Duration,
    /// What did not answer in time.
    silent: Silent,
    stop: CancellationToken,
    metrics: Arc<Metrics>,
    /// The tasks of the deleter, the releaser and the quarantine.
    tasks: JoinSet<()>,
    /// Keeps messages hidden.
    hiding: JoinSet<()>,
}

impl Redrive {
    /// Creates a run over the quarantine queue of a configured queue. Must be called in a runtime of tokio; makes no call.
    ///
    /// # Errors
    /// Returns an error if the queue has no quarantine queue, or if a part cannot be set up.
    pub fn new(
        (config, queue): (&Config, &config::Queue),
        clients: &Clients,
        (routes, schemas): (&Arc<Routes>, &SchemaFiles),
        journal: Option<Arc<Journal>>,
        options: Options,
        metrics: &Arc<Metrics>,
    ) -> Result<Self, Error> {
        let Some(url) = &queue.quarantine_url else { return Err(Error::NoQuarantine(queue.label().to_owned())) };
        let index = config.queues.iter().position(|other| other.url == queue.url).unwrap_or(0);
        let key = format!("queues[{index}].quarantine_url");
        let permission = Permission::of_queue("sqs:ReceiveMessage", url, clients.region().as_deref(), key);
        let quarantine = Arc::new(Queue::from(&config::Queue { url: url.clone(), ..config::Queue::default() }));
        let resender = |journal, is_preview| {
            let files = (Arc::clone(routes), schemas.clone());
            Resender::new(config, clients, files, journal, is_preview, metrics)
        };
        let preview = resender(None, true)?;
        let sends = options.action == Action::Send && !options.is_preview;
        let sender = if sends { Some(resender(journal, false)?) } else { None };
        let visibility = Visibility::new(clients.lean.clone(), Arc::clone(metrics), config.visibility.timeout());
        let mut tasks = JoinSet::new();
        let (deleter, run) = Deleter::new(clients.lean.clone(), Arc::clone(metrics));
        tasks.spawn(run);
        let (releaser, run) = Releaser::new(clients.lean.clone(), Arc::clone(metrics));
        tasks.spawn(run);
        let (store, run) = Quarantine::new(clients.lean.clone(), Arc::clone(metrics));
        tasks.spawn(run);
        Ok(Self {
            source: Arc::new(Queue::from(queue)),
            receiver: Receiver::new(Arc::clone(&quarantine), config, clients.lean.clone(), visibility.clone()),
            quarantine,
            permission,
            sqs: clients.sqs.clone(),
            hiding: JoinSet::from_iter([visibility.clone().keep_hidden()]),
            visibility,
            deleter,
            releaser,
            store,
            preview,
            sender,
            pace: Pace::new(f64::from(options.rate.max(1))),
            patience: patience::patience(&config.claim_check),
            silent: Silent::default(),
            stop: CancellationToken::new(),
            options,
            metrics: Arc::clone(metrics),
            tasks,
        })
    }

    /// Goes through the quarantine queue until its end, the limit or `stop`, and returns what it held. Reports each message
    /// that matches, and its progress, to `on`.
    ///
    /// # Errors
    /// Returns an error if the queue cannot be received from, or if SQS deletes nothing. The held messages were returned.
    pub async fn run(mut self, stop: &CancellationToken, mut on: impl FnMut(Event)) -> Result<Ended, Error> {
        self.stop = stop.clone();
        let mut held = Held::default();
        let ended = self.sweep(&mut held, &mut on).await;
        let left = self.finish(held).await;
        ended.map(|ended| Ended { undeleted: left, ..ended })
    }

    /// Returns the held messages, and waits for the last calls. Returns the number of messages whose delete, or whose
    /// return, SQS did not answer in time.
    async fn finish(self, held: Held) -> usize {
        let Self { deleter, releaser, store, preview, sender, mut tasks, hiding, visibility, .. } = self;
        held.return_to(&releaser);
        drop((deleter, releaser, store));
        let last_calls = async {
            while tasks.join_next().await.is_some() {}
            preview.finish().await;
            if let Some(sender) = sender {
                sender.finish().await;
            }
        };
        let _late = timeout(END_TIMEOUT, last_calls).await;
        drop(hiding);
        visibility.in_flight()
    }
}
