//! Rows that wait for the graph, so that a search need not look at all of them: an inverted file (Jégou, Douze and
//! Schmid, 2011, section IV).
//!
//! Each row is listed, as its code, under the nearest of some leaders. A search looks through the lists of the leaders
//! that are nearest to the query, and stops when many rows in a row brought nothing. Listing a row costs about a
//! twentieth of what it costs to bring it into a graph, and the lists are thrown away once it is there.
//!
//! Rows are listed many together, as a **run**, which is sorted by list. A few runs of about the same size are merged
//! into a larger one, so that a list is in a few pieces only. A file never changes: more rows make another one, which
//! shares the runs that stay.

mod leaders;
mod run;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::ops::Range;
use std::sync::Arc;

use crate::codes::{Encoder, Measure, Weights};
use crate::error::Result;
use crate::graph::{Scratch, margin};
use crate::topk::Key;
use crate::vectors::{Query, RowsView};
use leaders::Leaders;
use run::{Run, merge_last};

/// Rows that become a run at most: as many codes are there twice for a moment.
const RUN: usize = 1 << 18;

/// Codes of a list that memory is asked for before its turn comes; the others follow by themselves.
const PREFETCHED: usize = 16;

/// Rows of a list that are scored together; whether anybody still wants the answer is asked before each.
const SCORED_AT_ONCE: u32 = 1_024;

pub(crate) struct InvertedFile {
    /// Slots below it are not listed.
    start: usize,
    /// Slots from it on are not listed.
    end: usize,
    leaders: Arc<Leaders>,
    runs: Vec<Arc<Run>>,
}

/// What a search looks for.
pub(crate) struct Wanted<'a> {
    pub(crate) query: Query<'a>,
    /// So many, and nearer than `limit`.
    pub(crate) k: usize,
    pub(crate) limit: f32,
    /// Of so many it is told, since codes may mistake their order.
    pub(crate) kept: usize,
    /// It ends when so many rows in a row, or some more up to the end of a list, brought none of those.
    pub(crate) patience: usize,
}

impl InvertedFile {
    /// Lists the rows at `slots` by leaders that are made for them. Runs on the threads of the pool that it is called on.
    pub(crate) fn new(encoder: &Encoder, rows: RowsView<'_>, slots: Range<usize>) -> Result<Self> {
        let leaders = Arc::new(Leaders::new(encoder, rows, slots.clone())?);
        Self { start: slots.start, end: slots.start, leaders, runs: Vec::new() }.extended(rows, slots.end)
    }

    /// The file with the rows up to `end` too. As [`InvertedFile::new`].
    pub(crate) fn extended(&self, rows: RowsView<'_>, end: usize) -> Result<Self> {
        let mut runs = self.runs.clone();
        for start in (self.end..end).step_by(RUN) {
            runs.push(Arc::new(Run::of(&self.leaders, rows, start..end.min(start + RUN))?));
            merge_last(&mut runs)?;
        }
        Ok(Self { start: self.start, end, leaders: self.leaders.clone(), runs })
    }

    /// The slots that are listed.
    pub(crate) fn slots(&self) -> Range<usize> {
        self.start..self.end
    }

    /// Rows that the leaders were made for.
    pub(crate) fn size(&self) -> usize {
        self.leaders.size
    }

    pub(crate) fn bytes(&self) -> usize {
        let leaders = self.leaders.codes.bytes() + self.leaders.panels.width() * self.leaders.panels.length();
        let a_run = |run: &Arc<Run>| run.codes.bytes() + (run.slots.len() + run.bounds.len()) * size_of::<u32>();
        leaders + self.runs.iter().map(a_run).sum::<usize>()
    }

    /// The nearest of the listed slots that `accepts` takes, in `scratch.beam`, nearest first. `check` is asked between work
    /// units.
    pub(crate) fn search(
        &self,
        rows: RowsView<'_>,
        wanted: &Wanted<'_>,
        scratch: &mut Scratch,
        accepts: impl Fn(u32) -> bool,
        check: impl Fn() -> Result<()>,
    ) -> Result<()> {
        let mut buffer = std::mem::take(&mut scratch.weights);
        let codes = self.leaders.codes.view(Measure::of(self.leaders.codes.encoder().metric()));
        let weights = codes.encoded(self.leaders.codes.encoder(), wanted.query.values, &mut buffer);
        self.search_by(weights, None, wanted, scratch, (&accepts, &check))?;
        if self.is_blurred(rows, weights, wanted, scratch) {
            self.search_by(weights, Some(rows), wanted, scratch, (&accepts, &check))?;
        }
        scratch.weights = buffer;
        Ok(())
    }

