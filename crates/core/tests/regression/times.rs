//! Ratios of times: the least of some rounds in which both take turns, so that the machine's mood counts little.

use std::hint::black_box;
use std::time::{Duration, Instant};

use vicinal_core::{Index, SearchOptions};

use super::{EF, K, Method, PHOTOS, migrate, search_all, waiting};
use crate::common::data::Photos;
use crate::common::{exactly, nearest};

const ROUNDS: usize = 5;
/// Queries that are asked both ways.
const QUERIES: usize = 200;
/// Passes over the rows a build: so many that they take about as long, and are interrupted as often by other programs.
const COPIES: u32 = 100;

/// A bulk build on one thread over copying the same rows once and scanning them with a plain loop.
pub fn build_ratio() -> f64 {
    let (mut build, mut copies) = (Duration::MAX, Duration::MAX);
    for _ in 0..ROUNDS {
        let index = waiting(1);
        build = build.min(timed(|| migrate(&index, Method::Bulk)));
        copies = copies.min(timed(|| (0..COPIES).for_each(|_| copy_and_scan())));
    }
    build.as_secs_f64() / (copies / COPIES).as_secs_f64()
}

/// A search over an exact scan.
pub fn search_ratio() -> f64 {
    let index = waiting(1);
    migrate(&index, Method::Bulk);
    search_all(&index, EF);
    seconds(&index, &nearest(K, EF)) / seconds(&index, &exactly(K))
}

/// What the queries take on this thread: of each the least of all rounds.
fn seconds(index: &Index, options: &SearchOptions) -> f64 {
    let (mut ids, mut distances) = ([0; K], [0.0; K]);
    let mut least = [Duration::MAX; QUERIES];
    for _ in 0..ROUNDS {
        for (least, query) in least.iter_mut().zip(PHOTOS.queries()) {
            let took = timed(|| assert_eq!(index.search_into(query, options, &mut ids, &mut distances).unwrap(), K));
            *least = took.min(*least);
        }
    }
    least.iter().sum::<Duration>().as_secs_f64()
}

fn copy_and_scan() {
    let rows = black_box(PHOTOS.base.clone());
    let query = &PHOTOS.queries[..Photos::DIMENSIONS];
    let nearest = rows.chunks_exact(Photos::DIMENSIONS).map(|row| {
        let distance: f32 = row.iter().zip(query).map(|(a, b)| (a - b) * (a - b)).sum();
        distance
    });
    black_box(nearest.fold(f32::INFINITY, f32::min));
}

fn timed(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}
