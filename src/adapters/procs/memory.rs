//! How much memory a process keeps that it has no use for any more.

/// For a process that is to stay small and to live long: what a flood took is given back once it is over. Before any
/// thread is started.
///
/// The GNU C library would give each thread a heap of its own, and after the first large buffer it would take the next
/// ones from the heap, which it gives back from its end alone.
pub fn stay_small() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        /// Buffers from this size on are mapped by themselves, and unmapped when they are freed.
        const MAPPED_FROM: libc::c_int = 64 * 1024;
        // SAFETY: plain integers; nothing else of this process has set them, and a refusal changes nothing.
        unsafe {
            libc::mallopt(libc::M_ARENA_MAX, 1);
            libc::mallopt(libc::M_MMAP_THRESHOLD, MAPPED_FROM);
            libc::mallopt(libc::M_TRIM_THRESHOLD, MAPPED_FROM);
        }
    }
}
