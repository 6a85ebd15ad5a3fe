//! Data on which graphs are known to fail: equal rows, far outliers, clusters, sorted input, wild norms and sizes.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic")]

mod common;

use common::data::{Kind, normal_rows};
use common::{METRICS, Rng, add_in_batches, assert_all_reachable, distance, exactly, graph_of, nearest, tolerance};
use vicinal_core::{Id, Ids, Index, Metric, Options, SearchOptions, Work};

/// The share of the exact nearest 10 that searches for `queries` with `ef` find. Distances must be right, and no NaN.
fn recall(index: &Index, rows: &[f32], queries: &[f32], ef: usize) -> f64 {
    let Options { metric, dimensions, .. } = *index.options();
    let answers = queries.chunks(dimensions).map(|query| {
        let hits = index.search(query, &nearest(10, ef)).unwrap();
        let exact = index.search(query, &exactly(10)).unwrap();
        assert_eq!(hits.distances.len(), exact.distances.len());
        assert!(hits.distances.is_sorted() && exact.distances.is_sorted(), "sorted, and so never NaN");
        let Ids::Keys(keys) = &hits.ids else { panic!("numbers") };
        for (&key, &got) in keys.iter().zip(&hits.distances) {
            let row = &rows[key as usize * dimensions..][..dimensions];
            assert_right(metric, query, row, got);
        }
        let last = exact.distances[exact.distances.len() - 1];
        // Two kernels may round differently.
        let last = if last.is_finite() { last + last.abs() * 1e-6 } else { last };
        hits.distances.iter().filter(|&&distance| distance <= last).count() as f64 / exact.distances.len() as f64
    });
    let recalls: Vec<f64> = answers.collect();
    recalls.iter().sum::<f64>() / recalls.len() as f64
}

/// Asserts that `got` is the distance: to 1e-5, or infinite where single precision ends.
fn assert_right(metric: Metric, query: &[f32], row: &[f32], got: f32) {
    let expected = distance(metric, query, row);
    let clamped = expected.max(f64::from(f32::MIN)) as f32;
    let is_near = (f64::from(got) - f64::from(clamped)).abs() <= tolerance(metric, query, row);
    assert!(got == clamped || is_near, "{metric:?}: {got}, expected {expected}");
}

fn options(dimensions: usize, metric: Metric) -> Options {
    Options { metric, threads: Some(2), ..Options::new(dimensions) }
}

/// Builds a graph of `rows`, and demands that all are reachable and that searches for `queries` find `floor`.
fn check(name: &str, options: Options, rows: &[f32], queries: &[f32], floor: f64) {
    let metric = options.metric;
    let index = graph_of(rows, options, 1_000);
    assert_all_reachable(&index);
    let recall = recall(&index, rows, queries, 64);
    assert!(recall >= floor, "{name}, {metric:?}: recall {recall}, at least {floor}");
}

#[test]
fn rows_that_are_all_equal() {
    for metric in METRICS {
        let rows = [1.0, 2.0, 3.0].repeat(20_000);
        let index = graph_of(&rows, options(3, metric), 1_000);
        assert_all_reachable(&index);
        assert_eq!(index.stats().unwrap().levels, [1], "one node stands for all");
        for ef in [1, 10, 100] {
            let hits = index.search(&[3.0, 2.0, 1.0], &nearest(50, ef)).unwrap();
            assert_eq!(hits.ids, Ids::Keys((0..50).collect()), "the first, in insertion order");
        }
        let all = index.search(&[3.0, 2.0, 1.0], &nearest(30_000, 10)).unwrap();
        assert_eq!(all.ids, Ids::Keys((0..20_000).collect()));
        let itself = index.search_by_id(Id::Key(3), &nearest(4, 1)).unwrap();
        assert_eq!(itself.ids, Ids::Keys(vec![0, 1, 2, 4]));
        // Whoever stood for the others is gone, and each that would come after it.
        assert_eq!(index.remove(&Ids::Keys((0..19_990).collect())).unwrap(), 19_990);
        assert_all_reachable(&index);
        let hits = index.search(&[3.0, 2.0, 1.0], &nearest(50, 10)).unwrap();
        assert_eq!(hits.ids, Ids::Keys((19_990..20_000).collect()));
    }
}

