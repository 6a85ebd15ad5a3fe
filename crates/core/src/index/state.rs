//! Everything that an index holds. `clear` replaces it as a whole.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use arc_swap::{ArcSwapOption, Guard};
use parking_lot::{Mutex, RwLock, RwLockWriteGuard};

use super::efs::Efs;
use super::equals::Equals;
use crate::bits::Bits;
use crate::error::Result;
use crate::graph::{Graph, ScratchPool};
use crate::ids::{Id, IdMap, IdStore};
use crate::inverted::InvertedFile;
use crate::memory::room;
use crate::options::Options;
use crate::pools::giving_way;
use crate::storage::watch;
use crate::vectors::{Rows, Shelf, Space};

/// Slots that are looked at before it gives way to queries.
const SLOTS_AT_ONCE: usize = 1 << 14;

/// Removed slots below a line, so that nobody has to count them anew.
#[derive(Default)]
struct Counted {
    upto: usize,
    removed: usize,
}

pub(crate) struct State {
    /// Differs from that of every other state of the process.
    generation: u64,
    /// Rows that compactions have taken away: the position of the first slot (see [`crate::migration::Control`]).
    origin: usize,
    pub(crate) shelf: Shelf,
    pub(crate) ids: IdStore,
    pub(crate) map: IdMap,
    /// Slots that `remove` or `upsert` took out.
    pub(crate) removed: Bits,
    pub(crate) equals: Equals,
    live: AtomicUsize,
    counted: Mutex<Counted>,
    /// Made by the first migration; replaced as a whole by a bulk build.
    pub(crate) graph: ArcSwapOption<Graph>,
    /// Rows that wait for the graph, if they are many.
    pub(crate) inverted: ArcSwapOption<InvertedFile>,
    /// Rows that were there when codes were found not to tell them apart.
    pub(crate) not_fitting: AtomicUsize,
    pub(crate) scratches: ScratchPool,
    /// Measured when a search first asks for a recall.
    pub(super) efs: ArcSwapOption<Efs>,
    /// Whether somebody is at it.
    pub(super) measuring: AtomicBool,
    /// Odd while an upsert takes replaced rows out; each one adds two.
    replacements: AtomicU64,
    /// Held while an upsert takes replaced rows out, and by whoever must not be disturbed by one.
    replacing: RwLock<()>,
    /// `clear` or `close` came: whoever migrates it should stop.
    abandoned: AtomicBool,
    /// Whether it lies in a file that is mapped: nothing can be added, and what is read may turn out to be damaged.
    is_mapped: bool,
}

/// What a search looks at.
pub(crate) struct Snapshot {
    pub(crate) inverted: Guard<Option<Arc<InvertedFile>>>,
    pub(crate) graph: Guard<Option<Arc<Graph>>>,
    pub(crate) rows: Guard<Arc<Rows>>,
}

impl State {
    pub(crate) fn new(options: &Options) -> Self {
        Self::of(options, Rows::new(Self::space(options)))
    }

    /// Without rows, after compactions that have taken `origin` rows away.
    pub(crate) fn after(options: &Options, origin: usize) -> Self {
        Self { origin, ..Self::new(options) }
    }

    /// What rows are of.
    pub(crate) fn space(options: &Options) -> Space {
        Space::new(options.metric, options.dimensions).keeping(options.dtype)
    }

    /// As it lies in a file.
    pub(crate) fn mapped(options: &Options, rows: Rows, ids: IdStore, map: IdMap) -> Self {
        Self { map, is_mapped: true, ..Self::with_ids(options, rows, ids) }
    }

    /// With rows and their ids, of which nothing else is known yet.
    pub(crate) fn with_ids(options: &Options, rows: Rows, ids: IdStore) -> Self {
        Self { ids, ..Self::of(options, rows) }
    }

    /// With rows of which nothing else is known yet.
    fn of(options: &Options, rows: Rows) -> Self {
        static GENERATIONS: AtomicU64 = AtomicU64::new(0);
        Self {
            generation: GENERATIONS.fetch_add(1, Ordering::Relaxed),
            origin: 0,
            shelf: Shelf::of(rows),
            ids: IdStore::new(options.id_type),
            map: IdMap::new(),
            removed: Bits::new("ids"),
            equals: Equals::new(),
            live: AtomicUsize::new(0),
            counted: Mutex::default(),
            graph: ArcSwapOption::empty(),
            inverted: ArcSwapOption::empty(),
            not_fitting: AtomicUsize::new(0),
            scratches: ScratchPool::default(),
            efs: ArcSwapOption::empty(),
            measuring: AtomicBool::new(false),
            replacements: AtomicU64::new(0),
            replacing: RwLock::new(()),
            abandoned: AtomicBool::new(false),
            is_mapped: false,
        }
    }

    pub(crate) fn is_mapped(&self) -> bool {
        self.is_mapped
    }

    /// Runs `read`, on this thread; an error if it has met damage in the file that the state lies in.
    pub(crate) fn watch<R>(&self, read: impl FnOnce() -> Result<R>) -> Result<R> {
        if self.is_mapped { watch(read) } else { read() }
    }

    /// Makes room for so many rows, as far as it is granted: what is not comes as it is needed.
    pub(crate) fn wish(&self, rows: usize) {
        let _ = self.rows().reserve(rows).and_then(|()| self.ids.reserve(rows));
    }

    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// The rows as they stand now. Those that are loaded after a graph have all slots that it serves.
    pub(crate) fn rows(&self) -> Guard<Arc<Rows>> {
        self.shelf.load()
    }

