//! Rows of many kinds, and the real data set.

use super::Rng;
use vicinal_core::{Dtype, Metric};

/// What rows look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Independent normal values.
    Random,
    /// The same, some rows a thousand times as long as others.
    Uneven,
    /// Around eight centers.
    Clustered,
    /// Of three values.
    Identical,
    /// Zeros but for a row in ten.
    Zero,
    /// Values around 1e-20, whose squares underflow.
    Tiny,
    /// Small whole numbers, so that l2 and inner products are exact and ties are many.
    Whole,
}

pub const KINDS: [Kind; 7] =
    [Kind::Random, Kind::Uneven, Kind::Clustered, Kind::Identical, Kind::Zero, Kind::Tiny, Kind::Whole];

impl Kind {
    /// One row; under cosine none is zero.
    pub fn row(self, metric: Metric, dimensions: usize, rng: &mut Rng) -> Vec<f32> {
        let mut row = self.any_row(dimensions, rng);
        if metric == Metric::Cosine && row.iter().all(|&x| x == 0.0) {
            row[rng.below(dimensions)] = if self == Self::Tiny { 1e-20 } else { 1.0 };
        }
        row
    }

    fn any_row(self, dimensions: usize, rng: &mut Rng) -> Vec<f32> {
        match self {
            Self::Random => (0..dimensions).map(|_| rng.normal()).collect(),
            Self::Uneven => {
                let length = (10.0 * rng.unit() - 5.0).exp2();
                (0..dimensions).map(|_| length * rng.normal()).collect()
            }
            Self::Clustered => {
                let mut center = Rng(rng.below(8) as u64);
                (0..dimensions).map(|_| 10.0 * center.normal() + 0.1 * rng.normal()).collect()
            }
            Self::Identical => vec![[1.0, 1.0, 1.0, -1.0, 2.5][rng.below(5)]; dimensions],
            Self::Zero => {
                let mut row = vec![0.0; dimensions];
                if rng.below(10) == 0 {
                    row[rng.below(dimensions)] = rng.normal();
                }
                row
            }
            Self::Tiny => (0..dimensions).map(|_| 1e-20 * rng.normal()).collect(),
            Self::Whole => (0..dimensions).map(|_| rng.below(7) as f32 - 3.0).collect(),
        }
    }

    /// One row of values that `dtype` keeps as they are.
    pub fn row_as(self, dtype: Dtype, metric: Metric, dimensions: usize, rng: &mut Rng) -> Vec<f32> {
        let mut row = self.row(metric, dimensions, rng);
        // Small whole numbers stay what they are, if they are positive.
        let scale = if self == Self::Whole { 1.0 } else { 9.0 };
        row.iter_mut().for_each(|value| {
            *value = match dtype {
                Dtype::F32 => *value,
                Dtype::F16 => rounded_to_half(*value),
                Dtype::I8 => (*value * scale).round().clamp(-128.0, 127.0) + 0.0,
                Dtype::U8 => (*value * scale + 100.0).round().clamp(0.0, 255.0),
            }
        });
        if metric == Metric::Cosine && row.iter().all(|&x| x == 0.0) {
            row[rng.below(dimensions)] = 1.0;
        }
        row
    }

    /// `count` rows of values that `dtype` keeps as they are.
    pub fn rows_as(self, dtype: Dtype, metric: Metric, dimensions: usize, count: usize, seed: u64) -> Vec<f32> {
        let mut rng = Rng(seed);
        (0..count).flat_map(|_| self.row_as(dtype, metric, dimensions, &mut rng)).collect()
    }

    /// `count` rows, one after the other.
    pub fn rows(self, metric: Metric, dimensions: usize, count: usize, seed: u64) -> Vec<f32> {
        let mut rng = Rng(seed);
        (0..count).flat_map(|_| self.row(metric, dimensions, &mut rng)).collect()
    }
}

/// Eleven bits, or multiples of 2⁻²⁴.
fn rounded_to_half(value: f32) -> f32 {
    let exponent = f64::from(value).abs().log2().floor().max(-14.0);
    let step = (exponent - 10.0).exp2();
    ((f64::from(value) / step).round_ties_even() * step) as f32
}

/// `count` normal rows.
pub fn normal_rows(dimensions: usize, count: usize, seed: u64) -> Vec<f32> {
    Kind::Random.rows(Metric::L2, dimensions, count, seed)
}

/// The real data set of `examples/data`.
pub struct Photos {
    pub base: Vec<f32>,
    pub queries: Vec<f32>,
    /// The exact nearest [`Photos::TRUTH`] rows of each query, with their distances.
    pub truth: Vec<u32>,
    pub distances: Vec<f32>,
}

impl Photos {
    pub const DIMENSIONS: usize = 128;
    pub const TRUTH: usize = 100;

    pub fn read() -> Self {
        let truth = file("groundtruth.k100.ibin");
        let words: Vec<[u8; 4]> = truth.chunks_exact(4).map(|word| [word[0], word[1], word[2], word[3]]).collect();
        let count = u32::from_le_bytes(words[0]) as usize * Self::TRUTH;
        assert_eq!((u32::from_le_bytes(words[1]) as usize, words.len()), (Self::TRUTH, 2 + 2 * count));
        Self {
            base: vectors("base.u8bin"),
            queries: vectors("query.u8bin"),
            truth: words[2..2 + count].iter().map(|&word| u32::from_le_bytes(word)).collect(),
            distances: words[2 + count..].iter().map(|&word| f32::from_le_bytes(word)).collect(),
        }
    }

    pub fn queries(&self) -> impl ExactSizeIterator<Item = &[f32]> {
        self.queries.chunks_exact(Self::DIMENSIONS)
    }

    /// Of the exact nearest `k` of query `number`, the share that is within `found`; a row as near as the last counts.
    pub fn recall(&self, number: usize, k: usize, found: &[f32]) -> f64 {
        let last = self.distances[number * Self::TRUTH + k - 1];
        found.iter().take(k).filter(|&&distance| distance <= last).count() as f64 / k as f64
    }
}

fn vectors(name: &str) -> Vec<f32> {
    let bytes = file(name);
    assert_eq!(&bytes[4..8], &(Photos::DIMENSIONS as u32).to_le_bytes(), "dimensions of {name}");
    bytes[8..].iter().map(|&byte| f32::from(byte)).collect()
}

fn file(name: &str) -> Vec<u8> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/data").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
