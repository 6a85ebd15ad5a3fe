//! What insertion leaves, whatever the data, the distance and the batches: the ties between nodes are a tree.

use std::sync::Arc;

use parking_lot::Mutex;

use super::reverse::by_target;
use super::{Batch, Choice, Insertion, tree};
use crate::codes::Encoder;
use crate::graph::{Graph, ScratchPool};
use crate::options::Metric;
use crate::pools::Pools;
use crate::vectors::{Rows, Space};

const DIMENSIONS: usize = 6;

/// Cases of each metric and M.
const SEEDS: u64 = 40;

/// Rows of unequal lengths: under inner products few of them are the nearest of all.
fn rows(metric: Metric, count: usize, seed: u64) -> Arc<Rows> {
    let rows = Rows::new(Space::new(metric, DIMENSIONS));
    let (mut writer, mut state) = (rows.writer(), seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    for _ in 0..count {
        let length = (4.0 * next()).exp2();
        writer.push(&[0.0; DIMENSIONS].map(|_| length * next())).unwrap();
    }
    writer.publish();
    drop(writer);
    Arc::new(rows)
}

/// The graph of rows that were inserted so many at once, compared by codes or by rows.
fn inserted(rows: &Arc<Rows>, m: usize, batch: usize, with_codes: bool, pools: &Pools) -> Graph {
    let encoder = with_codes.then(|| Encoder::train(rows.view(), rows.space().metric(), rows.len()));
    let (graph, scratches) = (Graph::new(m, 3, rows.clone(), encoder), ScratchPool::default());
    let turns = pools.turns(&|| false);
    let insertion = Insertion { graph: &graph, pools, scratches: &scratches, ef_construction: 20, turns };
    let slots: Vec<u32> = (0..rows.len() as u32).collect();
    for slots in slots.chunks(batch) {
        insertion.insert(&Batch { slots, end: slots[slots.len() - 1] + 1 }).unwrap();
    }
    graph
}

/// Asserts that kept links stand in both directions, are a tree over all nodes, and leave room in each list.
fn check_tree(graph: &Graph, name: &str) {
    let (view, nodes, m) = (graph.view(), graph.nodes(), graph.m());
    let kept = |node: u32| -> Vec<u32> {
        let links = view.list(node, 0).unwrap().links();
        links.filter(|link| link.is_kept()).map(|link| link.node()).collect()
    };
    let ties: Vec<Vec<u32>> = (0..nodes as u32).map(kept).collect();
    for (node, tied) in (0..).zip(&ties) {
        assert!(tied.len() <= (m / 2).max(2) + 1, "{name}: {} ties of node {node}", tied.len());
        let one_way = tied.iter().find(|&&other| !ties[other as usize].contains(&node));
        assert_eq!(one_way, None, "{name}: node {node} is tied to it, and it not to node {node}");
    }
    assert_eq!(ties.iter().map(Vec::len).sum::<usize>(), 2 * (nodes - 1), "{name}: links of a tree");
    let (mut met, mut stack) = (vec![false; nodes], vec![view.entry().unwrap().node]);
    while let Some(node) = stack.pop() {
        if !std::mem::replace(&mut met[node as usize], true) {
            stack.extend(&ties[node as usize]);
        }
    }
    assert_eq!(met.iter().position(|is_met| !is_met), None, "{name}: a node that no tie leads to");
}

#[test]
fn the_ties_of_all_nodes_are_a_tree() {
    let pools = Pools::new(Some(2)).unwrap();
    for metric in [Metric::L2, Metric::Cosine, Metric::InnerProduct] {
        for m in [2, 3, 4, 16] {
            for seed in 0..SEEDS {
                let count = 100 + (seed as usize * 37) % 200;
                let batch = [1, 5, 40, 300][seed as usize % 4];
                let rows = rows(metric, count, seed);
                let graph = inserted(&rows, m, batch, seed % 3 == 0, &pools);
                check_tree(&graph, &format!("{metric:?}, M {m}, seed {seed}"));
            }
        }
    }
}

#[test]
fn what_takes_no_turns_gives_way_to_queries() {
    let (count, pools) = (2_000, Pools::new(Some(1)).unwrap());
    let rows = rows(Metric::L2, count, 1);
    let (graph, scratches) = (Graph::new(8, 3, rows, None), ScratchPool::default());
    let turns = pools.turns(&|| false);
    let insertion = Insertion { graph: &graph, pools: &pools, scratches: &scratches, ef_construction: 20, turns };
    let slots: Vec<u32> = (0..count as u32).collect();
    let nodes = insertion.enter(&Batch { slots: &slots, end: count as u32 }).unwrap();
    let views = graph.building_views();
    let choices = pools.build(|| insertion.choose(&views, &nodes)).unwrap().unwrap();
    // Runs `work` on all choices, and asserts that it gave way before every `most` of them.
    let choices = Mutex::new(choices);
    let check = |name: &str, most: usize, work: &(dyn Fn(&mut [Choice]) + Sync)| {
        let before = pools.offers();
        pools.build(|| work(&mut choices.lock()));
        let offers = pools.offers() - before;
        assert!(offers >= count / most, "{name} gave way {offers} times");
    };
    check("planting", 32, &|choices| scratches.with(|scratch| tree::plant(&views[0], choices, scratch)));
    check("writing lists", 1, &|choices| insertion.write_own(&views[0], choices));
    // With the turns: one for each work unit.
    check("products", 4, &|_| drop(insertion.nearest_within(views[0].points(), &nodes, 20)));
    check("sorting edges", 64, &|choices| drop(by_target(choices)));
}
