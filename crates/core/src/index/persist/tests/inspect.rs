//! Verifying and recovering files: what is damaged is named, and what is not is had again.

use std::collections::HashMap;

use super::super::section as id;
use super::damage::{section, sections, with_checksums};
use super::seal::{BLOCK, PAGE, seal};
use super::*;
use crate::error::Error;
use crate::index::inspect::{Findings, recover_on, verify_on};

const COPY: &str = "copy.vicinal";

fn verified(bytes: &[u8]) -> Findings {
    verify_on(&Simulated::with(NAME, bytes), Path::new(NAME), false, &Work::default()).unwrap()
}

/// What was said, and the new index, which must be sound. The file that was damaged is as it was.
fn recovered(bytes: &[u8]) -> Result<(Findings, Index)> {
    let disk = Simulated::with(NAME, bytes);
    let found = recover_on(&disk, Path::new(NAME), Path::new(COPY), false, &Work::default());
    assert_eq!(disk.read(NAME).unwrap(), bytes);
    assert_eq!(disk.names().len(), 1 + usize::from(found.is_ok()));
    let copy = disk.read(COPY);
    found.map(|found| {
        let copy = copy.unwrap();
        assert_eq!(verified(&copy).problems, [""; 0]);
        (found, loaded(&copy).unwrap())
    })
}

/// Ids in insertion order, with their rows.
fn contents(index: &Index) -> Vec<(String, Vec<u32>)> {
    let ids = index.keys().unwrap().next_block(usize::MAX).unwrap();
    let (rows, _) = index.get_many(&ids).unwrap();
    let bits = |row: &[f32]| row.iter().map(|value| value.to_bits()).collect();
    ids.iter().map(|id| format!("{id:?}")).zip(rows.chunks(3).map(bits)).collect()
}

fn samples() -> Vec<(Index, Vec<u8>)> {
    let kinds = [
        (IdType::String, Dtype::F32, Metric::Cosine),
        (IdType::Number, Dtype::I8, Metric::InnerProduct),
        (IdType::BigInt, Dtype::F16, Metric::L2),
        (IdType::String, Dtype::U8, Metric::Cosine),
    ];
    let live = |(id_type, dtype, metric)| live_through(Life::Full, Options { dtype, ..options(id_type, metric) });
    kinds.into_iter().map(live).map(|index| (saved(&index), index)).map(|(bytes, index)| (index, bytes)).collect()
}

#[test]
fn sound_files_have_no_problems_and_are_recovered_whole() {
    for life in LIVES {
        for (id_type, dtype) in [(IdType::String, Dtype::F32), (IdType::Number, Dtype::U8)] {
            let index = live_through(life, Options { dtype, ..options(id_type, Metric::L2) });
            let bytes = saved(&index);
            let found = verified(&bytes);
            assert_eq!((found.problems, found.rows), (Vec::new(), Some(index.len())), "{life:?}");
            let (found, again) = recovered(&bytes).unwrap();
            assert!(found.lost.is_empty() && found.notes.is_empty(), "{life:?}: {found:?}");
            assert_eq!(found.rows, Some(index.len()));
            assert_eq!(contents(&again), contents(&index), "{life:?}");
            assert_eq!(again.options(), index.options());
        }
    }
}

#[test]
fn a_code_that_is_not_its_rows_is_a_problem_though_opening_may_pass_over_it() {
    let mut bytes = saved(&live_through(Life::Full, options(IdType::Number, Metric::L2)));
    let codes = section(&bytes, id::CODES);
    bytes[codes.start + 64] ^= 1;
    seal(&mut bytes);
    assert!(loaded(&bytes).is_ok());
    let problems = verified(&bytes).problems;
    assert!(matches!(&problems[..], [problem] if problem.contains("another code of node 1")), "{problems:?}");
}

#[test]
fn every_byte_that_is_changed_is_a_problem_and_loses_no_more_than_it_must() {
    let (mut partly, mut wholly, mut not) = (0, 0, 0);
    for (index, mut bytes) in samples() {
        let before = contents(&index);
        let rows: HashMap<_, _> = before.iter().cloned().collect();
        let parts = |bytes: &[u8], id| with_checksums(bytes, id).into_iter();
        let used: Vec<_> = sections(&bytes).into_iter().flat_map(|id| parts(&bytes, id)).collect();
        let places = (0..PAGE).step_by(11).chain(used.into_iter().flatten().step_by(19));
        let removed = section(&bytes, id::REMOVED);
        for at in places {
            bytes[at] ^= 0x10;
            match verify_on(&Simulated::with(NAME, &bytes), Path::new(NAME), false, &Work::default()) {
                Ok(found) => assert!(!found.problems.is_empty(), "byte {at}"),
                Err(Error::Version { .. }) => assert!((8..12).contains(&at)),
                Err(error) => panic!("byte {at}: {error}"),
            }
            match recovered(&bytes) {
                Err(Error::Corrupt { .. } | Error::Version { .. }) => {
                    assert!(at < PAGE, "byte {at} of a section");
                    not += 1;
                }
                Err(error) => panic!("byte {at}: {error}"),
                Ok((found, again)) => {
                    let after = contents(&again);
                    // A row is had as it was or not at all; only what was removed may be back.
                    let is_there = |(id, row): &(String, Vec<u32>)| rows.get(id) == Some(row);
                    // Of a header that is damaged the scalar kind may be another, with rows of as many bytes.
                    let is_known = at >= PAGE && !removed.contains(&at);
                    assert!(!is_known || after.iter().all(is_there), "byte {at}: {found:?}");
                    if found.lost.is_empty() {
                        assert_eq!(after, before, "byte {at}: {found:?}");
                        wholly += 1;
                    } else {
                        partly += 1;
                    }
                    assert!(found.unchecked == 0 || at < PAGE, "byte {at}: {found:?}");
                }
            }
            bytes[at] ^= 0x10;
        }
    }
    assert!(partly > 400 && wholly > 400 && not > 10, "{partly} partly, {wholly} wholly, {not} not");
}

