//! The migration's control: what is to be inserted next, who waits for it, whether it may run.
//!
//! This file decides; `index::migrate` does. Boundaries of batches follow from row counts alone: a batch ends where a
//! call to `add` ended, and is cut to chunks from its start. So the same calls give the same graph, however fast the
//! migration is.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::compaction::Compaction;
use crate::error::{Error, Result};
use crate::work::Work;

/// How long a paused run waits before it asks its waiters whether they have cancelled.
const PATIENCE: Duration = Duration::from_millis(20);

/// What a `migrate` did.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Migrated {
    /// Live rows that came into the graph since the call.
    pub vectors: usize,
    pub seconds: f64,
}

/// Told the outcome of a migration, once.
pub type MigrationDone = Box<dyn FnOnce(Result<Migrated>) + Send>;

pub(crate) struct Migrator {
    control: Mutex<Control>,
    /// Something changed that somebody may wait for.
    changed: Condvar,
    /// A run should look at `control` before it goes on; read between work units.
    interrupted: AtomicBool,
    /// Held while rows are moved into a graph, or a compaction takes rows away: one at a time.
    moving: Mutex<()>,
    /// Held while a graph that others see is changed, and by whoever must not see it half changed.
    inserting: Mutex<()>,
}

/// Rows are known here by their **positions**: their places in the order of all writes since the index was empty. Slots
/// change with a compaction, positions do not.
pub(crate) struct Control {
    /// Ends of regions, rising; rows below the last may be inserted.
    cuts: VecDeque<usize>,
    /// Whether the last region still grows: rows that gather while nothing is due, or that wait to be moved by hand, are
    /// one region.
    is_gathering: bool,
    /// Rows below it are, or will be, in a graph that was built anew.
    rebuilt: usize,
    /// Rows below it are in a graph that was, or in one that steps by hand made.
    built: usize,
    /// The rows that were there when somebody asked for a graph that was then built of all of them.
    asked: usize,
    /// Where the first row is when the compaction that was decided on is done: so many were taken away by then.
    dropped: usize,
    /// The compaction that was decided on last, until it is done.
    compaction: Option<Arc<Compaction>>,
    /// Removed rows from which on one may be due.
    worthwhile: usize,
    /// Whether new rows start a run by themselves, once there are enough.
    auto: bool,
    threshold: usize,
    /// Whether there are enough live rows for a graph.
    is_due: bool,
    pub(crate) paused: bool,
    pub(crate) running: bool,
    pub(crate) closed: bool,
    /// Why the last run stopped, until somebody was told.
    error: Option<Error>,
    /// What the panic said that may have left the index half changed: nothing is inserted any more.
    broken: Option<Error>,
    waiters: Vec<Waiter>,
}

/// Somebody who wants to hear how far the run is with some rows.
pub(crate) struct Listener {
    pub(crate) work: Work,
    pub(crate) rows: Range<usize>,
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// Insert rows of the region that ends here.
    Insert(usize),
    /// Build the graph anew, of all rows below.
    Rebuild(usize),
}

/// When at least one row in so many came after the graph was built, it is built anew rather than that these are inserted:
/// a row costs about as much less in a bulk build than by insertion (docs/performance.md).
const REBUILD_FROM: usize = 16;

/// A build begins when no later one became due for so long a row: then rows come slower than they are built into a graph.
const QUIET: Duration = Duration::from_micros(1);

/// An index is compacted by itself when at least one row in so many is removed (docs/performance.md).
const COMPACT_FROM: usize = 8;

/// Fewer removed rows are not worth it.
const WORTHWHILE: usize = 1_024;

struct Waiter {
    work: Work,
    /// Where the graph ended at the call, and where it must end.
    from: usize,
    target: usize,
    /// What must be built anew until then.
    rebuilt: usize,
    start: Instant,
    done: MigrationDone,
}

