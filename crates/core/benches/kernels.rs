//! Times the distance kernels at every level of this CPU: `cargo bench -p vicinal-core --bench kernels`.
//!
//! The kernels are private to the crate, so their sources are compiled into this program.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use distance::bytes::{BIAS, ByteKernels, BytePanels, Column, Least, TileRow};
use distance::{Dtype, Kernels, Panels, Raw};
use error::{Error, Result};
use simsimd::SpatialSimilarity;

#[allow(dead_code, unused_imports, reason = "only the kernels are used; their tests run in the crate")]
#[path = "../src/distance/mod.rs"]
mod distance;
#[allow(dead_code, reason = "only the error for refused memory is used")]
#[path = "../src/error.rs"]
mod error;
#[allow(dead_code, unused_imports, reason = "some kernels return keys; their tests run in the crate")]
#[path = "../src/topk.rs"]
mod topk;

const LENGTHS: [usize; 3] = [128, 384, 1536];
/// More than any cache holds.
const SCATTERED_BYTES: usize = 512 << 20;
/// About what a search finds new in one neighbor list.
const LIST: usize = 24;

/// Lists of rows at random places, as a graph search meets them; the time of a row is that of an element.
fn many(criterion: &mut Criterion) {
    let values: Vec<f32> = random().map(unit).take(SCATTERED_BYTES / size_of::<f32>()).collect();
    let mut group = criterion.benchmark_group("many");
    group.throughput(Throughput::Elements(LIST as u64));
    for (length, dtype) in LENGTHS.into_iter().flat_map(|length| Dtype::ALL.map(|dtype| (length, dtype))) {
        let query: Vec<f32> = random().map(unit).take(length).collect();
        let places = values.len() / length;
        for kernels in Kernels::available() {
            let id = BenchmarkId::new(format!("{} {}", kernels.level().name(), dtype.name()), length);
            group.bench_function(id, |bencher| {
                let mut rows = random().map(|place| values[place as usize % places * length..].as_ptr().cast());
                let mut out = [0.0; LIST];
                bencher.iter(|| {
                    let list: [*const u8; LIST] =
                        std::array::from_fn(|_| rows.next().unwrap_or(values.as_ptr().cast()));
                    // SAFETY: at every pointer stand `length` borrowed values, a multiple of 16, of at most four bytes.
                    unsafe { kernels.many(Raw::L2, dtype, &query, &list, &mut out) };
                    black_box(&out);
                });
            });
        }
    }
}

/// A single row in the cache, and simsimd's kernel of the best instruction set beside ours.
fn single(criterion: &mut Criterion) {
    let values: Vec<f32> = random().map(unit).take(2 * 1536).collect();
    let mut group = criterion.benchmark_group("single");
    for length in LENGTHS {
        let (a, b) = (&values[..length], &values[1536..][..length]);
        for kernels in Kernels::available() {
            let id = BenchmarkId::new(kernels.level().name(), length);
            group.bench_function(id, |bencher| {
                let mut out = [0.0];
                bencher.iter(|| {
                    // SAFETY: the row has the query's length, a multiple of 16.
                    unsafe {
                        kernels.many(Raw::L2, Dtype::F32, black_box(a), &[black_box(b).as_ptr().cast()], &mut out)
                    };
                    black_box(&out);
                });
            });
        }
        let id = BenchmarkId::new("simsimd", length);
        group.bench_function(id, |bencher| bencher.iter(|| f32::sqeuclidean(black_box(a), black_box(b))));
    }
}

/// 64 rows × 1,024 columns; the time of a pair is that of an element.
fn tile(criterion: &mut Criterion) {
    let (height, width) = (64, 1024);
    let mut group = criterion.benchmark_group("tile");
    group.sample_size(20).throughput(Throughput::Elements((height * width) as u64));
    for length in LENGTHS {
        let values: Vec<f32> = random().map(unit).take((height + width) * length).collect();
        let rows: Vec<&[f32]> = values.chunks_exact(length).collect();
        let (rows, columns) = rows.split_at(height);
        let mut panels = Panels::default();
        if panels.pack(length, columns.iter().copied()).is_err() {
            continue;
        }
        let mut out = vec![0.0; height * panels.width()];
        for kernels in Kernels::available() {
            for raw in [Raw::L2, Raw::Dot] {
                let id = BenchmarkId::new(format!("{} {raw:?}", kernels.level().name()), length);
                group.bench_function(id, |bencher| {
                    bencher.iter(|| kernels.tile(raw, rows, &panels, black_box(&mut out)))
                });
            }
        }
    }
}

