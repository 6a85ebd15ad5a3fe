//! A graph from many rows at once (PiPNN, arXiv 2602.21247): partition, dense leaves, merge and prune.
//!
//! 1. The rows become codes.
//! 2. Every node goes to its nearest leaders ([`partition`]); the order of the nodes is that of their nearest leader, so
//!    that neighbors in the graph are neighbors in memory.
//! 3. In each leaf every node finds its nearest neighbors by a dense product ([`candidates`]).
//! 4. Every node selects its links from all that it found, and then its list from these and those that lead to it
//!    ([`lists`]).
//! 5. The levels above are built the same way, of the nodes that reach them.
//! 6. A tree of links that pruning will keep is laid through level 0, so that every node is reached ([`tree`]).
//!
//! Each phase writes disjoint data: the same graph at any number of threads.

mod again;
mod candidates;
mod lists;
mod mend;
mod meter;
mod partition;
mod products;
#[cfg(test)]
mod tests;
mod tree;

use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use super::links::Link;
use super::{Entry, Graph, GraphView, Points, PointsView, ScratchPool, nodes_by_level};
use crate::codes::Encoder;
use crate::error::Result;
use crate::memory::{filled, room};
use crate::pools::{Pools, Turns, giving_way};
use crate::topk::Key;
use crate::vectors::Rows;
use crate::work::Phase;
use candidates::Table;
use partition::Partition;

/// On a level of no more nodes each may link to any other. So the highest levels lead from everywhere to everywhere, also
/// between clusters so far apart that no leaf holds nodes of two.
const ALL_PAIRS: usize = 512;

/// Local intrinsic dimensionality below which the leaves of a node are much alike.
const FEW_DIMENSIONS: f64 = 10.0;

/// Before it gives way to queries: nodes whose levels are drawn, and nodes that get lists on them.
const DRAWN_AT_ONCE: usize = 4_096;
const RAISED_AT_ONCE: usize = 1_024;

/// What a bulk build uses.
pub(crate) struct Bulk<'a> {
    pub(crate) rows: &'a Arc<Rows>,
    pub(crate) pools: &'a Pools,
    pub(crate) scratches: &'a ScratchPool,
    pub(crate) seed: u64,
    pub(crate) shape: Shape,
    pub(crate) turns: Turns<'a>,
    /// Told the phase, and the share of the whole work that is done.
    pub(crate) report: &'a (dyn Fn(Phase, f64) + Sync),
}

/// How large everything is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    m: usize,
    /// Leaders a node goes to.
    fanout: usize,
    /// Nodes of a leaf at most.
    leaf: usize,
    /// Neighbors that a node finds in a leaf.
    per_leaf: usize,
}

impl Shape {
    /// For lists of `m` links, from about a fifth as many candidates a row as `ef_construction` (at M 16; in proportion to
    /// M). Where the data has few dimensions the leaves of a node hold the same neighbors, so it is in fewer of them and
    /// finds more in each.
    pub(crate) fn new(m: usize, ef_construction: usize, dimensionality: f64) -> Self {
        let candidates = ef_construction * m / 80;
        let (fanout, candidates) = if dimensionality < FEW_DIMENSIONS { (4, 2 * candidates) } else { (8, candidates) };
        Self { m, fanout, leaf: 1_000, per_leaf: (candidates / fanout).clamp(4, products::MOST) }
    }

    /// Links that a node selects, by the capacity of its list.
    fn selected(&self, capacity: usize) -> usize {
        capacity * 3 / 4
    }
}

