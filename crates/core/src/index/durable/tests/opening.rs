//! Opening, closing, locks, options, readers.

use std::time::Duration;

use super::*;
use crate::error::Error;

fn add(index: &Index, ids: std::ops::Range<u64>) {
    Write::Add(ids.collect(), 5).run(index).unwrap();
}

fn names(disk: &Simulated) -> Vec<String> {
    let text = |path: &std::path::PathBuf| path.file_name().unwrap().to_str().unwrap().to_string();
    disk.names().iter().map(text).filter(|name| name != "lock").collect()
}

#[test]
fn what_was_written_is_there_after_a_crash_and_after_closing() {
    for durability in [Durability::Fsync, Durability::Buffered] {
        let disk = Simulated::new();
        let index = open_on(&disk, durability).unwrap();
        add(&index, 0..50);
        index.migrate(&Work::default()).unwrap();
        Write::Upsert(vec![3, 60], 9).run(&index).unwrap();
        Write::Remove(vec![7, 7, 8, 1_000]).run(&index).unwrap();
        let expected = contents(&index);
        let crashed = disk.after_crash();
        let again = open_on(&crashed, durability).unwrap();
        assert_eq!(contents(&again), expected);
        assert_eq!(again.options(), &stored());
        assert_sound(&again);

        index.close().unwrap();
        index.close().unwrap();
        assert_eq!(names(&disk), ["snapshot-0000000000000003.vicinal"], "no log is left");
        let again = open_on(&disk, durability).unwrap();
        assert_eq!(contents(&again), expected);
        assert_eq!(again.migration().migrated, 47, "the graph is in the snapshot");
        assert_sound(&again);
    }
}

#[test]
fn a_checkpoint_drops_the_log_before_it() {
    let disk = Simulated::new();
    let index = open_on(&disk, Durability::Fsync).unwrap();
    for round in 0..4 {
        add(&index, round * 10..round * 10 + 10);
        Write::Remove(vec![round * 10]).run(&index).unwrap();
        index.checkpoint(&Work::default()).unwrap();
        index.checkpoint(&Work::default()).unwrap();
        let snapshot = format!("snapshot-{:016x}.vicinal", 4 * round + 2);
        assert_eq!(names(&disk), [format!("log-{:016x}.vicinal", round + 2), snapshot]);
        add(&index, 100..101);
        let again = open_on(&disk.after_crash(), Durability::Fsync).unwrap();
        assert_eq!(contents(&again), contents(&index));
        Write::Clear.run(&index).unwrap();
        let again = open_on(&disk.after_crash(), Durability::Fsync).unwrap();
        assert_eq!((again.len(), index.len()), (0, 0));
    }
}

#[test]
fn a_checkpoint_that_is_cancelled_or_fails_has_lost_nothing() {
    let disk = Simulated::new();
    let index = open_on(&disk, Durability::Fsync).unwrap();
    add(&index, 0..20);
    let cancelled = Work { cancelled: Some(Arc::new(true.into())), on_progress: None };
    assert!(matches!(index.checkpoint(&cancelled), Err(Error::Cancelled)));
    for before in 0.. {
        disk.fail(before, false);
        let done = index.checkpoint(&Work::default());
        disk.heal();
        let again = open_on(&disk.after_crash(), Durability::Fsync).unwrap();
        assert_eq!(contents(&again), contents(&index), "operation {before}");
        match done {
            Ok(()) => return assert!(before > 20, "{before} operations"),
            Err(Error::Io { .. }) if index.inner().check_writable().is_err() => {
                // A sync of the log has failed: nothing more is written.
                assert!(matches!(Write::Clear.run(&index), Err(Error::Io { .. })));
                return a_checkpoint_fails_after(before + 1);
            }
            Err(Error::Io { .. }) => add(&index, 100 + before as u64..101 + before as u64),
            Err(error) => panic!("operation {before}: {error}"),
        }
    }
}

#[test]
fn a_checkpoint_that_nobody_asked_for_tells_of_its_failure_until_one_is_made() {
    let disk = Simulated::new();
    let index = open_on(&disk, Durability::Fsync).unwrap();
    let failure = || index.stats().unwrap().checkpoint_error;
    for by_hand in [false, true] {
        add(&index, u64::from(by_hand) * 10..u64::from(by_hand) * 10 + 10);
        assert_eq!(failure(), None);
        // The segment that it would begin cannot be made.
        disk.fail(0, false);
        index.inner().checkpoint_unasked();
        let failed = failure().unwrap();
        assert_eq!(failed.code, "ERR_IO");
        assert!(failed.message.contains("creating a segment of the log failed"), "{failed:?}");
        disk.heal();
        add(&index, 100..101);
        assert!(failure().is_some(), "a write is no checkpoint");
        Write::Remove(vec![100]).run(&index).unwrap();
        match by_hand {
            true => index.checkpoint(&Work::default()).unwrap(),
            false => index.inner().checkpoint_unasked(),
        }
        assert_eq!(failure(), None);
    }
    // One that is stopped has not failed.
    add(&index, 50..51);
    index.inner().stop_checkpoint();
    index.inner().checkpoint_unasked();
    assert_eq!(failure(), None);
}

/// The rest of the operations, each on an index of its own.
fn a_checkpoint_fails_after(first: usize) {
    for before in first.. {
        let disk = Simulated::new();
        let index = open_on(&disk, Durability::Fsync).unwrap();
        add(&index, 0..20);
        disk.fail(before, false);
        let done = index.checkpoint(&Work::default());
        disk.heal();
        let again = open_on(&disk.after_crash(), Durability::Fsync).unwrap();
        assert_eq!(contents(&again), contents(&index), "operation {before}");
        if done.is_ok() {
            return assert!(before > 20, "{before} operations");
        }
    }
}

