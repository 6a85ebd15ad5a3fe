//! The query threads, and the tasks that wait for them.

use std::cell::Cell;
use std::collections::VecDeque;

use parking_lot::{Condvar, Mutex};

pub(super) type Task = Box<dyn FnOnce() + Send>;

thread_local! {
    pub(super) static IS_QUERY_THREAD: Cell<bool> = const { Cell::new(false) };
}

/// Tasks for the query threads.
#[derive(Default)]
pub(super) struct QueryQueue {
    state: Mutex<QueueState>,
    changed: Condvar,
}

#[derive(Default)]
struct QueueState {
    tasks: VecDeque<Task>,
    closed: bool,
}

impl QueryQueue {
    pub(super) fn push(&self, task: Task) {
        self.state.lock().tasks.push_back(task);
        self.changed.notify_one();
    }

    pub(super) fn close(&self) {
        self.state.lock().closed = true;
        self.changed.notify_all();
    }

    /// A query thread: runs tasks until the queue is closed and empty. A task that panics is its caller's to catch; if
    /// it did not, the thread goes on.
    pub(super) fn serve(&self) {
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
