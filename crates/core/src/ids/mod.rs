//! The caller's ids: batches of them, where they are kept, how a slot is found by its id, and sets of them as filters.

mod map;
mod set;
mod slots;
mod store;

pub(crate) use map::{IdHash, IdMap};
pub use set::IdSet;
pub(crate) use set::{IdSets, Slots};
pub(crate) use slots::SlotSet;
pub(crate) use store::{IdStore, IdWriter, TextPlaces, text_of};

use std::collections::TryReserveError;

use crate::error::{Error, Result};
use crate::options::IdType;

/// One id, borrowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Id<'a> {
    /// A number (`i64` reinterpreted) or a bigint, by the index's id type.
    Key(u64),
    /// A string.
    Text(&'a str),
}

/// Ids of a batch, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ids {
    /// Numbers (`i64` reinterpreted as `u64`) or bigints, by the index's id type.
    Keys(Vec<u64>),
    /// Strings.
    Texts(Texts),
}

/// Strings in one buffer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Texts {
    bytes: String,
    /// Text `i` is `bytes[ends[i - 1]..ends[i]]`.
    ends: Vec<usize>,
}

impl Texts {
    /// Text `i` is `bytes[ends[i - 1]..ends[i]]`, in UTF-8; the ends must not fall and the last must be the length.
    pub fn new(bytes: Vec<u8>, ends: Vec<usize>) -> Result<Self> {
        let bytes = String::from_utf8(bytes).map_err(|error| Error::argument("ids", error, "UTF-8"))?;
        let starts = std::iter::once(0).chain(ends.iter().copied());
        let fits = starts.zip(&ends).all(|(start, &end)| bytes.get(start..end).is_some());
        if !fits || ends.last().copied().unwrap_or(0) != bytes.len() {
            return Err(Error::argument("ids", "ends outside of the text", "ends of characters, not falling"));
        }
        Ok(Self { bytes, ends })
    }

    pub fn push(&mut self, text: &str) {
        self.bytes.push_str(text);
        self.ends.push(self.bytes.len());
    }

    pub fn len(&self) -> usize {
        self.ends.len()
    }

    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Text `row`, or an empty one beyond the end.
    pub fn get(&self, row: usize) -> &str {
        let start = row.checked_sub(1).and_then(|row| self.ends.get(row)).copied().unwrap_or(0);
        self.ends.get(row).and_then(|&end| self.bytes.get(start..end)).unwrap_or("")
    }

    pub fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).map(|row| self.get(row))
    }
}

impl<'a> FromIterator<&'a str> for Texts {
    fn from_iter<I: IntoIterator<Item = &'a str>>(texts: I) -> Self {
        let mut all = Self::default();
        texts.into_iter().for_each(|text| all.push(text));
        all
    }
}

impl Ids {
    /// No ids, of the given type.
    pub fn none(id_type: IdType) -> Self {
        match id_type {
            IdType::String => Self::Texts(Texts::default()),
            IdType::Number | IdType::BigInt => Self::Keys(Vec::new()),
        }
    }

    pub fn len(&self) -> usize {
        match self {
            Self::Keys(keys) => keys.len(),
            Self::Texts(texts) => texts.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The id at `row`, which must be below `len`.
    pub fn get(&self, row: usize) -> Id<'_> {
        match self {
            Self::Keys(keys) => Id::Key(keys[row]),
            Self::Texts(texts) => Id::Text(texts.get(row)),
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = Id<'_>> {
        (0..self.len()).map(|row| self.get(row))
    }

    /// A copy, if there is memory for it.
    pub(crate) fn try_clone(&self) -> std::result::Result<Self, TryReserveError> {
        match self {
            Self::Keys(keys) => {
                let mut copy = Vec::new();
                copy.try_reserve_exact(keys.len())?;
                copy.extend_from_slice(keys);
                Ok(Self::Keys(copy))
            }
            Self::Texts(Texts { bytes, ends }) => {
                let mut copy = Texts::default();
                copy.bytes.try_reserve_exact(bytes.len())?;
                copy.bytes.push_str(bytes);
                copy.ends.try_reserve_exact(ends.len())?;
                copy.ends.extend_from_slice(ends);
                Ok(Self::Texts(copy))
            }
        }
    }

    /// Makes room for `more` ids, without the bytes of strings.
    pub(crate) fn try_reserve(&mut self, more: usize) -> std::result::Result<(), TryReserveError> {
        match self {
            Self::Keys(keys) => keys.try_reserve(more),
            Self::Texts(texts) => texts.ends.try_reserve(more),
        }
    }

    /// Appends an id of the same type, or nothing if memory is refused.
    pub(crate) fn push(&mut self, id: Id<'_>) -> Result<()> {
        let bytes = if let Id::Text(text) = id { text.len() } else { 0 };
        let refused = |_| Error::OutOfMemory { what: "ids", bytes: bytes + size_of::<u64>() };
        self.try_reserve(1).map_err(refused)?;
        match (self, id) {
            (Self::Keys(keys), Id::Key(key)) => keys.push(key),
            (Self::Texts(texts), Id::Text(text)) => {
                texts.bytes.try_reserve(bytes).map_err(refused)?;
                texts.push(text);
            }
            _ => debug_assert!(false, "ids of one index are of one type"),
        }
        Ok(())
    }

    /// Appends what stands for no id: 0 or "". There must be room for it.
    pub(crate) fn push_blank(&mut self) {
        match self {
            Self::Keys(keys) => keys.push(0),
            Self::Texts(texts) => texts.push(""),
        }
    }

    /// Refuses ids of another type than the index's.
    pub(crate) fn check(&self, id_type: IdType) -> Result<()> {
        let first = if let Self::Keys(_) = self { Id::Key(0) } else { Id::Text("") };
        first.check(id_type)
    }

    /// Refuses texts that are longer than an index can keep.
    pub(crate) fn check_lengths(&self) -> Result<()> {
        let Self::Texts(texts) = self else { return Ok(()) };
        let too_long = texts.iter().map(str::len).enumerate().find(|&(_, length)| length > IdStore::MAX_TEXT);
        too_long.map_or(Ok(()), |(row, length)| {
            let expected = format_args!("at most {} bytes of UTF-8", IdStore::MAX_TEXT);
            Err(Error::argument("ids", format_args!("a string of {length} bytes in row {row}"), expected))
        })
    }
}

impl Id<'_> {
    /// Refuses an id of another type than the index's.
    pub(crate) fn check(self, id_type: IdType) -> Result<()> {
        match (self, id_type) {
            (Self::Text(_), IdType::String) | (Self::Key(_), IdType::Number | IdType::BigInt) => Ok(()),
            (Self::Text(_), _) => Err(Error::argument("id", "a string", "a number or bigint, as the index was made")),
            (Self::Key(_), _) => Err(Error::argument("id", "a number or bigint", "a string, as the index was made")),
        }
    }

    /// As the caller wrote it.
    pub(crate) fn display(self, id_type: IdType) -> String {
        match self {
            Self::Key(key) if id_type == IdType::Number => (key as i64).to_string(),
            Self::Key(key) => format!("{key}n"),
            Self::Text(text) => format!("{text:?}"),
        }
    }
}
