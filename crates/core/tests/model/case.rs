//! One case: every call to the index and to the model, and the comparison of what they say.

use std::collections::HashSet;

use vicinal_core::{Dtype, Error, Hits, IdSet, IdType, Ids, Index, MigrationState, Options, SearchOptions, Work};

use super::plan::{Call, Filter, K, NAMES, Plan, Query, Setup};
use crate::common::answers::Question;
use crate::common::model::Model;
use crate::common::names::Name;
use crate::common::{Rng, wait_until};

/// What the searches of graphs found: the sum of their recalls, and how many there were.
#[derive(Debug, Default, Clone, Copy)]
pub struct Recall {
    /// With lists of two to four links, and twice as many on level 0.
    pub narrow: (f64, usize),
    /// With as many links as are chosen from the data.
    pub default: (f64, usize),
}

impl Recall {
    pub fn add(&mut self, other: Self) {
        for (sum, more) in [(&mut self.narrow, other.narrow), (&mut self.default, other.default)] {
            *sum = (sum.0 + more.0, sum.1 + more.1);
        }
    }
}

pub struct Case<'a> {
    setup: &'a Setup,
    index: Index,
    model: Model,
    kept: Option<(IdSet, HashSet<usize>)>,
    /// Rows in the graph, and whether there is one; known with the migration by hand only.
    migrated: usize,
    has_graph: bool,
    is_paused: bool,
    recall: Recall,
}

impl<'a> Case<'a> {
    pub fn run(plan: &'a Plan) -> Recall {
        let mut case = Self::new(&plan.setup);
        for call in &plan.calls {
            case.call(call);
            case.check_counts();
        }
        case.settle();
        case.check_all();
        case.recall
    }

    fn new(setup: &'a Setup) -> Self {
        let index = Index::new(Options {
            metric: setup.metric,
            id_type: setup.id_type,
            dtype: setup.dtype,
            m: setup.m,
            ef_construction: 60,
            threshold: setup.threshold,
            chunk_size: setup.chunk_size,
            auto_migrate: setup.is_auto,
            threads: setup.threads,
            seed: setup.seed,
            ..Options::new(setup.dimensions)
        });
        let model = Model::new(setup.metric, setup.id_type, NAMES);
        let (has_graph, is_paused) = (false, false);
        Self {
            setup,
            index: index.unwrap(),
            model,
            kept: None,
            migrated: 0,
            has_graph,
            is_paused,
            recall: Recall::default(),
        }
    }

    fn call(&mut self, call: &Call) {
        match call {
            Call::Add { seed, count } => self.add(&mut Rng(*seed), *count),
            Call::Upsert { seed, count } => self.upsert(&mut Rng(*seed), *count),
            Call::Refused { seed } => self.refused(&mut Rng(*seed)),
            Call::Remove { seed, count } => self.remove(&mut Rng(*seed), *count),
            Call::Clear => {
                self.index.clear().unwrap();
                self.model.clear();
                (self.migrated, self.has_graph) = (0, false);
            }
            Call::Search(query) => self.search(query),
            Call::SearchById(query) => self.search_by_id(query),
            Call::Batch { queries, query } => self.batch(*queries, query),
            Call::KeepSet { seed, count } => self.kept = Some(self.id_set(&mut Rng(*seed), *count)),
            Call::Step { max } => self.step(*max),
            Call::Migrate => self.migrate(),
            Call::Compact => self.compact(),
            Call::Pause => {
                self.index.pause_migration().unwrap();
                self.is_paused = true;
            }
            Call::Resume => {
                self.index.resume_migration().unwrap();
                self.is_paused = false;
            }
            Call::Settle => self.settle(),
            Call::Check => self.check_all(),
            Call::Reopen => self.reopen(),
        }
    }

    fn add(&mut self, rng: &mut Rng, count: usize) {
        let start = rng.below(NAMES);
        let free = (0..NAMES).map(|i| (start + i) % NAMES).filter(|&name| self.model.row(name).is_none());
        let names: Vec<usize> = free.take(count).collect();
        let rows = self.rows(rng, names.len());
        let ids = self.model.ids(&names);
        // Bytes as bytes or as what else they come as.
        if self.setup.dtype == Dtype::U8 && count.is_multiple_of(2) {
            let bytes: Vec<u8> = rows.iter().map(|&value| value as u8).collect();
            self.index.add(&ids, &bytes, &Work::default()).unwrap();
        } else {
            self.index.add(&ids, &rows, &Work::default()).unwrap();
        }
        self.model.upsert(&names, &rows);
    }

