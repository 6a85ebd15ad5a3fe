//! The Node.js binding of vicinal-core: moves arguments in, results out and work off the JavaScript thread.
//!
//! No algorithm lives here, and no policy: arguments are checked, promises kept and signals followed by the
//! TypeScript in front of it. What this crate decides is which thread does what:
//!
//! - `lane` – the writes of an index, one at a time in the order of the calls, on the threads of `executor`;
//! - `acknowledgements` – writes that are done and wait for a sync, which they share;
//! - `executor` – threads of our own for calls that block, so that libuv's four stay free;
//! - the core's query threads – asynchronous searches;
//! - the JavaScript thread – calls that end in `Sync`, copies of arguments, delivery of results.
//!
//! A call that leaves the JavaScript thread is a `job`. What it has to say goes through the `mailbox` of the
//! environment that made it, which is gone when that environment is torn down (`environment`).
#![deny(unsafe_code)]
// These types are seen by the TypeScript in front of this crate alone; it documents what users see.
#![allow(missing_docs)]

mod acknowledgements;
#[cfg(feature = "bench")]
mod bench;
mod control;
mod environment;
mod error;
mod executor;
mod failpoint;
mod gate;
mod ids;
mod index;
mod job;
mod keys;
mod lane;
mod mailbox;
mod memory;
mod output;
mod progress;
mod reports;
mod search;
mod tools;
mod views;
mod writes;
