//! From sections to a state. Nothing in a file is believed: every number is checked before it is used, and no memory
//! is asked for before the file is known to be long enough for what it says. What can be derived is, and of that only the
//! checksums are looked at.

use std::sync::Arc;

use super::layout::Layout;
use super::{Position, check, section};
use crate::codes::Encoder;
use crate::error::Result;
use crate::graph::{Entry, Graph, GraphView, Link, MAX_LEVEL, Points, nodes_by_level};
use crate::ids::{Id, IdStore, TextPlaces, text_of};
use crate::index::State;
use crate::memory::room;
use crate::options::{IdType, Metric, Options};
use crate::pools::Pools;
use crate::storage::{FileName, FileReader, GraphHeader, Header, SectionReader, UNIT};
use crate::vectors::{RowBuffer, Rows, unpadded};
use crate::work::{Phase, Work};

/// Ids that are entered into the map together.
const IDS_AT_ONCE: usize = 65_536;

pub(super) fn read(file: &mut FileReader<'_>) -> Result<State> {
    let (name, work) = (file.name, file.work);
    let header = file.header.clone();
    let layout = Layout::of(&header, name)?;
    layout.sections().try_for_each(|(id, element, lengths)| file.check_section(id, element, lengths).map(drop))?;
    let slots = header.slots;
    work.report(Phase::Read, 0, slots);
    let nodes = header.graph.map(|graph| read_nodes(file, graph.migrated)).transpose()?;
    let places = match nodes.as_deref() {
        Some(nodes) => layout.places(nodes.iter().copied(), name)?,
        None => Vec::new(),
    };
    let state = State::of(&header.options, Rows::at_places(State::space(&header.options), places));
    read_removed(file, &state)?;
    read_ids(file, &state)?;
    file.pass_over(section::TABLE)?;
    let graph = match (header.graph, nodes) {
        (Some(header), Some(nodes)) => Some(read_graph(file, &state, header, nodes)?),
        _ => None,
    };
    read_vectors(file, &state)?;
    state.count_added(slots);
    let removed = state.removed.view();
    (0..slots as u32).filter(|&slot| removed.get(slot)).for_each(|slot| state.take_out(slot));
    check_groups(file, &state)?;
    if let Some((mut graph, Nodes { slots, levels })) = graph {
        let migrated = header.graph.map_or(0, |graph| graph.migrated);
        check::nodes(&state, &slots, migrated, name)?;
        // On a pool of its own: the index, and its threads, are not there yet.
        Pools::new(None)?.build(|| graph.points().append(&slots))?;
        let entry = header.graph.filter(|_| !slots.is_empty()).map(|graph| graph.entry);
        let entry = entry.map(|(node, level)| Entry { node, level: level as usize });
        let levels_of = nodes_by_level(&levels);
        graph.restore(migrated, entry, &levels_of);
        check_levels(file, &levels_of)?;
        check::graph(&graph.view(), &levels, name, work)?;
        state.graph.store(Some(Arc::new(graph)));
    }
    Ok(state)
}

/// Where the file stands in a log, if it is a snapshot.
pub(super) fn read_position(file: &mut FileReader<'_>) -> Result<Option<Position>> {
    if !file.has(section::POSITION) {
        return Ok(None);
    }
    file.check_section(section::POSITION, 8, 16..=16)?;
    let mut section = file.section(section::POSITION)?;
    let position = Position { sequence: section.take_u64()?, identity: section.take_u64()? };
    section.finish()?;
    Ok(Some(position))
}

/// The nodes of a graph in a file: the slot of each, and its highest level.
struct Nodes {
    slots: Vec<u32>,
    levels: Vec<u8>,
}

