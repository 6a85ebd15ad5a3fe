//! An index as a file, and back.
//!
//! A file holds what cannot be derived: rows, ids, which slots are removed, nodes and links. Nodes stand for slots, so
//! removed ones are kept too. The id map, groups of equal rows, inverse norms and codes are made anew.

mod check;
mod load;
mod save;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;

use super::{Index, Inner, State};
use crate::error::{Error, Result};
use crate::graph::Graph;
use crate::memory::room;
use crate::options::{IdType, Options};
use crate::pools::Pools;
use crate::storage::{self, Disk, FileName, FileReader, FileWriter};
use crate::work::{Phase, Work};

/// What a section holds.
mod section {
    /// A bit a slot, in words of 64.
    pub(super) const REMOVED: u32 = 1;
    /// Keys, or texts each behind its length.
    pub(super) const IDS: u32 = 2;
    /// The slot of each node of the graph.
    pub(super) const NODES: u32 = 3;
    /// The unit and the center by which rows become codes; empty where the graph compares rows.
    pub(super) const CENTER: u32 = 4;
    /// Level 0: by node, a list of links behind its length.
    pub(super) const LINKS: u32 = 5;
    /// By node that reaches level 1: its number, its level, its lists from level 1 on.
    pub(super) const UPPER_LINKS: u32 = 6;
    /// Rows as they were given.
    pub(super) const VECTORS: u32 = 7;
    /// Where the log goes on from a snapshot.
    pub(super) const POSITION: u32 = 8;
}

/// The bit of a link that says that pruning must keep it.
const KEPT: u32 = 1 << 31;

/// All that a file holds of an index, as it was at one moment. Rows, ids and slots of a state never change, and what is
/// removed later is not removed here; nobody may insert into the graph while the image is used. Whatever takes its place,
/// or that of the state, leaves the image as it is.
pub(super) struct Image {
    state: Arc<State>,
    graph: Option<Arc<Graph>>,
    slots: usize,
    live: usize,
    removed: Vec<u64>,
}

/// Where a snapshot stands among the writes of a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Position {
    /// The number of the last write in it.
    pub(super) sequence: u64,
    /// The directory's own number.
    pub(super) identity: u64,
}

/// What a file holds.
pub(super) struct Snapshot {
    pub(super) options: Options,
    pub(super) state: State,
    pub(super) position: Option<Position>,
    /// The file's length.
    pub(super) bytes: u64,
}

impl Image {
    /// Nobody may write meanwhile.
    pub(super) fn of(state: &Arc<State>) -> Result<Self> {
        let (slots, live) = (state.len(), state.live());
        let words = slots.div_ceil(64);
        let mut removed = room("a copy of what is removed", words)?;
        let bits = state.removed.view();
        removed.extend((0..words).map(|index| bits.word(index)));
        Ok(Self { state: Arc::clone(state), graph: state.graph.load_full(), slots, live, removed })
    }

    /// Which state it is of, and how many of its slots the graph serves.
    pub(super) fn version(&self) -> (u64, usize) {
        (self.state.generation(), self.graph.as_deref().map_or(0, Graph::migrated))
    }
}

impl Inner {
    pub(super) fn save(&self, disk: &dyn Disk, path: &Path, work: &Work) -> Result<()> {
        let writing = self.writing()?;
        let _inserting = self.migrator.inserting();
        work.check()?;
        let image = Image::of(&self.state.load_full())?;
        drop(writing);
        write(disk, path, &image, &self.options, None, work).map(drop)
    }
}

/// Puts a file in the place of `path`; its length.
pub(super) fn write(
    disk: &dyn Disk,
    path: &Path,
    image: &Image,
    options: &Options,
    position: Option<Position>,
    work: &Work,
) -> Result<u64> {
    let mut bytes = 0;
    storage::replace(disk, path, work, |file| {
        let out = FileWriter::new(file, FileName(path), work)?;
        bytes = save::write(image, options, position, out, work)?;
        work.conclude(Phase::Write, image.slots)
    })?;
    Ok(bytes)
}

/// Reads a file and checks all of it.
pub(super) fn read(disk: &dyn Disk, path: &Path, work: &Work) -> Result<Snapshot> {
    read_file(FileReader::open(disk, FileName(path), work)?)
}

fn read_file(mut file: FileReader<'_>) -> Result<Snapshot> {
    let state = load::read(&mut file)?;
    let position = load::read_position(&mut file)?;
    Ok(Snapshot { options: file.header.options.clone(), state, position, bytes: file.length })
}

pub(super) fn load(
    disk: &dyn Disk,
    path: &Path,
    threads: Option<usize>,
    id_type: Option<IdType>,
    work: &Work,
) -> Result<Index> {
    let file = FileReader::open(disk, FileName(path), work)?;
    let options = Options { threads, ..file.header.options.clone() };
    options.validate()?;
    if let Some(expected) = id_type.filter(|&expected| expected != options.id_type) {
        let saved = format!("{}, as the index was saved", options.id_type.name());
        return Err(Error::argument("idType", expected.name(), saved));
    }
    let Snapshot { state, .. } = read_file(file)?;
    let pools = Pools::new(threads)?;
    work.check()?;
    work.report(Phase::Read, state.len(), state.len());
    let index = Index::assemble(options, pools, state);
    let state = index.inner().state.load();
    state.take_lists(index.inner().lists_of_waiting(&state, state.rows().view(), state.live())?);
    index.inner().migrate_in_background();
    Ok(index)
}
