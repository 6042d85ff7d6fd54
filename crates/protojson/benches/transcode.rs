//! Runs every set of the corpus through every rival, with criterion: `cargo bench -p protojson --bench transcode`.
//!
//! Use this bench to compare with an earlier run. To compare the rivals with each other, use `ratios`, which is more
//! stable.

#[path = "../corpus/corpus.rs"]
mod corpus;
mod rivals;

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn transcode(criterion: &mut Criterion) {
    for set in corpus::sets() {
        let rivals = rivals::all(&set);
        rivals::check(&set, &rivals);
        let mut group = criterion.benchmark_group(set.name);
        group.throughput(Throughput::Bytes(set.payloads.iter().map(|payload| payload.len() as u64).sum()));
        for rival in &rivals {
            let mut json = Vec::new();
            group.bench_function(rival.name, |bencher| {
                bencher.iter(|| {
                    for payload in &set.payloads {
                        json.clear();
                        (rival.transcode)(black_box(payload), &mut json);
                        black_box(&json);
                    }
                });
            });
        }
        group.finish();
    }
}

criterion_group!(benches, transcode);
criterion_main!(benches);
