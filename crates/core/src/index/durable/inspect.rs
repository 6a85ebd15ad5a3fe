//! Looking at a directory without opening it: all that is wrong with it, and what can be had of it.

use std::path::Path;

use super::checkpoint::{file_name, is_temporary, sequence_of};
use super::open::{self, newest};
use crate::error::{Error, Result};
use crate::index::inspect::Findings;
use crate::index::persist::{self, Position};
use crate::index::{Index, Options};
use crate::pools::Pools;
use crate::storage::log::{self, Frame, Salvaged};
use crate::storage::{Disk, FileName};
use crate::work::Work;

/// The newest snapshot of a directory, by its name. An error where there is no index.
pub(in crate::index) fn snapshot_of(directory: &Path, names: &[String]) -> Result<(u64, std::path::PathBuf)> {
    let newest = newest(names, FileName(directory))?.ok_or_else(|| open::missing(directory))?;
    Ok((newest, directory.join(file_name(newest))))
}

/// Whether an index has such a file in its directory.
pub(in crate::index) fn is_part(name: &str) -> bool {
    sequence_of(name).is_some() || log::number_of(name).is_some()
}

/// Reads all that opening would, and more, and notes what is wrong with it. Nothing is changed. An error where nothing can
/// be said.
pub(in crate::index) fn examine(disk: &dyn Disk, directory: &Path, work: &Work, findings: &mut Findings) -> Result<()> {
    let names = open::list(disk, FileName(directory))?;
    let (sequence, path) = snapshot_of(directory, &names)?;
    let snapshot = persist::examine(disk, &path, work, &mut findings.problems)?;
    let position = snapshot.as_ref().and_then(|snapshot| snapshot.position);
    if snapshot.is_some() && position.is_none_or(|position| position.sequence != sequence) {
        let got = format!("a snapshot at {position:?}");
        findings.problems.push(FileName(&path).corrupt(got, format!("one at {sequence}")).to_string());
    }
    let index = match snapshot {
        Some(snapshot) => {
            let options = Options { threads: None, ..snapshot.options };
            Some(Index::assemble(options, Pools::new(None)?, snapshot.state))
        }
        None => None,
    };
    let apply = &mut |frame: Frame<'_>| index.as_ref().map_or(Ok(()), |index| index.inner().replay(&frame));
    let identity = position.map(|position| position.identity);
    let replayed = log::replay(disk, directory, &names, identity, sequence, apply);
    if let Some(recovered) = persist::noted(replayed, &mut findings.problems)? {
        findings.notes.push(format!("{} writes in the log after the snapshot", recovered.sequence - sequence));
        if recovered.torn > 0 {
            findings.notes.push(format!("{} bytes of a torn write, which opening leaves out", recovered.torn));
        }
    }
    findings.rows = index.map(|index| index.len());
    let is_left = |name: &&String| sequence_of(name).is_some_and(|other| other < sequence) || is_temporary(name);
    let left = names.iter().filter(is_left).map(|name| format!("{name}, which a crash has left"));
    findings.notes.extend(left);
    Ok(())
}

/// An index of what can be read: the rows of the newest snapshot that says what it is, and the writes after it, to the first
/// that is missing.
pub(in crate::index) fn salvage(
    disk: &dyn Disk,
    directory: &Path,
    work: &Work,
    findings: &mut Findings,
) -> Result<Index> {
    let names = open::list(disk, FileName(directory))?;
    let mut sequences: Vec<u64> = names.iter().filter_map(|name| sequence_of(name)).collect();
    sequences.sort_unstable();
    let mut refused = open::missing(directory);
    for sequence in sequences.into_iter().rev() {
        match persist::salvage(disk, &directory.join(file_name(sequence)), work, findings) {
            Ok((index, position)) => {
                let identity = position.map(|position: Position| position.identity);
                let apply = &mut |frame: Frame<'_>| index.inner().replay_over(&frame);
                let log = log::salvage(disk, directory, &names, identity, sequence, apply)?;
                report(directory, sequence, log, findings);
                return Ok(index);
            }
            Err(error @ (Error::Corrupt { .. } | Error::Io { .. })) => {
                findings.lost.push(error.to_string());
                refused = error;
            }
            Err(error) => return Err(error),
        }
    }
    Err(refused)
}

fn report(directory: &Path, from: u64, log: Salvaged, findings: &mut Findings) {
    let Salvaged { sequence, damage, left_out, torn } = log;
    findings.notes.push(format!("{} writes of the log after the snapshot", sequence - from));
    findings.lost.extend(damage.iter().map(Error::to_string));
    if let Some(last) = left_out {
        let (path, next) = (directory.display(), sequence + 1);
        findings.lost.push(format!("{path}: writes {next} … {last}, the first of which is damaged or missing"));
    } else if torn > 0 {
        findings.notes.push(format!("{torn} bytes of a torn write, which are left out"));
    }
}
