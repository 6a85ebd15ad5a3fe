//! Searches, and reading rows and ids back.

use std::sync::Arc;

use arc_swap::Guard;

use super::Inner;
use super::reader::{Reader, Request};
use super::state::State;
use crate::error::{Error, Result};
use crate::graph::Scratch;
use crate::ids::{Id, IdSet, Ids, SlotSet, Slots};
use crate::memory::room;
use crate::options::{IdType, SearchOptions};
use crate::topk::Key;
use crate::vectors::Padded;

/// Neighbors of one query, nearest first; `ids.len() == distances.len()`.
#[derive(Debug, Clone, PartialEq)]
pub struct Hits {
    pub ids: Ids,
    pub distances: Vec<f32>,
}

/// What was live when it was made, in insertion order, in blocks.
pub struct Keys {
    state: Arc<State>,
    removed: Vec<u64>,
    next: usize,
    end: usize,
}

impl Keys {
    /// The next at most `max` ids; none at the end. If memory is refused for them, the next call begins with the same.
    pub fn next_block(&mut self, max: usize) -> Result<Ids> {
        let state = Arc::clone(&self.state);
        state.watch(|| self.live_ids(max))
    }

    fn live_ids(&mut self, max: usize) -> Result<Ids> {
        let (mut ids, mut next) = (Ids::none(self.state.ids.id_type()), self.next);
        while next < self.end && ids.len() < max {
            let word = next / 64;
            let live = !self.removed[word] & u64::MAX << (next % 64);
            if live == 0 {
                next = (word + 1) * 64;
                continue;
            }
            let slot = word * 64 + live.trailing_zeros() as usize;
            if slot < self.end {
                ids.push(self.state.id(slot as u32))?;
            }
            next = slot + 1;
        }
        self.next = next;
        Ok(ids)
    }
}

