//! Columns packed for the dense tile.

use std::array;

use super::LANES;
use crate::{Error, Result};

/// One dimension of sixteen columns: a cache line.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Line(pub(super) [f32; LANES]);

/// Columns in panels of sixteen: `panel[dimension][column]`, so that one load serves sixteen columns. A reusable
/// buffer; a partial last panel is filled up with zero columns.
#[derive(Default)]
pub(crate) struct Panels {
    lines: Vec<Line>,
    length: usize,
    width: usize,
}

impl Panels {
    /// Replaces the content by `columns`, each `length` long.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`]: the panels are empty then.
    pub(crate) fn pack<'a>(
        &mut self,
        length: usize,
        mut columns: impl ExactSizeIterator<Item = &'a [f32]>,
    ) -> Result<()> {
        let width = columns.len().next_multiple_of(LANES);
        let count = length * (width / LANES);
        (self.length, self.width) = (0, 0);
        self.lines.truncate(count);
        self.lines
            .try_reserve_exact(count - self.lines.len())
            .map_err(|_| Error::OutOfMemory { what: "packed columns", bytes: count * size_of::<Line>() })?;
        self.lines.resize(count, Line([0.0; LANES]));
        (self.length, self.width) = (length, width);
        for panel in 0..width / LANES {
            let columns: [Option<&[f32]>; LANES] = array::from_fn(|_| columns.next());
            transpose(&columns, &mut self.lines[panel * length..][..length]);
        }
        Ok(())
    }

    /// Columns, rounded up to sixteen: the stride of a row of results.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// Values in a column.
    pub(crate) fn length(&self) -> usize {
        self.length
    }

    /// The lines of one panel, a dimension each.
    pub(super) fn panel(&self, panel: usize) -> &[Line] {
        &self.lines[panel * self.length..][..self.length]
    }
}

/// Writes up to sixteen columns side by side, sixteen dimensions at a time so that the lines written stay in the
/// first-level cache.
fn transpose(columns: &[Option<&[f32]>; LANES], panel: &mut [Line]) {
    for column in columns.iter().flatten() {
        assert_eq!(column.len(), panel.len(), "a column is as long as its panel");
    }
    for (block, lines) in panel.chunks_mut(LANES).enumerate() {
        for (lane, column) in columns.iter().enumerate() {
            match column {
                Some(column) => lines.iter_mut().zip(&column[block * LANES..]).for_each(|(l, v)| l.0[lane] = *v),
                None => lines.iter_mut().for_each(|line| line.0[lane] = 0.0),
            }
        }
    }
}
