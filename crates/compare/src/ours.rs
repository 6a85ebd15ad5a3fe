use serde_json::{Value, json};
use vicinal_core::{Dtype, Ids, Index, Metric, Options, SearchOptions, Work};

use crate::Result;
use crate::driver::{BUILD_THREADS, K, Library};

/// vicinal with its defaults but for the type of rows, all of which come in one call.
pub struct Vicinal {
    metric: Metric,
    dtype: Dtype,
    index: Option<Index>,
}

impl Vicinal {
    pub fn new(metric: Metric, dtype: Dtype) -> Self {
        Self { metric, dtype, index: None }
    }

    fn index(&self) -> Result<&Index> {
        self.index.as_ref().ok_or("it is not built".into())
    }
}

impl Library for Vicinal {
    fn version(&self) -> Option<String> {
        None
    }

    fn build(&mut self, rows: &[f32], dimensions: usize) -> Result<()> {
        let Self { metric, dtype, .. } = *self;
        let threads = Some(BUILD_THREADS);
        let index = Index::new(Options { metric, dtype, threads, ..Options::new(dimensions) })?;
        let ids = (0..(rows.len() / dimensions) as u64).collect();
        index.add(&Ids::Keys(ids), rows, &Work::default())?;
        index.migrate(&Work::default())?;
        self.index = Some(index);
        Ok(())
    }

    fn parameters(&self) -> Result<Value> {
        let stats = self.index()?.stats()?;
        Ok(
            json!({ "m": stats.m, "meanDegree": format!("{:.1}", stats.mean_degree), "simd": stats.simd, "method": self.index()?.migration().method }),
        )
    }

    fn search(&self, query: &[f32], ef: usize, found: &mut Vec<u64>) -> Result<()> {
        let options = SearchOptions { k: K, ef: Some(ef), ..SearchOptions::default() };
        let mut distances = [0.0; K];
        found.resize(K, 0);
        let count = self.index()?.search_into(query, &options, found, &mut distances)?;
        found.truncate(count);
        Ok(())
    }

    fn evaluations(&self) -> Result<Option<u64>> {
        Ok(Some(self.index()?.evaluations()))
    }
}
