//! AVX-512 with VNNI: four products a lane and instruction.
#![allow(unsafe_code)]

use std::arch::x86_64::*;
use std::array;

use super::{ByteKernels, BytePanels, COLUMNS, LINE, TileRow, prefetched, scalar};
use crate::distance::SimdLevel;

pub(super) const KERNELS: ByteKernels = ByteKernels { level: SimdLevel::Avx512, many, tile, minima, below };

/// # Safety
/// As for [`ByteKernels::many`], on a CPU with the features.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn many(weights: &[i8], codes: &[*const u8], out: &mut [i32]) {
    for (code, out) in prefetched(codes, weights.len()).zip(out) {
        // Two sums, so that one product need not wait for the other.
        let mut sums = [_mm512_setzero_si512(); 2];
        for at in (0..weights.len()).step_by(LINE) {
            // SAFETY: code and weights are readable for the length, a multiple of `LINE`.
            let (bytes, weights) = unsafe {
                (_mm512_loadu_si512(code.add(at).cast()), _mm512_loadu_si512(weights.as_ptr().add(at).cast()))
            };
            let sum = &mut sums[at / LINE % 2];
            *sum = _mm512_dpbusd_epi32(*sum, bytes, weights);
        }
        *out = _mm512_reduce_add_epi32(_mm512_add_epi32(sums[0], sums[1]));
    }
}

/// # Safety
/// As for [`ByteKernels::tile`], on a CPU with the features.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn tile(rows: &[TileRow], panels: &BytePanels, out: &mut [f32]) {
    const ROWS: usize = 8;
    let mut done = 0;
    while done < rows.len() {
        let out = out[done * panels.width()..].as_mut_ptr();
        // SAFETY: `ROWS` rows, or the one, and their results exist; the rest is the caller's word.
        done += unsafe {
            if rows.len() - done >= ROWS {
                strip::<ROWS>(&rows[done..], panels, out)
            } else {
                strip::<1>(&rows[done..], panels, out)
            }
        };
    }
}

/// Scores `R` rows against all panels, two at a time, and returns `R`.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn strip<const R: usize>(rows: &[TileRow], panels: &BytePanels, out: *mut f32) -> usize {
    let rows: [TileRow; R] = array::from_fn(|row| rows[row]);
    let count = panels.panels().len();
    let mut panel = 0;
    while panel < count {
        // SAFETY: the two panels, or the one, exist; the rest is the caller's word.
        panel += unsafe {
            if count - panel >= 2 {
                block::<R, 2>(&rows, panels, panel, out)
            } else {
                block::<R, 1>(&rows, panels, panel, out)
            }
        };
    }
    R
}

/// Scores `R` rows against `P` panels, the sums in registers, and returns `P`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn block<const R: usize, const P: usize>(
    rows: &[TileRow; R],
    panels: &BytePanels,
    panel: usize,
    out: *mut f32,
) -> usize {
    let lines: [*const __m512i; P] = array::from_fn(|p| panels.lines(panel + p).as_ptr().cast());
    let mut sums = [[_mm512_setzero_si512(); P]; R];
    for at in 0..panels.depth() {
        // SAFETY: every panel has `depth` lines, and every row four bytes for each.
        let columns: [__m512i; P] = array::from_fn(|p| unsafe { _mm512_load_si512(lines[p].add(at)) });
        for (sums, row) in sums.iter_mut().zip(rows) {
            // SAFETY: as above.
            let bytes = _mm512_set1_epi32(unsafe { row.code.add(4 * at).cast::<i32>().read_unaligned() });
            for (sum, weights) in sums.iter_mut().zip(columns) {
                *sum = _mm512_dpbusd_epi32(*sum, bytes, weights);
            }
        }
    }
    for p in 0..P {
        let panel_of = &panels.panels()[panel + p];
        // SAFETY: sixteen aligned values each.
        let (scales, terms, excess) = unsafe {
            (
                _mm512_load_ps(panel_of.scales.as_ptr()),
                _mm512_load_ps(panel_of.terms.as_ptr()),
                _mm512_load_si512(panel_of.excess.as_ptr().cast()),
            )
        };
        for (r, row) in rows.iter().enumerate() {
            let product = _mm512_cvtepi32_ps(_mm512_sub_epi32(sums[r][p], excess));
            let term = _mm512_add_ps(_mm512_set1_ps(row.term), terms);
            let factor = _mm512_mul_ps(_mm512_set1_ps(row.factor), scales);
            let distance = _mm512_add_ps(term, _mm512_mul_ps(factor, product));
            // SAFETY: `out` has room for `R` rows of all columns.
            unsafe { _mm512_storeu_ps(out.add(r * panels.width() + (panel + p) * COLUMNS), distance) };
        }
    }
    P
}

/// # Safety
/// The CPU has the features.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn minima(distances: &[f32]) -> [f32; COLUMNS] {
    scalar::minima(distances)
}

/// # Safety
/// The CPU has the features.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn below(distances: &[f32], bound: f32, positions: &mut Vec<u32>) {
    let bound = _mm512_set1_ps(bound);
    let mut lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    for group in distances.as_chunks::<COLUMNS>().0 {
        // SAFETY: sixteen values.
        let group = unsafe { _mm512_loadu_ps(group.as_ptr()) };
        let near = _mm512_cmp_ps_mask::<_CMP_LE_OQ>(group, bound);
        if near != 0 {
            positions.reserve(COLUMNS);
            // Compressed in a register: to memory it takes much longer on some CPUs.
            let chosen = _mm512_maskz_compress_epi32(near, lanes);
            // SAFETY: there is room for sixteen more, of which as many are initialised as are counted.
            unsafe {
                _mm512_storeu_si512(positions.as_mut_ptr().add(positions.len()).cast(), chosen);
                positions.set_len(positions.len() + near.count_ones() as usize);
            }
        }
        lanes = _mm512_add_epi32(lanes, _mm512_set1_epi32(COLUMNS as i32));
    }
}
