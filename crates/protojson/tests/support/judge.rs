//! JSON Schema as a judge: what the codec writes fits the schema of its type, and what it would not write does not.

use jsonschema::Validator;
use protojson::{Options, Schema};
use serde::de::Deserialize as _;
use serde_json::{Map, Value, json};

/// The schema of one message type with its options.
#[derive(Debug)]
pub(crate) struct Judge {
    schema: Value,
    validator: Validator,
}

/// What was made of a JSON, and the JSON.
#[derive(Debug)]
pub(crate) struct Mutant {
    pub(crate) what: String,
    pub(crate) json: Value,
}

impl Judge {
    pub(crate) fn new(schema: &Schema, message_type: &str, options: &Options) -> Self {
        let schema = schema.json_schema(message_type, options).expect("the type is known");
        if let Err(error) = jsonschema::draft202012::meta::validate(&schema) {
            panic!("the schema of {message_type} is none: {error}\n{schema:#}");
        }
        let validator = jsonschema::draft202012::options().should_validate_formats(true).build(&schema);
        Self { validator: validator.expect("what the meta-schema accepts can be compiled"), schema }
    }

    /// Judges what the codec has written.
    ///
    /// # Errors
    /// What does not fit, with the schema.
    pub(crate) fn accepts(&self, json: &[u8]) -> Result<(), String> {
        let value = parse(json);
        let errors: Vec<String> =
            self.validator.iter_errors(&value).map(|error| format!("{}: {error}", error.instance_path())).collect();
        if errors.is_empty() {
            return Ok(());
        }
        Err(format!("the JSON does not fit its schema: {}\n{value}\n{:#}", errors.join("; "), self.schema))
    }

    /// Judges everything that can be made of a JSON and must not fit, and says how much that was.
    ///
    /// # Errors
    /// What fits all the same.
    pub(crate) fn refuses_mutants(&self, json: &[u8]) -> Result<usize, String> {
        let value = parse(json);
        let mutants = self.mutants(&value);
        for Mutant { what, json } in &mutants {
            if self.validator.is_valid(json) {
                return Err(format!("fits with {what}:\n{json}\n{:#}", self.schema));
            }
        }
        Ok(mutants.len())
    }

    /// Copies of a JSON that have one place each that the codec would never write.
    pub(crate) fn mutants(&self, value: &Value) -> Vec<Mutant> {
        let mut places = Vec::new();
        self.places(&self.schema, value, String::new(), &mut places);
        let mutate = |(at, replacement, what): (String, Value, &str)| {
            let mut json = value.clone();
            *json.pointer_mut(&at).expect("the place was found in it") = replacement;
            Mutant { what: format!("{what} at {at:?}"), json }
        };
        places.into_iter().map(mutate).collect()
    }

    /// What can be put where.
    fn places(&self, schema: &Value, value: &Value, at: String, places: &mut Vec<(String, Value, &'static str)>) {
        let schema = self.resolve(schema);
        let mut put = |replacement, what| places.push((at.clone(), replacement, what));
        match (schema.get("type").and_then(Value::as_str), value) {
            (Some("string"), Value::String(_)) => {
                put(json!(7), "a number in place of a string");
                if schema.get("pattern").is_some() {
                    put(json!("!"), "a string that is not spelled so");
                }
            }
            (Some("integer"), Value::Number(_)) => {
                put(json!("7"), "a string in place of a number");
                put(json!(0.5), "a fraction");
                put(json!(1e20), "a number out of range");
            }
            (Some("boolean"), _) => put(json!("true"), "a string in place of a bool"),
            (Some("null"), _) => put(json!(0), "a number in place of null"),
            (Some("array"), Value::Array(items)) => {
                if let Some(inside) = schema.get("items") {
                    put(json!({}), "an object in place of an array");
                    for (index, item) in items.iter().enumerate() {
                        self.places(inside, item, format!("{at}/{index}"), places);
                    }
                }
            }
            (Some("object"), Value::Object(members)) => self.object(schema, members, &at, places),
            (None, Value::String(_)) if schema.get("const").is_some() => put(json!("shown"), "a value not redacted"),
            // A float or an enum.
            (None, value) if schema.get("anyOf").is_some() => {
                put(json!(true), "a bool in place of a number or a name");
                if value.is_string() {
                    put(json!("NO_SUCH_NAME"), "a name that is not known");
                }
            }
            // Anything goes.
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
        match schema.get("$ref").and_then(Value::as_str) {
            Some(reference) => self.resolve(self.schema.pointer(&reference[1..]).expect("references lead somewhere")),
            None => schema.as_object().expect("schemas are objects"),
        }
    }
}

/// A hundred messages in each other are more than serde_json reads unasked.
fn parse(json: &[u8]) -> Value {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    deserializer.disable_recursion_limit();
    Value::deserialize(&mut deserializer).expect("the codec writes JSON")
}
