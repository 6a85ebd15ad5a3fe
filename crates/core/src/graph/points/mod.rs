//! What a graph compares: the rows of its nodes, as 8-bit codes or, where those lose too much, as they are. Rows of whole
//! numbers are their own codes.
//!
//! Nodes are numbered in the order in which they came into the graph; each stands for a slot.

mod panels;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use rayon::prelude::*;

pub(crate) use panels::PointPanels;

use crate::codes::{Codes, CodesView, Encoder, Measure, Weights, WeightsBuffer, WholeView};
use crate::error::Result;
use crate::topk::Key;
use crate::vectors::{Blocks, Padded, Query, Rows, RowsView, Stored, View};

/// Nodes whose places fit on the stack.
const GROUP: usize = 64;

/// Codes must tell so many neighbors of a node from those behind so many, where links are chosen.
const WANTED: usize = 10;
const COMPARED: usize = 26;

pub(crate) struct Points {
    rows: Arc<Rows>,
    /// The slot of each node.
    slots: Blocks<u32>,
    codes: Option<Codes>,
    /// Nodes below it are where the rows of their numbers are.
    arranged: usize,
}

/// The nodes that were there when it was taken, under one of the distances that a graph is built by.
#[derive(Clone, Copy)]
pub(crate) struct PointsView<'a> {
    slots: View<'a, u32>,
    rows: RowsView<'a>,
    kind: Kind<'a>,
    encoder: Option<&'a Encoder>,
    arranged: usize,
}

