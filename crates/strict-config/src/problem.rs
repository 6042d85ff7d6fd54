//! Problems of a document: the position, the key, the mistake and how to fix it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// One mistake in a document or in a variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The position of the value.
    pub source: Source,
    /// The path of the key, such as `shelves[0].name`. It is empty if the problem is not about a key.
    pub key: String,
    /// The mistake and, if it is obvious, the fix. In lower case, without a full stop.
    pub message: String,
}

/// The place where a value was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The document, at this position if it is known.
    File(Option<Position>),
    /// The environment variable of this name.
    Variable(String),
}

/// A position in a document. Lines and columns count from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line.
    pub line: u64,
    /// The column, in characters.
    pub column: u64,
}

impl Problem {
    /// A problem of `key` without a position, as a rule reports it. `document_with` adds the position.
    pub fn new(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self { source: Source::File(None), key: key.into(), message: message.into() }
    }

    pub(crate) fn at(source: &Source, key: impl Into<String>, message: impl Into<String>) -> Self {
        Self { source: source.clone(), ..Self::new(key, message) }
    }
}

/// Displays `key: message`, without the position.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.key.as_str() {
            "" => f.write_str(&self.message),
            key => write!(f, "{key}: {}", self.message),
        }
    }
}

/// The reason why a document was not loaded: it cannot be read, or it has problems.
///
/// It displays as one line if there is one problem, and otherwise as a heading with one line per problem.
#[derive(Debug)]
pub struct Error {
    path: PathBuf,
    problems: Vec<Problem>,
    cause: Option<io::Error>,
}

impl Error {
    /// The error for a document from `path` with these problems, of which there must be at least one. They are sorted
    /// by position; problems of variables come last.
    pub fn new(path: &Path, mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|problem| match &problem.source {
            Source::File(Some(position)) => (0, Some(*position), String::new()),
            Source::File(None) => (1, None, String::new()),
            Source::Variable(name) => (2, None, name.clone()),
        });
        Self { path: path.into(), problems, cause: None }
    }

    /// The error for a file that cannot be read. If the file does not exist, `hint` follows the message, for example
    /// `; create it with "shop init"`.
    pub fn unreadable(path: &Path, cause: io::Error, hint: &str) -> Self {
        if cause.kind() == io::ErrorKind::NotFound {
            return Self::new(path, vec![Problem::new("", format!("no such file{hint}"))]);
        }
        Self { cause: Some(cause), ..Self::new(path, vec![Problem::new("", "cannot be read")]) }
    }

    /// Returns the path of the document.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the problems, of which there is at least one.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        if let [problem] = self.problems.as_slice() {
            return match &problem.source {
                Source::File(Some(Position { line, column })) => write!(f, "{path}:{line}:{column}: {problem}"),
                Source::File(None) => write!(f, "{path}: {problem}"),
                Source::Variable(name) => write!(f, "{name}: {problem}"),
            };
        }
        write!(f, "{} problems in {path}:", self.problems.len())?;
        for problem in &self.problems {
            match &problem.source {
                Source::File(Some(position)) => write!(f, "\n  line {}: {problem}", position.line)?,
                Source::File(None) => write!(f, "\n  {problem}")?,
                Source::Variable(name) => write!(f, "\n  {name}: {problem}")?,
            }
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause.as_ref().map(|cause| cause as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_problem_is_one_line_with_its_position() {
        let problem = Problem::new("retry", "is wrong");
        let shown = |source| Error::new(Path::new("a.yaml"), vec![Problem { source, ..problem.clone() }]).to_string();
        assert_eq!(shown(Source::File(Some(Position { line: 3, column: 1 }))), "a.yaml:3:1: retry: is wrong");
        assert_eq!(shown(Source::File(None)), "a.yaml: retry: is wrong");
        assert_eq!(shown(Source::Variable("SHOP_X".into())), "SHOP_X: retry: is wrong");
    }

    #[test]
    fn several_problems_are_sorted_by_position() {
        let at = |line| Source::File(Some(Position { line, column: 1 }));
        let error = Error::new(
            Path::new("a.yaml"),
            vec![
                Problem::at(&Source::Variable("SHOP_A".into()), "a", "first"),
                Problem::at(&at(10), "b", "second"),
                Problem::new("c", "third"),
                Problem::at(&at(9), "d", "fourth"),
            ],
        );
        insta::assert_snapshot!(error, @r"
        4 problems in a.yaml:
          line 9: d: fourth
          line 10: b: second
          c: third
          SHOP_A: a: first
        ");
    }

    #[test]
    fn the_error_for_an_unreadable_file_keeps_the_cause() {
        use std::error::Error as _;
        let error = Error::unreadable(Path::new("a.yaml"), io::ErrorKind::PermissionDenied.into(), "");
        assert_eq!(error.to_string(), "a.yaml: cannot be read");
        assert!(error.source().is_some());
    }
}
