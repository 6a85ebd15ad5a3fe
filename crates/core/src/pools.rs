//! The threads: some that build, at a lower priority, some that answer queries, and the gate at which the former give
//! way to the latter.

use std::cell::{Cell, OnceCell};
use std::collections::VecDeque;
use std::iter::Inspect;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::error::{Error, Result};
use crate::os::Priority;

/// How long a background task gives way before it looks again whether there is a turn for it.
const PATIENCE: Duration = Duration::from_millis(1);

/// How long a core is left free after a query. A thread that stopped for one and went on after it would do more harm than
/// one that never stopped: Linux prefers a thread that has just woken up to one that has used up its share, such as the
/// one that waits for the answer, whatever their priorities, and leaves it the core up to the next tick, 4 ms later.
const LINGER: Duration = Duration::from_millis(20);

/// The threads of one index, or of all those that did not ask for their own.
pub(crate) struct Pools {
    threads: usize,
    build: rayon::ThreadPool,
    queries: Arc<QueryQueue>,
    gate: Arc<Gate>,
}

impl Pools {
    /// `None`: the pools that all such callers share, one thread a core; they end with their last user.
    pub(crate) fn new(threads: Option<usize>) -> Result<Arc<Self>> {
        static SHARED: Mutex<Weak<Pools>> = Mutex::new(Weak::new());
        if let Some(threads) = threads {
            return Self::start(threads);
        }
        let mut shared = SHARED.lock();
        if let Some(pools) = shared.upgrade() {
            return Ok(pools);
        }
        let pools = Self::start(cores())?;
        *shared = Arc::downgrade(&pools);
        Ok(pools)
    }

    pub(crate) fn threads(&self) -> usize {
        self.threads
    }

    /// The turns of background work that ends when `stopped` says so.
    pub(crate) fn turns<'a>(&'a self, stopped: &'a (dyn Fn() -> bool + Sync)) -> Turns<'a> {
        Turns { gate: &self.gate, stopped }
    }

    /// Announces a query that runs on the calling thread. Those of query threads were announced when they were queued.
    pub(crate) fn enter(&self) -> Option<Passage> {
        (!IS_QUERY_THREAD.get()).then(|| Passage::new(&self.gate))
    }

    /// Runs `work` on the build threads, where it may use rayon's parallel iterators.
    pub(crate) fn build<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        self.build.install(work)
    }

    /// Runs `work`, part of a write that somebody waits for, where it may use rayon's parallel iterators: on threads that are
    /// made for it, since those that build would come to it late. Beside queries it gets one.
    pub(crate) fn write<R: Send>(&self, work: impl FnOnce() -> Result<R> + Send) -> Result<R> {
        let threads = if self.gate.is_in_use() { 1 } else { self.threads };
        parallel("write", threads, Priority::Write, &self.gate)?.install(work)
    }

    /// To be called every some tens of microseconds by long work that takes no turns: see [`Gate::give_way`].
    pub(crate) fn give_way(&self) {
        self.gate.give_way();
    }

    /// How often work on these threads gave way, whether there were queries or not.
    #[cfg(test)]
    pub(crate) fn offers(&self) -> usize {
        self.gate.offers.load(Ordering::Relaxed)
    }

    /// Queues `task` for the query threads: first in, first out.
    pub(crate) fn spawn_query(&self, task: impl FnOnce() + Send + 'static) {
        // From here on, so that there is a core for it when its thread has woken up.
        let passage = Passage::new(&self.gate);
        self.queries.push(Box::new(move || {
            task();
            drop(passage);
        }));
    }

    fn start(threads: usize) -> Result<Arc<Self>> {
        let gate = Arc::new(Gate::new(cores()));
        let build = parallel("build", threads, Priority::Background, &gate)?;
        let queries = Arc::new(QueryQueue::default());
        let pools = Self { threads, build, queries: queries.clone(), gate };
        for index in 0..threads {
            let queries = queries.clone();
            let builder = thread::Builder::new().name(format!("vicinal-query-{index}"));
            builder.spawn(move || queries.serve()).map_err(Error::thread)?;
        }
        Ok(Arc::new(pools))
    }
}

/// Threads for rayon's parallel iterators, which give way at `gate`.
fn parallel(name: &'static str, threads: usize, priority: Priority, gate: &Arc<Gate>) -> Result<rayon::ThreadPool> {
    let gate = gate.clone();
    let start = move |_| {
        crate::os::lower_thread_priority(priority);
        GATE.with(|own| {
            own.get_or_init(|| gate.clone());
        });
    };
    let builder = rayon::ThreadPoolBuilder::new().num_threads(threads).start_handler(start);
    let builder = builder.thread_name(move |index| format!("vicinal-{name}-{index}"));
    builder.build().map_err(Error::thread)
}

impl Drop for Pools {
    fn drop(&mut self) {
        self.queries.close();
    }
}

fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

type Task = Box<dyn FnOnce() + Send>;

thread_local! {
    static IS_QUERY_THREAD: Cell<bool> = const { Cell::new(false) };
    /// Where a thread that builds or writes gives way.
    static GATE: OnceCell<Arc<Gate>> = const { OnceCell::new() };
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

/// Tasks for the query threads.
#[derive(Default)]
struct QueryQueue {
    state: Mutex<QueueState>,
    changed: Condvar,
}

#[derive(Default)]
struct QueueState {
    tasks: VecDeque<Task>,
    closed: bool,
}

impl QueryQueue {
    fn push(&self, task: Task) {
        self.state.lock().tasks.push_back(task);
        self.changed.notify_one();
    }

    fn close(&self) {
        self.state.lock().closed = true;
        self.changed.notify_all();
    }

    /// A query thread: runs tasks until the queue is closed and empty. A task that panics is its caller's to catch; if
    /// it did not, the thread goes on.
    fn serve(&self) {
        IS_QUERY_THREAD.set(true);
        while let Some(task) = self.next() {
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(task));
        }
    }

    fn next(&self) -> Option<Task> {
        let mut state = self.state.lock();
        loop {
            if let Some(task) = state.tasks.pop_front() {
                return Some(task);
            }
            if state.closed {
                return None;
            }
            self.changed.wait(&mut state);
        }
    }
}

