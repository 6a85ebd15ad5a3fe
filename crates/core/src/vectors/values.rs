//! Values of vectors as callers have them, and how an index keeps them.

use std::fmt::Display;

use super::Space;
use crate::distance::{BIAS, Dtype, half};
use crate::error::{Error, Result};

/// Values of vectors, row after row.
#[derive(Debug, Clone, Copy)]
pub enum Values<'a> {
    F32(&'a [f32]),
    F64(&'a [f64]),
    U8(&'a [u8]),
    I8(&'a [i8]),
}

/// A type of values that callers have.
pub(super) trait Number: Copy + Display {
    fn single(self) -> f32;
    fn double(self) -> f64;
}

macro_rules! numbers {
    ($($kind:ident: $number:ty),*) => {$(
        impl Number for $number {
            #[inline(always)]
            fn single(self) -> f32 {
                self as f32
            }

            #[inline(always)]
            fn double(self) -> f64 {
                self as f64
            }
        }

        impl<'a> From<&'a [$number]> for Values<'a> {
            fn from(values: &'a [$number]) -> Self {
                Self::$kind(values)
            }
        }

        impl<'a> From<&'a Vec<$number>> for Values<'a> {
            fn from(values: &'a Vec<$number>) -> Self {
                Self::$kind(values)
            }
        }

        impl<'a, const N: usize> From<&'a [$number; N]> for Values<'a> {
            fn from(values: &'a [$number; N]) -> Self {
                Self::$kind(values)
            }
        }
    )*};
}

numbers!(F32: f32, F64: f64, U8: u8, I8: i8);

/// `$body` for the slice of `$values`, of whatever type.
macro_rules! each {
    ($values:expr, $slice:ident => $body:expr) => {
        match $values {
            Values::F32($slice) => $body,
            Values::F64($slice) => $body,
            Values::U8($slice) => $body,
            Values::I8($slice) => $body,
        }
    };
}

