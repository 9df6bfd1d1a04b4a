//! Live capture on veth pairs in network namespaces of its own. Needs root; says loudly when it is skipped.

#![cfg(target_os = "linux")]

use std::ffi::CString;
use std::fs::File;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use vigia::capture::chain::Mode;
use vigia::capture::{Demand, InterfaceSettings, Progress, Settings, Source, SourceError, open_live};
use vigia::metrics::Metrics;

/// A network namespace with the veth pair `tap0` and `plant0`, deleted when dropped.
struct Namespace(String);

impl Namespace {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let namespace = Self(format!("vigia-test-{}-{count}", std::process::id()));
        ip(&["netns", "add", &namespace.0]);
        namespace
    }

    /// Moves the calling thread into the namespace.
    fn enter(&self) {
        let file = File::open(format!("/run/netns/{}", self.0)).unwrap();
        // SAFETY: a call without pointers.
        assert_eq!(unsafe { libc::setns(file.as_raw_fd(), libc::CLONE_NEWNET) }, 0);
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.0]).status();
    }
}

fn ip(arguments: &[&str]) {
    let output = Command::new("ip").args(arguments).output().unwrap();
    assert!(output.status.success(), "ip {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn make_pair() {
    ip(&["link", "add", "tap0", "type", "veth", "peer", "name", "plant0"]);
    ip(&["link", "set", "tap0", "up"]);
    ip(&["link", "set", "plant0", "up"]);
}

/// Runs a test on a thread inside a new namespace.
fn in_namespace(test: impl FnOnce() + Send + 'static) {
    // SAFETY: a call without arguments.
    if unsafe { libc::geteuid() } != 0 || Command::new("ip").arg("-V").output().is_err() {
        println!("skipped: live capture needs root and the command `ip`");
        return;
    }
    let namespace = Namespace::new();
    let inside = || {
        namespace.enter();
        // No neighbour discovery between the frames that are counted.
        let _ = std::fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
        make_pair();
        test();
    };
    std::thread::scope(|scope| scope.spawn(inside).join()).unwrap();
}

/// Sends frames on an interface: the plant's side of the tests.
struct Sender(OwnedFd, libc::sockaddr_ll);

impl Sender {
    fn on(interface: &str) -> Self {
        let name = CString::new(interface).unwrap();
        // SAFETY: a call without pointers; the descriptor is new and owned by nobody else.
        let socket = unsafe { OwnedFd::from_raw_fd(libc::socket(libc::AF_PACKET, libc::SOCK_RAW, 0)) };
        // SAFETY: a sockaddr_ll of zeros is a valid one.
        let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        address.sll_family = libc::AF_PACKET as u16;
        // SAFETY: the name ends with 0 and lives during the call.
        address.sll_ifindex = unsafe { libc::if_nametoindex(name.as_ptr()) } as i32;
        Self(socket, address)
    }

    fn send(&self, frame: &[u8]) {
        let length = size_of::<libc::sockaddr_ll>() as u32;
        // SAFETY: both pointers are to values that live during the call, with their lengths.
        let sent = unsafe {
            let address = (&raw const self.1).cast();
            libc::sendto(self.0.as_raw_fd(), frame.as_ptr().cast(), frame.len(), 0, address, length)
        };
        assert_eq!(sent, frame.len() as isize, "{}", std::io::Error::last_os_error());
    }
}

/// An Ethernet frame with IPv4 and UDP from a host and port to another, with a payload that begins with a number.
fn frame(vlan: Option<u16>, from: (u8, u16), to: (u8, u16), number: u32, payload: usize) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, to.0, 2, 0, 0, 0, 0, from.0];
    if let Some(id) = vlan {
        frame.extend([0x81, 0x00]);
        frame.extend(id.to_be_bytes());
    }
    let length = 28 + payload as u16;
    frame.extend([0x08, 0x00, 0x45, 0]);
    frame.extend(length.to_be_bytes());
    frame.extend([0, 0, 0x40, 0, 64, 17, 0, 0, 10, 0, 0, from.0, 10, 0, 0, to.0]);
    for field in [from.1, to.1, length - 20, 0] {
        frame.extend(field.to_be_bytes());
    }
    frame.extend(number.to_be_bytes());
    frame.resize(frame.len() + payload - 4, 0x55);
    frame
}

