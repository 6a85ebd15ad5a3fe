//! Looking at files and directories from outside: what they hold, whether all of it is sound, and what can be had of those
//! that are not. None of it changes what it looks at.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::Options;
use super::durable::{self, is_part, snapshot_of};
use super::persist::{self, section};
use crate::error::{Error, Result};
use crate::storage::{DamagedFile, Disk, FileName, Header, System};
use crate::work::Work;

/// How often a look at a directory begins anew when a writer replaces the files under it.
const ATTEMPTS: usize = 100;

/// What the header of a file says, or that of a directory's newest snapshot.
#[derive(Debug, Clone)]
pub struct Info {
    pub is_directory: bool,
    /// The version of the format.
    pub version: String,
    pub options: Options,
    pub live: usize,
    /// Rows that were removed or replaced and still take room.
    pub removed: usize,
    pub graph: Option<GraphInfo>,
    /// The files, by name, with their lengths.
    pub files: Vec<(String, u64)>,
    pub sections: Vec<SectionInfo>,
}

/// The graph of a file.
#[derive(Debug, Clone, Copy)]
pub struct GraphInfo {
    pub m: usize,
    /// Slots that it serves.
    pub migrated: usize,
}

/// A section of a file: where it begins and how long it is, in bytes.
#[derive(Debug, Clone, Copy)]
pub struct SectionInfo {
    pub id: u32,
    pub name: &'static str,
    pub offset: u64,
    pub length: u64,
}

/// What was found.
#[derive(Debug, Clone, Default)]
pub struct Findings {
    /// What is not as it was written. Without any, opening would succeed.
    pub problems: Vec<String>,
    /// What was there once and could not be recovered.
    pub lost: Vec<String>,
    /// What is worth knowing and no harm.
    pub notes: Vec<String>,
    /// Rows that are there, if that is known.
    pub rows: Option<usize>,
    /// Of these, recovered rows that no checksum speaks for.
    pub unchecked: usize,
}

/// What the header of the index at `path`, a file or a directory, says. Nothing else is looked at. `Io` where there is none,
/// `Corrupt` for a file that is none or whose header is damaged, `Version` for another version.
pub fn info(path: &Path) -> Result<Info> {
    let (is_directory, file, files) = match is_directory(path)? {
        false => (false, path.to_path_buf(), vec![file_length(path)?]),
        true => {
            let names = System.list(path).map_err(FileName(path).io("listing"))?;
            let (_, snapshot) = snapshot_of(path, &names)?;
            let mut parts: Vec<&String> = names.iter().filter(|name| is_part(name)).collect();
            parts.sort_unstable();
            (true, snapshot, parts.into_iter().map(|name| file_length(&path.join(name))).collect::<Result<_>>()?)
        }
    };
    let work = Work::default();
    let DamagedFile { header, damage, .. } = DamagedFile::open(&System, FileName(&file), &work)?;
    if let Some(error) = damage {
        return Err(error);
    }
    let describe = |(id, offset, length)| SectionInfo { id, name: section::name(id), offset, length };
    Ok(Info {
        is_directory,
        version: Header::version(),
        live: header.live,
        removed: header.slots - header.live,
        graph: header.graph.map(|graph| GraphInfo { m: graph.m, migrated: graph.migrated }),
        files,
        sections: header.places().map(describe).collect(),
        options: header.options,
    })
}

/// Looks at every checksum and at all that [`Index::load`](super::Index::load) or [`Index::open`](super::Index::open) would check, and compares what is derived with
/// what it follows from. An error where nothing can be said: `Io`, `Version`, `OutOfMemory`, since it loads the index.
pub fn verify(path: &Path, work: &Work) -> Result<Findings> {
    verify_on(&System, path, is_directory(path)?, work)
}

pub(super) fn verify_on(disk: &dyn Disk, path: &Path, is_directory: bool, work: &Work) -> Result<Findings> {
    let mut findings = Findings::default();
    if !is_directory {
        let snapshot = persist::examine(disk, path, work, &mut findings.problems)?;
        findings.rows = snapshot.map(|snapshot| snapshot.state.live());
        return Ok(findings);
    }
    let name = FileName(path);
    let list = || disk.list(path).map_err(name.io("listing"));
    let mut attempts = 0;
    loop {
        let (mut findings, names) = (Findings::default(), list()?);
        let examined = durable::examine(disk, path, work, &mut findings);
        let is_sound = examined.is_ok() && findings.problems.is_empty();
        // A checkpoint may have replaced the files between two looks at them.
        attempts += 1;
        if is_sound || attempts == ATTEMPTS || list()? == names {
            return match examined {
                Err(error @ Error::Corrupt { .. }) => {
                    findings.problems.push(error.to_string());
                    Ok(findings)
                }
                examined => examined.map(|()| findings),
            };
        }
    }
}

/// Makes an index of what can be read at `path` and writes it to `output`, which must not exist: a file of a file, a
/// directory of a directory. The graph is built anew, where the index migrates by itself. `Corrupt` or `Io` where there is
/// nothing to be had, and then nothing is written.
pub fn recover(path: &Path, output: &Path, work: &Work) -> Result<Findings> {
    let is_directory = is_directory(path)?;
    check_output(path, output, is_directory)?;
    let recovered = recover_on(&System, path, output, is_directory, work);
    if recovered.is_err() {
        // A directory that was made for nothing; one with anything in it stays.
        let _ = fs::remove_dir(output);
    }
    recovered
}

pub(super) fn recover_on(
    disk: &dyn Disk,
    path: &Path,
    output: &Path,
    is_directory: bool,
    work: &Work,
) -> Result<Findings> {
    let mut findings = Findings::default();
    let index = if is_directory {
        durable::salvage(disk, path, work, &mut findings)?
    } else {
        persist::salvage(disk, path, work, &mut findings)?.0
    };
    findings.rows = Some(index.len());
    if index.options().auto_migrate {
        index.migrate(work)?;
    }
    if is_directory {
        durable::create_of(disk, output, &index, work)?;
    } else {
        index.inner().save(disk, output, work)?;
    }
    Ok(findings)
}

/// Refuses to write over anything, and into what is to be left alone.
fn check_output(path: &Path, output: &Path, is_directory: bool) -> Result<()> {
    match fs::symlink_metadata(output) {
        Ok(_) => return Err(Error::argument("output", output.display(), "a path where nothing is")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(FileName(output).io("looking at the output")(error)),
    }
    let parent = match output.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
        _ => PathBuf::from("."),
    };
    let resolve = |path: &Path| fs::canonicalize(path).map_err(FileName(path).io("resolving the path"));
    if is_directory && resolve(&parent)?.starts_with(resolve(path)?) {
        return Err(Error::argument("output", output.display(), "a path outside of what is recovered"));
    }
    Ok(())
}

fn is_directory(path: &Path) -> Result<bool> {
    fs::metadata(path).map(|metadata| metadata.is_dir()).map_err(FileName(path).io("opening"))
}

fn file_length(path: &Path) -> Result<(String, u64)> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let metadata = fs::metadata(path).map_err(FileName(path).io("opening"))?;
    Ok((name, metadata.len()))
}