fn read_removed(file: &mut FileReader<'_>, state: &State) -> Result<()> {
    let (name, header) = (file.name, file.header.clone());
    let mut section = file.section(section::REMOVED)?;
    enter_removed(state, &header, || section.take_u64(), name)?;
    section.finish()
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

fn read_ids(file: &mut FileReader<'_>, state: &State) -> Result<()> {
    let (name, work, slots) = (file.name, file.work, file.header.slots);
    let mut section = file.section(section::IDS)?;
    let mut entries = room("ids", slots)?;
    while !section.is_empty() {
        entries.push(section.take_u64()?);
    }
    section.finish()?;
    let is_text = state.ids.id_type() == IdType::String;
    let mut texts = is_text.then(|| file.section(section::TEXTS)).transpose()?;
    let (mut ids, mut places) = (state.ids.writer(), TextPlaces::default());
    for first in (0..slots).step_by(IDS_AT_ONCE) {
        let end = slots.min(first + IDS_AT_ONCE);
        for (slot, &entry) in (first..).zip(&entries[first..end]) {
            if let Some(texts) = &mut texts {
                ids.push(Id::Text(take_text(texts, &mut places, entry, slot, name)?))?;
                continue;
            }
            let number = entry.cast_signed();
            if state.ids.id_type() == IdType::Number && number.unsigned_abs() > IdStore::MAX_SAFE {
                return Err(name.corrupt(format!("id {number} at slot {slot}"), "a safe integer"));
            }
            ids.push(Id::Key(entry))?;
        }
        ids.publish();
        enter_ids(state, first as u32..end as u32, name, work)?;
    }
    texts.map_or(Ok(()), SectionReader::finish)
}

/// The text of an entry, which must stand where that of `slot` would have been written.
fn take_text<'a>(
    section: &'a mut SectionReader<'_>,
    places: &mut TextPlaces,
    entry: u64,
    slot: usize,
    name: FileName<'_>,
) -> Result<&'a str> {
    let ((start, length), end) = (text_of(entry), places.end());
    let expected = places.next(length);
    if entry != expected {
        let got = format!("a text of {length} bytes at {start} for slot {slot}");
        return Err(name.corrupt(got, format!("one at {}", text_of(expected).0)));
    }
    section.take(start - end)?;
    std::str::from_utf8(section.take(length)?).map_err(|error| name.corrupt(format!("slot {slot}: {error}"), "UTF-8"))
}

/// Enters the ids of the live ones of `slots` into the map. A removed row's id may be in use again.
fn enter_ids(state: &State, slots: std::ops::Range<u32>, name: FileName<'_>, work: &Work) -> Result<()> {
    let removed = state.removed.view();
    let mut hashes = room("ids", slots.len())?;
    for slot in slots.clone().filter(|&slot| !removed.get(slot)) {
        work.check()?;
        hashes.push(state.map.hash(state.id(slot)));
    }
    state.map.reserve(&hashes, &state.ids)?;
    for (slot, &hash) in slots.filter(|&slot| !removed.get(slot)).zip(&hashes) {
        let id = state.id(slot);
        if let Some(other) = state.map.get(hash, id, &state.ids) {
            let got = format!("id {} at slots {other} and {slot}", id.display(state.ids.id_type()));
            return Err(name.corrupt(got, "each id once"));
        }
        state.map.insert(hash, slot, &state.ids);
    }
    Ok(())
}

/// The graph, whose links are within bounds and no more than lists hold, and its nodes. Codes are made anew.
fn read_graph(
    file: &mut FileReader<'_>,
    state: &State,
    header: GraphHeader,
    slots: Vec<u32>,
) -> Result<(Graph, Nodes)> {
    let (name, nodes) = (file.name, slots.len());
    let encoder = read_encoder(file)?;
    if file.has(section::CODES) {
        file.pass_over(section::CODES)?;
        file.pass_over(section::SCALARS)?;
    }
    let rows = state.shelf.share();
    let arranged = if rows.space().dtype().is_whole() { nodes } else { 0 };
    let graph =
        Graph::of(header.m, file.header.options.seed, header.is_bulk, Points::arranged_in(rows, encoder, arranged));
    graph.reserve(nodes)?;

    let mut lists = Lists { graph: &graph, nodes, links: Vec::new(), name };
    let mut section = file.section(section::LINKS)?;
    let view = graph.view();
    (0..nodes as u32).try_for_each(|node| lists.read(&mut section, &view, node, 0))?;
    section.finish()?;

    let levels = read_levels(file, nodes, graph.list_bytes(1))?;
    let mut section = file.section(section::UPPER_LINKS)?;
    for (node, &highest) in (0..).zip(&levels).filter(|&(_, &highest)| highest > 0) {
        graph.raise(node, highest.into())?;
        let view = graph.view();
        (1..=highest.into()).try_for_each(|level| lists.read(&mut section, &view, node, level))?;
    }
    section.finish()?;
    Ok((graph, Nodes { slots, levels }))
}

