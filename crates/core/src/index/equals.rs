//! Rows with equal vectors: one of them, the leader, is a node of the graph; the others hang on it.
//!
//! Thousands of equal rows would fill the lists of their neighbors and the beams of searches, so that a row that is
//! nearer, but for them, is never met. So a row that equals an earlier one becomes no node. Where a search returns a
//! leader it returns its group.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use hashbrown::HashTable;
use parking_lot::{Mutex, RwLock};
use roaring::RoaringBitmap;
use rustc_hash::FxHashMap;
use xxhash_rust::xxh3::xxh3_64;

use crate::bits::{Bits, BitsView};
use crate::distance::{Dtype, half};
use crate::error::{Error, Result};
use crate::memory::room;
use crate::vectors::{RowsView, Space};
use crate::work::Work;

pub(crate) struct Equals {
    /// Every leader by the hash of its values. Only writers use it.
    leaders: Mutex<HashTable<Leader>>,
    /// Slots that equal an earlier one.
    followers: Bits,
    /// Leaders that have a group.
    leading: Bits,
    /// By leader, its live followers.
    groups: RwLock<FxHashMap<u32, RoaringBitmap>>,
    /// Live followers.
    following: AtomicUsize,
}

#[derive(Clone, Copy)]
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
            following: AtomicUsize::new(0),
        }
    }

    /// Makes room for `more` slots after `len`, so that entering them cannot fail.
    pub(crate) fn reserve(&self, len: usize, more: usize) -> Result<()> {
        self.followers.reserve(len + more)?;
        self.leading.reserve(len + more)?;
        let refused = |_| Error::OutOfMemory { what: "vectors", bytes: more * size_of::<Leader>() };
        self.leaders.lock().try_reserve(more, |leader| spread(leader.hash)).map_err(refused)
    }

    /// Finds out which of `slots`, for which there is room, equal earlier ones; `rows` has all slots up to them. Nobody
    /// sees any of it before it is entered.
    pub(crate) fn find(&self, slots: Range<u32>, rows: RowsView<'_>, work: &Work) -> Result<Found<'_>> {
        self.find_by(|slot| hash(rows, slot), slots, rows, work)
    }

    /// As [`Equals::find`], where the hashes of the rows are known.
    pub(crate) fn find_by(
        &self,
        hash: impl Fn(u32) -> u32,
        slots: Range<u32>,
        rows: RowsView<'_>,
        work: &Work,
    ) -> Result<Found<'_>> {
        let mut found = Found { equals: self, new: slots.clone(), places: Vec::new(), is_entered: false };
        let refused = |_| Error::OutOfMemory { what: "vectors", bytes: slots.len() * size_of::<Leader>() };
        found.places.try_reserve_exact(slots.len()).map_err(refused)?;
        let mut leaders = self.leaders.lock();
        let leading = self.leading.view();
        let mut groups = 0;
        for slot in slots {
            work.check()?;
            let own = Leader { hash: hash(slot), slot };
            let equal = |leader: &Leader| leader.hash == own.hash && rows.are_equal(leader.slot, slot);
            let place = leaders.find(spread(own.hash), equal).copied().unwrap_or(own);
            if place.slot == slot {
                leaders.insert_unique(spread(own.hash), own, |leader| spread(leader.hash));
            } else {
                groups += usize::from(!leading.get(place.slot));
            }
            found.places.push(place);
        }
        let refused = |_| Error::OutOfMemory { what: "vectors", bytes: groups * size_of::<(u32, RoaringBitmap)>() };
        self.groups.write().try_reserve(groups).map_err(refused)?;
        Ok(found)
    }

    /// Takes `slot` out of its group, if it follows one. A leader stays: its node leads to the others.
    pub(crate) fn take_out(&self, slot: u32, rows: RowsView<'_>) {
        if !self.followers.view().get(slot) {
            return;
        }
        let hash = hash(rows, slot);
        let leaders = self.leaders.lock();
        // A leader comes before its followers; those that come after may be of rows that are not published yet.
        let is_equal = |leader: u32| leader < slot && rows.are_equal(leader, slot);
        let equal = |leader: &Leader| leader.hash == hash && is_equal(leader.slot);
        if let Some(leader) = leaders.find(spread(hash), equal)
            && let Some(group) = self.groups.write().get_mut(&leader.slot)
        {
            self.following.fetch_sub(usize::from(group.remove(slot)), Ordering::Relaxed);
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

    /// Whether any live slot follows a leader.
    pub(crate) fn has_groups(&self) -> bool {
        self.following.load(Ordering::Relaxed) > 0
    }

    /// The live slots that follow `leader`, in insertion order, as long as `visit` returns true.
    pub(crate) fn visit_group(&self, leader: u32, mut visit: impl FnMut(u32) -> bool) {
        if let Some(group) = self.groups.read().get(&leader) {
            let _ = group.iter().all(&mut visit);
        }
    }

    /// The live slots that follow others, each behind its leader, in this order.
    pub(crate) fn pairs(&self) -> Result<Vec<u64>> {
        let groups = self.groups.read();
        let mut pairs = room("vectors", groups.values().map(|group| group.len() as usize).sum())?;
        for (&leader, group) in groups.iter() {
            pairs.extend(group.iter().map(|slot| u64::from(leader) << 32 | u64::from(slot)));
        }
        pairs.sort_unstable();
        Ok(pairs)
    }

    /// Enters what [`Equals::pairs`] gave of the slots below `len`, where nothing is added any more: rows are not compared.
    pub(crate) fn restore(&self, len: usize, pairs: impl Iterator<Item = (u32, u32)>) -> Result<()> {
        self.reserve(len, 0)?;
        let mut groups = self.groups.write();
        for (leader, slot) in pairs {
            let refused = |_| Error::OutOfMemory { what: "vectors", bytes: size_of::<(u32, RoaringBitmap)>() };
            groups.try_reserve(1).map_err(refused)?;
            groups.entry(leader).or_default().insert(slot);
            self.leading.set(leader);
            self.followers.set(slot);
            self.following.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Bytes that it takes, about. Followers are counted, since their groups may be many.
    pub(crate) fn bytes(&self) -> usize {
        let leaders = self.leaders.lock().allocation_size();
        let groups = self.groups.read().capacity() * size_of::<(u32, RoaringBitmap)>();
        leaders + groups + self.following.load(Ordering::Relaxed) * size_of::<u16>()
    }
}

/// Which of some new slots lead and which follow. Forgotten if it is not entered.
pub(crate) struct Found<'a> {
    equals: &'a Equals,
    new: Range<u32>,
    /// By slot, its leader: itself, if no earlier one equals it.
    places: Vec<Leader>,
    is_entered: bool,
}

impl Found<'_> {
    /// Whether `slot` is a new one that equals an earlier one.
    pub(crate) fn follows(&self, slot: u32) -> bool {
        let place = slot.checked_sub(self.new.start).and_then(|place| self.places.get(place as usize));
        place.is_some_and(|leader| leader.slot != slot)
    }

    /// Lets others see it, when the rows can be seen. Cannot fail but for a bitmap of a few KiB.
    pub(crate) fn enter(mut self) {
        self.is_entered = true;
        let Equals { followers, leading, groups, following, .. } = self.equals;
        for (slot, leader) in self.new.clone().zip(&self.places).filter(|(slot, leader)| *slot != leader.slot) {
            groups.write().entry(leader.slot).or_default().insert(slot);
            leading.set(leader.slot);
            followers.set(slot);
            following.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Found<'_> {
    fn drop(&mut self) {
        if self.is_entered {
            return;
        }
        let mut leaders = self.equals.leaders.lock();
        for (slot, place) in self.new.clone().zip(&self.places).filter(|(slot, place)| *slot == place.slot) {
            if let Ok(entry) = leaders.find_entry(spread(place.hash), |leader| leader.slot == slot) {
                entry.remove();
            }
        }
    }
}

/// The hash of a row.
fn hash(rows: RowsView<'_>, slot: u32) -> u32 {
    hash_of(rows.space(), rows.bytes(slot))
}

/// The hash of the row whose bytes `row` begins with.
pub(crate) fn hash_of(space: &Space, row: &[u8]) -> u32 {
    let (dtype, dimensions) = (space.dtype(), space.dimensions());
    let row = &row[..dimensions * dtype.bytes()];
    match dtype {
        Dtype::F32 => hash_of_values(row.as_chunks().0, f32::from_ne_bytes),
        Dtype::F16 => hash_of_values(row.as_chunks().0, |bytes| half::value(u16::from_ne_bytes(bytes))),
        Dtype::I8 | Dtype::U8 => (xxh3_64(row) >> 32) as u32,
    }
}

/// −0 counts as 0, to which it is equal.
fn hash_of_values<const N: usize>(row: &[[u8; N]], value: impl Fn([u8; N]) -> f32) -> u32 {
    const GROUP: usize = 64;
    let mut bytes = [[0; size_of::<f32>()]; GROUP];
    let mut hash = 0;
    for values in row.chunks(GROUP) {
        bytes.iter_mut().zip(values).for_each(|(bytes, &stored)| *bytes = (value(stored) + 0.0).to_le_bytes());
        let group = xxh3_64(bytes[..values.len()].as_flattened());
        hash = group.wrapping_add(u64::rotate_left(hash, 5).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    }
    (hash >> 32) as u32
}

/// A table's hash from a leader's: the table looks at the highest and the lowest bits.
fn spread(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    use super::*;
    use crate::options::Metric;
    use crate::vectors::Rows;

    #[test]
    fn equal_rows_follow_the_first_of_them() {
        [Dtype::F32, Dtype::F16].into_iter().for_each(check_equal_rows);
    }

    fn check_equal_rows(dtype: Dtype) {
        let rows = Rows::new(Space::new(Metric::L2, 2).keeping(dtype));
        let mut writer = rows.writer();
        let values = [[1.0f32, 0.0], [2.0, 0.0], [1.0, -0.0], [1.0, 0.0], [2.0, 1.0]];
        values.iter().for_each(|row| writer.push(row).unwrap());
        writer.publish();
        let equals = Equals::new();
        equals.reserve(0, 5).unwrap();
        let view = rows.view();
        drop(equals.find(0..5, view, &Work::default()).unwrap());
        assert_eq!(equals.leaders.lock().len(), 0, "forgotten");
        for slots in [0..2, 2..5] {
            equals.find(slots, view, &Work::default()).unwrap().enter();
        }
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
        assert_eq!((group(0), equals.following.load(Ordering::Relaxed)), (vec![3], 1));
    }

    #[test]
    fn a_cancelled_look_for_equals_leaves_nothing() {
        let rows = Rows::new(Space::new(Metric::L2, 1));
        let mut writer = rows.writer();
        (0..1_000u16).for_each(|row| writer.push(&[f32::from(row)]).unwrap());
        let equals = Equals::new();
        equals.reserve(0, 1_000).unwrap();
        let cancelled = Arc::new(AtomicBool::new(true));
        let work = Work { cancelled: Some(cancelled), ..Work::default() };
        assert!(matches!(equals.find(0..1_000, writer.written(), &work), Err(Error::Cancelled)));
        assert_eq!((equals.leaders.lock().len(), equals.followers().get(1)), (0, false));
    }
}
