//! What an index does when something fails in its midst, and what it answers meanwhile.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use super::failpoints::Point;
use super::{Index, Inner, MigrationState};
use crate::error::Error;
use crate::ids::{Id, Ids};
use crate::options::{Options, SearchOptions};
use crate::work::Work;

const DIMENSIONS: usize = 4;

fn options(auto_migrate: bool) -> Options {
    let small = Options { m: Some(4), ef_construction: 20, chunk_size: 100, ..Options::new(DIMENSIONS) };
    Options { threshold: Some(100), threads: Some(2), auto_migrate, ..small }
}

fn row(id: u64) -> [f32; DIMENSIONS] {
    [0u64, 20, 40, 44].map(|shift| (id.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> shift) as u16 as f32)
}

fn add(index: &Index, ids: std::ops::Range<u64>) -> Result<(), Error> {
    let rows: Vec<f32> = ids.clone().flat_map(row).collect();
    index.add(&Ids::Keys(ids.collect()), &rows, &Work::default())
}

/// Asserts that every one of `ids` is the nearest to its own row, once.
fn assert_found(index: &Index, mut ids: impl Iterator<Item = u64>, exact: bool) {
    let is_found = |id: u64| {
        let options = SearchOptions { k: 2, exact, ..SearchOptions::default() };
        let hits = index.search(&row(id), &options).unwrap();
        (hits.ids.get(0), hits.distances[0]) == (Id::Key(id), 0.0) && hits.ids.get(1) != Id::Key(id)
    };
    assert_eq!(ids.find(|&id| !is_found(id)), None, "the first that is not found");
}

fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(30), "waited in vain until {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

/// Whether a chunk is half written: its nodes have links, and are not served yet.
fn is_half_written(inner: &Inner) -> bool {
    let state = inner.state.load();
    let graph = state.graph.load_full();
    graph.is_some_and(|graph| {
        let (view, next) = (graph.view(), graph.nodes());
        view.limit() > next && view.list(next as u32, 0).is_some_and(|list| list.links().next().is_some())
    })
}

/// Panics in the first work unit that comes when a chunk is half written.
fn panic_in_chunk(index: &Index) {
    let inner = Arc::downgrade(index.inner());
    index.inner().failpoints.set(move |point| {
        let is_there = inner.upgrade().is_some_and(|inner| point == Point::Unit && is_half_written(&inner));
        assert!(!is_there, "on purpose");
        Ok(())
    });
}

/// Asserts that the index answers, and neither writes nor migrates any more.
fn assert_broken(index: &Index, rows: u64, migrated: usize) {
    index.inner().failpoints.set(|_| Ok(()));
    let (graph, migration) = (index.graph_hash(), index.migration());
    assert_eq!((migration.state, migration.migrated), (MigrationState::Paused, migrated));
    assert_eq!(migration.error.map(|error| error.code), Some("ERR_INTERNAL"));
    let is_refused = |result: Result<(), Error>| matches!(result, Err(Error::Internal(text)) if text == "on purpose");
    for _ in 0..2 {
        assert!(is_refused(add(index, rows..rows + 1)));
        assert!(is_refused(index.migrate(&Work::default()).map(drop)));
        assert!(is_refused(index.migrate_step(10).map(drop)));
    }
    assert_eq!((index.graph_hash(), index.migration().migrated), (graph, migrated), "nothing was inserted");
    assert_found(index, 0..rows, false);
    assert_found(index, 0..rows, true);
}

#[test]
fn a_failure_of_the_migration_is_shown_and_told_to_the_next_caller() {
    let index = Index::new(options(true)).unwrap();
    index.inner().failpoints.set(|point| match point {
        Point::Chunk => Err(Error::OutOfMemory { what: "links", bytes: 7 }),
        _ => Ok(()),
    });
    add(&index, 0..300).unwrap();
    wait_until("the run has failed", || index.migration().error.is_some());
    let migration = index.migration();
    assert_eq!((migration.state, migration.migrated, migration.total), (MigrationState::Paused, 0, 300));
    assert_eq!(migration.error.map(|error| error.code), Some("ERR_OUT_OF_MEMORY"));
    assert_found(&index, 0..300, false);
    add(&index, 300..310).unwrap();
    index.inner().failpoints.set(|_| Ok(()));
    assert!(matches!(index.migrate(&Work::default()), Err(Error::OutOfMemory { .. })));
    assert!(index.migrate(&Work::default()).is_ok());
    assert_eq!((index.migration().state, index.migration().error), (MigrationState::Graph, None));
    assert_found(&index, 0..310, false);
}

