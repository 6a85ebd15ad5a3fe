//! How far a phase of a bulk build is.

use std::ops::Range;

use parking_lot::Mutex;

use super::Bulk;
use crate::work::Phase;

/// The shares of the whole work that the phases take, one after the other: measured on a million rows of 128 values.
pub(super) const PARTITION: Range<f64> = 0.0..0.1;
pub(super) const LEAVES: Range<f64> = 0.1..0.55;
pub(super) const CHOICE: Range<f64> = 0.55..0.75;
pub(super) const MERGE: Range<f64> = 0.75..1.0;

/// Counts what is done of a phase on level 0, and tells.
pub(super) struct Meter<'a> {
    report: &'a (dyn Fn(Phase, f64) + Sync),
    phase: Phase,
    share: Range<f64>,
    total: usize,
    done: Mutex<usize>,
}

impl<'a> Meter<'a> {
    /// For a phase that handles `total` nodes.
    pub(super) fn new(bulk: &Bulk<'a>, phase: Phase, share: Range<f64>, total: usize) -> Self {
        Self { report: bulk.report, phase, share, total, done: Mutex::new(0) }
    }

    /// So many nodes more are done.
    pub(super) fn add(&self, nodes: usize) {
        // Told with the lock held, so that it never goes back.
        let mut done = self.done.lock();
        *done += nodes;
        let part = *done as f64 / self.total.max(1) as f64;
        (self.report)(self.phase, self.share.start + (self.share.end - self.share.start) * part);
    }
}
