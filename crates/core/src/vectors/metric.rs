//! A metric on vectors of one dimension: what the kernels' raw results mean, and which vectors have a distance.

use std::ops::Deref;

use crate::distance::{BIAS, Dtype, Kernels, Raw, bytes::LINE, naive};
use crate::error::{Error, Result};
use crate::options::Metric;

/// Values a SIMD block; rows are padded to whole blocks.
const BLOCK: usize = 16;

/// Norms within these bounds can be inverted, squared and multiplied in single precision.
const SAFE_NORMS: std::ops::RangeInclusive<f64> = 1e-15..=1e15;

/// Vectors of `dimensions` values under a metric, and how they are kept.
#[derive(Clone)]
pub(crate) struct Space {
    metric: Metric,
    dimensions: usize,
    dtype: Dtype,
    kernels: &'static Kernels,
}

impl Space {
    pub(crate) fn new(metric: Metric, dimensions: usize) -> Self {
        Self { metric, dimensions, dtype: Dtype::F32, kernels: Kernels::get() }
    }

    /// The same of vectors that are kept as `dtype`.
    pub(crate) fn keeping(self, dtype: Dtype) -> Self {
        Self { dtype, ..self }
    }

    /// The Euclidean space beside this one, if its own distances are none: those of inner product.
    pub(crate) fn euclidean(&self) -> Option<Self> {
        (self.metric == Metric::InnerProduct).then_some(Self { metric: Metric::L2, ..*self })
    }

    pub(crate) fn metric(&self) -> Metric {
        self.metric
    }

    pub(crate) fn dimensions(&self) -> usize {
        self.dimensions
    }

    pub(crate) fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// Bytes of a stored row. Bytes that are whole numbers are codes too, and padded as such.
    pub(crate) fn row_bytes(&self) -> usize {
        if self.dtype.is_whole() { self.dimensions.next_multiple_of(LINE) } else { self.padded() * self.dtype.bytes() }
    }

    /// What bytes stand above the numbers of codes, in the values of the row: the center of codes that are rows.
    pub(crate) fn center(&self) -> f32 {
        if self.dtype == Dtype::U8 { f32::from(BIAS) } else { 0.0 }
    }

    /// Numbers beside a row of whole numbers, which its distances as a code are made of; 0 for other rows.
    pub(crate) fn terms(&self) -> usize {
        match (self.dtype.is_whole(), self.metric) {
            (false, _) => 0,
            (true, Metric::InnerProduct) => 2,
            (true, Metric::L2 | Metric::Cosine) => 1,
        }
    }

    /// What queries are padded with, so that the padding of rows adds nothing to a distance.
    pub(crate) fn filler(&self) -> f32 {
        if self.metric == Metric::L2 { self.center() } else { 0.0 }
    }

    /// Values of a padded query, all of which are compared: the dimensions, up to a whole SIMD block.
    pub(crate) fn padded(&self) -> usize {
        self.dimensions.next_multiple_of(BLOCK)
    }

    pub(crate) fn kernels(&self) -> &'static Kernels {
        self.kernels
    }

    /// What the kernels compute for this metric.
    pub(crate) fn raw(&self) -> Raw {
        if self.metric == Metric::L2 { Raw::L2 } else { Raw::Dot }
    }

    /// Whether rows have an inverse norm beside them.
    pub(crate) fn normalizes(&self) -> bool {
        self.metric == Metric::Cosine
    }

    /// Refuses values that have no distance: NaN, infinities, and under cosine a zero vector.
    pub(crate) fn check(&self, values: &[f32], row: Option<usize>) -> Result<()> {
        // One pass without branches: a product with 0 is 0 for finite values only.
        if values.iter().fold(0.0, |sum, &x| sum + x * 0.0) != 0.0 {
            let position = values.iter().position(|x| !x.is_finite()).unwrap_or_default();
            let got = format!("{} at position {position}", values[position]);
            return Err(Error::InvalidVector { row, got, expected: "finite values" });
        }
        if self.normalizes() && values.iter().all(|&x| x == 0.0) {
            return Err(Self::zero(row));
        }
        Ok(())
    }

    pub(super) fn zero(row: Option<usize>) -> Error {
        let expected = "at least one value other than 0 under the metric cosine";
        Error::InvalidVector { row, got: "a zero vector".into(), expected }
    }

    /// 1 / |values|, or NaN where single precision cannot work with it.
    pub(crate) fn inverse_norm(&self, values: &[f32]) -> f32 {
        let norm = naive::dot(values, values).sqrt();
        if SAFE_NORMS.contains(&norm) { (1.0 / norm) as f32 } else { f32::NAN }
    }

    /// The distance, from a kernel's result. Not finite where single precision was not enough: see [`Space::precise`].
    #[inline]
    pub(crate) fn finish(&self, raw: f32, inverse_norm_a: f32, inverse_norm_b: f32) -> f32 {
        match self.metric {
            Metric::L2 => raw,
            Metric::InnerProduct => 0.0 - raw,
            Metric::Cosine => (1.0 - raw * inverse_norm_a * inverse_norm_b).clamp(0.0, 2.0),
        }
    }

    /// The distance in double precision, for values so large or small that single precision overflows: finite or
    /// +Infinity, never NaN.
    #[cold]
    pub(crate) fn precise(&self, a: &[f32], b: &[f32]) -> f32 {
        let distance = match self.metric {
            Metric::L2 => naive::l2(a, b),
            Metric::InnerProduct => -naive::dot(a, b),
            Metric::Cosine => {
                let norms = naive::dot(a, a).sqrt() * naive::dot(b, b).sqrt();
                (1.0 - naive::dot(a, b) / norms).clamp(0.0, 2.0)
            }
        };
        (distance as f32).max(f32::MIN)
    }
}

