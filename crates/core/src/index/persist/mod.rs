//! An index as a file, and back.
//!
//! A file has all that a search reads as it is in memory, so that a view can read it where it is, and loading can read it to
//! where it stays. What loading makes anew is the id map and which rows are equal.

mod check;
mod examine;
mod layout;
mod load;
mod salvage;
mod save;
#[cfg(test)]
mod tests;
mod view;

use std::path::Path;
use std::sync::Arc;

use super::durable::Place;
use super::{Index, Inner, State};
use crate::error::{Error, Result};
use crate::graph::Graph;
use crate::options::{IdType, Options};
use crate::pools::Pools;
use crate::storage::{self, Bytes, Disk, FileName, FileReader, FileWriter, Map};
use crate::work::{Phase, Work};
use save::Contents;

pub(super) use examine::{examine, noted};
pub(super) use salvage::salvage;

/// What a section holds.
pub(super) mod section {
    /// A bit a slot, in words of 64.
    pub(super) const REMOVED: u32 = 1;
    /// By slot, the key, or where the text is.
    pub(super) const IDS: u32 = 2;
    pub(super) const TEXTS: u32 = 3;
    /// The live slots by the hashes of their ids.
    pub(super) const TABLE: u32 = 4;
    /// Live slots that equal an earlier one, behind that.
    pub(super) const GROUPS: u32 = 5;
    /// The slot of each node of the graph.
    pub(super) const NODES: u32 = 6;
    /// The number of nodes on each level.
    pub(super) const LEVELS: u32 = 7;
    /// The unit and the center by which rows become codes; empty where the graph compares rows.
    pub(super) const CENTER: u32 = 8;
    /// By node.
    pub(super) const CODES: u32 = 9;
    /// What stands beside codes.
    pub(super) const SCALARS: u32 = 10;
    /// Level 0: by node, its list.
    pub(super) const LINKS: u32 = 11;
    /// By node, where its lists of level 1 and up begin among all.
    pub(super) const UPPER_PLACES: u32 = 12;
    pub(super) const UPPER_LINKS: u32 = 13;
    /// Rows, padded.
    pub(super) const VECTORS: u32 = 14;
    /// What stands beside rows of whole numbers.
    pub(super) const TERMS: u32 = 15;
    /// Under cosine, the inverse norms of rows.
    pub(super) const NORMS: u32 = 16;
    /// Where the log goes on from a snapshot.
    pub(super) const POSITION: u32 = 17;

    const NAMES: [&str; 17] = [
        "removed",
        "ids",
        "texts",
        "table",
        "groups",
        "nodes",
        "levels",
        "center",
        "codes",
        "scalars",
        "links",
        "upper places",
        "upper links",
        "vectors",
        "terms",
        "norms",
        "position",
    ];

    /// As docs/file-format.md calls it.
    pub(in crate::index) fn name(id: u32) -> &'static str {
        let position = (id as usize).checked_sub(1);
        position.and_then(|position| NAMES.get(position)).copied().unwrap_or("unknown")
    }
}

/// What errors call bytes that are in no file.
const BYTES: &str = "bytes";

/// All that a file holds of an index, as it was at one moment. Rows, ids and slots of a state never change, and what is
/// removed later is not removed here; nobody may insert into the graph while the image is used. Whatever takes its place,
/// or that of the state, leaves the image as it is.
pub(super) struct Image {
    state: Arc<State>,
    graph: Option<Arc<Graph>>,
    slots: usize,
    live: usize,
    removed: Vec<u64>,
    /// See [`Equals::pairs`](super::equals::Equals::pairs).
    groups: Vec<u64>,
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
        let removed = state.removed.view().words("a copy of what is removed", slots)?;
        let (groups, graph) = (state.equals.pairs()?, state.graph.load_full());
        Ok(Self { state: Arc::clone(state), slots, live, removed, groups, graph })
    }

    /// Which state it is of, and how many of its slots the graph serves.
    pub(super) fn version(&self) -> (u64, usize) {
        (self.state.generation(), self.graph.as_deref().map_or(0, Graph::migrated))
    }
}

impl Inner {
    pub(super) fn save(&self, disk: &dyn Disk, path: &Path, work: &Work) -> Result<()> {
        self.with_image(work, |image| write(disk, path, image, &self.options, None, work).map(drop))
    }

