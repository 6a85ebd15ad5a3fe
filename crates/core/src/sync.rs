//! The atomics that links are made of. `tests/publication.rs` puts loom's in their place, which try every order in
//! which threads may see what others wrote.

pub(crate) use std::sync::atomic::{AtomicU32, Ordering, fence};