#[derive(Clone, Copy)]
enum Kind<'a> {
    Codes(CodesView<'a>),
    Whole(WholeView<'a>),
    Rows,
}

/// What nodes are compared with.
#[derive(Clone, Copy)]
pub(crate) enum Target<'a> {
    /// As a code.
    Codes(Weights<'a>),
    /// As it is.
    Row(Query<'a>),
}

/// Where a search for `wanted` nodes that compares `compared` by their rows may go wrong: of the keys of nodes, nearest
/// first, those from the last that is wanted to the last that is compared. Of fewer keys the first half is wanted.
pub(crate) fn margin(keys: &[Key], wanted: usize, compared: usize) -> &[Key] {
    let keys = &keys[..keys.len().min(compared)];
    &keys[wanted.min(keys.len() / 2).saturating_sub(1)..]
}

impl Points {
    /// None yet, of `rows`; compared by codes if there is an encoder.
    pub(crate) fn new(rows: Arc<Rows>, encoder: Option<Encoder>) -> Self {
        Self { rows, slots: Blocks::new("links", 1), codes: encoder.map(Codes::new), arranged: 0 }
    }

    /// The nodes of a file, whose slots and codes are there. The first `arranged` are where the rows of their numbers are.
    pub(crate) fn stored(rows: Arc<Rows>, slots: impl Stored, codes: Option<Codes>, arranged: usize) -> Result<Self> {
        Ok(Self { rows, slots: slots.blocks("links", 1)?, codes, arranged })
    }

    /// Bytes of a code, and numbers beside it, if there are codes beside the rows.
    pub(crate) fn code_sizes(&self) -> Option<(usize, usize)> {
        self.codes.as_ref().map(Codes::sizes)
    }

    /// The rows that nodes stand for.
    pub(crate) fn rows(&self) -> &Arc<Rows> {
        &self.rows
    }

    pub(crate) fn encoder(&self) -> Option<&Encoder> {
        self.codes.as_ref().map(Codes::encoder)
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Makes the rows at `slots` nodes, after those that are there. Runs on the build threads; one caller at a time.
    pub(crate) fn append(&self, slots: &[u32]) -> Result<()> {
        if let Some(codes) = &self.codes {
            // Codes may be there already, of a call that was refused memory for the slots.
            let encoded = (codes.len() - self.slots.len()).min(slots.len());
            codes.encode(self.rows.view(), &slots[encoded..])?;
        }
        self.append_slots(slots.len(), |position| slots[position])
    }

    /// The same nodes in another order: node `i` becomes what node `order[i]` was. Runs on the build threads.
    pub(crate) fn reordered(&self, order: &[u32]) -> Result<Self> {
        let reordered = Self::new(self.rows.clone(), self.encoder().cloned());
        if let (Some(from), Some(to)) = (&self.codes, &reordered.codes) {
            to.copy(from.view(Measure::Euclidean), order)?;
        }
        let slots = self.slots.view();
        reordered.append_slots(order.len(), |position| slots.block(order[position] as usize)[0])?;
        Ok(reordered)
    }

    /// As [`Points::reordered`], for a graph of all rows of the slots below `end`.
    pub(crate) fn arranged(&self, order: &[u32], end: usize) -> Result<Self> {
        let mut points = self.reordered(order)?;
        points.arrange(end)?;
        Ok(points)
    }

    /// Where rows are their own codes, has them in the order of the nodes, as other codes are: a copy of all of the slots
    /// below `end`.
    fn arrange(&mut self, end: usize) -> Result<()> {
        if !self.rows.space().dtype().is_whole() {
            return Ok(());
        }
        let slots = self.slots.view();
        let rows = self.rows.arranged((0..slots.len()).map(|node| slots.block(node)[0]), end)?;
        (self.arranged, self.rows) = (slots.len(), Arc::new(rows));
        Ok(())
    }

    fn append_slots(&self, count: usize, slot: impl Fn(usize) -> u32 + Sync) -> Result<()> {
        let mut writer = self.slots.writer();
        writer.extend((0..count).into_par_iter(), |position, block| block[0] = slot(position))?;
        writer.publish();
        Ok(())
    }

    /// The nodes by what answers are ordered by.
    pub(crate) fn view(&self) -> PointsView<'_> {
        // The slots first: what is seen of rows and codes after them is at least as new.
        let slots = self.slots.view();
        self.view_by(slots, self.rows.view())
    }

    /// The nodes under each of the distances that a graph is built by (see [`Rows::building_views`]).
    pub(crate) fn building_views(&self) -> Vec<PointsView<'_>> {
        let slots = self.slots.view();
        self.rows.building_views().into_iter().map(|rows| self.view_by(slots, rows)).collect()
    }

    /// The nodes under the distance of `rows`.
    fn view_by<'a>(&'a self, slots: View<'a, u32>, rows: RowsView<'a>) -> PointsView<'a> {
        let measure = Measure::of(rows.space().metric());
        let codes = self.codes.as_ref().map(|codes| Kind::Codes(codes.view(measure)));
        let kind = codes.or_else(|| WholeView::of(rows).map(Kind::Whole)).unwrap_or(Kind::Rows);
        PointsView { slots, rows, kind, encoder: self.encoder(), arranged: self.arranged }
    }

    /// The first node whose code is not that of its row, of one in `every`; `slots` are those of the nodes.
    pub(crate) fn first_other_code(&self, slots: &[u32], every: usize) -> Option<usize> {
        self.codes.as_ref().and_then(|codes| codes.first_other(self.rows.view(), slots, every))
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

    /// Where the row of `node` is.
    #[inline]
    fn place(&self, node: u32) -> u32 {
        if (node as usize) < self.arranged { node } else { self.rows.place(self.slot(node)) }
    }

    /// The code of `node` and what stands beside it, if there are codes beside the rows.
    pub(crate) fn code(&self, node: u32) -> Option<(&'a [u8], &'a [f32])> {
        let Kind::Codes(codes) = self.kind else {
            return None;
        };
        Some(codes.stored(node))
    }

    /// Brings what `node` is compared by towards the cache, if that is a code.
    #[inline]
    pub(crate) fn prefetch(&self, node: u32) {
        if let Kind::Codes(codes) = self.kind {
            codes.prefetch(node);
        }
    }

    /// `node` as what others are compared with.
    pub(crate) fn target<'t>(&self, node: u32, buffer: &'t mut WeightsBuffer) -> Target<'t>
    where
        'a: 't,
    {
        match self.kind {
            Kind::Codes(codes) => Target::Codes(codes.weights(node, buffer)),
            Kind::Whole(whole) => Target::Codes(whole.weights(self.place(node), buffer)),
            Kind::Rows => self.row(node, &mut buffer.row),
        }
    }

    /// A query as what nodes are compared with.
    pub(crate) fn foreign<'t>(&self, query: Query<'t>, buffer: &'t mut WeightsBuffer) -> Target<'t> {
        let weights = match (self.kind, self.encoder) {
            (Kind::Codes(codes), Some(encoder)) => Some(codes.encoded(encoder, query.values, buffer)),
            (Kind::Whole(whole), _) => whole.foreign(query.values, query.inverse_norm, buffer),
            _ => None,
        };
        weights.map_or(Target::Row(query), Target::Codes)
    }

    /// The same nodes, compared by their rows. Distances are in other units.
    pub(crate) fn by_rows(self) -> Self {
        Self { kind: Kind::Rows, ..self }
    }

    /// Whether codes do not tell apart what `margin` has (see [`margin`]): keys by their distances from `target`, which is
    /// `query`.
    #[inline]
    pub(crate) fn is_blurred(&self, target: Target<'_>, query: Query<'_>, margin: &[Key]) -> bool {
        match (self.kind, target, margin) {
            (Kind::Codes(codes), Target::Codes(weights), &[nearer, .., farther]) => {
                let code = |key: Key| (key.distance(), codes.scalars(key.slot()));
                !codes.tells_apart(weights, code(nearer), code(farther))
                    && !self.rows.are_as_near(query, margin.iter().map(|key| self.slot(key.slot())))
            }
            _ => false,
        }
    }

    /// As [`PointsView::is_blurred`], where the target is `node`, around which the nearest nodes are those of `keys`.
    #[inline]
    pub(crate) fn is_blurred_around(&self, node: u32, target: Target<'_>, keys: &[Key]) -> bool {
        let is_code = matches!((self.kind, target), (Kind::Codes(_), Target::Codes(_)));
        // Of few it is enough if they are not all one.
        let wanted = if keys.len() < COMPARED { 1 } else { WANTED };
        let is_blurred = |row| self.is_blurred(target, row, margin(keys, wanted, COMPARED));
        is_code && is_blurred(self.rows.query(self.slot(node), &mut Padded::default()))
    }

    /// `nodes` as `keys`, those nearest to `node` first: by their codes, or by their rows where codes do not tell them apart.
    /// What compares them so, and whether these are rows although there are codes.
    pub(crate) fn sorted_around(
        &self,
        node: u32,
        nodes: &[u32],
        (weights, distances): (&mut WeightsBuffer, &mut Vec<f32>),
        keys: &mut Vec<Key>,
    ) -> (Self, bool) {
        let target = self.target(node, weights);
        self.sort(target, nodes, distances, keys);
        let is_blurred = self.is_blurred_around(node, target, keys);
        if !is_blurred {
            return (*self, false);
        }
        let (points, mut row) = (self.by_rows(), Padded::default());
        points.sort(points.row(node, &mut row), nodes, distances, keys);
        (points, true)
    }

    fn sort(&self, target: Target<'_>, nodes: &[u32], distances: &mut Vec<f32>, keys: &mut Vec<Key>) {
        distances.resize(nodes.len(), 0.0);
        self.score(target, nodes, distances);
        keys.clear();
        keys.extend(nodes.iter().zip(distances).map(|(&node, &mut distance)| Key::new(distance, node)));
        keys.sort_unstable();
    }

    /// The row of `node` as what others are compared with, in `buffer` unless it can be had without.
    pub(crate) fn row<'t>(&self, node: u32, buffer: &'t mut Padded) -> Target<'t>
    where
        'a: 't,
    {
        Target::Row(self.rows.query(self.slot(node), buffer))
    }

    /// The distances of `nodes` from `target`, into `distances` (of the same length).
    #[inline]
    pub(crate) fn score(&self, target: Target<'_>, nodes: &[u32], distances: &mut [f32]) {
        if let (Kind::Codes(codes), Target::Codes(weights)) = (self.kind, target) {
            return codes.score(weights, nodes, distances);
        }
        for (nodes, distances) in nodes.chunks(GROUP).zip(distances.chunks_mut(GROUP)) {
            let places = &self.places_of(nodes)[..nodes.len()];
            match (self.kind, target) {
                (Kind::Whole(whole), Target::Codes(weights)) => whole.score(weights, places, distances),
                (_, Target::Row(query)) => self.rows.score_places(query, places, distances),
                _ => debug_assert!(false, "a target is of the kind of its points"),
            }
        }
    }

    /// `node` with its distance.
    pub(crate) fn key(&self, target: Target<'_>, node: u32) -> Key {
        let mut distance = [0.0];
        self.score(target, &[node], &mut distance);
        Key::new(distance[0], node)
    }

    /// The places of at most [`GROUP`] nodes.
    #[inline]
    fn places_of(&self, nodes: &[u32]) -> [u32; GROUP] {
        let mut places = [0; GROUP];
        places.iter_mut().zip(nodes).for_each(|(place, &node)| *place = self.place(node));
        places
    }
}
