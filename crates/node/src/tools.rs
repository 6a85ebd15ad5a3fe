//! What the command line asks of files and directories. On the JavaScript thread: the process does nothing else.

use std::path::Path;

use napi_derive::napi;
use vicinal_core::inspect::{self, Findings, Info};
use vicinal_core::{Result, Work};

use crate::error::{Thrown, guarded, thrown};

/// What the header of a file says, or that of a directory's newest snapshot.
#[napi(object, object_from_js = false)]
pub struct NativeInfo {
    pub is_directory: bool,
    pub version: String,
    pub dimensions: f64,
    pub metric: &'static str,
    pub id_type: &'static str,
    pub dtype: &'static str,
    pub live: f64,
    pub removed: f64,
    /// Slots that the graph serves, and its m, where there is one.
    pub migrated: Option<f64>,
    pub m: Option<f64>,
    pub files: Vec<NativePart>,
    pub sections: Vec<NativePart>,
}

/// A file, or a section: where it begins in its file, and how many bytes it has.
#[napi(object, object_from_js = false)]
pub struct NativePart {
    pub name: String,
    pub offset: f64,
    pub length: f64,
}

/// What was found.
#[napi(object, object_from_js = false)]
pub struct NativeFindings {
    pub problems: Vec<String>,
    pub lost: Vec<String>,
    pub notes: Vec<String>,
    pub rows: Option<f64>,
}

/// What the index at `path` says of itself.
#[napi]
#[cfg_attr(test, allow(dead_code, reason = "only JavaScript calls it"))]
pub fn info_of(path: String) -> Result<NativeInfo, Thrown> {
    guarded(None, "info", || inspect::info(Path::new(&path))).map(NativeInfo::from).map_err(thrown)
}

/// All that is wrong with the index at `path`.
#[napi]
#[cfg_attr(test, allow(dead_code, reason = "only JavaScript calls it"))]
pub fn verify_path(path: String) -> Result<NativeFindings, Thrown> {
    let verify = || inspect::verify(Path::new(&path), &Work::default());
    guarded(None, "verify", verify).map(NativeFindings::from).map_err(thrown)
}

/// Writes what can be read at `path` to `output`.
#[napi]
#[cfg_attr(test, allow(dead_code, reason = "only JavaScript calls it"))]
pub fn recover_path(path: String, output: String) -> Result<NativeFindings, Thrown> {
    let recover = || inspect::recover(Path::new(&path), Path::new(&output), &Work::default());
    guarded(None, "recover", recover).map(NativeFindings::from).map_err(thrown)
}

impl From<Info> for NativeInfo {
    fn from(info: Info) -> Self {
        let part =
            |name: String, offset: u64, length: u64| NativePart { name, offset: offset as f64, length: length as f64 };
        Self {
            is_directory: info.is_directory,
            version: info.version,
            dimensions: info.options.dimensions as f64,
            metric: info.options.metric.name(),
            id_type: info.options.id_type.name(),
            dtype: info.options.dtype.name(),
            live: info.live as f64,
            removed: info.removed as f64,
            migrated: info.graph.map(|graph| graph.migrated as f64),
            m: info.graph.map(|graph| graph.m as f64),
            files: info.files.into_iter().map(|(name, length)| part(name, 0, length)).collect(),
            sections: info
                .sections
                .into_iter()
                .map(|section| part(section.name.into(), section.offset, section.length))
                .collect(),
        }
    }
}

impl From<Findings> for NativeFindings {
    fn from(findings: Findings) -> Self {
        let Findings { problems, lost, notes, rows, .. } = findings;
        Self { problems, lost, notes, rows: rows.map(|rows| rows as f64) }
    }
}
