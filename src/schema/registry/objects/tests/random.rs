//! Random changes and faults: afterwards, every process has what a new process would read.

use super::*;

/// Makes one change that owners of sets, or the store, can make.
fn change(random: &mut fastrand::Rng, state: &mut crate::aws::s3::double::State) {
    let number = random.u8(0..6);
    let key = format!("sets/{number}.binpb");
    match random.u8(0..20) {
        0..9 => {
            let fields = random.usize(1..4);
            let fields: String = (1..=fields).map(|field| format!("int32 f{field} = {field};")).collect();
            let bytes = set(&format!("M{number}"), &fields);
            state.put(&key, if random.bool() { gzip(&bytes) } else { bytes });
        }
        9..12 => state.put(&key, b"not a set".to_vec()),
        12..15 => state.delete(&key),
        15 => state.keys().iter().for_each(|key| state.delete(key)),
        16 => state.denies_lists = !state.denies_lists,
        17 => state.is_down = !state.is_down,
        _ if state.denied.remove(&key) => {}
        _ => drop(state.denied.insert(key)),
    }
}

#[tokio::test(start_paused = true)]
async fn processes_agree_with_a_new_one_two_polls_after_the_last_change() {
    for seed in 0..60 {
        let mut random = fastrand::Rng::with_seed(seed);
        let config = config("s3://acme/sets");
        let bucket = Double::default();
        bucket.put("sets/0.binpb", set("M0", ""));
        let mut worlds = Vec::new();
        for _ in 0..2 {
            worlds.push(World::join(bucket.clone(), config.clone()).await.unwrap());
        }
        for _ in 0..random.usize(1..25) {
            bucket.change(|state| {
                change(&mut random, state);
                if random.u8(0..3) == 0 {
                    let mut later = fastrand::Rng::with_seed(random.u64(..));
                    state.after_list.push_back(Box::new(move |state| change(&mut later, state)));
                }
            });
            // The processes poll at different moments.
            for world in &mut worlds {
                if random.bool() {
                    let _found = world.poll().await;
                }
            }
        }
        bucket.change(|state| {
            state.after_list.clear();
            state.denied.clear();
            set_faults(state, false, false, false);
        });
        for world in &mut worlds {
            for _ in 0..2 {
                let _found = world.poll().await;
            }
            assert_eq!(world.found().await, "unchanged", "seed {seed}");
        }
        compare(&worlds, bucket, config, seed).await;
    }
}

async fn compare(worlds: &[World], bucket: Double, config: Config, seed: u64) {
    let mut objects = Objects::new(&config, &bucket.clients()).unwrap().unwrap();
    let Ok(files) = objects.read().await else {
        assert!(worlds.iter().all(|world| world.types().is_empty()), "seed {seed}: there is no set any more");
        return;
    };
    let versions = |objects: &Objects| -> Vec<_> {
        let known = objects.known().iter();
        known.map(|(name, known)| (name.clone(), known.etag.clone(), known.hash.clone())).collect()
    };
    for world in worlds {
        assert!(world.registry.is_current(&SetHashes::of(&files)), "seed {seed}");
        assert_eq!(versions(&world.objects), versions(&objects), "seed {seed}");
    }
    let Ok(fresh) = registry_of(&config, &files) else { return };
    let hashes = |snapshot: &Snapshot| -> Vec<_> {
        snapshot.sets().iter().map(|set| (set.name.clone(), Arc::clone(&set.hash))).collect()
    };
    // A new process does not know the earlier versions of sets that do not link.
    if fresh.current().refused().is_empty() {
        for world in worlds {
            assert_eq!(hashes(&world.registry.current()), hashes(&fresh.current()), "seed {seed}");
            assert_eq!(world.types(), fresh.current().type_names(), "seed {seed}");
        }
    }
}
