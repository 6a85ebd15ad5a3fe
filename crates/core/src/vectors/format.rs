//! Rows as bytes of files, which are the same everywhere: little-endian, not padded, and whole numbers as what they are.

use super::{RowsView, Space, Values};
use crate::distance::{BIAS, Dtype, half};
use crate::error::{Error, Result};

impl RowsView<'_> {
    /// Bytes of a row in the log.
    pub(crate) fn stored_bytes(&self) -> usize {
        self.space().dimensions() * self.space().dtype().bytes()
    }

    /// Appends the row of `slot` as the log has it.
    pub(crate) fn store(&self, slot: u32, out: &mut Vec<u8>) {
        let row = self.bytes(slot);
        match self.space().dtype() {
            Dtype::F32 if cfg!(target_endian = "little") => out.extend_from_slice(row),
            Dtype::F16 if cfg!(target_endian = "little") => out.extend_from_slice(row),
            Dtype::F32 => row.as_chunks().0.iter().for_each(|&x| out.extend(f32::from_ne_bytes(x).to_le_bytes())),
            Dtype::F16 => row.as_chunks().0.iter().for_each(|&x| out.extend(u16::from_ne_bytes(x).to_le_bytes())),
            Dtype::I8 => out.extend(row.iter().map(|byte| byte ^ BIAS)),
            Dtype::U8 => out.extend_from_slice(row),
        }
    }

    /// Appends the row at `place` as a file has it: all its bytes as they are in memory, but little-endian.
    pub(crate) fn store_block(&self, place: u32, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(self.block(place));
        if cfg!(target_endian = "big") {
            let bytes = self.space().dtype().bytes();
            out[start..].chunks_exact_mut(bytes).for_each(<[u8]>::reverse);
        }
    }
}

/// Refuses a row of a file, as it is in memory, that nobody may add or that has other padding than [`super::values::keep`]
/// writes; what it is.
pub(crate) fn check_block(space: &Space, block: &[u8]) -> std::result::Result<(), String> {
    if is_sound(space, block) { Ok(()) } else { Err(refusal(space, block)) }
}

/// One pass without branches over values and padding.
fn is_sound(space: &Space, block: &[u8]) -> bool {
    let dtype = space.dtype();
    let (row, padding) = block.split_at(space.dimensions() * dtype.bytes());
    let filler = if dtype.is_whole() { BIAS } else { 0 };
    // Whether any value is not finite, and whether any is not 0.
    let (is_wild, is_some) = match dtype {
        Dtype::F32 => row.as_chunks().0.iter().fold((false, false), |(is_wild, is_some), &bytes| {
            let magnitude = u32::from_ne_bytes(bytes) & 0x7FFF_FFFF;
            (is_wild | (magnitude >= 0x7F80_0000), is_some | (magnitude != 0))
        }),
        Dtype::F16 => row.as_chunks().0.iter().fold((false, false), |(is_wild, is_some), &bytes| {
            let magnitude = u16::from_ne_bytes(bytes) & 0x7FFF;
            (is_wild | (magnitude >= 0x7C00), is_some | (magnitude != 0))
        }),
        Dtype::I8 => (false, row.iter().any(|&byte| byte != BIAS)),
        Dtype::U8 => (false, row.iter().any(|&byte| byte != 0)),
    };
    !is_wild && (is_some || !space.normalizes()) && padding.iter().all(|&byte| byte == filler)
}

#[cold]
fn refusal(space: &Space, block: &[u8]) -> String {
    let mut stored = block.to_vec();
    if cfg!(target_endian = "big") {
        stored.chunks_exact_mut(space.dtype().bytes()).for_each(<[u8]>::reverse);
    }
    let (mut buffer, mut plain) = (RowBuffer::default(), Vec::new());
    let Some(values) = unpadded(space, &stored, &mut plain) else {
        return "padding of another kind".into();
    };
    let checked = buffer.values(values, space.dtype()).and_then(|values| space.check_row(values, None));
    checked.map_or_else(|error| error.to_string(), |()| "a row".into())
}

/// The values of a row of a file, whose padding must be what [`super::values::keep`] writes; `None` for another.
pub(crate) fn unpadded<'a>(space: &Space, row: &'a [u8], buffer: &'a mut Vec<u8>) -> Option<&'a [u8]> {
    let (dtype, length) = (space.dtype(), space.dimensions() * space.dtype().bytes());
    let (values, padding) = row.split_at_checked(length)?;
    let filler = if dtype.is_whole() { BIAS } else { 0 };
    if padding.iter().any(|&byte| byte != filler) {
        return None;
    }
    if dtype != Dtype::I8 {
        return Some(values);
    }
    buffer.clear();
    buffer.extend(values.iter().map(|byte| byte ^ BIAS));
    Some(buffer)
}

/// Values of rows that were read.
#[derive(Default)]
pub(crate) struct RowBuffer {
    single: Vec<f32>,
    signed: Vec<i8>,
}

impl RowBuffer {
    /// The values that the bytes of rows stand for, which are not checked.
    pub(crate) fn values<'a>(&'a mut self, bytes: &'a [u8], dtype: Dtype) -> Result<Values<'a>> {
        let refused = |_| Error::OutOfMemory { what: "rows of a file", bytes: bytes.len() };
        let count = bytes.len() / dtype.bytes();
        self.single.clear();
        self.signed.clear();
        match dtype {
            Dtype::F32 => {
                self.single.try_reserve(count).map_err(refused)?;
                self.single.extend(bytes.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)));
            }
            Dtype::F16 => {
                self.single.try_reserve(count).map_err(refused)?;
                self.single.extend(bytes.as_chunks().0.iter().map(|&bytes| half::value(u16::from_le_bytes(bytes))));
            }
            Dtype::I8 => {
                self.signed.try_reserve(count).map_err(refused)?;
                self.signed.extend(bytes.iter().map(|&byte| byte as i8));
            }
            Dtype::U8 => return Ok(Values::U8(bytes)),
        }
        Ok(if dtype == Dtype::I8 { Values::I8(&self.signed) } else { Values::F32(&self.single) })
    }
}
