//! Products of 8-bit codes: the best instruction set of this CPU, chosen once at run time.
//!
//! A code is a row of unsigned bytes, each 128 above the number that it stands for, padded to whole cache lines with
//! 128 (which stands for 0). What it is multiplied with are weights: signed bytes, the numbers themselves, padded with
//! zeros. All is integer arithmetic, and the few operations on floats that follow are in a fixed order and never
//! fused, so every instruction set gives the same bits.
#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod near;
#[cfg(target_arch = "aarch64")]
mod neon;
mod panels;
mod scalar;
#[cfg(test)]
mod tests;

use std::sync::OnceLock;

pub(crate) use near::{MOST_POSITIONS, Near};
use panels::Line as PanelLine;
pub(crate) use panels::{BytePanels, Column};

use super::{Kernels, SimdLevel, prefetch};
use crate::topk::Key;

/// What the length of codes is padded to: a cache line.
pub(crate) const LINE: usize = 64;

/// What a byte of a code stands above its number.
pub(crate) use super::BIAS;

/// Columns of a panel.
pub(crate) const COLUMNS: usize = 16;

/// The kernels of one instruction set. A value of this type outside this folder proves that the CPU has it.
pub(crate) struct ByteKernels {
    level: SimdLevel,
    many: unsafe fn(&[i8], &[*const u8], &mut [i32]),
    tile: unsafe fn(&[TileRow], &BytePanels, &mut [f32]),
    pack: unsafe fn(&[*const u8; COLUMNS], &mut [PanelLine]) -> [i32; COLUMNS],
    nearest: unsafe fn(&[f32], usize, &mut Least),
    square: unsafe fn(&[TileRow], &BytePanels, &mut [f32]),
    near: unsafe fn(&[TileRow], &BytePanels, usize, &mut Near),
}

/// A row of a tile: its code, and what its distances are made of (see [`ByteKernels::tile`]).
#[derive(Clone, Copy)]
pub(crate) struct TileRow {
    pub(crate) code: *const u8,
    pub(crate) factor: f32,
    pub(crate) term: f32,
}

/// Best first. Private, since a reference to one must prove support.
static LEVELS: &[ByteKernels] = &[
    #[cfg(target_arch = "x86_64")]
    avx512::KERNELS,
    #[cfg(target_arch = "x86_64")]
    avx2::KERNELS,
    #[cfg(target_arch = "aarch64")]
    neon::KERNELS,
    scalar::KERNELS,
];

