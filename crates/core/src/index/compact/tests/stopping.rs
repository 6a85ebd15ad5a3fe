//! Stopping it, failures, and who waits for whom.

use super::*;

#[test]
fn stopped_at_any_unit_it_has_changed_nothing() {
    for auto in [false, true] {
        for unit in 0.. {
            let index = Index::new(options(auto)).unwrap();
            upsert(&index, 0..600, 0);
            index.migrate_step(300).unwrap();
            if auto {
                index.migrate(&Work::default()).unwrap();
            }
            remove(&index, 0..200);
            let (before, hash, stats) = (contents(&index), index.graph_hash(), index.stats().unwrap());
            let cancelled = Arc::new(AtomicBool::new(false));
            let flag = Arc::clone(&cancelled);
            let came = at_unit(&index, unit * unit, move || flag.store(true, Ordering::Relaxed));
            let work = Work { cancelled: Some(cancelled), on_progress: None };
            let done = index.compact(&work);
            if !came.load(Ordering::Relaxed) {
                assert!(done.is_ok() && unit > 5, "{unit} units");
                break;
            }
            assert!(matches!(done, Err(Error::Cancelled)), "unit {unit}");
            index.inner().failpoints.set(|_| Ok(()));
            assert!(index.inner().migrator.control().compaction().is_none());
            assert_eq!((contents(&index), index.graph_hash(), index.stats().unwrap()), (before, hash, stats));
            upsert(&index, 600..620, 0);
            index.migrate(&Work::default()).unwrap();
            assert_eq!(index.migration().state, MigrationState::Graph);
            assert_sound(&index);
            compact(&index);
            assert_eq!(index.stats().unwrap().removed, 0);
            assert_sound(&index);
        }
    }
}

#[test]
fn a_failure_has_changed_nothing_and_is_told() {
    let index = Index::new(options(false)).unwrap();
    upsert(&index, 0..600, 0);
    index.migrate(&Work::default()).unwrap();
    remove(&index, 0..200);
    let (before, hash) = (contents(&index), index.graph_hash());
    index.inner().failpoints.set(|point| match point {
        Point::Chunk => Err(Error::OutOfMemory { what: "links", bytes: 7 }),
        _ => Ok(()),
    });
    assert!(matches!(index.compact(&Work::default()), Err(Error::OutOfMemory { .. })));
    assert_eq!((contents(&index), index.graph_hash(), index.stats().unwrap().removed), (before, hash, 200));
    index.inner().failpoints.set(|_| Ok(()));
    compact(&index);
    assert_sound(&index);
}

#[test]
fn a_panic_leaves_what_was_there_and_poisons() {
    let index = Index::new(options(false)).unwrap();
    upsert(&index, 0..600, 0);
    remove(&index, 0..200);
    let before = contents(&index);
    index.inner().failpoints.set(|point| {
        assert!(point != Point::Compacted, "on purpose");
        Ok(())
    });
    assert!(matches!(index.compact(&Work::default()), Err(Error::Internal(_))));
    assert_eq!(contents(&index), before);
    for _ in 0..2 {
        assert!(matches!(index.compact(&Work::default()), Err(Error::Internal(_))));
        assert!(matches!(index.remove(&ids_as(IdType::Number, [300])), Err(Error::Internal(_))));
    }
}

/// Holds a compaction of `index`, once it is under way, until `go_on` is set. The thread that does it.
fn held(index: &Index, work: Work) -> (Arc<AtomicBool>, thread::JoinHandle<Result<(), Error>>) {
    let go_on = Arc::new(AtomicBool::new(false));
    let may_go_on = Arc::clone(&go_on);
    let held = Arc::new(AtomicBool::new(false));
    let is_held = Arc::clone(&held);
    let units = AtomicUsize::new(0);
    index.inner().failpoints.set(move |point| {
        if point == Point::Unit && units.fetch_add(1, Ordering::Relaxed) > 10 {
            is_held.store(true, Ordering::Relaxed);
            wait_until("it may go on", || may_go_on.load(Ordering::Relaxed));
        }
        Ok(())
    });
    let compacting = index.clone();
    let thread = thread::spawn(move || compacting.compact(&work));
    wait_until("it is under way", || held.load(Ordering::Relaxed));
    (go_on, thread)
}

#[test]
fn close_ends_it() {
    let index = half_removed(false);
    let (go_on, thread) = held(&index, Work::default());
    let closing = index.clone();
    let closed = thread::spawn(move || closing.close());
    wait_until("it is closing", || index.inner().check_open().is_err());
    go_on.store(true, Ordering::Relaxed);
    closed.join().unwrap().unwrap();
    assert!(matches!(thread.join().unwrap(), Err(Error::Closed)));
    assert!(matches!(index.compact(&Work::default()), Err(Error::Closed)));
}

#[test]
fn clear_leaves_it_nothing_to_do() {
    let index = half_removed(true);
    let (go_on, thread) = held(&index, Work::default());
    index.clear().unwrap();
    go_on.store(true, Ordering::Relaxed);
    thread.join().unwrap().unwrap();
    assert_eq!((index.len(), index.migration().total), (0, 0));
    upsert(&index, 0..300, 0);
    index.migrate(&Work::default()).unwrap();
    assert_eq!(index.migration().migrated, 300);
    assert_sound(&index);
}

#[test]
fn callers_wait_for_each_other_and_files_for_none() {
    let index = half_removed(false);
    let before = saved(&index);
    let (go_on, thread) = held(&index, Work::default());
    assert!(saved(&index) == before, "of what was there before");
    let cancelled = Arc::new(AtomicBool::new(false));
    let work = Work { cancelled: Some(Arc::clone(&cancelled)), on_progress: None };
    let (second, third) = (index.clone(), index.clone());
    let second = thread::spawn(move || second.compact(&Work::default()));
    let third = thread::spawn(move || third.compact(&work));
    cancelled.store(true, Ordering::Relaxed);
    assert!(matches!(third.join().unwrap(), Err(Error::Cancelled)), "at once");
    go_on.store(true, Ordering::Relaxed);
    thread.join().unwrap().unwrap();
    second.join().unwrap().unwrap();
    assert_eq!(index.stats().unwrap().removed, 0);
    assert_sound(&index);
}

#[test]
fn progress_is_told_by_phases_and_may_stop_it_at_its_end() {
    let index = half_removed(false);
    let (sender, told) = mpsc::channel();
    let work = Work { cancelled: None, on_progress: Some(Arc::new(move |progress| sender.send(progress).unwrap())) };
    index.compact(&work).unwrap();
    drop(work);
    let told: Vec<Progress> = told.iter().collect();
    let mut phases: Vec<&str> = told.iter().map(|progress| progress.phase.name()).collect();
    phases.dedup();
    assert_eq!(phases, ["copy", "partition", "leaves", "merge", "swap"]);
    assert!(told.is_sorted_by_key(|progress| progress.done) && told.iter().all(|progress| progress.total == 800));
    assert!(told.last().is_some_and(|last| last.is_last && last.done == 800));

    let index = half_removed(false);
    let cancelled = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&cancelled);
    let stop = move |progress: Progress| flag.store(progress.is_last, Ordering::Relaxed);
    let work = Work { cancelled: Some(cancelled), on_progress: Some(Arc::new(stop)) };
    assert!(matches!(index.compact(&work), Err(Error::Cancelled)));
    assert_eq!(index.stats().unwrap().removed, 800);
}
