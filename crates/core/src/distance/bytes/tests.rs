use crate::distance::tests::Random;
use crate::topk::Key;

use super::{BIAS, ByteKernels, BytePanels, COLUMNS, Column, LINE, Least, TileRow};

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
