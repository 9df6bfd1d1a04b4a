//! The floor of the benchmark: a bare libpcap read loop, nothing done with the packets but adding up their lengths.
//!
//! Usage: vigia-floor CAPTURE

use anyhow::{Context, Result};

fn main() -> Result<()> {
    let path = std::env::args().nth(1).context("usage: vigia-floor CAPTURE")?;
    let mut capture = pcap::Capture::from_file(&path).with_context(|| format!("opening {path}"))?;
    let (mut packets, mut bytes) = (0u64, 0u64);
    loop {
        match capture.next_packet() {
            Ok(packet) => {
                packets += 1;
                bytes += packet.data.len() as u64;
            }
            Err(pcap::Error::NoMorePackets) => break,
            Err(error) => return Err(error.into()),
        }
    }
    println!("{packets} packets, {bytes} bytes");
    Ok(())
}
