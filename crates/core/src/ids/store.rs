//! The id of every slot.

use super::{Id, Ids};
use crate::error::Result;
use crate::options::IdType;
use crate::vectors::{Blocks, CHUNK_BYTES, Stored, View, Writer};

/// Bits of an entry that hold a text's length; the others hold its start.
const LENGTH_BITS: u32 = 20;

/// Ids by slot: keys as they are, texts as places among all bytes.
pub(crate) struct IdStore {
    id_type: IdType,
    entries: Blocks<u64>,
    texts: Blocks<u8>,
}

impl IdStore {
    /// The longest text, in bytes of UTF-8: [`Ids::check_lengths`].
    pub(crate) const MAX_TEXT: usize = (1 << LENGTH_BITS) - 1;

    /// The largest integer that JavaScript's numbers tell from its neighbors: a number's limit.
    pub(crate) const MAX_SAFE: u64 = (1 << 53) - 1;

    pub(crate) fn new(id_type: IdType) -> Self {
        Self { id_type, entries: Blocks::new("ids", 1), texts: Blocks::new("ids", 1) }
    }

    /// Ids of a file, with the bytes of texts if they are such.
    pub(crate) fn stored<S: Stored>(id_type: IdType, entries: S, texts: Option<S>) -> Result<Self> {
        let texts = texts.map(|texts| texts.blocks("ids", 1)).transpose()?;
        let none = Self::new(id_type);
        Ok(Self { entries: entries.blocks("ids", 1)?, texts: texts.unwrap_or(none.texts), ..none })
    }

    /// Ids that are published.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn id_type(&self) -> IdType {
        self.id_type
    }

    pub(crate) fn reserve(&self, slots: usize) -> Result<()> {
        self.entries.reserve(slots)
    }

    pub(crate) fn bytes(&self) -> usize {
        self.entries.len() * size_of::<u64>() + self.texts.len()
    }

    /// The id of `slot`, which must be published.
    pub(crate) fn get(&self, slot: u32) -> Id<'_> {
        self.resolve(entry(&self.entries.view(), slot))
    }

    /// How the id of `slot` is stored: a key, or where a text is (see [`text_of`]).
    pub(crate) fn entry(&self, slot: u32) -> u64 {
        entry(&self.entries.view(), slot)
    }

    /// Bytes that all texts take.
    pub(crate) fn text_bytes(&self) -> usize {
        self.texts.len()
    }

    /// Appends the ids of `slots` to `ids`.
    pub(crate) fn collect(&self, mut slots: impl Iterator<Item = u32>, ids: &mut Ids) -> Result<()> {
        let entries = self.entries.view();
        slots.try_for_each(|slot| ids.push(self.resolve(entry(&entries, slot))))
    }

    /// The key of `slot`; only for ids that are no texts.
    #[inline]
    pub(crate) fn keys(&self) -> impl Fn(u32) -> u64 + '_ {
        let entries = self.entries.view();
        move |slot| entry(&entries, slot)
    }

    pub(crate) fn writer(&self) -> IdWriter<'_> {
        IdWriter { entries: self.entries.writer(), texts: self.texts.writer() }
    }

    fn resolve(&self, entry: u64) -> Id<'_> {
        match self.id_type {
            IdType::Number | IdType::BigInt => Id::Key(entry),
            IdType::String => {
                let (start, length) = text_of(entry);
                let texts = self.texts.view();
                let bytes = texts.run(start, length).inspect(|_| texts.touch_run(start, length));
                if let Some(text) = bytes.and_then(|bytes| std::str::from_utf8(bytes).ok()) {
                    return Id::Text(text);
                }
                // What was written was a `str`; a mistake of ours shows as an empty id rather than as a panic.
                if let Some(section) = texts.mapped() {
                    section.refuse(format_args!("no text of {length} bytes at {start}"), "UTF-8 within a MiB");
                }
                Id::Text("")
            }
        }
    }
}

fn entry(entries: &View<'_, u64>, slot: u32) -> u64 {
    entries.touch(slot as usize);
    entries.block(slot as usize)[0]
}

/// Where the text of an entry begins, and its length.
pub(crate) fn text_of(entry: u64) -> (usize, usize) {
    ((entry >> LENGTH_BITS) as usize, entry as usize & IdStore::MAX_TEXT)
}

/// Where texts stand that are stored one after the other: none is in two chunks.
#[derive(Default)]
pub(crate) struct TextPlaces {
    end: usize,
}

impl TextPlaces {
    /// The entry of the next text, of `length` bytes.
    pub(crate) fn next(&mut self, length: usize) -> u64 {
        let used = self.end % CHUNK_BYTES;
        let skipped = if used + length > CHUNK_BYTES { CHUNK_BYTES - used } else { 0 };
        let start = self.end + skipped;
        self.end = start + length;
        (start as u64) << LENGTH_BITS | length as u64
    }

    /// Where the last text ends.
    pub(crate) fn end(&self) -> usize {
        self.end
    }
}

/// Appends ids; nothing is seen before it is published.
pub(crate) struct IdWriter<'a> {
    entries: Writer<'a, u64>,
    texts: Writer<'a, u8>,
}

impl IdWriter<'_> {
    /// A text must not be longer than [`IdStore::MAX_TEXT`].
    pub(crate) fn push(&mut self, id: Id<'_>) -> Result<()> {
        let entry = match id {
            Id::Key(key) => key,
            Id::Text(text) => (self.texts.push_run(text.as_bytes())? as u64) << LENGTH_BITS | text.len() as u64,
        };
        self.entries.push(&[entry])
    }

    pub(crate) fn publish(&mut self) {
        self.texts.publish();
        self.entries.publish();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Texts;

    #[test]
    fn ids_of_every_type_read_back() {
        let texts: Texts = ["", "a", "ä😀", &"long".repeat(200_000)].into_iter().collect();
        for (id_type, ids) in [
            (IdType::Number, Ids::Keys(vec![0, -1i64 as u64, 1 << 53])),
            (IdType::BigInt, Ids::Keys(vec![0, u64::MAX])),
            (IdType::String, Ids::Texts(texts)),
        ] {
            let store = IdStore::new(id_type);
            let mut writer = store.writer();
            ids.iter().for_each(|id| writer.push(id).unwrap());
            writer.publish();
            let mut back = Ids::none(id_type);
            store.collect(0..ids.len() as u32, &mut back).unwrap();
            assert_eq!(back, ids);
        }
    }

    #[test]
    fn too_long_a_text_is_refused_with_its_row() {
        let longest = "x".repeat(IdStore::MAX_TEXT);
        let texts = |last: &str| Ids::Texts(["a", last].into_iter().collect());
        assert!(texts(&longest).check_lengths().is_ok());
        let error = texts(&(longest + "x")).check_lengths().unwrap_err();
        let message = "ids: got a string of 1048576 bytes in row 1, expected at most 1048575 bytes of UTF-8";
        assert_eq!(error.to_string(), message);
    }
}
