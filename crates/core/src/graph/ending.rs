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

/// Of so many nearest the density is taken, and changes are counted, where fewer are wanted: one row that lies near by chance
/// says nothing of those around it.
const NEAREST: usize = 4;

/// Dimensions that rows are taken to have at least, where nobody has measured them. Too few make searches longer, too many
/// cost recall; rows that have fewer are found so easily that it does not matter.
const DIMENSIONS: usize = 12;

/// When the search of one query ends, as it goes on.
pub(super) struct Ending {
    /// Whose changes count: those that are wanted, or somewhat more.
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
        Self { k: k.max(NEAREST).min(ef), ef, dimensions, quiet: 0 }
    }

    /// The nodes that a beam is to hold.
    pub(super) fn capacity(&self) -> usize {
        self.ef.saturating_add(self.ef.saturating_sub(self.k) / SPARE)
    }

    /// A node was expanded; the first place in the beam that those which it brought have, `usize::MAX` if it brought none.
    #[inline]
    pub(super) fn expanded(&mut self, best: usize) {
        self.quiet = if best < self.k { 0 } else { self.quiet + 1 };
    }

    /// Whether there is no use in expanding `next`, which was just popped from `beam`.
    #[inline]
    pub(super) fn is_over(&self, next: Key, beam: &Beam) -> bool {
        let (nearer, quiet) = (beam.cursor().saturating_sub(1), self.quiet.saturating_sub(QUIET));
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A beam of so many nodes at distances 1, 2, …, of which the nearest `expanded` were expanded, and the next popped.
    fn beam(nodes: u32, expanded: usize) -> Beam {
        let mut beam = Beam::default();
        beam.reset(nodes as usize, nodes as usize).unwrap();
        (1..=nodes).for_each(|node| _ = beam.insert(Key::new(node as f32, node)));
        (0..=expanded).for_each(|_| _ = beam.pop());
        beam
    }

    /// Whether a search for the nearest 10, 40 wide, is over with the next node at `distance`, where `nearer` were expanded,
    /// the last `quiet` of which brought nothing.
    fn is_over(distance: f32, nearer: usize, quiet: usize) -> bool {
        let mut ending = Ending::new(10, 40, None);
        (0..quiet).for_each(|_| ending.expanded(usize::MAX));
        ending.is_over(Key::new(distance, 99), &beam(47, nearer))
    }

    #[test]
    fn a_search_is_over_when_it_is_far_out_and_nothing_has_changed_for_long() {
        assert_eq!(Ending::new(10, 40, None).capacity(), 47);
        // The tenth is at distance 10: at 20 there would be 640, of which twice as many as are nearer count.
        assert!(is_over(20.0, 20, 23) && !is_over(20.0, 20, 22), "20 nearer and 20 quiet ones make 40");
        assert!(is_over(20.0, 40, 3) && !is_over(20.0, 39, 3), "without quiet ones 40 nearer ones");
        // At 11 there would be 17.7.
        assert!(is_over(11.0, 40, 35) && !is_over(11.0, 40, 34), "17.7 and twice 32 make 80");
    }

    #[test]
    fn what_changed_begins_the_count_anew() {
        let (mut ending, beam) = (Ending::new(10, 40, None), beam(47, 20));
        (0..23).for_each(|_| ending.expanded(usize::MAX));
        assert!(ending.is_over(Key::new(20.0, 99), &beam));
        ending.expanded(10);
        assert!(ending.is_over(Key::new(20.0, 99), &beam), "the eleventh is not wanted");
        ending.expanded(9);
        assert!(!ending.is_over(Key::new(20.0, 99), &beam));
    }

    #[test]
    fn few_nodes_and_those_at_no_distance_end_nothing_early() {
        let quiet = |k, ef| {
            let mut ending = Ending::new(k, ef, Some(40));
            (0..1_000).for_each(|_| ending.expanded(usize::MAX));
            ending
        };
        assert!(!quiet(10, 48).is_over(Key::new(20.0, 99), &beam(47, 20)), "the beam does not hold ef");
        assert_eq!((quiet(1, 3).k, quiet(1, 40).k, quiet(9, 40).k), (3, 4, 9));
        assert!(!quiet(1, usize::MAX).is_over(Key::new(20.0, 99), &beam(47, 46)));
        assert_eq!([quiet(10, 10).capacity(), quiet(20, 10).capacity()], [10, 10]);
        let mut zeros = Beam::default();
        zeros.reset(47, 47).unwrap();
        (0..47).for_each(|node| _ = zeros.insert(Key::new(0.0, node)));
        (0..41).for_each(|_| _ = zeros.pop());
        let mut ending = Ending::new(10, 40, None);
        (0..30).for_each(|_| ending.expanded(usize::MAX));
        assert!(!ending.is_over(Key::new(0.0, 99), &zeros), "10 and twice 27 are not 80");
        assert!(!ending.is_over(Key::new(f32::INFINITY, 99), &zeros));
    }
}
