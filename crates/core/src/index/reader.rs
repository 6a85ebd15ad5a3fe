//! One search over one state of the index: the graph, what it does not serve yet, and what of both counts.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use super::scan;
use super::state::{Snapshot, State};
use crate::bits::BitsView;
use crate::error::{Error, Result};
use crate::flat;
use crate::graph::{Accept, Graph, GraphView, Scratch, Target, least_dimensionality, margin};
use crate::ids::SlotSet;
use crate::inverted::{InvertedFile, Wanted};
use crate::options::{Metric, Options};
use crate::topk::Key;
use crate::vectors::{Query, RowsView};

/// A search that must leave nodes out is given up once it has scored as many as this part of those that it may return,
/// and half as many again as was expected: to scan is not much slower then.
const BUDGET: usize = 4;

/// Up to one place in this many of a beam may be taken by removed rows before the search is made anew without them.
const TOLERATED: usize = 8;

/// The nearest `2 · k`, and at least `k` and this many, of what the graph finds by codes are compared by their rows; all,
/// where it finds less than it was to.
const RERANKED: usize = 16;

/// Lists are looked through from this many times `ef` rows that are allowed on; fewer are scanned.
const LISTED_FROM: usize = 64;

/// A search by lists ends when `ef` times half the root of their number, up to this many times `ef`, of rows in a row
/// brought nothing: so it finds what a graph of as many rows would (docs/performance.md).
const PATIENCE: usize = 200;

/// What a search is asked for, checked and with its defaults filled in.
#[derive(Clone, Copy)]
pub(crate) struct Request<'a> {
    pub(crate) k: usize,
    pub(crate) ef: usize,
    pub(crate) exact: bool,
    /// +Infinity if none was given.
    pub(crate) max_distance: f32,
    /// Only these slots.
    pub(crate) filter: Option<&'a SlotSet>,
    /// Not this one.
    pub(crate) excluded: Option<u32>,
    /// Set when nobody wants the answer any more.
    pub(crate) cancelled: Option<&'a AtomicBool>,
}

/// How a search goes that must leave nodes out.
///
/// It walks through all nodes and keeps those that it may return. With a share p of them allowed, a beam of `ef` would
/// lead it through ef / p nodes, many more than without a filter, and would find more than is asked for. With
/// √p · `ef` of them its recall is that of an unfiltered search with `ef`, or above it, if only it walks as far as that
/// one (docs/performance.md). About M nodes are scored for each that it walks through.
#[derive(Clone, Copy)]
struct Walk {
    /// Allowed nodes that are enough.
    enough: usize,
    /// Nodes scored after which it is given up: what is allowed lies far from the query, or is cut off from it.
    budget: usize,
}

/// What a search of the graph came to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Found {
    Enough,
    TooFew,
    /// Codes do not tell apart what is near the query.
    Blurred,
}

pub(crate) struct Reader<'a> {
    request: Request<'a>,
    state: &'a State,
    rows: RowsView<'a>,
    removed: BitsView<'a>,
    /// Leaders of equal rows, if there are any such rows.
    leading: Option<BitsView<'a>>,
    graph: Option<GraphView<'a>>,
    /// Slots below it are served by the graph, those from it on by lists or by the scan.
    migrated: usize,
    /// What of these is listed.
    inverted: Option<&'a InvertedFile>,
    /// Whether some slot is removed.
    has_removed: bool,
    /// What a survey has found the rows to have at least.
    dimensions: Option<usize>,
}

impl<'a> Reader<'a> {
    /// `options` are those of the index.
    pub(crate) fn new(state: &'a State, snapshot: &'a Snapshot, request: Request<'a>, options: &Options) -> Self {
        let live = state.live();
        let threshold = options.threshold.unwrap_or(usize::MAX);
        let graph = snapshot.graph.as_deref();
        // The graph's end first: all that it serves is published in the view that is taken after it.
        let migrated = graph.map_or(0, Graph::migrated);
        let rows = snapshot.rows.view();
        let is_approximate = !request.exact && live >= threshold;
        let graph = graph.filter(|graph| is_approximate && request.ef.saturating_mul(2 * graph.m()) < live);
        let graph = graph.map(Graph::view);
        let dimensions = graph.filter(|_| options.m.is_none()).map(|graph| least_dimensionality(graph.m()));
        let inverted = snapshot.inverted.as_deref().filter(|_| is_approximate);
        let migrated = if graph.is_some() { migrated } else { 0 };
        let removed = state.removed.view();
        let has_removed = live < rows.len();
        let leading = state.equals.has_groups().then(|| state.equals.leading());
        Self { request, state, rows, removed, leading, graph, migrated, inverted, has_removed, dimensions }
    }

    /// The nearest `k`, in `scratch.top`.
    pub(crate) fn nearest(&self, query: Query<'_>, scratch: &mut Scratch) -> Result<()> {
        scratch.top.reset(self.request.k.min(self.rows.len()));
        scratch.top.reserve()?;
        if self.migrated > 0 {
            self.search_graph(query, scratch)?;
        }
        let listed = self.listed();
        self.search_lists(query, listed.clone(), scratch)?;
        scan::one(self, query, self.migrated..listed.start, &mut scratch.top)?;
        scan::one(self, query, listed.end..self.rows.len(), &mut scratch.top)
    }

