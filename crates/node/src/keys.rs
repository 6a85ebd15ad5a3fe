//! The ids of an index, pulled in blocks.

use napi_derive::napi;
use vicinal_core::{Index, Keys, Result};

use crate::error::{Thrown, guarded, thrown};
use crate::index::NativeIndex;
use crate::output::IdArray;

/// A cursor over the ids that were live when it was made.
#[napi]
pub struct NativeKeys {
    keys: Keys,
    index: Index,
    numbers: bool,
}

#[napi]
impl NativeIndex {
    #[napi]
    pub fn keys(&self) -> Result<NativeKeys, Thrown> {
        let keys = self.sync("keys", || self.core.keys())?;
        Ok(NativeKeys { keys, index: self.core.clone(), numbers: self.numbers() })
    }
}

#[napi]
impl NativeKeys {
    /// The next ids, at most `max`; none at the end.
    #[napi(ts_return_type = "Float64Array | BigUint64Array | string[]")]
    pub fn next_block(&mut self, max: u32) -> Result<IdArray, Thrown> {
        let block = guarded(Some(&self.index), "keys", || self.keys.next_block(max as usize)).map_err(thrown)?;
        Ok(IdArray::new(block, self.numbers))
    }
}
