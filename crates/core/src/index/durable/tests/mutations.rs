//! Logs with seeded mutations, some with checksums that are right again: a typed error, or what the writes before the
//! damage have made; never a panic, a hang or another answer.

use super::*;
use crate::error::Error;
use crate::index::inspect::{recover_on, verify_on};

const CASES: usize = 10_000;

/// Bytes of a segment's header, and of a frame's.
const HEADER: usize = 40;

/// A snapshot and three segments, as openings after crashes leave them; what was there after each write since.
fn sample(durability: Durability) -> (Simulated, Vec<Contents>) {
    let disk = Simulated::new();
    let (mut random, mut states) = (Random(11), vec![Contents::new()]);
    for life in 0..4 {
        let index = open_on(&disk, durability).unwrap();
        for _ in 0..5 {
            let write = Write::random(&mut random, &states[states.len() - 1]);
            write.run(&index).unwrap();
            states.push(contents(&index));
        }
        if life == 0 {
            index.checkpoint(&Work::default()).unwrap();
            states = vec![contents(&index)];
        }
        drop(index);
    }
    (disk.after_crash(), states)
}

fn segments(disk: &Simulated) -> Vec<String> {
    let text = |path: &std::path::PathBuf| path.to_str().unwrap().to_string();
    disk.names().iter().map(text).filter(|path| path.contains("log-")).collect()
}

/// Changes bytes, sectors, frames or the length.
fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    if bytes.is_empty() {
        return;
    }
    let (at, end) = (random.below(bytes.len()), bytes.len());
    match random.below(8) {
        0 | 1 => bytes[at] ^= 1 << random.below(8),
        2 => bytes[at] = random.bits() as u8,
        3 => bytes.truncate(at),
        4 => bytes.resize(end + random.below(700), random.bits() as u8 & 1),
        // A sector that was never written.
        5 => bytes[at / 512 * 512..end.min(at / 512 * 512 + 512)].fill(0),
        6 => {
            let from = random.below(end);
            let count = (1 + random.below(200)).min(end - from.max(at));
            bytes.copy_within(from..from + count, at);
        }
        _ => {
            let (at, number) = (at / 8 * 8, [0, 1, u64::MAX, 1 << 20, random.bits()][random.below(5)]);
            bytes.get_mut(at..at + 8).into_iter().for_each(|field| field.copy_from_slice(&number.to_le_bytes()));
        }
    }
}

/// Makes all checksums of a segment right, as docs/file-format.md has them.
fn seal(bytes: &mut [u8]) {
    if bytes.len() < HEADER {
        return;
    }
    let checksum = crc32c::crc32c(&bytes[..32]);
    bytes[32..36].copy_from_slice(&checksum.to_le_bytes());
    let mut at = HEADER;
    while let Some(header) = bytes.get_mut(at..at + HEADER) {
        let checksum = crc32c::crc32c(&header[4..]);
        header[..4].copy_from_slice(&checksum.to_le_bytes());
        let length = u64::from_le_bytes(header[32..].try_into().unwrap());
        let end = usize::try_from(length).ok().and_then(|length| (at + HEADER + 4).checked_add(length));
        let Some(frame) = end.and_then(|end| bytes.get_mut(at..end.checked_next_multiple_of(8)?)) else {
            return;
        };
        let (body, checksum) = frame.split_last_chunk_mut().unwrap();
        *checksum = crc32c::crc32c(body).to_le_bytes();
        at += frame.len();
    }
}

#[test]
fn mutated_logs_are_refused_or_hold_a_prefix() {
    let samples = [Durability::Fsync, Durability::Buffered].map(sample);
    let mut random = Random(2_026);
    let (mut opened, mut whole, mut recovered) = (0, 0, 0);
    for case in 0..CASES {
        let (disk, states) = &samples[case % 2];
        let disk = disk.after_crash();
        let paths = segments(&disk);
        assert_eq!(paths.len(), 3);
        let is_sealed = random.below(4) == 0;
        for _ in 0..1 + random.below(2) {
            let path = &paths[random.below(paths.len())];
            let mut bytes = disk.read(path).unwrap();
            mutate(&mut bytes, &mut random);
            if is_sealed {
                seal(&mut bytes);
            }
            disk.put(Path::new(path), &bytes);
        }
        let is_typed = |error: &Error| match error {
            Error::Corrupt { .. } | Error::Version { .. } | Error::OutOfMemory { .. } => {}
            error => panic!("case {case}: {error}"),
        };
        let verified = verify_on(&disk, Path::new(DIRECTORY), true, &Work::default());
        let read = read_on(&disk);
        match (&read, &verified) {
            (Ok(index), Ok(found)) => {
                assert_eq!((found.problems.len(), found.rows), (0, Some(index.len())), "case {case}: {found:?}");
            }
            (Err(error), Ok(found)) => assert!(!found.problems.is_empty(), "case {case}: {error}"),
            (Err(error), Err(_)) => is_typed(error),
            (Ok(_), Err(error)) => panic!("case {case}: {error}"),
        }
        if let Ok(index) = read {
            let found = contents(&index);
            assert!(is_sealed || states.contains(&found), "case {case}: {found:?}");
            opened += 1;
            whole += usize::from(found == states[states.len() - 1]);
        }
        if case % 8 == 0 {
            match recover_on(&disk, Path::new(DIRECTORY), Path::new("copy"), true, &Work::default()) {
                Ok(_) => {
                    let copy = open_to_read(&disk, Path::new("copy"), &GivenOptions::default()).unwrap();
                    let found = contents(&copy);
                    assert!(is_sealed || states.contains(&found), "case {case}: {found:?}");
                    recovered += 1;
                }
                Err(error) => is_typed(&error),
            }
        }
    }
    // Neither all nor none.
    assert!((CASES / 20..CASES / 10 * 9).contains(&opened), "{opened} of {CASES} opened, {whole} whole");
    assert!(whole > CASES / 50 && whole < opened / 10 * 9, "{whole} of {opened} whole");
    assert!(recovered > CASES / 10, "{recovered} of {} recovered", CASES / 8);
}
