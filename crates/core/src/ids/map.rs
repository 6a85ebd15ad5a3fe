//! From a caller's id to its slot.

use std::hash::BuildHasher;

use hashbrown::HashTable;
use parking_lot::RwLock;
use rayon::prelude::*;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::{Id, IdStore, Ids};
use crate::error::{Error, Result};
use crate::memory::room;
use crate::storage::MappedSection;
use crate::vectors::Blocks;
use crate::work::Work;

/// Tables; each has a lock of its own, so that a reader waits at most while one of them grows.
const SHARDS: usize = 256;

/// Slots by id. The tables hold slots only, four bytes each; the ids themselves are compared in the [`IdStore`], where
/// they must stand before they are entered here.
pub(crate) struct IdMap {
    /// Differs from map to map, so that nobody can choose ids that collide.
    seed: u64,
    shards: Box<[RwLock<HashTable<u32>>]>,
    /// Instead of them the table of a file: live slots behind the upper halves of their hashes, in this order.
    stored: Option<Blocks<u64>>,
}

/// The hash of an id under one map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct IdHash(u64);

impl IdMap {
    pub(crate) fn new() -> Self {
        let seed = std::hash::RandomState::new().hash_one(0u64);
        Self { seed, shards: (0..SHARDS).map(|_| RwLock::default()).collect(), stored: None }
    }

    /// The table of a file. Nothing can be entered.
    pub(crate) fn mapped(table: MappedSection) -> Result<Self> {
        Ok(Self { seed: 0, shards: Box::default(), stored: Some(Blocks::mapped("ids", 1, table)?) })
    }

    /// What an id is found by in the table of a file.
    pub(crate) fn stored_hash(id: Id<'_>) -> u32 {
        hash_of(id, 0).upper()
    }

    pub(crate) fn hash(&self, id: Id<'_>) -> IdHash {
        hash_of(id, self.seed)
    }

    /// The hashes of all `ids`.
    pub(crate) fn hashes(&self, ids: &Ids, work: &Work) -> Result<Vec<IdHash>> {
        let mut hashes = room("ids", ids.len())?;
        for id in ids.iter() {
            work.check()?;
            hashes.push(self.hash(id));
        }
        Ok(hashes)
    }

    /// The slot of `id`, whose hash is given.
    pub(crate) fn get(&self, hash: IdHash, id: Id<'_>, ids: &IdStore) -> Option<u32> {
        if let Some(stored) = &self.stored {
            return find_stored(stored, hash.upper(), id, ids);
        }
        self.shard(hash).read().find(hash.0, |&slot| ids.get(slot) == id).copied()
    }

    /// The first row whose id stands at an earlier row as well.
    pub(crate) fn first_repeat(&self, ids: &Ids, hashes: &[IdHash], work: &Work) -> Result<Option<usize>> {
        let mut rows: HashTable<u32> = HashTable::new();
        rows.try_reserve(ids.len(), |_| 0).map_err(|_| refused(ids.len() * size_of::<u32>()))?;
        for (row, &hash) in hashes.iter().enumerate() {
            work.check()?;
            let id = ids.get(row);
            if rows.find(hash.0, |&other| ids.get(other as usize) == id).is_some() {
                return Ok(Some(row));
            }
            rows.insert_unique(hash.0, row as u32, |&row| hashes[row as usize].0);
        }
        Ok(None)
    }

    /// Makes room for ids with these hashes, so that inserting them cannot fail.
    pub(crate) fn reserve(&self, hashes: &[IdHash], ids: &IdStore) -> Result<()> {
        let mut counts = [0; SHARDS];
        hashes.iter().for_each(|hash| counts[hash.shard()] += 1);
        for (shard, &count) in self.shards.iter().zip(&counts).filter(|&(_, &count)| count > 0) {
            let rehash = |&slot: &u32| self.hash(ids.get(slot)).0;
            shard.write().try_reserve(count, rehash).map_err(|_| refused(count * size_of::<u32>()))?;
        }
        Ok(())
    }

    /// Enters an id that is not in the map, at `slot`.
    pub(crate) fn insert(&self, hash: IdHash, slot: u32, ids: &IdStore) {
        self.shard(hash).write().insert_unique(hash.0, slot, |&slot| self.hash(ids.get(slot)).0);
    }

    /// Enters the ids of `slots` into an empty map; two slots of the same id, if there are such. Runs on the pool that it is
    /// called on.
    pub(crate) fn fill(
        &self,
        slots: impl Iterator<Item = u32> + Clone,
        ids: &IdStore,
        work: &Work,
    ) -> Result<Option<(u32, u32)>> {
        let mut ends = [0; SHARDS];
        let mut hashes = room("ids", ids.len())?;
        for slot in slots.clone() {
            let hash = self.hash(ids.get(slot));
            ends[hash.shard()] += 1;
            hashes.push(hash);
        }
        let mut end = 0;
        for count in &mut ends {
            end += std::mem::replace(count, end);
        }
        // By shard.
        let mut entries = room("ids", hashes.len())?;
        entries.resize(hashes.len(), (IdHash(0), 0));
        for (slot, hash) in slots.zip(hashes) {
            let place = &mut ends[hash.shard()];
            entries[*place] = (hash, slot);
            *place += 1;
        }
        let repeated = (0..SHARDS).into_par_iter().map(|shard| {
            work.check()?;
            let start = shard.checked_sub(1).map_or(0, |before| ends[before]);
            self.fill_shard(&self.shards[shard], &entries[start..ends[shard]], ids)
        });
        repeated.try_reduce(|| None, |one, other| Ok(one.or(other)))
    }

