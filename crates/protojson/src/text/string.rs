//! Strings, escaped and validated as UTF-8.

use wide::i8x16;

use super::Unwritten;
use crate::output::Output;

/// Appends a string with its quotes. Escaped are `"`, `\`, control characters, and U+FFFE and U+FFFF, because SQS and
/// SNS refuse these two raw. The string is in `bytes` from `at` to `end`; the bytes after it can be read but have no
/// effect.
///
/// # Errors
/// Returns an error if the string is not UTF-8, or if a string of more than 16 bytes exceeds the limit of the output. A
/// string that is not UTF-8 appends nothing; at the limit, the output appended so far stays.
#[inline(always)]
pub(crate) fn string(out: &mut Output, bytes: &[u8], at: usize, end: usize) -> Result<(), Unwritten> {
    let len = end - at;
    if len <= LANES
        && let Some(chunk) = bytes.get(at..).and_then(|rest| rest.first_chunk())
    {
        // The copy comes before the check. If the string contains special bytes, it is written again.
        let room = out.room::<{ LANES + 2 }>();
        room[0] = b'"';
        room[1..=LANES].copy_from_slice(chunk);
        room[len + 1] = b'"';
        if specials::<false>(chunk).to_bitmask() & ((1 << len) - 1) == 0 {
            out.advance(len + 2);
            return Ok(());
        }
    }
    long(out, &bytes[at..end])
}

/// The number of bytes that are checked together.
const LANES: usize = 16;
/// The number of bytes that are checked in one step while no special byte is found.
const BLOCK: usize = 4 * LANES;

/// Returns a mask of the bytes of a chunk that cannot be copied as they are: controls, quotes, backslashes, and all
/// bytes that are not ASCII. With `VALID`, of the last group only the first byte of U+FFFE and U+FFFF is included.
#[inline(always)]
fn specials<const VALID: bool>(chunk: &[u8; LANES]) -> i8x16 {
    let bytes = i8x16::from(chunk.map(u8::cast_signed));
    let is = |byte: u8| bytes.simd_eq(i8x16::splat(byte.cast_signed()));
    let quotes = is(b'"') | is(b'\\');
    if VALID {
        // A control is at most 0x1f and not negative as a signed byte.
        let controls = bytes.min(i8x16::splat(0x1f)).simd_eq(bytes) & !bytes.is_negative();
        quotes | controls | is(0xef)
    } else {
        // Bytes that are not ASCII are negative as signed bytes.
        quotes | bytes.simd_lt(i8x16::splat(0x20))
    }
}

/// Appends a string of any length.
#[inline(never)]
fn long(out: &mut Output, bytes: &[u8]) -> Result<(), Unwritten> {
    let len = bytes.len();
    if len <= 2 * LANES
        && let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk())
    {
        let room = out.room::<{ 2 * LANES + 2 }>();
        room[0] = b'"';
        room[1..=LANES].copy_from_slice(first);
        room[len + 1 - LANES..=len].copy_from_slice(last);
        room[len + 1] = b'"';
        if (specials::<false>(first) | specials::<false>(last)).to_bitmask() == 0 {
            out.advance(len + 2);
            return Ok(());
        }
    }
    if len > out.left() {
        return Err(Unwritten::OverLimit);
    }
    let start = out.len();
    out.push(b'"');
    let mut from = plain::<false>(out, bytes);
    while let Some(byte) = bytes.get(from) {
        if *byte >= 0x80 {
            let rest = &bytes[from..];
            if simdutf8::basic::from_utf8(rest).is_err() {
                out.truncate(start);
                let valid = std::str::from_utf8(rest).map_or_else(|error| error.valid_up_to(), |_| 0);
                return Err(Unwritten::NotUtf8(from + valid));
            }
            beyond_ascii(out, rest)?;
            break;
        }
        if out.is_over() {
            return Err(Unwritten::OverLimit);
        }
        from += escape(out, &bytes[from..]);
        from += plain::<false>(out, &bytes[from..]);
    }
    out.push(b'"');
    Ok(())
}

/// Appends a string that is known to be UTF-8.
#[inline(never)]
fn beyond_ascii(out: &mut Output, bytes: &[u8]) -> Result<(), Unwritten> {
    let mut from = plain::<true>(out, bytes);
    while from < bytes.len() {
        if out.is_over() {
            return Err(Unwritten::OverLimit);
        }
        from += escape(out, &bytes[from..]);
        from += plain::<true>(out, &bytes[from..]);
    }
    Ok(())
}