impl<'a> Values<'a> {
    pub fn len(&self) -> usize {
        each!(self, values => values.len())
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Rows of `dimensions` values.
    pub(crate) fn rows(self, dimensions: usize) -> impl Iterator<Item = Self> {
        (0..self.len() / dimensions).map(move |row| {
            let range = row * dimensions..(row + 1) * dimensions;
            match self {
                Self::F32(values) => Self::F32(&values[range]),
                Self::F64(values) => Self::F64(&values[range]),
                Self::U8(values) => Self::U8(&values[range]),
                Self::I8(values) => Self::I8(&values[range]),
            }
        })
    }
}

/// What single precision can keep.
const FLOATS: &str = "finite values below 3.4028236e38 in magnitude";

impl Space {
    /// Refuses a row that cannot be kept, or that would have no distance as it is kept: what is NaN, infinite or out of
    /// range, and under cosine a zero vector.
    pub(crate) fn check_row(&self, values: Values<'_>, row: Option<usize>) -> Result<()> {
        let dtype = self.dtype();
        let refused = |(position, value): (usize, String)| Error::InvalidVector {
            row,
            got: format!("{value} at position {position}"),
            expected: match dtype {
                Dtype::F32 => FLOATS,
                Dtype::F16 => "finite values below 65,520 in magnitude",
                Dtype::I8 => "whole numbers of -128 … 127",
                Dtype::U8 => "whole numbers of 0 … 255",
            },
        };
        match (dtype, values) {
            (Dtype::F32, Values::F32(values)) => return self.check(values, row),
            (Dtype::U8, Values::U8(_)) | (Dtype::I8, Values::I8(_)) => {}
            _ => each!(values, values => first_refused(dtype, values).map_or(Ok(()), |first| Err(refused(first))))?,
        }
        if self.normalizes() && each!(values, values => values.iter().all(|&value| is_zero(dtype, value))) {
            return Err(Self::zero(row));
        }
        Ok(())
    }
}

/// The first value that `dtype` cannot keep, as text, and where it is.
fn first_refused<N: Number>(dtype: Dtype, values: &[N]) -> Option<(usize, String)> {
    let whole = |low: f64, high: f64| {
        values.iter().position(|value| {
            let value = value.double();
            // Written so that it refuses what is not a number.
            !(value >= low && value <= high && value == value.trunc())
        })
    };
    let position = match dtype {
        Dtype::F32 => values.iter().position(|value| !value.single().is_finite()),
        Dtype::F16 => values.iter().position(|value| {
            let is_kept = value.single().abs() < half::OVERFLOW;
            !is_kept
        }),
        Dtype::I8 => whole(-128.0, 127.0),
        Dtype::U8 => whole(0.0, 255.0),
    };
    position.map(|position| (position, shown(values[position])))
}

/// A value as messages show it: the largest have hundreds of digits.
fn shown<N: Number>(value: N) -> String {
    let double = value.double();
    if double.abs() < 1e16 { value.to_string() } else { format!("{double:e}") }
}

/// Whether a value is 0 as it is kept.
fn is_zero<N: Number>(dtype: Dtype, value: N) -> bool {
    match dtype {
        Dtype::F16 => half::narrow(value.single()) & 0x7FFF == 0,
        Dtype::F32 | Dtype::I8 | Dtype::U8 => value.single() == 0.0,
    }
}

/// Writes a row that was checked to its block; what it leaves stands for zeros.
pub(super) fn keep(dtype: Dtype, values: Values<'_>, block: &mut [u8]) {
    let (block, padding) = block.split_at_mut(values.len() * dtype.bytes());
    padding.fill(if dtype.is_whole() { BIAS } else { 0 });
    match (dtype, values) {
        (Dtype::U8, Values::U8(values)) => block.copy_from_slice(values),
        (Dtype::I8, Values::I8(values)) => block.iter_mut().zip(values).for_each(|(b, &v)| *b = v as u8 ^ BIAS),
        _ => each!(values, values => keep_numbers(dtype, values, block)),
    }
}

fn keep_numbers<N: Number>(dtype: Dtype, values: &[N], block: &mut [u8]) {
    match dtype {
        Dtype::F32 => {
            block.as_chunks_mut().0.iter_mut().zip(values).for_each(|(b, v)| *b = v.single().to_ne_bytes());
        }
        Dtype::F16 => {
            let halves = block.as_chunks_mut().0.iter_mut();
            halves.zip(values).for_each(|(b, v)| *b = half::narrow(v.single()).to_ne_bytes());
        }
        Dtype::I8 => block.iter_mut().zip(values).for_each(|(b, v)| *b = v.single() as i8 as u8 ^ BIAS),
        Dtype::U8 => block.iter_mut().zip(values).for_each(|(b, v)| *b = v.single() as u8),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Metric;

    fn check<'v>(dtype: Dtype, metric: Metric, values: impl Into<Values<'v>>) -> std::result::Result<(), String> {
        let space = Space::new(metric, 2).keeping(dtype);
        space.check_row(values.into(), Some(3)).map_err(|error| error.to_string())
    }

    #[test]
    fn what_a_type_cannot_keep_is_refused() {
        use Dtype::{F16, F32, I8, U8};
        let l2 = Metric::L2;
        let refused = |got: &str, expected: &str| Err(format!("row 3: got {got}, expected {expected}"));
        let (bytes, signed) = ("whole numbers of 0 … 255", "whole numbers of -128 … 127");
        assert_eq!(check(U8, l2, &[0.0f32, 255.0]), Ok(()));
        assert_eq!(check(U8, l2, &[0.0f32, 256.0]), refused("256 at position 1", bytes));
        assert_eq!(check(U8, l2, &[-1i8, 0]), refused("-1 at position 0", bytes));
        assert_eq!(check(U8, l2, &[1.0, 1.5]), refused("1.5 at position 1", bytes));
        assert_eq!(check(U8, l2, &[1.0f64 + 1e-12, 1.0]), refused("1.000000000001 at position 0", bytes));
        assert_eq!(check(U8, l2, &[f32::NAN, 1.0]), refused("NaN at position 0", bytes));
        assert_eq!(check(U8, l2, &[-0.0f32, 1.0]), Ok(()));
        assert_eq!(check(I8, l2, &[-128i8, 127]), Ok(()));
        assert_eq!(check(I8, l2, &[0u8, 128]), refused("128 at position 1", signed));
        assert_eq!(check(I8, l2, &[f64::NEG_INFINITY, 1.0]), refused("-inf at position 0", signed));
        assert_eq!(check(F16, l2, &[65_519.0f32, -65_519.0]), Ok(()));
        let halves = "finite values below 65,520 in magnitude";
        assert_eq!(check(F16, l2, &[1.0f32, -65_520.0]), refused("-65520 at position 1", halves));
        assert_eq!(check(F16, l2, &[f32::NAN, 1.0]), refused("NaN at position 0", halves));
        let floats = "finite values below 3.4028236e38 in magnitude";
        assert_eq!(check(F32, l2, &[1.0f64, -1e300]), refused("-1e300 at position 1", floats));
        for dtype in Dtype::ALL {
            assert_eq!(check(dtype, Metric::Cosine, &[0.0f32, 1.0]), Ok(()));
            assert!(check(dtype, Metric::Cosine, &[0u8, 0]).is_err());
            assert!(check(dtype, Metric::Cosine, &[0i8, 0]).is_err());
        }
        assert!(check(F16, Metric::Cosine, &[1e-9f32, 0.0]).is_err(), "zero once it is rounded");
        assert_eq!(check(F16, Metric::Cosine, &[1e-7f32, 0.0]), Ok(()));
    }

    #[test]
    fn values_are_kept_whatever_type_they_come_in() {
        let kept = |dtype: Dtype, values: Values<'_>| {
            let mut block = vec![7; 16];
            keep(dtype, values, &mut block);
            block
        };
        let bytes: [u8; 2] = [3, 100];
        let (signed, single, double) = (bytes.map(|v| v as i8), bytes.map(f32::from), bytes.map(f64::from));
        for dtype in Dtype::ALL {
            let expected = kept(dtype, Values::from(&single));
            assert_eq!(kept(dtype, Values::from(&bytes)), expected);
            assert_eq!(kept(dtype, Values::from(&signed)), expected);
            assert_eq!(kept(dtype, Values::from(&double)), expected);
        }
        assert_eq!(kept(Dtype::I8, Values::from(&[-128i8, -1]))[..3], [0, 127, BIAS]);
        assert_eq!(kept(Dtype::I8, Values::from(&[-128.0f32, -1.0]))[..3], [0, 127, BIAS]);
    }
}
