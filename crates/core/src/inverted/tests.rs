//! Every row is in one list, and searches end where they should.

use super::leaders::{UNIT, means, nearest};
use super::run::{MERGED, numbered, sorted};
use super::*;
use crate::codes::Codes;
use crate::distance::bytes::BytePanels;
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
    assert!(matches!(file.search(all.view(), &wanted, &mut scratch, |_| true, check), Err(crate::Error::Cancelled)));
    assert_eq!(scratch.evaluations, 2 * u64::from(SCORED_AT_ONCE));
}
