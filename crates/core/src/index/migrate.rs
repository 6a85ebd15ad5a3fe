//! Doing the migration: a thread of its own that inserts chunk after chunk on the build threads, and steps by hand.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;

use super::Inner;
use super::state::State;
use crate::codes::Encoder;
use crate::error::{Error, Result};
use crate::graph::{Batch, Bulk, Graph, Insertion, Shape, choose_degree};
use crate::migration::{Listener, Migrated, MigrationDone, Next};
use crate::pools::Turns;
use crate::work::{Phase, Work};

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

impl Inner {
    pub(super) fn migration(&self) -> Migration {
        let control = self.migrator.control();
        let state = self.state.load();
        let migrated = state.migrated();
        let waits = control.end() > migrated;
        let is_running = control.wants_run(migrated);
        let migration_state = match (state.graph.load().is_some(), waits) {
            (true, false) => MigrationState::Graph,
            (_, true) if is_running => MigrationState::Migrating,
            (true, true) => MigrationState::Paused,
            (false, true) if control.paused && control.is_due() => MigrationState::Paused,
            (false, _) => MigrationState::Exact,
        };
        Migration {
            state: migration_state,
            migrated: state.live_in(0..migrated),
            total: state.live_in(0..state.len()),
            method: state.graph.load().as_deref().map(Graph::method),
            error: control.error.as_ref().map(|error| (error.code(), error.to_string())),
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
        if let Err(error) = builder.spawn(move || inner.run_migration()) {
            let mut control = self.migrator.control();
            control.running = false;
            control.paused = true;
            control.error = Some(Error::Internal(format!("starting a thread failed: {error}")));
            drop(control);
            self.settle_migrations();
        }
    }

    pub(super) fn start_migration(self: &Arc<Self>, work: Work, done: MigrationDone) {
        let mut control = self.migrator.control();
        let refusal = if control.closed { Some(Error::Closed) } else { control.error.take() };
        if let Some(error) = refusal {
            drop(control);
            return done(Err(error));
        }
        control.wait_for_all(work, self.state.load().migrated(), done);
        drop(control);
        self.settle_migrations();
        self.migrate_in_background();
    }

    pub(super) fn migrate_step(&self, max: usize) -> Result<usize> {
        self.check_open()?;
        let waiting = || {
            let control = self.migrator.control();
            let migrated = self.state.load().migrated();
            if control.is_due() { migrated..control.end().max(migrated) } else { migrated..migrated }
        };
        if !waiting().is_empty() {
            self.insert_step(max)?;
            self.settle_migrations();
        }
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
            let insert = || self.advance(&|| self.should_stop());
            let result = catch_unwind(AssertUnwindSafe(insert)).unwrap_or_else(|panic| {
                let message = crate::error::panic_message(&*panic);
                self.poison(&message);
                Err(Error::Internal(message))
            });
            let state = self.state.load();
            let mut control = self.migrator.control();
            match result {
                Ok(()) => {
                    let (listeners, migrated) = (control.listeners(), state.migrated());
                    drop(control);
                    for Listener { work, rows } in listeners {
                        let done = rows.start..migrated.clamp(rows.start, rows.end);
                        work.report(Phase::Insert, state.live_in(done), state.live_in(rows));
                    }
                }
                Err(error) => {
                    control.paused = true;
                    control.error = Some(error);
                }
            }
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
        has_cancelled && !self.migrator.control().wants_run(self.state.load().migrated())
    }

    /// Moves the next rows: those of a chunk, or all that wait by building the graph anew. None if it was stopped.
    fn advance(&self, stopped: &(dyn Fn() -> bool + Sync)) -> Result<()> {
        let inserting = self.migrator.inserting();
        // The state under the control's lock, as everywhere here: `clear` changes both together.
        let mut control = self.migrator.control();
        let state = self.state.load_full();
        let migrated = state.migrated();
        let next = control.next(migrated);
        drop(control);
        let stopped = || stopped() || state.is_abandoned();
        let turns = self.pools.turns(&stopped);
        match next {
            Some(Next::Rebuild(end)) => self.rebuild(&state, end, turns)?,
            Some(Next::Insert(region)) => {
                self.insert_rows(&state, region.min(migrated + self.options.chunk_size), turns)?;
            }
            None => {}
        }
        // Fairly: whoever waits for the lock gets it before the next chunk.
        parking_lot::MutexGuard::unlock_fair(inserting);
        Ok(())
    }

    /// Inserts the next at most `max` rows by hand; less if the region ends before.
    fn insert_step(&self, max: usize) -> Result<()> {
        let inserting = self.migrator.inserting();
        let mut control = self.migrator.control();
        let state = self.state.load_full();
        let migrated = state.migrated();
        let region = control.next_region(migrated);
        drop(control);
        if let Some(region) = region {
            let stopped = || state.is_abandoned();
            self.insert_rows(&state, region.min(migrated.saturating_add(max)), self.pools.turns(&stopped))?;
        }
        parking_lot::MutexGuard::unlock_fair(inserting);
        Ok(())
    }

    /// Inserts the rows up to `end` into the graph, beginning one if there is none.
    fn insert_rows(&self, state: &State, end: usize, turns: Turns<'_>) -> Result<()> {
        let graph = match state.graph.load_full() {
            Some(graph) => graph,
            None => {
                let Some((m, encoder)) = self.plan_graph(state, end, turns) else {
                    return Ok(());
                };
                let graph = Arc::new(Graph::new(m, self.options.seed, encoder));
                state.graph.store(Some(graph.clone()));
                graph
            }
        };
        let insertion = Insertion {
            graph: &graph,
            rows: &state.rows,
            pools: &self.pools,
            scratches: &state.scratches,
            ef_construction: self.options.ef_construction,
            turns,
        };
        let slots = state.leaders(graph.migrated()..end);
        insertion.insert(&Batch { slots: &slots, end: end as u32 })
    }

    /// Builds the graph anew, of all rows up to `end`.
    fn rebuild(&self, state: &State, end: usize, turns: Turns<'_>) -> Result<()> {
        let Some((m, encoder)) = self.plan_graph(state, end, turns) else {
            return Ok(());
        };
        let report = |phase, share: f64| {
            for Listener { work, rows } in self.migrator.control().listeners() {
                let total = state.live_in(rows);
                work.report(phase, (total as f64 * share) as usize, total);
            }
        };
        let bulk = Bulk {
            rows: &state.rows,
            pools: &self.pools,
            scratches: &state.scratches,
            seed: self.options.seed,
            shape: Shape::new(m, self.options.ef_construction),
            turns,
            report: &report,
        };
        if let Some(graph) = bulk.build(encoder, &state.leaders(0..end), end)? {
            state.graph.store(Some(Arc::new(graph)));
        }
        Ok(())
    }

    /// M, and how rows become codes, for a graph of the rows up to `end`; `None` if it was stopped.
    fn plan_graph(&self, state: &State, end: usize, turns: Turns<'_>) -> Option<(usize, Option<Encoder>)> {
        let choose = || self.pools.build(|| choose_degree(state.rows.building_views()[0], end, turns));
        let m = self.options.m.or_else(choose)?;
        Some((m, Some(Encoder::train(state.rows.view(), self.options.metric, end))))
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
