//! The seam to the file system: all that saving, loading and logging ask of it. Tests put a failing one in its place.

use std::any::Any;
use std::fs::{self, File, Metadata, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(crate) trait Disk: Send + Sync {
    /// The file that `path` leads to, or `path` where there is none: a save through a symbolic link keeps the link.
    fn resolve(&self, path: &Path) -> PathBuf;

    /// Makes the file `path`, which must not exist and will replace `target`. It gets the permissions of `target`, or
    /// those of any new file where there is none.
    fn create(&self, path: &Path, target: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// Opens a file to read it.
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes what was written to a file, by whoever it was, durable.
    fn sync(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in a directory durable.
    fn sync_directory(&self, path: &Path) -> io::Result<()>;

    /// Makes a directory, and those above it, where they are missing; durably.
    fn create_directory(&self, path: &Path) -> io::Result<()>;

    /// The names in a directory, those that are no text left out.
    fn list(&self, path: &Path) -> io::Result<Vec<String>>;

    /// Makes the file `path`, which must not exist, to be appended to.
    fn append_to(&self, path: &Path) -> io::Result<Arc<dyn AppendFile>>;

    /// Locks the file `path`, which is made if it is missing, for as long as what is returned lives.
    fn lock(&self, path: &Path) -> io::Result<Lock>;
}

/// The outcome of asking for a lock.
pub(crate) enum Lock {
    Held(Box<dyn Any + Send + Sync>),
    /// Another has it: its process, if that is known.
    Taken(Option<u32>),
}

/// A file that grows at its end, and may be synced by another thread than the one that appends.
pub(crate) trait AppendFile: Send + Sync {
    /// Where it fails, a part may have been written.
    fn append(&self, bytes: &[u8]) -> io::Result<()>;

    fn truncate(&self, length: u64) -> io::Result<()>;

    /// Makes what was appended durable.
    fn sync(&self) -> io::Result<()>;
}

pub(crate) trait DiskFile: Read + Write + Seek + Send + Sync {
    fn length(&self) -> io::Result<u64>;

    /// Fills `bytes` with what stands from `offset` on; an error where the file ends before that. Where [`Read`] goes on is
    /// not known afterwards.
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()>;

    /// Makes what was written durable.
    fn sync(&self) -> io::Result<()>;
}

/// The operating system's files.
pub(crate) struct System;

impl Disk for System {
    fn resolve(&self, path: &Path) -> PathBuf {
        fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf())
    }

    fn create(&self, path: &Path, target: &Path) -> io::Result<Box<dyn DiskFile>> {
        let replaced = match fs::metadata(target) {
            Ok(metadata) => Some(regular(metadata)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        Ok(Box::new(open_with_permissions_of(replaced, &mut options, path)?))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(open_to_read(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        // Some systems sync only what is open to be written.
        OpenOptions::new().append(true).open(path)?.sync_data()
    }

    #[cfg(unix)]
    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        match File::open(path)?.sync_all() {
            // A file system that knows no such thing.
            Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => Ok(()),
            synced => synced,
        }
    }

    #[cfg(not(unix))]
    fn sync_directory(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        if path.is_dir() {
            return Ok(());
        }
        let parent = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        if path.parent().is_some() {
            self.create_directory(parent)?;
        }
        match fs::create_dir(path) {
            // Somebody else may have made it meanwhile.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
            made => made.and_then(|()| self.sync_directory(parent)),
        }
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(path)? {
            names.extend(entry?.file_name().into_string());
        }
        Ok(names)
    }

    fn append_to(&self, path: &Path) -> io::Result<Arc<dyn AppendFile>> {
        Ok(Arc::new(OpenOptions::new().append(true).create_new(true).open(path)?))
    }

    fn lock(&self, path: &Path) -> io::Result<Lock> {
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(Lock::Taken(holder(&file))),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        file.set_len(0)?;
        file.write_all(std::process::id().to_string().as_bytes())?;
        Ok(Lock::Held(Box::new(LockedFile(file))))
    }
}

/// A file that is locked until this is dropped. To close it would not be enough: a process that is being started has a copy
/// of the handle until its own program begins, and the lock would last as long.
struct LockedFile(File);

impl Drop for LockedFile {
    fn drop(&mut self) {
        // Where this fails, closing the file does it.
        let _ = self.0.unlock();
    }
}

/// The process that a lock file names.
fn holder(file: &File) -> Option<u32> {
    let mut text = String::new();
    file.take(16).read_to_string(&mut text).ok()?;
    text.parse().ok()
}

impl AppendFile for File {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let mut file = self;
        file.write_all(bytes)
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}

impl DiskFile for File {
    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    #[cfg(unix)]
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(self, bytes, offset)
    }

    #[cfg(windows)]
    fn read_at(&self, mut bytes: &mut [u8], mut offset: u64) -> io::Result<()> {
        while !bytes.is_empty() {
            match std::os::windows::fs::FileExt::seek_read(self, bytes, offset) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => (bytes, offset) = (&mut bytes[count..], offset + count as u64),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_all()
    }
}

pub(super) fn open_to_read(path: &Path) -> io::Result<File> {
    // Before it is opened: opening a pipe would wait for its other end.
    regular(fs::metadata(path)?)?;
    File::open(path)
}

/// Nobody wants a directory read, or a device replaced by a file.
fn regular(metadata: Metadata) -> io::Result<Metadata> {
    if metadata.is_file() {
        return Ok(metadata);
    }
    let kind = if metadata.is_dir() { io::ErrorKind::IsADirectory } else { io::ErrorKind::InvalidInput };
    Err(io::Error::new(kind, "not a regular file"))
}

#[cfg(unix)]
fn open_with_permissions_of(replaced: Option<Metadata>, options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;

    let Some(replaced) = replaced else {
        return options.open(path);
    };
    let file = options.mode(0o600).open(path)?;
    // Some file systems have no permissions to set; there the new file has what they give.
    let _ = file.set_permissions(replaced.permissions());
    Ok(file)
}

#[cfg(not(unix))]
fn open_with_permissions_of(_replaced: Option<Metadata>, options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    options.open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_that_is_given_back_is_free_though_a_child_process_still_has_a_copy_of_the_handle() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let file = File::create(&path).unwrap();
        file.try_lock().unwrap();
        // As `fork` copies it, until `exec` closes the copy.
        let _inherited = file.try_clone().unwrap();
        let locked = LockedFile(file);
        assert!(matches!(System.lock(&path).unwrap(), Lock::Taken(_)));
        drop(locked);
        assert!(matches!(System.lock(&path).unwrap(), Lock::Held(_)));
    }
}
