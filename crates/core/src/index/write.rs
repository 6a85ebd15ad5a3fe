//! The writes: checked as a whole first, then written where nobody looks, then published. A write that fails has
//! changed nothing.

use std::sync::Arc;

use parking_lot::MutexGuard;

use super::Inner;
use super::durable::Record;
use super::failpoints::Point;
use super::state::State;
use crate::error::{Error, Result};
use crate::ids::{IdHash, IdWriter, Ids};
use crate::vectors::{RowsWriter, Values};
use crate::work::{Phase, Work};

/// Slots of an index: a link has 31 bits for one.
pub(super) const MAX_SLOTS: usize = (1 << 31) - 2;

/// Rows between two reports, and rows that are published together where they replace others: searches wait meanwhile.
const SLICE: usize = 1_024;

/// Rows of a write after which it gives way to queries.
const ROWS_AT_ONCE: usize = 64;

/// What to do with an id that exists.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Existing {
    Refuse,
    Replace,
}

/// A batch that may be written.
struct Plan<'a> {
    ids: &'a Ids,
    rows: Values<'a>,
    existing: Existing,
    hashes: Vec<IdHash>,
    /// Rows whose id exists, with its slot.
    replaced: Vec<(usize, u32)>,
}

impl Plan<'_> {
    /// What is logged of it, if its rows are written from slot `first` on.
    fn record(&self, first: usize) -> Record<'_> {
        match self.existing {
            Existing::Refuse => Record::Add { ids: self.ids, first: first as u32 },
            Existing::Replace => Record::Upsert { ids: self.ids, first: first as u32 },
        }
    }
}

/// Ids that exist, each once, and their slots.
struct Found {
    ids: Ids,
    slots: Vec<u32>,
}

impl Found {
    fn of(state: &State, ids: &Ids) -> Result<Self> {
        let refused = |_| Error::OutOfMemory { what: "ids", bytes: ids.len() * size_of::<(u32, usize)>() };
        let mut found = Vec::new();
        found.try_reserve_exact(ids.len()).map_err(refused)?;
        for (position, id) in ids.iter().enumerate() {
            found.extend(state.map.get(state.map.hash(id), id, &state.ids).map(|slot| (slot, position)));
        }
        found.sort_unstable();
        found.dedup_by_key(|&mut (slot, _)| slot);
        let mut once = Self { ids: Ids::none(state.ids.id_type()), slots: Vec::new() };
        once.ids.try_reserve(found.len()).map_err(refused)?;
        once.slots.try_reserve_exact(found.len()).map_err(refused)?;
        for (slot, position) in found {
            once.ids.push(ids.get(position))?;
            once.slots.push(slot);
        }
        Ok(once)
    }
}

impl Inner {
    pub(super) fn insert(&self, ids: &Ids, rows: Values<'_>, existing: Existing, work: &Work) -> Result<()> {
        let _writing = self.changing()?;
        let state = self.state.load_full();
        self.check_rows(ids, rows, work)?;
        let plan = self.plan(&state, ids, rows, existing, work)?;
        self.guarded(|| self.write(&state, &plan, work))?;
        self.migrator.cut(state.end(), state.live());
        self.decide_on_compaction(&state);
        Ok(())
    }

    pub(super) fn remove(&self, ids: &Ids) -> Result<usize> {
        let _writing = self.changing()?;
        ids.check(self.options.id_type)?;
        let state = self.state.load_full();
        let found = Found::of(&state, ids)?;
        if found.slots.is_empty() {
            return Ok(0);
        }
        self.log(state.rows().view(), &Record::Remove { ids: &found.ids })?;
        let _ = self.failpoints.pass(Point::Logged);
        for (id, &slot) in found.ids.iter().zip(&found.slots) {
            state.map.remove(state.map.hash(id), slot);
            state.take_out(slot);
        }
        self.migrator.shrink(state.live());
        self.decide_on_compaction(&state);
        Ok(found.slots.len())
    }

    pub(super) fn clear(&self) -> Result<()> {
        let _writing = self.changing()?;
        let fresh = Arc::new(State::new(&self.options));
        self.log(fresh.rows().view(), &Record::Clear)?;
        let _ = self.failpoints.pass(Point::Logged);
        self.migrator.reset(|| self.state.swap(Arc::clone(&fresh))).abandon();
        Ok(())
    }

