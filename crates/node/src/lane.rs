//! The writes of one index: one at a time, in the order of the calls, whether or not they are awaited.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

use crate::executor::{self, Task};

/// A queue that one service thread at a time works on.
#[derive(Clone, Default)]
pub(crate) struct Lane(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    empty: Condvar,
}

#[derive(Default)]
struct State {
    tasks: VecDeque<Task>,
    running: bool,
    waited_for: bool,
}

impl Lane {
    /// Runs `task` after those pushed before it. A task must not panic.
    pub(crate) fn push(&self, task: Task) {
        let mut state = self.0.state.lock();
        state.tasks.push_back(task);
        if !state.running {
            state.running = true;
            drop(state);
            let lane = self.clone();
            executor::spawn(Box::new(move || lane.run()));
        }
    }

    /// Returns when all that was pushed has run. On the JavaScript thread.
    pub(crate) fn wait(&self) {
        let mut state = self.0.state.lock();
        state.waited_for = true;
        while state.running {
            self.0.empty.wait(&mut state);
        }
        state.waited_for = false;
    }

    /// Whether the JavaScript thread is in [`Lane::wait`], and so calls no listener.
    pub(crate) fn is_waited_for(&self) -> bool {
        self.0.state.lock().waited_for
    }

    /// Runs what there is, and what comes meanwhile.
    fn run(&self) {
        let mut state = self.0.state.lock();
        while let Some(task) = state.tasks.pop_front() {
            drop(state);
            task();
            state = self.0.state.lock();
        }
        state.running = false;
        self.0.empty.notify_all();
    }
}
