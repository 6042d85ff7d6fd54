//! Compares the JSON of hard payloads: those that the specification of ProtoJSON treats in a way of their own.

mod cases;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::Stdio;

use anyhow::{Context as _, ensure};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use protojson::{Options, Schema};
use serde::{Deserialize, Serialize};

use super::contestant::Contestant;
use crate::json_value;
use crate::subject::Subject;
use cases::{Case, Expected};

/// The compiled hard.proto, with its imports.
const DESCRIPTOR_SET: &[u8] = include_bytes!("../../rivals/hard/hard.binpb");
const MESSAGE_TYPE: &str = "hard.v1.Event";

/// A hard payload, and what the contestants made of it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) payload: String,
    /// The JSON that the specification asks for, or that it asks for an error.
    pub(crate) expected: String,
    /// How the result of each contestant differs; `None` if it is right.
    pub(crate) differences: BTreeMap<Contestant, Option<String>>,
}

/// Lets each contestant that has a codec convert all payloads.
///
/// # Errors
/// Returns an error if a contestant does not answer for each payload.
pub(super) fn compare(subjects: &BTreeMap<Contestant, Subject>) -> anyhow::Result<Vec<Row>> {
    let cases = cases::all();
    let mut rows: Vec<Row> = cases.iter().map(Row::new).collect();
    for (contestant, subject) in subjects {
        let results = match subject {
            _ if *contestant == Contestant::Protobridge => own(&cases)?,
            Subject::Rival(rival) => {
                let set = tempfile::NamedTempFile::new()?;
                std::fs::write(set.path(), DESCRIPTOR_SET)?;
                let results = of_program(rival.convert_command(set.path()), &cases);
                results.with_context(|| format!("the hard payloads, {contestant}"))?
            }
            Subject::Service { .. } | Subject::Floor => continue,
        };
        for ((row, case), result) in rows.iter_mut().zip(&cases).zip(&results) {
            row.differences.insert(*contestant, case.difference(result));
        }
    }
    Ok(rows)
}

/// The JSON of a payload, or why there is none.
type Converted = Result<String, String>;

/// Converts the payloads with the codec of the service.
fn own(cases: &[Case]) -> anyhow::Result<Vec<Converted>> {
    let schema = Schema::builder().set("hard.binpb", DESCRIPTOR_SET)?.build()?;
    let plan = schema.plan(MESSAGE_TYPE, &Options::default())?;
    let convert = |case: &Case| {
        let mut json = Vec::new();
        plan.transcode(&case.payload, &mut json).map_err(|error| error.to_string())?;
        String::from_utf8(json).map_err(|error| error.to_string())
    };
    Ok(cases.iter().map(convert).collect())
}

/// Converts the payloads with a rival. Each line of its input is a type and a payload, and each line of its output is
/// `ok` with the JSON, or `error` with a message.
fn of_program(mut command: std::process::Command, cases: &[Case]) -> anyhow::Result<Vec<Converted>> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut input = child.stdin.take().context("the rival has no standard input")?;
    let lines = cases.iter().map(|case| format!("{MESSAGE_TYPE} {}\n", BASE64_STANDARD.encode(&case.payload)));
    // All lines together are smaller than the buffer of a pipe.
    input.write_all(lines.collect::<String>().as_bytes())?;
    drop(input);
    let output = child.wait_with_output()?;
    let text = String::from_utf8(output.stdout)?;
    ensure!(text.lines().count() == cases.len(), "{} of {} answers", text.lines().count(), cases.len());
    text.lines().map(converted).collect()
}

fn converted(line: &str) -> anyhow::Result<Converted> {
    match line.split_once(' ').unwrap_or((line, "")) {
        ("ok", json) => Ok(Ok(json.to_owned())),
        ("error", message) => Ok(Err(message.to_owned())),
        _ => anyhow::bail!("unexpected answer: {line}"),
    }
}

impl Row {
    fn new(case: &Case) -> Self {
        let expected = match case.expected {
            Expected::Json(json) | Expected::Float(json, _) => json,
            Expected::Error => "an error",
        };
        Self { payload: case.name.to_owned(), expected: expected.to_owned(), differences: BTreeMap::new() }
    }
}

impl Case {
    /// Returns how a result differs from the expected one, or `None` if it is right.
    fn difference(&self, result: &Converted) -> Option<String> {
        match (self.expected, result) {
            (Expected::Error, Err(_)) => None,
            (Expected::Error, Ok(json)) => Some(json.clone()),
            (_, Err(error)) => Some(format!("an error: {error}")),
            (Expected::Json(expected), Ok(json)) => {
                json_value::text_difference(expected, json).map(|_difference| json.clone())
            }
            (Expected::Float(short, long), Ok(json)) => {
                let is_equal = [short, long].iter().any(|text| json_value::text_difference(text, json).is_none());
                (!is_equal).then(|| json.clone())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_compiled_set_is_that_of_the_proto_file() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/rivals/hard");
        let mut compiler = protox::Compiler::new([folder]).unwrap();
        compiler.include_imports(true).open_file("hard.proto").unwrap();
        let compiled = compiler.encode_file_descriptor_set();
        if std::env::var_os("UPDATE_HARD").is_some() {
            std::fs::write(format!("{folder}/hard.binpb"), &compiled).unwrap();
        }
        assert!(compiled == DESCRIPTOR_SET, "run this test with UPDATE_HARD=1 and then again");
    }

    #[test]
    fn the_service_is_right_about_every_payload() {
        let subjects = BTreeMap::from([(Contestant::Protobridge, Subject::Floor)]);
        for row in compare(&subjects).unwrap() {
            let difference = row.differences[&Contestant::Protobridge].as_deref();
            assert_eq!(difference, None, "{}, expected {}", row.payload, row.expected);
        }
    }

    #[test]
    fn a_result_is_judged_by_value_and_by_whether_it_is_an_error() {
        let case = |expected| Case { name: "", payload: Vec::new(), expected };
        let (json, error) = (Ok(r#"{ "a": 1.0 }"#.to_owned()), Err("no".to_owned()));
        assert_eq!(case(Expected::Json(r#"{"a":1}"#)).difference(&json), None);
        assert_eq!(case(Expected::Json(r#"{"a":2}"#)).difference(&json).as_deref(), Some(r#"{ "a": 1.0 }"#));
        assert_eq!(case(Expected::Json("{}")).difference(&error).as_deref(), Some("an error: no"));
        assert_eq!(case(Expected::Error).difference(&error), None);
        assert_eq!(case(Expected::Error).difference(&json).as_deref(), Some(r#"{ "a": 1.0 }"#));
        assert_eq!(case(Expected::Float(r#"{"a":2}"#, r#"{"a":1}"#)).difference(&json), None);
    }

    #[test]
    fn answers_are_read_line_by_line() {
        assert_eq!(converted("ok {\"a\": 1}").unwrap(), Ok("{\"a\": 1}".to_owned()));
        assert_eq!(converted("error bad wire type").unwrap(), Err("bad wire type".to_owned()));
        assert!(converted("Traceback").is_err());
    }
}
