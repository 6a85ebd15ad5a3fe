//! The rows of an index, and distances to them under its metric.
//!
//! A row is kept as bytes: the values of its type, padded to whole SIMD blocks. Under cosine its inverse norm stands
//! beside it, and beside a row of whole numbers what its distances as a code are made of (see `codes::whole`). Rows are
//! written at the place of their slot, and neither move nor change once they are published. A graph that wants another
//! order gets rows of its own, [`Rows::arranged`], which then take the place of those before in the [`Shelf`].
#![allow(unsafe_code)]

mod blocks;
mod elements;
mod format;
mod metric;
mod shelf;
mod stored;
mod values;
mod view;

use rayon::prelude::*;

pub(crate) use blocks::{Blocks, CHUNK_BYTES, View, Writer};
pub(crate) use format::{RowBuffer, check_block, unpadded};
pub(crate) use metric::{Padded, Space};
pub(crate) use shelf::Shelf;
pub(crate) use stored::{ReadSection, Stored};
pub use values::Values;
pub(crate) use view::{Query, RowsView, pack};

use crate::distance::BIAS;
use crate::error::{Error, Result};
use crate::memory::room;
use crate::options::Metric;

/// Stands for no place.
const NONE: u32 = u32::MAX;

pub(crate) struct Rows {
    space: Space,
    /// See [`Rows::building_views`].
    euclidean: Option<Space>,
    bytes: Blocks<u8>,
    /// Of whole numbers only, what the distances of a code are made of: under l2 |numbers|², under cosine their sum
    /// times the center, under inner product both.
    terms: Option<Blocks<f32>>,
    /// Under cosine only. NaN for a row whose norm is too far from 1 for single precision: see [`Space::finish`].
    inverse_norms: Option<Blocks<f32>>,
    /// Where the rows of the first slots are. Those after them are where their slots say.
    places: Vec<u32>,
}

impl Rows {
    pub(crate) fn new(space: Space) -> Self {
        let inverse_norms = space.normalizes().then(|| Blocks::new("norms", 1));
        Self {
            bytes: Blocks::new("vectors", space.row_bytes()),
            terms: (space.terms() > 0).then(|| Blocks::new("vectors", space.terms())),
            inverse_norms,
            places: Vec::new(),
            euclidean: space.euclidean(),
            space,
        }
    }

    /// None yet; the first that are pushed have `places` by their slots.
    pub(crate) fn at_places(space: Space, places: Vec<u32>) -> Self {
        Self { places, ..Self::new(space) }
    }

    /// The rows of a file, with what stands beside them there; those of the first slots are at `places`.
    pub(crate) fn stored<S: Stored>(
        space: Space,
        rows: S,
        terms: Option<S>,
        norms: Option<S>,
        places: Vec<u32>,
    ) -> Result<Self> {
        let bytes = rows.blocks("vectors", space.row_bytes())?;
        let terms = terms.map(|terms| terms.blocks("vectors", space.terms())).transpose()?;
        let inverse_norms = norms.map(|norms| norms.blocks("norms", 1)).transpose()?;
        Ok(Self { bytes, terms, inverse_norms, ..Self::at_places(space, places) })
    }

    pub(crate) fn reserve(&self, rows: usize) -> Result<()> {
        self.bytes.reserve(rows)?;
        self.beside().try_for_each(|blocks| blocks.reserve(rows))
    }

    /// What stands beside rows.
    fn beside(&self) -> impl Iterator<Item = &Blocks<f32>> {
        self.terms.iter().chain(&self.inverse_norms)
    }

    pub(crate) fn space(&self) -> &Space {
        &self.space
    }

