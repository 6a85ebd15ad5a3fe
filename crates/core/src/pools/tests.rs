//! Queries in order, and turns beside them.

use super::gate::{Gate, LINGER, Turn};
use super::*;
use std::sync::mpsc;
use std::time::{Duration, Instant};

#[test]
fn indexes_share_their_pools_unless_they_ask_for_their_own() {
    let (a, b) = (Pools::new(None).unwrap(), Pools::new(None).unwrap());
    assert!(Arc::ptr_eq(&a, &b));
    let own = Pools::new(Some(3)).unwrap();
    assert_eq!((own.threads(), own.build(rayon::current_num_threads)), (3, 3));
}

#[test]
fn queries_run_in_order_and_survive_a_panic() {
    let pools = Pools::new(Some(1)).unwrap();
    let (sender, receiver) = mpsc::channel();
    pools.spawn_query(|| panic!("on purpose"));
    for i in 0..10 {
        let sender = sender.clone();
        pools.spawn_query(move || sender.send(i).unwrap());
    }
    drop((sender, pools));
    assert_eq!(receiver.iter().collect::<Vec<_>>(), (0..10).collect::<Vec<_>>());
}

#[test]
fn one_turn_is_given_beside_any_number_of_queries() {
    let gate = Arc::new(Gate::new(4));
    let turns: Vec<Turn<'_>> = (0..9).map(|_| gate.turn()).collect();
    let mut passages = vec![Passage::new(&gate)];
    assert!(!gate.try_turn());
    drop(turns);
    let turns: Vec<Turn<'_>> = (0..3).map(|_| gate.turn()).collect();
    assert!(!gate.try_turn(), "a core is left to the query");
    drop(turns);
    passages.extend((0..9).map(|_| Passage::new(&gate)));
    // Whichever thread asks: here it is one that no pool knows.
    let turn = thread::scope(|scope| scope.spawn(|| gate.turn()).join().unwrap());
    assert!(!gate.try_turn());
    drop(turn);
    assert!(gate.try_turn());
}

#[test]
fn a_core_is_left_free_for_a_while_after_a_query() {
    let gate = Arc::new(Gate::new(2));
    drop(Passage::new(&gate));
    let _turn = gate.turn();
    assert!(!gate.try_turn());
    let start = Instant::now();
    let _second = gate.turn();
    assert!(start.elapsed() > LINGER / 2);
}

#[test]
fn who_waits_for_a_turn_gets_that_of_a_task_that_stopped() {
    let gate = Arc::new(Gate::new(1));
    let passage = Passage::new(&gate);
    let turn = gate.turn();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| drop(gate.turn()));
        thread::sleep(Duration::from_millis(20));
        assert!(!waiting.is_finished());
        drop(turn);
        waiting.join().unwrap();
    });
    drop(passage);
}

#[test]
fn a_query_counts_once_and_from_when_it_is_queued() {
    let pools = Pools::new(Some(1)).unwrap();
    let queries = |pools: &Pools| pools.gate.queries.load(Ordering::Relaxed);
    let (sender, receiver) = mpsc::channel::<()>();
    let (entered, counted) = mpsc::channel();
    let gate = pools.gate.clone();
    pools.spawn_query(move || {
        let _ = receiver.recv();
    });
    pools.spawn_query({
        let pools = Arc::downgrade(&pools);
        move || {
            let passage = pools.upgrade().unwrap().enter();
            entered.send((passage.is_none(), gate.queries.load(Ordering::Relaxed))).unwrap();
        }
    });
    assert_eq!(queries(&pools), 2);
    let passage = pools.enter();
    assert_eq!((passage.is_some(), queries(&pools)), (true, 3));
    drop((sender, passage));
    assert_eq!(counted.recv().unwrap(), (true, 1));
}
