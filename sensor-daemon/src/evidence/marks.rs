//! The alerts of a replay, for the second reading of its captures.
//!
//! Which matches become alerts is decided in packet order over all workers, after the packets have gone by. So the captures are
//! read once more, by one worker without rules, and each alert is told at its packet as if it had been raised there.

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io::{self, BufRead as _, BufReader};
use std::net::IpAddr;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use vigia_parsers::Timestamp;

use crate::event::AlertFacts;

/// An alert, as it was reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// Id of the flow; 0: none.
    pub flow: u64,
    /// Whom it is about.
    pub hosts: Option<[IpAddr; 2]>,
    /// Its time.
    pub timestamp: Timestamp,
    /// The packet in hand raised it.
    pub raised: bool,
    /// The line.
    pub line: Vec<u8>,
}

/// Where an alert is to be told, and where its line stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Spot {
    /// Number of the packet; of an alert without one its time.
    at: u64,
    offset: u64,
    length: usize,
}

/// The alerts in an event file.
#[derive(Debug)]
pub struct Marks {
    file: File,
    /// By packet, through all captures.
    raised: VecDeque<Spot>,
    /// Those without a packet, by capture and time.
    silent: HashMap<String, VecDeque<Spot>>,
    capture: String,
}

impl Marks {
    /// Those in the event file of a replay.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut lines = BufReader::new(File::open(path)?);
        let (mut raised, mut silent) = (Vec::new(), HashMap::<String, Vec<Spot>>::new());
        let (mut line, mut offset) = (Vec::new(), 0);
        while lines.read_until(b'\n', &mut line)? > 0 {
            if let Some(facts) = AlertFacts::of(&line) {
                let spot = |at| Spot { at, offset, length: line.len() };
                match facts.number {
                    0 => silent.entry(facts.capture.into_owned()).or_default().push(spot(facts.timestamp.0)),
                    number => raised.push(spot(number)),
                }
            }
            offset += line.len() as u64;
            line.clear();
        }
        raised.sort_unstable();
        silent.values_mut().for_each(|spots| spots.sort_unstable());
        let silent = silent.into_iter().map(|(capture, spots)| (capture, spots.into())).collect();
        Ok(Self { file: File::open(path)?, raised: raised.into(), silent, capture: String::new() })
    }

    /// What comes is of this capture.
    pub fn begin_capture(&mut self, name: &str) {
        name.clone_into(&mut self.capture);
    }

    /// The next alert to be told, when the packet of this number and time has gone by; at the end of a capture that is of
    /// the latest time there is.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn due(&mut self, number: u64, time: Timestamp) -> io::Result<Option<Mark>> {
        let next = |spots: &mut VecDeque<Spot>, until| {
            spots.front().is_some_and(|spot| spot.at <= until).then(|| spots.pop_front()).flatten()
        };
        let silent = self.silent.get_mut(&self.capture);
        let spot = next(&mut self.raised, number).or_else(|| silent.and_then(|spots| next(spots, time.0)));
        spot.map(|spot| self.mark(spot)).transpose()
    }

    fn mark(&self, spot: Spot) -> io::Result<Mark> {
        let mut line = vec![0; spot.length];
        self.file.read_exact_at(&mut line, spot.offset)?;
        let changed = || io::Error::new(io::ErrorKind::InvalidData, "the event file was changed");
        let AlertFacts { flow, hosts, timestamp, number, .. } = AlertFacts::of(&line).ok_or_else(changed)?;
        Ok(Mark { flow, hosts, timestamp, raised: number != 0, line })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alerts_come_at_their_packets_and_those_without_one_at_their_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("eve.json");
        let alert = |second: u64, number: &str, capture: &str| {
            format!(
                "{{\"timestamp\":\"2026-01-02T03:04:{second:02}.000000+0000\",\"flow_id\":{second},{number}\"event_type\":\"alert\",\
                 \"src_ip\":\"10.0.0.1\",\"dest_ip\":\"10.0.0.2\",\"pcap_filename\":\"{capture}\"}}\n"
            )
        };
        let lines = [
            alert(1, "\"pcap_cnt\":7,", "a"),
            "{\"event_type\":\"flow\"}\n".to_owned(),
            alert(2, "\"pcap_cnt\":7,", "a"),
            alert(9, "", "a"),
            alert(4, "", "a"),
            alert(5, "\"pcap_cnt\":12,", "b"),
            alert(3, "", "b"),
        ];
        std::fs::write(&path, lines.concat()).unwrap();
        let mut marks = Marks::open(&path).unwrap();
        let start = 1_767_323_040;
        let mut due = |number, second| {
            let mut found = Vec::new();
            while let Some(mark) = marks.due(number, Timestamp::new(start + second, 0)).unwrap() {
                found.push((mark.flow, mark.raised));
                assert_eq!(mark.hosts, Some(["10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap()]));
                assert!(lines.iter().any(|line| line.as_bytes() == mark.line));
            }
            found
        };
        assert_eq!(due(6, 50), [], "no capture has begun");
        marks.begin_capture("a");
        let mut due = |number, second| {
            let next = || marks.due(number, Timestamp::new(start + second, 0)).unwrap();
            std::iter::from_fn(next).map(|mark| (mark.flow, mark.raised)).collect::<Vec<_>>()
        };
        assert_eq!(due(6, 3), []);
        assert_eq!(due(7, 5), [(1, true), (2, true), (4, false)]);
        assert_eq!(due(8, u64::MAX / 2_000_000_000), [(9, false)]);
        marks.begin_capture("b");
        let next = || marks.due(12, Timestamp::new(start + 3, 0)).unwrap();
        assert_eq!(std::iter::from_fn(next).map(|mark| mark.flow).collect::<Vec<_>>(), [5, 3]);
    }
}
