//! What threads that write tell those that read: which names are live, for sure, at any time.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use vicinal_core::{Id, Ids, Index, Metric, Work};

use crate::common::{Rng, distance, exactly, nearest, tolerance};

pub const DIMENSIONS: usize = 8;

/// A name's state and how often it changed: even when absent, odd when live, both for sure; `BUSY` while a write is in
/// its call.
const BUSY: u64 = 1 << 63;

pub struct Ledger {
    /// The number of a name is the number of its vector too: whoever finds it can check its distance.
    names: Vec<AtomicU64>,
}

/// The vector of `name`, for ever.
pub fn vector(name: usize) -> Vec<f32> {
    let mut rng = Rng(name as u64);
    (0..DIMENSIONS).map(|_| rng.normal()).collect()
}

fn batch(names: &[usize]) -> (Ids, Vec<f32>) {
    (Ids::Keys(names.iter().map(|&name| name as u64).collect()), names.iter().flat_map(|&name| vector(name)).collect())
}

impl Ledger {
    pub fn new(names: usize) -> Self {
        Self { names: (0..names).map(|_| AtomicU64::new(0)).collect() }
    }

    /// Adds the first `count` names.
    pub fn add_steady(&self, index: &Index, count: usize) {
        self.add(index, &(0..count).collect::<Vec<_>>());
    }

    fn add(&self, index: &Index, names: &[usize]) {
        let (ids, rows) = batch(names);
        self.change(names, 1, || index.add(&ids, &rows, &Work::default()).unwrap());
    }

    /// Runs a call that makes `names` live (1) or absent (0).
    fn change<R>(&self, names: &[usize], state: u64, call: impl FnOnce() -> R) -> R {
        let cells: Vec<(&AtomicU64, u64)> =
            names.iter().map(|&name| &self.names[name]).map(|cell| (cell, cell.load(Ordering::SeqCst))).collect();
        cells.iter().for_each(|(cell, old)| cell.store(old | BUSY, Ordering::SeqCst));
        let result = call();
        cells.iter().for_each(|(cell, old)| cell.store(((old >> 1) + 1) << 1 | state, Ordering::SeqCst));
        result
    }

    /// One write of some of the names in `range`, which are the caller's alone.
    pub fn write_some(&self, index: &Index, range: Range<usize>, rng: &mut Rng) {
        let count = 1 + rng.below(40);
        let names: HashSet<usize> = (0..count).map(|_| range.start + rng.below(range.len())).collect();
        let (live, absent): (Vec<usize>, Vec<usize>) = names.into_iter().partition(|&name| self.is_live(name));
        match rng.below(8) {
            0..3 => self.add(index, &absent),
            3..5 => {
                let all = [live, absent].concat();
                let (ids, rows) = batch(&all);
                // The live ones stay live all the time, with the same vector: they must never be missed.
                let absent: Vec<usize> = all.iter().copied().filter(|&name| !self.is_live(name)).collect();
                self.change(&absent, 1, || index.upsert(&ids, &rows, &Work::default()).unwrap());
            }
            5 => {
                let result = index.add(&batch(&live).0, &batch(&live).1, &Work::default());
                assert_eq!(result.is_err(), !live.is_empty(), "ids that exist");
            }
            _ => {
                let all = [live.clone(), absent].concat();
                assert_eq!(self.change(&live, 0, || index.remove(&batch(&all).0).unwrap()), live.len());
            }
        }
    }

