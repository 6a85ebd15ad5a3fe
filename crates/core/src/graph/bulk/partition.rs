//! Carving the nodes into overlapping clusters of near ones (PiPNN, arXiv 2602.21247, section 3): leaders are sampled,
//! and each node goes to the nearest few of them.

use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};

use rayon::prelude::*;

use super::meter::{self, Meter};
use super::products::{Cpu, Products};
use super::{Bulk, atomics};
use crate::error::Result;
use crate::graph::PointsView;
use crate::memory::{filled, room};
use crate::pools::{give_way, giving_way};
use crate::topk::Key;
use crate::work::Phase;

/// Nodes that are assigned to leaders by one task.
const ASSIGNED_AT_ONCE: usize = 2_048;

/// Leaders of the first partition at most: beyond, comparing with them costs more than what it saves later.
const MOST_LEADERS: usize = 1_024;

/// Before it gives way to queries: numbers that are looked at one after the other, and nodes that are moved.
const NUMBERS_AT_ONCE: usize = 1 << 13;
const MOVED_AT_ONCE: usize = 1_024;

/// Leaders whose nodes are put one after the other before it does.
const GROUPS_AT_ONCE: usize = 8;

/// Which leaders each node goes to.
pub(super) struct Partition {
    /// Leaders a node.
    pub(super) fanout: usize,
    pub(super) leaders: usize,
    /// By node, its nearest leaders, nearest first.
    nearest: Vec<u32>,
}

