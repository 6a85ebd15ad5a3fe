//! From a row to its 8-bit code.

use crate::distance::bytes::{BIAS, LINE};
use crate::distance::naive;
use crate::options::Metric;
use crate::pools::giving_way;
use crate::vectors::RowsView;

/// The largest number in a code.
const MOST: f64 = 127.0;

/// Rows whose mean becomes the center.
const SAMPLES: usize = 4_096;

/// Rows that are looked at before it gives way to queries.
const SAMPLED_AT_ONCE: usize = 32;

/// How rows become codes: moved so that `center` is the origin (under cosine brought to length 1 before), and scaled,
/// each row by itself, so that its largest value becomes ±127.
///
/// A scale of its own costs a row four bytes, and no row can be out of range, whatever comes later.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Encoder {
    pub(super) metric: Metric,
    center: Vec<f32>,
    /// What a length is measured in where codes are compared: a power of two near the length of rows, so that no square
    /// overflows or vanishes, however large or small the values are.
    unit: f64,
}

/// What stands beside a code, all in single precision: with `x` the row less the center, as the code has it, in units of
/// the encoder's.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Scalars {
    /// x = scale · numbers.
    pub(crate) scale: f32,
    /// |x|².
    pub(crate) norm: f32,
    /// x · center, under inner product; otherwise 0.
    pub(crate) along: f32,
}

impl Encoder {
    /// For rows like those below `len`. Gives way to queries on the threads of a pool.
    pub(crate) fn train(rows: RowsView<'_>, metric: Metric, len: usize) -> Self {
        let step = (len / SAMPLES).max(1);
        let mut sums = vec![0.0f64; rows.space().dimensions()];
        let (mut count, mut buffer) = (0.0, Vec::new());
        let sampled = || giving_way((0..len).step_by(step), SAMPLED_AT_ONCE);
        for slot in sampled() {
            let values = rows.given(slot as u32, &mut buffer);
            let factor = factor(metric, values);
            sums.iter_mut().zip(values).for_each(|(sum, &value)| *sum += f64::from(value) * factor);
            count += 1.0;
        }
        let center = sums.into_iter().map(|sum| if count > 0.0 { (sum / count) as f32 } else { 0.0 });
        let mut encoder = Self { metric, center: center.collect(), unit: 1.0 };
        let largest = |slot: usize| encoder.largest(rows.given(slot as u32, &mut buffer)).log2();
        let exponents = sampled().map(largest).filter(|exponent| exponent.is_finite());
        let (sum, count) = exponents.fold((0.0, 0.0), |(sum, count), exponent| (sum + exponent, count + 1.0));
        encoder.unit = if count > 0.0 { (sum / count).round().exp2() } else { 1.0 };
        encoder
    }

    /// The one with this center, which has a value a dimension, and this unit.
    pub(crate) fn with_center(metric: Metric, center: Vec<f32>, unit: f64) -> Self {
        Self { metric, center, unit }
    }

    pub(crate) fn unit(&self) -> f64 {
        self.unit
    }

    pub(crate) fn center(&self) -> &[f32] {
        &self.center
    }

    pub(crate) fn dimensions(&self) -> usize {
        self.center.len()
    }

    pub(crate) fn metric(&self) -> Metric {
        self.metric
    }

    /// About the distance between codes of two rows at `distance`.
    pub(crate) fn of_codes(&self, distance: f32) -> f32 {
        // Under cosine rows have length 1, and codes their squared Euclidean distance.
        let scale = if self.metric == Metric::Cosine { 2.0 } else { 1.0 };
        (f64::from(distance) * scale / (self.unit * self.unit)) as f32
    }

    /// Bytes of a code.
    pub(crate) fn padded(&self) -> usize {
        padded(self.center.len())
    }

    /// Writes the code of `values` to `code`, which is `padded` long.
    pub(crate) fn encode(&self, values: &[f32], code: &mut [u8]) -> Scalars {
        let factor = factor(self.metric, values);
        let (most, is_single) = self.range(values, factor);
        let scale = most / MOST;
        let inverse = if scale > 0.0 { 1.0 / scale } else { 0.0 };
        let (code, padding) = code.split_at_mut(values.len());
        padding.fill(BIAS);
        let places = code.iter_mut().zip(values.iter().zip(&self.center));
        if is_single {
            let (factor, inverse) = (factor as f32, inverse as f32);
            places.for_each(|(byte, (&value, &center))| *byte = biased((value * factor - center) * inverse));
        } else {
            let distance = |value: f32, center: f32| f64::from(value) * factor - f64::from(center);
            places.for_each(|(byte, (&value, &center))| *byte = biased((distance(value, center) * inverse) as f32));
        }
        self.scalars(code, scale / self.unit)
    }

    /// What stands beside the code of `values`.
    pub(crate) fn scalars_of(&self, values: &[f32]) -> Scalars {
        self.encode(values, &mut vec![BIAS; self.padded()])
    }

    /// The largest absolute value of the row less the center.
    fn largest(&self, values: &[f32]) -> f64 {
        self.range(values, factor(self.metric, values)).0
    }

