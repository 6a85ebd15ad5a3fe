//! What one JavaScript environment (the main thread, or a worker) has under way, and how it ends.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use napi::bindgen_prelude::{Env, Function};
use napi::threadsafe_function::UnknownReturnValue;
use napi_derive::napi;
use parking_lot::{Condvar, Mutex};
use vicinal_core::Index;

use crate::control::Control;
use crate::mailbox::{Mailbox, Message, Token};
use crate::output::Batch;
use crate::progress::Throttle;

/// The environment, as its jobs and indexes see it.
pub(crate) struct Home {
    pub(crate) mailbox: Arc<Mailbox>,
    state: Mutex<State>,
    /// Signalled when the last job is over.
    quiet: Condvar,
}

#[derive(Default)]
struct State {
    /// The jobs that are queued or running.
    jobs: HashMap<u64, Entry>,
    /// The indexes that JavaScript holds. Taken out when they are collected, so this keeps none alive.
    indexes: HashMap<u64, Index>,
}

/// What JavaScript can tell a job.
struct Entry {
    control: Arc<Control>,
    throttle: Option<Arc<Throttle>>,
}

/// The native side of this copy of the package in this environment.
#[napi]
pub struct Environment {
    pub(crate) home: Arc<Home>,
}

#[napi]
impl Environment {
    /// `deliver` gets `[token, tag, value, …]`: tag 0 for a result, 1 for a failure, 2 for progress.
    #[napi(constructor)]
    pub fn new(
        env: &Env,
        #[napi(ts_arg_type = "(messages: unknown[]) => void")] deliver: Function<'_, Batch, UnknownReturnValue>,
    ) -> napi::Result<Self> {
        let mailbox = Mailbox::open(&deliver)?;
        let home = Arc::new(Home { mailbox, state: Mutex::default(), quiet: Condvar::new() });
        // Hooks run in reverse order: ours before the one by which Node frees the threadsafe function.
        env.add_env_cleanup_hook(Arc::clone(&home), |home| home.leave())?;
        Ok(Self { home })
    }

    /// Stops a job. True if it had not started: then nothing more will be heard of it.
    #[napi]
    pub fn cancel(&self, env: &Env, token: Token) -> bool {
        let control = self.home.state.lock().jobs.get(&token.to_bits()).map(|job| Arc::clone(&job.control));
        let never_runs = control.is_some_and(|control| control.cancel());
        if never_runs {
            self.home.mailbox.forget(env);
        }
        never_runs
    }

    /// The listener of a job has returned from what it was told.
    #[napi]
    pub fn heard(&self, token: Token) {
        let throttle = self.home.state.lock().jobs.get(&token.to_bits()).and_then(|job| job.throttle.clone());
        if let Some(throttle) = throttle {
            throttle.heard();
        }
    }
}

impl Home {
    pub(crate) fn enter(&self, token: Token, control: &Arc<Control>, throttle: Option<&Arc<Throttle>>) {
        let job = Entry { control: Arc::clone(control), throttle: throttle.cloned() };
        self.state.lock().jobs.insert(token.to_bits(), job);
    }

    pub(crate) fn exit(&self, token: Token) {
        let mut state = self.state.lock();
        state.jobs.remove(&token.to_bits());
        if state.jobs.is_empty() {
            self.quiet.notify_all();
        }
    }

    pub(crate) fn post(&self, message: Message) {
        self.mailbox.post(message);
    }

    /// Remembers an index until it is collected; returns the number to forget it by.
    pub(crate) fn adopt(&self, index: &Index) -> u64 {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        self.state.lock().indexes.insert(number, index.clone());
        number
    }

    pub(crate) fn disown(&self, number: u64) {
        let index = self.state.lock().indexes.remove(&number);
        drop(index);
    }

    /// The environment ends: cancels its work and waits until no thread works for it.
    fn leave(&self) {
        self.mailbox.close();
        let mut state = self.state.lock();
        for job in state.jobs.values() {
            job.control.cancel();
        }
        let indexes = std::mem::take(&mut state.indexes);
        drop(state);
        for index in indexes.values() {
            index.abandon();
        }
        let mut state = self.state.lock();
        while !state.jobs.is_empty() {
            self.quiet.wait(&mut state);
        }
    }
}
