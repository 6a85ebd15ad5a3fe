//! Doing the migration: a thread of its own that inserts chunk after chunk on the build threads, and steps by hand.

use std::sync::Arc;
use std::thread;

use parking_lot::MutexGuard;

use super::Inner;
use super::failpoints::Point;
use super::state::State;
use crate::codes::Encoder;
use crate::error::{Error, Failure, Result};
use crate::graph::{Batch, Bulk, Graph, Insertion, Shape, Survey};
use crate::migration::{Control, Listener, Migrated, MigrationDone, Next};
use crate::pools::Turns;
use crate::work::{Phase, Work};

/// Rows that are inserted together at most: a batch takes the product with itself, and memory that grows with it.
const MAX_BATCH: usize = 4_096;

/// What a migration is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MigrationState {
    /// There is no graph, and none is due.
    Exact,
    /// A run is at work or about to be.
    Migrating,
    /// Rows wait and nothing runs.
    Paused,
    /// All rows are in the graph.
    Graph,
}

/// Where the migration stands. Counts are of live rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migration {
    pub state: MigrationState,
    pub migrated: usize,
    pub total: usize,
    /// How rows came into the graph, once there is one.
    pub method: Option<&'static str>,
    /// What stopped the background migration.
    pub error: Option<Failure>,
}

/// What of a region a chunk was.
struct Inserted {
    rows: usize,
    /// Whether it was the last: the region has no more rows, or the insertion was stopped.
    is_end: bool,
}

impl Inner {
    pub(super) fn migration(&self) -> Migration {
        let control = self.migrator.control();
        let state = self.state.load();
        let (_, served) = state.served();
        let waits = control.waits(state.reached());
        let is_running = control.wants_run(state.reached());
        let migration_state = match (state.graph.load().is_some(), waits) {
            (true, false) => MigrationState::Graph,
            (_, true) if is_running => MigrationState::Migrating,
            (true, true) => MigrationState::Paused,
            (false, true) if control.is_held() && control.is_due() => MigrationState::Paused,
            (false, _) => MigrationState::Exact,
        };
        // Rows may be removed between the two looks at them.
        let total = state.live();
        Migration {
            state: migration_state,
            migrated: served.min(total),
            total,
            method: state.graph.load().as_deref().map(Graph::method),
            error: control.failure().map(Failure::from),
        }
    }

    /// Starts the background run if there is something to do and none is there.
    pub(super) fn migrate_in_background(self: &Arc<Self>) {
        let mut control = self.migrator.control();
        let is_needed = control.wants_run(self.state.load().reached()) || control.is_awaited();
        if control.running || !is_needed {
            return;
        }
        control.running = true;
        drop(control);
        let inner = self.clone();
        let builder = thread::Builder::new().name("vicinal-migration".into());
        let start = || builder.spawn(move || inner.run_migration()).map_err(Error::thread);
        if let Err(error) = self.failpoints.pass(Point::Spawn).and_then(|()| start()) {
            let mut control = self.migrator.control();
            control.running = false;
            control.fail(error);
            drop(control);
            self.settle_migrations();
            self.migrator.notify();
        }
    }

    pub(super) fn start_migration(self: &Arc<Self>, work: Work, done: MigrationDone) {
        let mut control = self.migrator.control();
        if let Some(error) = control.refusal() {
            drop(control);
            return done(Err(error));
        }
        let reached = self.state.load().reached();
        control.wait_for_all(work.clone(), reached, done);
        let has_nothing_to_do = !control.is_due() || !control.waits(reached);
        drop(control);
        if has_nothing_to_do {
            // So that there is an end to tell of.
            work.report(Phase::Insert, 0, 0);
        }
        self.migrator.notify();
        self.settle_migrations();
        self.migrate_in_background();
    }

    pub(super) fn migrate_step(&self, max: usize) -> Result<usize> {
        let waiting = || {
            let control = self.migrator.control();
            let reached = self.state.load().reached();
            if control.is_due() { reached..control.end().max(reached) } else { reached..reached }
        };
        let mut left = max;
        while left > 0 && !waiting().is_empty() {
            self.check_open()?;
            let Inserted { rows, is_end } = self.insert_step(left)?;
            self.settle_migrations();
            left = if is_end { 0 } else { left - rows };
        }
        self.check_open()?;
        let state = self.state.load();
        Ok(state.live_at(waiting()))
    }

    pub(super) fn resume_migration(self: &Arc<Self>) {
        self.migrator.control().paused = false;
        self.migrate_in_background();
    }