    /// Published rows.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn writer(&self) -> RowsWriter<'_> {
        RowsWriter {
            rows: self,
            bytes: self.bytes.writer(),
            terms: self.terms.as_ref().map(Blocks::writer),
            inverse_norms: self.inverse_norms.as_ref().map(Blocks::writer),
            widened: Vec::new(),
        }
    }

    pub(crate) fn view(&self) -> RowsView<'_> {
        // The bytes are published last, so there is all else for every row that is seen here.
        let bytes = self.bytes.view();
        RowsView {
            space: &self.space,
            bytes,
            terms: self.terms.as_ref().map(Blocks::view),
            inverse_norms: self.inverse_norms.as_ref().map(Blocks::view),
            places: &self.places,
        }
    }

    /// The rows under each of the distances that a graph is built by.
    ///
    /// Inner product alone does not make a graph that can be walked: large rows are near to everything, and where
    /// products are negative the nearest are the small ones. So it shares the links with Euclidean distance, which
    /// leads everywhere, but for its part not from a small row to the large ones.
    pub(crate) fn building_views(&self) -> Vec<RowsView<'_>> {
        self.building_views_of(self.view())
    }

    /// As [`Rows::building_views`], of the rows that `view` has.
    pub(crate) fn building_views_of<'a>(&'a self, view: RowsView<'a>) -> Vec<RowsView<'a>> {
        let euclidean = self.euclidean.as_ref().map(|space| RowsView { space, ..view });
        euclidean.into_iter().chain([view]).collect()
    }

    /// A copy of the rows of the slots below `end`: first those at `slots`, in this order, then the others. Runs on the
    /// pool that it is called on.
    pub(crate) fn arranged(&self, slots: impl Iterator<Item = u32>, end: usize) -> Result<Self> {
        let twice = || Error::Internal("a slot that is two nodes".into());
        let (order, places) = arrangement(slots, end)?.ok_or_else(twice)?;
        let arranged = Self::at_places(self.space.clone(), places);
        arranged.take(self.view(), &order)?;
        Ok(arranged)
    }

    /// Appends the rows of all slots that it has not and `other` has.
    fn catch_up(&self, other: &Self) -> Result<()> {
        let slots = self.len() as u32..other.len() as u32;
        let mut missing = room("vectors", slots.len())?;
        missing.extend(slots);
        self.take(other.view(), &missing)
    }

    /// Appends copies of the rows at `slots`.
    fn take(&self, view: RowsView<'_>, slots: &[u32]) -> Result<()> {
        fn copy<T: elements::Zeroed + Copy>(
            from: View<'_, T>,
            to: &mut Writer<'_, T>,
            rows: RowsView<'_>,
            slots: &[u32],
        ) -> Result<()> {
            to.extend(slots.par_iter(), |&slot, block| block.copy_from_slice(from.block(rows.place(slot) as usize)))
        }
        let RowsWriter { mut bytes, mut terms, mut inverse_norms, .. } = self.writer();
        copy(view.bytes, &mut bytes, view, slots)?;
        for (from, to) in [(view.terms, &mut terms), (view.inverse_norms, &mut inverse_norms)] {
            if let (Some(from), Some(to)) = (from, to) {
                copy(from, to, view, slots)?;
                to.publish();
            }
        }
        bytes.publish();
        Ok(())
    }

    /// Bytes that the published rows take.
    pub(crate) fn bytes(&self) -> usize {
        let beside: usize = self.beside().map(|blocks| blocks.stride() * size_of::<f32>()).sum();
        self.len() * (self.space.row_bytes() + beside) + self.places.len() * size_of::<u32>()
    }
}

/// The slots below `end` in the order in which their rows are arranged, first those of `slots`, and the place of each; `None`
/// if one of these is not below `end`, or there twice.
pub(crate) fn arrangement(slots: impl Iterator<Item = u32>, end: usize) -> Result<Option<(Vec<u32>, Vec<u32>)>> {
    let (mut order, mut places) = (room("vectors", end)?, room("vectors", end)?);
    places.resize(end, NONE);
    for slot in slots {
        match places.get_mut(slot as usize) {
            Some(place) if *place == NONE => *place = order.len() as u32,
            _ => return Ok(None),
        }
        order.push(slot);
    }
    for (slot, place) in (0..).zip(&mut places).filter(|(_, place)| **place == NONE) {
        *place = order.len() as u32;
        order.push(slot);
    }
    Ok(Some((order, places)))
}

/// Appends rows that were checked before (see [`Space::check_row`]).
pub(crate) struct RowsWriter<'a> {
    rows: &'a Rows,
    bytes: Writer<'a, u8>,
    terms: Option<Writer<'a, f32>>,
    inverse_norms: Option<Writer<'a, f32>>,
    widened: Vec<f32>,
}

impl RowsWriter<'_> {
    pub(crate) fn push<'v>(&mut self, row: impl Into<Values<'v>>) -> Result<()> {
        self.push_values(row.into())
    }

    /// Appends a copy of the row of `slot` in `view`, whose rows are kept as these are.
    pub(crate) fn copy(&mut self, view: RowsView<'_>, slot: u32) -> Result<()> {
        let place = view.place(slot) as usize;
        self.bytes.push(view.bytes.block(place))?;
        for (from, to) in [(view.terms, &mut self.terms), (view.inverse_norms, &mut self.inverse_norms)] {
            if let (Some(from), Some(to)) = (from, to) {
                to.push(from.block(place))?;
            }
        }
        Ok(())
    }

    fn push_values(&mut self, row: Values<'_>) -> Result<()> {
        let (space, widened) = (&self.rows.space, &mut self.widened);
        let dtype = space.dtype();
        let beside = self.bytes.push_with(|block| {
            values::keep(dtype, row, block);
            Beside::of(space, block, widened)
        })?;
        if let Some(terms) = &mut self.terms {
            terms.push(&beside.terms[..space.terms()])?;
        }
        self.inverse_norms.as_mut().map_or(Ok(()), |norms| norms.push(&[beside.inverse_norm]))
    }

    /// All rows that were written, published or not.
    pub(crate) fn written(&self) -> RowsView<'_> {
        RowsView {
            space: &self.rows.space,
            bytes: self.bytes.written(),
            terms: self.terms.as_ref().map(Writer::written),
            inverse_norms: self.inverse_norms.as_ref().map(Writer::written),
            places: &self.rows.places,
        }
    }

    pub(crate) fn publish(&mut self) {
        self.publish_below(usize::MAX);
    }

    /// Lets readers see what was written of the rows below `end`.
    pub(crate) fn publish_below(&mut self, end: usize) {
        self.terms.iter_mut().chain(&mut self.inverse_norms).for_each(|blocks| blocks.publish_below(end));
        self.bytes.publish_below(end);
    }
}

