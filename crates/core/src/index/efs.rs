//! Which `ef` reaches which recall: a table that an index measures on its own rows, for searches that ask for a recall.
//!
//! Queries are made of rows that are evenly spread: each is moved along the difference between two of its neighbors, so
//! that it is none of the rows and lies a little apart from them, as queries of others do. Their truth is an exact scan
//! of all rows that the graph serves.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;

use rayon::prelude::*;

use super::Inner;
use super::reader::{Reader, Request};
use super::state::State;
use crate::error::{Error, Result};
use crate::flat;
use crate::options::{Options, SearchOptions};
use crate::pools::{Pools, Turns};
use crate::topk::TopK;
use crate::vectors::{Padded, Query};

/// Queries that are made. Recall .95 at k 10 is then known to about .005.
const QUERIES: usize = 256;

/// The neighbors of a row whose difference it is moved by.
const BETWEEN: (usize, usize) = (7, 14);

/// How often a row is moved by it. Rows themselves, and queries between them, are found more easily than those of others
/// (docs/performance.md).
const APART: f32 = 2.5;

/// What `ef` is measured, as long as a wider one finds more.
const EFS: [usize; 19] = [10, 12, 16, 20, 24, 32, 40, 48, 64, 80, 100, 128, 160, 200, 256, 320, 400, 512, 800];

/// What `k` recall is measured for.
const KS: [usize; 3] = [1, 10, 100];

/// Where so much is found, nothing is gained by a wider search.
const ENOUGH: f64 = 0.9995;

/// Of what may be missed, so large a part is left to what the measurement may be wrong by.
const MARGIN: f64 = 0.1;

/// Rows that one task scans.
const TASK: usize = 4_096;

/// The recall that was measured, by `ef` and by the `k` of [`KS`].
pub(crate) struct Efs {
    /// Rows that the graph served.
    migrated: usize,
    recalls: Vec<(usize, [f64; KS.len()])>,
}

impl Efs {
    /// The `ef` that finds `recall` of the nearest `k`; `None` if only an exact search does.
    fn ef(&self, k: usize, recall: f64) -> Option<usize> {
        let column = KS.iter().position(|&measured| measured >= k).unwrap_or(KS.len() - 1);
        let wanted = recall + (1.0 - recall) * MARGIN;
        let &(ef, _) = self.recalls.iter().find(|(_, recalls)| recalls[column] >= wanted)?;
        Some(ef.saturating_mul(k.div_ceil(KS[column])).max(k))
    }

    /// Whether the graph has become another since.
    fn is_outdated(&self, migrated: usize) -> bool {
        migrated > self.migrated + self.migrated / 4 || migrated < self.migrated
    }
}

/// The `ef` for `recall` of the nearest `k` as long as nothing was measured: more than hard data took.
fn guess(k: usize, recall: f64) -> usize {
    let k = k.max(10);
    k.saturating_add((0.5 * k as f64 / (1.0 - recall)).ceil() as usize)
}

impl State {
    /// The `ef` that finds `recall` of the nearest `k`; `None` for an exact search.
    pub(super) fn ef_for(&self, k: usize, recall: f64) -> Option<usize> {
        if recall >= 1.0 {
            return None;
        }
        match &*self.efs.load() {
            Some(efs) => efs.ef(k, recall),
            None => Some(guess(k, recall)),
        }
    }
}

impl Inner {
    /// Lets the table be measured, if a search asks for a recall and there is none of the graph as it is. The search
    /// does not wait for it.
    pub(super) fn prepare(&self, options: &SearchOptions) {
        if options.recall.is_none() {
            return;
        }
        let state = self.state.load();
        let migrated = state.migrated();
        let is_current = state.efs.load().as_ref().is_some_and(|efs| !efs.is_outdated(migrated));
        if migrated == 0 || is_current || state.measuring.swap(true, Ordering::AcqRel) {
            return;
        }
        let (state, pools, options) = (Arc::clone(&state), self.pools.clone(), self.options.clone());
        let builder = thread::Builder::new().name("vicinal-recall".into());
        // Without a thread, or memory, the guess is what searches go by.
        let _ = builder.spawn(move || {
            crate::os::lower_thread_priority(crate::os::Priority::Background);
            let stopped = || state.is_abandoned();
            if let Ok(efs) = measure(&state, &pools, &options, pools.turns(&stopped)) {
                state.efs.store(Some(Arc::new(efs)));
            }
            state.measuring.store(false, Ordering::Release);
        });
    }
}

