//! The migration's control: what is to be inserted next, who waits for it, whether it may run.
//!
//! This module decides; `index::migrate` does. Boundaries of batches follow from row counts alone: a batch ends where a
//! call to `add` ended, and is cut to chunks from its start. So the same calls give the same graph, however fast the
//! migration is.

mod decisions;
#[cfg(test)]
mod tests;
mod waiters;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};

pub(crate) use decisions::Next;
pub(crate) use waiters::Listener;
pub use waiters::{Migrated, MigrationDone};

use crate::compaction::Compaction;
use crate::error::Error;
use waiters::Waiter;

/// How long a paused run waits before it asks its waiters whether they have cancelled.
const PATIENCE: Duration = Duration::from_millis(20);

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

/// A build begins when no later one became due for so long a row: then rows come slower than they are built into a graph.
const QUIET: Duration = Duration::from_micros(1);

/// Fewer removed rows are not worth it.
const WORTHWHILE: usize = 1_024;

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

    /// Waits until something changes, or it is time to look whether something else has, such as a waiter's wish to cancel.
    pub(crate) fn wait_for_change(&self, control: &mut MutexGuard<'_, Control>) {
        self.changed.wait_for(control, PATIENCE);
    }

    /// Waits while rows come faster than a graph can be built of them: a build that began now would be given up. Not where
    /// somebody waits for the graph, nor where rows are to be taken away: a compaction is not given up. It changes when a
    /// build begins, and not of which rows.
    pub(crate) fn wait_while_growing(&self, control: &mut MutexGuard<'_, Control>, migrated: usize) {
        let mut due = 0;
        while control.is_rebuilt_later() && control.rebuilt != due {
            due = control.rebuilt;
            let until = Instant::now() + QUIET.saturating_mul(control.rows_below(due) as u32);
            let may_wait = |control: &Control| control.waiters.is_empty() && !control.wants_compaction();
            while may_wait(control) && control.wants_run(migrated) && !self.is_interrupted() {
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
