//! The few things asked of the operating system that the standard library does not offer. All are hints: a system
//! that does not know them is served without.
#![allow(unsafe_code)]

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

/// Lowers the priority of the calling thread, so that it gives way to threads that answer queries.
pub(crate) fn lower_thread_priority() {
    #[cfg(target_os = "linux")]
    // SAFETY: changes the scheduling of the calling thread only (Linux takes a thread's id here); failure is harmless.
    unsafe {
        let thread = libc::syscall(libc::SYS_gettid) as libc::id_t;
        libc::setpriority(libc::PRIO_PROCESS, thread, 10);
    }
    #[cfg(target_vendor = "apple")]
    // SAFETY: changes the scheduling of the calling thread only.
    unsafe {
        libc::pthread_set_qos_class_self_np(libc::qos_class_t::QOS_CLASS_UTILITY, 0);
    }
}
