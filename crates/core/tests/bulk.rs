//! Building a graph of many rows at once, as callers see it: its progress, its end by a signal, and answers by rows.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic")]

mod common;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use common::data::normal_rows;
use common::{METRICS, add_in_batches, exactly, graph_of, nearest};
use vicinal_core::{Error, Ids, Index, Metric, Options, Phase, Progress, Work};

const DIMENSIONS: usize = 32;
const ROWS: usize = 20_000;

/// An index whose rows wait to be moved.
fn waiting() -> Index {
    let options = Options { threshold: Some(0), auto_migrate: false, threads: Some(2), ..Options::new(DIMENSIONS) };
    let index = Index::new(options).unwrap();
    add_in_batches(&index, &normal_rows(DIMENSIONS, ROWS, 3), DIMENSIONS, ROWS);
    index
}

#[test]
fn progress_goes_through_all_phases_and_never_back() {
    let index = waiting();
    let told: Arc<Mutex<Vec<Progress>>> = Arc::default();
    let telling = told.clone();
    let on_progress = Arc::new(move |progress| telling.lock().unwrap().push(progress));
    index.migrate(&Work { on_progress: Some(on_progress), ..Work::default() }).unwrap();
    assert_eq!(index.migration().method, Some("bulk"));
    let told = told.lock().unwrap();
    assert!(told.iter().all(|progress| progress.total == ROWS && progress.done <= ROWS));
    assert!(told.is_sorted_by_key(|progress| progress.done));
    let mut phases: Vec<Phase> = told.iter().map(|progress| progress.phase).collect();
    phases.dedup();
    assert_eq!(phases, [Phase::Partition, Phase::Leaves, Phase::Merge, Phase::Swap]);
    assert_eq!((told[0].done, told[told.len() - 1].done), (0, ROWS));
    let steps = told.windows(2).map(|pair| pair[1].done - pair[0].done);
    assert!(steps.max().unwrap() < ROWS / 5, "it is told in small steps");
}

/// How long a migration went on after its signal, which came with the first report of `phase` from `from` rows on.
fn stopped_at(index: &Index, phase: Phase, from: usize) -> Duration {
    let (cancelled, at) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(None)));
    let (cancelling, noting) = (cancelled.clone(), at.clone());
    let on_progress = move |progress: Progress| {
        if progress.phase == phase && progress.done >= from && !cancelling.swap(true, Ordering::Relaxed) {
            *noting.lock().unwrap() = Some(Instant::now());
        }
    };
    let work = Work { cancelled: Some(cancelled), on_progress: Some(Arc::new(on_progress)) };
    assert!(matches!(index.migrate(&work), Err(Error::Cancelled)), "{phase:?}");
    at.lock().unwrap().unwrap().elapsed()
}

#[test]
fn a_signal_ends_a_bulk_build_within_50_ms_and_leaves_no_trace() {
    let index = waiting();
    let untouched = index.graph_hash();
    for (phase, from) in [(Phase::Partition, 0), (Phase::Leaves, ROWS / 5), (Phase::Merge, ROWS * 4 / 5)] {
        // The best of some: other programs run, too.
        let times = (0..5).map(|_| stopped_at(&index, phase, from));
        let best = times.min().unwrap();
        assert!(best < Duration::from_millis(50), "{best:?} after {phase:?}");
        let migration = index.migration();
        assert_eq!((migration.migrated, migration.method, migration.error), (0, None, None));
        assert_eq!((index.graph_hash(), index.stats().unwrap().levels), (untouched, vec![]));
    }
    index.migrate(&Work::default()).unwrap();
    let undisturbed = waiting();
    undisturbed.migrate(&Work::default()).unwrap();
    assert_eq!(index.graph_hash(), undisturbed.graph_hash(), "as if it had never been stopped");
}

#[test]
fn distances_are_those_of_the_exact_scan() {
    let (count, queries) = (4_000, normal_rows(DIMENSIONS, 50, 5));
    for metric in METRICS {
        let options = Options { metric, threads: Some(2), ..Options::new(DIMENSIONS) };
        let index = graph_of(&normal_rows(DIMENSIONS, count, 4), options, count);
        assert!(index.stats().unwrap().bytes.codes > 0, "the graph compares codes");
        for query in queries.chunks(DIMENSIONS) {
            let exact = index.search(query, &exactly(count)).unwrap();
            let by_id: HashMap<u64, f32> = keys(&exact.ids).into_iter().zip(exact.distances).collect();
            let hits = index.search(query, &nearest(10, 30)).unwrap();
            assert_eq!(hits.distances.len(), 10);
            for (key, distance) in keys(&hits.ids).into_iter().zip(hits.distances) {
                assert_eq!(distance.to_bits(), by_id[&key].to_bits(), "{metric:?}, row {key}");
            }
        }
    }
}

#[test]
fn rows_that_codes_cannot_tell_apart_are_compared_as_they_are() {
    // Two places far from each other: what codes are off by is more than rows of one place are apart.
    let mut rows = normal_rows(DIMENSIONS, 4_000, 6);
    rows.chunks_mut(DIMENSIONS).step_by(2).for_each(|row| row.iter_mut().for_each(|x| *x += 1e4));
    let options = Options { metric: Metric::L2, threads: Some(2), ..Options::new(DIMENSIONS) };
    let index = graph_of(&rows, options, 4_000);
    assert_eq!(index.stats().unwrap().bytes.codes, 0);
}

fn keys(ids: &Ids) -> Vec<u64> {
    let Ids::Keys(keys) = ids else { panic!("numbers") };
    keys.clone()
}
