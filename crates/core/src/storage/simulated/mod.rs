//! A disk in memory for tests. Its operations can fail, and it forgets what was not synced when the power goes.

mod content;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

use super::{AppendFile, Disk, DiskFile, Lock};
use content::Content;

/// How an operation fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Fault {
    /// The disk is full: of a write a half is done.
    #[default]
    Full,
    /// Nothing is done.
    Broken,
}

#[derive(Default, Clone)]
pub(crate) struct Simulated(Arc<Mutex<State>>);

#[derive(Default, Clone)]
struct State {
    contents: Vec<Content>,
    names: BTreeMap<PathBuf, usize>,
    /// Names that a power loss leaves, and what was done to them since, of which it leaves any part.
    synced: BTreeMap<PathBuf, usize>,
    unsynced: Vec<Change>,
    locks: BTreeSet<PathBuf>,
    /// Operations before the one that fails.
    before_fault: Option<usize>,
    for_good: bool,
    fault: Fault,
    removals_fail: bool,
    has_failed: bool,
    /// Syncs of files.
    syncs: usize,
    /// What a sync does not do, for null controls.
    ignored_syncs: bool,
}

#[derive(Clone)]
enum Change {
    Make(PathBuf, usize),
    Rename(PathBuf, PathBuf, usize),
    Remove(PathBuf),
}

struct Handle {
    disk: Simulated,
    content: usize,
    position: usize,
}

struct Held(Simulated, PathBuf);

impl Simulated {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn with(path: &str, bytes: &[u8]) -> Self {
        let disk = Self::new();
        disk.put(Path::new(path), bytes);
        disk
    }

    /// Puts a file there, durably.
    pub(crate) fn put(&self, path: &Path, bytes: &[u8]) {
        let mut state = self.0.lock();
        let content = state.add(Content::synced(bytes.to_vec()));
        state.names.insert(path.into(), content);
        state.synced.insert(path.into(), content);
    }

    /// Fails the operation after the next `before`; all later ones too, if `for_good`.
    pub(crate) fn fail(&self, before: usize, for_good: bool) {
        self.fail_as(before, for_good, Fault::Full);
    }

    pub(crate) fn fail_as(&self, before: usize, for_good: bool, fault: Fault) {
        let mut state = self.0.lock();
        (state.before_fault, state.for_good, state.fault, state.has_failed) = (Some(before), for_good, fault, false);
    }

    pub(crate) fn heal(&self) {
        self.0.lock().before_fault = None;
    }

    /// From now on removals fail as other operations do: tests that look for files that were left want them not to.
    pub(crate) fn fail_removals(&self) {
        self.0.lock().removals_fail = true;
    }

    /// From now on syncs do nothing and say that they did.
    pub(crate) fn ignore_syncs(&self) {
        self.0.lock().ignored_syncs = true;
    }

    /// Whether the fault was met.
    pub(crate) fn has_failed(&self) -> bool {
        self.0.lock().has_failed
    }

    pub(crate) fn syncs(&self) -> usize {
        self.0.lock().syncs
    }

    pub(crate) fn read(&self, path: &str) -> Option<Vec<u8>> {
        let state = self.0.lock();
        state.names.get(Path::new(path)).map(|&content| state.contents[content].bytes().to_vec())
    }

    pub(crate) fn names(&self) -> Vec<PathBuf> {
        self.0.lock().names.keys().cloned().collect()
    }

    /// What a crash of the process leaves.
    pub(crate) fn after_crash(&self) -> Self {
        let mut state = self.0.lock().clone();
        state.locks.clear();
        (state.before_fault, state.ignored_syncs) = (None, false);
        Self(Arc::new(Mutex::new(state)))
    }

    /// What a power loss leaves, if `keeps` says of each change since the last sync whether it is left.
    pub(crate) fn after_power_loss(&self, mut keeps: impl FnMut() -> bool) -> Self {
        let before = self.0.lock();
        let contents = before.contents.iter().map(|content| content.after_power_loss(&mut keeps)).collect();
        let mut names = before.synced.clone();
        for change in before.unsynced.iter().filter(|_| keeps()) {
            match change {
                Change::Make(path, content) => {
                    names.insert(path.clone(), *content);
                }
                Change::Rename(from, to, content) => {
                    names.remove(from);
                    names.insert(to.clone(), *content);
                }
                Change::Remove(path) => {
                    names.remove(path);
                }
            }
        }
        let state = State { contents, synced: names.clone(), names, ..State::default() };
        Self(Arc::new(Mutex::new(state)))
    }

    fn handle(&self, content: usize) -> Handle {
        Handle { disk: self.clone(), content, position: 0 }
    }

    fn operation(&self) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.0.lock();
        state.operation()?;
        Ok(state)
    }
}

