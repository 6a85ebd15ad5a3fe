//! What can be had of a damaged file: rows whose bytes and ids are as they were written. All else follows from these.

use std::path::Path;

use super::examine::describe;
use super::{Position, section};
use crate::error::{Error, Result};
use crate::ids::{Id, IdStore, Ids, text_of};
use crate::index::inspect::Findings;
use crate::index::write::{Existing, MAX_SLOTS};
use crate::index::{Index, State};
use crate::memory::room;
use crate::options::{IdType, Options};
use crate::storage::{DamagedFile, Disk, FileName, Soundness, Survey};
use crate::vectors::{RowBuffer, Space, arrangement, unpadded};
use crate::work::Work;

/// Rows that are added together.
const ROWS_AT_ONCE: usize = 1_024;

/// What a section is needed for.
const NEEDED: [u32; 5] = [section::REMOVED, section::IDS, section::TEXTS, section::NODES, section::VECTORS];

/// An index of the rows that can be read, and where the file stands in a log, if that can be. No row is in the graph, and
/// the migration is paused.
pub(in crate::index) fn salvage(
    disk: &dyn Disk,
    path: &Path,
    work: &Work,
    findings: &mut Findings,
) -> Result<(Index, Option<Position>)> {
    let name = FileName(path);
    let file = Damaged::open(disk, name, work)?;
    let index = Index::new(file.options.clone())?;
    index.pause_migration()?;
    file.rows(&index, work, findings)?;
    let position = file.position()?;
    file.report(findings)?;
    Ok((index, position))
}

struct Damaged<'a> {
    file: DamagedFile<'a>,
    options: Options,
    space: Space,
    slots: usize,
    ids: Survey,
    texts: Option<Survey>,
    vectors: Survey,
    /// By slot, the place of its row; slots beyond have theirs. `None` for whole numbers whose order is lost.
    places: Option<Vec<u32>>,
}

impl<'a> Damaged<'a> {
    fn open(disk: &dyn Disk, name: FileName<'a>, work: &'a Work) -> Result<Self> {
        let file = DamagedFile::open(disk, name, work)?;
        let header = &file.header;
        let (slots, options) = (header.slots, header.options.clone());
        let space = State::space(&options);
        if slots > MAX_SLOTS {
            return Err(name.corrupt(format!("{slots} slots"), format!("at most {MAX_SLOTS}")));
        }
        let exactly = |bytes: usize| bytes as u64..=bytes as u64;
        header.check_section(section::IDS, 8, exactly(slots * 8), name)?;
        let element = space.dtype().bytes() as u32;
        header.check_section(section::VECTORS, element, exactly(slots * space.row_bytes()), name)?;
        let has_texts = options.id_type == IdType::String;
        Ok(Self {
            ids: file.survey(section::IDS)?,
            texts: has_texts.then(|| file.survey(section::TEXTS)).transpose()?,
            vectors: file.survey(section::VECTORS)?,
            places: places(&file, &space)?,
            file,
            options,
            space,
            slots,
        })
    }

    /// Adds the rows to `index`, in their order.
    fn rows(&self, index: &Index, work: &Work, findings: &mut Findings) -> Result<()> {
        let removed = self.removed()?;
        let is_removed = |slot: usize| removed.get(slot / 64).is_some_and(|word| word >> (slot % 64) & 1 == 1);
        let mut batch = Batch::new(index);
        let (mut lost, mut text, mut row, mut plain) = (0, Vec::new(), vec![0; self.space.row_bytes()], Vec::new());
        for slot in (0..self.slots).filter(|&slot| !is_removed(slot)) {
            let place = match &self.places {
                Some(places) => places.get(slot).map_or(slot, |&place| place as usize),
                None => usize::MAX,
            };
            let found = self.id(slot, &mut text).and_then(|(id, of_id)| {
                let start = (place as u64).checked_mul(row.len() as u64)?;
                let soundness = self.file.read(&self.vectors, start, &mut row).max(of_id);
                (soundness < Soundness::Damaged).then_some((id, soundness))
            });
            let Some((id, soundness)) = found else {
                lost += 1;
                continue;
            };
            match unpadded(&self.space, &row, &mut plain) {
                Some(values) => batch.push(id, values, soundness == Soundness::Unchecked)?,
                None => lost += 1,
            }
            if batch.ids.len() == ROWS_AT_ONCE {
                work.check()?;
                batch.flush()?;
            }
        }
        batch.flush()?;
        findings.unchecked += batch.unchecked;
        let name = self.file.name.path();
        if lost + batch.refused > 0 {
            findings.lost.push(format!("{name}: {} rows that cannot be read", lost + batch.refused));
        }
        if batch.unchecked > 0 {
            findings.lost.push(format!("{name}: the checksums of {} rows, which are taken unchecked", batch.unchecked));
        }
        Ok(())
    }

    /// A bit a slot, 0 where it is not known.
    fn removed(&self) -> Result<Vec<u64>> {
        let mut words = room("removed rows", self.slots.div_ceil(64))?;
        let Ok(survey) = self.file.survey(section::REMOVED) else {
            return Ok(words);
        };
        let mut word = [0; 8];
        for start in (0..self.slots.div_ceil(64) as u64).map(|number| number * 8) {
            let is_known = self.file.read(&survey, start, &mut word) < Soundness::Damaged;
            words.push(if is_known { u64::from_le_bytes(word) } else { 0 });
        }
        Ok(words)
    }

