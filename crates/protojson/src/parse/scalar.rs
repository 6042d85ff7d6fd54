//! Single values: numbers, bools, texts, bytes and enums.

use base64_simd::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use prost::encoding::encode_varint;

use super::types::{Slot, Value};
use super::{delimited, tag};
use crate::schema::Kind;
use crate::wire::{FIXED32, FIXED64, VARINT};

/// A value of JSON that is neither an object nor a list.
#[derive(Debug)]
pub(super) enum Json<'t> {
    Null,
    Bool(bool),
    Integer(i128),
    /// A number with a fraction or an exponent, or beyond 64 bits.
    Number(f64),
    Text(&'t str),
}

/// Why a value does not fit. It never contains the value.
pub(super) type Reason = &'static str;

/// Below this number, every whole number has a double of its own.
const EXACT: f64 = 9_007_199_254_740_992.0;

impl Slot {
    /// Writes a value that is not a message.
    pub(super) fn put(&self, json: &Json<'_>, out: &mut Vec<u8>) -> Result<(), Reason> {
        let kind = match &self.value {
            Value::Scalar(kind) => kind,
            Value::Enum(numbers) => {
                let number = match json {
                    Json::Text(name) => *numbers.get(*name).ok_or("expected the name of a value of its enum")?,
                    _ => integer(json, i32::MIN.into(), i32::MAX.into())? as i32,
                };
                self.varint(i64::from(number).cast_unsigned(), out);
                return Ok(());
            }
            Value::Null => {
                if !matches!(json, Json::Null | Json::Text("NULL_VALUE") | Json::Integer(0)) {
                    return Err("expected null");
                }
                self.varint(0, out);
                return Ok(());
            }
            Value::Message(_) => return Err("expected an object"),
        };
        let signed = |least: i64, most: i64| integer(json, least.into(), most.into()).map(|number| number as i64);
        match kind {
            Kind::Double => self.fixed64(double(json)?.to_bits(), out),
            Kind::Float => self.fixed32(float(json)?.to_bits(), out),
            Kind::Int32 => self.varint(signed(i32::MIN.into(), i32::MAX.into())?.cast_unsigned(), out),
            Kind::Int64 => self.varint(signed(i64::MIN, i64::MAX)?.cast_unsigned(), out),
            Kind::Uint32 => self.varint(integer(json, 0, u32::MAX.into())? as u64, out),
            Kind::Uint64 => self.varint(integer(json, 0, u64::MAX.into())? as u64, out),
            Kind::Sint32 => self.varint(zigzag(signed(i32::MIN.into(), i32::MAX.into())?), out),
            Kind::Sint64 => self.varint(zigzag(signed(i64::MIN, i64::MAX)?), out),
            Kind::Fixed32 => self.fixed32(integer(json, 0, u32::MAX.into())? as u32, out),
            Kind::Fixed64 => self.fixed64(integer(json, 0, u64::MAX.into())? as u64, out),
            Kind::Sfixed32 => self.fixed32(signed(i32::MIN.into(), i32::MAX.into())? as u32, out),
            Kind::Sfixed64 => self.fixed64(signed(i64::MIN, i64::MAX)?.cast_unsigned(), out),
            Kind::Bool => match json {
                Json::Bool(value) => self.varint(u64::from(*value), out),
                _ => return Err("expected true or false"),
            },
            Kind::String => match json {
                Json::Text(text) => delimited(self.number, text.as_bytes(), out),
                _ => return Err("expected a string"),
            },
            Kind::Bytes => match json {
                Json::Text(text) => delimited(self.number, &base64(text)?, out),
                _ => return Err("expected a string of base64"),
            },
            Kind::Message(_) | Kind::Enum(_) => return Err("expected an object"),
        }
        Ok(())
    }

    /// Writes the key of a map entry, which JSON always writes as a string.
    pub(super) fn put_key(&self, key: &str, out: &mut Vec<u8>) -> Result<(), Reason> {
        match (&self.value, key) {
            (Value::Scalar(Kind::Bool), "true") => self.put(&Json::Bool(true), out),
            (Value::Scalar(Kind::Bool), "false") => self.put(&Json::Bool(false), out),
            _ => self.put(&Json::Text(key), out),
        }
    }

    fn varint(&self, value: u64, out: &mut Vec<u8>) {
        tag(self.number, VARINT, out);
        encode_varint(value, out);
    }

    fn fixed32(&self, bits: u32, out: &mut Vec<u8>) {
        tag(self.number, FIXED32, out);
        out.extend_from_slice(&bits.to_le_bytes());
    }

    fn fixed64(&self, bits: u64, out: &mut Vec<u8>) {
        tag(self.number, FIXED64, out);
        out.extend_from_slice(&bits.to_le_bytes());
    }
}

/// Reads a whole number, from a number or from a string of one.
fn integer(json: &Json<'_>, least: i128, most: i128) -> Result<i128, Reason> {
    let number = match json {
        Json::Integer(number) => *number,
        Json::Number(number) if number.fract() == 0.0 && number.abs() < EXACT => *number as i128,
        Json::Text(text) => return integer(&number(text).ok_or("expected a whole number")?, least, most),
        _ => return Err("expected a whole number"),
    };
    if (least..=most).contains(&number) { Ok(number) } else { Err("the number is out of range") }
}

fn double(json: &Json<'_>) -> Result<f64, Reason> {
    match json {
        Json::Integer(number) => Ok(*number as f64),
        Json::Number(number) => Ok(*number),
        Json::Text("NaN") => Ok(f64::NAN),
        Json::Text("Infinity") => Ok(f64::INFINITY),
        Json::Text("-Infinity") => Ok(f64::NEG_INFINITY),
        Json::Text(text) => double(&number(text).ok_or("expected a number")?),
        Json::Null | Json::Bool(_) => Err("expected a number"),
    }
}

fn float(json: &Json<'_>) -> Result<f32, Reason> {
    let double = double(json)?;
    let float = double as f32;
    if float.is_infinite() && double.is_finite() { Err("the number is out of range") } else { Ok(float) }
}

/// Reads the number in a string.
fn number(text: &str) -> Option<Json<'static>> {
    // White space around the number is not a part of it.
    let number: serde_json::Number =
        text.bytes().all(|byte| !byte.is_ascii_whitespace()).then_some(text)?.parse().ok()?;
    let integer = number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
    Some(match integer {
        Some(integer) => Json::Integer(integer),
        None => Json::Number(number.as_f64()?),
    })
}

/// Decodes base64 in either alphabet, with or without padding.
fn base64(text: &str) -> Result<Vec<u8>, Reason> {
    let digits = text.trim_end_matches('=');
    let is_url_safe = digits.bytes().any(|byte| matches!(byte, b'-' | b'_'));
    let engine = if is_url_safe { URL_SAFE_NO_PAD } else { STANDARD_NO_PAD };
    engine.decode_to_vec(digits).map_err(|_| "expected a string of base64")
}

fn zigzag(number: i64) -> u64 {
    (number << 1 ^ number >> 63).cast_unsigned()
}