impl Migrator {
    pub(crate) fn new(auto: bool, threshold: usize) -> Self {
        let control = Control {
            cuts: VecDeque::new(),
            is_gathering: false,
            rebuilt: 0,
            built: 0,
            asked: 0,
            dropped: 0,
            compaction: None,
            worthwhile: WORTHWHILE,
            auto,
            threshold,
            is_due: threshold == 0,
            paused: false,
            running: false,
            closed: false,
            error: None,
            broken: None,
            waiters: Vec::new(),
        };
        Self {
            control: Mutex::new(control),
            changed: Condvar::new(),
            interrupted: AtomicBool::new(false),
            moving: Mutex::new(()),
            inserting: Mutex::new(()),
        }
    }

    pub(crate) fn control(&self) -> MutexGuard<'_, Control> {
        self.control.lock()
    }

    /// The right to move rows. Whoever runs gives it up at the end of its chunk.
    pub(crate) fn moving(&self) -> MutexGuard<'_, ()> {
        self.moving.lock()
    }

    /// The same, if it can be had within a moment.
    pub(crate) fn moving_soon(&self) -> Option<MutexGuard<'_, ()>> {
        self.moving.try_lock_for(PATIENCE)
    }

    /// The right to change the graph that others see. It is held for a batch, or as long as a file is written.
    pub(crate) fn inserting(&self) -> MutexGuard<'_, ()> {
        self.inserting.lock()
    }

    /// A file had a graph of the rows below `migrated`. How many it was last built of is not known: if it was begun by a
    /// bulk build, it counts as built of all of them.
    pub(crate) fn resume(&self, migrated: usize, is_bulk: bool) {
        let mut control = self.control();
        control.cuts.push_back(migrated);
        control.rebuilt = if is_bulk { migrated } else { 0 };
        (control.built, control.asked) = (migrated, migrated);
    }

    /// A write has published the rows below `len`, of which `live` are live.
    pub(crate) fn cut(&self, len: usize, live: usize) {
        self.control().cut(len, live);
    }

    /// Whether it is not worth it to finish a graph of the rows below `end`: one of twice as many is due already. Nobody sees
    /// the difference when all is done, since a decision that is overtaken leaves no trace.
    pub(crate) fn is_overtaken(&self, end: usize) -> bool {
        let control = self.control();
        control.compaction.is_some() || control.rows_below(control.rebuilt) >= 2 * control.rows_below(end)
    }

    /// Rows were removed. A run stops only if it is not due any more: it must get on beside steady removals.
    pub(crate) fn shrink(&self, live: usize) {
        let mut control = self.control();
        let was_due = control.is_due;
        control.is_due = live >= control.threshold;
        if was_due && !control.is_due {
            self.interrupt();
        }
    }

    /// All rows are gone: `replace` takes them away, unseen by whoever holds the control.
    pub(crate) fn reset<R>(&self, replace: impl FnOnce() -> R) -> R {
        let mut control = self.control();
        let replaced = replace();
        control.cuts.clear();
        control.is_gathering = false;
        (control.rebuilt, control.built, control.asked) = (0, 0, 0);
        (control.dropped, control.compaction, control.worthwhile) = (0, None, WORTHWHILE);
        control.is_due = control.threshold == 0;
        for waiter in &mut control.waiters {
            (waiter.from, waiter.target, waiter.rebuilt) = (0, 0, 0);
        }
        self.interrupt();
        replaced
    }

    pub(crate) fn pause(&self) {
        self.control().paused = true;
        self.interrupt();
    }

    pub(crate) fn close(&self) {
        self.control().closed = true;
        self.interrupt();
    }

    /// Nothing is to be built any more on what a panic left behind; the first one counts.
    pub(crate) fn poison(&self, message: &str) {
        self.control().broken.get_or_insert_with(|| Error::Internal(message.to_string()));
        self.interrupt();
    }

    /// Waits until no run is there.
    pub(crate) fn wait_until_stopped(&self) {
        let mut control = self.control();
        while control.running {
            self.changed.wait(&mut control);
        }
    }

    /// Waits until something changes, or it is time to ask the waiters whether they have cancelled.
    pub(crate) fn wait_for_change(&self, control: &mut MutexGuard<'_, Control>) {
        self.changed.wait_for(control, PATIENCE);
    }

    /// Waits while rows come faster than a graph can be built of them: a build that began now would be given up. Not where
    /// somebody waits for the graph. It changes when a build begins, and not of which rows.
    pub(crate) fn wait_while_growing(&self, control: &mut MutexGuard<'_, Control>, migrated: usize) {
        let mut due = 0;
        while control.is_rebuilt_later() && control.rebuilt != due {
            due = control.rebuilt;
            let until = Instant::now() + QUIET.saturating_mul(due as u32);
            while control.waiters.is_empty() && control.wants_run(migrated) && !self.is_interrupted() {
                if self.changed.wait_until(control, until).timed_out() {
                    break;
                }
            }
        }
    }

    pub(crate) fn notify(&self) {
        self.changed.notify_all();
    }

    /// Whether a run should stop its chunk and look at the control.
    pub(crate) fn is_interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
    }

    pub(crate) fn clear_interruption(&self) {
        self.interrupted.store(false, Ordering::Relaxed);
    }

    /// Lets a run stop its chunk and look at the control.
    pub(crate) fn interrupt(&self) {
        self.interrupted.store(true, Ordering::Relaxed);
        self.notify();
    }
}

