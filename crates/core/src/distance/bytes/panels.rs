//! Weights packed for the dense tile of codes.

use super::{BIAS, COLUMNS};
use crate::error::{Error, Result};

/// Four dimensions of sixteen columns: a cache line.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Line(pub(super) [[i8; 4]; COLUMNS]);

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
    /// Replaces the content by `columns` of `dimensions` bytes each.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`]: the panels are empty then.
    pub(crate) fn pack<'a>(
        &mut self,
        dimensions: usize,
        mut columns: impl ExactSizeIterator<Item = Column<'a>>,
    ) -> Result<()> {
        let (depth, count) = (dimensions.div_ceil(4), columns.len().div_ceil(COLUMNS));
        self.panels.clear();
        self.lines.clear();
        let refused = |_| Error::OutOfMemory { what: "packed columns", bytes: depth * count * size_of::<Line>() };
        self.lines.try_reserve(depth * count).map_err(refused)?;
        self.panels.try_reserve(count).map_err(refused)?;
        self.depth = depth;
        self.lines.resize(depth * count, Line([[0; 4]; COLUMNS]));
        self.panels.resize(count, Panel::EMPTY);
        for (panel, lines) in self.panels.iter_mut().zip(self.lines.chunks_mut(depth)) {
            for lane in 0..COLUMNS {
                match columns.next() {
                    Some(column) => panel.set(lane, &column, lines),
                    None => lines.iter_mut().for_each(|line| line.0[lane] = [0; 4]),
                }
            }
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

impl Panel {
    fn set(&mut self, lane: usize, column: &Column<'_>, lines: &mut [Line]) {
        let sum: i32 = column.code.iter().map(|&byte| i32::from((byte ^ BIAS) as i8)).sum();
        // Codes are padded to more than four bytes, so there is a whole group for every line.
        for (line, &group) in lines.iter_mut().zip(column.code.as_chunks::<4>().0) {
            line.0[lane] = group.map(|byte| (byte ^ BIAS) as i8);
        }
        self.scales[lane] = column.scale;
        self.terms[lane] = column.term;
        self.excess[lane] = i32::from(BIAS) * sum;
    }
}
