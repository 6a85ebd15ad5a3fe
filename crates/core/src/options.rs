//! What an index is made with, and what a search is asked for.

use crate::distance::Dtype;
use crate::error::{Error, Result};

/// How far apart two vectors are. Smaller is always nearer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Metric {
    /// Squared Euclidean distance, Σ (aᵢ − bᵢ)².
    #[default]
    L2,
    /// 1 − cos(a, b), in 0 … 2.
    Cosine,
    /// The negated inner product, −Σ aᵢ·bᵢ.
    InnerProduct,
}

/// The type of the caller's ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IdType {
    /// Safe integers of JavaScript, negative ones too; a key is the `i64` reinterpreted as `u64`.
    #[default]
    Number,
    /// Unsigned 64-bit integers.
    BigInt,
    /// Strings of well-formed Unicode.
    String,
}

impl IdType {
    /// The name that JavaScript sees.
    pub fn name(self) -> &'static str {
        match self {
            Self::Number => "number",
            Self::BigInt => "bigint",
            Self::String => "string",
        }
    }
}

/// What an index is made with.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Values a vector, 1 … 65,536.
    pub dimensions: usize,
    pub metric: Metric,
    pub id_type: IdType,
    pub dtype: Dtype,
    /// `M`: links chosen per inserted node, 2 … 256; level 0 holds up to 2·M. `None`: chosen from the data.
    pub m: Option<usize>,
    /// Size of the candidate list of an insertion.
    pub ef_construction: usize,
    /// Default size of a search's candidate list.
    pub ef: usize,
    /// The number of live rows from which on a graph is kept. `None`: never.
    pub threshold: Option<usize>,
    /// Rows that a migration publishes at once; of more than 4,096 as many.
    pub chunk_size: usize,
    /// Whether the migration starts by itself.
    pub auto_migrate: bool,
    /// `None`: the pool that all indexes of the process share, one thread a core.
    pub threads: Option<usize>,
    pub seed: u64,
    /// Rows to reserve memory for.
    pub capacity: usize,
}

impl Options {
    pub const MAX_DIMENSIONS: usize = 65_536;
    pub const MAX_M: usize = 256;
    pub const MAX_THREADS: usize = 1_024;

    /// The defaults for vectors of `dimensions` values.
    pub fn new(dimensions: usize) -> Self {
        Self {
            dimensions,
            metric: Metric::L2,
            id_type: IdType::Number,
            dtype: Dtype::F32,
            m: None,
            ef_construction: 200,
            ef: 64,
            threshold: Some(5_000),
            chunk_size: 1_000,
            auto_migrate: true,
            threads: None,
            seed: 0,
            capacity: 0,
        }
    }

    pub(crate) fn validate(&self) -> Result<()> {
        within("dimensions", self.dimensions, 1, Self::MAX_DIMENSIONS)?;
        if let Some(m) = self.m {
            within("m", m, 2, Self::MAX_M)?;
        }
        within("efConstruction", self.ef_construction, 1, u32::MAX as usize)?;
        within("ef", self.ef, 1, u32::MAX as usize)?;
        within("chunkSize", self.chunk_size, 1, u32::MAX as usize)?;
        if let Some(threads) = self.threads {
            within("threads", threads, 1, Self::MAX_THREADS)?;
        }
        Ok(())
    }
}

fn within(name: &'static str, got: usize, low: usize, high: usize) -> Result<()> {
    if (low..=high).contains(&got) {
        return Ok(());
    }
    Err(Error::argument(name, got, format_args!("a whole number, {low} … {high}")))
}

/// What a search is asked for.
#[derive(Debug, Clone, Default)]
pub struct SearchOptions {
    /// Neighbors wanted; clamped to the size. `usize::MAX` only together with `max_distance`.
    pub k: usize,
    /// Size of the candidate list, raised to `k`. `None`: the index's default.
    pub ef: Option<usize>,
    /// Scan every row instead of asking the graph.
    pub exact: bool,
    /// Only neighbors at most this far.
    pub max_distance: Option<f32>,
    /// Only these.
    pub filter: Option<crate::IdSet>,
}
