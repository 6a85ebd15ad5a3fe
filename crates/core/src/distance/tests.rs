use std::iter;

use super::{BIAS, Dtype, Kernels, LANES, Panels, Raw, SimdLevel, choose, half, naive};
use crate::Error;

const RAWS: [Raw; 2] = [Raw::L2, Raw::Dot];

/// What the values of a row look like.
#[derive(Clone, Copy, Debug)]
enum Kind {
    /// Within ±1.
    Plain,
    /// So small that products vanish, in part or whole.
    Tiny,
    Denormal,
    /// About 1e18: squares are finite.
    Large,
    /// About 1e30: squares are not.
    Overflowing,
    /// Any of the above, and zeros.
    Mixed,
}

const KINDS: [Kind; 6] = [Kind::Plain, Kind::Tiny, Kind::Denormal, Kind::Large, Kind::Overflowing, Kind::Mixed];

/// splitmix64
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn value(&mut self, kind: Kind) -> f32 {
        let unit = (self.next() >> 40) as f32 / (1 << 23) as f32 - 1.0;
        match kind {
            Kind::Plain => unit,
            Kind::Tiny => unit * 1e-20,
            Kind::Denormal => f32::from_bits(self.next() as u32 & 0x807F_FFFF),
            Kind::Large => unit * 1e18,
            Kind::Overflowing => unit * 1e30,
            Kind::Mixed => match self.below(KINDS.len()) {
                5 => 0.0,
                kind => self.value(KINDS[kind]),
            },
        }
    }

    /// `count` rows of `dimensions` values, padded with zeros, anywhere in memory and not even aligned.
    fn rows(&mut self, count: usize, dimensions: usize, kind: Kind) -> Rows {
        let length = dimensions.next_multiple_of(LANES);
        let mut memory = vec![f32::NAN; count * (length + 8)];
        let mut starts: Vec<usize> = (0..count).map(|row| row * (length + 8) + self.below(8)).collect();
        for row in (1..count).rev() {
            starts.swap(row, self.below(row + 1));
        }
        for &start in &starts {
            memory[start..start + length].fill(0.0);
            memory[start..start + dimensions].fill_with(|| self.value(kind));
        }
        Rows { memory, starts, length }
    }
}

struct Rows {
    memory: Vec<f32>,
    starts: Vec<usize>,
    length: usize,
}

impl Rows {
    fn slices(&self) -> Vec<&[f32]> {
        self.starts.iter().map(|&start| &self.memory[start..start + self.length]).collect()
    }
}

fn many(kernels: &Kernels, raw: Raw, query: &[f32], rows: &[&[f32]]) -> Vec<f32> {
    assert!(rows.iter().all(|row| row.len() == query.len()));
    let pointers: Vec<*const u8> = rows.iter().map(|row| row.as_ptr().cast()).collect();
    let mut out = vec![f32::NAN; rows.len()];
    // SAFETY: the rows are borrowed slices of the query's padded length.
    unsafe { kernels.many(raw, Dtype::F32, query, &pointers, &mut out) };
    out
}

