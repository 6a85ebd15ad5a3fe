//! Measuring an index against itself: what it uses, how well it finds its own rows, whether it reaches them all.

use super::Inner;
use super::migrate::Migration;
use super::reader::{Reader, Request};
use super::state::State;
use crate::error::{Error, Result};
use crate::graph::Graph;
use crate::work::{Phase, Work};

/// Bytes by purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bytes {
    pub vectors: usize,
    pub codes: usize,
    pub links: usize,
    pub ids: usize,
    pub total: usize,
}

/// A look at the whole index.
#[derive(Debug, Clone, PartialEq)]
pub struct Stats {
    pub live: usize,
    /// Rows that were removed or replaced and still take memory.
    pub removed: usize,
    /// Live rows that the graph does not serve.
    pub tail: usize,
    /// Nodes on each level, level 0 first; empty without a graph.
    pub levels: Vec<usize>,
    /// Links a node on level 0, on average.
    pub mean_degree: f64,
    pub m: usize,
    pub bytes: Bytes,
    /// The instruction set in use.
    pub simd: &'static str,
    pub threads: usize,
    pub migration: Migration,
}

/// What `verify` measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Verified {
    /// Share of the exact neighbors that searches found; 1 for an empty index.
    pub recall: f64,
    /// Live rows that no path leads to.
    pub unreachable: usize,
    pub samples: usize,
}

/// Slots, evenly spread, whose degree is looked at for the mean.
const DEGREE_SAMPLES: usize = 10_000;

impl Inner {
    pub(super) fn bytes(&self) -> Bytes {
        let state = self.state.load();
        let vectors = state.rows.bytes();
        let links = state.graph.get().map_or(0, Graph::bytes);
        let ids = state.ids.bytes() + state.map.bytes() + state.equals.bytes();
        Bytes { vectors, codes: 0, links, ids, total: vectors + links + ids }
    }

    pub(super) fn stats(&self) -> Result<Stats> {
        let state = self.open()?;
        let migration = self.migration();
        let live = state.live();
        let graph = state.graph.get();
        let view = graph.map(|graph| graph.view(&state.rows));
        Ok(Stats {
            live,
            removed: state.len().saturating_sub(live),
            tail: migration.total.saturating_sub(migration.migrated),
            levels: graph.map(|graph| graph.levels()).unwrap_or_default(),
            mean_degree: view.map_or(0.0, |view| {
                let migrated = state.migrated();
                view.mean_degree((0..migrated).step_by(migrated.div_ceil(DEGREE_SAMPLES).max(1)))
            }),
            m: graph.map_or(self.options.m.unwrap_or(crate::graph::DEFAULT_M), |graph| graph.m()),
            bytes: self.bytes(),
            simd: state.rows.view().space().kernels().level().name(),
            threads: self.pools.threads(),
            migration,
        })
    }

    pub(super) fn verify(&self, samples: usize, k: usize, ef: Option<usize>, work: &Work) -> Result<Verified> {
        let state = self.open()?;
        for (name, value) in [("samples", samples), ("k", k), ("ef", ef.unwrap_or(1))] {
            if value == 0 {
                return Err(Error::argument(name, value, "a whole number, 1 or more"));
            }
        }
        let unreachable = unreachable(&state, work)?;
        let sampled = sample(&state, samples);
        let (mut hits, mut possible) = (0, 0);
        for (done, &slot) in sampled.iter().enumerate() {
            work.check()?;
            work.report(Phase::Verify, done, sampled.len());
            let (found, of) = self.recall_of(&state, slot, k, ef)?;
            hits += found;
            possible += of;
        }
        work.report(Phase::Verify, sampled.len(), sampled.len());
        let recall = if possible == 0 { 1.0 } else { hits as f64 / possible as f64 };
        Ok(Verified { recall, unreachable, samples: sampled.len() })
    }

    /// Of the exact nearest `k` of the row at `slot`, how many a search finds: hits no farther than the exact k-th.
    fn recall_of(&self, state: &State, slot: u32, k: usize, ef: Option<usize>) -> Result<(usize, usize)> {
        let _passage = self.pools.gate().enter();
        let ef = ef.unwrap_or(self.options.ef).max(k);
        let search = |exact| {
            let request = Request { k, ef, exact, max_distance: f32::INFINITY, filter: None, excluded: None };
            let reader = Reader::new(state, request, self.threshold());
            state.scratches.with(|scratch| {
                reader.nearest(reader.rows().query(slot), scratch)?;
                Ok(scratch.top.sorted().iter().map(|key| key.distance()).collect::<Vec<_>>())
            })
        };
        let exact: Vec<f32> = search(true)?;
        let found: Vec<f32> = search(false)?;
        let Some(&last) = exact.last() else {
            return Ok((0, 0));
        };
        Ok((found.iter().filter(|&&distance| distance <= last).count().min(exact.len()), exact.len()))
    }
}

/// At most `count` live slots, evenly spread.
fn sample(state: &State, count: usize) -> Vec<u32> {
    let removed = state.removed.view();
    let live: Vec<u32> = (0..state.len() as u32).filter(|&slot| !removed.get(slot)).collect();
    let count = count.min(live.len());
    (0..count).map(|i| live[i * live.len() / count]).collect()
}

/// Live rows of the graph that cannot be reached from its entry point on level 0. Rows of the tail are scanned.
fn unreachable(state: &State, work: &Work) -> Result<usize> {
    let migrated = state.migrated();
    let Some(graph) = state.graph.get().map(|graph| graph.view(&state.rows)) else {
        return Ok(0);
    };
    let Some(entry) = graph.entry() else {
        return Ok(0);
    };
    let mut reached = vec![false; graph.limit()];
    let mut stack = vec![entry.node];
    let mut neighbors = Vec::new();
    let mut steps = 0;
    while let Some(node) = stack.pop() {
        if std::mem::replace(&mut reached[node as usize], true) {
            continue;
        }
        steps += 1;
        if steps % 4_096 == 0 {
            work.check()?;
        }
        if let Some(list) = graph.list(node, 0) {
            list.read(&mut neighbors);
            stack.extend(neighbors.iter().filter(|&&node| (node as usize) < reached.len() && !reached[node as usize]));
        }
    }
    let (removed, followers) = (state.removed.view(), state.equals.followers());
    let mut count = 0;
    for slot in (0..migrated as u32).filter(|&slot| !reached[slot as usize]) {
        if !followers.get(slot) {
            count += usize::from(!removed.get(slot));
            // Whoever equals it is reached through it.
            state.equals.visit_group(slot, |follower| {
                count += usize::from((follower as usize) < migrated);
                true
            });
        }
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use crate::{Index, Options, Work};

    #[test]
    fn the_mean_degree_is_that_of_the_whole_graph() {
        // So many equal rows come first that a look at the beginning would meet a single node.
        let (equal, others) = (super::DEGREE_SAMPLES, 2_000);
        let index = Index::new(Options { threshold: Some(0), auto_migrate: false, ..Options::new(1) }).unwrap();
        let rows: Vec<f32> = (0..equal + others).map(|row| row.saturating_sub(equal) as f32).collect();
        index.add(&crate::Ids::Keys((0..rows.len() as u64).collect()), &rows, &Work::default()).unwrap();
        index.migrate(&Work::default()).unwrap();
        let state = index.inner().state.load();
        let all = state.graph.get().unwrap().view(&state.rows).mean_degree(0..rows.len());
        let sampled = index.stats().unwrap().mean_degree;
        assert!((sampled / all - 1.0).abs() < 0.05, "{sampled}, expected about {all}");
    }
}
