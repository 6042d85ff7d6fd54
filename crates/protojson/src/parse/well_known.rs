//! The well-known types whose JSON is a single value.

use prost::encoding::encode_varint;

use super::scalar::{Json, Reason};
use super::{delimited, tag};
use crate::program::Shape;
use crate::wire::{FIXED64, VARINT};

/// Writes a message of this shape.
pub(super) fn scalar(shape: Shape, json: &Json<'_>, out: &mut Vec<u8>) -> Result<(), Reason> {
    match (shape, json) {
        (Shape::Value, _) => {
            value(json, out);
            Ok(())
        }
        (Shape::Timestamp, Json::Text(text)) => {
            seconds_and_nanos(timestamp(text).ok_or("expected an RFC 3339 time such as 2026-01-15T09:30:00Z")?, out);
            Ok(())
        }
        (Shape::Duration, Json::Text(text)) => {
            seconds_and_nanos(duration(text).ok_or("expected a duration such as 1.5s")?, out);
            Ok(())
        }
        (Shape::FieldMask, Json::Text(text)) => {
            field_mask(text, out).ok_or("expected field paths in lowerCamelCase, separated by commas")
        }
        (Shape::Timestamp | Shape::Duration | Shape::FieldMask, _) => Err("expected a string"),
        (Shape::ListValue, _) => Err("expected a list"),
        _ => Err("expected an object"),
    }
}

fn value(json: &Json<'_>, out: &mut Vec<u8>) {
    let number = match json {
        Json::Null => return varint(1, 0, out),
        Json::Bool(value) => return varint(4, u64::from(*value), out),
        Json::Text(text) => return delimited(3, text.as_bytes(), out),
        Json::Integer(number) => *number as f64,
        Json::Number(number) => *number,
    };
    tag(2, FIXED64, out);
    out.extend_from_slice(&number.to_bits().to_le_bytes());
}

fn varint(number: u32, value: u64, out: &mut Vec<u8>) {
    tag(number, VARINT, out);
    encode_varint(value, out);
}

fn seconds_and_nanos((seconds, nanos): (i64, i32), out: &mut Vec<u8>) {
    if seconds != 0 {
        varint(1, seconds.cast_unsigned(), out);
    }
    if nanos != 0 {
        varint(2, i64::from(nanos).cast_unsigned(), out);
    }
}

/// Reads a time in RFC 3339, in the years 1 to 9999, with up to nine digits behind the second.
fn timestamp(text: &str) -> Option<(i64, i32)> {
    let (date, rest) = text.split_at_checked(10)?;
    let (clock, rest) = rest.strip_prefix('T')?.split_at_checked(8)?;
    let [year, month, day] = parts(date, '-')?;
    let [hour, minute, second] = parts(clock, ':')?;
    let (nanos, offset) = fraction(rest)?;
    let offset = match offset.split_at_checked(1)? {
        ("Z", "") => 0,
        (sign @ ("+" | "-"), offset) => {
            let (hours, minutes) = offset.split_once(':').filter(|_| offset.len() == 5)?;
            let (hours, minutes) = (digits(hours)?, digits(minutes)?);
            let seconds = (hours * 60 + minutes) * 60;
            (hours < 24 && minutes < 60).then_some(if sign == "-" { -seconds } else { seconds })?
        }
        _ => return None,
    };
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 => 28 + i64::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    let is_valid = year >= 1 && (1..=days).contains(&day) && hour < 24 && minute < 60 && second < 60;
    let seconds = days_from_civil(year, month, day) * 86_400 + (hour * 60 + minute) * 60 + second - offset;
    // An offset can move the time out of these years.
    let is_valid = is_valid && (-62_135_596_800..=253_402_300_799).contains(&seconds);
    is_valid.then_some((seconds, nanos))
}

/// Splits a date or a time into its three numbers of a fixed number of digits.
fn parts(text: &str, separator: char) -> Option<[i64; 3]> {
    let mut parts = text.split(separator);
    let mut next = |length| parts.next().filter(|part| part.len() == length).and_then(digits);
    let first = if separator == '-' { 4 } else { 2 };
    let numbers = [next(first)?, next(2)?, next(2)?];
    parts.next().is_none().then_some(numbers)
}

/// Reads a number of decimal digits only.
fn digits(text: &str) -> Option<i64> {
    (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())).then_some(text)?.parse().ok()
}

/// Reads up to nine digits behind a point, if there is one. Returns them as nanoseconds, with the rest of the text.
fn fraction(text: &str) -> Option<(i32, &str)> {
    let Some(text) = text.strip_prefix('.') else { return Some((0, text)) };
    let length = text.bytes().take_while(u8::is_ascii_digit).count();
    let (fraction, rest) = text.split_at(length);
    let nanos = (1..=9).contains(&length).then(|| format!("{fraction:0<9}"))?.parse().ok()?;
    Some((nanos, rest))
}

/// Returns the number of days from 1970-01-01 to a date: <https://howardhinnant.github.io/date_algorithms.html>.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

fn duration(text: &str) -> Option<(i64, i32)> {
    let (sign, text) = match text.strip_prefix('-') {
        Some(text) => (-1, text),
        None => (1, text),
    };
    let length = text.bytes().take_while(u8::is_ascii_digit).count();
    let (seconds, rest) = text.split_at(length);
    let seconds = digits(seconds).filter(|seconds| *seconds <= 315_576_000_000)?;
    let (nanos, unit) = fraction(rest)?;
    (unit == "s").then_some((sign * seconds, sign as i32 * nanos))
}

fn field_mask(text: &str, out: &mut Vec<u8>) -> Option<()> {
    for path in text.split(',').filter(|_| !text.is_empty()) {
        let mut snake = String::with_capacity(path.len());
        for letter in path.chars() {
            match letter {
                'A'..='Z' => snake.extend(['_', letter.to_ascii_lowercase()]),
                '_' => return None,
                _ => snake.push(letter),
            }
        }
        delimited(1, (!snake.is_empty()).then_some(snake.as_bytes())?, out);
    }
    Some(())
}
