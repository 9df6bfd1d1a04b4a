//! Behaviour of the file reader, on files made in memory.

use std::io::{self, Cursor, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

use proptest::prelude::*;
use vigia_parsers::packet::LinkType;

use super::byte_order::ByteOrder;
use super::samples::{BOTH_ORDERS, KUZNETZOV, MICROSECONDS, NANOSECONDS, Writer, pcap_of, pcapng_of};
use super::*;
use crate::capture::{InterfaceId, SourceCounts};

/// A frame as it was handed over, owned.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    number: u64,
    nanoseconds: u64,
    link: LinkType,
    frame: Vec<u8>,
    wire_length: u32,
    interface: InterfaceId,
}

#[derive(Debug, Default)]
struct Reading {
    frames: Vec<Seen>,
    interfaces: Vec<Interface>,
    /// How far in the file it was after each batch.
    positions: Vec<u64>,
    fault: Option<SourceError>,
}

impl Reading {
    /// The reading of a file that cannot be opened.
    fn refused(fault: SourceError) -> Self {
        Self { fault: Some(fault), ..Self::default() }
    }

    fn story(&self) -> (&[Seen], &[Interface], &[u64], Option<String>) {
        (&self.frames, &self.interfaces, &self.positions, self.fault.as_ref().map(ToString::to_string))
    }
}

/// Reads a file as its frames are worked on, and once more with a thread that reads ahead: it must not show.
fn read_with(bytes: impl AsRef<[u8]>, settings: &FileSettings) -> Reading {
    let bytes: Arc<[u8]> = bytes.as_ref().into();
    let open = || FileSource::from_reader("sample", Cursor::new(Arc::clone(&bytes)), settings);
    let here = open().map_or_else(Reading::refused, drain);
    let ahead = open().map_or_else(Reading::refused, |source| drain(ahead(source)));
    assert_eq!(here.story(), ahead.story());
    here
}

/// The same source with a reading thread, which only a file that goes on is worth.
fn ahead(mut source: FileSource) -> FileSource {
    source.input.assume_size(u64::MAX);
    source.read_ahead()
}

fn drain(mut source: FileSource) -> Reading {
    let mut reading = Reading::default();
    loop {
        let before = reading.frames.len();
        let progress = source.batch(&mut |captured, interface| {
            reading.frames.push(Seen {
                number: captured.number,
                nanoseconds: captured.timestamp.0,
                link: captured.link,
                frame: captured.frame.to_vec(),
                wire_length: captured.wire_length,
                interface,
            });
        });
        reading.positions.push(source.position().0);
        match progress {
            Ok(Progress::Frames(frames)) => assert_eq!(frames, reading.frames.len() - before),
            Ok(Progress::Idle) => panic!("a file is never idle"),
            Ok(Progress::End) => break,
            Err(fault) => {
                assert_eq!(reading.frames.len(), before, "frames come before the fault, not with it");
                reading.fault = Some(fault);
                break;
            }
        }
    }
    assert_eq!(source.batch(&mut |_, _| panic!("a frame after the end")).unwrap(), Progress::End);
    assert_eq!(source.counts().received, reading.frames.len() as u64);
    reading.interfaces = source.interfaces();
    reading
}