    /// The right to change what the index holds.
    fn changing(&self) -> Result<MutexGuard<'_, ()>> {
        let guard = self.writing()?;
        self.check_writable()?;
        Ok(guard)
    }

    /// The right to write; one caller at a time.
    pub(super) fn writing(&self) -> Result<MutexGuard<'_, ()>> {
        let guard = self.writing.lock();
        self.check_open()?;
        self.migrator.control().check_sound()?;
        Ok(guard)
    }

    fn check_rows(&self, ids: &Ids, rows: Values<'_>, work: &Work) -> Result<()> {
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
        let kept = state.rows();
        for (row, values) in rows.rows(dimensions).enumerate() {
            self.pause(row, work)?;
            kept.space().check_row(values, Some(row))?;
        }
        Ok(())
    }

    /// Between two rows of a write: gives way to queries, and hears the caller's wish to cancel.
    fn pause(&self, row: usize, work: &Work) -> Result<()> {
        if row.is_multiple_of(ROWS_AT_ONCE) {
            self.pools.give_way();
        }
        work.check()
    }

    fn plan<'a>(
        &self,
        state: &State,
        ids: &'a Ids,
        rows: Values<'a>,
        existing: Existing,
        work: &Work,
    ) -> Result<Plan<'a>> {
        let expected = MAX_SLOTS - state.len();
        if ids.len() > expected {
            return Err(Error::argument("ids", ids.len(), format_args!("at most {expected} more rows in one index")));
        }
        let hashes = state.map.hashes(ids, work)?;
        let duplicate =
            |row: usize, reason| Error::DuplicateId { row, id: ids.get(row).display(self.options.id_type), reason };
        if let Some(row) = state.map.first_repeat(ids, &hashes, work)? {
            return Err(duplicate(row, "stands in the batch twice"));
        }
        let mut replaced = Vec::new();
        for (row, id) in ids.iter().enumerate() {
            self.pause(row, work)?;
            let Some(slot) = state.map.get(hashes[row], id, &state.ids) else {
                continue;
            };
            if existing == Existing::Refuse {
                return Err(duplicate(row, "is in the index already"));
            }
            let refused = |_| Error::OutOfMemory { what: "ids", bytes: ids.len() * size_of::<(usize, u32)>() };
            replaced.try_reserve(1).map_err(refused)?;
            replaced.push((row, slot));
        }
        Ok(Plan { ids, rows, existing, hashes, replaced })
    }

    /// Writes a batch and publishes it. All memory is asked for, and the caller's wish to cancel heard, before the
    /// first thing that others see.
    fn write(&self, state: &State, plan: &Plan<'_>, work: &Work) -> Result<()> {
        let (first, count) = (state.len(), plan.ids.len());
        let dimensions = self.options.dimensions;
        state.removed.reserve(first + count)?;
        state.equals.reserve(first, count)?;
        state.map.reserve(&plan.hashes, &state.ids)?;
        let shelf = state.shelf.writing();
        let (mut ids, mut rows) = (state.ids.writer(), shelf.rows.writer());
        for (row, values) in plan.rows.rows(dimensions).enumerate() {
            self.pause(row, work)?;
            if row % SLICE == 0 {
                work.report(Phase::Copy, row, count);
            }
            ids.push(plan.ids.get(row))?;
            rows.push(values)?;
        }
        let equal = state.equals.find(first as u32..(first + count) as u32, rows.written(), work)?;
        let live = state.live() + count - plan.replaced.len();
        let lists = self.lists_of_waiting(state, rows.written(), Some(&equal), live)?;
        work.conclude(Phase::Copy, count)?;
        if count > 0 {
            // From here on nothing fails.
            self.log(rows.written(), &plan.record(first))?;
            let _ = self.failpoints.pass(Point::Logged);
        }
        state.take_lists(lists);
        self.publish(state, plan, &mut ids, &mut rows);
        equal.enter();
        Ok(())
    }

    /// Shows a batch that is written to others; nothing here fails. Rows that replace others are shown slice by slice,
    /// each together with the end of those that it replaces.
    fn publish(&self, state: &State, plan: &Plan<'_>, ids: &mut IdWriter<'_>, rows: &mut RowsWriter<'_>) {
        let (first, count) = (state.len(), plan.ids.len());
        ids.publish();
        let mut replaced = plan.replaced.iter().peekable();
        for (row, &hash) in plan.hashes.iter().enumerate() {
            if replaced.next_if(|&&(other, _)| other == row).is_none() {
                state.map.insert(hash, (first + row) as u32, &state.ids);
            }
        }
        let _ = self.failpoints.pass(Point::Publish);
        if plan.replaced.is_empty() {
            rows.publish();
            return state.count_added(count);
        }
        let mut replaced = &plan.replaced[..];
        for start in (0..count).step_by(SLICE) {
            let end = count.min(start + SLICE);
            let (now, later) = replaced.split_at(replaced.partition_point(|&(row, _)| row < end));
            replaced = later;
            if start > 0 {
                let _ = self.failpoints.pass(Point::Publish);
            }
            state.replacing(|| {
                rows.publish_below(first + end);
                state.count_added(end - start);
                for &(row, old) in now {
                    state.map.replace(plan.hashes[row], old, (first + row) as u32);
                    state.take_out(old);
                }
            });
        }
    }
}
