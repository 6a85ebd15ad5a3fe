//! The sections of a file, streamed through a small buffer and hashed on their way.

use std::io::{Read, SeekFrom};
use std::ops::RangeInclusive;

use xxhash_rust::xxh3::Xxh3Default;

use super::header::{Header, PAGE, Section};
use super::{Disk, DiskFile, FileName};
use crate::error::{Error, Result};
use crate::work::Work;

/// Bytes that pass at once; whether the caller has cancelled is looked at after each.
pub(crate) const UNIT: usize = 1 << 20;

/// Writes sections, one after the other, and last the header: until then the file says of itself that it is none.
pub(crate) struct FileWriter<'a> {
    file: &'a mut dyn DiskFile,
    name: FileName<'a>,
    work: &'a Work,
    /// What of the section is not in the file yet.
    buffer: Vec<u8>,
    /// The file's length once the buffer is written.
    end: u64,
    hash: Xxh3Default,
    sections: Vec<Section>,
}

impl<'a> FileWriter<'a> {
    pub(crate) fn new(file: &'a mut dyn DiskFile, name: FileName<'a>, work: &'a Work) -> Result<Self> {
        let mut buffer = Vec::new();
        buffer.try_reserve_exact(UNIT).map_err(|_| refused(UNIT))?;
        let mut writer = Self { file, name, work, buffer, end: 0, hash: Xxh3Default::new(), sections: Vec::new() };
        writer.put(&[0; PAGE])?;
        Ok(writer)
    }

    /// Adds the section `id` of what `write` puts; `element` is the number of bytes of its elements.
    pub(crate) fn section(&mut self, id: u32, element: u32, write: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        let padding = self.end.next_multiple_of(PAGE as u64) - self.end;
        self.put(&[0; PAGE][..padding as usize])?;
        self.flush()?;
        self.hash.reset();
        let offset = self.end;
        write(self)?;
        self.flush()?;
        self.sections.push(Section { id, element, offset, length: self.end - offset, checksum: self.hash.digest() });
        Ok(())
    }

    pub(crate) fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.room(bytes.len())?.copy_from_slice(bytes);
        Ok(())
    }

    pub(crate) fn put_u32(&mut self, value: u32) -> Result<()> {
        self.put(&value.to_le_bytes())
    }

    pub(crate) fn put_values(&mut self, values: &[f32]) -> Result<()> {
        let room = self.room(size_of_val(values))?;
        for (bytes, value) in room.chunks_exact_mut(size_of::<f32>()).zip(values) {
            bytes.copy_from_slice(&value.to_le_bytes());
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
        self.hash.update(&self.buffer);
        self.file.write_all(&self.buffer).map_err(self.name.io("writing"))?;
        self.buffer.clear();
        Ok(())
    }
}

/// A file whose header was read and found right.
pub(crate) struct FileReader<'a> {
    file: Box<dyn DiskFile>,
    pub(crate) name: FileName<'a>,
    pub(crate) work: &'a Work,
    pub(crate) header: Header,
    /// Bytes of the file.
    pub(crate) length: u64,
}

impl<'a> FileReader<'a> {
    pub(crate) fn open(disk: &dyn Disk, name: FileName<'a>, work: &'a Work) -> Result<Self> {
        work.check()?;
        let mut file = disk.open(name.0).map_err(name.io("opening"))?;
        let length = file.length().map_err(name.io("opening"))?;
        if length < PAGE as u64 {
            return Err(name.corrupt(format!("{length} bytes"), format!("a vicinal index, {PAGE} bytes or more")));
        }
        let mut page = [0; PAGE];
        file.read_exact(&mut page).map_err(name.io("reading"))?;
        let header = Header::decode(&page, length, name)?;
        Ok(Self { file, name, work, header, length })
    }

    /// Whether there is a section `id`.
    pub(crate) fn has(&self, id: u32) -> bool {
        self.header.sections.iter().any(|section| section.id == id)
    }

