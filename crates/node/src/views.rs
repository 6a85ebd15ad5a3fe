//! JavaScript's typed arrays as slices, for the duration of one synchronous call.
//!
//! Sound because the TypeScript hands over only arrays that nobody else can reach meanwhile: the JavaScript
//! thread is in this very call, arrays on shared memory were copied before, and results are written into
//! arrays that never leave the TypeScript. No slice outlives the call: what goes to another thread is copied.
#![allow(unsafe_code)]

use std::borrow::Cow;
use std::ffi::CStr;
use std::ptr;
use std::slice;

use napi::bindgen_prelude::{FromNapiValue, TypeName, TypedArrayType, ValidateNapiValue, ValueType, check_status};
use napi::{Error, Status, sys};

use crate::error::internal;
use crate::ids::{Many, Strings, refused};

/// Values of vectors.
pub enum Values<'a> {
    F32(&'a [f32]),
    F64(&'a [f64]),
    U8(&'a [u8]),
    I8(&'a [i8]),
}

/// A copy of values, of their own type.
pub(crate) enum OwnedValues {
    F32(Vec<f32>),
    F64(Vec<f64>),
    U8(Vec<u8>),
    I8(Vec<i8>),
}

/// Memory of a search: what it is asked for, and room for its answer.
pub struct Memory<'a>(&'a mut [f64]);

/// What lies in a [`Memory`], in this order.
pub(crate) struct Parts<'a> {
    /// `[k, ef, exact, maxDistance]`; the number of hits that there is room for follows it.
    pub(crate) request: &'a [f64],
    pub(crate) ids: &'a mut [u64],
    pub(crate) distances: &'a mut [f32],
    pub(crate) query: &'a [f32],
}

/// An array of strings, read one by one while the call runs that it is an argument of.
pub(crate) struct Blocks {
    env: sys::napi_env,
    array: sys::napi_value,
}

struct View {
    kind: TypedArrayType,
    data: *mut std::ffi::c_void,
    length: usize,
}

impl<'a> Values<'a> {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::F32(values) => values.len(),
            Self::F64(values) => values.len(),
            Self::U8(values) => values.len(),
            Self::I8(values) => values.len(),
        }
    }

    /// The values as the core takes them.
    pub(crate) fn core(&self) -> vicinal_core::Values<'a> {
        match *self {
            Self::F32(values) => values.into(),
            Self::F64(values) => values.into(),
            Self::U8(values) => values.into(),
            Self::I8(values) => values.into(),
        }
    }

    /// The values as `f32`, copied only if they are of another type.
    pub(crate) fn to_f32(&self) -> vicinal_core::Result<Cow<'a, [f32]>> {
        match self {
            Self::F32(values) => Ok(Cow::Borrowed(values)),
            _ => self.to_vec().map(Cow::Owned),
        }
    }

    /// A copy of bytes that can go to another thread.
    pub(crate) fn to_bytes(&self) -> vicinal_core::Result<Vec<u8>> {
        match self {
            Self::U8(bytes) => copied(bytes),
            _ => Err(vicinal_core::Error::Internal("the bytes of a file are no Uint8Array".into())),
        }
    }

    /// A copy as `f32` that can go to another thread.
    pub(crate) fn to_vec(&self) -> vicinal_core::Result<Vec<f32>> {
        let mut copy = room(self.len())?;
        match self {
            Self::F32(values) => copy.extend_from_slice(values),
            Self::F64(values) => copy.extend(values.iter().map(|&value| value as f32)),
            Self::U8(values) => copy.extend(values.iter().map(|&value| f32::from(value))),
            Self::I8(values) => copy.extend(values.iter().map(|&value| f32::from(value))),
        }
        Ok(copy)
    }
}

impl OwnedValues {
    pub(crate) fn new(values: &Values<'_>) -> vicinal_core::Result<Self> {
        Ok(match values {
            Values::F32(values) => Self::F32(copied(values)?),
            Values::F64(values) => Self::F64(copied(values)?),
            Values::U8(values) => Self::U8(copied(values)?),
            Values::I8(values) => Self::I8(copied(values)?),
        })
    }

    /// The values as the core takes them.
    pub(crate) fn core(&self) -> vicinal_core::Values<'_> {
        match self {
            Self::F32(values) => values.into(),
            Self::F64(values) => values.into(),
            Self::U8(values) => values.into(),
            Self::I8(values) => values.into(),
        }
    }
}

