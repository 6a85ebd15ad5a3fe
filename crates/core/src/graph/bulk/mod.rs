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

mod candidates;
mod lists;
mod partition;
mod products;
mod tree;

use super::links::Link;
use super::{Entry, Graph, MAX_LEVEL, Points, PointsView, ScratchPool};
use partition::Partition;
use crate::codes::Encoder;
use crate::error::Result;
use crate::pools::Pools;
use crate::topk::Key;
use crate::vectors::Rows;

/// Stands for no node.
const NONE: u32 = u32::MAX;

/// What a bulk build uses.
pub(crate) struct Bulk<'a> {
    pub(crate) rows: &'a Rows,
    pub(crate) pools: &'a Pools,
    pub(crate) scratches: &'a ScratchPool,
    pub(crate) seed: u64,
    pub(crate) shape: Shape,
    /// Whether to stop; asked between work units.
    pub(crate) stopped: &'a (dyn Fn() -> bool + Sync),
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
    pub(crate) fn new(m: usize, ef_construction: usize) -> Self {
        let env = |name: &str, default: usize| std::env::var(name).ok().map_or(default, |v| v.parse().unwrap_or(default));
        let per_leaf = (ef_construction * m / 640).clamp(2, products::MOST);
        Self { m, fanout: env("FANOUT", 8), leaf: env("LEAF", 1_000), per_leaf: env("PERLEAF", per_leaf) }
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
        let log = Log::new();
        let unordered = Points::new(encoder);
        unordered.append(self.rows.view(), slots)?;
        log.say("encoded");
        let nodes: Vec<u32> = (0..slots.len() as u32).collect();
        let Some(partitions) = self.partitions(&unordered.building_views(self.rows), &nodes)? else {
            return Ok(None);
        };
        log.say("partitioned");
        let order = partitions[0].order();
        let mut graph = Graph::of(self.shape.m, self.seed, unordered.reordered(&order)?);
        drop(unordered);
        let partitions: Vec<Partition> = partitions.iter().map(|partition| partition.reordered(&order)).collect();
        graph.reserve(nodes.len())?;
        log.say("ordered");
        if !self.build_level(&graph, 0, &nodes, &partitions)? {
            return Ok(None);
        }
        log.say("level 0");
        drop(partitions);
        let Some(top) = self.build_upper(&graph, nodes.clone())? else {
            return Ok(None);
        };
        log.say("upper");
        tree::lay(&graph.view(self.rows), top.node, &nodes);
        log.say("tree");
        let levels = self.levels(&graph, &nodes);
        graph.restore(migrated, (!nodes.is_empty()).then_some(top), &levels);
        Ok(Some(graph))
    }

    /// Nodes on each level.
    fn levels(&self, graph: &Graph, nodes: &[u32]) -> [usize; MAX_LEVEL + 1] {
        let view = graph.view(self.rows);
        let mut levels = [0; MAX_LEVEL + 1];
        for &node in nodes {
            levels[..=view.level_of(node)].iter_mut().for_each(|nodes| *nodes += 1);
        }
        levels
    }

    /// The levels from 1 on; the entry point, or `None` if it was stopped.
    fn build_upper(&self, graph: &Graph, mut members: Vec<u32>) -> Result<Option<Entry>> {
        for &node in &members {
            let level = graph.view(self.rows).level_of(node);
            if level > 0 {
                graph.raise(node, level)?;
            }
        }
        let mut top = Entry { node: 0, level: 0 };
        loop {
            let (view, level) = (graph.view(self.rows), top.level + 1);
            members.retain(|&node| view.level_of(node) >= level);
            let Some(&node) = members.first() else {
                return Ok(Some(top));
            };
            top = Entry { node, level };
            let Some(partitions) = self.partitions(&graph.points().building_views(self.rows), &members)? else {
                return Ok(None);
            };
            if !self.build_level(graph, level, &members, &partitions)? {
                return Ok(None);
            }
        }
    }

    /// The partition of `members` by each of the distances that a graph is built by.
    fn partitions(&self, views: &[PointsView<'_>], members: &[u32]) -> Result<Option<Vec<Partition>>> {
        views.iter().map(|points| self.partition(points, members)).collect()
    }

    /// The lists of `members` on `level`. False if it was stopped.
    fn build_level(&self, graph: &Graph, level: usize, members: &[u32], partitions: &[Partition]) -> Result<bool> {
        let log = Log::new();
        let views = graph.building_views(self.rows);
        let capacity = graph.capacity(level);
        let mut tables = Vec::new();
        for (view, partition) in views.iter().zip(partitions) {
            let Some(table) = self.candidates(&view.points(), members, partition, self.shape.per_leaf)? else {
                return Ok(false);
            };
            tables.push(table);
        }
        log.say("  candidates");
        let is_done = self.choose(&views, members, &tables, self.shape.selected(capacity));
        log.say("  chosen");
        let write = |member: usize, keys: &[Key]| {
            let links: Vec<Link> = keys.iter().map(|key| Link::new(members[key.slot() as usize], false)).collect();
            if let Some(list) = views[0].list(members[member], level) {
                list.write(&links);
            }
        };
        let is_done = is_done && self.merge(&views, members, &tables[0], capacity, write)?;
        log.say("  merged");
        Ok(is_done)
    }

    /// Between two work units: gives way to queries; whether to stop.
    fn pause(&self) -> bool {
        self.pools.gate().give_way();
        (self.stopped)()
    }
}

struct Log(std::time::Instant);
impl Log {
    fn new() -> Self {
        Self(std::time::Instant::now())
    }
    fn say(&self, what: &str) {
        if std::env::var("PHASES").is_ok() {
            eprintln!("{what}: {:.3}", self.0.elapsed().as_secs_f64());
        }
    }
}