    /// The graph, and the lists and rows that stand there with it.
    pub(crate) fn snapshot(&self) -> Snapshot {
        // The lists first: newer ones would not have what has come into a graph meanwhile.
        let inverted = self.inverted.load();
        // Then the graph: rows that are replaced later get no more slots, while it may be made to serve more.
        let graph = self.graph.load();
        Snapshot { inverted, graph, rows: self.rows() }
    }

    /// Published slots, removed ones included. Rows are published last, so all else is there for these slots.
    pub(crate) fn len(&self) -> usize {
        self.rows().len()
    }

    /// Live rows.
    pub(crate) fn live(&self) -> usize {
        self.live.load(Ordering::Acquire)
    }

    pub(crate) fn count_added(&self, rows: usize) {
        self.live.fetch_add(rows, Ordering::AcqRel);
    }

    /// Takes `slot` out.
    pub(crate) fn take_out(&self, slot: u32) {
        let mut counted = self.counted.lock();
        self.removed.set(slot);
        counted.removed += usize::from((slot as usize) < counted.upto);
        drop(counted);
        self.equals.take_out(slot, self.rows().view());
        self.live.fetch_sub(1, Ordering::AcqRel);
    }

    /// The live slot of `id`.
    pub(crate) fn find(&self, id: Id<'_>) -> Option<u32> {
        let slot = self.map.get(self.map.hash(id), id, &self.ids)?;
        ((slot as usize) < self.len()).then_some(slot)
    }

    /// Which state it is, and how many of its slots the graph serves: differs where a file would hold something else
    /// although nothing was written.
    pub(crate) fn version(&self) -> (u64, usize) {
        (self.generation, self.migrated())
    }

    /// The position of the first slot.
    pub(crate) fn origin(&self) -> usize {
        self.origin
    }

    /// The position behind the last row.
    pub(crate) fn end(&self) -> usize {
        self.origin + self.len()
    }

    /// Positions below it are served by the graph.
    pub(crate) fn reached(&self) -> usize {
        self.origin + self.migrated()
    }

    /// The slot of the row at `position`; the first for one that was taken away.
    pub(crate) fn slot_at(&self, position: usize) -> usize {
        position.saturating_sub(self.origin)
    }

    /// Live rows among those at `positions`.
    pub(crate) fn live_at(&self, positions: Range<usize>) -> usize {
        self.live_in(self.slot_at(positions.start)..self.slot_at(positions.end))
    }

    /// Live rows among `slots`; those that are not published are none.
    pub(crate) fn live_in(&self, slots: Range<usize>) -> usize {
        let end = slots.end.min(self.len());
        let slots = slots.start.min(end)..end;
        slots.len() - self.removed.view().count(slots)
    }

    /// Slots that the graph serves, and how many of them are live. Looks only at those that it has not looked at before.
    pub(crate) fn served(&self) -> (usize, usize) {
        let mut counted = self.counted.lock();
        // Under the lock it does not fall behind what was counted: a graph's end only rises.
        let migrated = self.migrated();
        if migrated > counted.upto {
            counted.removed += self.removed.view().count(counted.upto..migrated);
            counted.upto = migrated;
        }
        (migrated, migrated.saturating_sub(counted.removed))
    }

    /// Slots whose removed ones [`State::served`] has counted.
    #[cfg(test)]
    pub(crate) fn counted(&self) -> usize {
        self.counted.lock().upto
    }

    /// The slots of a range that equal no earlier one: those that become nodes. Gives way to queries on the threads of a
    /// pool.
    pub(crate) fn leaders(&self, slots: Range<usize>) -> Result<Vec<u32>> {
        let followers = self.equals.followers();
        let mut leaders = room("nodes", slots.len())?;
        let slots = giving_way(slots.start as u32..slots.end as u32, SLOTS_AT_ONCE);
        leaders.extend(slots.filter(|&slot| !followers.get(slot)));
        Ok(leaders)
    }

    /// The id of a published slot.
    pub(crate) fn id(&self, slot: u32) -> Id<'_> {
        self.ids.get(slot)
    }

    /// Slots below it are served by the graph.
    pub(crate) fn migrated(&self) -> usize {
        self.graph.load().as_deref().map_or(0, Graph::migrated)
    }

    /// Runs `read`, which looks at rows and at what of them was removed. If an upsert came between, it may have met an
    /// id's old row after that was taken out, and the new one not at all: then it runs again, and upserts wait for it.
    pub(crate) fn undisturbed<R>(&self, mut read: impl FnMut() -> R) -> R {
        let replacements = self.replacements.load(Ordering::Acquire);
        if replacements.is_multiple_of(2) {
            let result = read();
            if self.replacements.load(Ordering::Acquire) == replacements {
                return result;
            }
        }
        let _replacing = self.replacing.read();
        read()
    }

    /// Runs `commit`, which publishes new rows and takes out those that they replace. Searches wait for it, so it must be
    /// short; those that do come before the next.
    pub(crate) fn replacing(&self, commit: impl FnOnce()) {
        let replacing = self.replacing.write();
        self.replacements.fetch_add(1, Ordering::AcqRel);
        commit();
        self.replacements.fetch_add(1, Ordering::AcqRel);
        RwLockWriteGuard::unlock_fair(replacing);
    }

    pub(crate) fn abandon(&self) {
        self.abandoned.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_abandoned(&self) -> bool {
        self.abandoned.load(Ordering::Relaxed)
    }
}