    /// The squared distance between a row and what its code stands for.
    pub(crate) fn error(&self, values: &[f32]) -> f64 {
        let mut code = vec![BIAS; self.padded()];
        let scale = f64::from(self.encode(values, &mut code).scale) * self.unit;
        let factor = factor(self.metric, values);
        let off = code.iter().zip(values.iter().zip(&self.center)).map(|(&byte, (&value, &center))| {
            let exact = f64::from(value) * factor - f64::from(center);
            (exact - scale * (f64::from(byte) - f64::from(BIAS))).powi(2)
        });
        off.sum()
    }

    /// The largest absolute value of the row less the center, and whether single precision can work with it.
    fn range(&self, values: &[f32], factor: f64) -> (f64, bool) {
        const SINGLE: std::ops::RangeInclusive<f32> = 1e-30..=1e30;
        let single = factor as f32;
        let most = values.iter().zip(&self.center).fold(0.0f32, |most, (&value, &center)| {
            let distance = (value * single - center).abs();
            if distance > most { distance } else { most }
        });
        if SINGLE.contains(&most) && SINGLE.contains(&single) {
            return (f64::from(most), true);
        }
        let distances = values.iter().zip(&self.center).map(|(&v, &c)| (f64::from(v) * factor - f64::from(c)).abs());
        (distances.fold(0.0, f64::max), false)
    }

    pub(super) fn in_units(&self, value: f32) -> f32 {
        (f64::from(value) / self.unit) as f32
    }

    /// `scale` in units.
    fn scalars(&self, code: &[u8], scale: f64) -> Scalars {
        let number = |byte: u8| i32::from(byte) - i32::from(BIAS);
        let squares: i32 = code.iter().map(|&byte| number(byte) * number(byte)).sum();
        let along: f32 = match self.metric {
            Metric::InnerProduct => {
                code.iter().zip(&self.center).map(|(&b, &c)| number(b) as f32 * self.in_units(c)).sum()
            }
            Metric::L2 | Metric::Cosine => 0.0,
        };
        let limited = |value: f64| value.clamp(f64::from(f32::MIN), f64::from(f32::MAX)) as f32;
        Scalars {
            scale: limited(scale),
            norm: limited(scale * scale * f64::from(squares)),
            along: limited(scale * f64::from(along)),
        }
    }
}

/// Bytes of the code of a row of `dimensions` values.
pub(crate) fn padded(dimensions: usize) -> usize {
    dimensions.next_multiple_of(LINE)
}

/// What values are multiplied with first: under cosine 1 / |values|.
fn factor(metric: Metric, values: &[f32]) -> f64 {
    match metric {
        Metric::Cosine => 1.0 / naive::dot(values, values).sqrt(),
        Metric::L2 | Metric::InnerProduct => 1.0,
    }
}

/// The nearest whole number to `value`, which is within ±127, above 128.
#[inline(always)]
fn biased(value: f32) -> u8 {
    (value + (f32::from(BIAS) + 0.5)) as i32 as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(metric: Metric, center: &[f32], values: &[f32]) {
        [1.0, 16.0, 1e30].into_iter().for_each(|unit| check_in(unit, metric, center, values));
    }

    fn check_in(unit: f64, metric: Metric, center: &[f32], values: &[f32]) {
        let encoder = Encoder::with_center(metric, center.to_vec(), unit);
        let mut code = vec![0; encoder.padded()];
        let scalars = encoder.encode(values, &mut code);
        assert!(code[values.len()..].iter().all(|&byte| byte == BIAS));
        let factor = factor(metric, values);
        let mut norm = 0.0;
        for ((&byte, &value), &center) in code.iter().zip(values).zip(center) {
            let exact = f64::from(value) * factor - f64::from(center);
            let scale = f64::from(scalars.scale) * unit;
            let decoded = scale * (f64::from(byte) - f64::from(BIAS));
            assert!(
                (exact - decoded).abs() <= scale * 0.501 + f64::from(f32::MIN_POSITIVE) * unit,
                "{exact}: {decoded}"
            );
            norm += (decoded / unit).powi(2);
        }
        if norm < f64::from(f32::MAX) && norm > 1e-30 {
            assert!((f64::from(scalars.norm) / norm - 1.0).abs() < 1e-5, "{} instead of {norm}", scalars.norm);
        }
    }

    #[test]
    fn codes_are_within_half_a_step_of_the_row() {
        for metric in [Metric::L2, Metric::Cosine, Metric::InnerProduct] {
            check(metric, &[0.0; 3], &[1.0, -2.0, 0.5]);
            check(metric, &[0.3, 0.1, -0.2], &[1.0, -2.0, 0.5]);
            check(metric, &[0.0; 3], &[1e-38, 1e-39, -1e-38]);
            check(metric, &[0.0; 3], &[f32::MAX, f32::MIN, 1.0]);
        }
        check(Metric::L2, &[1.0, 2.0], &[1.0, 2.0]);
        check(Metric::L2, &[f32::MAX; 2], &[f32::MIN; 2]);
    }
}
