//! Nodes whose neighbors codes do not tell apart: leaves and their parts are of no use to them where those are made by
//! codes. So they look for candidates again, by rows.

use rayon::prelude::*;

use super::Bulk;
use super::candidates::{Table, TableView};
use super::partition::Partition;
use super::products::{Cpu, Products};
use crate::bits::{Bits, BitsView};
use crate::error::Result;
use crate::graph::PointsView;
use crate::pools::giving_way;
use crate::topk::Key;

/// Nodes that lose their candidates before it gives way to queries.
const CLEARED_AT_ONCE: usize = 1_024;

impl Bulk<'_> {
    /// [`Bulk::choose`] for all nodes, and then once more for those that codes did not tell apart, of candidates that are
    /// found by rows. False if it was stopped.
    pub(super) fn choose_clearly(
        &self,
        views: &[PointsView<'_>],
        tables: &[Table],
        partitions: &[Partition],
        max: usize,
    ) -> Result<bool> {
        let (blurred, nodes) = (Bits::new("nodes"), views[0].len());
        blurred.reserve(nodes)?;
        if !self.choose(views, tables, max, |_| true, &blurred) {
            return Ok(false);
        }
        let bits = blurred.view();
        // Where each node has all others as candidates, there is nothing more to be found.
        if nodes <= super::ALL_PAIRS || bits.count(0..nodes) == 0 {
            return Ok(true);
        }
        for ((points, partition), table) in views.iter().zip(partitions).zip(tables) {
            if !self.look_again(&points.by_rows(), partition, table.view(), bits)? {
                return Ok(false);
            }
        }
        let silent = Self { report: &|_, _| (), ..*self };
        Ok(silent.choose(views, tables, max, |node| bits.get(node), &blurred))
    }

    /// Replaces the candidates of the nodes in `blurred` by the nearest neighbors of each in each of its leaves. False if it
    /// was stopped.
    fn look_again(
        &self,
        points: &PointsView<'_>,
        partition: &Partition,
        table: TableView<'_>,
        blurred: BitsView<'_>,
    ) -> Result<bool> {
        let nodes = giving_way(0..points.len() as u32, CLEARED_AT_ONCE);
        nodes.filter(|&node| blurred.get(node)).for_each(|node| table.set(node, std::iter::empty()));
        let (fanout, k) = (partition.fanout, self.shape.per_leaf);
        let is_done = partition.clusters()?.into_par_iter().map(|cluster| {
            let node_of = |membership: u32| membership / fanout as u32;
            let mut leaf = |products: &mut Cpu, memberships: &[u32]| {
                let nodes: Vec<u32> = memberships.iter().map(|&membership| node_of(membership)).collect();
                let rows = memberships.iter().copied().filter(|&membership| blurred.get(node_of(membership)));
                let (rows, own): (Vec<u32>, Vec<u32>) =
                    rows.map(|membership| (node_of(membership), membership)).unzip();
                let mut visit = |position: usize, keys: &[Key]| {
                    let found =
                        keys.iter().map(|key| nodes[key.slot() as usize]).filter(|&node| node != rows[position]);
                    table.put(rows[position], own[position] as usize % fanout * k, found.take(k));
                };
                self.scratches.count_product(rows.len(), nodes.len());
                // One more, since each is nearest to itself.
                products.nearest(points, &rows, &nodes, k + 1, self.turns, &mut visit)
            };
            if cluster.iter().any(|&membership| blurred.get(node_of(membership))) {
                self.split(points, cluster, fanout, &mut Cpu::new(), &mut leaf)
            } else {
                Ok(true)
            }
        });
        is_done.try_reduce(|| true, |a, b| Ok(a && b))
    }
}
