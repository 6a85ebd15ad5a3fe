//! Opening a directory: the newest snapshot, then the writes after it.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use parking_lot::Mutex;

use super::checkpoint::{Checkpointed, file_name, is_temporary, sequence_of};
use super::inspect::is_part;
use super::record::Replayed;
use super::{Durability, Durable, Place};
use crate::error::{Error, Result};
use crate::ids::Ids;
use crate::index::persist::{self, Image, Position, Snapshot};
use crate::index::write::{Existing, MAX_SLOTS};
use crate::index::{Index, Inner, State};
use crate::options::{GivenOptions, Options};
use crate::pools::Pools;
use crate::storage::log::{self, Frame, Log, Recovered};
use crate::storage::{Disk, FileName, FileReader, Lock};
use crate::vectors::RowBuffer;
use crate::work::Work;

/// The file that whoever writes has locked.
const LOCK: &str = "lock";

/// How often a reader begins anew when a writer replaces the files under it. Beside one that does nothing but checkpoint ten
/// were not always enough.
const ATTEMPTS: usize = 100;

pub(in crate::index) fn open(
    disk: Arc<dyn Disk>,
    directory: &Path,
    given: &GivenOptions,
    durability: Durability,
) -> Result<Index> {
    let name = FileName(directory);
    // Before anything is made. Who writes there may replace files meanwhile, so nothing else is concluded from the names.
    let is_missing = match disk.list(directory) {
        Ok(names) if names.iter().any(|name| is_part(name)) => false,
        Ok(_) => given.complete().map(|_| false)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => given.complete().map(|_| true)?,
        Err(error) => return Err(name.io("opening")(error)),
    };
    if is_missing {
        disk.create_directory(directory).map_err(name.io("making the directory"))?;
    }
    let lock = match disk.lock(&directory.join(LOCK)).map_err(name.io("locking"))? {
        Lock::Held(lock) => lock,
        Lock::Taken(pid) => return Err(Error::Locked { path: name.path(), pid }),
    };
    if newest(&list(&*disk, name)?, name)?.is_none() {
        create(&*disk, directory, given)?;
    }
    let names = list(&*disk, name)?;
    let Opened { index, position, recovered, checkpointed } = read(&*disk, directory, &names, given)?;
    make_durable(&*disk, directory, &names, position, &recovered)?;
    let Recovered { sequence, bytes, next, .. } = recovered;
    let durable = Durable {
        log: Log::start(Arc::clone(&disk), directory, position.identity, next, sequence, bytes)?,
        disk,
        directory: directory.to_path_buf(),
        durability,
        checkpointed: Mutex::new(checkpointed),
        is_scheduled: AtomicBool::new(false),
        failure: Mutex::new(None),
        stopped: Arc::default(),
        lock: Mutex::new(Some(lock)),
    };
    start(&index, Place::Directory(Box::new(durable)));
    Ok(index)
}

/// Opens a directory without changing anything in it, whether or not somebody writes there.
pub(in crate::index) fn open_to_read(disk: &dyn Disk, directory: &Path, given: &GivenOptions) -> Result<Index> {
    let name = FileName(directory);
    let mut attempts = 0;
    loop {
        let names = list(disk, name)?;
        let error = match read(disk, directory, &names, given) {
            Ok(Opened { index, .. }) => {
                start(&index, Place::ReadOnly);
                return Ok(index);
            }
            Err(error) => error,
        };
        // A checkpoint may have replaced the files between two looks at them.
        attempts += 1;
        if attempts == ATTEMPTS || list(disk, name)? == names {
            return Err(error);
        }
    }
}

/// An index that was read, and of which nothing runs yet.
struct Opened {
    index: Index,
    position: Position,
    recovered: Recovered,
    checkpointed: Checkpointed,
}

fn read(disk: &dyn Disk, directory: &Path, names: &[String], given: &GivenOptions) -> Result<Opened> {
    let Some(snapshot) = newest(names, FileName(directory))? else {
        return Err(missing(directory));
    };
    let path = directory.join(file_name(snapshot));
    let name = FileName(&path);
    let work = Work::default();
    let file = FileReader::open(disk, name, &work)?;
    let stored = &file.header.options;
    given.check(stored)?;
    let capacity = given.capacity.unwrap_or(stored.capacity).min(MAX_SLOTS);
    let options = Options { threads: given.threads, capacity, ..stored.clone() };
    options.validate()?;
    let pools = Pools::new(options.threads)?;
    let Snapshot { state, position, bytes, .. } = persist::read(&file, &pools)?;
    let Some(position) = position.filter(|position| position.sequence == snapshot) else {
        return Err(name.corrupt(format!("a snapshot at {position:?}"), format!("one at {snapshot}")));
    };
    let checkpointed = Checkpointed::new(snapshot, state.version(), bytes);
    let index = Index::assemble(options, pools, state);
    let apply = &mut |frame: Frame<'_>| index.inner().replay(&frame);
    let recovered = log::replay(disk, directory, names, Some(position.identity), snapshot, apply)?;
    Ok(Opened { index, position, recovered, checkpointed })
}

