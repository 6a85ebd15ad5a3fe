//! The exact scan: of the rows that no graph serves yet, of few rows, and wherever the caller wants exactness.

use crate::distance::Panels;
use crate::error::Result;
use crate::topk::{Key, TopK};
use crate::vectors::{Query, RowsView};

/// Rows scored at once.
const GROUP: usize = 64;

/// Rows packed at once as the columns of a tile; at 128 dimensions they stay in the second-level cache.
const COLUMNS: usize = 256;

/// Calls `visit` with every one of `slots` at its distance from `query`.
pub(crate) fn scan(
    rows: RowsView<'_>,
    query: Query<'_>,
    mut slots: impl Iterator<Item = u32>,
    mut visit: impl FnMut(Key),
) {
    let (mut group, mut distances) = ([0; GROUP], [0.0; GROUP]);
    loop {
        let mut len = 0;
        for slot in slots.by_ref().take(GROUP) {
            group[len] = slot;
            len += 1;
        }
        rows.score(query, &group[..len], &mut distances[..len]);
        group[..len].iter().zip(&distances).for_each(|(&slot, &distance)| visit(Key::new(distance, slot)));
        if len < GROUP {
            return;
        }
    }
}

/// Buffers of [`scan_many`].
#[derive(Default)]
pub(crate) struct Tiles {
    panels: Panels,
    columns: Vec<u32>,
    distances: Vec<f32>,
}

/// Pushes every one of `slots` at its distance from each of `queries`, if that is at most `max_distance`, to the
/// query's top, by dense tiles. Each top is scored anew at the end by the kernel of [`scan`], so that both give the
/// same distances.
pub(crate) fn scan_many(
    rows: RowsView<'_>,
    queries: &[Query<'_>],
    mut slots: impl Iterator<Item = u32>,
    max_distance: f32,
    tiles: &mut Tiles,
    tops: &mut [TopK],
) -> Result<()> {
    loop {
        tiles.columns.clear();
        tiles.columns.extend(slots.by_ref().take(COLUMNS));
        if tiles.columns.is_empty() {
            return Ok(());
        }
        rows.pack(tiles.columns.iter().copied(), &mut tiles.panels)?;
        let width = tiles.panels.width();
        tiles.distances.resize(queries.len() * width, 0.0);
        rows.tile(queries, &tiles.columns, &tiles.panels, &mut tiles.distances);
        for (distances, top) in tiles.distances.chunks(width).zip(tops.iter_mut()) {
            for (&distance, &slot) in distances.iter().zip(&tiles.columns) {
                if distance <= max_distance {
                    top.push(Key::new(distance, slot));
                }
            }
        }
    }
}
