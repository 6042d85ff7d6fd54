//! From the name and the text of a variable to a value in the tree.

use crate::problem::{Problem, Source};
use crate::shape::Shape;
use crate::tree::{self, Entry, Node, Value, index_of, key_of};

/// One step of a path to a value. Sorting puts the items of a list in sequence, so that they can be appended.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    Key(String),
    Index(usize),
}

/// The key that a variable names.
pub(super) struct Target<'a> {
    pub(super) steps: Vec<Step>,
    shape: &'a Shape,
    nullable: bool,
}

impl Target<'_> {
    /// Returns the path of the key, such as `shelves[0].name`.
    pub(super) fn key(&self) -> String {
        self.steps.iter().fold(String::new(), |path, step| match step {
            Step::Key(key) => key_of(&path, key),
            Step::Index(index) => index_of(&path, *index),
        })
    }
}

/// Returns the key that the upper-case `path` names in `shape`, or `None` if it names no key. `node` is the value in
/// the document, whose spelling of map keys is kept.
pub(super) fn resolve<'a>(shape: &'a Shape, path: &str, node: Option<&Node>) -> Option<Target<'a>> {
    match shape {
        Shape::Struct(fields) => fields.iter().find_map(|field| {
            let rest = path.strip_prefix(&field.name.to_uppercase())?;
            let step = Step::Key(field.name.clone());
            let node = node.and_then(|node| entry(node, |key| key == field.name)).map(|entry| &entry.node);
            descend(step, &field.shape, field.nullable, rest, node)
        }),
        // The shortest map key whose rest names a key, because map keys can contain underscores too.
        Shape::Map(values) => {
            let ends = path.match_indices('_').map(|(end, _)| end).chain([path.len()]);
            ends.filter(|end| *end > 0).find_map(|end| {
                let existing = node.and_then(|node| entry(node, |key| in_variables(key) == path[..end]));
                let name = existing.map_or_else(|| path[..end].to_lowercase(), |entry| entry.key.clone());
                descend(Step::Key(name), values, false, &path[end..], existing.map(|entry| &entry.node))
            })
        }
        Shape::List(items) if matches!(**items, Shape::Struct(_)) => {
            let digits = path.len() - path.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            let index = path[..digits].parse().ok()?;
            let node = node.and_then(|node| match &node.value {
                Value::List(nodes) => nodes.get(index),
                _ => None,
            });
            descend(Step::Index(index), items, false, &path[digits..], node)
        }
        _ => None,
    }
}

/// Takes `step` and resolves `rest`, which is empty at the last step and otherwise starts with `_`.
fn descend<'a>(step: Step, shape: &'a Shape, nullable: bool, rest: &str, node: Option<&Node>) -> Option<Target<'a>> {
    if rest.is_empty() {
        return has_variable(shape).then(|| Target { steps: vec![step], shape, nullable });
    }
    let mut target = resolve(shape, rest.strip_prefix('_')?, node)?;
    target.steps.insert(0, step);
    Some(target)
}

pub(super) fn has_variable(shape: &Shape) -> bool {
    match shape {
        Shape::Text { .. } | Shape::Integer { .. } | Shape::Number | Shape::Boolean => true,
        Shape::List(items) => matches!(**items, Shape::Text { .. }),
        Shape::Struct(_) | Shape::Map(_) | Shape::Any => false,
    }
}

fn entry(node: &Node, wanted: impl Fn(&str) -> bool) -> Option<&Entry> {
    match &node.value {
        Value::Map(entries) => entries.iter().find(|entry| wanted(&entry.key)),
        _ => None,
    }
}

/// Returns the spelling of a map key, or of a path to a key, in the name of a variable.
pub(super) fn in_variables(key: &str) -> String {
    key.to_uppercase().replace(|c: char| !c.is_alphanumeric(), "_")
}

/// Returns the value that `text` spells. If it does not fit the key, it stays text, which [`crate::check`] reports.
pub(super) fn read(target: &Target<'_>, source: &Source, text: &str) -> Value {
    if text.is_empty() && target.nullable {
        return Value::Null;
    }
    match target.shape {
        Shape::List(_) => {
            let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
            Value::List(items.map(|item| Node { source: source.clone(), value: Value::Text(item.into()) }).collect())
        }
        Shape::Text { .. } => Value::Text(text.into()),
        _ => match tree::parse(text) {
            Ok(Node { value: value @ (Value::Boolean(..) | Value::Number(..)), .. }) => value,
            _ => Value::Text(text.into()),
        },
    }
}

/// Writes `leaf` at the end of the steps, and returns a problem if an index leaves a gap in a list. If another kind of
/// value is in the path, it stays, and [`crate::check`] reports it.
pub(super) fn set(node: &mut Node, path: &str, steps: &[Step], leaf: Node) -> Option<Problem> {
    let Some((step, rest)) = steps.split_first() else {
        *node = leaf;
        return None;
    };
    if matches!(node.value, Value::Null) {
        node.value = match step {
            Step::Key(_) => Value::Map(Vec::new()),
            Step::Index(_) => Value::List(Vec::new()),
        };
    }
    let absent = Node { source: leaf.source.clone(), value: Value::Null };
    match (step, &mut node.value) {
        (Step::Key(key), Value::Map(entries)) => {
            let index = entries.iter().position(|entry| entry.key == *key).unwrap_or(entries.len());
            if index == entries.len() {
                entries.push(Entry { key: key.clone(), source: leaf.source.clone(), node: absent });
            }
            set(&mut entries[index].node, &key_of(path, key), rest, leaf)
        }
        (Step::Index(index), Value::List(nodes)) => {
            let path = index_of(path, *index);
            if *index > nodes.len() {
                let message = format!("the next index of the list is {}", nodes.len());
                return Some(Problem::at(&leaf.source, path, message));
            }
            if *index == nodes.len() {
                nodes.push(absent);
            }
            set(&mut nodes[*index], &path, rest, leaf)
        }
        _ => None,
    }
}
