//! Strings: escaped, and checked to be UTF-8.

use wide::i8x16;

use crate::output::Output;

/// Appends a string with its quotes, escaped: `"`, `\`, the controls, and U+FFFE and U+FFFF, because SQS and SNS refuse
/// those two raw. The string is what stands in `bytes` from `at` to `end`; what follows may be looked at, no more.
///
/// # Errors
/// How far it is UTF-8; what was appended until then stays.
#[inline(always)]
pub(crate) fn string(out: &mut Output, bytes: &[u8], at: usize, end: usize) -> Result<(), usize> {
    let len = end - at;
    if len <= LANES
        && let Some(chunk) = bytes.get(at..).and_then(|rest| rest.first_chunk())
    {
        // Copied before it is known whether all of it stands for itself; if not, it is written again.
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

/// How many bytes are looked at together.
const LANES: usize = 16;
/// And how many in a row, where nothing special is expected.
const BLOCK: usize = 4 * LANES;

/// Which bytes of a chunk cannot be copied as they are, as the highest bit of each: the controls, quote, backslash, and
/// either all that is not ASCII, or with `VALID` what may begin U+FFFE or U+FFFF.
#[inline(always)]
fn specials<const VALID: bool>(chunk: &[u8; LANES]) -> i8x16 {
    let bytes = i8x16::from(chunk.map(u8::cast_signed));
    let is = |byte: u8| bytes.simd_eq(i8x16::splat(byte.cast_signed()));
    let quotes = is(b'"') | is(b'\\');
    if VALID {
        // Neither below zero nor controls.
        let controls = bytes.min(i8x16::splat(0x1f)).simd_eq(bytes) & !bytes.is_negative();
        quotes | controls | is(0xef)
    } else {
        // What is not ASCII is below zero.
        quotes | bytes.simd_lt(i8x16::splat(0x20))
    }
}

/// Appends a string of any length.
#[inline(never)]
fn long(out: &mut Output, bytes: &[u8]) -> Result<(), usize> {
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
    out.push(b'"');
    let mut from = plain::<false>(out, bytes);
    while let Some(byte) = bytes.get(from) {
        if *byte >= 0x80 {
            let rest = &bytes[from..];
            if simdutf8::basic::from_utf8(rest).is_err() {
                return Err(from + std::str::from_utf8(rest).map_or_else(|error| error.valid_up_to(), |_| 0));
            }
            beyond_ascii(out, rest);
            break;
        }
        from += escape(out, &bytes[from..]);
        from += plain::<false>(out, &bytes[from..]);
    }
    out.push(b'"');
    Ok(())
}

/// Appends what is UTF-8.
#[inline(never)]
fn beyond_ascii(out: &mut Output, bytes: &[u8]) {
    let mut from = plain::<true>(out, bytes);
    while from < bytes.len() {
        from += escape(out, &bytes[from..]);
        from += plain::<true>(out, &bytes[from..]);
    }
}

/// The letter behind the backslash, of the characters that have one.
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

/// Escapes what stands at the start, and returns how many bytes that was.
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

/// Appends bytes as long as they stand for themselves, and returns how many those are.
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

/// Copies at least one block. The last one reaches back over what is known to be plain.
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

/// The same for less than a block.
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

/// The same for less than a chunk.
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

/// Escapes a control by its number, and U+FFFE and U+FFFF. Other characters may begin as those two do.
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
    fn strings_are_escaped_wherever_the_special_character_stands() {
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
    fn a_string_that_is_not_utf_8_says_where() {
        assert_eq!(string(&mut Output::default(), b"abc\xff", 0, 4), Err(3));
        assert_eq!(string(&mut Output::default(), b"\xed\xa0\x80", 0, 3), Err(0), "a surrogate");
    }
}
