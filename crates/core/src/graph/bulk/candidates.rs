//! What each node may link to: its nearest neighbors in the leaves that it is in.

use std::sync::atomic::{AtomicU32, Ordering};

use rayon::prelude::*;

use super::meter::{self, Meter};
use super::partition::Partition;
use super::products::{Cpu, Products};
use super::{Bulk, NONE, atomics};
use crate::error::Result;
use crate::graph::PointsView;
use crate::topk::Key;
use crate::work::Phase;

/// Some nodes for each node, at a fixed stride; [`NONE`] where there are fewer.
pub(super) struct Table {
    entries: Vec<AtomicU32>,
    stride: usize,
}

impl Table {
    pub(super) fn new(nodes: usize, stride: usize) -> Result<Self> {
        Ok(Self { entries: atomics(nodes * stride, NONE)?, stride })
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
                products.nearest(points, &nodes, &nodes, k, self.turns, &mut visit)
            };
            self.split(points, cluster, fanout, &mut Cpu::new(), &mut leaf)
        });
        let is_done = is_done.try_reduce(|| true, |a, b| Ok(a && b))?;
        Ok(is_done.then_some(table))
    }
}