/// Appends a string like [`string`], but replaces each sequence that is not UTF-8 by U+FFFD. The sequences are those of
/// [`str::from_utf8`]'s errors, which most decoders replace one by one too.
///
/// # Errors
/// Returns an error if the string exceeds the limit of the output. The output appended so far stays.
#[cold]
pub(crate) fn lossy_string(out: &mut Output, bytes: &[u8]) -> Result<(), Unwritten> {
    // A replacement is at least as long as the sequence, so the text is at least as long as the string.
    if bytes.len() > out.left() {
        return Err(Unwritten::OverLimit);
    }
    out.push(b'"');
    for chunk in bytes.utf8_chunks() {
        beyond_ascii(out, chunk.valid().as_bytes())?;
        if !chunk.invalid().is_empty() {
            out.extend(REPLACEMENT);
        }
        if out.is_over() {
            return Err(Unwritten::OverLimit);
        }
    }
    out.push(b'"');
    Ok(())
}

/// U+FFFD in UTF-8.
const REPLACEMENT: &[u8; 3] = b"\xef\xbf\xbd";

/// The letter after the backslash, for the characters that have one; otherwise 0.
const LETTERS: [u8; 0x60] = {
    let mut letters = [0; 0x60];
    letters[b'"' as usize] = b'"';
    letters[b'\\' as usize] = b'\\';
    letters[0x08] = b'b';
    letters[0x0c] = b'f';
    letters[b'\n' as usize] = b'n';
    letters[b'\r' as usize] = b'r';
    letters[b'\t' as usize] = b't';
    letters
};

/// Escapes the character at the start, and returns the number of bytes consumed.
#[inline(always)]
fn escape(out: &mut Output, bytes: &[u8]) -> usize {
    match LETTERS.get(usize::from(bytes[0])) {
        Some(letter) if *letter != 0 => {
            out.extend(&[b'\\', *letter]);
            1
        }
        _ => escape_by_number(out, bytes),
    }
}

/// Appends bytes until one must be escaped or validated, and returns the number of bytes appended.
#[inline(always)]
fn plain<const VALID: bool>(out: &mut Output, bytes: &[u8]) -> usize {
    let room = &mut out.at_least(bytes.len())[..bytes.len()];
    let copied = match bytes.last_chunk() {
        Some(last) => plain_blocks::<VALID>(bytes, last, room),
        None => plain_chunks::<VALID>(bytes, room),
    };
    out.advance(copied);
    copied
}

/// Copies plain bytes from a string of at least one block. The last block overlaps bytes that are already known to be
/// plain.
#[inline(always)]
fn plain_blocks<const VALID: bool>(bytes: &[u8], last: &[u8; BLOCK], room: &mut [u8]) -> usize {
    let mut done = 0;
    let (blocks, rest) = bytes.as_chunks();
    let (rooms, _) = room.as_chunks_mut();
    for (block, room) in blocks.iter().zip(rooms) {
        *room = *block;
        if let Some(at) = first_special::<VALID>(block) {
            return done + at;
        }
        done += BLOCK;
    }
    if let (Some(room), false) = (room.last_chunk_mut(), rest.is_empty()) {
        *room = *last;
        let special = special_bits::<VALID>(last).unbounded_shr((BLOCK - rest.len()) as u32);
        done += rest.len().min(special.trailing_zeros() as usize);
    }
    done
}

/// Copies plain bytes from a string that is shorter than a block.
#[inline(always)]
fn plain_chunks<const VALID: bool>(bytes: &[u8], room: &mut [u8]) -> usize {
    let Some(last) = bytes.last_chunk() else { return plain_bytes::<VALID>(bytes, room) };
    let mut done = 0;
    let (chunks, rest) = bytes.as_chunks();
    let (rooms, _) = room.as_chunks_mut();
    for (chunk, room) in chunks.iter().zip(rooms) {
        *room = *chunk;
        let special = specials::<VALID>(chunk).to_bitmask();
        if special != 0 {
            return done + special.trailing_zeros() as usize;
        }
        done += LANES;
    }
    if let Some(room) = room.last_chunk_mut() {
        *room = *last;
        let special = specials::<VALID>(last).to_bitmask() >> (LANES - rest.len());
        done += rest.len().min(special.trailing_zeros() as usize);
    }
    done
}

/// Copies plain bytes from a string that is shorter than a chunk.
#[inline(always)]
fn plain_bytes<const VALID: bool>(bytes: &[u8], room: &mut [u8]) -> usize {
    let mut chunk = [0; LANES];
    for ((byte, room), copy) in bytes.iter().zip(room).zip(&mut chunk) {
        (*room, *copy) = (*byte, *byte);
    }
    let special = specials::<VALID>(&chunk).to_bitmask();
    bytes.len().min(special.trailing_zeros() as usize)
}

