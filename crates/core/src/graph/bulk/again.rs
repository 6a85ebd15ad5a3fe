//! Nodes that look for candidates again, since their leaves were of little use to them.
//!
//! Where codes do not tell a node's neighbors apart, its leaves and their parts were made by these codes: it looks for the
//! nearest in each of them by rows. Where data are clusters smaller than what the leaders of a node are for, all its leaves
//! hold the same nodes, and what it found in each is the same: it looks for more in the first of them.

use rayon::prelude::*;

use super::Bulk;
use super::candidates::{Table, TableView};
use super::partition::Partition;
use super::products::{Cpu, MOST, Products};
use crate::bits::{Bits, BitsView};
use crate::error::Result;
use crate::graph::PointsView;
use crate::pools::giving_way;
use crate::topk::Key;

/// Nodes that lose their candidates before it gives way to queries.
const CLEARED_AT_ONCE: usize = 1_024;

/// A cluster is not split again where fewer than one membership in so many is that of a lonely node whose nearest leader
/// has it: in data without clusters they are single nodes, to which it would matter little.
const RARE: usize = 64;

/// Nodes that should look for other candidates.
pub(super) struct Unsure {
    /// Codes do not tell apart what they found.
    pub(super) blurred: Bits,
    /// They found fewer than half of what they may link to.
    pub(super) lonely: Bits,
}

impl Unsure {
    pub(super) fn none_of(nodes: usize) -> Result<Self> {
        let unsure = Self { blurred: Bits::new("nodes"), lonely: Bits::new("nodes") };
        unsure.blurred.reserve(nodes)?;
        unsure.lonely.reserve(nodes)?;
        Ok(unsure)
    }
}

impl Bulk<'_> {
    /// [`Bulk::choose`] for all nodes, and then once more for those that look for other candidates. False if it was stopped.
    pub(super) fn choose_surely(
        &self,
        views: &[PointsView<'_>],
        tables: &[Table],
        partitions: &[Partition],
        max: usize,
    ) -> Result<bool> {
        let nodes = views[0].len();
        let unsure = Unsure::none_of(nodes)?;
        if !self.choose(views, tables, max, |_| true, &unsure) {
            return Ok(false);
        }
        let (blurred, lonely) = (unsure.blurred.view(), unsure.lonely.view());
        let (are_blurred, are_lonely) = (blurred.count(0..nodes) > 0, lonely.count(0..nodes) > 0);
        // Where each node has all others as candidates, there is nothing more to be found.
        if nodes <= super::ALL_PAIRS || !(are_blurred || are_lonely) {
            return Ok(true);
        }
        for ((points, partition), table) in views.iter().zip(partitions).zip(tables) {
            if are_blurred && !self.look_by_rows(&points.by_rows(), partition, table.view(), blurred)? {
                return Ok(false);
            }
            if are_lonely && !self.look_for_more(points, partition, table.view(), lonely)? {
                return Ok(false);
            }
        }
        let silent = Self { report: &|_, _| (), ..*self };
        // What is added to these is of nodes that are in them already.
        Ok(silent.choose(views, tables, max, |node| blurred.get(node) || lonely.get(node), &unsure))
    }

    /// Replaces the candidates of the nodes in `blurred` by the nearest neighbors of each in each of its leaves. False if it
    /// was stopped.
    fn look_by_rows(
        &self,
        points: &PointsView<'_>,
        partition: &Partition,
        table: TableView<'_>,
        blurred: BitsView<'_>,
    ) -> Result<bool> {
        let (fanout, k) = (partition.fanout, self.shape.per_leaf);
        let all = giving_way(0..points.len() as u32, CLEARED_AT_ONCE).filter(|&node| blurred.get(node));
        all.for_each(|node| table.set(node, std::iter::empty()));
        let is_blurred = |membership: u32| blurred.get(membership / fanout as u32);
        self.leaves_of(points, partition, usize::MAX, is_blurred, |products, memberships, nodes| {
            let rows: Vec<u32> = memberships.iter().map(|&membership| membership / fanout as u32).collect();
            let mut visit = |position: usize, keys: &[Key]| {
                let found = keys.iter().map(|key| nodes[key.slot() as usize]).filter(|&node| node != rows[position]);
                table.put(rows[position], memberships[position] as usize % fanout * k, found.take(k));
            };
            // One more, since each is nearest to itself.
            products.nearest(points, &rows, nodes, k + 1, self.turns, &mut visit)
        })
    }

    /// Adds to the candidates of the nodes in `lonely` those nearest to each in the leaf of its nearest leader, as many as
    /// there is room for. False if it was stopped.
    fn look_for_more(
        &self,
        points: &PointsView<'_>,
        partition: &Partition,
        table: TableView<'_>,
        lonely: BitsView<'_>,
    ) -> Result<bool> {
        let fanout = partition.fanout as u32;
        let is_lonely = |membership: u32| membership.is_multiple_of(fanout) && lonely.get(membership / fanout);
        self.leaves_of(points, partition, RARE, is_lonely, |products, memberships, nodes| {
            let rows: Vec<u32> = memberships.iter().map(|&membership| membership / fanout).collect();
            let mut found: Vec<Vec<Key>> = vec![Vec::new(); rows.len()];
            // No product finds more than so many at once: the nearest of each part of the leaf.
            let parts = table.stride().div_ceil(MOST);
            for part in nodes.chunks(nodes.len().div_ceil(parts)) {
                let mut visit = |position: usize, keys: &[Key]| {
                    found[position].extend(keys.iter().map(|key| Key::new(key.distance(), part[key.slot() as usize])));
                };
                if !products.nearest(points, &rows, part, MOST, self.turns, &mut visit)? {
                    return Ok(false);
                }
            }
            for (&node, mut keys) in rows.iter().zip(found) {
                keys.sort_unstable();
                let mut links: Vec<u32> = Vec::with_capacity(table.stride());
                for other in table.row(node).chain(keys.iter().map(|key| key.slot())) {
                    if other != node && links.len() < table.stride() && !links.contains(&other) {
                        links.push(other);
                    }
                }
                table.set(node, links.into_iter());
            }
            Ok(true)
        })
    }

    /// Calls `visit` with the memberships of each leaf that `are_chosen`, if there are any, and all nodes of the leaf; not
    /// for clusters where they are fewer than one in `rare`. False if it was stopped.
    fn leaves_of(
        &self,
        points: &PointsView<'_>,
        partition: &Partition,
        rare: usize,
        are_chosen: impl Fn(u32) -> bool + Copy + Sync,
        visit: impl Fn(&mut Cpu, &[u32], &[u32]) -> Result<bool> + Sync,
    ) -> Result<bool> {
        let fanout = partition.fanout;
        let is_done = partition.clusters()?.into_par_iter().map(|cluster| {
            let mut leaf = |products: &mut Cpu, memberships: &[u32]| {
                let nodes: Vec<u32> = memberships.iter().map(|&membership| membership / fanout as u32).collect();
                let chosen: Vec<u32> =
                    memberships.iter().copied().filter(|&membership| are_chosen(membership)).collect();
                self.scratches.count_product(chosen.len(), nodes.len());
                if chosen.is_empty() { Ok(true) } else { visit(products, &chosen, &nodes) }
            };
            let chosen = cluster.iter().filter(|&&membership| are_chosen(membership)).count();
            if chosen > 0 && cluster.len() / chosen <= rare {
                self.split(points, cluster, fanout, &mut Cpu::new(), &mut leaf)
            } else {
                Ok(true)
            }
        });
        is_done.try_reduce(|| true, |a, b| Ok(a && b))
    }
}
