use anndists::dist::{DistDot, DistL2};
use hnsw_rs::prelude::{Hnsw, Neighbour};
use rayon::ThreadPool;
use serde_json::{Value, json};
use vicinal_core::Metric;

use crate::Result;
use crate::driver::{BUILD_THREADS, K, Library};

const M: usize = 16;
const EF_CONSTRUCTION: usize = 200;
const LAYERS: usize = 16;

/// hnsw_rs; cosine as the inner product of unit rows, as its documents advise.
pub struct HnswRs {
    cosine: bool,
    pool: ThreadPool,
    graph: Option<Graph>,
}

/// The distance is part of the type.
enum Graph {
    L2(Hnsw<'static, f32, DistL2>),
    Dot(Hnsw<'static, f32, DistDot>),
}

impl HnswRs {
    pub fn new(metric: Metric) -> Result<Self> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(BUILD_THREADS).build()?;
        Ok(Self { cosine: metric == Metric::Cosine, pool, graph: None })
    }
}

impl Library for HnswRs {
    fn version(&self) -> Option<String> {
        let lock =
            include_str!("../Cargo.lock").split("[[package]]").find(|package| package.contains("\"hnsw_rs\""))?;
        lock.split_once("version = \"")?.1.split_once('"').map(|(version, _)| version.to_string())
    }

    fn build(&mut self, rows: &[f32], dimensions: usize) -> Result<()> {
        let count = rows.len() / dimensions;
        self.graph = Some(if self.cosine {
            let units: Vec<Vec<f32>> = rows.chunks_exact(dimensions).map(unit).collect();
            let graph = Hnsw::new(M, count, LAYERS, EF_CONSTRUCTION, DistDot {});
            let rows: Vec<(&[f32], usize)> = units.iter().map(Vec::as_slice).zip(0..).collect();
            self.pool.install(|| graph.parallel_insert_slice(&rows));
            Graph::Dot(graph)
        } else {
            let graph = Hnsw::new(M, count, LAYERS, EF_CONSTRUCTION, DistL2 {});
            let rows: Vec<(&[f32], usize)> = rows.chunks_exact(dimensions).zip(0..).collect();
            self.pool.install(|| graph.parallel_insert_slice(&rows));
            Graph::L2(graph)
        });
        Ok(())
    }

    fn parameters(&self) -> Result<Value> {
        Ok(json!({ "max_nb_connection": M, "ef_construction": EF_CONSTRUCTION, "rows": "f32" }))
    }

    fn search(&self, query: &[f32], ef: usize, found: &mut Vec<u64>) -> Result<()> {
        let nearest: Vec<Neighbour> = match &self.graph {
            None => return Err("it is not built".into()),
            Some(Graph::L2(graph)) => graph.search(query, K, ef),
            Some(Graph::Dot(graph)) => graph.search(&unit(query), K, ef),
        };
        found.clear();
        found.extend(nearest.iter().map(|neighbor| neighbor.d_id as u64));
        Ok(())
    }
}

fn unit(row: &[f32]) -> Vec<f32> {
    let length = row.iter().map(|value| value * value).sum::<f32>().sqrt();
    row.iter().map(|value| value / length).collect()
}
