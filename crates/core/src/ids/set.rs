//! A set of ids as a filter: the ids, and the slots that have them as far as they are known.

use std::sync::Arc;

use parking_lot::{RwLock, RwLockReadGuard};
use roaring::RoaringBitmap;
use rustc_hash::FxHashSet;

use super::{Id, Ids};
use crate::error::Result;
use crate::index::State;

/// A prepared filter. It follows the index: ids that are added or replaced later match too. Cheap to clone.
#[derive(Clone)]
pub struct IdSet(Arc<Inner>);

struct Inner {
    ids: IdsOf,
    slots: RwLock<Synced>,
    /// The index that it was made by.
    owner: u64,
}

enum IdsOf {
    Keys(FxHashSet<u64>),
    Texts(FxHashSet<Box<str>>),
}

/// The slots of one generation of the index that have an id of the set.
struct Synced {
    generation: u64,
    /// Slots below it were looked at.
    upto: usize,
    slots: RoaringBitmap,
}

/// The slots of a set, for the length of a search.
pub(crate) type Slots<'a> = parking_lot::MappedRwLockReadGuard<'a, RoaringBitmap>;

impl std::fmt::Debug for IdSet {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("IdSet").field("ids", &self.len()).finish()
    }
}

impl IdSet {
    /// The set of `ids`, resolved against what is in the index now.
    pub(crate) fn new(ids: &Ids, owner: u64, state: &State) -> Self {
        // The length first: what is published after it is found when the set is synced.
        let upto = state.len();
        let slots = ids.iter().filter_map(|id| state.find(id)).filter(|&slot| (slot as usize) < upto).collect();
        let ids = match ids {
            Ids::Keys(keys) => IdsOf::Keys(keys.iter().copied().collect()),
            Ids::Texts(texts) => IdsOf::Texts(texts.iter().map(Box::from).collect()),
        };
        let slots = RwLock::new(Synced { generation: state.generation(), upto, slots });
        Self(Arc::new(Inner { ids, slots, owner }))
    }

    /// Ids in the set, in the index or not.
    pub fn len(&self) -> usize {
        match &self.0.ids {
            IdsOf::Keys(keys) => keys.len(),
            IdsOf::Texts(texts) => texts.len(),
        }
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
                *synced = Synced { generation: state.generation(), upto: 0, slots: RoaringBitmap::new() };
            }
            let new = synced.upto as u32..len as u32;
            let matching = new.filter(|&slot| self.contains(state.id(slot)));
            let matching: Vec<u32> = matching.collect();
            synced.slots.extend(matching);
            synced.upto = len;
        }
        Ok(RwLockReadGuard::map(parking_lot::RwLockWriteGuard::downgrade(synced), |synced| &synced.slots))
    }

    fn contains(&self, id: Id<'_>) -> bool {
        match (&self.0.ids, id) {
            (IdsOf::Keys(keys), Id::Key(key)) => keys.contains(&key),
            (IdsOf::Texts(texts), Id::Text(text)) => texts.contains(text),
            _ => false,
        }
    }
}
