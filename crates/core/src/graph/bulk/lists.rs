//! From candidates to lists: each node selects its links, and then its list from these and those that lead to it.

use std::sync::atomic::{AtomicU32, Ordering};

use rayon::prelude::*;

use super::Bulk;
use super::candidates::Table;
use crate::error::{Error, Result};
use crate::graph::{GraphView, Scratch};
use crate::topk::Key;

/// Nodes a task and work unit.
const NODES_AT_ONCE: usize = 32;

/// Who leads to each member.
struct Incoming {
    /// Those of member `i` are `sources[ends[i - 1]..ends[i]]`.
    ends: Vec<AtomicU32>,
    sources: Vec<AtomicU32>,
}

impl Bulk<'_> {
    /// Replaces each member's candidates in the first of `tables` by what it selects of those in all, `max` at most. False
    /// if it was stopped.
    pub(super) fn choose(&self, views: &[GraphView<'_>], members: &[u32], tables: &[Table], max: usize) -> bool {
        let Some(table) = tables.first() else {
            return true;
        };
        let max = max.min(table.stride());
        self.each(members.len(), |member, scratch| {
            let mut found: Vec<u32> = tables.iter().flat_map(|table| table.row(member)).collect();
            found.sort_unstable();
            found.dedup();
            let links = self.select(views, members, (member, &found), max, scratch);
            table.set(member, links.iter().map(|key| key.slot()));
        })
    }

    /// Each member's list, of at most `capacity` links (positions of members) from its own and those that lead to it;
    /// `visit` is called with each, on many threads. False if it was stopped.
    pub(super) fn merge(
        &self,
        views: &[GraphView<'_>],
        members: &[u32],
        table: &Table,
        capacity: usize,
        visit: impl Fn(usize, &[Key]) + Sync,
    ) -> Result<bool> {
        let incoming = Incoming::of(table, members.len())?;
        Ok(self.each(members.len(), |member, scratch| {
            let mut found: Vec<u32> = table.row(member).chain(incoming.of_member(member)).collect();
            found.sort_unstable();
            found.dedup();
            let links = self.select(views, members, (member, &found), capacity, scratch);
            visit(member, &links);
        }))
    }

    /// At most `max` of `found`, all of it if that is no more, as keys of positions of members. Each distance selects its
    /// share, nearest first.
    fn select(
        &self,
        views: &[GraphView<'_>],
        members: &[u32],
        (member, found): (usize, &[u32]),
        max: usize,
        scratch: &mut Scratch,
    ) -> Vec<Key> {
        let nodes: Vec<u32> = found.iter().map(|&member| members[member as usize]).collect();
        let mut chosen: Vec<Key> = Vec::new();
        for (position, view) in views.iter().enumerate() {
            let share = if found.len() <= max { max } else { max * (position + 1) / views.len() };
            let candidates = view.keys_of(members[member], &nodes, scratch);
            select_more(view, &nodes, candidates, share, &mut chosen, scratch);
        }
        chosen.iter().map(|key| Key::new(key.distance(), found[key.slot() as usize])).collect()
    }

    /// Runs `work` for every one of `members` members on the build threads. False if it was stopped.
    fn each(&self, members: usize, work: impl Fn(usize, &mut Scratch) + Sync) -> bool {
        let blocks = (0..members).into_par_iter().step_by(NODES_AT_ONCE);
        blocks
            .map(|first| {
                if self.pause() {
                    return false;
                }
                let block = first..members.min(first + NODES_AT_ONCE);
                self.scratches.with(|scratch| block.for_each(|member| work(member, scratch)));
                true
            })
            .reduce(|| true, |a, b| a && b)
    }
}

/// Adds to `chosen`, up to `max`, what the heuristic selects of the other `candidates`: all if there are no more. Keys
/// are of positions of `nodes`.
fn select_more(
    view: &GraphView<'_>,
    nodes: &[u32],
    mut candidates: Vec<Key>,
    max: usize,
    chosen: &mut Vec<Key>,
    scratch: &mut Scratch,
) {
    candidates.retain(|key| chosen.iter().all(|other| other.slot() != key.slot()));
    candidates.sort_unstable();
    if chosen.len() + candidates.len() <= max {
        chosen.extend(candidates);
        return;
    }
    let Scratch { selection, others, neighbors: compared, .. } = scratch;
    selection.select(&candidates, max, chosen, |from, positions, distances| {
        compared.clear();
        compared.extend(positions.iter().map(|&position| nodes[position as usize]));
        let points = view.points();
        points.score(points.target(nodes[from as usize], others), compared, distances);
    });
}

impl GraphView<'_> {
    /// The distances of `nodes` from `node`, as keys of their positions.
    fn keys_of(&self, node: u32, nodes: &[u32], scratch: &mut Scratch) -> Vec<Key> {
        let Scratch { distances, weights, .. } = scratch;
        distances.resize(nodes.len(), 0.0);
        self.points.score(self.points.target(node, weights), nodes, distances);
        (0..).zip(distances.iter()).map(|(position, &distance)| Key::new(distance, position)).collect()
    }
}

impl Incoming {
    fn of(table: &Table, members: usize) -> Result<Self> {
        let counted = (0..members).into_par_iter();
        let ends = atomics(members)?;
        counted.clone().for_each(|member| {
            table.row(member).for_each(|target| {
                ends[target as usize].fetch_add(1, Ordering::Relaxed);
            });
        });
        let mut total = 0;
        for end in &ends {
            // Where each begins; filling it in moves this to its end.
            total += end.swap(total, Ordering::Relaxed);
        }
        let sources = atomics(total as usize)?;
        counted.for_each(|member| {
            table.row(member).for_each(|target| {
                let place = ends[target as usize].fetch_add(1, Ordering::Relaxed);
                sources[place as usize].store(member as u32, Ordering::Relaxed);
            });
        });
        Ok(Self { ends, sources })
    }

    fn of_member(&self, member: usize) -> impl Iterator<Item = u32> {
        let end = |member: usize| self.ends[member].load(Ordering::Relaxed) as usize;
        let start = if member == 0 { 0 } else { end(member - 1) };
        self.sources[start..end(member)].iter().map(|source| source.load(Ordering::Relaxed))
    }
}

fn atomics(count: usize) -> Result<Vec<AtomicU32>> {
    let mut atomics = Vec::new();
    let refused = |_| Error::OutOfMemory { what: "links", bytes: count * size_of::<AtomicU32>() };
    atomics.try_reserve_exact(count).map_err(refused)?;
    atomics.resize_with(count, || AtomicU32::new(0));
    Ok(atomics)
}