impl Control {
    fn cut(&mut self, len: usize, live: usize) {
        self.is_due = live >= self.threshold;
        if self.is_gathering {
            self.cuts.pop_back();
        }
        if self.cuts.back().is_none_or(|&last| last < len) {
            self.cuts.push_back(len);
            self.is_gathering = !self.is_due || !self.auto;
            if !self.is_gathering && self.is_rebuild_due(self.rebuilt, len) {
                self.rebuilt = len;
            }
        }
    }

    /// What to do next if `migrated` rows are in the graph.
    pub(crate) fn next(&mut self, migrated: usize) -> Option<Next> {
        let region = self.next_region(migrated);
        // A region that grows is decided on when its turn comes.
        if let Some(region) = region.filter(|&region| self.is_gathering && self.is_rebuild_due(migrated, region)) {
            self.rebuilt = region;
        }
        let rebuild = self.is_rebuilt_later().then_some(Next::Rebuild(self.rebuilt));
        rebuild.or(region.map(Next::Insert))
    }

    /// The rows below `end` are in a graph that was built anew, or that steps by hand made.
    pub(crate) fn has_built(&mut self, end: usize) {
        self.built = self.built.max(end);
    }

    /// Whether something is left to do if `migrated` rows are in the graph.
    pub(crate) fn waits(&self, migrated: usize) -> bool {
        migrated < self.end() || self.is_rebuilt_later()
    }

    fn is_rebuilt_later(&self) -> bool {
        self.rebuilt > self.built
    }

    /// Whether the graph should be built anew of the rows below `len`, of which it has those below `built`. Depends on
    /// counts alone, so that the same calls give the same graph; what is overtaken by the next decision is never built.
    fn is_rebuild_due(&self, built: usize, len: usize) -> bool {
        let (rows, built) = (self.rows_below(len), self.rows_below(built));
        rows.saturating_sub(built) * REBUILD_FROM >= rows
    }

    /// Rows that the index has below a position when the compaction that was decided on is done.
    fn rows_below(&self, position: usize) -> usize {
        position.saturating_sub(self.dropped)
    }

    /// Rows below it may be inserted.
    pub(crate) fn end(&self) -> usize {
        self.cuts.back().copied().unwrap_or(0)
    }

    /// The end of the region that the next batch belongs to, if `migrated` rows are in the graph.
    pub(crate) fn next_region(&mut self, migrated: usize) -> Option<usize> {
        while self.cuts.len() > 1 && self.cuts[0] <= migrated {
            self.cuts.pop_front();
        }
        self.cuts.front().copied().filter(|&region| region > migrated)
    }

    /// Whether there are enough live rows for a graph.
    pub(crate) fn is_due(&self) -> bool {
        self.is_due
    }

    /// Whether a run has something to do, for somebody who wants it.
    pub(crate) fn wants_run(&self, migrated: usize) -> bool {
        let is_wanted = self.auto || !self.waiters.is_empty();
        let may_run = !self.closed && !self.is_held();
        may_run && (self.wants_compaction() || self.is_due && is_wanted && self.waits(migrated))
    }