/// Makes tests of functions that take a way to capture.
macro_rules! by_every_way {
    ($($name:ident)*) => {
        by_every_way!(af_packet AfPacket; $($name)*);
        by_every_way!(af_xdp AfXdpCopy; $($name)*);
    };
    ($module:ident $way:ident; $($name:ident)*) => {
        mod $module {
            $(#[test]
            fn $name() {
                super::in_namespace(|| super::$name(super::settings(super::Demand::$way)));
            })*
        }
    };
}

by_every_way! {
    every_frame_arrives_once_in_order_with_its_vlan_tag
    two_workers_share_all_frames_and_keep_both_directions_of_a_flow_together
    what_a_full_ring_loses_is_counted
    frames_are_cut_to_the_snap_length
    an_interface_that_goes_down_or_away_is_taken_up_again
    an_interface_that_is_down_at_the_start_is_waited_for
    several_interfaces_are_one_source_and_told_apart
    what_came_before_the_close_is_handed_over
    frames_that_the_kernel_drops_before_capture_are_counted
    new_settings_of_the_tap_take_effect_while_frames_come
    frames_that_come_after_the_stop_are_held_and_counted
    under_overload_it_is_shed_and_ot_is_not
}

fn settings(mode: Demand) -> Settings {
    let interfaces = vec![InterfaceSettings { name: "tap0".into(), ..Default::default() }];
    // Some tests send on the tap itself.
    Settings {
        interfaces,
        mode,
        guard: false,
        block_count: 16,
        block_bytes: 1 << 18,
        poll_timeout_ms: 50,
        ..Default::default()
    }
}

fn open_one(settings: &Settings) -> Box<dyn Source> {
    open_live(settings, &Default::default()).unwrap().sources.pop().unwrap()
}

/// A frame, and the tag that was taken off it.
type Received = (Vec<u8>, Option<(u16, u16)>);

/// What a source gives until it is idle.
fn receive(source: &mut dyn Source) -> Vec<Received> {
    let mut frames = Vec::new();
    loop {
        let before = frames.len();
        let progress =
            source.batch(&mut |captured, _| frames.push((captured.frame.to_vec(), captured.stripped_vlan))).unwrap();
        match progress {
            Progress::Frames(count) => assert_eq!(count, frames.len() - before),
            Progress::Idle => return frames,
            Progress::End => panic!("a live source has no end"),
        }
    }
}

/// Waits until the interface has a fault, or has none.
fn wait_for_fault(source: &mut dyn Source, wanted: bool) {
    let start = Instant::now();
    while source.interfaces()[0].fault.is_some() != wanted {
        assert!(start.elapsed() < Duration::from_secs(10), "waited for fault = {wanted}");
        assert_eq!(source.batch(&mut |_, _| ()).unwrap(), Progress::Idle);
    }
}

fn every_frame_arrives_once_in_order_with_its_vlan_tag(settings: Settings) {
    let is_xdp = settings.mode == Demand::AfXdpCopy;
    let mut source = open_one(&settings);
    let plant = Sender::on("plant0");
    let sent: Vec<_> = (0..5000_u32)
        .map(|number| {
            let vlan = number.is_multiple_of(3).then_some(0x6000 | (number as u16 % 4000));
            (vlan, frame(vlan, (1, 2000), (2, 502), number, 64 + number as usize % 1000))
        })
        .collect();
    let mut received = Vec::new();
    for chunk in sent.chunks(1000) {
        chunk.iter().for_each(|(_, frame)| plant.send(frame));
        received.extend(receive(&mut *source));
    }
    assert_eq!(received.len(), sent.len());
    for ((vlan, sent), (frame, stripped)) in sent.iter().zip(&received) {
        let restored = match stripped {
            Some((tci, tpid)) => [&frame[..12], &tpid.to_be_bytes(), &tci.to_be_bytes(), &frame[12..]].concat(),
            None => frame.clone(),
        };
        assert_eq!(&restored, sent);
        // AF_XDP leaves the tag in the frame.
        assert!(is_xdp && stripped.is_none() || stripped.map(|(tci, _)| tci) == *vlan);
    }
    let counts = source.counts();
    assert_eq!((counts.received, counts.kernel_dropped, counts.malformed), (5000, 0, 0));
    assert_eq!(counts.bytes, received.iter().map(|(frame, _)| frame.len() as u64).sum::<u64>());
}

