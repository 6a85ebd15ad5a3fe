//! What jobs have to say to the JavaScript thread of their environment, delivered in batches.
//!
//! One threadsafe function serves an environment. It carries no data: it wakes the JavaScript thread, which
//! then takes all that lies in the mailbox. It keeps the process alive only while promises are pending. When
//! the environment is torn down the mailbox closes under its lock, so no thread can touch a threadsafe
//! function that Node has freed (Node 20 frees it while threads may still hold it).

use std::sync::{Arc, Weak};

use napi::bindgen_prelude::{Env, Function, Status};
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode, UnknownReturnValue};
use napi_derive::napi;
use parking_lot::Mutex;

use crate::error::Failure;
use crate::output::{Batch, Payload};
use crate::progress::Throttle;

/// The number that the TypeScript knows a promise by.
#[napi]
pub type Token = f64;

pub(crate) struct Message {
    pub(crate) token: Token,
    pub(crate) content: Content,
}

pub(crate) enum Content {
    /// There is progress to fetch.
    Progress(Arc<Throttle>),
    /// The last message of a job.
    Settled(Result<Payload, Failure>),
}

/// Weak: it does not keep the process alive unless it is referenced.
type Wake = ThreadsafeFunction<(), UnknownReturnValue, Batch, Status, false, true>;

#[derive(Default)]
pub(crate) struct Mailbox(Mutex<State>);

#[derive(Default)]
struct State {
    wake: Option<Wake>,
    messages: Vec<Message>,
    /// Promises that wait for a message.
    pending: usize,
}

impl Mailbox {
    /// `deliver` is called with batches of messages on the thread of `env`.
    pub(crate) fn open(deliver: &Function<'_, Batch, UnknownReturnValue>) -> napi::Result<Arc<Self>> {
        let mailbox = Arc::new(Self::default());
        let reader: Weak<Self> = Arc::downgrade(&mailbox);
        let builder = deliver.build_threadsafe_function::<()>().weak::<true>();
        let wake = builder.build_callback(move |context| {
            Ok(Batch(reader.upgrade().map_or_else(Vec::new, |mailbox| mailbox.collect(&context.env))))
        })?;
        mailbox.0.lock().wake = Some(wake);
        Ok(mailbox)
    }

    /// From now on one more promise keeps the process alive. On the JavaScript thread.
    pub(crate) fn expect(&self, env: &Env) {
        let mut state = self.0.lock();
        state.pending += 1;
        if state.pending == 1 {
            state.keep_alive(env, true);
        }
    }

    /// A promise is settled without a message. On the JavaScript thread.
    pub(crate) fn forget(&self, env: &Env) {
        self.0.lock().settle(env, 1);
    }

    /// Leaves a message, from any thread. It is dropped if the environment is gone.
    pub(crate) fn post(&self, message: Message) {
        let mut state = self.0.lock();
        let Some(wake) = &state.wake else { return };
        if state.messages.is_empty() {
            wake.call((), ThreadsafeFunctionCallMode::NonBlocking);
        }
        state.messages.push(message);
    }

    /// Refuses messages from now on. On the JavaScript thread.
    pub(crate) fn close(&self) {
        let mut state = self.0.lock();
        let (wake, messages) = (state.wake.take(), std::mem::take(&mut state.messages));
        drop(state);
        drop((wake, messages));
    }

    fn collect(&self, env: &Env) -> Vec<Message> {
        let mut state = self.0.lock();
        let messages = std::mem::take(&mut state.messages);
        let settled = messages.iter().filter(|message| matches!(message.content, Content::Settled(_))).count();
        state.settle(env, settled);
        messages
    }
}

impl State {
    fn settle(&mut self, env: &Env, promises: usize) {
        self.pending -= promises;
        if promises > 0 && self.pending == 0 {
            self.keep_alive(env, false);
        }
    }

    #[expect(deprecated, reason = "there is no other way to reference a threadsafe function while it is used")]
    fn keep_alive(&mut self, env: &Env, alive: bool) {
        if let Some(wake) = &mut self.wake {
            // Fails only while the environment is torn down, when nothing is to be kept alive.
            let _ = if alive { wake.refer(env) } else { wake.unref(env) };
        }
    }
}
