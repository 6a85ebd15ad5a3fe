//! Verifying and recovering directories.

use super::*;
use crate::error::Error;
use crate::index::inspect::{Findings, recover_on, verify_on};

const COPY: &str = "copy";

/// A snapshot and a log of some writes after it, and what was there after each of these.
fn sample() -> (Simulated, Vec<Contents>) {
    let disk = Simulated::new();
    let index = open_on(&disk, Durability::Fsync).unwrap();
    Write::Add((0..20).collect(), 1).run(&index).unwrap();
    index.checkpoint(&Work::default()).unwrap();
    let mut states = vec![contents(&index)];
    for write in [
        Write::Upsert(vec![2, 30], 2),
        Write::Remove(vec![5]),
        Write::Add(vec![31, 32], 3),
        Write::Remove(vec![30, 31]),
        Write::Add(vec![40], 4),
    ] {
        write.run(&index).unwrap();
        states.push(contents(&index));
    }
    drop(index);
    (disk.after_crash(), states)
}

fn verified(disk: &Simulated) -> Findings {
    let before = image(disk);
    let found = verify_on(disk, Path::new(DIRECTORY), true, &Work::default()).unwrap();
    assert!(image(disk) == before, "what is verified is left as it is");
    found
}

fn recovered(disk: &Simulated) -> Result<(Findings, Contents)> {
    let before = image(disk);
    let found = recover_on(disk, Path::new(DIRECTORY), Path::new(COPY), true, &Work::default());
    let after: Vec<_> = image(disk).into_iter().filter(|(path, _)| !path.starts_with(COPY)).collect();
    assert!(after == before, "what is recovered is left as it is");
    let found = found?;
    let copy = open(Arc::new(disk.clone()), Path::new(COPY), &GivenOptions::default(), Durability::Fsync).unwrap();
    assert_sound(&copy);
    Ok((found, contents(&copy)))
}

fn image(disk: &Simulated) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    disk.names().into_iter().map(|path| (path.clone(), disk.read(path.to_str().unwrap()).unwrap())).collect()
}

#[test]
fn a_sound_directory_has_no_problems_and_is_recovered_whole() {
    let (disk, states) = sample();
    let found = verified(&disk);
    assert_eq!((found.problems.len(), found.rows), (0, Some(states[5].len())));
    assert_eq!(found.notes, ["5 writes in the log after the snapshot"]);
    let (found, copy) = recovered(&disk).unwrap();
    assert_eq!(copy, states[5]);
    assert_eq!((found.lost.len(), found.rows), (0, Some(copy.len())));
}

#[test]
fn every_byte_of_a_log_that_is_changed_is_a_problem_or_torn_and_leaves_the_writes_before_it() {
    let (disk, states) = sample();
    let path = path_of(&disk, "log-");
    let mut bytes = disk.read(&path).unwrap();
    let mut least = 0;
    for at in 0..bytes.len() {
        bytes[at] ^= 0x10;
        let disk = with(&disk, &path, &bytes);
        bytes[at] ^= 0x10;
        let opened = read_on(&disk);
        match verify_on(&disk, Path::new(DIRECTORY), true, &Work::default()) {
            Ok(found) if found.problems.is_empty() => {
                assert_eq!(contents(&opened.unwrap()).len(), found.rows.unwrap());
                assert!(found.notes[1].contains("of a torn write"), "byte {at}: {found:?}");
            }
            Ok(_) => assert!(matches!(opened, Err(Error::Corrupt { .. })), "byte {at}"),
            Err(error) => assert!(matches!(error, Error::Version { .. }), "byte {at}: {error}"),
        }
        let (found, copy) = recovered(&disk).unwrap();
        let position = states[least..].iter().position(|state| *state == copy);
        // The damage comes later and later, and so does the state; the header alone takes all with it.
        least = if at < 40 { 0 } else { least + position.unwrap_or_else(|| panic!("byte {at}: {found:?}")) };
        assert!(!found.lost.is_empty() || least == 4, "byte {at}: {found:?}");
    }
    assert_eq!(least, 4);
}

#[test]
fn a_torn_log_is_no_problem() {
    let (disk, states) = sample();
    let path = path_of(&disk, "log-");
    let bytes = disk.read(&path).unwrap();
    let disk = with(&disk, &path, &bytes[..bytes.len() - 3]);
    let found = verified(&disk);
    assert!(found.problems.is_empty() && found.notes[1].contains("bytes of a torn write"), "{found:?}");
    let (found, copy) = recovered(&disk).unwrap();
    assert_eq!((copy, found.lost.len(), found.notes.len()), (states[4].clone(), 0, 2));
}

