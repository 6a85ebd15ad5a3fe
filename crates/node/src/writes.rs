//! What changes an index, or has to see exactly the changes before it: one at a time, in its lane.

use napi::bindgen_prelude::Env;
use napi_derive::napi;
use vicinal_core::{Ids, Index, Migrated, Result, Unsynced, Work};

use crate::error::Thrown;
use crate::executor;
use crate::ids::Many;
use crate::index::{NativeIndex, absolute};
use crate::job::Job;
use crate::mailbox::Token;
use crate::output::Payload;
use crate::views::{OwnedValues, Values};

#[napi]
impl NativeIndex {
    #[napi]
    pub fn add(
        &self,
        env: &Env,
        token: Token,
        #[napi(ts_arg_type = "Float64Array | BigUint64Array | { blocks: string[]; lengths: Uint32Array }")] ids: Many<
            '_,
        >,
        #[napi(ts_arg_type = "Float32Array | Float64Array | Uint8Array | Int8Array")] vectors: Values<'_>,
        progress: bool,
    ) -> Result<(), Thrown> {
        self.insert(env, token, (ids, vectors), progress, "add", |writes, ids, rows, work| writes.add(ids, rows, work))
    }

    #[napi]
    pub fn upsert(
        &self,
        env: &Env,
        token: Token,
        #[napi(ts_arg_type = "Float64Array | BigUint64Array | { blocks: string[]; lengths: Uint32Array }")] ids: Many<
            '_,
        >,
        #[napi(ts_arg_type = "Float32Array | Float64Array | Uint8Array | Int8Array")] vectors: Values<'_>,
        progress: bool,
    ) -> Result<(), Thrown> {
        self.insert(env, token, (ids, vectors), progress, "upsert", |writes, ids, rows, work| {
            writes.upsert(ids, rows, work)
        })
    }

    /// On this thread, after the writes before it.
    #[napi]
    pub fn add_sync(
        &self,
        #[napi(ts_arg_type = "Float64Array | BigUint64Array | { blocks: string[]; lengths: Uint32Array }")] ids: Many<
            '_,
        >,
        #[napi(ts_arg_type = "Float32Array | Float64Array | Uint8Array | Int8Array")] vectors: Values<'_>,
    ) -> Result<(), Thrown> {
        self.lane.wait();
        self.sync("add", || self.core.add(&ids.to_ids("ids")?, vectors.core(), &Work::default()))?;
        self.memory.measure(&self.core);
        Ok(())
    }

    #[napi]
    pub fn remove(
        &self,
        env: &Env,
        token: Token,
        #[napi(ts_arg_type = "Float64Array | BigUint64Array | { blocks: string[]; lengths: Uint32Array }")] ids: Many<
            '_,
        >,
    ) -> Result<(), Thrown> {
        let ids = self.sync("copy", || ids.to_ids("ids"))?;
        self.write(env, token, false, "remove", move |core, _| core.unsynced().remove(&ids).map(Payload::Count));
        Ok(())
    }

    #[napi]
    pub fn clear(&self, env: &Env, token: Token) {
        self.write(env, token, false, "clear", |core, _| core.unsynced().clear().map(|()| Payload::Nothing));
    }

    #[napi]
    pub fn save(&self, env: &Env, token: Token, path: String, progress: bool) -> Result<(), Thrown> {
        let path = absolute(path)?;
        self.write(env, token, progress, "save", move |core, work| core.save(&path, work).map(|()| Payload::Nothing));
        Ok(())
    }

    /// Settles `token` with the bytes that `save` would write.
    #[napi]
    pub fn to_bytes(&self, env: &Env, token: Token, progress: bool) {
        self.write(env, token, progress, "toBytes", |core, work| core.to_bytes(work).map(Payload::Bytes));
    }

    #[napi]
    pub fn flush(&self, env: &Env, token: Token) {
        self.after_writes(env, token, false, "flush", |core, _| core.flush().map(|()| Payload::Nothing));
    }

    #[napi]
    pub fn checkpoint(&self, env: &Env, token: Token, progress: bool) {
        self.after_writes(env, token, progress, "checkpoint", |core, work| {
            core.checkpoint(work).map(|()| Payload::Nothing)
        });
    }