#[test]
fn who_waits_for_a_migration_that_fails_is_told() {
    let index = Index::new(options(false)).unwrap();
    add(&index, 0..300).unwrap();
    index.inner().failpoints.set(|point| match point {
        Point::Chunk => Err(Error::OutOfMemory { what: "links", bytes: 7 }),
        _ => Ok(()),
    });
    assert!(matches!(index.migrate(&Work::default()), Err(Error::OutOfMemory { .. })));
    assert_eq!(index.migration().error, None, "it was told");
}

#[test]
fn nothing_is_built_on_a_chunk_that_a_panic_left_half_written() {
    for auto in [false, true] {
        let index = Index::new(options(auto)).unwrap();
        add(&index, 0..300).unwrap();
        if auto {
            // The first rows come into a new graph; so few more are inserted.
            wait_until("the first rows have moved", || index.migration().migrated == 300);
            panic_in_chunk(&index);
            add(&index, 300..315).unwrap();
            wait_until("the run has failed", || index.migration().error.is_some());
        } else {
            panic_in_chunk(&index);
            assert!(matches!(index.migrate_step(100), Err(Error::Internal(_))));
        }
        assert!(is_half_written(index.inner()));
        assert_broken(&index, if auto { 315 } else { 300 }, if auto { 300 } else { 0 });
    }
}

#[test]
fn nothing_is_written_after_a_panic_while_rows_were_published() {
    let index = Index::new(Options { threshold: None, ..options(true) }).unwrap();
    add(&index, 0..3_000).unwrap();
    let slices = AtomicUsize::new(0);
    index.inner().failpoints.set(move |point| {
        assert!(point != Point::Publish || slices.fetch_add(1, Ordering::Relaxed) < 1, "on purpose");
        Ok(())
    });
    let rows: Vec<f32> = (0..3_000).flat_map(row).collect();
    let result = index.upsert(&Ids::Keys((0..3_000).collect()), &rows, &Work::default());
    assert!(matches!(result, Err(Error::Internal(text)) if text == "on purpose"));
    assert!(matches!(index.remove(&Ids::Keys(vec![1])), Err(Error::Internal(_))));
    assert!(matches!(index.clear(), Err(Error::Internal(_))));
    assert_eq!(index.len(), 3_000);
    assert_found(&index, (0..3_000).step_by(37), true);
}

#[test]
fn a_thread_that_does_not_start_stops_nobody() {
    let index = Index::new(options(true)).unwrap();
    let inner = Arc::downgrade(index.inner());
    index.inner().failpoints.set(move |point| {
        if point == Point::Spawn {
            wait_until("the index is closing", || inner.upgrade().is_some_and(|inner| inner.check_open().is_err()));
            thread::sleep(Duration::from_millis(20));
            return Err(Error::Internal("on purpose".into()));
        }
        Ok(())
    });
    let (sender, closed) = mpsc::channel();
    thread::scope(|scope| {
        scope.spawn(|| add(&index, 0..300).unwrap());
        wait_until("the run is about to start", || index.inner().migrator.control().running);
        let index = index.clone();
        // Not of the scope: it would wait for ever for a thread that does.
        thread::spawn(move || {
            index.close().unwrap();
            let _ = sender.send(());
        });
    });
    assert!(closed.recv_timeout(Duration::from_secs(10)).is_ok(), "close waits for a run that never was");
}

#[test]
fn answers_are_right_while_a_chunk_is_being_written() {
    let index = Index::new(options(false)).unwrap();
    add(&index, 0..600).unwrap();
    index.migrate_step(100).unwrap();
    let (inner, looked) = (Arc::downgrade(index.inner()), Mutex::new(0));
    let searching = Mutex::new(Some(index.clone()));
    index.inner().failpoints.set(move |point| {
        let is_there = inner.upgrade().is_some_and(|inner| point == Point::Unit && is_half_written(&inner));
        let mut looked = looked.lock().unwrap();
        if is_there && *looked < 20 {
            *looked += 1;
            if let Some(index) = &*searching.lock().unwrap() {
                assert_found(index, 0..600, false);
            }
            if *looked == 20 {
                // Lets go of the index, which else would hold itself.
                *searching.lock().unwrap() = None;
            }
        }
        Ok(())
    });
    while index.migrate_step(100).unwrap() > 0 {}
    assert_eq!(index.migration().error, None);
    assert_found(&index, 0..600, false);
}

