//! What an index says about itself: its rows, its migration, its figures, its quality.

use napi::bindgen_prelude::Env;
use napi_derive::napi;
use vicinal_core::{Migration, MigrationState, Result};

use crate::error::{Failure, Thrown};
use crate::ids::Many;
use crate::index::NativeIndex;
use crate::mailbox::Token;
use crate::output::Payload;

/// Where the migration stands.
#[napi(object, object_from_js = false)]
pub struct NativeMigration {
    #[napi(ts_type = "'exact' | 'migrating' | 'paused' | 'graph'")]
    pub state: &'static str,
    pub migrated: f64,
    pub total: f64,
    #[napi(ts_type = "'insert' | 'bulk'")]
    pub method: Option<&'static str>,
    pub error: Option<Failure>,
}

/// Bytes by purpose.
#[napi(object, object_from_js = false)]
pub struct NativeBytes {
    pub vectors: f64,
    pub codes: f64,
    pub links: f64,
    pub ids: f64,
    pub total: f64,
}

/// The figures of an index, but for its migration.
#[napi(object, object_from_js = false)]
pub struct NativeStats {
    pub live: f64,
    pub removed: f64,
    pub tail: f64,
    pub levels: Vec<f64>,
    pub mean_degree: f64,
    pub m: f64,
    pub bytes: NativeBytes,
    pub simd: &'static str,
    pub threads: f64,
    pub checkpoint_error: Option<Failure>,
}

#[napi]
impl NativeIndex {
    #[napi(getter)]
    pub fn migration(&self) -> Result<NativeMigration, Thrown> {
        self.sync("migration", || Ok(self.core.migration().into()))
    }

    #[napi]
    pub fn pause_migration(&self) -> Result<(), Thrown> {
        self.sync("pauseMigration", || self.core.pause_migration())
    }

    #[napi]
    pub fn resume_migration(&self) -> Result<(), Thrown> {
        self.sync("resumeMigration", || self.core.resume_migration())
    }

    #[napi]
    pub fn stats(&self) -> Result<NativeStats, Thrown> {
        let stats = self.sync("stats", || self.core.stats())?;
        Ok(NativeStats {
            live: stats.live as f64,
            removed: stats.removed as f64,
            tail: stats.tail as f64,
            levels: stats.levels.into_iter().map(|nodes| nodes as f64).collect(),
            mean_degree: stats.mean_degree,
            m: stats.m as f64,
            bytes: NativeBytes {
                vectors: stats.bytes.vectors as f64,
                codes: stats.bytes.codes as f64,
                links: stats.bytes.links as f64,
                ids: stats.bytes.ids as f64,
                total: stats.bytes.total as f64,
            },
            simd: stats.simd,
            threads: stats.threads as f64,
            checkpoint_error: stats.checkpoint_error.map(Failure::from),
        })
    }

    /// Settles `token` with `[vectors, found]`.
    #[napi]
    pub fn get_many(
        &self,
        env: &Env,
        token: Token,
        #[napi(ts_arg_type = "Float64Array | BigUint64Array | { blocks: string[]; lengths: Uint32Array }")] ids: Many<
            '_,
        >,
    ) -> Result<(), Thrown> {
        let ids = self.sync("copy", || ids.to_ids("ids"))?;
        self.serve(env, token, false, "getMany", move |core, _| {
            core.get_many(&ids).map(|(vectors, found)| Payload::Rows(vectors, found))
        });
        Ok(())
    }

    /// Settles `token` with `[recall, unreachable, samples]`. `ef` 0 is the index's own.
    #[napi]
    pub fn verify(&self, env: &Env, token: Token, samples: f64, k: f64, ef: f64, progress: bool) {
        let ef = (ef > 0.0).then_some(ef as usize);
        self.serve(env, token, progress, "verify", move |core, work| {
            core.verify(samples as usize, k as usize, ef, work).map(Payload::Verified)
        });
    }
}

impl From<Migration> for NativeMigration {
    fn from(migration: Migration) -> Self {
        let state = match migration.state {
            MigrationState::Exact => "exact",
            MigrationState::Migrating => "migrating",
            MigrationState::Paused => "paused",
            MigrationState::Graph => "graph",
        };
        Self {
            state,
            migrated: migration.migrated as f64,
            total: migration.total as f64,
            method: migration.method,
            error: migration.error.map(Failure::from),
        }
    }
}