/// What stands beside a row.
#[derive(Clone, Copy, Default)]
pub(crate) struct Beside {
    /// As many as [`Space::terms`] says.
    terms: [f32; 2],
    inverse_norm: f32,
}

impl Beside {
    /// Of the row whose bytes are `block`; where there is nothing, anything.
    pub(crate) fn of(space: &Space, block: &[u8], widened: &mut Vec<f32>) -> Self {
        let dtype = space.dtype();
        if dtype.is_whole() {
            let numbers = Numbers::of(&block[..space.dimensions()]);
            let (squares, along) = (numbers.squares as f32, numbers.sum as f32 * space.center());
            let terms = match space.metric() {
                Metric::L2 => [squares, 0.0],
                Metric::Cosine => [along, 0.0],
                Metric::InnerProduct => [squares, along],
            };
            return Self { terms, inverse_norm: numbers.inverse_norm(space) };
        }
        if !space.normalizes() {
            return Self::default();
        }
        widened.resize(space.padded(), 0.0);
        assert!(block.len() == space.row_bytes() && block.as_ptr().cast::<f32>().is_aligned(), "a block of rows");
        // SAFETY: the block holds as many values as a padded row, and is aligned as values are.
        unsafe { space.kernels().widen(dtype, block.as_ptr(), widened) };
        Self { inverse_norm: space.inverse_norm(widened), ..Self::default() }
    }

    /// Whether it is what a file has: terms, and then the norm, as far as there are such.
    pub(crate) fn is(&self, space: &Space, stored: impl Iterator<Item = f32>) -> bool {
        let norm = space.normalizes().then_some(self.inverse_norm);
        let own = self.terms[..space.terms()].iter().copied().chain(norm);
        own.zip(stored)
            .all(|(own, stored): (f32, f32)| own.to_bits() == stored.to_bits() || own.is_nan() && stored.is_nan())
    }
}

/// Sums over the numbers that the bytes of a row stand for as a code.
#[derive(Clone, Copy, Default)]
struct Numbers {
    sum: i32,
    squares: i32,
}

impl Numbers {
    /// Exact: there are at most 65,536 of them, each within ±128.
    fn of(bytes: &[u8]) -> Self {
        bytes.iter().fold(Self::default(), |Self { sum, squares }, &byte| {
            let number = i32::from(byte) - i32::from(BIAS);
            Self { sum: sum + number, squares: squares + number * number }
        })
    }

    /// 1 / |values| of the row.
    fn inverse_norm(self, space: &Space) -> f32 {
        let (center, dimensions) = (f64::from(space.center()), space.dimensions() as f64);
        let squares = f64::from(self.squares) + 2.0 * center * f64::from(self.sum) + center * center * dimensions;
        (1.0 / squares.sqrt()) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distance::Dtype;

    #[test]
    fn arranged_rows_are_the_same_by_their_slots() {
        for dtype in Dtype::ALL {
            for metric in [Metric::L2, Metric::Cosine, Metric::InnerProduct] {
                let rows = Rows::new(Space::new(metric, 3).keeping(dtype));
                let add = |rows: &Rows, slots: std::ops::Range<u8>| {
                    let mut writer = rows.writer();
                    slots.for_each(|slot| writer.push(&[slot, 1, slot / 2]).unwrap());
                    writer.publish();
                };
                add(&rows, 0..100);
                let order = (0..100).rev().filter(|slot| slot % 7 != 3);
                let arranged = rows.arranged(order.collect::<Vec<u32>>().into_iter(), 100).unwrap();
                assert_eq!(arranged.view().place(99), 0);
                add(&rows, 100..120);
                arranged.catch_up(&rows).unwrap();
                for rows in [&arranged, &arranged.arranged([5, 2].into_iter(), 110).unwrap()] {
                    let (view, expected) = (rows.view(), self::Rows::view(&arranged));
                    let (mut mine, mut others) = (Vec::new(), Vec::new());
                    for slot in 0..rows.len() as u32 {
                        assert_eq!(view.given(slot, &mut mine), [slot as f32, 1.0, (slot / 2) as f32]);
                        assert_eq!(view.given(slot, &mut mine), expected.given(slot, &mut others));
                        let mut query = Padded::default();
                        let mut distances = [0.0; 2];
                        view.score(view.query(slot, &mut query), &[slot, 1], &mut distances);
                        assert!(distances[0] <= if metric == Metric::Cosine { 1e-6 } else { 0.0 });
                    }
                }
            }
        }
    }
}
