//! Who waits for a migration, and what they are told.

use std::ops::Range;
use std::time::Instant;

use super::Control;
use crate::error::{Error, Result};
use crate::work::Work;

/// What a `migrate` did.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Migrated {
    /// Live rows that came into the graph since the call.
    pub vectors: usize,
    pub seconds: f64,
}

/// Told the outcome of a migration, once.
pub type MigrationDone = Box<dyn FnOnce(Result<Migrated>) + Send>;

/// Somebody who wants to hear how far the run is with some rows.
pub(crate) struct Listener {
    pub(crate) work: Work,
    pub(crate) rows: Range<usize>,
}

pub(super) struct Waiter {
    pub(super) work: Work,
    /// Where the graph ended at the call, and where it must end.
    pub(super) from: usize,
    pub(super) target: usize,
    /// What must be built anew until then.
    pub(super) rebuilt: usize,
    start: Instant,
    done: MigrationDone,
}

impl Control {
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
