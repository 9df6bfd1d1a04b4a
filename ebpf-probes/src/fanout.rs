//! The fanout: which worker a frame goes to. Both directions of a flow give the same number, tagged or tunnelled alike or
//! not: what counts is the innermost pair of addresses that is to be found.
//!
//! Frames without IP are told by their MAC addresses. Fragments carry no ports after the first, so they go by their
//! addresses alone, all of them; trailers (PRP) do not matter.

use aya_ebpf::EbpfContext as _;
use aya_ebpf::helpers::generated::bpf_skb_load_bytes_relative;
use aya_ebpf::macros::socket_filter;
use aya_ebpf::programs::SkBuffContext;
use vigia_probes_abi::meet;

use crate::headers::Frame;
use crate::scratch;

/// Start of the link header, of the network header (`enum bpf_hdr_start_off`).
const LINK: u32 = 0;
const NETWORK: u32 = 1;

#[socket_filter]
pub(crate) fn fanout(context: SkBuffContext) -> i64 {
    let Some(headers) = scratch::headers() else { return 0 };
    let ethertype = u16::from_be(context.skb.protocol() as u16);
    // The frame may have no link header (raw IP): then there are no addresses.
    let word = |at| load::<8>(&context, at, LINK).map(u64::from_ne_bytes);
    let addresses = word(0).zip(word(4)).map(|(first, second)| [first, second]);
    headers.follow_link(&Network(&context), addresses, ethertype);
    i64::from(meet(headers.ends[0], headers.ends[1]))
}

/// A frame from its network header on. Where a fanout runs the packet begins there, whatever was before it.
struct Network<'c>(&'c SkBuffContext);

impl Frame for Network<'_> {
    #[inline(always)]
    fn load<const N: usize>(&self, at: u32) -> Option<[u8; N]> {
        load(self.0, at, NETWORK)
    }
}

#[inline(always)]
fn load<const N: usize>(context: &SkBuffContext, at: u32, from: u32) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    // SAFETY: the pointer is to `bytes`, and the length is its size.
    let failed =
        unsafe { bpf_skb_load_bytes_relative(context.as_ptr(), at, bytes.as_mut_ptr().cast(), N as u32, from) };
    (failed == 0).then_some(bytes)
}
