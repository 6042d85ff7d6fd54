//! Message → JSON, through serde_json with our own spelling of numbers and characters.

use std::io;

use prost_reflect::{DynamicMessage, SerializeOptions};
use serde_json::ser::Formatter;

use crate::{Enums, FieldNames, Int64, Options, number};

/// Appends the JSON of `message`. On an error `json` may hold a part of it.
pub(crate) fn append(message: &DynamicMessage, options: &Options, json: &mut Vec<u8>) -> serde_json::Result<()> {
    let serialize_options = SerializeOptions::new()
        .use_proto_field_name(options.field_names == FieldNames::Proto)
        .stringify_64_bit_integers(options.int64 == Int64::String)
        .use_enum_numbers(options.enums == Enums::Number)
        .skip_default_fields(!options.emit_defaults);
    let mut serializer = serde_json::Serializer::with_formatter(json, Spelling);
    message.serialize_with_options(&mut serializer, &serialize_options)
}

/// Compact JSON; floats as ECMAScript spells them, and U+FFFE and U+FFFF escaped, because SQS and SNS refuse those
/// characters raw.
struct Spelling;

impl Formatter for Spelling {
    fn write_f32<W: ?Sized + io::Write>(&mut self, writer: &mut W, value: f32) -> io::Result<()> {
        writer.write_all(number::f32_text(value).as_bytes())
    }

    fn write_f64<W: ?Sized + io::Write>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        writer.write_all(number::f64_text(value).as_bytes())
    }

    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut rest = fragment;
        while let Some(at) = rest.find(['\u{fffe}', '\u{ffff}']) {
            writer.write_all(&rest.as_bytes()[..at])?;
            writer.write_all(if rest[at..].starts_with('\u{fffe}') { b"\\ufffe" } else { b"\\uffff" })?;
            rest = &rest[at + '\u{ffff}'.len_utf8()..];
        }
        writer.write_all(rest.as_bytes())
    }
}
