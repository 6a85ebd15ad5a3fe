//! A disk in memory, an operation of which can fail, and which forgets what was not synced when the power goes.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::storage::{Disk, DiskFile};

type Names = BTreeMap<PathBuf, Rc<RefCell<Content>>>;

#[derive(Default)]
struct Content {
    bytes: Vec<u8>,
    /// What a power loss leaves.
    synced: Vec<u8>,
}

#[derive(Default, Clone)]
pub(super) struct Memory {
    files: Rc<RefCell<Names>>,
    /// Names that a power loss leaves.
    synced: Rc<RefCell<Names>>,
    /// Operations before the one that fails.
    before_fault: Rc<Cell<usize>>,
    /// Whether all later ones fail too.
    for_good: Rc<Cell<bool>>,
}

struct Handle {
    disk: Memory,
    content: Rc<RefCell<Content>>,
    position: usize,
}

impl Memory {
    pub(super) fn new() -> Self {
        let disk = Self::default();
        disk.heal();
        disk
    }

    pub(super) fn with(path: &str, bytes: &[u8]) -> Self {
        let disk = Self::new();
        let content = Content { bytes: bytes.to_vec(), synced: bytes.to_vec() };
        disk.files.borrow_mut().insert(path.into(), Rc::new(RefCell::new(content)));
        disk.synced.replace(disk.files.borrow().clone());
        disk
    }

    /// Fails the operation after the next `before`.
    pub(super) fn fail(&self, before: usize, for_good: bool) {
        self.before_fault.set(before);
        self.for_good.set(for_good);
    }

    pub(super) fn heal(&self) {
        self.fail(usize::MAX, false);
    }

    /// Whether the fault was met.
    pub(super) fn has_failed(&self) -> bool {
        self.before_fault.get() == 0 || self.before_fault.get() > usize::MAX / 2
    }

    pub(super) fn read(&self, path: &str) -> Option<Vec<u8>> {
        self.files.borrow().get(Path::new(path)).map(|content| content.borrow().bytes.clone())
    }

    /// What a power loss may leave of a file: with the names that were synced last, or with those of now.
    pub(super) fn read_after_power_loss(&self, path: &str) -> [Option<Vec<u8>>; 2] {
        [&self.synced, &self.files]
            .map(|names| names.borrow().get(Path::new(path)).map(|content| content.borrow().synced.clone()))
    }

    pub(super) fn names(&self) -> Vec<PathBuf> {
        self.files.borrow().keys().cloned().collect()
    }

    fn operation(&self) -> io::Result<()> {
        match self.before_fault.get() {
            0 => {
                if !self.for_good.get() {
                    self.before_fault.set(usize::MAX);
                }
                Err(io::ErrorKind::StorageFull.into())
            }
            before => {
                self.before_fault.set(before - 1);
                Ok(())
            }
        }
    }

    fn handle(&self, content: &Rc<RefCell<Content>>) -> Box<dyn DiskFile> {
        Box::new(Handle { disk: self.clone(), content: content.clone(), position: 0 })
    }
}

impl Disk for Memory {
    fn resolve(&self, path: &Path) -> PathBuf {
        path.to_path_buf()
    }

    fn create(&self, path: &Path, _target: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.operation()?;
        let content = Rc::<RefCell<Content>>::default();
        let taken = self.files.borrow_mut().insert(path.to_path_buf(), content.clone());
        assert!(taken.is_none(), "{} exists", path.display());
        Ok(self.handle(&content))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.operation()?;
        self.files.borrow().get(path).map(|content| self.handle(content)).ok_or(io::ErrorKind::NotFound.into())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.operation()?;
        let content = self.files.borrow_mut().remove(from).ok_or(io::ErrorKind::NotFound)?;
        self.files.borrow_mut().insert(to.to_path_buf(), content);
        Ok(())
    }

    /// Never fails: tests look for files that were left.
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.files.borrow_mut().remove(path).map(|_| ()).ok_or(io::ErrorKind::NotFound.into())
    }

    fn sync_directory(&self, _path: &Path) -> io::Result<()> {
        self.operation()?;
        self.synced.replace(self.files.borrow().clone());
        Ok(())
    }
}

impl DiskFile for Handle {
    fn length(&self) -> io::Result<u64> {
        self.disk.operation()?;
        Ok(self.content.borrow().bytes.len() as u64)
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.operation()?;
        let mut content = self.content.borrow_mut();
        content.synced = content.bytes.clone();
        Ok(())
    }
}

impl Read for Handle {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.disk.operation()?;
        let content = self.content.borrow();
        let mut rest = content.bytes.get(self.position..).unwrap_or_default();
        let count = rest.read(buffer)?;
        self.position += count;
        Ok(count)
    }
}

impl Write for Handle {
    /// Takes half of a large buffer at a time; where it fails, the other half was written before.
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let count = buffer.len().div_ceil(2).max(buffer.len().min(16));
        let bytes = &mut self.content.borrow_mut().bytes;
        let end = self.position + count;
        let length = bytes.len().max(end);
        bytes.resize(length, 0);
        bytes[self.position..end].copy_from_slice(&buffer[..count]);
        self.position = end;
        self.disk.operation()?;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Handle {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.disk.operation()?;
        let SeekFrom::Start(position) = to else {
            return Err(io::ErrorKind::Unsupported.into());
        };
        self.position = position as usize;
        Ok(position)
    }
}