fn copied<T: Copy>(values: &[T]) -> vicinal_core::Result<Vec<T>> {
    let mut copy = room(values.len())?;
    copy.extend_from_slice(values);
    Ok(copy)
}

fn room<T>(values: usize) -> vicinal_core::Result<Vec<T>> {
    let mut room = Vec::new();
    let refused = |_| vicinal_core::Error::OutOfMemory {
        what: "the copy of the vectors",
        bytes: values.saturating_mul(size_of::<T>()),
    };
    room.try_reserve_exact(values).map_err(refused)?;
    Ok(room)
}

impl<'a> Memory<'a> {
    pub(crate) fn parts(self, dimensions: usize) -> vicinal_core::Result<Parts<'a>> {
        let too_small = || vicinal_core::Error::Internal("a search's memory is smaller than it says".into());
        let (header, rest) = self.0.split_at_mut_checked(6).ok_or_else(too_small)?;
        let room = header[5] as usize;
        let (ids, rest) = rest.split_at_mut_checked(room).ok_or_else(too_small)?;
        let (distances, query) = rest.split_at_mut_checked(room.div_ceil(2)).ok_or_else(too_small)?;
        let query = bytemuck::cast_slice(query).get(..dimensions).ok_or_else(too_small)?;
        let (ids, distances) = (bytemuck::cast_slice_mut(ids), bytemuck::cast_slice_mut(distances));
        Ok(Parts { request: &header[..5], ids, distances, query })
    }
}

/// V8 makes one piece of a block when it is read, and ends the process where the system refuses it memory for that. So this
/// much must be free where there are several blocks; it is more than what the allocator keeps when it is given back.
const SPARE: usize = 40 << 20;

fn check_spare() -> vicinal_core::Result<()> {
    let mut spare: Vec<u8> = Vec::new();
    spare.try_reserve_exact(SPARE).map_err(|_| refused::<u8>(SPARE))?;
    // Or the compiler may leave out memory that nobody looks at, and take it for granted.
    drop(std::hint::black_box(spare));
    Ok(())
}

impl Blocks {
    /// UTF-16 units of all blocks.
    pub(crate) fn units(&self) -> vicinal_core::Result<usize> {
        let mut blocks = 0;
        // SAFETY: `env` and `array` are those of the running call, which `Many` does not outlive.
        check_status!(unsafe { sys::napi_get_array_length(self.env, self.array, &mut blocks) }).map_err(of_ours)?;
        if blocks > 1 {
            check_spare()?;
        }
        (0..blocks).map(|index| self.block(index).map(|(_, units)| units)).sum()
    }

    /// Replaces what `buffer` holds by the units of a block.
    pub(crate) fn read(&self, index: u32, buffer: &mut Vec<u16>) -> vicinal_core::Result<()> {
        if index > 0 {
            check_spare()?;
        }
        let (block, units) = self.block(index)?;
        buffer.clear();
        // N-API puts a null after them.
        let room = units + 1;
        buffer.try_reserve_exact(room).map_err(|_| refused::<u16>(room))?;
        let (start, mut written) = (buffer.as_mut_ptr(), 0);
        // SAFETY: as in `units`; there is room for so many units from `start` on.
        let status = unsafe { sys::napi_get_value_string_utf16(self.env, block, start, room, &mut written) };
        check_status!(status).map_err(of_ours)?;
        // SAFETY: N-API wrote so many, of those that there is room for.
        unsafe { buffer.set_len(written.min(units)) };
        Ok(())
    }

    /// A block and its UTF-16 units.
    fn block(&self, index: u32) -> vicinal_core::Result<(sys::napi_value, usize)> {
        let (mut block, mut units) = (ptr::null_mut(), 0);
        // SAFETY: as in `units`; without a buffer N-API only tells the length.
        unsafe {
            check_status!(sys::napi_get_element(self.env, self.array, index, &mut block)).map_err(of_ours)?;
            let status = sys::napi_get_value_string_utf16(self.env, block, ptr::null_mut(), 0, &mut units);
            check_status!(status).map_err(of_ours)?;
        }
        Ok((block, units))
    }
}

fn of_ours(error: Error) -> vicinal_core::Error {
    internal(&error)
}

/// # Safety
/// `env` and `object` come from N-API, in the call that is running.
unsafe fn property(env: sys::napi_env, object: sys::napi_value, name: &CStr) -> napi::Result<sys::napi_value> {
    let mut value = ptr::null_mut();
    // SAFETY: the caller's promise; the name ends with a null.
    check_status!(unsafe { sys::napi_get_named_property(env, object, name.as_ptr(), &mut value) })?;
    Ok(value)
}

