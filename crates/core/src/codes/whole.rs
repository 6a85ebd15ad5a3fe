//! Rows of whole numbers as codes: their bytes are the code, whose center and scale are the same for all.
//!
//! A byte is 128 above its number, so the number of an unsigned value is 128 less than the value, and that of a signed
//! one the value itself. With `c` = 128 or 0 and n the numbers, |x − y|² = |nx|² + |ny|² − 2·nx·ny, and
//! x·y = nx·ny + c·Σnx + c·Σny + c²·d. All of it is exact as long as it is below 2²⁴, where single precision ends.

use std::ptr;

use super::{GROUP, ROWS, Weights, WeightsBuffer};
use crate::distance::bytes::{BIAS, ByteKernels, BytePanels, COLUMNS, Column, Near, TileRow};
use crate::error::Result;
use crate::options::Metric;
use crate::vectors::{Query, RowsView};

/// The rows that were published when it was taken, as codes, by their places.
#[derive(Clone, Copy)]
pub(crate) struct WholeView<'a> {
    kernels: &'static ByteKernels,
    rows: RowsView<'a>,
    metric: Metric,
    /// c²·d / 2, but for l2: half of it is in each row's term, so that a distance is the same both ways.
    constant: f32,
}

impl<'a> WholeView<'a> {
    /// `rows` as codes, if they are of whole numbers.
    pub(crate) fn of(rows: RowsView<'a>) -> Option<Self> {
        let space = rows.space();
        let (center, metric) = (space.center(), space.metric());
        let constant = if metric == Metric::L2 { 0.0 } else { 0.5 * center * center * space.dimensions() as f32 };
        space.dtype().is_whole().then(|| Self { kernels: ByteKernels::get(), rows, metric, constant })
    }