/// A vector in an aligned buffer, padded; reused from query to query.
#[derive(Default)]
pub(crate) struct Padded {
    blocks: Vec<Block>,
}

#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Block([f32; BLOCK]);

impl Padded {
    /// `values`, padded with `filler`.
    pub(crate) fn of(values: &[f32], filler: f32) -> Result<Self> {
        let mut padded = Self::default();
        padded.set(values, filler)?;
        Ok(padded)
    }

    /// Takes `values`, padded with `filler`.
    pub(crate) fn set(&mut self, values: &[f32], filler: f32) -> Result<()> {
        let blocks = values.len().div_ceil(BLOCK);
        self.blocks.clear();
        let refused = |_| Error::OutOfMemory { what: "a query", bytes: blocks * size_of::<Block>() };
        self.blocks.try_reserve(blocks).map_err(refused)?;
        self.blocks.extend(values.chunks(BLOCK).map(|chunk| {
            let mut block = Block([filler; BLOCK]);
            block.0[..chunk.len()].copy_from_slice(chunk);
            block
        }));
        Ok(())
    }

    /// Room for `values` values, a whole number of blocks, whatever is in it.
    pub(super) fn room(&mut self, values: usize) -> &mut [f32] {
        self.blocks.resize(values.div_ceil(BLOCK), Block([0.0; BLOCK]));
        // SAFETY: blocks are arrays of f32 without padding, one after the other, and borrowed mutably.
        #[allow(unsafe_code)]
        unsafe {
            std::slice::from_raw_parts_mut(self.blocks.as_mut_ptr().cast(), self.blocks.len() * BLOCK)
        }
    }
}

impl Deref for Padded {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        // SAFETY: blocks are arrays of f32 without padding, one after the other.
        #[allow(unsafe_code)]
        unsafe {
            std::slice::from_raw_parts(self.blocks.as_ptr().cast(), self.blocks.len() * BLOCK)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn space(metric: Metric) -> Space {
        Space::new(metric, 3)
    }

    #[test]
    fn values_without_a_distance_are_refused() {
        let check = |metric, values: [f32; 3]| space(metric).check(&values, Some(4)).map_err(|error| error.to_string());
        assert_eq!(check(Metric::L2, [0.0; 3]), Ok(()));
        assert_eq!(check(Metric::L2, [f32::MAX, f32::MAX, -f32::MAX]), Ok(()));
        let message = "row 4: got NaN at position 1, expected finite values";
        assert_eq!(check(Metric::L2, [0.0, f32::NAN, 1.0]), Err(message.into()));
        assert!(check(Metric::InnerProduct, [f32::INFINITY, 0.0, 1.0]).is_err());
        assert!(check(Metric::InnerProduct, [f32::INFINITY, f32::NEG_INFINITY, 1.0]).is_err());
        assert!(check(Metric::Cosine, [0.0, -0.0, 0.0]).is_err());
        assert_eq!(check(Metric::Cosine, [0.0, 1e-45, 0.0]), Ok(()));
    }

    #[test]
    fn precise_distances_are_never_nan() {
        let huge = [f32::MAX, f32::MAX, -f32::MAX];
        let tiny = [1e-45, 0.0, 1e-45];
        assert_eq!(space(Metric::L2).precise(&huge, &[-f32::MAX; 3]), f32::INFINITY);
        assert_eq!(space(Metric::InnerProduct).precise(&huge, &huge), f32::MIN);
        assert_eq!(space(Metric::Cosine).precise(&huge, &huge), 0.0);
        assert!((space(Metric::Cosine).precise(&tiny, &[2.0, 0.0, 2.0])).abs() < 1e-6);
        assert!(space(Metric::Cosine).inverse_norm(&huge).is_nan());
    }

    #[test]
    fn padded_values_are_aligned_and_end_in_the_filler() {
        let mut padded = Padded::default();
        padded.set(&[1.0; 40], 0.0).unwrap();
        padded.set(&[2.0; 17], 3.0).unwrap();
        assert_eq!((padded.len(), padded[16], padded[17]), (32, 2.0, 3.0));
        assert_eq!(padded.as_ptr().align_offset(64), 0);
    }
}
