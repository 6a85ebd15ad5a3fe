//! Plain Rust, for any CPU.
#![allow(unsafe_code)]

use super::panels::Panel;
use super::{BIAS, ByteKernels, BytePanels, COLUMNS, Least, Near, PanelLine, TileRow, near, prefetched};
use crate::distance::SimdLevel;
use crate::topk::Key;

pub(super) const KERNELS: ByteKernels =
    ByteKernels { level: SimdLevel::Scalar, many, tile, pack, nearest, square: tile, near };

/// # Safety
/// As for [`ByteKernels::many`].
unsafe fn many(weights: &[i8], codes: &[*const u8], out: &mut [i32]) {
    for (code, out) in prefetched(codes, weights.len()).zip(out) {
        // SAFETY: the caller's word.
        let code = unsafe { std::slice::from_raw_parts(code, weights.len()) };
        *out = code.iter().zip(weights).map(|(&byte, &weight)| i32::from(byte) * i32::from(weight)).sum();
    }
}

/// # Safety
/// As for [`ByteKernels::tile`].
unsafe fn tile(rows: &[TileRow], panels: &BytePanels, out: &mut [f32]) {
    for (row, out) in rows.iter().zip(out.chunks_mut(panels.width())) {
        // SAFETY: the caller's word.
        let code = unsafe { std::slice::from_raw_parts(row.code, panels.depth() * 4) };
        for (index, (panel, out)) in panels.panels().iter().zip(out.as_chunks_mut().0).enumerate() {
            let mut sums = [0; COLUMNS];
            for (line, bytes) in panels.lines(index).iter().zip(code.as_chunks::<4>().0) {
                for (sum, weights) in sums.iter_mut().zip(&line.0) {
                    *sum += bytes.iter().zip(weights).map(|(&b, &w)| i32::from(b) * i32::from(w)).sum::<i32>();
                }
            }
            finish(row, panel, &sums, out);
        }
    }
}

/// From sums of products to distances.
#[inline(always)]
pub(super) fn finish(row: &TileRow, panel: &Panel, sums: &[i32; COLUMNS], out: &mut [f32; COLUMNS]) {
    for lane in 0..COLUMNS {
        let product = (sums[lane] - panel.excess[lane]) as f32;
        out[lane] = (row.term + panel.terms[lane]) + (row.factor * panel.scales[lane]) * product;
    }
}

/// # Safety
/// None: plain Rust.
#[inline(always)]
pub(super) unsafe fn nearest(distances: &[f32], k: usize, least: &mut Least) {
    let mut minima = [f32::INFINITY; COLUMNS];
    for group in distances.as_chunks::<COLUMNS>().0 {
        for (least, &distance) in minima.iter_mut().zip(group) {
            *least = if distance < *least { distance } else { *least };
        }
    }
    // At least `k` distances are no more than the k-th of the lanes' minima, and few others.
    let (_, &mut bound, _) = minima.select_nth_unstable_by(k - 1, f32::total_cmp);
    let bound = bound.min(f32::MAX);
    for (first, group) in distances.as_chunks::<COLUMNS>().0.iter().enumerate() {
        // Folded first, which vectorises: few groups have one that is near enough.
        if group.iter().fold(false, |any, &distance| any | (distance <= bound)) {
            let near = group.iter().enumerate().filter(|&(_, &distance)| distance <= bound);
            near.for_each(|(lane, &distance)| least.insert(Key::new(distance, (first * COLUMNS + lane) as u32), k));
        }
    }
}

/// # Safety
/// As for [`ByteKernels::pack`].
#[inline(always)]
pub(super) unsafe fn pack(columns: &[*const u8; COLUMNS], lines: &mut [PanelLine]) -> [i32; COLUMNS] {
    let mut sums = [0; COLUMNS];
    for ((lane, sum), &column) in sums.iter_mut().enumerate().zip(columns) {
        // SAFETY: the caller's word.
        let code = unsafe { std::slice::from_raw_parts(column, 4 * lines.len()) };
        *sum = code.iter().map(|&byte| i32::from((byte ^ BIAS) as i8)).sum();
        for (line, group) in lines.iter_mut().zip(code.as_chunks::<4>().0) {
            line.0[lane] = group.map(|byte| (byte ^ BIAS) as i8);
        }
    }
    sums
}

/// # Safety
/// As for [`ByteKernels::near`].
unsafe fn near(rows: &[TileRow], panels: &BytePanels, panel: usize, near: &mut Near) {
    // SAFETY: the same contract.
    unsafe { near::by_rows(tile, nearest, rows, panels, panel, near) }
}
