//! A YAML document as a tree in which each value has its position.
//!
//! Numbers and booleans keep their spelling, so that text such as `007` or `off` stays as it was written and a message
//! can quote it. A key that is given twice stays in the tree twice; [`crate::check`] reports it.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::options::DuplicateKeyPolicy;
use serde_saphyr::{Location, MessageFormatter, Spanned, UserMessageFormatter};

use crate::problem::{Position, Problem, Source};

/// A value and its position.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) source: Source,
    pub(crate) value: Value,
}

/// A value. Numbers and booleans have their spelling in the document.
#[derive(Debug)]
pub(crate) enum Value {
    /// No value: a key without a value, `~` or `null`.
    Null,
    Boolean(bool, String),
    Number(serde_json::Number, String),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A key of a mapping, the position of the key, and its value.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) source: Source,
    pub(crate) node: Node,
}

/// Parses one YAML document. An empty document is [`Value::Null`].
///
/// # Errors
///
/// Returns an error if the text is not YAML or has several documents.
pub(crate) fn parse(text: &str) -> Result<Node, Problem> {
    let options = serde_saphyr::options! {
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        // A list of ten thousand items has more nodes than the library allows by default. The limits against alias
        // bombs and deep nesting keep their defaults.
        budget: serde_saphyr::budget! { max_events: 100_000_000, max_nodes: 100_000_000 },
    };
    match serde_saphyr::from_str_with_options::<Spanned<Raw<'_>>>(text, options) {
        Ok(raw) => Ok(node(text, raw)),
        Err(error) => {
            let error = error.without_snippet();
            let position = error.location().map(|at| Position { line: at.line(), column: at.column() });
            Err(Problem::at(&Source::File(position), "", UserMessageFormatter.format_message(error)))
        }
    }
}

impl Node {
    /// Returns the position of `key`, or of the nearest key above it that exists. There is none for the whole document.
    pub(crate) fn locate(&self, key: &str) -> Source {
        let mut nearest = Source::File(None);
        let (mut node, mut rest) = (self, key);
        while let Some((child, source, further)) = node.step(rest) {
            nearest = source.clone();
            (node, rest) = (child, further);
        }
        nearest
    }

    /// Returns the child that the first step of `key` leads to, its position, and the remaining steps.
    fn step<'a>(&self, key: &'a str) -> Option<(&Node, &Source, &'a str)> {
        match &self.value {
            Value::List(items) => {
                let (index, rest) = key.strip_prefix('[')?.split_once(']')?;
                let item = items.get(index.parse::<usize>().ok()?)?;
                Some((item, &item.source, rest))
            }
            Value::Map(entries) => {
                let key = key.strip_prefix('.').unwrap_or(key);
                let entry = entries.iter().find(|entry| contains(&entry.key, key))?;
                let source = match &entry.node.source {
                    variable @ Source::Variable(_) => variable,
                    Source::File(_) => &entry.source,
                };
                Some((&entry.node, source, &key[entry.key.len()..]))
            }
            _ => None,
        }
    }
}

