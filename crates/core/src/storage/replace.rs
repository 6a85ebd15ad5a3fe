//! Replacing a file as a whole: at any time, and after any failure, the old file is there or the new one.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Disk, DiskFile, FileName};
use crate::error::{Error, Result};
use crate::work::Work;

/// Has `write` fill a new file and puts it in the place of `path`: written beside it under a temporary name, synced,
/// renamed, the directory synced. A failure removes the temporary file; the caller's wish to cancel is heard until the
/// renaming. Only if syncing the directory fails the new file is there and yet an error is returned: a power loss may
/// bring the old one back.
pub(crate) fn replace(
    disk: &dyn Disk,
    path: &Path,
    work: &Work,
    write: impl FnOnce(&mut dyn DiskFile) -> Result<()>,
) -> Result<()> {
    let name = FileName(path);
    let target = disk.resolve(path);
    let directory = match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let (mut temporary, mut file) = Temporary::create(disk, directory, &target, name)?;
    write(&mut *file)?;
    file.sync().map_err(name.io("syncing the file"))?;
    drop(file);
    work.check()?;
    disk.rename(&temporary.path, &target).map_err(name.io("renaming the new file"))?;
    temporary.is_renamed = true;
    disk.sync_directory(directory).map_err(name.io("syncing the directory"))
}

/// A file that is removed unless it was renamed.
struct Temporary<'a> {
    disk: &'a dyn Disk,
    path: PathBuf,
    is_renamed: bool,
}

impl<'a> Temporary<'a> {
    /// `.<name>.<process>-<number>.tmp` in `directory`. One that a crash has left under the same name is passed over: it
    /// might be of a process elsewhere that shares the directory, so only a person can tell that it may go.
    fn create(
        disk: &'a dyn Disk,
        directory: &Path,
        target: &Path,
        name: FileName<'_>,
    ) -> Result<(Self, Box<dyn DiskFile>)> {
        static FILES: AtomicU64 = AtomicU64::new(0);
        let Some(file_name) = target.file_name() else {
            return Err(Error::argument("path", target.display(), "the path of a file"));
        };
        loop {
            let number = FILES.fetch_add(1, Ordering::Relaxed);
            let mut temporary = OsString::from(".");
            temporary.push(file_name);
            temporary.push(format!(".{}-{number}.tmp", std::process::id()));
            let path = directory.join(temporary);
            match disk.create(&path, target) {
                Ok(file) => return Ok((Self { disk, path, is_renamed: false }, file)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(name.io("creating a temporary file beside it")(error)),
            }
        }
    }
}

impl Drop for Temporary<'_> {
    fn drop(&mut self) {
        if !self.is_renamed {
            // The failure that led here is the one to report.
            let _ = self.disk.remove(&self.path);
        }
    }
}