    /// Refuses a file whose section `id` is not of elements of `element` bytes, or not of a length in `lengths`.
    pub(crate) fn check_section(&self, id: u32, element: u32, lengths: RangeInclusive<u64>) -> Result<u64> {
        let section = self.find(id)?;
        if section.element == element && lengths.contains(&section.length) {
            return Ok(section.length);
        }
        let got = format!("section {id} of {} bytes in elements of {}", section.length, section.element);
        let expected = format!("{} … {} bytes in elements of {element}", lengths.start(), lengths.end());
        Err(self.name.corrupt(got, expected))
    }

    /// The bytes of section `id`, from its start.
    pub(crate) fn section(&mut self, id: u32) -> Result<SectionReader<'_>> {
        let section = self.find(id)?;
        self.file.seek(SeekFrom::Start(section.offset)).map_err(self.name.io("seeking"))?;
        Ok(SectionReader {
            file: &mut *self.file,
            name: self.name,
            work: self.work,
            section,
            buffer: Vec::new(),
            used: 0,
            unread: section.length,
            hash: Xxh3Default::new(),
        })
    }

    fn find(&self, id: u32) -> Result<Section> {
        let section = self.header.sections.iter().find(|section| section.id == id);
        section.copied().ok_or_else(|| self.name.corrupt("a file without it", format!("section {id}")))
    }
}

pub(crate) struct SectionReader<'a> {
    file: &'a mut dyn DiskFile,
    name: FileName<'a>,
    work: &'a Work,
    section: Section,
    buffer: Vec<u8>,
    /// Bytes of the buffer that were taken.
    used: usize,
    /// Bytes that are not in the buffer yet.
    unread: u64,
    hash: Xxh3Default,
}

impl SectionReader<'_> {
    /// Whether all was taken.
    pub(crate) fn is_empty(&self) -> bool {
        self.remaining() == 0
    }

    /// The next `count` bytes; `Corrupt` if the section has fewer.
    pub(crate) fn take(&mut self, count: usize) -> Result<&[u8]> {
        if count as u64 > self.remaining() {
            let got = format!("{} bytes left of section {}", self.remaining(), self.section.id);
            return Err(self.name.corrupt(got, format!("{count} more")));
        }
        if self.buffer.len() - self.used < count {
            self.fill(count)?;
        }
        let start = self.used;
        self.used += count;
        Ok(&self.buffer[start..self.used])
    }

    pub(crate) fn take_u32(&mut self) -> Result<u32> {
        let bytes = self.take(4)?.first_chunk().copied();
        Ok(u32::from_le_bytes(bytes.unwrap_or_default()))
    }

    pub(crate) fn take_u64(&mut self) -> Result<u64> {
        let bytes = self.take(8)?.first_chunk().copied();
        Ok(u64::from_le_bytes(bytes.unwrap_or_default()))
    }

    /// To be called when all was taken that is expected: refuses more than that, and bytes that have changed.
    pub(crate) fn finish(self) -> Result<()> {
        let Section { id, checksum, .. } = self.section;
        if !self.is_empty() {
            return Err(self.name.corrupt(format!("section {id} with {} bytes left", self.remaining()), "its end"));
        }
        let got = self.hash.digest();
        if got != checksum {
            return Err(self.name.corrupt(format!("section {id} of checksum {got:016x}"), format!("{checksum:016x}")));
        }
        Ok(())
    }

    fn remaining(&self) -> u64 {
        (self.buffer.len() - self.used) as u64 + self.unread
    }

    /// Reads the next unit, or more if `count` bytes need it; the section has as many.
    fn fill(&mut self, count: usize) -> Result<()> {
        self.work.check()?;
        self.buffer.drain(..self.used);
        self.used = 0;
        let kept = self.buffer.len();
        // What is unread is part of a file of that length, so the memory for it is no more than the file justifies.
        let more = (UNIT.max(count - kept) as u64).min(self.unread) as usize;
        self.buffer.try_reserve_exact(more).map_err(|_| refused(more))?;
        self.buffer.resize(kept + more, 0);
        self.file.read_exact(&mut self.buffer[kept..]).map_err(self.name.io("reading"))?;
        self.hash.update(&self.buffer[kept..]);
        self.unread -= more as u64;
        Ok(())
    }
}

fn refused(bytes: usize) -> Error {
    Error::OutOfMemory { what: "a file's buffer", bytes }
}
