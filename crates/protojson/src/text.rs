//! JSON text: strings, integers, floating point, time, bytes.

mod float;
mod integer;
mod string;
mod time;

use base64_simd::{STANDARD, URL_SAFE};

pub(crate) use float::{double, single};
pub(crate) use integer::{integer, unsigned};
pub(crate) use string::string;
pub(crate) use time::{fraction, timestamp};

use crate::output::Output;

/// Appends bytes in base64 with padding, with quotes.
#[inline]
pub(crate) fn base64(out: &mut Output, bytes: &[u8], url_safe: bool) {
    out.push(b'"');
    if url_safe {
        out.with_vec(|out| URL_SAFE.encode_append(bytes, out));
    } else {
        out.with_vec(|out| STANDARD.encode_append(bytes, out));
    }
    out.push(b'"');
}