    /// The row at `place` as what others are compared with.
    pub(crate) fn weights<'w>(&self, place: u32, buffer: &'w mut WeightsBuffer) -> Weights<'w> {
        buffer.set(self.rows.block(place));
        self.weights_in(buffer, self.term(place), self.rows.inverse_norm(place))
    }

    /// `values` as what rows are compared with, if they are numbers that a row could have.
    pub(crate) fn foreign<'w>(
        &self,
        values: &[f32],
        inverse_norm: f32,
        buffer: &'w mut WeightsBuffer,
    ) -> Option<Weights<'w>> {
        let mut code = std::mem::take(&mut buffer.code);
        let term = self.code_of(values, &mut code);
        if term.is_some() {
            buffer.set(&code);
        }
        buffer.code = code;
        term.map(|term| self.weights_in(buffer, term, inverse_norm))
    }

    /// Writes `values` to `code` as those of a row would be, and returns what it adds to distances; `None` if they are not
    /// numbers that a row could have.
    fn code_of(&self, values: &[f32], code: &mut Vec<u8>) -> Option<f32> {
        let space = self.rows.space();
        let (center, values) = (space.center(), &values[..space.dimensions()]);
        code.clear();
        code.resize(space.row_bytes(), BIAS);
        let (mut fits, mut sum, mut squares) = (true, 0, 0);
        for (byte, &value) in code.iter_mut().zip(values) {
            // Converting saturates, and to a float again it is what it was if it was whole.
            let number = (value - center) as i32;
            fits &= number as f32 + center == value && (-128..=127).contains(&number);
            *byte = (number as u8) ^ BIAS;
            let number = number.clamp(-128, 127);
            sum += number;
            squares += number * number;
        }
        let term = if self.metric == Metric::L2 { squares as f32 } else { sum as f32 * center + self.constant };
        fits.then_some(term)
    }

    /// Packs `queries` as columns for [`WholeView::tile`]; false if not all are of numbers that a row could have, or
    /// distances are not direct.
    pub(crate) fn pack_queries(&self, queries: &[Query<'_>], panels: &mut BytePanels) -> Result<bool> {
        let mut columns = Vec::new();
        for query in queries {
            let mut code = Vec::new();
            let Some(term) = self.code_of(query.values, &mut code).filter(|_| self.is_direct()) else {
                return Ok(false);
            };
            let (scale, term) = (query.inverse_norm, self.tile_term_of(term));
            columns.push((code, scale, term));
        }
        let columns = columns.iter().map(|&(ref code, scale, term)| Column { code, scale, term });
        panels.pack(self.kernels, self.rows.space().dimensions(), columns)?;
        Ok(true)
    }

    fn weights_in<'w>(&self, buffer: &'w WeightsBuffer, term: f32, inverse_norm: f32) -> Weights<'w> {
        let numbers = buffer.numbers();
        let sum: i32 = numbers.iter().map(|&number| i32::from(number)).sum();
        Weights { numbers, excess: i32::from(BIAS) * sum, factor: inverse_norm, term, scale: 0.0, norm: 0.0 }
    }

    /// The distances of the rows at `places`, into `distances` (of the same length).
    #[inline]
    pub(crate) fn score(&self, weights: Weights<'_>, places: &[u32], distances: &mut [f32]) {
        assert_eq!(places.len(), distances.len(), "a distance a place");
        assert_eq!(weights.numbers.len(), self.rows.space().row_bytes(), "weights as long as the rows");
        self.rows.touch(places);
        for (places, distances) in places.chunks(GROUP).zip(distances.chunks_mut(GROUP)) {
            let (mut pointers, mut products) = ([ptr::null(); GROUP], [0; GROUP]);
            for (pointer, &place) in pointers.iter_mut().zip(places) {
                *pointer = self.rows.pointer(place);
                crate::distance::prefetch(self.rows.terms(place).as_ptr().cast());
            }
            let count = places.len();
            // SAFETY: each pointer leads to a published row (`pointer` checks the place), which is as long as the
            // weights, and that is a multiple of `LINE` (`Space::row_bytes`).
            unsafe { self.kernels.many(weights.numbers, &pointers[..count], &mut products[..count]) };
            for ((distance, &place), &product) in distances.iter_mut().zip(places).zip(&products) {
                let sum = weights.term + self.term(place);
                let product = (product - weights.excess) as f32;
                *distance = match self.metric {
                    Metric::L2 => sum - 2.0 * product,
                    Metric::InnerProduct => 0.0 - (sum + product),
                    Metric::Cosine => self.cosine(sum + product, weights.factor, self.rows.inverse_norm(place)),
                };
            }
        }
    }

    /// Whether distances are what the kernels compute of terms and factors. Under cosine the products of unsigned values
    /// are not: what their numbers lack has to be added before the norms are.
    pub(crate) fn is_direct(&self) -> bool {
        self.metric != Metric::Cosine || self.constant == 0.0
    }

    /// Packs the rows at `places` as columns for [`WholeView::tile`].
    pub(crate) fn pack(&self, places: &[u32], panels: &mut BytePanels, inverse_norms: &mut Vec<f32>) -> Result<()> {
        let columns = places.iter().map(|&place| {
            let scale = if self.is_direct() { self.rows.inverse_norm(place) } else { 1.0 };
            Column { code: self.rows.block(place), scale, term: self.tile_term(place) }
        });
        inverse_norms.clear();
        if !self.is_direct() {
            inverse_norms.extend(places.iter().map(|&place| self.rows.inverse_norm(place)));
        }
        panels.pack(self.kernels, self.rows.space().dimensions(), columns)
    }

    /// The distances of the rows at `places` from all columns of `panels`, whose `inverse_norms` [`WholeView::pack`] gave,
    /// row-major with a stride of `panels.width()`; those of columns that fill up a panel are infinite.
    pub(crate) fn tile(&self, places: &[u32], panels: &BytePanels, inverse_norms: &[f32], distances: &mut [f32]) {
        let width = panels.width();
        self.rows.touch(places);
        for (places, distances) in places.chunks(ROWS).zip(distances.chunks_mut(ROWS * width)) {
            let rows = self.rows_of::<ROWS>(places);
            // SAFETY: each pointer leads to a published row, which is at least as long as the columns.
            unsafe { self.kernels.tile(&rows[..places.len()], panels, distances) };
            if self.is_direct() {
                continue;
            }
            for (&place, distances) in places.iter().zip(distances.chunks_mut(width)) {
                let inverse_norm = self.rows.inverse_norm(place);
                for (distance, &other) in distances.iter_mut().zip(inverse_norms) {
                    *distance = self.cosine(*distance, inverse_norm, other);
                }
            }
        }
    }

    /// As [`WholeView::tile`], where the rows at `places` are the columns: at most [`GROUP`]. Only where distances are
    /// direct.
    pub(crate) fn square(&self, places: &[u32], panels: &BytePanels, distances: &mut [f32]) {
        let rows = self.rows_of::<GROUP>(places);
        // SAFETY: each pointer leads to a published row, which is at least as long as the columns.
        unsafe { self.kernels.square(&rows[..places.len()], panels, distances) };
    }

    /// Finds the nearest of the rows at `places`, which are the columns of `panel`, among all others of `panels`. Only
    /// where distances are direct.
    pub(crate) fn near(&self, places: &[u32], panels: &BytePanels, panel: usize, near: &mut Near) {
        let rows = self.rows_of::<COLUMNS>(places);
        // SAFETY: each pointer leads to a published row, which is at least as long as the columns.
        unsafe { self.kernels.near(&rows[..places.len()], panels, panel, near) };
    }

    /// The first `N` of `places` as rows of a tile.
    #[inline(always)]
    fn rows_of<const N: usize>(&self, places: &[u32]) -> [TileRow; N] {
        let mut rows = [TileRow { code: ptr::null(), factor: 0.0, term: 0.0 }; N];
        for (row, &place) in rows.iter_mut().zip(places) {
            let factor = match self.metric {
                Metric::L2 => -2.0,
                Metric::InnerProduct => -1.0,
                Metric::Cosine if self.is_direct() => -self.rows.inverse_norm(place),
                Metric::Cosine => 1.0,
            };
            // The pointer leads to a published row: the place is checked.
            *row = TileRow { code: self.rows.pointer(place), factor, term: self.tile_term(place) };
        }
        rows
    }

    /// What a row adds to the results of a tile.
    #[inline]
    fn tile_term(&self, place: u32) -> f32 {
        self.tile_term_of(self.term(place))
    }

    #[inline]
    fn tile_term_of(&self, term: f32) -> f32 {
        match self.metric {
            Metric::L2 => term,
            Metric::InnerProduct => -term,
            Metric::Cosine if self.is_direct() => 0.5,
            Metric::Cosine => term,
        }
    }

    fn cosine(&self, product: f32, inverse_norm: f32, other: f32) -> f32 {
        1.0 - product * inverse_norm * other
    }

    /// What a row adds to its distances, or to its products.
    #[inline]
    fn term(&self, place: u32) -> f32 {
        // Under l2 the first, otherwise the last: inner product has both, and is built by l2 too.
        let terms = self.rows.terms(place);
        if self.metric == Metric::L2 { terms[0] } else { terms[terms.len() - 1] + self.constant }
    }
}
