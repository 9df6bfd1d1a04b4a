//! Workers share the frames of an interface out by flow. Needs root; says loudly when it is skipped.

#![cfg(target_os = "linux")]

mod flows;
mod veth;

use std::collections::HashMap;
use std::ffi::CString;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::process::Command;
use std::time::{Duration, Instant};

use flows::{Flow, ways};
use veth::make_pair;
use vigia::capture::{InterfaceSettings, Settings, Source, open_live};
use vigia_parsers::packet::Captured;

const FLOWS: u16 = 10_000;
const WORKERS: u16 = 4;

/// Flows whose frames are on their way at once: a veth pair holds 1000 frames where the processor is busy.
const IN_FLIGHT: usize = 400;

/// What a frame's number stands behind.
const MARK: &[u8] = b"flow";

/// Runs a test on a thread with a network of its own and a veth pair `tap0` and `plant0` that is up.
fn apart(test: impl FnOnce() + Send + 'static) {
    // SAFETY: a call without arguments.
    if unsafe { libc::geteuid() } != 0 || Command::new("ip").arg("-V").output().is_err() {
        println!("SKIPPED: live capture needs root and the command `ip`");
        return;
    }
    let inside = move || {
        // SAFETY: a call without pointers; it concerns this thread alone.
        assert_eq!(unsafe { libc::unshare(libc::CLONE_NEWNET) }, 0);
        let _ = std::fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
        make_pair();
        test();
    };
    std::thread::spawn(inside).join().unwrap();
}

/// Sends frames on an interface: the plant's side of the tests.
struct Sender(OwnedFd);

impl Sender {
    fn on(interface: &str) -> Self {
        // SAFETY: a call without pointers; the descriptor is new and owned by nobody else.
        let socket = unsafe { OwnedFd::from_raw_fd(libc::socket(libc::AF_PACKET, libc::SOCK_RAW, 0)) };
        let name = CString::new(interface).unwrap();
        // SAFETY: a sockaddr_ll of zeros is a valid one.
        let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        address.sll_family = libc::AF_PACKET as u16;
        // SAFETY: the name ends with 0 and lives during the call.
        address.sll_ifindex = unsafe { libc::if_nametoindex(name.as_ptr()) } as i32;
        let length = size_of::<libc::sockaddr_ll>() as u32;
        // SAFETY: the pointer is to an address that lives during the call, with its length.
        assert_eq!(unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length) }, 0);
        Self(socket)
    }

    fn send(&self, frame: &[u8]) {
        // SAFETY: the pointer is to a frame that lives during the call, with its length.
        let sent = unsafe { libc::send(self.0.as_raw_fd(), frame.as_ptr().cast(), frame.len(), 0) };
        assert_eq!(sent, frame.len() as isize, "{}", std::io::Error::last_os_error());
    }
}

/// The flow's number in the frame: every way to travel leaves the packet whole.
fn marked(mut frame: Vec<u8>, number: u16) -> Vec<u8> {
    frame.extend(MARK);
    frame.extend(number.to_be_bytes());
    frame
}

fn number_of(frame: &[u8]) -> Option<u16> {
    let at = frame.windows(MARK.len()).rposition(|window| window == MARK)?;
    Some(u16::from_be_bytes(*frame.get(at + MARK.len()..)?.first_chunk()?))
}

/// How often which worker saw which flow.
type Seen = HashMap<u16, HashMap<u16, u32>>;

/// Takes so many frames from the workers together.
fn receive(sources: &mut [Box<dyn Source>], mut frames: usize, seen: &mut Seen) {
    let end = Instant::now() + Duration::from_secs(10);
    while frames > 0 {
        assert!(Instant::now() < end, "{frames} frames did not arrive");
        for (worker, source) in sources.iter_mut().enumerate() {
            let mut count = |captured: &Captured<'_>, _| {
                if let Some(number) = number_of(captured.frame) {
                    *seen.entry(number).or_default().entry(worker as u16).or_default() += 1;
                    frames -= 1;
                }
            };
            source.batch(&mut count).unwrap();
        }
    }
}

/// Flows that go plain one way and by `way` back: how many each worker has.
fn shares(way: Option<&'static str>, flow: fn(u16) -> Flow) -> Vec<usize> {
    let interfaces = vec![InterfaceSettings { name: "tap0".into(), ..Default::default() }];
    // Small blocks and many: a timeout ends one, and a busy machine may keep the reader waiting for long.
    let settings = Settings {
        interfaces,
        guard: false,
        workers: WORKERS,
        block_count: 256,
        block_bytes: 64 << 10,
        block_timeout_ms: 2,
        poll_timeout_ms: 1,
        ..Default::default()
    };
    let mut sources = open_live(&settings, &Default::default()).unwrap().sources;
    let plant = Sender::on("plant0");
    let mut seen = Seen::new();
    for chunk in (0..FLOWS).collect::<Vec<_>>().chunks(IN_FLIGHT) {
        for &number in chunk {
            plant.send(&marked(flow(number).frame(), number));
            let back = flow(number).back();
            let back = match way {
                Some(way) => ways(back).into_iter().find(|(of, _)| *of == way).unwrap().1,
                None => back.frame(),
            };
            plant.send(&marked(back, number));
        }
        receive(&mut sources, 2 * chunk.len(), &mut seen);
    }
    assert_eq!(seen.len(), usize::from(FLOWS));
    let mut shares = vec![0; usize::from(WORKERS)];
    for (number, workers) in seen {
        assert_eq!(workers.values().sum::<u32>(), 2, "flow {number} by {way:?}: {workers:?}");
        assert_eq!(workers.len(), 1, "flow {number} by {way:?} is split: {workers:?}");
        shares[usize::from(*workers.keys().next().unwrap())] += 1;
    }
    println!("{way:?}: {shares:?}");
    assert!(shares.iter().all(|&share| share * 10 <= usize::from(FLOWS) * 3), "{way:?}: {shares:?}");
    shares
}

#[test]
fn ten_thousand_flows_meet_one_worker_each_and_are_spread_evenly() {
    apart(|| {
        let plain = shares(None, Flow::number);
        for way in ["VLAN", "QinQ", "PRP", "GRE", "ERSPAN II", "VXLAN"] {
            assert_eq!(shares(Some(way), Flow::number), plain, "the same flows have the same workers");
        }
        shares(None, Flow::of_one_pair);
    });
}
