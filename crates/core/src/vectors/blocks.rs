//! Append-only storage in chunks that never move: readers need no lock, writers never copy what is there.
//!
//! A [`Blocks`] holds blocks of `stride` elements. Chunks are allocated zeroed and in growing groups; a table of chunk
//! pointers, replaced when it is full, leads to them. Replaced tables live as long as the store, so a [`View`] taken
//! at any time stays valid.
#![allow(unsafe_code)]

use std::marker::PhantomData;
use std::ptr;
use std::slice;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use parking_lot::{Mutex, MutexGuard};
use rayon::prelude::*;

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
/// Blocks that one task writes at least.
const FILLED_AT_ONCE: usize = 64;

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

/// What of a store may be read: blocks below `len`.
pub(crate) struct View<'a, T> {
    chunks: &'a [AtomicPtr<T>],
    shift: u32,
    stride: usize,
    len: usize,
    /// The file that the blocks are in, which looks at them when they are touched.
    mapped: Option<&'a MappedSection>,
    _store: PhantomData<&'a T>,
}

impl<T> Clone for View<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for View<'_, T> {}

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

/// Appends blocks. Nothing that it wrote is seen by readers before [`Writer::publish`].
pub(crate) struct Writer<'a, T: Zeroed> {
    store: &'a Blocks<T>,
    growth: MutexGuard<'a, Growth<T>>,
}

impl<T: Zeroed + Copy> Writer<'_, T> {
    /// Makes room for `more` blocks, so that pushing as many cannot fail.
    pub(crate) fn reserve(&mut self, more: usize) -> Result<()> {
        let blocks = self.growth.written.checked_add(more).ok_or(self.store.refused(usize::MAX))?;
        self.store.grow(&mut self.growth, blocks)
    }

    /// Appends one block: `values`, then zeros up to the stride.
    pub(crate) fn push(&mut self, values: &[T]) -> Result<()> {
        let Blocks { stride, shift, .. } = *self.store;
        assert!(values.len() <= stride, "a block holds {stride} values");
        self.reserve(1)?;
        let index = self.growth.written;
        let view = self.store.view_of(index + 1);
        let chunk = view.chunks[index >> shift].load(Ordering::Relaxed);
        let offset = (index & ((1 << shift) - 1)) * stride;
        // SAFETY: `reserve` made the chunk of `index`, the offset lies in it with `stride` elements after it, and no
        // reader looks at blocks at or above `published`, which is at most `index`; the writer is unique (it holds
        // the lock). The block may hold values of an abandoned write, so what `values` leaves is zeroed.
        unsafe {
            let block = chunk.add(offset);
            ptr::copy_nonoverlapping(values.as_ptr(), block, values.len());
            ptr::write_bytes(block.add(values.len()), 0, stride - values.len());
        }
        self.growth.written += 1;
        Ok(())
    }

    /// Appends one block, which `fill` writes: it gets zeros, or what an abandoned write left.
    pub(crate) fn push_with<R>(&mut self, fill: impl FnOnce(&mut [T]) -> R) -> Result<R> {
        let Blocks { stride, shift, .. } = *self.store;
        self.reserve(1)?;
        let index = self.growth.written;
        let view = self.store.view_of(index + 1);
        let chunk = view.chunks[index >> shift].load(Ordering::Relaxed);
        let offset = (index & ((1 << shift) - 1)) * stride;
        // SAFETY: as in `push`: the block is reserved, unpublished, and the writer's alone; memory is zeroed at first.
        let result = fill(unsafe { slice::from_raw_parts_mut(chunk.add(offset), stride) });
        self.growth.written += 1;
        Ok(result)
    }

    /// All that was written, published or not. Nothing is written while it is looked at.
    pub(crate) fn written(&self) -> View<'_, T> {
        self.store.view_of(self.growth.written)
    }

    /// Appends a block for each of `items`, written by `fill` on the threads of the pool that this is called on. `fill`
    /// gets blocks of zeros, or of what an abandoned write left.
    pub(crate) fn extend<S: Send>(
        &mut self,
        items: impl IndexedParallelIterator<Item = S>,
        fill: impl Fn(S, &mut [T]) + Sync,
    ) -> Result<()> {
        let Blocks { stride, shift, .. } = *self.store;
        let (first, count) = (self.growth.written, items.len());
        self.reserve(count)?;
        let view = self.store.view_of(first + count);
        items.enumerate().with_min_len(FILLED_AT_ONCE).for_each(|(position, item)| {
            let index = first + position;
            let chunk = view.chunks[index >> shift].load(Ordering::Relaxed);
            let offset = (index & ((1 << shift) - 1)) * stride;
            // SAFETY: as in `push`: the block is reserved, unpublished, and the writer's alone; and each task has another.
            fill(item, unsafe { slice::from_raw_parts_mut(chunk.add(offset), stride) });
        });
        self.growth.written += count;
        Ok(())
    }

    /// Appends `values` side by side, of a store with stride 1; where they begin. What is left of a chunk that cannot
    /// hold them is skipped, so they must be no more than a chunk holds.
    pub(crate) fn push_run(&mut self, values: &[T]) -> Result<usize> {
        let Blocks { stride, shift, .. } = *self.store;
        let chunk = 1 << shift;
        assert!(stride == 1 && values.len() <= chunk, "a run of {} in chunks of {chunk}", values.len());
        let used = self.growth.written % chunk;
        let skipped = if used + values.len() > chunk { chunk - used } else { 0 };
        self.reserve(skipped + values.len())?;
        let start = self.growth.written + skipped;
        if !values.is_empty() {
            let view = self.store.view_of(start + values.len());
            // SAFETY: as in `push`: the run lies in one chunk, which exists, and above everything that is published.
            unsafe {
                let run = view.chunks[start >> shift].load(Ordering::Relaxed).add(start % chunk);
                ptr::copy_nonoverlapping(values.as_ptr(), run, values.len());
            }
        }
        self.growth.written = start + values.len();
        Ok(start)
    }

    /// Lets readers see all that was written.
    pub(crate) fn publish(&mut self) {
        self.publish_below(self.growth.written);
    }

    /// Lets readers see what was written of the blocks below `end`.
    pub(crate) fn publish_below(&mut self, end: usize) {
        self.store.published.store(end.min(self.growth.written), Ordering::Release);
    }
}

