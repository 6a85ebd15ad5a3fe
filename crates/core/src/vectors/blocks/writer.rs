//! Appending blocks.
#![allow(unsafe_code)]

use std::ptr;
use std::slice;
use std::sync::atomic::Ordering;

use parking_lot::MutexGuard;
use rayon::prelude::*;

use super::{Blocks, Growth, View};
use crate::error::Result;
use crate::pools::give_way;
use crate::vectors::elements::Zeroed;

/// Blocks that one task writes at least.
const FILLED_AT_ONCE: usize = 64;
/// Bytes that a task writes before it gives way to queries: to make those of codes takes some tens of microseconds.
const BYTES_AT_ONCE: usize = 1 << 15;

/// Appends blocks. Nothing that it wrote is seen by readers before [`Writer::publish`].
pub(crate) struct Writer<'a, T: Zeroed> {
    pub(super) store: &'a Blocks<T>,
    pub(super) growth: MutexGuard<'a, Growth<T>>,
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
        let unit = (BYTES_AT_ONCE / (stride * size_of::<T>())).max(1);
        items.enumerate().with_min_len(FILLED_AT_ONCE).for_each(|(position, item)| {
            if position.is_multiple_of(unit) {
                give_way();
            }
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
