//! Builds an index from a file and measures it from Rust: construction, recall and queries a second at each `ef`.
//!
//! `vicinal-compare BASE QUERY TRUTH [--metric l2|cosine|ip] [--rows N] [--threads T] [--m M] [--ef-construction E]
//! [--batch B] [--efs 24,40,80]`, with files as `shared/data` describes them (`.u8bin`, `.f16bin`, `.ibin`). Prints a
//! line of JSON a measurement. With fewer rows than the file has, the truth is computed by exact search.

mod files;

use std::collections::HashMap;
use std::error::Error;
use std::time::Instant;

use vicinal_core::{Ids, Index, Metric, Options, SearchOptions, Work};

const K: usize = 10;

/// Passes over the queries; the median counts.
const PASSES: usize = 3;

fn main() -> Result<(), Box<dyn Error>> {
    let mut files = Vec::new();
    let mut flags = HashMap::new();
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.strip_prefix("--") {
            Some(name) => drop(flags.insert(name.to_string(), words.next().ok_or("a value after the flag")?)),
            None => files.push(word),
        }
    }
    let [base, query, truth] = &files[..] else { return Err("expected BASE QUERY TRUTH".into()) };
    let number = |name: &str| flags.get(name).map(|value| value.parse::<usize>()).transpose();

    let rows = files::read(base, number("rows")?)?;
    let queries = files::read(query, Some(number("queries")?.unwrap_or(2_000)))?;
    let options = Options {
        metric: match flags.get("metric").map(String::as_str) {
            None | Some("l2") => Metric::L2,
            Some("cosine") => Metric::Cosine,
            Some("ip") => Metric::InnerProduct,
            Some(other) => return Err(format!("unknown metric {other}").into()),
        },
        m: number("m")?,
        ef_construction: number("ef-construction")?.unwrap_or(200),
        threads: Some(number("threads")?.unwrap_or(2)),
        chunk_size: number("chunk")?.unwrap_or(Options::new(1).chunk_size),
        ..Options::new(rows.dimensions)
    };
    let index = Index::new(options)?;
    let before = resident();
    let start = Instant::now();
    let batch = number("batch")?.unwrap_or(10_000);
    for (number, values) in rows.values.chunks(batch * rows.dimensions).enumerate() {
        let first = (number * batch) as u64;
        let ids = Ids::Keys((first..first + (values.len() / rows.dimensions) as u64).collect());
        index.add(&ids, values, &Work::default())?;
    }
    let added = start.elapsed().as_secs_f64();
    index.migrate(&Work::default())?;
    let seconds = start.elapsed().as_secs_f64();
    let stats = index.stats()?;
    println!(
        "{{\"build\": {seconds:.2}, \"added\": {added:.2}, \"rate\": {:.0}, \"m\": {}, \"degree\": {:.1}, \"mib\": {}, \"bytes\": {}}}",
        rows.count as f64 / seconds,
        stats.m,
        stats.mean_degree,
        (resident() - before) >> 20,
        stats.bytes.total,
    );

    let truth = if number("rows")?.is_none() {
        files::read_truth(truth)?
    } else {
        exact(&index, &queries)?
    };
    let efs = flags.get("efs").map_or("24,32,40,48,64,80,96,120,160,200,300,400", String::as_str);
    for ef in efs.split(',') {
        let ef = ef.parse()?;
        let (recall, rate) = measure(&index, &queries, &truth, ef)?;
        println!("{{\"ef\": {ef}, \"recall\": {recall:.4}, \"rate\": {rate:.0}}}");
    }
    if flags.contains_key("verify") {
        let verified = index.verify(1_000, K, None, &Work::default())?;
        println!("{{\"verified\": {:.4}, \"unreachable\": {}}}", verified.recall, verified.unreachable);
    }
    Ok(())
}

fn options(ef: usize) -> SearchOptions {
    SearchOptions { k: K, ef: Some(ef), ..SearchOptions::default() }
}

/// The distance of the k-th nearest row of every query.
fn exact(index: &Index, queries: &files::Rows) -> Result<Vec<f32>, Box<dyn Error>> {
    let hits = index.search_batch(
        queries.values.clone(),
        &SearchOptions { exact: true, ..options(K) },
        &Work::default(),
    )?;
    Ok(hits.distances.chunks(K).map(|distances| distances[K - 1]).collect())
}

/// Recall and queries a second, one query at a time on this thread.
fn measure(index: &Index, queries: &files::Rows, truth: &[f32], ef: usize) -> Result<(f64, f64), Box<dyn Error>> {
    let options = options(ef);
    let (mut keys, mut distances) = ([0; K], [0.0; K]);
    let mut hits = 0;
    let mut rates = Vec::new();
    for pass in 0..=PASSES {
        let start = Instant::now();
        for (query, &last) in queries.values.chunks(queries.dimensions).zip(truth) {
            let found = index.search_into(query, &options, &mut keys, &mut distances)?;
            if pass == 0 {
                hits += distances[..found].iter().filter(|&&distance| distance <= last * 1.000_01).count();
            }
        }
        rates.push(queries.count as f64 / start.elapsed().as_secs_f64());
    }
    rates.remove(0);
    rates.sort_unstable_by(f64::total_cmp);
    Ok((hits as f64 / (queries.count * K) as f64, rates[PASSES / 2]))
}

/// Resident bytes of this process.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).unwrap_or(0) * 4096
}