impl ByteKernels {
    /// Those of the level that the f32 kernels have, or of the next below it that this CPU has for bytes.
    pub(crate) fn get() -> &'static Self {
        static CHOSEN: OnceLock<&'static ByteKernels> = OnceLock::new();
        CHOSEN.get_or_init(|| {
            let wanted = Kernels::get().level();
            Self::available().find(|kernels| kernels.level() <= wanted).unwrap_or(&scalar::KERNELS)
        })
    }

    /// Every level that this CPU has, best first.
    pub(crate) fn available() -> impl Iterator<Item = &'static Self> {
        LEVELS.iter().filter(|kernels| kernels.is_supported())
    }

    pub(crate) fn level(&self) -> SimdLevel {
        self.level
    }

    fn is_supported(&self) -> bool {
        #[cfg(target_arch = "x86_64")]
        if self.level == SimdLevel::Avx512 {
            return is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512vnni")
                && is_x86_feature_detected!("popcnt");
        }
        self.level.is_supported()
    }

    /// Σ code · weight over the bytes of each code, as they are (128 too high each).
    ///
    /// # Safety
    /// Every code is readable for `weights.len()` bytes, which is a multiple of [`LINE`].
    #[inline]
    pub(crate) unsafe fn many(&self, weights: &[i8], codes: &[*const u8], out: &mut [i32]) {
        debug_assert_eq!(weights.len() % LINE, 0, "padded weights");
        assert_eq!(codes.len(), out.len(), "a product for every code");
        // SAFETY: the CPU has the level of every reachable value; the rest was checked or is the caller's word.
        unsafe { (self.many)(weights, codes, out) }
    }

    /// The distance of every row from every packed column, `out[row · panels.width() + column]`:
    /// `(row.term + column.term) + (row.factor · column.scale) · Σ numbers`. Columns that fill up the last panel are
    /// infinitely far.
    ///
    /// # Safety
    /// The code of every row is readable for [`BytePanels::length`] bytes.
    pub(crate) unsafe fn tile(&self, rows: &[TileRow], panels: &BytePanels, out: &mut [f32]) {
        assert_eq!(out.len(), rows.len() * panels.width(), "a result for every row and column");
        // SAFETY: the CPU has the level of every reachable value; the rest was checked or is the caller's word.
        unsafe { (self.tile)(rows, panels, out) }
    }

    /// As [`ByteKernels::tile`], where the rows are the columns, with the same scales and terms, so that the distance from
    /// one to another is that from the other to the one.
    ///
    /// # Safety
    /// As for [`ByteKernels::tile`].
    pub(crate) unsafe fn square(&self, rows: &[TileRow], panels: &BytePanels, out: &mut [f32]) {
        assert_eq!(rows.len().div_ceil(COLUMNS), panels.panels().len(), "rows that are the columns");
        assert_eq!(out.len(), rows.len() * panels.width(), "a result for every row and column");
        // SAFETY: the CPU has the level of every reachable value; the rest was checked or is the caller's word.
        unsafe { (self.square)(rows, panels, out) }
    }

    /// Finds the nearest columns of those in `panel`, which `rows` are, among all others: one step of [`Near`].
    ///
    /// # Safety
    /// As for [`ByteKernels::tile`].
    pub(crate) unsafe fn near(&self, rows: &[TileRow], panels: &BytePanels, panel: usize, near: &mut Near) {
        assert!(panel < panels.panels().len() && rows.len() <= COLUMNS, "rows that are the columns of a panel");
        assert_eq!(near.panels(), panels.panels().len(), "room for the nearest of every column");
        // SAFETY: the CPU has the level of every reachable value; the rest was checked or is the caller's word.
        unsafe { (self.near)(rows, panels, panel, near) }
    }

    /// Writes sixteen columns side by side: of each, four numbers a line. Returns the sums of their numbers.
    ///
    /// # Safety
    /// Every code is readable for as many bytes as a cache line has, as often as there are 16 lines, begun ones included.
    unsafe fn pack(&self, columns: &[*const u8; COLUMNS], lines: &mut [PanelLine]) -> [i32; COLUMNS] {
        // SAFETY: the CPU has the level of every reachable value; the rest is the caller's word.
        unsafe { (self.pack)(columns, lines) }
    }

    /// The least `k` of the distances, at most [`COLUMNS`], as keys of their positions, nearest first; fewer if there are
    /// not so many, infinite ones left out. The number of distances is a multiple of 16.
    pub(crate) fn nearest<'l>(&self, distances: &[f32], k: usize, least: &'l mut Least) -> &'l [Key] {
        assert!((1..=COLUMNS).contains(&k), "{k} of {COLUMNS} lanes");
        least.clear();
        // SAFETY: the CPU has the level of every reachable value.
        unsafe { (self.nearest)(distances, k, least) }
        least.keys()
    }
}

/// How many codes ahead of the one being scored memory is asked for.
const AHEAD: usize = 6;
/// How much of a coming code is asked for; the hardware's own prefetcher follows a longer one.
pub(crate) const PREFETCHED: usize = 256;

/// The codes, each after memory was asked for those that come soon.
#[inline(always)]
fn prefetched(codes: &[*const u8], length: usize) -> impl Iterator<Item = *const u8> {
    let ask = move |code: *const u8| {
        (0..length.min(PREFETCHED)).step_by(LINE).for_each(|line| prefetch(code.wrapping_add(line)));
    };
    codes.iter().take(AHEAD).for_each(|&code| ask(code));
    codes.iter().enumerate().map(move |(index, &code)| {
        codes.get(index + AHEAD).into_iter().for_each(|&coming| ask(coming));
        code
    })
}

/// The least few of some keys, sorted.
pub(crate) struct Least {
    keys: [Key; COLUMNS],
    len: usize,
}

impl Default for Least {
    fn default() -> Self {
        Self { keys: [Key::MAX; COLUMNS], len: 0 }
    }
}

impl Least {
    fn clear(&mut self) {
        self.len = 0;
    }

    fn keys(&self) -> &[Key] {
        &self.keys[..self.len]
    }

    /// Takes `key` in if it is among the least `k`, at most [`COLUMNS`].
    #[inline(always)]
    fn insert(&mut self, key: Key, k: usize) {
        if self.len == k {
            if key > self.keys[k - 1] {
                return;
            }
            self.len -= 1;
        }
        let mut place = self.len;
        while place > 0 && key < self.keys[place - 1] {
            self.keys[place] = self.keys[place - 1];
            place -= 1;
        }
        self.keys[place] = key;
        self.len += 1;
    }
}