/// The highest level of each node, from where its lists begin among all upper lists, of `list_bytes` each.
fn read_levels(file: &mut FileReader<'_>, nodes: usize, list_bytes: usize) -> Result<Vec<u8>> {
    let name = file.name;
    let lists = file.check_section(section::UPPER_LINKS, 4, 0..=u64::MAX)? / list_bytes as u64;
    let mut section = file.section(section::UPPER_PLACES)?;
    let mut levels = room("links", nodes)?;
    levels.resize(nodes, 0);
    // The node before, and where its lists begin.
    let mut last: Option<(usize, u64)> = None;
    let mut end = |last: Option<(usize, u64)>, place: u64| {
        let (node, start) = last.unwrap_or((0, 1));
        let level =
            place.checked_sub(start).filter(|&level| level <= MAX_LEVEL as u64 && (level > 0) == last.is_some());
        let Some(level) = level else {
            let got = format!("node {node} with upper lists {start} … {place}");
            return Err(name.corrupt(got, format!("lists of levels 1 … {MAX_LEVEL}, one node after the other")));
        };
        if last.is_some() {
            levels[node] = level as u8;
        }
        Ok(())
    };
    for node in 0..nodes {
        let place = section.take_u32()?;
        if place != 0 {
            end(last, place.into())?;
            last = Some((node, place.into()));
        }
    }
    section.finish()?;
    end(last, lists + 1)?;
    Ok(levels)
}

fn check_levels(file: &mut FileReader<'_>, expected: &[usize]) -> Result<()> {
    let name = file.name;
    let mut section = file.section(section::LEVELS)?;
    for (level, &expected) in expected.iter().enumerate().filter(|&(_, &nodes)| nodes > 0) {
        let got = section.take_u64()?;
        if got != expected as u64 {
            return Err(name.corrupt(format!("{got} nodes on level {level}"), expected));
        }
    }
    section.finish()
}

/// Compares the groups of equal rows with those that were found.
fn check_groups(file: &mut FileReader<'_>, state: &State) -> Result<()> {
    let name = file.name;
    let mut section = file.section(section::GROUPS)?;
    for expected in state.equals.pairs()? {
        let got = section.take_u64()?;
        if got != expected {
            let text = |pair: u64| format!("slot {} equal to slot {}", pair as u32, pair >> 32);
            return Err(name.corrupt(text(got), text(expected)));
        }
    }
    section.finish()
}

fn read_nodes(file: &mut FileReader<'_>, migrated: usize) -> Result<Vec<u32>> {
    let mut section = file.section(section::NODES)?;
    let mut slots = room("links", migrated)?;
    while !section.is_empty() {
        slots.push(section.take_u32()?);
    }
    section.finish()?;
    Ok(slots)
}

fn read_encoder(file: &mut FileReader<'_>) -> Result<Option<Encoder>> {
    let name = file.name;
    let Options { dimensions, metric, .. } = file.header.options;
    let mut section = file.section(section::CENTER)?;
    if section.is_empty() {
        return section.finish().map(|()| None);
    }
    let mut bytes = room("codes", 8 + dimensions * 4)?;
    bytes.extend_from_slice(section.take(8 + dimensions * 4)?);
    section.finish()?;
    encoder_of(&bytes, metric, name).map(Some)
}

