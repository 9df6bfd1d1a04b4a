//! The tap: decides of every frame of an interface whether anybody is to see it, and counts what it decided.
//!
//! [`tap`] runs before the kernel makes a packet of the frame (XDP). Where that cannot be had, [`filter`] does the same on
//! the packet sockets, of which each frame meets one. Both give each frame one [`Fate`].

use aya_ebpf::EbpfContext as _;
use aya_ebpf::bindings::{BPF_NOEXIST, xdp_action};
use aya_ebpf::helpers::generated::{
    bpf_ktime_get_coarse_ns, bpf_ktime_get_ns, bpf_skb_load_bytes, bpf_xdp_adjust_meta,
};
use aya_ebpf::macros::{map, socket_filter, xdp};
use aya_ebpf::maps::lpm_trie::Key;
use aya_ebpf::maps::{Array, HashMap, LpmTrie, LruPerCpuHashMap, PerCpuArray, PerCpuHashMap, XskMap};
use aya_ebpf::programs::{SkBuffContext, XdpContext};
use vigia_probes_abi::tap::{
    ARRIVAL_MARK, Arrival, CLASS_BITS, CLASS_ENTRIES, Counts, Fate, FlowKey, IGNORED_BIT, INTERFACES_MAX, LANS,
    NETWORKS_MAX, NO_CLASS, Numbers, Place, SIZES, SOCKETS_MAX, Seen, Settings, Shunted, Switch, VLANS_MAX,
    class_place, vlan_key,
};
use vigia_probes_abi::{Tally, meet};

use crate::copies;
use crate::headers::{FARTHEST, Frame, Headers};
use crate::scratch;

#[map]
static TAP_SETTINGS: Array<Settings> = Array::with_max_entries(1, 0);

#[map]
static TAP_SWITCHES: Array<u32> = Array::with_max_entries(Switch::COUNT, 0);

#[map]
static TAP_INTERFACES: HashMap<u32, Place> = HashMap::with_max_entries(INTERFACES_MAX, 0);

#[map]
static TAP_COUNTS: PerCpuArray<Counts> = PerCpuArray::with_max_entries(INTERFACES_MAX, 0);

#[map]
static TAP_VLANS: PerCpuHashMap<u32, Tally> = PerCpuHashMap::with_max_entries(VLANS_MAX, 0);

#[map]
static TAP_CLASSES: Array<[u8; 8]> = Array::with_max_entries(CLASS_ENTRIES, 0);

#[map]
static TAP_NETWORKS_V4: LpmTrie<[u8; 4], u32> = LpmTrie::with_max_entries(NETWORKS_MAX, 0);

#[map]
static TAP_NETWORKS_V6: LpmTrie<[u8; 16], u32> = LpmTrie::with_max_entries(NETWORKS_MAX, 0);

// The sizes of the next three are set when the object is loaded.
#[map]
static TAP_SHUNTS: LruPerCpuHashMap<FlowKey, Shunted> = LruPerCpuHashMap::with_max_entries(1, 0);

#[map]
static TAP_REDUNDANT: Array<Seen> = Array::with_max_entries(1, 0);

#[map]
static TAP_MIRRORED: Array<Seen> = Array::with_max_entries(1, 0);

#[map]
static TAP_SOCKETS: XskMap = XskMap::with_max_entries(SOCKETS_MAX, 0);

/// TCP flags that end or begin a connection: FIN, SYN, RST.
const TCP_TURNS: u32 = 0x07;

#[xdp]
pub(crate) fn tap(context: XdpContext) -> u32 {
    let frame = Linear { start: context.data(), end: context.data_end() };
    let length = (frame.end - frame.start) as u32;
    let seen = Sighting { interface: context.ingress_ifindex() as u32, length, bytes: length, stripped: 0 };
    match judge(&frame, &seen, |place, hash| has_reader(&context, place, hash)) {
        Some(Verdict { delivered: true, place, hash }) => steer(&context, place, hash),
        Some(_) => xdp_action::XDP_DROP,
        None => xdp_action::XDP_PASS,
    }
}

