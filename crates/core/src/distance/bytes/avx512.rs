//! AVX-512 with VNNI: four products a lane and instruction.
#![allow(unsafe_code)]

use std::arch::x86_64::*;
use std::array;

use super::near::{Keys, POSITION_BITS};
use super::{BIAS, ByteKernels, BytePanels, COLUMNS, LINE, Least, Near, PanelLine, TileRow, prefetched};
use crate::distance::SimdLevel;
use crate::topk::Key;

pub(super) const KERNELS: ByteKernels =
    ByteKernels { level: SimdLevel::Avx512, many, tile, pack, nearest, square, near };

/// # Safety
/// As for [`ByteKernels::many`], on a CPU with the features.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni,popcnt")]
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
#[target_feature(enable = "avx512f,avx512bw,avx512vnni,popcnt")]
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

/// Scores the first `R` rows against all panels, two or four at a time, and returns `R`.
///
/// # Safety
/// As for [`ByteKernels::tile`], on a CPU with the features; there are `R` rows, and `out` has room for their results.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni,popcnt")]
unsafe fn strip<const R: usize>(rows: &[TileRow], panels: &BytePanels, out: *mut f32) -> usize {
    let rows: [TileRow; R] = array::from_fn(|row| rows[row]);
    let count = panels.panels().len();
    let mut panel = 0;
    while panel < count {
        // SAFETY: as many panels exist as are scored; the rest is the caller's word.
        panel += unsafe {
            if R == 1 && count - panel >= 4 {
                // A single row has no other sums to fill the time that each product takes.
                block::<R, 4>(&rows, panels, panel, out)
            } else if count - panel >= 2 {
                block::<R, 2>(&rows, panels, panel, out)
            } else {
                block::<R, 1>(&rows, panels, panel, out)
            }
        };
    }
    R
}

