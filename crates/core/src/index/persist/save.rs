//! From a state to sections, which have everything as it is in memory: a view reads it where it is.

use super::{Image, Position, section};
use crate::error::Result;
use crate::graph::{Graph, GraphView, Link};
use crate::ids::{Id, IdMap, TextPlaces};
use crate::memory::room;
use crate::options::{IdType, Options};
use crate::storage::{FileWriter, GraphHeader, Header, Part, UNIT};
use crate::vectors::arrangement;
use crate::work::{Phase, Work};

/// Slots between two looks at whether the caller has cancelled.
const AT_ONCE: usize = 65_536;

/// What is put into a file, and in which order.
pub(super) struct Contents<'a> {
    image: &'a Image,
    options: &'a Options,
    position: Option<Position>,
    parts: Vec<Part>,
    /// Slots in the order of their rows, if that is another.
    order: Option<Vec<u32>>,
}

impl<'a> Contents<'a> {
    pub(super) fn of(image: &'a Image, options: &'a Options, position: Option<Position>) -> Result<Self> {
        let mut contents = Self { image, options, position, parts: Vec::new(), order: order_of(image)? };
        let Image { state, slots, live, .. } = image;
        contents.part(section::REMOVED, 8, slots.div_ceil(64) * 8);
        contents.part(section::IDS, 8, slots * 8);
        if options.id_type == IdType::String {
            let mut places = TextPlaces::default();
            texts(image).for_each(|text| {
                places.next(text.len());
            });
            contents.part(section::TEXTS, 1, places.end());
        }
        contents.part(section::TABLE, 8, live * 8);
        contents.part(section::GROUPS, 8, image.groups.len() * 8);
        if let Some(graph) = image.graph.as_deref() {
            let (nodes, lists) = (graph.nodes(), graph.raised().map(|(_, level)| level).sum::<usize>());
            contents.part(section::NODES, 4, nodes * 4);
            contents.part(section::LEVELS, 8, graph.levels().len() * 8);
            contents.part(section::CENTER, 4, graph.encoder().map_or(0, |encoder| 8 + encoder.center().len() * 4));
            if let Some((code, scalars)) = graph.points().code_sizes() {
                contents.part(section::CODES, 1, nodes * code);
                contents.part(section::SCALARS, 4, nodes * scalars * 4);
            }
            contents.part(section::LINKS, 4, nodes * graph.list_bytes(0));
            contents.part(section::UPPER_PLACES, 4, nodes * 4);
            contents.part(section::UPPER_LINKS, 4, lists * graph.list_bytes(1));
        }
        let rows = state.rows();
        let space = rows.space();
        contents.part(section::VECTORS, space.dtype().bytes(), slots * space.row_bytes());
        if space.terms() > 0 {
            contents.part(section::TERMS, 4, slots * space.terms() * 4);
        }
        if space.normalizes() {
            contents.part(section::NORMS, 4, slots * 4);
        }
        if position.is_some() {
            contents.part(section::POSITION, 8, 16);
        }
        Ok(contents)
    }

    fn part(&mut self, id: u32, element: usize, length: usize) {
        self.parts.push(Part { id, element: element as u32, length: length as u64 });
    }

    /// The file's length.
    pub(super) fn length(&self) -> u64 {
        crate::storage::length_of(&self.parts)
    }

    /// Writes all of it; the file's length.
    pub(super) fn write(&self, mut out: FileWriter<'_>, work: &Work) -> Result<u64> {
        let Self { image, options, .. } = self;
        work.report(Phase::Write, 0, image.slots);
        for &part in &self.parts {
            out.section(part, |out| self.put(part.id, out, work))?;
        }
        let graph = image.graph.as_deref().map(|graph| {
            let entry = graph.view().entry().map_or((0, 0), |entry| (entry.node, entry.level as u32));
            GraphHeader { m: graph.m(), migrated: graph.migrated(), entry, is_bulk: graph.is_bulk() }
        });
        out.finish(Header::new(options, image.slots, image.live, graph))
    }

    fn put(&self, id: u32, out: &mut FileWriter<'_>, work: &Work) -> Result<()> {
        let Self { image, position, .. } = self;
        match id {
            section::REMOVED => image.removed.iter().try_for_each(|&word| out.put_u64(word)),
            section::IDS => put_ids(image, out),
            section::TEXTS => put_texts(image, out),
            section::TABLE => table(image, work)?.into_iter().try_for_each(|entry| out.put_u64(entry)),
            section::GROUPS => image.groups.iter().try_for_each(|&pair| out.put_u64(pair)),
            section::VECTORS | section::TERMS | section::NORMS => self.put_rows(id, out, work),
            section::POSITION => position.iter().try_for_each(|position| {
                out.put_u64(position.sequence)?;
                out.put_u64(position.identity)
            }),
            _ => image.graph.as_deref().map_or(Ok(()), |graph| put_graph(id, graph, &graph.view(), out)),
        }
    }

    /// The rows, or what stands beside them.
    fn put_rows(&self, id: u32, out: &mut FileWriter<'_>, work: &Work) -> Result<()> {
        let slots = self.image.slots;
        let kept = self.image.state.rows();
        let rows = kept.view();
        let rows_a_report = UNIT.div_ceil(rows.space().row_bytes());
        let mut row = Vec::with_capacity(rows.space().row_bytes());
        for position in 0..slots {
            let slot = self.order.as_ref().and_then(|order| order.get(position).copied()).unwrap_or(position as u32);
            let place = rows.place(slot);
            match id {
                section::VECTORS => {
                    if position % rows_a_report == 0 {
                        work.report(Phase::Write, position, slots);
                    }
                    row.clear();
                    rows.store_block(place, &mut row);
                    out.put(&row)?;
                }
                section::TERMS => out.put_values(rows.touched(place).terms(place))?,
                _ => out.put_values(&[rows.touched(place).inverse_norm(place)])?,
            }
        }
        Ok(())
    }
}

