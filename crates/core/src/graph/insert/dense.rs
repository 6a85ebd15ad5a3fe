//! The nearest neighbors of nodes among each other, by dense tiles of distances.

use rayon::prelude::*;

use super::Insertion;
use crate::error::Result;
use crate::graph::{PointPanels, PointsView, Scratch, Target};
use crate::pools::{give_way, giving_way};
use crate::topk::{Key, TopK};

/// Rows a work unit: enough that the columns pay for coming into the cache; 100 µs at a thousand of them.
const ROWS: usize = 32;

/// Rows of a work unit after which it gives way to queries.
const TILED: usize = 8;

/// Columns that are skipped together when none is near enough.
const COLUMNS: usize = 16;

/// What a node has found among the others.
pub(super) struct Near {
    /// The nearest, nearest first.
    pub(super) keys: Vec<Key>,
    /// The nearest of those before it.
    pub(super) earlier: Option<Key>,
}

impl Insertion<'_> {
    /// For each of `nodes` its nearest `keep` others; `None` if it was stopped. Runs on the build threads.
    pub(super) fn nearest_within(
        &self,
        points: PointsView<'_>,
        nodes: &[u32],
        keep: usize,
    ) -> Result<Option<Vec<Near>>> {
        let mut panels = PointPanels::default();
        points.pack(nodes, &mut panels)?;
        let width = points.width(&panels);
        let units = nodes.par_chunks(ROWS).enumerate().map(|(unit, block)| {
            let Some(_turn) = self.turns.next() else {
                return Vec::new();
            };
            let work = |scratch: &mut Scratch| {
                scratch.distances.resize(block.len() * width, 0.0);
                for (block, distances) in block.chunks(TILED).zip(scratch.distances.chunks_mut(TILED * width)) {
                    give_way();
                    points.tile(block, &panels, distances);
                }
                let rows = giving_way(scratch.distances.chunks(width).enumerate(), TILED);
                rows.map(|(row, distances)| select(distances, nodes, unit * ROWS + row, keep, &mut scratch.top))
                    .collect()
            };
            self.scratches.with(work)
        });
        let near: Vec<Near> = units.flatten_iter().collect();
        Ok((near.len() == nodes.len()).then_some(near))
    }
}

/// For `node`, which is `target`, its nearest `keep` of the other `nodes`, of which it is one.
pub(super) fn nearest_to(
    points: &PointsView<'_>,
    (node, target): (u32, Target<'_>),
    nodes: &[u32],
    keep: usize,
    scratch: &mut Scratch,
) -> Near {
    let Scratch { distances, top, .. } = scratch;
    distances.resize(nodes.len(), 0.0);
    points.score(target, nodes, distances);
    // Nodes of a batch are in order.
    let row = nodes.partition_point(|&other| other < node);
    select(distances, nodes, row, keep, top)
}

/// From the distances of the node at `row` to all `nodes`.
fn select(distances: &[f32], nodes: &[u32], row: usize, keep: usize, top: &mut TopK) -> Near {
    let distances = &distances[..nodes.len()];
    top.reset(keep);
    for (block, distances) in distances.chunks(COLUMNS).enumerate() {
        if Key::new(least(distances), 0) > top.bound() {
            continue;
        }
        for (column, &distance) in distances.iter().enumerate() {
            let column = block * COLUMNS + column;
            if column != row {
                top.push(Key::new(distance, nodes[column]));
            }
        }
    }
    let earlier = least(&distances[..row]);
    let position = distances[..row].iter().position(|&distance| distance == earlier);
    Near { keys: top.sorted().to_vec(), earlier: position.map(|column| Key::new(earlier, nodes[column])) }
}

fn least(distances: &[f32]) -> f32 {
    // Written so that it vectorises; distances are never NaN.
    distances.iter().fold(f32::INFINITY, |least, &distance| if distance < least { distance } else { least })
}
