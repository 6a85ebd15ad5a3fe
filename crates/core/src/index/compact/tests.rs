use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use crate::distance::Dtype;
use crate::error::Error;
use crate::ids::{Id, Ids};
use crate::index::failpoints::Point;
use crate::index::{Index, MigrationState};
use crate::options::{IdType, Metric, Options, SearchOptions};
use crate::storage::simulated::Simulated;
use crate::work::{Progress, Work};

const DIMENSIONS: usize = 4;

fn options(auto_migrate: bool) -> Options {
    let small = Options { m: Some(4), ef_construction: 20, chunk_size: 100, ..Options::new(DIMENSIONS) };
    Options { threshold: Some(100), threads: Some(2), auto_migrate, seed: 7, ..small }
}

/// Row `number`, of whole numbers of a byte; every eleventh equals another.
fn row(number: u64) -> [f32; DIMENSIONS] {
    let number = if number % 11 == 3 { number / 2 } else { number };
    let bits = (number + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    [8, 24, 40, 56].map(|shift| f32::from((bits >> shift) as u8 >> 1))
}

fn ids_as(id_type: IdType, numbers: impl IntoIterator<Item = u64>) -> Ids {
    match id_type {
        IdType::String => {
            let texts: Vec<String> = numbers.into_iter().map(|number| format!("{number}ä")).collect();
            Ids::Texts(texts.iter().map(String::as_str).collect())
        }
        _ => Ids::Keys(numbers.into_iter().collect()),
    }
}

fn upsert(index: &Index, ids: impl Iterator<Item = u64> + Clone, by: u64) {
    let rows: Vec<f32> = ids.clone().flat_map(|id| row(id + by)).collect();
    index.upsert(&ids_as(index.options().id_type, ids), &rows, &Work::default()).unwrap();
}

fn remove(index: &Index, ids: impl Iterator<Item = u64>) {
    index.remove(&ids_as(index.options().id_type, ids)).unwrap();
}

fn compact(index: &Index) {
    index.compact(&Work::default()).unwrap();
}

/// All ids in their order, and their rows.
fn contents(index: &Index) -> (Ids, Vec<f32>) {
    let ids = index.keys().unwrap().next_block(usize::MAX).unwrap();
    let (rows, found) = index.get_many(&ids).unwrap();
    assert!(found.iter().all(|&found| found == 1));
    (ids, rows)
}

fn saved(index: &Index) -> Vec<u8> {
    let disk = Simulated::new();
    index.inner().save(&disk, Path::new("index"), &Work::default()).unwrap();
    disk.read("index").unwrap()
}

fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(30), "waited in vain until {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

fn wait_for_migration(index: &Index) {
    wait_until("the migration is at rest", || index.migration().state != MigrationState::Migrating);
}

/// Asserts that all live rows are found, by the graph and without, and none else.
fn assert_sound(index: &Index) {
    let (ids, rows) = contents(index);
    assert_eq!(index.len(), ids.len());
    assert_eq!(index.verify(1, 1, None, &Work::default()).unwrap().unreachable, 0);
    let mut by_row: HashMap<Vec<u32>, Vec<usize>> = HashMap::new();
    for (position, row) in rows.chunks(DIMENSIONS).enumerate() {
        by_row.entry(row.iter().map(|value| value.to_bits()).collect()).or_default().push(position);
    }
    for (position, row) in rows.chunks(DIMENSIONS).enumerate().step_by(7) {
        let expected = &by_row[&row.iter().map(|value| value.to_bits()).collect::<Vec<u32>>()];
        let inexact = SearchOptions { k: expected.len(), ef: Some(64), ..SearchOptions::default() };
        for options in [SearchOptions { exact: true, ..inexact.clone() }, inexact] {
            let hits = index.search(row, &options).unwrap();
            let found = expected.iter().all(|&other| hits.ids.iter().any(|id| id == ids.get(other)));
            assert!(found, "row {position}, {options:?}: {hits:?}");
        }
    }
}

/// Runs `then` once, at work unit `unit` of what the index does next. Whether it has come there.
fn at_unit(index: &Index, unit: usize, then: impl Fn() + Send + Sync + 'static) -> Arc<AtomicBool> {
    let (units, came) = (AtomicUsize::new(0), Arc::new(AtomicBool::new(false)));
    let told = Arc::clone(&came);
    index.inner().failpoints.set(move |point| {
        if point == Point::Unit && units.fetch_add(1, Ordering::Relaxed) == unit {
            then();
            told.store(true, Ordering::Relaxed);
        }
        Ok(())
    });
    came
}

#[test]
fn what_is_left_is_what_a_fresh_index_has() {
    for dtype in Dtype::ALL {
        for metric in [Metric::L2, Metric::Cosine, Metric::InnerProduct] {
            for (id_type, auto) in [(IdType::Number, false), (IdType::String, true)] {
                let options = Options { dtype, metric, id_type, ..options(auto) };
                let index = Index::new(options.clone()).unwrap();
                upsert(&index, 0..700, 1);
                index.migrate(&Work::default()).unwrap();
                remove(&index, (0..700).filter(|id| id % 3 == 0));
                upsert(&index, 100..200, 1_000);
                wait_for_migration(&index);
                let before = contents(&index);
                if !auto {
                    index.migrate(&Work::default()).unwrap();
                }
                assert!(index.stats().unwrap().removed > 200);
                compact(&index);
                assert_eq!(contents(&index), before);
                let fresh = Index::new(options).unwrap();
                fresh.add(&before.0, &before.1, &Work::default()).unwrap();
                fresh.migrate(&Work::default()).unwrap();
                assert_eq!(index.graph_hash(), fresh.graph_hash(), "{dtype:?} {metric:?} {id_type:?}");
                assert!(saved(&index) == saved(&fresh), "{dtype:?} {metric:?} {id_type:?}");
                let (mine, other) = (index.stats().unwrap(), fresh.stats().unwrap());
                assert_eq!((mine.removed, mine.tail, mine.levels), (0, 0, other.levels));
                assert_eq!((mine.bytes.vectors, mine.bytes.codes, mine.bytes.links), {
                    (other.bytes.vectors, other.bytes.codes, other.bytes.links)
                });
                assert_eq!(index.migration(), fresh.migration());
                if metric == Metric::L2 {
                    assert_sound(&index);
                }
            }
        }
    }
}

#[test]
fn nothing_removed_leaves_all_as_it_is() {
    let index = Index::new(options(false)).unwrap();
    upsert(&index, 0..300, 0);
    index.migrate_step(200).unwrap();
    let before = (index.inner().state.load().generation(), index.migration());
    compact(&index);
    assert_eq!((index.inner().state.load().generation(), index.migration()), before);
    compact(&Index::new(options(true)).unwrap());
}

#[test]
fn what_waits_to_be_moved_by_hand_goes_on_to_wait() {
    let index = Index::new(options(false)).unwrap();
    upsert(&index, 0..500, 0);
    index.migrate_step(300).unwrap();
    remove(&index, (0..500).filter(|id| id % 2 == 0));
    assert_eq!((index.migration().migrated, index.migration().total), (150, 250));
    compact(&index);
    let migration = index.migration();
    assert_eq!((migration.state, migration.migrated, migration.total), (MigrationState::Paused, 150, 250));
    assert_sound(&index);
    upsert(&index, 500..510, 0);
    assert_eq!(index.migrate_step(60).unwrap(), 50);
    assert_eq!(index.migrate(&Work::default()).unwrap().vectors, 50);
    assert_eq!(index.migration().state, MigrationState::Graph);
    assert_sound(&index);
}

#[test]
fn without_a_graph_there_is_none_afterwards() {
    for (auto, threshold) in [(false, Some(100)), (true, Some(1_000)), (true, None)] {
        let index = Index::new(Options { threshold, ..options(auto) }).unwrap();
        upsert(&index, 0..500, 0);
        remove(&index, 100..300);
        compact(&index);
        assert_eq!((index.migration().state, index.stats().unwrap().removed), (MigrationState::Exact, 0));
        assert_sound(&index);
        upsert(&index, 500..1_300, 0);
        index.migrate(&Work::default()).unwrap();
        assert_eq!(index.migration().migrated, if threshold.is_some() { 1_100 } else { 0 });
        assert_sound(&index);
    }
}

#[test]
fn a_graph_is_kept_below_the_threshold() {
    for auto in [false, true] {
        let index = Index::new(options(auto)).unwrap();
        upsert(&index, 0..300, 0);
        index.migrate(&Work::default()).unwrap();
        remove(&index, 50..300);
        compact(&index);
        assert_eq!((index.migration().state, index.migration().migrated), (MigrationState::Graph, 50));
        remove(&index, 0..50);
        compact(&index);
        assert_eq!((index.migration().migrated, index.stats().unwrap().bytes.vectors), (0, 0));
        upsert(&index, 0..300, 5);
        index.migrate(&Work::default()).unwrap();
        assert_eq!((index.migration().state, index.migration().migrated), (MigrationState::Graph, 300));
        assert_sound(&index);
    }
}

/// Writes of all kinds come at every work unit, also to rows that are on their way.
#[test]
fn writes_go_on_meanwhile() {
    for auto in [false, true] {
        for unit in 0.. {
            let index = Index::new(options(auto)).unwrap();
            upsert(&index, 0..600, 0);
            index.migrate(&Work::default()).unwrap();
            remove(&index, 0..200);
            let set = index.id_set(&ids_as(IdType::Number, 150..400)).unwrap();
            let writing = index.clone();
            let came = at_unit(&index, unit * unit, move || {
                upsert(&writing, 190..230, 50);
                remove(&writing, 225..300);
                upsert(&writing, 590..700, 9);
                remove(&writing, 600..610);
                upsert(&writing, 228..229, 3);
            });
            compact(&index);
            let stop = !came.load(Ordering::Relaxed);
            index.inner().failpoints.set(|_| Ok(()));
            if stop {
                assert!(unit > 3, "{unit} units");
                break;
            }
            let mut expected: Vec<(u64, u64)> =
                (230..590).filter(|id| !(225..300).contains(id)).map(|id| (id, 0)).collect();
            expected.extend((190..225).map(|id| (id, 50)));
            expected.extend((590..700).filter(|id| !(600..610).contains(id)).map(|id| (id, 9)));
            expected.push((228, 3));
            let rows: Vec<f32> = expected.iter().flat_map(|&(id, by)| row(id + by)).collect();
            let ids = Ids::Keys(expected.iter().map(|&(id, _)| id).collect());
            assert_eq!(contents(&index), (ids, rows), "unit {unit}");
            let everything = SearchOptions {
                k: usize::MAX,
                max_distance: Some(f32::INFINITY),
                filter: Some(set),
                ..SearchOptions::default()
            };
            let hits = index.search(&row(1), &everything).unwrap();
            let members = expected.iter().filter(|(id, _)| (150..400).contains(id)).count();
            assert_eq!(hits.ids.len(), members, "a filter follows");
            index.migrate(&Work::default()).unwrap();
            assert_sound(&index);
            compact(&index);
            assert_eq!(index.stats().unwrap().removed, 0);
            assert_sound(&index);
        }
    }
}

#[test]
fn rows_that_come_meanwhile_in_large_numbers_follow() {
    let index = Index::new(options(true)).unwrap();
    upsert(&index, 0..2_000, 0);
    index.migrate(&Work::default()).unwrap();
    remove(&index, 0..500);
    let writing = index.clone();
    let came = at_unit(&index, 40, move || {
        for start in (2_000..22_000).step_by(4_000) {
            upsert(&writing, start..start + 4_000, 0);
        }
    });
    compact(&index);
    assert!(came.load(Ordering::Relaxed));
    index.inner().failpoints.set(|_| Ok(()));
    let nearest = SearchOptions { k: 40, ..SearchOptions::default() };
    let hits = index.search(&row(20_000), &nearest).unwrap();
    assert!(hits.ids.iter().any(|id| id == Id::Key(20_000)), "found while it waits");
    index.migrate(&Work::default()).unwrap();
    assert_eq!((index.len(), index.stats().unwrap().tail), (21_500, 0));
    assert_sound(&index);
}

#[test]
fn stopped_at_any_unit_it_has_changed_nothing() {
    for auto in [false, true] {
        for unit in 0.. {
            let index = Index::new(options(auto)).unwrap();
            upsert(&index, 0..600, 0);
            index.migrate_step(300).unwrap();
            if auto {
                index.migrate(&Work::default()).unwrap();
            }
            remove(&index, 0..200);
            let (before, hash, stats) = (contents(&index), index.graph_hash(), index.stats().unwrap());
            let cancelled = Arc::new(AtomicBool::new(false));
            let flag = Arc::clone(&cancelled);
            let came = at_unit(&index, unit * unit, move || flag.store(true, Ordering::Relaxed));
            let work = Work { cancelled: Some(cancelled), on_progress: None };
            let done = index.compact(&work);
            if !came.load(Ordering::Relaxed) {
                assert!(done.is_ok() && unit > 5, "{unit} units");
                break;
            }
            assert!(matches!(done, Err(Error::Cancelled)), "unit {unit}");
            index.inner().failpoints.set(|_| Ok(()));
            assert!(index.inner().migrator.control().compaction().is_none());
            assert_eq!((contents(&index), index.graph_hash(), index.stats().unwrap()), (before, hash, stats));
            upsert(&index, 600..620, 0);
            index.migrate(&Work::default()).unwrap();
            assert_eq!(index.migration().state, MigrationState::Graph);
            assert_sound(&index);
            compact(&index);
            assert_eq!(index.stats().unwrap().removed, 0);
            assert_sound(&index);
        }
    }
}

#[test]
fn a_failure_has_changed_nothing_and_is_told() {
    let index = Index::new(options(false)).unwrap();
    upsert(&index, 0..600, 0);
    index.migrate(&Work::default()).unwrap();
    remove(&index, 0..200);
    let (before, hash) = (contents(&index), index.graph_hash());
    index.inner().failpoints.set(|point| match point {
        Point::Chunk => Err(Error::OutOfMemory { what: "links", bytes: 7 }),
        _ => Ok(()),
    });
    assert!(matches!(index.compact(&Work::default()), Err(Error::OutOfMemory { .. })));
    assert_eq!((contents(&index), index.graph_hash(), index.stats().unwrap().removed), (before, hash, 200));
    index.inner().failpoints.set(|_| Ok(()));
    compact(&index);
    assert_sound(&index);
}

#[test]
fn a_panic_leaves_what_was_there_and_poisons() {
    let index = Index::new(options(false)).unwrap();
    upsert(&index, 0..600, 0);
    remove(&index, 0..200);
    let before = contents(&index);
    index.inner().failpoints.set(|point| {
        assert!(point != Point::Compacted, "on purpose");
        Ok(())
    });
    assert!(matches!(index.compact(&Work::default()), Err(Error::Internal(_))));
    assert_eq!(contents(&index), before);
    for _ in 0..2 {
        assert!(matches!(index.compact(&Work::default()), Err(Error::Internal(_))));
        assert!(matches!(index.remove(&ids_as(IdType::Number, [300])), Err(Error::Internal(_))));
    }
}

/// Holds a compaction of `index`, once it is under way, until `go_on` is set. The thread that does it.
fn held(index: &Index, work: Work) -> (Arc<AtomicBool>, thread::JoinHandle<Result<(), Error>>) {
    let go_on = Arc::new(AtomicBool::new(false));
    let may_go_on = Arc::clone(&go_on);
    let held = Arc::new(AtomicBool::new(false));
    let is_held = Arc::clone(&held);
    let units = AtomicUsize::new(0);
    index.inner().failpoints.set(move |point| {
        if point == Point::Unit && units.fetch_add(1, Ordering::Relaxed) > 10 {
            is_held.store(true, Ordering::Relaxed);
            wait_until("it may go on", || may_go_on.load(Ordering::Relaxed));
        }
        Ok(())
    });
    let compacting = index.clone();
    let thread = thread::spawn(move || compacting.compact(&work));
    wait_until("it is under way", || held.load(Ordering::Relaxed));
    (go_on, thread)
}

fn half_removed(auto: bool) -> Index {
    let index = Index::new(options(auto)).unwrap();
    upsert(&index, 0..1_600, 0);
    index.migrate(&Work::default()).unwrap();
    remove(&index, 0..800);
    index
}

#[test]
fn close_ends_it() {
    let index = half_removed(false);
    let (go_on, thread) = held(&index, Work::default());
    let closing = index.clone();
    let closed = thread::spawn(move || closing.close());
    wait_until("it is closing", || index.inner().check_open().is_err());
    go_on.store(true, Ordering::Relaxed);
    closed.join().unwrap().unwrap();
    assert!(matches!(thread.join().unwrap(), Err(Error::Closed)));
    assert!(matches!(index.compact(&Work::default()), Err(Error::Closed)));
}

#[test]
fn clear_leaves_it_nothing_to_do() {
    let index = half_removed(true);
    let (go_on, thread) = held(&index, Work::default());
    index.clear().unwrap();
    go_on.store(true, Ordering::Relaxed);
    thread.join().unwrap().unwrap();
    assert_eq!((index.len(), index.migration().total), (0, 0));
    upsert(&index, 0..300, 0);
    index.migrate(&Work::default()).unwrap();
    assert_eq!(index.migration().migrated, 300);
    assert_sound(&index);
}

#[test]
fn callers_wait_for_each_other_and_files_for_none() {
    let index = half_removed(false);
    let before = saved(&index);
    let (go_on, thread) = held(&index, Work::default());
    assert!(saved(&index) == before, "of what was there before");
    let cancelled = Arc::new(AtomicBool::new(false));
    let work = Work { cancelled: Some(Arc::clone(&cancelled)), on_progress: None };
    let (second, third) = (index.clone(), index.clone());
    let second = thread::spawn(move || second.compact(&Work::default()));
    let third = thread::spawn(move || third.compact(&work));
    cancelled.store(true, Ordering::Relaxed);
    assert!(matches!(third.join().unwrap(), Err(Error::Cancelled)), "at once");
    go_on.store(true, Ordering::Relaxed);
    thread.join().unwrap().unwrap();
    second.join().unwrap().unwrap();
    assert_eq!(index.stats().unwrap().removed, 0);
    assert_sound(&index);
}

#[test]
fn progress_is_told_by_phases_and_may_stop_it_at_its_end() {
    let index = half_removed(false);
    let (sender, told) = mpsc::channel();
    let work = Work { cancelled: None, on_progress: Some(Arc::new(move |progress| sender.send(progress).unwrap())) };
    index.compact(&work).unwrap();
    drop(work);
    let told: Vec<Progress> = told.iter().collect();
    let mut phases: Vec<&str> = told.iter().map(|progress| progress.phase.name()).collect();
    phases.dedup();
    assert_eq!(phases, ["copy", "partition", "leaves", "merge", "swap"]);
    assert!(told.is_sorted_by_key(|progress| progress.done) && told.iter().all(|progress| progress.total == 800));
    assert!(told.last().is_some_and(|last| last.is_last && last.done == 800));

    let index = half_removed(false);
    let cancelled = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&cancelled);
    let stop = move |progress: Progress| flag.store(progress.is_last, Ordering::Relaxed);
    let work = Work { cancelled: Some(cancelled), on_progress: Some(Arc::new(stop)) };
    assert!(matches!(index.compact(&work), Err(Error::Cancelled)));
    assert_eq!(index.stats().unwrap().removed, 800);
}

