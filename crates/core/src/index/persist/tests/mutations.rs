//! Files with seeded mutations, most with checksums that are right again: a typed error or an index that works, never a
//! panic, a hang or memory without reason.

use std::fs;

use super::seal::seal;
use super::*;
use crate::error::Error;

/// Loads; one case in so many is viewed as well.
const CASES: usize = 50_000;
const VIEWED: usize = 10;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    /// A number that programs go wrong at, or any.
    fn number(&mut self) -> u64 {
        let any = self.next();
        let edges = [0, 1, 15, 16, 63, 64, 127, 255, 4_095, 1 << 16, 1 << 20, 1 << 31, u64::MAX >> 1, u64::MAX];
        match self.below(3) {
            0 => any,
            1 => any % 80,
            _ => edges[self.below(edges.len())].wrapping_add(any % 3).wrapping_sub(1),
        }
    }
}

/// Changes something: bytes, numbers, a range, the length.
fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    // The header is small and matters most.
    let end = if random.below(3) == 0 { 700.min(bytes.len()) } else { bytes.len() };
    let at = random.below(end);
    match random.below(8) {
        0 => bytes[at] ^= 1 << random.below(8),
        1 => bytes[at] = random.next() as u8,
        2 | 3 => {
            let (at, number) = (at / 4 * 4, random.number() as u32);
            bytes.get_mut(at..at + 4).into_iter().for_each(|field| field.copy_from_slice(&number.to_le_bytes()));
        }
        4 | 5 => {
            let (at, number) = (at / 8 * 8, random.number());
            bytes.get_mut(at..at + 8).into_iter().for_each(|field| field.copy_from_slice(&number.to_le_bytes()));
        }
        6 => {
            let (from, count) = (random.below(bytes.len()), 1 + random.below(64));
            let count = count.min(bytes.len() - from.max(at));
            bytes.copy_within(from..from + count, at);
        }
        _ if random.below(4) > 0 => bytes[at..].iter_mut().take(8).for_each(|byte| *byte = 0),
        _ if random.below(2) == 0 => bytes.truncate(at),
        _ => bytes.resize(bytes.len() + random.below(200), 7),
    }
}

/// What a file may turn out to be.
fn check(what: &str, outcome: Result<()>) -> usize {
    match outcome {
        Ok(()) => 1,
        Err(Error::Corrupt { .. } | Error::Version { .. } | Error::OutOfMemory { .. }) => 0,
        Err(error) => panic!("{what}: {error}"),
    }
}

fn use_briefly(index: &Index) -> Result<()> {
    let options = SearchOptions { k: 3, ..SearchOptions::default() };
    let query = vec![0.5; index.options().dimensions];
    index.search(&query, &options)?;
    index.search(&query, &SearchOptions { exact: true, ..options })?;
    index.has(id_list(index.options().id_type, 0..1).get(0))?;
    index.keys()?.next_block(9)?;
    Ok(())
}

#[test]
fn mutated_files_are_refused_or_work() {
    let mut files = Vec::new();
    for (number, dtype) in Dtype::ALL.into_iter().cycle().take(8).enumerate() {
        let id_type = [IdType::Number, IdType::String, IdType::BigInt][number % 3];
        let metric = [Metric::L2, Metric::Cosine, Metric::InnerProduct][number / 2 % 3];
        let life = if number < 6 { Life::Full } else { LIVES[number - 5] };
        files.push(saved(&live_through(life, Options { dtype, ..options(id_type, metric) })));
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(NAME);
    let mut random = Random(2_026);
    let (mut worked, mut viewed) = (0, 0);
    for case in 0..CASES {
        let mut bytes = files[case % files.len()].clone();
        for _ in 0..1 + random.below(3) {
            if !bytes.is_empty() {
                mutate(&mut bytes, &mut random);
            }
        }
        let length = bytes.len() as u64;
        if random.below(8) > 0 && bytes.len() >= 4_096 {
            bytes[32..40].copy_from_slice(&length.to_le_bytes());
            seal(&mut bytes);
        }
        let what = format!("case {case}");
        if case % VIEWED == 0 {
            fs::write(&path, &bytes).unwrap();
            let view = Index::view(&path, None, None, &Work::default());
            viewed += check(&what, view.and_then(|view| use_briefly(&view)));
        }
        let loaded = Index::from_bytes(bytes, None, None, &Work::default());
        worked += check(&what, loaded.and_then(|index| use_briefly(&index)));
    }
    // Neither all nor none: mutations reach what lies behind the first checks.
    assert!((CASES / 50..CASES / 2).contains(&worked), "{worked} of {CASES} loaded");
    assert!((CASES / VIEWED / 50..CASES / VIEWED / 10 * 9).contains(&viewed), "{viewed} viewed");
}
