//! Doing the migration: a thread of its own that inserts chunk after chunk on the build threads, and steps by hand.

use std::sync::Arc;
use std::thread;

use super::Inner;
use super::failpoints::Point;
use super::state::State;
use crate::error::{Error, Result};
use crate::graph::{Batch, Graph, Insertion, choose_degree};
use crate::migration::{Migrated, MigrationDone};
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
    /// Code and message of the failure that stopped the background migration.
    pub error: Option<(&'static str, String)>,
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
        let migrated = state.migrated();
        let waits = control.end() > migrated;
        let is_running = control.wants_run(migrated);
        let migration_state = match (state.graph.get().is_some(), waits) {
            (true, false) => MigrationState::Graph,
            (_, true) if is_running => MigrationState::Migrating,
            (true, true) => MigrationState::Paused,
            (false, true) if control.is_held() && control.is_due() => MigrationState::Paused,
            (false, _) => MigrationState::Exact,
        };
        Migration {
            state: migration_state,
            migrated: state.live_in(0..migrated),
            total: state.live_in(0..state.len()),
            method: state.graph.get().map(|_| "insert"),
            error: control.failure().map(|error| (error.code(), error.to_string())),
        }
    }

    /// Starts the background run if there is something to do and none is there.
    pub(super) fn migrate_in_background(self: &Arc<Self>) {
        let mut control = self.migrator.control();
        let is_needed = control.wants_run(self.state.load().migrated()) || control.is_awaited();
        if control.running || !is_needed {
            return;
        }
        control.running = true;
        drop(control);
        let inner = self.clone();
        let builder = thread::Builder::new().name("vicinal-migration".into());
        let failed = |error| Error::Internal(format!("starting a thread failed: {error}"));
        let start = || builder.spawn(move || inner.run_migration()).map_err(failed);
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
        control.wait_for_all(work, self.state.load().migrated(), done);
        drop(control);
        self.settle_migrations();
        self.migrate_in_background();
    }

    pub(super) fn migrate_step(&self, max: usize) -> Result<usize> {
        let waiting = || {
            let control = self.migrator.control();
            let migrated = self.state.load().migrated();
            if control.is_due() { migrated..control.end().max(migrated) } else { migrated..migrated }
        };
        let mut left = max;
        while left > 0 && !waiting().is_empty() {
            self.check_open()?;
            let Inserted { rows, is_end } = self.insert_chunk(left, &|| false)?;
            self.settle_migrations();
            left = if is_end { 0 } else { left - rows };
        }
        self.check_open()?;
        let state = self.state.load();
        Ok(state.live_in(waiting()))
    }

    pub(super) fn resume_migration(self: &Arc<Self>) {
        self.migrator.control().paused = false;
        self.migrate_in_background();
    }

    /// Tells everybody who waits for nothing any more.
    pub(super) fn settle_migrations(&self) {
        let mut control = self.migrator.control();
        let state = self.state.load();
        let settled = control.settled(state.migrated(), &|slots| state.live_in(slots));
        drop(control);
        settled.into_iter().for_each(|tell| tell());
    }

    /// The background run: until there is nothing to do, or nobody who wants it.
    fn run_migration(self: Arc<Self>) {
        crate::os::lower_thread_priority();
        loop {
            self.settle_migrations();
            let mut control = self.migrator.control();
            self.migrator.clear_interruption();
            if !control.wants_run(self.state.load().migrated()) {
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
            drop(control);
            match self.insert_chunk(self.options.chunk_size, &|| self.should_stop()) {
                Ok(_) => self.report_migration(),
                Err(error) => self.migrator.control().fail(error),
            }
        }
    }

    /// Tells everybody who waits how far the run is. They are told without a lock held: they may call the index.
    fn report_migration(&self) {
        let control = self.migrator.control();
        let state = self.state.load();
        let reports = control.reports(state.migrated(), &|slots| state.live_in(slots));
        drop(control);
        reports.into_iter().for_each(|(work, done, total)| work.report(Phase::Insert, done, total));
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
        has_cancelled && !self.migrator.control().wants_run(self.state.load().migrated())
    }

    /// Inserts the next at most `max` rows; less if the region ends before, none if it was stopped. After a panic nothing
    /// is inserted any more.
    fn insert_chunk(&self, max: usize, stopped: &(dyn Fn() -> bool + Sync)) -> Result<Inserted> {
        let inserting = self.migrator.inserting();
        let inserted = self.guarded(|| self.insert_next(max, stopped));
        // Fairly: whoever waits for the lock gets it before the next chunk.
        parking_lot::MutexGuard::unlock_fair(inserting);
        inserted
    }

    fn insert_next(&self, max: usize, stopped: &(dyn Fn() -> bool + Sync)) -> Result<Inserted> {
        // The state under the control's lock, as everywhere here: `clear` changes both together.
        let mut control = self.migrator.control();
        control.check_sound()?;
        let state = self.state.load_full();
        let migrated = state.migrated();
        let nothing = Inserted { rows: 0, is_end: true };
        let Some(region) = control.next_region(migrated) else {
            return Ok(nothing);
        };
        drop(control);
        let stopped = || {
            let _ = self.failpoints.pass(Point::Unit);
            stopped() || state.is_abandoned()
        };
        let Some(graph) = self.graph(&state, region, &stopped) else {
            return Ok(nothing);
        };
        let end = region.min(migrated.saturating_add(max.min(MAX_BATCH)));
        let followers = state.equals.followers();
        let nodes: Vec<u32> = (migrated as u32..end as u32).filter(|&slot| !followers.get(slot)).collect();
        let insertion = Insertion {
            graph,
            rows: &state.rows,
            pools: &self.pools,
            scratches: &state.scratches,
            ef_construction: self.options.ef_construction,
            stopped: &stopped,
        };
        self.failpoints.pass(Point::Chunk)?;
        insertion.insert(&Batch { nodes: &nodes, end: end as u32 })?;
        let rows = state.migrated() - migrated;
        Ok(Inserted { rows, is_end: rows == 0 || end == region })
    }

    /// The graph of `state`, made when it is first needed; `None` if that was stopped.
    fn graph<'a>(&self, state: &'a State, region: usize, stopped: &(dyn Fn() -> bool + Sync)) -> Option<&'a Graph> {
        if let Some(graph) = state.graph.get() {
            return Some(graph);
        }
        let turn = || {
            let turn = self.pools.gate().turn();
            (!stopped()).then_some(turn)
        };
        let choose = || self.pools.build(|| choose_degree(state.rows.building_views()[0], region, &turn));
        let m = self.options.m.or_else(choose)?;
        Some(state.graph.get_or_init(|| Graph::new(m, self.options.seed)))
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