#[test]
fn one_far_row_among_equals() {
    for metric in METRICS {
        for position in [0, 5_000, 10_000] {
            let (equal, far) = ([1.0, 0.0, 0.0, 0.0], [-300.0, 400.0, 0.0, 0.0]);
            let mut rows = equal.repeat(10_000);
            rows.splice(position * 4..position * 4, far);
            let index = graph_of(&rows, options(4, metric), 777);
            assert_all_reachable(&index);
            for ef in 1..=10 {
                let hits = index.search(&far, &nearest(1, ef)).unwrap();
                assert_eq!(hits.ids, Ids::Keys(vec![position as u64]), "{metric:?}, at {position}, ef {ef}");
                let hits = index.search(&[2.0, 0.0, 0.0, 0.0], &nearest(1, ef)).unwrap();
                assert_eq!(hits.ids, Ids::Keys(vec![u64::from(position == 0)]), "{metric:?}, at {position}, ef {ef}");
            }
        }
    }
}

#[test]
fn far_rows_among_equals() {
    // Codes would mistake the far rows for each other, which are few among the rows, but not among those that differ.
    let (dimensions, count) = (16, 12_000);
    for far in [30, 100, 400] {
        let mut rng = Rng(3);
        let mut rows = vec![0.5; count * dimensions];
        for row in rows.chunks_mut(dimensions).skip(7).step_by(29).take(far) {
            row.fill_with(|| 100.0 + rng.unit());
        }
        let queries: Vec<f32> = (0..50 * dimensions).map(|_| 100.0 + rng.unit()).collect();
        let index = graph_of(&rows, options(dimensions, Metric::L2), count);
        let best = |query: &[f32], options: SearchOptions| index.search(query, &options).unwrap().distances[0];
        let missed = queries.chunks(dimensions).filter(|query| best(query, nearest(1, 64)) > best(query, exactly(1)));
        assert_eq!(missed.count(), 0, "{far} far rows");
        assert_eq!(index.stats().unwrap().bytes.codes, 0, "{far} far rows");
    }
}

#[test]
fn equals_beside_a_row_that_is_nearer() {
    // Thousands at one place, and single rows nearer to the query than it: they are found at any width.
    let mut rows = [0.0, 0.0].repeat(5_000);
    (1..=20).for_each(|i| rows.extend([1.0 + 0.1 * i as f32, 0.0]));
    let index = graph_of(&rows, options(2, Metric::L2), 1_000);
    for ef in 1..=10 {
        let hits = index.search(&[5.0, 0.0], &nearest(1, ef)).unwrap();
        assert_eq!(hits.ids, Ids::Keys(vec![5_019]), "ef {ef}");
    }
}

#[test]
fn one_row_that_is_the_nearest_of_all() {
    // Rows on a sphere of so many dimensions lie farther from each other than from its center.
    let (dimensions, count) = (128, 8_000);
    let mut rows = vec![0.0; dimensions];
    for row in normal_rows(dimensions, count, 14).chunks(dimensions) {
        let norm = row.iter().map(|x| x * x).sum::<f32>().sqrt();
        rows.extend(row.iter().map(|x| x / norm));
    }
    let stepped = || {
        let options = Options { threshold: Some(0), auto_migrate: false, ..options(dimensions, Metric::L2) };
        let index = Index::new(options).unwrap();
        add_in_batches(&index, &rows, dimensions, 1_000);
        while index.migrate_step(1_000).unwrap() > 0 {}
        index
    };
    for index in [graph_of(&rows, options(dimensions, Metric::L2), 1_000), stepped()] {
        assert_all_reachable(&index);
        for row in rows[dimensions..].chunks(dimensions).step_by(97) {
            // A quarter of the way from the center to the row.
            let query: Vec<f32> = row.iter().map(|x| 0.25 * x).collect();
            assert_eq!(index.search(&query, &nearest(1, 10)).unwrap().ids, Ids::Keys(vec![0]));
        }
    }
}

