//! `Index`: the only place that knows rows, graph, migration and pools together.

mod batch;
mod close;
mod compact;
#[cfg(test)]
mod curves;
mod durable;
mod efs;
mod equals;
mod failpoints;
mod hash;
pub mod inspect;
mod migrate;
mod persist;
mod read;
mod reader;
mod scan;
mod state;
mod tail;
#[cfg(test)]
mod tests;
mod verify;
mod walk;
mod write;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use arc_swap::{ArcSwap, Guard};
use parking_lot::Mutex;

pub use batch::BatchHits;
pub use durable::{Durability, Unsynced};
pub use migrate::{Migration, MigrationState};
pub use read::{Hits, Keys};
pub(crate) use state::State;
pub use verify::{Bytes, Stats, Verified};

use crate::error::{Error, Result, panic_message};
use crate::ids::{Id, IdSet, IdSets, Ids};
use crate::migration::{Migrated, MigrationDone, Migrator};
use crate::options::{GivenOptions, IdType, Options, SearchOptions};
use crate::pools::Pools;
use crate::storage::System;
use crate::vectors::Values;
use crate::work::Work;
use durable::Place;
use failpoints::Failpoints;
use persist::Opening;
use read::Source;
use write::MAX_SLOTS;

/// An index. All methods may be called from any thread; clones share it, and the last one that goes stops its work.
///
/// Writes (`add`, `upsert`, `remove`, `clear`, `save`) happen one after the other, in the order in which the calls get
/// hold of the index.
#[derive(Clone)]
pub struct Index(Arc<Handle>);

/// Stops the background work when the last `Index` is gone; the work itself holds only the `Inner`.
struct Handle(Arc<Inner>);

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.stop();
        self.0.stop_checkpoint();
        self.0.settle_migrations();
    }
}

struct Inner {
    /// Differs from that of every other index of the process.
    id: u64,
    options: Options,
    state: ArcSwap<State>,
    /// Prepared filters, which follow a compaction.
    sets: IdSets,
    writing: Mutex<()>,
    migrator: Migrator,
    pools: Arc<Pools>,
    closed: AtomicBool,
    /// Set before anybody else has an index that is opened in a directory.
    place: OnceLock<Place>,
    /// Live rows at `close`.
    final_len: AtomicUsize,
    failpoints: Failpoints,
}

impl Index {
    /// An empty index. `InvalidArgument` for options out of range.
    pub fn new(options: Options) -> Result<Self> {
        options.validate()?;
        let options = Options { capacity: options.capacity.min(MAX_SLOTS), ..options };
        let pools = Pools::new(options.threads)?;
        let state = State::new(&options);
        state.wish(options.capacity);
        Ok(Self::assemble(options, pools, state))
    }

    fn assemble(options: Options, pools: Arc<Pools>, state: State) -> Self {
        static INDEXES: AtomicU64 = AtomicU64::new(0);
        let threshold = options.threshold.unwrap_or(usize::MAX);
        let migrator = Migrator::new(options.auto_migrate, threshold);
        if let Some(graph) = state.graph.load().as_deref() {
            migrator.resume(graph.migrated(), graph.is_bulk());
        }
        migrator.cut(state.end(), state.live());
        let index = Self(Arc::new(Handle(Arc::new(Inner {
            id: INDEXES.fetch_add(1, Ordering::Relaxed),
            options,
            state: ArcSwap::from_pointee(state),
            sets: IdSets::default(),
            writing: Mutex::new(()),
            migrator,
            pools,
            closed: AtomicBool::new(false),
            place: OnceLock::new(),
            final_len: AtomicUsize::new(0),
            failpoints: Failpoints::default(),
        }))));
        index.inner().decide_on_compaction(&index.inner().state.load());
        index
    }

    fn inner(&self) -> &Arc<Inner> {
        &self.0.0
    }

    /// The options it was made with.
    pub fn options(&self) -> &Options {
        &self.inner().options
    }

    /// Live rows.
    pub fn len(&self) -> usize {
        let inner = self.inner();
        inner.open().map_or_else(|_| inner.final_len.load(Ordering::Acquire), |state| state.live())
    }

