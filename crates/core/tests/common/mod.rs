//! What the tests share: data, naive distances, names for ids, a model of the index.
#![allow(dead_code, reason = "each test file uses a part of it")]

pub mod answers;
pub mod data;
pub mod model;
pub mod names;

use vicinal_core::{Index, Metric, Options, SearchOptions, Work};

pub const METRICS: [Metric; 3] = [Metric::L2, Metric::Cosine, Metric::InnerProduct];

/// A small generator of random numbers (SplitMix64): the same seed gives the same numbers for ever.
#[derive(Clone)]
pub struct Rng(pub u64);

impl Rng {
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, end: usize) -> usize {
        (self.bits() % end as u64) as usize
    }

    /// In 0 … 1.
    pub fn unit(&mut self) -> f32 {
        (self.bits() >> 40) as f32 / (1 << 24) as f32
    }

    /// Near enough to a normal distribution: the sum of twelve uniform numbers.
    pub fn normal(&mut self) -> f32 {
        (0..12).map(|_| self.unit()).sum::<f32>() - 6.0
    }
}

/// The distance in double precision.
pub fn distance(metric: Metric, a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| -> f64 { a.iter().zip(b).map(|(&x, &y)| f64::from(x) * f64::from(y)).sum() };
    match metric {
        Metric::L2 => a.iter().zip(b).map(|(&x, &y)| (f64::from(x) - f64::from(y)).powi(2)).sum(),
        // Never −0, which would sort before 0.
        Metric::InnerProduct => 0.0 - dot(a, b),
        Metric::Cosine => 1.0 - dot(a, b) / (dot(a, a).sqrt() * dot(b, b).sqrt()),
    }
}

/// How far a single-precision distance may be from that of [`distance`]: 1e-5 of it, or of what it is the difference
/// of, and what underflows.
pub fn tolerance(metric: Metric, a: &[f32], b: &[f32]) -> f64 {
    let relative = match metric {
        Metric::L2 => distance(metric, a, b),
        Metric::InnerProduct => a.iter().zip(b).map(|(&x, &y)| (f64::from(x) * f64::from(y)).abs()).sum(),
        Metric::Cosine => distance(metric, a, b) + 0.2,
    };
    1e-5 * relative + 1e-43
}

/// `k` nearest with a candidate list of `ef`.
pub fn nearest(k: usize, ef: usize) -> SearchOptions {
    SearchOptions { k, ef: Some(ef), ..SearchOptions::default() }
}

/// `k` nearest, exactly.
pub fn exactly(k: usize) -> SearchOptions {
    SearchOptions { k, exact: true, ..SearchOptions::default() }
}

/// An index of all `rows` under the ids 0, 1, …, in the graph, built by hand from batches of `batch` rows.
pub fn graph_of(rows: &[f32], options: Options, batch: usize) -> Index {
    let dimensions = options.dimensions;
    let index = Index::new(Options { threshold: Some(0), auto_migrate: false, ..options }).unwrap();
    add_in_batches(&index, rows, dimensions, batch);
    let count = rows.len() / dimensions;
    assert_eq!(index.migrate(&Work::default()).unwrap().vectors, count);
    index
}

/// Adds `rows` under the ids that follow those of the index.
pub fn add_in_batches(index: &Index, rows: &[f32], dimensions: usize, batch: usize) {
    for rows in rows.chunks(batch * dimensions) {
        let first = index.len() as u64;
        let ids = (first..first + (rows.len() / dimensions) as u64).collect();
        index.add(&vicinal_core::Ids::Keys(ids), rows, &Work::default()).unwrap();
    }
}

/// Asserts that every live row can be reached.
pub fn assert_all_reachable(index: &Index) {
    assert_eq!(index.verify(1, 1, None, &Work::default()).unwrap().unreachable, 0, "unreachable rows");
}

/// Waits until `condition` holds; panics after half a minute.
pub fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let start = std::time::Instant::now();
    while !condition() {
        assert!(start.elapsed().as_secs() < 30, "waited in vain until {what}");
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}
