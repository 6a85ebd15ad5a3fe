//! A file that is nothing but bytes in memory.

use std::io::{self, Read, Seek, SeekFrom, Write};

use super::DiskFile;
use crate::error::Result;
use crate::memory::room;

/// What was written, and where the next read or write goes. It does not grow beyond the room that it was made with.
pub(crate) struct Bytes {
    bytes: Vec<u8>,
    position: usize,
}

impl Bytes {
    /// To be written, up to `length` bytes.
    pub(crate) fn with_room(length: u64) -> Result<Self> {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        Ok(Self { bytes: room("the bytes of a file", length)?, position: 0 })
    }

    /// To be read.
    pub(crate) fn of(bytes: Vec<u8>) -> Self {
        Self { bytes, position: 0 }
    }

    pub(crate) fn into_inner(self) -> Vec<u8> {
        self.bytes
    }
}

impl Read for Bytes {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.bytes.get(self.position..).unwrap_or_default().read(buffer)?;
        self.position += count;
        Ok(count)
    }
}

impl Write for Bytes {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let end = self.position.saturating_add(bytes.len());
        if end > self.bytes.capacity() {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        if end > self.bytes.len() {
            self.bytes.resize(end, 0);
        }
        self.bytes[self.position..end].copy_from_slice(bytes);
        self.position = end;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Bytes {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let (from, by) = match to {
            SeekFrom::Start(position) => (position, 0),
            SeekFrom::End(by) => (self.bytes.len() as u64, by),
            SeekFrom::Current(by) => (self.position as u64, by),
        };
        let position = from.checked_add_signed(by).and_then(|position| usize::try_from(position).ok());
        self.position = position.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position as u64)
    }
}

impl DiskFile for Bytes {
    fn length(&self) -> io::Result<u64> {
        Ok(self.bytes.len() as u64)
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        self.bytes.get(start..).unwrap_or_default().read_exact(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}