#[test]
fn outgoing_frames_are_left_out_unless_asked_for() {
    in_namespace(|| {
        let mut quiet = open_one(&settings(Demand::AfPacket));
        let mut all = settings(Demand::AfPacket);
        all.interfaces[0].ignore_outgoing = false;
        let mut all = open_one(&all);
        Sender::on("tap0").send(&frame(None, (1, 1), (2, 2), 1, 60));
        Sender::on("plant0").send(&frame(None, (2, 2), (1, 1), 2, 60));
        assert_eq!(receive(&mut *quiet).len(), 1);
        assert_eq!(receive(&mut *all).len(), 2);
    });
}

fn two_workers_share_all_frames_and_keep_both_directions_of_a_flow_together(settings: Settings) {
    let mut sources = open_live(&Settings { workers: 2, ..settings }, &Default::default()).unwrap().sources;
    assert_eq!(sources.len(), 2);
    let plant = Sender::on("plant0");
    for number in 0..2000 {
        let (client, server) = ((1, 1000 + number as u16 / 2 % 500), (2, 502));
        let (from, to) = if number % 2 == 0 { (client, server) } else { (server, client) };
        plant.send(&frame(None, from, to, number, 100));
    }
    let flows = |frames: Vec<Received>| -> Vec<u16> {
        let port = |frame: &[u8], at: usize| u16::from_be_bytes([frame[at], frame[at + 1]]);
        frames.iter().map(|(frame, _)| port(frame, 34).max(port(frame, 36))).collect()
    };
    let first = flows(receive(&mut *sources[0]));
    let second = flows(receive(&mut *sources[1]));
    assert_eq!(first.len() + second.len(), 2000);
    assert!(!first.is_empty() && !second.is_empty(), "{} and {}", first.len(), second.len());
    assert!(first.iter().all(|flow| !second.contains(flow)), "a flow on both workers");
}

/// Nobody reads while more is sent than there is room for: whatever the way, it is the ring that is full. With AF_XDP free
/// buffers are left even then, since the ring of free buffers is the one that must never be empty.
fn what_a_full_ring_loses_is_counted(settings: Settings) {
    let is_ring = settings.mode == Demand::AfPacket;
    let mut source = open_one(&Settings { block_count: 2, block_bytes: 1 << 16, ..settings });
    let plant = Sender::on("plant0");
    for number in 0..2000 {
        plant.send(&frame(None, (1, 1), (2, 2), number, 500));
    }
    let received = receive(&mut *source).len() as u64;
    let counts = source.counts();
    assert!(counts.kernel_dropped > 0 && (counts.ring_freezes > 0) == is_ring, "{counts:?}");
    assert_eq!((counts.received, counts.received + counts.kernel_dropped), (received, 2000));
    assert_eq!((counts.no_buffer, counts.starved), (0, 0), "the ring of free buffers was empty");
    // Reading resets the kernel's counters, not ours.
    assert_eq!(source.counts(), counts);
}

fn what_came_before_the_close_is_handed_over(settings: Settings) {
    let mut source = open_one(&settings);
    let plant = Sender::on("plant0");
    let send = |numbers: std::ops::Range<u32>| numbers.for_each(|n| plant.send(&frame(None, (1, 1), (2, 2), n, 100)));
    send(0..300);
    // A veth pair hands frames over on its own time.
    std::thread::sleep(Duration::from_millis(50));
    source.close();
    send(300..400);
    let mut frames = 0;
    let end = Instant::now() + Duration::from_secs(10);
    while source.batch(&mut |_, _| frames += 1).unwrap() != Progress::End {
        assert!(Instant::now() < end, "no end");
    }
    assert_eq!(frames, 300);
}

fn frames_are_cut_to_the_snap_length(settings: Settings) {
    let mut source = open_one(&Settings { snaplen: 64, ..settings });
    let whole = frame(None, (1, 1), (2, 2), 1, 500);
    Sender::on("plant0").send(&whole);
    let mut lengths = None;
    while source.batch(&mut |captured, _| lengths = Some((captured.frame.len(), captured.wire_length))).unwrap()
        != Progress::Idle
    {}
    assert_eq!(lengths, Some((64, whole.len() as u32)));
}

