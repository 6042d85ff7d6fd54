//! A payload's `content-encoding`, undone within bounds.

use std::borrow::Cow;
use std::io::Read;

use flate2::read::MultiGzDecoder;
use ruzstd::decoding::StreamingDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};

use super::Error;

/// Decoders should support windows of at least this much, and encoders use no more unless told to (RFC 8878, 3.1.1.1.2).
/// It is allocated whatever comes out in the end.
const ZSTD_WINDOW: u64 = 8 * 1024 * 1024;

/// The payload as it was before its encoding, if it has at most that many bytes then.
pub(super) fn undo<'m>(payload: Cow<'m, [u8]>, encoding: Option<&str>, most: usize) -> Result<Cow<'m, [u8]>, Error> {
    let Some(encoding) = encoding else { return Ok(payload) };
    let (encoding, inflated) = match encoding.trim().to_ascii_lowercase().as_str() {
        // Some producers call base64 an encoding of the content; it was undone, if the payload was in a text.
        "" | "identity" | "base64" => return Ok(payload),
        "gzip" | "x-gzip" => ("gzip", gzip(&payload, most)),
        "zstd" => ("zstd", zstd(&payload, most)),
        _ => return Err(Error::UnknownEncoding { encoding: encoding.to_owned() }),
    };
    match inflated {
        Ok(inflated) if inflated.len() <= most => Ok(Cow::Owned(inflated)),
        Ok(_) => Err(Error::Inflates { encoding, most }),
        Err(error) => Err(Error::NotEncoded { encoding, error }),
    }
}

/// What comes out, or the first byte more than that many of it.
fn gzip(payload: &[u8], most: usize) -> Result<Vec<u8>, String> {
    let mut inflated = Vec::new();
    read_some(MultiGzDecoder::new(payload), most, &mut inflated)?;
    Ok(inflated)
}

/// The same for zstd, which may come in several frames, some of them to be skipped.
fn zstd(mut payload: &[u8], most: usize) -> Result<Vec<u8>, String> {
    let mut inflated = Vec::new();
    if payload.is_empty() {
        return Err("it is empty".to_owned());
    }
    while !payload.is_empty() && inflated.len() <= most {
        let mut decoder = match StreamingDecoder::new_with_max_window_size(&mut payload, ZSTD_WINDOW) {
            Ok(decoder) => decoder,
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame { length, .. })) => {
                payload = payload.get(length as usize..).ok_or("a skippable frame is cut off")?;
                continue;
            }
            Err(FrameDecoderError::ReadFrameHeaderError(_)) => return Err("there is no frame of zstd".to_owned()),
            Err(error) => return Err(error.to_string()),
        };
        read_some(&mut decoder, most, &mut inflated)?;
        let decoder = decoder.into_frame_decoder();
        let (said, found) = (decoder.get_checksum_from_data(), decoder.get_calculated_checksum());
        // It is that of what was read, which is not everything if that is too much.
        if inflated.len() <= most && said.is_some() && said != found {
            return Err("its checksum is wrong".to_owned());
        }
    }
    Ok(inflated)
}

fn read_some(from: impl Read, most: usize, into: &mut Vec<u8>) -> Result<(), String> {
    let room = (most + 1).saturating_sub(into.len());
    from.take(room as u64).read_to_end(into).map(drop).map_err(|error| error.to_string())
}
