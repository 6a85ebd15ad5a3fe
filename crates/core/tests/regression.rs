//! The regression gate: what an index of the sample set costs and finds, against `regression/committed.txt`.
//!
//! Most figures depend on the code alone. Two are ratios of times taken in one process, with wide margins.
//! CONTRIBUTING.md says how the committed values are updated.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic")]

#[path = "regression/allocations.rs"]
mod allocations;
mod common;
#[path = "regression/table.rs"]
mod table;
#[path = "regression/times.rs"]
mod times;

use std::sync::LazyLock;

use common::data::Photos;
use common::{add_in_batches, nearest};
use table::{Measured, check};
use vicinal_core::{Dtype, Index, Options, Work};

static PHOTOS: LazyLock<Photos> = LazyLock::new(Photos::read);

const K: usize = 10;
const EFS: [usize; 3] = [24, 64, 200];
/// Where the cost of a search is taken.
const EF: usize = 64;

/// How the rows come into the graph.
#[derive(Clone, Copy)]
enum Method {
    Bulk,
    Insert,
}

/// An index of all rows, whose graph is still to be made.
fn waiting(threads: usize) -> Index {
    waiting_as(Dtype::F32, threads)
}

fn waiting_as(dtype: Dtype, threads: usize) -> Index {
    let threads = Some(threads);
    let options = Options { dtype, threads, auto_migrate: false, seed: 1, ..Options::new(Photos::DIMENSIONS) };
    let index = Index::new(options).unwrap();
    add_in_batches(&index, &PHOTOS.base, Photos::DIMENSIONS, 10_000);
    index
}

fn migrate(index: &Index, method: Method) {
    match method {
        Method::Bulk => assert!(index.migrate(&Work::default()).unwrap().vectors > 0),
        Method::Insert => while index.migrate_step(1_000).unwrap() > 0 {},
    }
    let name = match method {
        Method::Bulk => "bulk",
        Method::Insert => "insert",
    };
    assert_eq!(index.migration().method, Some(name));
}

fn recall(index: &Index, ef: usize) -> f64 {
    let hits = index.search_batch(PHOTOS.queries.clone(), &nearest(K, ef), &Work::default()).unwrap();
    let answers = hits.distances.chunks(K).enumerate();
    let sum: f64 = answers.map(|(number, found)| PHOTOS.recall(number, K, found)).sum();
    sum / PHOTOS.queries().len() as f64
}

/// Searches for every query on this thread.
fn search_all(index: &Index, ef: usize) {
    let (mut ids, mut distances) = ([0; K], [0.0; K]);
    for query in PHOTOS.queries() {
        assert_eq!(index.search_into(query, &nearest(K, ef), &mut ids, &mut distances).unwrap(), K);
    }
}

/// What depends neither on the machine nor on the instruction set: products of codes are whole numbers.
fn measure(name: &str, dtype: Dtype, method: Method) -> Vec<Measured> {
    let index = waiting_as(dtype, 2);
    migrate(&index, method);
    let hash = index.graph_hash();
    let other = waiting_as(dtype, 1);
    migrate(&other, method);
    assert_eq!(hash, other.graph_hash(), "{name}: the graph by 2 threads and by 1");

    let (rows, queries) = (index.len() as f64, PHOTOS.queries().len() as f64);
    let built = index.evaluations();
    let mut figures = vec![
        Measured::hash(format!("{name}: hash of the graph"), hash),
        Measured::number(format!("{name}: distances to build, a row"), built as f64 / rows),
        Measured::number(format!("{name}: bytes a vector"), index.stats().unwrap().bytes.total as f64 / rows),
    ];
    for ef in EFS {
        figures.push(Measured::number(format!("{name}: recall@{K} at ef {ef}"), recall(&index, ef)));
    }
    let before = index.evaluations();
    search_all(&index, EF);
    let searched = (index.evaluations() - before) as f64;
    figures.push(Measured::number(format!("{name}: distances a query at ef {EF}"), searched / queries));
    let allocations = allocations::count(|| search_all(&index, EF));
    figures.push(Measured::number(format!("{name}: allocations a query"), allocations as f64 / queries));
    figures
}

#[test]
fn nothing_costs_more_or_finds_less_than_what_is_committed() {
    let mut figures = measure("bulk", Dtype::F32, Method::Bulk);
    figures.extend(measure("insert", Dtype::F32, Method::Insert));
    figures.extend(measure("u8, bulk", Dtype::U8, Method::Bulk));
    check(&figures);
}

/// Only at the levels whose kernels the bounds were measured with; under an emulator times say nothing.
#[test]
fn nothing_takes_much_longer_than_what_is_committed() {
    let level = waiting(1).stats().unwrap().simd;
    if !["avx512", "avx2"].contains(&level) {
        return;
    }
    check(&[
        Measured::number(format!("{level}: bulk build over copy and scan"), times::build_ratio()),
        Measured::number(format!("{level}: search at ef {EF} over exact scan"), times::search_ratio()),
    ]);
}
