//! The log of writes: segments of frames, appended to and never changed. A frame holds one write, under a sequence
//! number that is one more than that of the write before.
//!
//! This module knows bytes; what a payload means, `index::durable` knows. docs/file-format.md draws segments and frames.

mod frame;
mod replay;
mod salvage;
#[cfg(test)]
mod tests;

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;

pub(crate) use replay::{Frame, Recovered, replay};
pub(crate) use salvage::{Salvaged, salvage};

use self::frame::{CHECKSUM, FrameHeader, SegmentHeader};
use super::{AppendFile, Disk, FileName, UNIT};
use crate::error::{Error, Result};

/// The open end of a log.
pub(crate) struct Log {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    identity: u64,
    tail: Mutex<Tail>,
    /// Held by the one who syncs, for all who wait.
    syncing: Mutex<()>,
    /// Frames up to this number are durable.
    synced: AtomicU64,
    /// Why nothing is written any more.
    failed: OnceLock<Error>,
}

struct Tail {
    segment: Segment,
    /// Bytes of the segment's header and frames.
    length: u64,
    /// Of the last frame.
    sequence: u64,
    /// Earlier segments with frames that may not be durable.
    unsynced: Vec<Arc<dyn AppendFile>>,
    /// Bytes of all frames since the last checkpoint.
    bytes: u64,
    buffer: Vec<u8>,
}

/// A segment that has a header, which is durable, and no frame yet.
pub(crate) struct Segment {
    file: Arc<dyn AppendFile>,
    salt: u64,
    number: u64,
    path: PathBuf,
}

impl Log {
    /// A log that goes on behind the frame `sequence`, which is durable as are all before, in a new segment of the given
    /// number, which no other may have. Frames of `bytes` bytes stand before it since the last checkpoint.
    pub(crate) fn start(
        disk: Arc<dyn Disk>,
        directory: &Path,
        identity: u64,
        number: u64,
        sequence: u64,
        bytes: u64,
    ) -> Result<Self> {
        let segment = Segment::create(&*disk, directory, identity, number)?;
        let mut buffer = Vec::new();
        let refused = |_| Error::OutOfMemory { what: "a log's buffer", bytes: UNIT };
        buffer.try_reserve_exact(UNIT).map_err(refused)?;
        let length = SegmentHeader::BYTES as u64;
        Ok(Self {
            disk,
            directory: directory.to_path_buf(),
            identity,
            tail: Mutex::new(Tail { segment, length, sequence, unsynced: Vec::new(), bytes, buffer }),
            syncing: Mutex::new(()),
            synced: AtomicU64::new(sequence),
            failed: OnceLock::new(),
        })
    }

    pub(crate) fn identity(&self) -> u64 {
        self.identity
    }

    /// The number of the last frame.
    pub(crate) fn sequence(&self) -> u64 {
        self.tail.lock().sequence
    }

    /// Bytes of the frames since the last checkpoint.
    pub(crate) fn bytes(&self) -> u64 {
        self.tail.lock().bytes
    }

    /// Why nothing is written any more, if so.
    pub(crate) fn check(&self) -> Result<()> {
        self.failed.get().map_or(Ok(()), |error| Err(error.clone()))
    }

