//! A look at the data before a graph is begun: how many links a node needs, and whether 8-bit codes tell its rows apart.

use rayon::prelude::*;

use crate::codes::Encoder;
use crate::options::Metric;
use crate::pools::Turns;
use crate::topk::{Key, TopK};
use crate::vectors::{Padded, RowsView};

/// M before anything is known of the data.
pub(crate) const DEFAULT_M: usize = 16;

/// Rows whose neighborhoods are measured.
const SAMPLES: usize = 256;

/// Rows among which their neighbors are looked for.
const AMONG: usize = 5_000;

/// Values compared in a work unit: some tens of microseconds.
const UNIT: usize = 1 << 17;

/// Neighbors a neighborhood.
const NEIGHBORS: usize = 20;

/// M by the dimensionality from which on it is used. Lists are padded to whole cache lines, so the steps are large.
const DEGREES: [(f64, usize); 3] = [(0.0, DEFAULT_M), (24.0, 24), (40.0, 32)];

/// Of the neighborhoods, as many percent must be told apart by codes.
const TOLD_APART: usize = 95;

/// The neighbor of a row up to which codes must find, and the one that they may mistake for it: what a search compares
/// anew by rows is twice what it returns.
const WITHIN: (f64, f64) = (10.0, 15.0);

/// The dimensionality that rows had at least for which a survey chose `m`.
pub(crate) fn least_dimensionality(m: usize) -> usize {
    DEGREES.iter().find(|&&(_, degree)| degree == m).map_or(0, |&(from, _)| from as usize)
}

/// What a survey found.
pub(crate) struct Survey {
    /// The local intrinsic dimensionality.
    dimensionality: f64,
    /// Whether codes tell rows apart.
    codes_fit: bool,
}

/// The neighborhood of one sampled row.
struct Neighborhood {
    dimensionality: f64,
    /// The distance of the last neighbor in it, and how many there are.
    last: f64,
    neighbors: f64,
    /// What its code is off, squared.
    error: f64,
}

impl Survey {
    /// What makes codes of rows like those below `end`, and what a look at the rows at `slots` finds: as [`Survey::of`].
    pub(crate) fn with_encoder(
        rows: RowsView<'_>,
        metric: Metric,
        (slots, end): (&[u32], usize),
        turns: Turns<'_>,
    ) -> Option<(Encoder, Self)> {
        let encoder = Encoder::train(rows, metric, end);
        let survey = Self::of(rows, slots, Some(&encoder), turns)?;
        Some((encoder, survey))
    }

    /// Looks at the rows at `slots`, none of which equals another, and at their codes. Runs on the threads of the pool that
    /// it is called on, each work unit in a turn; `None` if it was stopped.
    pub(crate) fn of(rows: RowsView<'_>, slots: &[u32], encoder: Option<&Encoder>, turns: Turns<'_>) -> Option<Self> {
        let len = slots.len();
        let among = len.min(AMONG);
        let step = |count: usize| (len / count.max(1)).max(1);
        let others: Vec<u32> = slots.iter().step_by(step(among)).copied().collect();
        let others: Vec<&[u32]> = others.chunks(UNIT.div_ceil(rows.space().dimensions())).collect();
        let samples = slots.par_iter().step_by(step(SAMPLES));
        let neighborhoods = samples.map_init(Default::default, |(top, query, row): &mut (TopK, Padded, _), &sample| {
            let query = rows.query(sample, query);
            top.reset(NEIGHBORS);
            for others in &others {
                let _turn = turns.next()?;
                crate::flat::scan(rows, query, others.iter().copied(), |key| {
                    if key.slot() != sample && key.distance() > 0.0 {
                        top.push(key);
                    }
                });
            }
            let error = encoder.map_or(0.0, |encoder| encoder.error(rows.given(sample, row)));
            Some(Neighborhood::of(top.sorted(), error, rows.space().metric()))
        });
        let neighborhoods: Vec<Option<Neighborhood>> = neighborhoods.collect::<Option<_>>()?;
        let neighborhoods: Vec<Neighborhood> = neighborhoods.into_iter().flatten().collect();
        let density = len as f64 / others.iter().map(|others| others.len()).sum::<usize>().max(1) as f64;
        let dimensions = rows.space().dimensions() as f64;
        let told_apart = neighborhoods.iter().filter(|place| place.is_told_apart(density, dimensions)).count();
        Some(Self {
            dimensionality: median(neighborhoods.iter().map(|place| place.dimensionality).collect()),
            codes_fit: told_apart * 100 >= neighborhoods.len() * TOLD_APART,
        })
    }

    /// The local intrinsic dimensionality.
    pub(crate) fn dimensionality(&self) -> f64 {
        self.dimensionality
    }

    /// The M that suits the rows.
    pub(crate) fn degree(&self) -> usize {
        let fitting = DEGREES.iter().rev().find(|(from, _)| self.dimensionality >= *from);
        fitting.map_or(DEFAULT_M, |&(_, m)| m)
    }

    /// Whether codes tell rows apart, so that a graph may compare them instead of rows.
    pub(crate) fn codes_fit(&self) -> bool {
        self.codes_fit
    }
}

impl Neighborhood {
    /// `None` where there is no neighborhood to speak of, or single precision has no distances for it: those of codes may
    /// be better, since they are in other units.
    fn of(neighbors: &[Key], error: f64, metric: Metric) -> Option<Self> {
        // Codes are compared by squared Euclidean distance, under cosine of rows of length 1.
        let scale = if metric == Metric::Cosine { 2.0 } else { 1.0 };
        let last = neighbors.last().map(|key| f64::from(key.distance()) * scale).filter(|last| last.is_finite())?;
        let dimensionality = estimate(neighbors)?;
        Some(Self { dimensionality, last, neighbors: neighbors.len() as f64, error })
    }

