//! How many links a node gets: more where the data has more directions to go.

use rayon::prelude::*;

use crate::pools::Turns;
use crate::topk::{Key, TopK};
use crate::vectors::RowsView;

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

/// M for the rows below `len`, from their local intrinsic dimensionality. Runs on the build threads, each work unit in a
/// turn; `None` if it was stopped.
pub(crate) fn choose_degree(rows: RowsView<'_>, len: usize, turns: Turns<'_>) -> Option<usize> {
    let dimensionality = intrinsic_dimensionality(rows, len, turns)?;
    let fitting = DEGREES.iter().rev().find(|(from, _)| dimensionality >= *from);
    Some(fitting.map_or(DEFAULT_M, |&(_, m)| m))
}

/// The median over a sample of rows of the maximum-likelihood estimate of Levina and Bickel (2004): the inverse of the
/// mean logarithm of the k-th neighbor's distance over those of the nearer ones.
fn intrinsic_dimensionality(rows: RowsView<'_>, len: usize, turns: Turns<'_>) -> Option<f64> {
    let among = len.min(AMONG);
    let step = |count: usize| (len / count.max(1)).max(1);
    let others: Vec<u32> = (0..len as u32).step_by(step(among)).collect();
    let others: Vec<&[u32]> = others.chunks(UNIT.div_ceil(rows.space().dimensions())).collect();
    let samples = (0..len as u32).into_par_iter().step_by(step(SAMPLES));
    let estimates = samples.map_init(TopK::default, |top, sample| {
        top.reset(NEIGHBORS);
        for others in &others {
            let _turn = turns.next()?;
            crate::flat::scan(rows, rows.query(sample), others.iter().copied(), |key| {
                if key.slot() != sample && key.distance() > 0.0 {
                    top.push(key);
                }
            });
        }
        Some(estimate(top.sorted()))
    });
    let estimates: Vec<Option<f64>> = estimates.collect::<Option<_>>()?;
    let mut estimates: Vec<f64> = estimates.into_iter().flatten().collect();
    estimates.sort_unstable_by(f64::total_cmp);
    Some(estimates.get(estimates.len() / 2).copied().unwrap_or(0.0))
}

fn estimate(neighbors: &[Key]) -> Option<f64> {
    let (last, nearer) = neighbors.split_last()?;
    // Distances are squared, or grow as squares: half of the logarithm.
    let sum: f64 = nearer.iter().map(|key| 0.5 * (f64::from(last.distance()) / f64::from(key.distance())).ln()).sum();
    (nearer.len() > 1 && sum > 0.0).then(|| nearer.len() as f64 / sum)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::options::Metric;
    use crate::pools::Pools;
    use crate::vectors::{Rows, Space};

    fn degree(rows: RowsView<'_>, len: usize) -> usize {
        let pools = Pools::new(Some(2)).unwrap();
        pools.build(|| choose_degree(rows, len, pools.turns(&|| false))).unwrap()
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
        assert_eq!(degree(rows.view(), 2_000), expected, "{dimensions} dimensions");
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
        assert_eq!(degree(rows.view(), 100), DEFAULT_M);
    }

    #[test]
    fn every_work_unit_waits_for_a_turn_and_none_begins_without() {
        let dimensions = 2_048;
        let rows = Rows::new(Space::new(Metric::L2, dimensions));
        let mut writer = rows.writer();
        (0..300u16).for_each(|row| writer.push(&vec![f32::from(row); dimensions]).unwrap());
        writer.publish();
        let (pools, asked) = (Pools::new(Some(1)).unwrap(), AtomicUsize::new(0));
        let choose = |turns| {
            asked.store(0, Ordering::Relaxed);
            let stopped = || asked.fetch_add(1, Ordering::Relaxed) >= turns;
            pools.build(|| choose_degree(rows.view(), 300, pools.turns(&stopped)))
        };
        assert_eq!((choose(7), asked.load(Ordering::Relaxed)), (None, 8));
        assert!(choose(usize::MAX).is_some());
        assert!(asked.load(Ordering::Relaxed) >= 300 * 300 * dimensions / UNIT, "units are short");
    }
}