#[test]
fn the_log_is_done_again_over_what_is_left_of_a_snapshot() {
    let (disk, states) = sample();
    let path = path_of(&disk, "snapshot-");
    let mut bytes = disk.read(&path).unwrap();
    // All rows of the snapshot are in one block.
    let at = bytes.windows(4).rposition(|window| window == row(1 ^ 7)[0].to_le_bytes()).unwrap();
    bytes[at] ^= 1;
    let damaged = with(&disk, &path, &bytes);
    let found = verified(&damaged);
    assert_eq!((found.problems.len(), found.rows), (1, None), "the log is sound: {found:?}");
    let (found, copy) = recovered(&damaged).unwrap();
    let is_logged = |(id, _): &&(u64, Vec<f32>)| [2, 32, 40].contains(id);
    assert_eq!(copy, states[5].iter().filter(is_logged).cloned().collect::<Contents>());
    assert_eq!(found.lost.len(), 1, "{found:?}");
    // One that says nothing at all.
    let disk = with(&disk, &path, &[7; 9_000]);
    assert!(matches!(recovered(&disk), Err(Error::Corrupt { .. })));
    assert!(!disk.names().iter().any(|path| path.starts_with(COPY)));
}

#[test]
fn a_write_of_an_id_that_damage_has_brought_back_replaces_it() {
    let disk = Simulated::new();
    let index = open_on(&disk, Durability::Fsync).unwrap();
    Write::Add((0..5).collect(), 1).run(&index).unwrap();
    Write::Remove(vec![3, 4]).run(&index).unwrap();
    index.checkpoint(&Work::default()).unwrap();
    Write::Add(vec![4], 2).run(&index).unwrap();
    let path = path_of(&disk, "snapshot-");
    let mut bytes = disk.read(&path).unwrap();
    // Which rows were removed is the first section, behind the header.
    assert_eq!(bytes[4_096], 0b11000);
    bytes[4_096] = 0;
    let (found, copy) = recovered(&with(&disk, &path, &bytes)).unwrap();
    let ids: Vec<u64> = copy.iter().map(|(id, _)| *id).collect();
    assert_eq!(ids, [0, 1, 2, 3, 4], "{found:?}");
    assert_eq!(copy[4], contents(&index)[3], "what was written last");
}

#[test]
fn a_gap_in_the_log_ends_what_is_recovered() {
    // Three segments, as openings after crashes leave them, and the one in the middle goes.
    let disk = Simulated::new();
    for id in 0..3 {
        drop(open_on(&disk.after_crash(), Durability::Fsync));
        Write::Add(vec![id], 1).run(&open_on(&disk, Durability::Fsync).unwrap()).unwrap();
    }
    let (found, copy) = recovered(&disk.after_crash()).unwrap();
    assert_eq!((copy.len(), found.lost.len()), (3, 0), "{found:?}");
    let segments: Vec<_> = disk.names().into_iter().filter(|path| path.to_str().unwrap().contains("log-")).collect();
    crate::storage::Disk::remove(&disk, &segments[1]).unwrap();
    assert_eq!(verified(&disk).problems.len(), 1);
    let (found, copy) = recovered(&disk).unwrap();
    assert_eq!(copy.len(), 1);
    assert_eq!(found.lost, ["index: writes 2 … 3, the first of which is damaged or missing"]);
}

#[test]
fn a_directory_without_an_index_is_an_error() {
    let disk = Simulated::with("index/other", b"text");
    for outcome in [
        verify_on(&disk, Path::new(DIRECTORY), true, &Work::default()),
        recover_on(&disk, Path::new(DIRECTORY), Path::new(COPY), true, &Work::default()),
    ] {
        assert!(matches!(outcome, Err(Error::Io { .. })));
    }
    let (disk, _) = sample();
    crate::storage::Disk::remove(&disk, Path::new(&path_of(&disk, "snapshot-"))).unwrap();
    assert_eq!(verified(&disk).problems, ["index: got a log without a snapshot, expected both"]);
    assert!(recovered(&disk).is_err());
}

#[test]
fn a_directory_is_verified_beside_its_writer() {
    let disk = Simulated::new();
    let index = open_on(&disk, Durability::Buffered).unwrap();
    let writer = index.clone();
    let work = std::thread::spawn(move || {
        for id in 0..200 {
            Write::Add(vec![id], 5).run(&writer).unwrap();
            writer.checkpoint(&Work::default()).unwrap();
        }
    });
    while !work.is_finished() {
        let found = verify_on(&disk, Path::new(DIRECTORY), true, &Work::default()).unwrap();
        assert!(found.problems.is_empty(), "{found:?}");
        std::thread::sleep(std::time::Duration::from_micros(100));
    }
    work.join().unwrap();
}
