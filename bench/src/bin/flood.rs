//! Sends frames on an interface as fast as one processor can, or evenly at a rate, for a bounded time: the load of the live
//! benchmark. Only for a veth pair in a network namespace made for it.
//!
//! Usage: vigia-flood INTERFACE (udp|modbus|tls|stray) SECONDS [BYTES [FRAMES_PER_SECOND]]
//!
//! `udp`: datagrams that no dissector takes for its own. `modbus`: Modbus/TCP in both directions, two read/write
//! requests (function 23) a frame and then their answers, with sequence numbers that go on; always 512 bytes. `tls`: records
//! of application data in both directions. `stray`: datagrams on a tap itself, by the way of everything that is sent, where its
//! guard refuses them.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

const FRAME: usize = 512;
/// Shortest and longest.
const FRAMES: [usize; 2] = [60, 1514];
/// Flows; each has a frame in either direction.
const FLOWS: usize = 256;
/// Frames handed to the kernel at once, at the most.
const AT_ONCE: usize = 64;
/// At a rate, frames are handed to the kernel this often a second.
const TURNS: u64 = 10_000;
/// Bounds that no argument lifts.
const MOST_SECONDS: u64 = 60;
const MOST_FRAMES: u64 = 200_000_000;

/// Where a TCP segment's sequence and acknowledgement numbers and payload begin in a frame.
const SEQUENCE: usize = 38;
const ACKNOWLEDGEMENT: usize = 42;
const TCP_PAYLOAD: usize = 54;
const SEGMENT: u32 = (FRAME - TCP_PAYLOAD) as u32;

type Frame = Vec<u8>;

fn main() -> Result<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [interface, kind, seconds, more @ ..] = arguments.as_slice() else {
        bail!("usage: vigia-flood INTERFACE (udp|modbus|tls|stray) SECONDS [BYTES [FRAMES_PER_SECOND]]")
    };
    let bytes = more.first().map_or(Ok(FRAME), |bytes| bytes.parse()).context("BYTES is not a number")?;
    ensure!((FRAMES[0]..=FRAMES[1]).contains(&bytes), "{} to {} bytes", FRAMES[0], FRAMES[1]);
    let rate: Option<u64> =
        more.get(1).map(|rate| rate.parse()).transpose().context("FRAMES_PER_SECOND is not a number")?;
    let seconds: u64 = seconds.parse().context("SECONDS is not a number")?;
    ensure!(seconds <= MOST_SECONDS, "at most {MOST_SECONDS} seconds");
    let make: fn(usize, bool, usize) -> Frame = match kind.as_str() {
        "udp" | "stray" => udp,
        "modbus" => |flow, answer, _| modbus(flow, answer),
        "tls" => tls,
        _ => bail!("{kind}: udp, modbus, tls or stray is expected"),
    };
    let is_modbus = kind == "modbus";
    let is_stray = kind == "stray";
    let both = |flow| [make(flow, false, bytes), make(flow, true, bytes)];
    let mut frames: Vec<Frame> = (0..FLOWS).flat_map(both).collect();
    let socket = open(interface, !is_stray).with_context(|| interface.clone())?;
    let at_once = rate.map_or(AT_ONCE, |rate| (rate / TURNS).clamp(1, AT_ONCE as u64) as usize);
    let start = Instant::now();
    let (mut sent, mut refused, mut round) = (0, 0, 0);
    while start.elapsed() < Duration::from_secs(seconds) && sent < MOST_FRAMES {
        for batch in frames.chunks_mut(at_once) {
            if is_modbus {
                batch.iter_mut().for_each(|frame| advance(frame, round));
            }
            let (accepted, refusals) = send(&socket, batch, !is_stray)?;
            sent += accepted;
            if let Some(rate) = rate {
                let due = start + Duration::from_secs_f64(sent as f64 / rate.max(1) as f64);
                // Not by spinning: a machine of which all processors are busy may be slowed down by the one it runs on.
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
            }
            refused += refusals;
        }
        round += 1;
    }
    println!("{sent} frames, {:.3} seconds, {refused} refusals", start.elapsed().as_secs_f64());
    Ok(())
}