    fn upsert(&mut self, rng: &mut Rng, count: usize) {
        let names = any_names(rng, count);
        let rows = self.rows(rng, names.len());
        self.index.upsert(&self.model.ids(&names), &rows, &Work::default()).unwrap();
        self.model.upsert(&names, &rows);
    }

    fn remove(&mut self, rng: &mut Rng, count: usize) {
        let mut names = any_names(rng, count);
        names.extend_from_within(..count.min(3));
        assert_eq!(self.index.remove(&self.model.ids(&names)).unwrap(), self.model.remove(&names));
    }

    fn refused(&mut self, rng: &mut Rng) {
        let names = any_names(rng, 3);
        let ids = self.model.ids(&names);
        let twice = self.model.ids(&[names[0], names[1], names[0]]);
        let rows = self.rows(rng, 3);
        let mut spoilt = rows.clone();
        spoilt[rng.below(rows.len())] = f32::NAN;
        let Case { index, setup, .. } = self;
        let work = Work::default();
        let other = if setup.id_type == IdType::String {
            Ids::Keys(vec![1, 2, 3])
        } else {
            Ids::Texts(["a"; 3].into_iter().collect())
        };
        let codes = [
            index.upsert(&twice, &rows, &work),
            index.add(&twice, &rows, &work),
            index.upsert(&ids, &spoilt, &work),
            index.upsert(&ids, &rows[1..], &work),
            index.upsert(&ids, &rows[setup.dimensions..], &work),
            index.add(&other, &rows, &work),
        ]
        .map(|result| result.map_err(|error| error.code()));
        let uneven = if setup.dimensions == 1 { "ERR_INVALID_ARGUMENT" } else { "ERR_DIMENSION_MISMATCH" };
        let duplicate = "ERR_DUPLICATE_ID";
        assert_eq!(
            codes,
            [duplicate, duplicate, "ERR_INVALID_VECTOR", uneven, "ERR_INVALID_ARGUMENT", "ERR_INVALID_ARGUMENT"]
                .map(Err)
        );
        if names.iter().any(|&name| self.model.row(name).is_some()) {
            assert!(matches!(index.add(&ids, &rows, &work), Err(Error::DuplicateId { .. })));
        }
    }

    fn step(&mut self, max: usize) {
        let left = self.index.migrate_step(max).unwrap();
        if self.setup.is_auto {
            return;
        }
        if self.is_due() && self.migrated < self.model.rows.len() {
            self.migrated = self.model.rows.len().min(self.migrated.saturating_add(max));
            self.has_graph = true;
        }
        assert_eq!(left, if self.is_due() { self.live_from(self.migrated) } else { 0 });
    }

    fn migrate(&mut self) {
        let moved = self.index.migrate(&Work::default()).unwrap().vectors;
        self.is_paused = false;
        if self.setup.is_auto {
            return;
        }
        if !self.is_due() {
            assert_eq!(moved, 0);
            return;
        }
        assert_eq!(moved, self.live_from(self.migrated));
        self.has_graph |= self.migrated < self.model.rows.len();
        self.migrated = self.model.rows.len();
    }

    fn compact(&mut self) {
        self.index.compact(&Work::default()).unwrap();
        self.migrated = self.model.live_among(self.migrated);
        self.has_graph &= self.migrated > 0 || self.model.live() == self.model.rows.len();
        self.model.compact();
        assert_eq!(self.index.stats().unwrap().removed, 0);
    }

    /// Live rows from `row` on.
    fn live_from(&self, row: usize) -> usize {
        self.model.rows[row..].iter().filter(|row| row.is_live).count()
    }

    fn settle(&self) {
        wait_until("the migration has stopped", || self.index.migration().state != MigrationState::Migrating);
    }