    /// Tells everybody who waits for nothing any more.
    pub(super) fn settle_migrations(&self) {
        let mut control = self.migrator.control();
        let state = self.state.load();
        // Counts here what has moved, rather than where somebody asks.
        let _ = state.served();
        let settled = control.settled(state.reached(), &|positions| state.live_at(positions));
        drop(control);
        settled.into_iter().for_each(|tell| tell());
    }

    /// The background run: until there is nothing to do, or nobody who wants it.
    fn run_migration(self: Arc<Self>) {
        crate::os::lower_thread_priority(crate::os::Priority::Background);
        loop {
            self.settle_migrations();
            let mut control = self.migrator.control();
            self.migrator.clear_interruption();
            if !control.wants_run(self.state.load().reached()) {
                if control.is_awaited() {
                    self.migrator.wait_for_change(&mut control);
                    continue;
                }
                control.running = false;
                drop(control);
                // What came between the two looks at the waiters.
                self.settle_migrations();
                return self.migrator.notify();
            }
            self.migrator.wait_while_growing(&mut control, self.state.load().reached());
            drop(control);
            match self.advance(&|| self.should_stop()) {
                Ok(phase) => self.report_migration(phase, None),
                Err(error) => self.migrator.control().fail(error),
            }
        }
    }

    /// Tells everybody who waits how far the run is: by the rows that have moved, or by the share of the work on all that
    /// wait. They are told without a lock held: they may call the index.
    pub(super) fn report_migration(&self, phase: Phase, share: Option<f64>) {
        let control = self.migrator.control();
        let (listeners, state) = (control.listeners(), self.state.load());
        drop(control);
        for Listener { work, rows } in listeners {
            let (moved, total) = (rows.start..state.reached().clamp(rows.start, rows.end), state.live_at(rows));
            let done = share.map_or_else(|| state.live_at(moved), |share| (total as f64 * share) as usize);
            work.report(phase, done, total);
        }
    }

    /// Asked between work units: lets those go who have cancelled, and says whether the rest can do without the run.
    fn should_stop(&self) -> bool {
        if self.migrator.is_interrupted() {
            return true;
        }
        let has_cancelled = self.migrator.control().has_cancelled();
        if has_cancelled {
            self.settle_migrations();
        }
        has_cancelled && !self.migrator.control().wants_run(self.state.load().reached())
    }

    /// Moves the next rows: those of a chunk, or all that wait by building the graph anew; none if it was stopped. What it
    /// ended with.
    fn advance(&self, stopped: &(dyn Fn() -> bool + Sync)) -> Result<Phase> {
        self.exclusively(|state, mut control| {
            if let Some(compaction) = control.compaction() {
                drop(control);
                return self.compact_unasked(state, &compaction).map(|()| Phase::Swap);
            }
            let reached = state.reached();
            let next = control.next(reached);
            drop(control);
            match next {
                Some(Next::Rebuild(end)) => {
                    let stopped = || stopped() || self.migrator.is_overtaken(end);
                    let report = |phase, share| self.report_migration(phase, Some(share));
                    self.rebuild(&state, state.slot_at(end), &stopped, &report).map(|()| Phase::Swap)
                }
                Some(Next::Insert(region)) => {
                    let end = region.min(reached + self.options.chunk_size.min(MAX_BATCH));
                    self.insert_up_to(&state, state.slot_at(end), stopped).map(|()| Phase::Insert)
                }
                None => Ok(Phase::Insert),
            }
        })
    }

    /// Inserts the next at most `max` rows by hand; less if the region ends before.
    fn insert_step(&self, max: usize) -> Result<Inserted> {
        self.exclusively(|state, mut control| {
            let reached = state.reached();
            let region = control.next_region(reached).unwrap_or(reached);
            drop(control);
            let end = region.min(reached.saturating_add(max.min(MAX_BATCH)));
            self.insert_up_to(&state, state.slot_at(end), &|| false)?;
            self.has_built(&state, state.reached());
            let rows = state.reached() - reached;
            Ok(Inserted { rows, is_end: rows == 0 || end == region })
        })
    }

