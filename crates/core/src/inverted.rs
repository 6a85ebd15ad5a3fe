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

use std::cmp::Reverse;
use std::ops::Range;
use std::sync::Arc;

use rayon::prelude::*;

use crate::codes::{Codes, CodesView, Encoder, Measure, Weights};
use crate::distance::bytes::{ByteKernels, BytePanels, Least};
use crate::error::Result;
use crate::graph::{Scratch, margin};
use crate::memory::{filled, room};
use crate::pools::{give_way, giving_way};
use crate::topk::Key;
use crate::vectors::{Query, RowsView};

/// Lists are as many as this times the root of the number of rows that they are made for, up to [`MOST_LISTS`].
const LISTS: usize = 4;
const MOST_LISTS: usize = 2_048;

/// Rows a list that its leader is the mean of, on average.
const SAMPLED: usize = 16;

/// Rows that become a run at most: as many codes are there twice for a moment.
const RUN: usize = 1 << 18;

/// Runs that are merged: when the last ones are at least as many, none of them this many times as large as another.
const MERGED: usize = 8;

/// Codes of a list that memory is asked for before its turn comes; the others follow by themselves.
const PREFETCHED: usize = 16;

/// Rows that find their leaders at once.
const UNIT: usize = 8;

/// Before it gives way to queries: rows that are summed, and rows that are sorted by list.
const SUMMED_AT_ONCE: usize = 64;
const SORTED_AT_ONCE: usize = 1 << 13;

/// Lists that are merged before it does.
const MERGED_AT_ONCE: usize = 4;

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

struct Leaders {
    /// Rows that they were made for.
    size: usize,
    codes: Codes,
    /// The same, packed.
    panels: BytePanels,
}

/// Rows by list.
struct Run {
    codes: Codes,
    /// By code, the slot that it is of.
    slots: Vec<u32>,
    /// Where each list begins, and where the last one ends.
    bounds: Vec<u32>,
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

impl Leaders {
    /// For the rows at `slots`: some of them, moved once to the middle of the sampled rows that are nearest to each (Lloyd's
    /// algorithm), which saves a search a third of the rows.
    fn new(encoder: &Encoder, rows: RowsView<'_>, slots: Range<usize>) -> Result<Self> {
        let count = (LISTS * slots.len().isqrt()).clamp(1, MOST_LISTS.min(slots.len()));
        let sampled = (count * SAMPLED).min(slots.len());
        let samples: Vec<u32> = (0..sampled).map(|i| (slots.start + i * slots.len() / sampled) as u32).collect();
        let codes = Codes::new(encoder.clone());
        codes.encode(rows, &samples)?;
        let first: Vec<u32> = (0..count).map(|list| (list * sampled / count) as u32).collect();
        let mut panels = BytePanels::default();
        codes.view(Measure::Euclidean).pack(&first, &mut panels)?;
        let lists = nearest(&codes, &panels)?;
        let values = means(rows, &samples, &lists, &first)?;
        let codes = Codes::new(encoder.clone());
        codes.encode_values(&values)?;
        codes.view(Measure::Euclidean).pack(&numbered(0..count)?, &mut panels)?;
        Ok(Self { size: slots.len(), codes, panels })
    }

    /// The lists by how near their leaders are, in `scratch.frontier`.
    fn rank(&self, leaders: &CodesView<'_>, weights: Weights<'_>, scratch: &mut Scratch) {
        let Scratch { neighbors: lists, distances, frontier, .. } = scratch;
        lists.clear();
        lists.extend(0..self.codes.len() as u32);
        distances.resize(lists.len(), 0.0);
        leaders.score(weights, lists, distances);
        let mut keys = std::mem::take(frontier).into_vec();
        keys.clear();
        keys.extend(lists.iter().zip(distances).map(|(&list, &mut distance)| Reverse(Key::new(distance, list))));
        *frontier = keys.into();
    }
}

impl Run {
    fn of(leaders: &Leaders, rows: RowsView<'_>, slots: Range<usize>) -> Result<Self> {
        let unsorted = numbered(slots)?;
        let given = Codes::new(leaders.codes.encoder().clone());
        given.encode(rows, &unsorted)?;
        let lists = nearest(&given, &leaders.panels)?;
        let (order, bounds) = sorted(&lists, leaders.codes.len())?;
        let codes = Codes::new(leaders.codes.encoder().clone());
        codes.copy(given.view(Measure::Euclidean), &order)?;
        let mut slots = room("lists", order.len())?;
        slots.extend(giving_way(order.iter(), SORTED_AT_ONCE).map(|&position| unsorted[position as usize]));
        Ok(Self { codes, slots, bounds })
    }

