use crate::distance::tests::Random;
use crate::topk::Key;

use super::{BIAS, ByteKernels, BytePanels, COLUMNS, Column, LINE, Least, Near, TileRow};

impl Random {
    /// A code of `dimensions` numbers; every third is an extreme one.
    fn code(&mut self, dimensions: usize) -> Vec<u8> {
        let mut code = vec![BIAS; dimensions.next_multiple_of(LINE)];
        code[..dimensions].fill_with(|| match self.next() % 6 {
            0 => 1,
            1 => 255,
            random => (random as u8).wrapping_add(self.next() as u8).max(1),
        });
        code
    }

    fn codes(&mut self, count: usize, dimensions: usize) -> Vec<Vec<u8>> {
        (0..count).map(|_| self.code(dimensions)).collect()
    }
}

fn dimensions() -> impl Iterator<Item = usize> {
    (1..=130).chain([255, 256, 257, 1_000, 65_536])
}

fn number(byte: u8) -> i64 {
    i64::from(byte) - i64::from(BIAS)
}

#[test]
fn products_are_exact_at_every_level() {
    let mut random = Random(1);
    for dimensions in dimensions() {
        let codes = random.codes(9, dimensions);
        let weights: Vec<i8> = codes[0].iter().map(|&byte| (byte ^ BIAS) as i8).collect();
        let expected: Vec<i64> = codes
            .iter()
            .map(|code| code.iter().zip(&weights).map(|(&byte, &weight)| i64::from(byte) * i64::from(weight)).sum())
            .collect();
        let pointers: Vec<*const u8> = codes.iter().map(|code| code.as_ptr()).collect();
        for kernels in ByteKernels::available() {
            let mut products = vec![0; codes.len()];
            // SAFETY: the codes are as long as the weights, a multiple of `LINE`.
            unsafe { kernels.many(&weights, &pointers, &mut products) };
            let products: Vec<i64> = products.into_iter().map(i64::from).collect();
            assert_eq!(products, expected, "{dimensions} dimensions, {:?}", kernels.level());
        }
    }
}

#[test]
fn tiles_have_the_same_bits_at_every_level() {
    let mut random = Random(2);
    for (round, dimensions) in dimensions().enumerate() {
        let (rows, columns) = (random.codes(1 + round % 19, dimensions), random.codes(1 + round % 50, dimensions));
        let scale = |index: usize| 0.1 + index as f32 * 0.37;
        let term = |index: usize| index as f32 * 1.3 - 5.0;
        let mut panels = BytePanels::default();
        let packed = columns.iter().enumerate().map(|(index, code)| Column {
            code: code.as_slice(),
            scale: scale(index),
            term: term(index),
        });
        let tile_rows: Vec<TileRow> = rows
            .iter()
            .enumerate()
            .map(|(index, code)| TileRow { code: code.as_ptr(), factor: -2.0 * scale(index), term: term(index) })
            .collect();
        for kernels in ByteKernels::available() {
            panels.pack(kernels, dimensions, packed.clone()).unwrap();
            let mut out = vec![f32::NAN; rows.len() * panels.width()];
            // SAFETY: the rows are as long as the columns, and padded.
            unsafe { kernels.tile(&tile_rows, &panels, &mut out) };
            for (r, out) in out.chunks(panels.width()).enumerate() {
                for (c, &found) in out.iter().enumerate() {
                    let Some(code) = columns.get(c) else {
                        assert_eq!(found, f32::INFINITY, "a column that fills up the panel");
                        continue;
                    };
                    let product: i64 = rows[r].iter().zip(code).map(|(&a, &b)| number(a) * number(b)).sum();
                    let expected = (term(r) + term(c)) + ((-2.0 * scale(r)) * scale(c)) * product as f32;
                    assert_eq!(found.to_bits(), expected.to_bits(), "{dimensions} dimensions, {:?}", kernels.level());
                }
            }
        }
    }
}

#[test]
fn the_nearest_are_found_at_every_level() {
    let mut random = Random(3);
    for (groups, spread) in (1..40).flat_map(|groups| [(groups, 10), (groups, 1_000_000)]) {
        let mut distances: Vec<f32> = (0..groups * COLUMNS).map(|_| (random.next() % spread) as f32).collect();
        let infinite = random.next() as usize % distances.len();
        distances[infinite..].fill(f32::INFINITY);
        let mut sorted: Vec<Key> = (0..).zip(&distances).map(|(i, &distance)| Key::new(distance, i)).collect();
        sorted.truncate(infinite);
        sorted.sort_unstable();
        for kernels in ByteKernels::available() {
            for k in [1, 2, 5, 15, 16] {
                let mut least = Least::default();
                let keys = kernels.nearest(&distances, k, &mut least);
                assert_eq!(keys, &sorted[..k.min(sorted.len())], "{k} of {groups} groups, {:?}", kernels.level());
            }
        }
    }
}

/// Codes as columns and as the rows that are these columns.
struct Square {
    codes: Vec<Vec<u8>>,
    rows: Vec<TileRow>,
    dimensions: usize,
}

