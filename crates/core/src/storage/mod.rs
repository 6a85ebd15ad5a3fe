//! Files. A file is a header page and a few sections, and it replaces the one that was there as a whole or not at all.
//!
//! This module knows bytes; what the sections hold, `index::persist` knows. docs/file-format.md draws them.

mod bytes;
mod disk;
mod header;
pub(crate) mod log;
mod map;
mod reader;
mod replace;
mod sections;
#[cfg(test)]
pub(crate) mod simulated;
mod survey;

use std::io;
use std::path::Path;
use std::sync::Arc;

pub(crate) use bytes::Bytes;
pub(crate) use disk::{AppendFile, Disk, DiskFile, Lock, System};
pub(crate) use header::{GraphHeader, Header};
pub(crate) use map::{Map, MappedSection, watch};
pub(crate) use reader::{FileReader, FileSection};
pub(crate) use replace::replace;
pub(crate) use sections::{FileWriter, Part, UNIT, length_of};
pub(crate) use survey::{DamagedFile, Discard, Soundness, Survey};

use crate::error::Error;

/// The file that the caller has named, for errors about it.
#[derive(Clone, Copy)]
pub(crate) struct FileName<'a>(pub(crate) &'a Path);

impl<'a> FileName<'a> {
    /// The file is not what it says it is.
    pub(crate) fn corrupt(self, got: impl ToString, expected: impl ToString) -> Error {
        Error::Corrupt { path: self.path(), got: got.to_string(), expected: expected.to_string() }
    }

    /// The system has failed `operation`.
    pub(crate) fn io(self, operation: &'static str) -> impl FnOnce(io::Error) -> Error + 'a {
        move |error| Error::Io { path: self.path(), operation, source: Arc::new(error) }
    }

    pub(crate) fn path(self) -> String {
        self.0.display().to_string()
    }
}