impl State {
    fn operation(&mut self) -> io::Result<()> {
        match self.before_fault {
            None => Ok(()),
            Some(0) => {
                self.has_failed = true;
                if !self.for_good {
                    self.before_fault = None;
                }
                Err(if self.fault == Fault::Full { io::ErrorKind::StorageFull.into() } else { io::Error::other("EIO") })
            }
            Some(before) => {
                self.before_fault = Some(before - 1);
                Ok(())
            }
        }
    }

    fn add(&mut self, content: Content) -> usize {
        self.contents.push(content);
        self.contents.len() - 1
    }

    fn make(&mut self, path: &Path) -> io::Result<usize> {
        if self.names.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let content = self.add(Content::default());
        self.names.insert(path.into(), content);
        self.unsynced.push(Change::Make(path.into(), content));
        Ok(content)
    }

    fn find(&self, path: &Path) -> io::Result<usize> {
        self.names.get(path).copied().ok_or(io::ErrorKind::NotFound.into())
    }

    fn sync(&mut self, content: usize) -> io::Result<()> {
        self.syncs += 1;
        let failed = self.operation();
        let content = &mut self.contents[content];
        if self.ignored_syncs {
            return Ok(());
        }
        // After a sync that failed the system may take what it could not write for written.
        content.forget();
        failed?;
        content.sync();
        Ok(())
    }
}

impl Disk for Simulated {
    fn resolve(&self, path: &Path) -> PathBuf {
        path.to_path_buf()
    }

    fn create(&self, path: &Path, _target: &Path) -> io::Result<Box<dyn DiskFile>> {
        let content = self.operation()?.make(path)?;
        Ok(Box::new(self.handle(content)))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let content = self.operation()?.find(path)?;
        Ok(Box::new(self.handle(content)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.operation()?;
        let content = state.find(from)?;
        state.names.remove(from);
        state.names.insert(to.into(), content);
        state.unsynced.push(Change::Rename(from.into(), to.into(), content));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        if state.removals_fail {
            state.operation()?;
        }
        state.find(path)?;
        state.names.remove(path);
        state.unsynced.push(Change::Remove(path.into()));
        Ok(())
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        let content = state.find(path)?;
        state.sync(content)
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        let mut state = self.operation()?;
        if state.ignored_syncs {
            return Ok(());
        }
        // All names of a test are in one directory, or in its parent.
        let _ = path;
        state.synced = state.names.clone();
        state.unsynced.clear();
        Ok(())
    }

    fn create_directory(&self, _path: &Path) -> io::Result<()> {
        self.operation().map(|_| ())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let state = self.operation()?;
        let inside = state.names.keys().filter(|name| name.parent() == Some(path));
        Ok(inside.filter_map(|name| name.file_name()?.to_str().map(String::from)).collect())
    }

    fn append_to(&self, path: &Path) -> io::Result<Arc<dyn AppendFile>> {
        let content = self.operation()?.make(path)?;
        Ok(Arc::new(self.handle(content)))
    }

    fn lock(&self, path: &Path) -> io::Result<Lock> {
        let mut state = self.operation()?;
        if !state.locks.insert(path.into()) {
            return Ok(Lock::Taken(Some(1)));
        }
        if state.find(path).is_err() {
            state.make(path)?;
        }
        drop(state);
        Ok(Lock::Held(Box::new(Held(self.clone(), path.into()))))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.0.lock().locks.remove(&self.1);
    }
}

impl AppendFile for Handle {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.disk.0.lock();
        let failed = state.operation().err();
        let is_half = state.fault == Fault::Full;
        let content = &mut state.contents[self.content];
        let end = content.bytes().len();
        match failed {
            None => content.write(end, bytes),
            Some(_) if is_half => content.write(end, &bytes[..bytes.len() / 2]),
            Some(_) => {}
        }
        failed.map_or(Ok(()), Err)
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        let mut state = self.disk.operation()?;
        state.contents[self.content].truncate(length as usize);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.0.lock().sync(self.content)
    }
}

impl DiskFile for Handle {
    fn length(&self) -> io::Result<u64> {
        Ok(self.disk.operation()?.contents[self.content].bytes().len() as u64)
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        let state = self.disk.operation()?;
        state.contents[self.content].bytes().get(offset as usize..).unwrap_or_default().read_exact(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.0.lock().sync(self.content)
    }
}

impl Read for Handle {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let state = self.disk.operation()?;
        let mut rest = state.contents[self.content].bytes().get(self.position..).unwrap_or_default();
        let count = rest.read(buffer)?;
        self.position += count;
        Ok(count)
    }
}

impl Write for Handle {
    /// Takes half of a large buffer at a time; where it fails, the other half was written before.
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let count = buffer.len().div_ceil(2).max(buffer.len().min(16));
        let mut state = self.disk.0.lock();
        state.contents[self.content].write(self.position, &buffer[..count]);
        self.position += count;
        state.operation()?;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Handle {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let _state = self.disk.operation()?;
        let SeekFrom::Start(position) = to else {
            return Err(io::ErrorKind::Unsupported.into());
        };
        self.position = position as usize;
        Ok(position)
    }
}