fn an_interface_that_goes_down_or_away_is_taken_up_again(settings: Settings) {
    let mut sources = open_live(&Settings { workers: 2, ..settings }, &Default::default()).unwrap().sources;
    let deliver = |sources: &mut [Box<dyn Source>]| {
        let plant = Sender::on("plant0");
        (0..100).for_each(|number| plant.send(&frame(None, (1, number), (2, 502), 0, 100)));
        sources.iter_mut().map(|source| receive(&mut **source).len()).sum::<usize>()
    };
    assert_eq!(deliver(&mut sources), 100);

    ip(&["link", "set", "tap0", "down"]);
    sources.iter_mut().for_each(|source| wait_for_fault(&mut **source, true));
    ip(&["link", "set", "tap0", "up"]);
    sources.iter_mut().for_each(|source| wait_for_fault(&mut **source, false));
    assert_eq!(deliver(&mut sources), 100, "after down and up");

    ip(&["link", "del", "tap0"]);
    sources.iter_mut().for_each(|source| wait_for_fault(&mut **source, true));
    make_pair();
    sources.iter_mut().for_each(|source| wait_for_fault(&mut **source, false));
    assert_eq!(deliver(&mut sources), 100, "after removal and return");
    for source in &mut sources {
        assert_eq!(source.counts().outages, 2);
    }
}

#[test]
fn a_ring_tells_its_fill_and_what_it_loses_when_full_is_counted() {
    in_namespace(|| {
        let mut source = open_one(&Settings { block_count: 2, block_bytes: 1 << 16, ..settings(Demand::AfPacket) });
        let plant = Sender::on("plant0");
        assert_eq!(source.fill(), 0.0);
        for number in 0..2000 {
            plant.send(&frame(None, (1, 1), (2, 2), number, 500));
        }
        assert_eq!(source.fill(), 1.0);
        assert!(matches!(source.batch(&mut |_, _| ()).unwrap(), Progress::Frames(_)));
        assert_eq!(source.fill(), 0.5);
        let received = receive(&mut *source).len() as u64;
        let counts = source.counts();
        assert!(counts.kernel_dropped > 0 && counts.ring_freezes > 0, "{counts:?}");
        assert_eq!(counts.received + counts.kernel_dropped, 2000);
        assert!(received > 0 && received < counts.received, "the first block was taken before");
        assert_eq!(source.fill(), 0.0);
        // Reading resets the kernel's counters, not ours.
        assert_eq!(source.counts(), counts);
    });
}

fn an_interface_that_is_down_at_the_start_is_waited_for(settings: Settings) {
    ip(&["link", "set", "tap0", "down"]);
    let mut source = open_one(&settings);
    wait_for_fault(&mut *source, true);
    ip(&["link", "set", "tap0", "up"]);
    wait_for_fault(&mut *source, false);
    Sender::on("plant0").send(&frame(None, (1, 1), (2, 2), 1, 60));
    assert_eq!(receive(&mut *source).len(), 1);
}

fn several_interfaces_are_one_source_and_told_apart(settings: Settings) {
    let both = ["tap0", "plant0"].map(|name| InterfaceSettings { name: name.into(), ..Default::default() });
    let mut source = open_one(&Settings { interfaces: both.to_vec(), ..settings });
    Sender::on("plant0").send(&frame(None, (1, 1), (2, 2), 1, 60));
    Sender::on("tap0").send(&frame(None, (2, 2), (1, 1), 2, 60));
    let mut seen = Vec::new();
    while source.batch(&mut |captured, interface| seen.push((interface, captured.frame[11]))).unwrap() != Progress::Idle
    {
    }
    seen.sort_unstable();
    assert_eq!(seen, [(0, 1), (1, 2)]);
    let interfaces = source.interfaces();
    assert_eq!(
        interfaces.iter().map(|i| (i.name.as_str(), i.counts.received)).collect::<Vec<_>>(),
        [("tap0", 1), ("plant0", 1)]
    );
}

