//! Rows on their way from one state into another.

use std::sync::Arc;

use crate::compaction::Compaction;
use crate::error::{Error, Result};
use crate::ids::IdHash;
use crate::index::State;
use crate::memory::room;
use crate::pools::{Turn, Turns};
use crate::work::Work;

/// Rows of a work unit.
const UNIT: usize = 64;

/// Words of removed bits that are looked at in a work unit.
const WORDS: usize = 1_024;

/// Fills one state with what stays of another, which goes on to be written. Nobody else has the one that is filled.
pub(super) struct Mover {
    from: Arc<State>,
    to: Arc<State>,
    compaction: Arc<Compaction>,
    /// Slots of `from` below it were moved, or have gone.
    upto: usize,
    /// Which of them have gone, or are removed in both, in words of 64.
    seen: Vec<u64>,
    /// The slots that a work unit moves, and the hashes of their ids.
    slots: Vec<u32>,
    hashes: Vec<IdHash>,
}

impl Mover {
    pub(super) fn new(from: Arc<State>, to: State, compaction: Arc<Compaction>) -> Result<Self> {
        let (slots, hashes) = (room("a compaction", UNIT)?, room("a compaction", UNIT)?);
        Ok(Self { from, to: Arc::new(to), compaction, upto: 0, seen: Vec::new(), slots, hashes })
    }

    pub(super) fn from(&self) -> &Arc<State> {
        &self.from
    }

    pub(super) fn to(&self) -> &Arc<State> {
        &self.to
    }

    pub(super) fn compaction(&self) -> &Arc<Compaction> {
        &self.compaction
    }

    pub(super) fn upto(&self) -> usize {
        self.upto
    }

    /// Rows that are not moved yet.
    pub(super) fn left(&self) -> usize {
        self.from.len() - self.upto
    }

    /// Moves what stays of the rows below `end`, which must be published. `Cancelled` when there are no more turns; without
    /// any, all at once.
    pub(super) fn advance(&mut self, end: usize, turns: Option<Turns<'_>>) -> Result<()> {
        let words = end.div_ceil(64);
        let bytes = words * size_of::<u64>();
        let refused = |_| Error::OutOfMemory { what: "a compaction", bytes };
        self.seen.try_reserve(words.saturating_sub(self.seen.len())).map_err(refused)?;
        let gone = self.compaction.gone();
        self.seen.extend((self.seen.len()..words).map(|word| gone.get(word).copied().unwrap_or(0)));
        while self.upto < end {
            let _turn = turn(turns)?;
            self.move_unit(end)?;
        }
        Ok(())
    }

    /// Moves the next rows, at most a work unit of them.
    fn move_unit(&mut self, end: usize) -> Result<()> {
        let Self { from, to, compaction, slots, hashes, .. } = self;
        slots.clear();
        slots.extend((self.upto..end).filter(|&slot| !compaction.takes(slot)).map(|slot| slot as u32).take(UNIT));
        hashes.clear();
        hashes.extend(slots.iter().map(|&slot| to.map.hash(from.id(slot))));
        let (first, count) = (to.len(), slots.len());
        to.removed.reserve(first + count)?;
        to.equals.reserve(first, count)?;
        let shelf = to.shelf.writing();
        let (mut ids, mut rows) = (to.ids.writer(), shelf.rows.writer());
        let kept = from.rows();
        for &slot in slots.iter() {
            ids.push(from.id(slot))?;
            rows.copy(kept.view(), slot)?;
        }
        let equal = to.equals.find(first as u32..(first + count) as u32, rows.written(), &Work::default())?;
        ids.publish();
        to.map.reserve(hashes, &to.ids)?;
        rows.publish();
        to.count_added(count);
        equal.enter();
        drop((ids, rows));
        for ((place, &slot), &hash) in (first as u32..).zip(slots.iter()).zip(hashes.iter()) {
            if from.removed.view().get(slot) {
                self.seen[slot as usize / 64] |= 1 << (slot % 64);
                to.take_out(place);
            } else {
                to.map.insert(hash, place, &to.ids);
            }
        }
        self.upto = if count < UNIT { end } else { slots[count - 1] as usize + 1 };
        Ok(())
    }

    /// Takes out what was removed, or replaced, since it was moved.
    pub(super) fn take_out(&mut self, turns: Option<Turns<'_>>) -> Result<()> {
        for start in (0..self.seen.len()).step_by(WORDS) {
            let mut unit = turn(turns)?;
            for word in start..self.seen.len().min(start + WORDS) {
                let mut removed = self.from.removed.view().word(word) & !self.seen[word];
                if word == self.upto / 64 {
                    removed &= (1 << (self.upto % 64)) - 1;
                }
                if removed != 0 {
                    // Those of many words would be a long unit.
                    drop(unit);
                    unit = turn(turns)?;
                }
                self.seen[word] |= removed;
                while removed != 0 {
                    let slot = word * 64 + removed.trailing_zeros() as usize;
                    let place = self.compaction.place(slot) as u32;
                    self.to.map.remove(self.to.map.hash(self.from.id(slot as u32)), place);
                    self.to.take_out(place);
                    removed &= removed - 1;
                }
            }
        }
        Ok(())
    }

    /// All that is left, while nobody writes.
    pub(super) fn finish(&mut self) -> Result<()> {
        self.take_out(None)?;
        self.advance(self.from.len(), None)
    }
}

/// The right to do a work unit; `Cancelled` when there is none any more.
fn turn(turns: Option<Turns<'_>>) -> Result<Option<Turn<'_>>> {
    turns.map_or(Ok(None), |turns| turns.next().map(Some).ok_or(Error::Cancelled))
}
