//! Files, with checksums as they come or made right, as the byte behind them says: loaded and viewed, they are refused or
//! work.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vicinal_core::{Index, Result, SearchOptions, Work};

#[path = "../../crates/core/src/index/persist/tests/seal.rs"]
mod seal;

use seal::{PAGE, seal};

fuzz_target!(|input: &[u8]| {
    let Some((flag, bytes)) = input.split_last() else {
        return;
    };
    let mut bytes = bytes.to_vec();
    if flag & 1 == 1 && bytes.len() >= PAGE {
        // The length too, which the header states.
        let length = bytes.len() as u64;
        bytes[32..40].copy_from_slice(&length.to_le_bytes());
        seal(&mut bytes);
    }
    let file = tempfile::NamedTempFile::new().and_then(|file| std::fs::write(file.path(), &bytes).map(|()| file));
    if let Ok(file) = file {
        let _ = Index::view(file.path(), None, None, &Work::default()).and_then(|index| search(&index));
    }
    let _ = Index::from_bytes(bytes, None, None, &Work::default()).and_then(|index| search(&index));
});

fn search(index: &Index) -> Result<()> {
    let query = vec![0.5; index.options().dimensions];
    let options = SearchOptions { k: 5, ..SearchOptions::default() };
    index.search(&query, &options)?;
    index.search(&query, &SearchOptions { exact: true, ..options })?;
    index.keys()?.next_block(100)?;
    index.to_bytes(&Work::default()).map(drop)
}
