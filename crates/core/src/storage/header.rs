//! The first page of a file: what it is, what the index was made with, where the sections are.

use std::ops::RangeInclusive;

use xxhash_rust::xxh3::{Xxh3Default, xxh3_64};

use super::FileName;
use super::sections::{ALIGNMENT, checksums_of};
use crate::distance::Dtype;
use crate::error::{Error, Result};
use crate::options::{IdType, Metric, Options};

/// Bytes of the header; sections that are as large start at multiples of it.
pub(super) const PAGE: usize = 4_096;

/// As in PNG: a byte that is no text, a name, and line ends that a transfer as text would change.
const MAGIC: [u8; 8] = *b"\x89VCNL\r\n\x1a";

/// Files of another major version are refused. 0: before the first lasting format.
const MAJOR: u16 = 0;

/// Grows with what older readers may pass over; while the major version is 0, with every change.
const MINOR: u16 = 4;

/// Reads as another number where the bytes of numbers stand the other way round.
const ENDIAN: u32 = 0x0102_0304;

/// Features of a file, a bit each, that its reader must know. There are none yet.
const REQUIRED_FEATURES: u64 = 0;

/// Where the header's own checksum stands; it counts as zero there.
const CHECKSUM: std::ops::Range<usize> = 40..48;

/// Where the section table begins.
const TABLE: usize = 152;

/// A threshold that is never reached.
const NEVER: u64 = u64::MAX;

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Header {
    /// `threads` is not kept.
    pub(crate) options: Options,
    /// Slots, removed ones included.
    pub(crate) slots: usize,
    pub(crate) live: usize,
    pub(crate) graph: Option<GraphHeader>,
    pub(super) sections: Vec<Section>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GraphHeader {
    /// M: as it was given, or as it was chosen from the data.
    pub(crate) m: usize,
    /// Slots below it are served by the graph.
    pub(crate) migrated: usize,
    /// Node and level of the entry point; both 0 where `migrated` is.
    pub(crate) entry: (u32, u32),
    /// Whether it was begun by a bulk build.
    pub(crate) is_bulk: bool,
}

/// A part of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Section {
    pub(super) id: u32,
    /// Bytes of an element.
    pub(super) element: u32,
    pub(super) offset: u64,
    pub(super) length: u64,
    /// xxh3-64 of the checksums of its blocks, which stand behind it.
    pub(super) checksum: u64,
}

impl Section {
    const BYTES: usize = 32;

    /// Sections that a table has room for.
    const MOST: usize = (PAGE - TABLE) / Self::BYTES;

    /// Refuses checksums of blocks that have changed.
    pub(super) fn check_checksums(&self, bytes: &[u8], file: FileName<'_>) -> Result<()> {
        let (got, expected) = (xxh3_64(bytes), self.checksum);
        if got == expected {
            return Ok(());
        }
        let got = format!("checksums of section {} of checksum {got:016x}", self.id);
        Err(file.corrupt(got, format!("{expected:016x}")))
    }

    /// The error of a block that has another checksum than it should.
    pub(super) fn damage(&self, block: usize, got: u64, expected: u64, file: FileName<'_>) -> Error {
        let got = format!("block {block} of section {} of checksum {got:016x}", self.id);
        file.corrupt(got, format!("{expected:016x}"))
    }
}

impl Header {
    pub(crate) fn new(options: &Options, slots: usize, live: usize, graph: Option<GraphHeader>) -> Self {
        Self { options: Options { threads: None, ..options.clone() }, slots, live, graph, sections: Vec::new() }
    }

