//! Files of this format version, committed: each is read, and written again byte for byte by the calls that made it.
//!
//! A change of the graph changes these files, not the format. Then
//! `VICINAL_UPDATE_GOLDEN=1 cargo test -p vicinal-core --test golden` writes them anew; commit them with the change. A change
//! of the format needs another version in `storage/header.rs`, and docs/file-format.md.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::PathBuf;

use vicinal_core::{Dtype, Id, IdType, Ids, Index, Metric, Options, SearchOptions, Work};

const DIMENSIONS: usize = 5;

type Kind = (&'static str, Dtype, IdType, Metric);

const KINDS: [Kind; 6] = [
    ("f32-number-l2", Dtype::F32, IdType::Number, Metric::L2),
    ("f32-string-cosine", Dtype::F32, IdType::String, Metric::Cosine),
    ("f16-bigint-ip", Dtype::F16, IdType::BigInt, Metric::InnerProduct),
    ("i8-string-ip", Dtype::I8, IdType::String, Metric::InnerProduct),
    ("i8-number-cosine", Dtype::I8, IdType::Number, Metric::Cosine),
    ("u8-bigint-l2", Dtype::U8, IdType::BigInt, Metric::L2),
];

fn path_of(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name).with_extension("vicinal")
}

fn ids(id_type: IdType, numbers: std::ops::Range<u64>) -> Ids {
    match id_type {
        IdType::Number => Ids::Keys(numbers.map(|number| (number as i64 - 9).cast_unsigned()).collect()),
        IdType::BigInt => Ids::Keys(numbers.map(|number| u64::MAX - number).collect()),
        IdType::String => {
            let texts: Vec<String> =
                numbers.map(|number| format!("{}{number}", "ü".repeat(number as usize % 3))).collect();
            Ids::Texts(texts.iter().map(String::as_str).collect())
        }
    }
}

/// Whole numbers that every type has, some rows equal to earlier ones.
fn row(number: u64) -> [f32; DIMENSIONS] {
    let number = if number % 9 == 8 { number / 2 } else { number };
    let mut z = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0xD1B5_4A32_D192_ED03;
    [0; DIMENSIONS].map(|_| {
        z = (z ^ (z >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        (z >> 58) as f32 + 1.0
    })
}

fn rows(numbers: std::ops::Range<u64>) -> Vec<f32> {
    numbers.flat_map(row).collect()
}

/// An index with all that a file can hold: rows in the graph and rows that wait, equal, removed and replaced ones.
fn made((_, dtype, id_type, metric): Kind) -> Index {
    let options = Options {
        dtype,
        id_type,
        metric,
        m: Some(3),
        threshold: Some(0),
        auto_migrate: false,
        seed: 11,
        ..Options::new(DIMENSIONS)
    };
    let (index, work) = (Index::new(options).unwrap(), Work::default());
    index.add(&ids(id_type, 0..50), &rows(0..50), &work).unwrap();
    index.migrate(&work).unwrap();
    index.add(&ids(id_type, 50..60), &rows(50..60), &work).unwrap();
    index.remove(&ids(id_type, 20..25)).unwrap();
    index.upsert(&ids(id_type, 30..33), &rows(70..73), &work).unwrap();
    index
}

#[test]
fn the_same_calls_write_the_committed_files() {
    for kind in KINDS {
        let (bytes, path) = (made(kind).to_bytes(&Work::default()).unwrap(), path_of(kind.0));
        if std::env::var_os("VICINAL_UPDATE_GOLDEN").is_some() {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, &bytes).unwrap();
        }
        let committed = fs::read(&path).unwrap();
        let first = bytes.iter().zip(&committed).position(|(a, b)| a != b);
        assert!(bytes == committed, "{}: byte {first:?} is another; see the top of this file", kind.0);
    }
}

#[test]
fn committed_files_are_read() {
    for kind @ (name, _, id_type, _) in KINDS {
        let path = path_of(name);
        let bytes = fs::read(&path).unwrap();
        let work = Work::default();
        let loaded = Index::load(&path, None, Some(id_type), &work).unwrap();
        let viewed = Index::view(&path, None, Some(id_type), &work).unwrap();
        let of_bytes = Index::from_bytes(bytes.clone(), None, Some(id_type), &work).unwrap();
        for index in [&loaded, &viewed, &of_bytes] {
            assert_eq!((index.len(), index.options().m), (55, Some(3)), "{name}");
            let (all, live) = (ids(id_type, 0..60), |number: usize| !(20..25).contains(&number));
            for (number, id) in all.iter().enumerate() {
                let expected = match number {
                    30..33 => row(number as u64 + 40),
                    _ => row(number as u64),
                };
                assert_eq!(index.get(id).unwrap(), live(number).then(|| expected.to_vec()), "{name}: {id:?}");
            }
            let verified = index.verify(55, 5, Some(60), &work).unwrap();
            assert_eq!((verified.recall, verified.unreachable), (1.0, 0), "{name}");
            let options = SearchOptions { k: 4, ..SearchOptions::default() };
            let (found, expected) = (index.search(&row(80), &options).unwrap(), made(kind).search(&row(80), &options));
            assert_eq!(found.distances, expected.unwrap().distances, "{name}");
            assert!(!matches!(found.ids.get(0), Id::Text("")));
            assert!(index.to_bytes(&work).unwrap() == bytes, "{name}: other bytes");
        }
    }
}

/// Of everything but the padding between sections, and by its own message.
#[test]
fn a_newer_version_or_an_unknown_feature_is_refused() {
    let bytes = fs::read(path_of(KINDS[0].0)).unwrap();
    for (at, what) in [(8, "major version"), (10, "minor version"), (16, "required feature")] {
        let mut bytes = bytes.clone();
        bytes[at] |= 8;
        let mut page = bytes[..4_096].to_vec();
        page[40..48].fill(0);
        bytes[40..48].copy_from_slice(&xxhash_rust::xxh3::xxh3_64(&page).to_le_bytes());
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("newer");
        fs::write(&path, &bytes).unwrap();
        let work = Work::default();
        let refused = [
            Index::load(&path, None, None, &work),
            Index::view(&path, None, None, &work),
            Index::from_bytes(bytes, None, None, &work),
        ];
        for refused in refused {
            let error = refused.map(|_| ()).unwrap_err();
            assert_eq!(error.code(), "ERR_VERSION", "{what}: {error}");
        }
    }
}
