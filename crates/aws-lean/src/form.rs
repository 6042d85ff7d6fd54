//! The encoding of form values in the AWS Query protocol.
//!
//! The table is here for speed: see the measurements in the crate's README.

const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// The encoding of each byte, and its length in the last place: unreserved characters of RFC 3986 stay, all others are
/// percent-encoded (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>).
const ESCAPES: [[u8; 4]; 256] = {
    let mut escapes = [[0; 4]; 256];
    let mut byte = 0;
    while byte < 256 {
        let plain = byte as u8;
        let is_unreserved = plain.is_ascii_alphanumeric() || matches!(plain, b'-' | b'_' | b'.' | b'~');
        escapes[byte] = if is_unreserved { [plain, 0, 0, 1] } else { [b'%', HEX[byte >> 4], HEX[byte & 15], 3] };
        byte += 1;
    }
    escapes
};

/// Appends a percent-encoded value.
///
/// Each step copies four bytes and advances by the length of the encoding, so that the next step overwrites the rest.
/// This has no branch. JSON alternates so quickly between plain and reserved characters that a search for runs of plain
/// characters costs more.
pub(crate) fn escape_into(form: &mut Vec<u8>, value: &str) {
    const STEP: usize = 64;
    let mut written = [0; 4 * STEP];
    for bytes in value.as_bytes().chunks(STEP) {
        let mut end = 0;
        for byte in bytes {
            let escape = &ESCAPES[usize::from(*byte)];
            written[end..end + 4].copy_from_slice(escape);
            end += usize::from(escape[3]);
        }
        form.extend_from_slice(&written[..end]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn escape(value: &str) -> String {
        let mut form = Vec::new();
        escape_into(&mut form, value);
        String::from_utf8(form).unwrap()
    }

    /// Decodes a value. Returns `None` if it contains a byte that must have been encoded.
    fn unescape(escaped: &str) -> Option<String> {
        let mut bytes = Vec::new();
        let mut rest = escaped.as_bytes();
        while let [first, after @ ..] = rest {
            rest = after;
            match first {
                b'%' => {
                    let (digits, after) = after.split_at_checked(2)?;
                    let digits = str::from_utf8(digits).ok()?;
                    if digits.bytes().any(|digit| digit.is_ascii_lowercase()) {
                        return None;
                    }
                    bytes.push(u8::from_str_radix(digits, 16).ok()?);
                    rest = after;
                }
                b'-' | b'_' | b'.' | b'~' => bytes.push(*first),
                _ if first.is_ascii_alphanumeric() => bytes.push(*first),
                _ => return None,
            }
        }
        String::from_utf8(bytes).ok()
    }

    #[test]
    fn every_character_but_the_unreserved_is_encoded() {
        assert_eq!(escape("Az09-_.~"), "Az09-_.~");
        assert_eq!(escape(" +&=%*'\"\n/ö"), "%20%2B%26%3D%25%2A%27%22%0A%2F%C3%B6");
        for byte in 0..128u8 {
            let text = char::from(byte).to_string();
            let expected = match byte {
                b'-' | b'_' | b'.' | b'~' => text.clone(),
                _ if byte.is_ascii_alphanumeric() => text.clone(),
                _ => format!("%{byte:02X}"),
            };
            assert_eq!(escape(&text), expected);
        }
    }

    #[test]
    fn random_texts_of_every_length_survive_a_round_trip() {
        let mut random = fastrand::Rng::with_seed(7);
        for length in 0..600 {
            let text: String = (0..length)
                .map(|_| if random.bool() { random.char(' '..='~') } else { random.char('\0'..=char::MAX) })
                .collect();
            assert_eq!(unescape(&escape(&text)).as_deref(), Some(&*text), "seed 7, {length} characters");
        }
    }
}
