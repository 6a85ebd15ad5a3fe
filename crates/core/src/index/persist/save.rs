//! From a state to sections. Rows come last: where they are written, all else of a row is.

use super::{Image, KEPT, Position, section};
use crate::codes::Encoder;
use crate::error::Result;
use crate::graph::{Graph, GraphView, Link};
use crate::ids::Id;
use crate::index::State;
use crate::options::{IdType, Options};
use crate::storage::{FileWriter, GraphHeader, Header, UNIT};
use crate::work::{Phase, Work};

/// Writes all of `image`; the file's length.
pub(super) fn write(
    image: &Image,
    options: &Options,
    position: Option<Position>,
    mut out: FileWriter<'_>,
    work: &Work,
) -> Result<u64> {
    let (state, slots) = (&*image.state, image.slots);
    work.report(Phase::Write, 0, slots);
    let graph = image.graph.as_deref();
    out.section(section::REMOVED, 8, |out| put_removed(&image.removed, out))?;
    let id_bytes = if state.ids.id_type() == IdType::String { 1 } else { 8 };
    out.section(section::IDS, id_bytes, |out| put_ids(state, slots, out))?;
    if let Some(graph) = graph {
        let view = graph.view();
        out.section(section::NODES, 4, |out| put_nodes(graph, &view, out))?;
        out.section(section::CENTER, 4, |out| graph.encoder().map_or(Ok(()), |encoder| put_encoder(encoder, out)))?;
        out.section(section::LINKS, 4, |out| put_links(graph, &view, out))?;
        out.section(section::UPPER_LINKS, 4, |out| put_upper_links(graph, &view, out))?;
    }
    let value_bytes = options.dtype.bytes() as u32;
    out.section(section::VECTORS, value_bytes, |out| put_vectors(state, slots, out, work))?;
    if let Some(Position { sequence, identity }) = position {
        out.section(section::POSITION, 8, |out| {
            out.put(&sequence.to_le_bytes())?;
            out.put(&identity.to_le_bytes())
        })?;
    }
    let graph = graph.map(|graph| {
        let entry = graph.view().entry().map_or((0, 0), |entry| (entry.node, entry.level as u32));
        GraphHeader { m: graph.m(), migrated: graph.migrated(), entry, is_bulk: graph.is_bulk() }
    });
    out.finish(Header::new(options, slots, image.live, graph))
}

fn put_removed(removed: &[u64], out: &mut FileWriter<'_>) -> Result<()> {
    removed.iter().try_for_each(|word| out.put(&word.to_le_bytes()))
}

fn put_ids(state: &State, slots: usize, out: &mut FileWriter<'_>) -> Result<()> {
    (0..slots as u32).try_for_each(|slot| match state.id(slot) {
        Id::Key(key) => out.put(&key.to_le_bytes()),
        Id::Text(text) => {
            out.put_u32(text.len() as u32)?;
            out.put(text.as_bytes())
        }
    })
}

fn put_encoder(encoder: &Encoder, out: &mut FileWriter<'_>) -> Result<()> {
    out.put(&encoder.unit().to_le_bytes())?;
    out.put_values(encoder.center())
}

fn put_nodes(graph: &Graph, view: &GraphView<'_>, out: &mut FileWriter<'_>) -> Result<()> {
    (0..graph.nodes() as u32).try_for_each(|node| out.put_u32(view.points().slot(node)))
}

fn put_links(graph: &Graph, view: &GraphView<'_>, out: &mut FileWriter<'_>) -> Result<()> {
    (0..graph.nodes() as u32).try_for_each(|node| put_list(view, node, 0, out))
}

fn put_upper_links(graph: &Graph, view: &GraphView<'_>, out: &mut FileWriter<'_>) -> Result<()> {
    graph.raised().try_for_each(|(node, highest)| {
        out.put_u32(node)?;
        out.put_u32(highest as u32)?;
        (1..=highest).try_for_each(|level| put_list(view, node, level, out))
    })
}

fn put_list(view: &GraphView<'_>, node: u32, level: usize, out: &mut FileWriter<'_>) -> Result<()> {
    let links = || view.list(node, level).into_iter().flat_map(|list| list.links());
    out.put_u32(links().count() as u32)?;
    links().try_for_each(|link: Link| out.put_u32(link.node() | if link.is_kept() { KEPT } else { 0 }))
}

fn put_vectors(state: &State, slots: usize, out: &mut FileWriter<'_>, work: &Work) -> Result<()> {
    let kept = state.rows();
    let rows = kept.view();
    let rows_a_report = UNIT.div_ceil(rows.stored_bytes());
    let mut row = Vec::with_capacity(rows.stored_bytes());
    for slot in 0..slots {
        if slot % rows_a_report == 0 {
            work.report(Phase::Write, slot, slots);
        }
        row.clear();
        rows.store(slot as u32, &mut row);
        out.put(&row)?;
    }
    Ok(())
}
