//! The algorithms, written once over sixteen lanes; each instruction set says what a lane operation is.
//!
//! Every level adds in the same order, so levels that fuse multiplication and addition agree bit for bit: lane `i` of a
//! row sums the dimensions i, i + 16, …, and the lanes are folded 16 → 8 → 4 → 2 → 1.
#![allow(unsafe_code)]

use std::array;

use super::{BIAS, LANES, Panels, prefetch};

/// Sixteen f32 in registers.
///
/// # Safety
/// Every method may be called only where the CPU has the instruction set of the implementation.
pub(super) trait Lanes: Copy {
    unsafe fn zero() -> Self;
    unsafe fn splat(value: f32) -> Self;
    /// Reads sixteen values; alignment matters for speed only.
    unsafe fn load(from: *const f32) -> Self;
    /// Reads sixteen values in half precision, none of them infinite or NaN.
    unsafe fn load_half(from: *const u16) -> Self;
    /// Reads sixteen bytes.
    unsafe fn load_bytes(from: *const u8) -> Self;
    /// Writes sixteen values; alignment matters for speed only.
    unsafe fn store(self, to: *mut f32);
    unsafe fn add(self, other: Self) -> Self;
    unsafe fn sub(self, other: Self) -> Self;
    /// `self + a · b`
    unsafe fn add_product(self, a: Self, b: Self) -> Self;
    /// The sum of the lanes, folded by halves.
    unsafe fn sum(self) -> f32;
}

/// What one dimension adds to a measure.
pub(super) trait Term {
    /// # Safety
    /// As for [`Lanes`].
    unsafe fn accumulate<L: Lanes>(sum: L, a: L, b: L) -> L;
}

pub(super) struct SquaredDifference;
pub(super) struct Product;

impl Term for SquaredDifference {
    #[inline(always)]
    unsafe fn accumulate<L: Lanes>(sum: L, a: L, b: L) -> L {
        // SAFETY: the caller vouches for the instruction set.
        unsafe {
            let difference = a.sub(b);
            sum.add_product(difference, difference)
        }
    }
}

impl Term for Product {
    #[inline(always)]
    unsafe fn accumulate<L: Lanes>(sum: L, a: L, b: L) -> L {
        // SAFETY: the caller vouches for the instruction set.
        unsafe { sum.add_product(a, b) }
    }
}

/// What the values of a row are in memory; a register has them in single precision.
pub(super) trait Source {
    /// Bytes a value.
    const BYTES: usize;

    /// Reads sixteen values from the one at `from` on.
    ///
    /// # Safety
    /// As for [`Lanes`]; so many values are readable.
    unsafe fn load<L: Lanes>(from: *const u8) -> L;
}

pub(super) struct Single;
pub(super) struct Half;
pub(super) struct Unsigned;
/// Bytes that stand [`BIAS`] above their values.
pub(super) struct Signed;

impl Source for Single {
    const BYTES: usize = 4;

    #[inline(always)]
    unsafe fn load<L: Lanes>(from: *const u8) -> L {
        // SAFETY: the caller's word.
        unsafe { L::load(from.cast()) }
    }
}

impl Source for Half {
    const BYTES: usize = 2;

    #[inline(always)]
    unsafe fn load<L: Lanes>(from: *const u8) -> L {
        // SAFETY: the caller's word.
        unsafe { L::load_half(from.cast()) }
    }
}

impl Source for Unsigned {
    const BYTES: usize = 1;

    #[inline(always)]
    unsafe fn load<L: Lanes>(from: *const u8) -> L {
        // SAFETY: the caller's word.
        unsafe { L::load_bytes(from) }
    }
}

impl Source for Signed {
    const BYTES: usize = 1;

    #[inline(always)]
    unsafe fn load<L: Lanes>(from: *const u8) -> L {
        // SAFETY: the caller's word.
        unsafe { L::load_bytes(from).sub(L::splat(f32::from(BIAS))) }
    }
}

/// Rows scored together: enough independent sums to hide the latency of an addition.
const GROUP: usize = 4;
/// How many rows ahead of the ones being scored memory is asked for.
const ROWS_AHEAD: usize = 8;
/// How many bytes of a coming row are asked for; the hardware's own prefetcher follows a longer row.
const PREFETCHED: usize = 512;
/// Bytes that come together.
const CACHE_LINE: usize = 64;

/// Scores `query` against every row.
///
/// # Safety
/// The CPU has the instruction set of `L`; `query.len()` is a multiple of 16 and every row is readable for that many
/// values of `S`; `out` is as long as `rows`.
#[inline(always)]
pub(super) unsafe fn many<L: Lanes, T: Term, S: Source>(query: &[f32], rows: &[*const u8], out: &mut [f32]) {
    for row in rows.iter().take(ROWS_AHEAD) {
        prefetch_row(*row, query.len() * S::BYTES);
    }
    let mut done = 0;
    while done < rows.len() {
        for row in rows.iter().skip(done + ROWS_AHEAD).take(GROUP) {
            prefetch_row(*row, query.len() * S::BYTES);
        }
        // SAFETY: the group lies within `rows`, whose rows are as long as the query; `out` is as long as `rows`.
        done += unsafe {
            if rows.len() - done >= GROUP {
                group::<L, T, S, GROUP>(query, rows.as_ptr().add(done), out.as_mut_ptr().add(done))
            } else {
                group::<L, T, S, 1>(query, rows.as_ptr().add(done), out.as_mut_ptr().add(done))
            }
        };
    }
}

