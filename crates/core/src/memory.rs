//! Memory that grows with the number of rows: asked for before it is used, and refused as an error.

use crate::error::{Error, Result};
use crate::pools::give_way;

/// Bytes that are filled before it gives way to queries. The system zeroes them first, when they are touched.
const FILLED_AT_ONCE: usize = 1 << 17;

/// An empty vector with room for `count` elements; `what` names them in the error.
pub(crate) fn room<T>(what: &'static str, count: usize) -> Result<Vec<T>> {
    let mut room = Vec::new();
    let refused = |_| Error::OutOfMemory { what, bytes: count.saturating_mul(size_of::<T>()) };
    room.try_reserve_exact(count).map_err(refused)?;
    Ok(room)
}

/// `count` elements that `make` makes. Gives way to queries on the threads of a pool.
pub(crate) fn filled<T>(what: &'static str, count: usize, make: impl Fn() -> T) -> Result<Vec<T>> {
    let (mut filled, unit) = (room(what, count)?, FILLED_AT_ONCE / size_of::<T>());
    while filled.len() < count {
        give_way();
        filled.resize_with(count.min(filled.len() + unit), &make);
    }
    Ok(filled)
}

/// Whether so much could be had now: for who asks for it without a way to hear that it was refused.
pub(crate) fn probe(what: &'static str, bytes: usize) -> Result<()> {
    // Or the compiler may leave out memory that nobody looks at, and take it for granted.
    room::<u8>(what, bytes).map(|room| drop(std::hint::black_box(room)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_is_refused_is_an_error() {
        assert!(matches!(room::<u32>("nodes", usize::MAX), Err(Error::OutOfMemory { .. })));
        // More than any address space has.
        assert!(matches!(probe("nodes", isize::MAX as usize), Err(Error::OutOfMemory { .. })));
        assert!(probe("nodes", 1 << 20).is_ok());
    }

    #[test]
    fn a_refusal_names_what_it_was_for() {
        assert!(room::<u64>("rows", 100).unwrap().capacity() >= 100);
        let refused = room::<u64>("rows", usize::MAX / 8);
        assert!(matches!(refused, Err(Error::OutOfMemory { what: "rows", bytes }) if bytes == usize::MAX / 8 * 8));
        assert!(matches!(room::<u64>("rows", usize::MAX), Err(Error::OutOfMemory { bytes: usize::MAX, .. })));
    }
}
