//! Searches: on this thread, on the core's query threads, or in batches.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use napi::bindgen_prelude::{ClassInstance, Env, Function};
use napi_derive::napi;
use vicinal_core::{Error, Hits, IdSet, Ids, Index, Result, SearchOptions};

use crate::error::{Thrown, guarded, thrown};
use crate::executor;
use crate::ids::{Many, One, Owned, keys_to_number_bits};
use crate::index::NativeIndex;
use crate::mailbox::Token;
use crate::output::Payload;
use crate::views::{Memory, Parts, Values};

/// A prepared filter.
#[napi]
pub struct NativeIdSet {
    set: IdSet,
}

/// What a search is asked for: `[k, ef, recall, exact, maxDistance]`, one array because reading an object's
/// properties would cost more. `ef` 0 is the index's own, `recall` 0 and `maxDistance` NaN are none.
struct Request {
    k: usize,
    ef: Option<usize>,
    recall: Option<f64>,
    exact: bool,
    max_distance: Option<f32>,
}

/// A filter on its way to the thread that searches.
enum Filter {
    Prepared(IdSet),
    Ids(Ids),
    None,
}

#[napi]
impl NativeIndex {
    /// A function that searches by what lies in `memory`, writes ids (of numbers the bits) and distances there, and
    /// returns how many. Not for ids of strings. `memory` is `[k, ef, recall, exact, maxDistance]`, the room for hits,
    /// ids, distances (f32), the query (f32).
    ///
    /// What this does without costs as much as the rest of a call: a method, whose `this` has to be found, and an
    /// array for each of these.
    #[napi(ts_return_type = "(memory: Float64Array, set?: NativeIdSet) => number")]
    pub fn searcher<'env>(&self, env: &'env Env) -> napi::Result<Function<'env, (), f64>> {
        let handle = Handle(Some(self.core.clone()));
        let numbers = self.numbers();
        env.create_function_from_closure("search", move |call| {
            let Some(core) = &handle.0 else { return Ok(0.0) };
            let memory: Memory<'_> = call.get(0)?;
            let set = if call.length() > 1 { Some(call.get::<ClassInstance<'_, NativeIdSet>>(1)?) } else { None };
            let found = guarded(Some(core), "search", || search_into(core, memory, set.as_deref(), numbers));
            match found {
                Ok(count) => Ok(count as f64),
                Err(error) => call.env.throw(thrown(error)).map(|()| 0.0),
            }
        })
    }

    /// Returns however many there are.
    #[napi(ts_return_type = "[Float64Array | BigUint64Array | string[], Float32Array]")]
    pub fn search_sync(
        &self,
        #[napi(ts_arg_type = "Float32Array")] query: Values<'_>,
        #[napi(ts_arg_type = "Float64Array")] request: Values<'_>,
        set: Option<&NativeIdSet>,
    ) -> Result<Payload, Thrown> {
        self.sync("search", || {
            let options = Request::new(&request)?.options(set.map(|set| set.set.clone()), None);
            let hits = self.core.search(&query.to_f32()?, &options)?;
            Ok(Payload::hits(hits, self.numbers()))
        })
    }

    /// Settles `token` with `[ids, distances]`.
    #[napi]
    pub fn search(
        &self,
        env: &Env,
        token: Token,
        #[napi(ts_arg_type = "Float32Array")] query: Values<'_>,
        #[napi(ts_arg_type = "Float64Array")] request: Values<'_>,
        set: Option<&NativeIdSet>,
        #[napi(ts_arg_type = "Float64Array | BigUint64Array | { blocks: string[]; lengths: Uint32Array } | undefined")]
        filter: Option<Many<'_>>,
    ) -> Result<(), Thrown> {
        let (query, request, filter) =
            self.sync("copy", || Ok((query.to_vec()?, Request::new(&request)?, Filter::new(set, filter)?)))?;
        self.query(env, token, move |core, cancelled| {
            core.search(&query, &request.options(filter.prepare(core)?, cancelled))
        });
        Ok(())
    }

    /// Settles `token` with `[ids, distances]`, the row of `id` itself left out.
    #[napi]
    pub fn search_by_id(
        &self,
        env: &Env,
        token: Token,
        #[napi(ts_arg_type = "number | bigint | string")] id: One,
        #[napi(ts_arg_type = "Float64Array")] request: Values<'_>,
        set: Option<&NativeIdSet>,
        #[napi(ts_arg_type = "Float64Array | BigUint64Array | { blocks: string[]; lengths: Uint32Array } | undefined")]
        filter: Option<Many<'_>>,
    ) -> Result<(), Thrown> {
        let (id, request, filter) =
            self.sync("copy", || Ok((Owned::new(id)?, Request::new(&request)?, Filter::new(set, filter)?)))?;
        self.query(env, token, move |core, cancelled| {
            core.search_by_id(id.id(), &request.options(filter.prepare(core)?, cancelled))
        });
        Ok(())
    }

    /// Settles `token` with `[ids, distances, counts]`.
    #[napi]
    #[allow(clippy::too_many_arguments, reason = "they are the call's, and JavaScript has no names for them")]
    pub fn search_batch(
        &self,
        env: &Env,
        token: Token,
        #[napi(ts_arg_type = "Float32Array | Float64Array | Uint8Array | Int8Array")] queries: Values<'_>,
        #[napi(ts_arg_type = "Float64Array")] request: Values<'_>,
        set: Option<&NativeIdSet>,
        #[napi(ts_arg_type = "Float64Array | BigUint64Array | { blocks: string[]; lengths: Uint32Array } | undefined")]
        filter: Option<Many<'_>>,
        progress: bool,
    ) -> Result<(), Thrown> {
        let (queries, request, filter) =
            self.sync("copy", || Ok((queries.to_vec()?, Request::new(&request)?, Filter::new(set, filter)?)))?;
        let numbers = self.numbers();
        self.serve(env, token, progress, "search", move |core, work| {
            let options = request.options(filter.prepare(core)?, None);
            Ok(Payload::batch(core.search_batch(queries, &options, work)?, numbers))
        });
        Ok(())
    }

    /// Settles `token` with a `NativeIdSet`.
    #[napi]
    pub fn id_set(
        &self,
        env: &Env,
        token: Token,
        #[napi(ts_arg_type = "Float64Array | BigUint64Array | { blocks: string[]; lengths: Uint32Array }")] ids: Many<
            '_,
        >,
    ) -> Result<(), Thrown> {
        let ids = self.sync("copy", || ids.to_ids("ids"))?;
        self.serve(env, token, false, "idSet", move |core, _| core.id_set(&ids).map(Payload::IdSet));
        Ok(())
    }

    #[napi]
    pub fn id_set_sync(
        &self,
        #[napi(ts_arg_type = "Float64Array | BigUint64Array | { blocks: string[]; lengths: Uint32Array }")] ids: Many<
            '_,
        >,
    ) -> Result<NativeIdSet, Thrown> {
        self.sync("idSet", || Ok(NativeIdSet::new(self.core.id_set(&ids.to_ids("filter")?)?)))
    }
}

