//! JSON text for strings, integers, floating point, time and bytes.

mod float;
mod integer;
mod string;
mod time;

use base64_simd::{AsOut as _, STANDARD, URL_SAFE};

pub(crate) use float::{double, single};
pub(crate) use integer::{integer, quoted_integer, quoted_unsigned, unsigned};
pub(crate) use string::string;
pub(crate) use time::{fraction, timestamp};

use crate::output::Output;

/// The reason why a text was not written, or not completely.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unwritten {
    /// The string is not UTF-8. Its valid prefix has this length in bytes.
    NotUtf8(usize),
    /// The output exceeds its limit, or would exceed it.
    OverLimit,
}

/// Appends bytes in base64 with padding, between quotes.
///
/// # Errors
/// Returns an error if the text would exceed the limit of the output by more than the room behind its end.
#[inline]
pub(crate) fn base64(out: &mut Output, bytes: &[u8], url_safe: bool) -> Result<(), Unwritten> {
    let encoding = if url_safe { &URL_SAFE } else { &STANDARD };
    let len = encoding.encoded_length(bytes.len()) + 2;
    if let Some([first, inner @ .., last]) = out.all_room().get_mut(..len) {
        (*first, *last) = (b'"', b'"');
        let _ = encoding.encode(bytes, inner.as_out());
        out.advance(len);
        return Ok(());
    }
    if len > out.left() {
        return Err(Unwritten::OverLimit);
    }
    // The room is too small. Growing it first would write these bytes twice, so the encoder appends to the vector
    // instead.
    out.push(b'"');
    out.with_vec(|out| encoding.encode_append(bytes, out));
    out.push(b'"');
    Ok(())
}
