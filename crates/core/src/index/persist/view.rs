//! From a file that is mapped to a state that reads it where it is. What is small or has to be believed is checked at once:
//! removed slots, groups of equal rows, the slots of nodes, the center. All else when it is touched.

use std::sync::Arc;

use super::layout::Layout;
use super::load::{encoder_of, enter_removed};
use super::section;
use crate::codes::Codes;
use crate::error::Result;
use crate::graph::{Entry, Graph, MAX_LEVEL, Points};
use crate::ids::{IdMap, IdStore};
use crate::index::State;
use crate::memory::room;
use crate::options::IdType;
use crate::storage::{FileName, GraphHeader, Map, MappedSection};
use crate::vectors::{Rows, Space};
use crate::work::Work;

/// Words of a section that are looked at between two looks at whether the caller has cancelled.
const AT_ONCE: usize = 65_536;

/// The state that lies in `map`.
pub(super) fn state(map: &Arc<Map>, work: &Work) -> Result<State> {
    let (header, name) = (&map.header, map.name());
    let layout = Layout::of(header, name)?;
    let file = File { map, layout: &layout };
    let nodes = header.graph.map(|graph| file.nodes(graph, work)).transpose()?;
    let space = State::space(&header.options);
    let places = match &nodes {
        Some(nodes) => layout.places(u32s(nodes.checked()?), name)?,
        None => Vec::new(),
    };
    let texts = (header.options.id_type == IdType::String).then(|| file.section(section::TEXTS)).transpose()?;
    let ids = IdStore::stored(header.options.id_type, file.section(section::IDS)?, texts)?;
    let map_of_ids = IdMap::mapped(file.section(section::TABLE)?)?;
    let state = State::mapped(&header.options, file.rows(space, places)?, ids, map_of_ids);
    let removed = file.section(section::REMOVED)?;
    let mut words = removed.checked()?.as_chunks().0.iter().map(|&word| u64::from_le_bytes(word));
    enter_removed(&state, header, || Ok(words.next().unwrap_or_default()), name)?;
    state.count_added(header.live);
    file.groups(&state, work)?;
    if let (Some(graph), Some(nodes)) = (header.graph, nodes) {
        state.graph.store(Some(Arc::new(file.graph(&state, graph, nodes)?)));
    }
    Ok(state)
}

struct File<'a> {
    map: &'a Arc<Map>,
    layout: &'a Layout<'a>,
}

impl File<'_> {
    fn name(&self) -> FileName<'_> {
        self.map.name()
    }

    /// Section `id`, which is as long as the header has it.
    fn section(&self, id: u32) -> Result<MappedSection> {
        let expected = self.layout.sections().find(|&(other, ..)| other == id);
        let (id, element, lengths) = expected.unwrap_or((id, 1, 0..=0));
        self.map.section(id, element, lengths)
    }

    /// The slots of the nodes, each of which has migrated.
    fn nodes(&self, graph: GraphHeader, work: &Work) -> Result<MappedSection> {
        let nodes = self.map.section(section::NODES, 4, 0..=graph.migrated as u64 * 4)?;
        for slots in nodes.checked()?.chunks(AT_ONCE * 4) {
            work.check()?;
            if let Some(slot) = u32s(slots).find(|&slot| slot as usize >= graph.migrated) {
                let expected = format!("slots below {}", graph.migrated);
                return Err(self.name().corrupt(format!("a node of slot {slot}"), expected));
            }
        }
        Ok(nodes)
    }

    fn rows(&self, space: Space, places: Vec<u32>) -> Result<Rows> {
        let terms = (space.terms() > 0).then(|| self.section(section::TERMS)).transpose()?;
        let norms = space.normalizes().then(|| self.section(section::NORMS)).transpose()?;
        Rows::stored(space, self.section(section::VECTORS)?, terms, norms, places)
    }

    fn groups(&self, state: &State, work: &Work) -> Result<()> {
        let (slots, section) = (self.map.header.slots, self.section(section::GROUPS)?);
        let pairs = section.checked()?.as_chunks().0.iter().map(|&pair| u64::from_le_bytes(pair));
        let mut last = None;
        for (position, pair) in pairs.clone().enumerate() {
            if position % AT_ONCE == 0 {
                work.check()?;
            }
            let (leader, slot) = (pair >> 32, pair & u64::from(u32::MAX));
            if leader >= slot || slot >= slots as u64 || last.is_some_and(|last| last >= pair) {
                let got = format!("slot {slot} equal to slot {leader}");
                return Err(self.name().corrupt(got, format!("pairs of {slots} slots, rising")));
            }
            last = Some(pair);
        }
        state.equals.restore(slots, pairs.map(|pair| ((pair >> 32) as u32, pair as u32)))
    }

    fn graph(&self, state: &State, header: GraphHeader, nodes: MappedSection) -> Result<Graph> {
        let GraphHeader { m, migrated, entry, is_bulk } = header;
        let options = &self.map.header.options;
        let codes = self.layout.has_codes().then(|| {
            let center = self.map.section(section::CENTER, 4, 0..=u64::MAX)?;
            let encoder = encoder_of(center.checked()?, options.metric, self.name())?;
            Codes::stored(encoder, self.section(section::CODES)?, self.section(section::SCALARS)?)
        });
        let rows = state.shelf.share();
        let arranged = if rows.space().dtype().is_whole() { self.layout.nodes() } else { 0 };
        let points = Points::stored(rows, nodes, codes.transpose()?, arranged)?;
        let lists = [section::LINKS, section::UPPER_PLACES, section::UPPER_LINKS].map(|id| self.section(id));
        let [base, places, upper] = lists;
        let mut graph = Graph::stored(m, options.seed, is_bulk, points, [base?, places?, upper?])?;
        let levels = self.levels()?;
        let entry = (self.layout.nodes() > 0).then_some(Entry { node: entry.0, level: entry.1 as usize });
        if entry.is_some_and(|entry| entry.node as usize >= self.layout.nodes() || entry.level > MAX_LEVEL) {
            return Err(self.name().corrupt(format!("entry point {entry:?}"), "a node of the graph"));
        }
        graph.restore(migrated, entry, &levels);
        Ok(graph)
    }

    /// Nodes on each level.
    fn levels(&self) -> Result<Vec<usize>> {
        let section = self.section(section::LEVELS)?;
        let mut levels = room("links", MAX_LEVEL + 1)?;
        levels.extend(section.checked()?.as_chunks().0.iter().map(|&nodes| u64::from_le_bytes(nodes) as usize));
        let nodes = self.layout.nodes();
        if levels.first().is_none_or(|&lowest| lowest == nodes) && levels.is_sorted_by(|low, high| low >= high) {
            return Ok(levels);
        }
        Err(self.name().corrupt(format!("{levels:?} nodes on levels"), format!("{nodes}, and fewer above")))
    }
}

fn u32s(bytes: &[u8]) -> impl Iterator<Item = u32> {
    bytes.as_chunks().0.iter().map(|&bytes| u32::from_le_bytes(bytes))
}
