//! Measuring an index against itself: what it uses, how well it finds its own rows, whether it reaches them all.

use super::migrate::Migration;
use super::reader::{Reader, Request};
use super::state::State;
use super::walk::walk;
use super::{Inner, scan};
use crate::error::{Error, Failure, Result};
use crate::graph::Graph;
use crate::inverted::InvertedFile;
use crate::memory::room;
use crate::vectors::Padded;
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
    /// Why the last checkpoint that nobody asked for has failed, unless there was one since.
    pub checkpoint_error: Option<Failure>,
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
        let vectors = state.rows().bytes();
        let (codes, links) = state.graph.load().as_deref().map_or((0, 0), Graph::bytes);
        let codes = codes + state.inverted.load().as_deref().map_or(0, InvertedFile::bytes);
        let ids = state.ids.bytes() + state.map.bytes() + state.equals.bytes();
        Bytes { vectors, codes, links, ids, total: vectors + codes + links + ids }
    }

    pub(super) fn stats(&self) -> Result<Stats> {
        let state = self.open()?;
        state.watch(|| self.stats_of(&state))
    }

    fn stats_of(&self, state: &State) -> Result<Stats> {
        let migration = self.migration();
        let live = state.live();
        let graph = state.graph.load_full();
        let graph = graph.as_deref();
        let view = graph.map(Graph::view);
        Ok(Stats {
            live,
            removed: state.len().saturating_sub(live),
            tail: migration.total.saturating_sub(migration.migrated),
            levels: graph.map(|graph| graph.levels()).unwrap_or_default(),
            mean_degree: view.map_or(0.0, |view| {
                let nodes = graph.map_or(0, Graph::nodes);
                view.mean_degree((0..nodes).step_by(nodes.div_ceil(DEGREE_SAMPLES).max(1)))
            }),
            m: graph.map_or(self.options.m.unwrap_or(crate::graph::DEFAULT_M), |graph| graph.m()),
            bytes: self.bytes(),
            simd: state.rows().space().kernels().level().name(),
            threads: self.pools.threads(),
            migration,
            checkpoint_error: self.checkpoint_failure(),
        })
    }

    pub(super) fn verify(&self, samples: usize, k: usize, ef: Option<usize>, work: &Work) -> Result<Verified> {
        let state = self.open()?;
        for (name, value) in [("samples", samples), ("k", k), ("ef", ef.unwrap_or(1))] {
            if value == 0 {
                return Err(Error::argument(name, value, "a whole number, 1 or more"));
            }
        }
        state.watch(|| self.verify_state(&state, samples, k, ef, work))
    }

    fn verify_state(
        &self,
        state: &State,
        samples: usize,
        k: usize,
        ef: Option<usize>,
        work: &Work,
    ) -> Result<Verified> {
        let unreachable = unreachable(state, work)?;
        let sampled = sample(state, samples, self.options.seed, work)?;
        let (mut hits, mut possible) = (0, 0);
        for (done, &slot) in sampled.iter().enumerate() {
            work.check()?;
            work.report(Phase::Verify, done, sampled.len());
            let (found, of) = self.recall_of(state, slot, k, ef, work)?;
            hits += found;
            possible += of;
        }
        work.report(Phase::Verify, sampled.len(), sampled.len());
        let recall = if possible == 0 { 1.0 } else { hits as f64 / possible as f64 };
        Ok(Verified { recall, unreachable, samples: sampled.len() })
    }

    /// Of the exact nearest `k` of the row at `slot`, how many a search finds: hits no farther than the exact k-th.
    fn recall_of(&self, state: &State, slot: u32, k: usize, ef: Option<usize>, work: &Work) -> Result<(usize, usize)> {
        let _passage = self.pools.enter();
        let ef = ef.unwrap_or(self.options.ef).max(k);
        let snapshot = state.snapshot();
        let reader = |exact| {
            let (max_distance, cancelled) = (f32::INFINITY, work.cancelled.as_deref());
            let request = Request { k, ef, exact, max_distance, filter: None, excluded: None, cancelled };
            Reader::new(state, &snapshot, request, &self.options)
        };
        state.scratches.with(|scratch| {
            let searching = reader(false);
            let mut query = Padded::default();
            let query = searching.rows().query(slot, &mut query);
            searching.nearest(query, scratch)?;
            let keys = scratch.top.sorted();
            let mut found = room("a verification", keys.len())?;
            found.extend(keys.iter().map(|key| key.distance()));
            let scanning = reader(true);
            scratch.top.reset(k.min(scanning.rows().len()));
            scan::one(&scanning, query, 0..scanning.rows().len(), &mut scratch.top)?;
            let exact = scratch.top.sorted();
            let Some(last) = exact.last().map(|key| key.distance()) else {
                return Ok((0, 0));
            };
            Ok((found.iter().filter(|&&distance| distance <= last).count().min(exact.len()), exact.len()))
        })
    }
}