    /// One look of some kind at the index.
    pub fn read_some(&self, index: &Index, rng: &mut Rng) {
        let name = rng.below(self.names.len());
        let before = self.snapshot();
        let query = vector(name);
        let (k, ef) = (1 + rng.below(12), 12);
        match rng.below(6) {
            0 => {
                let hits = index.search(&query, &exactly(k)).unwrap();
                self.check(&before, &query, &hits.ids, &hits.distances, k, true);
            }
            1 | 2 => {
                let hits = index.search(&query, &nearest(k, ef)).unwrap();
                self.check(&before, &query, &hits.ids, &hits.distances, k, false);
            }
            3 => {
                let queries: Vec<usize> = (0..70).map(|_| rng.below(self.names.len())).collect();
                let is_exact = rng.below(2) == 0;
                let options = if is_exact { exactly(k) } else { nearest(k, ef) };
                let hits = index.search_batch(batch(&queries).1, &options, &Work::default()).unwrap();
                let Ids::Keys(keys) = &hits.ids else { panic!("numbers") };
                for (row, &name) in queries.iter().enumerate() {
                    let found = row * k..row * k + hits.counts[row] as usize;
                    let ids = Ids::Keys(keys[found.clone()].to_vec());
                    self.check(&before, &vector(name), &ids, &hits.distances[found], k, is_exact);
                }
            }
            4 => {
                let row = index.get(Id::Key(name as u64)).unwrap();
                let has = index.has(Id::Key(name as u64)).unwrap();
                let after = self.snapshot();
                if is_steady(&before, &after, name) {
                    assert_eq!((row.is_some(), has), (before[name] & 1 == 1, before[name] & 1 == 1), "{name}");
                }
                assert!(row.is_none_or(|row| row == query), "another row than that of {name}");
            }
            _ => {
                let mut keys = index.keys().unwrap();
                let blocks =
                    std::iter::repeat_with(|| keys.next_block(50).unwrap()).take_while(|block| !block.is_empty());
                let blocks: Vec<Ids> = blocks.collect();
                let after = self.snapshot();
                let names: Vec<usize> = blocks.iter().flat_map(Ids::iter).map(name_of).collect();
                let unique: HashSet<usize> = names.iter().copied().collect();
                assert_eq!(unique.len(), names.len(), "a key twice");
                for name in (0..before.len()).filter(|&name| is_steady(&before, &after, name)) {
                    assert_eq!(unique.contains(&name), before[name] & 1 == 1, "key {name}");
                }
            }
        }
    }

    /// Compares an answer with what was live before the call and is after it.
    fn check(&self, before: &[u64], query: &[f32], ids: &Ids, distances: &[f32], k: usize, is_exact: bool) {
        let after = self.snapshot();
        let names: Vec<usize> = ids.iter().map(name_of).collect();
        assert!(names.len() <= k && distances.is_sorted());
        let unique: HashSet<usize> = names.iter().copied().collect();
        assert_eq!(unique.len(), names.len(), "an id twice: {names:?}");
        for (&name, &got) in names.iter().zip(distances) {
            let was_absent = is_steady(before, &after, name) && before[name] & 1 == 0;
            assert!(!was_absent, "{name} was returned and not live at any time");
            let row = vector(name);
            let expected = distance(Metric::L2, query, &row);
            assert!(
                (f64::from(got) - expected).abs() <= tolerance(Metric::L2, query, &row),
                "{name} at {got}, {expected}"
            );
        }
        let steady = (0..before.len()).filter(|&name| is_steady(before, &after, name) && before[name] & 1 == 1);
        if is_exact {
            // Whoever was live all the time and is nearer than the last must be there.
            let last = if names.len() == k { f64::from(distances[k - 1]) } else { f64::INFINITY };
            for name in steady.filter(|name| !unique.contains(name)) {
                let missed = distance(Metric::L2, query, &vector(name));
                assert!(missed >= last * (1.0 - 1e-5), "{name} at {missed} was missed, the last is at {last}");
            }
        } else {
            assert!(names.len() >= k.min(steady.count()), "{} hits, expected {k}", names.len());
        }
    }

    /// When nobody writes: all that is live, and nothing else.
    pub fn check_at_rest(&self, index: &Index) {
        let live: Vec<usize> = (0..self.names.len()).filter(|&name| self.is_live(name)).collect();
        assert_eq!(index.len(), live.len());
        let before = self.snapshot();
        for name in 0..self.names.len() {
            assert_eq!(index.has(Id::Key(name as u64)).unwrap(), self.is_live(name));
            let hits = index.search(&vector(name), &exactly(10)).unwrap();
            self.check(&before, &vector(name), &hits.ids, &hits.distances, 10, true);
        }
    }

    fn is_live(&self, name: usize) -> bool {
        self.names[name].load(Ordering::SeqCst) & 1 == 1
    }

    fn snapshot(&self) -> Vec<u64> {
        self.names.iter().map(|cell| cell.load(Ordering::SeqCst)).collect()
    }
}

/// Whether no write of `name` was in its call between the two looks.
fn is_steady(before: &[u64], after: &[u64], name: usize) -> bool {
    before[name] == after[name] && before[name] & BUSY == 0
}

fn name_of(id: Id<'_>) -> usize {
    let Id::Key(key) = id else { panic!("numbers") };
    key as usize
}