/// On a packet socket: how many bytes are taken of a frame. The packet begins with its link header there.
#[socket_filter]
pub(crate) fn filter(context: SkBuffContext) -> i64 {
    // SAFETY: the context of a program of this type is a valid `__sk_buff`.
    let skb = unsafe { &*context.skb.skb };
    // The kernel took the outer tag off; on the wire it was there.
    let (stripped, tag) = if skb.vlan_present != 0 { (skb.vlan_tci as u16, 4) } else { (0, 0) };
    let seen = Sighting { interface: skb.ifindex, length: skb.len, bytes: skb.len + tag, stripped };
    let Some(settings) = TAP_SETTINGS.get(0) else { return 0 };
    if skb.pkt_type == PACKET_OUTGOING && place(seen.interface).is_none_or(|place| place.outgoing == 0) {
        return 0;
    }
    match judge(&Packet(&context), &seen, |_, _| true) {
        Some(Verdict { delivered: true, .. }) | None => i64::from(settings.snaplen),
        Some(_) => 0,
    }
}

/// What the kernel calls a packet that this machine sends.
const PACKET_OUTGOING: u32 = 4;

/// A frame's bytes in one piece of memory.
struct Linear {
    start: usize,
    end: usize,
}

impl Frame for Linear {
    #[inline(always)]
    fn load<const N: usize>(&self, at: u32) -> Option<[u8; N]> {
        let from = self.start + (at & FARTHEST) as usize;
        if from + N > self.end {
            return None;
        }
        // SAFETY: the bytes are the frame's, as the verifier checks too.
        Some(unsafe { *(from as *const [u8; N]) })
    }

    #[inline(always)]
    fn word(&self, at: u32) -> Option<u64> {
        let from = self.start + (at & FARTHEST) as usize;
        if from + 8 > self.end {
            return None;
        }
        // SAFETY: the bytes are the frame's, as the verifier checks too; it also refuses a program that would read a word
        // at such a place on a processor that cannot.
        Some(unsafe { *(from as *const u64) })
    }
}

/// A packet's bytes, wherever the kernel has them.
struct Packet<'c>(&'c SkBuffContext);

impl Frame for Packet<'_> {
    #[inline(always)]
    fn load<const N: usize>(&self, at: u32) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        // SAFETY: the pointer is to `bytes`, and the length is its size.
        let failed = unsafe { bpf_skb_load_bytes(self.0.as_ptr(), at, bytes.as_mut_ptr().cast(), N as u32) };
        (failed == 0).then_some(bytes)
    }
}

/// A frame as a program meets it.
struct Sighting {
    interface: u32,
    /// Bytes that can be read.
    length: u32,
    /// Bytes on the wire.
    bytes: u32,
    /// The VLAN tag that was taken off; 0 if none was.
    stripped: u16,
}

/// What becomes of a frame.
struct Verdict {
    delivered: bool,
    place: &'static Place,
    /// The hash of its flow.
    hash: u32,
}

#[inline(always)]
fn place(interface: u32) -> Option<&'static Place> {
    // SAFETY: a map's value, which stays while the program runs; it is written before the tap is attached.
    TAP_INTERFACES.get_ptr(interface).map(|place| unsafe { &*place })
}

#[inline(always)]
fn switch(which: Switch) -> u32 {
    TAP_SWITCHES.get(which as u32).copied().unwrap_or(0)
}

/// Decides and counts; `None` of an interface that is not known. What has no reader is held.
#[inline(always)]
fn judge(frame: &impl Frame, seen: &Sighting, has_reader: impl FnOnce(&Place, u32) -> bool) -> Option<Verdict> {
    let place = place(seen.interface)?;
    // SAFETY: a map's value, which stays while the program runs and is this processor's own; it is asked for once.
    let counts = unsafe { &mut *TAP_COUNTS.get_ptr_mut(place.slot)? };
    let settings = TAP_SETTINGS.get(0)?;
    let headers = scratch::headers()?;
    if place.link == 0 {
        headers.follow_ethernet(frame, seen.length, seen.stripped);
    } else {
        headers.follow_ip(frame, seen.length);
    }
    headers.class = u32::from(class(headers, settings));
    headers.forget();
    headers.fate = if place.open == 0 { Fate::Held } else { fate(frame, headers, settings, seen, counts) } as u32;
    headers.forget();
    let hash = meet(headers.ends[0], headers.ends[1]);
    if headers.fate == Fate::Delivered as u32 && !has_reader(place, hash) {
        headers.fate = Fate::Held as u32;
    }
    count(counts, place.slot, headers, seen.bytes);
    Some(Verdict { delivered: headers.fate == Fate::Delivered as u32, place, hash })
}

