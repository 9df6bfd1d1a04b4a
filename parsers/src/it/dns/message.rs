//! A message: its header and where its four sections stand (RFC 1035 §4.1).

use super::name::{self, Labels};
use super::rdata::Rdata;
use super::{INVALID_ADDITIONALS, INVALID_AUTHORITIES, MALFORMED_DATA, TOO_MANY_RECORDS, TRAILING_DATA, names};
use crate::findings::Findings;

/// Octets of the header.
pub(super) const HEADER: usize = 12;
/// Questions and records that are read of one message.
const MOST_ENTRIES: u32 = 2048;
/// Octets of a question behind its name: type and class.
const QUESTION: usize = 4;
/// Octets of a record between its name and its data: type, class, time to live, length.
const RECORD: usize = 10;

/// The four sections, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Section {
    Question,
    Answer,
    Authority,
    Additional,
}

impl Section {
    pub(super) const ALL: [Self; 4] = [Self::Question, Self::Answer, Self::Authority, Self::Additional];

    /// The anomaly of an entry that is cut off.
    const fn fault(self) -> &'static str {
        match self {
            Self::Question | Self::Answer => MALFORMED_DATA,
            Self::Authority => INVALID_AUTHORITIES,
            Self::Additional => INVALID_ADDITIONALS,
        }
    }
}

/// The fixed header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) id: u16,
    pub(super) flags: u16,
    /// What the header says of the sections' lengths.
    pub(super) counts: [u16; 4],
}

impl Header {
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let word = |at| word(bytes, at);
        Some(Self { id: word(0)?, flags: word(2)?, counts: [word(4)?, word(6)?, word(8)?, word(10)?] })
    }

    /// Octets that a message with these counts has at the least: each name is one octet.
    pub(super) fn shortest(self) -> usize {
        let [questions, records @ ..] = self.counts.map(usize::from);
        HEADER + questions * (1 + QUESTION) + records.iter().sum::<usize>() * (1 + RECORD)
    }

    fn bit(self, bit: u8) -> bool {
        self.flags >> bit & 1 != 0
    }

    pub(super) fn is_response(self) -> bool {
        self.bit(15)
    }

    pub(super) fn opcode(self) -> u8 {
        (self.flags >> 11 & 0xf) as u8
    }

    pub(super) fn authoritative(self) -> bool {
        self.bit(10)
    }

    pub(super) fn truncated(self) -> bool {
        self.bit(9)
    }

    pub(super) fn recursion_desired(self) -> bool {
        self.bit(8)
    }

    pub(super) fn recursion_available(self) -> bool {
        self.bit(7)
    }

    pub(super) fn reserved(self) -> bool {
        self.bit(6)
    }

    pub(super) fn authentic_data(self) -> bool {
        self.bit(5)
    }

    pub(super) fn checking_disabled(self) -> bool {
        self.bit(4)
    }

    /// The four bits of the response code that the header has.
    pub(super) fn rcode(self) -> u16 {
        self.flags & 0xf
    }
}

/// A question, or a record.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry<'a> {
    message: &'a [u8],
    /// Where its name begins.
    pub(super) at: usize,
    pub(super) kind: u16,
    pub(super) class: u16,
    /// 0 for questions.
    pub(super) ttl: u32,
    /// Empty for questions.
    pub(super) rdata: Rdata<'a>,
    end: usize,
}

impl<'a> Entry<'a> {
    pub(super) fn read(message: &'a [u8], at: usize, section: Section) -> Option<Self> {
        let fixed = name::skip(message, at)?;
        let (kind, class) = (word(message, fixed)?, word(message, fixed + 2)?);
        let nothing = Rdata { message, kind, at: fixed + QUESTION, length: 0 };
        if section == Section::Question {
            return Some(Self { message, at, kind, class, ttl: 0, rdata: nothing, end: fixed + QUESTION });
        }
        let ttl = u32::from(word(message, fixed + 4)?) << 16 | u32::from(word(message, fixed + 6)?);
        let length = usize::from(word(message, fixed + 8)?);
        let end = Some(fixed + RECORD + length).filter(|&end| end <= message.len())?;
        Some(Self { message, at, kind, class, ttl, rdata: Rdata { at: fixed + RECORD, length, ..nothing }, end })
    }

    pub(super) fn name(&self) -> Labels<'a> {
        Labels::new(self.message, self.at)
    }
}

