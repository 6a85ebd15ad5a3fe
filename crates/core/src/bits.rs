//! A growing set of slots that is read without locks.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::Result;
use crate::memory::room;
use crate::vectors::{Blocks, View};

pub(crate) struct Bits {
    words: Blocks<AtomicU64>,
}

impl Bits {
    pub(crate) fn new(what: &'static str) -> Self {
        Self { words: Blocks::new(what, 1) }
    }

    /// Makes room for slots below `slots`.
    pub(crate) fn reserve(&self, slots: usize) -> Result<()> {
        self.words.reserve(slots.div_ceil(64))
    }

    /// Adds `slot`, for which there must be room.
    pub(crate) fn set(&self, slot: u32) {
        self.words.shared().block(slot as usize / 64)[0].fetch_or(1 << (slot % 64), Ordering::AcqRel);
    }

    pub(crate) fn view(&self) -> BitsView<'_> {
        BitsView { words: self.words.shared() }
    }
}

/// The slots that there was room for when it was taken; their bits are always the newest.
#[derive(Clone, Copy)]
pub(crate) struct BitsView<'a> {
    words: View<'a, AtomicU64>,
}

impl BitsView<'_> {
    #[inline]
    pub(crate) fn get(&self, slot: u32) -> bool {
        self.word(slot as usize / 64) >> (slot % 64) & 1 == 1
    }

    /// The bits of slots `64 * index` to `64 * index + 63`.
    #[inline]
    pub(crate) fn word(&self, index: usize) -> u64 {
        self.words.block(index)[0].load(Ordering::Acquire)
    }

    /// A copy of the words of the slots below `slots`; `what` names it where memory is refused.
    pub(crate) fn words(&self, what: &'static str, slots: usize) -> Result<Vec<u64>> {
        let mut words = room(what, slots.div_ceil(64))?;
        words.extend((0..slots.div_ceil(64)).map(|index| self.word(index)));
        Ok(words)
    }

    /// Slots of the set in `slots`.
    pub(crate) fn count(&self, slots: std::ops::Range<usize>) -> usize {
        let words = slots.start / 64..slots.end.div_ceil(64);
        let within = |index: usize| {
            let low = slots.start.saturating_sub(index * 64).min(64);
            let high = (slots.end - index * 64).min(64);
            let below = |bits: usize| {
                if bits == 64 { u64::MAX } else { (1 << bits) - 1 }
            };
            below(high) & !below(low)
        };
        words.map(|index| (self.word(index) & within(index)).count_ones() as usize).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_set_and_counted() {
        let bits = Bits::new("bits");
        bits.reserve(1_000).unwrap();
        for slot in (0..1_000).step_by(3) {
            bits.set(slot);
        }
        let view = bits.view();
        for (start, end) in [(0, 0), (0, 1), (0, 64), (1, 64), (5, 700), (64, 128), (63, 65), (999, 1_000)] {
            let expected = (start..end).filter(|slot| slot % 3 == 0).count();
            assert_eq!(view.count(start..end), expected, "{start}..{end}");
        }
        assert!(view.get(999) && !view.get(998));
    }
}
