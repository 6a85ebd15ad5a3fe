//! A set of ids as a filter: the ids, and the slots that have them as far as they are known.

use std::hash::BuildHasher;
use std::sync::{Arc, Weak};

use hashbrown::HashTable;
use parking_lot::{Mutex, RwLock, RwLockReadGuard};
use rustc_hash::FxBuildHasher;

use super::slots::SlotSet;
use super::{Id, Ids};
use crate::error::{Error, Result};
use crate::index::State;
use crate::memory::probe;

/// Slots of a container of a bitmap.
const CONTAINER: usize = 1 << 16;

/// A prepared filter. It follows the index: ids that are added or replaced later match too. Cheap to clone.
#[derive(Clone)]
pub struct IdSet(Arc<Inner>);

struct Inner {
    members: Members,
    slots: RwLock<Synced>,
    /// The slots of a state that is about to take the place of the index's.
    next: Mutex<Option<Synced>>,
    /// The index that it was made by.
    owner: u64,
}

/// The ids of a set.
struct Members {
    ids: Ids,
    /// Where in `ids` each stands, by its hash.
    places: HashTable<u32>,
}

/// The slots of one generation of the index that have an id of the set.
struct Synced {
    generation: u64,
    /// Slots below it were looked at.
    upto: usize,
    slots: SlotSet,
}

/// The slots of a set, for the length of a search.
pub(crate) type Slots<'a> = parking_lot::MappedRwLockReadGuard<'a, SlotSet>;

impl std::fmt::Debug for IdSet {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("IdSet").field("ids", &self.len()).finish()
    }
}

impl IdSet {
    /// The set of `ids`, resolved against what is in the index now.
    pub(crate) fn new(ids: &Ids, owner: u64, state: &State) -> Result<Self> {
        let members = Members::of(ids)?;
        let slots = RwLock::new(Synced::of(&members, state)?);
        Ok(Self(Arc::new(Inner { members, slots, next: Mutex::new(None), owner })))
    }

    /// Ids in the set, in the index or not.
    pub fn len(&self) -> usize {
        self.0.members.places.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The index that it was made by.
    pub(crate) fn owner(&self) -> u64 {
        self.0.owner
    }

    /// The slots below `len` that have an id of the set; some may be removed by now, some may be newer.
    pub(crate) fn slots(&self, state: &State, len: usize) -> Result<Slots<'_>> {
        let is_current = |synced: &Synced| synced.generation == state.generation() && synced.upto >= len;
        let synced = self.0.slots.read();
        if is_current(&synced) {
            return Ok(RwLockReadGuard::map(synced, |synced| &synced.slots));
        }
        drop(synced);
        let mut synced = self.0.slots.write();
        if !is_current(&synced) {
            if synced.generation != state.generation() {
                let prepared = self.0.next.lock().take_if(|next| next.generation == state.generation());
                *synced = prepared.map_or_else(|| Synced::of(&self.0.members, state), Ok)?;
            }
            check_room(len, self.len())?;
            let new = synced.upto as u32..len as u32;
            synced.slots.extend(new.filter(|&slot| self.0.members.contains(state.id(slot))), len)?;
            synced.upto = len;
            synced.forget_removed(state, self.len())?;
        }
        Ok(RwLockReadGuard::map(parking_lot::RwLockWriteGuard::downgrade(synced), |synced| &synced.slots))
    }
}

/// The sets of an index that are in use.
#[derive(Default)]
pub(crate) struct IdSets(Mutex<Vec<Weak<Inner>>>);

impl IdSets {
    pub(crate) fn remember(&self, set: &IdSet) -> Result<()> {
        let mut sets = self.0.lock();
        if sets.len() == sets.capacity() {
            sets.retain(|set| set.strong_count() > 0);
        }
        let bytes = (sets.len() + 1) * size_of::<Weak<Inner>>();
        sets.try_reserve(1).map_err(|_| Error::OutOfMemory { what: "an id set", bytes })?;
        sets.push(Arc::downgrade(&set.0));
        Ok(())
    }

