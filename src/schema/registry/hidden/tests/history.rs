//! Random histories of descriptor sets. A value that was hidden stays hidden in every later snapshot.

use std::collections::{BTreeMap, BTreeSet};

use fastrand::Rng;

use super::{File, SECRET, Snapshot, Stage, json_of, record, set, shows_secret};
use crate::schema::registry::{Registry, Reloaded, hash};

const TYPES: u8 = 4;

/// A random set: for each type that it defines, the fields by number.
#[derive(Debug, Clone, Default)]
struct Model(BTreeMap<u8, BTreeMap<u8, Field>>);

#[derive(Debug, Clone)]
struct Field {
    name: &'static str,
    kind: Kind,
    is_marked: bool,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Text,
    Bytes,
    Texts,
    Message(u8),
    List(u8),
    Map(u8),
}

impl Model {
    fn random(random: &mut Rng) -> Self {
        let mut model = Self::default();
        for index in (0..TYPES).filter(|_| random.u8(..5) > 0).collect::<Vec<_>>() {
            model.0.insert(index, BTreeMap::new());
        }
        let types: Vec<u8> = model.0.keys().copied().collect();
        for fields in model.0.values_mut() {
            // Of these names, two have the same JSON name.
            let mut names = ["a_b", "c", "d", "e"];
            if random.u8(..3) == 0 {
                names[random.usize(..4)] = "aB";
            }
            let first = random.usize(..4);
            random.shuffle(&mut names[first..]);
            for (number, name) in (1..).zip(names) {
                let kind = match (random.u8(..8), random.choice(&types)) {
                    (0..2, _) => Kind::Text,
                    (2, _) => Kind::Bytes,
                    (3, _) => Kind::Texts,
                    (4..6, Some(inner)) => Kind::Message(*inner),
                    (6, Some(inner)) => Kind::List(*inner),
                    (_, Some(inner)) => Kind::Map(*inner),
                    (_, None) => Kind::Text,
                };
                if random.u8(..4) > 0 && fields.values().all(|field: &Field| !clashes(field.name, name)) {
                    fields.insert(number, Field { name, kind, is_marked: random.u8(..5) == 0 });
                }
            }
        }
        model
    }

    /// Changes some fields, or removes or adds a type.
    fn mutated(&self, random: &mut Rng) -> Self {
        let (mut model, other) = (self.clone(), Self::random(random));
        for (index, fields) in &other.0 {
            let Some(own) = model.0.get_mut(index).filter(|_| random.bool()) else { continue };
            let number = random.u8(1..5);
            own.remove(&number);
            let new = fields.get(&number).filter(|new| own.values().all(|field| !clashes(field.name, new.name)));
            if let Some(field) = new.filter(|_| random.bool()) {
                own.insert(number, field.clone());
            }
        }
        if random.u8(..3) == 0 {
            model.0.remove(&random.u8(..TYPES));
        }
        let types: BTreeSet<u8> = model.0.keys().copied().collect();
        for fields in model.0.values_mut() {
            fields.retain(|_, field| field.kind.inner().is_none_or(|inner| types.contains(&inner)));
        }
        model
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for (index, fields) in &self.0 {
            text.push_str(&format!("message T{index} {{ "));
            for (number, Field { name, kind, is_marked }) in fields {
                let kind = match kind {
                    Kind::Text => "string".to_owned(),
                    Kind::Bytes => "bytes".to_owned(),
                    Kind::Texts => "repeated string".to_owned(),
                    Kind::Message(inner) => format!("T{inner}"),
                    Kind::List(inner) => format!("repeated T{inner}"),
                    Kind::Map(inner) => format!("map<string, T{inner}>"),
                };
                let mark = if *is_marked { " [debug_redact = true]" } else { "" };
                text.push_str(&format!("{kind} {name} = {number}{mark}; "));
            }
            text.push_str("}\n");
        }
        text
    }

    /// Returns a payload of a type. The fields with these numbers in these types have the secret, and so has everything
    /// inside them.
    fn payload(&self, index: u8, hidden: &BTreeSet<(u8, u8)>, is_hidden: bool, depth: u8) -> Vec<u8> {
        let mut payload = Vec::new();
        for (number, field) in self.0.get(&index).into_iter().flatten() {
            let is_hidden = is_hidden || hidden.contains(&(index, *number));
            let text = if is_hidden { SECRET } else { "x" };
            let value = match field.kind {
                Kind::Text | Kind::Bytes | Kind::Texts => text.as_bytes().to_vec(),
                _ if depth == 0 => continue,
                Kind::Message(inner) | Kind::List(inner) => self.payload(inner, hidden, is_hidden, depth - 1),
                Kind::Map(inner) => {
                    let value = self.payload(inner, hidden, is_hidden, depth - 1);
                    [record(1, text.as_bytes()), record(2, &value)].concat()
                }
            };
            if value.len() < 120 {
                payload.extend(record(*number, &value));
            }
        }
        payload
    }
}

