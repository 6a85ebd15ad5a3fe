//! The process's threads for calls that block: writes, batches, files.
//!
//! They start when they are needed and then stay, parked, for the process's life. libuv's pool is not used
//! because its four threads also serve `fs` and `dns`; the core's query threads are not used because a call
//! that waits for them would take the thread that it waits for.

use std::collections::VecDeque;
use std::thread;

use napi::bindgen_prelude::retain_current_module_for_unload_safety;
use parking_lot::{Condvar, Mutex};

pub(crate) type Task = Box<dyn FnOnce() + Send>;

/// Threads at most. They mostly wait for the core's own pool, so more of them would not do more.
const THREADS: usize = 8;

static STATE: Mutex<State> = Mutex::new(State { tasks: VecDeque::new(), threads: 0, idle: 0 });
static WORK: Condvar = Condvar::new();

struct State {
    tasks: VecDeque<Task>,
    threads: usize,
    idle: usize,
}

/// Runs `task` on one of the threads, first in, first out. A task must not panic.
pub(crate) fn spawn(task: Task) {
    let mut state = STATE.lock();
    state.tasks.push_back(task);
    if state.idle < state.tasks.len() && state.threads < THREADS && start_thread() {
        state.threads += 1;
    }
    if state.threads > 0 {
        WORK.notify_one();
        return;
    }
    // The system refuses us even one thread: do the work here rather than never.
    let task = state.tasks.pop_back();
    drop(state);
    if let Some(task) = task {
        task();
    }
}

fn start_thread() -> bool {
    // The thread outlives the environment that happens to start it, so the addon must stay mapped.
    retain_current_module_for_unload_safety();
    thread::Builder::new().name("vicinal-service".into()).spawn(serve).is_ok()
}

fn serve() {
    let mut state = STATE.lock();
    loop {
        if let Some(task) = state.tasks.pop_front() {
            drop(state);
            task();
            state = STATE.lock();
        } else {
            state.idle += 1;
            WORK.wait(&mut state);
            state.idle -= 1;
        }
    }
}
