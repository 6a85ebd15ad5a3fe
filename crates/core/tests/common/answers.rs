//! Comparing an answer with what a model says.

use std::collections::HashSet;

use vicinal_core::{Ids, Metric};

use super::model::Model;
use super::{distance, tolerance};

/// What was asked.
#[derive(Debug, Clone)]
pub struct Question<'a> {
    pub query: &'a [f32],
    /// `usize::MAX`: all.
    pub k: usize,
    pub max_distance: Option<f32>,
    /// Names that may be returned.
    pub filter: Option<&'a HashSet<usize>>,
    /// The name that may not.
    pub excluded: Option<usize>,
    /// Whether distances of this data are exact in single precision.
    pub is_whole: bool,
}

/// A row with its distance from the query, in double precision, and how far a single-precision one may be from it.
#[derive(Debug, Clone, Copy)]
struct Scored {
    row: usize,
    distance: f64,
    tolerance: f64,
}

impl Question<'_> {
    /// All rows that may be returned, nearest first, equal distances in insertion order.
    fn admitted(&self, model: &Model) -> Vec<Scored> {
        let counts = |name| self.filter.is_none_or(|filter| filter.contains(&name)) && self.excluded != Some(name);
        let live = model.rows.iter().enumerate().filter(|(_, row)| row.is_live && counts(row.name));
        let mut scored: Vec<Scored> = live.map(|(row, _)| self.score(model, row)).collect();
        scored.sort_by(|a, b| a.distance.total_cmp(&b.distance).then(a.row.cmp(&b.row)));
        scored
    }

    fn score(&self, model: &Model, row: usize) -> Scored {
        let vector = &model.rows[row].vector;
        let tolerance = if self.is_whole && model.metric != Metric::Cosine {
            0.0
        } else {
            tolerance(model.metric, self.query, vector)
        };
        Scored { row, distance: distance(model.metric, self.query, vector), tolerance }
    }

    /// The exact answer, and all that follows it.
    fn expected(&self, model: &Model) -> (Vec<Scored>, Vec<Scored>) {
        let mut all = self.admitted(model);
        let within = |scored: &Scored| self.max_distance.is_none_or(|max| scored.distance <= f64::from(max));
        let end = all.iter().take(self.k).take_while(|scored| within(scored)).count();
        let rest = all.split_off(end);
        (all, rest)
    }

    /// A distance that lies clearly after the nearest `rank`, before all that are farther: no rounding can cross it.
    pub fn clear_limit(&self, model: &Model, rank: usize) -> f32 {
        let all = self.admitted(model);
        for pair in all.windows(2).skip(rank) {
            let room = pair[1].distance - pair[0].distance;
            if self.is_whole && model.metric != Metric::Cosine && room > 0.0 {
                return pair[0].distance as f32;
            }
            if room > 4.0 * (pair[0].tolerance + pair[1].tolerance) {
                let middle = ((pair[0].distance + pair[1].distance) / 2.0) as f32;
                if f64::from(middle) > pair[0].distance && f64::from(middle) < pair[1].distance {
                    return middle;
                }
            }
        }
        f32::INFINITY
    }

    /// Asserts what holds of any answer: live rows that were asked for, each once, with their distances, in order.
    pub fn assert_valid(&self, model: &Model, ids: &Ids, distances: &[f32]) -> Vec<usize> {
        assert_eq!(ids.len(), distances.len(), "an id a distance");
        assert!(ids.len() <= self.k, "{} hits of {}", ids.len(), self.k);
        let mut rows = Vec::new();
        for (name, &got) in model.names_of(ids).into_iter().zip(distances) {
            let row = model.row(name).unwrap_or_else(|| panic!("{name} was returned and is not live"));
            assert!(self.filter.is_none_or(|filter| filter.contains(&name)), "{name} passed the filter");
            assert_ne!(self.excluded, Some(name), "returned to itself");
            assert!(self.max_distance.is_none_or(|max| got <= max), "{got} is farther than asked for");
            let Scored { distance, tolerance, .. } = self.score(model, row);
            assert!((f64::from(got) - distance).abs() <= tolerance, "{name} at {got}, expected {distance}");
            rows.push(row);
        }
        let keys: Vec<(f32, usize)> = distances.iter().copied().zip(rows.iter().copied()).collect();
        assert!(
            keys.windows(2).all(|pair| pair[0] < pair[1]),
            "not in the order of distance, then insertion: {keys:?}"
        );
        rows
    }

    /// Asserts that an answer is the exact one.
    pub fn assert_exact(&self, model: &Model, ids: &Ids, distances: &[f32]) {
        let found = self.assert_valid(model, ids, distances);
        let (expected, rest) = self.expected(model);
        assert_eq!(found.len(), expected.len(), "hits");
        for (position, (scored, &got)) in expected.iter().zip(distances).enumerate() {
            let tolerance = scored.tolerance + self.score(model, found[position]).tolerance;
            let Scored { distance, .. } = scored;
            assert!((f64::from(got) - distance).abs() <= tolerance, "hit {position} at {got}, expected {distance}");
        }
        let vector = |row: usize| &model.rows[row].vector;
        let is_clear = |a: &Scored, b: &Scored| {
            vector(a.row) == vector(b.row)
                || b.distance - a.distance > 2.0 * (a.tolerance + b.tolerance)
                || (a.tolerance == 0.0 && b.tolerance == 0.0)
        };
        let next = rest.iter().find(|next| expected.last().is_some_and(|last| vector(last.row) != vector(next.row)));
        let order: Vec<&Scored> = expected.iter().chain(next).collect();
        if order.windows(2).all(|pair| is_clear(pair[0], pair[1])) {
            let expected: Vec<usize> = expected.iter().map(|scored| scored.row).collect();
            assert_eq!(found, expected, "rows, by distance, then insertion");
            return;
        }
        // Rounding may swap what is almost equally far, but not what is equal.
        for (position, &row) in found.iter().enumerate() {
            let earlier = expected.iter().chain(&rest).map(|scored| scored.row);
            for earlier in earlier.filter(|&other| other < row && vector(other) == vector(row)) {
                assert!(found[..position].contains(&earlier), "row {row} was found, its equal {earlier} before it not");
            }
        }
    }

    /// Of the exact answer, how many rows an answer found, and how many there are. A row as near as the last counts.
    pub fn recall(&self, model: &Model, distances: &[f32]) -> (usize, usize) {
        let (expected, _) = self.expected(model);
        let Some(last) = expected.last() else {
            return (0, 0);
        };
        let bound = last.distance + 2.0 * last.tolerance;
        (distances.iter().filter(|&&distance| f64::from(distance) <= bound).count(), expected.len())
    }
}