#[test]
fn one_writer_at_a_time_and_any_number_of_readers() {
    let disk = Simulated::new();
    let index = open_on(&disk, Durability::Fsync).unwrap();
    add(&index, 0..10);
    assert!(matches!(open_on(&disk, Durability::Fsync), Err(Error::Locked { pid: Some(1), .. })));
    let before = disk.names();
    let readers = [read_on(&disk).unwrap(), read_on(&disk).unwrap()];
    assert_eq!(disk.names(), before, "a reader makes nothing");
    add(&index, 10..20);
    for reader in &readers {
        assert_eq!(reader.len(), 10, "as it was when it was opened");
        assert!(matches!(Write::Clear.run(reader), Err(Error::ReadOnly)));
        assert!(matches!(Write::Add(vec![90], 1).run(reader), Err(Error::ReadOnly)));
        assert!(matches!(reader.flush(), Err(Error::ReadOnly)));
        assert!(matches!(reader.checkpoint(&Work::default()), Err(Error::ReadOnly)));
        reader.close().unwrap();
    }
    assert_eq!(contents(&read_on(&disk).unwrap()), contents(&index));
    index.close().unwrap();
    drop(open_on(&disk, Durability::Fsync).unwrap());
    drop(open_on(&disk, Durability::Fsync).unwrap());
}

#[test]
fn a_reader_finds_its_way_beside_checkpoints() {
    let disk = Simulated::new();
    let index = open_on(&disk, Durability::Buffered).unwrap();
    let writer = index.clone();
    let work = std::thread::spawn(move || {
        for id in 0..300 {
            add(&writer, id..id + 1);
            writer.checkpoint(&Work::default()).unwrap();
        }
    });
    let mut last = 0;
    while !work.is_finished() {
        let len = read_on(&disk).unwrap().len();
        assert!(len >= last, "{len} rows after {last}");
        last = len;
        std::thread::sleep(Duration::from_micros(100));
    }
    work.join().unwrap();
}

#[test]
fn options_are_kept_and_others_refused() {
    let disk = Simulated::new();
    let open_with = |given: &GivenOptions| {
        open(Arc::new(disk.clone()), Path::new(DIRECTORY), given, Durability::Fsync)
            .map(|index| index.options().clone())
    };
    let none = GivenOptions::default();
    assert!(matches!(open_with(&none), Err(Error::InvalidArgument { name: "dimensions", .. })));
    assert!(disk.names().is_empty(), "nothing is made for a call that is refused");
    let given = GivenOptions { threads: Some(1), capacity: Some(9), ..given(IdType::String) };
    assert_eq!(open_with(&given).unwrap(), given.complete().unwrap());
    assert_eq!(open_with(&none).unwrap(), Options { threads: None, ..given.complete().unwrap() });
    for (name, other) in [
        ("dimensions", GivenOptions { dimensions: Some(4), ..given.clone() }),
        ("metric", GivenOptions { metric: Some(crate::options::Metric::Cosine), ..none.clone() }),
        ("idType", GivenOptions { id_type: Some(IdType::BigInt), ..none.clone() }),
        ("dtype", GivenOptions { dtype: Some(crate::Dtype::U8), ..none.clone() }),
        ("m", GivenOptions { m: Some(3), ..none.clone() }),
        ("efConstruction", GivenOptions { ef_construction: Some(3), ..none.clone() }),
        ("ef", GivenOptions { ef: Some(3), ..none.clone() }),
        ("threshold", GivenOptions { threshold: Some(None), ..none.clone() }),
        ("chunkSize", GivenOptions { chunk_size: Some(3), ..none.clone() }),
        ("migration", GivenOptions { auto_migrate: Some(true), ..none.clone() }),
        ("seed", GivenOptions { seed: Some(3), ..none.clone() }),
    ] {
        match open_with(&other) {
            Err(Error::InvalidArgument { name: refused, .. }) => assert_eq!(refused, name),
            other => panic!("{name}: {other:?}"),
        }
    }
    // The same ones, given again, are right.
    assert!(open_with(&given).is_ok());
}

#[test]
fn callers_share_syncs() {
    let disk = Simulated::new();
    let index = open_on(&disk, Durability::Fsync).unwrap();
    let before = disk.syncs();
    for id in 0..64 {
        index.unsynced().add(&Ids::Keys(vec![id]), &row(id), &Work::default()).unwrap();
    }
    index.wait_durable().unwrap();
    assert_eq!(disk.syncs() - before, 1);
    add(&index, 100..101);
    assert_eq!(disk.syncs() - before, 2);
    index.flush().unwrap();
    assert_eq!(disk.syncs() - before, 2, "there is nothing to sync");
}

#[test]
fn only_an_index_in_a_directory_is_flushed() {
    let index = Index::new(stored()).unwrap();
    assert!(matches!(index.flush(), Err(Error::InvalidArgument { .. })));
    assert!(matches!(index.checkpoint(&Work::default()), Err(Error::InvalidArgument { .. })));
    assert!(!index.syncs());
}

#[test]
fn writes_go_on_beside_checkpoints() {
    let disk = Simulated::new();
    let index = open_on(&disk, Durability::Fsync).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| (0..400).for_each(|id| add(&index, id..id + 1)));
        scope.spawn(|| (0..40).for_each(|_| index.checkpoint(&Work::default()).unwrap()));
        scope.spawn(|| (0..40).for_each(|_| assert!(index.migrate_step(30).is_ok())));
    });
    let again = open_on(&disk.after_crash(), Durability::Fsync).unwrap();
    assert_eq!(contents(&again), contents(&index));
    assert_sound(&again);
    index.close().unwrap();
    assert_eq!(contents(&open_on(&disk, Durability::Fsync).unwrap()), contents(&again));
}
