mod stopping;
mod unasked;

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

fn half_removed(auto: bool) -> Index {
    let index = Index::new(options(auto)).unwrap();
    upsert(&index, 0..1_600, 0);
    index.migrate(&Work::default()).unwrap();
    remove(&index, 0..800);
    index
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
