//! A batch of queries answers as single searches do.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic")]

mod common;

use common::data::normal_rows;
use common::{METRICS, Rng, exactly};
use vicinal_core::{Ids, Index, Options, SearchOptions, Work};

const DIMENSIONS: usize = 100;

/// Asserts that a batch of `queries` finds what single searches find, to the last bit.
fn assert_alike(index: &Index, queries: &[f32], options: &SearchOptions) {
    let batch = index.search_batch(queries.to_vec(), options, &Work::default()).unwrap();
    let Ids::Keys(ids) = &batch.ids else { panic!("numbers") };
    for (row, query) in queries.chunks(DIMENSIONS).enumerate() {
        let alone = index.search(query, options).unwrap();
        let found = row * batch.stride..row * batch.stride + batch.counts[row] as usize;
        assert_eq!(Ids::Keys(ids[found.clone()].to_vec()), alone.ids, "ids of query {row}");
        assert_eq!(batch.distances[found], alone.distances, "distances of query {row}");
    }
}

#[test]
fn a_bound_cuts_a_batch_as_it_cuts_a_search() {
    let queries = normal_rows(DIMENSIONS, 40, 2);
    for metric in METRICS {
        let index = Index::new(Options { metric, ..Options::new(DIMENSIONS) }).unwrap();
        let rows = normal_rows(DIMENSIONS, 2_000, 1);
        index.add(&Ids::Keys((0..2_000).collect()), &rows, &Work::default()).unwrap();
        for query in queries.chunks(DIMENSIONS) {
            // The bound is a distance that occurs.
            let bound = index.search(query, &exactly(6)).unwrap().distances[5];
            let options = SearchOptions { max_distance: Some(bound), ..exactly(20) };
            assert_eq!(index.search(query, &options).unwrap().distances.len(), 6);
            assert_alike(&index, query, &options);
        }
    }
}

#[test]
fn rows_that_are_almost_equally_far_come_in_the_same_order() {
    let query = normal_rows(DIMENSIONS, 1, 3);
    // The same differences in another order: equal but for rounding.
    let mut differences = normal_rows(DIMENSIONS, 1, 4);
    let mut rng = Rng(5);
    let mut rows = Vec::new();
    for _ in 0..1_000 {
        for place in (1..DIMENSIONS).rev() {
            differences.swap(place, rng.below(place + 1));
        }
        rows.extend(query.iter().zip(&differences).map(|(x, difference)| x + difference));
    }
    for metric in METRICS {
        let index = Index::new(Options { metric, ..Options::new(DIMENSIONS) }).unwrap();
        index.add(&Ids::Keys((0..1_000).collect()), &rows, &Work::default()).unwrap();
        for k in [1, 10, 50, 999, 2_000] {
            assert_alike(&index, &query.repeat(3), &exactly(k));
        }
    }
}