/// Measures the table of the graph as it is now; `Cancelled` if it was stopped.
fn measure(state: &State, pools: &Pools, options: &Options, turns: Turns<'_>) -> Result<Efs> {
    let migrated = state.migrated();
    let search = |query: Query<'_>, k: usize, ef: usize, excluded: Option<u32>| -> Result<TopK> {
        let _turn = turns.next().ok_or(Error::Cancelled)?;
        let (exact, max_distance) = (false, f32::INFINITY);
        let request = Request { k, ef, exact, max_distance, filter: None, excluded, cancelled: None };
        let snapshot = state.snapshot();
        let reader = Reader::new(state, &snapshot, request, options);
        state.scratches.with(|scratch| reader.nearest(query, scratch).map(|()| std::mem::take(&mut scratch.top)))
    };
    pools.build(|| {
        let step = migrated.div_ceil(QUERIES).max(1);
        let made = (0..migrated as u32).into_par_iter().step_by(step).map(|slot| {
            let rows = state.rows();
            let view = rows.view();
            let mut buffer = Padded::default();
            let mut top = search(view.query(slot, &mut buffer), BETWEEN.1 + 1, 64, Some(slot))?;
            moved(state, slot, top.sorted().iter().map(|key| key.slot()))
        });
        let queries: Vec<Padded> = made.filter_map(Result::transpose).collect::<Result<_>>()?;
        let truth = truth(state, &queries, migrated, turns)?;
        let rows = state.rows();
        let view = rows.view();
        let mut recalls = Vec::new();
        for ef in EFS {
            let sums = queries.par_iter().zip(&truth).map(|(query, truth)| {
                let mut top = search(view.foreign(query), ef.min(KS[KS.len() - 1]), ef, None)?;
                let found: Vec<f32> = top.sorted().iter().map(|key| key.distance()).collect();
                Ok(KS.map(|k| share_found(&found, truth, k)))
            });
            let sums: Vec<[f64; KS.len()]> = sums.collect::<Result<_>>()?;
            let mean = |column: usize| sums.iter().map(|row| row[column]).sum::<f64>() / sums.len().max(1) as f64;
            let means = std::array::from_fn(mean);
            recalls.push((ef, means));
            if means.iter().all(|&recall| recall >= ENOUGH) {
                break;
            }
        }
        Ok(Efs { migrated, recalls })
    })
}

/// The row at `slot`, moved along the difference between two of its neighbors; `None` if it has too few, was
/// removed, or would be no valid query.
fn moved(state: &State, slot: u32, mut neighbors: impl Iterator<Item = u32>) -> Result<Option<Padded>> {
    if state.removed.view().get(slot) {
        return Ok(None);
    }
    let (near, far) = BETWEEN;
    let (Some(near), Some(far)) = (neighbors.nth(near), neighbors.nth(far - near - 1)) else {
        return Ok(None);
    };
    let rows = state.rows();
    let (view, mut buffers) = (rows.view(), [Vec::new(), Vec::new(), Vec::new()]);
    let [a, b, c] = &mut buffers;
    let (row, near, far) = (view.given(slot, a), view.given(near, b), view.given(far, c));
    let values: Vec<f32> = row.iter().zip(near.iter().zip(far)).map(|(x, (a, b))| x + (a - b) * APART).collect();
    if rows.space().check(&values, None).is_err() {
        return Ok(None);
    }
    Padded::of(&values, rows.space().filler()).map(Some)
}

/// The nearest distances of each query, as many as the largest `k` of [`KS`], nearest first.
fn truth(state: &State, queries: &[Padded], migrated: usize, turns: Turns<'_>) -> Result<Vec<Vec<f32>>> {
    let most = KS[KS.len() - 1];
    let empty = || queries.iter().map(|_| TopK::of(most)).collect::<Vec<_>>();
    let starts = (0..migrated as u32).into_par_iter().step_by(TASK);
    let tops = starts.try_fold(empty, |mut tops, start| {
        let rows = state.rows();
        let view = rows.view();
        let columns: Vec<Query<'_>> = queries.iter().map(|query| view.foreign(query)).collect();
        let removed = state.removed.view();
        let slots = (start..(start as usize + TASK).min(migrated) as u32).filter(|&slot| !removed.get(slot));
        let turn = RefCell::new(None);
        flat::scan_many(view, &columns, slots, &mut tops, || {
            turn.take();
            turn.replace(Some(turns.next().ok_or(Error::Cancelled)?));
            Ok(())
        })?;
        Ok::<_, Error>(tops)
    });
    let merged: Result<Vec<TopK>> = tops
        .try_reduce_with(|mut tops: Vec<TopK>, mut others| {
            for (top, other) in tops.iter_mut().zip(&mut others) {
                other.sorted().iter().for_each(|&key| top.push(key));
            }
            Ok(tops)
        })
        .unwrap_or_else(|| Ok(empty()));
    Ok(merged?.iter_mut().map(|top| top.sorted().iter().map(|key| key.distance()).collect()).collect())
}

/// The share of the nearest `k` of `truth` that are among `found`: those that are no farther than the last of them, but
/// for the last bits, in which the two kernels differ.
fn share_found(found: &[f32], truth: &[f32], k: usize) -> f64 {
    let k = k.min(truth.len());
    let Some(&last) = k.checked_sub(1).and_then(|last| truth.get(last)) else {
        return 1.0;
    };
    let bound = last + last.abs() * 1e-5 + 1e-6;
    found.iter().take(k).filter(|&&distance| distance <= bound).count() as f64 / k as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_ef_that_reaches_the_recall_is_taken() {
        let recalls = vec![(10, [0.9, 0.8, 0.5]), (20, [0.99, 0.96, 0.7]), (40, [1.0, 0.99, 0.96])];
        let efs = Efs { migrated: 1_000, recalls };
        assert_eq!(efs.ef(1, 0.9), Some(20), "a margin is left");
        assert_eq!([efs.ef(1, 0.5), efs.ef(10, 0.95), efs.ef(7, 0.95)], [Some(10), Some(20), Some(20)]);
        assert_eq!([efs.ef(50, 0.95), efs.ef(100, 0.95)], [Some(50), Some(100)]);
        assert_eq!(efs.ef(300, 0.95), Some(300));
        assert_eq!(efs.ef(10, 0.999), None);
        assert!(!efs.is_outdated(1_250) && efs.is_outdated(1_251) && efs.is_outdated(999));
    }

    #[test]
    fn the_guess_grows_with_k_and_with_the_recall() {
        assert_eq!([guess(10, 0.95), guess(10, 0.99), guess(100, 0.95)], [110, 510, 1_100]);
        assert_eq!(guess(1, 0.95), guess(10, 0.95));
    }
}