#[test]
fn two_far_clusters() {
    let mut rng = Rng(3);
    for metric in METRICS {
        let near = |center: f32, rng: &mut Rng| (0..16).map(|_| center + rng.normal()).collect::<Vec<f32>>();
        // One after the other, and mixed.
        let sorted: Vec<f32> =
            (0..8_000).flat_map(|row| near(if row < 4_000 { 1e4 } else { -1e4 }, &mut rng)).collect();
        let mixed: Vec<f32> =
            (0..8_000).flat_map(|row| near(if row % 2 == 0 { 1e4 } else { -1e4 }, &mut rng)).collect();
        let queries: Vec<f32> = (0..60).flat_map(|row| near(if row % 2 == 0 { 1e4 } else { -1e4 }, &mut rng)).collect();
        check("two clusters, sorted", options(16, metric), &sorted, &queries, 0.95);
        check("two clusters, mixed", options(16, metric), &mixed, &queries, 0.95);
    }
}

#[test]
fn dimensions_that_say_nothing() {
    for metric in METRICS {
        let mut rng = Rng(4);
        let mut make = |count: usize| {
            let row = |rng: &mut Rng| [7.0, rng.normal(), 0.0, rng.normal(), -1e3, 0.0];
            (0..count).flat_map(|_| row(&mut rng)).collect::<Vec<f32>>()
        };
        let (rows, queries) = (make(6_000), make(60));
        check("constant dimensions", options(6, metric), &rows, &queries, 0.9);
    }
}

#[test]
fn sorted_input() {
    for metric in METRICS {
        let angle = |i: usize, count: usize| (i as f32 / count as f32).mul_add(3.0, 0.1);
        let rows: Vec<f32> = (0..8_000).flat_map(|i| [angle(i, 8_000).cos(), angle(i, 8_000).sin()]).collect();
        let queries: Vec<f32> = (0..60).flat_map(|i| [angle(i, 61).cos(), angle(i, 61).sin()]).collect();
        check("on an arc, in order", options(2, metric), &rows, &queries, 0.95);
    }
    let line: Vec<f32> = (0..8_000).map(|i| i as f32).collect();
    check("on a line, in order", options(1, Metric::L2), &line, &[0.0, 17.3, 4_000.0, 7_999.0, 1e6, -1e6], 0.95);
}

#[test]
fn heavy_tailed_norms() {
    for metric in METRICS {
        let mut rng = Rng(5);
        // Norms that follow a power law, over three decades.
        let mut make = |count: usize| {
            let row = |rng: &mut Rng| {
                let norm = (rng.unit() + 1e-3).powi(-1);
                (0..24).map(|_| norm * rng.normal()).collect::<Vec<f32>>()
            };
            (0..count).flat_map(|_| row(&mut rng)).collect::<Vec<f32>>()
        };
        let (rows, queries) = (make(6_000), make(60));
        check("heavy-tailed norms", options(24, metric), &rows, &queries, 0.85);
    }
}

#[test]
fn huge_and_tiny_values() {
    for metric in METRICS {
        for scale in [1e30, 1e19, 1e-10, 1e-19, 1e-30, 1e-38] {
            let scaled = |seed| normal_rows(8, 3_000, seed).into_iter().map(|x| x * scale).collect::<Vec<f32>>();
            let (rows, queries) = (scaled(6), scaled(7));
            check(&format!("values around {scale}"), options(8, metric), &rows, &queries[..8 * 40], 0.9);
        }
        // All sizes in one index.
        let mut rng = Rng(8);
        let mut make = |count: usize| {
            let row = |rng: &mut Rng| {
                let scale = 10f32.powi(rng.below(61) as i32 - 30);
                (0..8).map(|_| scale * rng.normal()).collect::<Vec<f32>>()
            };
            (0..count).flat_map(|_| row(&mut rng)).collect::<Vec<f32>>()
        };
        let (rows, queries) = (make(3_000), make(60));
        // Inner products of such rows are mostly the least or the greatest number there is: nothing leads anywhere.
        let floor = if metric == Metric::InnerProduct { 0.0 } else { 0.85 };
        check("values of all sizes", options(8, metric), &rows, &queries, floor);
    }
}

