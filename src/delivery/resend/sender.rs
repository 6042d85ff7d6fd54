//! Publishing the deliveries of a message that is sent again: claims in the window of duplicates, and the publisher.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::{Destination, Fate};
use crate::aws::Clients;
use crate::aws::outages::Outages;
use crate::aws::sns::publish::{Publisher, TopicEntry};
use crate::aws::sns::rate::Rate;
use crate::config::Config;
use crate::delivery::SetupError;
use crate::delivery::claims::Claims;
use crate::delivery::decide::Delivery;
use crate::delivery::dedupe::{Attempt, Claim, MessageId, Taken, Window};
use crate::delivery::publication::{Entry, EntryEnd, Publication};
use crate::delivery::record::{Record, customer};
use crate::message::{Message, Ownership, Recipient};
use crate::telemetry::Metrics;

/// The parts that publish.
#[derive(Debug)]
pub(super) struct Sender {
    window: Arc<Window>,
    publisher: Publisher,
    claims: Arc<Claims>,
    tasks: JoinSet<()>,
}

impl Sender {
    /// Creates the parts. Must be called in a runtime of tokio.
    ///
    /// # Errors
    /// Returns an error if the window of duplicates or the bucket of claim checks cannot be set up.
    pub(super) fn new(
        config: &Config,
        clients: &Clients,
        outages: &Arc<Outages>,
        metrics: &Arc<Metrics>,
    ) -> Result<Self, SetupError> {
        /// The longest time for which another process takes a claim for one of a process that still runs.
        const CLAIM_SPAN: Duration = Duration::from_secs(60);
        let window = Window::new(&config.dedupe, CLAIM_SPAN, Arc::clone(metrics))?;
        let budget = (config.receive.max_in_flight_messages, config.receive.max_in_flight_bytes);
        let (publisher, run) = Publisher::new(
            clients.lean.clone(),
            (&config.publish, budget),
            Arc::new(Rate::default()),
            Arc::clone(outages),
            Arc::clone(metrics),
        );
        let claims = Arc::new(Claims::new(config, clients, outages, metrics)?);
        Ok(Self { window, publisher, claims, tasks: JoinSet::from_iter([run]) })
    }

    /// Publishes deliveries of one message, and waits for all results.
    pub(super) async fn publish(
        &self,
        message: &Message,
        deliveries: Vec<Delivery>,
        ownership: &Ownership,
        mut record: Option<&mut Record>,
    ) -> Vec<Destination> {
        let id = MessageId::new(&message.message_id);
        let keys: Vec<_> = deliveries.iter().map(|delivery| delivery.key).collect();
        let mut claims = self.window.claim(&keys, id).await;
        let attempts = keys.iter().zip(&mut claims);
        let attempts = attempts.map(|(key, claim)| Attempt { key: *key, message: id, claim });
        self.window.claim_in_store(attempts).await;
        let (mut destinations, mut sent, mut entries) = (Vec::new(), Vec::new(), Vec::new());
        for (Delivery { entry, .. }, claim) in deliveries.into_iter().zip(claims) {
            let (recipient, customer, bytes) = (recipient(&entry), customer(&entry), entry.size());
            match claim {
                Ok(claim) => {
                    let ownership = ownership.clone().of_entry(claim.taken_over().cloned());
                    sent.push(Some((claim, recipient, customer, bytes)));
                    entries.push(Entry { entry, ownership, in_memory: None });
                }
                Err(Taken::Published(before)) => {
                    if let Some(record) = &mut record {
                        record.duplicate(&entry.topic, customer.clone(), before);
                    }
                    destinations.push(Destination { recipient, customer, fate: Fate::Had(before) });
                }
                Err(Taken::Elsewhere) => {
                    if let Some(record) = &mut record {
                        record.waiting(&entry.topic, customer.clone());
                    }
                    destinations.push(Destination { recipient, customer, fate: Fate::Elsewhere });
                }
            }
        }
        if entries.is_empty() {
            return destinations;
        }
        let mut publication = Publication::start(entries, &self.publisher, &self.claims).await;
        loop {
            let arrived = publication.next().await;
            if arrived.is_empty() {
                return destinations;
            }
            let (mut confirmed, mut failed): (Vec<Claim>, Vec<Claim>) = (Vec::new(), Vec::new());
            for EntryEnd { index, result, .. } in arrived {
                let Some((claim, recipient, customer, bytes)) = sent.get_mut(index).and_then(Option::take) else {
                    continue;
                };
                let fate = match result {
                    Ok(proof) => {
                        if let Some(record) = &mut record {
                            record.published(&proof, customer.clone());
                        }
                        confirmed.push(claim);
                        Fate::Published { confirmed: proof, bytes }
                    }
                    Err(error) => {
                        if let Some(record) = &mut record {
                            record.failed(&error, customer.clone());
                        }
                        failed.push(claim);
                        Fate::Failed(error)
                    }
                };
                destinations.push(Destination { recipient, customer, fate });
            }
            tokio::join!(self.window.confirm(confirmed), self.window.release(failed));
        }
    }

    /// Waits until the publisher's tasks have ended.
    pub(super) async fn finish(self) {
        let Self { window, publisher, claims, mut tasks } = self;
        drop((window, publisher, claims));
        while tasks.join_next().await.is_some() {}
    }
}

/// Returns the destination of an entry.
pub(super) fn recipient(entry: &TopicEntry) -> Recipient {
    Recipient { topic: entry.topic.clone(), customer: entry.customer.clone() }
}
