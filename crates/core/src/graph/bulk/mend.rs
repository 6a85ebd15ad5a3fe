//! The way to every node. Where data are clusters, a leaf holds nodes of few of them and no node finds one of another
//! among its nearest, so that no link leads from one to the other, and a search that comes down in a wrong one ends there.
//!
//! So a few nodes are looked for as a search would: one of each stretch, and all that no node of level 1 is near. Where
//! hardly one is missed, as in most data, only what is missed is mended. Else all nodes are looked for, level by level from
//! the highest. A search that ends far from its node (measured by what that leads to) ends at one from which no link
//! leads on; that one is given a link to the node, which pruning keeps.

use std::sync::atomic::Ordering;

use rayon::prelude::*;

use super::partition::{all, sample};
use super::{Bulk, atomics, tree};
use crate::error::Result;
use crate::graph::links::Link;
use crate::graph::{Entry, Graph, GraphView, Scratch, Target};
use crate::memory::{filled, room};
use crate::pools::giving_way;
use crate::topk::Key;

/// One node in so many is looked for at first, but no fewer than `LEAST`.
const STRETCH: usize = 64;
const LEAST: usize = 4_096;

/// Where one in so many of these is missed, all nodes are looked for.
const MISSED: usize = 500;

/// How often what is still missed is looked for again.
const ROUNDS: usize = 4;

/// The beam on level 0. Searches have a wider one, but it is greedy steps that find the way.
const BEAM: usize = 8;

/// Nodes a work unit: that are looked for, and of which it is asked whether one of level 1 is near.
const SOUGHT_AT_ONCE: usize = 4;
const ASKED_AT_ONCE: usize = 256;

/// Before it gives way to queries: nodes that are passed by, and misses that are mended.
const PASSED_AT_ONCE: usize = 1 << 14;
const MENDED_AT_ONCE: usize = 64;

/// A search that ended far from its node.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Miss {
    /// Where it ended.
    end: u32,
    /// What it was for, at its distance.
    stray: Key,
}

/// What mending one graph uses.
struct Mender<'a> {
    bulk: &'a Bulk<'a>,
    view: GraphView<'a>,
    top: Entry,
}

impl Bulk<'_> {
    /// Makes sure that searches of `graph` from its entry point `top` find the way to its nodes. `levels` are the highest
    /// that these reach. False if it was stopped.
    pub(super) fn mend(&self, graph: &Graph, levels: &[u8], top: Entry) -> Result<bool> {
        let mender = Mender { bulk: self, view: graph.view(), top };
        let nodes = all(levels.len())?;
        let looked_for = sample(&nodes, (nodes.len() / STRETCH).max(LEAST).min(nodes.len()), self.seed)?;
        let Some(missed) = mender.missed(&looked_for, 0)? else {
            return Ok(false);
        };
        if missed.len() * MISSED > looked_for.len() {
            for level in (0..=top.level).rev() {
                let nodes = giving_way(nodes.iter().copied(), PASSED_AT_ONCE);
                let of_level = nodes.filter(|&node| usize::from(levels[node as usize]) >= level);
                if !mender.mend_level(collected(of_level.clone().count(), of_level)?, level)? {
                    return Ok(false);
                }
            }
            return Ok(true);
        }
        let Some(islands) = mender.islands(&nodes, levels)? else {
            return Ok(false);
        };
        let strays = islands.iter().copied().chain(missed.iter().map(|miss| miss.stray.slot()));
        mender.mend_level(collected(islands.len() + missed.len(), strays)?, 0)
    }
}