/// 5,000 rows of 64 bytes: 1,024 a block.
fn large(id_type: IdType) -> (Index, Vec<u8>) {
    let index = Index::new(options(id_type, Metric::L2)).unwrap();
    add(&index, 0..5_000);
    remove(&index, (0..5_000).step_by(100));
    let bytes = saved(&index);
    (index, bytes)
}

#[test]
fn a_damaged_block_of_rows_loses_these_rows_alone() {
    let (index, mut bytes) = large(IdType::String);
    let start = section(&bytes, id::VECTORS).start;
    bytes[start + BLOCK + 70] ^= 1;
    let found = verified(&bytes);
    let block = start + BLOCK;
    assert_eq!(
        found.problems,
        [format!(
            "{NAME}: got 1 of 5 blocks with other checksums, the first at byte {block} in section 14 (vectors), \
             expected what was written"
        )]
    );
    let (found, again) = recovered(&bytes).unwrap();
    // Of the slots of the block, ten or eleven were removed.
    let gone = 1_024..2_048;
    let expected: Vec<_> = {
        let ids = id_list(IdType::String, (0..5_000).filter(|number| !gone.contains(number) && number % 100 != 0));
        ids.iter().map(|id| format!("{id:?}")).collect()
    };
    assert_eq!(contents(&again).into_iter().map(|(id, _)| id).collect::<Vec<_>>(), expected);
    assert_eq!(found.lost, [format!("{NAME}: {} rows that cannot be read", index.len() - again.len())]);
    assert_eq!(found.notes.len(), 1);
}

#[test]
fn what_a_file_that_is_cut_off_still_has_is_had() {
    let (index, bytes) = large(IdType::Number);
    let vectors = section(&bytes, id::VECTORS);
    let before = contents(&index);
    // Within the rows: their checksums, which come behind them, are gone.
    let (found, again) = recovered(&bytes[..vectors.start + 3 * BLOCK + 640]).unwrap();
    let after = contents(&again);
    assert_eq!(after, before[..after.len()]);
    let slots: usize = 3 * 1_024 + 10;
    assert_eq!(after.len(), slots - slots.div_ceil(100));
    assert_eq!((found.unchecked, found.rows), (after.len(), Some(after.len())));
    assert_eq!(found.lost.len(), 3, "the header's length, the rest of the rows, the checksums: {found:?}");
    // Within the checksums: those that are there speak for their rows.
    let checksums = with_checksums(&bytes, id::VECTORS)[1].clone();
    let (found, again) = recovered(&bytes[..checksums.start + 16]).unwrap();
    // All checksums together still fit what is read.
    assert_eq!((found.unchecked, contents(&again) == before), (0, true), "{found:?}");
    let mut damaged = bytes[..checksums.start + 16].to_vec();
    damaged[vectors.start] ^= 1;
    let (found, again) = recovered(&damaged).unwrap();
    assert_eq!(found.unchecked, again.len() - (1_024 - 10), "the second block is sound, the first lost");
    // Before the rows there is nothing to be had; in the header neither.
    for length in [0, 100, PAGE - 1] {
        assert!(matches!(recovered(&bytes[..length]), Err(Error::Corrupt { .. })), "{length} bytes");
        assert_eq!(verified(&bytes[..length]).problems.len(), 1);
    }
    let (found, again) = recovered(&bytes[..PAGE + 100]).unwrap();
    assert_eq!((again.len(), found.unchecked), (0, 0));
    assert!(!found.lost.is_empty());
}

#[test]
fn damaged_ids_and_removed_bits_are_told() {
    let (index, mut bytes) = large(IdType::Number);
    let removed = section(&bytes, id::REMOVED).start;
    bytes[removed] ^= 1;
    let (found, again) = recovered(&bytes).unwrap();
    assert_eq!(again.len(), 5_000, "removed rows are back");
    assert!(again.len() > index.len() && found.lost[0].contains("some may be back"), "{found:?}");
    bytes[removed] ^= 1;
    let ids = section(&bytes, id::IDS).start;
    bytes[ids] ^= 1;
    let (found, again) = recovered(&bytes).unwrap();
    assert!(again.is_empty() && found.lost.len() == 1, "{found:?}");
}

/// What follows from the rest, and views use as it is: damage that no checksum tells.
#[test]
fn sections_that_say_other_than_the_rest_are_problems() {
    for (index, sound) in samples() {
        let mut met = 0;
        for id in [id::TABLE, id::CODES, id::SCALARS, id::TERMS, id::NORMS] {
            if !sections(&sound).contains(&id) || section(&sound, id).is_empty() {
                continue;
            }
            let mut bytes = sound.clone();
            bytes[section(&sound, id).start + 1] ^= 1;
            seal(&mut bytes);
            // The table is the only one that loading makes no use of.
            assert_eq!(loaded(&bytes).is_ok(), id == id::TABLE, "section {id}");
            let problems = verified(&bytes).problems;
            let expected = match id {
                id::TABLE => format!("section {id} ({}), expected what follows from the others", id::name(id)),
                id::CODES | id::SCALARS => "another code of node 0, expected that of its row".into(),
                _ => "other numbers beside row 0, expected what its values give".into(),
            };
            assert_eq!(problems, [format!("{NAME}: got {expected}")]);
            assert_eq!(contents(&recovered(&bytes).unwrap().1), contents(&index));
            met += 1;
        }
        assert!(met >= 2, "{met} sections of {:?}", index.options().dtype);
    }
}