    /// Finds the slots of all sets in `next`, a state that is about to take the place of the index's, so that no search
    /// has to.
    pub(crate) fn follow(&self, next: &State) -> Result<()> {
        // Not under the lock: it takes as long as it takes to prepare them all.
        let sets: Vec<Weak<Inner>> = self.0.lock().clone();
        for set in sets.iter().filter_map(Weak::upgrade) {
            let synced = Synced::of(&set.members, next)?;
            *set.next.lock() = Some(synced);
        }
        Ok(())
    }
}

impl Synced {
    /// What `members` are in `state` now.
    fn of(members: &Members, state: &State) -> Result<Self> {
        // The length first: what is published after it is found when the set is synced.
        let upto = state.len();
        check_room(upto, members.places.len())?;
        let slots = members.ids.iter().filter_map(|id| state.find(id)).filter(|&slot| (slot as usize) < upto);
        let slots = SlotSet::of(slots, upto)?;
        Ok(Self { generation: state.generation(), upto, slots })
    }

    /// Drops the slots of rows that were removed or replaced, once there are more of them than of `members`: each member
    /// has one slot at most that is live.
    fn forget_removed(&mut self, state: &State, members: usize) -> Result<()> {
        if self.slots.len() > 2 * members as u64 {
            let removed = state.removed.view();
            self.slots = SlotSet::of(self.slots.iter().filter(|&slot| !removed.get(slot)), self.upto)?;
        }
        Ok(())
    }
}

impl Members {
    fn of(ids: &Ids) -> Result<Self> {
        let refused = |_| Error::OutOfMemory { what: "an id set", bytes: ids.len() * size_of::<u64>() };
        let mut members = Self { ids: ids.try_clone().map_err(refused)?, places: HashTable::new() };
        let refused = |_| Error::OutOfMemory { what: "an id set", bytes: ids.len() * size_of::<u32>() };
        members.places.try_reserve(ids.len(), |_| 0).map_err(refused)?;
        let Self { ids, places } = &mut members;
        for (place, id) in (0u32..).zip(ids.iter()) {
            let is_same = |&other: &u32| ids.get(other as usize) == id;
            if places.find(hash(id), is_same).is_none() {
                places.insert_unique(hash(id), place, |&place| hash(ids.get(place as usize)));
            }
        }
        Ok(members)
    }

    fn contains(&self, id: Id<'_>) -> bool {
        self.places.find(hash(id), |&place| self.ids.get(place as usize) == id).is_some()
    }
}

/// Refuses what there may be no memory for: a bitmap asks for its own without saying so. It takes at most a bit for each
/// of `slots`, and no more than a container for each of `members`, each of which may be copied as it grows.
fn check_room(slots: usize, members: usize) -> Result<()> {
    let containers = slots.div_ceil(CONTAINER).min(2 * members + 1);
    probe("an id set", containers * (3 * CONTAINER / 8))
}

fn hash(id: Id<'_>) -> u64 {
    FxBuildHasher.hash_one(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Texts;
    use crate::options::Options;

    #[test]
    fn members_are_those_of_the_list_once_each() {
        let texts: Texts = ["a", "b", "a", ""].into_iter().collect();
        let members = Members::of(&Ids::Texts(texts)).unwrap();
        assert_eq!(members.places.len(), 3);
        assert!(members.contains(Id::Text("")) && members.contains(Id::Text("b")) && !members.contains(Id::Text("c")));
        let members = Members::of(&Ids::Keys(vec![7, 7, 1 << 40])).unwrap();
        assert!(members.contains(Id::Key(1 << 40)) && members.contains(Id::Key(7)) && !members.contains(Id::Key(0)));
        assert_eq!(members.places.len(), 2);
    }

    #[test]
    fn replaced_slots_are_forgotten() {
        let index = crate::Index::new(Options::new(1)).unwrap();
        let (ids, work) = (Ids::Keys(vec![1, 2, 3]), crate::Work::default());
        index.add(&ids, &[1.0, 2.0, 3.0], &work).unwrap();
        let set = index.id_set(&ids).unwrap();
        for round in 0..50u8 {
            index.upsert(&ids, &[f32::from(round); 3], &work).unwrap();
            let options = crate::SearchOptions { k: 9, filter: Some(set.clone()), ..Default::default() };
            assert_eq!(index.search(&[0.0], &options).unwrap().ids, ids);
            assert!(set.0.slots.read().slots.len() <= 2 * 3, "round {round}");
        }
    }
}