#[test]
fn it_comes_by_itself_when_an_eighth_is_removed() {
    let index = Index::new(options(true)).unwrap();
    upsert(&index, 0..12_000, 0);
    index.migrate(&Work::default()).unwrap();
    let removed = || index.stats().unwrap().removed;
    remove(&index, 0..1_499);
    wait_for_migration(&index);
    assert!(index.inner().migrator.control().compaction().is_none());
    remove(&index, 1_499..1_500);
    wait_until("they are gone", || removed() == 0);
    assert_sound(&index);
    // By upserts too, and below the threshold.
    for round in 0..3 {
        upsert(&index, 1_500..4_000, round);
        wait_until("they are gone", || removed() < 1_500);
    }
    remove(&index, 1_500..11_990);
    wait_until("they are gone", || removed() == 0);
    assert_eq!((index.len(), index.migration().error), (10, None));
}

#[test]
fn it_comes_by_hand_alone_where_the_migration_does() {
    let index = half_removed(false);
    upsert(&index, 0..6_000, 0);
    remove(&index, 0..5_000);
    assert!(index.inner().migrator.control().compaction().is_none());
    thread::sleep(Duration::from_millis(30));
    assert_eq!(index.stats().unwrap().removed, 6_600);
}

#[test]
fn a_failure_that_nobody_waits_for_puts_it_off() {
    let index = Index::new(options(true)).unwrap();
    upsert(&index, 0..6_000, 0);
    index.migrate(&Work::default()).unwrap();
    let tried = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&tried);
    index.inner().failpoints.set(move |point| match point {
        Point::Chunk => {
            counted.fetch_add(1, Ordering::Relaxed);
            Err(Error::OutOfMemory { what: "links", bytes: 7 })
        }
        _ => Ok(()),
    });
    remove(&index, 0..1_600);
    wait_until("it was given up", || {
        tried.load(Ordering::Relaxed) == 1 && index.inner().migrator.control().compaction().is_none()
    });
    remove(&index, 1_600..3_199);
    assert!(index.inner().migrator.control().compaction().is_none());
    assert_eq!((index.migration().error, index.stats().unwrap().removed), (None, 3_199));
    index.inner().failpoints.set(|_| Ok(()));
    remove(&index, 3_199..3_200);
    wait_until("they are gone", || index.stats().unwrap().removed == 0);
    assert_sound(&index);
}

