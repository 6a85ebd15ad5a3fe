//! Rows in 8 bits a dimension: what a graph compares first, with a quarter of the memory traffic.
//!
//! With x and y two rows less the center, as their codes have them, |x − y|² = |x|² + |y|² − 2·x·y, and the product is
//! one of whole numbers, times both scales. Inner product is −(x + center)·(y + center), which comes apart the same
//! way. So for either a distance is `(term + term) + (factor · scale · scale) · product`. Under cosine rows are brought
//! to length 1 first, where |x − y|² orders as the cosine does.
#![allow(unsafe_code)]

mod buffer;
mod encoder;
mod whole;

use std::ptr;

use rayon::prelude::*;

pub(crate) use buffer::WeightsBuffer;
pub(crate) use encoder::{Encoder, Scalars, padded};
pub(crate) use whole::WholeView;

use crate::distance::bytes::{BIAS, ByteKernels, BytePanels, COLUMNS, Column, LINE, Near, PREFETCHED, TileRow};
use crate::error::Result;
use crate::memory::filled;
use crate::options::Metric;
use crate::pools::give_way;
use crate::vectors::{Blocks, RowsView, Stored, View};

/// Codes scored by one call of a kernel: the pointers to them fit on the stack.
pub(crate) const GROUP: usize = 64;

/// Rows of a tile computed by one call of a kernel.
const ROWS: usize = 8;

/// Codes that are packed before it gives way to queries.
const PACKED_AT_ONCE: usize = 4 * COLUMNS;

/// What lies between two distances must be so many times the deviation of what codes are off by.
const CLEAR: f32 = 2.0;

/// Codes, one after the other. They never move and, once published, never change.
pub(crate) struct Codes {
    encoder: Encoder,
    /// |center|².
    center: f32,
    codes: Blocks<u8>,
    /// Scale, norm, and under inner product what the row is along the center, of each.
    scalars: Blocks<f32>,
}

/// The distances that codes are compared by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Measure {
    /// Squared Euclidean distance, which orders like cosine where rows have length 1.
    Euclidean,
    /// The negated inner product.
    Product,
}

impl Measure {
    /// What answers are ordered by under `metric`.
    pub(crate) fn of(metric: Metric) -> Self {
        if metric == Metric::InnerProduct { Self::Product } else { Self::Euclidean }
    }
}

impl Codes {
    pub(crate) fn new(encoder: Encoder) -> Self {
        let scalars = if encoder.metric == Metric::InnerProduct { 3 } else { 2 };
        let center = encoder.center().iter().map(|&value| encoder.in_units(value).powi(2)).sum();
        Self { codes: Blocks::new("codes", encoder.padded()), scalars: Blocks::new("codes", scalars), center, encoder }
    }

    /// Codes of a file, with what stands beside them.
    pub(crate) fn stored<S: Stored>(encoder: Encoder, codes: S, scalars: S) -> Result<Self> {
        let none = Self::new(encoder);
        let (code, beside) = none.sizes();
        let (codes, scalars) = (codes.blocks("codes", code)?, scalars.blocks("codes", beside)?);
        Ok(Self { codes, scalars, ..none })
    }

    /// Bytes of a code, and numbers beside it.
    pub(crate) fn sizes(&self) -> (usize, usize) {
        (self.codes.stride(), self.scalars.stride())
    }

    pub(crate) fn encoder(&self) -> &Encoder {
        &self.encoder
    }

    pub(crate) fn len(&self) -> usize {
        self.codes.len()
    }

    /// Appends the codes of the rows at `slots`, or none if memory is refused; one caller at a time. Runs on the pool that
    /// it is called on.
    pub(crate) fn encode(&self, rows: RowsView<'_>, slots: &[u32]) -> Result<()> {
        self.append(slots.len(), |position, code| {
            self.encoder.encode(rows.given(slots[position], &mut Vec::new()), code)
        })
    }

    /// The first code of every so many that is not what the row at its place among `slots` gives; none if all are.
    pub(crate) fn first_other(&self, rows: RowsView<'_>, slots: &[u32], every: usize) -> Option<usize> {
        let (codes, scalars) = (self.codes.view(), self.scalars.view());
        let (mut code, mut buffer) = (vec![BIAS; self.encoder.padded()], Vec::new());
        (0..slots.len()).step_by(every).find(|&index| {
            let Scalars { scale, norm, along } = self.encoder.encode(rows.given(slots[index], &mut buffer), &mut code);
            codes.block(index) != code || scalars.block(index) != &[scale, norm, along][..self.scalars.stride()]
        })
    }