/// The error of a directory without an index.
pub(super) fn missing(directory: &Path) -> Error {
    FileName(directory).io("opening")(io::Error::new(io::ErrorKind::NotFound, "there is no index in the directory"))
}

impl Inner {
    /// Does a write of the log again.
    pub(super) fn replay(&self, frame: &Frame<'_>) -> Result<()> {
        self.replay_as(frame, Existing::Refuse)
    }

    /// As [`Inner::replay`], where rows that were salvaged may be others than those at the time: what is added replaces them.
    pub(super) fn replay_over(&self, frame: &Frame<'_>) -> Result<()> {
        self.replay_as(frame, Existing::Replace)
    }

    fn replay_as(&self, frame: &Frame<'_>, added: Existing) -> Result<()> {
        let Options { dimensions, dtype, id_type, .. } = self.options;
        let mut buffer = RowBuffer::default();
        let mut insert = |ids: &Ids, rows, existing| {
            let values = buffer.values(rows, dtype)?;
            self.insert(ids, values, existing, &Work::default())
        };
        let done = match Replayed::decode(frame, id_type, dimensions * dtype.bytes())? {
            Replayed::Add { ids, rows } => insert(&ids, rows, added),
            Replayed::Upsert { ids, rows } => insert(&ids, rows, Existing::Replace),
            Replayed::Remove { ids } => self.remove(&ids).map(|_| ()),
            Replayed::Clear => self.clear(),
        };
        done.map_err(|error| match error {
            // What was checked before it was logged.
            Error::InvalidArgument { .. } | Error::InvalidVector { .. } | Error::DuplicateId { .. } => {
                frame.name.corrupt(format!("a write that is refused: {error}"), "one that was done before")
            }
            other => other,
        })
    }
}

/// Lets an index that was read go on from there.
fn start(index: &Index, place: Place) {
    // It was made a moment ago, so nobody has set it.
    let _ = index.inner().place.set(place);
    index.inner().after_rows();
}

/// Makes a new index in a directory.
fn create(disk: &dyn Disk, directory: &Path, given: &GivenOptions) -> Result<()> {
    let options = given.complete()?;
    let options = Options { capacity: options.capacity.min(MAX_SLOTS), ..options };
    let empty = State::new(&options);
    create_with(disk, directory, &Image::of(&Arc::new(empty))?, &options, &Work::default())
}

/// Makes a directory, which must not exist, that holds what `index` does.
pub(in crate::index) fn create_of(disk: &dyn Disk, directory: &Path, index: &Index, work: &Work) -> Result<()> {
    disk.create_directory(directory).map_err(FileName(directory).io("making the directory"))?;
    let inner = index.inner();
    inner.with_image(work, |image| create_with(disk, directory, image, &inner.options, work))
}

fn create_with(disk: &dyn Disk, directory: &Path, image: &Image, options: &Options, work: &Work) -> Result<()> {
    let position = Position { sequence: 0, identity: log::new_identity() };
    persist::write(disk, &directory.join(file_name(0)), image, options, Some(position), work)?;
    Ok(())
}

/// The sequence number of the newest snapshot; `Corrupt` for a log without any.
pub(super) fn newest(names: &[String], name: FileName<'_>) -> Result<Option<u64>> {
    let newest = names.iter().filter_map(|name| sequence_of(name)).max();
    if newest.is_none() && names.iter().any(|name| log::number_of(name).is_some()) {
        return Err(name.corrupt("a log without a snapshot", "both"));
    }
    Ok(newest)
}

/// Makes durable what was read: a process that crashed may have left it unsynced, and what is written from now on builds
/// on it. Removes what is not needed any more.
fn make_durable(
    disk: &dyn Disk,
    directory: &Path,
    names: &[String],
    position: Position,
    recovered: &Recovered,
) -> Result<()> {
    let name = FileName(directory);
    for path in &recovered.used {
        disk.sync(path).map_err(FileName(path).io("syncing"))?;
    }
    // Before anything goes that the newest snapshot replaces.
    disk.sync_directory(directory).map_err(name.io("syncing the directory"))?;
    let is_old = |name: &&String| sequence_of(name).is_some_and(|old| old < position.sequence) || is_temporary(name);
    let old = names.iter().filter(is_old).map(|name| directory.join(name));
    for path in recovered.unused.iter().cloned().chain(old) {
        disk.remove(&path).map_err(FileName(&path).io("removing"))?;
    }
    Ok(())
}

pub(super) fn list(disk: &dyn Disk, name: FileName<'_>) -> Result<Vec<String>> {
    let mut names = disk.list(name.0).map_err(name.io("listing"))?;
    names.sort_unstable();
    Ok(names)
}
