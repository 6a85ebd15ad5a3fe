//! Comparing many nodes with many, packed as columns.

use super::{GROUP, Kind, PointsView};
use crate::distance::Panels;
use crate::distance::bytes::{BytePanels, COLUMNS, Near};
use crate::error::Result;
use crate::vectors::{Padded, Query, pack};

/// Nodes packed as columns for [`PointsView::tile`].
#[derive(Default)]
pub(crate) struct PointPanels {
    bytes: BytePanels,
    /// Those of rows that are their own codes, where the columns need them.
    inverse_norms: Vec<f32>,
    floats: Panels,
    nodes: Vec<u32>,
    rows: Vec<Padded>,
}

impl<'a> PointsView<'a> {
    /// Packs `nodes` as columns.
    pub(crate) fn pack(&self, nodes: &[u32], panels: &mut PointPanels) -> Result<()> {
        match self.kind {
            Kind::Codes(codes) => codes.pack(nodes, &mut panels.bytes),
            Kind::Whole(whole) => {
                panels.nodes.clear();
                panels.nodes.extend(nodes.iter().map(|&node| self.place(node)));
                whole.pack(&panels.nodes, &mut panels.bytes, &mut panels.inverse_norms)
            }
            Kind::Rows => {
                panels.nodes.clear();
                panels.nodes.extend_from_slice(nodes);
                panels.rows.resize_with(nodes.len(), Padded::default);
                for (&node, row) in nodes.iter().zip(&mut panels.rows) {
                    self.rows.query(self.slot(node), row);
                }
                pack(&self.columns(&panels.nodes, &panels.rows), &mut panels.floats)
            }
        }
    }

    /// Starts to look for the nearest `k` of each of the columns.
    pub(crate) fn reset_near(&self, k: usize, panels: &PointPanels, near: &mut Near) {
        near.reset(k, &panels.bytes);
    }

    /// The rows of `nodes` as queries; `rows` holds those that had to be widened.
    fn columns<'t>(&self, nodes: &[u32], rows: &'t [Padded]) -> Vec<Query<'t>>
    where
        'a: 't,
    {
        nodes.iter().zip(rows).map(|(&node, row)| self.rows.column(self.slot(node), row)).collect()
    }

    /// The stride of a row of [`PointsView::tile`].
    pub(crate) fn width(&self, panels: &PointPanels) -> usize {
        match self.kind {
            Kind::Codes(_) | Kind::Whole(_) => panels.bytes.width(),
            Kind::Rows => panels.floats.width(),
        }
    }

    /// The distances of `nodes` from all columns, row-major with a stride of [`PointsView::width`]. Columns that fill up
    /// the last panel are infinitely far.
    pub(crate) fn tile(&self, nodes: &[u32], panels: &PointPanels, distances: &mut [f32]) {
        let width = self.width(panels);
        let columns = match self.kind {
            Kind::Codes(codes) => return codes.tile(nodes, &panels.bytes, distances),
            Kind::Whole(_) => Vec::new(),
            Kind::Rows => self.columns(&panels.nodes, &panels.rows),
        };
        for (nodes, distances) in nodes.chunks(GROUP).zip(distances.chunks_mut(GROUP * width)) {
            let places = &self.places_of(nodes)[..nodes.len()];
            if let Kind::Whole(whole) = self.kind {
                whole.tile(places, &panels.bytes, &panels.inverse_norms, distances);
                continue;
            }
            self.rows.tile(places, &columns, &panels.floats, distances);
            distances.chunks_mut(width).for_each(|distances| distances[columns.len()..].fill(f32::INFINITY));
        }
    }

    /// The distances of all columns of `panels`, which are `nodes`, from each other, as [`PointsView::tile`] has them; not
    /// computed (false) where there is no faster way than row by row, or there are none or many.
    pub(crate) fn square(&self, nodes: &[u32], panels: &PointPanels, distances: &mut Vec<f32>) -> bool {
        if nodes.is_empty() || nodes.len() > GROUP || !self.has_codes() {
            return false;
        }
        distances.resize(nodes.len() * panels.bytes.width(), 0.0);
        match self.kind {
            Kind::Codes(codes) => codes.square(nodes, &panels.bytes, distances),
            Kind::Whole(whole) => whole.square(&self.places_of(nodes)[..nodes.len()], &panels.bytes, distances),
            Kind::Rows => return false,
        }
        true
    }

    /// Whether [`PointsView::near`] may be used.
    pub(crate) fn has_codes(&self) -> bool {
        match self.kind {
            Kind::Codes(_) => true,
            Kind::Whole(whole) => whole.is_direct(),
            Kind::Rows => false,
        }
    }

    /// Finds the nearest of `nodes`, all columns of `panels`, that are columns of `panel`: a step of [`Near`].
    pub(crate) fn near(&self, nodes: &[u32], panels: &PointPanels, panel: usize, near: &mut Near) {
        let rows = &nodes[panel * COLUMNS..];
        let rows = &rows[..rows.len().min(COLUMNS)];
        match self.kind {
            Kind::Codes(codes) => codes.near(rows, &panels.bytes, panel, near),
            Kind::Whole(whole) => whole.near(&self.places_of(rows)[..rows.len()], &panels.bytes, panel, near),
            Kind::Rows => debug_assert!(false, "only codes are compared in steps"),
        }
    }
}
