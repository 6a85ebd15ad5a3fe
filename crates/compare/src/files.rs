//! The command line, and the files that it names.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use half::f16;
use vicinal_core::Metric;

use crate::Result;
use crate::driver::K;

pub struct Options {
    pub library: String,
    pub base: PathBuf,
    pub query: PathBuf,
    pub truth: PathBuf,
    pub metric: Metric,
    pub rows: usize,
}

impl Options {
    /// A name, and then pairs such as `--rows 20000`.
    pub fn parse(arguments: impl Iterator<Item = String>) -> Result<Self> {
        let arguments: Vec<String> = arguments.collect();
        let [library, pairs @ ..] = arguments.as_slice() else {
            return Err("expected the name of a library".into());
        };
        let value = |name: &str| -> Result<&String> {
            let found = pairs.as_chunks::<2>().0.iter().find(|[key, _]| key == name);
            found.map(|[_, value]| value).ok_or_else(|| format!("expected {name}").into())
        };
        Ok(Self {
            library: library.clone(),
            base: value("--base")?.into(),
            query: value("--query")?.into(),
            truth: value("--truth")?.into(),
            metric: match value("--metric")?.as_str() {
                "l2" => Metric::L2,
                "cosine" => Metric::Cosine,
                other => return Err(format!("metric {other}: expected l2 or cosine").into()),
            },
            rows: value("--rows")?.parse()?,
        })
    }
}

/// The first `limit` rows of a u8bin, f16bin or fbin file, row-major, and their dimensions.
pub fn read_vectors(path: &Path, limit: usize) -> Result<(Vec<f32>, usize)> {
    let (mut file, rows, dimensions) = open(path)?;
    let values = rows.min(limit) * dimensions;
    let (width, read): (usize, fn(&[u8]) -> f32) = match path.extension().and_then(|extension| extension.to_str()) {
        Some("u8bin") => (1, |bytes| f32::from(bytes[0])),
        Some("f16bin") => (2, |bytes| f16::from_le_bytes([bytes[0], bytes[1]]).to_f32()),
        Some("fbin") => (4, |bytes| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])),
        _ => return Err(format!("{}: expected u8bin, f16bin or fbin", path.display()).into()),
    };
    let mut out = Vec::with_capacity(values);
    let mut row = vec![0; dimensions * width];
    while out.len() < values {
        file.read_exact(&mut row)?;
        out.extend(row.chunks_exact(width).map(read));
    }
    Ok((out, dimensions))
}

/// For each query of an ibin file the rows that count as hits: no farther than the true k-th, so that ties count.
pub fn read_accepted(path: &Path) -> Result<Vec<HashSet<u64>>> {
    let (mut file, queries, k) = open(path)?;
    let mut words = vec![0; 2 * queries * k * 4];
    file.read_exact(&mut words)?;
    let (words, _) = words.as_chunks::<4>();
    let (ids, distances) = words.split_at(queries * k);
    let accepted = ids.chunks_exact(k).zip(distances.chunks_exact(k)).map(|(ids, distances)| {
        let bound = f32::from_le_bytes(distances[K - 1]);
        let limit = bound + 1e-6 * bound.abs();
        let near = distances.iter().take_while(|distance| f32::from_le_bytes(**distance) <= limit).count();
        ids[..near].iter().map(|id| u64::from(u32::from_le_bytes(*id))).collect()
    });
    Ok(accepted.collect())
}

/// A file after its header, which is two little-endian u32.
fn open(path: &Path) -> Result<(BufReader<File>, usize, usize)> {
    let mut file = BufReader::new(File::open(path).map_err(|error| format!("{}: {error}", path.display()))?);
    let mut header = [[0; 4]; 2];
    file.read_exact(header.as_flattened_mut())?;
    let [rows, columns] = header.map(|word| u32::from_le_bytes(word) as usize);
    Ok((file, rows, columns))
}
