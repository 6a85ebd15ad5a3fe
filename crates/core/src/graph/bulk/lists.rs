//! From candidates to lists: each node selects its links, and then its list from these and those that lead to it.

use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};

use rayon::prelude::*;

use super::again::Unsure;
use super::candidates::{Table, TableView};
use super::meter::{self, Meter};
use super::{Bulk, atomics};
use crate::error::Result;
use crate::graph::{PointsView, Scratch};
use crate::pools::{give_way, giving_way};
use crate::topk::Key;
use crate::work::Phase;

/// Nodes a task and work unit.
const NODES_AT_ONCE: usize = 32;

/// Nodes of a work unit after which it gives way to queries.
const GIVING_WAY_AFTER: usize = 4;

/// Nodes whose links are counted, or turned round, before it gives way.
const TURNED_AT_ONCE: usize = 16;

/// Counts that are summed before it does.
const SUMMED_AT_ONCE: usize = 1 << 15;

/// Nodes between two reports.
const NODES_A_REPORT: usize = 128 * NODES_AT_ONCE;

/// Who leads to each node.
pub(super) struct Incoming {
    /// Those of node `i` are `sources[ends[i - 1]..ends[i]]`.
    ends: Vec<AtomicU32>,
    sources: Vec<AtomicU32>,
}

impl Bulk<'_> {
    /// Replaces the candidates of each node that is `chosen` in the first of `tables` by what it selects of those in all,
    /// `max` at most. The nodes that should look for other candidates are added to `unsure`. False if it was stopped.
    pub(super) fn choose(
        &self,
        views: &[PointsView<'_>],
        tables: &[Table],
        max: usize,
        chosen: impl Fn(u32) -> bool + Copy + Sync,
        unsure: &Unsure,
    ) -> bool {
        let tables: Vec<TableView<'_>> = tables.iter().map(Table::view).collect();
        let max = max.min(tables[0].stride());
        let found = |node| tables.iter().filter(move |_| chosen(node)).flat_map(move |table| table.row(node));
        self.each(views, meter::CHOICE, found, |node, scratch| {
            if chosen(node) {
                let Selected { links, found, is_blurred } = select(views, node, found(node), max, scratch);
                tables[0].set(node, links.iter().map(|key| key.slot()));
                if is_blurred {
                    unsure.blurred.set(node);
                } else if found < max / 2 {
                    unsure.lonely.set(node);
                }
            }
        })
    }

    /// Each node's list, of at most `capacity` links from its own in `table` and those that lead to it, nearest first;
    /// `visit` is called with each, on many threads. False if it was stopped.
    pub(super) fn merge(
        &self,
        views: &[PointsView<'_>],
        table: &Table,
        capacity: usize,
        visit: impl Fn(u32, &[Key]) + Sync,
    ) -> Result<bool> {
        let table = table.view();
        let incoming = Incoming::of(table)?;
        let found = |node| table.row(node).chain(incoming.of_node(node));
        Ok(self.each(views, meter::MERGE, found, |node, scratch| {
            visit(node, select(views, node, found(node), capacity, scratch).links);
        }))
    }

    /// Runs `work` for every node on the build threads. False if it was stopped.
    fn each<I: Iterator<Item = u32>>(
        &self,
        views: &[PointsView<'_>],
        share: Range<f64>,
        found: impl Fn(u32) -> I + Sync,
        work: impl Fn(u32, &mut Scratch) + Sync,
    ) -> bool {
        let nodes = views[0].len();
        let meter = Meter::new(self, Phase::Merge, share, nodes);
        let blocks = (0..nodes).into_par_iter().step_by(NODES_AT_ONCE);
        let is_done = blocks.map(|first| {
            if first % NODES_A_REPORT == 0 {
                meter.add(NODES_A_REPORT.min(nodes - first));
            }
            let Some(_turn) = self.turns.next() else {
                return false;
            };
            let block = first as u32..nodes.min(first + NODES_AT_ONCE) as u32;
            self.scratches.with(|scratch| {
                for node in giving_way(block, GIVING_WAY_AFTER) {
                    // What comes next is asked for now: there is more of it than the CPU looks ahead.
                    found((node + 1) % nodes as u32).for_each(|coming| views[0].prefetch(coming));
                    work(node, scratch);
                }
            });
            true
        });
        is_done.reduce(|| true, |a, b| a && b)
    }
}

/// What a node selects.
struct Selected<'s> {
    links: &'s [Key],
    /// Of how many nodes.
    found: usize,
    /// Whether codes did not tell these apart.
    is_blurred: bool,
}

/// At most `max` of what was `found` for `node`, all of it if that is no more. Each distance selects its share.
fn select<'s>(
    views: &[PointsView<'_>],
    node: u32,
    found: impl Iterator<Item = u32>,
    max: usize,
    scratch: &'s mut Scratch,
) -> Selected<'s> {
    let Scratch { neighbors: nodes, second, distances, weights, keys: candidates, chosen, selector, .. } = scratch;
    nodes.clear();
    nodes.extend(found);
    keep_distinct(nodes, second);
    chosen.clear();
    let mut is_blurred = false;
    for (position, points) in views.iter().enumerate() {
        let (points, is_by_rows) = points.sorted_around(node, nodes, (weights, distances), candidates);
        is_blurred |= is_by_rows;
        candidates.retain(|key| position == 0 || chosen.iter().all(|other| other.slot() != key.slot()));
        if nodes.len() <= max {
            chosen.extend_from_slice(candidates);
        } else {
            points.select(candidates, max * (position + 1) / views.len(), chosen, selector);
        }
    }
    Selected { links: chosen, found: nodes.len(), is_blurred }
}