    /// Whether there is no live row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds rows, all or none. `rows` is row-major, `ids.len() × dimensions`; values are rounded to the index's type. The rows are found by every search that
    /// starts after the call. `DuplicateId` for an id that exists or stands in the batch twice.
    pub fn add<'v>(&self, ids: &Ids, rows: impl Into<Values<'v>>, work: &Work) -> Result<()> {
        self.unsynced().add(ids, rows, work)?;
        self.wait_durable()
    }

    /// Adds rows, all or none, replacing those whose ids exist. A replaced row counts as newly inserted.
    pub fn upsert<'v>(&self, ids: &Ids, rows: impl Into<Values<'v>>, work: &Work) -> Result<()> {
        self.unsynced().upsert(ids, rows, work)?;
        self.wait_durable()
    }

    /// Removes rows; how many existed.
    pub fn remove(&self, ids: &Ids) -> Result<usize> {
        let removed = self.unsynced().remove(ids)?;
        self.wait_durable()?;
        Ok(removed)
    }

    /// Removes all rows and the graph.
    pub fn clear(&self) -> Result<()> {
        self.unsynced().clear()?;
        self.wait_durable()
    }

    /// The row of `id`, as it is kept.
    pub fn get(&self, id: Id<'_>) -> Result<Option<Vec<f32>>> {
        self.inner().get(id)
    }

    /// Rows in the order of the ids, zeros where there is none, and 1 or 0 an id.
    pub fn get_many(&self, ids: &Ids) -> Result<(Vec<f32>, Vec<u8>)> {
        self.inner().get_many(ids)
    }

    pub fn has(&self, id: Id<'_>) -> Result<bool> {
        self.inner().has(id)
    }

    /// All ids that are live now, in insertion order.
    pub fn keys(&self) -> Result<Keys> {
        self.inner().keys()
    }

    /// The neighbors of `query`, on the calling thread.
    pub fn search(&self, query: &[f32], options: &SearchOptions) -> Result<Hits> {
        self.inner().hits(Source::Values(query), options)
    }

    /// The neighbors of `query` into the caller's buffers (number and bigint ids only); how many. A warm call
    /// allocates nothing. `InvalidArgument` if the buffers hold less than `min(k, len)`.
    pub fn search_into(
        &self,
        query: &[f32],
        options: &SearchOptions,
        keys: &mut [u64],
        distances: &mut [f32],
    ) -> Result<usize> {
        self.inner().hits_into(query, options, keys, distances)
    }

    /// The neighbors of a row of the index, itself left out. `InvalidArgument` for an unknown id.
    pub fn search_by_id(&self, id: Id<'_>, options: &SearchOptions) -> Result<Hits> {
        self.inner().hits(Source::Id(id), options)
    }

    /// The neighbors of many queries, on all query threads; blocks the caller, which must not be one of them.
    pub fn search_batch(&self, queries: Vec<f32>, options: &SearchOptions, work: &Work) -> Result<BatchHits> {
        self.inner().batch(queries, options, work)
    }

    /// Prepares a filter. Ids that are not in the index match once they are added.
    pub fn id_set(&self, ids: &Ids) -> Result<IdSet> {
        self.inner().id_set(ids)
    }

    /// Runs `task` on a query thread; background work never occupies these. First in, first out.
    pub fn spawn_query(&self, task: impl FnOnce() + Send + 'static) {
        self.inner().pools.spawn_query(task);
    }

    /// Where the migration stands.
    pub fn migration(&self) -> Migration {
        self.inner().migration()
    }

    /// Joins the running migration, or starts one. `done` is called once, on some thread: when all rows that are there
    /// now are in the graph, or with `Cancelled`, `Closed` or what stopped the run. Below the threshold there is
    /// nothing to do. While the migration is paused it waits.
    pub fn start_migration(&self, work: Work, done: MigrationDone) {
        if let Err(error) = self.inner().check_growing() {
            return done(Err(error));
        }
        self.inner().start_migration(work, done);
    }

    /// `resume_migration` and `start_migration`, waiting for its end.
    pub fn migrate(&self, work: &Work) -> Result<Migrated> {
        self.resume_migration()?;
        migrate::wait(|done| self.start_migration(work.clone(), done))
    }

    /// Inserts the next at most `max` rows, in batches of at most 4,096; fewer where a region ends. How many still wait.
    pub fn migrate_step(&self, max: usize) -> Result<usize> {
        if max == 0 {
            return Err(Error::argument("maxVectors", max, "a whole number, 1 or more"));
        }
        self.inner().check_growing()?;
        self.inner().migrate_step(max)
    }

    /// Stops the migration where it is until it is resumed.
    pub fn pause_migration(&self) -> Result<()> {
        self.inner().check_open()?;
        self.inner().check_growing()?;
        self.inner().migrator.pause();
        Ok(())
    }

    pub fn resume_migration(&self) -> Result<()> {
        self.inner().check_open()?;
        self.inner().check_growing()?;
        self.inner().resume_migration();
        Ok(())
    }

    /// Gives back what removed and replaced rows take, memory, links and ids, by making the index anew of its live rows,
    /// as one that is built of them at once. Searches and writes go on, the migration waits. Until it is done all is as
    /// before, also if it is cancelled or fails; it needs memory for the rows once more. With a migration by hand, rows
    /// that wait go on to wait. An index that migrates by itself is compacted by itself, when an eighth of its rows is
    /// removed.
    pub fn compact(&self, work: &Work) -> Result<()> {
        self.inner().compact(work)
    }

    /// Whether it lies in a file that is mapped, and so takes next to no memory of its own.
    pub fn is_view(&self) -> bool {
        self.inner().state.load().is_mapped()
    }

    /// What the index takes in memory. Cheap: nothing is looked at but counts.
    pub fn bytes(&self) -> Bytes {
        self.inner().bytes()
    }

    /// Counts, memory, and a look at the graph.
    pub fn stats(&self) -> Result<Stats> {
        self.inner().stats()
    }

    /// Measures recall at `k` on `samples` of the index's own rows, and counts live rows that cannot be reached.
    pub fn verify(&self, samples: usize, k: usize, ef: Option<usize>, work: &Work) -> Result<Verified> {
        self.inner().verify(samples, k, ef, work)
    }

    /// Writes the index, as it is after the writes called before, to one file. The file that was there stays until the
    /// new one is complete, and if the call fails. Searches and writes go on, the migration waits. `Io` for what the
    /// system refuses; a call that is cancelled has changed nothing.
    pub fn save(&self, path: &Path, work: &Work) -> Result<()> {
        self.inner().save(&System, path, work)
    }

    /// Reads what [`Index::save`] wrote: it answers as the saved index did, and its migration goes on. `id_type` is what
    /// the caller expects: `InvalidArgument` for another. `Corrupt` for a file that is none, or damaged; `Version` for
    /// one that is too new; `Io` for what the system refuses.
    pub fn load(path: &Path, threads: Option<usize>, id_type: Option<IdType>, work: &Work) -> Result<Self> {
        persist::load(&System, path, Opening { threads, id_type }, work)
    }

    /// The bytes that [`Index::save`] would write.
    pub fn to_bytes(&self, work: &Work) -> Result<Vec<u8>> {
        self.inner().to_bytes(work)
    }

    /// As [`Index::load`], of the bytes of a file.
    pub fn from_bytes(bytes: Vec<u8>, threads: Option<usize>, id_type: Option<IdType>, work: &Work) -> Result<Self> {
        persist::from_bytes(bytes, Opening { threads, id_type }, work)
    }

    /// Maps what [`Index::save`] wrote into memory, to be searched where it is: it need not be read as a whole, and processes
    /// share it. Writes and migrations are `ReadOnly`. Damage is found when it is touched: that call is `Corrupt`, and those
    /// that touch other parts are not. The index keeps the file as it was also if another takes its place.
    pub fn view(path: &Path, threads: Option<usize>, id_type: Option<IdType>, work: &Work) -> Result<Self> {
        persist::view(path, Opening { threads, id_type }, work)
    }

    /// Opens the index in `directory`, or makes one there: what was acknowledged is there, and its migration goes on.
    /// Options that differ from the stored ones are `InvalidArgument`, as is a new index without dimensions. `Locked` while
    /// somebody else has it open to write; `Corrupt` for a directory that is damaged, which stays as it is.
    pub fn open(directory: &Path, given: &GivenOptions, durability: Durability) -> Result<Self> {
        durable::open(Arc::new(System), directory, given, durability)
    }

    /// Opens the index in `directory` as it is now, to be searched only: other writes are `ReadOnly`. Nothing in the
    /// directory is made or changed, and nobody is kept from writing there.
    pub fn open_to_read(directory: &Path, given: &GivenOptions) -> Result<Self> {
        durable::open_to_read(&System, directory, given)
    }

    /// Refuses later calls with `Closed`, stops the migration and waits for it, and frees the memory. Who waits for a
    /// migration gets `Closed`. The length and the options stay readable. An index that was opened in a directory is
    /// checkpointed; if that fails it is closed all the same, and what was acknowledged is in the log.
    pub fn close(&self) -> Result<()> {
        self.inner().close(true)
    }

    /// Closes without a checkpoint. Nothing that was acknowledged is lost.
    pub fn abandon(&self) {
        // Only a checkpoint can fail.
        let _ = self.inner().close(false);
    }

    /// Marks the index as broken by a caught panic: later writes and migrations are refused with `Internal`.
    pub fn poison(&self, message: &str) {
        self.inner().poison(message);
    }
}

impl Inner {
    fn check_open(&self) -> Result<()> {
        if self.closed.load(Ordering::Acquire) { Err(Error::Closed) } else { Ok(()) }
    }

    /// Refuses to move rows into the graph where nothing may change.
    fn check_growing(&self) -> Result<()> {
        if self.state.load().is_mapped() { Err(Error::ReadOnly) } else { Ok(()) }
    }

    /// What the index holds, unless it is closed. Looked at in this order: `close` marks it first, then empties it.
    fn open(&self) -> Result<Guard<Arc<State>>> {
        let state = self.state.load();
        self.check_open()?;
        Ok(state)
    }

    fn poison(&self, message: &str) {
        self.migrator.poison(message);
    }

    /// Runs `body`, which changes the index. A panic may leave a change half done: nothing may be built on it.
    fn guarded<R>(&self, body: impl FnOnce() -> Result<R>) -> Result<R> {
        catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|panic| {
            let message = panic_message(&*panic);
            self.poison(message);
            Err(Error::Internal(message.to_string()))
        })
    }
}