fn read(bytes: impl AsRef<[u8]>) -> Reading {
    read_with(bytes, &FileSettings::default())
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstandard(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}

#[test]
fn pcap_of_both_orders_and_resolutions() {
    for order in BOTH_ORDERS {
        for (magic, nanoseconds) in [(MICROSECONDS, 7_000_005_000), (NANOSECONDS, 7_000_000_005)] {
            let mut file = Writer::pcap(order, magic, 4, 1);
            file.record((7, 5), (5, 60), &[], b"first");
            file.record((7, 6), (6, 6), &[], b"second");
            let reading = read(file.bytes);
            assert!(reading.fault.is_none());
            let first = Seen {
                number: 1,
                nanoseconds,
                link: LinkType::Ethernet,
                frame: b"first".to_vec(),
                wire_length: 60,
                interface: 0,
            };
            assert_eq!(reading.frames[0], first);
            assert_eq!((reading.frames[1].number, &reading.frames[1].frame[..]), (2, &b"second"[..]));
        }
    }
}

#[test]
fn kuznetzov_s_records_have_a_longer_header() {
    for order in BOTH_ORDERS {
        let mut file = Writer::pcap(order, KUZNETZOV, 4, 113);
        file.record((1, 1), (5, 5), &[9; 8], b"first");
        file.record((1, 2), (6, 6), &[9; 8], b"second");
        let reading = read(file.bytes);
        assert!(reading.fault.is_none());
        let frames: Vec<_> = reading.frames.iter().map(|seen| (seen.link, &seen.frame[..])).collect();
        assert_eq!(frames, [(LinkType::LinuxSll, &b"first"[..]), (LinkType::LinuxSll, b"second")]);
    }
}

#[test]
fn pcap_before_2_3_has_the_lengths_swapped() {
    let mut file = Writer::pcap(ByteOrder::Big, MICROSECONDS, 2, 1);
    file.record((1, 1), (60, 5), &[], b"first");
    let reading = read(file.bytes);
    assert!(reading.fault.is_none());
    assert_eq!((reading.frames[0].frame.len(), reading.frames[0].wire_length), (5, 60));
}

#[test]
fn a_frame_longer_than_its_wire_length_or_the_snap_length_is_handed_over_whole() {
    let mut file = Writer::pcap(ByteOrder::Little, MICROSECONDS, 4, 1);
    file.record((1, 1), (5, 3), &[], b"first");
    file.record((1, 1), (70_000, 70_000), &[], &[1; 70_000]);
    let reading = read(file.bytes);
    assert!(reading.fault.is_none());
    assert_eq!((reading.frames[0].frame.len(), reading.frames[0].wire_length), (5, 5));
    assert_eq!(reading.frames[1].frame.len(), 70_000);
}

#[test]
fn the_frame_check_sequence_that_a_file_announces_is_taken_off() {
    // Bit 26 and the length in words above it.
    let mut file = Writer::pcap(ByteOrder::Little, MICROSECONDS, 4, 0x2400_0001);
    file.record((1, 1), (9, 9), &[], b"wholeFCS!");
    file.record((1, 1), (5, 90), &[], b"cut  ");
    let reading = read(file.bytes);
    let seen: Vec<_> = reading.frames.iter().map(|seen| (&seen.frame[..], seen.wire_length)).collect();
    assert_eq!(seen, [(&b"whole"[..], 5), (b"cut  ", 86)]);

    let mut file = Writer::new(ByteOrder::Little);
    file.section();
    file.interface(1, 0, &[(13, &[4])]);
    file.enhanced(0, 1, 9, b"wholeFCS!");
    assert_eq!(read(file.bytes).frames[0].frame, b"whole");
}

#[test]
fn pcapng_with_interfaces_sections_and_every_packet_block() {
    for order in BOTH_ORDERS {
        let mut file = Writer::new(order);
        let offset = file.seconds(100);
        file.section();
        file.interface(1, 0, &[(2, b"west"), (0, b"")]);
        file.interface(101, 0, &[(2, b"east"), (9, &[9]), (14, &offset)]);
        file.block(0xbad, b"unknown blocks are passed over");
        file.enhanced(0, 2_000_000, 60, b"enhanced");
        file.enhanced(1, 5, 3, b"raw");
        file.obsolete(1, 6, b"obsolete");
        file.simple(6, b"simple");
        file.section();
        file.interface(113, 4, &[(9, &[0x80 | 10])]);
        file.enhanced(0, 1024, 3, b"sll");
        file.simple(60, b"snap");
        let reading = read(file.bytes);
        assert!(reading.fault.is_none(), "{reading:?}");
        let seen: Vec<_> = reading
            .frames
            .iter()
            .map(|seen| (seen.interface, seen.nanoseconds, seen.link, seen.wire_length, &seen.frame[..]))
            .collect();
        let second = 1_000_000_000;
        assert_eq!(
            seen,
            [
                (0, 2 * second, LinkType::Ethernet, 60, &b"enhanced"[..]),
                (1, 100 * second + 5, LinkType::RawIp, 3, b"raw"),
                (1, 100 * second + 6, LinkType::RawIp, 8, b"obsolete"),
                // Without a time of its own it has the one before it.
                (0, 100 * second + 6, LinkType::Ethernet, 6, b"simple"),
                (2, second, LinkType::LinuxSll, 3, b"sll"),
                (2, second, LinkType::LinuxSll, 60, b"snap"),
            ]
        );
        let interfaces: Vec<_> = reading.interfaces.iter().map(|i| (i.name.as_str(), i.counts.received)).collect();
        assert_eq!(interfaces, [("west", 2), ("east", 2), ("", 2)]);
    }
}

#[test]
fn sections_of_different_byte_order_follow_each_other() {
    let mut bytes = Vec::new();
    for order in BOTH_ORDERS {
        let mut file = Writer::new(order);
        file.section();
        file.interface(1, 0, &[]);
        file.enhanced(0, 1, 5, b"frame");
        bytes.extend(file.bytes);
    }
    let reading = read(bytes);
    assert!(reading.fault.is_none());
    assert_eq!(reading.frames.len(), 2);
}

#[test]
fn pcapng_leaves_out_interfaces_of_unsupported_link_types_and_counts_them() {
    let mut file = Writer::new(ByteOrder::Little);
    file.section();
    file.interface(105, 0, &[]);
    file.interface(1, 0, &[]);
    file.enhanced(0, 1, 4, b"wifi");
    file.enhanced(1, 1, 3, b"eth");
    file.enhanced(0, 1, 4, b"wifi");
    let reading = read(file.bytes);
    assert!(reading.fault.is_none());
    // Numbers count all packets, as other tools do.
    assert_eq!(reading.frames.iter().map(|seen| seen.number).collect::<Vec<_>>(), [2]);
    assert_eq!(reading.interfaces[0].counts, SourceCounts { unsupported_link: 2, ..Default::default() });
}

#[test]
fn a_file_with_no_supported_link_type_is_an_error_that_names_it() {
    let pcap = read(Writer::pcap(ByteOrder::Little, MICROSECONDS, 4, 105).bytes);
    let mut file = Writer::new(ByteOrder::Little);
    file.section();
    file.interface(105, 0, &[]);
    file.enhanced(0, 1, 4, b"wifi");
    for reading in [pcap, read(file.bytes)] {
        let message = reading.fault.unwrap().to_string();
        assert!(message.starts_with("sample: link type 105 (IEEE 802.11) is not supported"), "{message}");
    }
}

#[test]
fn compression_is_told_by_the_first_bytes() {
    let (plain, _) = pcapng_of(3000);
    let expected = read(plain.clone()).frames;
    assert_eq!(expected.len(), 3000);
    let two_members = [gzip(&plain[..1001]), gzip(&plain[1001..])].concat();
    for compressed in [gzip(&plain), zstandard(&plain), two_members] {
        let reading = read(compressed);
        assert!(reading.fault.is_none(), "{:?}", reading.fault);
        assert_eq!(reading.frames, expected);
    }
}

#[test]
fn a_window_smaller_than_a_record_grows_to_it() {
    let (bytes, ends) = pcap_of(300);
    let settings = FileSettings { read_bytes: 1, ..Default::default() };
    let reading = read_with(bytes, &settings);
    assert!(reading.fault.is_none());
    assert_eq!(reading.frames.len(), ends.len());
}

#[test]
fn records_that_reach_over_several_blocks_are_whole() {
    let mut file = Writer::pcap(ByteOrder::Little, MICROSECONDS, 4, 1);
    let frames: Vec<Vec<u8>> =
        (0..12_u32).map(|number| vec![number as u8; 30_000 * (number % 5) as usize + 1]).collect();
    for frame in &frames {
        let length = frame.len() as u32;
        file.record((1, 1), (length, length), &[], frame);
    }
    for read_bytes in [4096, 50_000, 256 << 10] {
        let reading = read_with(&file.bytes, &FileSettings { read_bytes, ..Default::default() });
        assert!(reading.fault.is_none());
        assert!(reading.frames.iter().map(|seen| &seen.frame).eq(&frames));
    }
}

/// A capture without end that tells how much of it was read, and by its end that it is no longer wanted.
struct Endless {
    read: Arc<AtomicUsize>,
    _wanted: Sender<()>,
}

impl Read for Endless {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let before = self.read.fetch_add(buffer.len(), Ordering::Relaxed);
        // Zeros are empty records.
        buffer.fill(0);
        let header = Writer::pcap(ByteOrder::Little, MICROSECONDS, 4, 1).bytes;
        let begun = header.get(before..).unwrap_or_default();
        let both = begun.len().min(buffer.len());
        buffer[..both].copy_from_slice(&begun[..both]);
        Ok(buffer.len())
    }
}

