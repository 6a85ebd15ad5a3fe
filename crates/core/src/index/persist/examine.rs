//! All that is wrong with a file: its header, every block of every section, then what the sections say.

use std::path::Path;
use std::sync::Arc;

use super::save::Contents;
use super::{Image, Snapshot, read_checking, section};
use crate::error::{Error, Result};
use crate::pools::Pools;
use crate::storage::{DamagedFile, Discard, Disk, FileName, FileReader, FileWriter, Header};
use crate::work::Work;

/// Reads all of a file and notes what is wrong with it, in words. What it holds, if nothing is. An error where nothing can be
/// said: the system refuses something, or the file is of another version.
pub(in crate::index) fn examine(
    disk: &dyn Disk,
    path: &Path,
    work: &Work,
    problems: &mut Vec<String>,
) -> Result<Option<Snapshot>> {
    let before = problems.len();
    let name = FileName(path);
    if let Some(file) = noted(DamagedFile::open(disk, name, work), problems)? {
        problems.extend(file.damage.iter().map(Error::to_string));
        for id in file.header.ids() {
            let damage = file.survey(id)?.damage();
            problems.extend(damage.map(|damage| describe(id, damage, name)));
        }
        if problems.len() == before
            && let Some(snapshot) = noted(read_all(disk, name, work), problems)?
        {
            return noted(compare(&file.header, snapshot, name, work), problems);
        }
    }
    Ok(None)
}

/// Reads a file and compares every code with its row.
fn read_all(disk: &dyn Disk, name: FileName<'_>, work: &Work) -> Result<Snapshot> {
    read_checking(1, &FileReader::open(disk, name, work)?, &*Pools::new(None)?)
}

/// What is wrong with section `id`, as errors say it.
pub(super) fn describe(id: u32, damage: String, name: FileName<'_>) -> String {
    name.corrupt(format!("{damage} in section {id} ({})", section::name(id)), "what was written").to_string()
}

/// Notes that the file is corrupt; other errors are the caller's.
pub(in crate::index) fn noted<T>(result: Result<T>, problems: &mut Vec<String>) -> Result<Option<T>> {
    match result {
        Err(error @ Error::Corrupt { .. }) => {
            problems.push(error.to_string());
            Ok(None)
        }
        other => other.map(Some),
    }
}

/// Writes what was read anew and compares the checksums: so what is derived when a file is loaded, and of what a view makes
/// use as it is, has been looked at as well.
fn compare(header: &Header, snapshot: Snapshot, name: FileName<'_>, work: &Work) -> Result<Snapshot> {
    let Snapshot { options, state, position, bytes } = snapshot;
    let state = Arc::new(state);
    let mut anew = Discard::default();
    Contents::of(&Image::of(&state)?, &options, position)?.write(FileWriter::new(&mut anew, name, work)?, work)?;
    if let Some(id) = anew.header(name)?.differing(header).next() {
        return Err(name.corrupt(format!("section {id} ({})", section::name(id)), "what follows from the others"));
    }
    let state = Arc::into_inner(state).ok_or_else(|| Error::Internal("a state that is held elsewhere".into()))?;
    Ok(Snapshot { options, state, position, bytes })
}