/// Whatever the background has come to when a write comes, the same graph comes of the same writes.
#[test]
fn the_graph_does_not_depend_on_when_it_is_compacted() {
    let run = |pause: u64, threads: usize| {
        let index = Index::new(Options { threads: Some(threads), ..options(true) }).unwrap();
        for round in 0..20 {
            upsert(&index, round * 400..round * 400 + 500, round);
            upsert(&index, (round * 13..round * 400).step_by(3), round + 1);
            remove(&index, (round * 50..round * 400).step_by(7));
            if round == 12 {
                compact(&index);
            }
            thread::sleep(Duration::from_millis(pause * (round % 5)));
        }
        wait_until("all is at rest", || {
            index.inner().migrator.control().compaction().is_none() && index.migration().state == MigrationState::Graph
        });
        assert_sound(&index);
        (index.graph_hash(), contents(&index).0, index.inner().state.load().origin())
    };
    let expected = run(0, 1);
    assert!(expected.2 > 10_000, "{} rows were taken away", expected.2);
    for (pause, threads) in [(0, 2), (2, 2), (9, 1)] {
        assert!(run(pause, threads) == expected, "pauses of {pause} ms, {threads} threads");
    }
}

/// What an index holds beside its live rows, at most, before a write waits.
const ROOM: usize = 4 * 4_096;

