//! What blocks of memory may hold.
#![allow(unsafe_code)]

use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64};

/// Types for which zeroed memory is a valid value, and any other that comes from a file.
///
/// # Safety
/// Every bit pattern must be a valid `Self`, without bytes of padding, and `Self` must not need dropping.
pub(crate) unsafe trait Zeroed: Send + Sync {}
// SAFETY: plain numbers, and atomics of them, are valid whatever their bits are and have no drop glue.
unsafe impl Zeroed for f32 {}
// SAFETY: as above.
unsafe impl Zeroed for u8 {}
// SAFETY: as above.
unsafe impl Zeroed for u32 {}
// SAFETY: as above.
unsafe impl Zeroed for u64 {}
// SAFETY: as above.
unsafe impl Zeroed for AtomicU8 {}
// SAFETY: as above.
unsafe impl Zeroed for AtomicU32 {}
// SAFETY: as above.
unsafe impl Zeroed for AtomicU64 {}

/// Types that may be written through a shared reference, so that all reserved blocks may be read at any time.
///
/// # Safety
/// `Self` must be an atomic.
pub(crate) unsafe trait Shared: Zeroed {}
// SAFETY: an atomic.
unsafe impl Shared for AtomicU8 {}
// SAFETY: an atomic.
unsafe impl Shared for AtomicU32 {}
// SAFETY: an atomic.
unsafe impl Shared for AtomicU64 {}
