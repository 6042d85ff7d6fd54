//! One trial: a random schema, random messages of it, and the properties that must hold for them.
//!
//! - The JSON has the same meaning as the oracle's JSON, and a payload that the oracle refuses is refused.
//! - A payload without a required field is refused; the oracle accepts it.
//! - All payloads of the same message give the same bytes, with every profile.
//! - A payload gives the same bytes in careful mode.
//! - If the trial has a judge, the judge accepts all JSON.

use protojson::{Bytes, Enums, ErrorKind, FieldNames, Int64, InvalidUtf8, Options, Plan, UnknownAny};

use super::json::Json;
use super::oracle::{Oracle, REQUIRED, known_difference};
use super::random::Random;
use super::schema::{Kind, Schema};
use super::wire::Wire;
use super::{encode, message};

/// The number of payloads by result.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counts {
    /// The payloads that were transcoded and compared.
    pub(crate) executions: u64,
    /// The payloads that both implementations refused.
    pub(crate) refused: u64,
    /// The payloads on which the implementations differ for a known reason.
    pub(crate) known: u64,
}

impl Counts {
    #[allow(dead_code, reason = "not every target runs many trials")]
    pub(crate) fn add(&mut self, other: Self) {
        self.executions += other.executions;
        self.refused += other.refused;
        self.known += other.known;
    }
}

const MESSAGES: usize = 6;
const DISORDERS: usize = 2;
const CORRUPTIONS: usize = 3;

/// Checks the JSON of one payload.
pub(crate) type Judge = Box<dyn Fn(&[u8]) -> Result<(), String>>;

/// Returns the judge of a message type with its options.
pub(crate) type Judges<'j> = &'j dyn Fn(&protojson::Schema, &str, &Options) -> Judge;

/// Runs a trial without a judge.
///
/// # Errors
/// Returns a finding as text if a property does not hold.
#[allow(dead_code, reason = "not every target runs trials without a judge")]
pub(crate) fn run(random: &mut Random<'_>) -> Result<Counts, String> {
    judged(random, &|_, _, _| Box::new(|_| Ok(())))
}

/// Runs a trial with judges.
///
/// # Errors
/// Returns a finding as text if a property does not hold.
#[allow(dead_code, reason = "not every target has judges")]
pub(crate) fn judged(random: &mut Random<'_>, judges: Judges<'_>) -> Result<Counts, String> {
    let schema = Schema::random(random);
    let trial = Trial::new(&schema, random, judges)?;
    let mut counts = Counts::default();
    for _ in 0..MESSAGES {
        trial.message(random, &mut counts)?;
    }
    Ok(counts)
}

struct Trial<'s> {
    schema: &'s Schema,
    oracle: Oracle,
    plan: Plan,
    /// The root type with random options.
    profile: Plan,
    /// The root type with rules for some of its fields.
    rules: Plan,
    judge: Judge,
    judge_of_profile: Judge,
    judge_of_rules: Judge,
    /// A type around the root type that makes the transcoder switch to careful mode.
    around: Plan,
}

pub(crate) type Outcome = Result<Vec<u8>, protojson::Error>;

impl<'s> Trial<'s> {
    fn new(schema: &'s Schema, random: &mut Random<'_>, judges: Judges<'_>) -> Result<Self, String> {
        let ours = protojson::Schema::builder().set("random.binpb", &schema.set).map_err(|error| error.to_string())?;
        let ours = ours.build().map_err(|error| error.to_string())?;
        let plan = |name: &str, options: &Options| ours.plan(name, options).map_err(|error| error.to_string());
        let (canonical, options, rules) = (Options::default(), random_options(schema, random), rules(schema));
        Ok(Self {
            schema,
            oracle: Oracle::new(&schema.set)?,
            plan: plan("r.T0", &canonical)?,
            profile: plan("r.T0", &options)?,
            rules: plan("r.T0", &rules)?,
            judge: judges(&ours, "r.T0", &canonical),
            judge_of_profile: judges(&ours, "r.T0", &options),
            judge_of_rules: judges(&ours, "r.T0", &rules),
            around: plan("r.Around", &Options::default())?,
        })
    }

