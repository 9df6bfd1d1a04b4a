//! One processor a worker: caches stay warm, and the kernel's share of a ring stays beside its reader.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Keeps the calling worker on the processor of its number among those this process may use (a service manager or
/// `taskset` narrows them). With more workers than processors the kernel places them better, so nothing is done.
pub(super) fn pin(worker: usize, workers: usize) {
    let Ok(allowed) = sched_getaffinity(None) else { return };
    let processors: Vec<_> = (0..CpuSet::MAX_CPU).filter(|&processor| allowed.is_set(processor)).collect();
    let Some(&processor) = processors.get(worker).filter(|_| workers <= processors.len()) else { return };
    let mut one = CpuSet::new();
    one.set(processor);
    match sched_setaffinity(None, &one) {
        Ok(()) => tracing::debug!(worker, processor, "pinned"),
        Err(error) => tracing::warn!(worker, %error, "not pinned to a processor"),
    }
}
