//! Searching the graph: greedy descent through the upper levels, and the beam on one level.

use std::cmp::Reverse;

use super::scratch::Scratch;
use super::{Entry, GraphView, Target};
use crate::error::{Error, Result};
use crate::topk::Key;

/// An inserted key this close to the cursor will be expanded soon: its list is worth prefetching.
const PREFETCH_WITHIN: usize = 2;

/// Neighbors of which fewer than one in this many pass a filter are bridged: their neighbors are looked at instead.
const BRIDGE_BELOW: usize = 4;

/// Which nodes a search may return.
pub(crate) trait Accept {
    fn accepts(&self, node: u32) -> bool;
}

impl<F: Fn(u32) -> bool> Accept for F {
    fn accepts(&self, node: u32) -> bool {
        self(node)
    }
}

fn refused() -> Error {
    Error::OutOfMemory { what: "a search", bytes: size_of::<Key>() }
}

impl GraphView<'_> {
    /// The nearest node that greedy steps find on the levels above `level` (the paper's Algorithm 5, lines 4–6).
    pub(crate) fn descend(&self, target: Target<'_>, entry: Entry, level: usize, scratch: &mut Scratch) -> Key {
        let mut nearest = self.points.key(target, entry.node);
        for level in (level + 1..=entry.level).rev() {
            nearest = self.greedy(target, nearest, level, scratch);
        }
        nearest
    }

    /// Steps to the nearest neighbor on `level` until none is nearer.
    pub(crate) fn greedy(&self, target: Target<'_>, start: Key, level: usize, scratch: &mut Scratch) -> Key {
        let mut nearest = start;
        loop {
            let from = nearest;
            let Some(list) = self.list(from.slot(), level) else {
                return nearest;
            };
            list.read(&mut scratch.neighbors);
            scratch.neighbors.retain(|&node| (node as usize) < self.limit());
            for key in self.scored(target, scratch) {
                nearest = nearest.min(key);
            }
            if nearest == from {
                return nearest;
            }
        }
    }

    /// The nearest `ef` nodes on `level` reachable from `start` (the paper's Algorithm 2), in `scratch.beam`. `scored`
    /// is told of every node that was looked at.
    pub(crate) fn search_level(
        &self,
        target: Target<'_>,
        start: &[Key],
        level: usize,
        ef: usize,
        scratch: &mut Scratch,
        mut scored: impl FnMut(Key),
    ) -> Result<()> {
        scratch.visited.reset(self.limit())?;
        scratch.beam.reset(ef, self.limit())?;
        for &key in start {
            if scratch.visited.insert(key.slot()) {
                scored(key);
                scratch.beam.insert(key);
            }
        }
        let limit = self.limit();
        while let Some(key) = scratch.beam.pop() {
            if let Some(next) = scratch.beam.peek().filter(|_| level == 0) {
                self.base.prefetch(next.slot() as usize);
            }
            let Some(list) = self.list(key.slot(), level) else {
                continue;
            };
            list.read(&mut scratch.neighbors);
            let Scratch { neighbors, visited, .. } = scratch;
            neighbors.retain(|&node| (node as usize) < limit && visited.insert(node));
            self.score_neighbors(target, scratch);
            for (&node, &distance) in scratch.neighbors.iter().zip(&scratch.distances) {
                let key = Key::new(distance, node);
                scored(key);
                let position = scratch.beam.insert(key);
                if level == 0 && position.is_some_and(|position| position < scratch.beam.cursor() + PREFETCH_WITHIN) {
                    self.base.prefetch(node as usize);
                }
            }
        }
        Ok(())
    }

    /// The nearest `ef` nodes on level 0 that `accept` takes, in `scratch.beam`. All nodes are walked through; where
    /// most are refused (`bridge`), those are stepped over to their own neighbors, and only accepted ones are scored
    /// (ACORN, arXiv 2403.04871, section 5).
    pub(crate) fn search_accepted(
        &self,
        target: Target<'_>,
        start: Key,
        ef: usize,
        accept: &impl Accept,
        bridge: bool,
        scratch: &mut Scratch,
    ) -> Result<()> {
        scratch.visited.reset(self.limit())?;
        scratch.beam.reset(ef, self.limit())?;
        scratch.frontier.clear();
        scratch.visited.insert(start.slot());
        scratch.frontier.push(Reverse(start));
        if accept.accepts(start.slot()) {
            scratch.beam.insert(start);
        }
        while let Some(Reverse(key)) = scratch.frontier.pop() {
            if key > scratch.beam.bound() {
                break;
            }
            self.gather(key.slot(), accept, bridge, scratch);
            self.score_neighbors(target, scratch);
            for (&node, &distance) in scratch.neighbors.iter().zip(&scratch.distances) {
                let key = Key::new(distance, node);
                if key < scratch.beam.bound() {
                    scratch.frontier.try_reserve(1).map_err(|_| refused())?;
                    scratch.frontier.push(Reverse(key));
                    if accept.accepts(node) {
                        scratch.beam.insert(key);
                    }
                }
            }
        }
        Ok(())
    }

    /// The unvisited nodes to score after `node`, in `scratch.neighbors`.
    fn gather(&self, node: u32, accept: &impl Accept, bridge: bool, scratch: &mut Scratch) {
        let Scratch { neighbors, second, visited, .. } = scratch;
        let limit = self.limit();
        self.base.list(node as usize).read(neighbors);
        neighbors.retain(|&node| (node as usize) < limit && visited.insert(node));
        let accepted = neighbors.iter().filter(|&&node| accept.accepts(node)).count();
        if !bridge || accepted * BRIDGE_BELOW >= neighbors.len() {
            return;
        }
        let first = neighbors.len();
        for position in 0..first {
            let node = neighbors[position];
            if accept.accepts(node) {
                neighbors.push(node);
                continue;
            }
            self.base.list(node as usize).read(second);
            for &node in second.iter() {
                if (node as usize) < limit && !visited.contains(node) && accept.accepts(node) {
                    visited.insert(node);
                    neighbors.push(node);
                }
            }
        }
        neighbors.drain(..first);
    }

    /// `scratch.neighbors` with their distances.
    fn scored<'s>(&self, target: Target<'_>, scratch: &'s mut Scratch) -> impl Iterator<Item = Key> + 's {
        self.score_neighbors(target, scratch);
        scratch.neighbors.iter().zip(&scratch.distances).map(|(&node, &distance)| Key::new(distance, node))
    }

    /// The distances of `scratch.neighbors`, in `scratch.distances`.
    #[inline]
    fn score_neighbors(&self, target: Target<'_>, scratch: &mut Scratch) {
        let Scratch { neighbors, distances, evaluations, .. } = scratch;
        distances.resize(neighbors.len(), 0.0);
        self.points.score(target, neighbors, distances);
        *evaluations += neighbors.len() as u64;
    }
}
