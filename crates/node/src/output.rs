//! Results on their way to JavaScript. Made ready on the thread that computed them; here they become values.
//!
//! The unsafe code is what `ToNapiValue` asks for: implementations get a raw environment, and are called by
//! napi-rs on its thread with a handle scope open.
#![allow(unsafe_code)]

use std::ptr;
use std::sync::LazyLock;

use napi::bindgen_prelude::{
    BigUint64Array, BigUint64ArraySlice, Env, Float32Array, Float32ArraySlice, Float64Array, Float64ArraySlice,
    JavaScriptClassExt, JsValue, ToNapiValue, Uint8Array, Uint8ArraySlice, Uint32Array, Uint32ArraySlice, check_status,
};
use napi::sys;
use vicinal_core::{BatchHits, Hits, IdSet, Ids, Migrated, Texts, Verified};

use crate::error::{Failure, internal};
use crate::index::NativeIndex;
use crate::mailbox::{Content, Message};
use crate::search::NativeIdSet;

/// Arrays up to this many bytes are copied into memory of V8's: cheaper than handing ours over.
const COPIED: usize = 16 << 10;

/// Copies every array, as runtimes that refuse memory of ours (Electron) make us do. For tests.
static COPY_ALL: LazyLock<bool> = LazyLock::new(|| std::env::var_os("VICINAL_COPY_RESULTS").is_some());

/// What a job returns.
pub enum Payload {
    Nothing,
    Count(usize),
    /// `[ids, distances]`
    Hits(IdArray, Vec<f32>),
    /// `[ids, distances, counts]`
    Batch(IdArray, Vec<f32>, Vec<u32>),
    /// `[vectors, found]`
    Rows(Vec<f32>, Vec<u8>),
    Bytes(Vec<u8>),
    /// `[recall, unreachable, samples]`
    Verified(Verified),
    /// `[vectors, seconds]`
    Migrated(Migrated),
    Index(Box<NativeIndex>),
    IdSet(IdSet),
}

/// Ids as JavaScript sees them.
pub enum IdArray {
    Numbers(Vec<f64>),
    BigInts(Vec<u64>),
    Strings(Texts),
}

/// One row.
pub struct Row(pub(crate) Vec<f32>);

/// What lies in the mailbox, as `[token, tag, value, …]`.
pub struct Batch(pub(crate) Vec<Message>);

impl IdArray {
    /// `numbers`: whether keys are numbers rather than bigints.
    pub(crate) fn new(ids: Ids, numbers: bool) -> Self {
        match ids {
            // As large and aligned as each other, so this converts in place.
            Ids::Keys(keys) if numbers => Self::Numbers(keys.into_iter().map(number).collect()),
            Ids::Keys(keys) => Self::BigInts(keys),
            Ids::Texts(texts) => Self::Strings(texts),
        }
    }
}

/// The number that a key stands for; exact, since keys of numbers are safe integers.
pub(crate) fn number(key: u64) -> f64 {
    key.cast_signed() as f64
}

impl Payload {
    pub(crate) fn hits(hits: Hits, numbers: bool) -> Self {
        Self::Hits(IdArray::new(hits.ids, numbers), hits.distances)
    }

    pub(crate) fn batch(hits: BatchHits, numbers: bool) -> Self {
        Self::Batch(IdArray::new(hits.ids, numbers), hits.distances, hits.counts)
    }
}

/// Small arrays are copied; large ones change hands, or are copied where the runtime refuses them.
macro_rules! typed_array {
    ($env:expr, $data:expr, $owned:ident, $slice:ident) => {{
        let data = $data;
        if *COPY_ALL || std::mem::size_of_val(data.as_slice()) <= COPIED {
            $slice::copy_from(&Env::from_raw($env), &data).map(|array| array.raw())
        } else {
            // SAFETY: `$env` is the live environment of this call, by the contract of `to_napi_value`.
            unsafe { $owned::to_napi_value($env, $owned::new(data)) }
        }
    }};
}

impl ToNapiValue for IdArray {
    unsafe fn to_napi_value(env: sys::napi_env, ids: Self) -> napi::Result<sys::napi_value> {
        match ids {
            Self::Numbers(ids) => typed_array!(env, ids, Float64Array, Float64ArraySlice),
            Self::BigInts(ids) => typed_array!(env, ids, BigUint64Array, BigUint64ArraySlice),
            // SAFETY: `env` is live, by the contract of this function.
            Self::Strings(texts) => unsafe { Vec::to_napi_value(env, texts.iter().collect()) },
        }
    }
}

