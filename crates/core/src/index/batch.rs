//! Many queries at once, on all query threads.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use arc_swap::Guard;
use parking_lot::{Condvar, Mutex};

use super::reader::{Reader, Request};
use super::state::State;
use super::{Inner, scan};
use crate::error::{Error, Result, panic_message};
use crate::ids::Ids;
use crate::memory::room;
use crate::options::SearchOptions;
use crate::topk::Key;
use crate::vectors::{Padded, Query};
use crate::work::{Phase, Work};

/// Queries a work unit. Other searches get their turn between units.
const UNIT: usize = 32;

/// Neighbors of many queries: row `i` starts at `i * stride`, its first `counts[i]` entries are real; the rest have
/// distance +Infinity and id 0 or "". `stride` is the `k` that was asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct BatchHits {
    pub stride: usize,
    pub ids: Ids,
    pub distances: Vec<f32>,
    pub counts: Vec<u32>,
}

/// A batch in work: threads take unit after unit of it.
struct Job {
    inner: Arc<Inner>,
    state: Arc<State>,
    queries: Vec<f32>,
    options: SearchOptions,
    work: Work,
    next: AtomicUsize,
    failed: AtomicBool,
    outcome: Mutex<Outcome>,
    changed: Condvar,
}

#[derive(Default)]
struct Outcome {
    /// What each query found, nearest first.
    found: Vec<Vec<Key>>,
    error: Option<Error>,
    done: usize,
    /// Threads that still may write here.
    running: usize,
}

impl Inner {
    pub(super) fn batch(
        self: &Arc<Self>,
        queries: Vec<f32>,
        options: &SearchOptions,
        work: &Work,
    ) -> Result<BatchHits> {
        let state = Guard::into_inner(self.open()?);
        self.check_search(options)?;
        self.prepare(options);
        let dimensions = self.options.dimensions;
        if !queries.len().is_multiple_of(dimensions) {
            let expected = format!("a multiple of {dimensions}");
            return Err(Error::DimensionMismatch { row: None, got: queries.len(), expected });
        }
        for (row, values) in queries.chunks(dimensions).enumerate() {
            work.check()?;
            self.check_query(&state, values, Some(row))?;
        }
        let count = queries.len() / dimensions;
        if options.k == usize::MAX {
            return Err(Error::argument("k", "Infinity", "a whole number: a batch has rows of one length"));
        }
        // Also of no queries, so that there is an end to tell of.
        work.report(Phase::Read, 0, count);
        let threads = self.pools.threads().min(count.div_ceil(UNIT));
        let mut found = room("the answer", count)?;
        found.resize_with(count, Vec::new);
        let outcome = Outcome { found, running: threads, ..Outcome::default() };
        let job = Arc::new(Job {
            inner: self.clone(),
            state,
            queries,
            options: options.clone(),
            work: work.clone(),
            next: AtomicUsize::new(0),
            failed: AtomicBool::new(false),
            outcome: Mutex::new(outcome),
            changed: Condvar::new(),
        });
        for _ in 0..threads {
            Job::queue(job.clone());
        }
        let (found, error) = job.wait();
        error.map_or_else(|| job.state.watch(|| assemble(&job.state, &found, options.k, work)), Err)
    }
}

impl Job {
    /// Queues one unit; its thread queues the next, behind whatever came meanwhile.
    fn queue(job: Arc<Self>) {
        let pools = job.inner.pools.clone();
        pools.spawn_query(move || {
            let unit = job.next.fetch_add(1, Ordering::Relaxed);
            let dimensions = job.inner.options.dimensions;
            let queries = job.queries.chunks(UNIT * dimensions).nth(unit);
            match queries {
                Some(queries) if !job.failed.load(Ordering::Relaxed) => {
                    let run = std::panic::AssertUnwindSafe(|| job.run(unit * UNIT, queries));
                    let result = std::panic::catch_unwind(run)
                        .unwrap_or_else(|panic| Err(Error::Internal(panic_message(&*panic).to_string())));
                    if let Err(error) = result {
                        job.failed.store(true, Ordering::Relaxed);
                        job.outcome.lock().error.get_or_insert(error);
                    }
                    Self::queue(job);
                }
                _ => {
                    job.outcome.lock().running -= 1;
                    job.changed.notify_all();
                }
            }
        });
    }

    fn wait(&self) -> (Vec<Vec<Key>>, Option<Error>) {
        let mut outcome = self.outcome.lock();
        while outcome.running > 0 {
            self.changed.wait(&mut outcome);
        }
        (std::mem::take(&mut outcome.found), outcome.error.take())
    }

    /// Answers the queries from number `first` on.
    fn run(&self, first: usize, queries: &[f32]) -> Result<()> {
        self.work.check()?;
        let filler = self.state.rows().space().filler();
        let padded: Vec<Padded> = queries
            .chunks(self.inner.options.dimensions)
            .map(|query| Padded::of(query, filler))
            .collect::<Result<_>>()?;
        let found = self.state.watch(|| self.state.undisturbed(|| self.search(&padded)))?;
        let mut outcome = self.outcome.lock();
        outcome.done += found.len();
        for (place, found) in outcome.found[first..].iter_mut().zip(found) {
            *place = found;
        }
        let (done, total) = (outcome.done, outcome.found.len());
        drop(outcome);
        self.work.report(Phase::Read, done, total);
        Ok(())
    }

    /// What each of `queries` finds, nearest first.
    fn search(&self, queries: &[Padded]) -> Result<Vec<Vec<Key>>> {
        let Self { inner, state, options, work, .. } = self;
        let len = state.len();
        let filter = inner.filter_slots(state, options, len)?;
        let request = inner.request(state, options, len, filter.as_deref(), None);
        let request = Request { cancelled: work.cancelled.as_deref(), ..request };
        let snapshot = state.snapshot();
        let reader = Reader::new(state, &snapshot, request, &inner.options);
        let queries: Vec<Query<'_>> = queries.iter().map(|values| reader.rows().foreign(values)).collect();
        if reader.is_flat() {
            return scan::many(&reader, &queries);
        }
        state.scratches.with(|scratch| {
            let one = |query: &Query<'_>| {
                work.check()?;
                reader.nearest(*query, scratch)?;
                scan::copy_of(scratch.top.sorted())
            };
            queries.iter().map(one).collect()
        })
    }
}

fn assemble(state: &State, found: &[Vec<Key>], stride: usize, work: &Work) -> Result<BatchHits> {
    let total = found.len().saturating_mul(stride);
    let refused = |_| Error::OutOfMemory { what: "the answer", bytes: total.saturating_mul(12) };
    let mut distances = Vec::new();
    distances.try_reserve_exact(total).map_err(refused)?;
    let mut ids = Ids::none(state.ids.id_type());
    ids.try_reserve(total).map_err(refused)?;
    let mut counts = Vec::new();
    counts.try_reserve_exact(found.len()).map_err(refused)?;
    for keys in found {
        work.check()?;
        counts.push(keys.len() as u32);
        state.ids.collect(keys.iter().map(|key| key.slot()), &mut ids)?;
        distances.extend(keys.iter().map(|key| key.distance()));
        for _ in keys.len()..stride {
            ids.push_blank();
            distances.push(f32::INFINITY);
        }
    }
    Ok(BatchHits { stride, ids, distances, counts })
}
