//! Checks that the types in force and their JSON depend on the content of the sets and of the baseline alone, not on
//! names, on the order, or on what was in force before.

use fastrand::Rng;
use prost::Message as _;
use protox::Compiler;
use protox::file::{ChainFileResolver, File as Source, FileResolver, GoogleFileResolver};

use super::*;
use crate::config::OnBreak;

/// The number of random cases.
const CASES: u64 = 40;

/// The texts of files by their names.
struct Sources(Vec<(&'static str, String)>);

impl FileResolver for Sources {
    fn open_file(&self, name: &str) -> Result<Source, protox::Error> {
        match self.0.iter().find(|(known, _)| *known == name) {
            Some((_, text)) => Source::from_source(name, text),
            None => Err(protox::Error::file_not_found(name)),
        }
    }
}

fn compile(files: Vec<(&'static str, String)>, with_comments: bool) -> Vec<u8> {
    let mut resolver = ChainFileResolver::new();
    resolver.add(Sources(files));
    resolver.add(GoogleFileResolver::new());
    let mut compiler = Compiler::with_file_resolver(resolver);
    compiler.include_imports(true).include_source_info(with_comments).open_file("p.proto").unwrap();
    compiler.file_descriptor_set().encode_to_vec()
}

/// Returns a set with up to five types and some extensions, each in one of a few versions. Some versions add to others,
/// and some contradict others. A type holds types before it.
fn random_set(random: &mut Rng) -> Vec<u8> {
    let mut version = |of: u8| if random.bool() { random.u8(..of) } else { 0 };
    let stamp = ["optional int32 a = 1;", "optional int32 a = 1; optional int32 b = 2;", "optional string a = 1;"];
    let stamp = stamp[usize::from(version(3))];
    let stamp = format!("syntax = \"proto2\"; package google.protobuf; message Stamp {{ {stamp} }}");
    let mut text = "syntax = \"proto2\"; package p; import \"google/protobuf/stamp.proto\";".to_owned();
    text.push_str(
        ["enum E { A = 0; }", "enum E { A = 0; B = 1; }", "enum E { A = 0; C = 1; }"][usize::from(version(3))],
    );
    let fields = [
        "optional string a = 1;",
        "optional string a = 1; optional string b = 2;",
        "optional int32 a = 1;",
        "optional string a = 1; optional E c = 3;",
        "optional string a = 1; optional string b = 2; optional E c = 3;",
    ];
    for at in 0..1 + version(5) {
        let fields = fields[usize::from(version(5))];
        let comment = version(3);
        let holds = match at {
            0 => "optional google.protobuf.Stamp stamp = 8; extensions 100 to 199;".to_owned(),
            _ => format!("optional M{} held = 9; map<string, M{}> map = 10;", (at - 1) / 2, at / 2),
        };
        text.push_str(&format!("\n// Comment {comment}.\nmessage M{at} {{ {fields} {holds} }}"));
    }
    for at in 0..version(3) {
        let versions = [("string", "x", 0), ("string", "x", 1), ("int32", "x", 0), ("M0", "x", 2), ("string", "y", 0)];
        let (kind, name, number) = versions[usize::from(version(5))];
        text.push_str(&format!("\nextend M0 {{ optional {kind} {name}{at} = 1{at}{number}; }}"));
    }
    let with_comments = version(2) == 0;
    compile(vec![("p.proto", text), ("google/protobuf/stamp.proto", stamp)], with_comments)
}

fn random_sets(random: &mut Rng) -> Vec<Vec<u8>> {
    (0..random.usize(1..6)).map(|_| random_set(random)).collect()
}

/// Gives these sets random names, in a random order.
fn files(random: &mut Rng, sets: &[Vec<u8>]) -> Vec<File> {
    let mut names: Vec<String> = (0..sets.len()).map(|at| format!("{}-{at}.binpb", random.u8(..))).collect();
    random.shuffle(&mut names);
    named(names.into_iter().zip(sets))
}

fn named<'s>(sets: impl Iterator<Item = (String, &'s Vec<u8>)>) -> Vec<File> {
    let mut files: Vec<File> = sets.map(|(name, set)| File { name, content: Ok(set.clone()) }).collect();
    files.sort_by(|one, other| one.name.cmp(&other.name));
    files
}

/// Starts a registry with these files.
fn start(files: &[File], settings: &config::Descriptors) -> Registry {
    let folder = tempfile::tempdir().unwrap();
    for file in files {
        std::fs::write(folder.path().join(&file.name), file.content.as_ref().unwrap()).unwrap();
    }
    let settings = config::Descriptors { path: folder.path().into(), ..settings.clone() };
    Registry::load(&settings, &config::Taps::default(), Arc::new(Profiles::new(&Default::default()))).unwrap()
}

/// Returns all that a snapshot decides about events: for each type its schema hash, a payload with its JSON, and the
/// JSON Schema; and the types that are withheld.
fn decisions(snapshot: &Snapshot) -> Vec<String> {
    let describe = |name: &str| {
        let event_type = snapshot.find(name).unwrap();
        let payload = event_type.sample();
        let mut json = Vec::new();
        event_type.plan(ProfileId::default()).transcode(&payload, &mut json).unwrap();
        let (json, schema) = (
            String::from_utf8(json).unwrap(),
            event_type.json_schema(ProfileId::default(), protojson::Additions::Accepted),
        );
        format!("{name} {} {payload:?} {json} {schema}", event_type.schema_hash)
    };
    let mut decisions: Vec<String> = snapshot.type_names().into_iter().map(describe).collect();
    let mut withheld: Vec<&str> = snapshot.withheld.keys().map(String::as_str).collect();
    withheld.sort_unstable();
    decisions.push(format!("{withheld:?} {}", snapshot.refused().len()));
    decisions
}

#[test]
fn the_types_in_force_and_their_json_depend_on_the_content_of_the_sets_alone() {
    let settings = config::Descriptors::default();
    let mut contradictions = 0;
    for seed in 0..CASES {
        let mut random = Rng::with_seed(seed);
        let sets = random_sets(&mut random);
        let started = start(&files(&mut random, &sets), &settings).current();
        let expected = decisions(&started);
        contradictions += usize::from(!started.refused().is_empty());
        for _ in 0..3 {
            // Another name for each set, and other sets before.
            let earlier = random_sets(&mut random);
            let registry = start(&files(&mut random, &earlier), &settings);
            for _ in 0..random.usize(..3) {
                let earlier = [random_sets(&mut random), sets[..random.usize(..sets.len())].to_vec()].concat();
                registry.admit(&files(&mut random, &earlier));
            }
            registry.admit(&files(&mut random, &sets));
            assert_eq!(decisions(&registry.current()), expected, "seed {seed}");
        }
    }
    assert!(contradictions > 10 && contradictions < 35, "{contradictions} cases with contradictions");
}

#[test]
fn with_a_baseline_a_reload_ends_where_a_start_begins() {
    let baseline = tempfile::tempdir().unwrap();
    let one = compile(
        vec![("p.proto", "syntax = \"proto2\"; package p; message M0 { optional string a = 1; }".to_owned())],
        false,
    );
    std::fs::write(baseline.path().join("0.binpb"), &one).unwrap();
    let settings = config::Descriptors {
        baseline: Some(baseline.path().to_owned()),
        on_break: OnBreak::Refuse,
        ..config::Descriptors::default()
    };
    let mut refusals = 0;
    for seed in 0..CASES {
        let mut random = Rng::with_seed(seed);
        let folder = |random: &mut Rng| {
            let mut sets = random_sets(random);
            // A file that is no set, which the baseline replaces too.
            if random.u8(..4) == 0 {
                sets[0] = b"x".to_vec();
            }
            named((0..).map(|at: u8| format!("{at}.binpb")).zip(&sets))
        };
        let target = folder(&mut random);
        let started = start(&target, &settings).current();
        refusals += usize::from(started.refused().iter().any(|refused| refused.in_force.is_some()));
        let registry = start(&folder(&mut random), &settings);
        for _ in 0..random.usize(..3) {
            registry.admit(&folder(&mut random));
        }
        registry.admit(&target);
        assert_eq!(decisions(&registry.current()), decisions(&started), "seed {seed}");
    }
    assert!(refusals > 10, "{refusals} cases in which the baseline replaces a set");
}
