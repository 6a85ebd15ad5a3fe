//! The dense products that a bulk build spends most of its time with, behind one small trait.

use crate::distance::bytes::{ByteKernels, COLUMNS};
use crate::error::Result;
use crate::graph::{PointPanels, PointsView};
use crate::topk::Key;

/// Rows a work unit: enough that the columns pay for coming into the cache, some ten microseconds.
const ROWS: usize = 16;

/// The most neighbors a row: as many as there are lanes of minima, which bound them.
pub(super) const MOST: usize = COLUMNS;

/// All distances between two sets of nodes, reduced to the nearest few of each row. A backend for other hardware takes
/// both sets, and returns what is left: `k` columns a row.
pub(super) trait Products {
    /// For each of `rows` in order, calls `visit` with its position and its `k` nearest columns (positions, nearest
    /// first), itself left out. False if it was stopped on the way.
    fn nearest(
        &mut self,
        points: &PointsView<'_>,
        rows: &[u32],
        columns: &[u32],
        k: usize,
        stopped: &dyn Fn() -> bool,
        visit: &mut dyn FnMut(usize, &[Key]),
    ) -> Result<bool>;
}

/// On this CPU, by the tile of codes or of rows.
pub(super) struct Cpu {
    kernels: &'static ByteKernels,
    panels: PointPanels,
    distances: Vec<f32>,
    positions: Vec<u32>,
    keys: Vec<Key>,
}

impl Cpu {
    pub(super) fn new() -> Self {
        let (distances, positions, keys) = (Vec::new(), Vec::new(), Vec::new());
        Self { kernels: ByteKernels::get(), panels: PointPanels::default(), distances, positions, keys }
    }

    /// The `k` nearest of the distances in row `row` of the tile, into `self.keys`.
    fn select(&mut self, row: usize, width: usize, k: usize) {
        let distances = &self.distances[row * width..][..width];
        // At least `k` distances are at most the k-th of the lanes' minima: few more than are wanted.
        let mut minima = self.kernels.minima(distances);
        let (_, &mut bound, _) = minima.select_nth_unstable_by(k - 1, f32::total_cmp);
        self.kernels.below(distances, bound.min(f32::MAX), &mut self.positions);
        self.keys.clear();
        self.keys.extend(self.positions.iter().map(|&position| Key::new(distances[position as usize], position)));
        self.keys.sort_unstable();
        self.keys.truncate(k);
    }
}

impl Products for Cpu {
    fn nearest(
        &mut self,
        points: &PointsView<'_>,
        rows: &[u32],
        columns: &[u32],
        k: usize,
        stopped: &dyn Fn() -> bool,
        visit: &mut dyn FnMut(usize, &[Key]),
    ) -> Result<bool> {
        points.pack(columns, &mut self.panels)?;
        let width = points.width(&self.panels);
        let is_square = std::ptr::eq(rows, columns);
        for (block, rows) in rows.chunks(ROWS).enumerate() {
            if stopped() {
                return Ok(false);
            }
            self.distances.resize(rows.len() * width, 0.0);
            points.tile(rows, &self.panels, &mut self.distances);
            for (row, _) in rows.iter().enumerate() {
                let position = block * ROWS + row;
                if is_square {
                    self.distances[row * width + position] = f32::INFINITY;
                }
                self.select(row, width, k.min(MOST));
                visit(position, &self.keys);
            }
        }
        Ok(true)
    }
}
