//! The rows of an index, and distances to them under its metric.
//!
//! A row is kept as it was given, padded with zeros to whole SIMD blocks; under cosine its inverse norm stands beside
//! it. Rows never move and, once published, never change.
#![allow(unsafe_code)]

mod blocks;
mod metric;

use std::ptr;

pub(crate) use blocks::{Blocks, View, Writer};
pub(crate) use metric::{Padded, Space};

use crate::distance::Panels;
use crate::error::Result;

/// Rows scored by one call of a kernel: the pointers to them fit on the stack.
const GROUP: usize = 64;

pub(crate) struct Rows {
    space: Space,
    /// See [`Rows::building_views`].
    euclidean: Option<Space>,
    values: Blocks<f32>,
    /// Under cosine only. NaN for a row whose norm is too far from 1 for single precision: see [`Space::finish`].
    inverse_norms: Option<Blocks<f32>>,
}

impl Rows {
    pub(crate) fn new(space: Space) -> Self {
        let inverse_norms = space.normalizes().then(|| Blocks::new("norms", 1));
        Self { values: Blocks::new("vectors", space.padded()), inverse_norms, euclidean: space.euclidean(), space }
    }

    pub(crate) fn reserve(&self, rows: usize) -> Result<()> {
        self.values.reserve(rows)?;
        self.inverse_norms.as_ref().map_or(Ok(()), |norms| norms.reserve(rows))
    }

    pub(crate) fn writer(&self) -> RowsWriter<'_> {
        RowsWriter {
            space: &self.space,
            values: self.values.writer(),
            inverse_norms: self.inverse_norms.as_ref().map(Blocks::writer),
        }
    }

    pub(crate) fn view(&self) -> RowsView<'_> {
        // The values are published last, so there is a norm for every row that is seen here.
        let values = self.values.view();
        RowsView { space: &self.space, values, inverse_norms: self.inverse_norms.as_ref().map(Blocks::view) }
    }

    /// The rows under each of the distances that a graph is built by.
    ///
    /// Inner product alone does not make a graph that can be walked: large rows are near to everything, and where
    /// products are negative the nearest are the small ones. So it shares the links with Euclidean distance, which
    /// leads everywhere, but for its part not from a small row to the large ones.
    pub(crate) fn building_views(&self) -> Vec<RowsView<'_>> {
        let view = self.view();
        let euclidean = self.euclidean.as_ref().map(|space| RowsView { space, ..view });
        euclidean.into_iter().chain([view]).collect()
    }

    /// Bytes that the published rows take.
    pub(crate) fn bytes(&self) -> usize {
        let a_row = self.space.padded() * size_of::<f32>();
        let a_norm = if self.inverse_norms.is_some() { size_of::<f32>() } else { 0 };
        self.values.len() * (a_row + a_norm)
    }
}

/// Appends rows that were checked before (see [`Space::check`]).
pub(crate) struct RowsWriter<'a> {
    space: &'a Space,
    values: Writer<'a, f32>,
    inverse_norms: Option<Writer<'a, f32>>,
}

impl RowsWriter<'_> {
    pub(crate) fn push(&mut self, row: &[f32]) -> Result<()> {
        if let Some(norms) = &mut self.inverse_norms {
            norms.push(&[self.space.inverse_norm(row)])?;
        }
        self.values.push(row)
    }

    pub(crate) fn publish(&mut self) {
        self.publish_below(usize::MAX);
    }

    /// Lets readers see what was written of the rows below `end`.
    pub(crate) fn publish_below(&mut self, end: usize) {
        if let Some(norms) = &mut self.inverse_norms {
            norms.publish_below(end);
        }
        self.values.publish_below(end);
    }
}

/// Packs `columns` for [`RowsView::tile`].
pub(crate) fn pack(columns: &[Query<'_>], panels: &mut Panels) -> Result<()> {
    let length = columns.first().map_or(0, |column| column.values.len());
    panels.pack(length, columns.iter().map(|column| column.values))
}

/// The rows that were published when it was taken.
#[derive(Clone, Copy)]
pub(crate) struct RowsView<'a> {
    space: &'a Space,
    values: View<'a, f32>,
    inverse_norms: Option<View<'a, f32>>,
}

/// A vector that rows are compared with: padded values, and under cosine their inverse norm.
#[derive(Clone, Copy)]
pub(crate) struct Query<'a> {
    pub(crate) values: &'a [f32],
    pub(crate) inverse_norm: f32,
}

impl<'a> RowsView<'a> {
    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }

    pub(crate) fn space(&self) -> &'a Space {
        self.space
    }

    /// The row at `slot`, padded.
    pub(crate) fn row(&self, slot: u32) -> &'a [f32] {
        self.values.block(slot as usize)
    }

    /// The row at `slot`, as it was given.
    pub(crate) fn given(&self, slot: u32) -> &'a [f32] {
        &self.row(slot)[..self.space.dimensions()]
    }

    /// The row at `slot` as a query.
    pub(crate) fn query(&self, slot: u32) -> Query<'a> {
        Query { values: self.row(slot), inverse_norm: self.inverse_norm(slot) }
    }

    /// `values`, which must be padded and checked, as a query.
    pub(crate) fn foreign<'q>(&self, values: &'q Padded) -> Query<'q> {
        let inverse_norm = if self.inverse_norms.is_some() { self.space.inverse_norm(values) } else { 1.0 };
        Query { values, inverse_norm }
    }

    /// The distances of the rows at `slots` from `query`, into `distances` (of the same length).
    #[inline]
    pub(crate) fn score(&self, query: Query<'_>, slots: &[u32], distances: &mut [f32]) {
        assert_eq!(slots.len(), distances.len(), "a distance a slot");
        assert_eq!(query.values.len(), self.space.padded(), "a padded query");
        for (slots, distances) in slots.chunks(GROUP).zip(distances.chunks_mut(GROUP)) {
            let mut pointers = [ptr::null(); GROUP];
            for (pointer, &slot) in pointers.iter_mut().zip(slots) {
                *pointer = self.values.pointer(slot as usize);
            }
            // SAFETY: each pointer leads to a published row of `padded` aligned values, and so the query's length.
            unsafe {
                self.space.kernels().many(self.space.raw(), query.values, &pointers[..slots.len()], distances);
            }
            for (distance, &slot) in distances.iter_mut().zip(slots) {
                *distance = self.finish(*distance, query, slot);
            }
        }
    }

    /// The distances of the rows at `slots` from all `columns`, row-major with a stride of `panels.width()`; `panels`
    /// holds the columns' values. Entries beyond the columns are meaningless.
    pub(crate) fn tile(&self, slots: &[u32], columns: &[Query<'_>], panels: &Panels, distances: &mut [f32]) {
        let rows: Vec<&[f32]> = slots.iter().map(|&slot| self.row(slot)).collect();
        self.space.kernels().tile(self.space.raw(), &rows, panels, distances);
        for (&slot, distances) in slots.iter().zip(distances.chunks_mut(panels.width())) {
            for (distance, &column) in distances.iter_mut().zip(columns) {
                *distance = self.finish(*distance, column, slot);
            }
        }
    }

    fn inverse_norm(&self, slot: u32) -> f32 {
        self.inverse_norms.map_or(1.0, |norms| norms.block(slot as usize)[0])
    }

    /// From what a kernel computed to the metric's distance.
    #[inline]
    fn finish(&self, raw: f32, query: Query<'_>, slot: u32) -> f32 {
        let distance = self.space.finish(raw, query.inverse_norm, self.inverse_norm(slot));
        if distance.is_finite() { distance } else { self.space.precise(query.values, self.row(slot)) }
    }
}
