//! Which sections a file has, and how long each is, by its header: nothing is read, or mapped, before all agree.

use std::ops::RangeInclusive;

use super::section;
use crate::error::Result;
use crate::graph::{MAX_LEVEL, list_bytes};
use crate::index::State;
use crate::index::write::MAX_SLOTS;
use crate::options::{IdType, Metric};
use crate::storage::{FileName, Header};
use crate::vectors::{Space, arrangement};

/// A section: its number, the bytes of an element, and how long it may be.
pub(super) type Expected = (u32, u32, RangeInclusive<u64>);

pub(super) struct Layout<'a> {
    header: &'a Header,
    space: Space,
    /// Nodes of the graph, and whether they have codes beside the rows.
    nodes: u64,
    has_codes: bool,
}

impl<'a> Layout<'a> {
    pub(super) fn of(header: &'a Header, name: FileName<'_>) -> Result<Self> {
        let (slots, capacity) = (header.slots, header.options.capacity);
        if slots > MAX_SLOTS {
            return Err(name.corrupt(format!("{slots} slots"), format!("at most {MAX_SLOTS}")));
        }
        if capacity > MAX_SLOTS {
            return Err(name.corrupt(format!("a capacity of {capacity} rows"), format!("at most {MAX_SLOTS}")));
        }
        let mut layout = Self { header, space: State::space(&header.options), nodes: 0, has_codes: false };
        if let Some(graph) = header.graph {
            layout.nodes = header.check_section(section::NODES, 4, 0..=graph.migrated as u64 * 4, name)? / 4;
            // Rows of whole numbers are their own codes.
            let is_whole = layout.space.dtype().is_whole();
            let center = if is_whole { 0 } else { 8 + layout.space.dimensions() as u64 * 4 };
            let length = header.check_section(section::CENTER, 4, 0..=center, name)?;
            if length != 0 && length != center {
                return Err(name.corrupt(format!("a center of {length} bytes"), format!("0 or {center}")));
            }
            layout.has_codes = length > 0;
        }
        let others = [section::NODES, section::CENTER].map(|id| (id, header.graph.is_some()));
        let is_expected = |id: u32| {
            let other = others.iter().any(|&(other, is_there)| other == id && is_there);
            other || id >= section::POSITION || layout.sections().any(|(expected, ..)| expected == id)
        };
        match header.ids().find(|&id| !is_expected(id)) {
            Some(id) => Err(name.corrupt(format!("section {id}"), "none that belongs to another kind of index")),
            None => Ok(layout),
        }
    }

    /// Nodes of the graph.
    pub(super) fn nodes(&self) -> usize {
        self.nodes as usize
    }

    pub(super) fn has_codes(&self) -> bool {
        self.has_codes
    }

    /// All that there must be.
    pub(super) fn sections(&self) -> impl Iterator<Item = Expected> {
        let Self { header, space, nodes, has_codes } = self;
        let (slots, live, nodes) = (header.slots as u64, header.live as u64, *nodes);
        let exactly = |id: u32, element: u32, elements: u64| {
            let length = elements * u64::from(element);
            (id, element, length..=length)
        };
        let any = |id: u32, element: u32| (id, element, 0..=u64::MAX);
        let mut expected = vec![
            exactly(section::REMOVED, 8, slots.div_ceil(64)),
            exactly(section::IDS, 8, slots),
            exactly(section::TABLE, 8, live),
            (section::GROUPS, 8, 0..=slots * 8),
        ];
        if header.options.id_type == IdType::String {
            expected.push(any(section::TEXTS, 1));
        }
        if let Some(graph) = header.graph {
            expected.push((section::LEVELS, 8, 0..=(MAX_LEVEL as u64 + 1) * 8));
            if *has_codes {
                let scalars = if header.options.metric == Metric::InnerProduct { 3 } else { 2 };
                expected.push(exactly(section::CODES, 1, nodes * crate::codes::padded(space.dimensions()) as u64));
                expected.push(exactly(section::SCALARS, 4, nodes * scalars));
            }
            expected.push(exactly(section::LINKS, 4, nodes * list_bytes(2 * graph.m) as u64 / 4));
            expected.push(exactly(section::UPPER_PLACES, 4, nodes));
            expected.push(any(section::UPPER_LINKS, 4));
        }
        let (element, row) = (space.dtype().bytes() as u64, space.row_bytes() as u64);
        expected.push(exactly(section::VECTORS, element as u32, slots * row / element));
        if space.terms() > 0 {
            expected.push(exactly(section::TERMS, 4, slots * space.terms() as u64));
        }
        if space.normalizes() {
            expected.push(exactly(section::NORMS, 4, slots));
        }
        expected.into_iter()
    }

    /// Where the rows of the first slots are, if they stand in the order of `nodes`; otherwise nothing.
    pub(super) fn places(&self, nodes: impl Iterator<Item = u32>, name: FileName<'_>) -> Result<Vec<u32>> {
        if !self.space.dtype().is_whole() {
            return Ok(Vec::new());
        }
        let migrated = self.header.graph.map_or(0, |graph| graph.migrated);
        let (_, places) = arrangement(nodes, migrated)?.ok_or_else(|| {
            name.corrupt("a slot of two nodes, or of none that migrated", "slots below the migrated ones, each once")
        })?;
        Ok(places)
    }
}