    fn message(&self, random: &mut Random<'_>, counts: &mut Counts) -> Result<(), String> {
        let message = message::root(self.schema, random);
        let canonical = encode::encode(self.schema, &message, None);
        let expected = transcode(&self.plan, &canonical);
        let in_profile = transcode(&self.profile, &canonical);
        if message.lacks_required(self.schema) && expected.is_ok() {
            return Err(self.finding(
                "ours accepts a payload without a required field",
                &canonical,
                &show(&expected),
                "an error",
            ));
        }
        self.agrees(&canonical, &expected, counts)?;
        self.survives_disorder_around_it(&canonical, &expected)?;
        self.judged(&self.judge_of_profile, &canonical, &in_profile)?;
        self.judged(&self.judge_of_rules, &canonical, &transcode(&self.rules, &canonical))?;
        for _ in 0..DISORDERS {
            let wire = encode::encode(self.schema, &message, Some(random));
            let found = transcode(&self.plan, &wire);
            if !is_same(&expected, &found) {
                return Err(self.finding(
                    "payloads of one message give different JSON",
                    &wire,
                    &show(&found),
                    &show(&expected),
                ));
            }
            let found_in_profile = transcode(&self.profile, &wire);
            if !is_same(&in_profile, &found_in_profile) {
                let (ours, theirs) = (show(&found_in_profile), show(&in_profile));
                return Err(self.finding(
                    "payloads of one message give different JSON with a profile",
                    &wire,
                    &ours,
                    &theirs,
                ));
            }
            self.agrees(&wire, &found, counts)?;
            self.survives_disorder_around_it(&wire, &found)?;
            for _ in 0..CORRUPTIONS {
                let mut corrupt = wire.clone();
                corrupt_bytes(&mut corrupt, random);
                let found = transcode(&self.plan, &corrupt);
                self.agrees(&corrupt, &found, counts)?;
                self.survives_disorder_around_it(&corrupt, &found)?;
            }
        }
        Ok(())
    }

    fn agrees(&self, wire: &[u8], ours: &Outcome, counts: &mut Counts) -> Result<(), String> {
        counts.executions += 1;
        self.judged(&self.judge, wire, ours)?;
        let theirs = self.oracle.json("r.T0", wire);
        let agree = match (ours, &theirs) {
            (Ok(ours), Ok(theirs)) => {
                let parse = |text: &[u8]| {
                    Json::parse(text).map_err(|error| self.finding(&error, wire, &show(&Ok(text.to_vec())), ""))
                };
                parse(ours)?.is_same(&parse(theirs.as_bytes())?)
            }
            (Err(_), Err(_)) => {
                counts.refused += 1;
                true
            }
            _ => false,
        };
        if agree {
            return Ok(());
        }
        let known = match ours {
            Err(error) if error.kind() == ErrorKind::MissingRequired => Some(REQUIRED),
            _ => known_difference(self.schema, wire),
        };
        if known.is_some() {
            counts.known += 1;
            return Ok(());
        }
        Err(self.finding("ours and the oracle differ", wire, &show(ours), &format!("{theirs:?}")))
    }

    fn judged(&self, judge: &Judge, wire: &[u8], outcome: &Outcome) -> Result<(), String> {
        let Ok(json) = outcome else { return Ok(()) };
        judge(json).map_err(|objection| self.finding(&objection, wire, &show(outcome), "no objection"))
    }

