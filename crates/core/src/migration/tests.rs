//! What is decided, and when: of counts alone, without an index.

use std::thread;

use super::*;
use crate::bits::Bits;
use crate::work::Work;

/// So many rows that a build of them would wait for more than [`HOURS`].
const MANY: usize = 1 << 31;
const HOURS: Duration = Duration::from_secs(1_000);

/// One that takes away the first of so many rows.
fn first_gone(rows: usize) -> Arc<Compaction> {
    let removed = Bits::new("bits");
    removed.reserve(rows).unwrap();
    removed.set(0);
    Arc::new(Compaction::of(removed.view(), rows, rows).unwrap())
}

fn regions(migrator: &Migrator) -> Vec<usize> {
    migrator.control().cuts.iter().copied().collect()
}

#[test]
fn who_asks_when_many_rows_came_waits_for_one_build_of_all() {
    let migrator = Migrator::new(true, 10);
    let mut control = migrator.control();
    let next_with = |control: &mut Control, end: usize, migrated: usize| {
        control.cut(end, end);
        control.next(migrated)
    };
    assert_eq!(next_with(&mut control, 16_000, 0), Some(Next::Rebuild(16_000)));
    control.has_built(16_000);
    assert_eq!(next_with(&mut control, 16_500, 16_000), Some(Next::Insert(16_500)));
    control.wait_for_all(Work::default(), 16_000, Box::new(|_| ()));
    for migrated in [16_000, 16_500] {
        assert_eq!(control.next(migrated), Some(Next::Rebuild(16_500)), "{migrated} in the graph");
        assert!(control.wants_run(migrated));
        assert!(control.settled(migrated, &|slots| slots.len()).is_empty());
    }
    control.has_built(16_500);
    assert_eq!(control.settled(16_500, &|slots| slots.len()).len(), 1);
    assert!(!control.wants_run(16_500));
    // Few came since.
    control.cut(17_000, 17_000);
    control.wait_for_all(Work::default(), 16_500, Box::new(|_| ()));
    assert_eq!(control.next(16_500), Some(Next::Insert(17_000)));
    assert_eq!(control.settled(17_000, &|slots| slots.len()).len(), 1);
}

#[test]
fn a_build_begins_when_no_later_one_became_due_for_a_while() {
    let migrator = Migrator::new(true, 10);
    migrator.cut(40_000, 40_000);
    let start = Instant::now();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            migrator.wait_while_growing(&mut migrator.control(), 0);
            start.elapsed()
        });
        thread::sleep(Duration::from_millis(20));
        migrator.cut(80_000, 80_000);
        assert!(waiting.join().unwrap() >= Duration::from_millis(20) + 80_000 * QUIET);
    });
    migrator.wait_while_growing(&mut migrator.control(), 80_000);
    assert!(start.elapsed() < HOURS, "nothing is to be built");
}

#[test]
fn a_build_begins_at_once_for_somebody_who_waits() {
    let migrator = Migrator::new(true, 10);
    migrator.cut(MANY, MANY);
    let start = Instant::now();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| migrator.wait_while_growing(&mut migrator.control(), 0));
        thread::sleep(Duration::from_millis(20));
        migrator.control().wait_for_all(Work::default(), 0, Box::new(|_| ()));
        migrator.notify();
        waiting.join().unwrap();
    });
    migrator.wait_while_growing(&mut migrator.control(), 0);
    migrator.control().settled(MANY, &|slots| slots.len());
    migrator.pause();
    migrator.wait_while_growing(&mut migrator.control(), 0);
    assert!(start.elapsed() < HOURS);
}

#[test]
fn a_compaction_begins_however_fast_rows_come() {
    let migrator = Migrator::new(true, 10);
    migrator.cut(MANY, MANY);
    migrator.control().compact(first_gone(64), MANY);
    let start = Instant::now();
    for len in [MANY, 2 * MANY] {
        migrator.cut(len, len);
        migrator.wait_while_growing(&mut migrator.control(), 0);
    }
    assert!(start.elapsed() < HOURS);
}

#[test]
fn rows_that_were_taken_away_do_not_count_for_how_long_a_build_waits() {
    let migrator = Migrator::new(true, 10);
    migrator.cut(MANY, MANY);
    let compaction = first_gone(64);
    migrator.control().compact(Arc::clone(&compaction), MANY);
    migrator.control().compacted(&compaction, MANY - 63);
    migrator.cut(MANY + 100, 163);
    let start = Instant::now();
    migrator.wait_while_growing(&mut migrator.control(), MANY);
    assert!(start.elapsed() < HOURS);
}

#[test]
fn removals_interrupt_a_run_only_when_it_is_not_due_any_more() {
    let migrator = Migrator::new(true, 10);
    migrator.cut(20, 20);
    for (live, interrupted) in [(15, false), (10, false), (9, true)] {
        migrator.shrink(live);
        assert_eq!(migrator.is_interrupted(), interrupted, "{live} live rows");
    }
    migrator.clear_interruption();
    migrator.shrink(8);
    assert!(!migrator.is_interrupted(), "there is no run to interrupt");
}

#[test]
fn rows_that_gather_below_the_threshold_are_one_region() {
    let migrator = Migrator::new(true, 10);
    [(3, 3), (6, 6), (12, 12), (14, 14)].into_iter().for_each(|(len, live)| migrator.cut(len, live));
    assert_eq!(regions(&migrator), [12, 14]);
    migrator.shrink(4);
    [(16, 6), (17, 7), (22, 12), (23, 13)].into_iter().for_each(|(len, live)| migrator.cut(len, live));
    assert_eq!(regions(&migrator), [12, 14, 22, 23], "what was due before keeps its ends");
}

#[test]
fn few_rows_after_a_file_are_inserted_and_many_built_anew() {
    for auto in [false, true] {
        for (more, expected) in [(1, Next::Insert(10_001)), (2_000, Next::Rebuild(12_000))] {
            let migrator = Migrator::new(auto, 10);
            migrator.resume(10_000, true);
            migrator.cut(10_000, 10_000);
            assert_eq!(migrator.control().next(10_000), None);
            migrator.cut(10_000 + more, 10_000 + more);
            assert_eq!(migrator.control().next(10_000), Some(expected), "{more} rows, auto: {auto}");
        }
        // What waits already when it is loaded.
        let migrator = Migrator::new(auto, 10);
        migrator.resume(10_000, true);
        migrator.cut(10_001, 10_001);
        assert_eq!(migrator.control().next(10_000), Some(Next::Insert(10_001)));
    }
}

#[test]
fn rows_that_wait_to_be_moved_by_hand_are_one_region() {
    let migrator = Migrator::new(false, 10);
    [(3, 3), (12, 12), (12, 12), (14, 14)].into_iter().for_each(|(len, live)| migrator.cut(len, live));
    assert_eq!(regions(&migrator), [14]);
}