    /// Runs `work`, which moves rows, while nobody else does. After a panic nothing is moved any more.
    fn exclusively<R>(&self, work: impl FnOnce(Arc<State>, MutexGuard<'_, Control>) -> Result<R>) -> Result<R> {
        let moving = self.migrator.moving();
        let result = self.guarded(|| {
            // The state under the control's lock, as everywhere here: `clear` changes both together.
            let control = self.migrator.control();
            control.check_sound()?;
            let result = work(self.state.load_full(), control);
            self.state.load().drop_lists();
            result
        });
        // Fairly: whoever waits for the lock gets it before the next chunk.
        MutexGuard::unlock_fair(moving);
        result
    }

    /// Inserts the rows up to `end` into the graph, beginning one if there is none.
    fn insert_up_to(&self, state: &State, end: usize, stopped: &(dyn Fn() -> bool + Sync)) -> Result<()> {
        let stopped = self.stopped(state, stopped);
        let turns = self.pools.turns(&stopped);
        let inserting = self.migrator.inserting();
        let graph = match state.graph.load_full() {
            Some(graph) => graph,
            None => {
                let Some((m, encoder, _)) =
                    self.plan_graph(state, (&self.pools.build(|| state.leaders(0..end))?, end), turns)
                else {
                    return Ok(());
                };
                let graph = Arc::new(Graph::new(m, self.options.seed, state.shelf.share(), encoder));
                state.graph.store(Some(graph.clone()));
                graph
            }
        };
        let insertion = Insertion {
            graph: &graph,
            pools: &self.pools,
            scratches: &state.scratches,
            ef_construction: self.options.ef_construction,
            turns,
        };
        let slots = state.leaders(graph.migrated()..end)?;
        self.failpoints.pass(Point::Chunk)?;
        let inserted = insertion.insert(&Batch { slots: &slots, end: end as u32 });
        // Fairly: a file that is to be written comes before the next batch.
        MutexGuard::unlock_fair(inserting);
        inserted
    }

    /// Builds the graph anew, of all rows up to `end`. Nobody sees it before it is complete, so a file may be written
    /// meanwhile.
    pub(super) fn rebuild(
        &self,
        state: &State,
        end: usize,
        stopped: &(dyn Fn() -> bool + Sync),
        report: &(dyn Fn(Phase, f64) + Sync),
    ) -> Result<()> {
        let stopped = self.stopped(state, stopped);
        let turns = self.pools.turns(&stopped);
        let slots = self.pools.build(|| state.leaders(0..end))?;
        let Some((_, encoder, shape)) = self.plan_graph(state, (&slots, end), turns) else {
            return Ok(());
        };
        let bulk = Bulk {
            rows: &state.shelf.share(),
            pools: &self.pools,
            scratches: &state.scratches,
            seed: self.options.seed,
            shape,
            turns,
            report,
        };
        self.failpoints.pass(Point::Chunk)?;
        if let Some(graph) = bulk.build(encoder, &slots, end)? {
            // Before the graph: rows that are loaded after it have all that it serves.
            if !Arc::ptr_eq(graph.rows(), &state.rows()) {
                self.pools.build(|| state.shelf.replace(graph.rows()))?;
            }
            state.graph.store(Some(Arc::new(graph)));
            self.has_built(state, state.reached());
        }
        Ok(())
    }

    fn has_built(&self, state: &State, end: usize) {
        let mut control = self.migrator.control();
        // `clear` replaces the state under the control's lock.
        if self.state.load().generation() == state.generation() {
            control.has_built(end);
        }
    }

    /// M, how rows become codes where these tell them apart, and what a bulk build looks at, for a graph of the rows at
    /// `slots`, which lead those below `end`; `None` if it was stopped.
    fn plan_graph(
        &self,
        state: &State,
        (slots, end): (&[u32], usize),
        turns: Turns<'_>,
    ) -> Option<(usize, Option<Encoder>, Shape)> {
        let rows = state.rows();
        // Rows of whole numbers are their own codes.
        let is_encoded = !self.options.dtype.is_whole();
        let by = rows.building_views()[0];
        let (encoder, survey) = self.pools.build(|| {
            if is_encoded {
                let (encoder, survey) = Survey::with_encoder(by, self.options.metric, (slots, end), turns)?;
                Some((Some(encoder), survey))
            } else {
                Some((None, Survey::of(by, slots, None, turns)?))
            }
        })?;
        let m = self.options.m.unwrap_or_else(|| survey.degree());
        let shape = Shape::new(m, self.options.ef_construction, survey.dimensionality());
        Some((m, encoder.filter(|_| survey.codes_fit()), shape))
    }

    /// Whether work on the graph of `state` is to stop, asked before each work unit.
    pub(super) fn stopped<'a>(
        &'a self,
        state: &'a State,
        stopped: &'a (dyn Fn() -> bool + Sync),
    ) -> impl Fn() -> bool + Sync + 'a {
        move || {
            let _ = self.failpoints.pass(Point::Unit);
            stopped() || state.is_abandoned()
        }
    }
}

/// `start_migration`, waiting for its end.
pub(super) fn wait(start: impl FnOnce(MigrationDone)) -> Result<Migrated> {
    let (sender, receiver) = std::sync::mpsc::sync_channel(1);
    start(Box::new(move |outcome| {
        let _ = sender.send(outcome);
    }));
    receiver.recv().unwrap_or(Err(Error::Closed))
}
