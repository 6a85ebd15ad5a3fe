//! Weights packed for the dense tile of codes.
#![allow(unsafe_code)]

use super::{BIAS, ByteKernels, COLUMNS, LINE};
use crate::error::{Error, Result};

/// Four dimensions of sixteen columns: a cache line.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct Line(pub(super) [[i8; 4]; COLUMNS]);

/// A column to pack: a code, and what its distances are made of (see [`super::ByteKernels::tile`]).
#[derive(Clone, Copy)]
pub(crate) struct Column<'a> {
    pub(crate) code: &'a [u8],
    pub(crate) scale: f32,
    pub(crate) term: f32,
}

/// Columns in panels of sixteen, four dimensions at a time, so that one load serves sixteen columns. A reusable buffer.
#[derive(Default)]
pub(crate) struct BytePanels {
    lines: Vec<Line>,
    /// Groups of four dimensions.
    depth: usize,
    panels: Vec<Panel>,
    blank: Vec<u8>,
}

/// What belongs to the columns of a panel.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Panel {
    pub(super) scales: [f32; COLUMNS],
    pub(super) terms: [f32; COLUMNS],
    /// By what a product of a code with the column's weights is too high.
    pub(super) excess: [i32; COLUMNS],
}

impl Panel {
    /// Columns that nothing is near to.
    const EMPTY: Self = Self { scales: [0.0; COLUMNS], terms: [f32::INFINITY; COLUMNS], excess: [0; COLUMNS] };
}

impl BytePanels {
    /// Replaces the content by `columns`, codes of `dimensions` numbers each.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`]: the panels are empty then.
    pub(crate) fn pack<'a>(
        &mut self,
        kernels: &ByteKernels,
        dimensions: usize,
        mut columns: impl ExactSizeIterator<Item = Column<'a>>,
    ) -> Result<()> {
        let (depth, count) = (dimensions.div_ceil(4), columns.len().div_ceil(COLUMNS));
        self.panels.clear();
        let refused = |_| Error::OutOfMemory { what: "packed columns", bytes: depth * count * size_of::<Line>() };
        self.lines.try_reserve((depth * count).saturating_sub(self.lines.len())).map_err(refused)?;
        self.panels.try_reserve(count).map_err(refused)?;
        self.depth = depth;
        self.lines.resize(depth * count, Line([[0; 4]; COLUMNS]));
        self.panels.resize(count, Panel::EMPTY);
        // What stands for the columns that fill up the last panel: numbers that are all 0.
        let padded = dimensions.next_multiple_of(LINE);
        self.blank.resize(padded, BIAS);
        for (panel, lines) in self.panels.iter_mut().zip(self.lines.chunks_mut(depth)) {
            let mut codes = [self.blank.as_ptr(); COLUMNS];
            for (lane, column) in columns.by_ref().take(COLUMNS).enumerate() {
                assert!(column.code.len() >= padded, "a padded code");
                (codes[lane], panel.scales[lane], panel.terms[lane]) =
                    (column.code.as_ptr(), column.scale, column.term);
            }
            // SAFETY: every code is as long as `dimensions`, padded to whole cache lines.
            let sums = unsafe { kernels.pack(&codes, lines) };
            panel.excess = sums.map(|sum| i32::from(BIAS) * sum);
        }
        Ok(())
    }

    /// Columns, rounded up to sixteen: the stride of a row of results.
    pub(crate) fn width(&self) -> usize {
        self.panels.len() * COLUMNS
    }

    /// Bytes of a row that a tile reads.
    pub(crate) fn length(&self) -> usize {
        4 * self.depth
    }

    pub(super) fn depth(&self) -> usize {
        self.depth
    }

    pub(super) fn panels(&self) -> &[Panel] {
        &self.panels
    }

    /// The lines of one panel, four dimensions each.
    pub(super) fn lines(&self, panel: usize) -> &[Line] {
        &self.lines[panel * self.depth..][..self.depth]
    }
}
