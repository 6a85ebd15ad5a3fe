//! Where codes blur what rows tell apart.

use super::*;
use crate::options::Metric;
use crate::pools::Pools;
use crate::vectors::Space;

const DIMENSIONS: usize = 40;

/// Whether codes around the origin blur what is near a row of so high `values`, of rows each of which is `step` higher
/// in one value: all by the same, or each by more than the one before.
fn is_blurred(value: f32, step: f32, by_more: bool) -> bool {
    let rows = Rows::new(Space::new(Metric::L2, DIMENSIONS));
    let mut writer = rows.writer();
    writer.push(&[value; DIMENSIONS]).unwrap();
    for row in 0..DIMENSIONS {
        let mut values = [value; DIMENSIONS];
        values[row] += if by_more { step * (row + 1) as f32 } else { step };
        writer.push(&values).unwrap();
    }
    writer.publish();
    drop(writer);
    let encoder = Encoder::with_center(Metric::L2, vec![0.0; DIMENSIONS], 1.0);
    let points = Points::new(Arc::new(rows), Some(encoder));
    let all: Vec<u32> = (0..=DIMENSIONS as u32).collect();
    Pools::new(Some(1)).unwrap().build(|| points.append(&all)).unwrap();
    let (mut weights, mut distances, mut keys) = Default::default();
    let (_, is_blurred) = points.view().sorted_around(0, &all[1..], (&mut weights, &mut distances), &mut keys);
    is_blurred
}

#[test]
fn codes_blur_what_is_nearer_than_their_scale_tells() {
    assert!(!is_blurred(1.0, 1.0, true));
    assert!(is_blurred(100_000.0, 1.0, true));
    assert!(is_blurred(1.0, 0.000_01, true));
}

#[test]
fn rows_that_are_as_near_are_not_blurred() {
    assert!(!is_blurred(100_000.0, 1.0, false));
    assert!(!is_blurred(1.0, 0.000_01, false));
}

#[test]
fn the_margin_is_between_what_is_wanted_and_what_is_compared() {
    let keys: Vec<Key> = (0..40).map(|node| Key::new(0.0, node)).collect();
    let ends = |count: usize, wanted: usize, compared: usize| {
        let margin = margin(&keys[..count], wanted, compared);
        (margin.first().map(|key| key.slot()), margin.last().map(|key| key.slot()))
    };
    assert_eq!(ends(40, 10, 26), (Some(9), Some(25)));
    assert_eq!(ends(40, 1, 17), (Some(0), Some(16)));
    assert_eq!(ends(10, 10, 26), (Some(4), Some(9)), "the first half");
    assert_eq!(ends(1, 10, 26), (Some(0), Some(0)));
    assert_eq!(ends(0, 10, 26), (None, None));
}