    /// The page for a file of `length` bytes.
    pub(super) fn encode(&self, length: u64) -> Vec<u8> {
        let Options { dimensions, metric, id_type, m, ef_construction, ef, threshold, chunk_size, .. } = self.options;
        let Options { dtype, auto_migrate, seed, capacity, .. } = self.options;
        let graph = self.graph.unwrap_or(GraphHeader { m: 0, migrated: 0, entry: (0, 0), is_bulk: false });
        let mut page = Vec::with_capacity(PAGE);
        page.extend(MAGIC);
        page.extend(MAJOR.to_le_bytes());
        page.extend(MINOR.to_le_bytes());
        page.extend(ENDIAN.to_le_bytes());
        page.extend(REQUIRED_FEATURES.to_le_bytes());
        page.extend(0u64.to_le_bytes());
        page.extend(length.to_le_bytes());
        page.extend(0u64.to_le_bytes());
        page.extend((dimensions as u32).to_le_bytes());
        page.extend([metric_code(metric), id_type_code(id_type), dtype_code(dtype), u8::from(auto_migrate)]);
        page.extend((m.unwrap_or(0) as u32).to_le_bytes());
        page.extend((graph.m as u32).to_le_bytes());
        let threshold = threshold.map_or(NEVER, |threshold| threshold as u64);
        for number in [ef_construction as u64, ef as u64, threshold, chunk_size as u64, seed, capacity as u64] {
            page.extend(number.to_le_bytes());
        }
        for number in [self.slots, self.live, graph.migrated] {
            page.extend((number as u64).to_le_bytes());
        }
        for number in [graph.entry.0, graph.entry.1, self.sections.len() as u32, graph.is_bulk.into()] {
            page.extend(number.to_le_bytes());
        }
        for Section { id, element, offset, length, checksum } in &self.sections {
            page.extend(id.to_le_bytes());
            page.extend(element.to_le_bytes());
            [offset, length, checksum].iter().for_each(|number| page.extend(number.to_le_bytes()));
        }
        page.resize(PAGE, 0);
        let checksum = checksum(&page);
        page[CHECKSUM].copy_from_slice(&checksum.to_le_bytes());
        page
    }

    /// Reads the page of a file of `length` bytes; every number in it is checked.
    pub(super) fn decode(page: &[u8; PAGE], length: u64, file: FileName<'_>) -> Result<Self> {
        let mut fields = Fields(page);
        check_kind(&mut fields, file)?;
        let (required, _optional) = (fields.u64(), fields.u64());
        let (stated_length, stated_checksum) = (fields.u64(), fields.u64());
        let (got, expected) = (checksum(page), stated_checksum);
        if got != expected {
            return Err(file.corrupt(format!("a header of checksum {got:016x}"), format!("{expected:016x}")));
        }
        if required & !REQUIRED_FEATURES != 0 {
            let got = format!("{MAJOR} with features {required:#x}");
            return Err(Error::Version { path: file.path(), got, expected: "features that this version knows".into() });
        }
        if stated_length != length {
            return Err(file.corrupt(format!("{length} bytes"), format!("{stated_length}")));
        }
        let (mut header, sections) = fields.header(file)?;
        header.sections = fields.sections(sections, length, file)?;
        header.check(file)?;
        Ok(header)
    }

    /// Reads the page of a file whose checksum or length is wrong, as far as what it says can be: numbers are within their
    /// ranges, but sections may lie beyond the end of the file.
    pub(super) fn decode_damaged(page: &[u8; PAGE], file: FileName<'_>) -> Result<Self> {
        let mut fields = Fields(page);
        check_kind(&mut fields, file)?;
        // Features, length, checksum.
        fields.take::<32>();
        let (mut header, sections) = fields.header(file)?;
        header.sections = fields.sections(sections, u64::MAX, file)?;
        header.check(file)?;
        Ok(header)
    }

    /// The version of the format.
    pub(crate) fn version() -> String {
        format!("{MAJOR}.{MINOR}")
    }

    /// Refuses what cannot be a file for its length alone.
    pub(super) fn check_length(length: u64, file: FileName<'_>) -> Result<()> {
        if length >= PAGE as u64 {
            return Ok(());
        }
        Err(file.corrupt(format!("{length} bytes"), format!("a vicinal index, {PAGE} bytes or more")))
    }

    /// The sections that there are.
    pub(crate) fn ids(&self) -> impl Iterator<Item = u32> {
        self.sections.iter().map(|section| section.id)
    }