    /// Whether codes do not tell what was found from what may have been missed.
    fn is_blurred(&self, rows: RowsView<'_>, weights: Weights<'_>, wanted: &Wanted<'_>, scratch: &Scratch) -> bool {
        let encoder = self.leaders.codes.encoder();
        let margin = margin(scratch.beam.keys(), wanted.k, wanted.kept);
        let &[nearer, .., farther] = margin else {
            return false;
        };
        let mut row = Vec::new();
        let mut scalars = |key: Key| encoder.scalars_of(rows.given(key.slot(), &mut row));
        // What is farther than the limit is not wanted.
        let nearer = (nearer.distance().min(encoder.of_codes(wanted.limit)), scalars(nearer));
        let farther = (farther.distance(), scalars(farther));
        let codes = self.leaders.codes.view(Measure::of(encoder.metric()));
        let is_clear = !scratch.beam.is_full() || codes.tells_apart(weights, nearer, farther);
        !is_clear && !rows.are_as_near(wanted.query, margin.iter().map(|key| key.slot()))
    }

    /// As [`InvertedFile::search`]: by codes, or by `rows` if there are any.
    fn search_by(
        &self,
        weights: Weights<'_>,
        rows: Option<RowsView<'_>>,
        wanted: &Wanted<'_>,
        scratch: &mut Scratch,
        (accepts, check): (&impl Fn(u32) -> bool, &impl Fn() -> Result<()>),
    ) -> Result<()> {
        let &Wanted { query, k, limit, kept, patience } = wanted;
        let encoder = self.leaders.codes.encoder();
        let measure = Measure::of(encoder.metric());
        let limit = if rows.is_some() { limit } else { encoder.of_codes(limit) };
        self.leaders.rank(&self.leaders.codes.view(measure), weights, scratch);
        let Scratch { beam, frontier, neighbors: positions, second: slots, distances, evaluations, .. } = scratch;
        beam.reset(kept, self.end - self.start)?;
        let mut fruitless = 0;
        while let Some(Reverse(list)) = frontier.pop()
            && fruitless < patience
        {
            if let Some(Reverse(next)) = frontier.peek() {
                let list = next.slot() as usize;
                for run in &self.runs {
                    let (view, codes) = (run.codes.view(measure), run.bounds[list]..run.bounds[list + 1]);
                    codes.take(PREFETCHED).for_each(|code| view.prefetch(code));
                }
            }
            for (run, piece) in self.pieces(list.slot() as usize) {
                check()?;
                positions.clear();
                positions.extend(piece);
                distances.resize(positions.len(), 0.0);
                match rows {
                    Some(rows) => {
                        // Those that are not published yet are not accepted later.
                        let last = rows.len() as u32 - 1;
                        slots.clear();
                        slots.extend(positions.iter().map(|&position| run.slots[position as usize].min(last)));
                        rows.score(query, slots, distances);
                    }
                    None => run.codes.view(measure).score(weights, positions, distances),
                }
                fruitless += positions.len();
                *evaluations += positions.len() as u64;
                let mut bound = beam.bound().distance();
                for (&position, &distance) in positions.iter().zip(distances.iter()) {
                    // What is not a number is no bound yet.
                    if distance > bound {
                        continue;
                    }
                    let slot = run.slots[position as usize];
                    if !accepts(slot) {
                        continue;
                    }
                    let place = beam.insert(Key::new(distance, slot));
                    bound = beam.bound().distance();
                    if distance < limit && place.is_some_and(|place| place < k) {
                        fruitless = 0;
                    }
                }
                // With a filter, or removed rows, it may take long to find so many at all.
                if limit.is_infinite() && beam.keys().len() < k {
                    fruitless = 0;
                }
            }
        }
        Ok(())
    }

    /// What is in a list, in pieces that are scored at once: of which run, and the positions there.
    fn pieces(&self, list: usize) -> impl Iterator<Item = (&Run, Range<u32>)> {
        self.runs.iter().flat_map(move |run| {
            let (start, end) = (run.bounds[list], run.bounds[list + 1]);
            let firsts = (start..end).step_by(SCORED_AT_ONCE as usize);
            firsts.map(move |first| (&**run, first..end.min(first + SCORED_AT_ONCE)))
        })
    }
}