/// Lists of codes at random places, as [`many`] has rows.
fn bytes_many(criterion: &mut Criterion) {
    let bytes: Vec<u8> = random().map(code).take(SCATTERED_BYTES).collect();
    let mut group = criterion.benchmark_group("bytes many");
    group.throughput(Throughput::Elements(LIST as u64));
    for length in LENGTHS {
        let weights: Vec<i8> = random().map(|random| (code(random) ^ BIAS) as i8).take(length).collect();
        for kernels in ByteKernels::available() {
            let id = BenchmarkId::new(kernels.level().name(), length);
            group.bench_function(id, |bencher| {
                let places = bytes.len() / length;
                let mut codes = random().map(|place| bytes[place as usize % places * length..].as_ptr());
                let mut out = [0; LIST];
                bencher.iter(|| {
                    let list: [*const u8; LIST] = std::array::from_fn(|_| codes.next().unwrap_or(bytes.as_ptr()));
                    // SAFETY: at every pointer stand `length` borrowed bytes, a multiple of `LINE`.
                    unsafe { kernels.many(&weights, &list, &mut out) };
                    black_box(&out);
                });
            });
        }
    }
}

/// As many codes as [`tile`] has rows.
fn bytes_tile(criterion: &mut Criterion) {
    let (height, width) = (64, 1024);
    let mut group = criterion.benchmark_group("bytes tile");
    group.sample_size(20).throughput(Throughput::Elements((height * width) as u64));
    for length in LENGTHS {
        let bytes: Vec<u8> = random().map(code).take((height + width) * length).collect();
        let codes: Vec<&[u8]> = bytes.chunks_exact(length).collect();
        let (rows, columns) = codes.split_at(height);
        let rows: Vec<TileRow> =
            rows.iter().map(|code| TileRow { code: code.as_ptr(), factor: -2.0, term: 1.0 }).collect();
        let mut panels = BytePanels::default();
        for kernels in ByteKernels::available() {
            let columns = columns.iter().map(|&code| Column { code, scale: 1.0, term: 1.0 });
            if panels.pack(kernels, length, columns).is_err() {
                continue;
            }
            let mut out = vec![0.0; height * panels.width()];
            let id = BenchmarkId::new(kernels.level().name(), length);
            group.bench_function(id, |bencher| {
                // SAFETY: rows are as long as the columns, a multiple of `LINE`.
                bencher.iter(|| unsafe { kernels.tile(&rows, &panels, black_box(&mut out)) })
            });
        }
    }
}

/// The nearest few of a row of a tile; the time of a distance is that of an element.
fn bytes_nearest(criterion: &mut Criterion) {
    let width = 1024;
    // So many that the branches of a row cannot be learnt.
    let distances: Vec<f32> = random().map(unit).take(1_024 * width).collect();
    let mut group = criterion.benchmark_group("bytes nearest");
    group.throughput(Throughput::Elements(width as u64));
    for k in [2, 5, 16] {
        for kernels in ByteKernels::available() {
            let id = BenchmarkId::new(kernels.level().name(), k);
            group.bench_function(id, |bencher| {
                let mut rows = distances.chunks_exact(width).cycle();
                let mut least = Least::default();
                bencher.iter(|| {
                    black_box(kernels.nearest(rows.next().unwrap_or_default(), k, &mut least).len());
                });
            });
        }
    }
}

/// xorshift64
fn random() -> impl Iterator<Item = u64> {
    std::iter::successors(Some(0x9E37_79B9_7F4A_7C15), |&state: &u64| {
        let state = state ^ (state << 13);
        let state = state ^ (state >> 7);
        Some(state ^ (state << 17))
    })
}

/// A byte of a code.
fn code(random: u64) -> u8 {
    ((random >> 40) as u8).max(1)
}

fn unit(random: u64) -> f32 {
    (random >> 40) as f32 / (1 << 24) as f32
}

criterion_group!(benches, many, single, tile, bytes_many, bytes_tile, bytes_nearest);
criterion_main!(benches);
