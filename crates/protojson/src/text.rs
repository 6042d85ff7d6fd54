//! JSON text for strings, integers, floating point, time and bytes.

mod float;
mod integer;
mod string;
mod time;

use base64_simd::{AsOut as _, STANDARD, URL_SAFE};

pub(crate) use float::{double, single};
pub(crate) use integer::{integer, quoted_integer, quoted_unsigned, unsigned};
pub(crate) use string::{lossy_string, string};
pub(crate) use time::{fraction, timestamp};

use crate::Bytes;
use crate::output::Output;

/// The reason why a text was not written, or not completely.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unwritten {
    /// The string is not UTF-8. Its valid prefix has this length in bytes.
    NotUtf8(usize),
    /// The output exceeds its limit, or would exceed it.
    OverLimit,
}

/// Appends bytes in this spelling, between quotes.
///
/// # Errors
/// Returns an error if the text would exceed the limit of the output by more than the room behind its end.
#[inline]
pub(crate) fn bytes(out: &mut Output, bytes: &[u8], spelling: Bytes) -> Result<(), Unwritten> {
    let encoding = match spelling {
        Bytes::Base64 => &STANDARD,
        Bytes::Base64Url => &URL_SAFE,
        Bytes::Hex => return hex(out, bytes),
    };
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

/// Appends bytes in lowercase hexadecimal digits, between quotes.
#[inline(never)]
fn hex(out: &mut Output, bytes: &[u8]) -> Result<(), Unwritten> {
    let len = 2 * bytes.len() + 2;
    if len > out.left() {
        return Err(Unwritten::OverLimit);
    }
    out.push(b'"');
    let (pairs, _) = out.at_least(2 * bytes.len()).as_chunks_mut();
    for (byte, pair) in bytes.iter().zip(pairs) {
        *pair = [hex_digit(byte >> 4), hex_digit(byte & 15)];
    }
    out.advance(2 * bytes.len());
    out.push(b'"');
    Ok(())
}

/// Returns the digit of a number below 16. Without a table, the compiler can handle many bytes at a time.
#[inline(always)]
fn hex_digit(number: u8) -> u8 {
    number + if number < 10 { b'0' } else { b'a' - 10 }
}
