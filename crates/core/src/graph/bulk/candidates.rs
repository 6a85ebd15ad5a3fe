//! What each node may link to: its nearest neighbors in the leaves that it is in.

use std::sync::atomic::{AtomicU32, Ordering};

use rayon::prelude::*;

use super::meter::{self, Meter};
use super::partition::Partition;
use super::products::{Cpu, Products};
use super::{Bulk, NONE};
use crate::error::{Error, Result};
use crate::graph::PointsView;
use crate::topk::Key;
use crate::work::Phase;

/// Some nodes for each node, at a fixed stride; [`NONE`] after the last.
pub(super) struct Table {
    entries: Vec<AtomicU32>,
    stride: usize,
}

impl Table {
    pub(super) fn new(nodes: usize, stride: usize) -> Result<Self> {
        let mut entries = Vec::new();
        let refused = |_| Error::OutOfMemory { what: "candidates", bytes: nodes * stride * 4 };
        entries.try_reserve_exact(nodes * stride).map_err(refused)?;
        entries.resize_with(nodes * stride, || AtomicU32::new(NONE));
        Ok(Self { entries, stride })
    }

    /// All other nodes for each.
    pub(super) fn of_all_pairs(nodes: usize) -> Result<Self> {
        let table = Self::new(nodes, nodes)?;
        (0..nodes as u32).for_each(|node| table.set(node, (0..nodes as u32).filter(|&other| other != node)));
        Ok(table)
    }

    pub(super) fn stride(&self) -> usize {
        self.stride
    }

    /// What `node` has.
    pub(super) fn row(&self, node: u32) -> impl Iterator<Item = u32> {
        let row = &self.entries[node as usize * self.stride..][..self.stride];
        row.iter().map(|entry| entry.load(Ordering::Relaxed)).filter(|&entry| entry != NONE)
    }

    /// Writes from entry `first` on; each entry has one writer.
    fn put(&self, first: usize, values: impl Iterator<Item = u32>) {
        self.entries[first..].iter().zip(values).for_each(|(entry, value)| entry.store(value, Ordering::Relaxed));
    }

    /// Replaces what `node` has; no more than the stride.
    pub(super) fn set(&self, node: u32, values: impl Iterator<Item = u32>) {
        let row = &self.entries[node as usize * self.stride..][..self.stride];
        row.iter().zip(values.chain(std::iter::repeat(NONE))).for_each(|(entry, v)| entry.store(v, Ordering::Relaxed));
    }
}

impl Bulk<'_> {
    /// The nearest neighbors of each node in each of its leaves; `None` if it was stopped.
    pub(super) fn candidates(&self, points: &PointsView<'_>, partition: &Partition) -> Result<Option<Table>> {
        let (fanout, k) = (partition.fanout, self.shape.per_leaf);
        let table = Table::new(points.len(), fanout * k)?;
        let clusters = partition.clusters();
        let meter = Meter::new(self, Phase::Leaves, meter::LEAVES, points.len() * fanout);
        let is_done = clusters.into_par_iter().map(|cluster| {
            meter.add(cluster.len());
            let mut leaf = |products: &mut Cpu, memberships: &[u32]| {
                let nodes: Vec<u32> = memberships.iter().map(|&membership| membership / fanout as u32).collect();
                let mut visit = |position: usize, keys: &[Key]| {
                    let found = keys.iter().map(|key| nodes[key.slot() as usize]);
                    table.put(memberships[position] as usize * k, found);
                };
                self.scratches.count_product(nodes.len(), nodes.len());
                products.nearest(points, &nodes, &nodes, k, self.turns, &mut visit)
            };
            self.split(points, cluster, fanout, &mut Cpu::new(), &mut leaf)
        });
        let is_done = is_done.try_reduce(|| true, |a, b| Ok(a && b))?;
        Ok(is_done.then_some(table))
    }
}
