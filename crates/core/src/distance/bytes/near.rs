//! The nearest few of each column of some panels among all the others.

use super::{BytePanels, COLUMNS, Least, TileRow};

/// Bits of a distance that make room for the position of a column: the last ten of 23 behind the point.
const POSITION: u32 = (1 << 10) - 1;

/// Columns whose positions can be told apart.
pub(crate) const MOST_POSITIONS: usize = POSITION as usize + 1;

/// For each column the nearest `k` others, as far as they are found. What is kept is a distance whose last bits are the
/// position of the other column: numbers that are ordered as the distances, but for a rounding that is small beside that
/// of the codes, and then by position.
#[derive(Default)]
pub(crate) struct Near {
    k: usize,
    /// Of each panel `k` times a number for each column; the least comes first.
    keys: Vec<Keys>,
    /// What kernels use that score row by row.
    pub(super) distances: Vec<f32>,
    pub(super) least: Least,
}

/// A number for each column of a panel.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Keys(pub(super) [f32; COLUMNS]);

impl Near {
    /// Forgets everything, to find the nearest `k` (at least 1) of the columns of `panels`.
    pub(crate) fn reset(&mut self, k: usize, panels: &BytePanels) {
        assert!((1..=COLUMNS).contains(&k), "{k} of {COLUMNS}");
        assert!(panels.width() <= MOST_POSITIONS, "{} columns", panels.width());
        self.k = k;
        self.keys.clear();
        self.keys.resize(k * panels.panels().len(), Keys([f32::INFINITY; COLUMNS]));
    }

    pub(super) fn k(&self) -> usize {
        self.k
    }

    pub(super) fn panels(&self) -> usize {
        self.keys.len() / self.k.max(1)
    }

    /// The numbers of one panel's columns, `k` times.
    pub(super) fn keys(&mut self, panel: usize) -> &mut [Keys] {
        &mut self.keys[panel * self.k..][..self.k]
    }

    /// The positions of those nearest to the column at `position`, of `columns` in all, nearest first; once every panel
    /// has had its step.
    pub(crate) fn of(&self, position: usize, columns: usize) -> impl Iterator<Item = u32> {
        let (panel, lane) = (position / COLUMNS, position % COLUMNS);
        let keys = self.keys[panel * self.k..][..self.k].iter().map(move |keys| keys.0[lane]);
        let keys = keys.filter(|key| key.is_finite()).map(|key| key.to_bits() & POSITION);
        keys.filter(move |&other| (other as usize) < columns && other as usize != position)
    }
}

/// A distance with a position in its last bits. What is infinite becomes the largest number, and so does what is none.
#[inline(always)]
fn key(distance: f32, position: usize) -> f32 {
    let limited = if distance < f32::MAX { distance.max(f32::MIN) } else { f32::MAX };
    f32::from_bits(limited.to_bits() & !POSITION | position as u32)
}

/// [`super::ByteKernels::near`] by whole rows.
///
/// # Safety
/// As for it, on a CPU with the instructions of `tile` and `nearest`.
pub(super) unsafe fn by_rows(
    tile: unsafe fn(&[TileRow], &BytePanels, &mut [f32]),
    nearest: unsafe fn(&[f32], usize, &mut Least),
    rows: &[TileRow],
    panels: &BytePanels,
    panel: usize,
    near: &mut Near,
) {
    let (width, k) = (panels.width(), near.k());
    let (mut distances, mut least) = (std::mem::take(&mut near.distances), std::mem::take(&mut near.least));
    distances.resize(rows.len() * width, 0.0);
    // SAFETY: the caller's word.
    unsafe { tile(rows, panels, &mut distances) };
    for (lane, distances) in distances.chunks_mut(width).enumerate() {
        distances.iter_mut().enumerate().for_each(|(position, distance)| *distance = key(*distance, position));
        distances[panel * COLUMNS + lane] = key(f32::MAX, panel * COLUMNS + lane);
        least.clear();
        // SAFETY: the caller's word.
        unsafe { nearest(distances, k, &mut least) };
        near.keys(panel).iter_mut().zip(least.keys()).for_each(|(keys, key)| keys.0[lane] = key.distance());
    }
    (near.distances, near.least) = (distances, least);
}

#[cfg(target_arch = "x86_64")]
pub(super) const POSITION_BITS: i32 = POSITION as i32;
