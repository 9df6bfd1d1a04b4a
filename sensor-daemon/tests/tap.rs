//! The tap, run by the kernel on given bytes (BPF_PROG_TEST_RUN), against a reference that decides the same in plain Rust:
//! verdict and counters must be equal, as XDP program and as socket filter. Needs root; says loudly when it is skipped.

#![cfg(target_os = "linux")]

mod flows;
#[path = "tap/reference.rs"]
mod reference;
mod wire;

use std::cell::RefCell;
use std::path::Path;

use flows::{Flow, ethernet, ipv4, ipv6, segment, ways};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use reference::{Reference, Verdict, follow};
use vigia::capture::probes::tap::{Mode, Plan, Tap};
use vigia::capture::shunt::{Shunts as _, flow_key};
use vigia::capture::tap::{Classes, TapSettings};
use vigia::capture::{FileSettings, Progress, Source as _};
use vigia::flow::duplicate;
use vigia_parsers::packet::{Captured, DecodeLimits, LinkType, Transport, Tunnel, decode};
use vigia_probes_abi::tap::CLASSES_MAX;

fn is_root() -> bool {
    // SAFETY: a call without arguments.
    let root = unsafe { libc::geteuid() } == 0;
    if !root {
        println!("SKIPPED: running programs in the kernel needs root");
    }
    root
}

/// Copies that never grow old: a test may be interrupted for longer than any window.
fn duplicates(redundant: bool, mirrored: bool) -> duplicate::Settings {
    duplicate::Settings {
        redundant,
        redundant_window_ms: u32::MAX,
        redundant_entries: 1 << 20,
        mirrored,
        mirrored_window_us: u32::MAX,
        mirrored_unidentified_us: u32::MAX,
        mirrored_entries: 1 << 20,
    }
}

/// The longest frame of one piece that the kernel runs a program on.
const LONGEST: usize = 3000;

/// Numbers that look random, the same in every run. With a secret of the system's two of some thousand frames share the
/// tap's memory now and then, and the first is forgotten, which the reference never does.
fn numbers(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed;
    move || {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        vigia_probes_abi::mix(state)
    }
}

/// The two side by side.
struct Pair {
    tap: Tap,
    mode: Mode,
    reference: Reference,
    plan: Plan,
    classes: Classes,
}

impl Pair {
    fn new(mode: Mode, settings: TapSettings, duplicates: duplicate::Settings) -> Self {
        let plan = Plan { settings, duplicates, snaplen: 65_535 };
        let tap = Tap::load_with_secret(&plan, numbers(1)).unwrap();
        tap.filter("lo", false).unwrap();
        tap.open("lo").unwrap();
        let classes = Classes::new(&plan.settings);
        let mut reference = Reference::new(classes.table().to_vec(), classes.of_ip(), classes.of_fragments());
        reference.redundant = plan.duplicates.redundant;
        reference.mirrored = plan.duplicates.mirrored;
        reference.ignored_vlans.clone_from(&plan.settings.ignore_vlans);
        reference.ignored_networks = plan
            .settings
            .ignore_networks
            .iter()
            .map(|network| match network.address {
                std::net::IpAddr::V4(address) => (address.octets().to_vec(), usize::from(network.prefix)),
                std::net::IpAddr::V6(address) => (address.octets().to_vec(), usize::from(network.prefix)),
            })
            .collect();
        Self { tap, mode, reference, plan, classes }
    }

    /// Both judge a frame; the verdict of both. `None` of a frame that the kernel does not run a program on.
    fn judge(&mut self, frame: &[u8]) -> Option<Verdict> {
        if frame.len() > LONGEST {
            return None;
        }
        let (delivered, _) = self.tap.trial(self.mode, frame, 1).ok()?;
        let expected = self.reference.judge(frame);
        assert_eq!(
            delivered,
            expected == Verdict::Delivered,
            "{:?} says {delivered}, the reference {expected:?} of {}",
            self.mode,
            hex(frame)
        );
        Some(expected)
    }

