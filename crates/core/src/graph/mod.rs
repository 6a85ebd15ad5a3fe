//! The graph: a hierarchical navigable small world (Malkov and Yashunin, arXiv 1603.09320) over the rows of a store.
//!
//! A node stands for a slot; its number is its place in the graph's own order. Level 0 has a list of up to 2·M links a
//! node, the levels above it, which a node reaches with probability M^-level, lists of up to M. Lists are atomics in
//! fixed-stride blocks: searches run beside an insertion. A graph is either filled by insertion ([`insert`]) or built as
//! a whole ([`bulk`]); rows are inserted into both.

mod beam;
mod bulk;
mod ending;
mod insert;
mod links;
mod points;
mod prune;
mod restore;
mod scratch;
mod search;
mod survey;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

pub(crate) use bulk::{Bulk, Shape};
pub(crate) use insert::{Batch, Insertion};
pub(crate) use links::{Link, list_bytes};
pub(crate) use points::{PointPanels, Points, PointsView, Target, margin};
pub(crate) use scratch::{Scratch, ScratchPool};
pub(crate) use search::Accept;
pub(crate) use survey::{DEFAULT_M, Survey, least_dimensionality};

use crate::codes::Encoder;
use crate::error::Result;
use crate::vectors::{Blocks, Rows, View};
use links::{Links, LinksView, List};

/// No node reaches a higher level, whatever its luck.
pub(crate) const MAX_LEVEL: usize = 15;

pub(crate) struct Graph {
    m: usize,
    seed: u64,
    /// Whether it was begun by a bulk build.
    is_bulk: bool,
    points: Points,
    /// Neighbors on level 0, by node.
    base: Links,
    /// Where a node's lists of level 1 and up stand in `upper`, plus 1; 0 for nodes of level 0.
    places: Blocks<AtomicU32>,
    upper: Links,
    /// Lists of `upper` in use.
    upper_lists: AtomicUsize,
    entry: AtomicU64,
    /// Nodes whose lists are written.
    nodes: AtomicUsize,
    /// Slots below it are served by the graph: each is a node's, or equal to one.
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
    /// Of `rows`, without nodes; these will be compared by codes if there is an encoder.
    pub(crate) fn new(m: usize, seed: u64, rows: Arc<Rows>, encoder: Option<Encoder>) -> Self {
        Self::of(m, seed, false, Points::new(rows, encoder))
    }

    /// With nodes that have no lists yet; whether it is begun by a bulk build.
    pub(crate) fn of(m: usize, seed: u64, is_bulk: bool, points: Points) -> Self {
        Self {
            m,
            seed,
            is_bulk,
            points,
            base: Links::new(2 * m),
            places: Blocks::new("links", 1),
            upper: Links::new(m),
            upper_lists: AtomicUsize::new(0),
            entry: AtomicU64::new(0),
            nodes: AtomicUsize::new(0),
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

    /// How it was begun: "bulk", or by the insertion of its first rows.
    pub(crate) fn method(&self) -> &'static str {
        if self.is_bulk { "bulk" } else { "insert" }
    }

    pub(crate) fn is_bulk(&self) -> bool {
        self.is_bulk
    }

    /// Nodes whose lists are written.
    pub(crate) fn nodes(&self) -> usize {
        self.nodes.load(Ordering::Acquire)
    }

    pub(crate) fn points(&self) -> &Points {
        &self.points
    }

    /// The rows that nodes stand for.
    pub(crate) fn rows(&self) -> &Arc<Rows> {
        self.points.rows()
    }

    pub(crate) fn encoder(&self) -> Option<&Encoder> {
        self.points.encoder()
    }

    pub(crate) fn reserve(&self, nodes: usize) -> Result<()> {
        self.base.reserve(nodes)?;
        self.places.reserve(nodes)
    }

    /// The graph as it is now.
    pub(crate) fn view(&self) -> GraphView<'_> {
        // The entry point first: its row and its lists are in the views that are taken after it.
        let entry = Entry::unpack(self.entry.load(Ordering::Acquire));
        GraphView {
            m: self.m,
            seed: self.seed,
            entry,
            points: self.points.view(),
            base: self.base.view(),
            places: self.places.shared(),
            upper: self.upper.view(),
        }
    }

