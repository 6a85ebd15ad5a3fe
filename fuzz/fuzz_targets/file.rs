//! Files, with checksums as they come or made right, as the byte behind them says: loaded and viewed, they are refused or
//! work.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vicinal_core::{Index, Result, SearchOptions, Work};
use xxhash_rust::xxh3::xxh3_64;

const PAGE: usize = 4_096;
const BLOCK: usize = 64 << 10;

fuzz_target!(|input: &[u8]| {
    let Some((flag, bytes)) = input.split_last() else {
        return;
    };
    let mut bytes = bytes.to_vec();
    if flag & 1 == 1 && bytes.len() >= PAGE {
        seal(&mut bytes);
    }
    let file = tempfile::NamedTempFile::new().and_then(|file| std::fs::write(file.path(), &bytes).map(|()| file));
    if let Ok(file) = file {
        let _ = Index::view(file.path(), None, None, &Work::default()).and_then(|index| search(&index));
    }
    let _ = Index::from_bytes(bytes, None, None, &Work::default()).and_then(|index| search(&index));
});

fn search(index: &Index) -> Result<()> {
    let query = vec![0.5; index.options().dimensions];
    let options = SearchOptions { k: 5, ..SearchOptions::default() };
    index.search(&query, &options)?;
    index.search(&query, &SearchOptions { exact: true, ..options })?;
    index.keys()?.next_block(100)?;
    index.to_bytes(&Work::default()).map(drop)
}

/// Makes all checksums right, as docs/file-format.md has them, so that what lies behind them is reached.
fn seal(bytes: &mut [u8]) {
    let number = |bytes: &[u8], at: usize| {
        let field = bytes[at..].first_chunk().copied();
        u64::from_le_bytes(field.unwrap_or_default()) as usize
    };
    let length = bytes.len() as u64;
    bytes[32..40].copy_from_slice(&length.to_le_bytes());
    for entry in (0..(number(bytes, 144) & 0xFFFF_FFFF).min(123)).map(|index| 152 + 32 * index) {
        let (offset, length) = (number(bytes, entry + 8), number(bytes, entry + 16));
        let Some(section) = bytes.get(offset..offset.saturating_add(length)) else {
            continue;
        };
        let checksums: Vec<u8> = section.chunks(BLOCK).flat_map(|block| xxh3_64(block).to_le_bytes()).collect();
        let start = (offset + length).next_multiple_of(8);
        if let Some(stored) = bytes.get_mut(start..start + checksums.len()) {
            stored.copy_from_slice(&checksums);
        }
        bytes[entry + 24..entry + 32].copy_from_slice(&xxh3_64(&checksums).to_le_bytes());
    }
    bytes[40..48].fill(0);
    let checksum = xxh3_64(&bytes[..PAGE]);
    bytes[40..48].copy_from_slice(&checksum.to_le_bytes());
}
