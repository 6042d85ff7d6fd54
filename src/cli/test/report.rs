//! The report of `protobridge test`, for people and for CI systems.

use std::io::{self, Write};
use std::path::Path;

use serde_json::{Value, json};

use super::{Case, Unusable};
use crate::cli::case::Difference;

/// The results of all cases.
#[derive(Debug, Default)]
pub(super) struct Report<'f> {
    pub(super) tested: Vec<Tested<'f>>,
}

/// The result of one case.
#[derive(Debug)]
pub(super) struct Tested<'f> {
    pub(super) path: &'f Path,
    /// The index of the case in its file.
    pub(super) index: usize,
    /// The line of the case, or of the value that differs.
    pub(super) line: u64,
    pub(super) case: &'f Case,
    pub(super) failure: Option<Failure>,
}

/// Why a case failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// The case has no message that can be decided about.
    Unusable(Unusable),
    /// The case says nothing about its result.
    NoExpectation {
        /// The actual result, in the syntax of the test file.
        actual: Value,
    },
    /// The result differs.
    Different {
        differences: Vec<Difference>,
        /// The explanation of the actual outcome.
        detail: String,
        /// The actual result, in the syntax of the test file.
        actual: Value,
    },
}

impl Failure {
    /// Returns the path of the first difference.
    pub(super) fn first_path(&self) -> Option<&str> {
        match self {
            Self::Different { differences, .. } => differences.first().map(|one| one.path.as_str()),
            Self::Unusable(_) | Self::NoExpectation { .. } => None,
        }
    }

    /// Returns the actual result, if there is one.
    pub(super) fn actual(&self) -> Option<&Value> {
        match self {
            Self::Unusable(_) => None,
            Self::NoExpectation { actual } | Self::Different { actual, .. } => Some(actual),
        }
    }

    /// Returns the reasons, one line each.
    fn lines(&self) -> Vec<String> {
        match self {
            Self::Unusable(Unusable { key, message }) => vec![format!("{key}: {message}")],
            Self::NoExpectation { .. } => vec!["the case has no `expect`".to_owned()],
            Self::Different { differences, detail, .. } => {
                let mut lines: Vec<String> = differences.iter().map(ToString::to_string).collect();
                lines.push(format!("the outcome was decided because: {detail}"));
                lines
            }
        }
    }
}

impl Tested<'_> {
    /// Whether the case failed, and was not updated.
    pub(super) fn has_failed(&self, is_updated: bool) -> bool {
        self.failure.as_ref().is_some_and(|failure| !is_updated || failure.actual().is_none())
    }
}

impl Report<'_> {
    /// Writes lines for people.
    pub(super) fn write_text(&self, out: &mut impl Write, is_updated: bool) -> io::Result<()> {
        let mut counts = (0, 0, 0);
        for Tested { path, line, case, failure, .. } in &self.tested {
            let (path, name) = (path.display(), &case.name);
            let Some(failure) = failure else {
                counts.0 += 1;
                writeln!(out, "ok       {name}")?;
                continue;
            };
            if is_updated && failure.actual().is_some() {
                counts.1 += 1;
                writeln!(out, "updated  {name}  ({path}:{line})")?;
                continue;
            }
            counts.2 += 1;
            writeln!(out, "FAILED   {name}  ({path}:{line})")?;
            for line in failure.lines() {
                writeln!(out, "           {line}")?;
            }
            if let Some(actual) = failure.actual() {
                writeln!(out, "         the actual result, which --update writes:")?;
                for line in yaml(actual).lines() {
                    writeln!(out, "           {line}")?;
                }
            }
        }
        let (passed, updated, failed) = counts;
        let updated = if is_updated { format!("{updated} updated, ") } else { String::new() };
        writeln!(out, "{} case(s): {passed} passed, {updated}{failed} failed", self.tested.len())
    }

    /// Writes one JSON document.
    pub(super) fn write_json(&self, out: &mut impl Write) -> io::Result<()> {
        let case = |tested: &Tested<'_>| {
            json!({
                "name": tested.case.name,
                "file": tested.path,
                "line": tested.line,
                "passed": tested.failure.is_none(),
                "reasons": tested.failure.as_ref().map(Failure::lines).unwrap_or_default(),
                "actual": tested.failure.as_ref().and_then(Failure::actual),
            })
        };
        writeln!(out, "{:#}", json!({ "cases": self.tested.iter().map(case).collect::<Vec<_>>() }))
    }

    /// Writes JUnit XML.
    pub(super) fn write_junit(&self, out: &mut impl Write) -> io::Result<()> {
        let failed = self.tested.iter().filter(|tested| tested.failure.is_some()).count();
        writeln!(out, r#"<?xml version="1.0" encoding="UTF-8"?>"#)?;
        writeln!(out, r#"<testsuite name="protobridge" tests="{}" failures="{failed}">"#, self.tested.len())?;
        for Tested { path, line, case, failure, .. } in &self.tested {
            let (name, file) = (xml(&case.name), xml(&path.display().to_string()));
            write!(out, r#"  <testcase name="{name}" classname="{file}" file="{file}" line="{line}""#)?;
            match failure {
                None => writeln!(out, "/>")?,
                Some(failure) => {
                    let lines = failure.lines();
                    let first = xml(lines.first().map(String::as_str).unwrap_or_default());
                    writeln!(out, ">\n    <failure message=\"{first}\">{}</failure>", xml(&lines.join("\n")))?;
                    writeln!(out, "  </testcase>")?;
                }
            }
        }
        writeln!(out, "</testsuite>")
    }
}

/// Returns an expectation in the syntax of a test file.
pub(super) fn yaml(actual: &Value) -> String {
    serde_saphyr::to_string(&json!({ "expect": actual })).unwrap_or_else(|error| format!("# {error}"))
}

/// Escapes a text for XML 1.0, which has no way to write most control characters.
fn xml(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' => escaped.push_str("&#10;"),
            letter if letter.is_control() || matches!(letter, '\u{fffe}' | '\u{ffff}') => escaped.push('\u{fffd}'),
            letter => escaped.push(letter),
        }
    }
    escaped
}