impl NativeIndex {
    fn query(
        &self,
        env: &Env,
        token: Token,
        body: impl FnOnce(&Index, Option<Arc<AtomicBool>>) -> Result<Hits> + Send + 'static,
    ) {
        let job = self.job(env, token, false);
        let (core, numbers) = (self.core.clone(), self.numbers());
        self.core.spawn_query(move || {
            job.run("search", |work| Ok(Payload::hits(body(&core, work.cancelled.clone())?, numbers)))
        });
    }
}

/// What a function of JavaScript's holds of an index.
struct Handle(Option<Index>);

impl Drop for Handle {
    fn drop(&mut self) {
        let core = self.0.take();
        // As where a `NativeIndex` is collected.
        executor::spawn(Box::new(move || drop(core)));
    }
}

fn search_into(core: &Index, memory: Memory<'_>, set: Option<&NativeIdSet>, numbers: bool) -> Result<usize> {
    let Parts { request, ids, distances, query } = memory.parts(core.options().dimensions)?;
    let options = Request::new(&Values::F64(request))?.options(set.map(|set| set.set.clone()), None);
    let count = core.search_into(query, &options, ids, distances)?;
    if numbers {
        keys_to_number_bits(&mut ids[..count]);
    }
    Ok(count)
}

impl NativeIdSet {
    pub(crate) fn new(set: IdSet) -> Self {
        Self { set }
    }
}

impl Request {
    fn new(values: &Values<'_>) -> Result<Self> {
        let &Values::F64(&[k, ef, recall, exact, max_distance]) = values else {
            return Err(Error::Internal("a search's request is no [k, ef, recall, exact, maxDistance]".into()));
        };
        Ok(Self {
            // Infinity becomes `usize::MAX`, which is how the core says it.
            k: k as usize,
            ef: (ef > 0.0).then_some(ef as usize),
            recall: (recall > 0.0).then_some(recall),
            exact: exact != 0.0,
            max_distance: (!max_distance.is_nan()).then(|| at_most(max_distance)),
        })
    }

    fn options(&self, filter: Option<IdSet>, cancelled: Option<Arc<AtomicBool>>) -> SearchOptions {
        let &Self { k, ef, recall, exact, max_distance } = self;
        SearchOptions { k, ef, recall, exact, max_distance, filter, cancelled }
    }
}

impl Filter {
    fn new(set: Option<&NativeIdSet>, ids: Option<Many<'_>>) -> Result<Self> {
        match (set, ids) {
            (Some(set), _) => Ok(Self::Prepared(set.set.clone())),
            (None, Some(ids)) => ids.to_ids("filter").map(Self::Ids),
            (None, None) => Ok(Self::None),
        }
    }

    fn prepare(self, index: &Index) -> Result<Option<IdSet>> {
        match self {
            Self::Prepared(set) => Ok(Some(set)),
            Self::Ids(ids) => index.id_set(&ids).map(Some),
            Self::None => Ok(None),
        }
    }
}

/// The largest `f32` that is not above `bound`, so that no distance beyond what was asked for passes.
fn at_most(bound: f64) -> f32 {
    let nearest = bound as f32;
    if f64::from(nearest) > bound { nearest.next_down() } else { nearest }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_is_rounded_down() {
        assert_eq!(at_most(0.5), 0.5);
        assert!(f64::from(at_most(0.1)) <= 0.1);
        assert_eq!(at_most(1e300), f32::MAX);
        assert_eq!(at_most(f64::INFINITY), f32::INFINITY);
    }
}
