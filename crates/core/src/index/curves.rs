//! Searches that may end early beside plain ones of the same graph: what they find, and what it costs.

use std::path::Path;

use super::Index;
use crate::graph::{GraphView, Scratch, Target};
use crate::options::Options;
use crate::topk::Key;
use crate::vectors::{Padded, Query};
use crate::{Ids, Work};

const DIMENSIONS: usize = 128;
/// True neighbors of each query.
const TRUTH: usize = 100;

/// Recall and distances, by mean over all queries.
type Cost = (f64, f64);

fn photos(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/data").join(name);
    std::fs::read(path).unwrap().split_off(8)
}

fn values(name: &str) -> Vec<f32> {
    photos(name).into_iter().map(f32::from).collect()
}

/// The distances of the true neighbors, query by query.
fn truth(queries: usize) -> Vec<f32> {
    let distances = photos("groundtruth.k100.ibin").split_off(queries * TRUTH * 4);
    distances.as_chunks::<4>().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect()
}

fn index_of(rows: &[f32]) -> Index {
    let options = Options { threads: Some(2), threshold: Some(0), auto_migrate: false, ..Options::new(DIMENSIONS) };
    let index = Index::new(options).unwrap();
    let ids = (0..(rows.len() / DIMENSIONS) as u64).collect();
    index.add(&Ids::Keys(ids), rows, &Work::default()).unwrap();
    index.migrate(&Work::default()).unwrap();
    index
}

/// What `search` costs, and finds of the nearest `k`, where twice as many and 16 more are compared by rows.
fn cost(
    index: &Index,
    (queries, truth): (&[f32], &[f32]),
    k: usize,
    search: impl Fn(&GraphView<'_>, Target<'_>, Key, &mut Scratch),
) -> Cost {
    let state = index.inner().state.load();
    let snapshot = state.snapshot();
    let (rows, graph) = (snapshot.rows.view(), snapshot.graph.as_ref().unwrap().view());
    let (mut found, mut scratch) = (0, Scratch::default());
    for (values, truth) in queries.chunks(DIMENSIONS).zip(truth.chunks(TRUTH)) {
        let (padded, mut buffer) = (Padded::of(values, rows.space().filler()).unwrap(), Default::default());
        let query: Query<'_> = rows.foreign(&padded);
        let target = graph.points().foreign(query, &mut buffer);
        let start = graph.descend(target, graph.entry().unwrap(), 0, &mut scratch);
        search(&graph, target, start, &mut scratch);
        let nearest = scratch.beam.keys().iter().take(2 * k + 16);
        let slots: Vec<u32> = nearest.map(|key| graph.points().slot(key.slot())).collect();
        let mut distances = vec![0.0; slots.len()];
        rows.score(query, &slots, &mut distances);
        found += distances.iter().filter(|&&distance| distance <= truth[k - 1]).count().min(k);
    }
    let count = (queries.len() / DIMENSIONS) as f64;
    (found as f64 / k as f64 / count, scratch.evaluations as f64 / count)
}

#[test]
fn no_search_finds_less_than_a_plain_one_and_equal_recall_costs_less() {
    let (index, queries) = (index_of(&values("base.u8bin")), values("query.u8bin"));
    let truth = truth(queries.len() / DIMENSIONS);
    let plain = |k, ef| {
        cost(&index, (&queries, &truth), k, |graph, target, start, scratch| {
            graph.search_level(target, &[start], 0, ef, scratch, |_| ()).unwrap();
        })
    };
    let ending = |k, ef| {
        cost(&index, (&queries, &truth), k, |graph, target, start, scratch| {
            graph.search_nearest(target, start, (k, ef, None), scratch).unwrap();
            assert!(scratch.beam.keys().len() <= ef, "no more than ef are kept");
        })
    };
    for k in [1, 10, 100] {
        for ef in [10, 16, 24, 40, 64, 100, 200, 400].into_iter().filter(|&ef| ef >= k) {
            let ((expected, most), (recall, scored)) = (plain(k, ef), ending(k, ef));
            assert!(
                recall >= expected - 0.001,
                "recall@{k} at ef {ef}: {recall}, {expected} where all ef are expanded"
            );
            assert!(scored <= 1.25 * most, "distances at ef {ef} for {k}: {scored}, {most} where ef are expanded");
        }
    }
    for (k, ef, less) in [(1, 48, 0.95), (10, 64, 0.97), (10, 100, 0.93)] {
        let (wanted, most) = plain(k, ef);
        let least = (k..=ef).step_by(2).map(|ef| ending(k, ef)).find(|&(recall, _)| recall >= wanted);
        let (recall, scored) = least.unwrap();
        assert!(scored <= less * most, "{scored} distances find {recall} of {k}, {wanted} took {most}");
    }
}
