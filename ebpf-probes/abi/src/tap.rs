//! The tap: what it is told, what it counts, and what it remembers.
//!
//! Every frame ends in exactly one [`Fate`]; `TAP_COUNTS` has a tally for each, and a total that is their sum.

use crate::Tally;

/// Program of the type XDP: counts every frame of an interface, drops what is not wanted, steers the rest.
pub const TAP: &str = "tap";
/// Program of the type socket filter: the same for the packet sockets of an interface without XDP.
pub const FILTER: &str = "filter";

/// Array with one [`Settings`].
pub const TAP_SETTINGS: &str = "TAP_SETTINGS";
/// Array of the [`Switch`]es, a `u32` each.
pub const TAP_SWITCHES: &str = "TAP_SWITCHES";
/// Hash of an interface's number to its [`Place`].
pub const TAP_INTERFACES: &str = "TAP_INTERFACES";
/// Per-CPU array of [`Counts`], by [`Place::slot`].
pub const TAP_COUNTS: &str = "TAP_COUNTS";
/// Per-CPU hash of [`vlan_key`] to a [`Tally`]. Once it is full, further VLANs are in the totals only.
pub const TAP_VLANS: &str = "TAP_VLANS";
/// Array of classes, eight to an entry; see [`class_place`].
pub const TAP_CLASSES: &str = "TAP_CLASSES";
/// Longest-prefix tries of ignored networks, addresses in network byte order.
pub const TAP_NETWORKS: [&str; 2] = ["TAP_NETWORKS_V4", "TAP_NETWORKS_V6"];
/// LRU hash, per CPU, of [`FlowKey`] to [`Shunted`].
pub const TAP_SHUNTS: &str = "TAP_SHUNTS";
/// Array of [`Seen`]: PRP and HSR frames. Its size is a power of two.
pub const TAP_REDUNDANT: &str = "TAP_REDUNDANT";
/// Array of [`Seen`]: frames that may be mirrored twice. Its size is a power of two.
pub const TAP_MIRRORED: &str = "TAP_MIRRORED";
/// Sockets (AF_XDP) of the workers: a frame goes to [`Place::sockets`] + queue * [`Place::workers`] + hash modulo workers.
pub const TAP_SOCKETS: &str = "TAP_SOCKETS";

/// Interfaces at a time.
pub const INTERFACES_MAX: u32 = 16;
/// Sockets of all interfaces, queues and workers.
pub const SOCKETS_MAX: u32 = 1024;
/// VLANs counted apart, over all interfaces.
pub const VLANS_MAX: u32 = 4096;
/// Prefixes of each family that can be ignored.
pub const NETWORKS_MAX: u32 = 1024;
/// Room for the classes that frames are told into.
pub const CLASSES_MAX: usize = 64;
/// Bits of an entry of `TAP_CLASSES` that hold the class.
pub const CLASS_BITS: u8 = 0x3f;
/// Instead of a class: a port that is of none. Packets of two such ports are of [`Settings::class_of_ip`].
pub const NO_CLASS: u8 = CLASS_BITS;
/// The bit of an entry of `TAP_CLASSES` that says that such frames are ignored.
pub const IGNORED_BIT: u8 = 0x80;

/// What `TAP_SWITCHES` holds, by index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Switch {
    /// Classes that are kept: a frame of this class or a higher one is shed. [`CLASSES_MAX`] when nothing is.
    Keep,
    /// 0: there are no shunts, none is looked for.
    Shunting,
}

impl Switch {
    /// Number of switches.
    pub const COUNT: u32 = 2;
}

/// What is known of an interface.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Place {
    /// Its index in `TAP_COUNTS`.
    pub slot: u32,
    /// What its frames begin with: 0 for Ethernet, 1 for IP.
    pub link: u32,
    /// Its first socket in `TAP_SOCKETS`.
    pub sockets: u32,
    /// Queues that have sockets.
    pub queues: u32,
    /// Workers among which frames are shared out; 0 for none: packet sockets read what is passed on.
    pub workers: u32,
    /// 1: frames that this machine sends count as well. Only `filter` sees them.
    pub outgoing: u32,
    /// 1: the tap is open here. 0: every frame is dropped as [`Fate::Held`], since nobody reads yet or any more.
    pub open: u32,
}

