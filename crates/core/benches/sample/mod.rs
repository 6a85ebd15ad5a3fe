//! The set of examples/data, and indexes of it.

use std::path::Path;

use vicinal_core::{Ids, Index, Options, Work};

/// As the comparison with peers has it.
const THREADS: usize = 2;

/// Rows of bytes as floats, row-major.
pub struct Rows {
    pub values: Vec<f32>,
    pub dimensions: usize,
}

impl Rows {
    pub fn base() -> Self {
        Self::read("base.u8bin")
    }

    pub fn queries() -> Self {
        Self::read("query.u8bin")
    }

    /// n and d as little-endian u32, then the rows.
    fn read(name: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/data").join(name);
        let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let (header, rows) = bytes.split_at(8);
        let dimensions = u32::from_le_bytes(header[4..].try_into().unwrap()) as usize;
        Self { values: rows.iter().map(|&value| f32::from(value)).collect(), dimensions }
    }

    pub fn len(&self) -> usize {
        self.values.len() / self.dimensions
    }

    pub fn iter(&self) -> impl Iterator<Item = &[f32]> + Clone {
        self.values.chunks_exact(self.dimensions)
    }

    /// Adds rows `first` to `end − 1` under their numbers.
    pub fn add_to(&self, index: &Index, first: usize, end: usize) {
        let ids = Ids::Keys((first as u64..end as u64).collect());
        let rows = &self.values[first * self.dimensions..end * self.dimensions];
        index.add(&ids, rows, &Work::default()).unwrap();
    }

    /// An empty index for these rows, with defaults.
    pub fn index(&self) -> Index {
        Index::new(Options { threads: Some(THREADS), ..Options::new(self.dimensions) }).unwrap()
    }

    /// An index whose graph has all of them.
    pub fn graph(&self) -> Index {
        let index = self.index();
        self.add_to(&index, 0, self.len());
        index.migrate(&Work::default()).unwrap();
        index
    }
}
