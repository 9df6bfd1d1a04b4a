//! The kernel's programs, run by the kernel on given bytes (BPF_PROG_TEST_RUN). Needs root; says loudly when it is skipped.

#![cfg(target_os = "linux")]

mod flows;

use aya::Ebpf;
use aya::maps::{MapData, PerCpuArray, PerCpuHashMap, RingBuf};
use aya::programs::{SchedClassifier, SocketFilter, TestRun as _, TestRunOptions};
use flows::{Flow, ethernet, ipv4, ipv6, segment, ways};
use vigia::capture::probes::OBJECT;
use vigia_probes_abi::{Dropped, FANOUT, GUARD, GUARD_KINDS, GUARD_KINDS_MAX, GUARD_REPORTS, GUARD_TOTAL, Tally};

/// What the kernel calls "drop" in tc.
const SHOT: u32 = 2;

fn is_root() -> bool {
    // SAFETY: a call without arguments.
    let root = unsafe { libc::geteuid() } == 0;
    if !root {
        println!("SKIPPED: running programs in the kernel needs root");
    }
    root
}

/// The object, loaded for a test, with its maps to itself.
struct Loaded(Ebpf);

impl Loaded {
    fn new() -> Self {
        let mut object = Ebpf::load(OBJECT).unwrap();
        let guard: &mut SchedClassifier = object.program_mut(GUARD).unwrap().try_into().unwrap();
        guard.load().unwrap();
        let fanout: &mut SocketFilter = object.program_mut(FANOUT).unwrap().try_into().unwrap();
        fanout.load().unwrap();
        Self(object)
    }

    fn guard(&self, frame: &[u8]) -> u32 {
        let guard: &SchedClassifier = self.0.program(GUARD).unwrap().try_into().unwrap();
        guard.test_run(TestRunOptions { data_in: Some(frame), ..Default::default() }).unwrap().return_value
    }

    fn fanout(&self, frame: &[u8]) -> u32 {
        self.try_fanout(frame).expect("the kernel takes the frame")
    }

    /// `None` where the kernel makes no packet of the frame: of one without a whole IP header.
    fn try_fanout(&self, frame: &[u8]) -> Option<u32> {
        let fanout: &SocketFilter = self.0.program(FANOUT).unwrap().try_into().unwrap();
        let run = fanout.test_run(TestRunOptions { data_in: Some(frame), ..Default::default() });
        Some(run.ok()?.return_value)
    }

    fn total(&self) -> Tally {
        let map: PerCpuArray<&MapData, Tally> = self.0.map(GUARD_TOTAL).unwrap().try_into().unwrap();
        map.get(&0, 0).unwrap().iter().fold([0, 0], |sum, tally| [sum[0] + tally[0], sum[1] + tally[1]])
    }

    fn kinds(&self) -> Vec<(u32, u64)> {
        let map: PerCpuHashMap<&MapData, u32, Tally> = self.0.map(GUARD_KINDS).unwrap().try_into().unwrap();
        let entries = map.iter().map(Result::unwrap);
        let mut kinds: Vec<_> =
            entries.map(|(kind, tallies)| (kind, tallies.iter().map(|tally| tally[0]).sum())).collect();
        kinds.sort_unstable();
        kinds
    }

    fn resegment(&mut self) -> Vec<Dropped> {
        let mut map: RingBuf<&mut MapData> = self.0.map_mut(GUARD_REPORTS).unwrap().try_into().unwrap();
        let mut reports = Vec::new();
        while let Some(report) = map.next() {
            reports.push(Dropped::from_bytes(&report).unwrap());
        }
        reports
    }
}

#[test]
fn the_guard_drops_every_frame_and_counts_it_by_kind() {
    if !is_root() {
        return;
    }
    let mut loaded = Loaded::new();
    let frames = [(0x0806, 42), (0x0800, 98), (0x86dd, 90), (0x0800, 1514), (0x88cc, 60), (0x88b8, 200)];
    for (kind, length) in frames {
        let mut frame = ethernet(1, 2, kind, &[0x45]);
        frame.resize(length, 0x5a);
        assert_eq!(loaded.guard(&frame), SHOT, "0x{kind:04x}");
    }
    assert_eq!(loaded.total(), [6, 42 + 98 + 90 + 1514 + 60 + 200]);
    assert_eq!(loaded.kinds(), [(0x0800, 2), (0x0806, 1), (0x86dd, 1), (0x88b8, 1), (0x88cc, 1)]);
    let reports = loaded.resegment();
    assert_eq!(reports.iter().map(|report| report.kind).collect::<Vec<_>>(), [0x0806, 0x0800, 0x86dd, 0x88cc, 0x88b8]);
    let arp = reports[0];
    assert_eq!(
        (arp.length, &arp.frame[..14], arp.frame[41], arp.frame[42]),
        (42, &ethernet(1, 2, 0x0806, &[])[..], 0x5a, 0)
    );
}