    /// What both counted is equal.
    fn compare(&mut self, of: &str) {
        let counted = self.tap.counts("lo").unwrap();
        let expected = &self.reference.counted;
        let fate = |verdict| expected.verdicts.get(&verdict).copied().unwrap_or_default();
        let sum = |tallies: &mut dyn Iterator<Item = [u64; 2]>| {
            tallies.fold([0, 0], |sum, tally| [sum[0] + tally[0], sum[1] + tally[1]])
        };
        assert_eq!(counted.difference(), 0, "{of}: {counted:#?}");
        assert_eq!(counted.total, sum(&mut expected.verdicts.values().copied()), "{of}");
        assert_eq!(counted.delivered, fate(Verdict::Delivered), "{of}");
        assert_eq!(counted.ignored, fate(Verdict::Ignored), "{of}");
        assert_eq!(counted.duplicates, fate(Verdict::Duplicate), "{of}");
        assert_eq!(counted.shunted, fate(Verdict::Shunted), "{of}");
        assert_eq!(counted.held, [0, 0], "{of}");
        let named = |tallies: &std::collections::BTreeMap<u8, [u64; 2]>| -> Vec<_> {
            let name = |class: &u8| self.classes.list()[usize::from(*class)].name.clone();
            tallies.iter().map(|(class, tally)| (name(class), *tally)).collect()
        };
        assert_eq!(counted.classes, named(&expected.classes), "{of}");
        assert_eq!(counted.shed, named(&expected.shed), "{of}");
        assert_eq!(counted.vlans, expected.vlans, "{of}");
        assert_eq!(counted.other_vlans, 0, "{of}");
        let sizes: Vec<_> = counted.sizes.iter().map(|(_, tally)| *tally).collect();
        assert_eq!(sizes, expected.sizes, "{of}");
        assert_eq!(counted.lans, expected.lans, "{of}");
    }
}

fn hex(frame: &[u8]) -> String {
    frame.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// With everything that a frame can meet.
fn busy() -> TapSettings {
    TapSettings {
        ignore_networks: vec!["10.1.7.0/24".parse().unwrap(), "fd00::9/128".parse().unwrap()],
        ignore: ["tcp/9100", "udp/5353", "ethertype/0x88cc"].map(|number| number.parse().unwrap()).to_vec(),
        ignore_vlans: vec![7, 99],
        ..Default::default()
    }
}

/// Frames of every kind that the programs follow, each twice over both LANs where it has one.
fn crafted() -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    for number in [0, 5, 7 << 8, 700, 4096] {
        let flow = Flow::number(number);
        for flow in [flow, flow.back()] {
            frames.push(flow.frame());
            frames.extend(ways(flow).into_iter().map(|(_, frame)| frame));
        }
    }
    for (index, port) in [502, 20_000, 102, 2404, 443, 445, 9100, 5353, 53].into_iter().enumerate() {
        for protocol in [6, 17, 132] {
            let packet = ipv4([10, 3, 0, 1], [10, 3, 0, 2], protocol, 0x4000, &segment(40_000, port));
            frames.push(ethernet(1, 2, 0x0800, &packet));
            for lan in 0..2 {
                frames.push(wire::prp(ethernet(1, 2, 0x0800, &packet), index as u16, lan));
            }
            frames.push(ethernet(1, 2, 0x86dd, &ipv6(1, 9, protocol, &segment(40_000, port))));
        }
        for fragment in [0x2000, 0x0010] {
            frames.push(ethernet(1, 2, 0x0800, &ipv4([10, 3, 0, 1], [10, 3, 0, 2], 17, fragment, &segment(1, port))));
        }
    }
    for kind in [0x0806, 0x88cc, 0x88b8, 0x88ba, 0x8892, 0x88a4, 0x88fb, 0x0026, 0x9999] {
        frames.push(ethernet(1, 2, kind, &[0x42; 46]));
        frames.push(wire::ethernet(&[0x81, 0, 0, 99], kind, &[0x42; 46]));
        for (path, sequence) in [(0x00, 1), (0x10, 1), (0x20, 2), (0x30, 2)] {
            frames.push(wire::ethernet(&[0x89, 0x2f, path, 52, 0, sequence], kind, &[0x42; 46]));
        }
    }
    // Repeated over the same LAN: no copy. Longer than what is compared: no copy.
    let goose = |sequence, lan, length| wire::prp(ethernet(1, 2, 0x88b8, &vec![0x61; length]), sequence, lan);
    frames.extend([goose(9, 0, 100), goose(9, 0, 100), goose(9, 1, 100), goose(9, 1, 100), goose(9, 0, 100)]);
    frames.extend([goose(10, 0, 1600), goose(10, 1, 1600)]);
    // The same name, other contents.
    let mut other = goose(11, 1, 100);
    other[60] ^= 1;
    frames.extend([goose(11, 0, 100), other, goose(11, 1, 100)]);
    // TCP flags, and the options of TCP that a frame may be too short for.
    for flags in 0..=255 {
        let mut segment = segment(2000, 80);
        segment[13] = flags;
        segment[12] = flags & 0xf0;
        frames.push(ethernet(1, 2, 0x0800, &ipv4([10, 4, 0, 1], [10, 4, 0, 2], 6, 0, &segment)));
    }
    frames
}

