//! How a job is stopped: before it starts it never will, once it runs it is asked to.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

const QUEUED: u8 = 0;
const RUNNING: u8 = 1;
const STOPPED: u8 = 2;

#[derive(Default)]
pub(crate) struct Control {
    state: AtomicU8,
    cancelled: Arc<AtomicBool>,
}

impl Control {
    /// Whether the job may run: false if it was cancelled while it waited for its turn.
    pub(crate) fn start(&self) -> bool {
        self.state.compare_exchange(QUEUED, RUNNING, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// True if the job had not started, and so never will; otherwise it ends as soon as it looks at the flag.
    pub(crate) fn cancel(&self) -> bool {
        self.cancelled.store(true, Ordering::Relaxed);
        self.state.compare_exchange(QUEUED, STOPPED, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// The flag that the core looks at.
    pub(crate) fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.cancelled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queued_job_that_is_cancelled_never_starts() {
        let control = Control::default();
        assert!(control.cancel());
        assert!(!control.start());
    }

    #[test]
    fn a_running_job_is_asked_to_stop() {
        let control = Control::default();
        assert!(control.start());
        assert!(!control.cancel());
        assert!(control.flag().load(Ordering::Relaxed));
    }
}
