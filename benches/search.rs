//! Measures searches by Rust calls on an index that Node has saved. Arguments: its file, and queries as fbin. Takes
//! one command a line, `search EF`, and answers with one line of JSON: queries a second of one thread, over the first
//! 2,000 queries, one call each.

use std::error::Error;
use std::io::{BufRead, stdin};
use std::path::Path;
use std::time::Instant;

use vicinal_core::{Index, SearchOptions, Work};

const K: usize = 10;
const TIMED_QUERIES: usize = 2_000;
const WARM_UP: usize = 200;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, index, queries] = arguments.as_slice() else {
        return Err("expected an index file and an fbin file".into());
    };
    let index = Index::load(Path::new(index), Some(1), None, &Work::default())?;
    let queries = read_fbin(&std::fs::read(queries)?)?;
    for line in stdin().lock().lines() {
        let line = line?;
        let ef = line.strip_prefix("search ").ok_or("expected `search EF`")?.parse()?;
        println!(r#"{{"library":"rust","what":"search","ef":{ef},"single":{}}}"#, search(&index, &queries, ef)?);
    }
    Ok(())
}

/// Queries a second.
fn search(index: &Index, queries: &[Vec<f32>], ef: usize) -> Result<f64, Box<dyn Error>> {
    let options = SearchOptions { k: K, ef: Some(ef), ..SearchOptions::default() };
    let mut keys = [0; K];
    let mut distances = [0.0; K];
    let mut ask = |queries: &[Vec<f32>]| -> Result<(), Box<dyn Error>> {
        for query in queries {
            index.search_into(query, &options, &mut keys, &mut distances)?;
        }
        Ok(())
    };
    let timed = &queries[..queries.len().min(TIMED_QUERIES)];
    ask(&timed[..timed.len().min(WARM_UP)])?;
    let start = Instant::now();
    ask(timed)?;
    Ok(timed.len() as f64 / start.elapsed().as_secs_f64())
}

/// n and d as little-endian u32, then n rows of d f32.
fn read_fbin(bytes: &[u8]) -> Result<Vec<Vec<f32>>, Box<dyn Error>> {
    let (words, _) = bytes.as_chunks::<4>();
    let [_, dimensions, rows @ ..] = words else {
        return Err("expected an fbin file".into());
    };
    let dimensions = u32::from_le_bytes(*dimensions) as usize;
    Ok(rows.chunks_exact(dimensions).map(|row| row.iter().map(|word| f32::from_le_bytes(*word)).collect()).collect())
}
