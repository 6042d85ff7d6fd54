//! The differences between two JSON values, by path.

use std::fmt;

use serde_json::Value;

/// A part of the path to a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part<'v> {
    /// The key of an object.
    Field(&'v str),
    /// The index of an array.
    Item(usize),
}

impl fmt::Display for Part<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(name) => write!(f, ".{name}"),
            Self::Item(index) => write!(f, "[{index}]"),
        }
    }
}

/// Whether the new value can have more keys than the old one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Match {
    /// No.
    Exact,
    /// Objects match by the keys of the old value. Arrays match in full.
    Subset,
}

/// Calls `differ` for each difference between two values, with its path and the value on each side. `None` means that
/// the side has no value there. Items of arrays are compared by their index.
pub fn differences<'v>(
    old: &'v Value,
    new: &'v Value,
    how: Match,
    differ: &mut impl FnMut(&[Part<'v>], Option<&'v Value>, Option<&'v Value>),
) {
    walk(&mut Vec::new(), (old, new), how, differ);
}

fn walk<'v>(
    path: &mut Vec<Part<'v>>,
    sides: (&'v Value, &'v Value),
    how: Match,
    differ: &mut impl FnMut(&[Part<'v>], Option<&'v Value>, Option<&'v Value>),
) {
    let mut at = |path: &mut Vec<Part<'v>>, part: Part<'v>, old: Option<&'v Value>, new: Option<&'v Value>| {
        path.push(part);
        match (old, new) {
            (Some(old), Some(new)) => walk(path, (old, new), how, differ),
            (old, new) => differ(path, old, new),
        }
        path.pop();
    };
    match sides {
        (Value::Object(old), Value::Object(new)) => {
            if how == Match::Exact {
                for (key, value) in new.iter().filter(|(key, _)| !old.contains_key(*key)) {
                    at(path, Part::Field(key), None, Some(value));
                }
            }
            for (key, value) in old {
                at(path, Part::Field(key), Some(value), new.get(key));
            }
        }
        (Value::Array(old), Value::Array(new)) => {
            for index in 0..old.len().max(new.len()) {
                at(path, Part::Item(index), old.get(index), new.get(index));
            }
        }
        (old, new) if old == new => {}
        (old, new) => differ(path, Some(old), Some(new)),
    }
}
