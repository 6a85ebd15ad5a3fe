//! The measures in f64, term by term: what the tests compare with, and what a caller falls back to when an f32 result
//! is not finite.

/// Squared Euclidean distance Σ(a−b)².
pub(crate) fn l2(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2)).sum()
}

/// Dot product Σab.
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
}
