//! The same awaited calls and the same seed give the same graph, on any number of threads and at any speed.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic")]

mod common;

use std::time::Duration;

use common::data::normal_rows;
use common::{Rng, nearest, wait_until};
use vicinal_core::{Ids, Index, Metric, MigrationState, Options, Work};

const DIMENSIONS: usize = 24;
const CALLS: usize = 60;

const THRESHOLD: usize = 700;

/// The call before which so much is removed that the graph is not due any more.
const FALL: usize = 30;

/// How a run differs from the others; none of it may show.
#[derive(Clone, Copy)]
struct Pace {
    threads: usize,
    /// Milliseconds between calls, drawn below it.
    pause: usize,
    /// Whether searches run beside it.
    disturbed: bool,
}

/// Adds, upserts and removes in batches of all sizes while the migration runs, and waits for its end. In between the
/// index falls below the threshold and grows past it again.
fn build(seed: u64, pace: Pace) -> Index {
    let index = Index::new(Options {
        threads: Some(pace.threads),
        threshold: Some(THRESHOLD),
        chunk_size: 128,
        seed,
        ..Options::new(DIMENSIONS)
    });
    let index = index.unwrap();
    let (mut rng, mut timing) = (Rng(7), Rng(pace.threads as u64));
    let mut next = 0u64;
    let work = Work::default();
    for call in 0..CALLS {
        if call == FALL {
            index.remove(&Ids::Keys((THRESHOLD as u64 / 2..next).collect())).unwrap();
            assert!(index.len() < THRESHOLD);
        }
        let count = 1 + rng.below(150);
        let rows = normal_rows(DIMENSIONS, count, call as u64);
        if call % 5 == 3 {
            let start = rng.below(next as usize) as u64;
            index.upsert(&Ids::Keys((start..start + count as u64).collect()), &rows, &work).unwrap();
            next = next.max(start + count as u64);
        } else {
            index.add(&Ids::Keys((next..next + count as u64).collect()), &rows, &work).unwrap();
            next += count as u64;
        }
        if call % 7 == 6 {
            let gone = (0..20).map(|_| rng.below(next as usize) as u64).collect();
            index.remove(&Ids::Keys(gone)).unwrap();
        }
        if pace.pause > 0 {
            std::thread::sleep(Duration::from_millis(timing.below(pace.pause) as u64));
        }
        if pace.disturbed {
            index.search_batch(rows, &nearest(3, 20), &work).unwrap();
            if call % 9 == 0 {
                index.pause_migration().unwrap();
                index.resume_migration().unwrap();
            }
        }
    }
    wait_until("all rows are in the graph", || index.migration().state == MigrationState::Graph);
    index
}

/// What a graph shows of itself: its levels, and the answers of searches so narrow that any other link would change
/// some of them.
fn fingerprint(index: &Index) -> (Vec<usize>, u64, Vec<u64>) {
    let queries = normal_rows(DIMENSIONS, 2_000, 99);
    let hits = index.search_batch(queries, &nearest(4, 4), &Work::default()).unwrap();
    let Ids::Keys(keys) = hits.ids else { panic!("numbers") };
    let stats = index.stats().unwrap();
    (stats.levels, stats.mean_degree.to_bits(), keys)
}

fn check(name: &str, expected: &Index, pace: Pace) {
    let index = build(1, pace);
    assert_eq!(index.graph_hash(), expected.graph_hash(), "links, {name}");
    assert!(fingerprint(&index) == fingerprint(expected), "answers, {name}");
}

#[test]
fn the_graph_does_not_depend_on_threads_or_time() {
    let quick = |threads| Pace { threads, pause: 0, disturbed: false };
    let expected = build(1, quick(1));
    assert!(expected.stats().unwrap().levels.len() > 1, "a graph of several levels");
    check("2 threads", &expected, quick(2));
    check("4 threads", &expected, quick(4));
    check("with time between the calls", &expected, Pace { threads: 2, pause: 12, disturbed: false });
    check("beside searches and pauses", &expected, Pace { threads: 2, pause: 3, disturbed: true });
}

#[test]
fn another_seed_gives_another_graph() {
    let pace = Pace { threads: 2, pause: 0, disturbed: false };
    let (one, other) = (build(1, pace), build(2, pace));
    assert_ne!(one.graph_hash(), other.graph_hash());
    assert!(fingerprint(&one) != fingerprint(&other));
}

/// 1,680 rows in awaited calls, the last 80 when the others are in the graph or at once; then asks for the graph.
fn asked(auto_migrate: bool, waits: bool) -> Index {
    let options = Options { threshold: Some(THRESHOLD), auto_migrate, threads: Some(2), ..Options::new(DIMENSIONS) };
    let index = Index::new(options).unwrap();
    for first in (0..1_680).step_by(80) {
        if waits {
            wait_until("no row waits", || index.migration().state != MigrationState::Migrating);
        }
        let ids = Ids::Keys((first..first + 80).collect());
        index.add(&ids, &normal_rows(DIMENSIONS, 80, first), &Work::default()).unwrap();
    }
    index.migrate(&Work::default()).unwrap();
    assert_eq!((index.migration().state, index.migration().migrated), (MigrationState::Graph, 1_680));
    index
}

#[test]
fn who_asks_for_the_graph_of_many_rows_gets_the_same_however_far_it_was() {
    let at_once = asked(false, false).graph_hash();
    assert_eq!(asked(true, false).graph_hash(), at_once);
    assert_eq!(asked(true, true).graph_hash(), at_once);
}

/// Moves 2,000 rows by hand, in steps of so many.
fn stepped(step: usize, threads: usize) -> Index {
    let threads = Some(threads);
    let options = Options { threshold: Some(0), auto_migrate: false, threads, ..Options::new(DIMENSIONS) };
    let index = Index::new(options).unwrap();
    index.add(&Ids::Keys((0..2_000).collect()), &normal_rows(DIMENSIONS, 2_000, 5), &Work::default()).unwrap();
    while index.migrate_step(step).unwrap() > 0 {}
    index
}

#[test]
fn steps_by_hand_give_the_same_graph_at_the_same_boundaries() {
    let index = stepped(150, 1);
    assert_eq!(index.migration().method, Some("insert"));
    assert_eq!(index.graph_hash(), stepped(150, 2).graph_hash());
    assert_eq!(index.graph_hash(), stepped(150, 4).graph_hash());
    assert_ne!(index.graph_hash(), stepped(100, 2).graph_hash());
}

#[test]
fn bulk_builds_give_the_same_graph_at_any_number_of_threads() {
    let build = |threads, metric| {
        let options = Options { threads: Some(threads), metric, auto_migrate: false, ..Options::new(DIMENSIONS) };
        let index = Index::new(options).unwrap();
        index.add(&Ids::Keys((0..9_000).collect()), &normal_rows(DIMENSIONS, 9_000, 6), &Work::default()).unwrap();
        index.migrate(&Work::default()).unwrap();
        assert_eq!(index.migration().method, Some("bulk"));
        index.graph_hash()
    };
    for metric in [Metric::L2, Metric::Cosine, Metric::InnerProduct] {
        let one = build(1, metric);
        assert_eq!((one, one), (build(2, metric), build(4, metric)), "{metric:?}");
    }
}