    /// Whether there is a section `id`.
    pub(crate) fn has(&self, id: u32) -> bool {
        self.sections.iter().any(|section| section.id == id)
    }

    pub(super) fn find(&self, id: u32, file: FileName<'_>) -> Result<Section> {
        let section = self.sections.iter().find(|section| section.id == id);
        section.copied().ok_or_else(|| file.corrupt("a file without it", format!("section {id}")))
    }

    /// Refuses a file whose section `id` is not of elements of `element` bytes, or not of a length in `lengths`.
    pub(crate) fn check_section(
        &self,
        id: u32,
        element: u32,
        lengths: RangeInclusive<u64>,
        file: FileName<'_>,
    ) -> Result<u64> {
        let section = self.find(id, file)?;
        if section.element == element && lengths.contains(&section.length) {
            return Ok(section.length);
        }
        let got = format!("section {id} of {} bytes in elements of {}", section.length, section.element);
        let expected = format!("{} … {} bytes in elements of {element}", lengths.start(), lengths.end());
        Err(file.corrupt(got, expected))
    }

    fn check(&self, file: FileName<'_>) -> Result<()> {
        if let Err(Error::InvalidArgument { name, got, expected }) = self.options.validate() {
            return Err(file.corrupt(format!("{name} {got}"), expected));
        }
        at_most("live rows", self.live, self.slots, file)?;
        let Some(GraphHeader { m, migrated, entry, .. }) = self.graph else {
            return Ok(());
        };
        at_most("migrated slots", migrated, self.slots, file)?;
        if !(2..=Options::MAX_M).contains(&m) || self.options.m.is_some_and(|given| given != m) {
            return Err(file.corrupt(format!("a graph of m {m}"), format!("2 … {}, and m if given", Options::MAX_M)));
        }
        if migrated == 0 && entry != (0, 0) {
            return Err(file.corrupt("an entry point", "none in an empty graph"));
        }
        Ok(())
    }
}

/// Whether it is an index, and of a version whose header can be read.
fn check_kind(fields: &mut Fields<'_>, file: FileName<'_>) -> Result<()> {
    if fields.take() != MAGIC {
        return Err(file.corrupt("another kind of file", "a vicinal index"));
    }
    let (major, minor) = (fields.u16(), fields.u16());
    if (major, minor) != (MAJOR, MINOR) {
        let (got, expected) = (format!("{major}.{minor}"), Header::version());
        return Err(Error::Version { path: file.path(), got, expected });
    }
    let endian = fields.u32();
    if endian != ENDIAN {
        return Err(file.corrupt(format!("byte order {endian:#010x}"), format!("{ENDIAN:#010x}")));
    }
    Ok(())
}

fn at_most(what: &str, got: usize, most: usize, file: FileName<'_>) -> Result<()> {
    if got <= most { Ok(()) } else { Err(file.corrupt(format!("{got} {what}"), format!("at most {most}"))) }
}

fn checksum(page: &[u8]) -> u64 {
    let mut hash = Xxh3Default::new();
    hash.update(&page[..CHECKSUM.start]);
    hash.update(&[0; 8]);
    hash.update(&page[CHECKSUM.end..]);
    hash.digest()
}

