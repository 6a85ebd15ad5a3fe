//! Rows that wait for the graph: found as well as those in it, without a look at all of them.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic")]

mod common;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};

use common::data::Photos;
use common::{METRICS, Rng, add_in_batches, exactly, nearest};
use vicinal_core::{Error, Ids, Index, Metric, Options, SearchOptions, Work};

static PHOTOS: LazyLock<Photos> = LazyLock::new(Photos::read);

const K: usize = 10;

/// An index whose rows wait until somebody calls `migrate`.
fn index(metric: Metric, dimensions: usize) -> Index {
    let index = Index::new(Options { metric, threads: Some(2), ..Options::new(dimensions) }).unwrap();
    index.pause_migration().unwrap();
    index
}

/// Recall at `ef`, and distances of codes computed a query.
fn measure(index: &Index, ef: usize) -> (f64, f64) {
    let before = index.evaluations();
    let hits = index.search_batch(PHOTOS.queries.clone(), &nearest(K, ef), &Work::default()).unwrap();
    let evaluations = (index.evaluations() - before) as f64 / PHOTOS.queries().len() as f64;
    let answers = hits.distances.chunks(K).enumerate();
    let sum: f64 = answers.map(|(number, found)| PHOTOS.recall(number, K, found)).sum();
    (sum / PHOTOS.queries().len() as f64, evaluations)
}

#[test]
fn recall_is_at_least_that_of_the_graph_for_a_part_of_the_distances() {
    for batch in [500, 3_000, 20_000] {
        let index = index(Metric::L2, Photos::DIMENSIONS);
        add_in_batches(&index, &PHOTOS.base, Photos::DIMENSIONS, batch);
        let waiting = [24, 64, 200].map(|ef| measure(&index, ef));
        assert!(waiting[0].1 > 100.0 && waiting[0].1 < 0.3 * index.len() as f64, "batches of {batch}: {waiting:?}");
        index.migrate(&Work::default()).unwrap();
        for ((ef, (found, _)), least) in [24, 64, 200].into_iter().zip(waiting).zip([0.0, 0.005, 0.005]) {
            let graph = measure(&index, ef).0;
            assert!(found >= graph - least, "batches of {batch}, ef {ef}: {found} waiting, {graph} in the graph");
        }
    }
}

#[test]
fn part_in_the_graph_and_part_waiting_are_one_answer() {
    let index = index(Metric::L2, Photos::DIMENSIONS);
    let half = PHOTOS.base.len() / 2;
    let ids = |rows: std::ops::Range<u64>| Ids::Keys(rows.collect());
    index.add(&ids(0..10_000), &PHOTOS.base[..half], &Work::default()).unwrap();
    index.migrate(&Work::default()).unwrap();
    index.pause_migration().unwrap();
    for batch in 0..10 {
        let rows = 10_000 + batch * 1_000..11_000 + batch * 1_000;
        let values = &PHOTOS.base[rows.start as usize * Photos::DIMENSIONS..rows.end as usize * Photos::DIMENSIONS];
        index.add(&ids(rows), values, &Work::default()).unwrap();
    }
    let (found, evaluations) = measure(&index, 64);
    assert!(found > 0.985 && evaluations < 8_000.0, "{found} for {evaluations}");
    // Each new row at once, and nothing twice.
    for (row, values) in PHOTOS.base.chunks(Photos::DIMENSIONS).enumerate().step_by(97) {
        let hits = index.search(values, &nearest(K, 64)).unwrap();
        let Ids::Keys(keys) = &hits.ids else { panic!("{:?}", hits.ids) };
        assert!(keys.contains(&(row as u64)), "{row}: {keys:?}");
        let mut unique = keys.clone();
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(unique.len(), K);
    }
}

#[test]
fn a_search_by_lists_alone_looks_at_whether_it_is_cancelled() {
    let index = index(Metric::L2, Photos::DIMENSIONS);
    add_in_batches(&index, &PHOTOS.base, Photos::DIMENSIONS, 20_000);
    let flag = Arc::new(AtomicBool::new(false));
    let options = SearchOptions { cancelled: Some(flag.clone()), ..nearest(K, 64) };
    let query = &PHOTOS.queries[..Photos::DIMENSIONS];
    assert_eq!(index.search(query, &options).unwrap().distances.len(), K);
    flag.store(true, Ordering::Relaxed);
    assert!(matches!(index.search(query, &options), Err(Error::Cancelled)));
}

/// Rows of `dimensions` normal values around one of 50 centers.
fn clustered(rng: &mut Rng, rows: usize, dimensions: usize) -> Vec<f32> {
    let centers: Vec<f32> = (0..50 * dimensions).map(|_| 3.0 * rng.normal()).collect();
    let centers = &centers;
    let row = |_| (rng.below(50), [(); 16].map(|()| rng.normal()));
    let rows: Vec<(usize, [f32; 16])> = (0..rows).map(row).collect();
    rows.iter()
        .flat_map(|(center, values)| (0..dimensions).map(move |d| centers[center * dimensions + d] + values[d]))
        .collect()
}

#[test]
fn removed_replaced_and_refused_rows_are_left_out_under_every_metric() {
    for metric in METRICS {
        let (rows, dimensions, mut rng) = (9_000, 16, Rng(3));
        let data = clustered(&mut rng, rows, dimensions);
        let index = index(metric, dimensions);
        add_in_batches(&index, &data, dimensions, 1_500);
        let third = |rest: u64| Ids::Keys((0..rows as u64).filter(|id| id % 3 == rest).collect());
        assert_eq!(index.remove(&third(0)).unwrap(), rows / 3);
        let moved: Vec<f32> = (0..rows)
            .filter(|row| row % 3 == 1)
            .flat_map(|row| {
                data[row * dimensions..][..dimensions].iter().map(|value| value + 0.5).collect::<Vec<f32>>()
            })
            .collect();
        index.upsert(&third(1), &moved, &Work::default()).unwrap();
        let filters = [None, Some(index.id_set(&third(1)).unwrap()), Some(index.id_set(&third(2)).unwrap())];
        for filter in filters {
            let (mut found, mut possible) = (0, 0);
            for query in data.chunks(dimensions).step_by(45) {
                let exact = SearchOptions { filter: filter.clone(), ..exactly(K) };
                let lists = SearchOptions { filter: filter.clone(), ..nearest(K, 64) };
                let (exact, hits) = (index.search(query, &exact).unwrap(), index.search(query, &lists).unwrap());
                assert_eq!(hits.distances.len(), K);
                let Ids::Keys(keys) = &hits.ids else { panic!("{:?}", hits.ids) };
                assert!(keys.iter().all(|key| key % 3 != 0), "{keys:?}");
                found += hits.distances.iter().filter(|&&distance| distance <= exact.distances[K - 1]).count();
                possible += K;
            }
            let recall = found as f64 / possible as f64;
            assert!(recall > 0.95, "{metric:?}, filter {}: {recall}", filter.is_some());
        }
    }
}
