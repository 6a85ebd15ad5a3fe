//! What a file needs of a graph, and making a graph of that again.

use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

use super::links::Links;
use super::{Entry, Graph, MAX_LEVEL, Points, place_of};
use crate::error::{Error, Result};
use crate::vectors::{Blocks, Stored};

impl Graph {
    /// With the lists of a file: of level 0, by node; where the upper ones of each node begin, plus 1; and these.
    pub(crate) fn stored<S: Stored>(
        m: usize,
        seed: u64,
        is_bulk: bool,
        points: Points,
        [base, places, upper]: [S; 3],
    ) -> Result<Self> {
        let graph = Self::of(m, seed, is_bulk, points);
        let lists = |level: usize, section: S| section.blocks("links", graph.list_bytes(level) / size_of::<u32>());
        let (base, upper): (_, Blocks<AtomicU32>) = (lists(0, base)?, lists(1, upper)?);
        let upper_lists = AtomicUsize::new(upper.len());
        let (base, upper) = (Links::of(graph.capacity(0), base), Links::of(graph.capacity(1), upper));
        Ok(Self { base, places: places.blocks("links", 1)?, upper, upper_lists, ..graph })
    }

    /// Bytes of a list on `level`.
    pub(crate) fn list_bytes(&self, level: usize) -> usize {
        if level == 0 { self.base.list_bytes() } else { self.upper.list_bytes() }
    }

    /// Links that a list on `level` holds at most.
    pub(crate) fn capacity(&self, level: usize) -> usize {
        if level == 0 { self.base.capacity() } else { self.upper.capacity() }
    }

    /// The nodes that reach level 1, in order, with the highest level that each reaches.
    pub(crate) fn raised(&self) -> impl Iterator<Item = (u32, usize)> {
        let places = self.places.shared();
        let placed =
            (0..self.nodes() as u32).map(move |node| (node, place_of(places, node))).filter(|&(_, place)| place > 0);
        // Lists are given out in the order of the nodes, so a node's lists end where the next one's begin.
        let after_last = self.upper_lists.load(Ordering::Relaxed) as u32 + 1;
        let ends = placed.clone().skip(1).map(|(_, place)| place).chain([after_last]);
        // In a file it could be otherwise.
        placed.zip(ends).map(|((node, place), end)| (node, (end.saturating_sub(place) as usize).min(MAX_LEVEL)))
    }

    /// Gives `node` empty lists on the levels 1 to `level`. To be called in the order of the nodes, before the graph is used.
    pub(crate) fn raise(&self, node: u32, level: usize) -> Result<()> {
        let lists = self.upper_lists.load(Ordering::Relaxed);
        let end = lists + level;
        self.upper.reserve(end)?;
        let refused = |_| Error::OutOfMemory { what: "links", bytes: end * self.upper.list_bytes() };
        u32::try_from(end + 1).map_err(refused)?;
        self.places.shared().block(node as usize)[0].store(lists as u32 + 1, Ordering::Release);
        self.upper_lists.store(end, Ordering::Relaxed);
        Ok(())
    }

    /// Has it serve the slots below `migrated`. `nodes` are the numbers of nodes on each level.
    pub(crate) fn restore(&mut self, migrated: usize, entry: Option<Entry>, nodes: &[usize]) {
        self.nodes = AtomicUsize::new(nodes.first().copied().unwrap_or(0));
        self.migrated = AtomicUsize::new(migrated);
        self.entry = AtomicU64::new(Entry::pack(entry));
        for (count, &nodes) in self.levels.iter_mut().zip(nodes) {
            *count = AtomicUsize::new(nodes);
        }
    }
}
