//! Decompresses payloads that have a `content-encoding`, up to a limit.

use std::borrow::Cow;
use std::io::{self, Read};

use flate2::bufread::ZlibDecoder;
use flate2::read::MultiGzDecoder;
use ruzstd::decoding::StreamingDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};

use super::Error;
use crate::message::steps::{About, Step, Witness};

/// The largest zstd window. Decoders should support windows of this size, and encoders use larger ones only on request
/// (RFC 8878, 3.1.1.1.2). The decoder allocates the whole window, even for a small result.
const ZSTD_WINDOW: u64 = 8 * 1024 * 1024;

/// Why a payload could not be decompressed.
#[derive(Debug, thiserror::Error)]
pub enum DecompressError {
    /// The decoder failed while it read the data.
    #[error(transparent)]
    Read(#[from] io::Error),
    /// The decoder refused a zstd frame.
    #[error(transparent)]
    Frame(#[from] Box<FrameDecoderError>),
    /// There are no bytes.
    #[error("it is empty")]
    Empty,
    /// Bytes follow the zlib stream.
    #[error("{0} byte(s) follow its end")]
    Trailing(usize),
    /// The payload ends within a skippable zstd frame.
    #[error("a skippable frame is cut off")]
    CutOff,
    /// The payload does not start with a zstd frame.
    #[error("there is no zstd frame")]
    NoFrame,
    /// The checksum of a zstd frame does not match its content.
    #[error("its checksum is wrong")]
    Checksum,
}

/// Decompresses a payload to `most` bytes at most.
pub(super) fn undo<'m>(
    payload: Cow<'m, [u8]>,
    encoding: Option<&str>,
    most: usize,
    witness: &mut impl Witness,
) -> Result<Cow<'m, [u8]>, Error> {
    let Some(encoding) = encoding else { return Ok(payload) };
    let (encoding, inflated) = match encoding.trim().to_ascii_lowercase().as_str() {
        // Some producers name base64 here. A payload in a text attribute or body is decoded from base64 already.
        "" | "identity" | "base64" => return Ok(payload),
        "gzip" | "x-gzip" => ("gzip", gzip(&payload, most)),
        "zstd" => ("zstd", zstd(&payload, most)),
        _ => return Err(Error::UnknownEncoding { encoding: encoding.to_owned() }),
    };
    match inflated {
        Ok(inflated) if inflated.len() <= most => {
            witness.note(|| {
                let found = format!("{encoding}, {} bytes after it is decompressed", inflated.len());
                Step::new(About::Layer, found, "the attribute `content-encoding` names it")
            });
            Ok(Cow::Owned(inflated))
        }
        Ok(_) => Err(Error::Inflates { encoding, most }),
        Err(error) => Err(Error::NotEncoded { encoding, error }),
    }
}

/// Decompresses gzip. Stops after `most` bytes and one more, which tells the caller that the result is too large.
fn gzip(payload: &[u8], most: usize) -> Result<Vec<u8>, DecompressError> {
    let mut inflated = Vec::new();
    read_some(MultiGzDecoder::new(payload), most, &mut inflated)?;
    Ok(inflated)
}

/// Decompresses the zlib of a framing to `most` bytes at most.
///
/// # Errors
/// Returns an error if the payload is not one whole zlib stream, or if it has more bytes.
pub(super) fn zlib(payload: &[u8], most: usize) -> Result<Vec<u8>, Error> {
    let encoding = "zlib";
    match zlib_stream(payload, most) {
        Ok(inflated) if inflated.len() <= most => Ok(inflated),
        Ok(_) => Err(Error::Inflates { encoding, most }),
        Err(error) => Err(Error::NotCompressed { encoding, error }),
    }
}

/// Decompresses zlib like [`gzip`]. The payload is one stream.
fn zlib_stream(payload: &[u8], most: usize) -> Result<Vec<u8>, DecompressError> {
    if payload.is_empty() {
        return Err(DecompressError::Empty);
    }
    let mut inflated = Vec::new();
    let mut decoder = ZlibDecoder::new(payload);
    read_some(&mut decoder, most, &mut inflated)?;
    match decoder.get_ref().len() {
        trailing if trailing > 0 && inflated.len() <= most => Err(DecompressError::Trailing(trailing)),
        _ => Ok(inflated),
    }
}

/// Decompresses zstd like [`gzip`]. The payload can have several frames, and skippable frames among them.
fn zstd(mut payload: &[u8], most: usize) -> Result<Vec<u8>, DecompressError> {
    let mut inflated = Vec::new();
    if payload.is_empty() {
        return Err(DecompressError::Empty);
    }
    while !payload.is_empty() && inflated.len() <= most {
        let mut decoder = match StreamingDecoder::new_with_max_window_size(&mut payload, ZSTD_WINDOW) {
            Ok(decoder) => decoder,
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame { length, .. })) => {
                payload = payload.get(length as usize..).ok_or(DecompressError::CutOff)?;
                continue;
            }
            Err(FrameDecoderError::ReadFrameHeaderError(_)) => return Err(DecompressError::NoFrame),
            Err(error) => return Err(Box::new(error).into()),
        };
        read_some(&mut decoder, most, &mut inflated)?;
        let decoder = decoder.into_frame_decoder();
        let (expected, found) = (decoder.get_checksum_from_data(), decoder.get_calculated_checksum());
        // The checksum covers the bytes that were read. If the payload exceeds the limit, those are not the whole frame.
        if inflated.len() <= most && expected.is_some() && expected != found {
            return Err(DecompressError::Checksum);
        }
    }
    Ok(inflated)
}

/// Reads until `into` has `most` bytes and one more.
fn read_some(from: impl Read, most: usize, into: &mut Vec<u8>) -> io::Result<()> {
    let room = (most + 1).saturating_sub(into.len());
    from.take(room as u64).read_to_end(into).map(drop)
}