#[test]
fn a_thread_reads_no_more_ahead_than_a_few_blocks_and_ends_with_its_source() {
    let read = Arc::new(AtomicUsize::new(0));
    let (wanted, ended) = channel();
    let endless = Endless { read: Arc::clone(&read), _wanted: wanted };
    let settings = FileSettings { read_bytes: 4096, ..Default::default() };
    let mut source = ahead(FileSource::from_reader("endless", endless, &settings).unwrap());
    // A block is a batch.
    for _ in 0..20 {
        assert!(matches!(source.batch(&mut |_, _| ()), Ok(Progress::Frames(_))));
    }
    drop(source);
    assert_eq!(ended.recv_timeout(Duration::from_secs(60)), Err(RecvTimeoutError::Disconnected));
    let most = (20 + ahead::BLOCKS) * 4096;
    assert!(read.load(Ordering::Relaxed) <= most, "{} bytes read, {most} at the most", read.load(Ordering::Relaxed));
}

/// What a disk does to a reader.
#[derive(Clone, Copy)]
enum Trouble {
    Error,
    Panic,
}

impl Read for Trouble {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Error => Err(io::Error::other("the disk is gone")),
            Self::Panic => panic!("on purpose"),
        }
    }
}

#[test]
fn trouble_of_the_reading_thread_is_a_read_error_after_what_was_read() {
    let (bytes, ends) = pcap_of(300);
    for (trouble, word) in [(Trouble::Error, "the disk is gone"), (Trouble::Panic, "the thread that reads it failed")] {
        let settings = FileSettings { read_bytes: 4096, ..Default::default() };
        let reader = Cursor::new(bytes.clone()).chain(trouble);
        let reading = drain(ahead(FileSource::from_reader("sample", reader, &settings).unwrap()));
        assert_eq!(reading.frames.len(), ends.len());
        let fault = reading.fault.unwrap().to_string();
        let expected = format!("sample: reading failed after {} (uncompressed) bytes: {word}", bytes.len());
        assert_eq!(fault, expected);
    }
}

