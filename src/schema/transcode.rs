//! From wire bytes to JSON for one event: one render per profile, and the values of its taps.

use std::sync::Arc;

use protojson::Taps;

use crate::message::{QuarantineKind, QuarantineReason};
use crate::schema::registry::{EventType, ProfileId};

/// Renders one event, at most once per profile.
#[derive(Debug)]
pub struct Transcoder<'e> {
    event_type: &'e EventType,
    payload: &'e [u8],
    rendered: Vec<(ProfileId, Arc<String>)>,
    taps: Taps,
}

impl<'e> Transcoder<'e> {
    /// Transcodes the payload in one profile, and reads the values of its taps in the same pass.
    ///
    /// # Errors
    /// Returns a reason for quarantine if the payload is malformed or has a value that ProtoJSON cannot represent.
    pub fn new(event_type: &'e EventType, payload: &'e [u8], profile: ProfileId) -> Result<Self, QuarantineReason> {
        let mut taps = Taps::new();
        // JSON is about twice the size of the wire form.
        let mut json = Vec::with_capacity(payload.len() * 2 + 64);
        event_type
            .plan(profile)
            .transcode_tapped(payload, &mut json, &mut taps)
            .map_err(|error| quarantine_reason(&error))?;
        Ok(Self { event_type, payload, rendered: vec![(profile, text(json)?)], taps })
    }

    /// Returns the event's JSON in a profile.
    ///
    /// # Errors
    /// Returns the same errors as [`Transcoder::new`].
    pub fn json(&mut self, profile: ProfileId) -> Result<Arc<String>, QuarantineReason> {
        if let Some((_, json)) = self.rendered.iter().find(|(rendered, _)| *rendered == profile) {
            return Ok(Arc::clone(json));
        }
        let mut json = Vec::with_capacity(self.payload.len() * 2 + 64);
        self.event_type.plan(profile).transcode(self.payload, &mut json).map_err(|error| quarantine_reason(&error))?;
        let json = text(json)?;
        self.rendered.push((profile, Arc::clone(&json)));
        Ok(json)
    }

    /// Returns the value of the first of these taps that has one.
    pub fn tap(&self, taps: &[usize]) -> Option<&str> {
        taps.iter().filter_map(|tap| self.taps.get(*tap)).find(|value| !value.is_empty())
    }
}

/// Returns the reason for quarantine that a codec error means. A retry would meet the same bytes and fail again.
pub fn quarantine_reason(error: &protojson::Error) -> QuarantineReason {
    let is_malformed = error.is_malformed();
    let kind = if is_malformed { QuarantineKind::MalformedProtobuf } else { QuarantineKind::Unrenderable };
    kind.because(error)
}

fn text(json: Vec<u8>) -> Result<Arc<String>, QuarantineReason> {
    let text = String::from_utf8(json).map_err(|error| QuarantineKind::Unrenderable.because(error))?;
    Ok(Arc::new(text))
}