impl View {
    /// # Safety
    /// `env` and `value` come from N-API, in the call that is running.
    unsafe fn of(env: sys::napi_env, value: sys::napi_value) -> napi::Result<Self> {
        let (mut kind, mut length, mut data) = (0, 0, ptr::null_mut());
        // SAFETY: the caller's promise; N-API checks that `value` is a typed array and accepts null for what
        // is not wanted.
        let status = unsafe {
            sys::napi_get_typedarray_info(
                env,
                value,
                &mut kind,
                &mut length,
                &mut data,
                ptr::null_mut(),
                ptr::null_mut(),
            )
        };
        check_status!(status, "expected a typed array")?;
        Ok(Self { kind: kind.into(), data, length })
    }

    /// # Safety
    /// `T` is the element type that `kind` names; nobody writes to the memory during the call.
    unsafe fn read<'a, T>(&self) -> &'a [T] {
        if self.length == 0 {
            return &[];
        }
        // SAFETY: N-API says that `length` elements lie at `data`, where V8 aligned them for their type; the
        // array is an argument and so alive for the call; the rest is the caller's promise.
        unsafe { slice::from_raw_parts(self.data.cast(), self.length) }
    }

    /// # Safety
    /// As for `read`, and nobody else reads or writes the memory during the call.
    unsafe fn write<'a, T>(&self) -> &'a mut [T] {
        if self.length == 0 {
            return &mut [];
        }
        // SAFETY: as in `read`.
        unsafe { slice::from_raw_parts_mut(self.data.cast(), self.length) }
    }
}

impl FromNapiValue for Values<'_> {
    unsafe fn from_napi_value(env: sys::napi_env, value: sys::napi_value) -> napi::Result<Self> {
        // SAFETY: the contract of this function; the slices' types are those that the view names.
        unsafe {
            let view = View::of(env, value)?;
            match view.kind {
                TypedArrayType::Float32 => Ok(Self::F32(view.read())),
                TypedArrayType::Float64 => Ok(Self::F64(view.read())),
                TypedArrayType::Uint8 => Ok(Self::U8(view.read())),
                TypedArrayType::Int8 => Ok(Self::I8(view.read())),
                other => Err(unexpected(other)),
            }
        }
    }
}

/// Ids: a `Float64Array`, a `BigUint64Array`, or `{ blocks, lengths }` of strings.
impl FromNapiValue for Many<'_> {
    unsafe fn from_napi_value(env: sys::napi_env, value: sys::napi_value) -> napi::Result<Self> {
        let mut typed = false;
        // SAFETY: the contract of this function; the slices' types are those that the view names.
        unsafe {
            check_status!(sys::napi_is_typedarray(env, value, &mut typed))?;
            if !typed {
                let lengths = View::of(env, property(env, value, c"lengths")?)?;
                if lengths.kind != TypedArrayType::Uint32 {
                    return Err(unexpected(lengths.kind));
                }
                let blocks = Blocks { env, array: property(env, value, c"blocks")? };
                return Ok(Self::Strings(Strings { blocks, lengths: lengths.read() }));
            }
            let view = View::of(env, value)?;
            match view.kind {
                TypedArrayType::Float64 => Ok(Self::Numbers(view.read())),
                TypedArrayType::BigUint64 => Ok(Self::BigInts(view.read())),
                other => Err(unexpected(other)),
            }
        }
    }
}

impl FromNapiValue for Memory<'_> {
    unsafe fn from_napi_value(env: sys::napi_env, value: sys::napi_value) -> napi::Result<Self> {
        // SAFETY: the contract of this function; the element type is the one that the view names, and the TypeScript
        // passes an array that it keeps to itself.
        unsafe {
            let view = View::of(env, value)?;
            match view.kind {
                TypedArrayType::Float64 => Ok(Self(view.write())),
                other => Err(unexpected(other)),
            }
        }
    }
}

macro_rules! named {
    ($($type:ty),*) => {$(
        impl TypeName for $type {
            fn type_name() -> &'static str {
                "TypedArray"
            }

            fn value_type() -> ValueType {
                ValueType::Object
            }
        }

        impl ValidateNapiValue for $type {}
    )*};
}

named!(Values<'_>, Many<'_>, Memory<'_>);

fn unexpected(kind: TypedArrayType) -> Error {
    Error::new(Status::InvalidArg, format!("got an array of {}", kind.as_ref()))
}
