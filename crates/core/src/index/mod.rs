//! `Index`: the only place that knows store, graph and pools together (stub of the interface; being written).

use std::path::Path;

use crate::error::Result;
use crate::ids::{Id, IdSet, Ids};
use crate::options::{IdType, Options, SearchOptions};
use crate::work::Work;

/// An index. All methods take `&self` and may be called from any thread; clones share it.
/// Writes (`add`, `upsert`, `remove`, `clear`, `save`) are serialised by a lock inside, in the order of the calls.
#[derive(Clone)]
pub struct Index {}

/// Neighbors of one query, nearest first; `ids.len() == distances.len()`.
#[derive(Debug, Clone)]
pub struct Hits { pub ids: Ids, pub distances: Vec<f32> }

/// Neighbors of many queries: row `i` is at `i * stride`, its first `counts[i]` entries are real;
/// the rest have distance +Infinity and id 0 or "". `stride` is the `k` that was asked for.
#[derive(Debug, Clone)]
pub struct BatchHits { pub stride: usize, pub ids: Ids, pub distances: Vec<f32>, pub counts: Vec<u32> }

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MigrationState { Exact, Migrating, Paused, Graph }

/// Where the migration stands. Counts are of live rows. `method` is `Some("insert")` once a graph exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migration {
    pub state: MigrationState, pub migrated: usize, pub total: usize,
    pub method: Option<&'static str>,
    /// (code, message) of the failure that stopped the background migration.
    pub error: Option<(&'static str, String)>,
}

/// What a `migrate` did.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Migrated { pub vectors: usize, pub seconds: f64 }

/// Bytes by purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bytes { pub vectors: usize, pub codes: usize, pub links: usize, pub ids: usize, pub total: usize }

#[derive(Debug, Clone, PartialEq)]
pub struct Stats {
    pub live: usize, pub removed: usize, pub tail: usize,
    /// Nodes on each level, level 0 first; empty without a graph.
    pub levels: Vec<usize>,
    pub mean_degree: f64, pub m: usize, pub bytes: Bytes,
    pub simd: &'static str, pub threads: usize, pub migration: Migration,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Verified { pub recall: f64, pub unreachable: usize, pub samples: usize }

/// What was live when it was made, in insertion order, in blocks.
pub struct Keys {}
impl Keys {
    /// The next at most `max` ids; empty at the end.
    pub fn next_block(&mut self, max: usize) -> Ids { todo!() }
}

impl Index {
    pub fn new(options: Options) -> Result<Self> { todo!() }
    /// The options it was made with.
    pub fn options(&self) -> &Options { todo!() }
    pub fn len(&self) -> usize { todo!() }

    /// `rows` is row-major, `ids.len() × dimensions`. All or nothing.
    pub fn add(&self, ids: &Ids, rows: &[f32], work: &Work) -> Result<()> { todo!() }
    pub fn upsert(&self, ids: &Ids, rows: &[f32], work: &Work) -> Result<()> { todo!() }
    /// How many existed.
    pub fn remove(&self, ids: &Ids) -> Result<usize> { todo!() }
    pub fn clear(&self) -> Result<()> { todo!() }
    pub fn get(&self, id: Id<'_>) -> Result<Option<Vec<f32>>> { todo!() }
    /// Rows in the order of the ids (zeros where not found) and 1 or 0 an id.
    pub fn get_many(&self, ids: &Ids) -> Result<(Vec<f32>, Vec<u8>)> { todo!() }
    pub fn has(&self, id: Id<'_>) -> Result<bool> { todo!() }
    pub fn keys(&self) -> Result<Keys> { todo!() }

    /// On the calling thread. A warm call allocates only its answer.
    pub fn search(&self, query: &[f32], options: &SearchOptions) -> Result<Hits> { todo!() }
    /// Allocates nothing once warm: fills the caller's buffers with keys (number and bigint ids only) and distances,
    /// returns how many. The buffers must hold `min(k, len)` entries: `Err(InvalidArgument)` otherwise.
    pub fn search_into(&self, query: &[f32], options: &SearchOptions, keys: &mut [u64], distances: &mut [f32]) -> Result<usize> { todo!() }
    /// The neighbors of a stored row, itself left out. An unknown id: `InvalidArgument`.
    pub fn search_by_id(&self, id: Id<'_>, options: &SearchOptions) -> Result<Hits> { todo!() }
    /// On the query pool, all its threads; blocks the caller.
    pub fn search_batch(&self, queries: Vec<f32>, options: &SearchOptions, work: &Work) -> Result<BatchHits> { todo!() }
    pub fn id_set(&self, ids: Ids) -> Result<IdSet> { todo!() }
    /// Runs a closure on the query pool: threads that background work never occupies. First in, first out.
    pub fn spawn_query(&self, task: impl FnOnce() + Send + 'static) { todo!() }

    pub fn migration(&self) -> Migration { todo!() }
    /// Joins the running migration or starts one; `done` is called once, on another thread (or on this one if
    /// there is nothing to do), when all that waited is in the graph, or with `Cancelled` once `work` is cancelled.
    pub fn start_migration(&self, work: Work, done: Box<dyn FnOnce(Result<Migrated>) + Send>) { todo!() }
    /// `start_migration`, waiting for its end.
    pub fn migrate(&self, work: &Work) -> Result<Migrated> { todo!() }
    /// Inserts at most `max` rows on the calling thread and the pool; what still waits.
    pub fn migrate_step(&self, max: usize) -> Result<usize> { todo!() }
    pub fn pause_migration(&self) -> Result<()> { todo!() }
    pub fn resume_migration(&self) -> Result<()> { todo!() }

    pub fn stats(&self) -> Result<Stats> { todo!() }
    pub fn verify(&self, samples: usize, k: usize, ef: Option<usize>, work: &Work) -> Result<Verified> { todo!() }
    pub fn save(&self, path: &Path, work: &Work) -> Result<()> { todo!() }
    /// `id_type`: what the caller expects, checked against the file.
    pub fn load(path: &Path, threads: Option<usize>, id_type: Option<IdType>, work: &Work) -> Result<Self> { todo!() }
    /// Refuses later calls with `Closed`, stops the background migration (its waiters get `Closed`) and waits for it.
    /// `len` and `options` stay readable.
    pub fn close(&self) { todo!() }
    /// Marks the index as broken by a caught panic: later writes are refused with `Internal`.
    pub fn poison(&self, message: &str) { todo!() }
}
