use std::fs;
use std::path::Path;

use prost::Message as _;

use super::*;

const SHOP: &[u8] = include_bytes!("../../../descriptors/shop.binpb");
const OURS: &[u8] = include_bytes!("../../../descriptors/protobridge.binpb");

fn load(path: &Path, taps: &config::Taps) -> Result<Arc<Snapshot>, Error> {
    let profiles = Arc::new(Profiles::new(&Default::default()));
    let settings = config::Descriptors { path: path.into(), ..Default::default() };
    Ok(Registry::load(&settings, taps, profiles)?.current())
}

/// Creates a folder with these files.
pub(super) fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    folder
}

#[test]
fn only_the_sets_of_the_folder_and_its_sub_folders_are_loaded() {
    let folder = folder(&[
        ("shop.binpb", SHOP),
        ("team/ours.desc", OURS),
        ("README.md", b"x"),
        (".half-written.binpb", b"x"),
        ("..2026/copy.binpb", b"x"),
    ]);
    let snapshot = load(folder.path(), &config::Taps::default()).unwrap();
    let names: Vec<&str> = snapshot.sets().iter().map(|set| set.name.as_str()).collect();
    assert_eq!(names, ["shop.binpb", "team/ours.desc"]);
    let order = snapshot.find("shop.v1.OrderPlaced").unwrap();
    assert_eq!(snapshot.set_of(order).unwrap().name, "shop.binpb");
    assert_ne!(snapshot.sets()[0].hash, snapshot.sets()[1].hash);
    assert!(!snapshot.type_names().contains(&"google.protobuf.Timestamp"));
}

#[test]
fn a_type_is_found_with_a_leading_dot_and_by_an_any_url() {
    let folder = folder(&[("shop.binpb", SHOP)]);
    let snapshot = load(&folder.path().join("shop.binpb"), &config::Taps::default()).unwrap();
    for name in ["shop.v1.OrderPlaced", ".shop.v1.OrderPlaced", "type.googleapis.com/shop.v1.OrderPlaced"] {
        assert_eq!(&*snapshot.find(name).unwrap().name, "shop.v1.OrderPlaced", "{name}");
    }
    assert!(snapshot.find("shop.v1.Nothing").is_none());
}

#[test]
fn a_type_has_the_taps_that_exist_in_it_in_the_order_of_the_configuration() {
    let folder = folder(&[("shop.binpb", SHOP)]);
    let paths = |list: &[&str]| list.iter().map(|path| (*path).to_owned()).collect::<Vec<_>>();
    let taps = config::Taps {
        customer: paths(&["meta.tenant_id", "tenant_id"]),
        event_id: paths(&["event_id", "meta.event_id"]),
        event_time: paths(&["nowhere.at_all"]),
        ordering: paths(&["meta.tenant_id"]),
    };
    let snapshot = load(folder.path(), &taps).unwrap();
    let order = &snapshot.find("shop.v1.OrderPlaced").unwrap().taps;
    assert_eq!((&order.customer, &order.event_id, &order.ordering), (&vec![0], &vec![1], &vec![0]));
    let change = &snapshot.find("shop.v1.ChangeEvent").unwrap().taps;
    assert_eq!((&change.customer, &change.event_id, &change.event_time), (&vec![0], &vec![1], &vec![]));
    assert_eq!(snapshot.unused_taps(&taps), [("nowhere.at_all", None)]);
}

#[test]
fn a_tap_is_used_only_in_types_where_its_path_leads_to_a_single_value() {
    let folder = folder(&[("shop.binpb", SHOP), ("protobridge.binpb", OURS)]);
    // `source` is a string in the heartbeat and a message in the change event.
    let taps = config::Taps { ordering: vec!["source".into(), "items".into()], ..Default::default() };
    let snapshot = load(folder.path(), &taps).unwrap();
    assert_eq!(snapshot.find("protobridge.v1.Heartbeat").unwrap().taps.ordering, [0]);
    assert_eq!(snapshot.find("shop.v1.ChangeEvent").unwrap().taps.ordering, [0; 0]);
    let unused = snapshot.unused_taps(&taps);
    assert_eq!(unused[0].0, "items");
    assert!(unused[0].1.unwrap().to_string().ends_with("items is repeated, so it has no single value"));
}

