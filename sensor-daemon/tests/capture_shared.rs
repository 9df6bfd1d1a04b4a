//! The file reader on real captures: counts equal to an independent reader's, and no panic on hostile files.
//!
//! The captures stand beside the project, not in it; without them the tests say so and pass.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use vigia::capture::directory::expand;
use vigia::capture::file::FileSource;
use vigia::capture::{FileSettings, Progress, Source, SourceCounts, SourceError};

/// The folder of shared captures, if it is there.
fn shared() -> Option<PathBuf> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent()?;
    let found = workspace.parent()?.join("shared");
    if !found.join("captures").is_dir() {
        println!("SKIPPED: no shared captures beside the project");
        return None;
    }
    Some(found)
}

#[derive(Debug, Default)]
struct Reading {
    earliest_ns: Option<u64>,
    latest_ns: u64,
    counts: SourceCounts,
    fault: Option<SourceError>,
}

fn read(path: &Path) -> Reading {
    let mut reading = Reading::default();
    let mut source = match FileSource::open(path, &FileSettings::default()) {
        Ok(source) => source,
        Err(fault) => return Reading { fault: Some(fault), ..reading },
    };
    loop {
        let progress = source.batch(&mut |captured, _| {
            let time = captured.timestamp.0;
            reading.earliest_ns = Some(reading.earliest_ns.map_or(time, |earliest| earliest.min(time)));
            reading.latest_ns = reading.latest_ns.max(time);
        });
        match progress {
            Ok(Progress::Frames(_)) => {}
            Ok(Progress::Idle) => panic!("a file is never idle"),
            Ok(Progress::End) => break,
            Err(fault) => {
                reading.fault = Some(fault);
                break;
            }
        }
    }
    assert_eq!(source.batch(&mut |_, _| panic!("frames after the end")).unwrap(), Progress::End);
    reading.counts = source.counts();
    reading
}

#[test]
fn counts_and_times_of_real_captures_equal_the_independent_reader_s() {
    let Some(shared) = shared() else { return };
    let truths = std::fs::read_dir(shared.join("truth")).unwrap();
    let (mut compared, mut unsupported, mut wrong) = (0, Vec::new(), Vec::new());
    for path in truths.map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some_and(|e| e == "json")) {
        let truth: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let file = truth["file"].as_str().unwrap();
        let reading = read(&shared.join(file));
        if let Some(fault @ SourceError::UnsupportedLink { .. }) = &reading.fault {
            unsupported.push(fault.to_string());
            continue;
        }
        compared += 1;
        let counts = reading.counts;
        let packets = truth["packets"].as_u64().unwrap();
        // Of frames with link types that are not supported only the number is known.
        let same = if counts.unsupported_link > 0 {
            counts.received + counts.unsupported_link == packets
        } else {
            counts.received == packets
                && counts.bytes == truth["captured_bytes"].as_u64().unwrap()
                && same_time(reading.earliest_ns.unwrap_or(0), &truth["first_ts"])
                && same_time(reading.latest_ns, &truth["last_ts"])
        };
        // A capture may be cut short; the independent reader counts the packets before the cut, too.
        if !same || !matches!(reading.fault, None | Some(SourceError::Truncated { .. })) {
            wrong.push(format!("{file}: {reading:?}, but {packets} packets, {}", truth["captured_bytes"]));
        }
    }
    println!("{compared} captures compared, {} of unsupported link types:", unsupported.len());
    unsupported.iter().for_each(|line| println!("  {line}"));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(compared > 0);
}

/// The truth's times are floating-point seconds, good to a microsecond.
fn same_time(nanoseconds: u64, truth: &serde_json::Value) -> bool {
    (nanoseconds as f64 / 1e3 - truth.as_f64().unwrap_or(0.0) * 1e6).abs() <= 1.0
}

#[test]
fn hostile_captures_end_in_a_named_outcome() {
    let Some(shared) = shared() else { return };
    let mut outcomes: BTreeMap<&str, (usize, u64)> = BTreeMap::new();
    let files = expand(&[shared.join("captures/hostile")]).unwrap();
    assert!(!files.is_empty());
    for file in &files {
        let reading = read(file);
        let outcome = match &reading.fault {
            None if reading.counts.unsupported_link > 0 => "read to the end, some frames of unsupported link types",
            None => "read to the end",
            Some(SourceError::Truncated { .. }) => "cut short",
            Some(SourceError::Corrupt { .. }) => "corrupt",
            Some(SourceError::UnsupportedLink { .. }) => "link type not supported",
            Some(SourceError::NotACapture { .. }) => "not a capture",
            Some(fault) => panic!("{fault}"),
        };
        if let Some(fault @ (SourceError::Truncated { .. } | SourceError::Corrupt { .. })) = &reading.fault {
            println!("{fault} (after {} frames)", reading.counts.received);
        }
        let entry = outcomes.entry(outcome).or_default();
        entry.0 += 1;
        entry.1 += reading.counts.received;
    }
    for (outcome, (files, frames)) in outcomes {
        println!("{files:4} files {frames:8} frames  {outcome}");
    }
}

/// Frame by frame: number, time, length on the wire, and the bytes.
#[cfg(feature = "libpcap")]
#[test]
fn frames_of_real_captures_are_libpcap_s_own() {
    let Some(shared) = shared() else { return };
    let settings = FileSettings::default();
    let collect = |source: &mut dyn Source| {
        let mut frames = Vec::new();
        while let Ok(Progress::Frames(_)) = source.batch(&mut |captured, _| {
            let labels = (captured.number, captured.timestamp, captured.link, captured.wire_length);
            frames.push((labels, captured.frame.to_vec()));
        }) {}
        frames
    };
    let (mut same, mut refused) = (0, 0);
    for file in expand(&[shared.join("captures")]).unwrap() {
        if file.to_string_lossy().contains("timestamp_invalid") {
            // Fractions of a second beyond a second: libpcap's arithmetic overflows.
            continue;
        }
        let (Ok(mut own), Ok(mut theirs)) =
            (FileSource::open(&file, &settings), vigia::capture::libpcap::open_file(&file))
        else {
            refused += 1;
            continue;
        };
        let (own, theirs) = (collect(&mut own), collect(&mut theirs));
        // libpcap gives up on a pcapng file whose interfaces differ in link type or snap length: what it gave is equal.
        if own.len() > theirs.len() {
            println!("{}: {} frames, libpcap {}", file.display(), own.len(), theirs.len());
        }
        assert!(own.len() >= theirs.len(), "{}: {} of {}", file.display(), own.len(), theirs.len());
        for ((own, frame), (theirs, cut)) in own.iter().zip(&theirs) {
            assert_eq!(own, theirs, "{}", file.display());
            // libpcap cuts frames to the snap length that the file states, if they are longer in spite of it.
            assert!(frame.starts_with(cut), "{}", file.display());
        }
        same += 1;
    }
    println!("{same} captures equal, {refused} refused by one of the two");
    assert!(same > 0);
}