/// At most `count` live slots: of each stretch of them one at random, so that data that repeat are not met at one place.
fn sample(state: &State, count: usize, seed: u64, work: &Work) -> Result<Vec<u32>> {
    let slots = state.len();
    let live = state.live_in(0..slots);
    let count = count.min(live);
    let mut sampled = room("a verification", count)?;
    let removed = state.removed.view();
    let place = |stretch: usize| {
        let (start, end) = (stretch * live / count, (stretch + 1) * live / count);
        let random = (seed ^ stretch as u64).wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        start + random as usize % (end - start)
    };
    for (position, slot) in (0..slots as u32).filter(|&slot| !removed.get(slot)).enumerate() {
        work.check()?;
        if sampled.len() < count && position == place(sampled.len()) {
            sampled.push(slot);
        }
    }
    Ok(sampled)
}

/// Live rows of the graph that cannot be reached from its entry point on level 0. Rows of the tail are scanned.
fn unreachable(state: &State, work: &Work) -> Result<usize> {
    let graph = state.graph.load_full();
    let Some(graph) = graph.as_deref() else {
        return Ok(0);
    };
    let (migrated, nodes, view) = (graph.migrated(), graph.nodes(), graph.view());
    let Some(entry) = view.entry() else {
        return Ok(0);
    };
    let reached = walk(&view, entry.node, view.limit(), work)?;
    let removed = state.removed.view();
    let mut count = 0;
    for node in (0..nodes as u32).filter(|&node| !reached[node as usize]) {
        let slot = view.points().slot(node);
        count += usize::from(!removed.get(slot));
        // Whoever equals it is reached through it.
        state.equals.visit_group(slot, |follower| {
            count += usize::from((follower as usize) < migrated);
            true
        });
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
        let graph = state.graph.load_full().unwrap();
        let all = graph.view().mean_degree(0..graph.nodes());
        let sampled = index.stats().unwrap().mean_degree;
        assert!((sampled / all - 1.0).abs() < 0.05, "{sampled}, expected about {all}");
    }

    #[test]
    fn one_row_of_each_stretch_is_sampled_at_no_fixed_place() {
        let index = Index::new(Options { threshold: None, ..Options::new(1) }).unwrap();
        let rows: Vec<f32> = (0..1_000).map(|row| row as f32).collect();
        index.add(&crate::Ids::Keys((0..1_000).collect()), &rows, &Work::default()).unwrap();
        let state = index.inner().state.load();
        let sample = |seed, count| super::sample(&state, count, seed, &Work::default()).unwrap();
        let sampled = sample(1, 100);
        assert!((0..100).eq(sampled.iter().map(|slot| slot / 10)), "one of each stretch");
        for place in 0..10 {
            let there = sampled.iter().filter(|&&slot| slot % 10 == place).count();
            assert!((1..=25).contains(&there), "{there} of 100 at place {place}");
        }
        assert_eq!(sampled, sample(1, 100));
        assert_ne!(sampled, sample(2, 100));
        assert!((0..1_000).eq(sample(1, 5_000)), "no more than there are");
    }
}
