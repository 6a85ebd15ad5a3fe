//! Neighbor selection: few links that lead into all directions, rather than the nearest few.

use super::{PointPanels, PointsView};
use crate::topk::Key;

/// By how much nearer to a chosen neighbor than to the node a candidate must be to be refused even for a place that
/// the strict rule left free.
const ALPHA: f32 = 1.2;

/// What selections use, reused from one to the next.
#[derive(Default)]
pub(crate) struct Selector {
    selection: Selection,
    nodes: Vec<u32>,
    panels: PointPanels,
    /// The distances of all candidates from each other, or from one.
    distances: Vec<f32>,
}

/// Takes the distances of all candidates from one.
type Note<'a> = &'a mut dyn FnMut(&[f32]);

#[derive(Default)]
struct Selection {
    /// Of each candidate, the distance to the nearest that was chosen; −∞ for the chosen.
    nearest: Vec<f32>,
}

impl PointsView<'_> {
    /// Adds to `chosen` what [`Selection::select`] selects of `candidates` (keys of nodes), up to `max` in all.
    pub(super) fn select(&self, candidates: &[Key], max: usize, chosen: &mut Vec<Key>, selector: &mut Selector) {
        let Selector { selection, nodes, panels, distances } = selector;
        nodes.clear();
        nodes.extend(candidates.iter().map(|key| key.slot()));
        // Where the system refuses the little memory for this, the nearest must do.
        if self.pack(nodes, panels).is_err() {
            chosen.extend(candidates.iter().take(max.saturating_sub(chosen.len())));
            return;
        }
        let width = self.width(panels);
        let is_square = self.square(nodes, panels, distances);
        // Behind those, the distances from one that is not among the candidates.
        let end = if is_square { nodes.len() * width } else { 0 };
        distances.resize(end + width, 0.0);
        selection.select(candidates, max, chosen, |node, index, note| match index {
            Some(index) if is_square => note(&distances[index * width..][..width]),
            _ => {
                self.tile(&[node], panels, &mut distances[end..]);
                note(&distances[end..]);
            }
        });
    }
}