#[test]
fn rows_are_found_between_the_slices_of_an_upsert() {
    let index = Index::new(Options { threshold: None, ..options(true) }).unwrap();
    add(&index, 0..5_000).unwrap();
    let slices = Arc::new(AtomicUsize::new(0));
    let (searching, seen) = (Mutex::new(Some(index.clone())), slices.clone());
    index.inner().failpoints.set(move |point| {
        if point == Point::Publish {
            let mut searching = searching.lock().unwrap();
            assert_found(searching.as_ref().unwrap(), (0..5_000).step_by(113), true);
            assert_eq!(searching.as_ref().unwrap().len(), 5_000);
            if seen.fetch_add(1, Ordering::Relaxed) == 4 {
                *searching = None;
            }
        }
        Ok(())
    });
    let rows: Vec<f32> = (0..5_000).flat_map(row).collect();
    index.upsert(&Ids::Keys((0..5_000).collect()), &rows, &Work::default()).unwrap();
    assert_eq!(slices.load(Ordering::Relaxed), 5);
    assert_found(&index, (0..5_000).step_by(113), true);
    assert_eq!(index.len(), 5_000);
}

#[test]
fn a_large_step_is_made_of_batches_and_stops_between_them() {
    let rows = 9_000;
    let small = Options { m: Some(2), ef_construction: 4, ..options(false) };
    for stops in [false, true] {
        let index = Index::new(small.clone()).unwrap();
        add(&index, 0..rows).unwrap();
        let (inner, batches) = (Arc::downgrade(index.inner()), Arc::new(AtomicUsize::new(0)));
        let counted = batches.clone();
        index.inner().failpoints.set(move |point| {
            if point == Point::Chunk && counted.fetch_add(1, Ordering::Relaxed) == 1 && stops {
                inner.upgrade().unwrap().stop();
            }
            Ok(())
        });
        let waiting = index.migrate_step(usize::MAX).unwrap();
        let (moved, expected) = (index.migration().migrated, if stops { 4_096 } else { 9_000 });
        assert_eq!((moved, waiting), (expected, 9_000 - expected));
        assert_eq!(batches.load(Ordering::Relaxed), if stops { 2 } else { 3 });
    }
}

/// Has the bulk build of `index` wait, at a work unit after its first, until `go_on` says so. Whether it has come there.
fn hold_bulk_build(index: &Index, go_on: impl Fn(&Inner) -> bool + Send + Sync + 'static) -> impl Fn() -> bool {
    let (inner, units) = (Arc::downgrade(index.inner()), Arc::new(AtomicUsize::new(0)));
    let counted = units.clone();
    index.inner().failpoints.set(move |point| {
        if point == Point::Unit && counted.fetch_add(1, Ordering::Relaxed) > 30 {
            wait_until("the build may go on", || inner.upgrade().is_none_or(|inner| go_on(&inner)));
        }
        Ok(())
    });
    move || units.load(Ordering::Relaxed) > 30
}

#[test]
fn rows_may_be_added_during_a_bulk_build() {
    let index = Index::new(options(true)).unwrap();
    let is_held = hold_bulk_build(&index, |inner| inner.state.load().len() == 2_010);
    add(&index, 0..2_000).unwrap();
    wait_until("the build is under way", is_held);
    assert_eq!((index.migration().state, index.migration().migrated), (MigrationState::Migrating, 0));
    assert_found(&index, 0..2_000, false);
    add(&index, 2_000..2_010).unwrap();
    assert_found(&index, 2_000..2_010, false);
    wait_until("all rows have moved", || index.migration().state == MigrationState::Graph);
    let migration = index.migration();
    assert_eq!((migration.method, migration.migrated, migration.error), (Some("bulk"), 2_010, None));
    assert_found(&index, 0..2_010, true);
    assert_eq!(index.verify(1, 1, None, &Work::default()).unwrap().unreachable, 0);
}

#[test]
fn rows_that_are_removed_during_a_bulk_build_are_not_found_after_it() {
    let index = Index::new(options(true)).unwrap();
    let is_held = hold_bulk_build(&index, |inner| inner.state.load().live() == 1_900);
    add(&index, 0..2_000).unwrap();
    wait_until("the build is under way", is_held);
    assert_eq!(index.remove(&Ids::Keys((0..100).collect())).unwrap(), 100);
    wait_until("all rows have moved", || index.migration().state == MigrationState::Graph);
    assert_eq!(index.migration().method, Some("bulk"));
    assert_eq!(index.verify(1, 1, None, &Work::default()).unwrap().unreachable, 0);
    let nearest = SearchOptions { k: 1, ..SearchOptions::default() };
    assert!((0..100).all(|id| index.search(&row(id), &nearest).unwrap().ids.get(0) != Id::Key(id)));
}