/// Scores `R` rows against the `P` panels from `panel` on, the sums in registers, and returns `P`.
///
/// # Safety
/// As for [`strip`]; there are as many panels.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni,popcnt")]
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
    for (p, packed) in panels.panels()[panel..panel + P].iter().enumerate() {
        // SAFETY: sixteen values each, aligned as a `Panel` is.
        let (scales, terms, excess) = unsafe {
            (
                _mm512_load_ps(packed.scales.as_ptr()),
                _mm512_load_ps(packed.terms.as_ptr()),
                _mm512_load_si512(packed.excess.as_ptr().cast()),
            )
        };
        for (r, (row, sums)) in rows.iter().zip(&sums).enumerate() {
            let product = _mm512_cvtepi32_ps(_mm512_sub_epi32(sums[p], excess));
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
#[target_feature(enable = "avx512f,avx512bw,avx512vnni,popcnt")]
unsafe fn nearest(distances: &[f32], k: usize, least: &mut Least) {
    let bound = _mm512_set1_ps(bound(distances, k).min(f32::MAX));
    let (mut near_distances, mut near_positions) = ([0.0f32; 2 * COLUMNS], [0u32; 2 * COLUMNS]);
    let mut near = 0;
    let mut positions = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    for group in distances.as_chunks::<COLUMNS>().0 {
        // SAFETY: sixteen values.
        let group = unsafe { _mm512_loadu_ps(group.as_ptr()) };
        let mask = _mm512_cmp_ps_mask::<_CMP_LE_OQ>(group, bound);
        // Without a branch, which could not be foreseen; compressed in a register, since to memory takes much longer.
        // SAFETY: `near` is at most sixteen here (else `take` has reset it), and there is room for twice as many.
        unsafe {
            let distances = _mm512_maskz_compress_ps(mask, group);
            _mm512_storeu_ps(near_distances.as_mut_ptr().add(near), distances);
            let positions = _mm512_maskz_compress_epi32(mask, positions);
            _mm512_storeu_si512(near_positions.as_mut_ptr().add(near).cast(), positions);
        }
        near += mask.count_ones() as usize;
        if near > COLUMNS {
            take(&near_distances[..near], &near_positions, k, least);
            near = 0;
        }
        positions = _mm512_add_epi32(positions, _mm512_set1_epi32(COLUMNS as i32));
    }
    take(&near_distances[..near], &near_positions, k, least);
}

#[inline(always)]
fn take(distances: &[f32], positions: &[u32], k: usize, least: &mut Least) {
    distances.iter().zip(positions).for_each(|(&distance, &position)| least.insert(Key::new(distance, position), k));
}

/// The k-th least of the minima of the sixteen lanes: at least `k` distances are no more than it, and few others.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni,popcnt")]
fn bound(distances: &[f32], k: usize) -> f32 {
    // Four at a time: each minimum waits for the one before it.
    let infinity = _mm512_set1_ps(f32::INFINITY);
    let (mut a, mut b, mut c, mut d) = (infinity, infinity, infinity, infinity);
    let (fours, rest) = distances.as_chunks::<{ 4 * COLUMNS }>();
    for four in fours {
        // SAFETY: four times sixteen values.
        unsafe {
            a = _mm512_min_ps(a, _mm512_loadu_ps(four.as_ptr()));
            b = _mm512_min_ps(b, _mm512_loadu_ps(four.as_ptr().add(COLUMNS)));
            c = _mm512_min_ps(c, _mm512_loadu_ps(four.as_ptr().add(2 * COLUMNS)));
            d = _mm512_min_ps(d, _mm512_loadu_ps(four.as_ptr().add(3 * COLUMNS)));
        }
    }
    for group in rest.as_chunks::<COLUMNS>().0 {
        // SAFETY: sixteen values.
        a = _mm512_min_ps(a, unsafe { _mm512_loadu_ps(group.as_ptr()) });
    }
    let minima = _mm512_min_ps(_mm512_min_ps(a, b), _mm512_min_ps(c, d));
    if k == 1 {
        return _mm512_reduce_min_ps(minima);
    }
    // The rank of each lane, by comparing it with every other one.
    let mut ranks = _mm512_setzero_si512();
    let mut turned = _mm512_castps_si512(minima);
    for _ in 1..COLUMNS {
        turned = _mm512_alignr_epi32::<1>(turned, turned);
        let is_after = _mm512_cmp_ps_mask::<_CMP_GT_OQ>(minima, _mm512_castsi512_ps(turned));
        ranks = _mm512_mask_add_epi32(ranks, is_after, ranks, _mm512_set1_epi32(1));
    }
    let is_within = _mm512_cmplt_epi32_mask(ranks, _mm512_set1_epi32(k as i32));
    _mm512_mask_reduce_max_ps(is_within, minima)
}

/// # Safety
/// As for [`ByteKernels::pack`], on a CPU with the features.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni,popcnt")]
unsafe fn pack(columns: &[*const u8; COLUMNS], lines: &mut [PanelLine]) -> [i32; COLUMNS] {
    let (bias, ones) = (_mm512_set1_epi8(BIAS as i8), _mm512_set1_epi8(1));
    let mut sums = _mm512_setzero_si512();
    for (block, lines) in lines.chunks_mut(COLUMNS).enumerate() {
        // SAFETY: a cache line of every column is readable for each block, begun ones included.
        let rows = array::from_fn(|column| unsafe { _mm512_loadu_si512(columns[column].add(block * LINE).cast()) });
        for (line, groups) in lines.iter_mut().zip(transpose(rows)) {
            let weights = _mm512_xor_si512(groups, bias);
            sums = _mm512_dpbusd_epi32(sums, ones, weights);
            // SAFETY: a line has 64 aligned bytes.
            unsafe { _mm512_store_si512(line.0.as_mut_ptr().cast(), weights) };
        }
    }
    // SAFETY: both are sixteen numbers.
    unsafe { std::mem::transmute::<__m512i, [i32; COLUMNS]>(sums) }
}

/// Sixteen rows of sixteen 32-bit groups become sixteen columns.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni,popcnt")]
fn transpose(rows: [__m512i; COLUMNS]) -> [__m512i; COLUMNS] {
    // Pairs of rows, then fours, within each quarter of a register.
    let pairs: [__m512i; COLUMNS] = array::from_fn(|i| {
        let (a, b) = (rows[i & !1], rows[i | 1]);
        if i % 2 == 0 { _mm512_unpacklo_epi32(a, b) } else { _mm512_unpackhi_epi32(a, b) }
    });
    // fours[4 · j + c]: group c of each quarter of the rows 4 · j … 4 · j + 3.
    let fours: [__m512i; COLUMNS] = array::from_fn(|i| {
        let (a, b) = (pairs[(i & !3) + i % 4 / 2], pairs[(i & !3) + 2 + i % 4 / 2]);
        if i % 2 == 0 { _mm512_unpacklo_epi64(a, b) } else { _mm512_unpackhi_epi64(a, b) }
    });
    let mut columns = fours;
    for group in 0..4 {
        let [a, b, c, d] = [fours[group], fours[4 + group], fours[8 + group], fours[12 + group]];
        let low = (_mm512_shuffle_i32x4::<0b01_00_01_00>(a, b), _mm512_shuffle_i32x4::<0b01_00_01_00>(c, d));
        let high = (_mm512_shuffle_i32x4::<0b11_10_11_10>(a, b), _mm512_shuffle_i32x4::<0b11_10_11_10>(c, d));
        columns[group] = _mm512_shuffle_i32x4::<0b10_00_10_00>(low.0, low.1);
        columns[4 + group] = _mm512_shuffle_i32x4::<0b11_01_11_01>(low.0, low.1);
        columns[8 + group] = _mm512_shuffle_i32x4::<0b10_00_10_00>(high.0, high.1);
        columns[12 + group] = _mm512_shuffle_i32x4::<0b11_01_11_01>(high.0, high.1);
    }
    columns
}

/// # Safety
/// As for [`ByteKernels::square`], on a CPU with the features.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni,popcnt")]
unsafe fn square(rows: &[TileRow], panels: &BytePanels, out: &mut [f32]) {
    let width = panels.width();
    let mut write = |block: &[__m512i; COLUMNS], row: usize, column: usize| {
        for (block, out) in block.iter().zip(out.chunks_mut(width).skip(row)) {
            let out = &mut out[column..][..COLUMNS];
            // SAFETY: room for sixteen values.
            unsafe { _mm512_storeu_si512(out.as_mut_ptr().cast(), *block) };
        }
    };
    for (a, rows) in rows.chunks(COLUMNS).enumerate() {
        let factors = factors(rows);
        for b in a..panels.panels().len() {
            // SAFETY: both panels exist.
            let block = unsafe { corner(&factors, panels, a, b) };
            write(&block, a * COLUMNS, b * COLUMNS);
            if a < b {
                write(&transpose(block), b * COLUMNS, a * COLUMNS);
            }
        }
    }
}

/// # Safety
/// As for [`ByteKernels::near`], on a CPU with the features.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni,popcnt")]
unsafe fn near(rows: &[TileRow], panels: &BytePanels, panel: usize, near: &mut Near) {
    // SAFETY: the same contract.
    unsafe {
        match near.k() {
            ..=4 => near_least::<4>(rows, panels, panel, near),
            5 => near_least::<5>(rows, panels, panel, near),
            6 => near_least::<6>(rows, panels, panel, near),
            7 | 8 => near_least::<8>(rows, panels, panel, near),
            9 | 10 => near_least::<10>(rows, panels, panel, near),
            _ => near_least::<16>(rows, panels, panel, near),
        }
    }
}

/// Both ways at once: the distances of the rows of `panel` from the columns of a later one are those of its columns
/// from these rows. So all panels after another one have met the panels before them when their own step comes.
///
/// # Safety
/// As for [`near`]; `K` is at least the `k` of `near`.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni,popcnt")]
unsafe fn near_least<const K: usize>(rows: &[TileRow], panels: &BytePanels, panel: usize, near: &mut Near) {
    let factors = factors(rows);
    let (least, most) = (_mm512_set1_ps(f32::MIN), _mm512_set1_ps(f32::MAX));
    let mut own = Lowest::<K>::load(near.keys(panel));
    for other in panel..panels.panels().len() {
        // SAFETY: both panels exist.
        let block = unsafe { corner(&factors, panels, panel, other) };
        // Where a distance is no number, `min` gives its second operand.
        let limited = |row| _mm512_max_ps(_mm512_min_ps(_mm512_castsi512_ps(row), most), least);
        let mut block = block.map(|row| _mm512_castps_si512(limited(row)));
        if other == panel {
            for (lane, row) in block.iter_mut().enumerate() {
                *row = _mm512_mask_mov_epi32(*row, 1 << lane, _mm512_castps_si512(most));
            }
            own.take(&block, panel * COLUMNS);
        } else {
            let mut lowest = Lowest::<K>::load(near.keys(other));
            lowest.take(&block, panel * COLUMNS);
            lowest.store(near.keys(other));
            own.take(&transpose(block), other * COLUMNS);
        }
    }
    own.store(near.keys(panel));
}

/// The least `K` numbers of each lane, the least first.
struct Lowest<const K: usize>([__m512; K]);

impl<const K: usize> Lowest<K> {
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni,popcnt")]
    fn load(keys: &[Keys]) -> Self {
        // SAFETY: sixteen numbers each.
        let load = |keys: &Keys| unsafe { _mm512_load_ps(keys.0.as_ptr()) };
        Self(array::from_fn(|rank| keys.get(rank).map_or(_mm512_set1_ps(f32::NEG_INFINITY), load)))
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni,popcnt")]
    fn store(&self, keys: &mut [Keys]) {
        for (keys, lowest) in keys.iter_mut().zip(&self.0) {
            // SAFETY: room for sixteen numbers.
            unsafe { _mm512_store_ps(keys.0.as_mut_ptr(), *lowest) };
        }
    }

    /// Takes in rows of distances, none of them infinite, with positions from `first` on.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni,popcnt")]
    fn take(&mut self, rows: &[__m512i; COLUMNS], first: usize) {
        let mask = _mm512_set1_epi32(POSITION_BITS);
        for (row, distances) in rows.iter().enumerate() {
            // The bits of the mask from the position, the others from the distance.
            let position = _mm512_set1_epi32((first + row) as i32);
            let key = _mm512_ternarylogic_epi32::<0b10_10_11_00>(mask, *distances, position);
            let mut key = _mm512_castsi512_ps(key);
            for lowest in &mut self.0 {
                let lower = _mm512_min_ps(*lowest, key);
                key = _mm512_max_ps(*lowest, key);
                *lowest = lower;
            }
        }
    }
}

/// What the products of the columns of a panel, which `rows` are, are multiplied with.
fn factors(rows: &[TileRow]) -> [f32; COLUMNS] {
    array::from_fn(|row| rows.get(row).map_or(0.0, |row| row.factor))
}

/// The distances of the columns of panel `a` (one a row) from those of panel `b`; `factors` are those of `a`.
///
/// # Safety
/// Both panels exist, on a CPU with the features.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni,popcnt")]
unsafe fn corner(factors: &[f32; COLUMNS], panels: &BytePanels, a: usize, b: usize) -> [__m512i; COLUMNS] {
    let bias = _mm512_set1_epi8(BIAS as i8);
    let mut sums = [_mm512_setzero_si512(); COLUMNS];
    for (rows, columns) in panels.lines(a).iter().zip(panels.lines(b)) {
        // SAFETY: a line has 64 aligned bytes.
        let columns = _mm512_xor_si512(unsafe { _mm512_load_si512(columns.0.as_ptr().cast()) }, bias);
        for (sum, row) in sums.iter_mut().zip(&rows.0) {
            // The numbers of the row stand where memory can be multiplied with as it is.
            *sum = _mm512_dpbusd_epi32(*sum, columns, _mm512_set1_epi32(i32::from_ne_bytes(row.map(|n| n as u8))));
        }
    }
    let (rows, columns) = (&panels.panels()[a], &panels.panels()[b]);
    // SAFETY: sixteen values each, aligned as a `Panel` is.
    let (scales, terms) = unsafe { (_mm512_load_ps(columns.scales.as_ptr()), _mm512_load_ps(columns.terms.as_ptr())) };
    array::from_fn(|row| {
        let product = _mm512_cvtepi32_ps(_mm512_sub_epi32(sums[row], _mm512_set1_epi32(rows.excess[row])));
        let term = _mm512_add_ps(_mm512_set1_ps(rows.terms[row]), terms);
        let factor = _mm512_mul_ps(_mm512_set1_ps(factors[row]), scales);
        _mm512_castps_si512(_mm512_add_ps(term, _mm512_mul_ps(factor, product)))
    })
}
