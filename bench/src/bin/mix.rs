//! Makes a benchmark capture: many captures interleaved packet by packet, several times over, each time with other
//! addresses, so that a sensor meets many flows at once as it does on a tap.
//!
//! Addresses are changed so that every checksum stays right: what is added to one half of an IPv4 address is taken
//! from the other half in one's complement.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::Parser;

/// Interleave captures into one large capture.
#[derive(Parser)]
struct Arguments {
    /// Where to write the mix (pcap, microseconds, Ethernet).
    #[arg(long)]
    output: PathBuf,
    /// Stop when the mix has about this many bytes of packets.
    #[arg(long, default_value_t = 200_000_000)]
    bytes: u64,
    /// Packet time from one packet to the next, in microseconds.
    #[arg(long, default_value_t = 200)]
    step_us: u64,
    /// How many captures are read side by side.
    #[arg(long, default_value_t = 32)]
    abreast: usize,
    /// The captures; what is not Ethernet or cannot be read is left out with a line.
    captures: Vec<PathBuf>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let captures: Vec<Vec<Vec<u8>>> = arguments.captures.iter().filter_map(read).collect();
    ensure!(captures.iter().any(|packets| !packets.is_empty()), "no packet in any capture");
    let mut mix = Mix::create(&arguments)?;
    let mut round = 0;
    while mix.bytes < arguments.bytes {
        for abreast in captures.chunks(arguments.abreast) {
            mix.interleave(abreast, round)?;
        }
        round += 1;
    }
    mix.out.flush()?;
    println!(
        "{}: {} packets, {} bytes, {:.0} bytes on average, {} captures {} times over",
        arguments.output.display(),
        mix.packets,
        mix.bytes,
        mix.bytes as f64 / mix.packets as f64,
        captures.len(),
        round
    );
    Ok(())
}

/// The packets of an Ethernet capture, as far as it can be read.
fn read(path: &PathBuf) -> Option<Vec<Vec<u8>>> {
    let mut capture = match pcap::Capture::from_file(path) {
        Ok(capture) if capture.get_datalink() == pcap::Linktype::ETHERNET => capture,
        Ok(_) => {
            eprintln!("{}: not Ethernet", path.display());
            return None;
        }
        Err(error) => {
            eprintln!("{}: {error}", path.display());
            return None;
        }
    };
    let mut packets = Vec::new();
    while let Ok(packet) = capture.next_packet() {
        packets.push(packet.data.to_vec());
    }
    Some(packets)
}

struct Mix {
    out: BufWriter<File>,
    step_us: u64,
    packets: u64,
    bytes: u64,
    limit: u64,
}

impl Mix {
    fn create(arguments: &Arguments) -> Result<Self> {
        let path = &arguments.output;
        let mut out = BufWriter::new(File::create(path).with_context(|| format!("creating {}", path.display()))?);
        for word in [0xa1b2_c3d4u32, 0x0004_0002, 0, 0, 262_144, 1] {
            out.write_all(&word.to_le_bytes())?;
        }
        Ok(Self { out, step_us: arguments.step_us, packets: 0, bytes: 0, limit: arguments.bytes })
    }

    /// One packet of each capture in turn until all are at their end.
    fn interleave(&mut self, captures: &[Vec<Vec<u8>>], round: u16) -> Result<()> {
        let longest = captures.iter().map(Vec::len).max().unwrap_or_default();
        for at in 0..longest {
            for packet in captures.iter().filter_map(|packets| packets.get(at)) {
                if self.bytes >= self.limit {
                    return Ok(());
                }
                self.write(packet, round)?;
            }
        }
        Ok(())
    }

    fn write(&mut self, packet: &[u8], round: u16) -> Result<()> {
        let time = 1_700_000_000_000_000 + self.packets * self.step_us;
        let length = packet.len() as u32;
        for word in [(time / 1_000_000) as u32, (time % 1_000_000) as u32, length, length] {
            self.out.write_all(&word.to_le_bytes())?;
        }
        let mut packet = packet.to_vec();
        readdress(&mut packet, round);
        self.out.write_all(&packet)?;
        self.packets += 1;
        self.bytes += u64::from(length);
        Ok(())
    }
}

/// Gives both IPv4 addresses of a frame (VLAN tags skipped) another value for each round.
fn readdress(frame: &mut [u8], round: u16) {
    let mut at = 12;
    while matches!(frame.get(at..at + 2), Some([0x81, 0x00] | [0x88, 0xa8])) {
        at += 4;
    }
    if frame.get(at..at + 2) != Some(&[0x08, 0x00]) || frame.len() < at + 22 {
        return;
    }
    for address in [at + 14, at + 18] {
        let high = u16::from_be_bytes([frame[address], frame[address + 1]]);
        let low = u16::from_be_bytes([frame[address + 2], frame[address + 3]]);
        frame[address..address + 2].copy_from_slice(&ones_add(high, round).to_be_bytes());
        frame[address + 2..address + 4].copy_from_slice(&ones_add(low, !round).to_be_bytes());
    }
}

/// Addition in one's complement (RFC 1071).
fn ones_add(a: u16, b: u16) -> u16 {
    let (sum, carry) = a.overflowing_add(b);
    sum.wrapping_add(u16::from(carry))
}
