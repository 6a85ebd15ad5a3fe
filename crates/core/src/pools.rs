//! The threads: some that build, at a lower priority, some that answer queries, and the gate at which the former give
//! way to the latter.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::error::{Error, Result};

/// How long a background task gives way before it looks again whether queries still run.
const PATIENCE: Duration = Duration::from_millis(1);

/// The threads of one index, or of all those that did not ask for their own.
pub(crate) struct Pools {
    threads: usize,
    build: rayon::ThreadPool,
    queries: Arc<QueryQueue>,
    gate: Gate,
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

    pub(crate) fn gate(&self) -> &Gate {
        &self.gate
    }

    /// Runs `work` on the build threads, where it may use rayon's parallel iterators.
    pub(crate) fn build<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        self.build.install(work)
    }

    /// Queues `task` for the query threads: first in, first out.
    pub(crate) fn spawn_query(&self, task: impl FnOnce() + Send + 'static) {
        self.queries.push(Box::new(task));
    }

    fn start(threads: usize) -> Result<Arc<Self>> {
        let failed =
            |error: &dyn std::fmt::Display| Error::Internal(format!("starting {threads} threads failed: {error}"));
        let build = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|index| format!("vicinal-build-{index}"))
            .start_handler(|_| crate::os::lower_thread_priority())
            .build()
            .map_err(|error| failed(&error))?;
        let queries = Arc::new(QueryQueue::default());
        let pools = Self { threads, build, queries: queries.clone(), gate: Gate::new(cores()) };
        for index in 0..threads {
            let queries = queries.clone();
            let builder = thread::Builder::new().name(format!("vicinal-query-{index}"));
            builder.spawn(move || queries.serve()).map_err(|error| failed(&error))?;
        }
        Ok(Arc::new(pools))
    }
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
/// Queries announce themselves with [`Gate::enter`]; background tasks call [`Gate::give_way`] between work units of
/// some tens of microseconds. While queries run, only as many build threads go on as leave a core to each of them, but
/// always one, so that the work ends under any load (at a lower priority: see [`crate::os`]).
pub(crate) struct Gate {
    cores: usize,
    queries: AtomicUsize,
    lock: Mutex<()>,
    empty: Condvar,
}

/// A query that runs, until dropped.
pub(crate) struct Passage<'a>(&'a Gate);

impl Gate {
    fn new(cores: usize) -> Self {
        Self { cores, queries: AtomicUsize::new(0), lock: Mutex::new(()), empty: Condvar::new() }
    }

    pub(crate) fn enter(&self) -> Passage<'_> {
        self.queries.fetch_add(1, Ordering::Relaxed);
        Passage(self)
    }

    #[inline]
    pub(crate) fn give_way(&self) {
        if self.queries.load(Ordering::Relaxed) > 0 {
            self.wait();
        }
    }

    #[cold]
    fn wait(&self) {
        let thread = rayon::current_thread_index().unwrap_or(0);
        loop {
            let queries = self.queries.load(Ordering::Relaxed);
            if queries == 0 || thread < self.cores.saturating_sub(queries).max(1) {
                return;
            }
            let mut lock = self.lock.lock();
            self.empty.wait_for(&mut lock, PATIENCE);
        }
    }
}

impl Drop for Passage<'_> {
    fn drop(&mut self) {
        if self.0.queries.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.0.empty.notify_all();
        }
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
    fn the_first_build_thread_never_waits_and_the_others_only_while_queries_run() {
        let gate = Gate::new(1);
        let passage = gate.enter();
        gate.give_way();
        drop(passage);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(4).build().unwrap();
        let passages: Vec<_> = (0..3).map(|_| gate.enter()).collect();
        thread::scope(|scope| {
            let waiting = scope.spawn(|| pool.broadcast(|_| gate.give_way()));
            thread::sleep(Duration::from_millis(20));
            assert!(!waiting.is_finished());
            drop(passages);
        });
    }
}