#[test]
fn an_unknown_interface_is_an_error_that_names_those_there_are() {
    in_namespace(|| {
        let mut wrong = settings(Demand::AfPacket);
        wrong.interfaces[0].name = "tap1".into();
        match open_live(&wrong, &Default::default()).map(|_| ()).unwrap_err() {
            SourceError::NoInterface { name, existing } => {
                assert_eq!(name, "tap1");
                assert!(existing.contains("tap0") && existing.contains("plant0"), "{existing}");
            }
            error => panic!("{error}"),
        }
    });
}

#[cfg(feature = "libpcap")]
#[test]
fn libpcap_gives_the_same_through_the_same_trait() {
    in_namespace(|| {
        let mode = Demand::Libpcap;
        let mut source = open_one(&settings(mode));
        let plant = Sender::on("plant0");
        let sent: Vec<_> = (0..500).map(|number| frame(Some(7), (1, 1), (2, 2), number, 100)).collect();
        sent.iter().for_each(|frame| plant.send(frame));
        Sender::on("tap0").send(&frame(None, (2, 2), (1, 1), 0, 60));
        // libpcap puts VLAN tags back by itself.
        let received: Vec<_> = receive(&mut *source).into_iter().map(|(frame, _)| frame).collect();
        assert_eq!(received, sent);
        assert_eq!((source.counts().received, source.counts().kernel_dropped), (500, 0));
    });
}

#[test]
fn the_best_way_that_works_is_taken_and_a_demanded_one_is_not_replaced() {
    in_namespace(|| {
        let chosen =
            |settings: &Settings| open_live(settings, &Default::default()).map(|live| live.watch.chosen()[0].clone());
        let auto = chosen(&Settings { workers: 2, ..settings(Demand::Auto) }).unwrap();
        // A veth pair has no driver that could do without copies.
        assert_eq!(auto.mode, Mode::AfPacketEbpf);
        assert_eq!(auto.refused.iter().map(|(mode, _)| *mode).collect::<Vec<_>>(), [Mode::AfXdpZeroCopy]);
        let refused = chosen(&settings(Demand::AfXdpZeroCopy)).unwrap_err().to_string();
        assert!(refused.contains("tap0: cannot be captured; not by af-xdp-zero-copy: "), "{refused}");
        assert_eq!(chosen(&settings(Demand::AfXdp)).unwrap().mode, Mode::AfXdpCopy);
        let mut outgoing = settings(Demand::AfXdp);
        outgoing.interfaces[0].ignore_outgoing = false;
        assert!(chosen(&outgoing).is_err(), "AF_XDP does not see what this machine sends");
        ip(&["link", "set", "tap0", "mtu", "9000"]);
        let refused = chosen(&settings(Demand::AfXdp)).unwrap_err().to_string();
        assert!(refused.contains("packets of 9000 bytes do not fit its buffers"), "{refused}");
    });
}

#[test]
fn two_workers_share_by_the_kernel_s_own_hash_too() {
    in_namespace(|| {
        two_workers_share_all_frames_and_keep_both_directions_of_a_flow_together(settings(Demand::AfPacketHash));
    });
}

/// Frames carry the time at which they came, not the one at which they were read.
#[test]
fn frames_have_the_time_of_their_arrival_by_every_way() {
    for mode in [Demand::AfPacket, Demand::AfXdpCopy] {
        in_namespace(move || {
            let mut source = open_one(&settings(mode));
            let clock = || std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64;
            let before = clock();
            Sender::on("plant0").send(&frame(None, (1, 1), (2, 2), 1, 60));
            std::thread::sleep(Duration::from_millis(300));
            let read = clock();
            let mut arrived = 0;
            while source.batch(&mut |captured, _| arrived = captured.timestamp.0).unwrap() != Progress::Idle {}
            assert!(before <= arrived && arrived < read, "{mode:?}: {before} {arrived} {read}");
        });
    }
}