const MODES: [Mode; 2] = [Mode::Native, Mode::Filter];

#[test]
fn crafted_frames_whole_and_cut_are_judged_as_the_reference_does() {
    if !is_root() {
        return;
    }
    for mode in MODES {
        for mirrored in [false, true] {
            let mut pair = Pair::new(mode, busy(), duplicates(true, mirrored));
            for frame in crafted() {
                pair.judge(&frame).unwrap();
            }
            pair.compare("whole frames");
            let verdicts = &pair.reference.counted.verdicts;
            for verdict in [Verdict::Delivered, Verdict::Ignored, Verdict::Duplicate] {
                assert!(verdicts.contains_key(&verdict), "the frames show no {verdict:?}: {verdicts:?}");
            }
            for (way, frame) in ways(Flow::number(77)) {
                for length in 14..frame.len() {
                    pair.judge(&frame[..length]);
                }
                pair.compare(way);
            }
        }
    }
}

#[test]
fn shunted_flows_are_dropped_and_counted_but_for_what_begins_or_ends_a_connection() {
    if !is_root() {
        return;
    }
    for mode in MODES {
        let mut pair = Pair::new(mode, TapSettings::default(), duplicates(true, false));
        let frames = crafted();
        let mut keys: Vec<_> = frames.iter().filter_map(|frame| follow(frame).key()).collect();
        keys.dedup();
        for key in &keys {
            pair.reference.shunts.insert(*key, (0, 0));
        }
        assert_eq!(pair.tap.shunt(&keys), keys.len());
        for frame in &frames {
            pair.judge(frame);
        }
        pair.compare("with shunts");
        let mut passed = 0;
        for (key, expected) in &pair.reference.shunts {
            let shunted = pair.tap.unshunt(key).unwrap();
            assert_eq!((shunted.packets, shunted.bytes), *expected, "{key:?}");
            assert_eq!(shunted.last_ns != 0, shunted.packets != 0);
            assert_eq!(shunted.tcp_flags & 7, 0, "SYN, FIN and RST are not shunted");
            passed += u64::from(shunted.packets > 0);
            assert_eq!(pair.tap.shunted(key), None);
        }
        assert!(passed > 20, "the frames hit few shunts: {passed}");
        pair.reference.shunts.clear();
        for frame in &frames {
            pair.judge(frame);
        }
        pair.compare("without shunts again");
    }
}

#[test]
fn classes_are_shed_in_the_order_of_the_settings_and_ot_never() {
    if !is_root() {
        return;
    }
    for mode in MODES {
        let mut pair = Pair::new(mode, TapSettings::default(), duplicates(false, false));
        let levels = pair.tap.levels();
        assert_eq!(levels, 6);
        for level in (0..=levels + 1).chain([0]) {
            pair.tap.shed(level).unwrap();
            pair.reference.keep = if level == 0 { CLASSES_MAX as u8 } else { pair.classes.kept(level) as u8 };
            for frame in crafted() {
                let verdict = pair.judge(&frame).unwrap();
                assert!(level != 0 || verdict == Verdict::Delivered);
            }
            pair.compare(&format!("level {level}"));
        }
        let ot = |name: &str| pair.classes.list().iter().any(|class| class.ot && class.name == name);
        let counted = pair.tap.counts("lo").unwrap();
        assert!(counted.classes.iter().any(|(name, _)| ot(name)));
        assert!(!counted.shed.iter().any(|(name, _)| ot(name)), "{:?}", counted.shed);
        assert_eq!(counted.shed.len(), 5, "{:?}", counted.shed);
    }
}