/// The vector that a search starts from.
#[derive(Clone, Copy)]
pub(super) enum Source<'a> {
    Values(&'a [f32]),
    Id(Id<'a>),
}

impl Inner {
    pub(super) fn hits(&self, source: Source<'_>, options: &SearchOptions) -> Result<Hits> {
        self.search(source, options, |state, keys| {
            let refused = |_| Error::OutOfMemory { what: "the answer", bytes: keys.len() * 12 };
            let (mut ids, mut distances) = (Ids::none(self.options.id_type), Vec::new());
            ids.try_reserve(keys.len()).map_err(refused)?;
            distances.try_reserve_exact(keys.len()).map_err(refused)?;
            state.ids.collect(keys.iter().map(|key| key.slot()), &mut ids)?;
            distances.extend(keys.iter().map(|key| key.distance()));
            Ok(Hits { ids, distances })
        })?
    }

    /// Fills the buffers with what was found; how much that is.
    pub(super) fn hits_into(
        &self,
        query: &[f32],
        options: &SearchOptions,
        ids: &mut [u64],
        distances: &mut [f32],
    ) -> Result<usize> {
        if self.options.id_type == IdType::String {
            return Err(Error::argument("search_into", "an index with string ids", "one with number or bigint ids"));
        }
        let room = ids.len().min(distances.len());
        self.search(Source::Values(query), options, |state, keys| {
            if keys.len() > room {
                return Err(Error::argument("buffers", room, format_args!("room for {} hits", keys.len())));
            }
            let key_of = state.ids.keys();
            for ((id, distance), key) in ids.iter_mut().zip(distances.iter_mut()).zip(keys) {
                (*id, *distance) = (key_of(key.slot()), key.distance());
            }
            Ok(keys.len())
        })?
    }

    /// Runs one search on the calling thread; `finish` gets what was found, nearest first.
    fn search<R>(
        &self,
        source: Source<'_>,
        options: &SearchOptions,
        finish: impl FnOnce(&State, &[Key]) -> R,
    ) -> Result<R> {
        let state = self.open()?;
        self.check_search(options)?;
        self.prepare(options);
        let _passage = self.pools.enter();
        state.scratches.with(|scratch| {
            let mut query = std::mem::take(&mut scratch.query);
            let found = state.watch(|| {
                let result = state.undisturbed(|| self.attempt(&state, source, options, &mut query, scratch));
                result.map(|()| finish(&state, scratch.top.sorted()))
            });
            scratch.query = query;
            found
        })
    }

    /// One try of a search, into `scratch.top`.
    fn attempt(
        &self,
        state: &State,
        source: Source<'_>,
        options: &SearchOptions,
        query: &mut Padded,
        scratch: &mut Scratch,
    ) -> Result<()> {
        let excluded = match source {
            Source::Values(values) => {
                self.check_query(state, values, None)?;
                query.set(values, state.rows().space().filler())?;
                None
            }
            Source::Id(id) => {
                let slot = self.slot_of(state, id)?;
                let rows = state.rows();
                query.set(rows.view().given(slot, &mut scratch.row), rows.space().filler())?;
                Some(slot)
            }
        };
        let len = state.len();
        let filter = self.filter_slots(state, options, len)?;
        let request = self.request(state, options, len, filter.as_deref(), excluded);
        let snapshot = state.snapshot();
        let reader = Reader::new(state, &snapshot, request, &self.options);
        reader.nearest(reader.rows().foreign(query), scratch)
    }

    pub(super) fn check_search(&self, options: &SearchOptions) -> Result<()> {
        let whole = |name, got: usize| {
            if got == 0 { Err(Error::argument(name, got, "a whole number, 1 or more")) } else { Ok(()) }
        };
        whole("k", options.k)?;
        options.ef.map_or(Ok(()), |ef| whole("ef", ef))?;
        if let Some(recall) = options.recall.filter(|recall| !(*recall > 0.0 && *recall <= 1.0)) {
            return Err(Error::argument("recall", recall, "a number above 0, at most 1"));
        }
        if let (Some(recall), Some(_)) = (options.recall, options.ef) {
            return Err(Error::argument("recall", recall, "either ef or recall"));
        }
        if options.max_distance.is_some_and(f32::is_nan) {
            return Err(Error::argument("maxDistance", "NaN", "a number"));
        }
        if options.k == usize::MAX && options.max_distance.is_none() {
            return Err(Error::argument("k", "Infinity", "a whole number, or Infinity together with maxDistance"));
        }
        match &options.filter {
            Some(set) if set.owner() != self.id => {
                Err(Error::argument("filter", "an id set of another index", "one that this index made"))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn check_query(&self, state: &State, values: &[f32], row: Option<usize>) -> Result<()> {
        let dimensions = self.options.dimensions;
        if values.len() != dimensions {
            let expected = dimensions.to_string();
            return Err(Error::DimensionMismatch { row, got: values.len(), expected });
        }
        state.rows().space().check(values, row)
    }

    pub(super) fn request<'a>(
        &self,
        state: &State,
        options: &'a SearchOptions,
        len: usize,
        filter: Option<&'a SlotSet>,
        excluded: Option<u32>,
    ) -> Request<'a> {
        let all = options.k == usize::MAX;
        let k = options.k.min(len);
        let asked = options.recall.map(|recall| state.ef_for(k, recall));
        let ef = asked.flatten().or(options.ef).unwrap_or(self.options.ef);
        Request {
            k,
            ef: ef.max(k + usize::from(excluded.is_some())),
            exact: options.exact || all || asked == Some(None),
            max_distance: options.max_distance.unwrap_or(f32::INFINITY),
            filter,
            excluded,
            cancelled: options.cancelled.as_deref(),
        }
    }

    pub(super) fn filter_slots<'a>(
        &self,
        state: &State,
        options: &'a SearchOptions,
        len: usize,
    ) -> Result<Option<Slots<'a>>> {
        options.filter.as_ref().map(|set: &IdSet| set.slots(state, len)).transpose()
    }

    /// The live rows from which on the graph answers.
    pub(super) fn threshold(&self) -> usize {
        self.options.threshold.unwrap_or(usize::MAX)
    }

    fn slot_of(&self, state: &State, id: Id<'_>) -> Result<u32> {
        id.check(self.options.id_type)?;
        let unknown = || Error::argument("id", id.display(self.options.id_type), "an id that is in the index");
        state.find(id).ok_or_else(unknown)
    }

    pub(super) fn get(&self, id: Id<'_>) -> Result<Option<Vec<f32>>> {
        let state = self.open()?;
        id.check(self.options.id_type)?;
        let row = |slot| {
            let mut row = Vec::new();
            state.rows().view().given(slot, &mut row).to_vec()
        };
        state.watch(|| Ok(state.find(id).map(row)))
    }

    pub(super) fn has(&self, id: Id<'_>) -> Result<bool> {
        let state = self.open()?;
        id.check(self.options.id_type)?;
        state.watch(|| Ok(state.find(id).is_some()))
    }

    pub(super) fn get_many(&self, ids: &Ids) -> Result<(Vec<f32>, Vec<u8>)> {
        let state = self.open()?;
        ids.check(self.options.id_type)?;
        state.watch(|| self.rows_of(&state, ids))
    }

    fn rows_of(&self, state: &State, ids: &Ids) -> Result<(Vec<f32>, Vec<u8>)> {
        let dimensions = self.options.dimensions;
        let values = ids.len().saturating_mul(dimensions);
        let mut rows = room("the answer", values)?;
        let mut found = room("the answer", ids.len())?;
        found.resize(ids.len(), 0);
        let mut buffer = Vec::new();
        for (row, id) in ids.iter().enumerate() {
            match state.find(id) {
                Some(slot) => {
                    rows.extend_from_slice(state.rows().view().given(slot, &mut buffer));
                    found[row] = 1;
                }
                None => rows.resize(rows.len() + dimensions, 0.0),
            }
        }
        Ok((rows, found))
    }

    pub(super) fn keys(&self) -> Result<Keys> {
        let state = Guard::into_inner(self.open()?);
        let (end, removed) = state.undisturbed(|| {
            let end = state.len();
            Ok::<_, Error>((end, state.removed.view().words("the keys", end)?))
        })?;
        Ok(Keys { state, removed, next: 0, end })
    }

    pub(super) fn id_set(&self, ids: &Ids) -> Result<IdSet> {
        let state = self.open()?;
        ids.check(self.options.id_type)?;
        let set = state.watch(|| IdSet::new(ids, self.id, &state))?;
        self.sets.remember(&set)?;
        Ok(set)
    }
}