impl<T: Zeroed> Drop for Writer<'_, T> {
    /// What was not published is forgotten.
    fn drop(&mut self) {
        self.growth.written = self.store.published.load(Ordering::Relaxed);
    }
}

impl<'a, T> View<'a, T> {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Elements of a block.
    #[inline]
    pub(crate) fn stride(&self) -> usize {
        self.stride
    }

    /// Block `index`, which must be below `len`.
    #[inline]
    pub(crate) fn block(&self, index: usize) -> &'a [T] {
        // SAFETY: `pointer` checks the index, and leads to `stride` initialised elements that nobody writes to (they
        // are published, or in a file that is mapped to be read) or that are atomics (`shared`).
        unsafe { slice::from_raw_parts(self.pointer(index), self.stride) }
    }

    /// The run of `len` values from `start` on, as [`Writer::push_run`] placed it; `None` where it cannot have placed any.
    pub(crate) fn run(&self, start: usize, len: usize) -> Option<&'a [T]> {
        if len == 0 {
            return Some(&[]);
        }
        let room = (1 << self.shift) - start % (1 << self.shift);
        if self.stride != 1 || len > room || start.checked_add(len).is_none_or(|end| end > self.len) {
            return None;
        }
        // SAFETY: `pointer` checks the start, and it was checked that the run ends in the same chunk, below `len`.
        Some(unsafe { slice::from_raw_parts(self.pointer(start), len) })
    }

    /// The file that the blocks are in, if they are in one.
    #[inline]
    pub(crate) fn mapped(&self) -> Option<&'a MappedSection> {
        self.mapped
    }

    /// To be called before block `index` is read, where it may be in a file: see [`MappedSection::touch`].
    #[inline]
    pub(crate) fn touch(&self, index: usize) {
        if let Some(section) = self.mapped {
            let bytes = self.stride * size_of::<T>();
            section.touch(index * bytes, bytes);
        }
    }

    /// As [`View::touch`], for a run.
    pub(crate) fn touch_run(&self, start: usize, len: usize) {
        if let Some(section) = self.mapped {
            section.touch(start * size_of::<T>(), len * size_of::<T>());
        }
    }

    /// As [`View::touch`], for the blocks at `indices`.
    #[inline]
    pub(crate) fn touch_all(&self, indices: &[u32]) {
        if self.mapped.is_some() {
            indices.iter().for_each(|&index| self.touch(index as usize));
        }
    }

    /// The start of block `index`, which must be below `len`; `stride` elements may be read from there while the store
    /// lives.
    #[inline]
    pub(crate) fn pointer(&self, index: usize) -> *const T {
        assert!(index < self.len, "block {index} of {}", self.len);
        // SAFETY: blocks below `len` have a chunk, and so an entry in the table that the view holds.
        let chunk = unsafe { self.chunks.get_unchecked(index >> self.shift) };
        let offset = (index & ((1 << self.shift) - 1)) * self.stride;
        // SAFETY: the chunk holds `1 << shift` blocks of `stride` elements, the last one in a file as many as are there.
        unsafe { chunk.load(Ordering::Relaxed).add(offset) }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use super::*;

    #[test]
    fn blocks_read_back_as_written_and_are_aligned() {
        let store = Blocks::<f32>::new("rows", 16);
        let mut writer = store.writer();
        for row in 0..40_000u16 {
            writer.push(&[f32::from(row), 1.0]).unwrap();
        }
        assert_eq!(store.len(), 0, "nothing is seen before it is published");
        writer.publish();
        let view = store.view();
        for row in 0..40_000u16 {
            let block = view.block(row.into());
            assert_eq!((block[0], block[1], block[2]), (f32::from(row), 1.0, 0.0));
            assert_eq!(block.as_ptr().align_offset(ALIGNMENT), 0);
        }
    }

    #[test]
    fn an_abandoned_write_leaves_nothing() {
        let store = Blocks::<f32>::new("rows", 4);
        store.writer().push(&[1.0; 4]).unwrap();
        let mut writer = store.writer();
        writer.push(&[2.0]).unwrap();
        writer.publish();
        drop(writer);
        assert_eq!(store.view().block(0), &[2.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn a_write_can_be_published_in_parts() {
        let store = Blocks::<f32>::new("rows", 1);
        let mut writer = store.writer();
        (0..5u8).for_each(|row| writer.push(&[row.into()]).unwrap());
        for (end, len) in [(2, 2), (3, 3), (9, 5)] {
            writer.publish_below(end);
            assert_eq!((store.len(), store.view().block(len - 1)[0]), (len, len as f32 - 1.0));
        }
    }

    #[test]
    fn a_view_outlives_the_growth_of_its_table() {
        let store = Blocks::<u64>::new("ids", 1 << 14);
        let mut writer = store.writer();
        writer.push(&[7]).unwrap();
        writer.publish();
        drop(writer);
        let old = store.view();
        for _ in 0..100 {
            let mut writer = store.writer();
            writer.push(&[8]).unwrap();
            writer.publish();
        }
        assert_eq!((old.len(), old.block(0)[0], store.view().block(100)[0]), (1, 7, 8));
    }

    #[test]
    fn runs_stay_in_one_chunk() {
        let store = Blocks::<u8>::new("texts", 1);
        let mut writer = store.writer();
        let starts: Vec<usize> = (0..5u8).map(|i| writer.push_run(&vec![i; 400_000]).unwrap()).collect();
        writer.publish();
        assert_eq!(starts, [0, 400_000, 1 << 20, (1 << 20) + 400_000, 2 << 20]);
        for (i, &start) in (0u8..).zip(&starts) {
            assert!(store.view().run(start, 400_000).unwrap().iter().all(|&byte| byte == i));
        }
    }

    #[test]
    fn a_refused_reservation_is_an_error() {
        let store = Blocks::<f32>::new("rows", 1 << 20);
        assert!(matches!(store.reserve(1 << 40), Err(Error::OutOfMemory { .. })));
        assert!(matches!(store.reserve(usize::MAX), Err(Error::OutOfMemory { .. })));
    }

    #[test]
    fn shared_blocks_start_as_zeros() {
        let store = Blocks::<AtomicU32>::new("links", 32);
        store.reserve(10_000).unwrap();
        let view = store.shared();
        assert!(view.len() >= 10_000);
        assert!(view.block(9_999).iter().all(|link| link.load(Ordering::Relaxed) == 0));
    }
}
