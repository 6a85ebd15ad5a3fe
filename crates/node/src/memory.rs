//! Tells V8 how much memory an index keeps, so that the garbage collector knows what an index is worth.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use napi::Env;
use vicinal_core::Index;

/// Measured where a write ends, told on the JavaScript thread.
#[derive(Clone, Default)]
pub(crate) struct Memory(Arc<Sizes>);

#[derive(Default)]
struct Sizes {
    measured: AtomicI64,
    told: AtomicI64,
}

impl Memory {
    /// Takes note of what `index` keeps now.
    pub(crate) fn measure(&self, index: &Index) {
        // The pages of a file are the system's, to be dropped as it likes.
        let bytes = if index.is_view() { 0 } else { index.bytes().total };
        self.0.measured.store(i64::try_from(bytes).unwrap_or(i64::MAX), Ordering::Relaxed);
    }

    /// Tells V8 by how much the latest measure differs from the one before.
    pub(crate) fn tell(&self, env: &Env) -> napi::Result<()> {
        self.tell_of(env, self.0.measured.load(Ordering::Relaxed))
    }

    /// Tells V8 that the index is gone.
    pub(crate) fn forget(&self, env: &Env) -> napi::Result<()> {
        self.tell_of(env, 0)
    }

    fn tell_of(&self, env: &Env, bytes: i64) -> napi::Result<()> {
        let change = bytes - self.0.told.swap(bytes, Ordering::Relaxed);
        if change != 0 {
            env.adjust_external_memory(change)?;
        }
        Ok(())
    }
}