#[test]
fn a_rule_of_heartbeats_without_the_fields_of_its_type_is_a_problem_and_an_unknown_type_is_none() {
    let folder = folder(&[("shop.binpb", SHOP)]);
    let rule = |name: &str, source: &str, sequence: Option<&str>| config::HeartbeatType {
        r#type: name.to_owned(),
        source: source.to_owned(),
        sequence: sequence.map(str::to_owned),
        ..Default::default()
    };
    let types = vec![
        rule("shop.v1.ChangeEvent", "source.nowhere", None),
        rule("shop.v1.ChangeEvent", "source", None),
        rule("shop.v1.ChangeEvent", "source.cluster", Some("after.columns")),
        rule("shop.v1.Nothing", "x", None),
        rule("shop.v1.ChangeEvent", "source.cluster", Some("transaction_id")),
    ];
    let heartbeats = config::Heartbeats { types, ..Default::default() };
    let config = config::Config {
        heartbeats,
        descriptors: config::Descriptors { path: folder.path().into(), ..Default::default() },
        ..Default::default()
    };
    let profiles = Arc::new(Profiles::new(&Default::default()));
    let snapshot = Registry::load(&config.descriptors, &config, profiles).unwrap().current();
    insta::assert_snapshot!(snapshot.heartbeat_problems().join("\n"), @"
    heartbeats.types[0].source: field path source.nowhere in shop.v1.ChangeEvent: there is no field nowhere
    heartbeats.types[1].source: field path source in shop.v1.ChangeEvent: source is a message; name one of its fields
    heartbeats.types[2].sequence: field path after.columns in shop.v1.ChangeEvent: columns is repeated, so it has no single value
    ");
    let taps = |name: &str| snapshot.find(name).unwrap().taps.heartbeats.len();
    assert_eq!((taps("shop.v1.ChangeEvent"), taps("shop.v1.OrderPlaced"), taps(HEARTBEAT)), (1, 0, 1));
}

#[test]
fn an_error_names_what_cannot_be_loaded_and_how_to_fix_it() {
    let empty = folder(&[("notes.txt", b"x")]);
    let broken = folder(&[("shop.binpb", &SHOP[..100])]);
    for (result, expected) in [
        (
            load(Path::new("/nowhere/at/all"), &Default::default()),
            "cannot read descriptors at /nowhere/at/all: No such file or directory (os error 2); it must be a folder of compiled sets, or one compiled set",
        ),
        (
            load(empty.path(), &Default::default()),
            "it has no file that ends in .desc, .binpb, .pb, .protoset, .fds or .bin, or in one of these and .gz; compile one with",
        ),
        (load(broken.path(), &Default::default()), "descriptor set shop.binpb: not a compiled FileDescriptorSet"),
    ] {
        let error = result.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

fn limited(path: &Path, max_file_bytes: u64, max_total_bytes: u64) -> config::Descriptors {
    config::Descriptors { path: path.into(), max_file_bytes, max_total_bytes, ..Default::default() }
}

fn load_limited(settings: &config::Descriptors) -> Result<Registry, Error> {
    Registry::load(settings, &config::Taps::default(), Arc::new(Profiles::new(&Default::default())))
}

#[test]
fn a_file_above_the_limit_is_not_read_and_the_other_sets_are_admitted() {
    let folder = folder(&[("shop.binpb", SHOP), ("x.pb", b"")]);
    // A sparse file, which would not fit in memory.
    fs::File::options().write(true).open(folder.path().join("x.pb")).unwrap().set_len(1 << 40).unwrap();
    let snapshot = load(folder.path(), &config::Taps::default()).unwrap();
    let names: Vec<&str> = snapshot.sets().iter().map(|set| set.name.as_str()).collect();
    assert_eq!(names, ["shop.binpb"]);
    let [refused] = snapshot.refused() else { panic!("{:?}", snapshot.refused()) };
    assert_eq!(
        refused.to_string(),
        "descriptor set x.pb: it has 1099511627776 bytes, and `descriptors.max_file_bytes` allows 33554432; remove what no event needs from the set, or raise the limit and the memory of the process with it; its types are unknown"
    );
    let alone = load(&folder.path().join("x.pb"), &config::Taps::default()).unwrap_err();
    assert!(alone.to_string().contains("it has 1099511627776 bytes"), "{alone}");
}

#[test]
fn the_largest_sets_are_refused_if_the_sets_do_not_fit_together() {
    let folder = folder(&[("a.binpb", SHOP), ("b.binpb", SHOP), ("c.binpb", OURS)]);
    let total = (SHOP.len() + OURS.len()) as u64;
    let snapshot = load_limited(&limited(folder.path(), 1 << 20, total)).unwrap().current();
    let names: Vec<&str> = snapshot.sets().iter().map(|set| set.name.as_str()).collect();
    assert_eq!(names, ["a.binpb", "c.binpb"]);
    let expected = format!(
        "descriptor set b.binpb: together with the smaller sets, it has {} bytes, and `descriptors.max_total_bytes` allows {total}; ",
        2 * SHOP.len() + OURS.len()
    );
    assert!(snapshot.refused()[0].reason.starts_with(&expected), "{}", snapshot.refused()[0].reason);
}

#[test]
fn a_new_version_above_the_limit_leaves_the_version_in_force() {
    let folder = folder(&[("shop.binpb", SHOP)]);
    let registry = load_limited(&limited(folder.path(), SHOP.len() as u64, 1 << 30)).unwrap();
    assert!(registry.is_current(&registry.hashes().unwrap()));
    fs::write(folder.path().join("shop.binpb"), [SHOP, b"\x00"].concat()).unwrap();
    let (hashes, files) = (registry.hashes().unwrap(), registry.read().unwrap());
    assert_eq!(hashes, SetHashes::of(&files));
    let snapshot = registry.admit(&files).unwrap().snapshot;
    assert!(snapshot.find("shop.v1.OrderPlaced").is_some());
    assert_eq!(snapshot.refused()[0].in_force.as_ref(), Some(&snapshot.sets()[0].hash));
    assert!(registry.admit(&files).is_none(), "the same files are offered once");
}

#[cfg(unix)]
#[test]
fn a_file_that_is_not_regular_is_not_opened() {
    let folder = folder(&[("shop.binpb", SHOP)]);
    let _socket = std::os::unix::net::UnixListener::bind(folder.path().join("x.pb")).unwrap();
    let error = load(folder.path(), &config::Taps::default()).unwrap_err().to_string();
    assert!(error.contains("x.pb: it is not a regular file"), "{error}");
}

/// Returns the set of `core.proto`, and of `ext.proto` with this text if there is one.
fn orders(extension: Option<&str>) -> Vec<u8> {
    let core = "syntax = \"proto2\"; package x; message Order { optional string id = 1; extensions 100 to 199; }";
    let extension = extension.map(|body| format!("syntax = \"proto2\"; package y; import \"core.proto\"; {body}"));
    let files = [("core.proto", Some(core)), ("ext.proto", extension.as_deref())];
    let mut set = Vec::new();
    for (name, text) in files {
        let Some(text) = text else { continue };
        let file = protox::file::File::from_source(name, text).unwrap().file_descriptor_proto().encode_to_vec();
        // Field 1 of a FileDescriptorSet.
        set.push(0x0a);
        prost::encoding::encode_varint(file.len() as u64, &mut set);
        set.extend(file);
    }
    set
}

fn json(snapshot: &Snapshot, name: &str, payload: &[u8]) -> String {
    let mut json = Vec::new();
    snapshot.find(name).unwrap().plan(ProfileId::default()).transcode(payload, &mut json).unwrap();
    String::from_utf8(json).unwrap()
}

#[test]
fn the_names_of_the_files_do_not_decide_which_extensions_a_type_knows() {
    let (core, note) = (orders(None), orders(Some("extend x.Order { optional string note = 100; }")));
    let weight = orders(Some("extend x.Order { optional int32 weight = 101; }"));
    for names in
        [["a.binpb", "b.binpb", "c.binpb"], ["c.binpb", "b.binpb", "a.binpb"], ["b.binpb", "c.binpb", "a.binpb"]]
    {
        let folder = folder(&[(names[0], &core), (names[1], &note), (names[2], &weight)]);
        let snapshot = load(folder.path(), &config::Taps::default()).unwrap();
        assert_eq!(snapshot.refused(), []);
        let json = json(&snapshot, "x.Order", b"\x0a\x01a\xa2\x06\x01n\xa8\x06\x07");
        assert_eq!(json, r#"{"id":"a","[y.note]":"n","[y.weight]":7}"#);
    }
}

#[test]
fn a_set_that_removes_or_changes_an_extension_is_refused_if_the_policy_is_refuse() {
    let core = orders(None);
    let note = orders(Some("extend x.Order { optional string note = 100; }"));
    let folder = folder(&[("core.binpb", &core), ("note.binpb", &note)]);
    let settings = config::Descriptors {
        path: folder.path().into(),
        on_break: config::OnBreak::Refuse,
        ..config::Descriptors::default()
    };
    let registry = load_limited(&settings).unwrap();
    for (note, expected) in [
        (
            Some(orders(None)),
            "it breaks consumers of the JSON: x.Order.[y.note]: extension 100 was removed (field_removed)",
        ),
        (
            Some(orders(Some("extend x.Order { optional int32 note = 100; }"))),
            "it breaks consumers of the JSON: x.Order.[y.note]: string is now int32 (type_changed)",
        ),
        (None, "its removal breaks consumers of the JSON: x.Order.[y.note]: extension 100 was removed (field_removed)"),
    ] {
        let file = |name: &str, bytes: Vec<u8>| File { name: name.to_owned(), content: Ok(bytes) };
        let mut files = vec![file("core.binpb", core.clone())];
        files.extend(note.map(|bytes| file("note.binpb", bytes)));
        let Reloaded { snapshot, changes, .. } = registry.admit(&files).unwrap();
        assert_eq!(changes, []);
        let [refused] = snapshot.refused() else { panic!("{:?}", snapshot.refused()) };
        assert!(refused.reason.starts_with(&format!("descriptor set note.binpb: {expected}; ")), "{}", refused.reason);
        assert_eq!(json(&snapshot, "x.Order", b"\xa2\x06\x01n"), r#"{"[y.note]":"n"}"#);
    }
}

/// Returns the set of one file with this text.
pub(super) fn compile(text: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file.proto"), text).unwrap();
    let mut compiler = protox::Compiler::new([folder.path()]).unwrap();
    compiler.open_file("file.proto").unwrap();
    compiler.encode_file_descriptor_set()
}

/// Returns the set of one proto2 file of the package `shared` with this text.
fn shared(body: &str) -> Vec<u8> {
    compile(&format!("syntax = \"proto2\"; package shared; {body}"))
}

#[test]
fn a_schema_hash_changes_with_the_json_of_the_type_and_not_with_other_types() {
    let order = "message Money { optional string amount = 1; } message Order { optional Money total = 1; }";
    let sets = |first: &str, other: &str| {
        let (first, other) = (shared(first), shared(other));
        let folder = folder(&[("a.binpb", &first), ("b.binpb", &other)]);
        load(folder.path(), &config::Taps::default()).unwrap()
    };
    let hashes = |snapshot: &Snapshot| {
        ["shared.Order", "shared.Money"].map(|name| snapshot.find(name).unwrap().schema_hash.to_string())
    };
    let alone = sets(order, "message Apart {}");
    let [of_order, of_money] = hashes(&alone);
    assert!(of_order != of_money && of_order.len() == 16 && of_order.bytes().all(|b| b.is_ascii_hexdigit()));
    // The set changes, and the types stay as they are.
    let beside = sets(&format!("{order} message New {{ optional Order order = 1; }}"), "message Apart {}");
    assert_eq!(hashes(&beside), [&*of_order, &*of_money]);
    // The set stays as it is, and another one changes the types.
    let marked = sets(order, "message Money { optional string amount = 1 [debug_redact = true]; }");
    assert_eq!(marked.set_of(marked.find("shared.Order").unwrap()).unwrap().hash, alone.sets()[0].hash);
    let [of_marked_order, of_marked_money] = hashes(&marked);
    assert!(of_marked_order != of_order && of_marked_money != of_money);
}

#[test]
fn of_contradicting_sets_only_the_types_that_hold_a_losing_definition_are_unknown() {
    let good = shared("message Money { optional string amount = 1; } message A { optional Money total = 1; }");
    let stale = shared(
        "message Money { optional int32 amount = 1; } message B { repeated Money totals = 1; } message C { optional B b = 1; } message Free {}",
    );
    let other = shared("message Money { optional string amount = 1; } message D { optional Money total = 1; }");
    for names in
        [["a.binpb", "b.binpb", "c.binpb"], ["c.binpb", "b.binpb", "a.binpb"], ["b.binpb", "c.binpb", "a.binpb"]]
    {
        let folder = folder(&[(names[0], &good), (names[1], &stale), (names[2], &other)]);
        let snapshot = load(folder.path(), &config::Taps::default()).unwrap();
        assert_eq!(snapshot.type_names(), ["shared.A", "shared.D", "shared.Free", "shared.Money"]);
        assert_eq!(json(&snapshot, "shared.Money", b"\x0a\x01x"), r#"{"amount":"x"}"#);
        let [refused] = snapshot.refused() else { panic!("{:?}", snapshot.refused()) };
        let text = refused.to_string();
        let start = format!("descriptor set {}: shared.Money is defined differently in ", names[1]);
        assert!(text.starts_with(&start) && text.contains("(look at field amount)"), "{text}");
        let end = "; these types are unknown because of that: shared.B, shared.C; its other types are in force";
        assert!(text.ends_with(end), "{text}");
        let why = format!("shared.C is in force nowhere, because descriptor set {} contradicts another set", names[1]);
        assert!(snapshot.why_unknown("shared.C").starts_with(&why), "{}", snapshot.why_unknown("shared.C"));
        assert_eq!(snapshot.why_unknown("shared.Z"), "no descriptor set defines shared.Z");
    }
}

#[test]
fn a_definition_that_adds_to_all_others_ends_the_contradiction_between_them() {
    let one = shared("message M { optional int32 a = 1; optional int32 b = 2; }");
    let other = shared("message M { optional int32 a = 1; optional int32 c = 3; }");
    // The order of its fields puts this set behind the other two in the order of the content.
    let both = shared("message M { optional int32 c = 3; optional int32 a = 1; optional int32 b = 2; }");
    let folder = folder(&[("a.binpb", &one), ("b.binpb", &other), ("c.binpb", &both)]);
    let snapshot = load(folder.path(), &config::Taps::default()).unwrap();
    assert_eq!(snapshot.refused(), []);
    assert_eq!(json(&snapshot, "shared.M", b"\x10\x01\x18\x02"), r#"{"b":1,"c":2}"#);
}

#[test]
fn a_set_of_the_owner_beats_one_set_that_imports_the_type() {
    let owner = shared("message T { optional string a = 1; } message U {} message V {}");
    let importer = shared("message T { optional int32 a = 1; optional int32 b = 2; } message Own {}");
    for names in [["a.binpb", "b.binpb"], ["b.binpb", "a.binpb"]] {
        let folder = folder(&[(names[0], &owner), (names[1], &importer)]);
        let snapshot = load(folder.path(), &config::Taps::default()).unwrap();
        assert_eq!(json(&snapshot, "shared.T", b"\x0a\x01x"), r#"{"a":"x"}"#);
        assert!(snapshot.find("shared.Own").is_some());
    }
}

#[test]
fn of_contradicting_definitions_the_one_that_most_sets_agree_with_serves_and_the_marks_of_the_others_hide() {
    let marked = shared("message T { optional string a = 1 [debug_redact = true]; optional string c = 3; }");
    let plain = [" message U {}", " message U {} message V {}"]
        .map(|more| shared(&format!("message T {{ optional string a = 1; optional string b = 2; }}{more}")));
    for names in [["a.binpb", "b.binpb", "c.binpb"], ["c.binpb", "b.binpb", "a.binpb"]] {
        let folder = folder(&[(names[0], &marked), (names[1], &plain[0]), (names[2], &plain[1])]);
        let profile = config::Profile { redact_marked: true, ..config::Profile::default() };
        let profiles = Profiles::new(&[("default".to_owned(), profile)].into());
        let settings = config::Descriptors { path: folder.path().into(), ..config::Descriptors::default() };
        let registry = Registry::load(&settings, &config::Taps::default(), Arc::new(profiles)).unwrap();
        let json = json(&registry.current(), "shared.T", b"\x0a\x01x\x12\x01y");
        assert_eq!(json, r#"{"a":"[REDACTED]","b":"y"}"#);
    }
}

#[test]
fn a_baseline_that_cannot_be_used_is_an_error() {
    let (sets, empty, broken) = (folder(&[("shop.binpb", SHOP)]), folder(&[]), folder(&[("x.binpb", b"x")]));
    for (path, expected) in [(empty.path(), "no descriptor set in"), (broken.path(), "descriptor set x.binpb: not a")] {
        let baseline = Some(path.to_owned());
        let settings = config::Descriptors { path: sets.path().into(), baseline, ..Default::default() };
        let error = load_limited(&settings).unwrap_err().to_string();
        assert!(error.starts_with(&format!("descriptors.baseline: {expected}")), "{error}");
    }
}

#[test]
fn released_sets_that_contradict_each_other_load() {
    let [one, other] = ["string", "int32"].map(|kind| {
        compile(&format!("syntax = \"proto3\"; package t; message T {{ {kind} a = 1; }} message Of{kind} {{}}"))
    });
    let sets = folder(&[("a.pb", &one), ("b.pb", &other)]);
    let path = sets.path().to_owned();
    let settings = config::Descriptors { baseline: Some(path.clone()), path: path.into(), ..Default::default() };
    let snapshot = load_limited(&settings).unwrap().current();
    assert!(snapshot.refused().iter().all(|refused| refused.partly), "{:?}", snapshot.refused());
    assert!(snapshot.find("t.Ofstring").is_some() && snapshot.find("t.Ofint32").is_some());
}
