//! Carving the nodes into overlapping clusters of near ones (PiPNN, arXiv 2602.21247, section 3): leaders are sampled,
//! and each node goes to the nearest few of them.

use std::sync::atomic::{AtomicU32, Ordering};

use rayon::prelude::*;

use super::Bulk;
use super::products::{Cpu, Products};
use crate::error::Result;
use crate::graph::PointsView;
use crate::topk::Key;

/// Nodes that are assigned to leaders by one task.
const ASSIGNED_AT_ONCE: usize = 2_048;

/// Leaders of the first partition at most: beyond, comparing with them costs more than what it saves later.
const MOST_LEADERS: usize = 1_024;

/// Which leaders each member of a set goes to.
pub(super) struct Partition {
    /// Leaders a member.
    pub(super) fanout: usize,
    pub(super) leaders: usize,
    /// By member, its nearest leaders, nearest first.
    nearest: Vec<u32>,
}

impl Bulk<'_> {
    /// Assigns each of `members` (nodes) to its nearest leaders; `None` if it was stopped.
    pub(super) fn partition(&self, points: &PointsView<'_>, members: &[u32]) -> Result<Option<Partition>> {
        let shape = &self.shape;
        let wanted = members.len() * shape.fanout / (shape.leaf / 2);
        let count = wanted.clamp(1, MOST_LEADERS).min(members.len());
        let fanout = shape.fanout.min(count);
        let leaders = sample(members, count, self.seed);
        let nearest: Vec<AtomicU32> = (0..members.len() * fanout).map(|_| AtomicU32::new(0)).collect();
        let blocks = members.par_chunks(ASSIGNED_AT_ONCE).zip(nearest.par_chunks(ASSIGNED_AT_ONCE * fanout));
        let is_done = blocks.map(|(members, nearest)| {
            let mut visit = |member: usize, keys: &[Key]| {
                let places = nearest[member * fanout..][..fanout].iter();
                places.zip(keys).for_each(|(place, key)| place.store(key.slot(), Ordering::Relaxed));
            };
            Cpu::new().nearest(points, members, &leaders, fanout, &|| self.pause(), &mut visit)
        });
        let is_done = is_done.try_reduce(|| true, |a, b| Ok(a && b))?;
        let nearest = nearest.into_iter().map(AtomicU32::into_inner).collect();
        Ok(is_done.then_some(Partition { fanout, leaders: count, nearest }))
    }

    /// Splits `cluster` (of memberships; `node` gives the node of one) until no part holds more than a leaf may, and
    /// calls `visit` with each. False if it was stopped.
    pub(super) fn split(
        &self,
        points: &PointsView<'_>,
        cluster: Vec<u32>,
        node: &(dyn Fn(u32) -> u32 + Sync),
        products: &mut Cpu,
        visit: &mut dyn FnMut(&mut Cpu, &[u32]) -> Result<bool>,
    ) -> Result<bool> {
        if cluster.len() <= self.shape.leaf {
            return visit(products, &cluster);
        }
        let nodes: Vec<u32> = cluster.iter().map(|&membership| node(membership)).collect();
        let count = (cluster.len() / (self.shape.leaf / 2)).clamp(2, MOST_LEADERS);
        let leaders = sample(&nodes, count, self.seed ^ cluster.len() as u64);
        let mut parts = vec![Vec::new(); count];
        let mut assign = |position: usize, keys: &[Key]| {
            parts[keys.first().map_or(0, |key| key.slot() as usize)].push(cluster[position]);
        };
        if !products.nearest(points, &nodes, &leaders, 1, &|| self.pause(), &mut assign)? {
            return Ok(false);
        }
        // Rows that no distance tells apart would never be split: by their order then.
        if parts.iter().any(|part| part.len() == cluster.len()) {
            parts = cluster.chunks(self.shape.leaf).map(<[u32]>::to_vec).collect();
        }
        for part in parts.into_iter().filter(|part| !part.is_empty()) {
            if !self.split(points, part, node, products, visit)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl Partition {
    /// The memberships (member · fanout + rank) of each leader's cluster.
    pub(super) fn clusters(&self) -> Vec<Vec<u32>> {
        let mut sizes = vec![0; self.leaders];
        self.nearest.iter().for_each(|&leader| sizes[leader as usize] += 1);
        let mut clusters: Vec<Vec<u32>> = sizes.into_iter().map(Vec::with_capacity).collect();
        (0..).zip(&self.nearest).for_each(|(membership, &leader)| clusters[leader as usize].push(membership));
        clusters
    }

    /// The members by their nearest leader.
    pub(super) fn order(&self) -> Vec<u32> {
        let mut groups: Vec<Vec<u32>> = vec![Vec::new(); self.leaders];
        let first = self.nearest.iter().step_by(self.fanout);
        (0..).zip(first).for_each(|(member, &leader)| groups[leader as usize].push(member));
        groups.concat()
    }

    /// The partition of the members in another order: member `i` becomes what member `order[i]` was.
    pub(super) fn reordered(&self, order: &[u32]) -> Self {
        let fanout = self.fanout;
        let nearest = order.iter().flat_map(|&member| &self.nearest[member as usize * fanout..][..fanout]);
        Self { nearest: nearest.copied().collect(), ..*self }
    }
}

/// `count` of `members`, spread over all of them: one at random of each stretch.
fn sample(members: &[u32], count: usize, seed: u64) -> Vec<u32> {
    let bounds = |index: usize| index * members.len() / count;
    let one = |index: usize| {
        let (start, end) = (bounds(index), bounds(index + 1));
        let random = (seed ^ index as u64).wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        members[start + random as usize % (end - start).max(1)]
    };
    (0..count).map(one).collect()
}
