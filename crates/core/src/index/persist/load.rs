//! From sections to a state. Nothing in a file is believed: every number is checked before it is used, and no memory
//! is asked for before the file is known to be long enough for what it says.

use std::sync::Arc;

use super::{KEPT, Position, check, section};
use crate::codes::Encoder;
use crate::error::Result;
use crate::graph::{Entry, Graph, GraphView, Link, MAX_LEVEL, Points, nodes_by_level};
use crate::ids::{Id, IdStore, Ids};
use crate::index::State;
use crate::index::write::MAX_SLOTS;
use crate::memory::room;
use crate::options::{IdType, Options};
use crate::pools::Pools;
use crate::storage::{FileName, FileReader, GraphHeader, SectionReader, UNIT};
use crate::vectors::RowBuffer;
use crate::work::{Phase, Work};

/// Ids that are entered into the map together.
const IDS_AT_ONCE: usize = 65_536;

pub(super) fn read(file: &mut FileReader<'_>) -> Result<State> {
    let (name, work) = (file.name, file.work);
    check_lengths(file)?;
    let slots = file.header.slots;
    work.report(Phase::Read, 0, slots);
    let state = State::new(&file.header.options);
    read_removed(file, &state)?;
    read_ids(file, &state)?;
    let graph = file.header.graph.map(|header| read_graph(file, &state, header)).transpose()?;
    read_vectors(file, &state)?;
    state.count_added(slots);
    let removed = state.removed.view();
    (0..slots as u32).filter(|&slot| removed.get(slot)).for_each(|slot| state.take_out(slot));
    if let Some((mut graph, nodes)) = graph {
        let migrated = file.header.graph.map_or(0, |graph| graph.migrated);
        check::nodes(&state, &nodes.slots, migrated, name)?;
        // On a pool of its own: the index, and its threads, are not there yet.
        Pools::new(None)?.build(|| graph.points_mut().enter(&nodes.slots, migrated))?;
        if !Arc::ptr_eq(graph.rows(), &state.rows()) {
            Pools::new(None)?.build(|| state.shelf.replace(graph.rows()))?;
        }
        let entry = file.header.graph.filter(|_| !nodes.slots.is_empty()).map(|graph| graph.entry);
        let entry = entry.map(|(node, level)| Entry { node, level: level as usize });
        graph.restore(migrated, entry, &nodes_by_level(&nodes.levels));
        check::graph(&graph.view(), &nodes.levels, name, work)?;
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

/// Compares the lengths of the sections with what the header says.
fn check_lengths(file: &FileReader<'_>) -> Result<()> {
    let slots = file.header.slots;
    if slots > MAX_SLOTS {
        return Err(file.name.corrupt(format!("{slots} slots"), format!("at most {MAX_SLOTS}")));
    }
    let Options { dimensions, id_type, dtype, capacity, .. } = file.header.options;
    if capacity > MAX_SLOTS {
        return Err(file.name.corrupt(format!("a capacity of {capacity} rows"), format!("at most {MAX_SLOTS}")));
    }
    let words = slots.div_ceil(64) as u64;
    let (slots, values) = (slots as u64, slots as u64 * dimensions as u64);
    file.check_section(section::REMOVED, 8, words * 8..=words * 8)?;
    if id_type == IdType::String {
        file.check_section(section::IDS, 1, slots * 4..=u64::MAX)?;
    } else {
        file.check_section(section::IDS, 8, slots * 8..=slots * 8)?;
    }
    if let Some(graph) = file.header.graph {
        let nodes = file.check_section(section::NODES, 4, 0..=graph.migrated as u64 * 4)?;
        // Rows of whole numbers are their own codes.
        let center = if dtype.is_whole() { 0 } else { 8 + dimensions as u64 * 4 };
        let length = file.check_section(section::CENTER, 4, 0..=center)?;
        if length != 0 && length != center {
            return Err(file.name.corrupt(format!("a center of {length} bytes"), format!("0 or {center}")));
        }
        file.check_section(section::LINKS, 4, nodes..=u64::MAX)?;
        file.check_section(section::UPPER_LINKS, 4, 0..=u64::MAX)?;
    }
    let bytes = values * dtype.bytes() as u64;
    file.check_section(section::VECTORS, dtype.bytes() as u32, bytes..=bytes)?;
    Ok(())
}

fn read_removed(file: &mut FileReader<'_>, state: &State) -> Result<()> {
    let (name, slots, live) = (file.name, file.header.slots, file.header.live);
    state.removed.reserve(slots)?;
    let mut section = file.section(section::REMOVED)?;
    for first in (0..slots).step_by(64) {
        let mut word = section.take_u64()?;
        while word != 0 {
            let slot = first + word.trailing_zeros() as usize;
            if slot >= slots {
                return Err(name.corrupt(format!("slot {slot} removed"), format!("one of {slots} slots")));
            }
            state.removed.set(slot as u32);
            word &= word - 1;
        }
    }
    section.finish()?;
    let counted = slots - state.removed.view().count(0..slots);
    if counted != live {
        return Err(name.corrupt(format!("{counted} live rows"), format!("{live}, as the header says")));
    }
    Ok(())
}

fn read_ids(file: &mut FileReader<'_>, state: &State) -> Result<()> {
    let (name, work, slots) = (file.name, file.work, file.header.slots);
    let mut section = file.section(section::IDS)?;
    let mut ids = state.ids.writer();
    for first in (0..slots).step_by(IDS_AT_ONCE) {
        let end = slots.min(first + IDS_AT_ONCE);
        for slot in first..end {
            if state.ids.id_type() == IdType::String {
                ids.push(Id::Text(take_text(&mut section, slot, name)?))?;
            } else {
                let key = section.take_u64()?;
                if state.ids.id_type() == IdType::Number && key.cast_signed().unsigned_abs() > IdStore::MAX_SAFE {
                    return Err(name.corrupt(format!("id {} at slot {slot}", key.cast_signed()), "a safe integer"));
                }
                ids.push(Id::Key(key))?;
            }
        }
        ids.publish();
        enter_ids(state, first as u32..end as u32, name, work)?;
    }
    section.finish()
}

fn take_text<'a>(section: &'a mut SectionReader<'_>, slot: usize, name: FileName<'_>) -> Result<&'a str> {
    let length = section.take_u32()? as usize;
    if length > IdStore::MAX_TEXT {
        let got = format!("an id of {length} bytes at slot {slot}");
        return Err(name.corrupt(got, format!("at most {}", IdStore::MAX_TEXT)));
    }
    std::str::from_utf8(section.take(length)?).map_err(|error| name.corrupt(format!("slot {slot}: {error}"), "UTF-8"))
}

