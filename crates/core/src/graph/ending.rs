//! When a search ends: a query that has found what there is ends before it has expanded `ef` nodes, and one that still
//! finds goes on a little.
//!
//! Two signs tell them apart. Around a query in the midst of many rows, a ball that reaches to the next node would hold
//! many more rows than the `k` in the ball that reaches to the k-th: the density of the rows says how many. And where the
//! nearest `k` have not changed for long, they will hardly change any more. Neither alone is enough
//! (docs/performance.md, "Early termination").

use super::beam::Beam;
use crate::topk::Key;

/// A beam takes in so small a part more nodes than are asked for, of those beyond `k`.
const SPARE: usize = 4;

/// Expansions that brought nothing and say nothing: so many are made even around the best of queries.
const QUIET: usize = 3;

/// Dimensions that rows are taken to have at least, where nobody has measured them. Too few make searches longer, too many
/// cost recall; rows that have fewer are found so easily that it does not matter.
const DIMENSIONS: usize = 12;

/// When the search of one query ends, as it goes on.
pub(super) struct Ending {
    k: usize,
    ef: usize,
    /// Dimensions by which rows grow more when distances grow.
    dimensions: i32,
    /// Nodes expanded since the nearest `k` have changed.
    quiet: usize,
}

impl Ending {
    /// Of a search for the nearest `k`, `ef` wide, among rows of so many dimensions at least, if that is known.
    pub(super) fn new(k: usize, ef: usize, dimensions: Option<usize>) -> Self {
        let dimensions = dimensions.unwrap_or(0).max(DIMENSIONS) as i32;
        Self { k, ef, dimensions, quiet: 0 }
    }

    /// The nodes that a beam is to hold.
    pub(super) fn capacity(&self) -> usize {
        self.ef.saturating_add(self.ef.saturating_sub(self.k) / SPARE)
    }

    /// A node was expanded; whether the nearest `k` have changed.
    #[inline]
    pub(super) fn expanded(&mut self, has_changed: bool) {
        self.quiet = if has_changed { 0 } else { self.quiet + 1 };
    }

    /// Whether there is no use in expanding `next`.
    #[inline]
    pub(super) fn is_over(&self, next: Key, beam: &Beam) -> bool {
        let (nearer, quiet) = (beam.cursor(), self.quiet.saturating_sub(QUIET));
        // No more than twice as many as are nearer are ever expected, so it need not be asked before.
        if nearer + quiet < self.ef || beam.keys().len() < self.ef {
            return false;
        }
        let kth = beam.nth(self.k).map_or(0.0, Key::distance);
        let growth = if kth > 0.0 { (next.distance() / kth).powi(self.dimensions / 2) } else { 1.0 };
        let expected = (self.k as f32 * growth).min((2 * nearer) as f32);
        expected + (2 * quiet) as f32 >= (2 * self.ef) as f32
    }
}