    /// Appends the codes of `values`, one after the other; as [`Codes::encode`].
    pub(crate) fn encode_values(&self, values: &[f32]) -> Result<()> {
        let dimensions = self.encoder.dimensions();
        let row = |position: usize| &values[position * dimensions..][..dimensions];
        self.append(values.len() / dimensions, |position, code| self.encoder.encode(row(position), code))
    }

    /// Appends those of the codes of `other` at `indices`, in this order; as [`Codes::encode`].
    pub(crate) fn copy(&self, other: CodesView<'_>, indices: &[u32]) -> Result<()> {
        self.append(indices.len(), |position, code| {
            code.copy_from_slice(other.code(indices[position]));
            other.scalars(indices[position])
        })
    }

    /// Appends codes of several others: of each of `places` which of them, and the index there; as [`Codes::encode`].
    pub(crate) fn gather(&self, others: &[CodesView<'_>], places: &[(usize, u32)]) -> Result<()> {
        self.append(places.len(), |position, code| {
            let (other, index) = places[position];
            code.copy_from_slice(others[other].code(index));
            others[other].scalars(index)
        })
    }

    fn append(&self, count: usize, write: impl Fn(usize, &mut [u8]) -> Scalars + Sync) -> Result<()> {
        let mut all = filled("codes", count, Scalars::default)?;
        let (mut codes, mut scalars) = (self.codes.writer(), self.scalars.writer());
        codes.extend(all.par_iter_mut().enumerate(), |(position, scalars), code| *scalars = write(position, code))?;
        let stride = self.scalars.stride();
        scalars.extend(all.par_iter(), |&Scalars { scale, norm, along }, block| {
            block.copy_from_slice(&[scale, norm, along][..stride]);
        })?;
        // The codes last: who sees one sees its scalars.
        scalars.publish();
        codes.publish();
        Ok(())
    }

    pub(crate) fn view(&self, measure: Measure) -> CodesView<'_> {
        let codes = self.codes.view();
        let metric = self.encoder.metric;
        let offset = match measure {
            Measure::Product => -0.5 * self.center,
            Measure::Euclidean => 0.0,
        };
        CodesView {
            kernels: ByteKernels::get(),
            measure,
            has_along: metric == Metric::InnerProduct,
            dimensions: self.encoder.dimensions(),
            offset,
            codes,
            scalars: self.scalars.view(),
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.len() * (self.encoder.padded() + self.scalars.stride() * size_of::<f32>())
    }
}

/// The codes that were published when it was taken, under one measure.
#[derive(Clone, Copy)]
pub(crate) struct CodesView<'a> {
    kernels: &'static ByteKernels,
    measure: Measure,
    has_along: bool,
    dimensions: usize,
    /// −|center|² / 2 under inner product: half of it is in each row's term, so that a distance is the same both ways.
    offset: f32,
    codes: View<'a, u8>,
    scalars: View<'a, f32>,
}

/// What codes are compared with: the numbers of a row or a query, and what else a distance is made of.
#[derive(Clone, Copy)]
pub(crate) struct Weights<'a> {
    numbers: &'a [i8],
    /// By what a product with a code's bytes is too high.
    excess: i32,
    factor: f32,
    term: f32,
    /// Of the row, as in [`Scalars`]; 0 where codes are exact.
    scale: f32,
    /// What the errors of others count by under [`Measure::Product`], and what distances are rounded by: |row|².
    norm: f32,
}