#[test]
fn frames_of_more_kinds_than_are_counted_apart_are_dropped_and_in_the_total() {
    if !is_root() {
        return;
    }
    let loaded = Loaded::new();
    let kinds = GUARD_KINDS_MAX as u16 + 100;
    for kind in 0..kinds {
        assert_eq!(loaded.guard(&ethernet(1, 2, 0x9900 + kind, &[0; 46])), SHOT);
    }
    assert_eq!(loaded.total()[0], u64::from(kinds));
    assert_eq!(loaded.kinds().len(), GUARD_KINDS_MAX as usize);
}

#[test]
fn both_directions_of_a_flow_have_one_number_however_one_of_them_travels() {
    if !is_root() {
        return;
    }
    let loaded = Loaded::new();
    for number in 0..50 {
        let flow = Flow::number(number * 997);
        let expected = loaded.fanout(&flow.frame());
        assert_eq!(loaded.fanout(&flow.back().frame()), expected);
        for (way, frame) in ways(flow).into_iter().chain(ways(flow.back())) {
            assert_eq!(loaded.fanout(&frame), expected, "{way} of {flow:?}");
        }
    }
    let six = |from, to, from_port, to_port| ethernet(1, 2, 0x86dd, &ipv6(from, to, 17, &segment(from_port, to_port)));
    assert_eq!(loaded.fanout(&six(1, 2, 5000, 53)), loaded.fanout(&six(2, 1, 53, 5000)));
    assert_ne!(loaded.fanout(&six(1, 2, 5000, 53)), loaded.fanout(&six(1, 2, 5001, 53)));
    let goose = |from, to| ethernet(from, to, 0x88b8, &[0; 46]);
    assert_eq!(loaded.fanout(&goose(1, 2)), loaded.fanout(&goose(2, 1)));
    assert_ne!(loaded.fanout(&goose(1, 2)), loaded.fanout(&goose(1, 3)));
}

#[test]
fn all_fragments_of_a_datagram_have_one_number() {
    if !is_root() {
        return;
    }
    let loaded = Loaded::new();
    let part = |from, to, fragment, payload: &[u8]| {
        loaded.fanout(&ethernet(1, 2, 0x0800, &ipv4(from, to, 17, fragment, payload)))
    };
    let (one, other) = ([10, 0, 0, 1], [10, 0, 0, 2]);
    let first = part(one, other, 0x2000, &segment(5000, 53));
    assert_eq!(part(one, other, 0x2003, &[1; 24]), first);
    assert_eq!(part(other, one, 0x0006, &[2; 24]), first);
}

#[test]
fn ten_thousand_flows_are_spread_evenly() {
    if !is_root() {
        return;
    }
    let loaded = Loaded::new();
    for (what, flow) in [("hosts", Flow::number as fn(u16) -> Flow), ("ports", Flow::of_one_pair)] {
        let mut shares = [0_u32; 4];
        for number in 0..10_000 {
            shares[loaded.fanout(&flow(number).frame()) as usize % 4] += 1;
        }
        println!("flows told apart by {what}: {shares:?}");
        assert!(shares.iter().all(|&share| (2000..3000).contains(&share)), "{what}: {shares:?}");
    }
}

#[test]
fn cut_frames_and_noise_have_a_number_too() {
    if !is_root() {
        return;
    }
    let loaded = Loaded::new();
    for (way, frame) in ways(Flow::number(77)) {
        for length in 15..frame.len() {
            let number = loaded.try_fanout(&frame[..length]);
            assert!(number.is_some() || length < 54, "{way} cut to {length}");
        }
    }
    let mut state = 1_u64;
    for length in (15..1514).step_by(3) {
        let mut noise = Vec::with_capacity(length);
        while noise.len() < length {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            noise.push((state >> 33) as u8);
        }
        noise[12..14].copy_from_slice(&[[0x08, 0x00], [0x86, 0xdd], [0x81, 0x00], [0x88, 0x47]][length % 4]);
        noise.truncate(length);
        assert!(loaded.try_fanout(&noise).is_some() || length < 54, "noise of {length}");
        if length >= 54 {
            assert_eq!(loaded.guard(&noise), SHOT);
        }
    }
}