#[test]
fn cosine_ignores_norms() {
    let rows = normal_rows(20, 4_000, 9);
    let mut rng = Rng(10);
    let stretched: Vec<f32> = rows
        .chunks(20)
        .flat_map(|row| {
            let norm = 10f32.powi(rng.below(9) as i32 - 4);
            row.iter().map(move |x| x * norm).collect::<Vec<f32>>()
        })
        .collect();
    let queries = normal_rows(20, 100, 11);
    check("unnormalised rows", options(20, Metric::Cosine), &stretched, &queries, 0.95);
    let plain = Index::new(Options { threshold: None, ..options(20, Metric::Cosine) }).unwrap();
    plain.add(&Ids::Keys((0..4_000).collect()), &rows, &Work::default()).unwrap();
    let index = graph_of(&stretched, options(20, Metric::Cosine), 1_000);
    for query in queries.chunks(20) {
        let (a, b) = (plain.search(query, &exactly(10)).unwrap(), index.search(query, &exactly(10)).unwrap());
        assert_eq!(a.ids, b.ids);
        assert!(a.distances.iter().zip(&b.distances).all(|(a, b)| (a - b).abs() < 1e-6));
    }
}

#[test]
fn zero_rows_are_rows() {
    let mut rows = Kind::Zero.rows(Metric::L2, 6, 5_000, 12);
    rows.extend([0.0, -0.0, 0.0, 0.0, -0.0, 0.0]);
    for metric in [Metric::L2, Metric::InnerProduct] {
        check("mostly zeros", options(6, metric), &rows, &Kind::Zero.rows(metric, 6, 60, 13), 0.99);
    }
    let index = Index::new(options(6, Metric::Cosine)).unwrap();
    let error = index.add(&Ids::Keys((0..5_001).collect()), &rows, &Work::default()).unwrap_err();
    assert_eq!((error.code(), index.len()), ("ERR_INVALID_VECTOR", 0));
    let error = index.search(&[0.0; 6], &SearchOptions { k: 1, ..SearchOptions::default() }).unwrap_err();
    assert_eq!(error.code(), "ERR_INVALID_VECTOR");
}

/// Demands that a bulk build of `rows` finds as much for `queries` at `ef` as insertion.
fn check_bulk_beside_inserted(name: &str, options: &Options, rows: &[f32], queries: &[f32], ef: usize) {
    let recalls = ["bulk", "insert"].map(|method| {
        let index = Index::new(Options { auto_migrate: false, ..options.clone() }).unwrap();
        add_in_batches(&index, rows, options.dimensions, 5_000);
        if method == "bulk" {
            index.migrate(&Work::default()).unwrap();
        }
        while index.migrate_step(1_000).unwrap() > 0 {}
        assert_eq!(index.migration().method, Some(method));
        recall(&index, rows, queries, ef)
    });
    assert!(recalls[0] >= recalls[1] - 0.005, "{name}, in bulk and inserted: {recalls:?}");
}

#[test]
fn few_dimensions_are_built_in_bulk_as_well_as_inserted() {
    for dimensions in [2, 4, 8] {
        let mut rng = Rng(14);
        let mut make = |count: usize| (0..count * dimensions).map(|_| rng.unit()).collect::<Vec<f32>>();
        let (rows, queries) = (make(20_000), make(400));
        let options = options(dimensions, Metric::L2);
        check_bulk_beside_inserted(&format!("{dimensions} dimensions"), &options, &rows, &queries, 12);
    }
}

#[test]
fn clusters_that_fill_all_leaves_of_a_node_are_built_in_bulk_as_well_as_inserted() {
    let (dimensions, count) = (24, 6_000);
    for (metric, centers, sigma) in [(Metric::L2, 12, 0.1), (Metric::Cosine, 12, 0.1), (Metric::L2, 40, 0.03)] {
        let rows = clustered(dimensions, count, centers, sigma);
        let mut rng = Rng(16);
        let near = rows.chunks(dimensions).step_by(count / 300).flatten();
        let queries: Vec<f32> = near.map(|x| x + 0.5 * sigma * rng.normal()).collect();
        let name = format!("{centers} clusters, {metric:?}");
        check_bulk_beside_inserted(&name, &options(dimensions, metric), &rows, &queries, 16);
    }
}