#[test]
fn clear_stops_a_bulk_build() {
    let index = Index::new(options(true)).unwrap();
    let cleared = Arc::new(AtomicBool::new(false));
    let may_go_on = cleared.clone();
    let is_held = hold_bulk_build(&index, move |_| may_go_on.load(Ordering::Relaxed));
    add(&index, 0..2_000).unwrap();
    wait_until("the build is under way", is_held);
    index.clear().unwrap();
    let migration = index.migration();
    assert_eq!((migration.state, migration.total, index.len()), (MigrationState::Exact, 0, 0));
    cleared.store(true, Ordering::Relaxed);
    add(&index, 3_000..3_500).unwrap();
    index.migrate(&Work::default()).unwrap();
    assert_eq!((index.migration().migrated, index.migration().error), (500, None));
    assert_found(&index, 3_000..3_500, true);
}

#[test]
fn close_stops_a_bulk_build() {
    let index = Index::new(options(true)).unwrap();
    let is_held = hold_bulk_build(&index, |inner| inner.check_open().is_err());
    let (sender, told) = mpsc::channel();
    add(&index, 0..2_000).unwrap();
    index.start_migration(Work::default(), Box::new(move |outcome| sender.send(outcome).unwrap()));
    wait_until("the build is under way", is_held);
    index.close().unwrap();
    assert!(matches!(told.recv().unwrap(), Err(Error::Closed)));
    assert!(index.inner().state.load().graph.load().is_none(), "no graph came after it");
}

#[test]
fn a_thread_that_is_refused_leaves_the_index_sound() {
    let index = Index::new(options(true)).unwrap();
    index.inner().failpoints.set(|point| match point {
        Point::Spawn => Err(Error::thread(std::io::Error::other("no more threads"))),
        _ => Ok(()),
    });
    add(&index, 0..300).unwrap();
    let error = index.migration().error.unwrap();
    assert_eq!((error.code, error.cause.as_deref()), ("ERR_OUT_OF_MEMORY", Some("no more threads")));
    assert_found(&index, 0..300, false);
    index.inner().failpoints.set(|_| Ok(()));
    assert!(matches!(index.migrate(&Work::default()), Err(Error::Thread { .. })), "it is told once");
    add(&index, 300..310).unwrap();
    index.migrate(&Work::default()).unwrap();
    assert_eq!(index.migration().state, MigrationState::Graph);
}

#[test]
fn served_rows_are_counted_where_they_move_and_as_they_go() {
    let index = Index::new(options(true)).unwrap();
    add(&index, 0..300).unwrap();
    index.remove(&Ids::Keys((0..10).collect())).unwrap();
    index.migrate(&Work::default()).unwrap();
    let state = index.inner().state.load_full();
    assert_eq!(state.counted(), 300, "by the run, not by whoever asks");
    index.remove(&Ids::Keys((5..60).collect())).unwrap();
    add(&index, 300..310).unwrap();
    let migration = index.migration();
    assert_eq!(migration.total, 250);
    assert!(migration.migrated == 240 || migration.migrated == 250, "{migration:?}");
    index.migrate(&Work::default()).unwrap();
    assert_eq!((index.migration().migrated, index.migration().total), (250, 250));
}

#[test]
fn a_scan_looks_at_whether_it_is_cancelled() {
    let index = Index::new(options(true)).unwrap();
    add(&index, 0..300).unwrap();
    let flag = Arc::new(AtomicBool::new(false));
    for exact in [false, true] {
        let options = SearchOptions { k: 3, exact, cancelled: Some(flag.clone()), ..SearchOptions::default() };
        flag.store(false, Ordering::Relaxed);
        assert_eq!(index.search(&row(7), &options).unwrap().ids.len(), 3);
        assert!(index.search_by_id(Id::Key(7), &options).is_ok());
        flag.store(true, Ordering::Relaxed);
        // A graph that serves all rows leaves nothing to scan.
        add(&index, if exact { 301..302 } else { 300..301 }).unwrap();
        index.pause_migration().unwrap();
        if exact {
            assert!(matches!(index.search(&row(7), &options), Err(Error::Cancelled)));
            assert!(matches!(index.search_by_id(Id::Key(7), &options), Err(Error::Cancelled)));
        }
    }
}

#[test]
fn capacity_is_a_wish() {
    let index = Index::new(Options { capacity: usize::MAX, ..options(true) }).unwrap();
    add(&index, 0..10).unwrap();
    index.clear().unwrap();
    add(&index, 0..10).unwrap();
    assert_eq!(index.len(), 10);
}