#[test]
fn new_settings_take_effect_at_once_and_counts_go_on() {
    if !is_root() {
        return;
    }
    for mode in MODES {
        let mut pair = Pair::new(mode, busy(), duplicates(true, false));
        let frames = crafted();
        frames.iter().for_each(|frame| assert!(pair.judge(frame).is_some()));
        pair.compare("before");
        let settings = TapSettings {
            ignore_networks: vec!["10.3.0.0/31".parse().unwrap(), "fd00::9/128".parse().unwrap()],
            ignore_vlans: vec![100],
            ..Default::default()
        };
        let plan = Plan { settings, duplicates: duplicates(false, false), ..pair.plan.clone() };
        pair.tap.configure(&plan).unwrap();
        let counted = std::mem::take(&mut pair.reference.counted);
        pair.reference = Pair::new(mode, plan.settings, plan.duplicates).reference;
        pair.reference.counted = counted;
        frames.iter().for_each(|frame| assert!(pair.judge(frame).is_some()));
        pair.compare("after");
    }
}

#[test]
fn until_it_is_open_every_frame_is_held_and_counted() {
    if !is_root() {
        return;
    }
    for mode in MODES {
        let pair = Pair::new(mode, TapSettings::default(), duplicates(true, false));
        pair.tap.hold("lo").unwrap();
        let frame = Flow::number(1).frame();
        assert!(!pair.tap.trial(mode, &frame, 10).unwrap().0);
        pair.tap.open("lo").unwrap();
        assert!(pair.tap.trial(mode, &frame, 5).unwrap().0);
        let counted = pair.tap.counts("lo").unwrap();
        assert_eq!((counted.total[0], counted.held[0], counted.delivered[0]), (15, 10, 5));
        assert_eq!(counted.difference(), 0);
    }
}

#[test]
fn a_copy_that_comes_after_the_window_is_none() {
    if !is_root() {
        return;
    }
    for mode in MODES {
        let short = duplicate::Settings { redundant_window_ms: 20, ..duplicates(true, false) };
        let pair = Pair::new(mode, TapSettings::default(), short);
        let copies = [0, 1].map(|lan| wire::prp(ethernet(1, 2, 0x88b8, &[0x61; 100]), 77, lan));
        assert!(pair.tap.trial(mode, &copies[0], 1).unwrap().0);
        std::thread::sleep(std::time::Duration::from_millis(60));
        assert!(pair.tap.trial(mode, &copies[1], 1).unwrap().0, "it came too late to be a copy");
    }
}

#[test]
fn an_interface_that_is_not_known_is_left_alone() {
    if !is_root() {
        return;
    }
    let plan = Plan { settings: TapSettings::default(), duplicates: duplicates(true, false), snaplen: 100 };
    let tap = Tap::load(&plan).unwrap();
    for mode in MODES {
        assert!(tap.trial(mode, &Flow::number(1).frame(), 1).unwrap().0);
    }
    assert!(tap.counts("lo").is_err());
    assert!(tap.attach("no-such-tap", None, &[Mode::Native]).is_err());
}

/// Random bytes, of which some are what a header would have there.
#[test]
fn frames_of_noise_are_judged_as_the_reference_does() {
    if !is_root() {
        return;
    }
    let crafted = crafted();
    let kind = proptest::sample::select(vec![0x0800_u16, 0x86dd, 0x8100, 0x88a8, 0x8847, 0x8864, 0x892f, 40, 0x88b8]);
    let starts = proptest::collection::vec((0..crafted.len(), 14_usize..90), 20);
    let noise = proptest::collection::vec(any::<u8>(), 14..1600);
    for mode in MODES {
        // Loading a program takes longer than running it on a thousand frames. Mirrored copies are left to the crafted
        // frames: among thousands the kernel's direct-mapped memory forgets some, which the reference does not.
        let pair = RefCell::new(Pair::new(mode, busy(), duplicates(true, false)));
        let mut runner = TestRunner::new(ProptestConfig { cases: 128, ..ProptestConfig::default() });
        let judged = runner.run(&(&noise, &starts, &kind), |(mut frame, starts, kind)| {
            let mut pair = pair.borrow_mut();
            frame[12..14].copy_from_slice(&kind.to_be_bytes());
            for length in (14..frame.len()).step_by(61) {
                pair.judge(&frame[..length]);
            }
            // The beginning of a real frame, and noise behind it.
            for (which, length) in starts {
                let start = &crafted[which][..length.min(crafted[which].len())];
                pair.judge(&[start, &frame[..frame.len() / 4]].concat());
            }
            Ok(())
        });
        judged.unwrap();
        pair.borrow_mut().compare("noise");
    }
}