/// Enters the ids of the live ones of `slots` into the map. A removed row's id may be in use again.
fn enter_ids(state: &State, slots: std::ops::Range<u32>, name: FileName<'_>, work: &Work) -> Result<()> {
    let removed = state.removed.view();
    let mut ids = Ids::none(state.ids.id_type());
    state.ids.collect(slots.clone().filter(|&slot| !removed.get(slot)), &mut ids);
    let hashes = state.map.hashes(&ids, work)?;
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

/// The graph, whose links are within bounds and no more than lists hold, and its nodes.
fn read_graph(file: &mut FileReader<'_>, state: &State, header: GraphHeader) -> Result<(Graph, Nodes)> {
    let name = file.name;
    let slots = read_nodes(file, header.migrated)?;
    let points = Points::new(state.shelf.share(), read_encoder(file)?);
    let graph = Graph::of(header.m, file.header.options.seed, header.is_bulk, points);
    let nodes = slots.len();
    graph.reserve(nodes)?;
    let mut levels = room("links", nodes)?;
    levels.resize(nodes, 0);

    let mut lists = Lists { graph: &graph, nodes, links: Vec::new(), name };
    let mut section = file.section(section::LINKS)?;
    let view = graph.view();
    (0..nodes as u32).try_for_each(|node| lists.read(&mut section, &view, node, 0))?;
    section.finish()?;

    let mut section = file.section(section::UPPER_LINKS)?;
    let mut next = 0;
    while !section.is_empty() {
        let (node, level) = (section.take_u32()?, section.take_u32()? as usize);
        if !(next..nodes as u32).contains(&node) || !(1..=MAX_LEVEL).contains(&level) {
            let expected = format!("nodes {next} … {nodes}, levels 1 … {MAX_LEVEL}");
            return Err(name.corrupt(format!("node {node} on level {level}"), expected));
        }
        next = node + 1;
        levels[node as usize] = level as u8;
        graph.raise(node, level)?;
        let view = graph.view();
        (1..=level).try_for_each(|level| lists.read(&mut section, &view, node, level))?;
    }
    section.finish()?;
    Ok((graph, Nodes { slots, levels }))
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
    let unit = f64::from_bits(section.take_u64()?);
    if !unit.is_normal() || unit < 0.0 {
        return Err(name.corrupt(format!("a unit of {unit}"), "a number above 0"));
    }
    let mut center = Vec::with_capacity(dimensions);
    while !section.is_empty() {
        center.push(f32::from_bits(section.take_u32()?));
    }
    section.finish()?;
    match center.iter().find(|value| !value.is_finite()) {
        Some(value) => Err(name.corrupt(format!("{value} in the center"), "finite values")),
        None => Ok(Some(Encoder::with_center(metric, center, unit))),
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
        let (degree, capacity) = (section.take_u32()? as usize, self.graph.capacity(level));
        let wrong = |got: String, expected: String| {
            Err(self.name.corrupt(format!("node {node} on level {level}: {got}"), expected))
        };
        if degree > capacity {
            return wrong(format!("{degree} links"), format!("at most {capacity}"));
        }
        self.links.clear();
        for _ in 0..degree {
            let link = section.take_u32()?;
            let (target, is_kept) = (link & !KEPT, link & KEPT != 0);
            if target as usize >= self.nodes {
                return wrong(format!("a link to {target}"), format!("below {}", self.nodes));
            }
            self.links.push(Link::new(target, is_kept));
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
    let row_bytes = space.dimensions() * space.dtype().bytes();
    let mut section = file.section(section::VECTORS)?;
    let mut buffer = RowBuffer::default();
    state.equals.reserve(0, slots)?;
    let mut rows = shelf.rows.writer();
    let at_once = UNIT.div_ceil(row_bytes);
    for first in (0..slots).step_by(at_once) {
        work.report(Phase::Read, first, slots);
        let end = slots.min(first + at_once);
        for slot in first..end {
            let values = buffer.values(section.take(row_bytes)?, space.dtype())?;
            if let Err(error) = space.check_row(values, None) {
                return Err(name.corrupt(format!("slot {slot}: {error}"), "a row that may be added"));
            }
            rows.push(values)?;
        }
        rows.publish();
        state.equals.find(first as u32..end as u32, rows.written(), work)?.enter();
    }
    section.finish()
}
