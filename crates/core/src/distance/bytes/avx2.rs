//! AVX2: bytes widened to 16 bits, since the instruction that multiplies bytes saturates.
#![allow(unsafe_code)]

use std::arch::x86_64::*;
use std::array;

use super::{ByteKernels, BytePanels, COLUMNS, Least, Near, PanelLine, TileRow, near, prefetched, scalar};
use crate::distance::SimdLevel;

pub(super) const KERNELS: ByteKernels =
    ByteKernels { level: SimdLevel::Avx2, many, tile, pack, nearest, square: tile, near };

/// Bytes that become a register of 16-bit numbers.
const STEP: usize = 16;

/// # Safety
/// As for [`ByteKernels::many`], on a CPU with AVX2.
#[target_feature(enable = "avx2")]
unsafe fn many(weights: &[i8], codes: &[*const u8], out: &mut [i32]) {
    for (code, out) in prefetched(codes, weights.len()).zip(out) {
        let mut sums = [_mm256_setzero_si256(); 2];
        for at in (0..weights.len()).step_by(STEP) {
            // SAFETY: code and weights are readable for the length, a multiple of `STEP`.
            let (bytes, weights) =
                unsafe { (_mm_loadu_si128(code.add(at).cast()), _mm_loadu_si128(weights.as_ptr().add(at).cast())) };
            let sum = &mut sums[at / STEP % 2];
            let products = _mm256_madd_epi16(_mm256_cvtepu8_epi16(bytes), _mm256_cvtepi8_epi16(weights));
            *sum = _mm256_add_epi32(*sum, products);
        }
        let sum = _mm256_add_epi32(sums[0], sums[1]);
        let four = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256::<1>(sum));
        let two = _mm_add_epi32(four, _mm_shuffle_epi32::<0b01_00_11_10>(four));
        *out = _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32::<0b10_11_00_01>(two)));
    }
}

/// # Safety
/// As for [`ByteKernels::tile`], on a CPU with AVX2.
#[target_feature(enable = "avx2")]
unsafe fn tile(rows: &[TileRow], panels: &BytePanels, out: &mut [f32]) {
    for (row, out) in rows.iter().zip(out.chunks_mut(panels.width())) {
        for (index, (panel, out)) in panels.panels().iter().zip(out.as_chunks_mut().0).enumerate() {
            // By column pairs of 16-bit products: sums of the dimensions 0 and 1 beside those of 2 and 3.
            let mut sums = [_mm256_setzero_si256(); 4];
            for (at, line) in panels.lines(index).iter().enumerate() {
                // SAFETY: every row has four bytes for each line, and a line has 64.
                let (bytes, weights): (_, [__m128i; 4]) = unsafe {
                    (
                        _mm_set1_epi32(row.code.add(4 * at).cast::<i32>().read_unaligned()),
                        array::from_fn(|part| _mm_load_si128(line.0.as_ptr().cast::<__m128i>().add(part))),
                    )
                };
                let bytes = _mm256_cvtepu8_epi16(bytes);
                for (sum, weights) in sums.iter_mut().zip(weights) {
                    *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(bytes, _mm256_cvtepi8_epi16(weights)));
                }
            }
            let mut products = [0; COLUMNS];
            for (sum, products) in sums.iter().zip(products.as_chunks_mut::<4>().0) {
                let halves: [i32; 8] = {
                    let mut halves = [0; 8];
                    // SAFETY: room for eight numbers.
                    unsafe { _mm256_storeu_si256(halves.as_mut_ptr().cast(), *sum) };
                    halves
                };
                *products = array::from_fn(|column| halves[2 * column] + halves[2 * column + 1]);
            }
            scalar::finish(row, panel, &products, out);
        }
    }
}

/// # Safety
/// The CPU has AVX2.
#[target_feature(enable = "avx2")]
unsafe fn nearest(distances: &[f32], k: usize, least: &mut Least) {
    // SAFETY: plain Rust, which the compiler turns into the instructions of this level.
    unsafe { scalar::nearest(distances, k, least) }
}

/// # Safety
/// As for [`ByteKernels::pack`], on a CPU with AVX2.
#[target_feature(enable = "avx2")]
unsafe fn pack(columns: &[*const u8; COLUMNS], lines: &mut [PanelLine]) -> [i32; COLUMNS] {
    // SAFETY: the same contract.
    unsafe { scalar::pack(columns, lines) }
}

/// # Safety
/// As for [`ByteKernels::near`], on a CPU with AVX2.
#[target_feature(enable = "avx2")]
unsafe fn near(rows: &[TileRow], panels: &BytePanels, panel: usize, near: &mut Near) {
    // SAFETY: the same contract.
    unsafe { near::by_rows(tile, nearest, rows, panels, panel, near) }
}
