//! Counts an index's accepted calls, so that `close` can come after the last of them.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::executor::Task;

#[derive(Clone, Default)]
pub(crate) struct Gate(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    inside: usize,
    on_empty: Option<Task>,
}

/// An accepted call. Dropped when the call is over.
pub(crate) struct Pass(Gate);

impl Gate {
    pub(crate) fn enter(&self) -> Pass {
        self.0.lock().inside += 1;
        Pass(self.clone())
    }

    /// Runs `task` as soon as nobody is inside: now, or on the thread of the last call to end.
    pub(crate) fn when_empty(&self, task: Task) {
        let mut state = self.0.lock();
        if state.inside > 0 {
            state.on_empty = Some(task);
            return;
        }
        drop(state);
        task();
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut state = self.0.0.lock();
        state.inside -= 1;
        let task = if state.inside == 0 { state.on_empty.take() } else { None };
        drop(state);
        if let Some(task) = task {
            task();
        }
    }
}
