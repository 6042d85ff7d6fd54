//! The result of a check, as text and as JSON.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;

use anyhow::bail;
use serde::Serialize;
use strict_config::{Problem, Source};

use crate::app::{self, Finding, Proof, ProofResult, Severity};
use crate::route;

/// The version of the JSON format. New keys do not change it.
const FORMAT: u32 = 1;
/// The largest number of resources that a line about unproven permissions names.
const NAMED: usize = 3;

/// The result of a check.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    format: u32,
    configuration: String,
    strict: bool,
    /// The proxies and certificates that the environment names.
    pub(super) network: BTreeMap<&'static str, String>,
    /// Counts of what is loaded; `None` if the configuration or a file that it names does not load.
    pub(super) loaded: Option<Summary>,
    /// The problems.
    pub(super) findings: Vec<Finding>,
    /// The proofs of permissions. Empty without `--online`.
    pub(super) proofs: Vec<Proof>,
    /// The first lines of the text.
    #[serde(skip)]
    lines: Vec<String>,
}

/// Counts of what a configuration and its files contain.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Summary {
    pub(super) queues: usize,
    pub(super) descriptor_sets: usize,
    pub(super) message_types: usize,
    pub(super) customers: usize,
    pub(super) enabled_customers: usize,
}

/// The JSON document: the report, and whether the service can run.
#[derive(Serialize)]
struct Document<'r> {
    ok: bool,
    #[serde(flatten)]
    report: &'r Report,
}

impl Report {
    /// Creates the report about a configuration file. `strict` makes warnings count as errors.
    pub(super) fn new(path: &Path, strict: bool) -> Self {
        Self {
            format: FORMAT,
            configuration: path.display().to_string(),
            strict,
            network: BTreeMap::new(),
            loaded: None,
            findings: Vec::new(),
            proofs: Vec::new(),
            lines: Vec::new(),
        }
    }

    /// Adds a line to the start of the text.
    pub(super) fn line(&mut self, label: &str, text: impl std::fmt::Display) {
        self.lines.push(labeled(label, text));
    }

    /// Adds an error that ended the check.
    pub(super) fn add_error(&mut self, error: &anyhow::Error) {
        self.findings.extend(findings_of(error));
    }

    /// Whether the service can run.
    pub(super) fn is_ok(&self) -> bool {
        let [errors, warnings] = self.counts();
        errors == 0 && (warnings == 0 || !self.strict)
    }

    fn counts(&self) -> [usize; 2] {
        let count = |severity| self.findings.iter().filter(|finding| finding.severity == severity).count();
        [count(Severity::Error), count(Severity::Warning)]
    }

    /// Writes the report as one JSON document.
    pub(super) fn write_json(&self, out: &mut impl Write) -> io::Result<()> {
        serde_json::to_writer_pretty(&mut *out, &Document { ok: self.is_ok(), report: self })?;
        writeln!(out)
    }

    /// Writes the report as text. If the service can run, the last line is `ok`.
    pub(super) fn write_text(&self, out: &mut impl Write) -> io::Result<()> {
        for line in &self.lines {
            writeln!(out, "{line}")?;
        }
        for line in proven(&self.proofs).into_iter().chain(unproven(&self.proofs)) {
            writeln!(out, "{line}")?;
        }
        for finding in &self.findings {
            writeln!(out, "{}", labeled(finding.severity.name(), finding))?;
        }
        if self.loaded.is_some() && self.is_ok() {
            writeln!(out, "ok")?;
        }
        Ok(())
    }

    /// Returns an error that counts the problems, unless the service can run.
    pub(super) fn verdict(&self) -> anyhow::Result<()> {
        let of = |count, name| format!("{count} {name}{}", if count == 1 { "" } else { "s" });
        match self.counts() {
            _ if self.is_ok() => Ok(()),
            [0, warnings] => {
                bail!("the check found {}, and --strict treats warnings as errors", of(warnings, "warning"))
            }
            [errors, 0] => bail!("the check found {}", of(errors, "error")),
            [errors, warnings] => bail!("the check found {} and {}", of(errors, "error"), of(warnings, "warning")),
        }
    }
}

