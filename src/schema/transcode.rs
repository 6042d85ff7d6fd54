//! From wire bytes to JSON for one event: one render per profile, and the values of its taps. Only JSON that is too large
//! for one destination, and not for another, is rendered a second time.

use std::sync::Arc;

use protojson::{ErrorKind, Taps};
use sha2::{Digest as _, Sha256};

use crate::message::{QuarantineKind, QuarantineReason};
use crate::schema::registry::{EventType, ProfileId};

/// Renders one event.
#[derive(Debug)]
pub struct Transcoder<'e> {
    event_type: &'e EventType,
    payload: &'e [u8],
    /// At most one per profile.
    rendered: Vec<Rendering>,
    taps: Taps,
    /// The most bytes that are rendered, whichever limit a destination has.
    cap: usize,
    /// Whether the cap kept JSON from a destination.
    was_capped: bool,
}

/// The result of rendering an event in one profile.
#[derive(Debug)]
struct Rendering {
    profile: ProfileId,
    /// The size in bytes at which rendering stopped, if it is too large.
    max_bytes: usize,
    json: Rendered,
    /// The SHA-256 of the JSON, once it was asked for.
    sha256: Option<[u8; 32]>,
}

/// The JSON of an event in one profile, or the reason why it has none.
type Rendered = Result<Arc<String>, QuarantineReason>;

impl Rendering {
    fn new(profile: ProfileId, max_bytes: usize, json: Rendered) -> Self {
        Self { profile, max_bytes, json, sha256: None }
    }

    /// Returns the JSON for a destination that accepts `max_bytes`. Returns `None` if rendering stopped before that size.
    fn within(&self, max_bytes: usize) -> Option<Rendered> {
        match &self.json {
            Ok(json) if json.len() > max_bytes => Some(Err(too_large(max_bytes))),
            Err(reason) if reason.kind == QuarantineKind::TooLarge && self.max_bytes != max_bytes => {
                (self.max_bytes > max_bytes).then(|| Err(too_large(max_bytes)))
            }
            json => Some(json.clone()),
        }
    }
}

impl<'e> Transcoder<'e> {
    /// Transcodes the payload in one profile, and reads the values of its taps in the same pass. Rendering stops as soon as
    /// the JSON exceeds `max_bytes`; [`Transcoder::json`] can ask for more. A profile that cannot render the payload is an error of [`Transcoder::json`] in this
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
        let mut this = Self {
            event_type,
            payload,
            rendered: Vec::with_capacity(1),
            taps: Taps::new(),
            cap: usize::MAX,
            was_capped: false,
        };
        let Err(error) = this.render_with_taps(profile, max_bytes)? else { return Ok(this) };
        let depends_on_profile =
            matches!(error.kind(), ErrorKind::Unrenderable | ErrorKind::InvalidUtf8 | ErrorKind::UnknownType);
        if depends_on_profile {
            for other in event_type.profiles().filter(|other| *other != profile) {
                if this.render_with_taps(other, max_bytes)?.is_ok() {
                    return Ok(this);
                }
            }
        }
        Err(quarantine_reason(&error))
    }

    /// Renders the JSON in a profile and reads the taps. Returns the codec's error if the taps have no values.
    fn render_with_taps(
        &mut self,
        profile: ProfileId,
        max_bytes: usize,
    ) -> Result<Result<(), protojson::Error>, QuarantineReason> {
        let mut json = room(self.payload, max_bytes);
        let plan = self.event_type.plan(profile);
        let (rendered, read) = match plan.transcode_tapped_within(max_bytes, self.payload, &mut json, &mut self.taps) {
            Ok(()) => (Ok(text(json)?), Ok(())),
            Err(error) if error.kind() == ErrorKind::OverLimit => (Err(quarantine_reason(&error)), Ok(())),
            Err(error) => (Err(quarantine_reason(&error)), Err(error)),
        };
        self.rendered.push(Rendering::new(profile, max_bytes, rendered));
        Ok(read)
    }

    /// Renders no more than `cap` bytes from now on.
    pub fn with_cap(self, cap: usize) -> Self {
        Self { cap, ..self }
    }

    /// Whether the cap, rather than the limit of a destination, kept JSON from it.
    pub fn was_capped(&self) -> bool {
        self.was_capped
    }

    /// Returns the event's JSON in a profile, for a destination that accepts `max_bytes`. Destinations with one profile
    /// share the JSON, and each has its own limit: JSON that was rendered up to a lower limit and exceeded it is rendered
    /// again.
    ///
    /// # Errors
    /// Returns the same errors as [`Transcoder::new`], and one if the JSON exceeds `max_bytes`.
    pub fn json(&mut self, profile: ProfileId, max_bytes: usize) -> Rendered {
        let rendered = self.json_within(profile, max_bytes.min(self.cap));
        let is_too_large = rendered.as_ref().is_err_and(|reason| reason.kind == QuarantineKind::TooLarge);
        self.was_capped |= is_too_large && self.cap < max_bytes;
        rendered
    }

    fn json_within(&mut self, profile: ProfileId, max_bytes: usize) -> Rendered {
        let known = self.rendered.iter().position(|known| known.profile == profile);
        if let Some(rendered) = known.and_then(|known| self.rendered[known].within(max_bytes)) {
            return rendered;
        }
        let rendered = self.render(profile, max_bytes);
        let rendering = Rendering::new(profile, max_bytes, rendered.clone());
        match known {
            Some(known) => self.rendered[known] = rendering,
            None => self.rendered.push(rendering),
        }
        rendered
    }

    fn render(&self, profile: ProfileId, max_bytes: usize) -> Rendered {
        let mut json = room(self.payload, max_bytes);
        match self.event_type.plan(profile).transcode_within(max_bytes, self.payload, &mut json) {
            Ok(()) => text(json),
            Err(error) => Err(quarantine_reason(&error)),
        }
    }

    /// Returns the SHA-256 of JSON that [`Transcoder::json`] returned in this profile. It is computed once.
    pub fn sha256(&mut self, profile: ProfileId, json: &str) -> [u8; 32] {
        let compute = || Sha256::digest(json).into();
        match self.rendered.iter_mut().find(|known| known.profile == profile) {
            Some(known) => *known.sha256.get_or_insert_with(compute),
            None => compute(),
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

/// Returns the reason for quarantine of JSON that was rendered, and exceeds the limit of a destination.
fn too_large(max_bytes: usize) -> QuarantineReason {
    QuarantineKind::TooLarge.because(format_args!("JSON too large: it exceeds the limit of {max_bytes} bytes"))
}

/// Returns a buffer for the JSON of this payload, which is about twice as large as its wire form.
fn room(payload: &[u8], max_bytes: usize) -> Vec<u8> {
    Vec::with_capacity((payload.len() * 2).min(max_bytes) + 64)
}

fn text(json: Vec<u8>) -> Result<Arc<String>, QuarantineReason> {
    let text = String::from_utf8(json).map_err(|error| QuarantineKind::Unrenderable.because(error))?;
    Ok(Arc::new(text))
}
