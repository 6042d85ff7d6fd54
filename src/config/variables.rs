//! `PROTOBRIDGE_…` variables: each scalar key, and each list of texts, has one.
//!
//! Its name is the key's path in upper case, joined with `_`: `publish.linger_ms` is `PROTOBRIDGE_PUBLISH_LINGER_MS`,
//! `queues[0].url` is `PROTOBRIDGE_QUEUES_0_URL`. Names are resolved by walking the shape, so they need no separator of
//! their own; no two keys share a name. A number or a boolean is written as in the file, a list with commas. An empty
//! value empties a list and unsets a key that may be absent.
//!
//! Variables that nobody knows are problems, because one that is misspelled would otherwise be ignored in silence. The
//! exceptions are those that Kubernetes sets for Services whose name starts with `protobridge`, and
//! `PROTOBRIDGE_TEST_…`.

use super::check::nearest;
use super::problem::{Problem, Source};
use super::shape::{Field, Shape};
use super::tree::{self, Entry, Node, Value, index_of, key_of};

/// What the name of each variable starts with.
pub(super) const PREFIX: &str = "PROTOBRIDGE_";

/// One step of the way to a value. The order puts the items of a list in sequence, so that they can be appended.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Key(String),
    Index(usize),
}

/// A key that a variable names.
struct Target<'a> {
    steps: Vec<Step>,
    shape: &'a Shape,
    nullable: bool,
}

/// Writes the values of `variables` into `tree`, and reports those whose names mean nothing.
pub(super) fn apply(
    shape: &Shape,
    tree: &mut Node,
    variables: impl IntoIterator<Item = (String, String)>,
) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut targets = Vec::new();
    for (name, text) in variables {
        let Some(path) = name.strip_prefix(PREFIX) else { continue };
        match resolve(shape, path, Some(tree)) {
            Some(target) => targets.push((target, name, text)),
            None if is_foreign(path, &text) => {}
            None => problems.push(unknown(shape, name)),
        }
    }
    targets.sort_by(|(one, ..), (other, ..)| one.steps.cmp(&other.steps));
    for (target, name, text) in targets {
        let source = Source::Variable(name);
        let value = read(&target, &source, &text);
        problems.extend(set(tree, "", &target.steps, Node { source, value }));
    }
    problems
}

/// The key that the upper-case `path` names in a value of `shape`, of which `node` is what the file has.
fn resolve<'a>(shape: &'a Shape, path: &str, node: Option<&Node>) -> Option<Target<'a>> {
    match shape {
        Shape::Struct(fields) => fields.iter().find_map(|field| {
            let rest = path.strip_prefix(&field.name.to_uppercase())?;
            let step = Step::Key(field.name.clone());
            let node = node.and_then(|node| entry(node, |key| key == field.name)).map(|entry| &entry.node);
            descend(step, &field.shape, field.nullable, rest, node)
        }),
        // The shortest name whose rest is a key: names may have underscores, too.
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

/// Goes on at `rest`, which is empty at a key that has a variable, and starts with `_` where more steps follow.
fn descend<'a>(step: Step, shape: &'a Shape, nullable: bool, rest: &str, node: Option<&Node>) -> Option<Target<'a>> {
    if rest.is_empty() {
        return has_variable(shape).then(|| Target { steps: vec![step], shape, nullable });
    }
    let mut target = resolve(shape, rest.strip_prefix('_')?, node)?;
    target.steps.insert(0, step);
    Some(target)
}

fn has_variable(shape: &Shape) -> bool {
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

/// How a key of the user's choice is spelled in a variable's name.
fn in_variables(key: &str) -> String {
    key.to_uppercase().replace(|c: char| !c.is_alphanumeric(), "_")
}

/// The value that `text` stands for. Where it is not of the kind that the key takes, it stays text, and the check of
/// the whole document says so.
fn read(target: &Target<'_>, source: &Source, text: &str) -> Value {
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

/// Puts `leaf` where the steps lead. What stands in the way is left for the check of the whole document to report.
fn set(node: &mut Node, path: &str, steps: &[Step], leaf: Node) -> Option<Problem> {
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
                let message = format!("the list ends before it; its next index is {}", nodes.len());
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

/// Whether a variable after [`PREFIX`] is somebody else's: what Kubernetes sets for the Services of the namespace
/// whose name starts with `protobridge` (<https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables>),
/// the test-suite's, or the one that stands for `--config`.
fn is_foreign(path: &str, text: &str) -> bool {
    let ends_in = |part: &str| path == part || path.strip_suffix(part).is_some_and(|name| name.ends_with('_'));
    let holds = |part: &str| path.starts_with(part) || path.contains(&format!("_{part}"));
    path == "CONFIG"
        || path.starts_with("TEST_")
        || ends_in("SERVICE_HOST")
        || ends_in("SERVICE_PORT")
        || holds("SERVICE_PORT_")
        || (ends_in("PORT") && text.contains("://"))
        || is_docker_link(path)
}

/// `PORT_8080_TCP`, and the same with `_ADDR`, `_PORT` or `_PROTO`; a Service's name may stand before it.
fn is_docker_link(path: &str) -> bool {
    let path = ["_ADDR", "_PORT", "_PROTO"].iter().find_map(|part| path.strip_suffix(part)).unwrap_or(path);
    let Some(path) = ["_TCP", "_UDP", "_SCTP"].iter().find_map(|protocol| path.strip_suffix(protocol)) else {
        return false;
    };
    let name = path.trim_end_matches(|c: char| c.is_ascii_digit());
    name.len() < path.len() && (name == "PORT_" || name.ends_with("_PORT_"))
}

fn unknown(shape: &Shape, name: String) -> Problem {
    let path = &name[PREFIX.len()..];
    let index = path.split('_').find(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()));
    let mut known = Vec::new();
    names(shape, PREFIX.trim_end_matches('_'), index.unwrap_or("0"), &mut known);
    let message = match nearest(path, known.iter().map(|known| &known[PREFIX.len()..])) {
        Some(near) => format!("unknown variable; did you mean `{PREFIX}{near}`?"),
        None => match known.first() {
            Some(example) => {
                format!("unknown variable; a key's variable is its path in upper case, such as `{example}`")
            }
            None => "unknown variable".into(),
        },
    };
    Problem::at(&Source::Variable(name), "", message)
}

/// The names of all variables, with `index` for every item of a list and `DEFAULT` for every key of a map.
fn names(shape: &Shape, name: &str, index: &str, known: &mut Vec<String>) {
    match shape {
        Shape::Struct(fields) => {
            for Field { name: key, shape, .. } in fields {
                names(shape, &format!("{name}_{}", key.to_uppercase()), index, known);
            }
        }
        Shape::Map(values) => names(values, &format!("{name}_DEFAULT"), index, known),
        Shape::List(items) if matches!(**items, Shape::Struct(_)) => {
            names(items, &format!("{name}_{index}"), index, known);
        }
        _ if has_variable(shape) => known.push(name.to_owned()),
        _ => {}
    }
}

#[cfg(test)]
mod tests;
