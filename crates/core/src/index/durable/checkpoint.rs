//! Checkpoints: a snapshot of the index beside the running writes, and then the end of the log before it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use parking_lot::MutexGuard;

use super::{Durable, Place};
use crate::error::{Error, Failure, Result};
use crate::index::Inner;
use crate::index::failpoints::Point;
use crate::index::persist::{self, Image, Position};
use crate::storage::log;
use crate::work::{Phase, Work};

/// Bytes of log from which on a checkpoint is due, at least.
const LEAST: u64 = 64 << 20;

/// How long a checkpoint waits for the writes before it lets the migration go on.
const PATIENCE: Duration = Duration::from_millis(20);

/// The last checkpoint.
pub(in crate::index) struct Checkpointed {
    /// The number of the last write before it.
    pub(super) sequence: u64,
    /// See [`State::version`].
    version: (u64, usize),
    /// Bytes of log from which on the next is due: half of the snapshot, so that a row is written a few times at most.
    pub(super) due: u64,
}

impl Checkpointed {
    pub(super) fn new(sequence: u64, version: (u64, usize), bytes: u64) -> Self {
        Self { sequence, version, due: LEAST.max(bytes / 2) }
    }
}

/// The name of the snapshot of the writes up to `sequence`.
pub(super) fn file_name(sequence: u64) -> String {
    format!("snapshot-{sequence:016x}.vicinal")
}

/// The number of the last write before the snapshot of that name.
pub(super) fn sequence_of(name: &str) -> Option<u64> {
    let digits = name.strip_prefix("snapshot-")?.strip_suffix(".vicinal")?;
    (digits.len() == 16).then(|| u64::from_str_radix(digits, 16).ok()).flatten()
}

/// Whether a file is what a crash has left of a snapshot.
pub(super) fn is_temporary(name: &str) -> bool {
    name.starts_with(".snapshot-") && name.ends_with(".tmp")
}

impl Inner {
    /// Starts a checkpoint if the log is long enough for one.
    pub(in crate::index) fn checkpoint_if_due(self: &Arc<Self>) {
        let Some(Place::Directory(durable)) = self.place.get() else {
            return;
        };
        let is_due = || {
            let bytes = durable.log.bytes();
            // Whoever holds it makes a checkpoint already.
            bytes >= LEAST && durable.checkpointed.try_lock().is_some_and(|last| bytes >= last.due)
        };
        if !is_due() || durable.is_scheduled.swap(true, Ordering::AcqRel) {
            return;
        }
        let inner = Arc::clone(self);
        let body = move || {
            crate::os::lower_thread_priority(crate::os::Priority::Background);
            inner.checkpoint_unasked();
        };
        if thread::Builder::new().name("vicinal-checkpoint".into()).spawn(body).is_err() {
            durable.is_scheduled.store(false, Ordering::Release);
        }
    }

    pub(super) fn checkpoint_unasked(&self) {
        let Ok(durable) = self.durable() else {
            return;
        };
        let work = Work { cancelled: Some(Arc::clone(&durable.stopped)), on_progress: None };
        if let Err(error) = self.guarded(|| self.checkpoint(&work)) {
            // Nothing is lost. Tried again when the log has grown, and told to whoever asks for figures until one is made.
            if !matches!(error, Error::Cancelled | Error::Closed) {
                *durable.failure.lock() = Some(Failure::from(&error));
            }
            let mut last = durable.checkpointed.lock();
            last.due = durable.log.bytes() + LEAST;
        }
        durable.is_scheduled.store(false, Ordering::Release);
    }

    pub(super) fn checkpoint(&self, work: &Work) -> Result<()> {
        self.check_open()?;
        let durable = self.durable()?;
        work.check()?;
        let mut last = durable.checkpointed.lock();
        // Closed meanwhile, or by a checkpoint of `close`.
        self.check_open()?;
        durable.log.check()?;
        if self.is_unchanged(durable, &last) {
            durable.failure.lock().take();
            let slots = self.state.load().len();
            work.report(Phase::Write, slots, slots);
            return Ok(());
        }
        let segment = durable.log.prepare()?;
        let (inserting, writing) = self.standstill(work)?;
        let image = Image::of(&self.state.load_full())?;
        let bytes = durable.log.bytes();
        let sequence = durable.log.rotate(segment);
        drop(writing);
        let written = durable.log.sync().and_then(|()| {
            let _ = self.failpoints.pass(Point::Rotated);
            self.write_snapshot(durable, &image, sequence, work)
        });
        drop(inserting);
        match written {
            Ok(bytes) => {
                *last = Checkpointed::new(sequence, image.version(), bytes);
                durable.failure.lock().take();
            }
            Err(error) => {
                durable.log.count_again(bytes);
                return Err(error);
            }
        }
        durable.drop_before(sequence, durable.log.current());
        Ok(())
    }

    /// The right to change the graph and to write, without keeping writes from going on while the graph is changed.
    fn standstill(&self, work: &Work) -> Result<(MutexGuard<'_, ()>, MutexGuard<'_, ()>)> {
        loop {
            let inserting = self.migrator.inserting();
            // Whoever writes may wait for the other right in turn, so this one waits for a moment only.
            if let Some(writing) = self.writing.try_lock_for(PATIENCE) {
                self.check_open()?;
                return Ok((inserting, writing));
            }
            MutexGuard::unlock_fair(inserting);
            work.check()?;
            self.check_open()?;
        }
    }

    /// The last checkpoint of an index that closes: nobody writes or migrates any more.
    pub(in crate::index) fn checkpoint_at_close(&self, durable: &Durable, last: &Checkpointed) -> Result<()> {
        durable.log.check()?;
        let sequence = durable.log.sequence();
        if !self.is_unchanged(durable, last) {
            let image = Image::of(&self.state.load_full())?;
            self.write_snapshot(durable, &image, sequence, &Work::default())?;
        }
        durable.drop_before(sequence, u64::MAX);
        // An index may be held for long after it was closed, and a file system is in use as long as its files are.
        durable.log.end();
        Ok(())
    }

    fn is_unchanged(&self, durable: &Durable, last: &Checkpointed) -> bool {
        (last.sequence, last.version) == (durable.log.sequence(), self.state.load().version())
    }

    /// The snapshot's length.
    fn write_snapshot(&self, durable: &Durable, image: &Image, sequence: u64, work: &Work) -> Result<u64> {
        let path = durable.directory.join(file_name(sequence));
        let position = Position { sequence, identity: durable.log.identity() };
        let bytes = persist::write(&*durable.disk, &path, image, &self.options, Some(position), work)?;
        let _ = self.failpoints.pass(Point::Snapshot);
        Ok(bytes)
    }
}

impl Durable {
    /// Removes what the snapshot at `sequence`, which is durable, makes unnecessary: other snapshots, and the segments
    /// before number `segment`. What is left for some reason does no harm, and the next opening removes it.
    fn drop_before(&self, sequence: u64, segment: u64) {
        let Ok(names) = self.disk.list(&self.directory) else {
            return;
        };
        let is_unnecessary = |name: &str| match (sequence_of(name), log::number_of(name)) {
            (Some(other), _) => other != sequence,
            (_, Some(number)) => number < segment,
            _ => false,
        };
        names.iter().filter(|name| is_unnecessary(name)).for_each(|name| remove(self, Path::new(name)));
    }
}

fn remove(durable: &Durable, name: &Path) {
    let _ = durable.disk.remove(&durable.directory.join(name));
}
