//! NEON: products of bytes in 16 bits, added up in pairs to 32.
#![allow(unsafe_code)]

use std::arch::aarch64::*;
use std::array;

use super::{BIAS, ByteKernels, BytePanels, COLUMNS, Least, Near, PanelLine, TileRow, near, prefetched, scalar};
use crate::distance::SimdLevel;

pub(super) const KERNELS: ByteKernels =
    ByteKernels { level: SimdLevel::Neon, many, tile, pack, nearest, square: tile, near };

/// Bytes of a register.
const STEP: usize = 16;

/// # Safety
/// As for [`ByteKernels::many`], on a CPU with NEON.
#[target_feature(enable = "neon")]
unsafe fn many(weights: &[i8], codes: &[*const u8], out: &mut [i32]) {
    let excess = i32::from(BIAS) * weights.iter().map(|&weight| i32::from(weight)).sum::<i32>();
    for (code, out) in prefetched(codes, weights.len()).zip(out) {
        let mut sum = vdupq_n_s32(0);
        for at in (0..weights.len()).step_by(STEP) {
            // SAFETY: code and weights are readable for the length, a multiple of `STEP`.
            let (bytes, weights) = unsafe { (vld1q_u8(code.add(at)), vld1q_s8(weights.as_ptr().add(at))) };
            sum = add_products(sum, numbers(bytes), weights);
        }
        *out = vaddvq_s32(sum) + excess;
    }
}

/// # Safety
/// As for [`ByteKernels::tile`], on a CPU with NEON.
#[target_feature(enable = "neon")]
unsafe fn tile(rows: &[TileRow], panels: &BytePanels, out: &mut [f32]) {
    for (row, out) in rows.iter().zip(out.chunks_mut(panels.width())) {
        for (index, (panel, out)) in panels.panels().iter().zip(out.as_chunks_mut().0).enumerate() {
            // Sums of pairs of dimensions, two a column.
            let mut sums = [vdupq_n_s32(0); 8];
            for (at, line) in panels.lines(index).iter().enumerate() {
                // SAFETY: every row has four bytes for each line, and a line has 64.
                let (bytes, weights): (_, [int8x16_t; 4]) = unsafe {
                    (
                        vreinterpretq_u8_u32(vdupq_n_u32(row.code.add(4 * at).cast::<u32>().read_unaligned())),
                        array::from_fn(|part| vld1q_s8(line.0.as_ptr().cast::<i8>().add(part * STEP))),
                    )
                };
                let bytes = numbers(bytes);
                for (part, weights) in weights.into_iter().enumerate() {
                    let low = vmull_s8(vget_low_s8(bytes), vget_low_s8(weights));
                    let high = vmull_high_s8(bytes, weights);
                    sums[2 * part] = vpadalq_s16(sums[2 * part], low);
                    sums[2 * part + 1] = vpadalq_s16(sums[2 * part + 1], high);
                }
            }
            let mut products = [0; COLUMNS];
            for (part, products) in products.as_chunks_mut::<4>().0.iter_mut().enumerate() {
                // SAFETY: room for four numbers.
                unsafe { vst1q_s32(products.as_mut_ptr(), vpaddq_s32(sums[2 * part], sums[2 * part + 1])) };
            }
            // What the other levels' products are too high by, these are not.
            products.iter_mut().zip(&panel.excess).for_each(|(product, excess)| *product += excess);
            scalar::finish(row, panel, &products, out);
        }
    }
}

/// The numbers that bytes of a code stand for.
#[inline]
#[target_feature(enable = "neon")]
fn numbers(bytes: uint8x16_t) -> int8x16_t {
    vreinterpretq_s8_u8(veorq_u8(bytes, vdupq_n_u8(BIAS)))
}

#[inline]
#[target_feature(enable = "neon")]
fn add_products(sum: int32x4_t, a: int8x16_t, b: int8x16_t) -> int32x4_t {
    let sum = vpadalq_s16(sum, vmull_s8(vget_low_s8(a), vget_low_s8(b)));
    vpadalq_s16(sum, vmull_high_s8(a, b))
}

/// # Safety
/// The CPU has NEON.
#[target_feature(enable = "neon")]
unsafe fn nearest(distances: &[f32], k: usize, least: &mut Least) {
    // SAFETY: plain Rust, which the compiler turns into the instructions of this level.
    unsafe { scalar::nearest(distances, k, least) }
}

/// # Safety
/// As for [`ByteKernels::pack`], on a CPU with NEON.
#[target_feature(enable = "neon")]
unsafe fn pack(columns: &[*const u8; COLUMNS], lines: &mut [PanelLine]) -> [i32; COLUMNS] {
    // SAFETY: the same contract.
    unsafe { scalar::pack(columns, lines) }
}

/// # Safety
/// As for [`ByteKernels::near`], on a CPU with NEON.
#[target_feature(enable = "neon")]
unsafe fn near(rows: &[TileRow], panels: &BytePanels, panel: usize, near: &mut Near) {
    // SAFETY: the same contract.
    unsafe { near::by_rows(tile, nearest, rows, panels, panel, near) }
}
