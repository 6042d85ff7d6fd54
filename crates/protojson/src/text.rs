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

/// Appends bytes in base64 with padding, between quotes.
#[inline]
pub(crate) fn base64(out: &mut Output, bytes: &[u8], url_safe: bool) {
    let encoding = if url_safe { &URL_SAFE } else { &STANDARD };
    let len = encoding.encoded_length(bytes.len()) + 2;
    if let Some([first, inner @ .., last]) = out.all_room().get_mut(..len) {
        (*first, *last) = (b'"', b'"');
        let _ = encoding.encode(bytes, inner.as_out());
        return out.advance(len);
    }
    // The room is too small. Growing it first would write these bytes twice, so the encoder appends to the vector
    // instead.
    out.push(b'"');
    out.with_vec(|out| encoding.encode_append(bytes, out));
    out.push(b'"');
}
