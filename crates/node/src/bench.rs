//! What the benchmarks ask for. Never part of the addon that is shipped.

use std::hint::black_box;
use std::time::Instant;

use napi_derive::napi;
use vicinal_core::SearchOptions;

use crate::error::Thrown;
use crate::index::NativeIndex;
use crate::views::Values;

#[napi]
impl NativeIndex {
    /// The seconds that searches for these queries take, one Rust call each. For ids that are no strings.
    #[napi]
    pub fn search_seconds(
        &self,
        #[napi(ts_arg_type = "Float32Array")] queries: Values<'_>,
        k: u32,
        ef: u32,
    ) -> Result<f64, Thrown> {
        let (k, ef) = (k as usize, Some(ef as usize));
        let options = SearchOptions { k, ef, ..SearchOptions::default() };
        let (mut ids, mut distances) = (vec![0; k], vec![0.0; k]);
        self.sync("bench", || {
            let queries = queries.to_f32()?;
            let start = Instant::now();
            for query in queries.chunks_exact(self.core.options().dimensions) {
                black_box(self.core.search_into(query, &options, &mut ids, &mut distances)?);
            }
            Ok(start.elapsed().as_secs_f64())
        })
    }

    /// Distances that searches of the graph have computed so far.
    #[napi]
    pub fn evaluations(&self) -> f64 {
        self.core.evaluations() as f64
    }
}
