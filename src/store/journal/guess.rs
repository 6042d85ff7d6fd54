//! The time that an event id reveals.

const MILLISECOND: i64 = 1_000;
/// 2015-01-01: before that, neither UUIDv7 nor ULID existed, so an older time is a coincidence.
const EARLIEST: i64 = 1_420_070_400_000_000;
const DAY: i64 = 86_400_000_000;

/// Returns the time, in microseconds since the Unix epoch, at which an id was created, if the id is a UUID of version 7
/// (RFC 9562) or a ULID. `now` is the present time.
///
/// An id of another kind can look like one of these by coincidence. So a time before 2015, or more than a day after
/// `now`, counts as none.
pub fn time_of_id(id: &str, now: i64) -> Option<i64> {
    let millis = uuid_v7(id).or_else(|| ulid(id))?;
    let time = i64::try_from(millis).ok()?.checked_mul(MILLISECOND)?;
    (EARLIEST..=now.saturating_add(DAY)).contains(&time).then_some(time)
}

fn uuid_v7(id: &str) -> Option<u64> {
    let uuid = uuid::Uuid::try_parse(id).ok()?;
    let is_v7 = uuid.get_version_num() == 7 && uuid.get_variant() == uuid::Variant::RFC4122;
    // The first 48 bits are milliseconds.
    is_v7.then(|| (uuid.as_u128() >> 80) as u64)
}

/// Returns the milliseconds of a ULID: 10 characters of time, 16 of randomness, in Crockford's base32.
fn ulid(id: &str) -> Option<u64> {
    const CHARACTERS: usize = 26;
    const OF_TIME: usize = 10;
    if id.len() != CHARACTERS || !id.bytes().all(|character| base32(character).is_some()) {
        return None;
    }
    let millis = id.bytes().take(OF_TIME).try_fold(0, |time, character| Some(time << 5 | base32(character)?))?;
    // The first character of a ULID is at most 7, because it has 128 bits.
    (millis < 1 << 48).then_some(millis)
}

fn base32(character: u8) -> Option<u64> {
    const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    let character = character.to_ascii_uppercase();
    ALPHABET.iter().position(|known| *known == character).map(|value| value as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-28T12:00:00Z.
    const NOW: i64 = 1_795_867_200_000_000;

    fn v7(millis: i64) -> String {
        let hex = format!("{millis:012x}");
        format!("{}-{}-7abc-8def-0123456789ab", &hex[..8], &hex[8..])
    }

    fn ulid_of(millis: i64) -> String {
        const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
        let time: String = (0..10).rev().map(|at| ALPHABET[(millis >> (5 * at) & 31) as usize] as char).collect();
        format!("{time}EFGHJKMNPQRSTVWX")
    }

    #[test]
    fn ids_of_the_specifications_reveal_their_times() {
        // RFC 9562, appendix A.6, and the README of the ULID specification.
        assert_eq!(time_of_id("017F22E2-79B0-7CC3-98C4-DC0C0C07398F", NOW), Some(1_645_557_742_000_000));
        assert_eq!(time_of_id("01ARZ3NDEKTSV4RRFFQ69G5FAV", NOW), Some(1_469_922_850_259_000));
        assert_eq!(time_of_id("01arz3ndektsv4rrffq69g5fav", NOW), Some(1_469_922_850_259_000));
    }

    #[test]
    fn a_time_that_is_not_plausible_is_a_coincidence() {
        for id in [v7, ulid_of] {
            let at = |micros: i64| time_of_id(&id(micros / 1_000), NOW);
            assert_eq!(at(NOW), Some(NOW));
            assert_eq!(at(EARLIEST), Some(EARLIEST));
            assert_eq!(at(EARLIEST - 1_000), None);
            assert_eq!(at(NOW + DAY), Some(NOW + DAY));
            assert_eq!(at(NOW + DAY + 1_000), None);
        }
    }

    #[test]
    fn other_ids_reveal_no_time() {
        let v7 = v7(NOW / 1_000);
        let others = [
            "9b4eee34-0c3b-4c1a-9d53-2d1b7d8a2c11".to_owned(),
            // Version 7, but of another variant.
            v7.replace("-8def-", "-0def-"),
            v7.replace("-7abc-", "-6abc-"),
            // 26 characters, one of which Crockford leaves out.
            "01ARZ3NDEKTSV4RRFFQ69G5FAU".to_owned(),
            "01ARZ3NDEKTSV4RRFFQ69G5FA".to_owned(),
            // More than 128 bits.
            "81ARZ3NDEKTSV4RRFFQ69G5FAV".to_owned(),
            "ZZZZZZZZZZZZZZZZZZZZZZZZZZ".to_owned(),
            "order-4711".to_owned(),
            String::new(),
        ];
        for id in others {
            assert_eq!(time_of_id(&id, NOW), None, "{id}");
        }
    }
}
