//! Exact scans that a caller may cancel: between work units they look at whether it has.

use std::ops::Range;

use super::reader::Reader;
use crate::error::Result;
use crate::flat;
use crate::memory::room;
use crate::topk::{Key, TopK};
use crate::vectors::Query;

/// Values compared in a work unit: about a millisecond.
const UNIT: usize = 1 << 21;

/// What a scan for many queries keeps beyond the `k` asked for, to be scored anew.
const SPARE: usize = 16;

/// By how much more than was seen among the rows kept the two kernels may differ on any other row.
const SAFETY: f32 = 4.0;

/// Pushes those of `slots` to `top` that `reader` admits and that are near enough.
pub(super) fn one(reader: &Reader<'_>, query: Query<'_>, slots: Range<usize>, top: &mut TopK) -> Result<()> {
    let (rows, max_distance) = (reader.rows(), reader.request().max_distance);
    let unit = UNIT.div_ceil(rows.space().dimensions());
    for start in slots.clone().step_by(unit) {
        reader.check()?;
        flat::scan(rows, query, reader.admitted(start..slots.end.min(start + unit)), |key| {
            if key.distance() <= max_distance {
                top.push(key);
            }
        });
    }
    Ok(())
}

/// For each of `queries` the nearest `k` rows that `reader` admits, nearest first, exactly as a single search finds them.
///
/// All queries are scanned for together, by a kernel whose results differ in their last bits from those of a single
/// search. So a few more rows are kept, scored anew, and only then cut to what was asked for.
pub(super) fn many(reader: &Reader<'_>, queries: &[Query<'_>]) -> Result<Vec<Vec<Key>>> {
    let (rows, k) = (reader.rows(), reader.request().k);
    let mut tops: Vec<TopK> = queries.iter().map(|_| TopK::of(k.saturating_add(SPARE))).collect();
    tops.iter_mut().try_for_each(TopK::reserve)?;
    flat::scan_many(rows, queries, reader.admitted(0..rows.len()), &mut tops, || reader.check())?;
    let finished = queries.iter().zip(&mut tops).map(|(&query, top)| {
        reader.check()?;
        finish(reader, query, top)
    });
    finished.collect()
}

/// The answer to `query`, from what the scan for many kept of it.
fn finish(reader: &Reader<'_>, query: Query<'_>, top: &mut TopK) -> Result<Vec<Key>> {
    let request = reader.request();
    let kept = top.sorted();
    let mut keys = room("the answer", kept.len())?;
    flat::scan(reader.rows(), query, kept.iter().map(|key| key.slot()), |key| keys.push(key));
    let differences = kept.iter().zip(&keys).map(|(kept, key)| (kept.distance() - key.distance()).abs());
    let difference = SAFETY * differences.filter(|difference| difference.is_finite()).fold(0.0, f32::max);
    let last = kept.last().map(|key| key.distance()).filter(|_| kept.len() == request.k.saturating_add(SPARE));
    keys.sort_unstable();
    keys.truncate(request.k);
    let bound = keys.last().map(|key| key.distance());
    // Where many are about equally far, one that was not kept may be nearer by the other kernel.
    if last.zip(bound).is_some_and(|(last, bound)| last - difference < bound) {
        top.reset(request.k);
        one(reader, query, 0..reader.rows().len(), top)?;
        keys = copy_of(top.sorted())?;
    }
    keys.retain(|key| key.distance() <= request.max_distance);
    Ok(keys)
}

/// A copy of what a search found.
pub(super) fn copy_of(keys: &[Key]) -> Result<Vec<Key>> {
    let mut copy = room("the answer", keys.len())?;
    copy.extend_from_slice(keys);
    Ok(copy)
}