    fn reopen(&mut self) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("saved");
        let (work, threads) = (Work::default(), self.setup.threads);
        self.index.save(&path, &work).unwrap();
        let loaded = Index::load(&path, threads, Some(self.setup.id_type), &work).unwrap();
        assert_eq!(loaded.options(), self.index.options());
        if !self.setup.is_auto {
            assert_eq!(loaded.graph_hash(), self.index.graph_hash(), "links");
        }
        // What is paused, and sets of ids, belong to the one that saved.
        (self.index, self.kept, self.is_paused) = (loaded, None, false);
    }

    fn search(&mut self, query: &Query) {
        let mut rng = Rng(query.seed);
        let vector = self.query_vector(&mut rng);
        self.ask(query, &mut rng, &vector, None, |index, options| index.search(&vector, options).unwrap());
    }

    fn search_by_id(&mut self, query: &Query) {
        let mut rng = Rng(query.seed);
        let name = rng.below(NAMES);
        let id = Name::of(self.setup.id_type, name);
        let Some(row) = self.model.row(name) else {
            let result = self.index.search_by_id(id.id(), &SearchOptions { k: 1, ..SearchOptions::default() });
            assert_eq!(result.unwrap_err().code(), "ERR_INVALID_ARGUMENT");
            return;
        };
        let vector = self.model.rows[row].vector.clone();
        self.ask(query, &mut rng, &vector, Some(name), |index, options| index.search_by_id(id.id(), options).unwrap());
    }

    fn batch(&mut self, queries: usize, query: &Query) {
        let mut rng = Rng(query.seed);
        // A limit is chosen for one query.
        let queries = if query.limit.is_some() { 1 } else { queries };
        let vectors: Vec<Vec<f32>> = (0..queries).map(|_| self.query_vector(&mut rng)).collect();
        let query = Query { k: if let K::All = query.k { K::Some(1_000) } else { query.k }, ..query.clone() };
        let mut hits = None;
        for (position, vector) in vectors.iter().enumerate() {
            let mut rng = rng.clone();
            self.ask(&query, &mut rng, vector, None, |index, options| {
                let answer = || index.search_batch(vectors.concat(), options, &Work::default()).unwrap();
                let hits = hits.get_or_insert_with(answer);
                assert_eq!(hits.distances.len(), hits.stride * vectors.len());
                let (start, end) = (position * hits.stride, position * hits.stride + hits.counts[position] as usize);
                assert!(hits.distances[end..start + hits.stride].iter().all(|&distance| distance == f32::INFINITY));
                Hits { ids: slice(&hits.ids, start..end), distances: hits.distances[start..end].to_vec() }
            });
        }
    }

    /// Asks the index, and checks the answer.
    fn ask(
        &mut self,
        query: &Query,
        rng: &mut Rng,
        vector: &[f32],
        excluded: Option<usize>,
        search: impl FnOnce(&Index, &SearchOptions) -> Hits,
    ) {
        let filter = match query.filter {
            Filter::None => None,
            Filter::Fresh(count) => Some(self.id_set(rng, count)),
            Filter::Kept => self.kept.clone(),
        };
        let k = if let K::Some(k) = query.k { k } else { usize::MAX };
        let names = filter.as_ref().map(|(_, names)| names);
        let is_exact = |values: &[f32]| values.iter().all(|value| value.fract() == 0.0);
        let is_whole = is_exact(vector) && self.model.rows.iter().all(|row| is_exact(&row.vector));
        let mut question = Question { query: vector, k, max_distance: None, filter: names, excluded, is_whole };
        if let Some(rank) = query.limit {
            question.max_distance = Some(question.clear_limit(&self.model, rank));
        } else if k == usize::MAX {
            question.max_distance = Some(f32::INFINITY);
        }
        // So much that the graph is still the cheaper way.
        let wide = if self.setup.m.is_some() { 100 } else { 16 };
        let ef = if query.is_narrow { 1 } else { wide };
        let set = filter.as_ref().map(|(set, _)| set.clone());
        let options = SearchOptions {
            k,
            ef: Some(ef),
            recall: None,
            exact: query.exact,
            max_distance: question.max_distance,
            filter: set,
            cancelled: None,
        };
        let Hits { ids, distances } = search(&self.index, &options);
        let is_exact = query.exact || k == usize::MAX || !self.is_due() || (!self.setup.is_auto && !self.has_graph);
        if is_exact {
            question.assert_exact(&self.model, &ids, &distances);
            return;
        }
        question.assert_valid(&self.model, &ids, &distances);
        let (found, of) = question.recall(&self.model, &distances);
        if question.max_distance.is_none() {
            assert_eq!(ids.len(), of, "hits");
        }
        // Where the graph would be no quicker, rows are scanned.
        let by_graph = k.max(ef) * 2 * self.index.stats().unwrap().m < self.model.live();
        if by_graph && of > 0 && !query.is_narrow {
            let one = (found as f64 / of as f64, 1);
            let none = (0.0, 0);
            let (narrow, default) = if self.setup.m.is_some() { (one, none) } else { (none, one) };
            self.recall.add(Recall { narrow, default });
        }
    }

    /// After every call.
    fn check_counts(&self) {
        assert_eq!(self.index.len(), self.model.live());
        let migration = self.index.migration();
        assert_eq!(migration.total, self.model.live());
        assert!(migration.migrated <= migration.total && migration.error.is_none(), "{migration:?}");
        if self.setup.is_auto {
            return;
        }
        let waits = self.migrated < self.model.rows.len();
        let expected = match (self.has_graph, waits) {
            (true, false) => MigrationState::Graph,
            (true, true) => MigrationState::Paused,
            (false, true) if self.is_paused && self.is_due() => MigrationState::Paused,
            (false, _) => MigrationState::Exact,
        };
        assert_eq!((migration.state, migration.migrated), (expected, self.model.live_among(self.migrated)));
        assert_eq!(migration.method.is_some(), self.has_graph);
    }

    fn check_all(&self) {
        let Self { index, model, setup, .. } = self;
        let mut keys = index.keys().unwrap();
        let blocks = std::iter::repeat_with(|| keys.next_block(97).unwrap()).take_while(|block| !block.is_empty());
        let names: Vec<usize> = blocks.flat_map(|block| model.names_of(&block)).collect();
        assert_eq!(names, model.names(), "keys, in insertion order");
        let vectors = (0..NAMES).map(|name| model.row(name).map(|row| model.rows[row].vector.clone()));
        let expected: Vec<Option<Vec<f32>>> = vectors.collect();
        for (name, expected) in expected.iter().enumerate() {
            let id = Name::of(setup.id_type, name);
            assert_eq!(&index.get(id.id()).unwrap(), expected, "the row of {name}");
            assert_eq!(index.has(id.id()).unwrap(), expected.is_some());
        }
        let (rows, found) = index.get_many(&model.ids(&(0..NAMES).collect::<Vec<_>>())).unwrap();
        for ((row, &found), expected) in rows.chunks(setup.dimensions).zip(&found).zip(&expected) {
            assert_eq!((found == 1).then_some(row), expected.as_deref());
        }
        assert_eq!(index.verify(1, 1, None, &Work::default()).unwrap().unreachable, 0);
        let stats = index.stats().unwrap();
        let removed = model.rows.len() - model.live();
        assert_eq!(stats.live, model.live());
        if setup.is_auto {
            // Some may be gone by themselves.
            assert!(stats.removed <= removed);
            let settled = stats.migration.state != MigrationState::Migrating;
            if settled && self.is_due() && !self.is_paused && !model.rows.is_empty() {
                assert_eq!((stats.migration.state, stats.tail), (MigrationState::Graph, 0));
                if stats.removed == removed {
                    assert_eq!(stats.levels[0], model.distinct(model.rows.len()));
                }
            }
        } else {
            assert_eq!(stats.removed, removed);
            assert_eq!(stats.levels.first().copied().unwrap_or(0), model.distinct(self.migrated), "nodes");
            assert_eq!(stats.tail, model.live() - model.live_among(self.migrated));
        }
    }

    /// Whether there are enough rows for a graph.
    fn is_due(&self) -> bool {
        self.setup.threshold.is_some_and(|threshold| self.model.live() >= threshold)
    }

    fn rows(&self, rng: &mut Rng, count: usize) -> Vec<f32> {
        let Setup { kind, metric, dimensions, dtype, .. } = *self.setup;
        kind.rows_as(dtype, metric, dimensions, count, rng.bits())
    }

    /// A row of the index, or another.
    fn query_vector(&self, rng: &mut Rng) -> Vec<f32> {
        match self.model.row(rng.below(NAMES)) {
            Some(row) => self.model.rows[row].vector.clone(),
            None => self.any_query(rng),
        }
    }

    /// As the rows are, or of values that no row could have.
    fn any_query(&self, rng: &mut Rng) -> Vec<f32> {
        let Setup { kind, metric, dimensions, dtype, .. } = *self.setup;
        let mut query = kind.row_as(dtype, metric, dimensions, rng);
        if rng.below(2) == 0 {
            query[rng.below(dimensions)] += [0.3, 1e3, -500.25][rng.below(3)];
        }
        query
    }

    /// A filter of any names.
    fn id_set(&self, rng: &mut Rng, count: usize) -> (IdSet, HashSet<usize>) {
        let names = any_names(rng, count);
        (self.index.id_set(&self.model.ids(&names)).unwrap(), names.into_iter().collect())
    }
}

/// Different names in any order.
fn any_names(rng: &mut Rng, count: usize) -> Vec<usize> {
    let mut names: Vec<usize> = (0..NAMES).collect();
    for position in 0..count {
        names.swap(position, position + rng.below(NAMES - position));
    }
    names.truncate(count);
    names
}

fn slice(ids: &Ids, range: std::ops::Range<usize>) -> Ids {
    match ids {
        Ids::Keys(keys) => Ids::Keys(keys[range].to_vec()),
        Ids::Texts(texts) => Ids::Texts(range.map(|row| texts.get(row)).collect()),
    }
}
