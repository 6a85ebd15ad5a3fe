//! Rows as searches see them.
#![allow(unsafe_code)]

use std::ptr;

use super::{Padded, Space, View};
use crate::distance::{Dtype, Panels};
use crate::error::Result;

/// Rows scored by one call of a kernel: the pointers to them fit on the stack.
const GROUP: usize = 64;

/// The rows that were published when it was taken. They are known by their slots, and by their places.
#[derive(Clone, Copy)]
pub(crate) struct RowsView<'a> {
    pub(super) space: &'a Space,
    pub(super) bytes: View<'a, u8>,
    pub(super) terms: Option<View<'a, f32>>,
    pub(super) inverse_norms: Option<View<'a, f32>>,
    pub(super) places: &'a [u32],
}

/// A vector that rows are compared with: padded values, and under cosine their inverse norm.
#[derive(Clone, Copy)]
pub(crate) struct Query<'a> {
    pub(crate) values: &'a [f32],
    pub(crate) inverse_norm: f32,
}

/// Packs `columns` for [`RowsView::tile`].
pub(crate) fn pack(columns: &[Query<'_>], panels: &mut Panels) -> Result<()> {
    let length = columns.first().map_or(0, |column| column.values.len());
    panels.pack(length, columns.iter().map(|column| column.values))
}

impl<'a> RowsView<'a> {
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn space(&self) -> &'a Space {
        self.space
    }

    /// Where the row of `slot` is.
    #[inline]
    pub(crate) fn place(&self, slot: u32) -> u32 {
        self.places.get(slot as usize).copied().unwrap_or(slot)
    }

    /// To be called before the rows at `places`, or what stands beside them, are read, where they may be in a file.
    #[inline]
    pub(crate) fn touch(&self, places: &[u32]) {
        self.bytes.touch_all(places);
        self.terms.iter().chain(&self.inverse_norms).for_each(|blocks| blocks.touch_all(places));
    }

    /// The same rows, once that at `place` was touched.
    pub(crate) fn touched(&self, place: u32) -> Self {
        self.touch(&[place]);
        *self
    }

    /// The bytes of the row of `slot`, without padding.
    pub(crate) fn bytes(&self, slot: u32) -> &'a [u8] {
        let length = self.space.dimensions() * self.space.dtype().bytes();
        &self.block(self.place(slot))[..length]
    }

    /// Whether the rows of two slots have the same values; −0 is 0.
    pub(crate) fn are_equal(&self, slot: u32, other: u32) -> bool {
        match (self.single(self.place(slot)), self.single(self.place(other))) {
            (Some(row), Some(other)) => row == other,
            _ if self.space.dtype().is_whole() => self.bytes(slot) == self.bytes(other),
            _ => {
                let is_equal = |(a, b): (&[u8; 2], &[u8; 2])| {
                    let (a, b) = (u16::from_ne_bytes(*a), u16::from_ne_bytes(*b));
                    a == b || (a | b) & 0x7FFF == 0
                };
                self.bytes(slot).as_chunks().0.iter().zip(self.bytes(other).as_chunks().0).all(is_equal)
            }
        }
    }

    /// All bytes of the row at `place`.
    pub(crate) fn block(&self, place: u32) -> &'a [u8] {
        self.touch(&[place]);
        self.bytes.block(place as usize)
    }

    /// Where the row at `place` begins; all its bytes may be read from there.
    #[inline]
    pub(crate) fn pointer(&self, place: u32) -> *const u8 {
        self.bytes.pointer(place as usize)
    }

    /// What stands beside the row at `place` if it is one of whole numbers.
    #[inline]
    pub(crate) fn terms(&self, place: u32) -> &'a [f32] {
        self.terms.map_or(&[], |terms| terms.block(place as usize))
    }

    /// The row of `slot`, in `buffer` unless it can be had without.
    pub(crate) fn given<'b>(&self, slot: u32, buffer: &'b mut Vec<f32>) -> &'b [f32]
    where
        'a: 'b,
    {
        let place = self.place(slot);
        self.touch(&[place]);
        let row = match self.single(place) {
            Some(row) => row,
            None => {
                buffer.resize(self.space.padded(), 0.0);
                self.widen(place, buffer);
                buffer
            }
        };
        &row[..self.space.dimensions()]
    }

    /// The row of `slot` as a query, in `buffer` unless it can be had without.
    pub(crate) fn query<'b>(&self, slot: u32, buffer: &'b mut Padded) -> Query<'b>
    where
        'a: 'b,
    {
        if self.space.dtype() != Dtype::F32 {
            let values = buffer.room(self.space.padded());
            let place = self.place(slot);
            self.touch(&[place]);
            self.widen(place, values);
            values[self.space.dimensions()..].fill(self.space.filler());
        }
        self.column(slot, buffer)
    }

    /// The row of `slot` as a query; `buffer` has what [`RowsView::query`] put there.
    pub(crate) fn column<'b>(&self, slot: u32, buffer: &'b Padded) -> Query<'b>
    where
        'a: 'b,
    {
        let place = self.place(slot);
        self.touch(&[place]);
        Query { values: self.single(place).unwrap_or(buffer), inverse_norm: self.inverse_norm(place) }
    }

    /// `values`, which must be padded and checked, as a query.
    pub(crate) fn foreign<'q>(&self, values: &'q Padded) -> Query<'q> {
        let inverse_norm = if self.inverse_norms.is_some() { self.space.inverse_norm(values) } else { 1.0 };
        Query { values, inverse_norm }
    }

    /// Whether the rows of all `slots` are as far from `query`, as they are in data of few values: which of them comes first
    /// does not matter then.
    #[cold]
    pub(crate) fn are_as_near(&self, query: Query<'_>, slots: impl Iterator<Item = u32>) -> bool {
        let mut distances = slots.map(|slot| {
            let mut distance = [0.0];
            self.score(query, &[slot], &mut distance);
            distance[0]
        });
        let first = distances.next();
        distances.all(|distance| Some(distance) == first)
    }

    /// The distances of the rows of `slots` from `query`, into `distances` (of the same length).
    #[inline]
    pub(crate) fn score(&self, query: Query<'_>, slots: &[u32], distances: &mut [f32]) {
        assert_eq!(slots.len(), distances.len(), "a distance a slot");
        for (slots, distances) in slots.chunks(GROUP).zip(distances.chunks_mut(GROUP)) {
            let mut places = [0; GROUP];
            places.iter_mut().zip(slots).for_each(|(place, &slot)| *place = self.place(slot));
            self.score_places(query, &places[..slots.len()], distances);
        }
    }

    /// The distances of the rows at `places` from `query`, into `distances` (of the same length).
    #[inline]
    pub(crate) fn score_places(&self, query: Query<'_>, places: &[u32], distances: &mut [f32]) {
        assert_eq!(places.len(), distances.len(), "a distance a place");
        assert_eq!(query.values.len(), self.space.padded(), "a padded query");
        self.touch(places);
        for (places, distances) in places.chunks(GROUP).zip(distances.chunks_mut(GROUP)) {
            let mut pointers = [ptr::null(); GROUP];
            for (pointer, &place) in pointers.iter_mut().zip(places) {
                *pointer = self.pointer(place);
            }
            let (kernels, raw, dtype) = (self.space.kernels(), self.space.raw(), self.space.dtype());
            // SAFETY: each pointer leads to a published, aligned row of at least `padded` values, and so the query's
            // length.
            unsafe { kernels.many(raw, dtype, query.values, &pointers[..places.len()], distances) };
            for (distance, &place) in distances.iter_mut().zip(places) {
                *distance = self.finish(*distance, query, place);
            }
        }
    }

    /// The distances of the rows at `places` from all `columns`, row-major with a stride of `panels.width()`; `panels`
    /// holds the columns' values. Entries beyond the columns are meaningless.
    pub(crate) fn tile(&self, places: &[u32], columns: &[Query<'_>], panels: &Panels, distances: &mut [f32]) {
        self.touch(places);
        let widened = self.widened(places);
        let rows: Vec<&[f32]> = match widened.chunks_exact(self.space.padded()) {
            rows if rows.len() > 0 => rows.collect(),
            _ => places.iter().filter_map(|&place| self.single(place)).collect(),
        };
        self.space.kernels().tile(self.space.raw(), &rows, panels, distances);
        for (&place, distances) in places.iter().zip(distances.chunks_mut(panels.width())) {
            for (distance, &column) in distances.iter_mut().zip(columns) {
                *distance = self.finish(*distance, column, place);
            }
        }
    }

    /// The padded rows at `places` one after the other, or nothing where they can be had without copying.
    fn widened(&self, places: &[u32]) -> Vec<f32> {
        if self.space.dtype() == Dtype::F32 {
            return Vec::new();
        }
        let mut widened = vec![0.0; places.len() * self.space.padded()];
        for (&place, row) in places.iter().zip(widened.chunks_exact_mut(self.space.padded())) {
            self.widen(place, row);
        }
        widened
    }

    /// The padded row at `place`, if its values are in single precision.
    fn single(&self, place: u32) -> Option<&'a [f32]> {
        // SAFETY: a block of so many values, aligned, as `Rows` makes them; any bits are an f32.
        let row = || unsafe { std::slice::from_raw_parts(self.pointer(place).cast(), self.space.padded()) };
        (self.space.dtype() == Dtype::F32).then(row)
    }

    /// Writes the padded row at `place` to `out`, which is as long.
    fn widen(&self, place: u32, out: &mut [f32]) {
        assert_eq!(out.len(), self.space.padded(), "room for a padded row");
        // SAFETY: a block holds at least as many values as a padded row, and blocks are aligned.
        unsafe { self.space.kernels().widen(self.space.dtype(), self.pointer(place), out) };
    }

    pub(crate) fn inverse_norm(&self, place: u32) -> f32 {
        self.inverse_norms.map_or(1.0, |norms| norms.block(place as usize)[0])
    }

    /// From what a kernel computed to the metric's distance.
    #[inline]
    fn finish(&self, raw: f32, query: Query<'_>, place: u32) -> f32 {
        let distance = self.space.finish(raw, query.inverse_norm, self.inverse_norm(place));
        if distance.is_finite() { distance } else { self.precise(query, place) }
    }

    #[cold]
    fn precise(&self, query: Query<'_>, place: u32) -> f32 {
        let mut row = vec![0.0; self.space.padded()];
        self.widen(place, &mut row);
        let dimensions = self.space.dimensions();
        self.space.precise(&query.values[..dimensions], &row[..dimensions])
    }
}
