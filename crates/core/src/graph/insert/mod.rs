//! Insertion in batches, in phases with disjoint writes (ParlayANN, arXiv 2305.04359): the same graph at any number of
//! threads.
//!
//! 1. Every node of the batch searches the graph as it was, and the batch itself by a dense product, and selects its
//!    links ([`candidates`]). Nothing is written yet: work that is stopped here leaves no trace.
//! 2. Every node is tied into the tree that keeps all nodes reachable ([`tree`]).
//! 3. The nodes' own lists are written.
//! 4. Edges are turned round and grouped by target; each target is updated once, by one task ([`reverse`]).
//! 5. The batch is published, and then the entry point raised.

mod candidates;
mod dense;
mod reverse;
#[cfg(test)]
mod tests;
mod tree;

use std::sync::atomic::Ordering;

use rayon::prelude::*;

use super::links::Link;
use super::{Entry, Graph, GraphView, ScratchPool};
use crate::error::Result;
use crate::pools::{Pools, Turns, give_way};
use crate::topk::Key;

/// What insertions into one graph share.
pub(crate) struct Insertion<'a> {
    pub(crate) graph: &'a Graph,
    pub(crate) pools: &'a Pools,
    pub(crate) scratches: &'a ScratchPool,
    pub(crate) ef_construction: usize,
    /// Phases that have begun to write do not stop, but ask too: who wants a stop may be let go before it comes.
    pub(crate) turns: Turns<'a>,
}

/// The slots from the graph's end up to `end`; `slots` are those of them, in order, that no earlier row equals.
pub(crate) struct Batch<'a> {
    pub(crate) slots: &'a [u32],
    pub(crate) end: u32,
}

/// What a node has selected.
struct Choice {
    node: u32,
    /// The nearest node before it; `None` for the graph's first.
    anchor: Option<Key>,
    /// Its links on each level that it reaches, nearest first.
    levels: Vec<Vec<Key>>,
    /// The node before it that the tree ties it to.
    parent: Option<u32>,
}

impl Choice {
    /// Whether its link on `level` to `node` is the one that ties it into the tree. By the node alone: the link may have been
    /// chosen by another of the distances, or computed by another kernel, than the parent was found by.
    fn is_tied(&self, level: usize, node: u32) -> bool {
        level == 0 && self.parent == Some(node)
    }
}

impl Insertion<'_> {
    /// Inserts a batch; nothing of it if it was stopped before the first write.
    pub(crate) fn insert(&self, batch: &Batch<'_>) -> Result<()> {
        let nodes = self.enter(batch)?;
        let views = self.graph.building_views();
        let Some(mut choices) = self.pools.build(|| self.choose(&views, &nodes))? else {
            return Ok(());
        };
        self.pools.build(|| self.scratches.with(|scratch| tree::plant(&views[0], &mut choices, scratch)));
        self.reserve_upper(&choices)?;
        // Taken again: they must lead to the lists that were just reserved.
        let views = self.graph.building_views();
        self.pools.build(|| {
            self.write_own(&views[0], &choices);
            self.write_reverse(&views, &choices);
        });
        self.publish(batch, &choices);
        Ok(())
    }

    /// Makes the batch's rows nodes, which nothing leads to yet; their numbers. Nodes of a batch that was stopped are
    /// there already.
    fn enter(&self, batch: &Batch<'_>) -> Result<Vec<u32>> {
        let (first, count) = (self.graph.nodes(), batch.slots.len());
        self.graph.reserve(first + count)?;
        let entered = (self.graph.points.len() - first).min(count);
        self.pools.build(|| self.graph.points.append(&batch.slots[entered..]))?;
        Ok((first as u32..(first + count) as u32).collect())
    }

    /// Gives the nodes that reach upper levels their lists there.
    fn reserve_upper(&self, choices: &[Choice]) -> Result<()> {
        let lists = self.graph.upper_lists.load(Ordering::Relaxed);
        let more: usize = choices.iter().map(|choice| choice.levels.len() - 1).sum();
        self.graph.upper.reserve(lists + more)?;
        let places = self.graph.places.shared();
        let mut place = lists;
        for choice in choices.iter().filter(|choice| choice.levels.len() > 1) {
            places.block(choice.node as usize)[0].store(place as u32 + 1, Ordering::Release);
            place += choice.levels.len() - 1;
        }
        self.graph.upper_lists.store(place, Ordering::Relaxed);
        Ok(())
    }

    fn write_own(&self, view: &GraphView<'_>, choices: &[Choice]) {
        choices.par_iter().for_each(|choice| {
            give_way();
            for (level, keys) in choice.levels.iter().enumerate() {
                let links: Vec<Link> =
                    keys.iter().map(|key| Link::new(key.slot(), choice.is_tied(level, key.slot()))).collect();
                if let Some(list) = view.list(choice.node, level) {
                    list.write(&links);
                }
            }
        });
    }

    fn publish(&self, batch: &Batch<'_>, choices: &[Choice]) {
        for choice in choices {
            for nodes in &self.graph.levels[..choice.levels.len()] {
                nodes.fetch_add(1, Ordering::Relaxed);
            }
        }
        self.graph.nodes.fetch_add(choices.len(), Ordering::Release);
        self.graph.migrated.store(batch.end as usize, Ordering::Release);
        let entry = Entry::unpack(self.graph.entry.load(Ordering::Relaxed));
        let highest = choices.iter().map(|choice| Entry { node: choice.node, level: choice.levels.len() - 1 });
        // The first of the highest, so that the result does not depend on anything else.
        let raised = entry.into_iter().chain(highest).reduce(|a, b| if b.level > a.level { b } else { a });
        self.graph.entry.store(Entry::pack(raised), Ordering::Release);
    }
}
