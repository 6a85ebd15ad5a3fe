//! `NativeIndex`: an index of the core as JavaScript holds it.

use std::path::PathBuf;
use std::sync::Arc;

use napi::bindgen_prelude::{Either, Env, ObjectFinalize};
use napi_derive::napi;
use vicinal_core::{Dtype, Durability, Error, GivenOptions, IdType, Index, Metric, Result, Work};

use crate::acknowledgements::Acknowledgements;
use crate::environment::{Environment, Home};
use crate::error::{Thrown, guarded, thrown};
use crate::executor;
use crate::gate::Gate;
use crate::ids::{One, Owned};
use crate::job::Job;
use crate::lane::Lane;
use crate::mailbox::Token;
use crate::memory::Memory;
use crate::output::{Payload, Row};
use crate::views::Values;

#[napi(custom_finalize)]
pub struct NativeIndex {
    pub(crate) core: Index,
    pub(crate) lane: Lane,
    pub(crate) acknowledgements: Acknowledgements,
    pub(crate) gate: Gate,
    pub(crate) home: Arc<Home>,
    pub(crate) memory: Memory,
    /// By which `home` knows it.
    number: u64,
}

/// What an index is made with; what is left out has the core's default, or in a directory is as it is stored there.
#[napi(object, object_to_js = false)]
pub struct NativeOptions {
    pub dimensions: Option<u32>,
    pub metric: Option<String>,
    pub id_type: Option<String>,
    pub dtype: Option<String>,
    pub m: Option<u32>,
    pub ef_construction: Option<u32>,
    pub ef: Option<u32>,
    /// Infinity: never a graph.
    pub threshold: Option<f64>,
    pub chunk_size: Option<u32>,
    pub auto_migrate: Option<bool>,
    pub threads: Option<u32>,
    pub seed: Option<f64>,
    pub capacity: Option<f64>,
}

/// What of an index never changes.
#[napi(object, object_from_js = false)]
pub struct Description {
    pub dimensions: u32,
    pub metric: &'static str,
    pub id_type: &'static str,
    pub dtype: &'static str,
}

#[napi]
impl NativeIndex {
    #[napi(constructor)]
    pub fn new(environment: &Environment, options: NativeOptions) -> Result<Self, Thrown> {
        let core = guarded(None, "new", || Index::new(given(&options)?.complete()?)).map_err(thrown)?;
        Ok(Self::hold(&environment.home, core))
    }

    /// Settles `token` with a `NativeIndex`, of a file or of the bytes of one.
    #[napi]
    pub fn load(
        env: &Env,
        environment: &Environment,
        token: Token,
        #[napi(ts_arg_type = "string | Uint8Array")] source: Either<String, Values<'_>>,
        threads: Option<u32>,
        id_type: Option<String>,
        progress: bool,
    ) -> Result<(), Thrown> {
        let source = match source {
            Either::A(path) => Either::A(absolute(path)?),
            Either::B(bytes) => Either::B(guarded(None, "copy", || bytes.to_bytes()).map_err(thrown)?),
        };
        let job = Job::new(env, &environment.home, token, progress, None, None);
        Self::read(environment, job, threads, id_type, move |threads, id_type, work| match source {
            Either::A(path) => Index::load(&path, threads, id_type, work),
            Either::B(bytes) => Index::from_bytes(bytes, threads, id_type, work),
        });
        Ok(())
    }

    /// Settles `token` with a `NativeIndex` that stays in the file.
    #[napi]
    pub fn view(
        env: &Env,
        environment: &Environment,
        token: Token,
        path: String,
        threads: Option<u32>,
        id_type: Option<String>,
        progress: bool,
    ) -> Result<(), Thrown> {
        let path = absolute(path)?;
        let job = Job::new(env, &environment.home, token, progress, None, None);
        Self::read(environment, job, threads, id_type, move |threads, id_type, work| {
            Index::view(&path, threads, id_type, work)
        });
        Ok(())
    }

    /// Settles `token` with a `NativeIndex`.
    #[napi]
    pub fn open(
        env: &Env,
        environment: &Environment,
        token: Token,
        directory: String,
        options: NativeOptions,
        #[napi(ts_arg_type = "'fsync' | 'buffered' | 'readOnly'")] mode: String,
    ) -> Result<(), Thrown> {
        let given = given(&options).map_err(thrown)?;
        let directory = absolute(directory)?;
        let job = Job::new(env, &environment.home, token, false, None, None);
        let home = Arc::clone(&environment.home);
        executor::spawn(Box::new(move || {
            job.run("open", |_| {
                let core = match &*mode {
                    "readOnly" => Index::open_to_read(&directory, &given),
                    "buffered" => Index::open(&directory, &given, Durability::Buffered),
                    _ => Index::open(&directory, &given, Durability::Fsync),
                }?;
                Ok(Payload::Index(Box::new(Self::hold(&home, core))))
            });
        }));
        Ok(())
    }

    #[napi(catch_unwind)]
    pub fn describe(&self) -> Description {
        let options = self.core.options();
        Description {
            dimensions: options.dimensions as u32,
            metric: options.metric.name(),
            id_type: options.id_type.name(),
            dtype: options.dtype.name(),
        }
    }

    #[napi(getter, catch_unwind)]
    pub fn size(&self) -> f64 {
        self.core.len() as f64
    }

    #[napi]
    pub fn has(&self, #[napi(ts_arg_type = "number | bigint | string")] id: One) -> Result<bool, Thrown> {
        self.sync("has", || self.core.has(Owned::new(id)?.id()))
    }

    #[napi(ts_return_type = "Float32Array | null")]
    pub fn get(&self, #[napi(ts_arg_type = "number | bigint | string")] id: One) -> Result<Option<Row>, Thrown> {
        self.sync("get", || Ok(self.core.get(Owned::new(id)?.id())?.map(Row)))
    }

