//! Searching the graph: greedy descent through the upper levels, and the beam on one level.

use std::cmp::Reverse;

use super::ending::Ending;
use super::scratch::Scratch;
use super::{Entry, GraphView, Target};
use crate::error::{Error, Result};
use crate::topk::Key;

/// An inserted key this close to the cursor will be expanded soon: its list is worth prefetching.
const PREFETCH_WITHIN: usize = 2;

/// Which nodes a search may return.
pub(crate) trait Accept {
    fn accepts(&self, node: u32) -> bool;
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
        self.begin(start, ef, scratch, &mut scored)?;
        while let Some(key) = scratch.beam.pop() {
            self.expand(target, key, level, scratch, &mut scored, |_| ());
        }
        Ok(())
    }

    /// The nearest `ef` nodes on level 0 reachable from `start`, in `scratch.beam`, for whoever wants the nearest `k`: fewer
    /// or more are expanded, as it seems to be of use (see [`super::ending`]). Distances must be squared Euclidean ones, or
    /// grow as these do; `dimensions` are those that rows have at least, if that is known.
    pub(crate) fn search_nearest(
        &self,
        target: Target<'_>,
        start: Key,
        (k, ef, dimensions): (usize, usize, Option<usize>),
        scratch: &mut Scratch,
    ) -> Result<()> {
        let mut ending = Ending::new(k, ef, dimensions);
        self.begin(&[start], ending.capacity(), scratch, |_| ())?;
        while let Some(key) = scratch.beam.pop() {
            if ending.is_over(key, &scratch.beam) {
                break;
            }
            let mut best = usize::MAX;
            self.expand(target, key, 0, scratch, |_| (), |position| best = best.min(position));
            ending.expanded(best);
        }
        scratch.beam.narrow(ef);
        Ok(())
    }

    /// Starts a search for `ef` nodes from `start`; `scored` is told of these.
    fn begin(&self, start: &[Key], ef: usize, scratch: &mut Scratch, mut scored: impl FnMut(Key)) -> Result<()> {
        scratch.visited.reset(self.limit())?;
        scratch.beam.reset(ef, self.limit())?;
        for &key in start {
            if scratch.visited.insert(key.slot()) {
                scored(key);
                scratch.beam.insert(key);
            }
        }
        Ok(())
    }

    /// Looks at the neighbors of the node of `key` that were not met. `scored` is told of each, `inserted` of the place in the
    /// beam of each that is taken in.
    #[inline]
    fn expand(
        &self,
        target: Target<'_>,
        key: Key,
        level: usize,
        scratch: &mut Scratch,
        mut scored: impl FnMut(Key),
        mut inserted: impl FnMut(usize),
    ) {
        if level == 0 {
            // The list of the second is asked for two rounds before it is read.
            scratch.beam.peek_two().into_iter().flatten().for_each(|next| self.base.prefetch(next.slot() as usize));
        }
        let Some(list) = self.list(key.slot(), level) else {
            return;
        };
        list.read(&mut scratch.neighbors);
        let Scratch { neighbors, visited, .. } = scratch;
        visited.retain_new(neighbors, self.limit());
        if level == 0 {
            self.prefetch_next(scratch);
        }
        self.score_neighbors(target, scratch);
        let Scratch { beam, neighbors, distances, near, .. } = scratch;
        // First those that may be taken in, without branches, which nobody could foresee.
        let (bound, mut kept) = (beam.bound(), 0);
        near.resize(neighbors.len(), Key::MAX);
        for (&node, &distance) in neighbors.iter().zip(distances.iter()) {
            let key = Key::new(distance, node);
            scored(key);
            near[kept] = key;
            kept += usize::from(key < bound);
        }
        for &key in &near[..kept] {
            let Some(position) = beam.insert(key) else {
                continue;
            };
            inserted(position);
            if level == 0 && position < beam.cursor() + PREFETCH_WITHIN {
                self.base.prefetch(key.slot() as usize);
            }
        }
    }

    /// Asks for the codes of those that the node which comes next leads to; its list was asked for before.
    #[inline]
    fn prefetch_next(&self, scratch: &mut Scratch) {
        let Scratch { beam, second, visited, .. } = scratch;
        if let [Some(next), _] = beam.peek_two() {
            self.base.list(next.slot() as usize).read(second);
            visited.retain_unmet(second, self.limit());
            second.iter().for_each(|&node| self.points.prefetch(node));
        }
    }

    /// The nearest `ef` nodes on level 0 that `accept` takes, in `scratch.beam`; all nodes are walked through, nearest
    /// first. Once it has expanded `ef` of them, the nearest `enough` are. Whether it came to an end before it had scored
    /// more than `budget`.
    pub(crate) fn search_accepted(
        &self,
        target: Target<'_>,
        start: Key,
        (ef, enough, budget): (usize, usize, usize),
        accept: &impl Accept,
        scratch: &mut Scratch,
    ) -> Result<bool> {
        let limit = self.limit();
        scratch.visited.reset(limit)?;
        scratch.beam.reset(ef, limit)?;
        scratch.frontier.clear();
        scratch.visited.insert(start.slot());
        scratch.frontier.push(Reverse(start));
        if accept.accepts(start.slot()) {
            scratch.beam.insert(start);
        }
        let (mut expanded, mut scored) = (0, 0);
        while let Some(Reverse(key)) = scratch.frontier.pop() {
            let nth = if expanded < ef { ef } else { enough };
            if scratch.beam.nth(nth).is_some_and(|bound| key > bound) {
                break;
            }
            if scored > budget {
                return Ok(false);
            }
            expanded += 1;
            if let Some(Reverse(next)) = scratch.frontier.peek() {
                self.base.prefetch(next.slot() as usize);
            }
            let Scratch { neighbors, visited, .. } = scratch;
            self.base.list(key.slot() as usize).read(neighbors);
            visited.retain_new(neighbors, limit);
            scored += neighbors.len();
            self.score_neighbors(target, scratch);
            for (&node, &distance) in scratch.neighbors.iter().zip(&scratch.distances) {
                let key = Key::new(distance, node);
                if scratch.beam.nth(nth).is_none_or(|bound| key < bound) {
                    scratch.frontier.try_reserve(1).map_err(|_| refused())?;
                    scratch.frontier.push(Reverse(key));
                    if accept.accepts(node) {
                        scratch.beam.insert(key);
                    }
                }
            }
        }
        Ok(true)
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
