//! How a caller watches and stops work that takes long.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::{Error, Result};

/// The part of a long call that is running.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    Copy,
    Insert,
    Partition,
    Leaves,
    Merge,
    Swap,
    Write,
    Read,
    Verify,
}

impl Phase {
    /// The name that JavaScript sees.
    pub fn name(self) -> &'static str {
        match self {
            Self::Copy => "copy",
            Self::Insert => "insert",
            Self::Partition => "partition",
            Self::Leaves => "leaves",
            Self::Merge => "merge",
            Self::Swap => "swap",
            Self::Write => "write",
            Self::Read => "read",
            Self::Verify => "verify",
        }
    }
}

/// How far a long call has come, in rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    pub done: usize,
    pub total: usize,
    pub phase: Phase,
    /// Whether only the commit is left, which waits for the receiver's return and does not come if it has cancelled.
    pub is_last: bool,
}

/// Receives progress, on whatever thread does the work. Must be quick, but for the last; throttling is the receiver's.
pub type ProgressFn = dyn Fn(Progress) + Send + Sync;

/// What a caller hands to a long call: a flag that stops it, an ear for its progress. Both are optional.
#[derive(Clone, Default)]
pub struct Work {
    pub cancelled: Option<Arc<AtomicBool>>,
    pub on_progress: Option<Arc<ProgressFn>>,
}

impl Work {
    /// Whether the caller has asked to stop.
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.as_ref().is_some_and(|flag| flag.load(Ordering::Relaxed))
    }

    /// `Err(Cancelled)` once the caller has asked to stop.
    pub fn check(&self) -> Result<()> {
        if self.is_cancelled() { Err(Error::Cancelled) } else { Ok(()) }
    }

    /// Tells the caller how far the work is.
    pub fn report(&self, phase: Phase, done: usize, total: usize) {
        if let Some(on_progress) = &self.on_progress {
            on_progress(Progress { done, total, phase, is_last: false });
        }
    }

    /// Tells the caller that nothing but the commit is left, and gives them the time to cancel it.
    pub fn conclude(&self, phase: Phase, total: usize) -> Result<()> {
        if let Some(on_progress) = &self.on_progress {
            on_progress(Progress { done: total, total, phase, is_last: true });
        }
        self.check()
    }
}