/// The entry of a number in `TAP_CLASSES`.
#[inline(always)]
fn class_of(of: Numbers, number: u16) -> u8 {
    let (entry, byte) = class_place(of, number);
    TAP_CLASSES.get(entry).map_or(0, |classes| classes[byte & 7])
}

/// The class of a frame, with the mark of what is ignored.
#[inline(always)]
fn class(headers: &Headers, settings: &Settings) -> u8 {
    let link = class_of(Numbers::Ethertype, headers.ethertype);
    if headers.key.version == 0 {
        return link;
    }
    let class = if headers.is_fragment != 0 {
        settings.class_of_fragments as u8
    } else if headers.has_ports != 0 {
        let numbers = match headers.key.protocol {
            6 => Numbers::Tcp,
            17 => Numbers::Udp,
            _ => Numbers::Sctp,
        };
        let source = class_of(numbers, headers.key.source_port);
        let destination = class_of(numbers, headers.key.destination_port);
        let (low, high) = (source & CLASS_BITS, destination & CLASS_BITS);
        let class = if low < high { low } else { high };
        (if class == NO_CLASS { settings.class_of_ip as u8 } else { class }) | (source | destination) & IGNORED_BIT
    } else {
        settings.class_of_ip as u8
    };
    class | link & IGNORED_BIT
}

/// Looks for the first reason not to deliver a frame. A copy is dropped before it could count as its flow's.
#[inline(always)]
fn fate(frame: &impl Frame, headers: &mut Headers, settings: &Settings, seen: &Sighting, counts: &mut Counts) -> Fate {
    if headers.class & u32::from(IGNORED_BIT) != 0
        || in_ignored_vlan(headers, settings)
        || in_ignored_network(headers, settings)
    {
        return Fate::Ignored;
    }
    if is_copy(frame, headers, settings, counts) {
        return Fate::Duplicate;
    }
    if switch(Switch::Shunting) != 0 && shunt(headers, seen.bytes) {
        return Fate::Shunted;
    }
    if headers.class & u32::from(CLASS_BITS) >= switch(Switch::Keep) {
        return Fate::Shed;
    }
    Fate::Delivered
}

#[inline(always)]
fn in_ignored_vlan(headers: &Headers, settings: &Settings) -> bool {
    let ignored = |id: u16| settings.ignored_vlans[(id >> 6 & 63) as usize] >> (id & 63) & 1 != 0;
    let [outer, middle, inner] = headers.key.vlans;
    // Beyond the last is VLAN 0, whose bit is never set.
    ignored(outer) || ignored(middle) || ignored(inner)
}

#[inline(always)]
fn in_ignored_network(headers: &Headers, settings: &Settings) -> bool {
    let FlowKey { source, destination, .. } = &headers.key;
    if headers.key.version == 4 && settings.networks[0] != 0 {
        let ignored = |at: &[u8; 16]| TAP_NETWORKS_V4.get(Key::new(32, [at[0], at[1], at[2], at[3]])).is_some();
        return ignored(source) || ignored(destination);
    }
    if headers.key.version == 6 && settings.networks[1] != 0 {
        let ignored = |address: &[u8; 16]| TAP_NETWORKS_V6.get(Key::new(128, *address)).is_some();
        return ignored(source) || ignored(destination);
    }
    false
}

#[inline(always)]
fn is_copy(frame: &impl Frame, headers: &mut Headers, settings: &Settings, counts: &mut Counts) -> bool {
    let lan = headers.redundancy.lan;
    if lan != 0 {
        let lan = (lan - 1) as usize % LANS;
        counts.lans[lan][0] += 1;
        let window = settings.redundant_window_ns;
        if window != 0
            && let Some(fingerprint) = copies::redundant(frame, headers, settings)
            && let Some(memory) = TAP_REDUNDANT.get_ptr_mut(fingerprint as u32 & settings.redundant_mask)
            && copies::is_copy(memory, fingerprint, window, 1 << lan, counts)
        {
            counts.lans[lan][1] += 1;
            return true;
        }
    }
    if settings.mirrored_window_ns != 0
        && headers.key.version != 0
        && let Some((fingerprint, window)) = copies::mirrored(frame, headers, settings)
        && let Some(memory) = TAP_MIRRORED.get_ptr_mut(fingerprint as u32 & settings.mirrored_mask)
    {
        return copies::is_copy(memory, fingerprint, window, 0, counts);
    }
    false
}

