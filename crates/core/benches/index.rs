//! Times what an index does, on the 20,000 rows of examples/data and through the public interface:
//! `cargo bench -p vicinal-core --bench index`. Recall is not looked at here; benches/README.md says what compares it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a benchmark that cannot run may panic")]

use std::hint::black_box;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use sample::Rows;
use vicinal_core::{SearchOptions, Work};

mod sample;

const K: usize = 10;
/// A graph begins there.
const THRESHOLD: usize = 5_000;

/// From rows in memory to the finished graph; the time of a row is that of an element.
fn build(criterion: &mut Criterion) {
    let base = Rows::base();
    let mut group = criterion.benchmark_group("build");
    group.sample_size(10).throughput(Throughput::Elements(base.len() as u64));
    group.bench_function(base.len().to_string(), |bencher| bencher.iter(|| base.graph()));
}

/// One row more than an exact index may have, until all are in the graph.
fn migration(criterion: &mut Criterion) {
    let base = Rows::base();
    let mut group = criterion.benchmark_group("migration");
    group.sample_size(20).throughput(Throughput::Elements(THRESHOLD as u64));
    group.bench_function(THRESHOLD.to_string(), |bencher| {
        let below = || {
            let index = base.index();
            base.add_to(&index, 0, THRESHOLD - 1);
            index
        };
        let cross = |index| {
            base.add_to(&index, THRESHOLD - 1, THRESHOLD);
            index.migrate(&Work::default()).unwrap();
            index
        };
        bencher.iter_batched(below, cross, BatchSize::PerIteration);
    });
}

/// One query after the other.
fn search(criterion: &mut Criterion) {
    let (index, queries) = (Rows::base().graph(), Rows::queries());
    let mut group = criterion.benchmark_group("search");
    for ef in [40, 80, 200] {
        let options = SearchOptions { k: K, ef: Some(ef), ..SearchOptions::default() };
        let mut queries = queries.iter().cycle();
        group.bench_function(BenchmarkId::new("ef", ef), |bencher| {
            let (mut keys, mut distances) = ([0; K], [0.0; K]);
            bencher.iter(|| {
                let query = queries.next().unwrap();
                index.search_into(query, &options, &mut keys, &mut distances).unwrap();
                black_box(&keys);
            });
        });
    }
}

/// Every row compared with one query, and with many at once; the time of a query is that of an element.
fn scan(criterion: &mut Criterion) {
    let (base, queries) = (Rows::base(), Rows::queries());
    let index = base.graph();
    let options = SearchOptions { k: K, exact: true, ..SearchOptions::default() };
    let mut group = criterion.benchmark_group("scan");
    group.throughput(Throughput::Elements(1));
    let mut one = queries.iter().cycle();
    group.bench_function("one", |bencher| {
        let (mut keys, mut distances) = ([0; K], [0.0; K]);
        bencher.iter(|| {
            index.search_into(one.next().unwrap(), &options, &mut keys, &mut distances).unwrap();
            black_box(&keys);
        });
    });
    group.throughput(Throughput::Elements(queries.len() as u64));
    group.bench_function("batch", |bencher| {
        let all = || queries.values.clone();
        let ask = |all| index.search_batch(all, &options, &Work::default()).unwrap();
        bencher.iter_batched(all, ask, BatchSize::LargeInput);
    });
}

criterion_group!(benches, build, migration, search, scan);
criterion_main!(benches);
