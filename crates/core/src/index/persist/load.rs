//! From sections to a state. Nothing in a file is believed: every number is checked before it is used, and no memory
//! is asked for before the file is known to be long enough for what it says. What is large is read by several threads, right
//! to where it stays, and looked at while it is in the cache.

mod graph;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use parking_lot::Mutex;
use rayon::prelude::*;

pub(super) use graph::encoder_of;

use super::layout::Layout;
use super::{Position, check, section};
use crate::error::Result;
use crate::graph::Graph;
use crate::ids::{Id, IdStore, TextPlaces, text_of};
use crate::index::State;
use crate::index::equals::hash_of;
use crate::memory::room;
use crate::options::IdType;
use crate::pools::Pools;
use crate::storage::{FileName, FileReader, Header};
use crate::vectors::{Beside, ReadSection, Rows, check_block};
use crate::work::Phase;

/// Codes are compared with their rows one in so many, unless all are to be.
pub(super) const CODES_A_CHECK: usize = 64;

/// What is told of blocks that were read; see [`ReadSection::new`].
type Look<'a> = dyn Fn(usize, &[u8]) -> Result<()> + Sync + 'a;

/// One in `every` codes is compared with its row.
pub(super) fn read(file: &FileReader<'_>, every: usize, pools: &Pools) -> Result<State> {
    let layout = Layout::of(&file.header, file.name)?;
    layout.sections().try_for_each(|(id, element, lengths)| file.check_section(id, element, lengths).map(drop))?;
    file.work.report(Phase::Read, 0, file.header.slots);
    pools.write(|| File { file, layout: &layout, every }.state())
}

/// Where the file stands in a log, if it is a snapshot.
pub(super) fn read_position(file: &FileReader<'_>) -> Result<Option<Position>> {
    if !file.has(section::POSITION) {
        return Ok(None);
    }
    file.check_section(section::POSITION, 8, 16..=16)?;
    let bytes = file.bytes(section::POSITION)?;
    let mut words = u64s(&bytes);
    let mut next = || words.next().unwrap_or_default();
    Ok(Some(Position { sequence: next(), identity: next() }))
}

struct File<'a> {
    file: &'a FileReader<'a>,
    layout: &'a Layout<'a>,
    /// See [`read`].
    every: usize,
}