impl Bulk<'_> {
    /// Assigns all nodes to their nearest leaders; `None` if it was stopped.
    pub(super) fn partition(&self, points: &PointsView<'_>) -> Result<Option<Partition>> {
        let (nodes, shape) = (all(points.len())?, &self.shape);
        let wanted = nodes.len() * shape.fanout / (shape.leaf / 2);
        let count = wanted.clamp(1, MOST_LEADERS).min(nodes.len());
        let fanout = shape.fanout.min(count);
        let leaders = sample(&nodes, count, self.seed)?;
        let nearest = atomics(nodes.len() * fanout)?;
        let blocks = nodes.par_chunks(ASSIGNED_AT_ONCE).zip(nearest.par_chunks(ASSIGNED_AT_ONCE * fanout));
        let meter = Meter::new(self, Phase::Partition, meter::PARTITION, nodes.len());
        let is_done = blocks.map(|(nodes, nearest)| {
            meter.add(nodes.len());
            let mut visit = |position: usize, keys: &[Key]| {
                let places = nearest[position * fanout..][..fanout].iter();
                // Infinitely far leaders are not among the nearest. Any others then, each once: a node that came into
                // a cluster twice would find itself there.
                let is_missing = |&leader: &u32| keys.iter().all(|key| key.slot() != leader);
                let chosen = keys.iter().map(|key| key.slot()).chain((0..count as u32).filter(is_missing));
                places.zip(chosen).for_each(|(place, leader)| place.store(leader, Ordering::Relaxed));
            };
            self.scratches.count_product(nodes.len(), leaders.len());
            Cpu::new().nearest(points, nodes, &leaders, fanout, self.turns, &mut visit)
        });
        let is_done = is_done.try_reduce(|| true, |a, b| Ok(a && b))?;
        let nearest = nearest.into_iter().map(AtomicU32::into_inner).collect();
        Ok(is_done.then_some(Partition { fanout, leaders: count, nearest }))
    }

    /// Splits `cluster` (of memberships, of which there are `fanout` a node) until no part holds more than a leaf may, and
    /// calls `visit` with each; which leaves come first depends on the cluster alone. False if it was stopped.
    pub(super) fn split(
        &self,
        points: &PointsView<'_>,
        cluster: Vec<u32>,
        fanout: usize,
        products: &mut Cpu,
        visit: &mut dyn FnMut(&mut Cpu, &[u32]) -> Result<bool>,
    ) -> Result<bool> {
        if cluster.len() <= self.shape.leaf {
            return visit(products, &cluster);
        }
        let Some(parts) = self.parts(points, &cluster, fanout, products)? else {
            return Ok(false);
        };
        drop(cluster);
        for part in parts.into_iter().filter(|part| !part.is_empty()) {
            if !self.split(points, part, fanout, products, visit)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// A cluster in parts: by the nearest of some leaders of its own. `None` if it was stopped.
    fn parts(
        &self,
        points: &PointsView<'_>,
        cluster: &[u32],
        fanout: usize,
        products: &mut Cpu,
    ) -> Result<Option<Vec<Vec<u32>>>> {
        let mut nodes = room("nodes", cluster.len())?;
        nodes.extend(cluster.iter().map(|&membership| membership / fanout as u32));
        let count = (cluster.len() / (self.shape.leaf / 2)).clamp(2, MOST_LEADERS);
        let leaders = sample(&nodes, count, self.seed ^ cluster.len() as u64)?;
        let mut nearest = room("nodes", cluster.len())?;
        nearest.resize(cluster.len(), 0);
        let mut sizes = vec![0; count];
        let mut assign = |position: usize, keys: &[Key]| {
            let leader = keys.first().map_or(0, |key| key.slot());
            nearest[position] = leader;
            sizes[leader as usize] += 1;
        };
        self.scratches.count_product(nodes.len(), leaders.len());
        if !products.nearest(points, &nodes, &leaders, 1, self.turns, &mut assign)? {
            return Ok(None);
        }
        // Rows that no distance tells apart would never be split: by their order then.
        if sizes.contains(&cluster.len()) {
            (0..).zip(&mut nearest).for_each(|(position, leader)| *leader = position / self.shape.leaf as u32);
            sizes = cluster.chunks(self.shape.leaf).map(<[u32]>::len).collect();
        }
        let mut parts: Vec<Vec<u32>> = sizes.into_iter().map(|size| room("nodes", size)).collect::<Result<_>>()?;
        cluster.iter().zip(nearest).for_each(|(&membership, leader)| parts[leader as usize].push(membership));
        Ok(Some(parts))
    }
}

impl Partition {
    /// The memberships (node · fanout + rank) of each leader's cluster.
    pub(super) fn clusters(&self) -> Result<Vec<Vec<u32>>> {
        self.grouped(1)
    }

    /// The nodes by their nearest leader.
    pub(super) fn order(&self) -> Result<Vec<u32>> {
        let groups = self.grouped(self.fanout)?;
        let mut memberships = room("nodes", self.nearest.len() / self.fanout)?;
        giving_way(groups.iter(), GROUPS_AT_ONCE).for_each(|group| memberships.extend_from_slice(group));
        memberships.par_chunks_mut(NUMBERS_AT_ONCE).for_each(|memberships| {
            give_way();
            memberships.iter_mut().for_each(|membership| *membership /= self.fanout as u32);
        });
        Ok(memberships)
    }

    /// Every `step`-th membership, by leader.
    fn grouped(&self, step: usize) -> Result<Vec<Vec<u32>>> {
        // Each task collects for some leaders, so that they are in order: reading is what costs least.
        let tasks = rayon::current_num_threads().min(self.leaders);
        let of = |task: usize| task * self.leaders / tasks..(task + 1) * self.leaders / tasks;
        let groups = (0..tasks).into_par_iter().map(|task| self.of_leaders(of(task), step));
        let groups: Vec<Vec<Vec<u32>>> = groups.collect::<Result<_>>()?;
        Ok(groups.into_iter().flatten().collect())
    }

    /// Every `step`-th membership of each of these leaders.
    fn of_leaders(&self, leaders: Range<usize>, step: usize) -> Result<Vec<Vec<u32>>> {
        let memberships = || giving_way(self.nearest.iter().step_by(step), NUMBERS_AT_ONCE);
        let nearest = || memberships().map(|&leader| (leader as usize).wrapping_sub(leaders.start));
        let mut sizes = vec![0; leaders.len()];
        nearest().filter(|&leader| leader < leaders.len()).for_each(|leader| sizes[leader] += 1);
        let mut groups: Vec<Vec<u32>> = sizes.into_iter().map(|size| room("nodes", size)).collect::<Result<_>>()?;
        let memberships = (0..).step_by(step).zip(nearest()).filter(|&(_, leader)| leader < leaders.len());
        memberships.for_each(|(membership, leader)| groups[leader].push(membership));
        Ok(groups)
    }

    /// The partition of the nodes in another order: node `i` becomes what node `order[i]` was.
    pub(super) fn reordered(&self, order: &[u32]) -> Result<Self> {
        let fanout = self.fanout;
        let mut nearest = filled("nodes", self.nearest.len(), || 0)?;
        let blocks = nearest.par_chunks_mut(MOVED_AT_ONCE * fanout).zip(order.par_chunks(MOVED_AT_ONCE));
        blocks.for_each(|(nearest, order)| {
            give_way();
            nearest.chunks_mut(fanout).zip(order).for_each(|(nearest, &node)| {
                nearest.copy_from_slice(&self.nearest[node as usize * fanout..][..fanout]);
            });
        });
        Ok(Self { nearest, ..*self })
    }
}

/// The numbers below `count`.
pub(super) fn all(count: usize) -> Result<Vec<u32>> {
    let mut nodes = room("nodes", count)?;
    nodes.extend(giving_way(0..count as u32, NUMBERS_AT_ONCE));
    Ok(nodes)
}

/// `count` of `nodes`, spread over all of them: one at random of each stretch.
pub(super) fn sample(nodes: &[u32], count: usize, seed: u64) -> Result<Vec<u32>> {
    let bounds = |index: usize| index * nodes.len() / count;
    let one = |index: usize| {
        let (start, end) = (bounds(index), bounds(index + 1));
        let random = (seed ^ index as u64).wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        nodes[start + random as usize % (end - start).max(1)]
    };
    let mut sampled = room("nodes", count)?;
    sampled.extend((0..count).map(one));
    Ok(sampled)
}
