//! What a segment of the log is made of: a header, then frames. docs/file-format.md draws both.

use crate::error::{Error, Result};
use crate::storage::FileName;

/// As an index has it, but for one letter.
const MAGIC: [u8; 8] = *b"\x89VCNW\r\n\x1a";

const MAJOR: u16 = 0;
const MINOR: u16 = 1;
const ENDIAN: u32 = 0x0102_0304;

/// Frames begin at multiples of it.
pub(super) const ALIGNMENT: usize = 8;

/// Bytes of a CRC32C.
pub(super) const CHECKSUM: usize = 4;

/// The beginning of a segment. It is durable before there is a frame behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    /// That of the directory, so that a segment of another one is not taken for its own.
    pub(super) identity: u64,
    /// Stands in every frame of the segment and in no other.
    pub(super) salt: u64,
}

impl SegmentHeader {
    pub(super) const BYTES: usize = 40;

    pub(super) fn encode(&self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..10].copy_from_slice(&MAJOR.to_le_bytes());
        bytes[10..12].copy_from_slice(&MINOR.to_le_bytes());
        bytes[12..16].copy_from_slice(&ENDIAN.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.identity.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.salt.to_le_bytes());
        let checksum = crc32c::crc32c(&bytes[..32]);
        bytes[32..36].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// `identity` is that of the directory, if it is known.
    pub(super) fn decode(bytes: &[u8; Self::BYTES], identity: Option<u64>, name: FileName<'_>) -> Result<Self> {
        if bytes[..8] != MAGIC {
            return Err(name.corrupt("another kind of file", "a segment of a log"));
        }
        let (major, minor) = (u16_at(bytes, 8), u16_at(bytes, 10));
        if (major, minor) != (MAJOR, MINOR) {
            let (got, expected) = (format!("{major}.{minor}"), format!("{MAJOR}.{MINOR}"));
            return Err(Error::Version { path: name.path(), got, expected });
        }
        let header = Self { identity: u64_at(bytes, 16), salt: u64_at(bytes, 24) };
        if *bytes != header.encode() {
            return Err(name.corrupt("a damaged header", "one that fits its checksum"));
        }
        match identity {
            Some(identity) if identity != header.identity => {
                let got = format!("a segment of log {:016x}", header.identity);
                Err(name.corrupt(got, format!("{identity:016x}, as the snapshot says")))
            }
            _ => Ok(header),
        }
    }
}

/// The beginning of a frame. The payload follows, then zeros so that the frame ends at a multiple of
/// [`ALIGNMENT`], and last a CRC32C of all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FrameHeader {
    /// What the payload is; not 0.
    pub(super) kind: u8,
    pub(super) salt: u64,
    /// One more than that of the frame before.
    pub(super) sequence: u64,
    /// Frames up to this number were durable when this one was written.
    pub(super) synced: u64,
    /// Bytes of the payload.
    pub(super) length: u64,
}

impl FrameHeader {
    pub(super) const BYTES: usize = 40;

    pub(super) fn encode(&self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[4] = self.kind;
        bytes[8..16].copy_from_slice(&self.salt.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.sequence.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.synced.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.length.to_le_bytes());
        let checksum = crc32c::crc32c(&bytes[4..]);
        bytes[..4].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// The header of a frame of the segment with `salt`, of which at most `room` bytes are in the file.
    pub(super) fn decode(bytes: &[u8; Self::BYTES], salt: u64, room: u64) -> Option<Self> {
        let header = Self {
            kind: bytes[4],
            salt: u64_at(bytes, 8),
            sequence: u64_at(bytes, 16),
            synced: u64_at(bytes, 24),
            length: u64_at(bytes, 32),
        };
        let is_sound = header.salt == salt && header.kind != 0 && header.encode() == *bytes;
        (is_sound && header.length <= room && header.whole() <= room).then_some(header)
    }

    /// Bytes of the frame, whose payload must be in memory or in a file.
    pub(super) fn whole(&self) -> u64 {
        Self::BYTES as u64 + self.length + self.tail() as u64
    }

    /// Bytes after the payload: zeros, and a checksum that ends where the next frame may begin.
    pub(super) fn tail(&self) -> usize {
        let past = (self.length as usize % ALIGNMENT) + CHECKSUM;
        past.next_multiple_of(ALIGNMENT) - past + CHECKSUM
    }

    /// Whether `rest`, payload and tail behind `header`, are as they were written.
    pub(super) fn fits(&self, header: &[u8], rest: &[u8]) -> bool {
        let Some((body, checksum)) = rest.split_last_chunk::<CHECKSUM>() else {
            return false;
        };
        let computed = crc32c::crc32c_append(crc32c::crc32c(header), body);
        let is_padded = body.get(self.length as usize..).is_some_and(|padding| padding.iter().all(|&byte| byte == 0));
        is_padded && computed == u32::from_le_bytes(*checksum)
    }
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let field = bytes.get(at..).and_then(|rest| rest.first_chunk().copied());
    u64::from_le_bytes(field.unwrap_or_default())
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    let field = bytes.get(at..).and_then(|rest| rest.first_chunk().copied());
    u16::from_le_bytes(field.unwrap_or_default())
}
