//! How fast capture files are read, against a bare libpcap loop: `cargo bench --features libpcap --bench capture`.

use std::io::{Read, Write};
use std::path::Path;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use vigia::capture::file::FileSource;
use vigia::capture::{FileSettings, Progress, Source};

/// About 200 MB of frames of 170 bytes on average.
fn write_sample(path: &Path) {
    let mut file = std::io::BufWriter::new(std::fs::File::create(path).unwrap());
    file.write_all(&[0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0]).unwrap();
    let frame = [0x5a; 280];
    for number in 0..1_080_000_u32 {
        let length = 60 + (number * 7919) % 221;
        for word in [number / 1000, number % 1000, length, length] {
            file.write_all(&word.to_le_bytes()).unwrap();
        }
        file.write_all(&frame[..length as usize]).unwrap();
    }
    file.flush().unwrap();
}

/// Processor time of this thread, the kernel's share included: on a busy machine the clock on the wall tells nothing.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Reads seven times; prints the best.
fn measure(what: &str, mut read: impl FnMut() -> (u64, u64)) {
    let best = (0..7)
        .map(|_| {
            let start = processor_time();
            let (frames, bytes) = read();
            ((processor_time() - start).as_secs_f64(), frames, bytes)
        })
        .min_by(|a, b| a.0.total_cmp(&b.0));
    let (seconds, frames, bytes) = best.unwrap();
    let (per_frame, rate) = (seconds * 1e9 / frames as f64, frames as f64 / seconds / 1e6);
    println!("{what:40} {frames} frames, {bytes} bytes: {per_frame:6.1} ns/frame, {rate:5.1} M frames/s");
}

fn drain(source: &mut dyn Source) -> (u64, u64) {
    let (mut frames, mut bytes) = (0, 0);
    while let Progress::Frames(_) = source
        .batch(&mut |captured, _| {
            frames += 1;
            bytes += captured.frame.len() as u64;
        })
        .unwrap()
    {}
    (frames, bytes)
}

fn main() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sample.pcap");
    write_sample(&path);
    measure("reading alone, 256 KiB at once", || {
        let mut file = std::fs::File::open(&path).unwrap();
        let mut buffer = vec![0; 256 << 10];
        while file.read(&mut buffer).unwrap() > 0 {}
        (1_080_000, 0)
    });
    for read_bytes in [64 << 10, 128 << 10, 256 << 10, 512 << 10, 1 << 20, 4 << 20] {
        let settings = FileSettings { read_bytes, ..Default::default() };
        measure(&format!("own reader, {} KiB at once", read_bytes >> 10), || {
            drain(&mut FileSource::open(&path, &settings).unwrap())
        });
    }
    #[cfg(feature = "libpcap")]
    {
        measure("libpcap, bare loop", || {
            let mut capture = pcap::Capture::from_file(&path).unwrap();
            let (mut frames, mut bytes) = (0, 0);
            while let Ok(packet) = capture.next_packet() {
                frames += 1;
                bytes += packet.data.len() as u64;
            }
            (frames, bytes)
        });
        measure("libpcap, as a source", || drain(&mut vigia::capture::libpcap::open_file(&path).unwrap()));
    }
}
