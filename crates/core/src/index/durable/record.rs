//! A write as a frame of the log, and back.

use crate::error::Result;
use crate::ids::{Id, IdStore, Ids};
use crate::options::IdType;
use crate::storage::FileName;
use crate::storage::log::{Frame, Log, Payload};
use crate::vectors::RowsView;

/// What a frame holds.
mod kind {
    /// Rows under new ids: how many, the ids, the rows.
    pub(super) const ADD: u8 = 1;
    /// The same, replacing rows whose ids exist.
    pub(super) const UPSERT: u8 = 2;
    /// How many ids, the ids.
    pub(super) const REMOVE: u8 = 3;
    /// Nothing.
    pub(super) const CLEAR: u8 = 4;
}

/// A write that is known to succeed, as it goes into the log. Its rows are written, from the slot `first` on.
pub(in crate::index) enum Record<'a> {
    Add { ids: &'a Ids, first: u32 },
    Upsert { ids: &'a Ids, first: u32 },
    Remove { ids: &'a Ids },
    Clear,
}

/// A write from the log, of which nothing is checked but that it is as long as it says. Rows are as a file has them.
pub(super) enum Replayed<'a> {
    Add { ids: Ids, rows: &'a [u8] },
    Upsert { ids: Ids, rows: &'a [u8] },
    Remove { ids: Ids },
    Clear,
}

impl Record<'_> {
    /// Appends the write, whose rows are in `view`.
    pub(super) fn append(&self, log: &Log, view: RowsView<'_>) -> Result<()> {
        let (kind, ids, slots) = match *self {
            Self::Add { ids, first } => (kind::ADD, ids, first..first + ids.len() as u32),
            Self::Upsert { ids, first } => (kind::UPSERT, ids, first..first + ids.len() as u32),
            Self::Remove { ids } => (kind::REMOVE, ids, 0..0),
            Self::Clear => return log.append(kind::CLEAR, 0, |_| Ok(())),
        };
        let length = 8 + ids_bytes(ids) + slots.len() * view.stored_bytes();
        log.append(kind, length as u64, |payload| {
            payload.put(&(ids.len() as u64).to_le_bytes())?;
            put_ids(ids, payload)?;
            for slot in slots {
                view.store(slot, payload.room(view.stored_bytes())?);
            }
            Ok(())
        })
    }
}

fn ids_bytes(ids: &Ids) -> usize {
    match ids {
        Ids::Keys(keys) => keys.len() * 8,
        Ids::Texts(texts) => texts.iter().map(|text| 4 + text.len()).sum(),
    }
}

/// As in a snapshot.
fn put_ids(ids: &Ids, payload: &mut Payload<'_>) -> Result<()> {
    ids.iter().try_for_each(|id| match id {
        Id::Key(key) => payload.put(&key.to_le_bytes()),
        Id::Text(text) => {
            payload.put(&(text.len() as u32).to_le_bytes())?;
            // An id is at most as long as a unit.
            payload.put(text.as_bytes())
        }
    })
}

impl<'a> Replayed<'a> {
    /// `row_bytes` are those of a row in a file.
    pub(super) fn decode(frame: &Frame<'a>, id_type: IdType, row_bytes: usize) -> Result<Self> {
        let mut fields = Fields { bytes: frame.payload, name: frame.name };
        let write = match frame.kind {
            kind::ADD => fields.rows(id_type, row_bytes).map(|(ids, rows)| Self::Add { ids, rows }),
            kind::UPSERT => fields.rows(id_type, row_bytes).map(|(ids, rows)| Self::Upsert { ids, rows }),
            kind::REMOVE => fields.ids(id_type).map(|ids| Self::Remove { ids }),
            kind::CLEAR => Ok(Self::Clear),
            other => Err(frame.name.corrupt(format!("a write of kind {other}"), "1 … 4")),
        }?;
        match fields.bytes.len() {
            0 => Ok(write),
            left => Err(frame.name.corrupt(format!("{left} bytes behind a write"), "its end")),
        }
    }
}

struct Fields<'a> {
    bytes: &'a [u8],
    name: FileName<'a>,
}

impl<'a> Fields<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let Some((field, rest)) = self.bytes.split_at_checked(count) else {
            return Err(self
                .name
                .corrupt(format!("{} bytes left of a write", self.bytes.len()), format!("{count} more")));
        };
        self.bytes = rest;
        Ok(field)
    }

    fn u64(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(self.take(8)?.first_chunk().copied().unwrap_or_default()))
    }

    fn rows(&mut self, id_type: IdType, row_bytes: usize) -> Result<(Ids, &'a [u8])> {
        let ids = self.ids(id_type)?;
        let count = self.bytes.len() / row_bytes;
        if ids.len() != count {
            return Err(self.name.corrupt(format!("{count} rows in a write"), format!("{}, one an id", ids.len())));
        }
        Ok((ids, self.take(count * row_bytes)?))
    }

    fn ids(&mut self, id_type: IdType) -> Result<Ids> {
        let count = self.u64()?;
        let shortest = if id_type == IdType::String { 4 } else { 8 };
        if count > self.bytes.len() as u64 / shortest {
            let got = format!("{count} ids in {} bytes of a write", self.bytes.len());
            return Err(self.name.corrupt(got, format!("at least {shortest} bytes an id")));
        }
        let mut ids = Ids::none(id_type);
        let refused = |_| crate::Error::OutOfMemory { what: "ids of the log", bytes: count as usize * 8 };
        ids.try_reserve(count as usize).map_err(refused)?;
        for _ in 0..count {
            let id = if id_type == IdType::String { self.text()? } else { Id::Key(self.key(id_type)?) };
            ids.push(id)?;
        }
        Ok(ids)
    }

    fn key(&mut self, id_type: IdType) -> Result<u64> {
        let key = self.u64()?;
        if id_type == IdType::Number && key.cast_signed().unsigned_abs() > IdStore::MAX_SAFE {
            return Err(self.name.corrupt(format!("id {}", key.cast_signed()), "a safe integer"));
        }
        Ok(key)
    }

    fn text(&mut self) -> Result<Id<'a>> {
        let length = u32::from_le_bytes(self.take(4)?.first_chunk().copied().unwrap_or_default()) as usize;
        let text = std::str::from_utf8(self.take(length)?);
        text.map(Id::Text).map_err(|error| self.name.corrupt(format!("an id: {error}"), "UTF-8"))
    }
}
