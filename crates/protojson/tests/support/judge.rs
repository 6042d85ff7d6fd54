//! JSON Schema as a judge: the codec's JSON must fit the schema of its type, and mutants of it must not.

use jsonschema::Validator;
use protojson::{Additions, Options, Schema};
use serde::de::Deserialize as _;
use serde_json::{Map, Value, json};

/// The JSON Schemas of one message type with its options.
#[derive(Debug)]
pub(crate) struct Judge {
    /// The schema that refuses additions.
    schema: Value,
    closed: Validator,
    open: Validator,
}

/// A changed JSON document, with a description of the change.
#[derive(Debug)]
pub(crate) struct Mutant {
    pub(crate) what: String,
    pub(crate) json: Value,
}

impl Judge {
    pub(crate) fn new(schema: &Schema, message_type: &str, options: &Options) -> Self {
        let [closed, open] = [Additions::Refused, Additions::Accepted].map(|additions| {
            let schema = schema.json_schema(message_type, options, additions).expect("the type is known");
            if let Err(error) = jsonschema::draft202012::meta::validate(&schema) {
                panic!("the schema of {message_type} is not a valid JSON Schema: {error}\n{schema:#}");
            }
            schema
        });
        let validator = |schema: &Value| {
            let validator = jsonschema::draft202012::options().should_validate_formats(true).build(schema);
            validator.expect("a valid JSON Schema can be compiled")
        };
        Self { closed: validator(&closed), open: validator(&open), schema: closed }
    }

    /// Checks the JSON that the codec wrote.
    ///
    /// # Errors
    /// Returns the parts that do not fit, with the schema.
    pub(crate) fn accepts(&self, json: &[u8]) -> Result<(), String> {
        let value = parse(json);
        let errors: Vec<String> =
            self.closed.iter_errors(&value).map(|error| format!("{}: {error}", error.instance_path())).collect();
        if errors.is_empty() {
            // The open schema accepts at least as much.
            if let Err(error) = self.open.validate(&value) {
                return Err(format!("the JSON does not fit its open schema: {}: {error}", error.instance_path()));
            }
            return Ok(());
        }
        Err(format!("the JSON does not fit its schema: {}\n{value}\n{:#}", errors.join("; "), self.schema))
    }

    /// Checks that no mutant of a JSON document fits the schema, and returns the number of mutants.
    ///
    /// # Errors
    /// Returns a mutant that fits, with the schema.
    pub(crate) fn refuses_mutants(&self, json: &[u8]) -> Result<usize, String> {
        let value = parse(json);
        let mutants = self.mutants(&value);
        for Mutant { what, json } in &mutants {
            if self.closed.is_valid(json) {
                return Err(format!("the JSON fits its schema despite {what}:\n{json}\n{:#}", self.schema));
            }
        }
        Ok(mutants.len())
    }

    /// Returns copies of a JSON document. Each differs in one place, where it has a value that the codec never writes.
    pub(crate) fn mutants(&self, value: &Value) -> Vec<Mutant> {
        let mut places = Vec::new();
        self.places(&self.schema, value, String::new(), &mut places);
        let mutate = |(at, replacement, what): (String, Value, &str)| {
            let mut json = value.clone();
            *json.pointer_mut(&at).expect("the place exists in the document") = replacement;
            Mutant { what: format!("{what} at {at:?}"), json }
        };
        places.into_iter().map(mutate).collect()
    }

    /// Collects the places of a document with the wrong values to put there.
    fn places(&self, schema: &Value, value: &Value, at: String, places: &mut Vec<(String, Value, &'static str)>) {
        let schema = self.resolve(schema);
        let mut put = |replacement, what| places.push((at.clone(), replacement, what));
        match (schema.get("type").and_then(Value::as_str), value) {
            (Some("string"), Value::String(_)) if schema.contains_key("const") => {
                put(json!("shown"), "a value not redacted");
            }
            (Some("string"), Value::String(_)) => {
                put(json!(7), "a number instead of a string");
                if schema.get("pattern").is_some() {
                    put(json!("!"), "a string that does not match the pattern");
                }
            }
            (Some("integer"), Value::Number(_)) => {
                put(json!("7"), "a string instead of a number");
                put(json!(0.5), "a fraction");
                put(json!(1e20), "a number out of range");
            }
            (Some("boolean"), _) => put(json!("true"), "a string instead of a bool"),
            (Some("null"), _) => put(json!(0), "a number instead of null"),
            (Some("array"), Value::Array(items)) => {
                if let Some(inside) = schema.get("items") {
                    put(json!({}), "an object instead of an array");
                    for (index, item) in items.iter().enumerate() {
                        self.places(inside, item, format!("{at}/{index}"), places);
                    }
                }
            }
            (Some("object"), Value::Object(members)) => self.object(schema, members, &at, places),
            // A float or an enum.
            (None, value) if schema.get("anyOf").is_some() => {
                put(json!(true), "a bool instead of a number or a name");
                if value.is_string() {
                    put(json!("NO_SUCH_NAME"), "an unknown name");
                }
            }
            // The schema accepts any value here.
            _ => {}
        }
    }

    fn object(
        &self,
        schema: &Map<String, Value>,
        members: &Map<String, Value>,
        at: &str,
        places: &mut Vec<(String, Value, &'static str)>,
    ) {
        let with = |key: &str| {
            let mut members = members.clone();
            members.insert(key.to_owned(), Value::Null);
            members.into()
        };
        let properties = schema.get("properties").and_then(Value::as_object);
        if schema.get("additionalProperties") == Some(&Value::Bool(false)) {
            places.push((at.to_owned(), with("unknownKey"), "an unknown key"));
        }
        if schema.contains_key("propertyNames") {
            places.push((at.to_owned(), with("no key"), "a key of another kind"));
        }
        for name in schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
            let mut without = members.clone();
            without.remove(name);
            places.push((at.to_owned(), without.into(), "a required key missing"));
        }
        for (key, member) in members {
            let escaped = key.replace('~', "~0").replace('/', "~1");
            let declared = properties.and_then(|properties| properties.get(key));
            if let Some(inside) = declared.or_else(|| schema.get("additionalProperties").filter(|it| it.is_object())) {
                self.places(inside, member, format!("{at}/{escaped}"), places);
            }
        }
    }

    fn resolve<'v>(&'v self, schema: &'v Value) -> &'v Map<String, Value> {
        // A reference with a description is in an `allOf` of its own.
        let reference = schema.get("$ref").or_else(|| schema.get("allOf")?.get(0)?.get("$ref"));
        match reference.and_then(Value::as_str) {
            Some(reference) => self.resolve(self.schema.pointer(&reference[1..]).expect("every reference resolves")),
            None => schema.as_object().expect("schemas are objects"),
        }
    }
}

/// Parses JSON without serde_json's default recursion limit, which a hundred nested messages exceed.
fn parse(json: &[u8]) -> Value {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    deserializer.disable_recursion_limit();
    Value::deserialize(&mut deserializer).expect("the codec writes JSON")
}