    /// Whether what codes are off could hardly bring a row from beyond the one of [`WITHIN`] before the other, where
    /// rows lie `density` times as close as among those that were looked at.
    ///
    /// A code's error is spread over all dimensions, so of two codes at distance r only its part along the line between
    /// them changes their squared distance: by 2 · r · |error| / √dimensions.
    fn is_told_apart(&self, density: f64, dimensions: f64) -> bool {
        let (within, mistaken) = WITHIN;
        let squared = self.last * (within / (self.neighbors * density)).powf(2.0 / self.dimensionality);
        let gap = squared * ((mistaken / within).powf(2.0 / self.dimensionality) - 1.0);
        // Twice the deviation, of the errors of two codes.
        let deviation = 2.0 * (squared * 2.0 * self.error / dimensions).sqrt();
        // Written so that it fails for what is not a number.
        2.0 * deviation < gap
    }
}

/// The maximum-likelihood estimate of the local intrinsic dimensionality by Levina and Bickel (2004): the inverse of the
/// mean logarithm of the last neighbor's distance over those of the nearer ones.
fn estimate(neighbors: &[Key]) -> Option<f64> {
    let (last, nearer) = neighbors.split_last()?;
    // Distances are squared, or grow as squares: half of the logarithm.
    let sum: f64 = nearer.iter().map(|key| 0.5 * (f64::from(last.distance()) / f64::from(key.distance())).ln()).sum();
    (nearer.len() > 1 && sum > 0.0).then(|| nearer.len() as f64 / sum)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::options::Metric;
    use crate::pools::Pools;
    use crate::vectors::{Rows, Space};

    fn numbers(count: usize) -> Vec<u32> {
        (0..count as u32).collect()
    }

    fn survey(rows: RowsView<'_>) -> Survey {
        let pools = Pools::new(Some(2)).unwrap();
        let encoder = Encoder::train(rows, rows.space().metric(), rows.len());
        pools.build(|| Survey::of(rows, &numbers(rows.len()), Some(&encoder), pools.turns(&|| false))).unwrap()
    }

    /// Whether codes tell rows of 8 normal values apart, every second of which is moved by `distance`.
    fn codes_fit(rows: usize, distance: f32) -> bool {
        let store = Rows::new(Space::new(Metric::L2, 8));
        let mut writer = store.writer();
        let mut state = 7u64;
        for row in 0..rows {
            let mut values = [0.0; 8];
            values.fill_with(|| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let uniform = (state >> 40) as f32 / (1 << 23) as f32 - 1.0;
                uniform + if row % 2 == 0 { distance } else { 0.0 }
            });
            writer.push(&values).unwrap();
        }
        writer.publish();
        survey(store.view()).codes_fit()
    }

    #[test]
    fn codes_fit_unless_clusters_lie_far_apart() {
        assert!(codes_fit(3_000, 0.0));
        assert!(codes_fit(3_000, 1.0));
        assert!(!codes_fit(3_000, 100.0));
        assert!(!codes_fit(3_000, 1e30));
    }

    /// M for points that fill a cube of so many dimensions, within many more.
    fn check(dimensions: usize, expected: usize) {
        let rows = Rows::new(Space::new(Metric::L2, 96));
        let mut writer = rows.writer();
        let mut state = 7u64;
        for _ in 0..2_000 {
            let mut row = [0.0; 96];
            row[..dimensions].fill_with(|| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 40) as f32
            });
            writer.push(&row).unwrap();
        }
        writer.publish();
        assert_eq!(survey(rows.view()).degree(), expected, "{dimensions} dimensions");
    }

    #[test]
    fn the_degree_follows_the_dimensionality() {
        check(2, 16);
        check(12, 16);
        check(48, 24);
        check(96, 32);
    }

    #[test]
    fn equal_rows_have_no_dimensionality() {
        let rows = Rows::new(Space::new(Metric::L2, 4));
        let mut writer = rows.writer();
        (0..100).for_each(|_| writer.push(&[1.0; 4]).unwrap());
        writer.publish();
        assert_eq!(survey(rows.view()).degree(), DEFAULT_M);
    }

    #[test]
    fn every_work_unit_waits_for_a_turn_and_none_begins_without() {
        let dimensions = 2_048;
        let rows = Rows::new(Space::new(Metric::L2, dimensions));
        let mut writer = rows.writer();
        (0..300u16).for_each(|row| writer.push(&vec![f32::from(row); dimensions]).unwrap());
        writer.publish();
        let (pools, asked) = (Pools::new(Some(1)).unwrap(), AtomicUsize::new(0));
        let encoder = Encoder::train(rows.view(), Metric::L2, 300);
        let look = |turns| {
            asked.store(0, Ordering::Relaxed);
            let stopped = || asked.fetch_add(1, Ordering::Relaxed) >= turns;
            pools.build(|| Survey::of(rows.view(), &numbers(300), Some(&encoder), pools.turns(&stopped)).is_some())
        };
        assert_eq!((look(7), asked.load(Ordering::Relaxed)), (false, 8));
        assert!(look(usize::MAX));
        assert!(asked.load(Ordering::Relaxed) >= 300 * 300 * dimensions / UNIT, "units are short");
    }
}
