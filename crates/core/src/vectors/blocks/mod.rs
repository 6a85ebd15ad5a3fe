//! Append-only storage in chunks that never move: readers need no lock, writers never copy what is there.
//!
//! A [`Blocks`] holds blocks of `stride` elements. Chunks are allocated zeroed and in growing groups; a table of chunk
//! pointers, replaced when it is full, leads to them. Replaced tables live as long as the store, so a [`View`] taken
//! at any time stays valid.
#![allow(unsafe_code)]

#[cfg(test)]
mod tests;
mod view;
mod writer;

use std::marker::PhantomData;
use std::ptr;
use std::slice;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use parking_lot::Mutex;
use rayon::prelude::*;

pub(crate) use view::View;
pub(crate) use writer::Writer;

use super::elements::{Shared, Zeroed};
use crate::error::{Error, Result};
use crate::os::Zeros;
use crate::storage::MappedSection;

/// Blocks start at multiples of this, if their size is one.
pub(crate) const ALIGNMENT: usize = 64;

pub(crate) const CHUNK_BYTES: usize = 1 << 20;
/// The most that is allocated ahead.
const MAX_SPARE_BYTES: usize = 64 << 20;
const HUGE_PAGE: usize = 2 << 20;
pub(crate) struct Blocks<T: Zeroed> {
    what: &'static str,
    stride: usize,
    /// A chunk holds `1 << shift` blocks.
    shift: u32,
    table: AtomicPtr<Table<T>>,
    /// Blocks that are fully written and may be read.
    published: AtomicUsize,
    growth: Mutex<Growth<T>>,
    /// Where the blocks are, if that is a file.
    mapped: Option<MappedSection>,
}

struct Table<T> {
    chunks: Box<[AtomicPtr<T>]>,
}

struct Growth<T> {
    /// Chunks that exist.
    chunks: usize,
    /// Blocks written by the writer, published or not.
    written: usize,
    groups: Vec<Group>,
    /// Every table that was ever current; the last one is. Boxed: a view points to a table while this vector grows.
    #[expect(clippy::vec_box, reason = "views hold pointers to the tables")]
    tables: Vec<Box<Table<T>>>,
}

/// One piece of memory, of one chunk or several.
struct Group {
    memory: Zeros,
    /// What its chunks start at a multiple of.
    alignment: usize,
}

impl<T: Zeroed> Blocks<T> {
    /// A store of blocks of `stride` elements, without memory yet. `what` names it in errors.
    pub(crate) fn new(what: &'static str, stride: usize) -> Self {
        let block_bytes = stride * size_of::<T>();
        let shift = (CHUNK_BYTES / block_bytes).max(1).ilog2();
        let mut first = Box::new(Table { chunks: Box::default() });
        let table = AtomicPtr::new(ptr::from_mut(first.as_mut()));
        let growth = Growth { chunks: 0, written: 0, groups: Vec::new(), tables: vec![first] };
        Self { what, stride, shift, table, published: AtomicUsize::new(0), growth: Mutex::new(growth), mapped: None }
    }

    /// The blocks of `stride` elements that are in a file, where they stay. Nothing can be added or changed.
    pub(crate) fn mapped(what: &'static str, stride: usize, section: MappedSection) -> Result<Self> {
        let mut store = Self::new(what, stride);
        let block_bytes = stride * size_of::<T>();
        let (blocks, chunk_bytes) = (section.len() / block_bytes, block_bytes << store.shift);
        let chunks = blocks.div_ceil(1 << store.shift);
        let mut growth = store.growth.lock();
        store.reserve_table(&mut growth, chunks)?;
        // SAFETY: as in `add_group`.
        let table = unsafe { &*store.table.load(Ordering::Relaxed) };
        for (chunk, entry) in table.chunks.iter().enumerate().take(chunks) {
            // The section holds all blocks, so every chunk begins inside. Nobody writes there: `grow` refuses to.
            entry.store(section.start().wrapping_add(chunk * chunk_bytes).cast_mut().cast(), Ordering::Release);
        }
        (growth.chunks, growth.written) = (chunks, blocks);
        drop(growth);
        store.published.store(blocks, Ordering::Release);
        store.mapped = Some(section);
        Ok(store)
    }

    /// `blocks` blocks of `stride` elements, whose bytes `read` puts in their places, many at once: it is told which is the
    /// first of them. Runs on the pool that it is called on.
    pub(crate) fn read(
        what: &'static str,
        stride: usize,
        blocks: usize,
        read: impl Fn(usize, &mut [u8]) -> Result<()> + Sync,
    ) -> Result<Self> {
        let store = Self::new(what, stride);
        store.reserve(blocks)?;
        let (view, at_once) = (store.view_of(blocks), 1 << store.shift);
        (0..blocks.div_ceil(at_once)).into_par_iter().try_for_each(|chunk| {
            let first = chunk * at_once;
            let bytes = at_once.min(blocks - first) * stride * size_of::<T>();
            let start = view.chunks[chunk].load(Ordering::Relaxed).cast();
            // SAFETY: the chunk exists and holds so many bytes; each task has another, and nobody else has the store yet.
            // Whatever is written to it, it is made of valid elements (`Zeroed`).
            read(first, unsafe { slice::from_raw_parts_mut(start, bytes) })
        })?;
        store.growth.lock().written = blocks;
        store.published.store(blocks, Ordering::Release);
        Ok(store)
    }

    /// Elements of a block.
    pub(crate) fn stride(&self) -> usize {
        self.stride
    }

    /// Published blocks.
    pub(crate) fn len(&self) -> usize {
        self.published.load(Ordering::Acquire)
    }

    /// Makes room for `blocks` blocks in all.
    pub(crate) fn reserve(&self, blocks: usize) -> Result<()> {
        self.grow(&mut self.growth.lock(), blocks)
    }

