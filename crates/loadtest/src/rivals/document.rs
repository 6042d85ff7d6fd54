//! Writes the figures to files: as JSON, and as tables in a document.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::Context as _;

use super::{Report, table};
use crate::report::Machine;

/// Writes all figures as JSON.
///
/// # Errors
/// Returns an error if the file cannot be written.
pub(super) fn write_json(path: &Path, report: &Report) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(report)? + "\n";
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// Replaces the tables in a document. They are between the markers `<!-- NAME: begin -->` and `<!-- NAME: end -->`. The
/// names are `measured` and `hard`. A table for which nothing was measured stays.
///
/// # Errors
/// Returns an error if the document cannot be read or written, or if it lacks a marker.
pub(super) fn update(path: &Path, report: &Report) -> anyhow::Result<()> {
    let mut text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    if !report.situations.is_empty() {
        text = replaced(&text, "measured", &measured(report)?)?;
    }
    if report.hard.iter().any(|row| !row.differences.is_empty()) {
        text = replaced(&text, "hard", &table::hard_markdown(&report.hard))?;
    }
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// Returns what is known about the run, and the table of each situation.
fn measured(report: &Report) -> anyhow::Result<String> {
    let machine = &report.machine;
    let Machine { cpu, cores, load_before } = machine;
    let mut text = format!("protobridge {}, on {cores} cores of {cpu}", report.version);
    write!(text, ", with a load of {load_before} before the first run:\n\n")?;
    write!(text, "```console\n$ {}\n```\n\n", report.command)?;
    for entered in &report.contestants {
        writeln!(text, "- {}: {}", entered.contestant, entered.versions)?;
    }
    for measured in &report.situations {
        let tables = table::markdown(measured, &report.contestants);
        write!(text, "\n### {}\n\n{tables}", measured.title())?;
    }
    Ok(text)
}

/// Returns the text with other content between the markers of this name.
fn replaced(text: &str, name: &str, content: &str) -> anyhow::Result<String> {
    let [begin, end] = ["begin", "end"].map(|edge| format!("<!-- {name}: {edge} -->\n"));
    let (before, rest) = text.split_once(&begin).with_context(|| format!("the document has no line {begin}"))?;
    let (_, after) = rest.split_once(&end).with_context(|| format!("the document has no line {end}"))?;
    Ok(format!("{before}{begin}\n{}\n\n{end}{after}", content.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_text_between_the_markers_of_the_name_is_replaced() {
        let text =
            "# A\n<!-- hard: begin -->\nold\n<!-- hard: end -->\n<!-- measured: begin -->\nb\n<!-- measured: end -->\n";
        let once = replaced(text, "hard", "new\n").unwrap();
        let expected = text.replace("old", "\nnew\n");
        assert_eq!(once, expected);
        assert_eq!(replaced(&once, "hard", "new\n").unwrap(), expected, "a second time nothing changes");
    }

    #[test]
    fn a_document_without_markers_is_refused() {
        let error = replaced("# A\n<!-- hard: begin -->\n", "hard", "new").unwrap_err();
        assert!(error.to_string().contains("<!-- hard: end -->"), "{error}");
    }
}
