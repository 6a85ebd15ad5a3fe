//! Segments of a log: a directory with one is refused, or opened with a part of its writes. Nothing in it is changed.
#![no_main]

use std::fs;

use libfuzzer_sys::fuzz_target;
use vicinal_core::{Durability, GivenOptions, Id, Ids, Index, Result, Work};

fuzz_target!(|input: &[u8]| {
    if let Some((&at, bytes)) = input.split_first_chunk() {
        let _ = run(u16::from_le_bytes(at).into(), bytes);
    }
});

/// A log of a few writes, of which the bytes from `at` on become others.
fn run(at: usize, bytes: &[u8]) -> Result<()> {
    let Ok(directory) = tempfile::tempdir() else {
        return Ok(());
    };
    let given = GivenOptions { dimensions: Some(3), ..GivenOptions::default() };
    let index = Index::open(directory.path(), &given, Durability::Buffered)?;
    for id in 0..4 {
        index.add(&Ids::Keys(vec![id]), &[id as f32; 3], &Work::default())?;
    }
    index.remove(&Ids::Keys(vec![1]))?;
    index.abandon();
    let is_log =
        |path: &std::path::Path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("log-"));
    let paths = fs::read_dir(directory.path()).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    for path in paths.filter(|path| is_log(path)) {
        let Ok(mut log) = fs::read(&path) else {
            return Ok(());
        };
        let at = at % (log.len() + 1);
        log.splice(at..(at + bytes.len()).min(log.len()), bytes.iter().copied());
        let _ = fs::write(&path, &log);
        let opened = Index::open_to_read(directory.path(), &GivenOptions::default());
        assert!(fs::read(&path).is_ok_and(|left| left == log), "who only reads changes nothing");
        let opened = opened?;
        opened.has(Id::Key(0))?;
    }
    Ok(())
}