    /// Settles `token` when the removed rows are gone. As [`NativeIndex::migrate`] it waits for its turn, and nobody waits for
    /// it: `close` ends it.
    #[napi]
    pub fn compact(&self, env: &Env, token: Token, progress: bool) {
        let job = Job::new(env, &self.home, token, progress, Some(&self.core), None).in_lane(&self.lane);
        let (core, memory) = (self.core.clone(), self.memory.clone());
        self.lane.push(Box::new(move || {
            executor::spawn(Box::new(move || {
                job.run("compact", |work| {
                    let compacted = core.compact(work);
                    memory.measure(&core);
                    compacted.map(|()| Payload::Nothing)
                });
            }));
        }));
    }

    /// Settles `token` with the number of rows that still wait.
    #[napi]
    pub fn migrate_step(&self, env: &Env, token: Token, max_vectors: Option<f64>) {
        self.write(env, token, false, "migrate", move |core, _| {
            let rows = max_vectors.map_or(core.options().chunk_size, |rows| rows as usize);
            core.migrate_step(rows).map(Payload::Count)
        });
    }

    /// Settles `token` with `[vectors, seconds]`. Waits for its turn, but later writes do not wait for its end,
    /// and neither does `close`, which is what ends it then.
    #[napi]
    pub fn migrate(&self, env: &Env, token: Token, progress: bool) -> Result<(), Thrown> {
        // At once, unlike the rest: a pause that is called after this call must hold.
        self.sync("migrate", || self.core.resume_migration())?;
        let job = Job::new(env, &self.home, token, progress, Some(&self.core), None);
        let (core, memory) = (self.core.clone(), self.memory.clone());
        self.lane.push(Box::new(move || {
            job.start("migrate", |work, done| {
                let index = core.clone();
                // On a thread of ours: the core may call this while it holds what `measure` waits for.
                let done = move |result: Result<Migrated>| {
                    executor::spawn(Box::new(move || {
                        memory.measure(&index);
                        done(result.map(Payload::Migrated));
                    }));
                };
                core.start_migration(work, Box::new(done));
            });
        }));
        Ok(())
    }
}

impl NativeIndex {
    /// `add` or `upsert`.
    fn insert(
        &self,
        env: &Env,
        token: Token,
        (ids, vectors): (Many<'_>, Values<'_>),
        progress: bool,
        point: &'static str,
        insert: fn(&Unsynced<'_>, &Ids, vicinal_core::Values<'_>, &Work) -> Result<()>,
    ) -> Result<(), Thrown> {
        let (ids, vectors) = self.sync("copy", || Ok((ids.to_ids("ids")?, OwnedValues::new(&vectors)?)))?;
        self.write(env, token, progress, point, move |core, work| {
            insert(&core.unsynced(), &ids, vectors.core(), work).map(|()| Payload::Nothing)
        });
        Ok(())
    }

    fn write(
        &self,
        env: &Env,
        token: Token,
        progress: bool,
        point: &'static str,
        body: impl FnOnce(&Index, &Work) -> Result<Payload> + Send + 'static,
    ) {
        let job = self.job(env, token, progress).in_lane(&self.lane);
        let (core, memory) = (self.core.clone(), self.memory.clone());
        let acknowledgements = self.acknowledgements.clone();
        self.lane.push(Box::new(move || {
            let done = job.perform(point, |work| {
                let result = body(&core, work);
                memory.measure(&core);
                result
            });
            match done {
                Some(Ok(payload)) if core.syncs() => acknowledgements.push(&core, job, payload),
                Some(result) => job.settle(result),
                None => {}
            }
        }));
    }

    /// Runs `body` after the writes before it. Later ones do not wait for it, unless the core has them wait; so nor does it
    /// wait for a listener that the JavaScript thread cannot call while it waits for them.
    fn after_writes(
        &self,
        env: &Env,
        token: Token,
        progress: bool,
        point: &'static str,
        body: impl FnOnce(&Index, &Work) -> Result<Payload> + Send + 'static,
    ) {
        let job = self.job(env, token, progress).in_lane(&self.lane);
        let core = self.core.clone();
        self.lane.push(Box::new(move || {
            executor::spawn(Box::new(move || job.run(point, |work| body(&core, work))));
        }));
    }
}