impl ToNapiValue for Row {
    unsafe fn to_napi_value(env: sys::napi_env, row: Self) -> napi::Result<sys::napi_value> {
        typed_array!(env, row.0, Float32Array, Float32ArraySlice)
    }
}

impl ToNapiValue for Payload {
    unsafe fn to_napi_value(env: sys::napi_env, payload: Self) -> napi::Result<sys::napi_value> {
        // SAFETY: `env` is live, by the contract of this function, for all the calls below.
        let value = |number: f64| unsafe { f64::to_napi_value(env, number) };
        let floats = |data: Vec<f32>| typed_array!(env, data, Float32Array, Float32ArraySlice);
        // SAFETY: as above.
        let id_array = |ids: IdArray| unsafe { IdArray::to_napi_value(env, ids) };
        match payload {
            // SAFETY: as above.
            Self::Nothing => unsafe { <()>::to_napi_value(env, ()) },
            Self::Count(count) => value(count as f64),
            Self::Hits(ids, distances) => list(env, &[id_array(ids)?, floats(distances)?]),
            Self::Batch(ids, distances, counts) => {
                let counts = typed_array!(env, counts, Uint32Array, Uint32ArraySlice)?;
                list(env, &[id_array(ids)?, floats(distances)?, counts])
            }
            Self::Rows(vectors, found) => {
                let found = typed_array!(env, found, Uint8Array, Uint8ArraySlice)?;
                list(env, &[floats(vectors)?, found])
            }
            Self::Bytes(bytes) => typed_array!(env, bytes, Uint8Array, Uint8ArraySlice),
            Self::Verified(Verified { recall, unreachable, samples }) => {
                list(env, &[value(recall)?, value(unreachable as f64)?, value(samples as f64)?])
            }
            Self::Migrated(Migrated { vectors, seconds }) => list(env, &[value(vectors as f64)?, value(seconds)?]),
            Self::Index(index) => Ok(index.into_instance(&Env::from_raw(env))?.raw()),
            Self::IdSet(set) => Ok(NativeIdSet::new(set).into_instance(&Env::from_raw(env))?.raw()),
        }
    }
}

impl ToNapiValue for Batch {
    unsafe fn to_napi_value(env: sys::napi_env, batch: Self) -> napi::Result<sys::napi_value> {
        const RESULT: f64 = 0.0;
        const FAILURE: f64 = 1.0;
        const PROGRESS: f64 = 2.0;
        let mut values = Vec::with_capacity(batch.0.len() * 3);
        // SAFETY: `env` is live, by the contract of this function, for all the calls below.
        let number = |number: f64| unsafe { f64::to_napi_value(env, number) };
        // SAFETY: as above.
        let failure = |failure: Failure| unsafe { Failure::to_napi_value(env, failure) };
        for Message { token, content } in batch.0 {
            let (tag, value) = match content {
                Content::Progress(throttle) => match throttle.fetch() {
                    Some(progress) => {
                        let phase = progress.phase.name();
                        // SAFETY: as above.
                        let phase = unsafe { <&str>::to_napi_value(env, phase) }?;
                        let (done, total) = (number(progress.done as f64)?, number(progress.total as f64)?);
                        (PROGRESS, list(env, &[done, total, phase])?)
                    }
                    None => continue,
                },
                Content::Settled(Err(error)) => (FAILURE, failure(error)?),
                // SAFETY: as above.
                Content::Settled(Ok(payload)) => match unsafe { Payload::to_napi_value(env, payload) } {
                    Ok(value) => (RESULT, value),
                    Err(error) => (FAILURE, failure(internal(&error).into())?),
                },
            };
            values.extend([number(token)?, number(tag)?, value]);
        }
        list(env, &values)
    }
}

fn list(env: sys::napi_env, values: &[sys::napi_value]) -> napi::Result<sys::napi_value> {
    let mut array = ptr::null_mut();
    // SAFETY: the callers, all `to_napi_value`, got a live `env`; `array` is a valid place for the handle.
    check_status!(unsafe { sys::napi_create_array_with_length(env, values.len(), &mut array) })?;
    for (index, value) in (0..).zip(values) {
        // SAFETY: as above; `array` and `value` are handles of the open scope.
        check_status!(unsafe { sys::napi_set_element(env, array, index, *value) })?;
    }
    Ok(array)
}