/// The slots in the order of the graph's nodes, and then those that are none, where rows stand so: those of whole numbers,
/// which are their own codes.
fn order_of(image: &Image) -> Result<Option<Vec<u32>>> {
    let rows = image.state.rows();
    let Some(graph) = image.graph.as_deref().filter(|_| rows.space().dtype().is_whole()) else {
        return Ok(None);
    };
    let view = graph.view();
    let nodes = (0..graph.nodes() as u32).map(|node| view.points().slot(node));
    Ok(arrangement(nodes, graph.migrated())?.map(|(order, _)| order))
}

fn texts(image: &Image) -> impl Iterator<Item = &str> {
    (0..image.slots as u32).map(|slot| match image.state.id(slot) {
        Id::Text(text) => text,
        Id::Key(_) => "",
    })
}

fn put_ids(image: &Image, out: &mut FileWriter<'_>) -> Result<()> {
    let mut places = TextPlaces::default();
    (0..image.slots as u32).try_for_each(|slot| match image.state.id(slot) {
        Id::Key(key) => out.put_u64(key),
        Id::Text(text) => out.put_u64(places.next(text.len())),
    })
}

fn put_texts(image: &Image, out: &mut FileWriter<'_>) -> Result<()> {
    let mut places = TextPlaces::default();
    for text in texts(image) {
        let end = places.end();
        places.next(text.len());
        out.put_zeros(places.end() - text.len() - end)?;
        out.put(text.as_bytes())?;
    }
    Ok(())
}

/// The slots of the live ids, each behind the hash of its id, in this order.
fn table(image: &Image, work: &Work) -> Result<Vec<u64>> {
    const BUCKETS: usize = 1 << 16;
    let is_live = |slot: u32| image.removed[slot as usize / 64] >> (slot % 64) & 1 == 0;
    let (mut entries, mut sorted) = (room("ids", image.live)?, room("ids", image.live)?);
    let mut ends = vec![0; BUCKETS];
    let bucket = |entry: u64| (entry >> 48) as usize;
    for slot in (0..image.slots as u32).filter(|&slot| is_live(slot)) {
        if (slot as usize).is_multiple_of(AT_ONCE) {
            work.check()?;
        }
        let entry = u64::from(IdMap::stored_hash(image.state.id(slot))) << 32 | u64::from(slot);
        ends[bucket(entry)] += 1;
        entries.push(entry);
    }
    let mut end = 0;
    for count in &mut ends {
        end += std::mem::replace(count, end);
    }
    sorted.resize(entries.len(), 0);
    for &entry in &entries {
        let place = &mut ends[bucket(entry)];
        sorted[*place] = entry;
        *place += 1;
    }
    let mut start = 0;
    for (number, end) in ends.into_iter().enumerate() {
        if number % 256 == 0 {
            work.check()?;
        }
        sorted[start..end].sort_unstable();
        start = end;
    }
    Ok(sorted)
}

fn put_graph(id: u32, graph: &Graph, view: &GraphView<'_>, out: &mut FileWriter<'_>) -> Result<()> {
    let mut nodes = 0..graph.nodes() as u32;
    match id {
        section::NODES => nodes.try_for_each(|node| out.put_u32(view.points().slot(node))),
        section::LEVELS => graph.levels().into_iter().try_for_each(|nodes| out.put_u64(nodes as u64)),
        section::CENTER => graph.encoder().map_or(Ok(()), |encoder| {
            out.put(&encoder.unit().to_le_bytes())?;
            out.put_values(encoder.center())
        }),
        section::CODES => nodes.try_for_each(|node| out.put(view.points().code(node).map_or(&[], |(code, _)| code))),
        section::SCALARS => {
            nodes.try_for_each(|node| out.put_values(view.points().code(node).map_or(&[], |(_, scalars)| scalars)))
        }
        section::LINKS => nodes.try_for_each(|node| put_list(graph, view, node, 0, out)),
        section::UPPER_PLACES => put_places(graph, out),
        _ => graph.raised().try_for_each(|(node, highest)| {
            (1..=highest).try_for_each(|level| put_list(graph, view, node, level, out))
        }),
    }
}

/// Where the upper lists of each node begin among all, plus 1; 0 for nodes without any.
fn put_places(graph: &Graph, out: &mut FileWriter<'_>) -> Result<()> {
    let (mut next, mut list) = (0, 1);
    for (node, level) in graph.raised() {
        out.put_zeros((node - next) as usize * 4)?;
        out.put_u32(list)?;
        (next, list) = (node + 1, list + level as u32);
    }
    out.put_zeros((graph.nodes() - next as usize) * 4)
}

fn put_list(graph: &Graph, view: &GraphView<'_>, node: u32, level: usize, out: &mut FileWriter<'_>) -> Result<()> {
    let mut left = graph.list_bytes(level);
    for link in view.list(node, level).into_iter().flat_map(|list| list.links()) {
        out.put_u32(Link::stored(link))?;
        left -= 4;
    }
    out.put_zeros(left)
}