/// What makes codes, from its bytes in a file.
pub(super) fn encoder_of(bytes: &[u8], metric: Metric, name: FileName<'_>) -> Result<Encoder> {
    let (unit, center) = bytes.split_first_chunk().unwrap_or((&[0; 8], &[]));
    let unit = f64::from_le_bytes(*unit);
    if !unit.is_normal() || unit < 0.0 {
        return Err(name.corrupt(format!("a unit of {unit}"), "a number above 0"));
    }
    let center: Vec<f32> = center.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
    match center.iter().find(|value| !value.is_finite()) {
        Some(value) => Err(name.corrupt(format!("{value} in the center"), "finite values")),
        None => Ok(Encoder::with_center(metric, center, unit)),
    }
}

struct Lists<'a> {
    graph: &'a Graph,
    nodes: usize,
    links: Vec<Link>,
    name: FileName<'a>,
}

impl Lists<'_> {
    /// Reads the list of `node` on `level` into the graph, for which there is room in `view`.
    fn read(&mut self, section: &mut SectionReader<'_>, view: &GraphView<'_>, node: u32, level: usize) -> Result<()> {
        let (bytes, capacity) = (self.graph.list_bytes(level), self.graph.capacity(level));
        let wrong = |got: String, expected: String| {
            Err(self.name.corrupt(format!("node {node} on level {level}: {got}"), expected))
        };
        let mut stored = section.take(bytes)?.as_chunks().0.iter().map(|&bytes| u32::from_le_bytes(bytes));
        self.links.clear();
        self.links.extend(stored.by_ref().map_while(Link::restored));
        let degree = self.links.len();
        if degree > capacity {
            return wrong(format!("{degree} links"), format!("at most {capacity}"));
        }
        // The one that ended the list is gone.
        if stored.any(|link| link != 0) {
            return wrong(format!("a link behind {degree} and a free place"), "links before free places".into());
        }
        if let Some(link) = self.links.iter().find(|link| link.node() as usize >= self.nodes) {
            return wrong(format!("a link to {}", link.node()), format!("below {}", self.nodes));
        }
        // A node that must keep as many as it can hold could take no more.
        let kept = self.links.iter().filter(|link| link.is_kept()).count();
        if kept >= capacity {
            return wrong(format!("{kept} kept links"), format!("at most {}", capacity - 1));
        }
        if let Some(list) = view.list(node, level) {
            list.write(&self.links);
        }
        Ok(())
    }
}

fn read_vectors(file: &mut FileReader<'_>, state: &State) -> Result<()> {
    let (name, work, slots) = (file.name, file.work, file.header.slots);
    let shelf = state.shelf.writing();
    let space = shelf.rows.space();
    let row_bytes = space.row_bytes();
    let mut section = file.section(section::VECTORS)?;
    let (mut buffer, mut plain) = (RowBuffer::default(), Vec::new());
    state.equals.reserve(0, slots)?;
    let mut rows = shelf.rows.writer();
    let at_once = UNIT.div_ceil(row_bytes);
    let mut equal = 0..0;
    for first in (0..slots).step_by(at_once) {
        work.report(Phase::Read, first, slots);
        let end = slots.min(first + at_once);
        for row in first..end {
            let refused = |got: String| name.corrupt(format!("row {row}: {got}"), "a row that may be added");
            let Some(values) = unpadded(space, section.take(row_bytes)?, &mut plain) else {
                return Err(refused("padding of another kind".into()));
            };
            let values = buffer.values(values, space.dtype())?;
            space.check_row(values, None).map_err(|error| refused(error.to_string()))?;
            rows.push(values)?;
        }
        rows.publish();
        equal.end = end as u32;
        // Where rows have another order, not before all are there.
        if end == slots || !shelf.rows.is_arranged() {
            state.equals.find(equal.clone(), rows.written(), work)?.enter();
            equal.start = equal.end;
        }
    }
    section.finish()?;
    [section::TERMS, section::NORMS]
        .into_iter()
        .try_for_each(|id| if file.has(id) { file.pass_over(id) } else { Ok(()) })
}
