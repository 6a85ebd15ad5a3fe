//! Reading a log, and telling a tail that a crash has torn from damage.
//!
//! A crash of the process leaves the last frame incomplete. A power loss may leave anything of what was not synced: any
//! part of the last frames may be missing, in any order. All of that is cut. What must not be cut is what was durable, so
//! every frame says how far the log was synced when it was written. A frame that is not sound is damage, and the log is
//! refused, if a later frame proves that it was durable, or if a later frame is there and nothing of it is missing.

use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::frame::{ALIGNMENT, FrameHeader, SegmentHeader};
use super::number_of;
use crate::error::{Error, Result};
use crate::storage::{Disk, DiskFile, FileName, UNIT};

/// What a disk writes as a whole: what a power loss leaves of it is old or new.
const SECTOR: usize = 512;

/// A frame that was read.
pub(crate) struct Frame<'a> {
    pub(crate) kind: u8,
    pub(crate) payload: &'a [u8],
    /// The segment, for errors about it.
    pub(crate) name: FileName<'a>,
}

/// What is known of a log that was read.
#[derive(Debug, Default)]
pub(crate) struct Recovered {
    /// The number of the last frame.
    pub(crate) sequence: u64,
    /// Bytes of the frames that were needed.
    pub(crate) bytes: u64,
    /// Segments with frames that are needed.
    pub(crate) used: Vec<PathBuf>,
    /// Segments without. Before there is another segment, they must go.
    pub(crate) unused: Vec<PathBuf>,
    /// The number for the next segment.
    pub(crate) next: u64,
    /// Bytes of what crashes have torn.
    pub(crate) torn: u64,
}

/// Hands the frames of a log to `apply`, in order, from the one after `from` on. `identity` is that of the directory, if it
/// is known.
pub(crate) fn replay(
    disk: &dyn Disk,
    directory: &Path,
    names: &[String],
    identity: Option<u64>,
    from: u64,
    apply: &mut dyn FnMut(Frame<'_>) -> Result<()>,
) -> Result<Recovered> {
    let numbers = numbered(directory, names);
    let mut recovered = Recovered { sequence: from, ..Recovered::default() };
    recovered.next = numbers.last().map_or(1, |&(number, _)| number + 1);

    let mut segments = Vec::with_capacity(numbers.len());
    for (_, path) in numbers {
        match Segment::open(disk, &path, identity)? {
            Some(segment) => segments.push(segment),
            None => recovered.unused.push(path),
        }
    }
    let mut walk = Walk { from, next: None, recovered, apply };
    let mut rest = &mut segments[..];
    while let Some((segment, later)) = rest.split_first_mut() {
        rest = walk.segment(segment, later)?;
    }
    Ok(walk.recovered)
}

/// The segments among the files of a directory, in order.
pub(super) fn numbered(directory: &Path, names: &[String]) -> Vec<(u64, PathBuf)> {
    let mut numbers: Vec<(u64, PathBuf)> =
        names.iter().filter_map(|name| Some((number_of(name)?, directory.join(name)))).collect();
    numbers.sort_unstable();
    numbers
}

struct Walk<'a> {
    from: u64,
    /// The number that the next frame must have; `None` before the first.
    next: Option<u64>,
    recovered: Recovered,
    apply: &'a mut dyn FnMut(Frame<'_>) -> Result<()>,
}