impl Selection {
    /// Chooses at most `max` of `candidates` (sorted, nearest first, without duplicates), beginning with what `chosen`
    /// holds already; what is added is sorted.
    ///
    /// First strictly (Algorithm 4 of arXiv 1603.09320): a candidate c of the node p is dropped when a chosen s
    /// occludes it, d(s, c) < d(p, c). Then, where places are left, leniently (RobustPrune of
    /// DiskANN, on squared distances for L2): it is dropped when alpha · d(s, c) < d(p, c). Strictly first, since a
    /// lenient rule alone fills the list with the nearest before any long link gets a place.
    ///
    /// `row(s, index, note)` hands the distances of all candidates from `s`, in their order, to `note`; `index` is where
    /// `s` stands among them, if it does.
    fn select(
        &mut self,
        candidates: &[Key],
        max: usize,
        chosen: &mut Vec<Key>,
        mut row: impl FnMut(u32, Option<usize>, Note<'_>),
    ) {
        self.nearest.clear();
        self.nearest.resize(candidates.len(), f32::INFINITY);
        chosen.iter().for_each(|key| self.note(key.slot(), None, &mut row));
        let before = chosen.len();
        self.choose(candidates, max, 1.0, chosen, &mut row);
        if chosen.len() < max {
            self.choose(candidates, max, ALPHA, chosen, &mut row);
            chosen[before..].sort_unstable();
        }
    }

    fn choose(
        &mut self,
        candidates: &[Key],
        max: usize,
        alpha: f32,
        chosen: &mut Vec<Key>,
        row: &mut impl FnMut(u32, Option<usize>, Note<'_>),
    ) {
        for (index, &candidate) in candidates.iter().enumerate() {
            if chosen.len() >= max {
                return;
            }
            if self.nearest[index] >= bound(candidate, alpha) {
                chosen.push(candidate);
                self.note(candidate.slot(), Some(index), row);
                self.nearest[index] = f32::NEG_INFINITY;
            }
        }
    }

    /// Takes note of how near the candidates are to `node`, which was chosen.
    fn note(&mut self, node: u32, index: Option<usize>, row: &mut impl FnMut(u32, Option<usize>, Note<'_>)) {
        row(node, index, &mut |distances| {
            for (nearest, &distance) in self.nearest.iter_mut().zip(distances) {
                *nearest = if distance < *nearest { distance } else { *nearest };
            }
        });
    }
}

/// How near to a chosen neighbor a candidate may not be.
fn bound(candidate: Key, alpha: f32) -> f32 {
    // Distances of inner product may be negative: a factor would turn the rule round.
    if candidate.distance() > 0.0 { candidate.distance() / alpha } else { candidate.distance() }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Point = (f32, f32);

    fn l2(a: Point, b: Point) -> f32 {
        (a.0 - b.0).powi(2) + (a.1 - b.1).powi(2)
    }

    /// Distances from a point to all candidates.
    fn rows<'a>(points: &'a [Point], candidates: &'a [Key]) -> impl FnMut(u32, Option<usize>, Note<'_>) + 'a {
        move |from, _, note| {
            let score = |key: &Key| l2(points[from as usize], points[key.slot() as usize]);
            note(&candidates.iter().map(score).collect::<Vec<f32>>());
        }
    }

    /// What `choose` chooses for a node at the origin, by position in `points`.
    fn check(points: &[Point], max: usize, alpha: f32, expected: &[u32]) {
        let mut candidates: Vec<Key> =
            points.iter().enumerate().map(|(i, &point)| Key::new(l2((0.0, 0.0), point), i as u32)).collect();
        candidates.sort_unstable();
        let mut chosen = Vec::new();
        let nearest = vec![f32::INFINITY; points.len()];
        Selection { nearest }.choose(&candidates, max, alpha, &mut chosen, &mut rows(points, &candidates));
        let slots: Vec<u32> = chosen.iter().map(|key| key.slot()).collect();
        assert_eq!(slots, expected);
        assert_eq!(slots, naive(&candidates, points, max, alpha), "the naive version agrees");
    }

    /// The definition, word by word.
    fn naive(candidates: &[Key], points: &[Point], max: usize, alpha: f32) -> Vec<u32> {
        let mut chosen: Vec<u32> = Vec::new();
        for candidate in candidates {
            let c = points[candidate.slot() as usize];
            let nearer_to_a_chosen = chosen.iter().any(|&s| alpha * l2(points[s as usize], c) < l2((0.0, 0.0), c));
            if !nearer_to_a_chosen && chosen.len() < max {
                chosen.push(candidate.slot());
            }
        }
        chosen
    }

    #[test]
    fn a_candidate_behind_a_chosen_one_is_dropped() {
        //            2
        //
        //   p    0   1
        //
        //   3
        check(&[(2.0, 0.0), (3.0, 0.0), (3.0, 2.6), (0.0, -2.5)], 4, 1.0, &[0, 3]);
    }

    #[test]
    fn alpha_keeps_candidates_that_are_only_a_little_behind() {
        //            1
        //
        //   p    0
        check(&[(2.0, 0.0), (3.0, 2.6)], 4, 1.0, &[0]);
        check(&[(2.0, 0.0), (3.0, 2.6)], 4, 1.2, &[0]);
        check(&[(2.0, 0.0), (1.5, 2.6)], 4, 1.0, &[0]);
        check(&[(2.0, 0.0), (0.8, 2.6)], 4, 1.0, &[0, 1]);
    }

    #[test]
    fn at_most_max_are_chosen_and_ties_go_to_the_first() {
        //        1
        //   2    p    0
        //        3
        check(&[(1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0)], 3, 1.0, &[0, 1, 2]);
    }

    #[test]
    fn equal_points_occlude_each_other() {
        check(&[(1.0, 1.0), (1.0, 1.0), (1.0, 1.0)], 3, 1.0, &[0]);
    }

    #[test]
    fn places_that_the_strict_rule_leaves_free_are_filled() {
        //         2
        //            1
        //   p    0              3
        let points = [(2.0, 0.0), (1.6, 2.0), (1.2, 2.6), (7.0, 0.0)];
        let candidates: Vec<Key> = (0..).zip(points).map(|(i, point)| Key::new(l2((0.0, 0.0), point), i)).collect();
        let mut chosen = Vec::new();
        Selection::default().select(&candidates, 4, &mut chosen, rows(&points, &candidates));
        let slots: Vec<u32> = chosen.iter().map(|key| key.slot()).collect();
        assert_eq!(slots, [0, 2]);
    }

    #[test]
    fn random_points_agree_with_the_naive_version() {
        let mut state = 1u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 24) as f32 - 0.5
        };
        for round in 0..200 {
            let points: Vec<Point> = (0..40).map(|_| (next(), next())).collect();
            let alpha = [1.0, 1.1, 1.2][round % 3];
            let mut candidates: Vec<Key> =
                points.iter().enumerate().map(|(i, &point)| Key::new(l2((0.0, 0.0), point), i as u32)).collect();
            candidates.sort_unstable();
            check(&points, 8, alpha, &naive(&candidates, &points, 8, alpha));
        }
    }
}