#[inline(always)]
fn first_special<const VALID: bool>(block: &[u8; BLOCK]) -> Option<usize> {
    let (chunks, _) = block.as_chunks();
    let any = chunks.iter().fold(i8x16::ZERO, |any, chunk| any | specials::<VALID>(chunk));
    if any.to_bitmask() == 0 {
        return None;
    }
    Some(special_bits::<VALID>(block).trailing_zeros() as usize)
}

#[inline(always)]
fn special_bits<const VALID: bool>(block: &[u8; BLOCK]) -> u64 {
    let (chunks, _) = block.as_chunks();
    chunks.iter().rev().fold(0, |bits, chunk| (bits << LANES) | u64::from(specials::<VALID>(chunk).to_bitmask()))
}

/// Escapes a control, U+FFFE or U+FFFF by its number. Copies the first byte of any other character, because some begin
/// with the same byte as U+FFFE.
#[cold]
fn escape_by_number(out: &mut Output, bytes: &[u8]) -> usize {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    match bytes {
        [0xef, 0xbf, 0xbe, ..] => {
            out.extend(b"\\ufffe");
            3
        }
        [0xef, 0xbf, 0xbf, ..] => {
            out.extend(b"\\uffff");
            3
        }
        [control @ 0..0x20, ..] => {
            let [high, low] = [HEX[usize::from(control >> 4)], HEX[usize::from(control & 15)]];
            out.extend(&[b'\\', b'u', b'0', b'0', high, low]);
            1
        }
        _ => {
            out.push(bytes[0]);
            1
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_characters_are_escaped_at_every_position() {
        for at in 0..70 {
            for (special, expected) in [
                ("\"", "\\\""),
                ("\\", "\\\\"),
                ("\n", "\\n"),
                ("\u{1f}", "\\u001f"),
                ("ü", "ü"),
                ("\u{ffff}", "\\uffff"),
                ("\u{fffd}", "\u{fffd}"),
                ("\u{fffe}", "\\ufffe"),
                ("\u{7f}", "\u{7f}"),
            ] {
                let (before, after) = ("x".repeat(at), "y".repeat(70 - at));
                let mut out = Output::default();
                let text = format!("{before}{special}{after}");
                string(&mut out, text.as_bytes(), 0, text.len()).unwrap();
                assert_eq!(String::from_utf8(out.into_bytes()).unwrap(), format!("\"{before}{expected}{after}\""));
            }
        }
    }

    #[test]
    fn a_string_that_is_not_utf_8_fails_with_the_position() {
        let mut out = Output::default();
        assert_eq!(string(&mut out, b"abc\xff", 0, 4), Err(Unwritten::NotUtf8(3)));
        assert_eq!(out.len(), 0, "nothing is appended");
        assert_eq!(string(&mut Output::default(), b"\xed\xa0\x80", 0, 3), Err(Unwritten::NotUtf8(0)), "a surrogate");
    }

    #[test]
    fn sequences_that_are_not_utf_8_are_replaced_as_the_standard_library_replaces_them() {
        for invalid in
            [&b"\xff"[..], b"\xc0\x80", b"\xed\xa0\x80", b"\xf0\x9f\x92", b"\xe4\xff\xff", b"\xf5\x80\x80\x80"]
        {
            for at in 0..70 {
                let text = [&b"x".repeat(at)[..], invalid, b"\"\n\xc3\xbc", invalid, &b"y".repeat(70 - at)].concat();
                let mut out = Output::default();
                lossy_string(&mut out, &text).unwrap();
                let expected = String::from_utf8_lossy(&text).replace('"', "\\\"").replace('\n', "\\n");
                assert_eq!(String::from_utf8(out.into_bytes()).unwrap(), format!("\"{expected}\""));
            }
        }
    }

    #[test]
    fn a_string_with_replacements_stops_at_the_limit() {
        for (text, limit) in [(b"\xff".repeat(10_000), 29_000), (b"x".repeat(10_000), 9_999)] {
            let mut out = Output::new(Vec::new(), 0, limit);
            assert_eq!(lossy_string(&mut out, &text), Err(Unwritten::OverLimit));
            assert!(out.len() <= limit + 64, "{} bytes", out.len());
        }
    }

    #[test]
    fn a_long_string_stops_at_the_limit() {
        for (text, limit) in
            [("x".repeat(10_000), 9_999), ("\n".repeat(10_000), 12_000), ("ü\n".repeat(10_000), 35_000)]
        {
            let mut out = Output::new(Vec::new(), 0, limit);
            assert_eq!(string(&mut out, text.as_bytes(), 0, text.len()), Err(Unwritten::OverLimit));
            assert!(out.len() <= limit + 64, "{} bytes", out.len());
        }
    }
}