impl<'a> CodesView<'a> {
    /// `values` (at least as many as there are dimensions) as what codes are compared with.
    pub(crate) fn encoded<'w>(&self, encoder: &Encoder, values: &[f32], buffer: &'w mut WeightsBuffer) -> Weights<'w> {
        let mut code = std::mem::take(&mut buffer.code);
        code.resize(encoder.padded(), BIAS);
        let scalars = encoder.encode(&values[..encoder.dimensions()], &mut code);
        buffer.set(&code);
        buffer.code = code;
        self.weights_in(buffer, scalars)
    }

    /// The code at `index` as what others are compared with.
    pub(crate) fn weights<'w>(&self, index: u32, buffer: &'w mut WeightsBuffer) -> Weights<'w> {
        buffer.set(self.code(index));
        self.weights_in(buffer, self.scalars(index))
    }

    fn weights_in<'w>(&self, buffer: &'w WeightsBuffer, scalars: Scalars) -> Weights<'w> {
        let numbers = buffer.numbers();
        let sum: i32 = numbers.iter().map(|&number| i32::from(number)).sum();
        let (factor, term) = (self.factor() * scalars.scale, self.term(scalars));
        // Of the row itself, not of what it is less the center: errors of others are multiplied by all of it.
        let norm = match self.measure {
            Measure::Euclidean => scalars.norm,
            Measure::Product => scalars.norm + 2.0 * (scalars.along - self.offset),
        };
        Weights { numbers, excess: i32::from(BIAS) * sum, factor, term, scale: scalars.scale, norm }
    }

    /// Whether two codes that are compared with `weights` can hardly be mistaken for each other: one at the distance
    /// `nearer`, and one at `farther`, each with what stands beside it. False where these are not numbers.
    ///
    /// What a code is off by is spread over all values but the largest, within half a step of its scale. Of a squared
    /// Euclidean distance only the part along the line between both counts, times twice its length; of a product, the
    /// part along the other row. Sums are rounded besides, in proportion to what they are made of.
    pub(crate) fn tells_apart(
        &self,
        weights: Weights<'_>,
        (nearer, near): (f32, Scalars),
        (farther, far): (f32, Scalars),
    ) -> bool {
        let (scale, norm) = (near.scale.max(far.scale), near.norm.max(far.norm));
        let spread = (self.dimensions - 1) as f32 / self.dimensions as f32 / 12.0;
        let variance = match self.measure {
            Measure::Euclidean => 4.0 * farther * (weights.scale.powi(2) + scale.powi(2)),
            Measure::Product => norm * weights.scale.powi(2) + weights.norm * scale.powi(2),
        };
        let rounding = f32::EPSILON * (weights.norm + norm);
        let deviation = (spread * variance + rounding * rounding).sqrt();
        farther - nearer >= CLEAR * deviation
    }

    /// The distances of the codes at `indices`, into `distances` (of the same length). Never NaN.
    #[inline]
    pub(crate) fn score(&self, weights: Weights<'_>, indices: &[u32], distances: &mut [f32]) {
        assert_eq!(indices.len(), distances.len(), "a distance a code");
        assert_eq!(weights.numbers.len(), self.codes.stride(), "weights as long as the codes");
        self.touch(indices);
        for (indices, distances) in indices.chunks(GROUP).zip(distances.chunks_mut(GROUP)) {
            let (mut pointers, mut products) = ([ptr::null(); GROUP], [0; GROUP]);
            for (pointer, &index) in pointers.iter_mut().zip(indices) {
                *pointer = self.codes.pointer(index as usize);
                crate::distance::prefetch(self.scalars.pointer(index as usize).cast());
            }
            let count = indices.len();
            // SAFETY: each pointer leads to a published code (`pointer` checks the index), which is as long as the
            // weights, and that is a multiple of `LINE` (`Encoder::padded`).
            unsafe { self.kernels.many(weights.numbers, &pointers[..count], &mut products[..count]) };
            for ((distance, &index), &product) in distances.iter_mut().zip(indices).zip(&products) {
                let scalars = self.scalars(index);
                let product = (product - weights.excess) as f32;
                *distance = finite((weights.term + self.term(scalars)) + (weights.factor * scalars.scale) * product);
            }
        }
    }

    /// Packs the codes at `indices` as columns for [`CodesView::tile`].
    pub(crate) fn pack(&self, indices: &[u32], panels: &mut BytePanels) -> Result<()> {
        let columns = indices.iter().enumerate().map(|(column, &index)| {
            if column.is_multiple_of(PACKED_AT_ONCE) {
                give_way();
            }
            let scalars = self.scalars(index);
            Column { code: self.code(index), scale: scalars.scale, term: self.term(scalars) }
        });
        panels.pack(self.kernels, self.dimensions, columns)
    }

    /// The distances of the codes at `indices` from all columns of `panels`, row-major with a stride of
    /// `panels.width()`; those of columns that fill up a panel are infinite.
    pub(crate) fn tile(&self, indices: &[u32], panels: &BytePanels, distances: &mut [f32]) {
        assert!(panels.length() <= self.codes.stride(), "columns as long as the codes");
        let width = panels.width();
        for (indices, distances) in indices.chunks(ROWS).zip(distances.chunks_mut(ROWS * width)) {
            let rows = self.rows_of::<ROWS>(indices);
            // SAFETY: each pointer leads to a published code, which is at least as long as the columns.
            unsafe { self.kernels.tile(&rows[..indices.len()], panels, distances) };
        }
    }

    /// As [`CodesView::tile`], where the codes at `indices` are the columns: at most [`GROUP`].
    pub(crate) fn square(&self, indices: &[u32], panels: &BytePanels, distances: &mut [f32]) {
        assert!(panels.length() <= self.codes.stride(), "columns as long as the codes");
        let rows = self.rows_of::<GROUP>(indices);
        // SAFETY: each pointer leads to a published code, which is at least as long as the columns.
        unsafe { self.kernels.square(&rows[..indices.len()], panels, distances) };
    }

    /// Finds the nearest of the codes at `indices`, which are the columns of `panel`, among all others of `panels`.
    pub(crate) fn near(&self, indices: &[u32], panels: &BytePanels, panel: usize, near: &mut Near) {
        assert!(panels.length() <= self.codes.stride(), "columns as long as the codes");
        let rows = self.rows_of::<COLUMNS>(indices);
        // SAFETY: each pointer leads to a published code, which is at least as long as the columns.
        unsafe { self.kernels.near(&rows[..indices.len()], panels, panel, near) };
    }

    /// The first `N` of `indices` as rows of a tile.
    #[inline(always)]
    fn rows_of<const N: usize>(&self, indices: &[u32]) -> [TileRow; N] {
        let mut rows = [TileRow { code: ptr::null(), factor: 0.0, term: 0.0 }; N];
        for (row, &index) in rows.iter_mut().zip(indices) {
            let scalars = self.scalars(index);
            // The pointer leads to a published code: the index is checked.
            let code = self.codes.pointer(index as usize);
            *row = TileRow { code, factor: self.factor() * scalars.scale, term: self.term(scalars) };
        }
        rows
    }

    /// To be called before the codes at `indices` are read, where they may be in a file.
    #[inline]
    fn touch(&self, indices: &[u32]) {
        self.codes.touch_all(indices);
        self.scalars.touch_all(indices);
    }

    /// The code at `index` and what stands beside it, as they are stored.
    pub(crate) fn stored(&self, index: u32) -> (&'a [u8], &'a [f32]) {
        self.touch(&[index]);
        (self.codes.block(index as usize), self.scalars.block(index as usize))
    }

    /// Brings the code at `index` towards the cache, with what stands beside it.
    #[inline]
    pub(crate) fn prefetch(&self, index: u32) {
        crate::distance::prefetch(self.scalars.pointer(index as usize).cast());
        let code = self.codes.pointer(index as usize);
        (0..self.codes.stride().min(PREFETCHED))
            .step_by(LINE)
            .for_each(|at| crate::distance::prefetch(code.wrapping_add(at)));
    }

    pub(crate) fn code(&self, index: u32) -> &'a [u8] {
        self.codes.block(index as usize)
    }

    #[inline]
    pub(crate) fn scalars(&self, index: u32) -> Scalars {
        let scalars = self.scalars.block(index as usize);
        Scalars { scale: scalars[0], norm: scalars[1], along: if self.has_along { scalars[2] } else { 0.0 } }
    }

    /// What a product is multiplied with.
    #[inline]
    fn factor(&self) -> f32 {
        match self.measure {
            Measure::Euclidean => -2.0,
            Measure::Product => -1.0,
        }
    }

    /// What a row adds to its distances.
    #[inline]
    fn term(&self, scalars: Scalars) -> f32 {
        match self.measure {
            Measure::Euclidean => scalars.norm,
            Measure::Product => self.offset - scalars.along,
        }
    }
}

/// Far where single precision overflows.
#[inline]
fn finite(distance: f32) -> f32 {
    if distance.is_finite() { distance } else { f32::MAX }
}
