//! The phases of a bulk build, one by one, on small data: against naive versions, and for what must hold of any result.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::again::Unsure;
use super::candidates::Table;
use super::lists::Incoming;
use super::partition::Partition;
use super::products::Cpu;
use super::{ALL_PAIRS, Bulk, Shape, atomics, tree};
use crate::codes::Encoder;
use crate::graph::{Entry, Graph, Points, PointsView, ScratchPool};
use crate::options::Metric;
use crate::pools::Pools;
use crate::topk::Key;
use crate::vectors::{Rows, Space};

/// Rows that are nodes, each under its own number.
struct Nodes {
    rows: Arc<Rows>,
    points: Points,
    pools: Arc<Pools>,
}

impl Nodes {
    fn new<const D: usize>(metric: Metric, values: &[[f32; D]]) -> Self {
        let rows = Rows::new(Space::new(metric, D));
        let mut writer = rows.writer();
        values.iter().for_each(|row| writer.push(row).unwrap());
        writer.publish();
        drop(writer);
        let rows = Arc::new(rows);
        let points = Points::new(rows.clone(), None);
        points.append(&numbers(values.len())).unwrap();
        Self { rows, points, pools: Pools::new(Some(2)).unwrap() }
    }

    fn view(&self) -> PointsView<'_> {
        self.points.view()
    }

    /// Runs `work` on the build threads, with what a bulk build uses.
    fn run<R: Send>(&self, shape: Shape, work: impl FnOnce(&Bulk<'_>) -> R + Send) -> R {
        let scratches = ScratchPool::default();
        let (rows, pools, turns) = (&self.rows, &*self.pools, self.pools.turns(&|| false));
        let bulk = Bulk { rows, pools, scratches: &scratches, seed: 3, shape, turns, report: &|_, _| () };
        self.pools.build(|| work(&bulk))
    }

    fn partition(&self, shape: Shape) -> Partition {
        self.run(shape, |bulk| bulk.partition(&self.view())).unwrap().unwrap()
    }

    /// All that was `found` for `node`, nearest first, by the distance of [`Nodes::view`].
    fn sorted(&self, node: u32, found: impl Iterator<Item = u32>) -> Vec<Key> {
        let (points, mut buffer) = (self.view(), Default::default());
        let target = points.target(node, &mut buffer);
        let mut keys: Vec<Key> = found.map(|other| points.key(target, other)).collect();
        keys.sort_unstable();
        keys
    }
}

fn numbers(count: usize) -> Vec<u32> {
    (0..count as u32).collect()
}

/// Small whole numbers, whose distances are exact and often equal.
fn grid(count: usize) -> Vec<[f32; 3]> {
    let mut state = 5u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 16) as f32 % 40.0
    };
    (0..count).map(|_| [next(), next(), next()]).collect()
}

const SHAPE: Shape = Shape { m: 4, fanout: 3, leaf: 40, per_leaf: 2 };

/// Asserts that every node is in `fanout` clusters, and once in the order.
fn check_partition(partition: &Partition, nodes: usize) {
    let mut clusters = vec![BTreeSet::new(); nodes];
    for (leader, cluster) in partition.clusters().unwrap().iter().enumerate() {
        for &membership in cluster {
            let is_new = clusters[membership as usize / partition.fanout].insert(leader);
            assert!(is_new, "node {} comes into a cluster twice", membership as usize / partition.fanout);
        }
    }
    assert!(clusters.iter().all(|clusters| clusters.len() == partition.fanout));
    let mut order = partition.order().unwrap();
    order.sort_unstable();
    assert_eq!(order, numbers(nodes), "the order is a permutation");
}

#[test]
fn every_node_comes_into_as_many_clusters_as_it_should() {
    for count in [1, 2, 3, 39, 40, 41, 1_000] {
        let nodes = Nodes::new(Metric::L2, &grid(count));
        let partition = nodes.partition(SHAPE);
        check_partition(&partition, count);
        let order = partition.order().unwrap();
        let reordered = partition.reordered(&order).unwrap();
        check_partition(&reordered, count);
        assert_eq!(reordered.order().unwrap(), numbers(count), "nodes of one leader stand together");
    }
}