/// Where a frame ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Fate {
    /// Given to packet sockets or to a worker's socket.
    Delivered,
    /// Dropped while nobody reads: before and after capture, and while a worker has no socket for it.
    Held,
    /// Dropped because the configuration says so.
    Ignored,
    /// A second copy.
    Duplicate,
    /// Of a flow that nobody needs to see any more.
    Shunted,
    /// Dropped under pressure; [`Counts::shed`] has the classes.
    Shed,
}

impl Fate {
    /// Room for fates.
    pub const ROOM: usize = 8;
}

/// Frame sizes that are counted apart: the upper bounds, in bytes with the frame check sequence, as RMON has them
/// (RFC 2819), who does not tell long ones apart. Longer frames are in one more.
pub const SIZES: [u32; 7] = [64, 127, 255, 511, 1023, 1518, 2047];

/// LANs and paths that are counted apart: PRP's A and B, HSR's A and B.
pub const LANS: usize = 4;

/// What was counted on an interface by one processor.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Every frame.
    pub total: Tally,
    /// By [`Fate`]; their sum is the total.
    pub fates: [Tally; Fate::ROOM],
    /// Every frame, by class.
    pub classes: [Tally; CLASSES_MAX],
    /// Shed frames, by class.
    pub shed: [Tally; CLASSES_MAX],
    /// Every frame, by size: [`SIZES`], and longer ones.
    pub sizes: [Tally; SIZES.len() + 1],
    /// PRP and HSR frames by LAN: all of them, and the copies that were dropped.
    pub lans: [[u64; 2]; LANS],
    /// Frames whose memory was taken by another within its window, and of which a copy would not be known.
    pub forgotten: u64,
    /// Tagged frames whose VLAN is not counted apart, because too many are.
    pub other_vlans: u64,
}

impl Counts {
    /// With nothing counted.
    pub const ZERO: Self = Self {
        total: [0; 2],
        fates: [[0; 2]; Fate::ROOM],
        classes: [[0; 2]; CLASSES_MAX],
        shed: [[0; 2]; CLASSES_MAX],
        sizes: [[0; 2]; SIZES.len() + 1],
        lans: [[0; 2]; LANS],
        forgotten: 0,
        other_vlans: 0,
    };
}

/// Words of eight bytes of a frame that are compared. A longer frame is never taken for a copy.
pub const COMPARED_WORDS: usize = 192;

/// What the tap is told. A change takes effect within a frame.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Secret numbers of the comparison, two a word, and two for the last word.
    pub secrets: [[u32; 2]; COMPARED_WORDS + 1],
    /// A bit for each VLAN that is ignored.
    pub ignored_vlans: [u64; 64],
    /// How long a PRP or HSR frame waits for its copy, in nanoseconds; 0: copies are delivered.
    pub redundant_window_ns: u64,
    /// How far apart two copies of a mirrored frame may be, in nanoseconds; 0: copies are delivered.
    pub mirrored_window_ns: u64,
    /// The same for IP packets without identification.
    pub mirrored_unidentified_ns: u64,
    /// Entries of `TAP_REDUNDANT`, less one.
    pub redundant_mask: u32,
    /// Entries of `TAP_MIRRORED`, less one.
    pub mirrored_mask: u32,
    /// Are there ignored networks? By family.
    pub networks: [u32; 2],
    /// Class of IP packets without a port that has one.
    pub class_of_ip: u32,
    /// Class of IP fragments.
    pub class_of_fragments: u32,
    /// Bytes that a packet socket takes of a frame, for `filter`.
    pub snaplen: u32,
    /// Not used.
    pub reserved: u32,
}