impl Kind {
    fn inner(self) -> Option<u8> {
        match self {
            Self::Message(inner) | Self::List(inner) | Self::Map(inner) => Some(inner),
            _ => None,
        }
    }
}

/// Whether the compiler refuses two fields with these names.
fn clashes(one: &str, other: &str) -> bool {
    let json = |name: &str| name.replace("a_b", "aB");
    json(one) == json(other)
}

/// The sets that were ever offered, by their hashes.
#[derive(Default)]
struct Offered(BTreeMap<String, Model>);

impl Offered {
    fn compile(&mut self, model: &Model) -> Vec<u8> {
        let bytes = set(&model.text());
        self.0.insert(hash(&bytes), model.clone());
        bytes
    }

    /// Returns payloads of all sets in force, with the secret in each field that a set in force marks.
    fn payloads(&self, snapshot: &Snapshot) -> Vec<(String, Vec<u8>)> {
        let models: Vec<&Model> = snapshot.sets().iter().map(|set| &self.0[&*set.hash]).collect();
        let fields = models.iter().flat_map(|model| &model.0);
        let marked =
            fields.flat_map(|(index, fields)| fields.iter().map(move |(number, field)| (index, number, field)));
        let hidden = marked.filter(|(.., field)| field.is_marked).map(|(index, number, _)| (*index, *number)).collect();
        let types = models.iter().flat_map(|model| model.0.keys().map(move |index| (model, *index)));
        types.map(|(model, index)| (format!("t.T{index}"), model.payload(index, &hidden, false, 3))).collect()
    }
}

#[test]
fn a_value_that_was_hidden_in_any_snapshot_is_hidden_in_all_later_ones() {
    let (mut refused, mut hidden) = (0, 0);
    for case in 0..60 {
        let mut random = Rng::with_seed(case);
        let mut offered = Offered::default();
        let names = &["a.pb", "b.pb", "c.pb"][..random.usize(1..4)];
        let mut models: Vec<Model> = Vec::new();
        for _ in names {
            // Sets tend to have common types.
            let model = models.first().filter(|_| random.bool()).map(|model| model.mutated(&mut random));
            models.push(model.unwrap_or_else(|| Model::random(&mut random)));
        }
        let texts: Vec<(&str, String)> = names.iter().zip(&models).map(|(name, model)| (*name, model.text())).collect();
        for model in &models {
            offered.compile(model);
        }
        let sets: Vec<(&str, &str)> = texts.iter().map(|(name, text)| (*name, &**text)).collect();
        let registry: Registry = Stage::marked(&[]).start(&sets);
        let mut payloads = offered.payloads(&registry.current());
        for step in 0..5 {
            let at = random.usize(..models.len());
            models[at] = models[at].mutated(&mut random);
            let files: Vec<File> = names
                .iter()
                .zip(&models)
                .map(|(name, model)| File { name: (*name).to_owned(), content: Ok(offered.compile(model)) })
                .collect();
            // Sometimes a set is gone, and comes back later.
            let gone = (names.len() > 1 && random.u8(..3) == 0).then(|| random.usize(..names.len()));
            let files: Vec<File> = (0..).zip(files).filter(|(at, _)| Some(*at) != gone).map(|(_, file)| file).collect();
            let Some(Reloaded { snapshot, .. }) = registry.admit(&files) else { continue };
            refused += snapshot.refused().iter().filter(|refused| refused.reason.contains("can show a hidden")).count();
            payloads.extend(offered.payloads(&snapshot));
            payloads.sort();
            payloads.dedup();
            for (message_type, payload) in &payloads {
                let json = json_of(&snapshot, message_type, payload).unwrap_or_default();
                assert!(!shows_secret(&json), "case {case}, step {step}: {message_type} {json}, {models:#?}");
                hidden += usize::from(json.contains("[REDACTED]"));
            }
        }
    }
    assert!(refused > 50 && hidden > 500, "{refused} sets refused, {hidden} values hidden");
}
