//! The exact scan: of the rows that no graph serves yet, of few rows, and wherever the caller wants exactness.

use crate::distance::Panels;
use crate::error::Result;
use crate::topk::{Key, TopK};
use crate::vectors::{Query, RowsView, pack};

/// Rows scored at once.
const GROUP: usize = 64;

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

/// Pushes every one of `slots` at its distance from each of `queries`, if that is at most `max_distance`, to the
/// query's top. The queries are packed, and the rows stream past them: each is read once for all of them.
pub(crate) fn scan_many(
    rows: RowsView<'_>,
    queries: &[Query<'_>],
    mut slots: impl Iterator<Item = u32>,
    max_distance: f32,
    tops: &mut [TopK],
) -> Result<()> {
    let mut panels = Panels::default();
    pack(queries, &mut panels)?;
    let mut distances = vec![0.0; GROUP * panels.width()];
    loop {
        let group: Vec<u32> = slots.by_ref().take(GROUP).collect();
        if group.is_empty() {
            return Ok(());
        }
        let distances = &mut distances[..group.len() * panels.width()];
        rows.tile(&group, queries, &panels, distances);
        for (&slot, distances) in group.iter().zip(distances.chunks(panels.width())) {
            for (&distance, top) in distances.iter().zip(tops.iter_mut()) {
                if distance <= max_distance {
                    top.push(Key::new(distance, slot));
                }
            }
        }
    }
}