#[test]
fn infinitely_far_nodes_come_into_as_many_clusters() {
    let far: Vec<[f32; 3]> = (0..300).map(|row| [1e38 * (row % 7 - 3) as f32, -1e38 * (row % 5) as f32, 0.0]).collect();
    for metric in [Metric::L2, Metric::InnerProduct] {
        let nodes = Nodes::new(metric, &far);
        check_partition(&nodes.partition(SHAPE), 300);
        let graph = nodes.run(SHAPE, |bulk| bulk.build_here(None, &numbers(300), 300)).unwrap().unwrap();
        let view = graph.view();
        let leads_to_itself = |node: u32| view.list(node, 0).unwrap().links().any(|link| link.node() == node);
        assert_eq!((0..300).find(|&node| leads_to_itself(node)), None);
    }
}

#[test]
fn clusters_are_split_into_leaves() {
    let equal = vec![[1.0, 2.0, 3.0]; 1_000];
    let mut mixed = grid(1_000);
    mixed[100..900].fill([1.0, 2.0, 3.0]);
    for rows in [equal, mixed, grid(1_000)] {
        let nodes = Nodes::new(Metric::L2, &rows);
        let all: Vec<u32> = numbers(3_000);
        let mut leaves: Vec<Vec<u32>> = Vec::new();
        let is_done = nodes.run(SHAPE, |bulk| {
            let mut visit = |_: &mut Cpu, leaf: &[u32]| {
                leaves.push(leaf.to_vec());
                Ok(true)
            };
            bulk.split(&nodes.view(), all.clone(), 3, &mut Cpu::new(), &mut visit)
        });
        assert!(is_done.unwrap());
        assert!(leaves.iter().all(|leaf| (1..=SHAPE.leaf).contains(&leaf.len())));
        let mut met = leaves.concat();
        met.sort_unstable();
        assert_eq!(met, all, "each membership in one leaf");
    }
}

#[test]
fn candidates_are_the_nearest_of_each_leaf() {
    // So few that no cluster is split.
    let nodes = Nodes::new(Metric::L2, &grid(39));
    let shape = Shape { leaf: 40, ..SHAPE };
    let partition = nodes.partition(shape);
    assert!(partition.leaders > 1);
    let table = nodes.run(shape, |bulk| bulk.candidates(&nodes.view(), &partition)).unwrap().unwrap();
    let fanout = partition.fanout as u32;
    for node in 0..39 {
        // By rank of the leader, and of these the nearest; ties go to the first.
        let mut expected = Vec::new();
        for rank in 0..fanout {
            let is_its = |cluster: &&Vec<u32>| cluster.contains(&(node * fanout + rank));
            let cluster = partition.clusters().unwrap();
            let cluster = cluster.iter().find(is_its).unwrap();
            let others = cluster.iter().map(|membership| membership / fanout).filter(|&other| other != node);
            expected.extend(nodes.sorted(node, others).iter().take(shape.per_leaf).map(|key| key.slot()));
        }
        assert_eq!(table.view().row(node).collect::<Vec<u32>>(), expected, "node {node}");
    }
}

/// The list of each node after a merge of these candidates.
fn merged(nodes: &Nodes, candidates: &[Vec<u32>], capacity: usize) -> Vec<Vec<Key>> {
    let stride = candidates.iter().map(Vec::len).max().unwrap_or(0);
    let table = Table::new(candidates.len(), stride).unwrap();
    (0..).zip(candidates).for_each(|(node, found)| table.view().set(node, found.iter().copied()));
    let lists = Mutex::new(vec![Vec::new(); candidates.len()]);
    let visit = |node: u32, keys: &[Key]| lists.lock().unwrap()[node as usize] = keys.to_vec();
    let views = nodes.points.building_views();
    assert!(nodes.run(SHAPE, |bulk| bulk.merge(&views, &table, capacity, visit)).unwrap());
    lists.into_inner().unwrap()
}

#[test]
fn lists_are_made_of_both_directions_where_they_fit() {
    let nodes = Nodes::new(Metric::L2, &grid(20));
    let ring: Vec<Vec<u32>> = (0..20).map(|node| vec![(node + 1) % 20, (node + 5) % 20]).collect();
    for (node, list) in (0..).zip(merged(&nodes, &ring, 4)) {
        let both = [1, 5, 15, 19].map(|step| (node + step) % 20);
        assert_eq!(list, nodes.sorted(node, both.into_iter()), "node {node}");
    }
}

