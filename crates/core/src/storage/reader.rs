//! Reading the sections of a file, each block compared with its checksum. Any number of threads may read at once.

use std::ops::RangeInclusive;

use xxhash_rust::xxh3::xxh3_64;

use super::header::{Header, PAGE, Section};
use super::sections::{BLOCK, UNIT, blocks_of, checksums_of};
use super::{Disk, DiskFile, FileName};
use crate::error::Result;
use crate::memory::room;
use crate::work::Work;

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
        Self::of(disk.open(name.0).map_err(name.io("opening"))?, name, work)
    }

    pub(crate) fn of(file: Box<dyn DiskFile>, name: FileName<'a>, work: &'a Work) -> Result<Self> {
        let length = file.length().map_err(name.io("opening"))?;
        Header::check_length(length, name)?;
        let mut page = [0; PAGE];
        file.read_at(&mut page, 0).map_err(name.io("reading"))?;
        let header = Header::decode(&page, length, name)?;
        Ok(Self { file, name, work, header, length })
    }

    /// Whether there is a section `id`.
    pub(crate) fn has(&self, id: u32) -> bool {
        self.header.has(id)
    }

    /// Refuses a file whose section `id` is not of elements of `element` bytes, or not of a length in `lengths`.
    pub(crate) fn check_section(&self, id: u32, element: u32, lengths: RangeInclusive<u64>) -> Result<u64> {
        self.header.check_section(id, element, lengths, self.name)
    }

    /// Section `id`, of which nothing was read but the checksums of its blocks.
    pub(crate) fn section(&self, id: u32) -> Result<FileSection<'_>> {
        let (section, name) = (self.header.find(id, self.name)?, self.name);
        if !section.length.is_multiple_of(section.element.into()) {
            let got = format!("{} bytes of section {id}", section.length);
            return Err(name.corrupt(got, format!("elements of {}", section.element)));
        }
        let blocks = blocks_of(section.length) as usize;
        let start = checksums_of(section.offset, section.length).map_or(u64::MAX, |(start, _)| start);
        // The section lies within the file, so these are no more than the file justifies.
        let mut bytes = room("checksums", blocks * 8)?;
        bytes.resize(blocks * 8, 0);
        self.file.read_at(&mut bytes, start).map_err(name.io("reading"))?;
        section.check_checksums(&bytes, name)?;
        Ok(FileSection { file: self, section, checksums: bytes })
    }

    /// All bytes of section `id`.
    pub(crate) fn bytes(&self, id: u32) -> Result<Vec<u8>> {
        let section = self.section(id)?;
        let mut bytes = room("a file's buffer", section.len())?;
        bytes.resize(section.len(), 0);
        section.read(0, &mut bytes)?;
        Ok(bytes)
    }

    /// Looks at all bytes of section `id`, as far as their checksums are concerned.
    pub(crate) fn pass_over(&self, id: u32) -> Result<()> {
        let section = self.section(id)?;
        let mut buffer = room("a file's buffer", section.len().min(UNIT))?;
        for start in (0..section.len()).step_by(UNIT) {
            buffer.resize(UNIT.min(section.len() - start), 0);
            section.read(start, &mut buffer)?;
        }
        Ok(())
    }
}

pub(crate) struct FileSection<'a> {
    file: &'a FileReader<'a>,
    section: Section,
    checksums: Vec<u8>,
}

impl FileSection<'_> {
    /// Bytes of the section.
    pub(crate) fn len(&self) -> usize {
        self.section.length as usize
    }

    /// Bytes of an element.
    pub(crate) fn element(&self) -> usize {
        self.section.element as usize
    }

    /// The bytes from `start` on, as many as `bytes` holds, all of them in blocks that are sound. There must be so many.
    pub(crate) fn read(&self, start: usize, bytes: &mut [u8]) -> Result<()> {
        let (end, mut at) = (start + bytes.len(), start);
        while at < end {
            self.file.work.check()?;
            let block = at / BLOCK;
            let whole = if end == self.len() { end } else { end / BLOCK * BLOCK };
            if at == block * BLOCK && at < whole {
                self.read_blocks(block, &mut bytes[at - start..whole - start])?;
                at = whole;
                continue;
            }
            // Part of a block, which can be checked as a whole only.
            let mut buffer = room("a file's buffer", BLOCK)?;
            buffer.resize(BLOCK.min(self.len() - block * BLOCK), 0);
            self.read_blocks(block, &mut buffer)?;
            let part = at - block * BLOCK..buffer.len().min(end - block * BLOCK);
            let next = at + part.len();
            bytes[at - start..next - start].copy_from_slice(&buffer[part]);
            at = next;
        }
        Ok(())
    }

    /// Whole blocks from block `first` on.
    fn read_blocks(&self, first: usize, bytes: &mut [u8]) -> Result<()> {
        let FileReader { file, name, .. } = self.file;
        let start = self.section.offset + (first * BLOCK) as u64;
        file.read_at(bytes, start).map_err(name.io("reading"))?;
        for (block, bytes) in (first..).zip(bytes.chunks(BLOCK)) {
            let stated = self.checksums.as_chunks().0.get(block).map_or(0, |&bytes| u64::from_le_bytes(bytes));
            let got = xxh3_64(bytes);
            if got != stated {
                return Err(self.section.damage(block, got, stated, *name));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::{Bytes, FileWriter, Part};
    use super::*;
    use crate::error::Error;
    use crate::options::Options;

    const ID: u32 = 3;

    fn name() -> FileName<'static> {
        FileName(Path::new("file"))
    }

    fn file(contents: &[u8]) -> Vec<u8> {
        let mut file = Bytes::with_room(1 << 20).unwrap();
        let work = Work::default();
        let mut out = FileWriter::new(&mut file, name(), &work).unwrap();
        out.section(Part { id: ID, element: 4, length: contents.len() as u64 }, |out| out.put(contents)).unwrap();
        out.finish(Header::new(&Options::new(1), 0, 0, None)).unwrap();
        file.into_inner()
    }

    #[test]
    fn any_part_of_a_section_is_read_and_only_from_sound_blocks() {
        let contents: Vec<u8> = (0..2 * BLOCK as u32 + 1_000).map(|i| (i % 251) as u8).collect();
        let mut bytes = file(&contents);
        let work = Work::default();
        let read = |bytes: &[u8], start: usize, end: usize| {
            let file = FileReader::of(Box::new(Bytes::of(bytes.to_vec())), name(), &work).unwrap();
            let mut part = vec![0; end - start];
            file.section(ID).unwrap().read(start, &mut part).map(|()| part)
        };
        let edges = [0, 8, BLOCK - 4, BLOCK, BLOCK + 4, 2 * BLOCK, 2 * BLOCK + 400, contents.len()];
        let parts =
            || edges.into_iter().flat_map(|start| edges.map(|end| (start, end))).filter(|(start, end)| start <= end);
        for (start, end) in parts() {
            assert!(read(&bytes, start, end).unwrap() == contents[start..end], "{start} … {end}");
        }
        // A byte of the block in the middle, which few of the parts have.
        bytes[PAGE + BLOCK + 2] ^= 1;
        for (start, end) in parts() {
            let is_damaged = start < end && start < 2 * BLOCK && end > BLOCK;
            assert_eq!(matches!(read(&bytes, start, end), Err(Error::Corrupt { .. })), is_damaged, "{start} … {end}");
        }
    }
}
