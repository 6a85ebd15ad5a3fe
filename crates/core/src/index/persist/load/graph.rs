//! The graph of a file: codes, lists of links that lead to nodes, and the levels of these.

use super::super::section;
use super::{File, u64s};
use crate::codes::{Codes, Encoder};
use crate::distance::BIAS;
use crate::error::Result;
use crate::graph::{Entry, Graph, Link, MAX_LEVEL, Points, list_bytes, nodes_by_level};
use crate::index::State;
use crate::memory::room;
use crate::options::Metric;
use crate::storage::{FileName, GraphHeader};

impl File<'_> {
    /// The graph, whose links are within bounds and no more than lists hold, and the highest level of each node.
    pub(super) fn graph(&self, state: &State, header: GraphHeader, nodes: usize) -> Result<(Graph, Vec<u8>)> {
        let GraphHeader { m, migrated, entry, is_bulk } = header;
        let options = &self.file.header.options;
        let taken = |_: usize, _: &[u8]| Ok(());
        let rows = state.shelf.share();
        let arranged = if rows.space().dtype().is_whole() { nodes } else { 0 };
        let points = Points::stored(rows, self.section(section::NODES, &taken)?, self.codes()?, arranged)?;

        let base = Lists { capacity: 2 * m, nodes, name: self.file.name, is_base: true };
        let upper = Lists { capacity: m, is_base: false, ..base };
        let (check_base, check_upper) =
            (|first, bytes: &[u8]| base.check(first, bytes), |first, bytes: &[u8]| upper.check(first, bytes));
        let levels = self.levels(list_bytes(m))?;
        let lists = [
            self.section(section::LINKS, &check_base)?,
            self.section(section::UPPER_PLACES, &taken)?,
            self.section(section::UPPER_LINKS, &check_upper)?,
        ];
        let mut graph = Graph::stored(m, options.seed, is_bulk, points, lists)?;
        let entry = (nodes > 0).then_some(Entry { node: entry.0, level: entry.1 as usize });
        let by_level = nodes_by_level(&levels);
        graph.restore(migrated, entry, &by_level);
        self.check_levels(&by_level)?;
        Ok((graph, levels))
    }

    /// The codes, if there are any beside the rows.
    fn codes(&self) -> Result<Option<Codes>> {
        let (name, options) = (self.file.name, &self.file.header.options);
        let bytes = self.file.bytes(section::CENTER)?;
        if bytes.is_empty() {
            return Ok(None);
        }
        let encoder = encoder_of(&bytes, options.metric, name)?;
        let (dimensions, padded) = (encoder.dimensions(), encoder.padded());
        let padding = |first: usize, bytes: &[u8]| {
            let is_padded = |code: &[u8]| code[dimensions..].iter().all(|&byte| byte == BIAS);
            match bytes.chunks_exact(padded).position(|code| !is_padded(code)) {
                Some(index) => Err(name.corrupt(format!("padding of another kind in code {}", first + index), BIAS)),
                None => Ok(()),
            }
        };
        let finite = |_: usize, bytes: &[u8]| {
            let mut scalars = bytes.as_chunks().0.iter().map(|&bytes| f32::from_ne_bytes(bytes));
            match scalars.find(|scalar| !scalar.is_finite()) {
                Some(scalar) => Err(name.corrupt(format!("{scalar} beside a code"), "finite numbers")),
                None => Ok(()),
            }
        };
        let (codes, scalars) = (self.section(section::CODES, &padding)?, self.section(section::SCALARS, &finite)?);
        Codes::stored(encoder, codes, scalars).map(Some)
    }

    /// The highest level of each node, from where its lists begin among all upper lists, of `list_bytes` each.
    fn levels(&self, list_bytes: usize) -> Result<Vec<u8>> {
        let (name, nodes) = (self.file.name, self.layout.nodes());
        let bytes = self.file.check_section(section::UPPER_LINKS, 4, 0..=u64::MAX)?;
        let lists = bytes / list_bytes as u64;
        if bytes % list_bytes as u64 != 0 {
            let got = format!("{bytes} bytes of section {}", section::UPPER_LINKS);
            return Err(name.corrupt(got, format!("lists of {list_bytes} bytes")));
        }
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
        for (node, place) in self.u32s(section::UPPER_PLACES)?.into_iter().enumerate().filter(|&(_, place)| place != 0)
        {
            end(last, place.into())?;
            last = Some((node, place.into()));
        }
        end(last, lists + 1)?;
        Ok(levels)
    }

    fn check_levels(&self, found: &[usize]) -> Result<()> {
        let stored = self.file.bytes(section::LEVELS)?;
        let expected = found.iter().map(|&nodes| nodes as u64).filter(|&nodes| nodes > 0);
        let differs =
            |(level, (got, expected)): (usize, (u64, u64))| (got != expected).then_some((level, got, expected));
        if let Some((level, got, expected)) = u64s(&stored).zip(expected.clone()).enumerate().find_map(differs) {
            return Err(self.file.name.corrupt(format!("{got} nodes on level {level}"), expected));
        }
        let (got, expected) = (u64s(&stored).count(), expected.count());
        if got == expected { Ok(()) } else { Err(self.file.name.corrupt(format!("{got} levels"), expected)) }
    }
}

