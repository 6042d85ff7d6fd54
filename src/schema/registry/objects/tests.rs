use std::io::Write as _;

use super::*;
use crate::aws::s3::double::Double;
use crate::config::Taps;
use crate::schema::registry::tests::compile;
use crate::schema::registry::{Profiles, Registry, SetHashes};

mod limits;
mod random;

/// A bucket, and one process that follows it.
struct World {
    bucket: Double,
    objects: Objects,
    registry: Registry,
}

fn config(url: &str) -> Config {
    let mut config = Config::default();
    config.descriptors.path = url.into();
    config
}

/// Returns the set of one message with these fields.
fn set(message: &str, fields: &str) -> Vec<u8> {
    compile(&format!("syntax = \"proto3\"; package {0}; message {message} {{ {fields} }}", message.to_lowercase()))
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn registry_of(config: &Config, files: &[File]) -> Result<Registry, Error> {
    let profiles = Arc::new(Profiles::new(&Default::default()));
    Registry::of(files, &config.descriptors, &Taps::default(), profiles)
}

impl World {
    /// Starts a process with these objects.
    async fn start(config: Config, objects: &[(&str, Vec<u8>)]) -> Self {
        let bucket = Double::default();
        for (key, bytes) in objects {
            bucket.put(key, bytes.clone());
        }
        Self::join(bucket, config).await.unwrap()
    }

    /// Starts a process beside others.
    async fn join(bucket: Double, config: Config) -> Result<Self, Error> {
        let mut objects = Objects::new(&config, &bucket.clients())?.unwrap();
        let files = objects.read().await?;
        let registry = registry_of(&config, &files)?;
        bucket.calls();
        Ok(Self { bucket, objects, registry })
    }

    /// Polls, and admits what was read. Returns what the poll found, and the requests that it made.
    async fn poll(&mut self) -> (String, Vec<String>) {
        let polled = self.objects.poll(Some(&self.registry.current())).await;
        let found = match polled {
            Ok(Polled::Unchanged) => "unchanged".to_owned(),
            Ok(Polled::Emptied) => "emptied".to_owned(),
            Ok(Polled::Failing(errors)) => format!("still failed: {}", errors.len()),
            Ok(Polled::Read(Read { files, failed, replaced })) => {
                let is_new = self.registry.admit(&files).is_some();
                format!("new: {is_new}, failed: {}, replaced: {replaced}", failed.len())
            }
            Err(error) => error.to_string(),
        };
        (found, self.bucket.calls())
    }

    /// Polls, and returns what was found.
    async fn found(&mut self) -> String {
        self.poll().await.0
    }

    fn types(&self) -> Vec<String> {
        self.registry.current().type_names().into_iter().map(str::to_owned).collect()
    }

    fn refused(&self) -> Vec<String> {
        self.registry.current().refused().iter().map(ToString::to_string).collect()
    }
}

const ADMITTED: &str = "new: true, failed: 0, replaced: 0";
const SAME: &str = "new: false, failed: 0, replaced: 0";

#[tokio::test(start_paused = true)]
async fn the_sets_of_a_prefix_have_the_names_that_they_have_in_a_folder() {
    let a = set("A", "");
    let objects: [(&str, Vec<u8>); 9] = [
        ("sets/a.binpb", a.clone()),
        ("sets/team x/b+c.desc.gz", gzip(&set("B", ""))),
        ("sets/.hidden/c.binpb", b"x".to_vec()),
        ("sets/.d.binpb", b"x".to_vec()),
        ("sets/readme.md", b"x".to_vec()),
        ("sets/e.proto", b"x".to_vec()),
        ("sets/", Vec::new()),
        ("setsf.binpb", b"x".to_vec()),
        ("g.binpb", b"x".to_vec()),
    ];
    for url in ["s3://acme/sets", "s3://acme/sets/"] {
        let mut world = World::start(config(url), &objects).await;
        let snapshot = world.registry.current();
        let names: Vec<&str> = snapshot.sets().iter().map(|set| set.name.as_str()).collect();
        assert_eq!(names, ["a.binpb", "team x/b+c.desc.gz"]);
        assert_eq!((world.types(), world.refused()), (vec!["a.A".to_owned(), "b.B".to_owned()], Vec::new()));
        let warning = world.objects.source_warning().unwrap();
        assert!(warning.starts_with("e.proto is a source") && warning.ends_with("out of s3://acme/sets"), "{warning}");
        assert_eq!(world.poll().await, ("unchanged".to_owned(), vec!["LIST sets/".to_owned()]));
        let known = &world.objects.known()["a.binpb"];
        assert_eq!((known.etag.as_deref(), known.version.as_deref()), (Some("e1"), Some("v1")));
        assert_eq!(known.hash.as_deref(), Some(&*files::hash(&a)));
    }
}

#[tokio::test(start_paused = true)]
async fn only_objects_whose_etag_has_changed_are_read() {
    let mut world = World::start(config("s3://acme"), &[("a.binpb", set("A", "")), ("b.binpb", set("B", ""))]).await;
    world.bucket.put("b.binpb", set("B", "int32 x = 1;"));
    world.bucket.put("c.binpb", set("C", ""));
    let (found, mut calls) = world.poll().await;
    calls[1..].sort();
    assert_eq!(
        (found.as_str(), calls),
        (ADMITTED, ["LIST ", "GET b.binpb", "GET c.binpb"].map(str::to_owned).to_vec())
    );
    assert_eq!(world.types(), ["a.A", "b.B", "c.C"]);
    assert_eq!(world.found().await, "unchanged");
    world.bucket.delete("a.binpb");
    assert_eq!(world.poll().await, (ADMITTED.to_owned(), vec!["LIST ".to_owned()]));
    assert_eq!(world.types(), ["b.B", "c.C"]);
}

#[tokio::test(start_paused = true)]
async fn the_same_bytes_with_another_etag_change_nothing() {
    let mut world = World::start(config("s3://acme/sets"), &[("sets/a.binpb", set("A", ""))]).await;
    let before = world.registry.current();
    world.bucket.put("sets/a.binpb", set("A", ""));
    assert_eq!(world.poll().await, (SAME.to_owned(), vec!["LIST sets/".to_owned(), "GET sets/a.binpb".to_owned()]));
    assert!(Arc::ptr_eq(&before, &world.registry.current()));
    assert_eq!(world.objects.known()["a.binpb"].etag.as_deref(), Some("e2"));
    assert_eq!(world.found().await, "unchanged");
}

#[tokio::test(start_paused = true)]
async fn an_object_that_is_replaced_after_the_list_keeps_its_version_until_the_next_poll() {
    let mut world = World::start(config("s3://acme"), &[("a.binpb", set("A", "")), ("b.binpb", set("B", ""))]).await;
    world.bucket.change(|state| {
        state.put("a.binpb", set("A", "int32 x = 1;"));
        state.put("c.binpb", set("C", ""));
        state.put("d.binpb", set("D", ""));
        state.after_list.push_back(Box::new(|state| {
            state.put("a.binpb", set("A", "int32 x = 1; int32 y = 2;"));
            state.delete("b.binpb");
            state.put("c.binpb", set("C", "int32 x = 1;"));
        }));
    });
    assert_eq!(world.found().await, "new: true, failed: 0, replaced: 2");
    assert_eq!(world.types(), ["a.A", "b.B", "d.D"], "c is new, so it is left out");
    assert_eq!(world.registry.current().sets()[0].hash.as_ref(), files::hash(&set("A", "")));
    assert_eq!(world.found().await, ADMITTED);
    assert_eq!(world.types(), ["a.A", "c.C", "d.D"]);
    assert_eq!(world.found().await, "unchanged");
}

#[tokio::test(start_paused = true)]
async fn an_object_that_is_deleted_after_the_list_keeps_its_version_until_the_next_poll() {
    let mut world = World::start(config("s3://acme"), &[("a.binpb", set("A", "")), ("b.binpb", set("B", ""))]).await;
    world.bucket.change(|state| {
        state.put("b.binpb", set("B", "int32 x = 1;"));
        state.after_list.push_back(Box::new(|state| state.delete("b.binpb")));
    });
    assert_eq!(world.found().await, "new: false, failed: 0, replaced: 1");
    assert_eq!(world.types(), ["a.A", "b.B"]);
    assert_eq!(world.found().await, ADMITTED);
    assert_eq!(world.types(), ["a.A"]);
}

#[tokio::test(start_paused = true)]
async fn a_denied_object_keeps_its_version_and_no_other_set_from_being_admitted() {
    let mut world = World::start(config("s3://acme"), &[("a.binpb", set("A", "")), ("b.binpb", set("B", ""))]).await;
    world.bucket.change(|state| {
        state.denied.insert("a.binpb".to_owned());
        state.put("a.binpb", set("A", "int32 x = 1;"));
        state.put("b.binpb", set("B", "int32 x = 1;"));
    });
    for (expected, requests) in
        [("new: true, failed: 1, replaced: 0", 3), ("still failed: 1", 2), ("still failed: 1", 2)]
    {
        let (found, calls) = world.poll().await;
        assert_eq!((found.as_str(), calls.len()), (expected, requests), "{calls:?}");
        let hashes: Vec<String> = world.registry.current().sets().iter().map(|set| set.hash.to_string()).collect();
        assert_eq!(hashes, [files::hash(&set("A", "")), files::hash(&set("B", "int32 x = 1;"))]);
    }
    world.bucket.change(|state| state.denied.clear());
    assert_eq!(world.found().await, ADMITTED);
    assert_eq!(world.found().await, "unchanged");
}

#[tokio::test(start_paused = true)]
async fn a_bucket_that_does_not_answer_changes_nothing() {
    let mut world = World::start(config("s3://acme/sets"), &[("sets/a.binpb", set("A", ""))]).await;
    world.bucket.put("sets/b.binpb", set("B", ""));
    for (change, expected) in [
        (Box::new(|state: &mut _| set_faults(state, true, false, false)) as Box<dyn Fn(&mut _)>, "InternalError"),
        (
            Box::new(|state: &mut _| set_faults(state, false, true, false)),
            "AccessDenied: scripted; allow s3:ListBucket on arn:aws:s3:::acme with the prefix sets/; ",
        ),
        (
            Box::new(|state: &mut _| set_faults(state, false, false, true)),
            "NoSuchBucket: scripted; create the bucket, or correct `descriptors.path`",
        ),
    ] {
        world.bucket.change(|state| change(state));
        let found = world.found().await;
        assert!(found.starts_with("cannot list s3://acme/sets in the region eu-west-1: "), "{found}");
        assert!(found.contains(expected), "{found}");
        assert_eq!(world.types(), ["a.A"]);
    }
    world.bucket.change(|state| set_faults(state, false, false, false));
    assert_eq!(world.found().await, ADMITTED);
    assert_eq!(world.types(), ["a.A", "b.B"]);
}

fn set_faults(state: &mut crate::aws::s3::double::State, is_down: bool, denies_lists: bool, is_missing: bool) {
    (state.is_down, state.denies_lists, state.is_missing) = (is_down, denies_lists, is_missing);
}

#[tokio::test(start_paused = true)]
async fn a_prefix_without_sets_removes_them_with_the_second_poll() {
    let mut world = World::start(config("s3://acme/sets"), &[("sets/a.binpb", set("A", ""))]).await;
    world.bucket.delete("sets/a.binpb");
    assert_eq!(world.found().await, "emptied");
    assert_eq!(world.types(), ["a.A"]);
    // A list that does not arrive confirms nothing.
    world.bucket.change(|state| state.is_down = true);
    assert!(world.found().await.contains("InternalError"));
    world.bucket.change(|state| state.is_down = false);
    assert_eq!(world.found().await, "emptied", "the two empty lists must follow each other");
    assert_eq!(world.found().await, ADMITTED);
    assert!(world.types().is_empty());
    assert_eq!(world.found().await, "unchanged");
    world.bucket.put("sets/a.binpb", set("A", ""));
    assert_eq!(world.found().await, ADMITTED);
    world.bucket.delete("sets/a.binpb");
    assert_eq!(world.found().await, "emptied");
    world.bucket.put("sets/a.binpb", set("A", ""));
    assert_eq!(world.found().await, SAME, "the list was a mistake");
    world.bucket.delete("sets/a.binpb");
    assert_eq!(world.found().await, "emptied", "the next empty list is a new one");
}

#[tokio::test(start_paused = true)]
async fn of_ten_thousand_objects_only_the_changed_one_is_read() {
    let bucket = Double::default();
    let shared = set("Shared", "");
    for index in 0..10_000 {
        bucket.put(&format!("sets/{index:05}.binpb"), shared.clone());
    }
    let mut world = World::join(bucket, config("s3://acme/sets")).await.unwrap();
    assert_eq!(world.registry.current().sets().len(), 10_000);
    let list = || vec!["LIST sets/".to_owned(); 10];
    assert_eq!(world.poll().await, ("unchanged".to_owned(), list()));
    world.bucket.put("sets/09999.binpb", set("New", ""));
    let expected: Vec<String> = list().into_iter().chain(["GET sets/09999.binpb".to_owned()]).collect();
    assert_eq!(world.poll().await, (ADMITTED.to_owned(), expected));
    assert_eq!(world.types(), ["new.New", "shared.Shared"]);
}

#[tokio::test(start_paused = true)]
async fn one_object_is_read_if_it_has_changed() {
    let mut world = World::start(config("s3://acme/team/a.binpb"), &[("team/a.binpb", set("A", ""))]).await;
    assert_eq!(world.registry.current().sets()[0].name, "a.binpb");
    let get = vec!["GET team/a.binpb".to_owned()];
    assert_eq!(world.poll().await, ("unchanged".to_owned(), get.clone()));
    world.bucket.put("team/a.binpb", set("A", ""));
    assert_eq!(world.poll().await, (SAME.to_owned(), get.clone()));
    world.bucket.put("team/a.binpb", set("A", "int32 x = 1;"));
    assert_eq!(world.poll().await, (ADMITTED.to_owned(), get.clone()));
    world.bucket.put("team/a.binpb", vec![0; 40 << 20]);
    assert_eq!(world.poll().await, (ADMITTED.to_owned(), get.clone()));
    assert!(world.refused()[0].contains("it has 41943040 bytes"), "{:?}", world.refused());
    assert_eq!(world.poll().await, (SAME.to_owned(), get));
    world.bucket.delete("team/a.binpb");
    let found = world.found().await;
    assert!(found.contains("NoSuchKey: scripted; upload the object, or correct `descriptors.path`"), "{found}");
    assert_eq!(world.types(), ["a.A"]);
    world.bucket.change(|state| state.denied.insert("team/a.binpb".to_owned()));
    let found = world.found().await;
    let way_out =
        "allow s3:GetObject on arn:aws:s3:::acme/team/a.binpb and, if a KMS key encrypts the objects, kms:Decrypt";
    assert!(found.contains(way_out), "{found}");
}

#[tokio::test(start_paused = true)]
async fn a_start_needs_every_set() {
    let bucket = Double::default();
    let start = async || World::join(bucket.clone(), config("s3://acme/sets")).await.map(|world| world.types());
    let error = start().await.unwrap_err();
    assert!(error.to_string().starts_with("no descriptor set in s3://acme/sets: ") && error.is_of_bucket(), "{error}");
    bucket.put("sets/a.binpb", set("A", ""));
    bucket.put("sets/b.binpb", set("B", ""));
    bucket.change(|state| state.denied.insert("sets/b.binpb".to_owned()));
    let error = start().await.unwrap_err();
    assert!(error.to_string().starts_with("cannot read s3://acme/sets/b.binpb in the region eu-west-1: "), "{error}");
    assert!(error.is_of_bucket());
    bucket.change(|state| state.denied.clear());
    // Objects that are replaced meanwhile are read again.
    for index in 0..2 {
        bucket.change(|state| {
            state
                .after_list
                .push_back(Box::new(move |state| state.put("sets/b.binpb", set("B", &format!("int32 x{index} = 1;")))));
        });
    }
    assert_eq!(start().await.unwrap(), ["a.A", "b.B"]);
    // If S3 returns none of many objects, the start does not try all of them.
    for index in 0..3 * CONCURRENT {
        bucket.change(|state| {
            state.put(&format!("sets/{index}.binpb"), set("A", ""));
            state.denied.insert(format!("sets/{index}.binpb"));
        });
    }
    bucket.calls();
    start().await.unwrap_err();
    let calls = bucket.calls();
    assert!(calls.len() < 2 * CONCURRENT, "{calls:?}");
}

#[tokio::test(start_paused = true)]
async fn a_bucket_that_returns_no_object_ends_the_poll_and_the_next_one_reads_them() {
    let mut world = World::start(config("s3://acme"), &[("a.binpb", set("A", ""))]).await;
    world.bucket.change(|state| {
        state.returns_no_object = true;
        for index in 0..20 * CONCURRENT {
            state.put(&format!("b{index}.binpb"), set("B", ""));
        }
    });
    let (found, calls) = world.poll().await;
    assert!(found.contains("SlowDown"), "{found}");
    let attempts = Config::default().aws.max_attempts as usize;
    assert!(calls.len() < 3 * attempts * CONCURRENT, "{} calls", calls.len());
    assert_eq!(world.types(), ["a.A"]);
    world.bucket.change(|state| state.returns_no_object = false);
    assert_eq!(world.found().await, ADMITTED);
    assert_eq!(world.types(), ["a.A", "b.B"]);
}
