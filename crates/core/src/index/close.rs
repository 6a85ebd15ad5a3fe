//! The end of an index.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Inner;
use super::durable::Place;
use super::state::State;
use crate::error::Result;

impl Inner {
    /// Tells the background work to stop, without waiting.
    pub(super) fn stop(&self) {
        self.migrator.close();
        self.state.load().abandon();
    }

    pub(super) fn close(&self, checkpoint: bool) -> Result<()> {
        let durable = match self.place.get() {
            Some(Place::Directory(durable)) => Some(durable),
            _ => None,
        };
        self.stop_checkpoint();
        // Waits for the checkpoint that runs, if any, and then for the write.
        let last = durable.map(|durable| durable.last_checkpoint());
        let _writing = self.writing.lock();
        if self.closed.load(Ordering::Acquire) {
            return Ok(());
        }
        self.final_len.store(self.state.load().live(), Ordering::Release);
        self.closed.store(true, Ordering::Release);
        self.stop();
        self.migrator.wait_until_stopped();
        // And for a step or a compaction by hand.
        drop(self.migrator.moving());
        self.settle_migrations();
        let checkpointed = match (durable, &last) {
            (Some(durable), Some(last)) if checkpoint => self.guarded(|| self.checkpoint_at_close(durable, last)),
            _ => Ok(()),
        };
        let empty = Arc::new(State::new(&self.options));
        self.migrator.reset(|| self.state.store(empty));
        if let Some(durable) = durable {
            durable.unlock();
        }
        checkpointed
    }
}