impl File<'_> {
    fn state(&self) -> Result<State> {
        let Self { file, layout, .. } = self;
        let (name, header, work) = (file.name, &file.header, file.work);
        let slots = header.slots;
        let nodes = header.graph.map(|_| self.u32s(section::NODES)).transpose()?;
        let places = match nodes.as_deref() {
            Some(nodes) => layout.places(nodes.iter().copied(), name)?,
            None => Vec::new(),
        };
        let (rows, hashes) = self.rows(places)?;
        let state = State::with_ids(&header.options, rows, self.ids()?);
        let bytes = file.bytes(section::REMOVED)?;
        let mut words = u64s(&bytes);
        enter_removed(&state, header, || Ok(words.next().unwrap_or_default()), name)?;
        file.pass_over(section::TABLE)?;
        let graph = match (header.graph, nodes.as_deref()) {
            (Some(header), Some(nodes)) => Some(self.graph(&state, header, nodes.len())?),
            _ => None,
        };

        let equal = || {
            self.find_equal(&state, &hashes)?;
            match (&graph, nodes.as_deref()) {
                (Some((graph, _)), Some(nodes)) => self.check_nodes(&state, graph, nodes),
                _ => Ok(()),
            }
        };
        let linked = || match &graph {
            Some((graph, levels)) => check::graph(&graph.view(), levels, name, work),
            None => Ok(()),
        };
        let entered = || self.enter_ids(&state);
        let parts: [&(dyn Fn() -> Result<()> + Sync); 3] = [&equal, &entered, &linked];
        // Which error is told does not depend on which comes first.
        let done: Vec<Result<()>> = parts.into_par_iter().map(|part| part()).collect();
        done.into_iter().collect::<Result<()>>()?;
        state.count_added(slots);
        let removed = state.removed.view();
        (0..slots as u32).filter(|&slot| removed.get(slot)).for_each(|slot| state.take_out(slot));
        self.check_groups(&state)?;
        if let Some((graph, _)) = graph {
            state.graph.store(Some(Arc::new(graph)));
        }
        Ok(state)
    }

    /// Section `id`, of whose blocks `look` is told.
    fn section<'b>(&'b self, id: u32, look: &'b Look<'b>) -> Result<ReadSection<'b>> {
        Ok(ReadSection::new(self.file.section(id)?, look))
    }

    /// The numbers of section `id`.
    fn u32s(&self, id: u32) -> Result<Vec<u32>> {
        let bytes = self.file.bytes(id)?;
        let mut numbers = room("a file's buffer", bytes.len() / 4)?;
        numbers.extend(bytes.as_chunks().0.iter().map(|&bytes| u32::from_le_bytes(bytes)));
        Ok(numbers)
    }

    /// The rows, each of which may be added, and their hashes by place.
    fn rows(&self, places: Vec<u32>) -> Result<(Rows, Vec<AtomicU32>)> {
        let (file, name, slots) = (self.file, self.file.name, self.file.header.slots);
        let space = State::space(&file.header.options);
        let mut hashes = room("vectors", slots)?;
        hashes.resize_with(slots, AtomicU32::default);
        let beside = |id: u32, is_there: bool| if is_there { file.bytes(id) } else { Ok(Vec::new()) };
        let terms = beside(section::TERMS, space.terms() > 0)?;
        let norms = beside(section::NORMS, space.normalizes())?;
        let done = Mutex::new(0);
        let look = |first: usize, bytes: &[u8]| {
            let mut widened = Vec::new();
            for (place, row) in (first..).zip(bytes.chunks_exact(space.row_bytes())) {
                let refused = |got: String| name.corrupt(format!("row {place}: {got}"), "a row that may be added");
                check_block(&space, row).map_err(refused)?;
                let stored = f32s(&terms, place * space.terms()).take(space.terms()).chain(f32s(&norms, place));
                if !Beside::of(&space, row, &mut widened).is(&space, stored) {
                    return Err(name.corrupt(format!("other numbers beside row {place}"), "what its values give"));
                }
                hashes[place].store(hash_of(&space, row), Ordering::Relaxed);
            }
            let mut done = done.lock();
            *done += bytes.len() / space.row_bytes();
            file.work.report(Phase::Read, *done, slots);
            Ok(())
        };
        let taken = |_: usize, _: &[u8]| Ok(());
        let terms = (space.terms() > 0).then(|| self.section(section::TERMS, &taken)).transpose()?;
        let norms = space.normalizes().then(|| self.section(section::NORMS, &taken)).transpose()?;
        let rows = Rows::stored(space.clone(), self.section(section::VECTORS, &look)?, terms, norms, places)?;
        Ok((rows, hashes))
    }

    fn ids(&self) -> Result<IdStore> {
        let (name, id_type) = (self.file.name, self.file.header.options.id_type);
        let keys = |first: usize, bytes: &[u8]| {
            let numbers = bytes.as_chunks().0.iter().map(|&bytes| i64::from_ne_bytes(bytes));
            let is_unsafe = |number: i64| id_type == IdType::Number && number.unsigned_abs() > IdStore::MAX_SAFE;
            match (first..).zip(numbers).find(|&(_, number)| is_unsafe(number)) {
                Some((slot, number)) => Err(name.corrupt(format!("id {number} at slot {slot}"), "a safe integer")),
                None => Ok(()),
            }
        };
        let taken = |_: usize, _: &[u8]| Ok(());
        let texts = (id_type == IdType::String).then(|| self.section(section::TEXTS, &taken)).transpose()?;
        let ids = IdStore::stored(id_type, self.section(section::IDS, &keys)?, texts)?;
        if id_type == IdType::String {
            check_texts(&ids, name)?;
        }
        Ok(ids)
    }

    /// Enters the ids of live rows into the map. A removed row's id may be in use again.
    fn enter_ids(&self, state: &State) -> Result<()> {
        let removed = state.removed.view();
        let live = (0..self.file.header.slots as u32).filter(|&slot| !removed.get(slot));
        let Some((slot, other)) = state.map.fill(live, &state.ids, self.file.work)? else {
            return Ok(());
        };
        let id = state.id(slot).display(state.ids.id_type());
        Err(self.file.name.corrupt(format!("id {id} at slots {slot} and {other}"), "each id once"))
    }

    /// Finds out which rows equal earlier ones; `hashes` are those of the rows, by place.
    fn find_equal(&self, state: &State, hashes: &[AtomicU32]) -> Result<()> {
        let slots = self.file.header.slots;
        state.equals.reserve(0, slots)?;
        let kept = state.rows();
        let rows = kept.view();
        let hash = |slot: u32| hashes[rows.place(slot) as usize].load(Ordering::Relaxed);
        state.equals.find_by(hash, 0..slots as u32, rows, self.file.work)?.enter();
        Ok(())
    }

    /// Refuses a graph of other nodes than there should be, or of codes that are not theirs.
    fn check_nodes(&self, state: &State, graph: &Graph, slots: &[u32]) -> Result<()> {
        let name = self.file.name;
        check::nodes(state, slots, graph.migrated(), name)?;
        match graph.points().first_other_code(slots, self.every) {
            Some(node) => Err(name.corrupt(format!("another code of node {node}"), "that of its row")),
            None => Ok(()),
        }
    }

    /// Compares the groups of equal rows with those that were found.
    fn check_groups(&self, state: &State) -> Result<()> {
        let (found, stored) = (state.equals.pairs()?, self.file.bytes(section::GROUPS)?);
        let text = |pair: Option<u64>| match pair {
            Some(pair) => format!("slot {} equal to slot {}", pair as u32, pair >> 32),
            None => "no more equal slots".into(),
        };
        let (mut found, mut stored) = (found.into_iter(), u64s(&stored));
        loop {
            match (stored.next(), found.next()) {
                (None, None) => return Ok(()),
                (got, expected) if got != expected => return Err(self.file.name.corrupt(text(got), text(expected))),
                _ => {}
            }
        }
    }
}

