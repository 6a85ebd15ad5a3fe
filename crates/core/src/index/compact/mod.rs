//! Compaction: a state of the live rows alone is made beside the one in use, and takes its place.
//!
//! It is decided on between two writes: what is removed then goes. Rows move in their order into a new state, slower than
//! they could, since searches come first; a graph is built of them; what was written meanwhile follows, the last few rows
//! while writes wait. Then one pointer is swapped. Until then nobody sees any of it, so it may stop or fail at any time.

mod mover;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use parking_lot::MutexGuard;

use self::mover::Mover;
use super::Inner;
use super::failpoints::Point;
use super::state::State;
use crate::compaction::Compaction;
use crate::error::{Error, Result};
use crate::migration::Control;
use crate::pools::Turns;
use crate::work::{Phase, Work};

/// How long it waits for writes before it looks again whether it should.
const PATIENCE: Duration = Duration::from_millis(20);

/// So many rows may be left to follow while writes wait.
const FEW: usize = 2_048;

/// How often it tries to leave no more than that.
const ATTEMPTS: usize = 8;

/// Rows that follow before they are listed, as far as that is due.
const LISTED_AT_ONCE: usize = 16_384;

/// The share of the whole work that it takes to move rows, where a graph is built too.
const MOVING: f64 = 0.1;

/// A write that removes rows waits for the compaction that is under way while so many times as many are removed as are live,
const FALLEN_BEHIND: usize = 4;

/// or as so many, where fewer are live.
const HARDLY_ANY: usize = 4_096;

/// How long what was replaced is kept for searches that have begun on it.
const KEPT_FOR: Duration = Duration::from_millis(100);

/// Who waits for a compaction, and how to stop it.
struct Watch<'a> {
    stopped: &'a (dyn Fn() -> bool + Sync),
    /// Told the phase, and the share of the whole work that is done.
    report: &'a (dyn Fn(Phase, f64) + Sync),
    /// Told that nothing is left but the swap.
    conclude: &'a dyn Fn() -> Result<()>,
}

impl Inner {
    /// Takes the removed rows away, by hand: whatever the mode, and paused or not.
    pub(super) fn compact(self: &Arc<Self>, work: &Work) -> Result<()> {
        self.check_open()?;
        self.check_writable()?;
        work.check()?;
        let moving = self.moving(work)?;
        let compacted = self.guarded(|| self.compact_now(work));
        MutexGuard::unlock_fair(moving);
        self.settle_migrations();
        self.migrate_in_background();
        compacted
    }

    /// Decides on a compaction that runs by itself, if enough rows are removed. Nobody may write meanwhile.
    pub(super) fn decide_on_compaction(&self, state: &State) {
        if state.is_mapped() {
            return;
        }
        let mut control = self.migrator.control();
        if control.is_compaction_due(state.end(), state.live()) && decide(&mut control, state).is_err() {
            control.put_off(state.len() - state.live());
        }
    }

    /// Waits while the compaction that is under way has fallen behind: whoever removes rows faster than it takes them away
    /// would have the index grow without end. To be called without a right that a compaction needs, and not by whoever
    /// calls its listeners.
    pub(super) fn wait_for_compaction(self: &Arc<Self>, work: &Work) -> Result<()> {
        let has_fallen_behind = || {
            let state = self.state.load();
            let live = state.live();
            state.len().saturating_sub(live) > FALLEN_BEHIND * live.max(HARDLY_ANY)
        };
        if !has_fallen_behind() {
            return Ok(());
        }
        self.migrate_in_background();
        let mut control = self.migrator.control();
        while control.wants_compaction() && has_fallen_behind() {
            work.check()?;
            self.migrator.wait_for_change(&mut control);
        }
        Ok(())
    }

    /// Does what was decided on, in the background. Where it fails the index is as it was, and it is tried again when
    /// more is removed.
    pub(super) fn compact_unasked(&self, state: Arc<State>, compaction: &Arc<Compaction>) -> Result<()> {
        let removed = state.len() - state.live();
        let watch = Watch {
            // Who interrupts the run may want something else of it.
            stopped: &|| self.migrator.is_interrupted() && !self.migrator.control().wants_compaction(),
            report: &|phase, share| self.report_migration(phase, Some(share)),
            conclude: &|| Ok(()),
        };
        match self.carry_out(state, compaction, &watch) {
            Ok(()) | Err(Error::Cancelled) => {}
            Err(_) => {
                self.withdraw(compaction);
                self.migrator.control().put_off(removed);
            }
        }
        Ok(())
    }

