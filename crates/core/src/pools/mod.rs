//! The threads: some that build, at a lower priority, some that answer queries, and the gate at which the former give
//! way to the latter.

mod gate;
mod queue;
#[cfg(test)]
mod tests;

#[cfg(test)]
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::thread;

use parking_lot::Mutex;

pub(crate) use gate::{Passage, Turn, Turns, give_way, giving_way};

use crate::error::{Error, Result};
use crate::os::Priority;
use gate::{GATE, Gate};
use queue::{IS_QUERY_THREAD, QueryQueue};

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