/// Texts stand where they would have been written, and are such.
fn check_texts(ids: &IdStore, name: FileName<'_>) -> Result<()> {
    let (mut places, all) = (TextPlaces::default(), ids.text_bytes());
    for slot in 0..ids.len() as u32 {
        let entry = ids.entry(slot);
        let (start, length) = text_of(entry);
        let expected = places.next(length);
        if entry != expected {
            let got = format!("a text of {length} bytes at {start} for slot {slot}");
            return Err(name.corrupt(got, format!("one at {}", text_of(expected).0)));
        }
        if places.end() > all {
            let got = format!("{} bytes left of section {}", all.saturating_sub(start), section::TEXTS);
            return Err(name.corrupt(got, format!("{length} for slot {slot}")));
        }
        if !matches!(ids.get(slot), Id::Text(text) if text.len() == length) {
            return Err(name.corrupt(format!("invalid utf-8 for slot {slot}"), "UTF-8"));
        }
    }
    if places.end() < all {
        let got = format!("section {} with {} bytes left", section::TEXTS, all - places.end());
        return Err(name.corrupt(got, "its end"));
    }
    Ok(())
}

/// Enters the removed slots of a file, whose words `next` gives.
pub(super) fn enter_removed(
    state: &State,
    header: &Header,
    mut next: impl FnMut() -> Result<u64>,
    name: FileName<'_>,
) -> Result<()> {
    let (slots, live) = (header.slots, header.live);
    state.removed.reserve(slots)?;
    for first in (0..slots).step_by(64) {
        let mut word = next()?;
        while word != 0 {
            let slot = first + word.trailing_zeros() as usize;
            if slot >= slots {
                return Err(name.corrupt(format!("slot {slot} removed"), format!("one of {slots} slots")));
            }
            state.removed.set(slot as u32);
            word &= word - 1;
        }
    }
    let counted = slots - state.removed.view().count(0..slots);
    if counted != live {
        return Err(name.corrupt(format!("{counted} live rows"), format!("{live}, as the header says")));
    }
    Ok(())
}

/// The numbers from number `first` on.
fn f32s(bytes: &[u8], first: usize) -> impl Iterator<Item = f32> {
    bytes.as_chunks().0.iter().skip(first).map(|&bytes| f32::from_le_bytes(bytes))
}

fn u64s(bytes: &[u8]) -> impl Iterator<Item = u64> {
    bytes.as_chunks().0.iter().map(|&bytes| u64::from_le_bytes(bytes))
}