    /// All blocks that are published now.
    pub(crate) fn view(&self) -> View<'_, T> {
        // The length first: the table that is read after it is at least as new, and leads to all these blocks.
        let len = self.len();
        self.view_of(len)
    }

    /// The right to append; one at a time.
    pub(crate) fn writer(&self) -> Writer<'_, T> {
        Writer { store: self, growth: self.growth.lock() }
    }

    fn view_of(&self, len: usize) -> View<'_, T> {
        // SAFETY: tables are never freed before the store, which the view borrows.
        let table = unsafe { &*self.table.load(Ordering::Acquire) };
        let (shift, stride, mapped) = (self.shift, self.stride, self.mapped.as_ref());
        View { chunks: &table.chunks, shift, stride, len, mapped, _store: PhantomData }
    }

    fn grow(&self, growth: &mut Growth<T>, blocks: usize) -> Result<()> {
        if self.mapped.is_some() {
            return if blocks <= growth.written { Ok(()) } else { Err(Error::ReadOnly) };
        }
        let wanted = blocks.div_ceil(1 << self.shift);
        if growth.chunks < wanted { self.add_group(growth, wanted) } else { Ok(()) }
    }

    /// Allocates what is missing in one piece, and more than that unless the system refuses it: from the second time on
    /// at least a huge page, without which a search waits for the address cache at every row.
    fn add_group(&self, growth: &mut Growth<T>, wanted: usize) -> Result<()> {
        let chunk_bytes = (self.stride * size_of::<T>()) << self.shift;
        let missing = wanted - growth.chunks;
        let page = if growth.chunks > 0 { HUGE_PAGE.div_ceil(chunk_bytes) } else { 1 };
        let generous = (growth.chunks / 8).min(MAX_SPARE_BYTES / chunk_bytes).max(page).max(missing);
        let (group, chunks) = match Group::new(self.what, generous, chunk_bytes) {
            Ok(group) => (group, generous),
            Err(_) => (Group::new(self.what, missing, chunk_bytes)?, missing),
        };
        self.reserve_table(growth, growth.chunks + chunks)?;
        growth.groups.try_reserve(1).map_err(|_| self.refused(size_of::<Group>()))?;
        // SAFETY: tables live as long as the store, and only the holder of `growth` replaces the current one.
        let table = unsafe { &*self.table.load(Ordering::Relaxed) };
        for chunk in 0..chunks {
            // SAFETY: the group holds `chunks` chunks from its aligned start on.
            let start = unsafe { group.aligned().add(chunk * chunk_bytes) };
            table.chunks[growth.chunks + chunk].store(start.cast(), Ordering::Release);
        }
        growth.chunks += chunks;
        growth.groups.push(group);
        Ok(())
    }

    /// Replaces the table by one of at least twice the size when it cannot hold `chunks`.
    fn reserve_table(&self, growth: &mut Growth<T>, chunks: usize) -> Result<()> {
        // SAFETY: as in `add_group`.
        let current = unsafe { &*self.table.load(Ordering::Relaxed) };
        if chunks <= current.chunks.len() {
            return Ok(());
        }
        let size = chunks.max(current.chunks.len() * 2);
        let mut entries = Vec::new();
        entries.try_reserve_exact(size).map_err(|_| self.refused(size * size_of::<usize>()))?;
        entries.extend(current.chunks.iter().map(|chunk| AtomicPtr::new(chunk.load(Ordering::Relaxed))));
        entries.resize_with(size, || AtomicPtr::new(ptr::null_mut()));
        growth.tables.try_reserve(1).map_err(|_| self.refused(size_of::<usize>()))?;
        let mut table = Box::new(Table { chunks: entries.into_boxed_slice() });
        let pointer = ptr::from_mut(table.as_mut());
        growth.tables.push(table);
        self.table.store(pointer, Ordering::Release);
        Ok(())
    }

    fn refused(&self, bytes: usize) -> Error {
        Error::OutOfMemory { what: self.what, bytes }
    }
}

impl<T: Shared> Blocks<T> {
    /// All blocks that memory exists for. They may be read and written at any time: they are atomics, zero at first.
    pub(crate) fn shared(&self) -> View<'_, T> {
        if self.mapped.is_some() {
            return self.view();
        }
        // SAFETY: tables are never freed before the store, which the view borrows.
        let table = unsafe { &*self.table.load(Ordering::Acquire) };
        // A table's chunks are filled in from the front.
        let chunks = table.chunks.partition_point(|chunk| !chunk.load(Ordering::Acquire).is_null());
        View {
            chunks: &table.chunks,
            shift: self.shift,
            stride: self.stride,
            len: chunks << self.shift,
            mapped: None,
            _store: PhantomData,
        }
    }
}

impl Group {
    fn new(what: &'static str, chunks: usize, chunk_bytes: usize) -> Result<Self> {
        let refused = |bytes| Error::OutOfMemory { what, bytes };
        let bytes = chunks.checked_mul(chunk_bytes).ok_or(refused(usize::MAX))?;
        let alignment = if bytes >= HUGE_PAGE { HUGE_PAGE } else { ALIGNMENT };
        // Room to align the start by hand.
        let total = bytes.checked_add(alignment).ok_or(refused(usize::MAX))?;
        let group = Self { memory: Zeros::new(total).ok_or(refused(total))?, alignment };
        if bytes >= HUGE_PAGE {
            crate::os::advise_huge_pages(group.aligned(), bytes);
        }
        Ok(group)
    }

    fn aligned(&self) -> *mut u8 {
        let start = self.memory.start();
        // The memory is larger than the chunks by the alignment, so they end inside.
        start.wrapping_add(start.align_offset(self.alignment))
    }
}