    /// Appends a frame of what `write` puts, which must be `length` bytes. Where it fails, the log is as it was.
    pub(crate) fn append(
        &self,
        kind: u8,
        length: u64,
        write: impl FnOnce(&mut Payload<'_>) -> Result<()>,
    ) -> Result<()> {
        self.check()?;
        let tail = &mut *self.tail.lock();
        let synced = self.synced.load(Ordering::Acquire);
        let header = FrameHeader { kind, salt: tail.segment.salt, sequence: tail.sequence + 1, synced, length };
        let name = FileName(&tail.segment.path);
        let mut buffer = std::mem::take(&mut tail.buffer);
        buffer.clear();
        let mut payload = Payload { file: &*tail.segment.file, name, buffer, checksum: 0 };
        let written =
            payload.put(&header.encode()).and_then(|()| write(&mut payload)).and_then(|()| payload.finish(&header));
        tail.buffer = payload.buffer;
        if let Err(error) = written {
            // What was written of the frame must go: the next one comes in its place.
            if let Err(truncating) = tail.segment.file.truncate(tail.length) {
                self.fail(name.io("taking back a failed write")(truncating));
            }
            return Err(error);
        }
        tail.length += header.whole();
        tail.bytes += header.whole();
        tail.sequence = header.sequence;
        Ok(())
    }

    /// Returns when all frames are durable that were appended before the call. Who comes while another syncs shares the
    /// next sync with all who wait then.
    pub(crate) fn sync(&self) -> Result<()> {
        let wanted = self.sequence();
        if self.is_synced(wanted) {
            return Ok(());
        }
        let _syncing = self.syncing.lock();
        if self.is_synced(wanted) {
            return Ok(());
        }
        self.check()?;
        let tail = self.tail.lock();
        let (sequence, earlier) = (tail.sequence, tail.unsynced.clone());
        let (last, path) = (Arc::clone(&tail.segment.file), tail.segment.path.clone());
        drop(tail);
        for file in earlier.iter().chain([&last]) {
            file.sync().map_err(|error| self.fail(FileName(&path).io("syncing the log")(error)))?;
        }
        self.tail.lock().unsynced.drain(..earlier.len());
        self.synced.fetch_max(sequence, Ordering::AcqRel);
        Ok(())
    }

    fn is_synced(&self, sequence: u64) -> bool {
        self.synced.load(Ordering::Acquire) >= sequence
    }

    /// A segment that frames may go on in: see [`Log::rotate`].
    pub(crate) fn prepare(&self) -> Result<Segment> {
        self.check()?;
        let number = self.tail.lock().segment.number + 1;
        Segment::create(&*self.disk, &self.directory, self.identity, number)
    }

    /// Lets frames go on in `segment`. The number of the last frame before it.
    pub(crate) fn rotate(&self, segment: Segment) -> u64 {
        let tail = &mut *self.tail.lock();
        let before = std::mem::replace(&mut tail.segment, segment);
        tail.unsynced.push(before.file);
        tail.length = SegmentHeader::BYTES as u64;
        tail.bytes = 0;
        tail.sequence
    }

    /// Gives the files back: all frames are durable elsewhere, and there will be no others.
    pub(crate) fn end(&self) {
        let _syncing = self.syncing.lock();
        let tail = &mut *self.tail.lock();
        self.synced.store(tail.sequence, Ordering::Release);
        tail.segment.file = Arc::new(Ended);
        tail.unsynced.clear();
    }

    /// The segment that is appended to.
    pub(crate) fn current(&self) -> u64 {
        self.tail.lock().segment.number
    }

    /// A checkpoint that was begun by [`Log::rotate`] has failed: as many bytes as before are needed still.
    pub(crate) fn count_again(&self, bytes: u64) {
        self.tail.lock().bytes += bytes;
    }

    /// Nothing is written from now on; the first failure counts.
    fn fail(&self, error: Error) -> Error {
        self.failed.get_or_init(|| error).clone()
    }
}

impl Segment {
    fn create(disk: &dyn Disk, directory: &Path, identity: u64, number: u64) -> Result<Self> {
        let path = directory.join(file_name(number));
        let salt = RandomState::new().hash_one(number);
        let name = FileName(&path);
        let file = match disk.append_to(&path) {
            // A checkpoint that failed has left it, without a frame.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Self::create(disk, directory, identity, number + 1);
            }
            created => created.map_err(name.io("creating a segment of the log"))?,
        };
        let header = SegmentHeader { identity, salt }.encode();
        let made = file.append(&header).and_then(|()| file.sync()).and_then(|()| disk.sync_directory(directory));
        if let Err(error) = made {
            // The failure is what is to be reported; a file without a frame does no harm.
            let _ = disk.remove(&path);
            return Err(name.io("creating a segment of the log")(error));
        }
        Ok(Self { file, salt, number, path })
    }
}

/// The end of a log that has ended.
struct Ended;

impl AppendFile for Ended {
    fn append(&self, _: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::NotConnected.into())
    }

    fn truncate(&self, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::NotConnected.into())
    }

    fn sync(&self) -> io::Result<()> {
        Err(io::ErrorKind::NotConnected.into())
    }
}

/// The payload of a frame while it is written, a unit at a time.
pub(crate) struct Payload<'a> {
    file: &'a dyn AppendFile,
    name: FileName<'a>,
    /// What is not in the file yet.
    buffer: Vec<u8>,
    /// Of what is in the file.
    checksum: u32,
}

impl Payload<'_> {
    /// Appends at most a unit.
    pub(crate) fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.room(bytes.len())?.extend_from_slice(bytes);
        Ok(())
    }

    /// The buffer, to which `count` bytes, at most a unit, are to be appended.
    pub(crate) fn room(&mut self, count: usize) -> Result<&mut Vec<u8>> {
        if self.buffer.len() + count > UNIT {
            self.flush()?;
        }
        Ok(&mut self.buffer)
    }

    fn finish(&mut self, header: &FrameHeader) -> Result<()> {
        self.put(&[0; 2 * CHECKSUM][..header.tail() - CHECKSUM])?;
        let checksum = crc32c::crc32c_append(self.checksum, &self.buffer);
        self.put(&checksum.to_le_bytes())?;
        self.write()
    }

    fn flush(&mut self) -> Result<()> {
        self.checksum = crc32c::crc32c_append(self.checksum, &self.buffer);
        self.write()
    }

    fn write(&mut self) -> Result<()> {
        self.file.append(&self.buffer).map_err(self.name.io("writing the log"))?;
        self.buffer.clear();
        Ok(())
    }
}

/// A segment's name.
pub(crate) fn file_name(number: u64) -> String {
    format!("log-{number:016x}.vicinal")
}

/// The number of the segment of that name.
pub(crate) fn number_of(name: &str) -> Option<u64> {
    let digits = name.strip_prefix("log-")?.strip_suffix(".vicinal")?;
    (digits.len() == 16).then(|| u64::from_str_radix(digits, 16).ok()).flatten()
}

/// A number that no other log has.
pub(crate) fn new_identity() -> u64 {
    RandomState::new().hash_one(std::process::id())
}
