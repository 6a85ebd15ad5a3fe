//! The gate at which background work gives way to queries.

use std::cell::OnceCell;
use std::iter::Inspect;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How long a background task gives way before it looks again whether there is a turn for it.
const PATIENCE: Duration = Duration::from_millis(1);

/// How long a core is left free after a query. A thread that stopped for one and went on after it would do more harm than
/// one that never stopped: Linux prefers a thread that has just woken up to one that has used up its share, such as the
/// one that waits for the answer, whatever their priorities, and leaves it the core up to the next tick, 4 ms later.
pub(super) const LINGER: Duration = Duration::from_millis(20);

thread_local! {
    /// Where a thread that builds or writes gives way.
    pub(super) static GATE: OnceCell<Arc<Gate>> = const { OnceCell::new() };
}

/// To be called about every hundred microseconds by all work that runs on the threads of a pool, also where it has a turn:
/// see [`Gate::give_way`]. Elsewhere it does nothing.
#[inline]
pub(crate) fn give_way() {
    GATE.with(|gate| {
        if let Some(gate) = gate.get() {
            gate.give_way();
        }
    });
}

/// `items`, which gives way before every `unit` of them.
pub(crate) fn giving_way<I: Iterator>(items: I, unit: usize) -> Inspect<I, impl FnMut(&I::Item) + Clone> {
    let mut left = 0;
    items.inspect(move |_| {
        if left == 0 {
            give_way();
            left = unit;
        }
        left -= 1;
    })
}

/// Where background work gives way to queries.
///
/// A query is announced by a [`Passage`], from the moment that it is queued. Background tasks take a [`Turn`] for each
/// work unit of some tens of microseconds. While there are queries, only as many turns are given as leave a core to each
/// of them, but always one, so that the work ends under any load (at a lower priority: see [`crate::os`]). For a while
/// after the last query a core is left to the next one.
pub(crate) struct Gate {
    cores: usize,
    pub(super) queries: AtomicUsize,
    turns: AtomicUsize,
    start: Instant,
    /// Until when a core is left free, in microseconds after `start`.
    linger_until: AtomicU64,
    #[cfg(test)]
    pub(super) offers: AtomicUsize,
}

/// A query that is queued or runs, until dropped.
pub(crate) struct Passage(Arc<Gate>);

/// The turns of one background work, which asks for the next before each work unit.
#[derive(Clone, Copy)]
pub(crate) struct Turns<'a> {
    pub(super) gate: &'a Gate,
    pub(super) stopped: &'a (dyn Fn() -> bool + Sync),
}

impl<'a> Turns<'a> {
    /// Gives way to queries, then the right to do a work unit; `None` to stop.
    pub(crate) fn next(&self) -> Option<Turn<'a>> {
        let turn = self.gate.turn();
        (!(self.stopped)()).then_some(turn)
    }
}

/// A work unit of a background task, until dropped. To be taken where its work is done: a task that waits for others
/// must not hold one.
pub(crate) struct Turn<'a>(&'a Gate);

impl Gate {
    pub(super) fn new(cores: usize) -> Self {
        Self {
            cores,
            queries: AtomicUsize::new(0),
            turns: AtomicUsize::new(0),
            start: Instant::now(),
            linger_until: AtomicU64::new(0),
            #[cfg(test)]
            offers: AtomicUsize::new(0),
        }
    }

    /// Waits for a turn.
    #[inline]
    pub(crate) fn turn(&self) -> Turn<'_> {
        self.give_way();
        while !self.try_turn() {
            // Nobody is woken when a turn or a query ends: in most cases the next one follows at once.
            thread::sleep(PATIENCE);
        }
        Turn(self)
    }

    /// Lets another thread that waits for this core have it, while there are queries. Linux makes one that has just woken up,
    /// such as a query's or the one that waits for its answer, wait up to the next tick for one that computes, whatever
    /// their priorities, unless that one offers the core itself.
    pub(super) fn give_way(&self) {
        #[cfg(test)]
        self.offers.fetch_add(1, Ordering::Relaxed);
        if self.is_in_use() {
            thread::yield_now();
        }
    }

    /// Whether there is a query, or was one a moment ago.
    pub(super) fn is_in_use(&self) -> bool {
        self.queries.load(Ordering::Relaxed) > 0 || self.is_lingering()
    }

    fn is_lingering(&self) -> bool {
        self.now() < self.linger_until.load(Ordering::Relaxed)
    }

    pub(super) fn try_turn(&self) -> bool {
        let queries = self.queries.load(Ordering::Relaxed);
        let taken = if queries > 0 { queries } else { usize::from(self.is_lingering()) };
        let most = if taken == 0 { usize::MAX } else { self.cores.saturating_sub(taken).max(1) };
        let take = |turns| (turns < most).then_some(turns + 1);
        self.turns.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }

    fn now(&self) -> u64 {
        self.start.elapsed().as_micros() as u64
    }
}

impl Passage {
    pub(super) fn new(gate: &Arc<Gate>) -> Self {
        gate.queries.fetch_add(1, Ordering::Relaxed);
        Self(gate.clone())
    }
}

impl Drop for Passage {
    fn drop(&mut self) {
        self.0.linger_until.store(self.0.now() + LINGER.as_micros() as u64, Ordering::Relaxed);
        self.0.queries.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.turns.fetch_sub(1, Ordering::Relaxed);
    }
}
