//! Which rows a compaction takes away, and which slots the others have afterwards.

use crate::bits::BitsView;
use crate::error::Result;
use crate::memory::room;

/// Decided on between two writes: the rows that are removed then go, whatever becomes of the others until it is done. So
/// what comes of it does not depend on how fast it is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Compaction {
    /// Slots that there were.
    end: usize,
    /// A bit for each of them that goes, in words of 64.
    gone: Vec<u64>,
    /// By word, how many slots before it stay.
    before: Vec<u32>,
    /// How many of them stay.
    stays: usize,
    /// Slots below it, afterwards, are for a graph to serve.
    graph: usize,
}

impl Compaction {
    /// Of the slots below `end`, of which those of `removed` go. A graph is to serve what is left of those below `served`.
    pub(crate) fn of(removed: BitsView<'_>, end: usize, served: usize) -> Result<Self> {
        Ok(Self::new(removed.words("a compaction", end)?, end)?.serving(served))
    }

    fn new(gone: Vec<u64>, end: usize) -> Result<Self> {
        let mut before = room("a compaction", gone.len())?;
        let mut stays = 0;
        for (word, gone) in gone.iter().enumerate() {
            before.push(stays as u32);
            stays += 64.min(end - word * 64) - gone.count_ones() as usize;
        }
        Ok(Self { end, gone, before, stays, graph: 0 })
    }

    fn serving(self, served: usize) -> Self {
        Self { graph: self.place(served.min(self.end)), ..self }
    }

    /// The slots that it looks at are below.
    pub(crate) fn end(&self) -> usize {
        self.end
    }

    /// How many of them stay.
    pub(crate) fn stays(&self) -> usize {
        self.stays
    }

    /// Slots below it, afterwards, are for a graph to serve.
    pub(crate) fn graph(&self) -> usize {
        self.graph
    }

    /// A bit for each slot that goes, in words of 64.
    pub(crate) fn gone(&self) -> &[u64] {
        &self.gone
    }

    pub(crate) fn takes(&self, slot: usize) -> bool {
        self.gone.get(slot / 64).is_some_and(|word| word >> (slot % 64) & 1 == 1)
    }

    /// How many of the slots below `slot` stay: afterwards, the slot of what is there, if it stays.
    pub(crate) fn place(&self, slot: usize) -> usize {
        if slot >= self.end {
            return self.stays + (slot - self.end);
        }
        let below = (1u64 << (slot % 64)) - 1;
        self.before[slot / 64] as usize + (!self.gone[slot / 64] & below).count_ones() as usize
    }

    /// The same decision, in terms of the slots that rows have after `earlier`, which was decided on before.
    pub(crate) fn after(&self, earlier: &Self) -> Result<Self> {
        let end = earlier.place(self.end);
        let mut gone = room("a compaction", end.div_ceil(64))?;
        gone.resize(end.div_ceil(64), 0u64);
        for (word, &bits) in self.gone.iter().enumerate() {
            let mut more = bits & !earlier.gone.get(word).copied().unwrap_or(0);
            while more != 0 {
                let place = earlier.place(word * 64 + more.trailing_zeros() as usize);
                gone[place / 64] |= 1 << (place % 64);
                more &= more - 1;
            }
        }
        Ok(Self { graph: self.graph, ..Self::new(gone, end)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bits::Bits;

    fn compaction(end: usize, gone: impl Iterator<Item = usize>, served: usize) -> Compaction {
        let removed = Bits::new("bits");
        removed.reserve(end).unwrap();
        gone.for_each(|slot| removed.set(slot as u32));
        Compaction::of(removed.view(), end, served).unwrap()
    }

    #[test]
    fn what_stays_moves_together_in_its_order() {
        for end in [0, 1, 63, 64, 65, 1_000] {
            let compaction = compaction(end, (0..end).filter(|slot| slot % 3 == 1 || slot / 64 == 2), end / 2);
            let staying: Vec<usize> = (0..end).filter(|&slot| !compaction.takes(slot)).collect();
            assert_eq!(staying.len(), compaction.stays());
            assert!((0..).zip(&staying).all(|(place, &slot)| compaction.place(slot) == place), "{end} slots");
            assert_eq!(compaction.graph(), staying.iter().filter(|&&slot| slot < end / 2).count());
            assert_eq!(compaction.place(end + 5), compaction.stays() + 5);
            assert!(!compaction.takes(end));
        }
    }

    #[test]
    fn a_later_one_is_the_same_after_an_earlier_one() {
        let earlier = compaction(1_000, (0..1_000).filter(|slot| slot % 4 == 0), 1_000);
        let is_gone = |slot: usize| slot.is_multiple_of(4) || slot % 7 == 3;
        let later =
            compaction(1_300, (0..1_300).filter(|&slot| is_gone(slot) && (slot < 1_000 || slot % 7 == 3)), 1_300);
        let after = later.after(&earlier).unwrap();
        for slot in (0..1_300).filter(|&slot| !earlier.takes(slot)) {
            assert_eq!(after.takes(earlier.place(slot)), later.takes(slot), "slot {slot}");
            if !later.takes(slot) {
                assert_eq!(after.place(earlier.place(slot)), later.place(slot));
            }
        }
        assert_eq!((after.stays(), after.graph()), (later.stays(), later.graph()));
        assert_eq!(after.end(), earlier.place(1_300));
    }
}