/// Counts a frame of a shunted flow on it; false if the flow is not shunted, and for segments that begin or end a
/// connection: those are for the daemon.
#[inline(always)]
fn shunt(headers: &Headers, bytes: u32) -> bool {
    if headers.has_ports == 0 || headers.tcp_flags & TCP_TURNS != 0 {
        return false;
    }
    let Some(shunted) = TAP_SHUNTS.get_ptr_mut(&headers.key) else { return false };
    // SAFETY: a map's value, which stays while the program runs and is this processor's own.
    let shunted = unsafe { &mut *shunted };
    shunted.packets += 1;
    shunted.bytes += u64::from(bytes);
    // SAFETY: a call without arguments.
    shunted.last_ns = unsafe { bpf_ktime_get_coarse_ns() };
    shunted.tcp_flags |= u64::from(headers.tcp_flags);
    true
}

#[inline(always)]
fn count(counts: &mut Counts, slot: u32, headers: &Headers, bytes: u32) {
    let (class, fate) = ((headers.class & u32::from(CLASS_BITS)) as usize, headers.fate);
    add(&mut counts.total, bytes);
    add(&mut counts.fates[fate as usize & (Fate::ROOM - 1)], bytes);
    add(&mut counts.classes[class], bytes);
    if fate == Fate::Shed as u32 {
        add(&mut counts.shed[class], bytes);
    }
    let with_check = bytes + 4;
    let size = SIZES.iter().filter(|bound| with_check > **bound).count();
    add(&mut counts.sizes[size & 7], bytes);
    let vlan = headers.key.vlans[0];
    if vlan != 0 {
        count_vlan(counts, vlan_key(slot, vlan), bytes);
    }
}

#[inline(always)]
fn count_vlan(counts: &mut Counts, key: u32, bytes: u32) {
    let mut tally = TAP_VLANS.get_ptr_mut(key);
    if tally.is_none() {
        // Another processor may be first.
        let _ = TAP_VLANS.insert(key, [0, 0], u64::from(BPF_NOEXIST));
        tally = TAP_VLANS.get_ptr_mut(key);
    }
    match tally {
        // SAFETY: a map's value, which stays while the program runs and is this processor's own.
        Some(tally) => add(unsafe { &mut *tally }, bytes),
        None => counts.other_vlans += 1,
    }
}

#[inline(always)]
fn add(tally: &mut Tally, bytes: u32) {
    tally[0] += 1;
    tally[1] += u64::from(bytes);
}

/// The worker's socket for a frame, as an index of `TAP_SOCKETS`; `None` on a queue that has none.
#[inline(always)]
fn socket(context: &XdpContext, place: &Place, hash: u32) -> Option<u32> {
    let queue = context.rx_queue_index();
    (queue < place.queues && place.workers != 0).then(|| place.sockets + queue * place.workers + hash % place.workers)
}

/// Does anybody read a frame? Where frames are not steered packet sockets do.
#[inline(always)]
fn has_reader(context: &XdpContext, place: &Place, hash: u32) -> bool {
    place.workers == 0 || socket(context, place, hash).is_some_and(|socket| TAP_SOCKETS.get(socket).is_some())
}

/// Gives a frame to its worker's socket, with the time of its arrival before it; the kernel goes on where frames are not
/// steered.
#[inline(always)]
fn steer(context: &XdpContext, place: &Place, hash: u32) -> u32 {
    let Some(socket) = socket(context, place, hash) else { return xdp_action::XDP_PASS };
    // SAFETY: the context is the program's own.
    if unsafe { bpf_xdp_adjust_meta(context.ctx, -(size_of::<Arrival>() as i32)) } == 0 {
        let arrival = context.metadata();
        if arrival + size_of::<Arrival>() <= context.data() {
            // SAFETY: the memory was made room for, as the verifier checks too.
            unsafe { *(arrival as *mut Arrival) = Arrival { mark: ARRIVAL_MARK, monotonic_ns: bpf_ktime_get_ns() } };
        }
    }
    TAP_SOCKETS.redirect(socket, u64::from(xdp_action::XDP_PASS)).unwrap_or(xdp_action::XDP_PASS)
}