    /// The right to move rows. Whoever has it is stopped, but for a compaction: what they do would be done anew.
    fn moving(&self, work: &Work) -> Result<MutexGuard<'_, ()>> {
        loop {
            self.check_open()?;
            if let Some(moving) = self.migrator.moving_soon() {
                return Ok(moving);
            }
            work.check()?;
            self.migrator.interrupt();
        }
    }

    fn compact_now(&self, work: &Work) -> Result<()> {
        let Some((state, compaction)) = self.decide_by_hand(work)? else {
            return work.conclude(Phase::Swap, self.state.load().live());
        };
        let total = compaction.stays();
        let watch = Watch {
            stopped: &|| work.is_cancelled(),
            report: &|phase, share| work.report(phase, (total as f64 * share) as usize, total),
            conclude: &|| work.conclude(Phase::Swap, total),
        };
        let compacted = self.carry_out(state, &compaction, &watch);
        if compacted.is_err() {
            self.withdraw(&compaction);
        }
        match compacted {
            // Not by the caller: it was closed, or cleared, and so there is nothing left to do.
            Err(Error::Cancelled) if !work.is_cancelled() => self.check_open(),
            other => other,
        }
    }

    fn decide_by_hand(&self, work: &Work) -> Result<Option<(Arc<State>, Arc<Compaction>)>> {
        let _writing = loop {
            if let Some(writing) = self.writing.try_lock_for(PATIENCE) {
                break writing;
            }
            work.check()?;
            // Whoever closes it has that right, and waits for the other.
            self.check_open()?;
        };
        self.check_open()?;
        let state = self.state.load_full();
        let mut control = self.migrator.control();
        control.check_sound()?;
        if state.len() == state.live() {
            return Ok(None);
        }
        let compaction = decide(&mut control, &state)?;
        Ok(Some((state, compaction)))
    }

    /// A compaction was given up: all is counted as it is.
    fn withdraw(&self, compaction: &Arc<Compaction>) {
        let mut control = self.migrator.control();
        let state = self.state.load();
        control.withdraw(compaction, state.origin());
    }

    /// Makes a state of what stays of `old`, and lets it take its place. `Cancelled` if it was stopped, or if `old` was
    /// replaced meanwhile. To be called with the right to move rows.
    fn carry_out(&self, old: Arc<State>, compaction: &Arc<Compaction>, watch: &Watch<'_>) -> Result<()> {
        let origin = old.origin() + compaction.end() - compaction.stays();
        let mut mover = Mover::new(old, State::after(&self.options, origin), Arc::clone(compaction))?;
        self.fill(&mut mover, watch)?;
        let replaced = self.take_place(mover, watch)?;
        // Searches that have begun on it go on. To free it takes long, which should not be theirs to do.
        let mut left = KEPT_FOR;
        while Arc::strong_count(&replaced) > 1 && !left.is_zero() {
            thread::sleep(Duration::from_millis(1));
            left = left.saturating_sub(Duration::from_millis(1));
        }
        Ok(())
    }

    /// Moves the rows that stay, and builds the graph that is to serve them.
    fn fill(&self, mover: &mut Mover, watch: &Watch<'_>) -> Result<()> {
        let (old, fresh) = (Arc::clone(mover.from()), Arc::clone(mover.to()));
        let stopped = self.stopped(&old, watch.stopped);
        let turns = self.pools.turns(&stopped);
        let (rows, graph) = (mover.compaction().end(), mover.compaction().graph());
        let part = if graph > 0 { MOVING } else { 1.0 };
        while mover.upto() < rows {
            (watch.report)(Phase::Copy, mover.upto() as f64 / rows as f64 * part);
            let next = rows.min(mover.upto() + LISTED_AT_ONCE);
            self.pools.build(|| mover.advance(next, Some(turns)))?;
        }
        if graph > 0 {
            let report = |phase, share| (watch.report)(phase, MOVING + (1.0 - MOVING) * share);
            self.rebuild(&fresh, graph, &stopped, &report)?;
            if fresh.migrated() < graph {
                return Err(Error::Cancelled);
            }
        }
        // Until it is measured anew, for searches that ask for a recall.
        fresh.efs.store(old.efs.load_full());
        Ok(())
    }

    /// Lets what was written meanwhile follow, and the new state take the place of the old one, which is returned.
    fn take_place(&self, mut mover: Mover, watch: &Watch<'_>) -> Result<Arc<State>> {
        let old = Arc::clone(mover.from());
        let stopped = self.stopped(&old, watch.stopped);
        let turns = self.pools.turns(&stopped);
        self.catch_up(&mut mover, turns)?;
        self.sets.follow(mover.to())?;
        (watch.conclude)()?;
        let mut attempts = 0;
        let writing = loop {
            if let Some(writing) = self.writing.try_lock_for(PATIENCE) {
                // Who writes without a pause waits for more in the end.
                if mover.left() <= FEW || attempts == ATTEMPTS {
                    break writing;
                }
                attempts += 1;
            }
            self.catch_up(&mut mover, turns)?;
        };
        self.pools.write(|| mover.finish())?;
        let _ = self.failpoints.pass(Point::Compacted);
        // Looks at the control in turn. Who clears or closes has the right to write.
        if stopped() || !Arc::ptr_eq(&self.state.load(), &old) {
            return Err(Error::Cancelled);
        }
        let mut control = self.migrator.control();
        control.check_sound()?;
        self.state.store(Arc::clone(mover.to()));
        control.compacted(mover.compaction(), mover.to().origin());
        drop((control, writing));
        self.migrator.notify();
        old.abandon();
        drop(stopped);
        Ok(old)
    }

    /// Lets what was written meanwhile follow until little is left, or writes prove to be faster.
    fn catch_up(&self, mover: &mut Mover, turns: Turns<'_>) -> Result<()> {
        for _ in 0..ATTEMPTS {
            let end = mover.from().len();
            self.pools.build(|| mover.take_out(Some(turns)))?;
            while mover.upto() < end {
                let next = end.min(mover.upto() + LISTED_AT_ONCE);
                self.pools.build(|| mover.advance(next, Some(turns)))?;
                let to = mover.to();
                to.take_lists(self.lists_of_waiting(to, to.rows().view(), None, to.live())?);
            }
            if mover.left() <= FEW {
                break;
            }
        }
        Ok(())
    }
}

/// Decides that what is removed from `state` goes.
fn decide(control: &mut Control, state: &State) -> Result<Arc<Compaction>> {
    let served = control.wanted(state.len(), state.migrated());
    let compaction = Arc::new(Compaction::of(state.removed.view(), state.len(), served)?);
    control.compact(Arc::clone(&compaction), state.end());
    Ok(compaction)
}