/// Returns the path of `key` in the mapping at `path`.
pub(crate) fn key_of(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// Returns the path of an item of the list at `path`.
pub(crate) fn index_of(path: &str, index: usize) -> String {
    format!("{path}[{index}]")
}

/// Whether `key` is `outer` or a key in it.
pub(crate) fn contains(outer: &str, key: &str) -> bool {
    key.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// A value as the YAML library delivers it.
enum Raw<'de> {
    Null,
    Boolean(bool),
    Number(serde_json::Number),
    Text(std::borrow::Cow<'de, str>),
    List(Vec<Spanned<Raw<'de>>>),
    Map(Vec<(Spanned<String>, Spanned<Raw<'de>>)>),
}

fn node(text: &str, raw: Spanned<Raw<'_>>) -> Node {
    let spelling = || spelling(text, raw.defined).to_owned();
    let value = match raw.value {
        Raw::Null => Value::Null,
        Raw::Boolean(boolean) => Value::Boolean(boolean, spelling()),
        Raw::Number(number) => Value::Number(number, spelling()),
        Raw::Text(text) => Value::Text(text.into_owned()),
        Raw::List(items) => Value::List(items.into_iter().map(|item| node(text, item)).collect()),
        Raw::Map(entries) => Value::Map(
            entries
                .into_iter()
                .map(|(key, value)| Entry { source: source(key.defined), key: key.value, node: node(text, value) })
                .collect(),
        ),
    };
    Node { source: source(raw.defined), value }
}

fn source(at: Location) -> Source {
    Source::File((at != Location::UNKNOWN).then(|| Position { line: at.line(), column: at.column() }))
}

fn spelling(text: &str, at: Location) -> &str {
    let span = at.span();
    let Some((start, length)) = span.byte_offset().zip(span.byte_len()) else { return "" };
    text.get(start as usize..(start + length) as usize).unwrap_or_default()
}

impl<'de> Deserialize<'de> for Raw<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Raw<'de>, E> {
        Ok(Raw::Null)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Raw<'de>, E> {
        Ok(Raw::Boolean(value))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Raw<'de>, E> {
        Ok(Raw::Number(value.into()))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Raw<'de>, E> {
        Ok(Raw::Number(value.into()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Raw<'de>, E> {
        let number = serde_json::Number::from_f64(value);
        number.map(Raw::Number).ok_or_else(|| E::custom("the number is not finite"))
    }

    fn visit_borrowed_str<E: de::Error>(self, value: &'de str) -> Result<Raw<'de>, E> {
        Ok(Raw::Text(value.into()))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Raw<'de>, E> {
        Ok(Raw::Text(value.to_owned().into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Raw<'de>, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Raw::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Raw<'de>, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = access.next_entry()? {
            entries.push(entry);
        }
        Ok(Raw::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line_of(text: &str, key: &str) -> Option<u64> {
        match parse(text).unwrap().locate(key) {
            Source::File(position) => position.map(|at| at.line),
            Source::Variable(name) => panic!("{key} is in the variable {name}"),
        }
    }

    #[test]
    fn a_missing_key_has_the_line_of_the_nearest_key_above_it() {
        let text = "a: 1\nlist:\n  - x: 1\n    y: {z: 2}\n  - x: 3\n";
        for (key, line) in [
            ("a", 1),
            ("list", 2),
            ("list[0].x", 3),
            ("list[0].y.z", 4),
            ("list[1].x", 5),
            ("list[1].missing", 5),
            ("list[7]", 2),
        ] {
            assert_eq!(line_of(text, key), Some(line), "{key}");
        }
        assert_eq!(line_of(text, "missing"), None);
    }

    #[test]
    fn scalars_keep_their_spelling() {
        let Value::Map(entries) = parse("ü: é\na: 007\nb: off\nc: 0x1F\nd: '1'").unwrap().value else {
            panic!("not a mapping")
        };
        let spelled: Vec<_> = entries
            .into_iter()
            .map(|entry| match entry.node.value {
                Value::Boolean(_, spelling) | Value::Number(_, spelling) => spelling,
                Value::Text(text) => format!("text {text}"),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(spelled, ["text é", "007", "off", "0x1F", "text 1"]);
    }

    #[test]
    fn invalid_yaml_is_reported_with_its_position() {
        let problem = parse("a: 1\nb: [1, 2\nc: 3\n").unwrap_err();
        assert_eq!(problem.source, Source::File(Some(Position { line: 3, column: 2 })));
        insta::assert_snapshot!(problem, @"illegal placement of ':' indicator");
    }

    #[test]
    fn a_document_of_twenty_thousand_items_is_read() {
        let one = "- {id: acme, address: 'https://example.com/acme', tags: [a, b, c, d], enabled: true}\n";
        assert!(matches!(parse(&one.repeat(20_000)).unwrap().value, Value::List(items) if items.len() == 20_000));
    }
}
