//! Distances and slots as one sortable number, and the nearest `k` of a stream of them.

use crate::error::{Error, Result};

/// Keys that are kept beyond twice as many as are wanted, before the nearest are selected.
const SPARE: usize = 32;

/// A slot with its distance, ordered by distance, then slot: insertion order breaks ties.
///
/// The bits of the distance are mapped to an unsigned number of the same order, above the slot's 31 bits and a spare
/// one, which is 0 but for [`Key::marked`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key(u64);

impl Key {
    /// Greater than every other key.
    pub(crate) const MAX: Self = Self(u64::MAX);

    #[inline]
    pub(crate) fn new(distance: f32, slot: u32) -> Self {
        let bits = distance.to_bits();
        let flip = ((bits as i32 >> 31) as u32) | 0x8000_0000;
        Self(u64::from(bits ^ flip) << 32 | u64::from(slot) << 1)
    }

    #[inline]
    pub(crate) fn slot(self) -> u32 {
        self.0 as u32 >> 1
    }

    #[inline]
    pub(crate) fn distance(self) -> f32 {
        let ordered = (self.0 >> 32) as u32;
        let flip = (!(ordered as i32 >> 31)) as u32 | 0x8000_0000;
        f32::from_bits(ordered ^ flip)
    }

    /// The same key with its spare bit set.
    #[inline]
    pub(crate) fn marked(self) -> Self {
        Self(self.0 | 1)
    }

    #[inline]
    pub(crate) fn is_marked(self) -> bool {
        self.0 & 1 == 1
    }
}

/// The nearest `k` of what is pushed.
///
/// Keeps a buffer of a few more than `k` and cuts it to `k` by selection whenever it is full: linear time for any `k`.
#[derive(Default)]
pub(crate) struct TopK {
    k: usize,
    keys: Vec<Key>,
    bound: Option<Key>,
}

impl TopK {
    pub(crate) fn of(k: usize) -> Self {
        Self { k, ..Self::default() }
    }

    /// Forgets everything and starts anew.
    pub(crate) fn reset(&mut self, k: usize) {
        self.k = k;
        self.keys.clear();
        self.bound = None;
    }

    /// Makes room for all that it ever holds, so that pushing cannot fail. Before the first push.
    pub(crate) fn reserve(&mut self) -> Result<()> {
        let keys = self.k.saturating_mul(2).saturating_add(SPARE);
        let refused = |_| Error::OutOfMemory { what: "a search", bytes: keys.saturating_mul(size_of::<Key>()) };
        self.keys.try_reserve(keys).map_err(refused)
    }

    /// What a key must be below to matter.
    #[inline]
    pub(crate) fn bound(&self) -> Key {
        self.bound.unwrap_or(Key::MAX)
    }

    #[inline]
    pub(crate) fn push(&mut self, key: Key) {
        if key < self.bound() {
            self.keys.push(key);
            if self.keys.len() >= 2 * self.k + SPARE {
                self.cut();
            }
        }
    }

    /// The nearest, nearest first.
    pub(crate) fn sorted(&mut self) -> &[Key] {
        self.cut();
        self.keys.sort_unstable();
        &self.keys
    }

    fn cut(&mut self) {
        if self.k == 0 {
            self.keys.clear();
        } else if self.keys.len() > self.k {
            let (_, &mut last, _) = self.keys.select_nth_unstable(self.k - 1);
            self.keys.truncate(self.k);
            self.bound = Some(last);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_sort_by_distance_then_slot() {
        let distances = [f32::MIN, -1.5, -0.0, 0.0, 1e-45, 2.0, f32::INFINITY];
        let mut keys: Vec<Key> = distances.iter().flat_map(|&d| [Key::new(d, 7), Key::new(d, 1 << 30)]).collect();
        let sorted = keys.clone();
        keys.reverse();
        keys.sort_unstable();
        assert_eq!(keys, sorted);
        for (key, distance) in keys.iter().step_by(2).zip(distances) {
            assert_eq!((key.distance(), key.slot(), key.is_marked()), (distance, 7, false));
            assert_eq!((key.marked().distance(), key.marked().slot(), key.marked().is_marked()), (distance, 7, true));
        }
    }

    #[test]
    fn the_nearest_are_kept() {
        for k in [1, 2, 10, 500, 2_000] {
            let mut top = TopK::default();
            top.reset(k);
            let keys: Vec<Key> = (0..1_000u32).map(|i| Key::new((i * 7_919 % 1_000) as f32 / 10.0, i)).collect();
            keys.iter().for_each(|&key| top.push(key));
            let mut expected = keys.clone();
            expected.sort_unstable();
            expected.truncate(k);
            assert_eq!(top.sorted(), expected);
        }
    }
}
