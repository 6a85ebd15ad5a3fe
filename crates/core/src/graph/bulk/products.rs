//! The dense products that a bulk build spends most of its time with, behind one small trait.

use crate::distance::bytes::{ByteKernels, COLUMNS, Least, MOST_POSITIONS, Near};
use crate::error::Result;
use crate::graph::{PointPanels, PointsView};
use crate::pools::{Turns, giving_way};
use crate::topk::Key;

/// Rows a tile: as many as are summed in registers, so that their distances stay in the first-level cache.
const ROWS: usize = 8;

/// Rows a work unit, of some ten microseconds.
const UNIT: usize = 4 * ROWS;

/// Rows that are told what they have found before it gives way to queries.
const VISITED_AT_ONCE: usize = 128;

/// The most neighbors a row.
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
        turns: Turns<'_>,
        visit: &mut dyn FnMut(usize, &[Key]),
    ) -> Result<bool>;

    /// For each of `nodes` in order, calls `visit` with its position and the positions of its `k` nearest among them,
    /// nearest first. False if it was stopped on the way.
    fn leaf(
        &mut self,
        points: &PointsView<'_>,
        nodes: &[u32],
        k: usize,
        turns: Turns<'_>,
        visit: &mut dyn FnMut(usize, &[u32]),
    ) -> Result<bool>;
}

/// On this CPU, by the tile of codes or of rows.
pub(super) struct Cpu {
    kernels: &'static ByteKernels,
    panels: PointPanels,
    distances: Vec<f32>,
    least: Least,
    near: Near,
}

impl Cpu {
    pub(super) fn new() -> Self {
        Self {
            kernels: ByteKernels::get(),
            panels: PointPanels::default(),
            distances: Vec::new(),
            least: Least::default(),
            near: Near::default(),
        }
    }
}

impl Products for Cpu {
    fn nearest(
        &mut self,
        points: &PointsView<'_>,
        rows: &[u32],
        columns: &[u32],
        k: usize,
        turns: Turns<'_>,
        visit: &mut dyn FnMut(usize, &[Key]),
    ) -> Result<bool> {
        let k = k.min(MOST);
        match turns.next() {
            Some(_turn) => points.pack(columns, &mut self.panels)?,
            None => return Ok(false),
        }
        let width = points.width(&self.panels);
        let is_square = std::ptr::eq(rows, columns);
        for (unit, rows) in rows.chunks(UNIT).enumerate() {
            let Some(_turn) = turns.next() else {
                return Ok(false);
            };
            for (block, rows) in giving_way(rows.chunks(ROWS).enumerate(), 1) {
                self.distances.resize(rows.len() * width, 0.0);
                points.tile(rows, &self.panels, &mut self.distances);
                for (row, _) in rows.iter().enumerate() {
                    let position = unit * UNIT + block * ROWS + row;
                    if is_square {
                        self.distances[row * width + position] = f32::INFINITY;
                    }
                    let distances = &self.distances[row * width..][..width];
                    let keys = self.kernels.nearest(distances, k, &mut self.least);
                    if keys.len() < k.min(columns.len()) {
                        visit(position, &filled_up(keys, k, columns.len(), is_square.then_some(position)));
                    } else {
                        visit(position, keys);
                    }
                }
            }
        }
        Ok(true)
    }

    fn leaf(
        &mut self,
        points: &PointsView<'_>,
        nodes: &[u32],
        k: usize,
        turns: Turns<'_>,
        visit: &mut dyn FnMut(usize, &[u32]),
    ) -> Result<bool> {
        if !points.has_codes() || nodes.len() > MOST_POSITIONS {
            let mut near = [0; MOST];
            let mut visit_keys = |position: usize, keys: &[Key]| {
                near.iter_mut().zip(keys).for_each(|(near, key)| *near = key.slot());
                visit(position, &near[..keys.len()]);
            };
            return self.nearest(points, nodes, nodes, k, turns, &mut visit_keys);
        }
        match turns.next() {
            Some(_turn) => points.pack(nodes, &mut self.panels)?,
            None => return Ok(false),
        }
        points.reset_near(k.min(MOST), &self.panels, &mut self.near);
        for panel in 0..nodes.len().div_ceil(COLUMNS) {
            let Some(_turn) = turns.next() else {
                return Ok(false);
            };
            points.near(nodes, &self.panels, panel, &mut self.near);
        }
        let mut near = [0; MOST];
        for position in giving_way(0..nodes.len(), VISITED_AT_ONCE) {
            let found = self.near.of(position, nodes.len());
            let count = near.iter_mut().zip(found).map(|(near, found)| *near = found).count();
            visit(position, &near[..count]);
        }
        Ok(true)
    }
}

/// `keys`, and columns at an infinite distance, the first that are not there, up to `k`.
#[cold]
fn filled_up(keys: &[Key], k: usize, columns: usize, itself: Option<usize>) -> Vec<Key> {
    let is_left = |&column: &u32| Some(column as usize) != itself && keys.iter().all(|key| key.slot() != column);
    let left = (0..columns as u32).filter(is_left).map(|column| Key::new(f32::INFINITY, column));
    keys.iter().copied().chain(left).take(k).collect()
}
