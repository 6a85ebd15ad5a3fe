//! Blocks are what was written, seen when it was published.

use std::sync::atomic::AtomicU32;

use super::*;

#[test]
fn blocks_read_back_as_written_and_are_aligned() {
    let store = Blocks::<f32>::new("rows", 16);
    let mut writer = store.writer();
    for row in 0..40_000u16 {
        writer.push(&[f32::from(row), 1.0]).unwrap();
    }
    assert_eq!(store.len(), 0, "nothing is seen before it is published");
    writer.publish();
    let view = store.view();
    for row in 0..40_000u16 {
        let block = view.block(row.into());
        assert_eq!((block[0], block[1], block[2]), (f32::from(row), 1.0, 0.0));
        assert_eq!(block.as_ptr().align_offset(ALIGNMENT), 0);
    }
}

#[test]
fn an_abandoned_write_leaves_nothing() {
    let store = Blocks::<f32>::new("rows", 4);
    store.writer().push(&[1.0; 4]).unwrap();
    let mut writer = store.writer();
    writer.push(&[2.0]).unwrap();
    writer.publish();
    drop(writer);
    assert_eq!(store.view().block(0), &[2.0, 0.0, 0.0, 0.0]);
}

#[test]
fn a_write_can_be_published_in_parts() {
    let store = Blocks::<f32>::new("rows", 1);
    let mut writer = store.writer();
    (0..5u8).for_each(|row| writer.push(&[row.into()]).unwrap());
    for (end, len) in [(2, 2), (3, 3), (9, 5)] {
        writer.publish_below(end);
        assert_eq!((store.len(), store.view().block(len - 1)[0]), (len, len as f32 - 1.0));
    }
}

#[test]
fn a_view_outlives_the_growth_of_its_table() {
    let store = Blocks::<u64>::new("ids", 1 << 14);
    let mut writer = store.writer();
    writer.push(&[7]).unwrap();
    writer.publish();
    drop(writer);
    let old = store.view();
    for _ in 0..100 {
        let mut writer = store.writer();
        writer.push(&[8]).unwrap();
        writer.publish();
    }
    assert_eq!((old.len(), old.block(0)[0], store.view().block(100)[0]), (1, 7, 8));
}

#[test]
fn runs_stay_in_one_chunk() {
    let store = Blocks::<u8>::new("texts", 1);
    let mut writer = store.writer();
    let starts: Vec<usize> = (0..5u8).map(|i| writer.push_run(&vec![i; 400_000]).unwrap()).collect();
    writer.publish();
    assert_eq!(starts, [0, 400_000, 1 << 20, (1 << 20) + 400_000, 2 << 20]);
    for (i, &start) in (0u8..).zip(&starts) {
        assert!(store.view().run(start, 400_000).unwrap().iter().all(|&byte| byte == i));
    }
}

#[test]
fn a_refused_reservation_is_an_error() {
    let store = Blocks::<f32>::new("rows", 1 << 20);
    assert!(matches!(store.reserve(1 << 40), Err(Error::OutOfMemory { .. })));
    assert!(matches!(store.reserve(usize::MAX), Err(Error::OutOfMemory { .. })));
}

#[test]
fn shared_blocks_start_as_zeros() {
    let store = Blocks::<AtomicU32>::new("links", 32);
    store.reserve(10_000).unwrap();
    let view = store.shared();
    assert!(view.len() >= 10_000);
    assert!(view.block(9_999).iter().all(|link| link.load(Ordering::Relaxed) == 0));
}
