//! Blocks from a file: left where they are, or read into memory.

use super::Blocks;
use super::elements::Zeroed;
use crate::error::Result;
use crate::storage::{FileSection, MappedSection};

/// A section of a file whose elements become those of blocks.
pub(crate) trait Stored {
    /// As many blocks of `stride` elements as there are; `what` names them in errors.
    fn blocks<T: Zeroed>(self, what: &'static str, stride: usize) -> Result<Blocks<T>>;
}

impl Stored for MappedSection {
    fn blocks<T: Zeroed>(self, what: &'static str, stride: usize) -> Result<Blocks<T>> {
        Blocks::mapped(what, stride, self)
    }
}

/// A section that is read, on the pool that this is called on.
pub(crate) struct ReadSection<'a> {
    section: FileSection<'a>,
    /// Is given the bytes of some blocks, as they are in memory, and which is the first of them.
    look: &'a (dyn Fn(usize, &[u8]) -> Result<()> + Sync),
}

impl<'a> ReadSection<'a> {
    /// `look` is told of all blocks as they come, in any order and on any thread, and may refuse them.
    pub(crate) fn new(section: FileSection<'a>, look: &'a (dyn Fn(usize, &[u8]) -> Result<()> + Sync)) -> Self {
        Self { section, look }
    }
}

impl Stored for ReadSection<'_> {
    fn blocks<T: Zeroed>(self, what: &'static str, stride: usize) -> Result<Blocks<T>> {
        let Self { section, look } = self;
        let block = stride * size_of::<T>();
        Blocks::read(what, stride, section.len() / block, |first, bytes| {
            section.read(first * block, bytes)?;
            if cfg!(target_endian = "big") {
                bytes.chunks_exact_mut(section.element()).for_each(<[u8]>::reverse);
            }
            look(first, bytes)
        })
    }
}
