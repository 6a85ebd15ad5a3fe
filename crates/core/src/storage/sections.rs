//! Writing the sections of a file, streamed through a small buffer and hashed on their way, a checksum a block.

use std::io::SeekFrom;

use xxhash_rust::xxh3::{Xxh3Default, xxh3_64};

use super::header::{Header, PAGE, Section};
use super::{DiskFile, FileName};
use crate::error::{Error, Result};
use crate::memory::room;
use crate::work::Work;

/// Bytes that pass at once; whether the caller has cancelled is looked at after each.
pub(crate) const UNIT: usize = 1 << 20;

/// Bytes that have a checksum of their own.
pub(crate) const BLOCK: usize = 64 << 10;

/// What the small sections begin at a multiple of; those of a page or more begin at a page.
pub(super) const ALIGNMENT: u64 = 64;

/// A section that is to be written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part {
    pub(crate) id: u32,
    /// Bytes of an element.
    pub(crate) element: u32,
    /// Bytes of all.
    pub(crate) length: u64,
}

/// Where a section of `length` bytes begins that comes after `end` bytes.
fn start_after(end: u64, length: u64) -> u64 {
    end.next_multiple_of(if length >= PAGE as u64 { PAGE as u64 } else { ALIGNMENT })
}

/// Blocks of a section of `length` bytes.
pub(super) fn blocks_of(length: u64) -> u64 {
    length.div_ceil(BLOCK as u64)
}

/// Where the checksums of a section begin, and where they end; `None` where no file could be so long.
pub(super) fn checksums_of(offset: u64, length: u64) -> Option<(u64, u64)> {
    let start = offset.checked_add(length)?.checked_next_multiple_of(8)?;
    Some((start, start.checked_add(blocks_of(length) * 8)?))
}

/// The length of a file of `parts`.
pub(crate) fn length_of(parts: &[Part]) -> u64 {
    let behind = |end: u64, part: &Part| {
        let start = start_after(end, part.length);
        checksums_of(start, part.length).map_or(u64::MAX / 2, |(_, end)| end)
    };
    parts.iter().fold(PAGE as u64, behind)
}

/// Hashes a section as it passes.
#[derive(Default)]
struct Blocks {
    hash: Xxh3Default,
    /// Bytes of the block that has begun.
    filled: usize,
    checksums: Vec<u64>,
}

impl Blocks {
    fn of(length: u64) -> Result<Self> {
        Ok(Self { checksums: room("checksums", blocks_of(length) as usize)?, ..Self::default() })
    }

    fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (block, rest) = bytes.split_at(bytes.len().min(BLOCK - self.filled));
            bytes = rest;
            if block.len() == BLOCK {
                self.checksums.push(xxh3_64(block));
                continue;
            }
            self.hash.update(block);
            self.filled += block.len();
            if self.filled == BLOCK {
                self.end();
            }
        }
    }

    /// The block that has begun is over.
    fn end(&mut self) {
        if self.filled > 0 {
            self.checksums.push(self.hash.digest());
            self.hash.reset();
            self.filled = 0;
        }
    }
}

/// Writes sections, one after the other, and last the header: until then the file says of itself that it is none.
pub(crate) struct FileWriter<'a> {
    file: &'a mut dyn DiskFile,
    name: FileName<'a>,
    work: &'a Work,
    /// What of the section is not in the file yet.
    buffer: Vec<u8>,
    /// The file's length once the buffer is written.
    end: u64,
    /// Of the section that is being written.
    blocks: Option<Blocks>,
    sections: Vec<Section>,
}

impl<'a> FileWriter<'a> {
    pub(crate) fn new(file: &'a mut dyn DiskFile, name: FileName<'a>, work: &'a Work) -> Result<Self> {
        let mut buffer = Vec::new();
        buffer.try_reserve_exact(UNIT).map_err(|_| refused(UNIT))?;
        let mut writer = Self { file, name, work, buffer, end: 0, blocks: None, sections: Vec::new() };
        writer.put(&[0; PAGE])?;
        Ok(writer)
    }

    /// Adds a section of what `write` puts.
    pub(crate) fn section(&mut self, part: Part, write: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        let Part { id, element, length } = part;
        let offset = start_after(self.end, length);
        self.fill_up(offset)?;
        self.flush()?;
        self.blocks = Some(Blocks::of(length)?);
        write(self)?;
        self.flush()?;
        if self.end - offset != length {
            let got = self.end - offset;
            return Err(Error::Internal(format!("section {id}: got {got} bytes, expected {length}")));
        }
        let mut blocks = self.blocks.take().unwrap_or_default();
        blocks.end();
        self.fill_up(self.end.next_multiple_of(8))?;
        let mut hash = Xxh3Default::new();
        for checksum in blocks.checksums {
            hash.update(&checksum.to_le_bytes());
            self.put(&checksum.to_le_bytes())?;
        }
        self.sections.push(Section { id, element, offset, length, checksum: hash.digest() });
        Ok(())
    }

    pub(crate) fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.room(bytes.len())?.copy_from_slice(bytes);
        Ok(())
    }

    pub(crate) fn put_u32(&mut self, value: u32) -> Result<()> {
        self.put(&value.to_le_bytes())
    }

    pub(crate) fn put_u64(&mut self, value: u64) -> Result<()> {
        self.put(&value.to_le_bytes())
    }

    pub(crate) fn put_values(&mut self, values: &[f32]) -> Result<()> {
        let room = self.room(size_of_val(values))?;
        for (bytes, value) in room.chunks_exact_mut(size_of::<f32>()).zip(values) {
            bytes.copy_from_slice(&value.to_le_bytes());
        }
        Ok(())
    }

    /// Zeros, `count` of them.
    pub(crate) fn put_zeros(&mut self, mut count: usize) -> Result<()> {
        while count > 0 {
            let now = count.min(PAGE);
            self.room(now)?.fill(0);
            count -= now;
        }
        Ok(())
    }

    /// Writes the header, which makes it a file of ours; the file's length.
    pub(crate) fn finish(mut self, mut header: Header) -> Result<u64> {
        self.flush()?;
        header.sections = std::mem::take(&mut self.sections);
        let page = header.encode(self.end);
        self.file.seek(SeekFrom::Start(0)).map_err(self.name.io("seeking"))?;
        self.file.write_all(&page).map_err(self.name.io("writing"))?;
        Ok(self.end)
    }

    /// Zeros up to `end`, outside of sections.
    fn fill_up(&mut self, end: u64) -> Result<()> {
        self.put_zeros((end - self.end) as usize)
    }

    /// The next `count` bytes, at most a unit, to be filled in.
    fn room(&mut self, count: usize) -> Result<&mut [u8]> {
        if self.buffer.len() + count > UNIT {
            self.flush()?;
        }
        let start = self.buffer.len();
        self.buffer.resize(start + count, 0);
        self.end += count as u64;
        Ok(&mut self.buffer[start..])
    }

    fn flush(&mut self) -> Result<()> {
        self.work.check()?;
        if let Some(blocks) = &mut self.blocks {
            blocks.update(&self.buffer);
        }
        self.file.write_all(&self.buffer).map_err(self.name.io("writing"))?;
        self.buffer.clear();
        Ok(())
    }
}

fn refused(bytes: usize) -> Error {
    Error::OutOfMemory { what: "a file's buffer", bytes }
}
