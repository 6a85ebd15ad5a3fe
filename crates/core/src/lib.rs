//! vicinal-core: an embedded vector index that is exact while small and a graph when it grows.
//!
//! An [`Index`] keeps rows in an append-only store. Below a threshold every search scans them all. Past it a
//! migration moves them, chunk by chunk and in the background, into a graph; searches merge what the graph serves and
//! the scan of what it does not serve yet, so a row is found from the moment that [`Index::add`] returns.
#![deny(unsafe_code)]

mod bits;
mod codes;
mod compaction;
mod distance;
mod error;
#[doc(hidden)]
pub mod failpoint;
mod flat;
mod graph;
mod ids;
mod index;
mod inverted;
mod memory;
mod migration;
mod options;
mod os;
mod pools;
mod storage;
mod sync;
mod topk;
mod vectors;
mod work;

pub use distance::Dtype;
pub use error::{Error, Failure, Result, panic_message};
pub use ids::{Id, IdSet, Ids, Texts};
pub use index::{
    BatchHits, Bytes, Durability, Hits, Index, Keys, Migration, MigrationState, Stats, Unsynced, Verified, inspect,
};
pub use migration::{Migrated, MigrationDone};
pub use options::{GivenOptions, IdType, Metric, Options, SearchOptions};
pub use vectors::Values;
pub use work::{Phase, Progress, ProgressFn, Work};
