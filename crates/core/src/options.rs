//! What an index is made with, and what a search is asked for.

use crate::distance::Dtype;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

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

impl Metric {
    /// The name that JavaScript sees.
    pub fn name(self) -> &'static str {
        match self {
            Self::L2 => "l2",
            Self::Cosine => "cosine",
            Self::InnerProduct => "ip",
        }
    }
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

/// What is asked of an index that may be there already: what is left out is as it is stored, or the default.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GivenOptions {
    pub dimensions: Option<usize>,
    pub metric: Option<Metric>,
    pub id_type: Option<IdType>,
    pub dtype: Option<Dtype>,
    pub m: Option<usize>,
    pub ef_construction: Option<usize>,
    pub ef: Option<usize>,
    /// `Some(None)`: never.
    pub threshold: Option<Option<usize>>,
    pub chunk_size: Option<usize>,
    pub auto_migrate: Option<bool>,
    /// Not stored.
    pub threads: Option<usize>,
    pub seed: Option<u64>,
    /// A hint, which may differ from the stored one.
    pub capacity: Option<usize>,
}

impl GivenOptions {
    /// All options of a new index. `InvalidArgument` without dimensions, or for a value out of range.
    pub fn complete(&self) -> Result<Options> {
        let Some(dimensions) = self.dimensions else {
            return Err(Error::argument("dimensions", "none", "a whole number, 1 … 65536, since the index is new"));
        };
        let default = Options::new(dimensions);
        let options = Options {
            dimensions,
            metric: self.metric.unwrap_or(default.metric),
            id_type: self.id_type.unwrap_or(default.id_type),
            dtype: self.dtype.unwrap_or(default.dtype),
            m: self.m,
            ef_construction: self.ef_construction.unwrap_or(default.ef_construction),
            ef: self.ef.unwrap_or(default.ef),
            threshold: self.threshold.unwrap_or(default.threshold),
            chunk_size: self.chunk_size.unwrap_or(default.chunk_size),
            auto_migrate: self.auto_migrate.unwrap_or(default.auto_migrate),
            threads: self.threads,
            seed: self.seed.unwrap_or(default.seed),
            capacity: self.capacity.unwrap_or(default.capacity),
        };
        options.validate()?;
        Ok(options)
    }

    /// Refuses what differs from `stored`.
    pub(crate) fn check(&self, stored: &Options) -> Result<()> {
        agree("dimensions", self.dimensions, stored.dimensions)?;
        agree("metric", self.metric.map(Metric::name), stored.metric.name())?;
        agree("idType", self.id_type.map(IdType::name), stored.id_type.name())?;
        agree("dtype", self.dtype.map(Dtype::name), stored.dtype.name())?;
        let chosen = "chosen from the data".to_string();
        agree("m", self.m.map(|m| m.to_string()), stored.m.map_or(chosen, |m| m.to_string()))?;
        agree("efConstruction", self.ef_construction, stored.ef_construction)?;
        agree("ef", self.ef, stored.ef)?;
        let rows = |threshold: Option<usize>| threshold.map_or("Infinity".to_string(), |rows| rows.to_string());
        agree("threshold", self.threshold.map(rows), rows(stored.threshold))?;
        agree("chunkSize", self.chunk_size, stored.chunk_size)?;
        let name = |auto: bool| if auto { "auto" } else { "manual" };
        agree("migration", self.auto_migrate.map(name), name(stored.auto_migrate))?;
        agree("seed", self.seed, stored.seed)
    }
}

fn agree<T: PartialEq + std::fmt::Display>(name: &'static str, given: Option<T>, stored: T) -> Result<()> {
    match given {
        Some(given) if given != stored => Err(Error::argument(name, given, format_args!("{stored}, as it is stored"))),
        _ => Ok(()),
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
    /// The share of the true neighbors to find, more than 0 and at most 1, instead of `ef`: this is then taken from a table
    /// that the index measures on its own rows, in the background, from the first such search on. Until it is there, `ef`
    /// is one that suffices for hard data. 1 is `exact`.
    pub recall: Option<f64>,
    /// Scan every row instead of asking the graph.
    pub exact: bool,
    /// Only neighbors at most this far.
    pub max_distance: Option<f32>,
    /// Only these.
    pub filter: Option<crate::IdSet>,
    /// Stops the search, which then fails with `Cancelled`, when it is set: looked at between the work units of a scan
    /// and of a search by lists.
    pub cancelled: Option<Arc<AtomicBool>>,
}
