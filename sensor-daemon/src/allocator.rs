//! What the allocator keeps of memory that was freed.

/// Gives memory that was freed back to the system. Loading rules takes as much again as they then hold, in pieces between which
/// some stay; the allocator would keep it for what may come, which is nothing of that size. It takes milliseconds, and who
/// allocates meanwhile waits: not for the hot path. Nothing with other C libraries than glibc.
pub fn trim() {
    #[cfg(target_env = "gnu")]
    // SAFETY: a call without pointers, which takes the allocator's own locks.
    unsafe {
        libc::malloc_trim(0);
    }
}