/// A packet socket that sends on the interface, `direct` past its queueing discipline.
fn open(interface: &str, direct: bool) -> io::Result<OwnedFd> {
    // SAFETY: a call without pointers.
    let socket = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
    check(socket as isize)?;
    // SAFETY: the descriptor is new, open and owned by nobody else.
    let socket = unsafe { OwnedFd::from_raw_fd(socket) };
    let name = CString::new(interface)?;
    // SAFETY: the name ends with 0 and lives during the call.
    let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
    if index == 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a sockaddr_ll of zeros is a valid one.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_ifindex = index as i32;
    let length = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
    // SAFETY: the pointer is to an address that lives during the call, and the length is its size.
    check(unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length) } as isize)?;
    let bypass = libc::c_int::from(direct);
    let length = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the pointer is to an int that lives during the call, and the length is its size.
    let set = unsafe {
        let value = (&raw const bypass).cast();
        libc::setsockopt(socket.as_raw_fd(), libc::SOL_PACKET, libc::PACKET_QDISC_BYPASS, value, length)
    };
    check(set as isize)?;
    Ok(socket)
}

/// Offers all frames to the kernel; gives how many, and how often it refused one. Such a one is offered again if the sender
/// is `patient`.
fn send(socket: &OwnedFd, frames: &mut [Frame], patient: bool) -> io::Result<(u64, u64)> {
    let mut vectors: Vec<_> = frames
        .iter_mut()
        .map(|frame| libc::iovec { iov_base: frame.as_mut_ptr().cast(), iov_len: frame.len() })
        .collect();
    let mut messages: Vec<_> = vectors
        .iter_mut()
        .map(|vector| {
            // SAFETY: a mmsghdr of zeros is a valid one: no address, no control data.
            let mut message: libc::mmsghdr = unsafe { std::mem::zeroed() };
            message.msg_hdr.msg_iov = vector;
            message.msg_hdr.msg_iovlen = 1;
            message
        })
        .collect();
    let (mut at, mut refusals) = (0, 0);
    while let Some(left) = messages.get_mut(at..).filter(|left| !left.is_empty()) {
        // SAFETY: pointer and count are those of a live slice, whose vectors and frames live as long.
        let sent = unsafe { libc::sendmmsg(socket.as_raw_fd(), left.as_mut_ptr(), left.len() as u32, 0) };
        match check(sent as isize) {
            Ok(()) => at += sent as usize,
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOBUFS | libc::EAGAIN | libc::EINTR)) => {
                refusals += 1;
                at += usize::from(!patient);
            }
            Err(error) => return Err(error),
        }
    }
    Ok((frames.len() as u64, refusals))
}

fn check(result: isize) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Ethernet and IPv4 headers between a flow's client and its server, with the rest of the frame empty.
fn headers(flow: usize, answer: bool, protocol: u8, bytes: usize) -> Frame {
    let mut frame = vec![0; bytes];
    let (client, server) = ([10, 77, 1, flow as u8], [10, 77, 2, flow as u8]);
    let (from, to) = if answer { (server, client) } else { (client, server) };
    frame[..6].copy_from_slice(&[2, 0, to[0], to[1], to[2], to[3]]);
    frame[6..12].copy_from_slice(&[2, 0, from[0], from[1], from[2], from[3]]);
    frame[12..14].copy_from_slice(&0x0800_u16.to_be_bytes());
    frame[14] = 0x45;
    frame[16..18].copy_from_slice(&(bytes as u16 - 14).to_be_bytes());
    frame[22] = 64;
    frame[23] = protocol;
    frame[26..30].copy_from_slice(&from);
    frame[30..34].copy_from_slice(&to);
    frame
}

