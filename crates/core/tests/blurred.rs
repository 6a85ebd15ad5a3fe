//! Rows that their codes do not tell apart: far from all others, or very near each other. They are found as well as any,
//! whenever and however they came.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic")]

mod common;

use common::data::normal_rows;
use common::{METRICS, Rng, add_in_batches, assert_all_reachable, exactly, nearest};
use vicinal_core::{Index, Metric, Options, Work};

const DIMENSIONS: usize = 32;

/// How rows come into the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// All in one bulk build.
    Bulk,
    /// Those of the usual kind in a bulk build, the others inserted after it.
    Later,
    /// All inserted.
    Steps,
    /// All in lists of rows that wait.
    Lists,
}

/// Rows of the usual kind, others, and queries like the others.
struct Data {
    usual: Vec<f32>,
    others: Vec<f32>,
    queries: Vec<f32>,
}

impl Data {
    /// Others are `width` wide, and lie around `center`.
    fn around(center: &[f32], width: f32, usual: usize, others: usize) -> Self {
        let around = |count, seed| -> Vec<f32> {
            let values = normal_rows(DIMENSIONS, count, seed);
            values.iter().zip(center.iter().cycle()).map(|(value, center)| center + width * value).collect()
        };
        Self { usual: normal_rows(DIMENSIONS, usual, 1), others: around(others, 2), queries: around(60, 3) }
    }

    fn index(&self, metric: Metric, way: Way) -> Index {
        let auto_migrate = way == Way::Lists;
        let index = Index::new(Options { metric, auto_migrate, threads: Some(2), ..Options::new(DIMENSIONS) }).unwrap();
        index.pause_migration().unwrap();
        if way == Way::Lists {
            // Mixed: all are listed.
            let (mut mixed, mut others) = (Vec::new(), self.others.chunks(DIMENSIONS));
            let share = self.usual.len() / self.others.len();
            for rows in self.usual.chunks(share * DIMENSIONS) {
                mixed.extend_from_slice(rows);
                mixed.extend_from_slice(others.next().unwrap_or(&[]));
            }
            add_in_batches(&index, &mixed, DIMENSIONS, 4_096);
            return index;
        }
        index.resume_migration().unwrap();
        add_in_batches(&index, &self.usual, DIMENSIONS, 5_000);
        if way == Way::Later {
            index.migrate(&Work::default()).unwrap();
        }
        add_in_batches(&index, &self.others, DIMENSIONS, 5_000);
        if way == Way::Bulk {
            index.migrate(&Work::default()).unwrap();
        }
        while index.migrate_step(700).unwrap() > 0 {}
        index
    }

    fn recall(&self, index: &Index) -> f64 {
        let found = self.queries.chunks(DIMENSIONS).map(|query| {
            let (hits, exact) =
                (index.search(query, &nearest(10, 64)).unwrap(), index.search(query, &exactly(10)).unwrap());
            hits.distances.iter().filter(|&&distance| distance <= exact.distances[9]).count()
        });
        found.sum::<usize>() as f64 / (self.queries.len() / DIMENSIONS * 10) as f64
    }

    fn check(&self, name: &str, metric: Metric, way: Way) {
        let index = self.index(metric, way);
        assert_all_reachable(&index);
        let recall = self.recall(&index);
        assert!(recall > 0.97, "{name}, {metric:?}, {way:?}: {recall}");
    }
}

#[test]
fn rows_far_from_all_others_are_told_apart() {
    let data = Data::around(&[1_000.0; DIMENSIONS], 1.0, 9_000, 400);
    for metric in METRICS {
        for way in [Way::Bulk, Way::Later, Way::Lists] {
            data.check("far", metric, way);
        }
    }
}

#[test]
fn rows_very_near_each_other_are_told_apart() {
    let center = normal_rows(DIMENSIONS, 1, 9);
    let data = Data::around(&center, 0.001, 9_000, 400);
    for metric in METRICS {
        for way in [Way::Bulk, Way::Steps, Way::Lists] {
            data.check("near", metric, way);
        }
    }
}

#[test]
fn rows_that_grow_without_end_are_told_apart() {
    // From 1 to 1,000,000 on a line: the sums that distances are made of are rounded.
    let mut rng = Rng(5);
    let mut values = |count: usize| (0..count).map(|_| (14.0 * rng.unit()).exp()).collect::<Vec<f32>>();
    let (rows, queries) = (values(6_000), values(100));
    let index = Index::new(Options { auto_migrate: false, ..Options::new(1) }).unwrap();
    add_in_batches(&index, &rows, 1, 1_000);
    while index.migrate_step(1_000).unwrap() > 0 {}
    for query in queries.chunks(1) {
        let (hits, exact) =
            (index.search(query, &nearest(10, 64)).unwrap(), index.search(query, &exactly(10)).unwrap());
        assert_eq!(hits.distances, exact.distances, "{query:?}");
    }
}
