//! Reading a damaged log as far as it holds together: all writes up to the first that is missing.

use std::path::Path;

use super::replay::{Evidence, Frame, Segment, numbered};
use crate::error::{Error, Result};
use crate::storage::Disk;

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Salvaged {
    /// The number of the last write that was handed over.
    pub(crate) sequence: u64,
    /// What was wrong.
    pub(crate) damage: Vec<Error>,
    /// The number of the last write that is sound and comes after one that is not.
    pub(crate) left_out: Option<u64>,
    /// Bytes in which there is no sound write.
    pub(crate) torn: u64,
}

/// Hands the frames of a log to `apply`, in order, from the one after `from` on, until one is missing, is not sound, or is
/// refused as corrupt. `identity` is that of the directory, if it is known.
pub(crate) fn salvage(
    disk: &dyn Disk,
    directory: &Path,
    names: &[String],
    identity: Option<u64>,
    from: u64,
    apply: &mut dyn FnMut(Frame<'_>) -> Result<()>,
) -> Result<Salvaged> {
    let mut salvaged = Salvaged { sequence: from, ..Salvaged::default() };
    let mut segments = Vec::new();
    for (_, path) in numbered(directory, names) {
        match Segment::open(disk, &path, identity) {
            Ok(segment) => segments.extend(segment),
            Err(error) => salvaged.note(error)?,
        }
    }
    let mut next = None;
    for segment in &mut segments {
        let is_next = |first| next == Some(first) || (salvaged.sequence == from && first <= from + 1);
        match segment.first {
            None => continue,
            Some(first) if is_next(first) => {
                let end = segment.hand_over(first, from, apply, |header| salvaged.sequence = header.sequence);
                next = Some(end.or_else(|error| salvaged.note(error).map(|()| salvaged.sequence + 1))?);
            }
            Some(_) => break,
        }
    }
    let mut evidence = Evidence::default();
    for segment in &mut segments {
        match segment.gather(&mut evidence, salvaged.sequence) {
            Ok(bytes) => salvaged.torn += bytes,
            Err(error) => salvaged.note(error)?,
        }
    }
    salvaged.left_out = evidence.last;
    Ok(salvaged)
}

impl Salvaged {
    /// Goes on after damage; not after what has nothing to do with the files.
    fn note(&mut self, error: Error) -> Result<()> {
        match error {
            Error::Corrupt { .. } | Error::Version { .. } | Error::Io { .. } => {
                self.damage.push(error);
                Ok(())
            }
            other => Err(other),
        }
    }
}