#[test]
fn lists_hold_no_more_than_they_may() {
    let count = 200;
    for metric in [Metric::L2, Metric::InnerProduct] {
        let nodes = Nodes::new(metric, &grid(count));
        // Everybody leads to the first, and to some others.
        let star = |node: u32| (0..8).map(|step| node * step % count as u32).filter(|&other| other != node).collect();
        let candidates: Vec<Vec<u32>> = (0..count as u32).map(star).collect();
        for capacity in [1, 4, 7] {
            for (node, list) in (0..).zip(merged(&nodes, &candidates, capacity)) {
                let links: BTreeSet<u32> = list.iter().map(|key| key.slot()).collect();
                assert!(links.len() == list.len() && list.len() <= capacity, "{list:?} at node {node}");
                let leads = |from: u32, to: u32| candidates[from as usize].contains(&to);
                assert!(links.iter().all(|&other| leads(node, other) || leads(other, node)), "only what was found");
                assert!(!links.contains(&node) && !links.is_empty());
            }
        }
    }
}

#[test]
fn a_build_that_is_stopped_gives_nothing() {
    let values = grid(1_000);
    for with_codes in [false, true] {
        let nodes = Nodes::new(Metric::L2, &values);
        let (rows, pools, scratches) = (&nodes.rows, Pools::new(Some(1)).unwrap(), ScratchPool::default());
        // How many nodes a build has that is stopped after so many work units, and how many it asked for.
        let build = |units: usize| {
            let asked = AtomicUsize::new(0);
            let stopped = || asked.fetch_add(1, Ordering::Relaxed) >= units;
            let (turns, report) = (pools.turns(&stopped), &|_, _| ());
            let bulk = Bulk { rows, pools: &pools, scratches: &scratches, seed: 3, shape: SHAPE, turns, report };
            let encoder = with_codes.then(|| Encoder::train(rows.view(), Metric::L2, values.len()));
            let graph = bulk.build(encoder, &numbers(values.len()), values.len()).unwrap();
            (graph.map(|graph| graph.nodes()), asked.into_inner())
        };
        let (built, asked) = build(usize::MAX);
        assert_eq!(built, Some(values.len()));
        for units in (0..asked).step_by(7).chain([asked - 1]) {
            assert_eq!(build(units).0, None, "stopped after {units} of {asked} work units");
        }
    }
}

#[test]
fn what_takes_no_turns_gives_way_to_queries() {
    let count = 20_000;
    let nodes = Nodes::new(Metric::L2, &grid(count));
    let encoder = Encoder::train(nodes.rows.view(), Metric::L2, count);
    let points = Points::new(nodes.rows.clone(), Some(encoder));
    let partition = nodes.partition(SHAPE);
    let order = partition.order().unwrap();
    let tables = [Table::new(count, 4).unwrap()];
    let unsure = Unsure::none_of(count).unwrap();
    let graph = Graph::of(4, 3, true, Points::new(nodes.rows.clone(), None));
    graph.points().append(&numbers(count)).unwrap();
    graph.reserve(count).unwrap();
    let levels = vec![0; count];
    // Runs `work` on all nodes, and asserts that it gave way before every `most` of them.
    let check = |name: &str, most: usize, work: &(dyn Fn(&Bulk<'_>) + Sync)| {
        let before = nodes.pools.offers();
        nodes.run(SHAPE, work);
        let offers = nodes.pools.offers() - before;
        assert!(offers >= count / most, "{name} gave way {offers} times");
    };
    check("filling", 1 << 15, &|_| drop(atomics(count)));
    check("encoding", 512, &|_| points.append(&numbers(count)).unwrap());
    check("reordering codes", 512, &|_| drop(points.reordered(&order)));
    check("packing", 64, &|_| points.view().pack(&numbers(count), &mut Default::default()).unwrap());
    check("clusters", 1 << 12, &|_| drop(partition.clusters()));
    check("the order", 1 << 12, &|_| drop(partition.order()));
    check("reordering a partition", 1_024, &|_| drop(partition.reordered(&order)));
    check("all pairs", 64 * count / ALL_PAIRS, &|_| drop(Table::of_all_pairs(ALL_PAIRS)));
    check("turning links round", 16, &|_| drop(Incoming::of(tables[0].view())));
    check("the tree", 256, &|_| tree::lay(&graph.view(), 0, count).unwrap());
    // With the turns: one for 32 nodes.
    check("choosing", 4, &|bulk| assert!(bulk.choose(&[nodes.view()], &tables, 4, |_| true, &unsure)));
    check("mending", 4, &|bulk| assert!(bulk.mend(&graph, &levels, Entry { node: 0, level: 0 }).unwrap()));
}