    /// All rows of `runs`.
    fn merged(runs: &[Arc<Run>]) -> Result<Self> {
        let rows = runs.iter().map(|run| run.slots.len()).sum();
        let lists = runs[0].bounds.len() - 1;
        let (mut places, mut slots, mut bounds) =
            (room("lists", rows)?, room("lists", rows)?, room("lists", lists + 1)?);
        for list in giving_way(0..lists, MERGED_AT_ONCE) {
            bounds.push(slots.len() as u32);
            for (number, run) in runs.iter().enumerate() {
                let positions = run.bounds[list]..run.bounds[list + 1];
                slots.extend_from_slice(&run.slots[positions.start as usize..positions.end as usize]);
                places.extend(positions.map(|position| (number, position)));
            }
        }
        bounds.push(slots.len() as u32);
        let views: Vec<CodesView<'_>> = runs.iter().map(|run| run.codes.view(Measure::Euclidean)).collect();
        let codes = Codes::new(runs[0].codes.encoder().clone());
        codes.gather(&views, &places)?;
        Ok(Self { codes, slots, bounds })
    }
}

/// Merges the last runs while they are of about the same size.
fn merge_last(runs: &mut Vec<Arc<Run>>) -> Result<()> {
    let last = runs.last().map_or(0, |run| run.slots.len());
    let alike = runs.iter().rev().take_while(|run| run.slots.len() < MERGED * last).count();
    if alike >= MERGED {
        let merged = Run::merged(&runs[runs.len() - alike..])?;
        runs.truncate(runs.len() - alike);
        runs.push(Arc::new(merged));
        merge_last(runs)?;
    }
    Ok(())
}

/// The mean of the samples of each list; its own, the one at that position, where it has none, or where no direction is
/// their middle.
fn means(rows: RowsView<'_>, samples: &[u32], lists: &[u32], own: &[u32]) -> Result<Vec<f32>> {
    let (dimensions, mut buffer) = (rows.space().dimensions(), Vec::new());
    let mut sums = filled("lists", own.len() * dimensions, || 0.0f64)?;
    let mut members = vec![0.0f64; own.len()];
    for (&slot, &list) in giving_way(samples.iter().zip(lists), SUMMED_AT_ONCE) {
        let sums = sums[list as usize * dimensions..][..dimensions].iter_mut();
        sums.zip(rows.given(slot, &mut buffer)).for_each(|(sum, &value)| *sum += f64::from(value));
        members[list as usize] += 1.0;
    }
    let mut means = room("lists", own.len() * dimensions)?;
    for ((sums, &members), &own) in giving_way(sums.chunks(dimensions).zip(&members).zip(own), SUMMED_AT_ONCE) {
        let mean = sums.iter().map(|sum| (sum / members) as f32);
        if members > 0.0 && mean.clone().any(|value| value != 0.0) {
            means.extend(mean);
        } else {
            means.extend_from_slice(rows.given(samples[own as usize], &mut buffer));
        }
    }
    Ok(means)
}

/// The nearest of the packed columns to each of `codes`.
fn nearest(codes: &Codes, columns: &BytePanels) -> Result<Vec<u32>> {
    let (view, kernels, width) = (codes.view(Measure::Euclidean), ByteKernels::get(), columns.width());
    let mut nearest = filled("lists", codes.len(), || 0)?;
    let units = nearest.par_chunks_mut(UNIT).enumerate();
    units.for_each_init(
        || (vec![0.0; UNIT * width], Least::default()),
        |(distances, least), (unit, nearest)| {
            give_way();
            let mut positions = [0; UNIT];
            positions.iter_mut().zip(unit as u32 * UNIT as u32..).for_each(|(place, position)| *place = position);
            let distances = &mut distances[..nearest.len() * width];
            view.tile(&positions[..nearest.len()], columns, distances);
            for (place, distances) in nearest.iter_mut().zip(distances.chunks(width)) {
                *place = kernels.nearest(distances, 1, least).first().map_or(0, |key| key.slot());
            }
        },
    );
    Ok(nearest)
}

/// The positions of `lists` by list, and where each of `count` lists begins and the last one ends.
fn sorted(lists: &[u32], count: usize) -> Result<(Vec<u32>, Vec<u32>)> {
    let mut bounds = vec![0; count + 1];
    giving_way(lists.iter(), SORTED_AT_ONCE).for_each(|&list| bounds[list as usize + 1] += 1);
    (0..count).for_each(|list| bounds[list + 1] += bounds[list]);
    let mut order = filled("lists", lists.len(), || 0)?;
    let mut places = bounds.clone();
    for (position, &list) in giving_way((0..).zip(lists), SORTED_AT_ONCE) {
        let place = &mut places[list as usize];
        order[*place as usize] = position;
        *place += 1;
    }
    Ok((order, bounds))
}

fn numbered(numbers: Range<usize>) -> Result<Vec<u32>> {
    let mut all = room("lists", numbers.len())?;
    all.extend(numbers.start as u32..numbers.end as u32);
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Metric;
    use crate::pools::Pools;
    use crate::vectors::{Padded, Rows, Space};

    const DIMENSIONS: usize = 8;

    fn rows(count: usize) -> Rows {
        let rows = Rows::new(Space::new(Metric::L2, DIMENSIONS));
        let (mut writer, mut state) = (rows.writer(), 7u64);
        for _ in 0..count {
            let mut values = [0.0; DIMENSIONS];
            values.fill_with(|| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 40) as f32
            });
            writer.push(&values).unwrap();
        }
        writer.publish();
        drop(writer);
        rows
    }

    /// The file of the rows from 100 on, listed in steps of so many.
    fn file(rows: RowsView<'_>, step: usize) -> InvertedFile {
        let encoder = Encoder::train(rows, Metric::L2, rows.len());
        let pools = Pools::new(Some(2)).unwrap();
        let mut file = pools.write(|| InvertedFile::new(&encoder, rows, 100..100 + step)).unwrap();
        while file.end < rows.len() {
            file = pools.write(|| file.extended(rows, rows.len().min(file.end + step))).unwrap();
        }
        file
    }

    #[test]
    fn every_row_is_in_one_list_and_a_patient_search_finds_the_nearest() {
        let all = rows(3_000);
        let view = all.view();
        for step in [60, 1_000, 2_900] {
            let file = file(view, step);
            let mut slots: Vec<u32> = file.runs.iter().flat_map(|run| run.slots.iter().copied()).collect();
            slots.sort_unstable();
            assert_eq!(slots, (100..3_000).collect::<Vec<u32>>());
            assert!(file.runs.len() < 2 * MERGED, "{} runs", file.runs.len());
            let (mut scratch, mut row) = (Scratch::default(), Padded::default());
            let query = view.query(7, &mut row);
            let wanted = Wanted { query, k: 10, limit: f32::INFINITY, kept: 26, patience: usize::MAX };
            file.search(view, &wanted, &mut scratch, |slot| slot % 2 == 0, || Ok(())).unwrap();
            let mut expected = Vec::new();
            crate::flat::scan(view, query, (100..3_000).step_by(2), |key| expected.push(key));
            expected.sort_unstable();
            let found: Vec<u32> = scratch.beam.keys().iter().map(|key| key.slot()).collect();
            assert!(expected[..10].iter().all(|key| found.contains(&key.slot())), "steps of {step}");
        }
    }

    #[test]
    fn listing_gives_way_to_queries() {
        let (count, pools) = (20_000, Pools::new(Some(1)).unwrap());
        let all = rows(count);
        let (rows, slots) = (all.view(), numbered(0..count).unwrap());
        // Runs `work` on all rows, and asserts that it gave way before every `most` of them.
        let check = |name: &str, most: usize, work: &(dyn Fn() + Sync)| {
            let before = pools.offers();
            pools.build(work);
            let offers = pools.offers() - before;
            assert!(offers >= count / most, "{name} gave way {offers} times");
        };
        check("training", 8 * 32, &|| drop(Encoder::train(rows, Metric::L2, count)));
        let encoder = Encoder::train(rows, Metric::L2, count);
        let (codes, mut panels) = (Codes::new(encoder.clone()), BytePanels::default());
        pools.build(|| codes.encode(rows, &slots)).unwrap();
        codes.view(Measure::Euclidean).pack(&slots[..100], &mut panels).unwrap();
        check("looking for leaders", UNIT, &|| drop(nearest(&codes, &panels)));
        let lists = pools.build(|| nearest(&codes, &panels)).unwrap();
        check("the means", 64, &|| drop(means(rows, &slots, &lists, &slots[..100])));
        check("sorting", 1 << 12, &|| drop(sorted(&lists, 100)));
        let file = file(rows, count - 100);
        let count_of_lists = file.leaders.codes.len();
        check("merging", 4 * count / count_of_lists, &|| drop(Run::merged(&file.runs)));
    }

    #[test]
    fn a_search_that_finds_nothing_nearer_ends() {
        let all = rows(3_000);
        let file = file(all.view(), 2_900);
        let (mut scratch, mut row) = (Scratch::default(), Padded::default());
        let query = all.view().query(7, &mut row);
        let search = |limit: f32, patience: usize, scratch: &mut Scratch| {
            let before = scratch.evaluations;
            let wanted = Wanted { query, k: 10, limit, kept: 26, patience };
            file.search(all.view(), &wanted, scratch, |_| true, || Ok(())).unwrap();
            scratch.evaluations - before
        };
        assert_eq!(search(f32::INFINITY, usize::MAX, &mut scratch), 2_900);
        let some = search(f32::INFINITY, 200, &mut scratch);
        let few = search(0.0, 200, &mut scratch);
        assert!(few >= 200 && few < some && some < 2_000, "{few} and {some}");
    }

    #[test]
    fn a_search_that_nobody_wants_ends_within_a_list() {
        let all = rows(6_000);
        let (mut scratch, mut row) = (Scratch::default(), Padded::default());
        let query = all.view().query(7, &mut row);
        // Equal codes, all in one list.
        let leaders = file(all.view(), 5_900).leaders;
        let run = Run { codes: Codes::new(leaders.codes.encoder().clone()), slots: vec![0; 5_900], bounds: Vec::new() };
        run.codes.encode(all.view(), &[7; 5_900]).unwrap();
        let mut bounds = vec![5_900; leaders.codes.len() + 1];
        bounds[0] = 0;
        let file = InvertedFile { start: 100, end: 6_000, leaders, runs: vec![Arc::new(Run { bounds, ..run })] };
        let asked = std::cell::Cell::new(0);
        let check = || {
            asked.set(asked.get() + 1);
            if asked.get() == 3 { Err(crate::Error::Cancelled) } else { Ok(()) }
        };
        let wanted = Wanted { query, k: 10, limit: f32::INFINITY, kept: 26, patience: usize::MAX };
        assert!(matches!(
            file.search(all.view(), &wanted, &mut scratch, |_| true, check),
            Err(crate::Error::Cancelled)
        ));
        assert_eq!(scratch.evaluations, 2 * u64::from(SCORED_AT_ONCE));
    }
}