impl Walk<'_> {
    /// Reads a segment to its end, or to its first frame that is not sound. Those of `later` to go on with.
    fn segment<'s>(&mut self, segment: &mut Segment, later: &'s mut [Segment]) -> Result<&'s mut [Segment]> {
        let mut next = self.next.or(segment.first).unwrap_or(self.from + 1);
        if self.is_unused() && next > self.from + 1 {
            let got = format!("a log that begins with write {next}");
            return Err(FileName(&segment.path).corrupt(got, format!("at most {}", self.from + 1)));
        }
        let before = self.recovered.bytes;
        let Self { recovered, apply, .. } = self;
        next = segment.hand_over(next, self.from, apply, |header| {
            recovered.sequence = header.sequence;
            recovered.bytes += header.whole();
        })?;
        self.recovered.torn += segment.length - segment.position;
        let is_unused = self.recovered.bytes == before;
        let list = if is_unused { &mut self.recovered.unused } else { &mut self.recovered.used };
        list.push(segment.path.clone());

        let following = later.iter().enumerate().find_map(|(position, later)| Some((position, later.first?)));
        let goes_on = |first| first == next || (self.is_unused() && first <= self.from + 1);
        let rest = match following {
            // Where an earlier opening has cut the log, it went on in another segment.
            Some((position, first)) if goes_on(first) => {
                self.next = Some(first);
                position
            }
            _ => {
                segment.check_tail(next.max(self.from + 1), later)?;
                later.len()
            }
        };
        let (unused, rest) = later.split_at_mut(rest);
        self.recovered.unused.extend(unused.iter().map(|segment| segment.path.clone()));
        Ok(rest)
    }

    /// Whether no frame was needed so far.
    fn is_unused(&self) -> bool {
        self.recovered.sequence == self.from
    }
}

pub(super) struct Segment {
    pub(super) path: PathBuf,
    file: BufReader<Box<dyn DiskFile>>,
    salt: u64,
    /// The number of its first frame, if that is sound.
    pub(super) first: Option<u64>,
    /// Where the next frame begins, and where the file ends.
    position: u64,
    length: u64,
    /// Payload and tail of the last frame that was read.
    body: Vec<u8>,
}

impl Segment {
    /// `None` for a file in which no frame was ever written.
    pub(super) fn open(disk: &dyn Disk, path: &Path, identity: Option<u64>) -> Result<Option<Self>> {
        let name = FileName(path);
        let file = disk.open(path).map_err(name.io("opening"))?;
        let length = file.length().map_err(name.io("opening"))?;
        let mut file = BufReader::with_capacity(UNIT, file);
        let position = SegmentHeader::BYTES as u64;
        if length < position {
            return Ok(None);
        }
        let mut header = [0; SegmentHeader::BYTES];
        file.read_exact(&mut header).map_err(name.io("reading"))?;
        let SegmentHeader { salt, .. } = SegmentHeader::decode(&header, identity, name)?;
        let mut segment =
            Self { path: path.to_path_buf(), file, salt, first: None, position, length, body: Vec::new() };
        segment.first = segment.read_any()?.map(|header| header.sequence);
        segment.rewind()?;
        Ok(Some(segment))
    }

    /// Hands the frames from number `next` on to `apply`, as long as they are sound, but for those up to `from`; `applied` is
    /// told of each. The number of the frame after the last.
    pub(super) fn hand_over(
        &mut self,
        mut next: u64,
        from: u64,
        apply: &mut dyn FnMut(Frame<'_>) -> Result<()>,
        mut applied: impl FnMut(&FrameHeader),
    ) -> Result<u64> {
        while let Some(header) = self.read(next)? {
            if next > from {
                apply(self.frame(&header))?;
                applied(&header);
            }
            next += 1;
        }
        Ok(next)
    }

    /// The next frame, if it is sound and has the number `next`; its payload is the beginning of `body`.
    fn read(&mut self, next: u64) -> Result<Option<FrameHeader>> {
        let header = self.read_any()?.filter(|header| header.sequence == next);
        self.position += header.map_or(0, |header| header.whole());
        Ok(header)
    }

    /// The payload of the frame that was read, and what is known of it.
    fn frame(&self, header: &FrameHeader) -> Frame<'_> {
        let payload = &self.body[..header.length as usize];
        Frame { kind: header.kind, payload, name: FileName(&self.path) }
    }

    /// Looks for sound frames with numbers above `bad` behind those that were read. The bytes there.
    pub(super) fn gather(&mut self, evidence: &mut Evidence, bad: u64) -> Result<u64> {
        let rest = self.rest()?;
        evidence.gather(&rest, self.salt, bad);
        Ok(rest.len() as u64)
    }

    fn rewind(&mut self) -> Result<()> {
        self.position = SegmentHeader::BYTES as u64;
        self.seek(self.position)
    }

    fn seek(&mut self, position: u64) -> Result<()> {
        self.file.seek(SeekFrom::Start(position)).map(|_| ()).map_err(FileName(&self.path).io("seeking"))
    }

