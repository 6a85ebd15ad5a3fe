//! Writes that are done but not durable yet: their calls are settled together, after a sync that they share. The lane goes
//! on with the next writes meanwhile.

use std::sync::Arc;

use parking_lot::Mutex;
use vicinal_core::Index;

use crate::error::guarded;
use crate::executor;
use crate::job::Job;
use crate::output::Payload;

#[derive(Clone, Default)]
pub(crate) struct Acknowledgements(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    waiting: Vec<(Job, Payload)>,
    running: bool,
}

impl Acknowledgements {
    /// Settles `job` once the index's writes so far are durable.
    pub(crate) fn push(&self, core: &Index, job: Job, payload: Payload) {
        let mut state = self.0.lock();
        state.waiting.push((job, payload));
        if !state.running {
            state.running = true;
            drop(state);
            let (acknowledgements, core) = (self.clone(), core.clone());
            executor::spawn(Box::new(move || acknowledgements.run(&core)));
        }
    }

    /// Syncs for all that wait, and for those that come meanwhile.
    fn run(&self, core: &Index) {
        loop {
            let mut state = self.0.lock();
            let waiting = std::mem::take(&mut state.waiting);
            if waiting.is_empty() {
                state.running = false;
                return;
            }
            drop(state);
            let durable = guarded(Some(core), "sync", || core.wait_durable());
            for (job, payload) in waiting {
                job.settle(durable.clone().map(|()| payload));
            }
        }
    }
}
