//! A set of slots, asked for by searches.

use std::ops::Range;

use roaring::RoaringBitmap;

use crate::error::{Error, Result};

/// A set with at least one slot in so many has a plain bitset too, which is then about as large as the compressed one.
const DENSE: u64 = 64;

/// Slots, compressed, and where they are dense as a plain bitset too: a search of a graph asks for thousands.
#[derive(Default)]
pub(crate) struct SlotSet {
    slots: RoaringBitmap,
    /// Empty unless the slots are dense.
    words: Vec<u64>,
}

impl SlotSet {
    /// Those of `slots`, an index's first `len`.
    pub(super) fn of(slots: impl Iterator<Item = u32>, len: usize) -> Result<Self> {
        let mut set = Self::default();
        set.extend(slots, len)?;
        Ok(set)
    }

    /// Adds slots of an index that has `len` by now.
    pub(super) fn extend(&mut self, slots: impl Iterator<Item = u32>, len: usize) -> Result<()> {
        self.slots.extend(slots);
        if self.slots.len() * DENSE < len as u64 {
            self.words = Vec::new();
            return Ok(());
        }
        let words = len.div_ceil(64);
        let refused = |_| Error::OutOfMemory { what: "an id set", bytes: words * size_of::<u64>() };
        // The last word may have been of fewer slots.
        let first = self.words.len().saturating_sub(1) * 64;
        self.words.try_reserve(words.saturating_sub(self.words.len())).map_err(refused)?;
        self.words.resize(words, 0);
        self.slots.range(first as u32..).for_each(|slot| self.words[slot as usize / 64] |= 1 << (slot % 64));
        Ok(())
    }

    pub(crate) fn len(&self) -> u64 {
        self.slots.len()
    }

    #[inline]
    pub(crate) fn contains(&self, slot: u32) -> bool {
        match self.words.get(slot as usize / 64) {
            Some(word) => word >> (slot % 64) & 1 == 1,
            None => self.slots.contains(slot),
        }
    }

    /// How many there are among `slots`.
    pub(crate) fn count(&self, slots: Range<u32>) -> usize {
        self.slots.range_cardinality(slots) as usize
    }

    /// Those among `slots`, in order.
    pub(crate) fn range(&self, slots: Range<u32>) -> roaring::bitmap::Iter<'_> {
        self.slots.range(slots)
    }

    /// All, in order.
    pub(super) fn iter(&self) -> roaring::bitmap::Iter<'_> {
        self.slots.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dense_and_sparse_sets_hold_the_same() {
        for step in [1, 3, 63, 64, 65, 500] {
            let mut set = SlotSet::default();
            // Grown unevenly, so that its last word is often of fewer than 64 slots.
            let mut len = 0;
            while len < 5_000 {
                let end = (len + 1 + len * 37 % 211).min(5_000);
                set.extend((len as u32..end as u32).filter(|slot| slot % step == 0), end).unwrap();
                len = end;
            }
            assert_eq!(set.words.is_empty(), step > 64, "step {step}");
            assert!((0..6_000).all(|slot| set.contains(slot) == (slot < 5_000 && slot % step == 0)), "step {step}");
            assert_eq!(set.count(10..1_000), (10..1_000).filter(|slot| slot % step == 0).count());
        }
    }
}
