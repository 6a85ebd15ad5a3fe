//! What a search needs while it runs, pooled so that a warm search allocates nothing.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::codes::WeightsBuffer;
use crate::error::{Error, Result};
use crate::graph::beam::Beam;
use crate::graph::prune::Selector;
use crate::graph::{PointsView, Target};
use crate::topk::{Key, TopK};
use crate::vectors::Padded;

/// The nodes that a search has met: a bitset, with a list of the words that it touched so that forgetting is cheap.
#[derive(Default)]
pub(crate) struct Visited {
    words: Vec<u64>,
    touched: Vec<u32>,
}

impl Visited {
    /// Forgets all nodes and makes room for `nodes`.
    pub(crate) fn reset(&mut self, nodes: usize) -> Result<()> {
        for word in self.touched.drain(..) {
            self.words[word as usize] = 0;
        }
        let words = nodes.div_ceil(64);
        // Each word is touched once.
        let refused = |_| Error::OutOfMemory { what: "a search", bytes: words * size_of::<u32>() };
        self.touched.try_reserve(words).map_err(refused)?;
        if let Some(more) = words.checked_sub(self.words.len()).filter(|&more| more > 0) {
            let refused = |_| Error::OutOfMemory { what: "a search", bytes: more * 8 };
            self.words.try_reserve(more).map_err(refused)?;
            self.words.resize(words, 0);
        }
        Ok(())
    }

    /// Whether `node` is met for the first time.
    #[inline]
    pub(crate) fn insert(&mut self, node: u32) -> bool {
        let word = &mut self.words[node as usize / 64];
        let bit = 1 << (node % 64);
        let first = *word & bit == 0;
        if first {
            if *word == 0 {
                self.touched.push(node / 64);
            }
            *word |= bit;
        }
        first
    }

    /// Keeps those of `nodes` that are below `limit` and met for the first time. It has no branches, which nobody could
    /// foresee.
    #[inline]
    pub(crate) fn retain_new(&mut self, nodes: &mut Vec<u32>, limit: usize) {
        let Self { words, touched } = self;
        let Some(last) = words.len().checked_sub(1) else {
            return nodes.clear();
        };
        let (mut kept, mut place) = (0, touched.len());
        touched.resize(place + nodes.len(), 0);
        for position in 0..nodes.len() {
            let node = nodes[position];
            let is_node = (node as usize) < limit;
            let index = (node as usize / 64).min(last);
            let (word, bit) = (words[index], u64::from(is_node) << (node % 64));
            let is_new = is_node && word & bit == 0;
            words[index] = word | bit;
            touched[place] = index as u32;
            place += usize::from(is_new && word == 0);
            nodes[kept] = node;
            kept += usize::from(is_new);
        }
        touched.truncate(place);
        nodes.truncate(kept);
    }

    /// Keeps those of `nodes` that are below `limit` and were not met.
    pub(crate) fn retain_unmet(&self, nodes: &mut Vec<u32>, limit: usize) {
        let mut kept = 0;
        for position in 0..nodes.len() {
            let node = nodes[position];
            nodes[kept] = node;
            kept += usize::from((node as usize) < limit && !self.contains(node));
        }
        nodes.truncate(kept);
    }

    #[inline]
    pub(crate) fn contains(&self, node: u32) -> bool {
        self.words.get(node as usize / 64).is_some_and(|word| word >> (node % 64) & 1 == 1)
    }
}

/// Everything that one search uses.
#[derive(Default)]
pub(crate) struct Scratch {
    pub(crate) visited: Visited,
    pub(crate) beam: Beam,
    /// Nodes to expand, nearest first: a filtered search cannot bound them as a beam does.
    pub(crate) frontier: BinaryHeap<Reverse<Key>>,
    /// Neighbors of the node being expanded, and of the one that comes next.
    pub(crate) neighbors: Vec<u32>,
    pub(crate) second: Vec<u32>,
    pub(crate) distances: Vec<f32>,
    /// Those of them that a beam may take in.
    pub(crate) near: Vec<Key>,
    /// Candidates for the links of a node or for an answer, and those that were chosen.
    pub(crate) keys: Vec<Key>,
    pub(crate) chosen: Vec<Key>,
    pub(crate) query: Padded,
    /// A row in single precision.
    pub(crate) row: Vec<f32>,
    pub(crate) weights: WeightsBuffer,
    pub(crate) top: TopK,
    pub(crate) selector: Selector,
    /// Distances that the search has computed.
    pub(crate) evaluations: u64,
}

impl Scratch {
    /// Makes room for the rows that a search compares after the graph has found them.
    pub(crate) fn reserve(&mut self, rows: usize) -> Result<()> {
        let refused =
            |_| Error::OutOfMemory { what: "a search", bytes: rows.saturating_mul(size_of::<(u32, Key, f32)>()) };
        self.neighbors.clear();
        self.distances.clear();
        self.keys.clear();
        self.neighbors.try_reserve(rows).map_err(refused)?;
        self.keys.try_reserve(rows).map_err(refused)?;
        self.distances.try_reserve(rows).map_err(refused)
    }
}

/// Scratches that nobody uses at the moment; there are at most as many as searches ever ran at once.
#[derive(Default)]
pub(crate) struct ScratchPool {
    #[expect(clippy::vec_box, reason = "a pointer is moved, not hundreds of bytes")]
    idle: Mutex<Vec<Box<Scratch>>>,
    /// Distances that searches of the graph and dense products have computed, but for those that run.
    evaluations: AtomicU64,
}

impl ScratchPool {
    /// Distances that searches of the graph and dense products have computed, but for those that run.
    pub(crate) fn evaluations(&self) -> u64 {
        self.evaluations.load(Ordering::Relaxed)
    }

    /// A dense product of so many rows and columns is computed.
    pub(crate) fn count_product(&self, rows: usize, columns: usize) {
        self.evaluations.fetch_add(rows as u64 * columns as u64, Ordering::Relaxed);
    }

    /// Runs `work` with a scratch of its own.
    pub(crate) fn with<R>(&self, work: impl FnOnce(&mut Scratch) -> R) -> R {
        let mut scratch = self.idle.lock().pop().unwrap_or_default();
        let result = work(&mut scratch);
        self.evaluations.fetch_add(std::mem::take(&mut scratch.evaluations), Ordering::Relaxed);
        self.idle.lock().push(scratch);
        result
    }

    /// Runs `work` with a scratch of its own and with `node` as what others are compared with.
    pub(crate) fn with_target<R>(
        &self,
        points: &PointsView<'_>,
        node: u32,
        work: impl FnOnce(Target<'_>, &mut Scratch) -> R,
    ) -> R {
        self.with(|scratch| {
            let mut buffer = std::mem::take(&mut scratch.weights);
            let result = work(points.target(node, &mut buffer), scratch);
            scratch.weights = buffer;
            result
        })
    }
}
