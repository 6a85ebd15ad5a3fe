//! The graph: a hierarchical navigable small world (Malkov and Yashunin, arXiv 1603.09320) over the rows of a store.
//!
//! Nodes are slots. Level 0 has a list of up to 2·M links a node, the levels above it, which a node reaches with
//! probability M^-level, lists of up to M. Lists are atomics in fixed-stride blocks: searches run beside an insertion.

mod beam;
mod degree;
mod insert;
mod links;
mod prune;
mod restore;
mod scratch;
mod search;

use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

pub(crate) use degree::{DEFAULT_M, choose_degree};
pub(crate) use insert::{Batch, Insertion};
pub(crate) use links::Link;
pub(crate) use scratch::{Scratch, ScratchPool};
pub(crate) use search::Accept;

use crate::error::Result;
use crate::vectors::{Blocks, Rows, RowsView, View};
use links::{Links, LinksView, List};

/// No node reaches a higher level, whatever its luck.
pub(crate) const MAX_LEVEL: usize = 15;

pub(crate) struct Graph {
    m: usize,
    seed: u64,
    /// Neighbors on level 0, by node.
    base: Links,
    /// Where a node's lists of level 1 and up stand in `upper`, plus 1; 0 for nodes of level 0.
    places: Blocks<AtomicU32>,
    upper: Links,
    /// Lists of `upper` in use.
    upper_lists: AtomicUsize,
    entry: AtomicU64,
    /// Slots below it are served by the graph: each is a node, or equal to one.
    migrated: AtomicUsize,
    levels: [AtomicUsize; MAX_LEVEL + 1],
}

/// Where searches start: a node of the highest level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) node: u32,
    pub(crate) level: usize,
}

impl Entry {
    fn pack(entry: Option<Self>) -> u64 {
        entry.map_or(0, |Self { node, level }| (level as u64 + 1) << 32 | u64::from(node))
    }

    fn unpack(packed: u64) -> Option<Self> {
        let level = (packed >> 32).checked_sub(1)? as usize;
        Some(Self { node: packed as u32, level })
    }
}

impl Graph {
    pub(crate) fn new(m: usize, seed: u64) -> Self {
        Self {
            m,
            seed,
            base: Links::new(2 * m),
            places: Blocks::new("links", 1),
            upper: Links::new(m),
            upper_lists: AtomicUsize::new(0),
            entry: AtomicU64::new(0),
            migrated: AtomicUsize::new(0),
            levels: Default::default(),
        }
    }

    pub(crate) fn m(&self) -> usize {
        self.m
    }

    /// Slots below it are served by the graph.
    pub(crate) fn migrated(&self) -> usize {
        self.migrated.load(Ordering::Acquire)
    }

    pub(crate) fn reserve(&self, slots: usize) -> Result<()> {
        self.base.reserve(slots)?;
        self.places.reserve(slots)
    }

    /// The graph as it is now.
    pub(crate) fn view<'a>(&'a self, rows: &'a Rows) -> GraphView<'a> {
        // The entry point first: its row and its lists are in the views that are taken after it.
        let entry = Entry::unpack(self.entry.load(Ordering::Acquire));
        GraphView {
            m: self.m,
            seed: self.seed,
            entry,
            rows: rows.view(),
            base: self.base.view(),
            places: self.places.shared(),
            upper: self.upper.view(),
        }
    }

    /// The graph as it is now under each of the distances that it is built by.
    fn building_views<'a>(&'a self, rows: &'a Rows) -> Vec<GraphView<'a>> {
        let view = self.view(rows);
        rows.building_views().into_iter().map(|rows| GraphView { rows, ..view }).collect()
    }

    /// Nodes on each level that has any.
    pub(crate) fn levels(&self) -> Vec<usize> {
        self.levels.iter().map(|nodes| nodes.load(Ordering::Relaxed)).take_while(|&nodes| nodes > 0).collect()
    }

    /// Bytes that the lists of the migrated slots take.
    pub(crate) fn bytes(&self) -> usize {
        let base = self.migrated() * (self.base.list_bytes() + size_of::<u32>());
        base + self.upper_lists.load(Ordering::Relaxed) * self.upper.list_bytes()
    }
}

/// What of a graph a search sees: nodes whose row and lists existed when the view was taken.
#[derive(Clone, Copy)]
pub(crate) struct GraphView<'a> {
    m: usize,
    seed: u64,
    entry: Option<Entry>,
    rows: RowsView<'a>,
    base: LinksView<'a>,
    places: View<'a, AtomicU32>,
    upper: LinksView<'a>,
}

impl<'a> GraphView<'a> {
    pub(crate) fn entry(&self) -> Option<Entry> {
        self.entry
    }

    /// Nodes that may be visited are below it.
    pub(crate) fn limit(&self) -> usize {
        self.rows.len().min(self.base.len()).min(self.places.len())
    }

    /// The neighbors of `node` on `level`, if it reaches that level.
    #[inline]
    pub(crate) fn list(&self, node: u32, level: usize) -> Option<List<'a>> {
        if level == 0 {
            return Some(self.base.list(node as usize));
        }
        let place = self.places.block(node as usize)[0].load(Ordering::Acquire) as usize;
        let list = (place + level).checked_sub(2).filter(|_| place > 0)?;
        self.upper.contains(list).then(|| self.upper.list(list))
    }

    /// The level of `node`, drawn from the seed: floor(−ln(u) · m_L) with m_L = 1 / ln(M).
    pub(crate) fn level_of(&self, node: u32) -> usize {
        // SplitMix64 over the node's place in the sequence.
        let mut z = self.seed ^ u64::from(node).wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^= z >> 31;
        let u = ((z >> 11) as f64 + 1.0) / (1u64 << 53) as f64;
        ((-u.ln() / (self.m as f64).ln()) as usize).min(MAX_LEVEL)
    }

    /// Mean number of links of the nodes among `slots` on level 0.
    pub(crate) fn mean_degree(&self, slots: impl Iterator<Item = usize>) -> f64 {
        let degrees = slots.map(|slot| self.base.list(slot).links().count());
        let (links, nodes) = degrees.filter(|&degree| degree > 0).fold((0, 0), |(l, n), degree| (l + degree, n + 1));
        if nodes == 0 { 0.0 } else { links as f64 / f64::from(nodes) }
    }
}
