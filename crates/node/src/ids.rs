//! Ids on their way from JavaScript to the core.

use napi::bindgen_prelude::{BigInt, Either3, Utf16String};
use vicinal_core::{Error, Id, Ids, Result, Texts};

use crate::views::Blocks;

/// The largest integer that JavaScript's numbers tell from its neighbors, 2^53 − 1.
const MAX_SAFE: f64 = 9_007_199_254_740_991.0;

/// One id: a number, a bigint or a string, as the index's id type has it.
pub type One = Either3<f64, BigInt, Utf16String>;

/// The ids of a batch.
pub enum Many<'a> {
    Numbers(&'a [f64]),
    BigInts(&'a [u64]),
    Strings(Strings<'a>),
}

/// Strings laid end to end in blocks, none of them cut, with their lengths in UTF-16 units.
pub struct Strings<'a> {
    pub(crate) blocks: Blocks,
    pub(crate) lengths: &'a [u32],
}

/// One id, owned.
pub(crate) enum Owned {
    Key(u64),
    Text(String),
}

impl Owned {
    pub(crate) fn new(id: One) -> Result<Self> {
        match id {
            Either3::A(number) => key(number).map(Self::Key).ok_or_else(|| unsafe_integer("id", number, None)),
            Either3::B(bigint) => Ok(Self::Key(bigint.get_u64().1)),
            Either3::C(units) => match String::from_utf16(&units) {
                Ok(text) => Ok(Self::Text(text)),
                Err(_) => Err(lone_surrogate("id", &units, None)),
            },
        }
    }

    pub(crate) fn id(&self) -> Id<'_> {
        match self {
            Self::Key(key) => Id::Key(*key),
            Self::Text(text) => Id::Text(text),
        }
    }
}

impl Many<'_> {
    /// A copy, of the argument `name`, that can go to another thread.
    pub(crate) fn to_ids(&self, name: &'static str) -> Result<Ids> {
        match self {
            Self::Numbers(numbers) => {
                let mut keys = reserved(numbers.len())?;
                for (row, &number) in numbers.iter().enumerate() {
                    keys.push(key(number).ok_or_else(|| unsafe_integer(name, number, Some(row)))?);
                }
                Ok(Ids::Keys(keys))
            }
            Self::BigInts(bigints) => {
                let mut keys = reserved(bigints.len())?;
                keys.extend_from_slice(bigints);
                Ok(Ids::Keys(keys))
            }
            Self::Strings(Strings { blocks, lengths }) => {
                to_texts(name, blocks.units()?, |block, units| blocks.read(block, units), lengths)
            }
        }
    }
}

/// The strings of the given `lengths` from blocks of `total` UTF-16 units in all. `read` replaces what a buffer holds by
/// the block of a number.
fn to_texts(
    name: &'static str,
    total: usize,
    read: impl Fn(u32, &mut Vec<u16>) -> Result<()>,
    lengths: &[u32],
) -> Result<Ids> {
    // Enough for ASCII; other text makes it grow.
    let mut bytes = reserved(total)?;
    let mut ends = reserved(lengths.len())?;
    let (mut block, mut start, mut next) = (Vec::new(), 0, 0);
    for (row, &length) in lengths.iter().enumerate() {
        if start == block.len() && length > 0 {
            read(next, &mut block)?;
            (start, next) = (0, next + 1);
        }
        let Some(text) = block.get(start..start + length as usize) else {
            return Err(Error::Internal(format!("row {row} of the ids is longer than its block")));
        };
        start += text.len();
        for unit in char::decode_utf16(text.iter().copied()) {
            let character = unit.map_err(|_| lone_surrogate(name, text, Some(row)))?;
            let length = character.len_utf8();
            bytes.try_reserve(length).map_err(|_| refused::<u8>(bytes.len() + length))?;
            bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        }
        ends.push(bytes.len());
    }
    Texts::new(bytes, ends).map(Ids::Texts)
}

/// Replaces keys by the bits of the numbers that they stand for.
pub(crate) fn keys_to_number_bits(keys: &mut [u64]) {
    for key in keys {
        *key = crate::output::number(*key).to_bits();
    }
}

fn key(number: f64) -> Option<u64> {
    let integer = number as i64;
    (integer as f64 == number && number.abs() <= MAX_SAFE).then_some(integer.cast_unsigned())
}

fn reserved<T>(length: usize) -> Result<Vec<T>> {
    let mut vec = Vec::new();
    vec.try_reserve_exact(length).map_err(|_| refused::<T>(length))?;
    Ok(vec)
}

/// There is no memory for a copy of ids, of `length` elements.
pub(crate) fn refused<T>(length: usize) -> Error {
    Error::OutOfMemory { what: "the copy of the ids", bytes: length.saturating_mul(size_of::<T>()) }
}

fn unsafe_integer(name: &'static str, got: f64, row: Option<usize>) -> Error {
    Error::InvalidArgument { name, got: format!("{got}{}", in_row(row)), expected: "a safe integer".into() }
}

fn lone_surrogate(name: &'static str, got: &[u16], row: Option<usize>) -> Error {
    let got = format!("{:?}{}", String::from_utf16_lossy(got), in_row(row));
    Error::InvalidArgument { name, got, expected: "well-formed Unicode, without lone surrogates".into() }
}

fn in_row(row: Option<usize>) -> String {
    row.map(|row| format!(" in row {row}")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(block: &str, lengths: &[u32]) -> Result<Ids> {
        let units: Vec<u16> = block.encode_utf16().collect();
        let read = |_, buffer: &mut Vec<u16>| {
            buffer.clone_from(&units);
            Ok(())
        };
        to_texts("ids", units.len(), read, lengths)
    }

    #[test]
    fn safe_integers_are_keys_and_others_are_not() {
        assert_eq!(key(-1.0), Some(u64::MAX));
        assert_eq!(key(-0.0), Some(0));
        assert_eq!(key(MAX_SAFE), Some((1 << 53) - 1));
        for number in [0.5, MAX_SAFE + 1.0, -MAX_SAFE - 1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(key(number), None, "{number}");
        }
    }

    #[test]
    fn strings_keep_their_bounds_whatever_they_are_made_of() {
        let texts = ["", "é", "😀", "", "plain"];
        let ids = strings("é😀plain", &[0, 1, 2, 0, 5]);
        assert_eq!(ids.ok(), Some(Ids::Texts(texts.into_iter().collect())));
    }

    #[test]
    fn strings_that_there_is_no_memory_for_are_refused() {
        assert!(matches!(to_texts("ids", 1 << 60, |_, _| Ok(()), &[]), Err(Error::OutOfMemory { .. })));
        let read = |_, _: &mut Vec<u16>| Err(refused::<u16>(1));
        assert!(matches!(to_texts("ids", 1, read, &[1]), Err(Error::OutOfMemory { .. })));
    }

    #[test]
    fn a_pair_split_over_two_ids_is_two_lone_surrogates() {
        assert!(matches!(strings("😀", &[1, 1]), Err(Error::InvalidArgument { .. })));
    }
}
