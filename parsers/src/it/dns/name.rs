//! Domain names as they stand in messages: labels and compression pointers (RFC 1035 §3.1, §4.1.4).

use std::fmt;

use super::{INFINITE_LOOP, MALFORMED_DATA, NAME_TOO_LONG, TOO_MANY_LABELS};
use crate::dissector::Anomaly;

/// Octets of a name with its lengths at the most (RFC 1035 §2.3.4). Longer ones are read all the same, and reported.
const LONGEST: usize = 255;
/// Labels after which a name is cut.
const MOST_LABELS: usize = 255;
/// Pointers in a row that no sound name needs more of: it has not as many labels.
const MOST_POINTERS: usize = 127;
/// Octets of a name as it is spelt; what goes beyond is cut.
const LONGEST_TEXT: usize = 1025;

/// The labels of a name from the first to the root.
#[derive(Debug, Clone)]
pub(super) struct Labels<'a> {
    message: &'a [u8],
    at: usize,
    labels: usize,
    octets: usize,
    pointers: usize,
    /// Where a pointer led some pointers ago: when one leads there again, the name goes in circles.
    mark: usize,
    fault: Option<Anomaly>,
    ended: bool,
}

impl<'a> Labels<'a> {
    /// The name at an offset of the message.
    pub(super) fn new(message: &'a [u8], at: usize) -> Self {
        Self { message, at, labels: 0, octets: 1, pointers: 0, mark: usize::MAX, fault: None, ended: false }
    }

    /// What was wrong with the labels read so far.
    pub(super) fn fault(&self) -> Option<Anomaly> {
        let long = Anomaly { kind: NAME_TOO_LONG, offset: self.at };
        self.fault.or((self.octets > LONGEST).then_some(long))
    }

    fn fail(&mut self, kind: &'static str) -> Option<&'a [u8]> {
        self.ended = true;
        self.fault = Some(Anomaly { kind, offset: self.at });
        None
    }

    fn label(&mut self, length: usize) -> Option<&'a [u8]> {
        let Some(label) = self.message.get(self.at + 1..self.at + 1 + length) else { return self.fail(MALFORMED_DATA) };
        if self.labels == MOST_LABELS {
            return self.fail(TOO_MANY_LABELS);
        }
        self.at += 1 + length;
        self.labels += 1;
        self.octets += 1 + length;
        Some(label)
    }

    /// Follows a pointer; false when it leads in circles. A place met a second time is met for ever: the place to watch
    /// for moves on at every power of two, so each circle is found (Brent).
    fn follow(&mut self, target: usize) -> bool {
        self.pointers += 1;
        if target == self.mark || self.pointers > MOST_POINTERS {
            return false;
        }
        if self.pointers.is_power_of_two() {
            self.mark = target;
        }
        self.at = target;
        true
    }
}

impl<'a> Iterator for Labels<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        while !self.ended {
            let Some(&first) = self.message.get(self.at) else { return self.fail(MALFORMED_DATA) };
            match first {
                0 => self.ended = true,
                1..0x40 => return self.label(first.into()),
                0x40..0xc0 => return self.fail(MALFORMED_DATA),
                0xc0.. => {
                    let Some(&low) = self.message.get(self.at + 1) else { return self.fail(MALFORMED_DATA) };
                    if !self.follow(usize::from(first & 0x3f) << 8 | usize::from(low)) {
                        return self.fail(INFINITE_LOOP);
                    }
                }
            }
        }
        None
    }
}

/// Where the name that begins here ends in the message, pointers not followed; `None` when the message ends before, or
/// what stands there is no name.
pub(super) fn skip(message: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *message.get(at)? {
            0 => return Some(at + 1),
            length @ 1..0x40 => at += 1 + usize::from(length),
            0x40..0xc0 => return None,
            0xc0.. => return message.get(at + 1).map(|_| at + 2),
        }
    }
}

/// Room for one name as it is spelt: its labels with dots between, the root left out.
pub(super) struct Spelling {
    text: [u8; LONGEST_TEXT],
}

/// A name as it is spelt.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spelt<'s> {
    pub(super) text: &'s [u8],
    /// Its end is missing.
    pub(super) cut: bool,
}

impl Spelling {
    pub(super) const fn new() -> Self {
        Self { text: [0; LONGEST_TEXT] }
    }

    /// Spells the name at an offset of the message. Of one that is wrong, what comes before the fault.
    pub(super) fn read(&mut self, message: &[u8], at: usize) -> Spelt<'_> {
        let mut labels = Labels::new(message, at);
        let (mut length, mut cut) = (0, false);
        for label in labels.by_ref() {
            let dot = usize::from(length > 0);
            let Some(place) = self.text.get_mut(length..length + dot + label.len()) else {
                cut = true;
                break;
            };
            let (separator, rest) = place.split_at_mut(dot);
            separator.fill(b'.');
            rest.copy_from_slice(label);
            length += dot + label.len();
        }
        Spelt { text: self.text.get(..length).unwrap_or_default(), cut: cut || labels.fault.is_some() }
    }
}

/// A name as master files have it: with the root's dot, and escapes (RFC 1035 §5.1).
pub(super) struct Printed<'a>(pub(super) Labels<'a>);

impl fmt::Display for Printed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut root = true;
        for label in self.0.clone() {
            root = false;
            for &octet in label {
                match octet {
                    b'.' | b'\\' => write!(f, "\\{}", char::from(octet))?,
                    b'!'..=b'~' => write!(f, "{}", char::from(octet))?,
                    _ => write!(f, "\\{octet:03}")?,
                }
            }
            f.write_str(".")?;
        }
        if root { f.write_str(".") } else { Ok(()) }
    }
}
