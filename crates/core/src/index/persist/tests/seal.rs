//! Makes changed files look whole, so that what lies behind the checksums is reached. Also part of the fuzz target `file`.

use xxhash_rust::xxh3::xxh3_64;

/// Bytes of the header.
pub(super) const PAGE: usize = 4_096;

/// Bytes that have a checksum of their own.
pub(super) const BLOCK: usize = 64 << 10;

/// Makes all checksums of a file right, as docs/file-format.md has them.
pub(super) fn seal(bytes: &mut [u8]) {
    let number = |bytes: &[u8], at: usize| {
        let field = bytes[at..].first_chunk().copied();
        u64::from_le_bytes(field.unwrap_or_default()) as usize
    };
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
