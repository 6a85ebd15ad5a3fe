//! Damaged and forged files: a typed error, or an index that works; never a panic, never memory without reason.

use super::super::section as id;
use super::seal::{BLOCK, PAGE, seal};
use super::*;
use crate::error::Error;

/// A small index with all that a file can hold.
fn sample(id_type: IdType) -> (Index, Vec<u8>) {
    let index = live_through(Life::Full, options(id_type, Metric::Cosine));
    let bytes = saved(&index);
    (index, bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

/// The sections that there are.
pub(super) fn sections(bytes: &[u8]) -> Vec<u32> {
    (0..u32_at(bytes, 144) as usize).map(|index| u32_at(bytes, 152 + 32 * index)).collect()
}

/// Where the table says that section `id` is.
pub(super) fn section(bytes: &[u8], id: u32) -> std::ops::Range<usize> {
    let entry = entry(bytes, id);
    let (offset, length) = (u64_at(bytes, entry + 8) as usize, u64_at(bytes, entry + 16) as usize);
    offset..offset + length
}

/// Where the table's entry of section `id` is.
fn entry(bytes: &[u8], id: u32) -> usize {
    let entries = (0..u32_at(bytes, 144) as usize).map(|index| 152 + 32 * index);
    entries.into_iter().find(|&entry| u32_at(bytes, entry) == id).unwrap()
}

/// The bytes of section `id` and those of the checksums behind it.
pub(super) fn with_checksums(bytes: &[u8], id: u32) -> [std::ops::Range<usize>; 2] {
    let section = section(bytes, id);
    let checksums = section.end.next_multiple_of(8);
    [section.clone(), checksums..checksums + 8 * section.len().div_ceil(BLOCK)]
}

/// The error of a file that `change` was made to, with the right checksums.
fn forged(id_type: IdType, change: impl FnOnce(&mut Vec<u8>)) -> Error {
    let (_, mut bytes) = sample(id_type);
    change(&mut bytes);
    seal(&mut bytes);
    loaded(&bytes).map(|index| index.options().clone()).unwrap_err()
}

fn put_u32(bytes: &mut [u8], at: usize, value: u32) {
    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

fn put_u64(bytes: &mut [u8], at: usize, value: u64) {
    bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
}

#[test]
fn a_file_cut_at_any_length_is_corrupt() {
    let (_, bytes) = sample(IdType::String);
    for length in 0..bytes.len() {
        assert!(matches!(loaded(&bytes[..length]), Err(Error::Corrupt { .. })), "{length} bytes");
    }
    let longer = [&bytes[..], &[0]].concat();
    assert!(matches!(loaded(&longer), Err(Error::Corrupt { .. })));
}

#[test]
fn a_changed_byte_is_found_wherever_it_matters() {
    let (index, mut bytes) = sample(IdType::String);
    let used: Vec<_> = sections(&bytes).into_iter().flat_map(|id| with_checksums(&bytes, id)).collect();
    let is_used = |at: usize| at < PAGE || used.iter().any(|section| section.contains(&at));
    let mut harmless = 0;
    // All that is used, and some of what fills pages up.
    for at in (0..bytes.len()).filter(|&at| is_used(at) || at % 8 == 7) {
        bytes[at] ^= 0x10;
        match loaded(&bytes) {
            Err(Error::Corrupt { .. }) => {}
            Err(Error::Version { .. }) => assert!((8..12).contains(&at), "byte {at}"),
            Err(error) => panic!("byte {at}: {error}"),
            Ok(other) => {
                assert!(!is_used(at), "byte {at} of a section or the header");
                assert_alike(&other, &index, "padding");
                harmless += 1;
            }
        }
        bytes[at] ^= 0x10;
    }
    assert!(harmless > 0);
}

/// With right checksums only the checks of what a file says stand between it and the index.
#[test]
fn a_changed_byte_with_right_checksums_is_an_error_or_an_index_that_works() {
    let (_, sound) = sample(IdType::String);
    let bytes = &sound;
    let sections: Vec<_> = sections(bytes).into_iter().map(|id| section(bytes, id)).collect();
    let table = 152 + sections.len() * 32;
    let (mut refused, mut works) = (0, 0);
    // All of the header, and of the sections every third byte, so that each byte of their numbers has its turn.
    for at in (8..table).chain(sections.into_iter().flatten().step_by(3)) {
        let mut bytes = sound.clone();
        bytes[at] ^= [0x01, 0x80, 0xFF, 0x02][at % 4];
        seal(&mut bytes);
        match loaded(&bytes) {
            Err(Error::Corrupt { .. } | Error::Version { .. }) => refused += 1,
            Err(error) => panic!("byte {at}: {error}"),
            Ok(index) => {
                if works % 5 == 0 {
                    use_up(&index);
                }
                works += 1;
            }
        }
    }
    assert!(refused > 200 && works > 200, "{refused} refused, {works} work");
}

/// Whatever was loaded can be searched, grown and saved.
fn use_up(index: &Index) {
    let dimensions = index.options().dimensions;
    let row = |number: usize| (0..dimensions).map(move |i| ((number * 31 + i * 17) % 23) as f32 + 0.5);
    let options = SearchOptions { k: 5, ..SearchOptions::default() };
    for number in 0..3 {
        index.search(&row(number).collect::<Vec<_>>(), &options).unwrap();
    }
    let ids = id_list(index.options().id_type, 10_000..10_010);
    let rows: Vec<f32> = (0..10).flat_map(row).collect();
    index.add(&ids, &rows, &Work::default()).unwrap();
    while index.migrate_step(64).unwrap() > 0 {}
    let again = loaded(&saved(index)).unwrap();
    assert_eq!(again.len(), index.len());
}

#[test]
fn other_files_and_other_versions_are_told_apart() {
    let message = |bytes: &[u8]| loaded(bytes).map(|_| ()).unwrap_err().to_string();
    assert_eq!(message(b""), "index.vicinal: got 0 bytes, expected a vicinal index, 4096 bytes or more");
    assert_eq!(message(&[7; 9_000]), "index.vicinal: got another kind of file, expected a vicinal index");

    let version = forged(IdType::Number, |bytes| bytes[8] = 3);
    assert_eq!(version.to_string(), "index.vicinal: got format version 3.4, expected 0.4");
    let feature = forged(IdType::Number, |bytes| bytes[16] = 4);
    assert!(matches!(feature, Error::Version { .. }), "{feature}");
    let minor = forged(IdType::Number, |bytes| bytes[10] = 9);
    assert!(matches!(minor, Error::Version { .. }), "{minor}");
    // A feature that a reader may pass over.
    let (index, mut bytes) = sample(IdType::Number);
    bytes[24] = 1;
    seal(&mut bytes);
    assert_alike(&loaded(&bytes).unwrap(), &index, "optional feature");
}

#[test]
fn forged_headers_are_corrupt() {
    type Change = fn(&mut Vec<u8>);
    let changes: &[(&str, Change)] = &[
        ("byte order", |bytes| bytes[12..16].reverse()),
        ("file length", |bytes| put_u64(bytes, 32, u64::MAX)),
        ("no dimensions", |bytes| put_u32(bytes, 48, 0)),
        ("many dimensions", |bytes| put_u32(bytes, 48, u32::MAX)),
        ("metric", |bytes| bytes[52] = 3),
        ("id type", |bytes| bytes[53] = 9),
        ("texts read as keys", |bytes| bytes[53] = 1),
        ("scalar kind", |bytes| bytes[54] = 1),
        ("migration", |bytes| bytes[55] = 2),
        ("m given", |bytes| put_u32(bytes, 56, 3)),
        ("graph's m", |bytes| put_u32(bytes, 60, 1 << 20)),
        ("efConstruction", |bytes| put_u64(bytes, 64, 0)),
        ("ef", |bytes| put_u64(bytes, 72, u64::MAX)),
        ("chunk size", |bytes| put_u64(bytes, 88, 0)),
        ("capacity", |bytes| put_u64(bytes, 104, (1 << 31) - 1)),
        ("slots", |bytes| put_u64(bytes, 112, u64::MAX)),
        ("slots that a link can name", |bytes| put_u64(bytes, 112, (1 << 31) - 2)),
        ("live rows", |bytes| put_u64(bytes, 120, u64::MAX)),
        ("one live row more", |bytes| bytes[120] += 1),
        ("migrated slots", |bytes| put_u64(bytes, 128, u64::MAX)),
        ("more migrated slots than lists", |bytes| bytes[128] += 1),
        ("no migrated slots", |bytes| put_u64(bytes, 128, 0)),
        ("entry point", |bytes| put_u32(bytes, 136, u32::MAX)),
        ("entry level", |bytes| put_u32(bytes, 140, 900)),
        ("entry on a lower level", |bytes| bytes[140] -= 1),
        ("sections", |bytes| put_u32(bytes, 144, 100_000)),
        ("begun in another way", |bytes| bytes[148] = 2),
        ("a section missing", |bytes| bytes[144] -= 1),
    ];
    for (what, change) in changes {
        let error = forged(IdType::String, change);
        assert!(matches!(error, Error::Corrupt { .. }), "{what}: {error}");
    }
    for (what, id, field, value) in [
        ("offset out of the file", id::VECTORS, 8, 1 << 40),
        ("offset that overflows", id::VECTORS, 8, u64::MAX - 63),
        ("offset between lines", id::VECTORS, 8, PAGE as u64 + 8),
        ("offset in another section", id::VECTORS, 8, PAGE as u64),
        ("length out of the file", id::IDS, 16, u64::MAX),
        ("length with checksums out of the file", id::NORMS, 16, 1 << 16),
        ("length that is too small", id::LINKS, 16, 8),
        ("a center of another length", id::CENTER, 16, 8),
        ("no bytes for the rows", id::VECTORS, 16, 0),
        ("an unknown id and another size of elements", id::VECTORS, 0, 99 | 8 << 32),
        ("another size of elements", id::VECTORS, 0, u64::from(id::VECTORS) | 8 << 32),
        ("one section twice", id::VECTORS, 0, u64::from(id::UPPER_LINKS) | 4 << 32),
    ] {
        let error = forged(IdType::String, |bytes| {
            let at = entry(bytes, id) + field;
            put_u64(bytes, at, value);
        });
        assert!(matches!(error, Error::Corrupt { .. }), "{what}: {error}");
    }
}

#[test]
fn forged_sections_are_corrupt() {
    let check = |what: &str, id_type, id: u32, change: &dyn Fn(&mut [u8])| {
        let error = forged(id_type, |bytes| {
            let section = section(bytes, id);
            change(&mut bytes[section]);
        });
        assert!(matches!(&error, Error::Corrupt { got, .. } if got.contains(what)), "{what}: {error}");
    };
    let text = IdType::String;
    check("removed", text, id::REMOVED, &|words| words[15] |= 0x80);
    check("live rows", text, id::REMOVED, &|words| words[0] ^= 1);
    check("id 0 at slots", IdType::Number, id::IDS, &|keys| keys.copy_within(40..48, 0));
    check("id 9007199254740992 at slot 0", IdType::Number, id::IDS, &|keys| put_u64(keys, 0, 1 << 53));
    check("id -9007199254740992 at slot 0", IdType::Number, id::IDS, &|keys| put_u64(keys, 0, u64::MAX << 53));
    check("id -9223372036854775808 at slot 0", IdType::Number, id::IDS, &|keys| put_u64(keys, 0, 1 << 63));
    // The only byte of text 5, which becomes that of text 0.
    check("id \"0\" at slots 0 and 5", text, id::TEXTS, &|texts| {
        let five = texts.iter().position(|&byte| byte == b'5').unwrap();
        texts[five] = b'0';
    });
    check("utf-8", text, id::TEXTS, &|texts| texts[0] = 0xFF);
    check("a text of 1048575 bytes at 0 for slot 1", text, id::IDS, &|ids| put_u64(ids, 8, (1 << 20) - 1));
    check("a text of 1 bytes at 7 for slot 0", text, id::IDS, &|ids| put_u64(ids, 0, 7 << 20 | 1));
    check("left of section 3", text, id::IDS, &|ids| {
        let last = ids.len() - 8;
        put_u64(ids, last, u64_at(ids, last) + 1);
    });
    check("5 links", text, id::LINKS, &|lists| (0..5).for_each(|place| put_u32(lists, 4 * place, 3)));
    check("a link to 60", text, id::LINKS, &|lists| put_u32(lists, 0, 61));
    check("a link to 2147483646", text, id::LINKS, &|lists| put_u32(lists, 0, u32::MAX));
    check("a link from node 0 to node 0", text, id::LINKS, &|lists| put_u32(lists, 0, 1));
    check("a free place", text, id::LINKS, &|lists| put_u32(lists, 60, 5));
    check("a node of slot 6", text, id::NODES, &|nodes| put_u32(nodes, 8, 6));
    check("a node of slot 0", text, id::NODES, &|nodes| nodes.copy_within(0..4, 4));
    check("a node of slot 60", text, id::NODES, &|nodes| put_u32(nodes, 0, 60));
    check("in the center", text, id::CENTER, &|center| put_u32(center, 8, f32::INFINITY.to_bits()));
    check("a unit of NaN", text, id::CENTER, &|center| put_u64(center, 0, f64::NAN.to_bits()));
    check("upper lists", text, id::UPPER_PLACES, &|places| put_u32(places, 0, u32::MAX));
    check("upper lists", text, id::UPPER_PLACES, &|places| {
        let first = places.chunks(4).position(|place| place != [0; 4]).unwrap();
        put_u32(places, 4 * first, 2);
    });
    check("nodes on level 1", text, id::LEVELS, &|levels| levels[8] ^= 1);
    check("equal to slot", text, id::GROUPS, &|pairs| pairs[0] ^= 1);
    check("4 kept links", text, id::LINKS, &|lists| {
        let list = lists.chunks(64).position(|list| u32_at(list, 12) != 0).unwrap() * 64;
        (0..4).map(|link| list + 4 * link).for_each(|at| put_u32(lists, at, u32_at(lists, at) | 1 << 31));
    });
    check("NaN", text, id::VECTORS, &|rows| rows[..4].copy_from_slice(&f32::NAN.to_le_bytes()));
    check("zero vector", text, id::VECTORS, &|rows| rows[..12].fill(0));
    check("padding", text, id::VECTORS, &|rows| rows[12] = 1);
    check("other numbers beside row 5", text, id::NORMS, &|norms| norms[20] ^= 1);
    check("a link behind", text, id::LINKS, &|lists| put_u32(lists, 60, 1 << 31));
    check("a link behind 0", text, id::LINKS, &|lists| put_u32(lists, 0, 0));
    check("another code of node 0", text, id::CODES, &|codes| codes[0] ^= 1);
    check("another code of node 0", text, id::SCALARS, &|scalars| scalars[4] ^= 1);
    check("padding of another kind in code 1", text, id::CODES, &|codes| codes[64 + 3] = 0);
    check("NaN beside a code", text, id::SCALARS, &|scalars| put_u32(scalars, 8, f32::NAN.to_bits()));
}

#[test]
fn forged_terms_are_corrupt() {
    for dtype in [Dtype::I8, Dtype::U8] {
        for metric in [Metric::L2, Metric::InnerProduct] {
            let mut bytes = saved(&live_through(Life::Full, Options { dtype, ..options(IdType::Number, metric) }));
            let last = section(&bytes, id::TERMS).end - 1;
            bytes[last] ^= 1;
            seal(&mut bytes);
            let error = loaded(&bytes).map(|_| ()).unwrap_err();
            assert!(
                matches!(&error, Error::Corrupt { got, .. } if got.contains("other numbers beside row")),
                "{error}"
            );
        }
    }
}

#[test]
fn a_node_that_no_path_leads_to_is_found() {
    // Node 1 and the links to it: only the links to others stay.
    let error = forged(IdType::Number, |bytes| {
        let lists = section(bytes, id::LINKS);
        for list in lists.clone().step_by(64) {
            let links: Vec<usize> = (list..list + 64).step_by(4).filter(|&at| u32_at(bytes, at) != 0).collect();
            let is_one = |link: u32| link & !(1 << 31) == 2;
            for &at in links.iter().filter(|&&at| is_one(u32_at(bytes, at))).collect::<Vec<_>>() {
                // Another link of the list twice: harmless.
                let other = links.iter().map(|&at| u32_at(bytes, at)).find(|&link| !is_one(link));
                let other = other.unwrap_or(if list == lists.start { 3 } else { 1 });
                put_u32(bytes, at, other & !(1 << 31));
            }
        }
    });
    assert!(matches!(&error, Error::Corrupt { got, .. } if got.contains("node 1, to which no path leads")), "{error}");
}

/// In a view, what was forged may go wrong only as far as answers are concerned.
#[test]
fn a_view_of_a_changed_byte_with_right_checksums_is_an_error_or_answers() {
    let directory = tempfile::tempdir().unwrap();
    for (id_type, dtype) in [(IdType::String, Dtype::F32), (IdType::Number, Dtype::I8)] {
        let index = live_through(Life::Full, Options { dtype, ..options(id_type, Metric::Cosine) });
        let sound = saved(&index);
        let bytes = &sound;
        let sections: Vec<_> = sections(bytes).into_iter().map(|id| section(bytes, id)).collect();
        let (table, mut corrupt, mut fine) = (152 + sections.len() * 32, 0, 0);
        for at in (8..table).chain(sections.into_iter().flatten().step_by(3)) {
            let mut bytes = sound.clone();
            bytes[at] ^= [0x01, 0x80, 0xFF, 0x02][at % 4];
            seal(&mut bytes);
            let path = directory.path().join("forged");
            std::fs::write(&path, &bytes).unwrap();
            match Index::view(&path, None, None, &Work::default()).and_then(|view| read_all(&view)) {
                Err(Error::Corrupt { .. } | Error::Version { .. }) => corrupt += 1,
                // Of a duplicate that is not seen where nobody looks at all.
                Err(Error::InvalidArgument { .. }) => fine += 1,
                Err(error) => panic!("byte {at}: {error}"),
                Ok(()) => fine += 1,
            }
        }
        assert!(corrupt > 100 && fine > 100, "{corrupt} corrupt, {fine} fine");
    }
}

fn read_all(index: &Index) -> Result<()> {
    let ids = id_list(index.options().id_type, 0..90);
    for exact in [false, true] {
        let filter = exact.then(|| index.id_set(&ids)).transpose()?;
        let options = SearchOptions { k: 5, exact, filter, ..SearchOptions::default() };
        let query: Vec<f32> = (0..index.options().dimensions).map(|i| i as f32 + 0.5).collect();
        index.search(&query, &options)?;
        index.search_batch(query.repeat(3), &options, &Work::default())?;
    }
    index.keys()?.next_block(usize::MAX)?;
    index.get_many(&ids)?;
    index.stats()?;
    index.verify(5, 3, None, &Work::default())?;
    index.to_bytes(&Work::default()).map(drop)
}
