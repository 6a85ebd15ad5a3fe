//! Compactions that come by themselves, and writes that are faster than they.

use super::*;

#[test]
fn it_comes_by_itself_when_an_eighth_is_removed() {
    let index = Index::new(options(true)).unwrap();
    upsert(&index, 0..12_000, 0);
    index.migrate(&Work::default()).unwrap();
    let removed = || index.stats().unwrap().removed;
    remove(&index, 0..1_499);
    wait_for_migration(&index);
    assert!(index.inner().migrator.control().compaction().is_none());
    remove(&index, 1_499..1_500);
    wait_until("they are gone", || removed() == 0);
    assert_sound(&index);
    // By upserts too, and below the threshold.
    for round in 0..3 {
        upsert(&index, 1_500..4_000, round);
        wait_until("they are gone", || removed() < 1_500);
    }
    remove(&index, 1_500..11_990);
    wait_until("they are gone", || removed() == 0);
    assert_eq!((index.len(), index.migration().error), (10, None));
}

#[test]
fn it_comes_by_hand_alone_where_the_migration_does() {
    let index = half_removed(false);
    upsert(&index, 0..6_000, 0);
    remove(&index, 0..5_000);
    assert!(index.inner().migrator.control().compaction().is_none());
    thread::sleep(Duration::from_millis(30));
    assert_eq!(index.stats().unwrap().removed, 6_600);
}

#[test]
fn a_failure_that_nobody_waits_for_puts_it_off() {
    let index = Index::new(options(true)).unwrap();
    upsert(&index, 0..6_000, 0);
    index.migrate(&Work::default()).unwrap();
    let tried = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&tried);
    index.inner().failpoints.set(move |point| match point {
        Point::Chunk => {
            counted.fetch_add(1, Ordering::Relaxed);
            Err(Error::OutOfMemory { what: "links", bytes: 7 })
        }
        _ => Ok(()),
    });
    remove(&index, 0..1_600);
    wait_until("it was given up", || {
        tried.load(Ordering::Relaxed) == 1 && index.inner().migrator.control().compaction().is_none()
    });
    remove(&index, 1_600..3_199);
    assert!(index.inner().migrator.control().compaction().is_none());
    assert_eq!((index.migration().error, index.stats().unwrap().removed), (None, 3_199));
    index.inner().failpoints.set(|_| Ok(()));
    remove(&index, 3_199..3_200);
    wait_until("they are gone", || index.stats().unwrap().removed == 0);
    assert_sound(&index);
}

/// Whatever the background has come to when a write comes, the same graph comes of the same writes.
#[test]
fn the_graph_does_not_depend_on_when_it_is_compacted() {
    let run = |pause: u64, threads: usize| {
        let index = Index::new(Options { threads: Some(threads), ..options(true) }).unwrap();
        for round in 0..20 {
            upsert(&index, round * 400..round * 400 + 500, round);
            upsert(&index, (round * 13..round * 400).step_by(3), round + 1);
            remove(&index, (round * 50..round * 400).step_by(7));
            if round == 12 {
                compact(&index);
            }
            thread::sleep(Duration::from_millis(pause * (round % 5)));
        }
        wait_until("all is at rest", || {
            index.inner().migrator.control().compaction().is_none() && index.migration().state == MigrationState::Graph
        });
        assert_sound(&index);
        (index.graph_hash(), contents(&index).0, index.inner().state.load().origin())
    };
    let expected = run(0, 1);
    assert!(expected.2 > 10_000, "{} rows were taken away", expected.2);
    for (pause, threads) in [(0, 2), (2, 2), (9, 1)] {
        assert!(run(pause, threads) == expected, "pauses of {pause} ms, {threads} threads");
    }
}

/// What an index holds beside its live rows, at most, before a write waits.
const ROOM: usize = 4 * 4_096;

#[test]
fn what_is_removed_stays_in_proportion_however_slow_it_is() {
    let index = Index::new(options(true)).unwrap();
    upsert(&index, 0..1_000, 0);
    index.migrate(&Work::default()).unwrap();
    index.inner().failpoints.set(|point| {
        if point == Point::Unit {
            thread::sleep(Duration::from_micros(300));
        }
        Ok(())
    });
    let most = (0..120).map(|round| {
        let ids = 1_000 + round * 500..1_500 + round * 500;
        upsert(&index, ids.clone(), 0);
        remove(&index, ids);
        index.stats().unwrap().removed
    });
    let most = most.max().unwrap();
    assert!((ROOM / 2..=ROOM + 1_000).contains(&most), "{most} removed rows");
    index.inner().failpoints.set(|_| Ok(()));
    assert_sound(&index);
}

/// An index that has far more removed rows than live ones, and is held at its compaction until the flag is set.
fn fallen_behind() -> (Index, Arc<AtomicBool>) {
    let index = Index::new(options(true)).unwrap();
    index.pause_migration().unwrap();
    upsert(&index, 0..30_000, 0);
    remove(&index, 0..20_000);
    remove(&index, 20_000..28_999);
    remove(&index, 28_999..29_000);
    assert_eq!(index.stats().unwrap().removed, 29_000, "nobody waits for what is paused");
    let go_on = Arc::new(AtomicBool::new(false));
    let may_go_on = Arc::clone(&go_on);
    index.inner().failpoints.set(move |point| {
        if point == Point::Unit {
            wait_until("it may go on", || may_go_on.load(Ordering::Relaxed));
        }
        Ok(())
    });
    index.resume_migration().unwrap();
    (index, go_on)
}

#[test]
fn who_waits_for_it_may_cancel_and_is_let_go_when_it_is_done() {
    let (index, go_on) = fallen_behind();
    add_one(&index, 40_000);
    let cancelled = Arc::new(AtomicBool::new(false));
    let work = Work { cancelled: Some(Arc::clone(&cancelled)), on_progress: None };
    thread::scope(|scope| {
        let upserts = scope.spawn(|| index.upsert(&Ids::Keys(vec![29_500]), &row(1), &work));
        let removes = scope.spawn(|| index.remove(&Ids::Keys(vec![29_600])));
        thread::sleep(Duration::from_millis(50));
        assert!(!upserts.is_finished() && !removes.is_finished());
        cancelled.store(true, Ordering::Relaxed);
        assert!(matches!(upserts.join().unwrap(), Err(Error::Cancelled)));
        assert!(!removes.is_finished());
        go_on.store(true, Ordering::Relaxed);
        assert_eq!(removes.join().unwrap().unwrap(), 1);
    });
    assert!(index.stats().unwrap().removed < 29_000);
}

#[test]
fn who_waits_for_it_is_let_go_when_it_is_paused_or_closed() {
    for close in [false, true] {
        let (index, go_on) = fallen_behind();
        thread::scope(|scope| {
            let removes = scope.spawn(|| index.remove(&Ids::Keys(vec![29_600])));
            thread::sleep(Duration::from_millis(50));
            assert!(!removes.is_finished());
            if close {
                let closing = scope.spawn(|| index.close());
                wait_until("it is closing", || index.inner().check_open().is_err());
                go_on.store(true, Ordering::Relaxed);
                assert!(matches!(removes.join().unwrap(), Err(Error::Closed)));
                closing.join().unwrap().unwrap();
            } else {
                index.pause_migration().unwrap();
                assert_eq!(removes.join().unwrap().unwrap(), 1);
                go_on.store(true, Ordering::Relaxed);
            }
        });
    }
}

fn add_one(index: &Index, id: u64) {
    index.add(&Ids::Keys(vec![id]), &row(id), &Work::default()).unwrap();
}
