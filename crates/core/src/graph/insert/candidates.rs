//! What a node may link to, and what it selects of that.

use rayon::prelude::*;

use super::dense::{Near, nearest_to};
use super::{Choice, Insertion};
use crate::error::Result;
use crate::graph::scratch::Scratch;
use crate::graph::{Entry, GraphView, Target};
use crate::topk::Key;
use crate::vectors::Padded;

/// Neighbors within the batch that a node considers, in multiples of M.
const WITHIN_BATCH: usize = 4;

/// The beam of a node's search, in percent of its candidates. The candidates are the nearest of all that the search
/// scored, not only of those that its beam held: the far ones among them serve the selection as well as those that a
/// wide beam would find.
const BEAM: usize = 60;

/// Where a node starts to search level 0, and the greedy path there: nodes with equal paths are near each other, so
/// that searching in this order finds rows and lists in the cache.
struct Start {
    path: [u32; PATH],
    position: usize,
    key: Key,
}

/// Levels whose greedy results make up a path.
const PATH: usize = 4;

/// What a node has found in its own batch, level by level; empty lists where it reaches no further.
struct BatchLevels {
    levels: Vec<Vec<Option<Near>>>,
}

impl Insertion<'_> {
    /// Searches for all `nodes` by all distances; their choices in the order of `nodes`, or `None` if it was stopped.
    pub(super) fn choose(&self, views: &[GraphView<'_>], nodes: &[u32]) -> Result<Option<Vec<Choice>>> {
        let (m, mut choices) = (self.graph.m, None::<Vec<Choice>>);
        for view in views {
            // Each distance leaves room for the next, which takes all that is left: they may agree.
            let max = if choices.is_none() { m / views.len() } else { m };
            let Some(more) = self.choose_by(view, nodes, max)? else {
                return Ok(None);
            };
            match &mut choices {
                None => choices = Some(more),
                Some(choices) => choices.iter_mut().zip(more).for_each(|(choice, more)| choice.add(&more, m)),
            }
        }
        Ok(choices)
    }

    /// By one distance, at most `max` links a node and level.
    fn choose_by(&self, view: &GraphView<'_>, nodes: &[u32], max: usize) -> Result<Option<Vec<Choice>>> {
        let Some(within) = self.search_batch(view, nodes)? else {
            return Ok(None);
        };
        let starts = self.starts(view, nodes)?;
        let choices = starts.par_iter().map(|start| {
            let Some(_turn) = self.turns.next() else {
                return Ok(None);
            };
            let node = nodes[start.position];
            let (choice, is_blurred) = self.scratches.with_target(&view.points(), node, |target, scratch| {
                self.choose_for(view, (node, target), max, start.key, &within.of(start.position), scratch)
            })?;
            if is_blurred {
                return self.choose_by_rows(view, (node, nodes), max, (start, &within)).map(Some);
            }
            Ok(Some(choice))
        });
        let choices: Vec<Option<Choice>> = choices.collect::<Result<_>>()?;
        let Some(mut choices) = choices.into_iter().collect::<Option<Vec<Choice>>>() else {
            return Ok(None);
        };
        choices.par_sort_unstable_by_key(|choice| choice.node);
        Ok(Some(choices))
    }

    /// The nearest neighbors within the batch, on every level.
    fn search_batch(&self, view: &GraphView<'_>, nodes: &[u32]) -> Result<Option<BatchLevels>> {
        let keep = self.kept_within();
        let mut levels = Vec::new();
        let mut members: Vec<usize> = (0..nodes.len()).collect();
        while !members.is_empty() {
            let reaching: Vec<u32> = members.iter().map(|&position| nodes[position]).collect();
            let Some(near) = self.nearest_within(view.points(), &reaching, keep)? else {
                return Ok(None);
            };
            let mut level: Vec<Option<Near>> = Vec::new();
            level.resize_with(nodes.len(), || None);
            for (&position, near) in members.iter().zip(near) {
                level[position] = Some(near);
            }
            levels.push(level);
            members.retain(|&position| view.level_of(nodes[position]) >= levels.len());
        }
        Ok(Some(BatchLevels { levels }))
    }

    /// Neighbors within the batch that a node considers.
    fn kept_within(&self) -> usize {
        (WITHIN_BATCH * self.graph.m).min(self.ef_construction)
    }

    /// Greedy descents for all nodes, sorted by their paths.
    fn starts(&self, view: &GraphView<'_>, nodes: &[u32]) -> Result<Vec<Start>> {
        let Some(entry) = view.entry() else {
            let unsearched = |position| Start { path: [0; PATH], position, key: Key::MAX };
            return Ok((0..nodes.len()).map(unsearched).collect());
        };
        let descents = nodes.par_iter().enumerate().map(|(position, &node)| {
            let _turn = self.turns.next();
            self.scratches.with_target(&view.points(), node, |target, scratch| {
                let mut path = [0; PATH];
                let mut key = view.points().key(target, entry.node);
                for level in (1..=entry.level).rev() {
                    key = view.greedy(target, key, level, scratch);
                    if let Some(step) = PATH.checked_sub(level) {
                        path[step] = key.slot();
                    }
                }
                Start { path, position, key }
            })
        });
        let mut starts: Vec<Start> = descents.collect();
        starts.par_sort_unstable_by_key(|start| (start.path, start.position));
        Ok(starts)
    }

    /// What `node` chooses where codes do not tell its neighbors apart.
    #[cold]
    fn choose_by_rows(
        &self,
        view: &GraphView<'_>,
        (node, nodes): (u32, &[u32]),
        max: usize,
        (start, within): (&Start, &BatchLevels),
    ) -> Result<Choice> {
        let (view, mut row) = (view.by_rows(), Padded::default());
        let points = view.points();
        let target = points.row(node, &mut row);
        self.scratches.with(|scratch| {
            let near = within.levels.iter().take_while(|level| level[start.position].is_some()).map(|level| {
                let reaching = nodes.iter().zip(level).filter(|(_, near)| near.is_some()).map(|(&node, _)| node);
                nearest_to(&points, (node, target), &reaching.collect::<Vec<u32>>(), self.kept_within(), scratch)
            });
            let near: Vec<Near> = near.collect();
            let start = view.entry().map_or(start.key, |_| points.key(target, start.key.slot()));
            let within: Vec<&Near> = near.iter().collect();
            Ok(self.choose_for(&view, (node, target), max, start, &within, scratch)?.0)
        })
    }

    /// What `node` chooses, of what is near it `within` the batch, level by level, and what a search finds from `start`; and
    /// whether codes do not tell its neighbors apart.
    fn choose_for(
        &self,
        view: &GraphView<'_>,
        (node, target): (u32, Target<'_>),
        max: usize,
        start: Key,
        within: &[&Near],
        scratch: &mut Scratch,
    ) -> Result<(Choice, bool)> {
        let highest = view.level_of(node);
        let mut levels = vec![Vec::new(); highest + 1];
        let (mut anchor, mut is_blurred) = (None, false);
        let mut entries = match view.entry() {
            Some(entry) if highest > 0 => {
                vec![view.descend(target, entry, highest.min(entry.level), scratch)]
            }
            Some(_) => vec![start],
            None => Vec::new(),
        };
        for level in (0..=highest).rev() {
            let searched = view.entry().is_some_and(|Entry { level: top, .. }| level <= top);
            if searched {
                let mut top = std::mem::take(&mut scratch.top);
                top.reset(self.ef_construction);
                let beam = (self.ef_construction * BEAM).div_ceil(100);
                view.search_level(target, &entries, level, beam, scratch, |key| top.push(key))?;
                entries.clear();
                entries.extend_from_slice(top.sorted());
                scratch.top = top;
            }
            let near = within.get(level);
            let near_keys = near.map_or(&[][..], |near| &near.keys);
            let found = if searched { &entries[..] } else { &[] };
            let candidates = merge(found, near_keys, self.ef_construction);
            view.points().select(&candidates, max, &mut levels[level], &mut scratch.selector);
            if level == 0 {
                let earlier = near.and_then(|near| near.earlier);
                is_blurred = view.points().is_blurred_around(node, target, &candidates);
                anchor = found.first().copied().into_iter().chain(earlier).min();
            }
        }
        Ok((Choice { node, anchor, levels, parent: None }, is_blurred))
    }
}

impl BatchLevels {
    /// What the node at `position` has found, level by level.
    fn of(&self, position: usize) -> Vec<&Near> {
        self.levels.iter().map_while(|level| level[position].as_ref()).collect()
    }
}

impl Choice {
    /// Adds the links of `other`, chosen by another distance, that it has not, up to `max` in all.
    fn add(&mut self, other: &Self, max: usize) {
        for (links, more) in self.levels.iter_mut().zip(&other.levels) {
            let is_new = |key: &&Key| links.iter().all(|link| link.slot() != key.slot());
            let new: Vec<Key> = more.iter().filter(is_new).copied().take(max - links.len()).collect();
            links.extend(new);
        }
    }
}

/// The nearest `max` of two sorted lists that share no slot.
fn merge(a: &[Key], b: &[Key], max: usize) -> Vec<Key> {
    let mut merged = Vec::with_capacity((a.len() + b.len()).min(max));
    let (mut a, mut b) = (a.iter().copied().peekable(), b.iter().copied().peekable());
    while merged.len() < max {
        let next = match (a.peek(), b.peek()) {
            (Some(x), Some(y)) if x < y => a.next(),
            (_, Some(_)) => b.next(),
            (_, None) => a.next(),
        };
        let Some(key) = next else { break };
        merged.push(key);
    }
    merged
}
