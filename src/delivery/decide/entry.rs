//! The entry of an event for one destination: its JSON, or the pointer to it.

use std::sync::Arc;

use super::event::Event;
use super::{Delivery, Rules, key};
use crate::aws::sns::publish::TopicEntry;
use crate::config;
use crate::message::attributes::EXTENDED_PAYLOAD_SIZE;
use crate::message::envelope::Pointer;
use crate::message::steps::{About, Step};
use crate::message::{ObjectName, Offload, QuarantineKind, QuarantineReason};
use crate::route::{ClaimCheckMode, Destination, Router};
use crate::schema::transcode::Transcoder;

/// The claim check of a configuration with a bucket.
#[derive(Debug, Clone)]
pub(super) struct ClaimCheck {
    bucket: String,
    settings: config::ClaimCheck,
}

impl ClaimCheck {
    pub(super) fn new(settings: &config::ClaimCheck) -> Option<Self> {
        Some(Self { bucket: settings.bucket.clone()?, settings: settings.clone() })
    }

    /// Whether an entry of this size leaves as a claim check. A topic accepts `max_entry_bytes`.
    fn is_for(&self, mode: ClaimCheckMode, bytes: usize, max_entry_bytes: usize) -> bool {
        match mode {
            ClaimCheckMode::Off => false,
            ClaimCheckMode::On => bytes > self.settings.over_bytes.min(max_entry_bytes),
            ClaimCheckMode::Always => true,
        }
    }

    /// Replaces the JSON of an entry by the pointer to it.
    fn offload(&self, entry: &mut TopicEntry, name: ObjectName<'_>) {
        let key = name.key(&self.settings.key_prefix);
        let body = Pointer { bucket: self.bucket.clone(), key: key.clone() }.body();
        let json = std::mem::replace(&mut entry.body, Arc::new(body));
        entry.attributes.add_required(EXTENDED_PAYLOAD_SIZE, json.len());
        entry.offload = Some(Box::new(Offload { key, json, sha256: *name.json }));
    }
}

impl Rules {
    /// Returns the claim check of a destination, if it has one.
    fn claim_check(&self, mode: ClaimCheckMode) -> Option<&ClaimCheck> {
        self.claim_check.as_ref().filter(|_| mode.is_on())
    }

    /// Returns the most bytes of JSON that the customer that an attribute names can get. It is the limit of the first
    /// rendering, before the destinations are known.
    pub(super) fn expected_max_json_bytes(&self, router: &Router, named: Option<&str>) -> usize {
        match &self.claim_check {
            Some(_) => self.max_json_bytes(router.claim_check(named)),
            None => self.max_entry_bytes,
        }
    }

    /// Returns the most bytes of JSON that a destination can get.
    fn max_json_bytes(&self, mode: ClaimCheckMode) -> usize {
        self.claim_check(mode).map_or(self.max_entry_bytes, |claim_check| claim_check.settings.max_json_bytes)
    }

    /// Returns the delivery of an event to a destination.
    ///
    /// # Errors
    /// Returns the reason for quarantine if the destination cannot get the event.
    pub(super) fn delivery(
        &self,
        event: &Event<'_>,
        destination: Destination,
        transcoder: &mut Transcoder<'_>,
    ) -> Result<Delivery, QuarantineReason> {
        let body = transcoder.json(destination.profile, self.max_json_bytes(destination.claim_check));
        let body = body.map_err(|reason| self.without_json(reason, &destination))?;
        let (is_fifo, key) = (destination.topic.is_fifo(), key(event, &destination));
        let mut entry = TopicEntry {
            attributes: event.attributes(&destination),
            customer: destination.account().cloned(),
            topic: destination.topic.clone(),
            event_type: Arc::clone(&event.event_type.name),
            body,
            offload: None,
            group: is_fifo.then(|| event.group()),
            deduplication_id: is_fifo.then(|| key.to_hex()),
        };
        self.offload(&mut entry, event, &destination, transcoder);
        let max_bytes = self.max_entry_bytes;
        if entry.size() > max_bytes {
            entry.attributes.remove_trace();
        }
        let size = entry.size();
        if size > max_bytes {
            let detail = format!("{size} bytes of JSON and attributes exceed the limit of {max_bytes} bytes");
            return Err(self.not_accepted(&detail, &destination));
        }
        Ok(Delivery { key, entry })
    }

    /// Replaces the JSON of an entry by the pointer to it, if its destination says so.
    fn offload(
        &self,
        entry: &mut TopicEntry,
        event: &Event<'_>,
        destination: &Destination,
        transcoder: &mut Transcoder<'_>,
    ) {
        let mode = destination.claim_check;
        let (Some(claim_check), Some(customer)) = (self.claim_check(mode), &destination.customer) else { return };
        if claim_check.is_for(mode, entry.size(), self.max_entry_bytes) {
            let json = &transcoder.sha256(destination.profile, &entry.body);
            let (event_type, event_id) = (&*event.event_type.name, event.id.as_str());
            claim_check.offload(entry, ObjectName { customer, event_type, event_id, sent: event.sent, json });
        }
    }

    /// Returns the step that names the object of a claim check.
    pub(super) fn offloaded(&self, offload: &Offload, mode: ClaimCheckMode) -> Step {
        let settings = self.claim_check.as_ref().map(|claim_check| &claim_check.settings);
        let bucket = settings.and_then(|settings| settings.bucket.as_deref()).unwrap_or_default();
        let found = format!("s3://{bucket}/{} of {} bytes", offload.key, offload.json.len());
        let over_bytes = settings.map_or(0, |settings| settings.over_bytes);
        let max_bytes = self.max_entry_bytes;
        let because = match mode {
            ClaimCheckMode::Always => "the customer has `claim_check: always`".to_owned(),
            _ if over_bytes <= max_bytes => {
                format!(
                    "the customer has `claim_check: on`, and the event exceeds `claim_check.over_bytes` ({over_bytes})"
                )
            }
            _ => format!(
                "the customer has `claim_check: on`, and the event exceeds `publish.max_batch_bytes` ({max_bytes})"
            ),
        };
        Step::new(About::ClaimCheck, found, because)
    }

    /// Returns the reason why a destination has no JSON. If a limit caused it, the reason names the key of the limit and
    /// what lets the event pass.
    fn without_json(&self, reason: QuarantineReason, destination: &Destination) -> QuarantineReason {
        let QuarantineReason { kind, detail } = &reason;
        if *kind != QuarantineKind::TooLarge {
            return reason;
        }
        if self.claim_check(destination.claim_check).is_none() {
            return self.not_accepted(detail, destination);
        }
        let topic = &destination.topic;
        kind.because(format_args!(
            "{detail} (`claim_check.max_json_bytes`) for {topic}; raise the limit, or drop fields in the profile"
        ))
    }

    /// Returns the reason for quarantine of an entry that exceeds the limit of its topic. `excess` names the limit.
    fn not_accepted(&self, excess: &str, destination: &Destination) -> QuarantineReason {
        let topic = &destination.topic;
        let claim_check = match (&destination.customer, &self.claim_check) {
            (Some(id), Some(_)) if !destination.claim_check.is_on() => {
                format!("set `claim_check: on` for customer {id} in the customers file, or ")
            }
            _ => String::new(),
        };
        QuarantineKind::TooLarge.because(format_args!(
            "{excess} that {topic} accepts (`publish.max_batch_bytes`); {claim_check}raise this key and the \
             `MaximumMessageSize` of the topic, at most to 1 MiB"
        ))
    }
}
