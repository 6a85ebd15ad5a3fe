//! Files that may be damaged: what of them is as it was written.

use std::io::{self, Read, Seek, SeekFrom, Write};

use xxhash_rust::xxh3::xxh3_64;

use super::header::{Header, PAGE, Section};
use super::sections::{BLOCK, blocks_of, checksums_of};
use super::{Disk, DiskFile, FileName};
use crate::error::{Error, Result};
use crate::memory::room;
use crate::work::Work;

/// What is known of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Soundness {
    /// They are as they were written.
    Sound,
    /// They are there, and their checksum is not.
    Unchecked,
    /// They are others, or not there.
    Damaged,
}

/// A file with a header that makes sense.
pub(crate) struct DamagedFile<'a> {
    file: Box<dyn DiskFile>,
    pub(crate) name: FileName<'a>,
    work: &'a Work,
    pub(crate) header: Header,
    /// What is wrong with the header, if anything.
    pub(crate) damage: Option<Error>,
    /// Bytes of the file.
    pub(crate) length: u64,
}

/// What is known of a section.
pub(crate) struct Survey {
    section: Section,
    /// Of the blocks that begin within the file.
    blocks: Vec<Soundness>,
    /// Whether the checksums behind it are as they were written.
    has_checksums: bool,
}

impl<'a> DamagedFile<'a> {
    /// `Corrupt` for a file of another kind, or one whose header leads nowhere; `Version` for another version.
    pub(crate) fn open(disk: &dyn Disk, name: FileName<'a>, work: &'a Work) -> Result<Self> {
        work.check()?;
        let file = disk.open(name.0).map_err(name.io("opening"))?;
        let length = file.length().map_err(name.io("opening"))?;
        Header::check_length(length, name)?;
        let mut page = [0; PAGE];
        file.read_at(&mut page, 0).map_err(name.io("reading"))?;
        let (header, damage) = match Header::decode(&page, length, name) {
            Ok(header) => (header, None),
            Err(error @ Error::Corrupt { .. }) => match Header::decode_damaged(&page, name) {
                Ok(header) => (header, Some(error)),
                Err(_) => return Err(error),
            },
            Err(error) => return Err(error),
        };
        Ok(Self { file, name, work, header, damage, length })
    }

    /// Looks at all of section `id`. What cannot be read is damaged.
    pub(crate) fn survey(&self, id: u32) -> Result<Survey> {
        let section = self.header.find(id, self.name)?;
        let within = self.length.saturating_sub(section.offset).min(section.length);
        let mut computed = room("checksums", blocks_of(within) as usize)?;
        let mut block = room("a block", BLOCK)?;
        for start in (0..within).step_by(BLOCK) {
            self.work.check()?;
            block.resize((section.length - start).min(BLOCK as u64) as usize, 0);
            let is_read = start + block.len() as u64 <= within && self.read_at(section.offset + start, &mut block);
            computed.push(is_read.then(|| xxh3_64(&block)));
        }
        let stored = self.stored(&section, computed.len())?;
        let has_checksums = xxh3_64(&stored) == section.checksum;
        // Where the checksums of blocks are gone or damaged themselves, that of all of them may still fit.
        let is_whole = blocks_of(section.length) as usize == computed.len();
        let all: Option<Vec<u64>> = computed.iter().copied().collect();
        let bytes = |all: Vec<u64>| all.into_iter().flat_map(u64::to_le_bytes).collect::<Vec<u8>>();
        let fits = is_whole && all.is_some_and(|all| xxh3_64(&bytes(all)) == section.checksum);
        let stored = stored.as_chunks().0;
        let soundness = |(number, computed): (usize, &Option<u64>)| match (computed, stored.get(number)) {
            _ if fits => Soundness::Sound,
            // A block that is cut off has a beginning, and no checksum.
            (None, None) => Soundness::Unchecked,
            (None, Some(_)) => Soundness::Damaged,
            (Some(_), None) => Soundness::Unchecked,
            (&Some(computed), Some(&stored)) if computed == u64::from_le_bytes(stored) => Soundness::Sound,
            (Some(_), Some(_)) => Soundness::Damaged,
        };
        let blocks = computed.iter().enumerate().map(soundness).collect();
        Ok(Survey { section, blocks, has_checksums })
    }

