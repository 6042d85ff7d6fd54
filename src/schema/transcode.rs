//! From wire bytes to JSON for one event: one render per profile, and the values of its taps.

use std::sync::Arc;

use protojson::{ErrorKind, Plan, Taps};

use crate::message::{QuarantineKind, QuarantineReason};
use crate::schema::registry::{EventType, ProfileId};

/// Renders one event, at most once per profile.
#[derive(Debug)]
pub struct Transcoder<'e> {
    event_type: &'e EventType,
    payload: &'e [u8],
    max_bytes: usize,
    rendered: Vec<(ProfileId, Rendered)>,
    taps: Taps,
}

/// The JSON of an event in one profile, or the reason why it has none.
type Rendered = Result<Arc<String>, QuarantineReason>;

impl<'e> Transcoder<'e> {
    /// Transcodes the payload in one profile, and reads the values of its taps in the same pass. Rendering stops as soon as
    /// the JSON exceeds `max_bytes`. A profile that cannot render the payload is an error of [`Transcoder::json`] in this
    /// profile only, if the JSON is too large or if another profile can read the payload: the taps have their values.
    ///
    /// # Errors
    /// Returns a reason for quarantine if no profile can read the payload: it is malformed, or has a value that ProtoJSON
    /// cannot represent.
    pub fn new(
        event_type: &'e EventType,
        payload: &'e [u8],
        profile: ProfileId,
        max_bytes: usize,
    ) -> Result<Self, QuarantineReason> {
        let mut this = Self { event_type, payload, max_bytes, rendered: Vec::with_capacity(1), taps: Taps::new() };
        let Err(error) = this.render_with_taps(profile)? else { return Ok(this) };
        let depends_on_profile =
            matches!(error.kind(), ErrorKind::Unrenderable | ErrorKind::InvalidUtf8 | ErrorKind::UnknownType);
        if depends_on_profile {
            for other in event_type.profiles().filter(|other| *other != profile) {
                if this.render_with_taps(other)?.is_ok() {
                    return Ok(this);
                }
            }
        }
        Err(quarantine_reason(&error))
    }

    /// Renders the JSON in a profile and reads the taps. Returns the codec's error if the taps have no values.
    fn render_with_taps(&mut self, profile: ProfileId) -> Result<Result<(), protojson::Error>, QuarantineReason> {
        let mut json = room(self.payload, self.max_bytes);
        let plan = self.event_type.plan(profile);
        let (rendered, read) =
            match plan.transcode_tapped_within(self.max_bytes, self.payload, &mut json, &mut self.taps) {
                Ok(()) => (Ok(text(json)?), Ok(())),
                Err(error) if error.kind() == ErrorKind::OverLimit => (Err(quarantine_reason(&error)), Ok(())),
                Err(error) => (Err(quarantine_reason(&error)), Err(error)),
            };
        self.rendered.push((profile, rendered));
        Ok(read)
    }

    /// Returns the event's JSON in a profile.
    ///
    /// # Errors
    /// Returns the same errors as [`Transcoder::new`], and one if the JSON exceeds the maximum size.
    pub fn json(&mut self, profile: ProfileId) -> Rendered {
        if let Some((_, rendered)) = self.rendered.iter().find(|(known, _)| *known == profile) {
            return rendered.clone();
        }
        let rendered = self.render(self.event_type.plan(profile));
        self.rendered.push((profile, rendered.clone()));
        rendered
    }

    fn render(&self, plan: &Plan) -> Rendered {
        let mut json = room(self.payload, self.max_bytes);
        match plan.transcode_within(self.max_bytes, self.payload, &mut json) {
            Ok(()) => text(json),
            Err(error) => Err(quarantine_reason(&error)),
        }
    }

    /// Returns the value of the first of these taps that has one.
    pub fn tap(&self, taps: &[usize]) -> Option<&str> {
        self.find_tap(taps).map(|(value, _)| value)
    }

    /// Returns the value of the first of these taps that has one, with the index of the tap.
    pub fn find_tap(&self, taps: &[usize]) -> Option<(&str, usize)> {
        let values = taps.iter().filter_map(|tap| Some((self.taps.get(*tap)?, *tap)));
        values.into_iter().find(|(value, _)| !value.is_empty())
    }
}

/// Returns the reason for quarantine that a codec error means. A retry meets the same bytes and fails again, unless the
/// event holds a message of an unknown type, which can still arrive.
pub fn quarantine_reason(error: &protojson::Error) -> QuarantineReason {
    let kind = match error.kind() {
        ErrorKind::OverLimit => QuarantineKind::TooLarge,
        ErrorKind::UnknownType => QuarantineKind::UnknownType,
        _ if error.is_malformed() => QuarantineKind::MalformedProtobuf,
        _ => QuarantineKind::Unrenderable,
    };
    kind.because(error)
}

/// Returns a buffer for the JSON of this payload, which is about twice as large as its wire form.
fn room(payload: &[u8], max_bytes: usize) -> Vec<u8> {
    Vec::with_capacity((payload.len() * 2).min(max_bytes) + 64)
}

fn text(json: Vec<u8>) -> Result<Arc<String>, QuarantineReason> {
    let text = String::from_utf8(json).map_err(|error| QuarantineKind::Unrenderable.because(error))?;
    Ok(Arc::new(text))
}