    fn read_any(&mut self) -> Result<Option<FrameHeader>> {
        let name = FileName(&self.path);
        let room = self.length - self.position;
        if room < FrameHeader::BYTES as u64 {
            return Ok(None);
        }
        let mut bytes = [0; FrameHeader::BYTES];
        self.file.read_exact(&mut bytes).map_err(name.io("reading"))?;
        let Some(header) = FrameHeader::decode(&bytes, self.salt, room) else {
            return Ok(None);
        };
        let rest = (header.whole() - FrameHeader::BYTES as u64) as usize;
        self.body.clear();
        self.body.try_reserve(rest).map_err(|_| Error::OutOfMemory { what: "a frame of the log", bytes: rest })?;
        self.body.resize(rest, 0);
        self.file.read_exact(&mut self.body).map_err(name.io("reading"))?;
        Ok(Some(header).filter(|header| header.fits(&bytes, &self.body)))
    }

    /// Refuses a log whose frame `next`, where the reading of this segment has stopped, was not torn but damaged.
    fn check_tail(&mut self, next: u64, later: &mut [Self]) -> Result<()> {
        let bad = self.position;
        let rest = self.rest()?;
        let is_missing = is_missing(&rest, bad as usize, self.salt);
        let mut evidence = Evidence::default();
        evidence.gather(&rest, self.salt, next);
        drop(rest);
        for segment in later {
            segment.rewind()?;
            evidence.gather(&segment.rest()?, segment.salt, next);
        }
        if evidence.was_synced || (evidence.last.is_some() && !is_missing) {
            let got = format!("a damaged write {next} at byte {bad}, and sound ones after it");
            return Err(FileName(&self.path).corrupt(got, "a log without a gap"));
        }
        Ok(())
    }

    /// All from `position` on.
    fn rest(&mut self) -> Result<Vec<u8>> {
        self.seek(self.position)?;
        let bytes = (self.length - self.position) as usize;
        let mut rest = Vec::new();
        rest.try_reserve_exact(bytes).map_err(|_| Error::OutOfMemory { what: "a damaged log", bytes })?;
        rest.resize(bytes, 0);
        self.file.read_exact(&mut rest).map_err(FileName(&self.path).io("reading"))?;
        Ok(rest)
    }
}

/// What sound frames after a bad one say about it.
#[derive(Default)]
pub(super) struct Evidence {
    /// The highest number among them.
    pub(super) last: Option<u64>,
    was_synced: bool,
}

impl Evidence {
    /// Looks for sound frames with numbers above `bad` among bytes of a segment.
    fn gather(&mut self, bytes: &[u8], salt: u64, bad: u64) {
        let mut at = 0;
        while let Some(header) = bytes.get(at..).and_then(|rest| rest.first_chunk()) {
            let room = (bytes.len() - at) as u64;
            let Some(frame) = FrameHeader::decode(header, salt, room) else {
                at += ALIGNMENT;
                continue;
            };
            let end = at + frame.whole() as usize;
            if frame.sequence > bad && frame.fits(header, &bytes[at + FrameHeader::BYTES..end]) {
                self.last = self.last.max(Some(frame.sequence));
                self.was_synced |= frame.synced >= bad;
            }
            // Also behind a frame whose payload is damaged: its header is sound, so that it ends there.
            at = end;
        }
    }
}

/// Whether a part of the frame at the start of `bytes`, which stand at `offset` in the file, was never written: where the
/// file ends before it, or a sector of it is still zero.
fn is_missing(bytes: &[u8], offset: usize, salt: u64) -> bool {
    let Some(header) = bytes.first_chunk::<{ FrameHeader::BYTES }>() else {
        return true;
    };
    let whole = match FrameHeader::decode(header, salt, u64::MAX / 2) {
        Some(frame) => frame.whole(),
        // Only of the header is known where it ends.
        None => FrameHeader::BYTES as u64,
    };
    let Some(frame) = usize::try_from(whole).ok().and_then(|whole| bytes.get(..whole)) else {
        return true;
    };
    let first = SECTOR - offset % SECTOR;
    let (head, tail) = frame.split_at(first.min(frame.len()));
    std::iter::once(head).chain(tail.chunks(SECTOR)).any(|part| part.iter().all(|&byte| byte == 0))
}