#[test]
fn what_is_removed_stays_in_proportion_however_slow_it_is() {
    let index = Index::new(options(true)).unwrap();
    upsert(&index, 0..1_000, 0);
    index.migrate(&Work::default()).unwrap();
    index.inner().failpoints.set(|point| {
        if point == Point::Unit {
            thread::sleep(Duration::from_micros(300));
        }
        Ok(())
    });
    let most = (0..120).map(|round| {
        let ids = 1_000 + round * 500..1_500 + round * 500;
        upsert(&index, ids.clone(), 0);
        remove(&index, ids);
        index.stats().unwrap().removed
    });
    let most = most.max().unwrap();
    assert!((ROOM / 2..=ROOM + 1_000).contains(&most), "{most} removed rows");
    index.inner().failpoints.set(|_| Ok(()));
    assert_sound(&index);
}

/// An index that has far more removed rows than live ones, and is held at its compaction until the flag is set.
fn fallen_behind() -> (Index, Arc<AtomicBool>) {
    let index = Index::new(options(true)).unwrap();
    index.pause_migration().unwrap();
    upsert(&index, 0..30_000, 0);
    remove(&index, 0..20_000);
    remove(&index, 20_000..28_999);
    remove(&index, 28_999..29_000);
    assert_eq!(index.stats().unwrap().removed, 29_000, "nobody waits for what is paused");
    let go_on = Arc::new(AtomicBool::new(false));
    let may_go_on = Arc::clone(&go_on);
    index.inner().failpoints.set(move |point| {
        if point == Point::Unit {
            wait_until("it may go on", || may_go_on.load(Ordering::Relaxed));
        }
        Ok(())
    });
    index.resume_migration().unwrap();
    (index, go_on)
}

