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

use super::{Index, Inner};
use crate::error::{Error, Result};
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
}

/// The bit of a link that says that pruning must keep it.
const KEPT: u32 = 1 << 31;

impl Inner {
    pub(super) fn save(&self, disk: &dyn Disk, path: &Path, work: &Work) -> Result<()> {
        let _writing = self.writing()?;
        let _inserting = self.migrator.inserting();
        work.check()?;
        let state = self.state.load_full();
        storage::replace(disk, path, work, |file| {
            save::write(&state, &self.options, FileWriter::new(file, FileName(path), work)?, work)
        })?;
        work.report(Phase::Write, state.len(), state.len());
        Ok(())
    }
}

pub(super) fn load(
    disk: &dyn Disk,
    path: &Path,
    threads: Option<usize>,
    id_type: Option<IdType>,
    work: &Work,
) -> Result<Index> {
    let mut file = FileReader::open(disk, FileName(path), work)?;
    let options = Options { threads, ..file.header.options.clone() };
    options.validate()?;
    if let Some(expected) = id_type.filter(|&expected| expected != options.id_type) {
        let saved = format!("{}, as the index was saved", options.id_type.name());
        return Err(Error::argument("idType", expected.name(), saved));
    }
    let state = load::read(&mut file)?;
    let pools = Pools::new(threads)?;
    work.check()?;
    work.report(Phase::Read, state.len(), state.len());
    let index = Index::assemble(options, pools, state);
    index.inner().migrate_in_background();
    Ok(index)
}
