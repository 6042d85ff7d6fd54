//! `--update`: writes the actual results into a test file. Everything else in the file stays as it is, comments included.

use std::ops::Range;

use anyhow::{Context as _, bail};
use serde_json::Value;
use strict_config::Position;

use super::report::{Tested, yaml};
use super::{Offline, TestFile, compare};

/// Writes the actual result of each failed case into its file.
///
/// # Errors
/// Returns an error if the file has a form in which an expectation cannot be replaced. The file stays as it is then.
pub(super) fn update(offline: &Offline, file: &TestFile, tested: &[Tested<'_>]) -> anyhow::Result<()> {
    let mut text = file.text.clone();
    // From the last case to the first one, so that the positions of the others stay true.
    for Tested { index, case, failure, .. } in tested.iter().rev() {
        let Some(actual) = failure.as_ref().and_then(|failure| failure.actual()) else { continue };
        let edit = edit(file, *index, case.expect.is_some(), actual).with_context(|| {
            format!("{}: cannot update the case {}; paste its result by hand", file.path.display(), case.name)
        })?;
        text.replace_range(edit.range, &edit.text);
    }
    if text == file.text {
        return Ok(());
    }
    verify(offline, file, &text, tested)?;
    std::fs::write(&file.path, text).with_context(|| file.path.display().to_string())
}

/// Checks that all updated cases pass, before the file is replaced.
fn verify(offline: &Offline, file: &TestFile, text: &str, tested: &[Tested<'_>]) -> anyhow::Result<()> {
    let updated =
        TestFile::parse(&file.path, text.to_owned()).context("the updated file is invalid; it was not written")?;
    for Tested { index, case, failure, .. } in tested {
        if failure.as_ref().is_none_or(|failure| failure.actual().is_none()) {
            continue;
        }
        let again = updated.cases.get(*index).filter(|again| again.name == case.name);
        let passes = again.is_some_and(|again| {
            again.run(offline, file.folder()).is_ok_and(|forecast| compare(again, &forecast).is_none())
        });
        if !passes {
            bail!("{}: the case {} cannot be updated; paste its result by hand", file.path.display(), case.name);
        }
    }
    Ok(())
}

/// A replacement of a part of the text.
struct Edit {
    range: Range<usize>,
    text: String,
}

/// Returns the edit that sets the expectation of a case.
fn edit(file: &TestFile, index: usize, has_expectation: bool, actual: &Value) -> anyhow::Result<Edit> {
    let lines = Lines::of(&file.text);
    let unknown = "the position of the case is unknown";
    let case = file.position(index, "").context(unknown)?;
    let start = lines.offset(case);
    let is_flow = file.text[start..].starts_with('{');
    match (has_expectation, is_flow) {
        (true, _) => {
            let at = file.position(index, "expect").context(unknown)?;
            let before = &file.text[lines.line_start(at)..lines.offset(at)];
            if before.chars().all(|letter| letter == ' ' || letter == '-') && !is_flow {
                let end = lines.end_of_block(at.line, at.column);
                let text = indented(&yaml(actual), at.column, Indent::Rest);
                return Ok(Edit { range: lines.offset(at)..end, text });
            }
            let range = flow_value(&file.text, lines.offset(at) + "expect".len())?;
            Ok(Edit { range, text: actual.to_string() })
        }
        (false, true) => Ok(Edit { range: start + 1..start + 1, text: format!("expect: {actual}, ") }),
        (false, false) => {
            let end = lines.end_of_block(case.line, case.column.saturating_sub(1));
            let is_last_line_open = !file.text[..end].ends_with('\n');
            let text = indented(&yaml(actual), case.column, Indent::All);
            let text = if is_last_line_open { format!("\n{text}") } else { text };
            Ok(Edit { range: end..end, text })
        }
    }
}

/// The lines that get an indentation.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Indent {
    All,
    /// All but the first one.
    Rest,
}

/// Indents a block so that it starts in this column.
fn indented(block: &str, column: u64, indent: Indent) -> String {
    let spaces = " ".repeat(column.saturating_sub(1) as usize);
    let mut text = String::new();
    for (index, line) in block.lines().enumerate() {
        if !line.is_empty() && (index > 0 || indent == Indent::All) {
            text.push_str(&spaces);
        }
        text.push_str(line);
        text.push('\n');
    }
    text
}

/// Returns the range of the flow mapping that is the value of a key, which ends at `from`.
fn flow_value(text: &str, from: usize) -> anyhow::Result<Range<usize>> {
    let rest = &text[from..];
    let start = rest.find(|letter: char| !letter.is_whitespace() && letter != ':').unwrap_or(rest.len());
    if !rest[start..].starts_with('{') {
        bail!("`expect` is not a mapping in braces");
    }
    let (mut depth, mut quote) = (0, None);
    let mut letters = rest[start..].char_indices();
    while let Some((at, letter)) = letters.next() {
        match (quote, letter) {
            (Some('"'), '\\') => {
                letters.next();
            }
            (Some(open), _) if open == letter => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(letter),
            (None, '{' | '[') => depth += 1,
            (None, '}' | ']') => {
                depth -= 1;
                if depth == 0 {
                    return Ok(from + start..from + start + at + 1);
                }
            }
            (None, _) => {}
        }
    }
    bail!("the braces of `expect` are not closed")
}

/// The lines of a text.
struct Lines<'t> {
    text: &'t str,
    /// The offset of the first byte of each line.
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    fn of(text: &'t str) -> Self {
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { text, starts }
    }

    fn line_start(&self, at: Position) -> usize {
        self.starts.get(at.line as usize - 1).copied().unwrap_or(self.text.len())
    }

    /// Returns the offset of a position.
    fn offset(&self, at: Position) -> usize {
        let start = self.line_start(at);
        let letters = self.text[start..].char_indices().nth(at.column as usize - 1);
        letters.map_or(self.text.len(), |(offset, _)| start + offset)
    }

    /// Returns the offset behind the block that starts in this line: behind its last line that is indented by at least
    /// `column` columns. Empty lines and comments count if such a line follows them.
    fn end_of_block(&self, line: u64, column: u64) -> usize {
        let mut end = line as usize;
        for index in line as usize..self.starts.len() {
            let text = self.text[self.starts[index]..].lines().next().unwrap_or_default();
            let content = text.trim_start_matches(' ');
            if content.is_empty() || content.starts_with('#') {
                continue;
            }
            if text.len() - content.len() < column as usize {
                break;
            }
            end = index + 1;
        }
        self.starts.get(end).copied().unwrap_or(self.text.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_ends_before_the_next_line_that_is_indented_less() {
        let text = "cases:\n- name: a\n  expect:\n    outcome: x\n    # why\n\n    more: y\n\n# b\n- name: b\n  expect: {a: 1}";
        let lines = Lines::of(text);
        let block = |line: u64, column| &text[lines.starts[line as usize - 1]..lines.end_of_block(line, column)];
        assert_eq!(block(3, 3), "  expect:\n    outcome: x\n    # why\n\n    more: y\n");
        assert_eq!(block(2, 2), "- name: a\n  expect:\n    outcome: x\n    # why\n\n    more: y\n");
        assert_eq!(block(11, 3), "  expect: {a: 1}");
    }

    #[test]
    fn the_braces_of_a_flow_mapping_are_found_beside_quotes() {
        let text = r#"{name: a, expect: {a: "}\"}", b: '}', c: [{}]}, type: b}"#;
        let from = text.find("expect").unwrap() + "expect".len();
        assert_eq!(&text[flow_value(text, from).unwrap()], r#"{a: "}\"}", b: '}', c: [{}]}"#);
        assert!(flow_value("{expect: *alias}", 7).is_err());
    }
}
