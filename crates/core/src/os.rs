//! The few things asked of the operating system that the standard library does not offer.
#![allow(unsafe_code)]

use std::ptr::NonNull;

/// Zeroed memory, straight from the system where it can be had from there: pages that nobody touches take no memory. An
/// allocator would zero by hand what it serves from memory that was used before.
pub(crate) struct Zeros {
    start: NonNull<u8>,
    bytes: usize,
}

// SAFETY: an owned piece of memory; how it is shared is up to who uses the pointer.
unsafe impl Send for Zeros {}

impl Zeros {
    /// At least page-aligned on Unix, 16-aligned elsewhere; `bytes` must not be 0. `None` if the system refuses.
    pub(crate) fn new(bytes: usize) -> Option<Self> {
        #[cfg(unix)]
        // SAFETY: a fresh private mapping touches nothing that exists.
        let start = unsafe {
            let access = libc::PROT_READ | libc::PROT_WRITE;
            let start = libc::mmap(std::ptr::null_mut(), bytes, access, libc::MAP_PRIVATE | libc::MAP_ANON, -1, 0);
            if start == libc::MAP_FAILED { std::ptr::null_mut() } else { start.cast() }
        };
        #[cfg(not(unix))]
        // SAFETY: the caller gives a size other than 0.
        let start = unsafe { std::alloc::alloc_zeroed(std::alloc::Layout::from_size_align(bytes, 16).ok()?) };
        Some(Self { start: NonNull::new(start)?, bytes })
    }

    pub(crate) fn start(&self) -> *mut u8 {
        self.start.as_ptr()
    }
}

impl Drop for Zeros {
    fn drop(&mut self) {
        #[cfg(unix)]
        // SAFETY: the mapping was made with this size by `new`, and is given back once.
        unsafe {
            libc::munmap(self.start.as_ptr().cast(), self.bytes);
        }
        #[cfg(not(unix))]
        // SAFETY: the memory was allocated with this layout by `new`, and is freed once.
        unsafe {
            std::alloc::dealloc(self.start.as_ptr(), std::alloc::Layout::from_size_align_unchecked(self.bytes, 16));
        }
    }
}

/// Asks for huge pages behind `bytes` bytes from `start` on: fewer page faults and misses of the address cache.
pub(crate) fn advise_huge_pages(start: *mut u8, bytes: usize) {
    #[cfg(target_os = "linux")]
    // SAFETY: the advice changes no content, whatever the range holds; a range that is not a mapping is refused.
    unsafe {
        libc::madvise(start.cast(), bytes, libc::MADV_HUGEPAGE);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (start, bytes);
}

/// What a thread gives way to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Priority {
    /// Threads that answer queries.
    Write,
    /// Those and threads that write.
    Background,
}

/// Lowers the priority of the calling thread.
pub(crate) fn lower_thread_priority(priority: Priority) {
    #[cfg(target_os = "linux")]
    // SAFETY: changes the scheduling of the calling thread only (Linux takes a thread's id here); failure is harmless.
    unsafe {
        let thread = libc::syscall(libc::SYS_gettid) as libc::id_t;
        let nice = if priority == Priority::Background { 19 } else { 10 };
        libc::setpriority(libc::PRIO_PROCESS, thread, nice);
    }
    #[cfg(target_vendor = "apple")]
    // SAFETY: changes the scheduling of the calling thread only.
    unsafe {
        let background = priority == Priority::Background;
        use libc::qos_class_t::{QOS_CLASS_USER_INITIATED, QOS_CLASS_UTILITY};
        let class = if background { QOS_CLASS_UTILITY } else { QOS_CLASS_USER_INITIATED };
        libc::pthread_set_qos_class_self_np(class, 0);
    }
    #[cfg(not(any(target_os = "linux", target_vendor = "apple")))]
    let _ = priority;
}
