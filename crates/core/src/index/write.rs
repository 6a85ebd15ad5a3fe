//! The writes: checked as a whole first, then written where nobody looks, then published. A write that fails has
//! changed nothing.

use std::sync::Arc;

use parking_lot::MutexGuard;

use super::Inner;
use super::state::State;
use crate::error::{Error, Result};
use crate::failpoint;
use crate::ids::{Id, IdHash, Ids};
use crate::work::{Phase, Work};

/// Slots of an index: a link has 31 bits for one.
pub(super) const MAX_SLOTS: usize = (1 << 31) - 2;

/// Rows between two looks at whether the caller has cancelled.
const BLOCK: usize = 1_024;

/// What to do with an id that exists.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Existing {
    Refuse,
    Replace,
}

/// A batch that may be written.
struct Plan<'a> {
    ids: &'a Ids,
    rows: &'a [f32],
    hashes: Vec<IdHash>,
    /// Rows whose id exists, with its slot.
    replaced: Vec<(usize, u32)>,
}

impl Inner {
    pub(super) fn insert(&self, ids: &Ids, rows: &[f32], existing: Existing, work: &Work) -> Result<()> {
        let _writing = self.writing()?;
        let state = self.state.load_full();
        self.check_rows(ids, rows, work)?;
        let plan = self.plan(&state, ids, rows, existing)?;
        self.write(&state, &plan, work)?;
        self.migrator.cut(state.len(), state.live());
        Ok(())
    }

    pub(super) fn remove(&self, ids: &Ids) -> Result<usize> {
        let _writing = self.writing()?;
        ids.check(self.options.id_type)?;
        let state = self.state.load_full();
        let mut removed = 0;
        for id in ids.iter() {
            let hash = state.map.hash(id);
            if let Some(slot) = state.map.get(hash, id, &state.ids) {
                state.map.remove(hash, slot);
                state.take_out(slot);
                removed += 1;
            }
        }
        self.migrator.shrink(state.live());
        Ok(removed)
    }

    pub(super) fn clear(&self) -> Result<()> {
        let _writing = self.writing()?;
        let fresh = Arc::new(State::new(&self.options)?);
        self.migrator.reset(|| self.state.swap(fresh)).abandon();
        Ok(())
    }

    /// The right to write; one caller at a time.
    pub(super) fn writing(&self) -> Result<MutexGuard<'_, ()>> {
        let guard = self.writing.lock();
        self.check_open()?;
        match self.poisoned.get() {
            Some(message) => Err(Error::Internal(message.clone())),
            None => Ok(guard),
        }
    }

    fn check_rows(&self, ids: &Ids, rows: &[f32], work: &Work) -> Result<()> {
        ids.check(self.options.id_type)?;
        ids.check_lengths()?;
        let dimensions = self.options.dimensions;
        if !rows.len().is_multiple_of(dimensions) {
            let expected = format!("a multiple of {dimensions}");
            return Err(Error::DimensionMismatch { row: None, got: rows.len(), expected });
        }
        if ids.len() != rows.len() / dimensions {
            let expected = format!("{}, one a vector", rows.len() / dimensions);
            return Err(Error::argument("ids", format_args!("{} ids", ids.len()), expected));
        }
        let state = self.state.load();
        let space = state.rows.view().space();
        for (row, values) in rows.chunks(dimensions).enumerate() {
            if row % BLOCK == 0 {
                work.check()?;
            }
            space.check(values, Some(row))?;
        }
        Ok(())
    }

    fn plan<'a>(&self, state: &State, ids: &'a Ids, rows: &'a [f32], existing: Existing) -> Result<Plan<'a>> {
        let expected = MAX_SLOTS - state.len();
        if ids.len() > expected {
            return Err(Error::argument("ids", ids.len(), format_args!("at most {expected} more rows in one index")));
        }
        let hashes = state.map.hashes(ids)?;
        let duplicate =
            |row: usize, reason| Error::DuplicateId { row, id: ids.get(row).display(self.options.id_type), reason };
        if let Some(row) = state.map.first_repeat(ids, &hashes)? {
            return Err(duplicate(row, "stands in the batch twice"));
        }
        let slot = |row: usize, id: Id<'_>| state.map.get(hashes[row], id, &state.ids);
        let replaced: Vec<_> = ids.iter().enumerate().filter_map(|(row, id)| Some((row, slot(row, id)?))).collect();
        match replaced.first() {
            Some(&(row, _)) if existing == Existing::Refuse => Err(duplicate(row, "is in the index already")),
            _ => Ok(Plan { ids, rows, hashes, replaced }),
        }
    }

    /// Writes a batch and publishes it. All memory is asked for, and the caller's wish to cancel heard, before the
    /// first thing that others see.
    fn write(&self, state: &State, plan: &Plan<'_>, work: &Work) -> Result<()> {
        let (first, count) = (state.len(), plan.ids.len());
        state.removed.reserve(first + count)?;
        state.equals.reserve(first, count)?;
        state.map.reserve(&plan.hashes, &state.ids)?;
        let (mut ids, mut rows) = (state.ids.writer(), state.rows.writer());
        for (row, values) in plan.rows.chunks(self.options.dimensions).enumerate() {
            if row % BLOCK == 0 {
                work.check()?;
                work.report(Phase::Copy, row, count);
            }
            ids.push(plan.ids.get(row))?;
            rows.push(values)?;
        }
        work.check()?;

        ids.publish();
        let mut replaced = plan.replaced.iter().peekable();
        for (row, &hash) in plan.hashes.iter().enumerate() {
            if replaced.next_if(|&&(other, _)| other == row).is_none() {
                state.map.insert(hash, (first + row) as u32, &state.ids);
            }
        }
        failpoint::pass("commit");
        let mut publish = || {
            rows.publish();
            state.count_added(count);
        };
        if plan.replaced.is_empty() {
            publish();
        } else {
            state.replacing(|| {
                publish();
                for &(row, old) in &plan.replaced {
                    state.map.replace(plan.hashes[row], old, (first + row) as u32);
                    state.take_out(old);
                }
            });
        }
        let view = state.rows.view();
        (first..first + count).for_each(|slot| state.equals.enter(slot as u32, view));
        work.report(Phase::Copy, count, count);
        Ok(())
    }
}