    fn id<'t>(&self, slot: usize, text: &'t mut Vec<u8>) -> Option<(Id<'t>, Soundness)> {
        let mut entry = [0; 8];
        let soundness = self.file.read(&self.ids, slot as u64 * 8, &mut entry);
        let entry = Some(u64::from_le_bytes(entry)).filter(|_| soundness < Soundness::Damaged)?;
        let Some(texts) = &self.texts else {
            let is_safe = entry.cast_signed().unsigned_abs() <= IdStore::MAX_SAFE;
            return (self.options.id_type == IdType::BigInt || is_safe).then_some((Id::Key(entry), soundness));
        };
        let (start, length) = text_of(entry);
        text.resize(length, 0);
        let soundness = self.file.read(texts, start as u64, text).max(soundness);
        let text = std::str::from_utf8(text).ok().filter(|_| soundness < Soundness::Damaged)?;
        Some((Id::Text(text), soundness))
    }

    /// Where the file stands in a log.
    fn position(&self) -> Result<Option<Position>> {
        if !self.file.header.has(section::POSITION) {
            return Ok(None);
        }
        let survey = self.file.survey(section::POSITION)?;
        let (mut sequence, mut identity) = ([0; 8], [0; 8]);
        let parts = [(0, &mut sequence), (8, &mut identity)];
        let are_sound = parts.into_iter().all(|(at, part)| self.file.read(&survey, at, part) == Soundness::Sound);
        let position = Position { sequence: u64::from_le_bytes(sequence), identity: u64::from_le_bytes(identity) };
        Ok(are_sound.then_some(position))
    }

    /// Says what is damaged, whether or not a row is lost by it.
    fn report(self, findings: &mut Findings) -> Result<()> {
        let name = self.file.name;
        if let Some(damage) = &self.file.damage {
            findings.lost.push(format!("{damage}; its options are taken as they are"));
        }
        for id in self.file.header.ids() {
            let Some(damage) = self.file.survey(id)?.damage() else {
                continue;
            };
            if id == section::REMOVED {
                findings.lost.push(format!("{}: which rows were removed; some may be back", name.path()));
            }
            let what = if NEEDED.contains(&id) { "" } else { "; it is made anew" };
            findings.notes.push(describe(id, damage, name) + what);
        }
        Ok(())
    }
}

/// Where rows stand that have another order than slots.
fn places(file: &DamagedFile<'_>, space: &Space) -> Result<Option<Vec<u32>>> {
    let Some(graph) = file.header.graph.filter(|_| space.dtype().is_whole()) else {
        return Ok(Some(Vec::new()));
    };
    let survey = file.survey(section::NODES)?;
    if survey.length() > graph.migrated as u64 * 4 {
        return Ok(None);
    }
    let mut bytes = room("nodes", survey.length() as usize)?;
    bytes.resize(survey.length() as usize, 0);
    if file.read(&survey, 0, &mut bytes) == Soundness::Damaged {
        return Ok(None);
    }
    let nodes = bytes.as_chunks().0.iter().map(|&slot| u32::from_le_bytes(slot));
    Ok(arrangement(nodes, graph.migrated)?.map(|(_, places)| places))
}

/// Rows that are about to be added.
struct Batch<'a> {
    index: &'a Index,
    ids: Ids,
    rows: Vec<u8>,
    buffer: RowBuffer,
    /// Rows so far that no checksum speaks for, and rows that no call would have added.
    unchecked: usize,
    refused: usize,
}

impl<'a> Batch<'a> {
    fn new(index: &'a Index) -> Self {
        let ids = Ids::none(index.options().id_type);
        Self { index, ids, rows: Vec::new(), buffer: RowBuffer::default(), unchecked: 0, refused: 0 }
    }

    fn push(&mut self, id: Id<'_>, row: &[u8], is_unchecked: bool) -> Result<()> {
        self.ids.push(id)?;
        let refused = |_| Error::OutOfMemory { what: "rows of a file", bytes: row.len() };
        self.rows.try_reserve(row.len()).map_err(refused)?;
        self.rows.extend_from_slice(row);
        self.unchecked += usize::from(is_unchecked);
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        let ids = std::mem::replace(&mut self.ids, Ids::none(self.index.options().id_type));
        let rows = std::mem::take(&mut self.rows);
        if ids.is_empty() || self.add(&ids, &rows)? {
            return Ok(());
        }
        // One by one: of equal ids the last counts, as where a row was replaced.
        for (id, row) in ids.iter().zip(rows.chunks(rows.len() / ids.len())) {
            let mut one = Ids::none(self.index.options().id_type);
            one.push(id)?;
            self.refused += usize::from(!self.add(&one, row)?);
        }
        Ok(())
    }

    /// Whether the rows were added, rather than refused as they are.
    fn add(&mut self, ids: &Ids, rows: &[u8]) -> Result<bool> {
        let values = self.buffer.values(rows, self.index.options().dtype)?;
        match self.index.inner().insert(ids, values, Existing::Replace, &Work::default()) {
            Ok(()) => Ok(true),
            Err(Error::InvalidArgument { .. } | Error::InvalidVector { .. } | Error::DuplicateId { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }
}