/// `count` rows around so many `centers`, each value `sigma` off on average.
fn clustered(dimensions: usize, count: usize, centers: usize, sigma: f32) -> Vec<f32> {
    let mut rng = Rng(7);
    let centers: Vec<f32> = (0..centers * dimensions).map(|_| rng.normal()).collect();
    let mut rows = Vec::with_capacity(count * dimensions);
    for _ in 0..count {
        let center = rng.below(centers.len() / dimensions) * dimensions;
        rows.extend(centers[center..][..dimensions].iter().map(|x| x + sigma * rng.normal()));
    }
    rows
}

#[test]
fn equal_rows_do_not_hide_that_codes_mistake_others() {
    // Two clusters so far apart that codes mistake the rows of each, and many times as many rows that are all alike.
    let (dimensions, distance, others, equal) = (8, 100.0, 100, 8_000);
    let mut rng = Rng(15);
    let mut rows: Vec<f32> = (0..others * dimensions)
        .map(|place| 2.0 * rng.unit() - 1.0 + if place / dimensions % 2 == 0 { distance } else { 0.0 })
        .collect();
    rows.extend([distance / 2.0; 8].repeat(equal));
    for way in ["built", "inserted", "listed"] {
        let index = Index::new(options(dimensions, Metric::L2)).unwrap();
        index.pause_migration().unwrap();
        add_in_batches(&index, &rows, dimensions, others + equal);
        match way {
            "built" => drop(index.migrate(&Work::default()).unwrap()),
            "inserted" => drop(index.migrate_step(others + equal).unwrap()),
            _ => {}
        }
        assert_eq!(index.stats().unwrap().bytes.codes, 0, "{way}");
    }
}

#[test]
fn rows_of_many_clusters_are_found() {
    // Clusters that are larger than a leaf and smaller, with nodes on upper levels and without, tight and loose.
    let cases = [
        (Metric::L2, 32, 12_000, 60, 1e-4),
        (Metric::L2, 32, 12_000, 60, 0.01),
        (Metric::InnerProduct, 32, 12_000, 300, 0.01),
        (Metric::L2, 64, 12_000, 300, 0.1),
        (Metric::Cosine, 128, 12_000, 1_000, 0.05),
        (Metric::L2, 128, 20_000, 200, 0.2),
    ];
    for (number, (metric, dimensions, count, centers, sigma)) in cases.into_iter().enumerate() {
        let rows = clustered(dimensions, count, centers, sigma);
        let queries: Vec<f32> = rows.chunks(dimensions).step_by(count / 150).flatten().copied().collect();
        for method in ["bulk", "insert"] {
            // Insertion is slow, and its links lead between clusters anyway.
            if method == "insert" && number % 2 == 0 {
                continue;
            }
            let index = Index::new(Options { auto_migrate: false, ..options(dimensions, metric) }).unwrap();
            add_in_batches(&index, &rows, dimensions, count);
            if method == "bulk" {
                index.migrate(&Work::default()).unwrap();
            }
            while index.migrate_step(1_000).unwrap() > 0 {}
            assert_eq!(index.migration().method, Some(method));
            assert_all_reachable(&index);
            let name = format!("{method}, {metric:?}: {centers} clusters of {count} rows, {sigma} wide");
            let missed = queries.chunks(dimensions).filter(|query| {
                let best = |options: SearchOptions| index.search(query, &options).unwrap().distances[0];
                best(nearest(1, 64)) > best(exactly(1))
            });
            assert_eq!(missed.count(), 0, "{name}: own rows that are missed");
            let recall = recall(&index, &rows, &queries, 64);
            assert!(recall >= 0.98, "{name}: recall {recall}");
        }
    }
}
