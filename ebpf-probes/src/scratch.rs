//! Memory of a processor for the frame it is at: more than a program's stack has room for. Programs that use it do not
//! interrupt each other.

use aya_ebpf::macros::map;
use aya_ebpf::maps::PerCpuArray;

use crate::headers::Headers;

#[map]
static SCRATCH: PerCpuArray<Headers> = PerCpuArray::with_max_entries(1, 0);

/// The headers of the frame; always there, but the verifier wants to see it asked.
#[inline(always)]
pub(crate) fn headers() -> Option<&'static mut Headers> {
    // SAFETY: a map's value, which stays while the program runs and is this processor's own; each program asks once.
    SCRATCH.get_ptr_mut(0).map(|headers| unsafe { &mut *headers })
}
