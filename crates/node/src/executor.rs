//! The process's threads for calls that block: writes, batches, files.
//!
//! There are as many as there are such calls, so that none waits for another; those that find nothing to do for a
//! while end. libuv's pool is not used because its four threads also serve `fs` and `dns`; the core's query threads are
//! not used because a call that waits for them would take the thread that it waits for.

use std::collections::VecDeque;
use std::thread;
use std::time::Duration;

use napi::bindgen_prelude::retain_current_module_for_unload_safety;
use parking_lot::{Condvar, Mutex};

pub(crate) type Task = Box<dyn FnOnce() + Send>;

/// Threads at most; calls beyond it wait. Far more than do any good, far fewer than a system refuses.
const THREADS: usize = 512;

/// How long a thread waits for work before it ends.
const PATIENCE: Duration = Duration::from_secs(10);

static STATE: Mutex<State> = Mutex::new(State { tasks: VecDeque::new(), threads: 0, idle: 0 });
static WORK: Condvar = Condvar::new();

struct State {
    tasks: VecDeque<Task>,
    threads: usize,
    idle: usize,
}

/// Runs `task` on one of the threads. A task must not panic.
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
            continue;
        }
        state.idle += 1;
        let is_over = WORK.wait_for(&mut state, PATIENCE).timed_out() && state.tasks.is_empty();
        state.idle -= 1;
        if is_over {
            state.threads -= 1;
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn a_task_does_not_wait_for_those_that_block() {
        let (block, blocked) = mpsc::channel::<()>();
        let blocked = std::sync::Arc::new(Mutex::new(blocked));
        for _ in 0..100 {
            let blocked = blocked.clone();
            spawn(Box::new(move || blocked.lock().recv().unwrap_or_default()));
        }
        let (sender, receiver) = mpsc::channel();
        spawn(Box::new(move || sender.send(5).unwrap_or_default()));
        assert_eq!(receiver.recv_timeout(Duration::from_secs(10)), Ok(5));
        drop(block);
    }
}
