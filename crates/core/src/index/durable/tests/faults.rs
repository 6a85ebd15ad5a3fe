//! Every operation of the disk fails once, or from then on.

use super::*;
use crate::error::Error;
use crate::storage::simulated::Fault;

/// Writes, a checkpoint, more writes, and closing.
fn scenario(index: &Index, expected: &mut Vec<Contents>) -> Vec<Result<()>> {
    let mut outcomes = Vec::new();
    let mut now = Contents::new();
    let mut write = |write: Write, expected: &mut Vec<Contents>, outcomes: &mut Vec<Result<()>>| {
        let before = contents(index);
        let done = write.run(index);
        let mut after = now.clone();
        write.apply(&mut after);
        match &done {
            Ok(()) => now = after.clone(),
            // A failed write is not seen, unless it is its sync that failed: then it may be there or not.
            Err(_) if index.inner().check_writable().is_ok() => assert_eq!(contents(index), before),
            Err(_) => {}
        }
        if done.is_ok() {
            expected.clear();
        }
        expected.push(after);
        if done.is_err() {
            expected.push(now.clone());
        }
        outcomes.push(done);
    };
    write(Write::Upsert((0..20).collect(), 1), expected, &mut outcomes);
    write(Write::Remove(vec![3, 4]), expected, &mut outcomes);
    outcomes.push(index.migrate_step(100).map(|_| ()));
    outcomes.push(index.checkpoint(&Work::default()));
    write(Write::Upsert(vec![5, 30], 2), expected, &mut outcomes);
    outcomes.push(index.compact(&Work::default()));
    write(Write::Upsert(vec![31], 3), expected, &mut outcomes);
    outcomes.push(index.flush());
    outcomes.push(index.close());
    outcomes
}

fn run(durability: Durability, for_good: bool, fault: Fault) -> usize {
    let mut met = 0;
    for before in 0.. {
        let disk = Simulated::new();
        disk.fail_removals();
        disk.fail_as(before, for_good, fault);
        let mut expected = vec![Contents::new()];
        let outcomes = match open_on(&disk, durability) {
            Ok(index) => scenario(&index, &mut expected),
            Err(error) => vec![Err(error)],
        };
        for error in outcomes.iter().filter_map(|outcome| outcome.as_ref().err()) {
            assert!(matches!(error, Error::Io { .. }), "operation {before}: {error}");
        }
        let has_failed = disk.has_failed();
        disk.heal();
        // Recovery meets a failure at each of its operations too, now and then.
        if before % 5 == 0 {
            for more in 0.. {
                let again = disk.after_crash();
                again.fail_as(more, for_good, fault);
                match open_on(&again, durability) {
                    Err(error) => assert!(matches!(error, Error::Io { .. }), "{before}, {more}: {error}"),
                    Ok(index) => {
                        assert!(expected.contains(&contents(&index)), "{before}, {more}");
                        if !again.has_failed() {
                            break;
                        }
                    }
                }
                let healed = open_on(&again.after_crash(), durability).unwrap();
                assert!(expected.contains(&contents(&healed)), "{before}, {more}");
            }
        }
        let index = open_on(&disk.after_crash(), durability).unwrap();
        assert!(expected.contains(&contents(&index)), "operation {before}: {:?}\n{outcomes:?}", contents(&index));
        assert_sound(&index);
        // And it can be written again.
        Write::Upsert(vec![77], 4).run(&index).unwrap();
        index.close().unwrap();
        if !has_failed {
            return met;
        }
        met += 1;
    }
    met
}

#[test]
fn any_operation_may_fail_once() {
    for fault in [Fault::Full, Fault::Broken] {
        let met = run(Durability::Fsync, false, fault);
        assert!(met > 60, "{met} operations failed");
        run(Durability::Buffered, false, fault);
    }
}

#[test]
fn any_operation_may_fail_for_good() {
    for fault in [Fault::Full, Fault::Broken] {
        let met = run(Durability::Fsync, true, fault);
        assert!(met > 60, "{met} operations failed");
        run(Durability::Buffered, true, fault);
    }
}

#[test]
fn after_a_failed_sync_nothing_is_written() {
    let disk = Simulated::new();
    let index = open_on(&disk, Durability::Fsync).unwrap();
    Write::Add(vec![1], 1).run(&index).unwrap();
    // The frame is written; its sync fails.
    disk.fail(1, false);
    assert!(matches!(Write::Add(vec![2], 1).run(&index), Err(Error::Io { operation: "syncing the log", .. })));
    assert!(disk.has_failed());
    for _ in 0..2 {
        assert!(matches!(Write::Add(vec![3], 1).run(&index), Err(Error::Io { .. })));
        assert!(matches!(index.checkpoint(&Work::default()), Err(Error::Io { .. })));
    }
    assert!(matches!(index.close(), Err(Error::Io { .. })));
    let index = open_on(&disk.after_power_loss(|| false), Durability::Fsync).unwrap();
    assert_eq!(contents(&index).len(), 1);
}

#[test]
fn a_full_disk_refuses_a_write_and_takes_the_next() {
    let disk = Simulated::new();
    let index = open_on(&disk, Durability::Fsync).unwrap();
    Write::Add(vec![1], 1).run(&index).unwrap();
    disk.fail(0, false);
    assert!(matches!(Write::Add(vec![2], 1).run(&index), Err(Error::Io { operation: "writing the log", .. })));
    assert_eq!(index.len(), 1);
    Write::Add(vec![2, 3], 1).run(&index).unwrap();
    let again = open_on(&disk.after_crash(), Durability::Fsync).unwrap();
    assert_eq!(contents(&again), contents(&index));
}