fn labeled(label: &str, text: impl std::fmt::Display) -> String {
    format!("{label:<14} {text}")
}

/// Returns one line per resource with the permissions that are proven.
fn proven(proofs: &[Proof]) -> Vec<String> {
    let groups = by_resource(proofs, ProofResult::Proven);
    groups
        .into_iter()
        .map(|Group { actions, resource, .. }| labeled("proven", format!("{actions} on {resource}")))
        .collect()
}

/// Returns one line for the resources that share the same unproven permissions for the same reason.
fn unproven(proofs: &[Proof]) -> Vec<String> {
    let mut lines: Vec<(String, &str, Vec<&str>)> = Vec::new();
    for Group { actions, resource, detail } in by_resource(proofs, ProofResult::Unproven) {
        match lines.iter_mut().find(|line| line.0 == actions && line.1 == detail) {
            Some((_, _, resources)) => resources.push(resource),
            None => lines.push((actions, detail, vec![resource])),
        }
    }
    let line = |(actions, detail, resources): (String, &str, Vec<&str>)| {
        let (named, others) = resources.split_at(resources.len().min(NAMED));
        let more = if others.is_empty() { String::new() } else { format!(" and {} more", others.len()) };
        labeled("not proven", format!("{actions} on {}{more}: {detail}", named.join(", ")))
    };
    lines.into_iter().map(line).collect()
}

/// The permissions on one resource with the same detail.
struct Group<'p> {
    /// The actions, separated by commas.
    actions: String,
    resource: &'p str,
    detail: &'p str,
}

/// Groups the proofs with this result by resource and detail. The proofs of one resource follow each other.
fn by_resource(proofs: &[Proof], result: ProofResult) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for Proof { action, resource, detail, .. } in proofs.iter().filter(|proof| proof.result == result) {
        let detail = detail.as_deref().unwrap_or_default();
        match groups
            .iter_mut()
            .rev()
            .take_while(|group| group.resource == resource)
            .find(|group| group.detail == detail)
        {
            Some(group) => {
                group.actions.push_str(", ");
                group.actions.push_str(action);
            }
            None => groups.push(Group { actions: (*action).to_owned(), resource, detail }),
        }
    }
    groups
}

/// Returns the findings of an error that ended the check: one for each problem of a document.
fn findings_of(error: &anyhow::Error) -> Vec<Finding> {
    let whole = |key: &str| vec![Finding::of_text(Severity::Error, key, &super::super::with_causes(error))];
    if let Some(document) = error.downcast_ref::<strict_config::Error>() {
        return of_document(document);
    }
    match error.downcast_ref::<app::Error>() {
        Some(app::Error::Customers(route::Error::Document(document))) => of_document(document),
        Some(app::Error::Customers(_)) => whole("route.customers_file"),
        Some(app::Error::Descriptors(error)) => {
            vec![Finding::of_text(Severity::Error, "descriptors.path", &error.to_string())]
        }
        Some(app::Error::UnmatchedPaths(paths)) => {
            let finding = |text: String| match text.split_once(": ") {
                Some((key, text)) => Finding::of_text(Severity::Error, key, text),
                None => Finding::of_text(Severity::Error, "profiles", &text),
            };
            paths.iter().map(|path| finding(path.to_string())).collect()
        }
        Some(app::Error::Schemas(_)) => whole("confluent.schemas_file"),
        Some(app::Error::GlueSchemas(_)) => whole("glue.schemas_file"),
        _ => whole(""),
    }
}

fn of_document(document: &strict_config::Error) -> Vec<Finding> {
    let path = document.path().display();
    let finding = |problem: &Problem| {
        let location = match &problem.source {
            Source::File(Some(position)) => format!("{path}:{}:{}", position.line, position.column),
            Source::File(None) => path.to_string(),
            Source::Variable(name) => name.clone(),
        };
        Finding::of_text(Severity::Error, &problem.key, &problem.message).at(location)
    };
    document.problems().iter().map(finding).collect()
}
