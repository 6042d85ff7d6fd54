//! Checks random schemas and payloads against a second implementation, against reordered payloads of the same message,
//! and against the JSON Schema of their type.
//!
//! `PROTOJSON_SEED` sets the first seed and `PROTOJSON_CASES` the number of schemas. A failure names its own seed. The
//! example `soak` runs the same trials for any number of payloads.

#[path = "support/judge.rs"]
mod judge;
#[path = "support/all.rs"]
mod support;

use std::cell::Cell;

use judge::Judge;
use protojson::{InvalidUtf8, Options, Plan, SchemaBuilder};
use support::random::Random;
use support::schema::{Field, Kind, Role, Schema, Syntax, Type};
use support::{encode, message, trial};

/// Seeds that found a bug in the past. The named cases cover the same bugs, because a change of the generator gives
/// these seeds another meaning.
const REGRESSIONS: &[u64] = &[
    // A redacted field repeats, and its second value is zero.
    966, // A map value comes in two parts, and the first part is truncated inside a record.
    2_002_485,
];

fn from_environment(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(value) => value.parse().unwrap_or_else(|_| panic!("{name} is not a number: {value}")),
        Err(_) => default,
    }
}

fn run(seed: u64) -> trial::Counts {
    let judges = |schema: &protojson::Schema, message_type: &str, options: &protojson::Options| -> trial::Judge {
        let judge = Judge::new(schema, message_type, options);
        // A JSON document has many mutants, and two documents per type already cover almost all kinds.
        let tried = Cell::new(0);
        Box::new(move |json| {
            judge.accepts(json)?;
            tried.set(tried.get() + 1);
            if tried.get() <= 2 { judge.refuses_mutants(json).map(drop) } else { Ok(()) }
        })
    };
    match trial::judged(&mut Random::seeded(seed), &judges) {
        Ok(counts) => counts,
        Err(finding) => panic!("PROTOJSON_SEED={seed} PROTOJSON_CASES=1: {finding}"),
    }
}

#[test]
fn random_payloads_agree_with_the_oracle_in_any_order() {
    let first = from_environment("PROTOJSON_SEED", 1);
    let cases = from_environment("PROTOJSON_CASES", 400);
    let mut counts = trial::Counts::default();
    for seed in first..first + cases {
        counts.add(run(seed));
    }
    println!("{cases} schemas: {counts:?}");
    assert!(counts.executions >= cases, "{counts:?}");
}

/// Checks one message with damaged strings. Returns whether there is one whose repaired form has JSON.
fn check_replacement(schema: &Schema, plans: [&Plan; 2], syntax: Syntax, random: &mut Random<'_>) -> bool {
    let [strict, lossy] = plans;
    let mut broken = message::root(schema, random);
    let Some(repaired) = message::damage(schema, &mut broken, random) else { return false };
    let expected = trial::transcode(strict, &encode::encode(schema, &repaired, None));
    for wire in [encode::encode(schema, &broken, None), encode::encode(schema, &broken, Some(random))] {
        assert!(trial::transcode(strict, &wire).is_err(), "the default refuses invalid strings");
        match (trial::transcode(lossy, &wire), &expected) {
            (Ok(found), Ok(expected)) if syntax == Syntax::Proto2 => {
                assert_eq!(String::from_utf8_lossy(&found), String::from_utf8_lossy(expected));
            }
            (Ok(found), _) => panic!("{syntax:?} accepts {wire:02x?} as {}", String::from_utf8_lossy(&found)),
            (Err(error), Ok(_)) if syntax == Syntax::Proto2 => panic!("{error}"),
            (Err(_), _) => {}
        }
    }
    expected.is_ok()
}

#[test]
fn replacing_invalid_strings_gives_the_json_of_the_repaired_message_in_proto2_only() {
    let mut replacing = Options::default();
    replacing.invalid_utf8 = InvalidUtf8::Replace;
    let mut damaged = [0, 0, 0];
    for seed in 1..=300 {
        let mut random = Random::seeded(seed);
        let index = seed as usize % 3;
        let syntax = [Syntax::Proto2, Syntax::Proto3, Syntax::Edition2023][index];
        let schema = Schema::random_of(syntax, &mut random);
        let ours = protojson::Schema::builder().set("random.binpb", &schema.set).and_then(SchemaBuilder::build);
        let ours = ours.expect("the schema is valid");
        let plan = |options| ours.plan("r.T0", options).expect("the type is known");
        let (strict, lossy) = (plan(&Options::default()), plan(&replacing));
        for _ in 0..20 {
            damaged[index] += u32::from(check_replacement(&schema, [&strict, &lossy], syntax, &mut random));
        }
    }
    assert!(damaged.iter().all(|count| *count > 50), "{damaged:?}");
}

#[test]
fn seeds_that_found_a_bug_find_none_now() {
    for seed in REGRESSIONS {
        run(*seed);
    }
}

/// Returns the schema `T0 { required T0 f1 = 1; … map<int32, T0> f11 = 11; … oneof { T0 f21 = 21; … } repeated T0 f31 =
/// 31; … }` with this number of required fields.
fn recursive_schema(required: u32) -> Schema {
    let field = |number, role, oneof| Field {
        number,
        name: format!("f{number}"),
        kind: Kind::Message(0),
        role,
        oneof,
        is_optional: false,
        is_required: role == Role::Singular && oneof.is_none(),
        is_packed: false,
        is_group: false,
        is_extension: false,
        is_implicit: false,
    };
    let required = (1..=required).map(|number| field(number, Role::Singular, None));
    let maps = (11..=18).map(|number| field(number, Role::Map(Kind::Int32), None));
    let members = (21..=24).map(|number| field(number, Role::Singular, Some(0)));
    let lists = (31..=32).map(|number| field(number, Role::Repeated, None));
    let fields = required.chain(maps).chain(members).chain(lists).collect();
    let types = vec![Type { full_name: "r.T0".into(), fields }];
    Schema { set: Vec::new(), types, enums: Vec::new(), random: 1 }
}

#[test]
fn drawing_messages_of_a_recursive_type_ends() {
    for (required, seed) in [0, 1, 4].into_iter().flat_map(|required| (0..100).map(move |seed| (required, seed))) {
        let schema = recursive_schema(required);
        let mut random = Random::seeded(seed);
        let message = message::root(&schema, &mut random);
        assert_eq!(message.lacks_required(&schema), required > 0);
        for _ in 0..4 {
            let length = encode::encode(&schema, &message, Some(&mut random)).len();
            assert!(length < 1 << 20, "seed {seed}, {required} required fields: {length} bytes");
        }
    }
}
