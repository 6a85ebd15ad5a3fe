//! Files that are mapped into memory and read where they are. Each block of a section is checked when it is first
//! touched; that is done by whoever is about to read, for all that it will read at once.
//!
//! Whoever meets a damaged block goes on with what is there, which must do no harm, and is told at the end: what a thread
//! has met is noted beside it, and [`watch`] turns it into an error. So the code that reads is the same for memory and for
//! files.
//!
//! That nobody cuts a file off while it is mapped is up to the user: reading beyond its end ends the process. A file that
//! is replaced, as ours are, stays as it was for those who have it mapped.
#![allow(unsafe_code)]

use std::cell::RefCell;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use memmap2::Mmap;
use xxhash_rust::xxh3::xxh3_64;

use super::header::{Header, PAGE, Section};
use super::sections::{BLOCK, blocks_of, checksums_of};
use super::{FileName, disk};
use crate::error::{Error, Result};
use crate::memory::room;

/// A file that is mapped. Its header was found right.
pub(crate) struct Map {
    memory: Mmap,
    path: PathBuf,
    pub(crate) header: Header,
}

impl Map {
    pub(crate) fn open(path: &Path) -> Result<Arc<Self>> {
        let name = FileName(path);
        if cfg!(target_endian = "big") {
            return Err(Error::argument("view", "a machine of the other byte order", "a little-endian one"));
        }
        let file = disk::open_to_read(path).map_err(name.io("opening"))?;
        let length = file.metadata().map_err(name.io("opening"))?.len();
        Header::check_length(length, name)?;
        // SAFETY: what is mapped is only read, as bytes and numbers for which any bits will do, and nothing is believed that
        // could change: bounds come from lengths that were checked against the mapping's, and numbers that lead elsewhere
        // are compared with these bounds each time. Cutting the file off meanwhile is forbidden to the user (see above).
        let memory = unsafe { Mmap::map(&file) }.map_err(name.io("mapping"))?;
        let page = memory.first_chunk::<PAGE>().ok_or_else(|| name.corrupt("no header", "a vicinal index"))?;
        let header = Header::decode(page, memory.len() as u64, name)?;
        Ok(Arc::new(Self { memory, path: path.to_path_buf(), header }))
    }

    pub(crate) fn name(&self) -> FileName<'_> {
        FileName(&self.path)
    }

    /// Section `id`, of elements of `element` bytes and of a length in `lengths`; nothing of it is looked at yet.
    pub(crate) fn section(
        self: &Arc<Self>,
        id: u32,
        element: u32,
        lengths: RangeInclusive<u64>,
    ) -> Result<MappedSection> {
        let name = self.name();
        self.header.check_section(id, element, lengths, name)?;
        let section = self.header.find(id, name)?;
        let missing = || name.corrupt(format!("section {id}"), "one within the file");
        let (start, end) = checksums_of(section.offset, section.length).ok_or_else(missing)?;
        let checksums = self.memory.get(start as usize..end as usize).ok_or_else(missing)?;
        section.check_checksums(checksums, name)?;
        let words = blocks_of(section.length).div_ceil(64) as usize;
        let mut sound = room("checksums", words)?;
        sound.resize_with(words, AtomicU64::default);
        Ok(MappedSection { map: Arc::clone(self), section, checksums: start as usize, sound })
    }
}

/// A section of a file that is mapped.
pub(crate) struct MappedSection {
    map: Arc<Map>,
    section: Section,
    /// Where its checksums begin.
    checksums: usize,
    /// The blocks that were checked and found right, a bit each.
    sound: Vec<AtomicU64>,
}

impl MappedSection {
    /// Bytes of the section.
    pub(crate) fn len(&self) -> usize {
        self.section.length as usize
    }

    /// Where it begins in memory: at a multiple of 64. It may be read from there on, for its length, as long as this lives.
    pub(crate) fn start(&self) -> *const u8 {
        self.bytes(0..self.len()).as_ptr()
    }

    /// All of it, once every block was found right.
    pub(crate) fn checked(&self) -> Result<&[u8]> {
        let blocks = 0..blocks_of(self.section.length) as usize;
        blocks.into_iter().try_for_each(|block| if self.is_sound(block) { Ok(()) } else { self.check(block) })?;
        Ok(self.bytes(0..self.len()))
    }

    /// To be called before `count` bytes from `start` on are read: if they are damaged, whoever watches is told.
    #[inline]
    pub(crate) fn touch(&self, start: usize, count: usize) {
        if count == 0 {
            return;
        }
        let last = (start + count - 1) / BLOCK;
        for block in start / BLOCK..=last {
            if !self.is_sound(block) {
                self.check_touched(block);
            }
        }
    }

    /// Tells whoever watches that the section holds `got` where there should be `expected`.
    #[cold]
    pub(crate) fn refuse(&self, got: impl ToString, expected: impl ToString) {
        let got = format!("{} in section {}", got.to_string(), self.section.id);
        note(self.map.name().corrupt(got, expected));
    }

    #[cold]
    fn check_touched(&self, block: usize) {
        if let Err(error) = self.check(block) {
            note(error);
        }
    }

    #[inline]
    fn is_sound(&self, block: usize) -> bool {
        self.sound.get(block / 64).is_some_and(|word| word.load(Ordering::Relaxed) >> (block % 64) & 1 == 1)
    }

    fn check(&self, block: usize) -> Result<()> {
        let start = block * BLOCK;
        let bytes = self.bytes(start.min(self.len())..self.len().min(start.saturating_add(BLOCK)));
        let stated = self.map.memory.get(self.checksums + block * 8..).and_then(|rest| rest.first_chunk());
        let (got, expected) = (xxh3_64(bytes), stated.map_or(0, |&bytes| u64::from_le_bytes(bytes)));
        if got != expected {
            return Err(self.section.damage(block, got, expected, self.map.name()));
        }
        if let Some(word) = self.sound.get(block / 64) {
            word.fetch_or(1 << (block % 64), Ordering::Relaxed);
        }
        Ok(())
    }

    fn bytes(&self, range: std::ops::Range<usize>) -> &[u8] {
        let offset = self.section.offset as usize;
        self.map.memory.get(offset + range.start..offset + range.end).unwrap_or_default()
    }
}

thread_local! {
    /// The first damage that this thread has met since somebody watches.
    static DAMAGE: RefCell<Option<Error>> = const { RefCell::new(None) };
}

fn note(error: Error) {
    DAMAGE.with_borrow_mut(|damage| {
        damage.get_or_insert(error);
    });
}

/// Runs `read`, on this thread; an error if it has touched a damaged block, whatever it returns.
pub(crate) fn watch<R>(read: impl FnOnce() -> Result<R>) -> Result<R> {
    let before = DAMAGE.take();
    let result = read();
    match DAMAGE.replace(before) {
        Some(damage) => Err(damage),
        None => result,
    }
}
