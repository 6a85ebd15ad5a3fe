//! What is to be done next, and whether it may be done.

use std::collections::VecDeque;
use std::sync::Arc;

use super::{Control, WORTHWHILE};
use crate::compaction::Compaction;
use crate::error::{Error, Result};

/// When at least one row in so many came after the graph was built, it is built anew rather than that these are inserted:
/// a row costs about as much less in a bulk build than by insertion (docs/performance.md).
const REBUILD_FROM: usize = 16;

/// An index is compacted by itself when at least one row in so many is removed (docs/performance.md).
const COMPACT_FROM: usize = 8;

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// Insert rows of the region that ends here.
    Insert(usize),
    /// Build the graph anew, of all rows below.
    Rebuild(usize),
}

impl Control {
    pub(super) fn cut(&mut self, len: usize, live: usize) {
        self.is_due = live >= self.threshold;
        if self.is_gathering {
            self.cuts.pop_back();
        }
        if self.cuts.back().is_none_or(|&last| last < len) {
            self.cuts.push_back(len);
            self.is_gathering = !self.is_due || !self.auto;
            if !self.is_gathering && self.is_rebuild_due(self.rebuilt, len) {
                self.rebuilt = len;
            }
        }
    }

    /// What to do next if `migrated` rows are in the graph.
    pub(crate) fn next(&mut self, migrated: usize) -> Option<Next> {
        let region = self.next_region(migrated);
        // A region that grows is decided on when its turn comes.
        if let Some(region) = region.filter(|&region| self.is_gathering && self.is_rebuild_due(migrated, region)) {
            self.rebuilt = region;
        }
        let rebuild = self.is_rebuilt_later().then_some(Next::Rebuild(self.rebuilt));
        rebuild.or(region.map(Next::Insert))
    }

    /// The rows below `end` are in a graph that was built anew, or that steps by hand made.
    pub(crate) fn has_built(&mut self, end: usize) {
        self.built = self.built.max(end);
    }

    /// Whether something is left to do if `migrated` rows are in the graph.
    pub(crate) fn waits(&self, migrated: usize) -> bool {
        migrated < self.end() || self.is_rebuilt_later()
    }

    pub(super) fn is_rebuilt_later(&self) -> bool {
        self.rebuilt > self.built
    }

    /// Whether the graph should be built anew of the rows below `len`, of which it has those below `built`. Depends on
    /// counts alone, so that the same calls give the same graph; what is overtaken by the next decision is never built.
    pub(super) fn is_rebuild_due(&self, built: usize, len: usize) -> bool {
        let (rows, built) = (self.rows_below(len), self.rows_below(built));
        rows.saturating_sub(built) * REBUILD_FROM >= rows
    }

    /// Rows that the index has below a position when the compaction that was decided on is done.
    pub(super) fn rows_below(&self, position: usize) -> usize {
        position.saturating_sub(self.dropped)
    }

    /// Rows below it may be inserted.
    pub(crate) fn end(&self) -> usize {
        self.cuts.back().copied().unwrap_or(0)
    }

    /// The end of the region that the next batch belongs to, if `migrated` rows are in the graph.
    pub(crate) fn next_region(&mut self, migrated: usize) -> Option<usize> {
        while self.cuts.len() > 1 && self.cuts[0] <= migrated {
            self.cuts.pop_front();
        }
        self.cuts.front().copied().filter(|&region| region > migrated)
    }

    /// Whether there are enough live rows for a graph.
    pub(crate) fn is_due(&self) -> bool {
        self.is_due
    }

    /// Whether a run has something to do, for somebody who wants it.
    pub(crate) fn wants_run(&self, migrated: usize) -> bool {
        let is_wanted = self.auto || !self.waiters.is_empty();
        let may_run = !self.closed && !self.is_held();
        may_run && (self.wants_compaction() || self.is_due && is_wanted && self.waits(migrated))
    }