/// What the kernel drops before capture is counted with its cause, and with what was delivered makes up all frames.
fn frames_that_the_kernel_drops_before_capture_are_counted(mut settings: Settings) {
    settings.tap.ignore = vec!["udp/9".parse().unwrap()];
    for enabled in [true, false] {
        settings.tap.enabled = enabled;
        let mut live = open_live(&settings, &Default::default()).unwrap();
        let plant = Sender::on("plant0");
        for number in 0..300 {
            let port = if number % 3 == 0 { 9 } else { 502 };
            plant.send(&frame(None, (1, 2000), (2, port), number, 60));
        }
        let received = receive(&mut *live.sources[0]).len() as u64;
        let ignored = if enabled { 100 } else { 0 };
        assert_eq!(received, 300 - ignored);
        let tap = live.watch.observe(&Metrics::new()).remove(0).tap.unwrap();
        assert_eq!((tap.ignored[0], tap.difference()), (ignored, 0));
        assert_eq!((tap.delivered[0], tap.total[0] - tap.held[0]), (received, 300), "{tap:?}");
    }
}

/// Settings change while frames come, and classes keep what was counted of them when they get other numbers.
fn new_settings_of_the_tap_take_effect_while_frames_come(settings: Settings) {
    let mut live = open_live(&settings, &Default::default()).unwrap();
    let plant = Sender::on("plant0");
    let deliver = |live: &mut vigia::capture::chain::Live| {
        (0..50).for_each(|number| plant.send(&frame(None, (1, 2000), (2, 4000), number, 60)));
        (0..50).for_each(|number| plant.send(&frame(None, (1, 2000), (2, 20_000), number, 60)));
        receive(&mut *live.sources[0]).len()
    };
    assert_eq!(deliver(&mut live), 100);
    let mut other = settings.clone();
    other.tap.ignore_networks = vec!["10.0.0.2/32".parse().unwrap()];
    live.watch.configure(&other, &Default::default()).unwrap();
    assert_eq!(deliver(&mut live), 0);
    other.tap.ignore_networks.clear();
    other.tap.ot.insert("aa-pump".into(), vec!["udp/4000".parse().unwrap()]);
    live.watch.configure(&other, &Default::default()).unwrap();
    assert_eq!(deliver(&mut live), 100);
    let tap = live.watch.observe(&Metrics::new()).remove(0).tap.unwrap();
    let class = |name: &str| tap.classes.iter().find(|(class, _)| class == name).map(|(_, [frames, _])| *frames);
    assert_eq!((class("dnp3"), class("it"), class("aa-pump")), (Some(150), Some(100), Some(50)), "{tap:?}");
    assert_eq!((tap.ignored[0], tap.difference()), (100, 0));
}

/// After [`Watch::hold`] nothing more is delivered, and what came before is still read.
fn frames_that_come_after_the_stop_are_held_and_counted(settings: Settings) {
    let mut live = open_live(&settings, &Default::default()).unwrap();
    let plant = Sender::on("plant0");
    let send = |numbers: std::ops::Range<u32>| numbers.for_each(|n| plant.send(&frame(None, (1, 1), (2, 2), n, 60)));
    send(0..100);
    std::thread::sleep(Duration::from_millis(50));
    live.watch.hold();
    let before = live.watch.observe(&Metrics::new()).remove(0).tap.unwrap();
    send(100..200);
    assert_eq!(receive(&mut *live.sources[0]).len(), 100);
    let after = live.watch.observe(&Metrics::new()).remove(0).tap.unwrap();
    assert_eq!((after.delivered[0], after.held[0] - before.held[0], after.difference()), (100, 100, 0), "{after:?}");
}