#[test]
fn noise_of_every_length_is_judged_as_the_reference_does() {
    if !is_root() {
        return;
    }
    for mode in MODES {
        let mut pair = Pair::new(mode, busy(), duplicates(true, true));
        let mut numbers = numbers(1);
        for length in 14..1600 {
            let mut frame: Vec<u8> = std::iter::repeat_with(|| numbers() as u8).take(length).collect();
            frame[12..14].copy_from_slice(&[[0x08, 0x00], [0x86, 0xdd], [0x81, 0x00], [0x88, 0x47]][length % 4]);
            if length > 23 && length % 4 == 0 {
                (frame[14], frame[16], frame[20], frame[21], frame[23]) = (0x45, 0, 0, 0, [6, 17, 47][length / 4 % 3]);
            }
            pair.judge(&frame);
        }
        pair.compare("noise");
    }
}

/// Every capture below the shared folder: the kernel's program against the reference, and the reference's name of a flow
/// against the decoder's, by which the daemon shunts.
#[test]
fn real_frames_are_judged_as_the_reference_does_and_flows_have_the_decoder_s_names() {
    let Some(folder) = wire::shared("captures") else { return };
    if !is_root() {
        return;
    }
    let (mut frames, mut keys, mut differing) = (0_u64, 0_u64, Vec::new());
    let files: Vec<_> =
        wire::files(&folder).into_iter().filter(|file| vigia::capture::file::is_capture(file)).collect();
    for mode in MODES {
        // So many frames are more than the tap remembers to find mirrored copies; redundant ones are few.
        let mut pair = Pair::new(mode, busy(), duplicates(true, false));
        for file in &files {
            each_frame(file, &mut |frame| {
                if pair.judge(frame).is_some() {
                    frames += 1;
                    if mode == Mode::Native {
                        keys += u64::from(name_differs(frame).map_err(|why| differing.push(why)).unwrap_or(true));
                    }
                }
            });
            pair.compare(&file.display().to_string());
        }
    }
    let (harmless, wrong): (Vec<_>, Vec<_>) = differing.into_iter().partition(|differing| differing.harmless);
    println!("{frames} frames judged, {keys} flows named, {} named by the decoder alone:", harmless.len());
    harmless.iter().for_each(|differing| println!("{}", differing.why));
    assert!(frames > 10_000 && keys > 5_000);
    assert!(wrong.is_empty(), "{}: {}", wrong.len(), wrong[0].why);
}

/// A frame of which the tap and the decoder say different things.
struct Differing {
    why: String,
    /// The tap has no name for what the decoder finds in a tunnel: it shunts none of it.
    harmless: bool,
}

fn each_frame(file: &Path, each: &mut dyn FnMut(&[u8])) {
    let Ok(mut source) = vigia::capture::file::FileSource::open(file, &FileSettings::default()) else { return };
    while let Ok(Progress::Frames(_)) = source.batch(&mut |captured, _| {
        if captured.link == LinkType::Ethernet && captured.wire_length as usize == captured.frame.len() {
            each(captured.frame);
        }
    }) {}
}

/// Whether the frame has a name, the same to both. The tap enters fewer tunnels.
fn name_differs(frame: &[u8]) -> Result<bool, Differing> {
    let captured = Captured {
        number: 1,
        timestamp: Default::default(),
        link: LinkType::Ethernet,
        frame,
        wire_length: frame.len() as u32,
        stripped_vlan: None,
    };
    let packet = decode(&captured, &DecodeLimits::default());
    let decoders = packet.ip.as_ref().and_then(|ip| {
        let [source, destination] = packet.ports;
        let named = matches!(packet.transport, Transport::Tcp(_) | Transport::Udp | Transport::Sctp);
        named.then(|| flow_key((ip.source, source), (ip.destination, destination), ip.protocol, &packet.vlans))
    });
    let taps = follow(frame).key();
    if taps == decoders || matches!(packet.tunnel, Tunnel::Geneve | Tunnel::Gtp) {
        return Ok(taps.is_some());
    }
    let harmless = taps.is_none() && packet.tunnel != Tunnel::None;
    Err(Differing { why: format!("the tap says {taps:?}, the decoder {decoders:?} of {}", hex(frame)), harmless })
}
