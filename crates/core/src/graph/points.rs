//! What a graph compares: the rows of its nodes, as 8-bit codes or, where those lose too much, as they are.
//!
//! Nodes are numbered in the order in which they came into the graph; each stands for a slot.

use rayon::prelude::*;

use crate::codes::{Codes, CodesView, Encoder, Measure, Weights, WeightsBuffer};
use crate::distance::Panels;
use crate::distance::bytes::{BytePanels, COLUMNS, Near};
use crate::error::Result;
use crate::topk::Key;
use crate::vectors::{Blocks, Query, Rows, RowsView, View, pack};

/// Nodes whose slots fit on the stack.
const GROUP: usize = 64;

pub(crate) struct Points {
    /// The slot of each node.
    slots: Blocks<u32>,
    codes: Option<Codes>,
}

/// The nodes that were there when it was taken, under one of the distances that a graph is built by.
#[derive(Clone, Copy)]
pub(crate) struct PointsView<'a> {
    slots: View<'a, u32>,
    kind: Kind<'a>,
    encoder: Option<&'a Encoder>,
}

#[derive(Clone, Copy)]
enum Kind<'a> {
    Codes(CodesView<'a>),
    Rows(RowsView<'a>),
}

/// What nodes are compared with.
#[derive(Clone, Copy)]
pub(crate) enum Target<'a> {
    Codes(Weights<'a>),
    Row(Query<'a>),
}

/// Nodes packed as columns for [`PointsView::tile`].
#[derive(Default)]
pub(crate) struct PointPanels {
    bytes: BytePanels,
    floats: Panels,
    nodes: Vec<u32>,
}

impl Points {
    /// None yet; compared by codes if there is an encoder.
    pub(crate) fn new(encoder: Option<Encoder>) -> Self {
        Self { slots: Blocks::new("links", 1), codes: encoder.map(Codes::new) }
    }

    pub(crate) fn encoder(&self) -> Option<&Encoder> {
        self.codes.as_ref().map(Codes::encoder)
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Makes the rows at `slots` nodes, after those that are there. Runs on the build threads; one caller at a time.
    pub(crate) fn append(&self, rows: RowsView<'_>, slots: &[u32]) -> Result<()> {
        if let Some(codes) = &self.codes {
            // Codes may be there already, of a call that was refused memory for the slots.
            let encoded = (codes.len() - self.slots.len()).min(slots.len());
            codes.encode(rows, &slots[encoded..])?;
        }
        self.append_slots(slots.len(), |position| slots[position])
    }

    /// The same nodes in another order: node `i` becomes what node `order[i]` was. Runs on the build threads.
    pub(crate) fn reordered(&self, order: &[u32]) -> Result<Self> {
        let reordered = Self::new(self.encoder().cloned());
        if let (Some(from), Some(to)) = (&self.codes, &reordered.codes) {
            to.copy(from.view(Measure::Euclidean), order)?;
        }
        let slots = self.slots.view();
        reordered.append_slots(order.len(), |position| slots.block(order[position] as usize)[0])?;
        Ok(reordered)
    }

    fn append_slots(&self, count: usize, slot: impl Fn(usize) -> u32 + Sync) -> Result<()> {
        let mut writer = self.slots.writer();
        writer.extend((0..count).into_par_iter(), |position, block| block[0] = slot(position))?;
        writer.publish();
        Ok(())
    }

    /// The nodes by what answers are ordered by.
    pub(crate) fn view<'a>(&'a self, rows: &'a Rows) -> PointsView<'a> {
        self.view_by(rows.view())
    }

    /// The nodes under each of the distances that a graph is built by (see [`Rows::building_views`]).
    pub(crate) fn building_views<'a>(&'a self, rows: &'a Rows) -> Vec<PointsView<'a>> {
        rows.building_views().into_iter().map(|rows| self.view_by(rows)).collect()
    }

    /// The nodes under the distance of `rows`.
    fn view_by<'a>(&'a self, rows: RowsView<'a>) -> PointsView<'a> {
        // The slots first: what is seen of the codes after them is at least as new.
        let slots = self.slots.view();
        let measure = Measure::of(rows.space().metric());
        let kind = self.codes.as_ref().map_or(Kind::Rows(rows), |codes| Kind::Codes(codes.view(measure)));
        PointsView { slots, kind, encoder: self.encoder() }
    }

    /// Bytes of the codes, and of the slots.
    pub(crate) fn bytes(&self) -> (usize, usize) {
        (self.codes.as_ref().map_or(0, Codes::bytes), self.slots.len() * size_of::<u32>())
    }
}

impl<'a> PointsView<'a> {
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// The slot that `node` stands for.
    #[inline]
    pub(crate) fn slot(&self, node: u32) -> u32 {
        self.slots.block(node as usize)[0]
    }

    /// `node` as what others are compared with.
    pub(crate) fn target<'t>(&self, node: u32, buffer: &'t mut WeightsBuffer) -> Target<'t>
    where
        'a: 't,
    {
        match self.kind {
            Kind::Codes(codes) => Target::Codes(codes.weights(node, buffer)),
            Kind::Rows(rows) => Target::Row(rows.query(self.slot(node))),
        }
    }

    /// A query as what nodes are compared with.
    pub(crate) fn foreign<'t>(&self, query: Query<'t>, buffer: &'t mut WeightsBuffer) -> Target<'t> {
        match (self.kind, self.encoder) {
            (Kind::Codes(codes), Some(encoder)) => Target::Codes(codes.encoded(encoder, query.values, buffer)),
            _ => Target::Row(query),
        }
    }

    /// The distances of `nodes` from `target`, into `distances` (of the same length).
    #[inline]
    pub(crate) fn score(&self, target: Target<'_>, nodes: &[u32], distances: &mut [f32]) {
        match (self.kind, target) {
            (Kind::Codes(codes), Target::Codes(weights)) => codes.score(weights, nodes, distances),
            (Kind::Rows(rows), Target::Row(query)) => {
                for (nodes, distances) in nodes.chunks(GROUP).zip(distances.chunks_mut(GROUP)) {
                    rows.score(query, &self.slots_of(nodes)[..nodes.len()], distances);
                }
            }
            _ => debug_assert!(false, "a target is of the kind of its points"),
        }
    }

    /// `node` with its distance.
    pub(crate) fn key(&self, target: Target<'_>, node: u32) -> Key {
        let mut distance = [0.0];
        self.score(target, &[node], &mut distance);
        Key::new(distance[0], node)
    }

    /// Packs `nodes` as columns.
    pub(crate) fn pack(&self, nodes: &[u32], panels: &mut PointPanels) -> Result<()> {
        match self.kind {
            Kind::Codes(codes) => codes.pack(nodes, &mut panels.bytes),
            Kind::Rows(rows) => {
                panels.nodes.clear();
                panels.nodes.extend_from_slice(nodes);
                let columns: Vec<Query<'_>> = nodes.iter().map(|&node| rows.query(self.slot(node))).collect();
                pack(&columns, &mut panels.floats)
            }
        }
    }

    /// Starts to look for the nearest `k` of each of the columns.
    pub(crate) fn reset_near(&self, k: usize, panels: &PointPanels, near: &mut Near) {
        near.reset(k, &panels.bytes);
    }

    /// The stride of a row of [`PointsView::tile`].
    pub(crate) fn width(&self, panels: &PointPanels) -> usize {
        match self.kind {
            Kind::Codes(_) => panels.bytes.width(),
            Kind::Rows(_) => panels.floats.width(),
        }
    }

    /// The distances of `nodes` from all columns, row-major with a stride of [`PointsView::width`]. Columns that fill up
    /// the last panel are infinitely far.
    pub(crate) fn tile(&self, nodes: &[u32], panels: &PointPanels, distances: &mut [f32]) {
        match self.kind {
            Kind::Codes(codes) => codes.tile(nodes, &panels.bytes, distances),
            Kind::Rows(rows) => {
                let columns: Vec<Query<'_>> = panels.nodes.iter().map(|&node| rows.query(self.slot(node))).collect();
                let width = panels.floats.width();
                for (nodes, distances) in nodes.chunks(GROUP).zip(distances.chunks_mut(GROUP * width)) {
                    rows.tile(&self.slots_of(nodes)[..nodes.len()], &columns, &panels.floats, distances);
                }
                distances.chunks_mut(width).for_each(|distances| distances[columns.len()..].fill(f32::INFINITY));
            }
        }
    }

    /// The distances of all columns of `panels`, which are `nodes`, from each other, as [`PointsView::tile`] has them; not
    /// computed (false) where there is no faster way than row by row, or there are many.
    pub(crate) fn square(&self, nodes: &[u32], panels: &PointPanels, distances: &mut Vec<f32>) -> bool {
        match self.kind {
            Kind::Codes(codes) if nodes.len() <= GROUP => {
                distances.resize(nodes.len() * panels.bytes.width(), 0.0);
                codes.square(nodes, &panels.bytes, distances);
                true
            }
            _ => false,
        }
    }

    /// Whether [`PointsView::near`] may be used.
    pub(crate) fn has_codes(&self) -> bool {
        matches!(self.kind, Kind::Codes(_))
    }

    /// Finds the nearest of `nodes`, all columns of `panels`, that are columns of `panel`: a step of [`Near`].
    pub(crate) fn near(&self, nodes: &[u32], panels: &PointPanels, panel: usize, near: &mut Near) {
        let Kind::Codes(codes) = self.kind else {
            return debug_assert!(false, "only codes are compared in steps");
        };
        let rows = &nodes[panel * COLUMNS..];
        codes.near(&rows[..rows.len().min(COLUMNS)], &panels.bytes, panel, near);
    }

    /// The slots of at most [`GROUP`] nodes.
    fn slots_of(&self, nodes: &[u32]) -> [u32; GROUP] {
        let mut slots = [0; GROUP];
        slots.iter_mut().zip(nodes).for_each(|(slot, &node)| *slot = self.slot(node));
        slots
    }
}
