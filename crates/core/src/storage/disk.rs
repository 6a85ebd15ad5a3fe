//! The seam to the file system: all that saving and loading ask of it. Tests put a failing one in its place.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

pub(crate) trait Disk {
    /// The file that `path` leads to, or `path` where there is none: a save through a symbolic link keeps the link.
    fn resolve(&self, path: &Path) -> PathBuf;

    /// Makes the file `path`, which must not exist and will replace `target`. It gets the permissions of `target`, or
    /// those of any new file where there is none.
    fn create(&self, path: &Path, target: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// Opens a file to read it.
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in a directory durable.
    fn sync_directory(&self, path: &Path) -> io::Result<()>;
}

pub(crate) trait DiskFile: Read + Write + Seek {
    fn length(&self) -> io::Result<u64>;

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
        // Before it is opened: opening a pipe would wait for its other end.
        regular(fs::metadata(path)?)?;
        Ok(Box::new(File::open(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
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
}

impl DiskFile for File {
    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_all()
    }
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
