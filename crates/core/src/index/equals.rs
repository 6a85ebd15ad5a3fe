//! Rows with equal vectors: one of them, the leader, is a node of the graph; the others hang on it.
//!
//! Thousands of equal rows would fill the lists of their neighbors and the beams of searches, so that a row that is
//! nearer, but for them, is never met. So a row that equals an earlier one becomes no node. Where a search returns a
//! leader it returns its group.

use hashbrown::HashTable;
use parking_lot::{Mutex, RwLock};
use roaring::RoaringBitmap;
use rustc_hash::FxHashMap;
use xxhash_rust::xxh3::xxh3_64;

use crate::bits::{Bits, BitsView};
use crate::error::{Error, Result};
use crate::vectors::RowsView;

pub(crate) struct Equals {
    /// Every leader by the hash of its values. Only writers use it.
    leaders: Mutex<HashTable<Leader>>,
    /// Slots that equal an earlier one.
    followers: Bits,
    /// Leaders that have a group.
    leading: Bits,
    /// By leader, its live followers.
    groups: RwLock<FxHashMap<u32, RoaringBitmap>>,
}

struct Leader {
    /// The upper half of the hash: enough to grow the table without reading rows.
    hash: u32,
    slot: u32,
}

impl Equals {
    pub(crate) fn new() -> Self {
        Self {
            leaders: Mutex::default(),
            followers: Bits::new("vectors"),
            leading: Bits::new("vectors"),
            groups: RwLock::default(),
        }
    }

    /// Makes room for `more` slots after `len`, so that entering them cannot fail.
    pub(crate) fn reserve(&self, len: usize, more: usize) -> Result<()> {
        self.followers.reserve(len + more)?;
        self.leading.reserve(len + more)?;
        let refused = |_| Error::OutOfMemory { what: "vectors", bytes: more * size_of::<Leader>() };
        self.leaders.lock().try_reserve(more, |leader| spread(leader.hash)).map_err(refused)
    }

    /// Enters `slot`, whose row is written (`rows` leads to it), as a leader or as a follower of an earlier one.
    pub(crate) fn enter(&self, slot: u32, rows: RowsView<'_>) {
        let hash = hash(rows.given(slot));
        let mut leaders = self.leaders.lock();
        let equal = |leader: &Leader| leader.hash == hash && rows.given(leader.slot) == rows.given(slot);
        match leaders.find(spread(hash), equal) {
            None => {
                leaders.insert_unique(spread(hash), Leader { hash, slot }, |leader| spread(leader.hash));
            }
            Some(&Leader { slot: leader, .. }) => {
                self.groups.write().entry(leader).or_default().insert(slot);
                self.leading.set(leader);
                self.followers.set(slot);
            }
        }
    }

    /// Takes `slot` out of its group, if it follows. A leader stays: its node leads to the others.
    pub(crate) fn take_out(&self, slot: u32, rows: RowsView<'_>) {
        if !self.followers.view().get(slot) {
            return;
        }
        let hash = hash(rows.given(slot));
        let leaders = self.leaders.lock();
        let equal = |leader: &Leader| leader.hash == hash && rows.given(leader.slot) == rows.given(slot);
        if let Some(leader) = leaders.find(spread(hash), equal)
            && let Some(group) = self.groups.write().get_mut(&leader.slot)
        {
            group.remove(slot);
        }
    }

    /// Slots that are no nodes, since an earlier one equals them.
    pub(crate) fn followers(&self) -> BitsView<'_> {
        self.followers.view()
    }

    /// Slots that lead a group.
    pub(crate) fn leading(&self) -> BitsView<'_> {
        self.leading.view()
    }

    /// The live slots that follow `leader`, in insertion order, as long as `visit` returns true.
    pub(crate) fn visit_group(&self, leader: u32, mut visit: impl FnMut(u32) -> bool) {
        if let Some(group) = self.groups.read().get(&leader) {
            let _ = group.iter().all(&mut visit);
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        // One lock after the other: writers take the leaders' first and hold both.
        let leaders = self.leaders.lock().allocation_size();
        let followers: usize = self.groups.read().values().map(RoaringBitmap::serialized_size).sum();
        leaders + followers
    }
}

/// The hash of a row's values; −0 counts as 0, to which it is equal.
fn hash(values: &[f32]) -> u32 {
    const GROUP: usize = 64;
    let mut bytes = [0; GROUP * size_of::<f32>()];
    let mut hash = 0;
    for values in values.chunks(GROUP) {
        let mut end = 0;
        for value in values {
            bytes[end..end + 4].copy_from_slice(&(value + 0.0).to_le_bytes());
            end += 4;
        }
        hash = xxh3_64(&bytes[..end]).wrapping_add(u64::rotate_left(hash, 5).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    }
    (hash >> 32) as u32
}

/// A table's hash from a leader's: the table looks at the highest and the lowest bits.
fn spread(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Metric;
    use crate::vectors::{Rows, Space};

    #[test]
    fn equal_rows_follow_the_first_of_them() {
        let rows = Rows::new(Space::new(Metric::L2, 2));
        let mut writer = rows.writer();
        let values = [[1.0, 0.0], [2.0, 0.0], [1.0, -0.0], [1.0, 0.0], [2.0, 1.0]];
        values.iter().for_each(|row| writer.push(row).unwrap());
        writer.publish();
        let equals = Equals::new();
        equals.reserve(0, 5).unwrap();
        (0..5).for_each(|slot| equals.enter(slot, rows.view()));
        let group = |leader| {
            let mut group = Vec::new();
            equals.visit_group(leader, |slot| {
                group.push(slot);
                true
            });
            group
        };
        assert_eq!((group(0), group(1)), (vec![2, 3], vec![]));
        assert!(equals.leading().get(0) && !equals.leading().get(1));
        assert!(equals.followers().get(3) && !equals.followers().get(0));
        equals.take_out(2, rows.view());
        equals.take_out(0, rows.view());
        assert_eq!(group(0), [3]);
    }
}
