//! The exact scan: of the rows that no graph serves yet, of few rows, and wherever the caller wants exactness.

use crate::codes::WholeView;
use crate::distance::Panels;
use crate::distance::bytes::BytePanels;
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

/// Pushes every one of `slots` at its distance from each of `queries` to the query's top. The queries are packed, and the
/// rows stream past them: each is read once for all of them. Their distances differ in the last bits from those of
/// [`scan`]. `check` is asked between work units.
pub(crate) fn scan_many(
    rows: RowsView<'_>,
    queries: &[Query<'_>],
    mut slots: impl Iterator<Item = u32>,
    tops: &mut [TopK],
    check: impl Fn() -> Result<()>,
) -> Result<()> {
    let (mut panels, mut codes) = (Panels::default(), BytePanels::default());
    // Whole numbers are multiplied as such, which takes a fraction of the time.
    let whole = match WholeView::of(rows) {
        Some(whole) => whole.pack_queries(queries, &mut codes)?.then_some(whole),
        None => None,
    };
    if whole.is_none() {
        pack(queries, &mut panels)?;
    }
    let width = if whole.is_some() { codes.width() } else { panels.width() };
    let mut distances = vec![0.0; GROUP * width];
    loop {
        check()?;
        let group: Vec<u32> = slots.by_ref().take(GROUP).collect();
        if group.is_empty() {
            return Ok(());
        }
        let distances = &mut distances[..group.len() * width];
        let places: Vec<u32> = group.iter().map(|&slot| rows.place(slot)).collect();
        match whole {
            Some(whole) => whole.tile(&places, &codes, &[], distances),
            None => rows.tile(&places, queries, &panels, distances),
        }
        for (&slot, distances) in group.iter().zip(distances.chunks(width)) {
            for (&distance, top) in distances.iter().zip(tops.iter_mut()) {
                top.push(Key::new(distance, slot));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::error::Error;
    use crate::options::Metric;
    use crate::vectors::{Padded, Rows, Space};

    #[test]
    fn a_scan_for_many_stops_between_work_units() {
        let rows = Rows::new(Space::new(Metric::L2, 2));
        let mut writer = rows.writer();
        (0..1_000u16).for_each(|row| writer.push(&[row.into(), 0.0]).unwrap());
        writer.publish();
        let (view, asked) = (rows.view(), Cell::new(0));
        let mut tops = [TopK::of(1_000)];
        let check = || {
            asked.set(asked.get() + 1);
            if asked.get() == 4 { Err(Error::Cancelled) } else { Ok(()) }
        };
        let result = scan_many(view, &[view.query(0, &mut Padded::default())], 0..1_000, &mut tops, check);
        assert!(matches!(result, Err(Error::Cancelled)));
        assert_eq!(tops[0].sorted().len(), 3 * GROUP);
    }
}
