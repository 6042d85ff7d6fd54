//! Wire → JSON for one event: one render a profile, and the values of its taps.

use std::sync::Arc;

use protojson::Taps;

use crate::outcome::{Reason, Verdict};
use crate::registry::{EventType, ProfileId};

/// Renders one event, each profile at most once, whoever shares it.
#[derive(Debug)]
pub struct Transcoder<'e> {
    event_type: &'e EventType,
    payload: &'e [u8],
    rendered: Vec<(ProfileId, Arc<String>)>,
    taps: Taps,
}

impl<'e> Transcoder<'e> {
    /// Transcodes the payload in one profile, and notes its taps on the way.
    ///
    /// # Errors
    /// When the payload is malformed, or holds a value that ProtoJSON has no form for.
    pub fn new(event_type: &'e EventType, payload: &'e [u8], profile: ProfileId) -> Result<Self, Verdict> {
        let mut taps = Taps::new();
        // JSON is about twice the size of the wire form.
        let mut json = Vec::with_capacity(payload.len() * 2 + 64);
        event_type.plan(profile).transcode_tapped(payload, &mut json, &mut taps).map_err(|error| verdict(&error))?;
        Ok(Self { event_type, payload, rendered: vec![(profile, text(json)?)], taps })
    }

    /// The event's JSON in a profile.
    ///
    /// # Errors
    /// As [`Transcoder::new`].
    pub fn json(&mut self, profile: ProfileId) -> Result<Arc<String>, Verdict> {
        if let Some((_, json)) = self.rendered.iter().find(|(rendered, _)| *rendered == profile) {
            return Ok(Arc::clone(json));
        }
        let mut json = Vec::with_capacity(self.payload.len() * 2 + 64);
        self.event_type.plan(profile).transcode(self.payload, &mut json).map_err(|error| verdict(&error))?;
        let json = text(json)?;
        self.rendered.push((profile, Arc::clone(&json)));
        Ok(json)
    }

    /// The first of these taps that has a value.
    pub fn tap(&self, taps: &[usize]) -> Option<&str> {
        taps.iter().filter_map(|tap| self.taps.get(*tap)).find(|value| !value.is_empty())
    }
}

/// Into quarantine: no retry makes another JSON of the same bytes.
pub fn verdict(error: &protojson::Error) -> Verdict {
    let reason = if error.is_malformed() { Reason::MalformedProtobuf } else { Reason::Unrenderable };
    reason.because(error)
}

fn text(json: Vec<u8>) -> Result<Arc<String>, Verdict> {
    let text = String::from_utf8(json).map_err(|error| Reason::Unrenderable.because(error))?;
    Ok(Arc::new(text))
}
