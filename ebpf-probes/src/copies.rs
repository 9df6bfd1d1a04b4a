//! Frames that come twice: over both LANs of a redundant network, or from two mirror ports. The rules are those of the
//! daemon's `flow::duplicate`, which finds what is not found here.
//!
//! A frame is told by all its bytes, so that none can hide behind the sequence number of another. Their hash is a sum of
//! products with secret numbers (NH of UMAC, RFC 4418, 5.2.1): without the secret nobody can make two frames that share
//! one, and a word of eight bytes costs one multiplication.

use aya_ebpf::helpers::generated::bpf_ktime_get_ns;
use vigia_probes_abi::mix;
use vigia_probes_abi::tap::{COMPARED_WORDS, Counts, Seen, Settings};

use crate::headers::{Frame, Headers};

/// Bytes of a frame, and bits of one of their words that are left out.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Range {
    start: u32,
    end: u32,
    masked: u32,
    reserved: u32,
    mask: u64,
}

impl Range {
    const fn whole(start: u32, end: u32) -> Self {
        Self { start, end, masked: 0, reserved: 0, mask: 0 }
    }
}

/// The fingerprint of a PRP or HSR frame: everything but LAN or path.
#[inline(always)]
pub(crate) fn redundant(frame: &impl Frame, headers: &mut Headers, settings: &Settings) -> Option<u64> {
    let of = headers.redundancy;
    headers.compared = Range::whole(of.start, of.end);
    if of.path != 0 {
        let path = of.path.wrapping_sub(of.start);
        headers.compared.masked = path >> 3;
        headers.compared.mask = 0xf0 << ((path & 7) * 8);
    }
    Some(mix(fingerprint(frame, headers, settings)?.wrapping_add(u64::from(of.sequence) << 32 | 1)))
}

/// The fingerprint of an IP packet, and how far apart copies may be: everything but checksum and, where the identification
/// tells packets apart, TTL, which a router changes. `None` for what comes again at once without being a copy: TCP
/// segments without data and identification.
#[inline(always)]
pub(crate) fn mirrored(frame: &impl Frame, headers: &mut Headers, settings: &Settings) -> Option<(u64, u64)> {
    headers.compared = Range::whole(headers.ip, headers.ip_end);
    let mut identified = false;
    if headers.key.version == 4 {
        identified = frame.load::<2>(headers.ip + 4)? != [0; 2];
        // TTL, protocol, checksum, source.
        let altered = if identified { [0xff, 0, 0xff, 0xff, 0, 0, 0, 0] } else { [0, 0, 0xff, 0xff, 0, 0, 0, 0] };
        (headers.compared.masked, headers.compared.mask) = (1, u64::from_ne_bytes(altered));
    }
    let is_tcp = headers.has_ports != 0 && headers.key.protocol == 6;
    if !identified && is_tcp && headers.tcp_payload >= headers.ip_end {
        return None;
    }
    let window = if identified { settings.mirrored_window_ns } else { settings.mirrored_unidentified_ns };
    Some((mix(fingerprint(frame, headers, settings)?.wrapping_add(2)), window))
}

/// The hash of what is to be compared; `None` of too many bytes, or fewer than a word.
#[inline(always)]
fn fingerprint(frame: &impl Frame, headers: &mut Headers, settings: &Settings) -> Option<u64> {
    headers.forget();
    let Range { start, end, masked, mask, .. } = headers.compared;
    let length = end.wrapping_sub(start);
    if !(8..=8 * COMPARED_WORDS as u32).contains(&length) {
        return None;
    }
    let mut sum = u64::from(length) << 48;
    for word in 0..COMPARED_WORDS as u32 {
        let at = start + 8 * word;
        if at + 8 > end {
            break;
        }
        sum = sum.wrapping_add(settings.product(word, frame.word(at)?));
    }
    // What is left of a word: the last one reaches back.
    sum = sum.wrapping_add(settings.product(COMPARED_WORDS as u32, frame.word(end - 8)?));
    // What is left out is taken back, rather than looked for in every word.
    if mask != 0 && masked < COMPARED_WORDS as u32 {
        let value = frame.word(start + 8 * masked)?;
        sum = sum.wrapping_sub(settings.product(masked, value)).wrapping_add(settings.product(masked, value & !mask));
    }
    Some(sum)
}

/// Is it the copy of a frame that was seen within the window, and not over the same LAN? Remembers it otherwise. Two
/// processors may be at one memory at a time; what they leave there is at the worst a copy that the daemon finds.
#[inline(always)]
pub(crate) fn is_copy(memory: *mut Seen, fingerprint: u64, window: u64, lan: u64, counts: &mut Counts) -> bool {
    // SAFETY: a map's value, which stays while the program runs.
    let memory = unsafe { &mut *memory };
    // SAFETY: a call without arguments.
    let now = unsafe { bpf_ktime_get_ns() };
    let fresh = now.wrapping_sub(memory.seen_ns) <= window;
    if memory.fingerprint == fingerprint && fresh && (lan == 0 || memory.lans & lan == 0) {
        memory.lans |= lan;
        return true;
    }
    if fresh && memory.fingerprint != fingerprint {
        counts.forgotten += 1;
    }
    *memory = Seen { fingerprint, seen_ns: now, lans: lan };
    false
}