#[test]
fn who_waits_for_it_may_cancel_and_is_let_go_when_it_is_done() {
    let (index, go_on) = fallen_behind();
    add_one(&index, 40_000);
    let cancelled = Arc::new(AtomicBool::new(false));
    let work = Work { cancelled: Some(Arc::clone(&cancelled)), on_progress: None };
    thread::scope(|scope| {
        let upserts = scope.spawn(|| index.upsert(&Ids::Keys(vec![29_500]), &row(1), &work));
        let removes = scope.spawn(|| index.remove(&Ids::Keys(vec![29_600])));
        thread::sleep(Duration::from_millis(50));
        assert!(!upserts.is_finished() && !removes.is_finished());
        cancelled.store(true, Ordering::Relaxed);
        assert!(matches!(upserts.join().unwrap(), Err(Error::Cancelled)));
        assert!(!removes.is_finished());
        go_on.store(true, Ordering::Relaxed);
        assert_eq!(removes.join().unwrap().unwrap(), 1);
    });
    assert!(index.stats().unwrap().removed < 29_000);
}

#[test]
fn who_waits_for_it_is_let_go_when_it_is_paused_or_closed() {
    for close in [false, true] {
        let (index, go_on) = fallen_behind();
        thread::scope(|scope| {
            let removes = scope.spawn(|| index.remove(&Ids::Keys(vec![29_600])));
            thread::sleep(Duration::from_millis(50));
            assert!(!removes.is_finished());
            if close {
                let closing = scope.spawn(|| index.close());
                wait_until("it is closing", || index.inner().check_open().is_err());
                go_on.store(true, Ordering::Relaxed);
                assert!(matches!(removes.join().unwrap(), Err(Error::Closed)));
                closing.join().unwrap().unwrap();
            } else {
                index.pause_migration().unwrap();
                assert_eq!(removes.join().unwrap().unwrap(), 1);
                go_on.store(true, Ordering::Relaxed);
            }
        });
    }
}

fn add_one(index: &Index, id: u64) {
    index.add(&Ids::Keys(vec![id]), &row(id), &Work::default()).unwrap();
}