    /// Whether a compaction was decided on that runs by itself, and may go on.
    pub(crate) fn wants_compaction(&self) -> bool {
        self.auto && self.compaction.is_some() && !self.closed && !self.is_held()
    }

    /// The compaction that was decided on last, if it is not done.
    pub(crate) fn compaction(&self) -> Option<Arc<Compaction>> {
        self.compaction.clone()
    }

    /// Whether so many rows are removed of those below `len`, of which `live` are live, that they should go.
    pub(crate) fn is_compaction_due(&self, len: usize, live: usize) -> bool {
        let rows = self.rows_below(len);
        let removed = rows.saturating_sub(live);
        self.auto && removed >= self.worthwhile && removed * COMPACT_FROM >= rows
    }

    /// How much of the rows below `len` a graph is to serve after a compaction, if one serves those below `migrated` now:
    /// what was moved by hand, or else all, if a graph was ever wanted.
    pub(crate) fn wanted(&self, len: usize, migrated: usize) -> usize {
        match self.auto {
            false => migrated,
            true if self.is_due || self.rebuilt > self.dropped => len,
            true => 0,
        }
    }

    /// Decides on a compaction of the rows below `len`. From here on all is counted as if it were done.
    pub(crate) fn compact(&mut self, compaction: Arc<Compaction>, len: usize) {
        self.dropped = len - compaction.stays();
        self.rebuilt = if compaction.graph() > 0 { self.dropped + compaction.graph() } else { 0 };
        self.asked = self.rebuilt;
        self.cuts = VecDeque::from([len]);
        self.is_gathering = compaction.graph() < compaction.stays();
        self.worthwhile = WORTHWHILE;
        self.compaction = Some(compaction);
    }

    /// `done` was done. What was decided on meanwhile speaks of the slots before.
    pub(crate) fn compacted(&mut self, done: &Arc<Compaction>, origin: usize) {
        if done.graph() > 0 {
            self.has_built(origin + done.graph());
        }
        let later = self.compaction.take().filter(|later| !Arc::ptr_eq(later, done));
        let Some(later) = later else { return };
        match later.after(done) {
            Ok(later) => self.compaction = Some(Arc::new(later)),
            // Without memory for it, it is decided on again later.
            Err(_) => self.dropped = origin,
        }
    }

    /// The compaction was given up: all is counted as it is, from `origin` on.
    pub(crate) fn withdraw(&mut self, compaction: &Arc<Compaction>, origin: usize) {
        if self.compaction.take_if(|last| Arc::ptr_eq(last, compaction)).is_some() {
            self.dropped = origin;
            let end = self.end();
            self.rebuilt = if self.auto && self.is_rebuild_due(self.built, end) { end } else { self.built };
            self.asked = self.rebuilt;
        }
    }

    /// A compaction has failed that nobody asked for: the next is tried when twice as many rows are removed.
    pub(crate) fn put_off(&mut self, removed: usize) {
        self.worthwhile = WORTHWHILE.max(2 * removed);
    }

    /// Whether nothing runs although somebody may want it.
    pub(crate) fn is_held(&self) -> bool {
        self.paused || self.broken.is_some()
    }

    /// The run stops with `error`.
    pub(crate) fn fail(&mut self, error: Error) {
        self.paused = true;
        self.error = Some(error);
    }

    /// Why the migration stands still, if that is not somebody's wish.
    pub(crate) fn failure(&self) -> Option<&Error> {
        self.error.as_ref().or(self.broken.as_ref())
    }

    /// What a new caller is told at once: that of the last run's failure only the first.
    pub(crate) fn refusal(&mut self) -> Option<Error> {
        if self.closed { Some(Error::Closed) } else { self.error.take().or_else(|| self.broken.clone()) }
    }

    /// Refuses to change an index that a panic broke.
    pub(crate) fn check_sound(&self) -> Result<()> {
        self.broken.clone().map_or(Ok(()), Err)
    }
}
