//! The guard: on the egress side of a tap interface; whatever is to be sent is dropped and counted.

use aya_ebpf::EbpfContext as _;
use aya_ebpf::bindings::{BPF_NOEXIST, TC_ACT_SHOT};
use aya_ebpf::helpers::generated::{bpf_skb_cgroup_id, bpf_skb_load_bytes};
use aya_ebpf::macros::{classifier, map};
use aya_ebpf::maps::{PerCpuArray, PerCpuHashMap, RingBuf};
use aya_ebpf::programs::TcContext;
use vigia_probes_abi::{Dropped, GUARD_KINDS_MAX, REPORT_FRAME_BYTES, Tally};

#[map]
static GUARD_TOTAL: PerCpuArray<Tally> = PerCpuArray::with_max_entries(1, 0);

#[map]
static GUARD_KINDS: PerCpuHashMap<u32, Tally> = PerCpuHashMap::with_max_entries(GUARD_KINDS_MAX, 0);

#[map]
static GUARD_REPORTS: RingBuf = RingBuf::with_byte_size(64 << 10, 0);

#[classifier]
pub(crate) fn guard(context: TcContext) -> i32 {
    let bytes = u64::from(context.len());
    if let Some(total) = GUARD_TOTAL.get_ptr_mut(0) {
        count(total, bytes);
    }
    // SAFETY: the context of a program of this type is a valid `__sk_buff`.
    let kind = u32::from(u16::from_be(unsafe { (*context.skb.skb).protocol } as u16));
    if let Some(tally) = GUARD_KINDS.get_ptr_mut(kind) {
        count(tally, bytes);
    } else if GUARD_KINDS.insert(kind, [1, bytes], u64::from(BPF_NOEXIST)).is_ok() {
        report(&context, kind);
    } else if let Some(tally) = GUARD_KINDS.get_ptr_mut(kind) {
        // Another processor was first.
        count(tally, bytes);
    }
    TC_ACT_SHOT as i32
}

#[inline(always)]
fn count(tally: *mut Tally, bytes: u64) {
    // SAFETY: a map's value, which stays while the program runs; it is this processor's own, and the program is not
    // interrupted by itself.
    let tally = unsafe { &mut *tally };
    tally[0] += 1;
    tally[1] += bytes;
}

/// Writes the report of a kind's first frame. When the buffer is full the frame is counted all the same.
#[inline(always)]
fn report(context: &TcContext, kind: u32) {
    let Some(mut entry) = GUARD_REPORTS.reserve::<Dropped>(0) else { return };
    let length = context.len();
    // SAFETY: the context of a program of this type is a valid `__sk_buff`.
    let (cgroup, interface) = unsafe { (bpf_skb_cgroup_id(context.skb.skb), (*context.skb.skb).ifindex) };
    let user = context.get_socket_uid();
    let mut frame = [0; REPORT_FRAME_BYTES];
    // A frame may be shorter than the room for it, and the kernel wants lengths between 1 and the room.
    let shown = length.min(REPORT_FRAME_BYTES as u32);
    if shown > 0 {
        // SAFETY: the pointer is to `frame`, which has room for `shown` bytes.
        unsafe { bpf_skb_load_bytes(context.as_ptr(), 0, frame.as_mut_ptr().cast(), shown) };
    }
    entry.write(Dropped { cgroup, interface, kind, length, user, frame });
    entry.submit(0);
}