fn ports(frame: &mut [u8], answer: bool, client: u16, server: u16) {
    let (from, to) = if answer { (server, client) } else { (client, server) };
    frame[34..36].copy_from_slice(&from.to_be_bytes());
    frame[36..38].copy_from_slice(&to.to_be_bytes());
}

fn udp(flow: usize, answer: bool, bytes: usize) -> Frame {
    let mut frame = headers(flow, answer, 17, bytes);
    ports(&mut frame, answer, 40_000 + flow as u16, 9_000);
    frame[38..40].copy_from_slice(&(bytes as u16 - 34).to_be_bytes());
    for (at, byte) in frame[42..].iter_mut().enumerate() {
        *byte = (at * 7 + flow) as u8;
    }
    frame
}

fn tls(flow: usize, answer: bool, bytes: usize) -> Frame {
    let mut frame = headers(flow, answer, 6, bytes);
    ports(&mut frame, answer, 40_000 + flow as u16, 443);
    frame[46] = 0x50;
    frame[47] = 0x10;
    let record = [23, 3, 3];
    frame[TCP_PAYLOAD..TCP_PAYLOAD + 3].copy_from_slice(&record);
    let length = (bytes - TCP_PAYLOAD).saturating_sub(5).max(1) as u16;
    frame[TCP_PAYLOAD + 3..TCP_PAYLOAD + 5].copy_from_slice(&length.to_be_bytes());
    frame
}

fn modbus(flow: usize, answer: bool) -> Frame {
    let mut frame = headers(flow, answer, 6, FRAME);
    ports(&mut frame, answer, 40_000 + flow as u16, 502);
    frame[46] = 0x50;
    frame[47] = 0x18;
    frame[48..50].copy_from_slice(&0xffff_u16.to_be_bytes());
    let half = SEGMENT as usize / 2;
    for (number, message) in frame[TCP_PAYLOAD..].chunks_mut(half).enumerate() {
        message[..2].copy_from_slice(&(number as u16).to_be_bytes());
        message[4..6].copy_from_slice(&(half as u16 - 6).to_be_bytes());
        message[6..8].copy_from_slice(&[1, 23]);
        let (read, write) = ((half - 9) / 2, (half - 17) / 2);
        if answer {
            message[8] = 2 * read as u8;
        } else {
            message[10..12].copy_from_slice(&(read as u16).to_be_bytes());
            message[14..16].copy_from_slice(&(write as u16).to_be_bytes());
            message[16] = 2 * write as u8;
        }
    }
    frame
}

/// Gives a segment the numbers of its round: either direction has sent as much.
fn advance(frame: &mut [u8], round: u32) {
    let is_answer = frame[34..36] == 502_u16.to_be_bytes();
    let sent = round.wrapping_mul(SEGMENT);
    let seen = if is_answer { sent.wrapping_add(SEGMENT) } else { sent };
    frame[SEQUENCE..SEQUENCE + 4].copy_from_slice(&sent.wrapping_add(1).to_be_bytes());
    frame[ACKNOWLEDGEMENT..ACKNOWLEDGEMENT + 4].copy_from_slice(&seen.wrapping_add(1).to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_holds_two_whole_requests_or_answers() {
        for answer in [false, true] {
            let frame = modbus(3, answer);
            for message in frame[TCP_PAYLOAD..].chunks(229) {
                assert_eq!(usize::from(u16::from_be_bytes([message[4], message[5]])), message.len() - 6);
                let (counted, data) = if answer { (message[8], &message[9..]) } else { (message[16], &message[17..]) };
                assert_eq!(usize::from(counted), data.len());
            }
        }
    }

    #[test]
    fn segments_follow_on_each_other() {
        let (mut first, mut second) = (modbus(0, false), modbus(0, false));
        advance(&mut first, 4);
        advance(&mut second, 5);
        let number = |frame: &[u8]| u32::from_be_bytes([frame[38], frame[39], frame[40], frame[41]]);
        assert_eq!(number(&second) - number(&first), SEGMENT);
    }
}
