//! Reading blocks.
#![allow(unsafe_code)]

use std::marker::PhantomData;
use std::slice;
use std::sync::atomic::{AtomicPtr, Ordering};

use crate::storage::MappedSection;

/// What of a store may be read: blocks below `len`.
pub(crate) struct View<'a, T> {
    pub(super) chunks: &'a [AtomicPtr<T>],
    pub(super) shift: u32,
    pub(super) stride: usize,
    pub(super) len: usize,
    /// The file that the blocks are in, which looks at them when they are touched.
    pub(super) mapped: Option<&'a MappedSection>,
    pub(super) _store: PhantomData<&'a T>,
}

impl<T> Clone for View<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for View<'_, T> {}

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