/// What makes codes, from its bytes in a file.
pub(in crate::index::persist) fn encoder_of(bytes: &[u8], metric: Metric, name: FileName<'_>) -> Result<Encoder> {
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

/// What lists must be like.
#[derive(Clone, Copy)]
struct Lists<'a> {
    capacity: usize,
    nodes: usize,
    name: FileName<'a>,
    /// Whether they are those of level 0, each of the node of its number.
    is_base: bool,
}

impl Lists<'_> {
    /// Refuses a list in which a search, or an insertion, would go wrong, among those from number `first` on.
    fn check(&self, first: usize, bytes: &[u8]) -> Result<()> {
        let lists = bytes.chunks_exact(list_bytes(self.capacity));
        let wrong = (first..).zip(lists).find(|&(number, list)| !self.is_sound(number, list));
        wrong.map_or(Ok(()), |(number, list)| self.refuse(number, list))
    }

    /// In one pass without branches.
    fn is_sound(&self, number: usize, list: &[u8]) -> bool {
        let (nodes, own) = (self.nodes as u32, if self.is_base { number as u32 + 1 } else { u32::MAX });
        let (mut links, mut kept, mut is_wrong) = (0, 0, false);
        for &bytes in list.as_chunks().0 {
            let stored = u32::from_ne_bytes(bytes);
            let node = stored & !Link::KEPT;
            links += u32::from(node != 0);
            kept += stored >> 31;
            is_wrong |= (node > nodes) | (node == own) | ((node == 0) & (stored != 0));
        }
        let (start, end) = (list.as_chunks().0, list.as_chunks::<4>().0.iter().skip(1));
        let is_behind_free = start.iter().zip(end).fold(false, |is_behind_free, (&before, &after)| {
            is_behind_free | ((u32::from_ne_bytes(before) == 0) & (u32::from_ne_bytes(after) != 0))
        });
        // A node that must keep as many as it can hold could take no more.
        !is_wrong && !is_behind_free && links as usize <= self.capacity && (kept as usize) < self.capacity
    }

    #[cold]
    fn refuse(&self, number: usize, list: &[u8]) -> Result<()> {
        let (capacity, nodes) = (self.capacity, self.nodes);
        let stored = || list.as_chunks().0.iter().map(|&bytes| u32::from_ne_bytes(bytes));
        let links: Vec<Link> = stored().map_while(Link::restored).collect();
        let kept = links.iter().filter(|link| link.is_kept()).count();
        let outside = links.iter().find(|link| link.node() as usize >= nodes);
        let degree = links.len();
        let (got, expected) = if degree > capacity {
            (format!("{degree} links"), format!("at most {capacity}"))
        } else if stored().skip(degree).any(|link| link != 0) {
            (format!("a link behind {degree} and a free place"), "links before free places".into())
        } else if let Some(link) = outside {
            (format!("a link to {}", link.node()), format!("below {nodes}"))
        } else if kept >= capacity {
            (format!("{kept} kept links"), format!("at most {}", capacity - 1))
        } else {
            (format!("a link from node {number} to node {number} on level 0"), "links to other nodes".into())
        };
        let whose = if self.is_base { format!("node {number} on level 0") } else { format!("upper list {number}") };
        Err(self.name.corrupt(format!("{whose}: {got}"), expected))
    }
}
