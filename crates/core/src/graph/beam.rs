//! The candidate list of a search: a sorted array with a cursor at the nearest node that was not expanded yet.
//!
//! For the sizes in use (up to a few hundred) it beats the two heaps of the paper's Algorithm 2: an insertion is a
//! binary search and a short move, and nothing is ever popped.

use crate::error::{Error, Result};
use crate::topk::Key;

#[derive(Default)]
pub(crate) struct Beam {
    /// Sorted; a key is marked once its node was expanded.
    keys: Vec<Key>,
    capacity: usize,
    /// All keys before it are marked.
    cursor: usize,
}

impl Beam {
    /// Starts anew, for the nearest `ef` of `nodes`.
    pub(crate) fn reset(&mut self, ef: usize, nodes: usize) -> Result<()> {
        self.keys.clear();
        let keys = ef.min(nodes);
        let refused = |_| Error::OutOfMemory { what: "a search", bytes: keys * size_of::<Key>() };
        self.keys.try_reserve(keys).map_err(refused)?;
        self.capacity = ef;
        self.cursor = 0;
        Ok(())
    }

    /// Takes `key` in if it is among the nearest; its position then.
    #[inline]
    pub(crate) fn insert(&mut self, key: Key) -> Option<usize> {
        if self.keys.len() == self.capacity {
            if self.keys.last().is_none_or(|&last| key > last) {
                return None;
            }
            self.keys.pop();
        }
        let position = self.keys.partition_point(|&other| other < key);
        self.keys.insert(position, key);
        self.cursor = self.cursor.min(position);
        Some(position)
    }

    /// Keeps the nearest `ef`.
    pub(crate) fn narrow(&mut self, ef: usize) {
        self.keys.truncate(ef);
        self.capacity = ef;
        self.cursor = self.cursor.min(self.keys.len());
    }

    /// The nearest node that was not expanded, marking it as expanded.
    #[inline]
    pub(crate) fn pop(&mut self) -> Option<Key> {
        while let Some(key) = self.keys.get_mut(self.cursor) {
            self.cursor += 1;
            if !key.is_marked() {
                let popped = *key;
                *key = key.marked();
                return Some(popped);
            }
        }
        None
    }

    /// What [`Beam::pop`] will return next and after that, if nothing nearer is inserted before.
    #[inline]
    pub(crate) fn peek_two(&self) -> [Option<Key>; 2] {
        let mut others =
            self.keys.get(self.cursor..).unwrap_or_default().iter().filter(|key| !key.is_marked()).copied();
        [others.next(), others.next()]
    }

    /// Where [`Beam::pop`] goes on looking.
    #[inline]
    pub(crate) fn cursor(&self) -> usize {
        self.cursor
    }

    /// The `count`-th nearest.
    #[inline]
    pub(crate) fn nth(&self, count: usize) -> Option<Key> {
        self.keys.get(count.checked_sub(1)?).copied()
    }

    /// Nearest first; marked ones were expanded.
    pub(crate) fn keys(&self) -> &[Key] {
        &self.keys
    }

    pub(crate) fn is_full(&self) -> bool {
        self.keys.len() == self.capacity
    }

    /// What a key must not exceed to be taken in.
    #[inline]
    pub(crate) fn bound(&self) -> Key {
        match self.keys.last() {
            Some(&last) if self.is_full() => last,
            _ => Key::MAX,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pops_in_order_and_keeps_the_nearest() {
        let mut beam = Beam::default();
        beam.reset(3, 5).unwrap();
        for (distance, slot) in [(4.0, 4), (2.0, 2), (3.0, 3)] {
            assert!(beam.insert(Key::new(distance, slot)).is_some());
        }
        assert_eq!(beam.pop().map(Key::slot), Some(2));
        assert_eq!(beam.insert(Key::new(5.0, 5)), None);
        assert_eq!(beam.insert(Key::new(1.0, 1)), Some(0));
        assert_eq!(beam.pop().map(Key::slot), Some(1));
        assert_eq!(beam.pop().map(Key::slot), Some(3));
        assert_eq!(beam.pop(), None);
        let slots: Vec<u32> = beam.keys().iter().map(|key| key.slot()).collect();
        assert_eq!(slots, [1, 2, 3]);
    }

    #[test]
    fn a_beam_is_narrowed_to_the_nearest() {
        let mut beam = Beam::default();
        beam.reset(4, 5).unwrap();
        (0..4).for_each(|slot| _ = beam.insert(Key::new(slot as f32, slot)));
        (0..4).for_each(|_| _ = beam.pop());
        beam.narrow(5);
        assert!(!beam.is_full() && beam.keys().len() == 4);
        beam.narrow(2);
        let slots: Vec<u32> = beam.keys().iter().map(|key| key.slot()).collect();
        assert!(beam.is_full() && slots == [0, 1] && beam.cursor() == 2);
    }
}