    /// The file as it would be written.
    pub(super) fn to_bytes(&self, work: &Work) -> Result<Vec<u8>> {
        self.with_image(work, |image| {
            image.state.watch(|| {
                let contents = Contents::of(image, &self.options, None)?;
                let mut file = Bytes::with_room(contents.length())?;
                contents.write(FileWriter::new(&mut file, FileName(Path::new(BYTES)), work)?, work)?;
                work.conclude(Phase::Write, image.slots)?;
                Ok(file.into_inner())
            })
        })
    }

    /// Runs `write` while nobody inserts into the graph.
    pub(super) fn with_image<R>(&self, work: &Work, write: impl FnOnce(&Image) -> Result<R>) -> Result<R> {
        let writing = self.writing()?;
        let _inserting = self.migrator.inserting();
        work.check()?;
        let image = Image::of(&self.state.load_full())?;
        drop(writing);
        write(&image)
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
        // What lies in a damaged file must not get checksums that are right.
        image.state.watch(|| {
            let contents = Contents::of(image, options, position)?;
            bytes = contents.write(FileWriter::new(file, FileName(path), work)?, work)?;
            Ok(())
        })?;
        work.conclude(Phase::Write, image.slots)
    })?;
    Ok(bytes)
}

/// Reads a file and checks all of it.
pub(super) fn read(file: &FileReader<'_>, pools: &Pools) -> Result<Snapshot> {
    read_checking(load::CODES_A_CHECK, file, pools)
}

/// As [`read`], where one in `every` codes is compared with its row.
fn read_checking(every: usize, file: &FileReader<'_>, pools: &Pools) -> Result<Snapshot> {
    let (state, position) = (load::read(file, every, pools)?, load::read_position(file)?);
    Ok(Snapshot { options: file.header.options.clone(), state, position, bytes: file.length })
}

/// What whoever opens a file asks for.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Opening {
    /// As in [`Options::threads`].
    pub(super) threads: Option<usize>,
    /// The id type that the index is expected to have.
    pub(super) id_type: Option<IdType>,
}

impl Opening {
    /// The options of an index in a file with these.
    fn options(self, stored: &Options) -> Result<Options> {
        let options = Options { threads: self.threads, ..stored.clone() };
        options.validate()?;
        if let Some(expected) = self.id_type.filter(|&expected| expected != options.id_type) {
            let saved = format!("{}, as the index was saved", options.id_type.name());
            return Err(Error::argument("idType", expected.name(), saved));
        }
        Ok(options)
    }
}

pub(super) fn load(disk: &dyn Disk, path: &Path, opening: Opening, work: &Work) -> Result<Index> {
    load_file(FileReader::open(disk, FileName(path), work)?, opening)
}

pub(super) fn from_bytes(bytes: Vec<u8>, opening: Opening, work: &Work) -> Result<Index> {
    work.check()?;
    load_file(FileReader::of(Box::new(Bytes::of(bytes)), FileName(Path::new(BYTES)), work)?, opening)
}

fn load_file(file: FileReader<'_>, opening: Opening) -> Result<Index> {
    let (options, work) = (opening.options(&file.header.options)?, file.work);
    let pools = Pools::new(options.threads)?;
    let Snapshot { state, .. } = read(&file, &pools)?;
    work.check()?;
    work.report(Phase::Read, state.len(), state.len());
    let index = Index::assemble(options, pools, state);
    let state = index.inner().state.load();
    state.take_lists(index.inner().lists_of_waiting(&state, state.rows().view(), None, state.live())?);
    index.inner().migrate_in_background();
    Ok(index)
}

pub(super) fn view(path: &Path, opening: Opening, work: &Work) -> Result<Index> {
    work.check()?;
    let map = Map::open(path)?;
    let options = opening.options(&map.header.options)?;
    let state = view::state(&map, work)?;
    work.report(Phase::Read, state.len(), state.len());
    let index = Index::assemble(options.clone(), Pools::new(options.threads)?, state);
    // Nothing runs yet, and nothing may: what waits stays where it is.
    index.inner().migrator.pause();
    let _ = index.inner().place.set(Place::ReadOnly);
    Ok(index)
}