impl Settings {
    /// Everything is delivered and counted as class 0.
    pub const NONE: Self = Self {
        secrets: [[0; 2]; COMPARED_WORDS + 1],
        ignored_vlans: [0; 64],
        redundant_window_ns: 0,
        mirrored_window_ns: 0,
        mirrored_unidentified_ns: 0,
        redundant_mask: 0,
        mirrored_mask: 0,
        networks: [0; 2],
        class_of_ip: 0,
        class_of_fragments: 0,
        snaplen: u32::MAX,
        reserved: 0,
    };

    /// What a word of a frame adds to its hash.
    #[inline(always)]
    pub const fn product(&self, word: u32, value: u64) -> u64 {
        let [low, high] = self.secrets[word as usize];
        let (low, high) = ((value as u32).wrapping_add(low), ((value >> 32) as u32).wrapping_add(high));
        (low as u64).wrapping_mul(high as u64)
    }
}

/// What numbers in `TAP_CLASSES` are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Numbers {
    /// Ethertypes; lengths of IEEE 802.3 frames are below 0x0600.
    Ethertype,
    /// TCP ports.
    Tcp,
    /// UDP ports.
    Udp,
    /// SCTP ports.
    Sctp,
}

/// Entries of `TAP_CLASSES`.
pub const CLASS_ENTRIES: u32 = 4 * 65_536 / 8;

/// Where the class of a number stands: the entry, and the byte in it. A frame with two ports is of the lower class of
/// both: classes are numbered by their importance.
#[inline(always)]
pub const fn class_place(of: Numbers, number: u16) -> (u32, usize) {
    ((of as u32) << 13 | (number >> 3) as u32, (number & 7) as usize)
}

/// Key in `TAP_VLANS` of the outermost VLAN of a frame.
#[inline(always)]
pub const fn vlan_key(slot: u32, vlan: u16) -> u32 {
    slot << 16 | vlan as u32
}

/// One direction of a flow, as its frames have it: the innermost addresses and ports, the VLANs around them.
#[repr(C, align(8))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct FlowKey {
    /// Source address; of IPv4 the first four bytes.
    pub source: [u8; 16],
    /// Destination address.
    pub destination: [u8; 16],
    /// Source port.
    pub source_port: u16,
    /// Destination port.
    pub destination_port: u16,
    /// VLANs from the outside in, 0 beyond the last; at most three, as the decoder keeps them.
    pub vlans: [u16; 3],
    /// Protocol: TCP, UDP or SCTP.
    pub protocol: u8,
    /// IP version.
    pub version: u8,
    /// Zeros.
    pub reserved: [u8; 4],
}

/// What one processor shunted of one direction of a flow.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Shunted {
    /// Frames.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// When the last one came, in nanoseconds of the kernel's monotonic clock; to a tick of it, some milliseconds.
    pub last_ns: u64,
    /// TCP flags of all of them.
    pub tcp_flags: u64,
}

/// A frame that may come again.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Seen {
    /// A hash of what its copy would share with it.
    pub fingerprint: u64,
    /// When it came, in nanoseconds of the kernel's monotonic clock.
    pub seen_ns: u64,
    /// LANs or paths it came over, a bit each.
    pub lans: u64,
}

/// What stands before a frame that was steered to a socket.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Arrival {
    /// [`ARRIVAL_MARK`].
    pub mark: u64,
    /// When it came, in nanoseconds of the kernel's monotonic clock.
    pub monotonic_ns: u64,
}

/// Tells an [`Arrival`] from what happened to be in memory.
pub const ARRIVAL_MARK: u64 = 0x7669_6769_6120_6e73;

const _: () = assert!(size_of::<Place>() == 28);
const _: () = assert!(size_of::<Counts>() == 16 * (1 + 8 + 64 + 64 + 8 + 4) + 16);
const _: () = assert!(size_of::<Settings>() == 8 * 193 + 8 * 64 + 8 * 3 + 4 * 8);
const _: () = assert!(size_of::<FlowKey>() == 48 && align_of::<FlowKey>() == 8);
const _: () = assert!(size_of::<Shunted>() == 32 && size_of::<Seen>() == 24 && size_of::<Arrival>() == 16);
