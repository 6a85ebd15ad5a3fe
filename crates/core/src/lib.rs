//! vicinal-core: an embedded vector index that is exact while small and a graph when it grows.
#![deny(unsafe_code)]

mod distance;
mod error;
mod ids;
mod index;
mod options;
mod work;

pub use error::{Error, Result};
pub use ids::{Id, IdSet, Ids};
pub use index::{BatchHits, Bytes, Hits, Index, Keys, Migrated, Migration, MigrationState, Stats, Verified};
pub use options::{IdType, Metric, Options, SearchOptions};
pub use work::{Phase, Progress, ProgressFn, Work};
