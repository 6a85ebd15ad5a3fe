//! What each node may link to: its nearest neighbors in the leaves that it is in.

use std::sync::atomic::{AtomicU32, Ordering};

use rayon::prelude::*;

use super::Bulk;
use super::meter::{self, Meter};
use super::partition::Partition;
use super::products::{Cpu, Products};
use crate::error::Result;
use crate::graph::PointsView;
use crate::pools::giving_way;
use crate::vectors::{Blocks, View};
use crate::work::Phase;

/// Nodes that get all others before it gives way to queries.
const SET_AT_ONCE: usize = 64;

/// Some nodes for each node, at a fixed stride. An entry is a node's number plus 1, or 0.
pub(super) struct Table {
    entries: Blocks<AtomicU32>,
    nodes: usize,
}

impl Table {
    pub(super) fn new(nodes: usize, stride: usize) -> Result<Self> {
        let entries = Blocks::new("candidates", stride);
        entries.reserve(nodes)?;
        Ok(Self { entries, nodes })
    }

    /// All other nodes for each.
    pub(super) fn of_all_pairs(nodes: usize) -> Result<Self> {
        let table = Self::new(nodes, nodes)?;
        let view = table.view();
        giving_way(0..nodes as u32, SET_AT_ONCE)
            .for_each(|node| view.set(node, (0..nodes as u32).filter(|&other| other != node)));
        Ok(table)
    }

    pub(super) fn view(&self) -> TableView<'_> {
        TableView { entries: self.entries.shared(), stride: self.entries.stride(), nodes: self.nodes }
    }
}

#[derive(Clone, Copy)]
pub(super) struct TableView<'a> {
    entries: View<'a, AtomicU32>,
    stride: usize,
    nodes: usize,
}

impl<'a> TableView<'a> {
    pub(super) fn nodes(&self) -> usize {
        self.nodes
    }

    pub(super) fn stride(&self) -> usize {
        self.stride
    }

    /// What `node` has.
    pub(super) fn row(&self, node: u32) -> impl Iterator<Item = u32> + 'a {
        let row = self.entries.block(node as usize);
        row.iter().filter_map(|entry| entry.load(Ordering::Relaxed).checked_sub(1))
    }

    /// Writes to `node`'s entries from the `first` on; each entry has one writer.
    pub(super) fn put(&self, node: u32, first: usize, values: impl Iterator<Item = u32>) {
        let row = &self.entries.block(node as usize)[first..];
        row.iter().zip(values).for_each(|(entry, value)| entry.store(value + 1, Ordering::Relaxed));
    }

    /// Replaces what `node` has; no more than the stride.
    pub(super) fn set(&self, node: u32, values: impl Iterator<Item = u32>) {
        let row = self.entries.block(node as usize).iter();
        let values = values.map(|value| value + 1).chain(std::iter::repeat(0));
        row.zip(values).for_each(|(entry, value)| entry.store(value, Ordering::Relaxed));
    }
}

impl Bulk<'_> {
    /// The nearest neighbors of each node in each of its leaves; `None` if it was stopped.
    pub(super) fn candidates(&self, points: &PointsView<'_>, partition: &Partition) -> Result<Option<Table>> {
        let (fanout, k) = (partition.fanout, self.shape.per_leaf);
        let table = Table::new(points.len(), fanout * k)?;
        let view = table.view();
        let clusters = partition.clusters()?;
        let meter = Meter::new(self, Phase::Leaves, meter::LEAVES, points.len() * fanout);
        let is_done = clusters.into_par_iter().map(|cluster| {
            meter.add(cluster.len());
            let mut leaf = |products: &mut Cpu, memberships: &[u32]| {
                let nodes: Vec<u32> = memberships.iter().map(|&membership| membership / fanout as u32).collect();
                let mut visit = |position: usize, near: &[u32]| {
                    let found = near.iter().map(|&near| nodes[near as usize]);
                    view.put(nodes[position], memberships[position] as usize % fanout * k, found);
                };
                self.scratches.count_product(nodes.len(), nodes.len());
                products.leaf(points, &nodes, k, self.turns, &mut visit)
            };
            self.split(points, cluster, fanout, &mut Cpu::new(), &mut leaf)
        });
        let is_done = is_done.try_reduce(|| true, |a, b| Ok(a && b))?;
        Ok(is_done.then_some(table))
    }
}