    /// Whether a compaction was decided on that runs by itself, and may go on.
    pub(crate) fn wants_compaction(&self) -> bool {
        self.auto && self.compaction.is_some() && !self.closed && !self.is_held()
    }

    /// The compaction that was decided on last, if it is not done.
    pub(crate) fn compaction(&self) -> Option<Arc<Compaction>> {
        self.compaction.clone()
    }

    /// Whether so many rows are removed of those below `len`, of which `live` are live, that they should go.
    pub(crate) fn is_compaction_due(&self, len: usize, live: usize) -> bool {
        let rows = self.rows_below(len);
        let removed = rows.saturating_sub(live);
        self.auto && removed >= self.worthwhile && removed * COMPACT_FROM >= rows
    }

    /// How much of the rows below `len` a graph is to serve after a compaction, if one serves those below `migrated` now:
    /// what was moved by hand, or else all, if a graph was ever wanted.
    pub(crate) fn wanted(&self, len: usize, migrated: usize) -> usize {
        match self.auto {
            false => migrated,
            true if self.is_due || self.rebuilt > self.dropped => len,
            true => 0,
        }
    }

    /// Decides on a compaction of the rows below `len`. From here on all is counted as if it were done.
    pub(crate) fn compact(&mut self, compaction: Arc<Compaction>, len: usize) {
        self.dropped = len - compaction.stays();
        self.rebuilt = if compaction.graph() > 0 { self.dropped + compaction.graph() } else { 0 };
        self.asked = self.rebuilt;
        self.cuts = VecDeque::from([len]);
        self.is_gathering = compaction.graph() < compaction.stays();
        self.worthwhile = WORTHWHILE;
        self.compaction = Some(compaction);
    }

    /// `done` was done. What was decided on meanwhile speaks of the slots before.
    pub(crate) fn compacted(&mut self, done: &Arc<Compaction>, origin: usize) {
        if done.graph() > 0 {
            self.has_built(origin + done.graph());
        }
        let later = self.compaction.take().filter(|later| !Arc::ptr_eq(later, done));
        let Some(later) = later else { return };
        match later.after(done) {
            Ok(later) => self.compaction = Some(Arc::new(later)),
            // Without memory for it, it is decided on again later.
            Err(_) => self.dropped = origin,
        }
    }

    /// The compaction was given up: all is counted as it is, from `origin` on.
    pub(crate) fn withdraw(&mut self, compaction: &Arc<Compaction>, origin: usize) {
        if self.compaction.take_if(|last| Arc::ptr_eq(last, compaction)).is_some() {
            self.dropped = origin;
            let end = self.end();
            self.rebuilt = if self.auto && self.is_rebuild_due(self.built, end) { end } else { self.built };
            self.asked = self.rebuilt;
        }
    }

    /// A compaction has failed that nobody asked for: the next is tried when twice as many rows are removed.
    pub(crate) fn put_off(&mut self, removed: usize) {
        self.worthwhile = WORTHWHILE.max(2 * removed);
    }

    /// Whether nothing runs although somebody may want it.
    pub(crate) fn is_held(&self) -> bool {
        self.paused || self.broken.is_some()
    }

    /// The run stops with `error`.
    pub(crate) fn fail(&mut self, error: Error) {
        self.paused = true;
        self.error = Some(error);
    }

    /// Why the migration stands still, if that is not somebody's wish.
    pub(crate) fn failure(&self) -> Option<&Error> {
        self.error.as_ref().or(self.broken.as_ref())
    }

    /// What a new caller is told at once: that of the last run's failure only the first.
    pub(crate) fn refusal(&mut self) -> Option<Error> {
        if self.closed { Some(Error::Closed) } else { self.error.take().or_else(|| self.broken.clone()) }
    }

    /// Refuses to change an index that a panic broke.
    pub(crate) fn check_sound(&self) -> Result<()> {
        self.broken.clone().map_or(Ok(()), Err)
    }

    /// Whether somebody who waits has cancelled.
    pub(crate) fn has_cancelled(&self) -> bool {
        self.waiters.iter().any(|waiter| waiter.work.is_cancelled())
    }

    /// Whether somebody waits for a migration that is paused. A run stays for them: they may cancel.
    pub(crate) fn is_awaited(&self) -> bool {
        self.paused && !self.closed && !self.waiters.is_empty()
    }

