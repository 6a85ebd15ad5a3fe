//! Ids on their way from JavaScript to the core.

use napi::bindgen_prelude::{BigInt, Either3, Uint32Array, Utf16String};
use napi_derive::napi;
use vicinal_core::{Error, Id, Ids, Result, Texts};

/// The largest integer that JavaScript's numbers tell from its neighbors, 2^53 − 1.
const MAX_SAFE: f64 = 9_007_199_254_740_991.0;

/// One id: a number, a bigint or a string, as the index's id type has it.
pub type One = Either3<f64, BigInt, Utf16String>;

/// The ids of a batch.
pub enum Many<'a> {
    Numbers(&'a [f64]),
    BigInts(&'a [u64]),
    Strings(Strings),
}

/// Strings laid end to end in blocks, none of them cut, with their lengths in UTF-16 units.
#[napi(object, object_to_js = false)]
pub struct Strings {
    pub blocks: Vec<Utf16String>,
    pub lengths: Uint32Array,
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
    /// A copy that can go to another thread.
    pub(crate) fn to_ids(&self) -> Result<Ids> {
        match self {
            Self::Numbers(numbers) => {
                let mut keys = reserved(numbers.len())?;
                for (row, &number) in numbers.iter().enumerate() {
                    keys.push(key(number).ok_or_else(|| unsafe_integer("ids", number, Some(row)))?);
                }
                Ok(Ids::Keys(keys))
            }
            Self::BigInts(bigints) => {
                let mut keys = reserved(bigints.len())?;
                keys.extend_from_slice(bigints);
                Ok(Ids::Keys(keys))
            }
            Self::Strings(strings) => strings.to_ids(),
        }
    }
}

impl Strings {
    fn to_ids(&self) -> Result<Ids> {
        let units: usize = self.blocks.iter().map(|block| block.len()).sum();
        // Enough for ASCII; other text makes it grow.
        let mut bytes = reserved(units)?;
        let mut ends = reserved(self.lengths.len())?;
        let mut blocks = self.blocks.iter();
        let mut rest: &[u16] = &[];
        for (row, &length) in self.lengths.iter().enumerate() {
            if rest.is_empty() && length > 0 {
                rest = blocks.next().map_or(&[], |block| &block[..]);
            }
            let Some((text, after)) = rest.split_at_checked(length as usize) else {
                return Err(Error::Internal(format!("row {row} of the ids is longer than its block")));
            };
            rest = after;
            for unit in char::decode_utf16(text.iter().copied()) {
                match unit {
                    Ok(character) => bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
                    Err(_) => return Err(lone_surrogate("ids", text, Some(row))),
                }
            }
            ends.push(bytes.len());
        }
        Texts::new(bytes, ends).map(Ids::Texts)
    }
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
    match vec.try_reserve_exact(length) {
        Ok(()) => Ok(vec),
        Err(_) => Err(Error::OutOfMemory { what: "the copy of the ids", bytes: length * size_of::<T>() }),
    }
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

    fn strings(texts: &[&str]) -> Result<Ids> {
        let lengths = texts.iter().map(|text| text.encode_utf16().count() as u32).collect::<Vec<_>>();
        let blocks = vec![Utf16String::from(texts.concat())];
        Strings { blocks, lengths: Uint32Array::new(lengths) }.to_ids()
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
        let ids = strings(&["", "é", "😀", "", "plain"]);
        assert_eq!(ids.ok(), Some(Ids::Texts(["", "é", "😀", "", "plain"].into_iter().collect())));
    }

    #[test]
    fn a_pair_split_over_two_ids_is_two_lone_surrogates() {
        let blocks = vec![Utf16String::from(String::from("😀"))];
        let ids = Strings { blocks, lengths: Uint32Array::new(vec![1, 1]) }.to_ids();
        assert!(matches!(ids, Err(Error::InvalidArgument { .. })));
    }
}