impl Mender<'_> {
    /// Looks for `strays` on `level` and mends what is missed, until none is. False if it was stopped.
    fn mend_level(&self, mut strays: Vec<u32>, level: usize) -> Result<bool> {
        for _ in 0..ROUNDS {
            let Some(mut missed) = self.missed(&strays, level)? else {
                return Ok(false);
            };
            strays.clear();
            strays.extend(missed.iter().map(|miss| miss.stray.slot()));
            missed.par_sort_unstable();
            let groups = missed.par_chunk_by(|a, b| a.end == b.end);
            let linked = groups.map(|group| self.bulk.turns.next().map(|_turn| self.link(group, level)));
            match linked.try_reduce(|| false, |a, b| Some(a || b)) {
                None => return Ok(false),
                Some(false) => break,
                Some(true) => (),
            }
        }
        Ok(true)
    }

    /// Those of `strays` that a search on `level` misses, in their order; `None` if it was stopped.
    fn missed(&self, strays: &[u32], level: usize) -> Result<Option<Vec<Miss>>> {
        let ends = atomics(strays.len())?;
        let units = strays.par_chunks(SOUGHT_AT_ONCE).zip(ends.par_chunks(SOUGHT_AT_ONCE));
        let is_done = units.map(|(strays, ends)| {
            let Some(_turn) = self.bulk.turns.next() else {
                return Ok(false);
            };
            for (&stray, end) in giving_way(strays.iter().zip(ends), 1) {
                let points = self.view.points();
                let missed = |target: Target<'_>, scratch: &mut Scratch| self.end(stray, target, level, scratch);
                let found = self.bulk.scratches.with_target(&points, stray, missed)?;
                end.store(found.map_or(0, |node| node + 1), Ordering::Relaxed);
            }
            Ok(true)
        });
        if !is_done.try_reduce(|| true, |a, b| Ok(a && b))? {
            return Ok(None);
        }
        let ends = ends.iter().map(|end| end.load(Ordering::Relaxed).checked_sub(1));
        let missed =
            giving_way(strays.iter().zip(ends), PASSED_AT_ONCE).filter_map(|(&stray, end)| Some((stray, end?)));
        let mut buffer = Default::default();
        let points = self.view.points();
        let key = |(stray, end)| Miss { end, stray: points.key(points.target(end, &mut buffer), stray) };
        collected(missed.clone().count(), giving_way(missed, MENDED_AT_ONCE).map(key)).map(Some)
    }

    /// Where a search for `stray` on `level` ends, if that is farther from it than half of what it leads to.
    fn end(&self, stray: u32, target: Target<'_>, level: usize, scratch: &mut Scratch) -> Result<Option<u32>> {
        let start = self.view.descend(target, self.top, level, scratch);
        let found = if level > 0 {
            self.view.greedy(target, start, level, scratch)
        } else {
            self.view.search_level(target, &[start], 0, BEAM, scratch, |_| ())?;
            scratch.beam.keys().first().copied().unwrap_or(start)
        };
        if found.slot() == stray {
            return Ok(None);
        }
        let Scratch { neighbors, distances, .. } = scratch;
        neighbors.clear();
        self.view.list(stray, level).into_iter().for_each(|list| list.read(neighbors));
        // Free places are no nodes.
        neighbors.retain(|&node| node != u32::MAX);
        distances.resize(neighbors.len(), 0.0);
        self.view.points().score(target, neighbors, distances);
        distances.sort_unstable_by(f32::total_cmp);
        let is_near = distances.get(distances.len() / 2).is_some_and(|&half| found.distance() <= half);
        Ok((!is_near).then_some(found.slot()))
    }

    /// Links the node at which searches ended to what they were for, nearest first, unless that lies nearer to one before.
    /// Whether there was room for any.
    fn link(&self, missed: &[Miss], level: usize) -> bool {
        let Some(list) = self.view.list(missed[0].end, level) else {
            return false;
        };
        let points = self.view.points();
        let mut linked: Vec<u32> = Vec::new();
        let (mut distances, mut buffer) = (Vec::new(), Default::default());
        for Miss { stray, .. } in giving_way(missed.iter(), MENDED_AT_ONCE) {
            if list.links().filter(|link| link.is_kept()).count() >= list.capacity() / 2 {
                break;
            }
            distances.resize(linked.len(), 0.0);
            points.score(points.target(stray.slot(), &mut buffer), &linked, &mut distances);
            if distances.iter().all(|&distance| distance >= stray.distance()) {
                tree::keep(list, stray.slot());
                linked.push(stray.slot());
            }
        }
        !linked.is_empty()
    }

    /// The nodes from which no two links lead to one that reaches level 1; `None` if it was stopped.
    fn islands(&self, nodes: &[u32], levels: &[u8]) -> Result<Option<Vec<u32>>> {
        let is_above = |node: u32| levels[node as usize] > 0;
        let links = |node: u32| self.view.list(node, 0).into_iter().flat_map(|list| list.links()).map(Link::node);
        let is_near = |node: u32| {
            is_above(node) || links(node).any(is_above) || links(node).any(|near| links(near).any(is_above))
        };
        let mut are_far = filled("links", nodes.len(), || false)?;
        let units = nodes.par_chunks(ASKED_AT_ONCE).zip(are_far.par_chunks_mut(ASKED_AT_ONCE));
        let is_done = units.map(|(nodes, are_far)| {
            let Some(_turn) = self.bulk.turns.next() else {
                return false;
            };
            nodes.iter().zip(are_far).for_each(|(&node, is_far)| *is_far = !is_near(node));
            true
        });
        if !is_done.reduce(|| true, |a, b| a && b) {
            return Ok(None);
        }
        let far = giving_way(nodes.iter().zip(&are_far), PASSED_AT_ONCE)
            .filter(|&(_, &is_far)| is_far)
            .map(|(&node, _)| node);
        collected(far.clone().count(), far).map(Some)
    }
}

/// The `count` items of `items`.
fn collected<T>(count: usize, items: impl Iterator<Item = T>) -> Result<Vec<T>> {
    let mut collected = room("links", count)?;
    collected.extend(items);
    Ok(collected)
}