    fn fill_shard(
        &self,
        shard: &RwLock<HashTable<u32>>,
        entries: &[(IdHash, u32)],
        ids: &IdStore,
    ) -> Result<Option<(u32, u32)>> {
        let mut table = shard.write();
        let rehash = |&slot: &u32| self.hash(ids.get(slot)).0;
        table.try_reserve(entries.len(), rehash).map_err(|_| refused(entries.len() * size_of::<u32>()))?;
        for &(hash, slot) in entries {
            if let Some(&other) = table.find(hash.0, |&other| ids.get(other) == ids.get(slot)) {
                return Ok(Some((other, slot)));
            }
            table.insert_unique(hash.0, slot, rehash);
        }
        Ok(None)
    }

    /// Moves the id that has `old` to `new`.
    pub(crate) fn replace(&self, hash: IdHash, old: u32, new: u32) {
        if let Some(slot) = self.shard(hash).write().find_mut(hash.0, |&slot| slot == old) {
            *slot = new;
        }
    }

    /// Takes the id that has `slot` out.
    pub(crate) fn remove(&self, hash: IdHash, slot: u32) {
        if let Ok(entry) = self.shard(hash).write().find_entry(hash.0, |&other| other == slot) {
            entry.remove();
        }
    }

    /// Bytes that the tables take.
    pub(crate) fn bytes(&self) -> usize {
        let stored = self.stored.as_ref().map_or(0, |stored| stored.len() * size_of::<u64>());
        stored + self.shards.iter().map(|shard| shard.read().allocation_size()).sum::<usize>()
    }

    fn shard(&self, hash: IdHash) -> &RwLock<HashTable<u32>> {
        &self.shards[hash.shard()]
    }
}

impl IdHash {
    fn upper(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// Bits that the tables look at least: they use the highest seven and the lowest.
    fn shard(self) -> usize {
        (self.0 >> 40) as usize % SHARDS
    }
}

/// The slot of `id` in the table of a file.
fn find_stored(table: &Blocks<u64>, hash: u32, id: Id<'_>, ids: &IdStore) -> Option<u32> {
    let view = table.view();
    let entry = |index: usize| {
        view.touch(index);
        view.block(index)[0]
    };
    let (mut low, mut high) = (0, view.len());
    while low < high {
        let middle = low + (high - low) / 2;
        if (entry(middle) >> 32) as u32 >= hash {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    let same = (low..view.len()).map(entry).take_while(|entry| (entry >> 32) as u32 == hash);
    same.map(|entry| entry as u32).find(|&slot| {
        let is_slot = (slot as usize) < ids.len();
        if let Some(section) = view.mapped().filter(|_| !is_slot) {
            section.refuse(format_args!("slot {slot}"), format_args!("one of {} slots", ids.len()));
        }
        is_slot && ids.get(slot) == id
    })
}

fn hash_of(id: Id<'_>, seed: u64) -> IdHash {
    IdHash(match id {
        Id::Key(key) => xxh3_64_with_seed(&key.to_le_bytes(), seed),
        Id::Text(text) => xxh3_64_with_seed(text.as_bytes(), seed),
    })
}

fn refused(bytes: usize) -> Error {
    Error::OutOfMemory { what: "ids", bytes }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::IdType;

    #[test]
    fn ids_are_entered_moved_and_taken_out() {
        let (map, store) = (IdMap::new(), IdStore::new(IdType::BigInt));
        let ids = Ids::Keys((0..1_000).map(|i| i * i).collect());
        let hashes = map.hashes(&ids, &Work::default()).unwrap();
        let mut writer = store.writer();
        ids.iter().for_each(|id| writer.push(id).unwrap());
        writer.publish();
        map.reserve(&hashes, &store).unwrap();
        (0u32..).zip(&hashes).for_each(|(slot, &hash)| map.insert(hash, slot, &store));
        map.remove(hashes[7], 7);
        for (row, &hash) in hashes.iter().enumerate() {
            let expected = (row != 7).then_some(row as u32);
            assert_eq!(map.get(hash, ids.get(row), &store), expected);
        }
        assert_eq!(map.get(map.hash(Id::Key(2)), Id::Key(2), &store), None);
    }

    #[test]
    fn the_first_repeat_is_found() {
        let map = IdMap::new();
        let check = |ids: &[u64], expected| {
            let ids = Ids::Keys(ids.to_vec());
            let work = Work::default();
            assert_eq!(map.first_repeat(&ids, &map.hashes(&ids, &work).unwrap(), &work).unwrap(), expected);
        };
        check(&[], None);
        check(&[1, 2, 3], None);
        check(&[1, 2, 1, 2], Some(2));
    }
}
