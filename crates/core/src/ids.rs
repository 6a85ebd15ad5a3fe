//! The caller's ids (stub of the interface; being written).

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
    /// Strings: id `i` is `bytes[ends[i - 1]..ends[i]]`. Built by `Ids::texts`, which checks UTF-8 and the ends.
    Texts { bytes: String, ends: Vec<usize> },
}

impl Ids {
    pub fn len(&self) -> usize { match self { Self::Keys(k) => k.len(), Self::Texts { ends, .. } => ends.len() } }
    pub fn is_empty(&self) -> bool { self.len() == 0 }
    pub fn get(&self, _row: usize) -> Id<'_> { todo!() }
}

/// A prepared filter: a set of ids that follows the index's changes. Cheap to clone.
#[derive(Debug, Clone)]
pub struct IdSet {}
