//! The limits on the sizes of sets.

use super::*;

#[tokio::test(start_paused = true)]
async fn limits_apply_as_in_a_folder() {
    let (a, b) = (set("A", ""), set("B", ""));
    let mut limited = config("s3://acme");
    limited.descriptors.max_file_bytes = 1_000;
    limited.descriptors.max_total_bytes = 2_500;
    let bomb = gzip(&vec![0; 1 << 17]);
    let objects: [(&str, Vec<u8>); 6] = [
        ("a.binpb", a),
        ("b.binpb", b),
        ("bomb.binpb.gz", bomb),
        ("half.binpb.gz", gzip(&set("C", ""))[..30].to_vec()),
        ("large.binpb", vec![0; 1_001]),
        ("last.binpb", vec![0; 1_000]),
    ];
    let mut world = World::start(limited, &objects).await;
    assert_eq!(world.types(), ["a.A", "b.B"]);
    let refused = world.refused();
    for (index, (name, reason)) in [
        ("bomb.binpb.gz", "at least 1001 bytes after it is decompressed, and `descriptors.max_file_bytes` allows 1000"),
        ("half.binpb.gz", "it starts like gzip, and it cannot be decompressed"),
        ("large.binpb", "it has 1001 bytes, and `descriptors.max_file_bytes` allows 1000"),
        ("last.binpb", "not a compiled FileDescriptorSet"),
    ]
    .into_iter()
    .enumerate()
    {
        let text = &refused[index];
        assert!(text.starts_with(&format!("descriptor set {name}: ")) && text.contains(reason), "{text}");
    }
    assert_eq!(world.poll().await, ("unchanged".to_owned(), vec!["LIST ".to_owned()]));
    // Refused objects are read again together with a change, apart from those that the list shows to be too large.
    world.bucket.put("a.binpb", set("A", "int32 x = 1;"));
    let (found, mut calls) = world.poll().await;
    calls[1..].sort();
    assert_eq!(found, ADMITTED);
    assert_eq!(calls, ["LIST ", "GET a.binpb", "GET bomb.binpb.gz", "GET half.binpb.gz", "GET last.binpb"]);
    // The sets in force count as much as those that were just read.
    for index in 0..3 {
        world.bucket.put(&format!("z{index}.binpb"), vec![0; 900]);
    }
    assert_eq!(world.found().await, ADMITTED);
    let too_many = "together with the smaller sets, it has";
    assert_eq!(world.refused().iter().filter(|text| text.contains(too_many)).count(), 2, "{:?}", world.refused());
    assert_eq!(world.types(), ["a.A", "b.B"]);
}

#[tokio::test(start_paused = true)]
async fn the_limits_refuse_the_same_sets_as_in_a_folder() {
    let mut random = fastrand::Rng::with_seed(20);
    for round in 0..30 {
        let folder = tempfile::tempdir().unwrap();
        let mut limits = config("s3://acme");
        limits.descriptors.max_file_bytes = random.u64(60..400);
        limits.descriptors.max_total_bytes = random.u64(100..1_500);
        let mut objects = Vec::new();
        for index in 0..random.usize(2..12) {
            let fields: String =
                (1..=random.usize(1..12)).map(|number| format!("int32 field{number} = {number};")).collect();
            let bytes = set(&format!("M{index}"), &fields);
            let bytes = if random.bool() { gzip(&bytes) } else { bytes };
            let name = format!("{}.binpb", random.alphanumeric().to_string() + &index.to_string());
            std::fs::write(folder.path().join(&name), &bytes).unwrap();
            objects.push((name, bytes));
        }
        let bucket = Double::default();
        let (first, second) = objects.split_at(random.usize(1..objects.len()));
        first.iter().for_each(|(name, bytes)| bucket.put(name, bytes.clone()));
        let mut objects = Objects::new(&limits, &bucket.clients()).unwrap().unwrap();
        let in_force = match registry_of(&limits, &objects.read().await.unwrap()) {
            Ok(registry) => registry.current(),
            // No set fits.
            Err(_) => Snapshot::empty(),
        };
        // The rest arrives later, so that some bytes come from the snapshot.
        second.iter().for_each(|(name, bytes)| bucket.put(name, bytes.clone()));
        let Polled::Read(Read { files: found, .. }) = objects.poll(Some(&in_force)).await.unwrap() else {
            panic!("the rest was not noticed")
        };
        limits.descriptors.path = folder.path().into();
        let expected = files::read(&limits.descriptors).unwrap();
        assert_eq!(SetHashes::of(&found), SetHashes::of(&expected), "round {round}: {found:?}");
    }
}