#[test]
fn a_header_that_is_cut_short_is_not_judged_by_its_beginning() {
    let mut pcapng = Writer::new(ByteOrder::Little);
    pcapng.section();
    // A block whose stated length is impossible, and one byte of what follows.
    let pcapng = [pcapng.bytes, vec![0xff, 0, 0, 0, 6, 1, 0, 0, 0]].concat();
    let mut pcap = Writer::pcap(ByteOrder::Little, KUZNETZOV, 4, 1);
    pcap.record((1, 1), (u32::MAX, 5), &[], &[0; 3]);
    for file in [pcapng, pcap.bytes] {
        for read_bytes in [1, 1 << 20] {
            let settings = FileSettings { read_bytes, ..Default::default() };
            let fault = read_with(file.clone(), &settings).fault;
            assert!(matches!(fault, Some(SourceError::Truncated { .. })), "{fault:?}");
        }
    }
}

#[test]
fn whatever_byte_a_file_is_cut_at_the_frames_before_it_are_handed_over() {
    for (bytes, ends) in [pcap_of(8), pcapng_of(8)] {
        for cut in 0..bytes.len() {
            let reading = read(&bytes[..cut]);
            let whole = ends.iter().filter(|end| **end <= cut).count();
            assert_eq!(reading.frames.len(), whole, "cut at {cut}");
            let last_end = ends[..whole].last().copied().unwrap_or(0);
            match reading.fault {
                None => assert!(cut == last_end || whole == 0, "cut at {cut} unnoticed"),
                Some(SourceError::Truncated { offset, needed, available, .. }) => {
                    assert_eq!(offset as usize + available, cut);
                    assert!(needed > available);
                    assert!(offset as usize >= last_end);
                }
                Some(SourceError::NotACapture { .. }) => assert!(cut < 4),
                Some(fault) => panic!("cut at {cut}: {fault}"),
            }
        }
    }
}

#[test]
fn a_cut_in_a_compressed_file_is_named_and_what_is_before_it_handed_over() {
    let (plain, _) = pcap_of(20_000);
    for compressed in [gzip(&plain), zstandard(&plain)] {
        let reading = read(&compressed[..compressed.len() / 2]);
        let whole = reading.frames.len();
        assert!(whole > 1000 && whole < 20_000, "{whole}");
        let fault = reading.fault.unwrap();
        assert!(matches!(fault, SourceError::Read { offset, .. } if offset > 0), "{fault}");
    }
}