    /// Tells V8 how much memory this object keeps, as of the last write.
    #[napi(catch_unwind)]
    pub fn account(&self, env: &Env) -> napi::Result<()> {
        self.memory.tell(env)
    }

    /// Settles `token` when the calls accepted before are over and the index is closed.
    #[napi]
    pub fn close(&self, env: &Env, token: Token) {
        let job = Job::new(env, &self.home, token, false, Some(&self.core), None);
        let (core, memory) = (self.core.clone(), self.memory.clone());
        // Closing waits for the background migration, which the last call's thread should not have to.
        self.gate.when_empty(Box::new(move || {
            executor::spawn(Box::new(move || {
                job.run("close", |_| {
                    let closed = core.close();
                    memory.measure(&core);
                    closed.map(|()| Payload::Nothing)
                });
            }));
        }));
    }
}

impl NativeIndex {
    /// Runs `read`, which makes an index, as `job`.
    fn read(
        environment: &Environment,
        job: Job,
        threads: Option<u32>,
        id_type: Option<String>,
        read: impl FnOnce(Option<usize>, Option<IdType>, &Work) -> Result<Index> + Send + 'static,
    ) {
        let home = Arc::clone(&environment.home);
        executor::spawn(Box::new(move || {
            job.run("load", |work| {
                let id_type = id_type.as_deref().map(parse_id_type).transpose()?;
                let core = read(threads.map(|threads| threads as usize), id_type, work)?;
                Ok(Payload::Index(Box::new(Self::hold(&home, core))))
            });
        }));
    }

    fn hold(home: &Arc<Home>, core: Index) -> Self {
        let (number, memory) = (home.adopt(&core), Memory::default());
        memory.measure(&core);
        let (lane, acknowledgements, gate) = (Lane::default(), Acknowledgements::default(), Gate::default());
        Self { core, lane, acknowledgements, gate, home: Arc::clone(home), memory, number }
    }

    /// A job that is over before the index closes.
    pub(crate) fn job(&self, env: &Env, token: Token, progress: bool) -> Job {
        Job::new(env, &self.home, token, progress, Some(&self.core), Some(self.gate.enter()))
    }

    /// Runs `body` on a service thread, as a job.
    pub(crate) fn serve(
        &self,
        env: &Env,
        token: Token,
        progress: bool,
        point: &'static str,
        body: impl FnOnce(&Index, &Work) -> Result<Payload> + Send + 'static,
    ) {
        let job = self.job(env, token, progress);
        let core = self.core.clone();
        executor::spawn(Box::new(move || job.run(point, |work| body(&core, work))));
    }

    /// Work on the JavaScript thread.
    pub(crate) fn sync<T>(&self, point: &'static str, body: impl FnOnce() -> Result<T>) -> Result<T, Thrown> {
        guarded(Some(&self.core), point, body).map_err(thrown)
    }

    /// Whether keys stand for numbers.
    pub(crate) fn numbers(&self) -> bool {
        self.core.options().id_type == IdType::Number
    }
}

impl ObjectFinalize for NativeIndex {
    fn finalize(self, env: Env) -> napi::Result<()> {
        let Self { core, home, memory, number, .. } = self;
        home.disown(number);
        // The last handle stops the index's work and frees its memory, which this thread should not wait for.
        executor::spawn(Box::new(move || drop(core)));
        memory.forget(&env)
    }
}

fn given(options: &NativeOptions) -> Result<GivenOptions> {
    let whole = |given: Option<u32>| given.map(|given| given as usize);
    Ok(GivenOptions {
        dimensions: whole(options.dimensions),
        metric: options.metric.as_deref().map(parse_metric).transpose()?,
        id_type: options.id_type.as_deref().map(parse_id_type).transpose()?,
        dtype: options.dtype.as_deref().map(parse_dtype).transpose()?,
        m: whole(options.m),
        ef_construction: whole(options.ef_construction),
        ef: whole(options.ef),
        threshold: options.threshold.map(|rows| rows.is_finite().then_some(rows as usize)),
        chunk_size: whole(options.chunk_size),
        auto_migrate: options.auto_migrate,
        threads: whole(options.threads),
        seed: options.seed.map(|seed| seed as u64),
        capacity: options.capacity.map(|rows| rows as usize),
    })
}

/// The path as of now: the process may have another working directory when it is used.
pub(crate) fn absolute(path: String) -> Result<PathBuf, Thrown> {
    let failed = |error| Error::Io { path: path.clone(), operation: "resolving the path", source: Arc::new(error) };
    std::path::absolute(&path).map_err(failed).map_err(thrown)
}

fn parse_metric(name: &str) -> Result<Metric> {
    match name {
        "l2" => Ok(Metric::L2),
        "cosine" => Ok(Metric::Cosine),
        "ip" => Ok(Metric::InnerProduct),
        _ => Err(unknown("metric", name, "'l2', 'cosine' or 'ip'")),
    }
}

fn parse_id_type(name: &str) -> Result<IdType> {
    let types = [IdType::Number, IdType::BigInt, IdType::String];
    let found = types.into_iter().find(|id_type| id_type.name() == name);
    found.ok_or_else(|| unknown("idType", name, "'number', 'bigint' or 'string'"))
}

fn parse_dtype(name: &str) -> Result<Dtype> {
    Dtype::parse(name).ok_or_else(|| unknown("dtype", name, "'f32', 'f16', 'i8' or 'u8'"))
}

fn unknown(name: &'static str, got: &str, expected: &str) -> Error {
    Error::InvalidArgument { name, got: format!("'{got}'"), expected: expected.into() }
}