impl Square {
    fn new(random: &mut Random, count: usize, dimensions: usize) -> Self {
        let codes = random.codes(count, dimensions);
        let row = |(index, code): (usize, &Vec<u8>)| {
            let (scale, term) = (0.1 + index as f32 * 0.37, index as f32 * 1.3 - 5.0);
            TileRow { code: code.as_ptr(), factor: -2.0 * scale, term }
        };
        let rows = codes.iter().enumerate().map(row).collect();
        Self { codes, rows, dimensions }
    }

    fn packed(&self, kernels: &ByteKernels) -> BytePanels {
        let mut panels = BytePanels::default();
        let columns = self.codes.iter().zip(&self.rows).map(|(code, row)| Column {
            code: code.as_slice(),
            scale: row.factor / -2.0,
            term: row.term,
        });
        panels.pack(kernels, self.dimensions, columns).unwrap();
        panels
    }

    /// The distances by the plain tile.
    fn tile(&self, kernels: &ByteKernels, panels: &BytePanels) -> Vec<f32> {
        let mut out = vec![f32::NAN; self.rows.len() * panels.width()];
        // SAFETY: the rows are as long as the columns, and padded.
        unsafe { kernels.tile(&self.rows, panels, &mut out) };
        out
    }

    fn nearest(&self, kernels: &ByteKernels, k: usize) -> Vec<Vec<usize>> {
        let (panels, mut near) = (self.packed(kernels), Near::default());
        near.reset(k, &panels);
        for (panel, rows) in self.rows.chunks(COLUMNS).enumerate() {
            // SAFETY: the rows are as long as the columns, and padded.
            unsafe { kernels.near(rows, &panels, panel, &mut near) };
        }
        (0..self.rows.len())
            .map(|position| near.of(position, self.rows.len()).map(|other| other as usize).collect())
            .collect()
    }
}

#[test]
fn squares_are_tiles_at_every_level() {
    let mut random = Random(4);
    for (round, dimensions) in dimensions().enumerate() {
        let square = Square::new(&mut random, 1 + round % 49, dimensions);
        for kernels in ByteKernels::available() {
            let panels = square.packed(kernels);
            let expected = square.tile(kernels, &panels);
            let mut out = vec![f32::NAN; expected.len()];
            // SAFETY: the rows are as long as the columns, and padded.
            unsafe { kernels.square(&square.rows, &panels, &mut out) };
            let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<u32>>();
            assert_eq!(bits(&out), bits(&expected), "{dimensions} dimensions, {:?}", kernels.level());
        }
    }
}

#[test]
fn the_nearest_of_each_other_are_found_at_every_level() {
    let mut random = Random(5);
    for (count, dimensions) in [(1, 9), (2, 64), (15, 3), (16, 128), (17, 130), (33, 40), (100, 20), (1_024, 8)] {
        let mut square = Square::new(&mut random, count, dimensions);
        // Some are equal, and one is so far that distances from it are infinite.
        square
            .rows
            .iter_mut()
            .for_each(|row| (row.factor, row.term) = (-2.0, 16_500.0 * dimensions as f32 + row.term.floor()));
        square.rows[count / 3].term = f32::MAX;
        square.rows[count / 2].term = f32::MAX;
        let last = square.codes[count - 1].clone();
        square.codes[count / 4].copy_from_slice(&last);
        square.rows[count / 4].term = square.rows[count - 1].term;
        for k in [1, 4, 5, 6, 7, 8, 9, 10, 13, 16] {
            let kernels = ByteKernels::available().last().unwrap();
            let panels = square.packed(kernels);
            let distances = square.tile(kernels, &panels);
            let expected: Vec<Vec<usize>> = (0..count)
                .map(|position| {
                    let row = &distances[position * panels.width()..][..count];
                    // As far as the bits that are left tell them apart, from 0 up as the bits themselves.
                    let key = |other: usize| (row[other].min(f32::MAX).to_bits() >> 10, other);
                    let mut keys: Vec<(u32, usize)> = (0..count)
                        .map(|other| match key(other) {
                            (_, other) if other == position => (f32::MAX.to_bits() >> 10, other),
                            key => key,
                        })
                        .collect();
                    assert!(row.iter().all(|&distance| distance >= 0.0));
                    keys.sort_unstable();
                    keys.iter().take(k).map(|key| key.1).filter(|&other| other != position).collect()
                })
                .collect();
            for kernels in ByteKernels::available() {
                assert_eq!(square.nearest(kernels, k), expected, "{k} of {count}, {:?}", kernels.level());
            }
        }
    }
}

#[test]
fn what_is_no_distance_is_far() {
    // Terms of opposite infinities make no number.
    let mut square = Square::new(&mut Random(6), 20, 64);
    for (row, term) in [(3, f32::INFINITY), (7, f32::NEG_INFINITY), (18, f32::INFINITY)] {
        square.rows[row].term = term;
    }
    for kernels in ByteKernels::available() {
        let found = square.nearest(kernels, 4);
        assert_eq!(found, square.nearest(ByteKernels::available().last().unwrap(), 4), "{:?}", kernels.level());
        let others = |row: usize| found[row].iter().filter(move |&&other| other != 7);
        assert!(
            (0..18).all(|row| row == 3 || others(row).all(|other| ![3, 18].contains(other))),
            "{:?}",
            kernels.level()
        );
        assert!((0..20).all(|row| [3, 7, 18].contains(&row) || found[row][0] == 7), "{:?}", kernels.level());
    }
}