/// A view of one message.
#[derive(Debug, Clone, Copy)]
pub(super) struct Message<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) header: Header,
    /// Where each section begins, and how many whole entries it has.
    sections: [(usize, u16); 4],
}

impl<'a> Message<'a> {
    /// Reads a message, as far as it is whole; `None` when not even its header is. What is wrong goes to `findings`.
    pub(super) fn read(bytes: &'a [u8], findings: &mut Findings) -> Option<Self> {
        let header = Header::read(bytes)?;
        let mut message = Self { bytes, header, sections: [(HEADER, 0); 4] };
        let (mut at, mut left) = (HEADER, MOST_ENTRIES);
        let mut broken = false;
        for ((place, stated), section) in message.sections.iter_mut().zip(header.counts).zip(Section::ALL) {
            place.0 = at;
            while !broken && place.1 < stated {
                if left == 0 {
                    findings.push(TOO_MANY_RECORDS, at);
                    broken = true;
                } else if let Some(entry) = Entry::read(bytes, at, section) {
                    entry.check(findings);
                    (at, left) = (entry.end, left - 1);
                    place.1 += 1;
                } else {
                    // A truncated message may end anywhere.
                    if !header.truncated() {
                        findings.push(section.fault(), at);
                    }
                    broken = true;
                }
            }
        }
        if !broken && at < bytes.len() {
            findings.push(TRAILING_DATA, at);
        }
        Some(message)
    }

    /// The whole entries of a section.
    pub(super) fn entries(&self, section: Section) -> impl Iterator<Item = Entry<'a>> + use<'a> {
        let (mut at, count) = self.sections.get(section as usize).copied().unwrap_or_default();
        let bytes = self.bytes;
        (0..count).map_while(move |_| {
            let entry = Entry::read(bytes, at, section)?;
            at = entry.end;
            Some(entry)
        })
    }

    /// All records: answers, authorities, additionals.
    pub(super) fn records(&self) -> impl Iterator<Item = Entry<'a>> + use<'a> {
        let of = |section| self.entries(section);
        of(Section::Answer).chain(of(Section::Authority)).chain(of(Section::Additional))
    }

    /// The record of EDNS(0), if there is one.
    pub(super) fn edns(&self) -> Option<Edns<'a>> {
        self.entries(Section::Additional).find(|entry| entry.kind == names::OPT).map(|entry| Edns { entry })
    }

    /// The response code: that of the header, with the bits above it that EDNS adds (RFC 6891 §6.1.3).
    pub(super) fn rcode(&self) -> u16 {
        let above = if self.sections[Section::Additional as usize].1 == 0 { None } else { self.edns() };
        above.map_or(0, |edns| edns.extended_rcode()) << 4 | self.header.rcode()
    }
}

impl Entry<'_> {
    fn check(&self, findings: &mut Findings) {
        let mut labels = self.name();
        labels.by_ref().for_each(drop);
        let fault = labels.fault().or_else(|| self.rdata.fault());
        if let Some(fault) = fault.filter(|fault| !findings.has(fault.kind)) {
            findings.push(fault.kind, fault.offset);
        }
    }
}

/// The pseudo record of EDNS(0), whose class and time to live mean other things (RFC 6891 §6.1.2).
#[derive(Debug, Clone, Copy)]
pub(super) struct Edns<'a> {
    entry: Entry<'a>,
}

impl<'a> Edns<'a> {
    pub(super) fn udp_size(&self) -> u16 {
        self.entry.class
    }

    fn extended_rcode(&self) -> u16 {
        (self.entry.ttl >> 24) as u16
    }

    pub(super) fn version(&self) -> u8 {
        (self.entry.ttl >> 16) as u8
    }

    pub(super) fn dnssec_ok(&self) -> bool {
        self.entry.ttl & 0x8000 != 0
    }

    /// The options: code and data.
    pub(super) fn options(&self) -> impl Iterator<Item = (u16, &'a [u8])> + use<'a> {
        options(self.entry.rdata.bytes())
    }
}

/// The options in the data of an OPT record (RFC 6891 §6.1.2), as far as they are whole.
pub(super) fn options(mut rest: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let (code, length) = (word(rest, 0)?, word(rest, 2)?);
        let data = rest.get(4..4 + usize::from(length))?;
        rest = rest.get(4 + data.len()..)?;
        Some((code, data))
    })
}

/// Two octets.
pub(super) fn word(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// Four octets.
pub(super) fn long(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}
