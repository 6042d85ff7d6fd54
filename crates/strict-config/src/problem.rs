//! What is wrong with a configuration file, said so that it can be put right: where, which key, what, and the way
//! out. All problems of a file are reported together; nobody should have to start the service once per mistake.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// One thing that is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where the value was written.
    pub source: Source,
    /// The key with its path, such as `shelves[0].name`; empty where the problem is not about a key.
    pub key: String,
    /// What is wrong, and the way out where there is an obvious one; lower case, no full stop.
    pub message: String,
}

/// Where a value was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// In the file, at this position where it is known.
    File(Option<Position>),
    /// In the environment variable of this name.
    Variable(String),
}

/// A position in the file, both counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line.
    pub line: u64,
    /// The column, in characters.
    pub column: u64,
}

impl Problem {
    /// A problem of `key`, whose position nobody has looked up yet.
    pub fn new(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self { source: Source::File(None), key: key.into(), message: message.into() }
    }

    pub(crate) fn at(source: &Source, key: impl Into<String>, message: impl Into<String>) -> Self {
        Self { source: source.clone(), ..Self::new(key, message) }
    }
}

/// `key: message`, without the place.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.key.as_str() {
            "" => f.write_str(&self.message),
            key => write!(f, "{key}: {}", self.message),
        }
    }
}

/// Why a configuration file is not in force: it cannot be read, or it has problems.
///
/// Displays as one line where there is one problem, otherwise as a heading and a line for each.
#[derive(Debug)]
pub struct Error {
    path: PathBuf,
    problems: Vec<Problem>,
    cause: Option<io::Error>,
}

impl Error {
    /// The problems of the file at `path`, put in the order of the file, those of variables last.
    pub fn new(path: &Path, mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|problem| match &problem.source {
            Source::File(Some(position)) => (0, Some(*position), String::new()),
            Source::File(None) => (1, None, String::new()),
            Source::Variable(name) => (2, None, name.clone()),
        });
        Self { path: path.into(), problems, cause: None }
    }

    /// The error for a file that cannot be read, or that does not exist. `hint` is appended to the message for a file
    /// that does not exist, such as `; create one with `shop init``.
    pub fn unreadable(path: &Path, cause: io::Error, hint: &str) -> Self {
        if cause.kind() == io::ErrorKind::NotFound {
            return Self::new(path, vec![Problem::new("", format!("no such file{hint}"))]);
        }
        Self { cause: Some(cause), ..Self::new(path, vec![Problem::new("", "cannot be read")]) }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is wrong with it; never empty.
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
    fn one_problem_is_one_line_with_its_place() {
        let problem = Problem::new("retry", "is wrong");
        let shown = |source| Error::new(Path::new("a.yaml"), vec![Problem { source, ..problem.clone() }]).to_string();
        assert_eq!(shown(Source::File(Some(Position { line: 3, column: 1 }))), "a.yaml:3:1: retry: is wrong");
        assert_eq!(shown(Source::File(None)), "a.yaml: retry: is wrong");
        assert_eq!(shown(Source::Variable("SHOP_X".into())), "SHOP_X: retry: is wrong");
    }

    #[test]
    fn several_problems_are_in_the_order_of_the_file() {
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
    fn a_file_that_cannot_be_read_keeps_the_cause() {
        use std::error::Error as _;
        let error = Error::unreadable(Path::new("a.yaml"), io::ErrorKind::PermissionDenied.into(), "");
        assert_eq!(error.to_string(), "a.yaml: cannot be read");
        assert!(error.source().is_some());
    }
}
