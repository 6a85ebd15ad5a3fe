//! What is measured, whichever the library.

use std::collections::HashSet;
use std::time::Instant;

use serde_json::{Value, json};

use crate::Result;
use crate::files::{Options, read_accepted, read_vectors};
use crate::memory;

pub const K: usize = 10;
pub const BUILD_THREADS: usize = 2;
const TIMED_QUERIES: usize = 2_000;
const WARM_UP: usize = 200;

/// An index under the names of this program.
pub trait Library {
    /// `None`: the version of this project.
    fn version(&self) -> Option<String>;
    /// From rows in memory to ready, on `BUILD_THREADS` threads. Row `i` gets the id `i`.
    fn build(&mut self, rows: &[f32], dimensions: usize) -> Result<()>;
    /// How it was set, once it is built.
    fn parameters(&self) -> Result<Value>;
    /// The nearest `K` rows into `found`, on the calling thread.
    fn search(&self, query: &[f32], ef: usize, found: &mut Vec<u64>) -> Result<()>;
    /// Distances that searches have computed so far, where they are counted.
    fn evaluations(&self) -> Result<Option<u64>> {
        Ok(None)
    }
}

pub struct Driver {
    options: Options,
    library: Box<dyn Library>,
    queries: Vec<Vec<f32>>,
    accepted: Vec<HashSet<u64>>,
}

impl Driver {
    pub fn new(options: Options, library: Box<dyn Library>) -> Self {
        Self { options, library, queries: Vec::new(), accepted: Vec::new() }
    }

    pub fn open(&mut self) -> Result<Value> {
        let (rows, dimensions) = read_vectors(&self.options.query, usize::MAX)?;
        self.queries = rows.chunks_exact(dimensions).map(<[f32]>::to_vec).collect();
        self.accepted = read_accepted(&self.options.truth)?;
        Ok(json!({ "version": self.library.version() }))
    }

    /// Rows are in memory before; what the library makes of them counts.
    pub fn build(&mut self) -> Result<Value> {
        let (rows, dimensions) = read_vectors(&self.options.base, self.options.rows)?;
        let before = memory::resident()?;
        memory::reset_peak()?;
        let start = Instant::now();
        self.library.build(&rows, dimensions)?;
        let seconds = start.elapsed().as_secs_f64();
        let peak = memory::peak()?;
        Ok(json!({
            "seconds": seconds,
            "restingBytes": memory::resident()?.saturating_sub(before),
            "peakBytes": peak.map(|peak| peak.saturating_sub(before)),
            "parameters": self.library.parameters()?,
        }))
    }

    pub fn recall(&self, ef: usize) -> Result<Value> {
        let mut found = Vec::with_capacity(K);
        let mut hits = 0;
        let before = self.library.evaluations()?;
        for (query, accepted) in self.queries.iter().zip(&self.accepted) {
            self.library.search(query, ef, &mut found)?;
            let distinct: HashSet<&u64> = found.iter().collect();
            hits += distinct.iter().filter(|row| accepted.contains(row)).count();
        }
        let computed = self.library.evaluations()?.zip(before).map(|(after, before)| after - before);
        Ok(json!({
            "recall": hits as f64 / (self.accepted.len() * K) as f64,
            "evaluations": computed.map(|computed| computed as f64 / self.accepted.len() as f64),
        }))
    }

    pub fn search(&self, ef: usize) -> Result<Value> {
        let timed = &self.queries[..self.queries.len().min(TIMED_QUERIES)];
        let mut found = Vec::with_capacity(K);
        for query in timed.iter().take(WARM_UP) {
            self.library.search(query, ef, &mut found)?;
        }
        let mut micros = Vec::with_capacity(timed.len());
        let start = Instant::now();
        let mut last = start;
        for query in timed {
            self.library.search(query, ef, &mut found)?;
            let now = Instant::now();
            micros.push((now - last).as_secs_f64() * 1e6);
            last = now;
        }
        let qps = timed.len() as f64 / (last - start).as_secs_f64();
        micros.sort_by(f64::total_cmp);
        let percentile = |share: f64| micros[(share * micros.len() as f64).ceil() as usize - 1];
        Ok(json!({ "single": { "qps": qps, "p50": percentile(0.5), "p99": percentile(0.99) } }))
    }
}