/// Leaves the first of equal nodes. `table` is a hash table of nodes, each plus 1.
fn keep_distinct(nodes: &mut Vec<u32>, table: &mut Vec<u32>) {
    let size = (2 * nodes.len()).next_power_of_two().max(2);
    table.clear();
    table.resize(size, 0);
    let shift = u32::BITS - size.ilog2();
    nodes.retain(|&node| {
        let mut place = (node.wrapping_mul(0x9E37_79B1) >> shift) as usize;
        while table[place] != 0 && table[place] != node + 1 {
            place = (place + 1) % size;
        }
        std::mem::replace(&mut table[place], node + 1) == 0
    });
}

impl Incoming {
    pub(super) fn of(table: TableView<'_>) -> Result<Self> {
        let nodes = table.nodes();
        let ends = atomics(nodes)?;
        let each = |work: &(dyn Fn(u32) + Sync)| {
            (0..nodes).into_par_iter().step_by(TURNED_AT_ONCE).for_each(|first| {
                give_way();
                (first as u32..nodes.min(first + TURNED_AT_ONCE) as u32).for_each(work);
            });
        };
        each(&|node| {
            table.row(node).for_each(|target| {
                ends[target as usize].fetch_add(1, Ordering::Relaxed);
            });
        });
        let mut total = 0;
        for end in giving_way(ends.iter(), SUMMED_AT_ONCE) {
            // Where each begins; filling it in moves this to its end.
            total += end.swap(total, Ordering::Relaxed);
        }
        let sources = atomics(total as usize)?;
        // In any order: whoever reads them sorts them.
        each(&|node| {
            table.row(node).for_each(|target| {
                let place = ends[target as usize].fetch_add(1, Ordering::Relaxed);
                sources[place as usize].store(node, Ordering::Relaxed);
            });
        });
        Ok(Self { ends, sources })
    }

    fn of_node(&self, node: u32) -> impl Iterator<Item = u32> {
        let end = |node: u32| self.ends[node as usize].load(Ordering::Relaxed) as usize;
        let start = node.checked_sub(1).map_or(0, end);
        self.sources[start..end(node)].iter().map(|source| source.load(Ordering::Relaxed))
    }
}
