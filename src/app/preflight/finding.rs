//! The parts of a report: problems, and proofs of permissions.

use std::fmt;

use serde::Serialize;

use crate::aws::Permission;
use crate::config::Warning;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The service cannot do a part of its work.
    Error,
    /// A probable mistake.
    Warning,
    /// A fact that helps to judge the configuration.
    Info,
}

impl Severity {
    /// Returns the name of the severity.
    pub fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Info => "info",
        }
    }
}

/// A problem of a configuration, or of a resource that it names. It displays as `key: message; way out`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// The key of the configuration, or of the file that it names. Empty if the finding is not about a key.
    pub key: String,
    /// The problem and its consequence.
    pub message: String,
    /// The change that solves the problem, if one is known.
    pub way_out: Option<String>,
    /// The place in a file, such as `customers.yaml:3:7`, or the name of a variable; `None` if there is none.
    pub location: Option<String>,
}

impl Finding {
    /// Creates a finding about a key.
    pub fn new(severity: Severity, key: impl Into<String>, message: impl Into<String>) -> Self {
        Self { severity, key: key.into(), message: message.into(), way_out: None, location: None }
    }

    /// Creates a finding from the text of an error. Such a text has the way out behind its first semicolon.
    pub fn of_text(severity: Severity, key: impl Into<String>, text: &str) -> Self {
        match text.split_once("; ") {
            Some((message, way_out)) => Self::new(severity, key, message).fix(way_out),
            None => Self::new(severity, key, text),
        }
    }

    /// Adds the change that solves the problem.
    #[must_use]
    pub fn fix(self, way_out: impl Into<String>) -> Self {
        Self { way_out: Some(way_out.into()), ..self }
    }

    /// Adds the place in a file.
    #[must_use]
    pub fn at(self, location: impl Into<String>) -> Self {
        Self { location: Some(location.into()), ..self }
    }
}

impl From<&Warning> for Finding {
    fn from(warning: &Warning) -> Self {
        let finding = Self::new(Severity::Warning, &warning.key, &warning.message);
        Self { way_out: warning.way_out.clone(), ..finding }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)?;
        self.way_out.as_ref().map_or(Ok(()), |way_out| write!(f, "; {way_out}"))
    }
}

/// The knowledge about one permission.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Proof {
    /// The action of IAM, such as `sqs:DeleteMessage`. For a store or a registry, the request.
    pub action: &'static str,
    /// The ARN of the resource. For a queue whose URL does not determine the ARN, the URL.
    pub resource: String,
    /// The key of the configuration that names the resource.
    pub key: String,
    /// The state of the knowledge.
    pub result: ProofResult,
    /// Why the permission is not proven, or the failure of the call; `None` if the permission is proven.
    pub detail: Option<String>,
}

/// The knowledge about a permission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ProofResult {
    /// A call that needs the permission succeeded.
    Proven,
    /// AWS denies the permission.
    Denied,
    /// No call without an effect can prove the permission, or the call was not made.
    Unproven,
    /// The call failed for another reason, such as a missing resource.
    Failed,
}

impl Proof {
    pub(super) fn new(permission: &Permission, result: ProofResult, detail: Option<String>) -> Self {
        let Permission { action, resource, key } = permission.clone();
        Self { action, resource, key, result, detail }
    }
}