impl Bulk<'_> {
    /// The graph of the rows at `slots`, which serves the slots below `migrated`; `None` if it was stopped.
    pub(crate) fn build(&self, encoder: Option<Encoder>, slots: &[u32], migrated: usize) -> Result<Option<Graph>> {
        self.pools.build(|| self.build_here(encoder, slots, migrated))
    }

    fn build_here(&self, encoder: Option<Encoder>, slots: &[u32], migrated: usize) -> Result<Option<Graph>> {
        (self.report)(Phase::Partition, 0.0);
        let unordered = Points::new(self.rows.clone(), encoder);
        unordered.append(slots)?;
        let Some(partitions) = self.partitions(&unordered.building_views())? else {
            return Ok(None);
        };
        let order = partitions[0].order()?;
        let reordered = partitions.iter().map(|partition| partition.reordered(&order));
        let partitions: Vec<Partition> = reordered.collect::<Result<_>>()?;
        let mut graph = Graph::of(self.shape.m, self.seed, true, unordered.arranged(&order, migrated)?);
        drop((unordered, order));
        graph.reserve(slots.len())?;
        let view = graph.view();
        let write = |node: u32, keys: &[Key]| write(&view, node, 0, keys.iter().map(|key| key.slot()));
        if !self.build_level(graph.points(), &partitions, graph.capacity(0), write)? {
            return Ok(None);
        }
        drop(partitions);
        (self.report)(Phase::Swap, 1.0);
        let mut levels: Vec<u8> = room("nodes", slots.len())?;
        levels.extend(giving_way(0..slots.len() as u32, DRAWN_AT_ONCE).map(|node| view.level_of(node) as u8));
        let silent = Self { report: &|_, _| (), ..*self };
        let Some(top) = silent.build_upper(&graph, &levels)? else {
            return Ok(None);
        };
        tree::lay(&graph.view(), top.node, slots.len())?;
        if !slots.is_empty() && !self.mend(&graph, &levels, top)? {
            return Ok(None);
        }
        graph.restore(migrated, (!slots.is_empty()).then_some(top), &nodes_by_level(&levels));
        Ok(Some(graph))
    }

    /// The levels from 1 on; the entry point, or `None` if it was stopped. `levels` are the nodes' highest.
    fn build_upper(&self, graph: &Graph, levels: &[u8]) -> Result<Option<Entry>> {
        let nodes = || giving_way((0..).zip(levels), DRAWN_AT_ONCE);
        let raised = || nodes().filter(|&(_, &level)| level > 0).map(|(node, _)| node);
        let mut members: Vec<u32> = room("nodes", raised().count())?;
        members.extend(raised());
        giving_way(members.iter(), RAISED_AT_ONCE)
            .try_for_each(|&node| graph.raise(node, levels[node as usize].into()))?;
        let mut top = Entry { node: 0, level: 0 };
        while let Some(&first) = members.first() {
            top = Entry { node: first, level: top.level + 1 };
            let points = graph.points().reordered(&members)?;
            let Some(partitions) = self.partitions(&points.building_views())? else {
                return Ok(None);
            };
            let view = graph.view();
            let write = |node: u32, keys: &[Key]| {
                let links = keys.iter().map(|key| members[key.slot() as usize]);
                write(&view, members[node as usize], top.level, links);
            };
            if !self.build_level(&points, &partitions, graph.capacity(top.level), write)? {
                return Ok(None);
            }
            members.retain(|&node| usize::from(levels[node as usize]) > top.level);
        }
        Ok(Some(top))
    }

    /// The partition of all points by each of the distances that a graph is built by.
    fn partitions(&self, views: &[PointsView<'_>]) -> Result<Option<Vec<Partition>>> {
        views.iter().map(|points| self.partition(points)).collect()
    }

    /// Calls `write` with every point's list, of at most `capacity` links. False if it was stopped.
    fn build_level(
        &self,
        points: &Points,
        partitions: &[Partition],
        capacity: usize,
        write: impl Fn(u32, &[Key]) + Sync,
    ) -> Result<bool> {
        let views = points.building_views();
        let tables = views.iter().zip(partitions).map(|(points, partition)| match points.len() {
            ..=ALL_PAIRS => Table::of_all_pairs(points.len()).map(Some),
            _ => self.candidates(points, partition),
        });
        let Some(tables) = tables.collect::<Result<Option<Vec<Table>>>>()? else {
            return Ok(false);
        };
        let is_done = self.choose_surely(&views, &tables, partitions, self.shape.selected(capacity))?;
        let is_done = is_done && self.merge(&views, &tables[0], capacity, write)?;
        Ok(is_done)
    }
}

/// `count` zeros.
fn atomics(count: usize) -> Result<Vec<AtomicU32>> {
    filled("nodes", count, || AtomicU32::new(0))
}

/// Writes the list of `node` on `level`.
fn write(view: &GraphView<'_>, node: u32, level: usize, links: impl Iterator<Item = u32>) {
    let links: Vec<Link> = links.map(|link| Link::new(link, false)).collect();
    if let Some(list) = view.list(node, level) {
        list.write(&links);
    }
}