fn tile(kernels: &Kernels, raw: Raw, rows: &[&[f32]], panels: &Panels) -> Vec<f32> {
    let mut out = vec![f32::NAN; rows.len() * panels.width()];
    kernels.tile(raw, rows, panels, &mut out);
    out
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// Fails unless `got` lies within the rounding error of a sum with `additions` additions one after another.
///
/// A difference is rounded once and counts twice in its square, an unfused product once more: with u = 2⁻²⁴, the
/// error is at most (additions + 4)·u·Σ|terms| to first order. A product below the normal range is off by at most
/// half of the least denormal, 2⁻¹⁵⁰, whatever its size. A sum that overflows on the way must not be finite.
fn check(got: f32, raw: Raw, a: &[f32], b: &[f32], additions: usize, context: impl Fn() -> String) {
    let (expected, magnitude) = match raw {
        Raw::L2 => (naive::l2(a, b), naive::l2(a, b)),
        Raw::Dot => {
            let absolute = |row: &[f32]| row.iter().map(|value| value.abs()).collect::<Vec<_>>();
            (naive::dot(a, b), naive::dot(&absolute(a), &absolute(b)))
        }
    };
    let max = f64::from(f32::MAX);
    let relative = 1.01 * (additions + 4) as f64 * 2f64.powi(-24);
    let tolerance = relative * magnitude + a.len() as f64 * 2f64.powi(-149);
    let describe = || format!("{}: got {got:e}, expected {expected:e} ± {tolerance:e}", context());
    if got.is_finite() {
        assert!((f64::from(got) - expected).abs() <= tolerance, "{}", describe());
    } else {
        assert!(magnitude > max / 2.0, "overflow too early: {}", describe());
    }
    if raw == Raw::L2 && expected > 1.01 * max {
        assert_eq!(got, f32::INFINITY, "{}", describe());
    }
}

/// The longest chain of additions behind a result of `many`: sixteen lanes side by side, then four folds.
fn additions_of_many(length: usize) -> usize {
    length / LANES + 4
}

/// The longest chain of additions behind a result of `tile`: within blocks of at most 64 dimensions, then over them.
fn additions_of_tile(length: usize) -> usize {
    length.min(64) + length / 64
}

#[test]
fn many_agrees_with_naive() {
    let mut random = Random(1);
    let common = (1..=130).flat_map(|dimensions| KINDS.map(|kind| (dimensions, kind)));
    let long = [384, 960, 1536].into_iter().flat_map(|dimensions| KINDS.map(|kind| (dimensions, kind)));
    let longest = [(65_536, Kind::Plain), (65_536, Kind::Mixed)];
    for (dimensions, kind) in common.chain(long).chain(longest) {
        let rows = random.rows(10, dimensions, kind);
        let rows = rows.slices();
        let (query, rows) = (rows[0], &rows[1..]);
        for kernels in Kernels::available() {
            for raw in RAWS {
                for (got, row) in many(kernels, raw, query, rows).into_iter().zip(rows) {
                    check(got, raw, query, row, additions_of_many(row.len()), || {
                        format!("many {:?} {raw:?} {dimensions} {kind:?}", kernels.level())
                    });
                }
            }
        }
    }
}

#[test]
fn tile_agrees_with_naive() {
    let mut random = Random(2);
    let mut panels = Panels::default();
    let shapes = (1..=17).flat_map(|rows| (1..=50).map(move |columns| (rows, columns)));
    let long = [(3, 5, 384), (5, 70, 960), (2, 17, 1536), (2, 3, 65_536)];
    let dimensions = (1..=130).cycle();
    let common = shapes.zip(dimensions).map(|((rows, columns), dimensions)| (rows, columns, dimensions));
    for (round, (rows, columns, dimensions)) in common.chain(long).enumerate() {
        let kind = KINDS[round % KINDS.len()];
        let (rows, columns) = (random.rows(rows, dimensions, kind), random.rows(columns, dimensions, kind));
        let (rows, columns) = (rows.slices(), columns.slices());
        panels.pack(rows[0].len(), columns.iter().copied()).unwrap();
        assert_eq!(panels.width(), columns.len().next_multiple_of(LANES));
        for kernels in Kernels::available() {
            for raw in RAWS {
                let out = tile(kernels, raw, &rows, &panels);
                for (row, got) in rows.iter().zip(out.chunks_exact(panels.width())) {
                    for (column, got) in columns.iter().zip(got) {
                        check(*got, raw, row, column, additions_of_tile(row.len()), || {
                            let shape = (rows.len(), columns.len(), dimensions);
                            format!("tile {:?} {raw:?} {shape:?} {kind:?}", kernels.level())
                        });
                    }
                }
            }
        }
    }
}

#[test]
fn near_duplicates_keep_their_distance() {
    let mut random = Random(3);
    let rows = random.rows(1, 128, Kind::Plain);
    let a = rows.slices()[0];
    let b: Vec<f32> = a.iter().map(|value| f32::from_bits(value.to_bits() ^ 1)).collect();
    let mut panels = Panels::default();
    panels.pack(a.len(), iter::once(&b[..])).unwrap();
    for kernels in Kernels::available() {
        let context = || format!("{:?}", kernels.level());
        check(many(kernels, Raw::L2, a, &[&b])[0], Raw::L2, a, &b, additions_of_many(128), context);
        check(tile(kernels, Raw::L2, &[a], &panels)[0], Raw::L2, a, &b, additions_of_tile(128), context);
        assert_eq!(many(kernels, Raw::L2, a, &[a])[0], 0.0);
    }
}

#[test]
fn many_gives_a_row_the_same_bits_in_any_group() {
    let mut random = Random(4);
    for dimensions in [1, 17, 100, 128, 384, 960] {
        let rows = random.rows(21, dimensions, Kind::Plain);
        let rows = rows.slices();
        let (query, rows) = (rows[0], &rows[1..]);
        for kernels in Kernels::available() {
            for raw in RAWS {
                let alone: Vec<f32> = rows.iter().map(|row| many(kernels, raw, query, &[row])[0]).collect();
                for size in (1..=9).chain([20]) {
                    for start in 0..=rows.len() - size {
                        let group = many(kernels, raw, query, &rows[start..start + size]);
                        assert_eq!(bits(&group), bits(&alone[start..start + size]), "{:?}", kernels.level());
                    }
                }
                for (row, alone) in rows.iter().zip(&alone) {
                    assert_eq!(bits(&many(kernels, raw, row, &[query])), [alone.to_bits()], "not symmetric");
                }
            }
        }
    }
}

#[test]
fn tile_gives_a_pair_the_same_bits_in_any_place() {
    let mut random = Random(5);
    let mut panels = Panels::default();
    for dimensions in [1, 64, 70, 128, 300] {
        let rows = random.rows(2, dimensions, Kind::Plain);
        let rows = rows.slices();
        for kernels in Kernels::available() {
            for raw in RAWS {
                panels.pack(rows[0].len(), iter::once(rows[1])).unwrap();
                let alone = tile(kernels, raw, &[rows[0]], &panels)[0].to_bits();
                panels.pack(rows[0].len(), iter::once(rows[0])).unwrap();
                assert_eq!(tile(kernels, raw, &[rows[1]], &panels)[0].to_bits(), alone, "not symmetric");
                for (height, width) in [(1, 16), (3, 33), (5, 64), (7, 100), (13, 130)] {
                    panels.pack(rows[0].len(), iter::repeat_n(rows[1], width)).unwrap();
                    let out = tile(kernels, raw, &vec![rows[0]; height], &panels);
                    for row in out.chunks_exact(panels.width()) {
                        assert!(row[..width].iter().all(|value| value.to_bits() == alone), "{:?}", kernels.level());
                    }
                }
            }
        }
    }
}

#[test]
fn levels_that_fuse_agree_bit_for_bit() {
    let mut random = Random(6);
    let mut panels = Panels::default();
    for dimensions in [3, 128, 200, 1536] {
        let rows = random.rows(40, dimensions, Kind::Plain);
        let rows = rows.slices();
        panels.pack(rows[0].len(), rows.iter().copied()).unwrap();
        for raw in RAWS {
            let mut answers = Kernels::available()
                .filter(|kernels| kernels.level() != SimdLevel::Scalar)
                .map(|kernels| (bits(&many(kernels, raw, rows[0], &rows)), bits(&tile(kernels, raw, &rows, &panels))));
            if let Some(first) = answers.next() {
                assert!(answers.all(|other| other == first), "{raw:?} {dimensions}");
            }
        }
    }
}

/// Values that `dtype` has exactly, and their bytes.
fn stored(random: &mut Random, dtype: Dtype, length: usize) -> (Vec<f32>, Vec<u8>) {
    let whole = |random: &mut Random| match random.below(8) {
        0 => 0u8,
        1 => 255,
        _ => random.below(256) as u8,
    };
    let mut values = Vec::new();
    let mut bytes = Vec::new();
    for _ in 0..length {
        match dtype {
            Dtype::F32 => {
                values.push(random.value(Kind::Plain));
                bytes.extend(values[values.len() - 1].to_ne_bytes());
            }
            Dtype::F16 => {
                let kind = [Kind::Plain, Kind::Tiny][random.below(2)];
                let half = half::narrow(random.value(kind) * [1.0, 60_000.0][random.below(2)]);
                values.push(half::widen(half));
                bytes.extend(half.to_ne_bytes());
            }
            Dtype::I8 | Dtype::U8 => {
                let byte = whole(random);
                let bias = if dtype == Dtype::I8 { f32::from(BIAS) } else { 0.0 };
                values.push(f32::from(byte) - bias);
                bytes.push(byte);
            }
        }
    }
    (values, bytes)
}

#[test]
fn rows_of_every_type_have_the_distances_of_their_values() {
    let mut random = Random(7);
    for dimensions in (1..=130usize).chain([384, 1_000, 65_536]) {
        let length = dimensions.next_multiple_of(LANES);
        let query = random.rows(1, dimensions, Kind::Plain);
        let query: Vec<f32> = query.slices()[0].iter().map(|value| value * 100.0).collect();
        for dtype in Dtype::ALL {
            let (values, bytes): (Vec<_>, Vec<_>) = (0..6).map(|_| stored(&mut random, dtype, length)).unzip();
            // Aligned as f32 are, and no better.
            let words: Vec<Vec<f32>> = bytes
                .iter()
                .map(|bytes| {
                    let words = bytes.as_chunks::<4>().0.iter().map(|&word| f32::from_ne_bytes(word));
                    std::iter::once(0.0).chain(words).collect()
                })
                .collect();
            let pointers: Vec<*const u8> = words.iter().map(|words| words[1..].as_ptr().cast()).collect();
            let slices: Vec<&[f32]> = values.iter().map(Vec::as_slice).collect();
            for kernels in Kernels::available() {
                let mut widened = vec![f32::NAN; length];
                for (&pointer, values) in pointers.iter().zip(&values) {
                    // SAFETY: the row has `length` values.
                    unsafe { kernels.widen(dtype, pointer, &mut widened) };
                    assert_eq!(bits(&widened), bits(values), "{dtype:?} {:?}", kernels.level());
                }
                for raw in RAWS {
                    let mut out = vec![f32::NAN; pointers.len()];
                    // SAFETY: the rows have the query's length.
                    unsafe { kernels.many(raw, dtype, &query, &pointers, &mut out) };
                    assert_eq!(bits(&out), bits(&many(kernels, raw, &query, &slices)), "{dtype:?} {dimensions}");
                    for (&got, row) in out.iter().zip(&slices) {
                        check(got, raw, &query, row, additions_of_many(length), || {
                            format!("many {:?} {raw:?} {dtype:?} {dimensions}", kernels.level())
                        });
                    }
                }
            }
        }
    }
}

#[test]
fn empty_lists_are_fine() {
    let mut panels = Panels::default();
    for kernels in Kernels::available() {
        panels.pack(LANES, iter::empty()).unwrap();
        assert!(many(kernels, Raw::L2, &[0.0; LANES], &[]).is_empty());
        assert!(tile(kernels, Raw::L2, &[&[0.0; LANES]], &panels).is_empty());
        panels.pack(LANES, iter::once(&[1.0; LANES][..])).unwrap();
        assert!(tile(kernels, Raw::Dot, &[], &panels).is_empty());
    }
}

#[test]
fn refused_memory_is_an_error_and_leaves_no_columns() {
    let mut panels = Panels::default();
    panels.pack(LANES, iter::once(&[1.0; LANES][..])).unwrap();
    let refused = panels.pack(usize::MAX >> 7, iter::once(&[1.0; LANES][..]));
    assert!(matches!(refused, Err(Error::OutOfMemory { .. })));
    assert_eq!((panels.width(), panels.length()), (0, 0));
    panels.pack(LANES, iter::once(&[1.0; LANES][..])).unwrap();
    assert_eq!(panels.width(), LANES);
}

#[test]
fn the_level_asked_for_is_chosen_where_it_is_supported() {
    let best = Kernels::available().next().unwrap().level();
    let chosen = |forced| choose(forced, Kernels::available()).level();
    for level in SimdLevel::ALL {
        let expected = if level.is_supported() { level } else { best };
        assert_eq!(chosen(Some(level.name())), expected);
    }
    for unknown in [None, Some(""), Some("AVX2"), Some("sse")] {
        assert_eq!(chosen(unknown), best);
    }
    assert_eq!(
        choose(Some("avx512"), Kernels::available().filter(|k| k.level() == SimdLevel::Scalar)).level(),
        SimdLevel::Scalar
    );
}

#[test]
fn a_prefetch_of_any_address_is_harmless() {
    super::prefetch(std::ptr::null());
    super::prefetch(std::ptr::without_provenance(usize::MAX));
}
