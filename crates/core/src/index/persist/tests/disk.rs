//! A disk in memory, an operation of which can fail.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::storage::{Disk, DiskFile};

type Bytes = Rc<RefCell<Vec<u8>>>;

#[derive(Default, Clone)]
pub(super) struct Memory {
    files: Rc<RefCell<BTreeMap<PathBuf, Bytes>>>,
    /// Operations before the one that fails.
    before_fault: Rc<Cell<usize>>,
    /// Whether all later ones fail too.
    for_good: Rc<Cell<bool>>,
}

struct Handle {
    disk: Memory,
    bytes: Bytes,
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
        disk.files.borrow_mut().insert(path.into(), Rc::new(RefCell::new(bytes.to_vec())));
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
        self.files.borrow().get(Path::new(path)).map(|bytes| bytes.borrow().clone())
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

    fn handle(&self, bytes: &Bytes) -> Box<dyn DiskFile> {
        Box::new(Handle { disk: self.clone(), bytes: bytes.clone(), position: 0 })
    }
}

impl Disk for Memory {
    fn resolve(&self, path: &Path) -> PathBuf {
        path.to_path_buf()
    }

    fn create(&self, path: &Path, _target: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.operation()?;
        let bytes = Bytes::default();
        let taken = self.files.borrow_mut().insert(path.to_path_buf(), bytes.clone());
        assert!(taken.is_none(), "{} exists", path.display());
        Ok(self.handle(&bytes))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.operation()?;
        self.files.borrow().get(path).map(|bytes| self.handle(bytes)).ok_or(io::ErrorKind::NotFound.into())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.operation()?;
        let bytes = self.files.borrow_mut().remove(from).ok_or(io::ErrorKind::NotFound)?;
        self.files.borrow_mut().insert(to.to_path_buf(), bytes);
        Ok(())
    }

    /// Never fails: tests look for files that were left.
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.files.borrow_mut().remove(path).map(|_| ()).ok_or(io::ErrorKind::NotFound.into())
    }

    fn sync_directory(&self, _path: &Path) -> io::Result<()> {
        self.operation()
    }
}

impl DiskFile for Handle {
    fn length(&self) -> io::Result<u64> {
        self.disk.operation()?;
        Ok(self.bytes.borrow().len() as u64)
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.operation()
    }
}

impl Read for Handle {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.disk.operation()?;
        let bytes = self.bytes.borrow();
        let mut rest = bytes.get(self.position..).unwrap_or_default();
        let count = rest.read(buffer)?;
        self.position += count;
        Ok(count)
    }
}

impl Write for Handle {
    /// Takes half of a large buffer at a time; where it fails, the other half was written before.
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let count = buffer.len().div_ceil(2).max(buffer.len().min(16));
        let mut bytes = self.bytes.borrow_mut();
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
