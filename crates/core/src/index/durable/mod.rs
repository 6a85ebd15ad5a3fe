//! An index in a directory: a snapshot, the log of the writes after it, and a lock.
//!
//! A write goes into the log before anybody sees it, and is acknowledged when the log would survive: a crash of the
//! process at once, a power loss once it is synced. A checkpoint writes a new snapshot in the background and then drops
//! what it makes unnecessary. docs/file-format.md draws the files.

mod checkpoint;
mod inspect;
mod open;
mod record;
#[cfg(test)]
mod tests;

use std::any::Any;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::{Mutex, MutexGuard};

pub(super) use inspect::{examine, is_part, salvage, snapshot_of};
pub(super) use open::{create_of, open, open_to_read};
pub(super) use record::Record;

use super::{Index, Inner};
use crate::error::{Error, Failure, Result};
use crate::ids::Ids;
use crate::storage::Disk;
use crate::storage::log::Log;
use crate::vectors::{RowsView, Values};
use crate::work::Work;
use checkpoint::Checkpointed;

/// What an acknowledged write survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// A crash of the process and of the machine: the log is synced before a write is acknowledged.
    #[default]
    Fsync,
    /// A crash of the process. What the system has not written yet when the power goes is lost, the newest writes first.
    Buffered,
}

/// Where an index that was opened lives.
pub(super) enum Place {
    ReadOnly,
    Directory(Box<Durable>),
}

pub(super) struct Durable {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    durability: Durability,
    log: Log,
    /// The last checkpoint; held while one runs.
    checkpointed: Mutex<Checkpointed>,
    /// Whether a checkpoint that nobody asked for is under way.
    is_scheduled: AtomicBool,
    /// Why the last of these has failed, unless there was a checkpoint since.
    failure: Mutex<Option<Failure>>,
    /// Set when the index goes: that checkpoint should stop.
    stopped: Arc<AtomicBool>,
    /// Kept until the index is closed.
    lock: Mutex<Option<Box<dyn Any + Send + Sync>>>,
}

impl Durable {
    /// The last checkpoint; waits for the one that runs.
    pub(super) fn last_checkpoint(&self) -> MutexGuard<'_, Checkpointed> {
        self.checkpointed.lock()
    }

    /// Lets others open the directory.
    pub(super) fn unlock(&self) {
        self.lock.lock().take();
    }
}

/// Writes that return when they are in the log. [`Index::wait_durable`] tells when they are durable.
pub struct Unsynced<'a>(&'a Index);

impl Unsynced<'_> {
    pub fn add<'v>(&self, ids: &Ids, rows: impl Into<Values<'v>>, work: &Work) -> Result<()> {
        self.0.inner().insert(ids, rows.into(), super::write::Existing::Refuse, work)?;
        self.0.inner().after_rows();
        Ok(())
    }

    pub fn upsert<'v>(&self, ids: &Ids, rows: impl Into<Values<'v>>, work: &Work) -> Result<()> {
        self.0.inner().wait_for_compaction(work)?;
        self.0.inner().insert(ids, rows.into(), super::write::Existing::Replace, work)?;
        self.0.inner().after_rows();
        Ok(())
    }

    pub fn remove(&self, ids: &Ids) -> Result<usize> {
        self.0.inner().wait_for_compaction(&Work::default())?;
        let removed = self.0.inner().remove(ids)?;
        self.0.inner().migrate_in_background();
        Ok(removed)
    }

    pub fn clear(&self) -> Result<()> {
        self.0.inner().clear()
    }
}

impl Index {
    /// The writes, without waiting until they are durable.
    pub fn unsynced(&self) -> Unsynced<'_> {
        Unsynced(self)
    }

    /// Whether writes are acknowledged only when they are synced: see [`Index::wait_durable`].
    pub fn syncs(&self) -> bool {
        matches!(self.inner().place.get(), Some(Place::Directory(durable)) if durable.durability == Durability::Fsync)
    }

    /// Returns when the writes that returned before are as durable as the index was opened for. `Io` if they will never
    /// be; from then on the index refuses writes.
    pub fn wait_durable(&self) -> Result<()> {
        match self.inner().place.get() {
            Some(Place::Directory(durable)) if durable.durability == Durability::Fsync => durable.log.sync(),
            _ => Ok(()),
        }
    }

    /// Makes the writes before durable, whatever the index was opened for. `InvalidArgument` for an index that was not
    /// opened in a directory.
    pub fn flush(&self) -> Result<()> {
        self.inner().check_open()?;
        self.inner().durable()?.log.sync()
    }

    /// Writes a snapshot and drops the log before it. Searches and writes go on, the migration waits. A call that is
    /// cancelled has lost nothing. `InvalidArgument` for an index that was not opened in a directory.
    pub fn checkpoint(&self, work: &Work) -> Result<()> {
        self.inner().checkpoint(work)
    }
}

impl Inner {
    /// Refuses writes where there must not be any.
    pub(super) fn check_writable(&self) -> Result<()> {
        match self.place.get() {
            None => Ok(()),
            Some(Place::ReadOnly) => Err(Error::ReadOnly),
            Some(Place::Directory(durable)) => durable.log.check(),
        }
    }

    /// Puts a write, whose rows are in `rows`, into the log, if there is one. It must not fail afterwards.
    pub(super) fn log(&self, rows: RowsView<'_>, record: &Record<'_>) -> Result<()> {
        match self.place.get() {
            Some(Place::Directory(durable)) => record.append(&durable.log, rows),
            _ => Ok(()),
        }
    }

    /// What follows a write of rows: a migration, and a checkpoint, where they are due.
    pub(super) fn after_rows(self: &Arc<Self>) {
        self.migrate_in_background();
        self.checkpoint_if_due();
    }

    /// Why the last checkpoint that nobody asked for has failed, unless there was one since.
    pub(super) fn checkpoint_failure(&self) -> Option<Failure> {
        match self.place.get() {
            Some(Place::Directory(durable)) => durable.failure.lock().clone(),
            _ => None,
        }
    }

    fn durable(&self) -> Result<&Durable> {
        match self.place.get() {
            None => Err(Error::argument("index", "one without a directory", "one that VectorIndex.open has made")),
            Some(Place::ReadOnly) => Err(Error::ReadOnly),
            Some(Place::Directory(durable)) => Ok(durable),
        }
    }

    /// Stops the checkpoint that nobody asked for, if one runs.
    pub(super) fn stop_checkpoint(&self) {
        if let Some(Place::Directory(durable)) = self.place.get() {
            durable.stopped.store(true, Ordering::Relaxed);
        }
    }
}