    /// Reads bytes of a section from `start` on, unless they are damaged.
    pub(crate) fn read(&self, survey: &Survey, start: u64, bytes: &mut [u8]) -> Soundness {
        let end = start.checked_add(bytes.len() as u64).filter(|&end| end <= survey.section.length);
        let Some(end) = end else {
            return Soundness::Damaged;
        };
        let blocks = start / BLOCK as u64..blocks_of(end);
        let known = |block: u64| survey.blocks.get(block as usize).copied().unwrap_or(Soundness::Damaged);
        let soundness = blocks.map(known).max().unwrap_or(Soundness::Sound);
        if soundness == Soundness::Damaged || !self.read_at(survey.section.offset + start, bytes) {
            return Soundness::Damaged;
        }
        soundness
    }

    /// The first checksums of blocks that the file has, at most `count`.
    fn stored(&self, section: &Section, count: usize) -> Result<Vec<u8>> {
        let start = checksums_of(section.offset, section.length).map_or(u64::MAX, |(start, _)| start);
        let there = (self.length.saturating_sub(start) / 8).min(count as u64) as usize;
        let mut stored = room("checksums", there * 8)?;
        stored.resize(there * 8, 0);
        if !self.read_at(start, &mut stored) {
            stored.clear();
        }
        Ok(stored)
    }

    /// Whether the file has these bytes, and the system gives them.
    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> bool {
        self.file.read_at(bytes, offset).is_ok()
    }
}

impl Survey {
    /// Bytes of the section.
    pub(crate) fn length(&self) -> u64 {
        self.section.length
    }

    /// What is wrong with the section, if anything, in words.
    pub(crate) fn damage(&self) -> Option<String> {
        let Section { length, offset, .. } = self.section;
        let blocks = blocks_of(length) as usize;
        let damaged = blocks - self.blocks.iter().filter(|&&block| block == Soundness::Sound).count();
        match self.blocks.iter().position(|&block| block != Soundness::Sound) {
            Some(first) => {
                let at = offset + (first * BLOCK) as u64;
                Some(format!("{damaged} of {blocks} blocks with other checksums, the first at byte {at}"))
            }
            None if damaged > 0 => Some(format!("{damaged} of {blocks} blocks beyond the end of the file")),
            None if !self.has_checksums => Some("other checksums behind its blocks".into()),
            None => None,
        }
    }
}

impl Header {
    /// Id, offset and length of the sections that there are.
    pub(crate) fn places(&self) -> impl Iterator<Item = (u32, u64, u64)> {
        self.sections.iter().map(|section| (section.id, section.offset, section.length))
    }

    /// The sections that have other bytes in the file of `other`, or are not in it.
    pub(crate) fn differing(&self, other: &Self) -> impl Iterator<Item = u32> {
        let bytes = |section: &Section| (section.id, section.length, section.checksum);
        let differs = move |section: &&Section| !other.sections.iter().any(|theirs| bytes(theirs) == bytes(section));
        self.sections.iter().filter(differs).map(|section| section.id)
    }
}

/// A file of which nothing is kept but its header.
#[derive(Default)]
pub(crate) struct Discard {
    page: Vec<u8>,
    position: u64,
    length: u64,
}

impl Discard {
    /// The header that was written.
    pub(crate) fn header(&self, name: FileName<'_>) -> Result<Header> {
        let page = self.page.first_chunk().ok_or_else(|| name.corrupt("no header", "one"))?;
        Header::decode(page, self.length, name)
    }
}

impl Write for Discard {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.position == 0 {
            self.page.clear();
            self.page.extend_from_slice(&bytes[..bytes.len().min(PAGE)]);
        }
        self.position += bytes.len() as u64;
        self.length = self.length.max(self.position);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Discard {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        // A file is written from its beginning, and last its header.
        self.position = match to {
            SeekFrom::Start(position) => position,
            SeekFrom::End(_) | SeekFrom::Current(_) => return Err(io::ErrorKind::Unsupported.into()),
        };
        Ok(self.position)
    }
}

impl Read for Discard {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

impl DiskFile for Discard {
    fn length(&self) -> io::Result<u64> {
        Ok(self.length)
    }

    fn read_at(&self, _: &mut [u8], _: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}