/// A tap of which the workers do not keep up sheds what matters least; OT comes through.
fn under_overload_it_is_shed_and_ot_is_not(settings: Settings) {
    let small = Settings { block_count: 64, block_bytes: 1 << 16, ..settings };
    // A batch is a block of some 58 frames, or 256 frames.
    let pace = if small.mode == Demand::AfPacket { 100 } else { 320 };
    let mut live = open_live(&small, &Default::default()).unwrap();
    let plant = Sender::on("plant0");
    let (mut sent, mut read) = (0_u64, 0_u64);
    // A worker that takes less than comes, until the tap has noticed.
    for number in 0..200_000 {
        plant.send(&frame(None, (1, 2000), (2, if number % 100 == 0 { 20_000 } else { 2049 }), number, 1000));
        sent += u64::from(number % 100 == 0);
        if number % pace == 0 {
            let mut count = |captured: &vigia_parsers::packet::Captured<'_>, _| {
                read += u64::from(captured.frame[36..38] == 20_000_u16.to_be_bytes());
            };
            live.sources[0].batch(&mut count).unwrap();
            if live.watch.shed_level() > 0 && number > 20_000 {
                break;
            }
        }
    }
    assert!(live.watch.shed_level() > 0, "nothing is shed");
    let end = Instant::now() + Duration::from_secs(20);
    while live.watch.shed_level() > 0 || read < sent {
        let mut count = |captured: &vigia_parsers::packet::Captured<'_>, _| {
            read += u64::from(captured.frame[36..38] == 20_000_u16.to_be_bytes());
        };
        live.sources[0].batch(&mut count).unwrap();
        assert!(Instant::now() < end, "the shedding has no end, or OT was lost: {read} of {sent}");
    }
    let tap = live.watch.observe(&Metrics::new()).remove(0).tap.unwrap();
    assert_eq!((read, tap.difference()), (sent, 0), "{tap:?}");
    assert_eq!(tap.shed.iter().map(|(class, _)| class.as_str()).collect::<Vec<_>>(), ["bulk"]);
    assert_eq!(live.sources[0].counts().kernel_dropped, 0);
}

/// An interface that this machine is reached by keeps its frames: only our sockets do without them.
#[test]
fn what_is_dropped_before_capture_still_reaches_a_machine_with_an_address() {
    in_namespace(|| {
        ip(&["addr", "add", "10.0.0.2/24", "dev", "tap0"]);
        let mut settings = settings(Demand::AfPacket);
        settings.tap.ignore = vec!["udp/9".parse().unwrap()];
        let mut live = open_live(&settings, &Default::default()).unwrap();
        assert_eq!(live.watch.chosen()[0].tap, Ok(vigia::capture::probes::tap::Mode::Filter));
        let service = std::net::UdpSocket::bind("10.0.0.2:9").unwrap();
        service.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let plant = Sender::on("plant0");
        let mut datagram = frame(None, (1, 2000), (2, 9), 1, 60);
        // To everybody: the machine takes it whatever its MAC address.
        datagram[..6].fill(0xff);
        let sum: u32 = datagram[14..34].chunks(2).map(|word| u32::from(word[0]) << 8 | u32::from(word[1])).sum();
        let checksum = !((sum >> 16) + (sum & 0xffff)) as u16;
        datagram[24..26].copy_from_slice(&checksum.to_be_bytes());
        plant.send(&datagram);
        let mut taken = [0; 100];
        assert_eq!(service.recv(&mut taken).unwrap(), 60);
        assert_eq!(receive(&mut *live.sources[0]).len(), 0);
        let tap = live.watch.observe(&Metrics::new()).remove(0).tap.unwrap();
        assert_eq!((tap.ignored[0], tap.difference()), (1, 0));
        settings.mode = Demand::AfXdp;
        let refused = open_live(&settings, &Default::default()).map(|_| ()).unwrap_err().to_string();
        assert!(refused.contains("an address of its own"), "{refused}");
    });
}

/// Where the kernel lets no program of ours stand in the driver, the sockets' filter decides the same.
#[test]
fn outgoing_frames_are_dropped_and_counted_as_the_others() {
    in_namespace(|| {
        let mut settings = settings(Demand::AfPacket);
        settings.interfaces[0].ignore_outgoing = false;
        settings.tap.ignore = vec!["udp/9".parse().unwrap()];
        let mut live = open_live(&Settings { workers: 2, ..settings }, &Default::default()).unwrap();
        for (interface, port) in [("tap0", 9), ("tap0", 5), ("plant0", 9), ("plant0", 5)] {
            let sender = Sender::on(interface);
            (0..50).for_each(|n| sender.send(&frame(None, (1, 1000 + n), (2, port), 0, 60)));
        }
        let received: usize = live.sources.iter_mut().map(|source| receive(&mut **source).len()).sum();
        let tap = live.watch.observe(&Metrics::new()).remove(0).tap.unwrap();
        let counts: Vec<_> = live.sources.iter_mut().map(|source| source.counts()).collect();
        assert_eq!(received, 100, "{tap:?} {counts:?}");
        assert_eq!((tap.ignored[0], tap.delivered[0], tap.difference()), (100, 100, 0));
    });
}