    /// The graph as it is now under each of the distances that it is built by.
    fn building_views(&self) -> Vec<GraphView<'_>> {
        let view = self.view();
        self.points.building_views().into_iter().map(|points| GraphView { points, ..view }).collect()
    }

    /// Nodes on each level that has any.
    pub(crate) fn levels(&self) -> Vec<usize> {
        self.levels.iter().map(|nodes| nodes.load(Ordering::Relaxed)).take_while(|&nodes| nodes > 0).collect()
    }

    /// Bytes that the codes take, and those of the links.
    pub(crate) fn bytes(&self) -> (usize, usize) {
        let (codes, slots) = self.points.bytes();
        let base = self.nodes() * (self.base.list_bytes() + size_of::<u32>());
        (codes, slots + base + self.upper_lists.load(Ordering::Relaxed) * self.upper.list_bytes())
    }
}

/// What of a graph a search sees: nodes whose point and lists existed when the view was taken.
#[derive(Clone, Copy)]
pub(crate) struct GraphView<'a> {
    m: usize,
    seed: u64,
    entry: Option<Entry>,
    points: PointsView<'a>,
    base: LinksView<'a>,
    places: View<'a, AtomicU32>,
    upper: LinksView<'a>,
}

/// Where the lists of `node` on the levels from 1 on begin among all of them, plus 1; 0 if it has none.
fn place_of(places: View<'_, AtomicU32>, node: u32) -> u32 {
    places.touch(node as usize);
    links::acquired(&places.block(node as usize)[0])
}

impl<'a> GraphView<'a> {
    pub(crate) fn m(&self) -> usize {
        self.m
    }

    pub(crate) fn entry(&self) -> Option<Entry> {
        self.entry
    }

    /// Nodes that may be visited are below it.
    pub(crate) fn limit(&self) -> usize {
        self.points.len().min(self.base.len()).min(self.places.len())
    }

    /// The neighbors of `node` on `level`, if it reaches that level.
    #[inline]
    pub(crate) fn list(&self, node: u32, level: usize) -> Option<List<'a>> {
        if level == 0 {
            return Some(self.base.list(node as usize));
        }
        let place = place_of(self.places, node) as usize;
        let list = (place + level).checked_sub(2).filter(|_| place > 0)?;
        self.upper.contains(list).then(|| self.upper.list(list))
    }

    /// Brings the list of `node` on level 0 towards the cache.
    #[inline]
    pub(crate) fn prefetch_list(&self, node: u32) {
        self.base.prefetch(node as usize);
    }

    pub(crate) fn points(&self) -> PointsView<'a> {
        self.points
    }

    /// The same graph, whose nodes are compared by their rows.
    pub(crate) fn by_rows(self) -> Self {
        Self { points: self.points.by_rows(), ..self }
    }

    /// The level of `node`, drawn from the seed and its slot: floor(−ln(u) · m_L) with m_L = 1 / ln(M).
    pub(crate) fn level_of(&self, node: u32) -> usize {
        // SplitMix64 over the slot's place in the sequence.
        let slot = self.points.slot(node);
        let mut z = self.seed ^ u64::from(slot).wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^= z >> 31;
        let u = ((z >> 11) as f64 + 1.0) / (1u64 << 53) as f64;
        ((-u.ln() / (self.m as f64).ln()) as usize).min(MAX_LEVEL)
    }

    /// Mean number of links of `nodes` on level 0.
    pub(crate) fn mean_degree(&self, nodes: impl Iterator<Item = usize>) -> f64 {
        let degrees = nodes.map(|node| self.base.list(node).links().count());
        let (links, nodes) = degrees.fold((0, 0), |(links, nodes), degree| (links + degree, nodes + 1));
        if nodes == 0 { 0.0 } else { links as f64 / f64::from(nodes) }
    }
}

/// Nodes on each level, from the highest level of each.
pub(crate) fn nodes_by_level(levels: &[u8]) -> [usize; MAX_LEVEL + 1] {
    let mut nodes = [0; MAX_LEVEL + 1];
    for &level in levels {
        nodes[..=usize::from(level)].iter_mut().for_each(|nodes| *nodes += 1);
    }
    nodes
}
