//! Rows that were listed together.

use std::ops::Range;
use std::sync::Arc;

use super::leaders::{Leaders, nearest};
use crate::codes::{Codes, CodesView, Measure};
use crate::error::Result;
use crate::memory::{filled, room};
use crate::pools::giving_way;
use crate::vectors::RowsView;

/// Runs that are merged: when the last ones are at least as many, none of them this many times as large as another.
pub(super) const MERGED: usize = 8;

/// Before it gives way to queries: rows that are sorted by list, and lists that are merged.
const SORTED_AT_ONCE: usize = 1 << 13;
const MERGED_AT_ONCE: usize = 4;

/// Rows by list.
pub(super) struct Run {
    pub(super) codes: Codes,
    /// By code, the slot that it is of.
    pub(super) slots: Vec<u32>,
    /// Where each list begins, and where the last one ends.
    pub(super) bounds: Vec<u32>,
}

impl Run {
    pub(super) fn of(leaders: &Leaders, rows: RowsView<'_>, slots: Range<usize>) -> Result<Self> {
        let unsorted = numbered(slots)?;
        let given = Codes::new(leaders.codes.encoder().clone());
        given.encode(rows, &unsorted)?;
        let lists = nearest(&given, &leaders.panels)?;
        let (order, bounds) = sorted(&lists, leaders.codes.len())?;
        let codes = Codes::new(leaders.codes.encoder().clone());
        codes.copy(given.view(Measure::Euclidean), &order)?;
        let mut slots = room("lists", order.len())?;
        slots.extend(giving_way(order.iter(), SORTED_AT_ONCE).map(|&position| unsorted[position as usize]));
        Ok(Self { codes, slots, bounds })
    }

    /// All rows of `runs`.
    pub(super) fn merged(runs: &[Arc<Run>]) -> Result<Self> {
        let rows = runs.iter().map(|run| run.slots.len()).sum();
        let lists = runs[0].bounds.len() - 1;
        let (mut places, mut slots, mut bounds) =
            (room("lists", rows)?, room("lists", rows)?, room("lists", lists + 1)?);
        for list in giving_way(0..lists, MERGED_AT_ONCE) {
            bounds.push(slots.len() as u32);
            for (number, run) in runs.iter().enumerate() {
                let positions = run.bounds[list]..run.bounds[list + 1];
                slots.extend_from_slice(&run.slots[positions.start as usize..positions.end as usize]);
                places.extend(positions.map(|position| (number, position)));
            }
        }
        bounds.push(slots.len() as u32);
        let views: Vec<CodesView<'_>> = runs.iter().map(|run| run.codes.view(Measure::Euclidean)).collect();
        let codes = Codes::new(runs[0].codes.encoder().clone());
        codes.gather(&views, &places)?;
        Ok(Self { codes, slots, bounds })
    }
}

/// Merges the last runs while they are of about the same size.
pub(super) fn merge_last(runs: &mut Vec<Arc<Run>>) -> Result<()> {
    let last = runs.last().map_or(0, |run| run.slots.len());
    let alike = runs.iter().rev().take_while(|run| run.slots.len() < MERGED * last).count();
    if alike >= MERGED {
        let merged = Run::merged(&runs[runs.len() - alike..])?;
        runs.truncate(runs.len() - alike);
        runs.push(Arc::new(merged));
        merge_last(runs)?;
    }
    Ok(())
}

/// The positions of `lists` by list, and where each of `count` lists begins and the last one ends.
pub(super) fn sorted(lists: &[u32], count: usize) -> Result<(Vec<u32>, Vec<u32>)> {
    let mut bounds = vec![0; count + 1];
    giving_way(lists.iter(), SORTED_AT_ONCE).for_each(|&list| bounds[list as usize + 1] += 1);
    (0..count).for_each(|list| bounds[list + 1] += bounds[list]);
    let mut order = filled("lists", lists.len(), || 0)?;
    let mut places = bounds.clone();
    for (position, &list) in giving_way((0..).zip(lists), SORTED_AT_ONCE) {
        let place = &mut places[list as usize];
        order[*place as usize] = position;
        *place += 1;
    }
    Ok((order, bounds))
}

pub(super) fn numbered(numbers: Range<usize>) -> Result<Vec<u32>> {
    let mut all = room("lists", numbers.len())?;
    all.extend(numbers.start as u32..numbers.end as u32);
    Ok(all)
}