/// Where background work gives way to queries.
///
/// A query is announced by a [`Passage`], from the moment that it is queued. Background tasks take a [`Turn`] for each
/// work unit of some tens of microseconds. While there are queries, only as many turns are given as leave a core to each
/// of them, but always one, so that the work ends under any load (at a lower priority: see [`crate::os`]). For a while
/// after the last query a core is left to the next one.
pub(crate) struct Gate {
    cores: usize,
    queries: AtomicUsize,
    turns: AtomicUsize,
    start: Instant,
    /// Until when a core is left free, in microseconds after `start`.
    linger_until: AtomicU64,
    #[cfg(test)]
    offers: AtomicUsize,
}

/// A query that is queued or runs, until dropped.
pub(crate) struct Passage(Arc<Gate>);

/// The turns of one background work, which asks for the next before each work unit.
#[derive(Clone, Copy)]
pub(crate) struct Turns<'a> {
    gate: &'a Gate,
    stopped: &'a (dyn Fn() -> bool + Sync),
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
    fn new(cores: usize) -> Self {
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
    fn give_way(&self) {
        #[cfg(test)]
        self.offers.fetch_add(1, Ordering::Relaxed);
        if self.is_in_use() {
            thread::yield_now();
        }
    }

    /// Whether there is a query, or was one a moment ago.
    fn is_in_use(&self) -> bool {
        self.queries.load(Ordering::Relaxed) > 0 || self.is_lingering()
    }

    fn is_lingering(&self) -> bool {
        self.now() < self.linger_until.load(Ordering::Relaxed)
    }

    fn try_turn(&self) -> bool {
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
    fn new(gate: &Arc<Gate>) -> Self {
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn indexes_share_their_pools_unless_they_ask_for_their_own() {
        let (a, b) = (Pools::new(None).unwrap(), Pools::new(None).unwrap());
        assert!(Arc::ptr_eq(&a, &b));
        let own = Pools::new(Some(3)).unwrap();
        assert_eq!((own.threads(), own.build(rayon::current_num_threads)), (3, 3));
    }

    #[test]
    fn queries_run_in_order_and_survive_a_panic() {
        let pools = Pools::new(Some(1)).unwrap();
        let (sender, receiver) = mpsc::channel();
        pools.spawn_query(|| panic!("on purpose"));
        for i in 0..10 {
            let sender = sender.clone();
            pools.spawn_query(move || sender.send(i).unwrap());
        }
        drop((sender, pools));
        assert_eq!(receiver.iter().collect::<Vec<_>>(), (0..10).collect::<Vec<_>>());
    }

    #[test]
    fn one_turn_is_given_beside_any_number_of_queries() {
        let gate = Arc::new(Gate::new(4));
        let turns: Vec<Turn<'_>> = (0..9).map(|_| gate.turn()).collect();
        let mut passages = vec![Passage::new(&gate)];
        assert!(!gate.try_turn());
        drop(turns);
        let turns: Vec<Turn<'_>> = (0..3).map(|_| gate.turn()).collect();
        assert!(!gate.try_turn(), "a core is left to the query");
        drop(turns);
        passages.extend((0..9).map(|_| Passage::new(&gate)));
        // Whichever thread asks: here it is one that no pool knows.
        let turn = thread::scope(|scope| scope.spawn(|| gate.turn()).join().unwrap());
        assert!(!gate.try_turn());
        drop(turn);
        assert!(gate.try_turn());
    }

    #[test]
    fn a_core_is_left_free_for_a_while_after_a_query() {
        let gate = Arc::new(Gate::new(2));
        drop(Passage::new(&gate));
        let _turn = gate.turn();
        assert!(!gate.try_turn());
        let start = Instant::now();
        let _second = gate.turn();
        assert!(start.elapsed() > LINGER / 2);
    }

    #[test]
    fn who_waits_for_a_turn_gets_that_of_a_task_that_stopped() {
        let gate = Arc::new(Gate::new(1));
        let passage = Passage::new(&gate);
        let turn = gate.turn();
        thread::scope(|scope| {
            let waiting = scope.spawn(|| drop(gate.turn()));
            thread::sleep(Duration::from_millis(20));
            assert!(!waiting.is_finished());
            drop(turn);
            waiting.join().unwrap();
        });
        drop(passage);
    }

    #[test]
    fn a_query_counts_once_and_from_when_it_is_queued() {
        let pools = Pools::new(Some(1)).unwrap();
        let queries = |pools: &Pools| pools.gate.queries.load(Ordering::Relaxed);
        let (sender, receiver) = mpsc::channel::<()>();
        let (entered, counted) = mpsc::channel();
        let gate = pools.gate.clone();
        pools.spawn_query(move || {
            let _ = receiver.recv();
        });
        pools.spawn_query({
            let pools = Arc::downgrade(&pools);
            move || {
                let passage = pools.upgrade().unwrap().enter();
                entered.send((passage.is_none(), gate.queries.load(Ordering::Relaxed))).unwrap();
            }
        });
        assert_eq!(queries(&pools), 2);
        let passage = pools.enter();
        assert_eq!((passage.is_some(), queries(&pools)), (true, 3));
        drop((sender, passage));
        assert_eq!(counted.recv().unwrap(), (true, 1));
    }
}
