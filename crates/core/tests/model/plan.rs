//! What a case does: the index's options, and calls in terms of random numbers that the case makes sense of.

use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use vicinal_core::{Dtype, IdType, Metric};

use crate::common::METRICS;
use crate::common::data::{KINDS, Kind};

/// Names that ids are made of.
pub const NAMES: usize = 700;

#[derive(Debug, Clone)]
pub struct Plan {
    pub setup: Setup,
    pub calls: Vec<Call>,
}

#[derive(Debug, Clone)]
pub struct Setup {
    pub metric: Metric,
    pub id_type: IdType,
    pub kind: Kind,
    pub dtype: Dtype,
    pub dimensions: usize,
    pub threshold: Option<usize>,
    pub m: Option<usize>,
    pub chunk_size: usize,
    pub threads: Option<usize>,
    pub seed: u64,
    pub is_auto: bool,
}

#[derive(Debug, Clone)]
pub enum Call {
    /// Rows under names that are not in use.
    Add {
        seed: u64,
        count: usize,
    },
    /// Rows under any names, in use or not.
    Upsert {
        seed: u64,
        count: usize,
    },
    /// Batches that must be refused as a whole.
    Refused {
        seed: u64,
    },
    /// Any names, some of them twice.
    Remove {
        seed: u64,
        count: usize,
    },
    Clear,
    Search(Query),
    SearchById(Query),
    Batch {
        queries: usize,
        query: Query,
    },
    /// Prepares a filter that later searches use, whatever happens to its ids.
    KeepSet {
        seed: u64,
        count: usize,
    },
    Step {
        max: usize,
    },
    Migrate,
    Compact,
    Pause,
    Resume,
    /// Waits until the background has nothing to do.
    Settle,
    /// Compares all that can be read.
    Check,
    /// Saves, and goes on with what is loaded.
    Reopen,
}

#[derive(Debug, Clone)]
pub struct Query {
    pub seed: u64,
    pub k: K,
    /// Whether to search with a candidate list of no more than k.
    pub is_narrow: bool,
    pub exact: bool,
    /// A limit after as many rows.
    pub limit: Option<usize>,
    pub filter: Filter,
}

#[derive(Debug, Clone, Copy)]
pub enum K {
    Some(usize),
    /// All within the limit.
    All,
}

#[derive(Debug, Clone, Copy)]
pub enum Filter {
    None,
    /// A new one of as many names.
    Fresh(usize),
    Kept,
}

pub fn plans(is_auto: bool) -> impl Strategy<Value = Plan> {
    let fill = (any::<u64>(), 0..500usize).prop_map(|(seed, count)| Call::Add { seed, count });
    let calls = (fill, prop::collection::vec(calls(), 1..40)).prop_map(|(fill, mut calls)| {
        calls.insert(0, fill);
        calls
    });
    (setups(is_auto), calls).prop_map(|(setup, calls)| Plan { setup, calls })
}

fn setups(is_auto: bool) -> impl Strategy<Value = Setup> {
    let dtype = select(&[Dtype::F32, Dtype::F16, Dtype::I8, Dtype::U8]);
    let about_rows = (select(&METRICS), select(&KINDS), dtype, prop_oneof![6 => 1..=40usize, 1 => 60..=70usize]);
    let id_type = select(&[IdType::Number, IdType::BigInt, IdType::String]);
    let threshold = prop_oneof![Just(Some(0)), (1..300usize).prop_map(Some), Just(None)];
    let few = select(&[2, 2, 3, 4]).prop_map(Some);
    let m = prop_oneof![few, Just(None)];
    let about_graph = (threshold, m, prop_oneof![1..20usize, 20..400usize], any::<u64>());
    let threads = select(&[Some(1), Some(2), None]);
    (about_rows, id_type, about_graph, threads).prop_map(move |(about_rows, id_type, about_graph, threads)| {
        let (metric, kind, dtype, dimensions) = about_rows;
        let (threshold, m, chunk_size, seed) = about_graph;
        Setup { metric, id_type, kind, dtype, dimensions, threshold, m, chunk_size, threads, seed, is_auto }
    })
}

fn calls() -> impl Strategy<Value = Call> {
    let seed = any::<u64>;
    let count = || prop_oneof![0..6usize, 6..200usize];
    prop_oneof![
        4 => (seed(), count()).prop_map(|(seed, count)| Call::Add { seed, count }),
        4 => (seed(), count()).prop_map(|(seed, count)| Call::Upsert { seed, count }),
        1 => seed().prop_map(|seed| Call::Refused { seed }),
        3 => (seed(), count()).prop_map(|(seed, count)| Call::Remove { seed, count }),
        1 => Just(Call::Clear),
        12 => queries().prop_map(Call::Search),
        4 => queries().prop_map(Call::SearchById),
        4 => (0..80usize, queries()).prop_map(|(queries, query)| Call::Batch { queries, query }),
        1 => (seed(), count()).prop_map(|(seed, count)| Call::KeepSet { seed, count }),
        4 => prop_oneof![1..50usize, Just(usize::MAX)].prop_map(|max| Call::Step { max }),
        3 => Just(Call::Migrate),
        2 => Just(Call::Compact),
        1 => Just(Call::Pause),
        2 => Just(Call::Resume),
        2 => Just(Call::Settle),
        2 => Just(Call::Check),
        1 => Just(Call::Reopen),
    ]
}

fn queries() -> impl Strategy<Value = Query> {
    let k = prop_oneof![12 => (1..16usize).prop_map(K::Some), 1 => Just(K::Some(1_000)), 2 => Just(K::All)];
    let filter = prop_oneof![
        5 => Just(Filter::None),
        2 => prop_oneof![0..20usize, 20..NAMES].prop_map(Filter::Fresh),
        1 => Just(Filter::Kept),
    ];
    let (is_narrow, exact, limit) =
        (prop::bool::weighted(0.25), prop::bool::weighted(0.2), option::weighted(0.2, 0..30usize));
    (any::<u64>(), k, is_narrow, exact, limit, filter).prop_map(|(seed, k, is_narrow, exact, limit, filter)| Query {
        seed,
        k,
        is_narrow,
        exact,
        limit,
        filter,
    })
}