#[test]
fn stated_lengths_beyond_the_bounds_are_corrupt_at_their_offset() {
    let (mut pcap, _) = pcap_of(2);
    let offset = pcap.len() as u64;
    pcap.extend([0; 8]);
    pcap.extend(0x7fff_ffff_u32.to_le_bytes());
    pcap.extend(0x7fff_ffff_u32.to_le_bytes());
    let (mut pcapng, _) = pcapng_of(2);
    let pcapng_offset = pcapng.len() as u64;
    pcapng.extend(6_u32.to_be_bytes());
    pcapng.extend(0x7fff_fffc_u32.to_be_bytes());
    pcapng.extend([0; 4]);
    for (bytes, expected) in [(pcap, offset), (pcapng, pcapng_offset)] {
        let reading = read(bytes);
        assert_eq!(reading.frames.len(), 2);
        let fault = reading.fault.unwrap();
        assert!(matches!(&fault, SourceError::Corrupt { offset, .. } if *offset == expected), "{fault}");
    }
}

#[test]
fn blocks_that_contradict_themselves_are_corrupt() {
    let sample = |write: &dyn Fn(&mut Writer)| {
        let mut file = Writer::new(ByteOrder::Little);
        file.section();
        file.interface(1, 0, &[]);
        write(&mut file);
        file.enhanced(0, 1, 5, b"never");
        let reading = read(file.bytes);
        assert!(reading.frames.is_empty());
        match reading.fault {
            Some(SourceError::Corrupt { what, .. }) => what.text(crate::language::Language::English),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(sample(&|file| file.enhanced(7, 1, 4, b"lost")), "a packet of interface 7 in a section with 1");
    assert_eq!(sample(&|file| file.simple(60, b"short")), "a packet of 60 bytes in a block with room for 8");
    assert_eq!(sample(&|file| file.block(6, b"")), "a packet block that is too short");
    assert_eq!(sample(&|file| file.block(1, b"")), "an interface description block that is too short");
    let trailer = sample(&|file| {
        file.enhanced(0, 1, 4, b"lost");
        let at = file.bytes.len() - 4;
        file.bytes[at] += 4;
    });
    assert_eq!(trailer, "a block of 36 bytes that ends with the length 40");
    let length = sample(&|file| file.bytes.extend([6, 0, 0, 0, 13, 0, 0, 0, 0, 0, 0, 0]));
    assert_eq!(length, "a block of 13 bytes; a multiple of 4 from 12 on is expected");
}

#[test]
fn what_is_no_capture_is_named_by_its_first_bytes() {
    let message = |bytes: &'static [u8]| read(bytes).fault.unwrap().to_string();
    assert!(message(b"GIF89a").ends_with("it begins with 47 49 46 38"));
    assert!(message(b"").ends_with("it is empty"));
}

#[test]
fn the_position_reaches_the_size_of_the_file() {
    let (bytes, _) = pcap_of(5000);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), gzip(&bytes)).unwrap();
    let size = std::fs::metadata(file.path()).unwrap().len();
    let settings = FileSettings { read_bytes: 4096, ..Default::default() };
    for read_ahead in [false, true] {
        let source = FileSource::open(file.path(), &settings).unwrap();
        let mut source = if read_ahead { source.read_ahead() } else { source };
        assert!(source.position().0 <= size);
        while source.batch(&mut |_, _| ()).unwrap() != Progress::End {}
        assert_eq!(source.position(), (size, size));
    }
}

/// A valid file with some bytes overwritten.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let file = prop_oneof![Just(pcap_of(12).0), Just(pcapng_of(12).0)];
    let damage = proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12);
    (file, damage).prop_map(|(mut bytes, damage)| {
        for (index, byte) in damage {
            let at = index.index(bytes.len());
            bytes[at] = byte;
        }
        bytes
    })
}

proptest! {
    #[test]
    fn never_panics_on_arbitrary_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..400), kind in 0..6_usize) {
        let prefix: &[u8] = [
            &[][..],
            &[0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0],
            &[0xa1, 0xb2, 0x3c, 0x4d, 0, 2, 0, 4],
            &[0x0a, 0x0d, 0x0d, 0x0a],
            &[0x1f, 0x8b, 8, 0],
            &[0x28, 0xb5, 0x2f, 0xfd],
        ][kind];
        read([prefix, &bytes].concat());
    }

    #[test]
    fn never_panics_on_damaged_files(bytes in damaged()) {
        read(bytes.clone());
        read(gzip(&bytes));
    }

    #[test]
    fn the_size_of_reads_does_not_show(bytes in damaged(), read_bytes in 1_u32..200) {
        let whole = read(bytes.clone());
        let pieces = read_with(bytes, &FileSettings { read_bytes, ..Default::default() });
        prop_assert_eq!(whole.frames, pieces.frames);
        prop_assert_eq!(whole.fault.map(|fault| fault.to_string()), pieces.fault.map(|fault| fault.to_string()));
    }
}