/// The page's fields that were not read yet.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    /// The next bytes; zeros beyond the page.
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let (field, rest) = self.0.split_first_chunk().map_or(([0; N], &[][..]), |(field, rest)| (*field, rest));
        self.0 = rest;
        field
    }

    fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.take())
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.take())
    }

    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.take())
    }

    fn size(&mut self, file: FileName<'_>) -> Result<usize> {
        let size = self.u64();
        usize::try_from(size).map_err(|_| file.corrupt(size, format!("at most {}", usize::MAX)))
    }

    /// All but the section table, and how many sections that has.
    fn header(&mut self, file: FileName<'_>) -> Result<(Header, usize)> {
        let dimensions = self.u32() as usize;
        let [metric, id_type, scalar, auto_migrate] = self.take();
        if auto_migrate > 1 {
            return Err(file.corrupt(format!("migration {auto_migrate}"), "0 or 1"));
        }
        let (given, m) = (self.u32() as usize, self.u32() as usize);
        let options = Options {
            dimensions,
            metric: metric_of(metric).ok_or_else(|| file.corrupt(format!("metric {metric}"), "0 … 2"))?,
            id_type: id_type_of(id_type).ok_or_else(|| file.corrupt(format!("id type {id_type}"), "0 … 2"))?,
            dtype: dtype_of(scalar).ok_or_else(|| file.corrupt(format!("scalar kind {scalar}"), "0 … 3"))?,
            m: (given != 0).then_some(given),
            ef_construction: self.size(file)?,
            ef: self.size(file)?,
            threshold: match self.u64() {
                NEVER => None,
                threshold => Some(usize::try_from(threshold).unwrap_or(usize::MAX)),
            },
            chunk_size: self.size(file)?,
            auto_migrate: auto_migrate == 1,
            threads: None,
            seed: self.u64(),
            capacity: self.size(file)?,
        };
        let (slots, live, migrated) = (self.size(file)?, self.size(file)?, self.size(file)?);
        let entry = (self.u32(), self.u32());
        let (sections, begun) = (self.u32() as usize, self.u32());
        at_most("sections", sections, Section::MOST, file)?;
        if begun > 1 {
            return Err(file.corrupt(format!("a graph begun by {begun}"), "0 or 1"));
        }
        let graph = (m != 0).then_some(GraphHeader { m, migrated, entry, is_bulk: begun == 1 });
        Ok((Header { options, slots, live, graph, sections: Vec::new() }, sections))
    }

    /// The section table: ids and offsets rise, and every section lies within the file.
    fn sections(&mut self, count: usize, length: u64, file: FileName<'_>) -> Result<Vec<Section>> {
        let mut sections: Vec<Section> = Vec::with_capacity(count);
        let mut end = PAGE as u64;
        for _ in 0..count {
            let (id, element) = (self.u32(), self.u32());
            let section = Section { id, element, offset: self.u64(), length: self.u64(), checksum: self.u64() };
            let is_aligned = section.offset.is_multiple_of(ALIGNMENT);
            let checksums = checksums_of(section.offset, section.length);
            let section_end = checksums.map(|(_, end)| end).filter(|&end| end <= length);
            let is_later = section.offset >= end && sections.last().is_none_or(|last| last.id < id);
            let Some(section_end) = section_end.filter(|_| is_aligned && is_later) else {
                let got = format!("section {id} of {} bytes at {}", section.length, section.offset);
                return Err(file.corrupt(got, format!("sections one after the other within {length} bytes")));
            };
            end = section_end;
            sections.push(section);
        }
        Ok(sections)
    }
}

fn metric_code(metric: Metric) -> u8 {
    match metric {
        Metric::L2 => 0,
        Metric::Cosine => 1,
        Metric::InnerProduct => 2,
    }
}

fn metric_of(code: u8) -> Option<Metric> {
    [Metric::L2, Metric::Cosine, Metric::InnerProduct].into_iter().find(|&metric| metric_code(metric) == code)
}

fn dtype_code(dtype: Dtype) -> u8 {
    match dtype {
        Dtype::F32 => 0,
        Dtype::F16 => 1,
        Dtype::I8 => 2,
        Dtype::U8 => 3,
    }
}

fn dtype_of(code: u8) -> Option<Dtype> {
    Dtype::ALL.into_iter().find(|&dtype| dtype_code(dtype) == code)
}

fn id_type_code(id_type: IdType) -> u8 {
    match id_type {
        IdType::Number => 0,
        IdType::BigInt => 1,
        IdType::String => 2,
    }
}

fn id_type_of(code: u8) -> Option<IdType> {
    [IdType::Number, IdType::BigInt, IdType::String].into_iter().find(|&id_type| id_type_code(id_type) == code)
}