#[inline(always)]
fn prefetch_row(row: *const u8, bytes: usize) {
    for line in (0..bytes.min(PREFETCHED)).step_by(CACHE_LINE) {
        prefetch(row.wrapping_add(line));
    }
}

/// Scores `G` rows in step and returns `G`. A row's own order of additions is the same at any `G`.
#[inline(always)]
unsafe fn group<L: Lanes, T: Term, S: Source, const G: usize>(
    query: &[f32],
    rows: *const *const u8,
    out: *mut f32,
) -> usize {
    // SAFETY: the caller passes `G` readable rows of the query's length, a multiple of 16, and room for `G` results.
    unsafe {
        let rows: [*const u8; G] = rows.cast::<[*const u8; G]>().read();
        let mut sums = [L::zero(); G];
        for at in (0..query.len()).step_by(LANES) {
            let query = L::load(query.as_ptr().add(at));
            for (sum, row) in sums.iter_mut().zip(rows) {
                *sum = T::accumulate(*sum, query, S::load(row.add(at * S::BYTES)));
            }
        }
        for (g, sum) in sums.into_iter().enumerate() {
            out.add(g).write(sum.sum());
        }
    }
    G
}

/// Writes the values of `row` to `out`.
///
/// # Safety
/// The CPU has the instruction set of `L`; the length of `out` is a multiple of 16, and `row` is readable for that many
/// values of `S`.
#[inline(always)]
pub(super) unsafe fn widen<L: Lanes, S: Source>(row: *const u8, out: &mut [f32]) {
    for at in (0..out.len()).step_by(LANES) {
        // SAFETY: sixteen values from `at` on are within both.
        unsafe { S::load::<L>(row.add(at * S::BYTES)).store(out.as_mut_ptr().add(at)) };
    }
}

/// Dimensions summed in registers before they are added to the result: four panels of this depth (16 KiB) stay in the
/// first-level cache while rows stream over them, and long rows gain the precision of blocked summation.
const DEPTH: usize = 64;

/// Scores every row against every column of `panels`, `R` rows × `P` panels at a time in registers.
///
/// # Safety
/// The CPU has the instruction set of `L`; every row is `panels.length()` long and `out` holds
/// `rows.len() × panels.width()` values.
#[inline(always)]
pub(super) unsafe fn tile<L: Lanes, T: Term, const R: usize, const P: usize>(
    rows: &[&[f32]],
    panels: &Panels,
    out: &mut [f32],
) {
    let count = panels.width() / LANES;
    let mut panel = 0;
    while panel < count {
        // SAFETY: the panels `panel .. panel + P`, or the one panel, are below `count`; the rest is the caller's word.
        panel += unsafe {
            if count - panel >= P {
                strip::<L, T, R, P>(rows, panels, panel, out.as_mut_ptr())
            } else {
                strip::<L, T, R, 1>(rows, panels, panel, out.as_mut_ptr())
            }
        };
    }
}

/// Scores every row against `P` panels and returns `P`.
#[inline(always)]
unsafe fn strip<L: Lanes, T: Term, const R: usize, const P: usize>(
    rows: &[&[f32]],
    panels: &Panels,
    panel: usize,
    out: *mut f32,
) -> usize {
    for from in (0..panels.length()).step_by(DEPTH) {
        let depth = DEPTH.min(panels.length() - from);
        let columns = array::from_fn(|p| panels.panel(panel + p)[from..from + depth].as_ptr().cast());
        let mut done = 0;
        while done < rows.len() {
            // SAFETY: the rows `done .. done + R`, or the one row, exist, as do the dimensions `from .. from + depth`
            // of rows and panels; the block written starts at row `done` and column `16 · panel` of `out`.
            unsafe {
                let out = out.add(done * panels.width() + panel * LANES);
                let rows = &rows[done..];
                done += if rows.len() >= R {
                    block::<L, T, R, P>(rows, columns, from, depth, out, panels.width())
                } else {
                    block::<L, T, 1, P>(rows, columns, from, depth, out, panels.width())
                };
            }
        }
    }
    P
}

/// Adds the dimensions `from .. from + depth` of `R` rows × `P` panels to the results and returns `R`; the first
/// dimensions overwrite what was there.
#[inline(always)]
unsafe fn block<L: Lanes, T: Term, const R: usize, const P: usize>(
    rows: &[&[f32]],
    columns: [*const f32; P],
    from: usize,
    depth: usize,
    out: *mut f32,
    width: usize,
) -> usize {
    // SAFETY: the caller passes at least `R` rows that hold the dimensions asked for, columns that hold `depth` times
    // sixteen values, and results for `R` rows `width` apart.
    unsafe {
        let rows: [*const f32; R] = array::from_fn(|r| rows[r].as_ptr().add(from));
        let mut sums = [[L::zero(); P]; R];
        for at in 0..depth {
            let columns: [L; P] = array::from_fn(|p| L::load(columns[p].add(at * LANES)));
            for (sums, row) in sums.iter_mut().zip(rows) {
                let value = L::splat(row.add(at).read());
                for (sum, column) in sums.iter_mut().zip(columns) {
                    *sum = T::accumulate(*sum, value, column);
                }
            }
        }
        for (r, sums) in sums.into_iter().enumerate() {
            for (p, sum) in sums.into_iter().enumerate() {
                let to = out.add(r * width + p * LANES);
                let sum = if from == 0 { sum } else { L::load(to).add(sum) };
                sum.store(to);
            }
        }
    }
    R
}