    /// Whether only the scan is used.
    pub(crate) fn is_flat(&self) -> bool {
        self.migrated == 0 && self.inverted.is_none()
    }

    pub(crate) fn request(&self) -> Request<'a> {
        self.request
    }

    pub(crate) fn rows(&self) -> RowsView<'a> {
        self.rows
    }

    /// `Err(Cancelled)` once nobody wants the answer any more.
    pub(crate) fn check(&self) -> Result<()> {
        let is_cancelled = self.request.cancelled.is_some_and(|flag| flag.load(Ordering::Relaxed));
        if is_cancelled { Err(Error::Cancelled) } else { Ok(()) }
    }

    /// The slots in `slots` that count, in order.
    pub(crate) fn admitted(&self, slots: Range<usize>) -> impl Iterator<Item = u32> + '_ {
        let (start, end) = (slots.start as u32, slots.end as u32);
        let filtered = self.request.filter.map(|filter| filter.range(start..end));
        let all = if filtered.is_some() { end..end } else { start..end };
        let excluded = self.request.excluded;
        let candidates = all.chain(filtered.into_iter().flatten());
        candidates.filter(move |&slot| !self.removed.get(slot) && Some(slot) != excluded)
    }

    #[inline]
    fn admits(&self, slot: u32) -> bool {
        self.request.filter.is_none_or(|filter| filter.contains(slot))
            && !self.removed.get(slot)
            && Some(slot) != self.request.excluded
    }

    #[inline]
    fn leads(&self, slot: u32) -> bool {
        self.leading.is_some_and(|leading| leading.get(slot))
    }

    /// The slots that are searched by lists: none if these are few.
    fn listed(&self) -> Range<usize> {
        let (start, end) = (self.migrated, self.rows.len());
        let slots = self.inverted.map_or(start..start, InvertedFile::slots);
        let slots = slots.start.clamp(start, end)..slots.end.clamp(start, end);
        let filtered = |filter: &SlotSet| filter.count(slots.start as u32..slots.end as u32);
        let allowed = self.request.filter.map_or(slots.len(), filtered);
        if allowed < LISTED_FROM * self.request.ef { start..start } else { slots }
    }

    fn search_lists(&self, query: Query<'_>, listed: Range<usize>, scratch: &mut Scratch) -> Result<()> {
        let Some(inverted) = self.inverted.filter(|_| !listed.is_empty()) else {
            return Ok(());
        };
        let Request { k, ef, max_distance, .. } = self.request;
        let wanted = Wanted {
            query,
            k,
            limit: scratch.top.sorted().get(k - 1).map_or(max_distance, |key| key.distance()),
            kept: k.saturating_add(k.max(RERANKED)),
            patience: ef.saturating_mul((listed.len().isqrt() / 2).min(PATIENCE)),
        };
        let accepts = |slot: u32| listed.contains(&(slot as usize)) && self.admits(slot);
        inverted.search(self.rows, &wanted, scratch, accepts, || self.check())?;
        let Scratch { beam, top, .. } = scratch;
        flat::scan(self.rows, query, beam.keys().iter().map(|key| key.slot()), |key| {
            if key.distance() <= max_distance {
                top.push(key);
            }
        });
        Ok(())
    }

    fn search_graph(&self, query: Query<'_>, scratch: &mut Scratch) -> Result<()> {
        let Request { k, .. } = self.request;
        scratch.reserve(k.min(self.rows.len()).saturating_add(k.max(RERANKED)).min(self.migrated))?;
        let live = self.state.live().min(self.migrated);
        let allowed = self.request.filter.map_or(live, |filter| filter.count(0..self.migrated as u32));
        let walk = self.walk(allowed);
        let mut buffer = std::mem::take(&mut scratch.weights);
        let is_found = match self.graph {
            Some(graph) if walk.is_some() || self.request.filter.is_none() => {
                let target = graph.points().foreign(query, &mut buffer);
                let found = match self.find(&graph, (query, target), walk, scratch)? {
                    Found::Blurred => self.find(&graph.by_rows(), (query, Target::Row(query)), walk, scratch)?,
                    found => found,
                };
                found == Found::Enough
            }
            _ => false,
        };
        scratch.weights = buffer;
        if !is_found {
            scratch.top.reset(self.request.k.min(self.rows.len()));
            scan::one(self, query, 0..self.migrated, &mut scratch.top)?;
        }
        Ok(())
    }

    /// How to look for nearest nodes among about `allowed` that may be returned; `None` if it is faster to scan them.
    fn walk(&self, allowed: usize) -> Option<Walk> {
        let Request { k, ef, .. } = self.request;
        let share = allowed as f64 / self.migrated.max(1) as f64;
        let enough = ((ef as f64 * share.sqrt()).ceil() as usize).max(k);
        let scored = (self.graph?.m() * enough) as f64 / share;
        let budget = ((1.5 * scored) as usize).max(allowed / BUDGET);
        (scored < allowed as f64).then_some(Walk { enough, budget })
    }

    /// Searches `graph` for as many as are wanted.
    fn find(
        &self,
        graph: &GraphView<'_>,
        (query, target): (Query<'_>, Target<'_>),
        walk: Option<Walk>,
        scratch: &mut Scratch,
    ) -> Result<Found> {
        let Request { k, ef, filter, .. } = self.request;
        let Some(entry) = graph.entry() else {
            return Ok(Found::TooFew);
        };
        let start = graph.descend(target, entry, 0, scratch);
        if filter.is_none() {
            self.search_unfiltered(graph, target, start, scratch)?;
            let is_clear = !self.has_removed || self.accepted(scratch) >= ef - ef / TOLERATED;
            let found = if is_clear { self.collect(graph, (query, target), scratch) } else { Found::TooFew };
            if found != Found::TooFew {
                return Ok(found);
            }
            scratch.top.reset(k.min(self.rows.len()));
        }
        let Some(Walk { enough, budget }) = walk else {
            return Ok(Found::TooFew);
        };
        let has_ended = graph.search_accepted(target, start, (ef, enough, budget), self, scratch)?;
        Ok(if has_ended { self.collect(graph, (query, target), scratch) } else { Found::TooFew })
    }

    /// The nearest `ef` nodes, whether they may be returned or not.
    fn search_unfiltered(
        &self,
        graph: &GraphView<'_>,
        target: Target<'_>,
        start: Key,
        scratch: &mut Scratch,
    ) -> Result<()> {
        let Request { k, ef, excluded, .. } = self.request;
        // Inner products do not say how many rows there are within one.
        if self.rows.space().metric() == Metric::InnerProduct {
            return graph.search_level(target, &[start], 0, ef, scratch, |_| ());
        }
        // Of those that are nearest, some may be removed.
        let removed = if self.has_removed { k / TOLERATED + 1 } else { 0 };
        let k = k.saturating_add(removed + usize::from(excluded.is_some())).min(ef);
        graph.search_nearest(target, start, (k, ef, self.dimensions), scratch)
    }

    /// How many nodes of the beam may be returned.
    fn accepted(&self, scratch: &Scratch) -> usize {
        scratch.beam.keys().iter().filter(|key| self.accepts(key.slot())).count()
    }

    /// Pushes what the beam holds, and the rows that equal it, to the top, by the distances of the rows, unless codes do
    /// not tell it from what is behind; whether enough counted. The slots that the graph does not serve yet count too: the
    /// scan finds them.
    fn collect(&self, graph: &GraphView<'_>, (query, target): (Query<'_>, Target<'_>), scratch: &mut Scratch) -> Found {
        let Scratch { beam, top, neighbors: slots, keys, distances, .. } = scratch;
        let Request { k, max_distance, .. } = self.request;
        let wanted = if beam.is_full() { k.saturating_add(k.max(RERANKED)) } else { usize::MAX };
        let mut found = 0;
        slots.clear();
        keys.clear();
        for &key in beam.keys() {
            let slot = graph.points().slot(key.slot());
            if slot as usize >= self.migrated {
                found += usize::from(self.admits(slot));
            } else if self.accepts_slot(slot) {
                slots.push(slot);
                keys.push(key);
            }
            if slots.len() == wanted {
                break;
            }
        }
        if beam.is_full() && graph.points().is_blurred(target, query, margin(keys, k, wanted)) {
            return Found::Blurred;
        }
        distances.resize(slots.len(), 0.0);
        self.rows.score(query, slots, distances);
        for (&leader, &distance) in slots.iter().zip(distances.iter()) {
            let mut push = |slot: u32| {
                let counts = (slot as usize) < self.migrated && self.admits(slot);
                if counts && distance <= max_distance {
                    top.push(Key::new(distance, slot));
                }
                usize::from(counts)
            };
            found += push(leader);
            if self.leads(leader) {
                // A group is in insertion order: when so many of it counted, the others would not be returned.
                let enough = found + k;
                self.state.equals.visit_group(leader, |slot| {
                    found += push(slot);
                    found < enough
                });
            }
        }
        if found >= k { Found::Enough } else { Found::TooFew }
    }
}

impl Accept for Reader<'_> {
    fn accepts(&self, node: u32) -> bool {
        self.graph.is_some_and(|graph| self.accepts_slot(graph.points().slot(node)))
    }
}

impl Reader<'_> {
    /// Whether `slot`, or one that equals it, may be returned.
    fn accepts_slot(&self, slot: u32) -> bool {
        self.admits(slot) || (self.leads(slot) && self.accepts_group(slot))
    }

    #[cold]
    fn accepts_group(&self, leader: u32) -> bool {
        let mut accepted = false;
        self.state.equals.visit_group(leader, |slot| {
            accepted = (slot as usize) < self.migrated && self.admits(slot);
            !accepted
        });
        accepted
    }
}