    /// Wraps a payload so that the transcoder exceeds its rollback budget before it reaches the payload, and then
    /// transcodes the payload in careful mode.
    fn survives_disorder_around_it(&self, wire: &[u8], expected: &Outcome) -> Result<(), String> {
        let mut disorder = Wire::new().varint(1, 1).bytes(3, &vec![0; wire.len() + 600]);
        for _ in 0..3 {
            disorder = Wire::new().message(2, disorder).varint(1, 1);
        }
        let before = Wire::new().message(1, disorder);
        let (Ok(start), Ok(found)) =
            (transcode(&self.around, &before.0), transcode(&self.around, &before.bytes(2, wire).0).or(Err(())))
        else {
            return match expected {
                Err(_) => Ok(()),
                Ok(_) => Err(self.finding("careful mode refuses the payload", wire, "", &show(expected))),
            };
        };
        let is_same = expected.as_ref().is_ok_and(|root| {
            let (start, inside) = (&start[..start.len() - 1], br#","root":"#);
            found.len() == start.len() + inside.len() + root.len() + 1
                && found.starts_with(start)
                && found[start.len()..].starts_with(inside)
                && found[start.len() + inside.len()..].starts_with(root)
        });
        if is_same {
            return Ok(());
        }
        Err(self.finding("careful mode gives a different result", wire, &show(&Ok(found)), &show(expected)))
    }

    fn finding(&self, what: &str, wire: &[u8], ours: &str, theirs: &str) -> String {
        let wire: String = wire.iter().map(|byte| format!("{byte:02x}")).collect();
        let types = &self.schema.types[..self.schema.random];
        format!(
            "{what}\nwire: {wire}\nours: {ours}\nexpected: {theirs}\ntypes: {types:?}\nenums: {:?}",
            self.schema.enums
        )
    }
}

pub(crate) fn transcode(plan: &Plan, wire: &[u8]) -> Outcome {
    let mut json = Vec::new();
    plan.transcode(wire, &mut json).map(|()| json)
}

/// Whether both outcomes have the same bytes, or both are errors of the same sort.
fn is_same(one: &Outcome, other: &Outcome) -> bool {
    match (one, other) {
        (Ok(one), Ok(other)) => one == other,
        (Err(one), Err(other)) => one.is_malformed() == other.is_malformed(),
        _ => false,
    }
}

fn show(outcome: &Outcome) -> String {
    match outcome {
        Ok(json) => String::from_utf8_lossy(json).into_owned(),
        Err(error) => error.to_string(),
    }
}

/// Truncates, flips, overwrites, duplicates or moves bytes.
pub(crate) fn corrupt_bytes(wire: &mut Vec<u8>, random: &mut Random<'_>) {
    for _ in 0..=random.below(2) {
        if wire.is_empty() {
            return;
        }
        let at = random.below(wire.len());
        match random.below(5) {
            0 => wire.truncate(at),
            1 => wire[at] ^= 1 << random.below(8),
            2 => wire[at] = random.pick(&[0, 1, 0x7f, 0x80, 0xff]),
            3 => {
                let until = at + random.below(wire.len() - at);
                wire.extend_from_within(at..until);
            }
            _ => {
                let byte = wire.remove(at);
                wire.insert(random.below(wire.len() + 1), byte);
            }
        }
    }
}

pub(crate) fn random_options(schema: &Schema, random: &mut Random<'_>) -> Options {
    let mut options = Options::default();
    if random.one_in(2) {
        options.field_names = FieldNames::Proto;
    }
    if random.one_in(2) {
        options.int64 = Int64::Number;
    }
    if random.one_in(2) {
        options.enums = Enums::Number;
    }
    options.bytes = random.pick(&[Bytes::Base64, Bytes::Base64Url, Bytes::Hex]);
    if random.one_in(2) {
        options.unknown_any = UnknownAny::Bytes;
    }
    if random.one_in(2) {
        options.invalid_utf8 = InvalidUtf8::Replace;
    }
    options.emit_defaults = random.one_in(2);
    let root: Vec<&str> = schema.types[0].fields.iter().map(|field| field.name.as_str()).collect();
    if random.one_in(3) {
        options.drop.push(random.pick(&root).to_owned());
    }
    if random.one_in(3) {
        options.redact.push(random.pick(&root).to_owned());
    }
    options
}

/// Returns rules for the root and the messages inside it: the first field is not included, and some fields inside are
/// dropped or redacted.
pub(crate) fn rules(schema: &Schema) -> Options {
    let mut options = Options::default();
    let root = &schema.types[0].fields;
    options.include.extend(root.iter().skip(1).map(|field| field.name.clone()));
    options.emit_defaults = root.len().is_multiple_of(2);
    for (index, field) in root.iter().enumerate() {
        let Kind::Message(inner) = field.kind else { continue };
        if let Some(hidden) = schema.types[inner].fields.get(index % 3) {
            options.redact.push(format!("{}.{}", field.name, hidden.name));
        }
        if let Some(dropped) = schema.types[inner].fields.get(1 + index % 2) {
            options.drop.push(format!("{}.{}", field.name, dropped.name));
        }
    }
    options
}