    /// Adds someone who waits for all rows that are there now. If many came since somebody did, the graph is built anew of
    /// them, whether or not there is one of most, or even some that were inserted already: who adds rows for long and then
    /// asks waits for one build, and not for one and for the insertion of what came after it was decided on.
    pub(crate) fn wait_for_all(&mut self, work: Work, migrated: usize, done: MigrationDone) {
        let target = self.end();
        if !self.is_gathering && self.is_due && self.is_rebuild_due(self.asked, target) {
            (self.rebuilt, self.asked) = (target, target);
        }
        let (rebuilt, start) = (self.rebuilt, Instant::now());
        self.waiters.push(Waiter { work, from: migrated, target, rebuilt, start, done });
    }

    /// Those who wait and want to hear how far the run is: to be told without the lock held.
    pub(crate) fn listeners(&self) -> Vec<Listener> {
        let listening = self.waiters.iter().filter(|waiter| waiter.work.on_progress.is_some());
        let listener =
            |waiter: &Waiter| Listener { work: waiter.work.clone(), rows: waiter.from..waiter.target.max(waiter.from) };
        listening.map(listener).collect()
    }

    /// Takes out those who got what they waited for, who have cancelled, and everybody when nothing more will come.
    /// To be called without the lock held.
    pub(crate) fn settled(&mut self, migrated: usize, live: &dyn Fn(Range<usize>) -> usize) -> Vec<Box<dyn FnOnce()>> {
        let nothing_more = self.closed || !self.is_due || self.failure().is_some();
        let failure = self.failure().cloned().filter(|_| !self.waiters.is_empty());
        let closed = self.closed;
        let built = self.built;
        let is_served = |waiter: &Waiter| migrated >= waiter.target && built >= waiter.rebuilt;
        let is_settled = |waiter: &mut Waiter| is_served(waiter) || waiter.work.is_cancelled() || nothing_more;
        let settled: Vec<Waiter> = self.waiters.extract_if(.., is_settled).collect();
        if failure.is_some() {
            self.error = None;
        }
        let outcome = move |waiter: &Waiter| {
            if waiter.work.is_cancelled() {
                Err(Error::Cancelled)
            } else if let Some(error) = &failure {
                Err(error.clone())
            } else if closed {
                Err(Error::Closed)
            } else {
                let vectors = live(waiter.from..migrated.max(waiter.from));
                Ok(Migrated { vectors, seconds: waiter.start.elapsed().as_secs_f64() })
            }
        };
        let tell = |waiter: Waiter| {
            let outcome = outcome(&waiter);
            Box::new(move || (waiter.done)(outcome)) as Box<dyn FnOnce()>
        };
        settled.into_iter().map(tell).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    /// So many rows that a build of them would wait for more than [`HOURS`].
    const MANY: usize = 1 << 31;
    const HOURS: Duration = Duration::from_secs(1_000);

    fn regions(migrator: &Migrator) -> Vec<usize> {
        migrator.control().cuts.iter().copied().collect()
    }

    #[test]
    fn who_asks_when_many_rows_came_waits_for_one_build_of_all() {
        let migrator = Migrator::new(true, 10);
        let mut control = migrator.control();
        let next_with = |control: &mut Control, end: usize, migrated: usize| {
            control.cut(end, end);
            control.next(migrated)
        };
        assert_eq!(next_with(&mut control, 16_000, 0), Some(Next::Rebuild(16_000)));
        control.has_built(16_000);
        assert_eq!(next_with(&mut control, 16_500, 16_000), Some(Next::Insert(16_500)));
        control.wait_for_all(Work::default(), 16_000, Box::new(|_| ()));
        for migrated in [16_000, 16_500] {
            assert_eq!(control.next(migrated), Some(Next::Rebuild(16_500)), "{migrated} in the graph");
            assert!(control.wants_run(migrated));
            assert!(control.settled(migrated, &|slots| slots.len()).is_empty());
        }
        control.has_built(16_500);
        assert_eq!(control.settled(16_500, &|slots| slots.len()).len(), 1);
        assert!(!control.wants_run(16_500));
        // Few came since.
        control.cut(17_000, 17_000);
        control.wait_for_all(Work::default(), 16_500, Box::new(|_| ()));
        assert_eq!(control.next(16_500), Some(Next::Insert(17_000)));
        assert_eq!(control.settled(17_000, &|slots| slots.len()).len(), 1);
    }

    #[test]
    fn a_build_begins_when_no_later_one_became_due_for_a_while() {
        let migrator = Migrator::new(true, 10);
        migrator.cut(40_000, 40_000);
        let start = Instant::now();
        thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                migrator.wait_while_growing(&mut migrator.control(), 0);
                start.elapsed()
            });
            thread::sleep(Duration::from_millis(20));
            migrator.cut(80_000, 80_000);
            assert!(waiting.join().unwrap() >= Duration::from_millis(20) + 80_000 * QUIET);
        });
        migrator.wait_while_growing(&mut migrator.control(), 80_000);
        assert!(start.elapsed() < HOURS, "nothing is to be built");
    }

    #[test]
    fn a_build_begins_at_once_for_somebody_who_waits() {
        let migrator = Migrator::new(true, 10);
        migrator.cut(MANY, MANY);
        let start = Instant::now();
        thread::scope(|scope| {
            let waiting = scope.spawn(|| migrator.wait_while_growing(&mut migrator.control(), 0));
            thread::sleep(Duration::from_millis(20));
            migrator.control().wait_for_all(Work::default(), 0, Box::new(|_| ()));
            migrator.notify();
            waiting.join().unwrap();
        });
        migrator.wait_while_growing(&mut migrator.control(), 0);
        migrator.control().settled(MANY, &|slots| slots.len());
        migrator.pause();
        migrator.wait_while_growing(&mut migrator.control(), 0);
        assert!(start.elapsed() < HOURS);
    }

    #[test]
    fn removals_interrupt_a_run_only_when_it_is_not_due_any_more() {
        let migrator = Migrator::new(true, 10);
        migrator.cut(20, 20);
        for (live, interrupted) in [(15, false), (10, false), (9, true)] {
            migrator.shrink(live);
            assert_eq!(migrator.is_interrupted(), interrupted, "{live} live rows");
        }
        migrator.clear_interruption();
        migrator.shrink(8);
        assert!(!migrator.is_interrupted(), "there is no run to interrupt");
    }

    #[test]
    fn rows_that_gather_below_the_threshold_are_one_region() {
        let migrator = Migrator::new(true, 10);
        [(3, 3), (6, 6), (12, 12), (14, 14)].into_iter().for_each(|(len, live)| migrator.cut(len, live));
        assert_eq!(regions(&migrator), [12, 14]);
        migrator.shrink(4);
        [(16, 6), (17, 7), (22, 12), (23, 13)].into_iter().for_each(|(len, live)| migrator.cut(len, live));
        assert_eq!(regions(&migrator), [12, 14, 22, 23], "what was due before keeps its ends");
    }

    #[test]
    fn few_rows_after_a_file_are_inserted_and_many_built_anew() {
        for auto in [false, true] {
            for (more, expected) in [(1, Next::Insert(10_001)), (2_000, Next::Rebuild(12_000))] {
                let migrator = Migrator::new(auto, 10);
                migrator.resume(10_000, true);
                migrator.cut(10_000, 10_000);
                assert_eq!(migrator.control().next(10_000), None);
                migrator.cut(10_000 + more, 10_000 + more);
                assert_eq!(migrator.control().next(10_000), Some(expected), "{more} rows, auto: {auto}");
            }
            // What waits already when it is loaded.
            let migrator = Migrator::new(auto, 10);
            migrator.resume(10_000, true);
            migrator.cut(10_001, 10_001);
            assert_eq!(migrator.control().next(10_000), Some(Next::Insert(10_001)));
        }
    }

    #[test]
    fn rows_that_wait_to_be_moved_by_hand_are_one_region() {
        let migrator = Migrator::new(false, 10);
        [(3, 3), (12, 12), (12, 12), (14, 14)].into_iter().for_each(|(len, live)| migrator.cut(len, live));
        assert_eq!(regions(&migrator), [14]);
    }
}
