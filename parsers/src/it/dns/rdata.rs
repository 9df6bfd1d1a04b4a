//! Data of records: what the sensor needs of them, and all known ones as master files write them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;

use super::INVALID_RDATA;
use super::message::{long, options, word};
use super::name::{self, Labels, Printed};
use super::names::{self, type_name};
use crate::dissector::Anomaly;

/// The data of one record.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rdata<'a> {
    pub(super) message: &'a [u8],
    /// The record's type.
    pub(super) kind: u16,
    /// Where they begin in the message.
    pub(super) at: usize,
    pub(super) length: usize,
}

/// Start of authority (RFC 1035 §3.3.13).
#[derive(Debug, Clone, Copy)]
pub(super) struct Soa {
    /// Where the name of the primary server begins.
    pub(super) mname: usize,
    /// Where the mailbox of who is responsible begins.
    pub(super) rname: usize,
    /// Serial number, refresh, retry, expire and minimum.
    pub(super) numbers: [u32; 5],
}

/// Where a service is (RFC 2782).
#[derive(Debug, Clone, Copy)]
pub(super) struct Srv {
    pub(super) priority: u16,
    pub(super) weight: u16,
    pub(super) port: u16,
    pub(super) target: usize,
}

/// Fingerprint of a host key (RFC 4255 §3.1).
#[derive(Debug, Clone, Copy)]
pub(super) struct Sshfp<'a> {
    pub(super) algorithm: u8,
    pub(super) kind: u8,
    pub(super) fingerprint: &'a [u8],
}

impl<'a> Rdata<'a> {
    pub(super) fn bytes(&self) -> &'a [u8] {
        self.message.get(self.at..self.at + self.length).unwrap_or_default()
    }

    /// The address of an A or AAAA record.
    pub(super) fn address(&self) -> Option<IpAddr> {
        match self.kind {
            names::A => <[u8; 4]>::try_from(self.bytes()).ok().map(|octets| Ipv4Addr::from(octets).into()),
            names::AAAA => <[u8; 16]>::try_from(self.bytes()).ok().map(|octets| Ipv6Addr::from(octets).into()),
            _ => None,
        }
    }

    /// Where the name begins that the data are, or lead to.
    pub(super) fn name_at(&self) -> Option<usize> {
        use names::*;
        let before = match self.kind {
            NS | MD | MF | CNAME | SOA | MB | MG | MR | PTR | DNAME => 0,
            MX | AFSDB | RT | KX | SVCB | HTTPS => 2,
            SRV => 6,
            _ => return None,
        };
        (self.length > before).then_some(self.at + before)
    }

    fn end(&self) -> usize {
        self.at + self.length
    }

    /// What is wrong with them. Empty data are those of an update (RFC 2136 §2.4).
    pub(super) fn fault(&self) -> Option<Anomaly> {
        use names::*;
        if self.length == 0 {
            return None;
        }
        let invalid = Anomaly { kind: INVALID_RDATA, offset: self.at };
        let sound = match self.kind {
            A | AAAA => self.address().is_some(),
            SOA => self.soa().is_some(),
            SRV => self.srv().is_some(),
            OPT => options(self.bytes()).map(|(_, data)| 4 + data.len()).sum::<usize>() == self.length,
            _ => match self.name_at() {
                Some(at) => name::skip(self.message, at).is_some_and(|end| end <= self.end()),
                None => return None,
            },
        };
        if !sound {
            return Some(invalid);
        }
        let mut labels = Labels::new(self.message, self.name_at()?);
        labels.by_ref().for_each(drop);
        labels.fault()
    }

    pub(super) fn soa(&self) -> Option<Soa> {
        let rname = name::skip(self.message, self.at)?;
        let fixed = name::skip(self.message, rname)?;
        let mut numbers = [0; 5];
        for (number, at) in numbers.iter_mut().zip((fixed..).step_by(4)) {
            *number = long(self.message, at)?;
        }
        (self.kind == names::SOA && fixed + 20 <= self.end()).then_some(Soa { mname: self.at, rname, numbers })
    }

    pub(super) fn srv(&self) -> Option<Srv> {
        let number = |at| word(self.bytes(), at);
        let target = self.name_at().filter(|_| self.kind == names::SRV)?;
        name::skip(self.message, target).filter(|&end| end <= self.end())?;
        Some(Srv { priority: number(0)?, weight: number(2)?, port: number(4)?, target })
    }

    pub(super) fn sshfp(&self) -> Option<Sshfp<'a>> {
        match *self.bytes() {
            [algorithm, kind, ref fingerprint @ ..] if self.kind == names::SSHFP => {
                Some(Sshfp { algorithm, kind, fingerprint })
            }
            _ => None,
        }
    }

    /// The character strings that they are made of (RFC 1035 §3.3.14), as far as they are whole.
    pub(super) fn strings(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        strings(self.bytes())
    }
}

fn strings(mut rest: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (&length, behind) = rest.split_first()?;
        let (string, left) = behind.split_at_checked(length.into())?;
        rest = left;
        Some(string)
    })
}

struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digit = |value: u8| if value < 10 { b'0' + value } else { b'a' - 10 + value };
        self.0.chunks(32).try_for_each(|octets| {
            let mut digits = [0; 64];
            for (pair, octet) in digits.chunks_exact_mut(2).zip(octets) {
                pair.copy_from_slice(&[digit(octet >> 4), digit(octet & 0xf)]);
            }
            let digits = digits.get(..2 * octets.len()).unwrap_or_default();
            f.write_str(std::str::from_utf8(digits).unwrap_or_default())
        })
    }
}

/// A character string with its quotes and escapes (RFC 1035 §5.1).
struct Quoted<'a>(&'a [u8]);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        for &octet in self.0 {
            match octet {
                b'"' | b'\\' => write!(f, "\\{}", char::from(octet))?,
                b' '..=b'~' => write!(f, "{}", char::from(octet))?,
                _ => write!(f, "\\{octet:03}")?,
            }
        }
        f.write_str("\"")
    }
}

/// Base 32 with the extended hex alphabet, without padding, as NSEC3 has it (RFC 4648 §7, RFC 5155 §3.3).
struct Base32Hex<'a>(&'a [u8]);

impl fmt::Display for Base32Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.chunks(5) {
            let bits =
                chunk.iter().enumerate().fold(0u64, |bits, (at, &octet)| bits | u64::from(octet) << (32 - 8 * at));
            for digit in 0..(chunk.len() * 8).div_ceil(5) {
                let value = (bits >> (35 - 5 * digit) & 0x1f) as u32;
                write!(f, "{}", char::from_digit(value, 32).unwrap_or('?'))?;
            }
        }
        Ok(())
    }
}

/// The types in the bit maps of NSEC and NSEC3, each after a blank (RFC 4034 §4.1.2).
struct TypeMaps<'a>(&'a [u8]);

impl fmt::Display for TypeMaps<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        while let [window, length, behind @ ..] = rest {
            let Some((map, left)) = behind.split_at_checked(usize::from(*length)) else { break };
            rest = left;
            for (octet, bits) in (0u16..32).zip(map) {
                for bit in (0..8u16).filter(|bit| bits & 0x80 >> bit != 0) {
                    write!(f, " {}", type_name(u16::from(*window) << 8 | octet << 3 | bit))?;
                }
            }
        }
        Ok(())
    }
}

impl fmt::Display for Rdata<'_> {
    /// As master files write it; what is not known, or does not have the layout of its type, as RFC 3597 §5 does.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.print(f) {
            Some(result) => result,
            None => write!(f, "\\# {} {}", self.length, Hex(self.bytes())),
        }
    }
}

impl Rdata<'_> {
    fn print(&self, f: &mut fmt::Formatter<'_>) -> Option<fmt::Result> {
        use names::*;
        let bytes = self.bytes();
        let octet = |at: usize| bytes.get(at).copied();
        let number = |at| word(bytes, at);
        let printed = |at| Printed(Labels::new(self.message, at));
        Some(match self.kind {
            A | AAAA => write!(f, "{}", self.address()?),
            SOA => {
                let Soa { mname, rname, numbers } = self.soa()?;
                write!(f, "{} {}", printed(mname), printed(rname))
                    .and_then(|()| numbers.iter().try_for_each(|number| write!(f, " {number}")))
            }
            SRV => {
                let Srv { priority, weight, port, target } = self.srv()?;
                write!(f, "{priority} {weight} {port} {}", printed(target))
            }
            SVCB | HTTPS => return self.print_service(f),
            MX | AFSDB | RT | KX => write!(f, "{} {}", number(0)?, printed(self.name_at()?)),
            HINFO | TXT | SPF => {
                let mut blank = "";
                self.strings().try_for_each(|string| {
                    write!(f, "{blank}{}", Quoted(string))?;
                    blank = " ";
                    Ok(())
                })
            }
            SSHFP => {
                let Sshfp { algorithm, kind, fingerprint } = self.sshfp()?;
                write!(f, "{algorithm} {kind} {}", Hex(fingerprint))
            }
            DS | CDS | DLV => write!(f, "{} {} {} {}", number(0)?, octet(2)?, octet(3)?, Hex(bytes.get(4..)?)),
            DNSKEY | CDNSKEY | KEY => {
                let key = Base64Display::new(bytes.get(4..)?, &STANDARD);
                write!(f, "{} {} {} {key}", number(0)?, octet(2)?, octet(3)?)
            }
            RRSIG | SIG => {
                let signer = self.at + 18;
                let signature = self.message.get(name::skip(self.message, signer)?..self.end())?;
                let times = (long(bytes, 4)?, long(bytes, 8)?, long(bytes, 12)?);
                let (covered, algorithm, labels, tag) = (type_name(number(0)?), octet(2)?, octet(3)?, number(16)?);
                let signature = Base64Display::new(signature, &STANDARD);
                write!(f, "{covered} {algorithm} {labels} {} {} {} ", times.0, times.1, times.2)
                    .and_then(|()| write!(f, "{tag} {} {signature}", printed(signer)))
            }
            NSEC => {
                let maps = self.message.get(name::skip(self.message, self.at)?..self.end())?;
                write!(f, "{}{}", printed(self.at), TypeMaps(maps))
            }
            NSEC3 | NSEC3PARAM => return self.print_hashed(f),
            TLSA | SMIMEA => write!(f, "{} {} {} {}", octet(0)?, octet(1)?, octet(2)?, Hex(bytes.get(3..)?)),
            NAPTR => {
                let mut texts = strings(bytes.get(4..)?);
                let [flags, services, pattern] = [texts.next()?, texts.next()?, texts.next()?];
                let replacement = self.at + 4 + 3 + flags.len() + services.len() + pattern.len();
                write!(f, "{} {} {} {} ", number(0)?, number(2)?, Quoted(flags), Quoted(services))
                    .and_then(|()| write!(f, "{} {}", Quoted(pattern), printed(replacement)))
            }
            CAA => {
                let tag = bytes.get(2..2 + usize::from(octet(1)?))?;
                let value = bytes.get(2 + tag.len()..)?;
                write!(f, "{} {} {}", octet(0)?, tag.escape_ascii(), Quoted(value))
            }
            URI => write!(f, "{} {} {}", number(0)?, number(2)?, Quoted(bytes.get(4..)?)),
            EUI48 | EUI64 => {
                let mut dash = "";
                bytes.iter().try_for_each(|octet| {
                    write!(f, "{dash}{octet:02x}")?;
                    dash = "-";
                    Ok(())
                })
            }
            OPT => {
                let mut blank = "";
                options(bytes).try_for_each(|(code, data)| {
                    write!(f, "{blank}{}={}", Named(OPTIONS, "OPTION", code), Hex(data))?;
                    blank = " ";
                    Ok(())
                })
            }
            _ => write!(f, "{}", printed(self.name_at()?)),
        })
    }

    /// SVCB and HTTPS (RFC 9460 §2.1).
    fn print_service(&self, f: &mut fmt::Formatter<'_>) -> Option<fmt::Result> {
        let target = self.name_at()?;
        let mut rest = self.message.get(name::skip(self.message, target)?..self.end())?;
        let begun = write!(f, "{} {}", word(self.bytes(), 0)?, Printed(Labels::new(self.message, target)));
        while let (Ok(()), Some(key), Some(length)) = (begun, word(rest, 0), word(rest, 2)) {
            let Some(value) = rest.get(4..4 + usize::from(length)) else { break };
            rest = rest.get(4 + value.len()..).unwrap_or_default();
            if write_parameter(f, key, value).is_err() {
                return Some(Err(fmt::Error));
            }
        }
        Some(begun)
    }

    /// NSEC3 and NSEC3PARAM (RFC 5155 §3.3, §4.3).
    fn print_hashed(&self, f: &mut fmt::Formatter<'_>) -> Option<fmt::Result> {
        let bytes = self.bytes();
        let [algorithm, flags, _, _, salt_length, ..] = *bytes else { return None };
        let (salt, behind) = bytes.get(5..)?.split_at_checked(salt_length.into())?;
        let hashed = match self.kind {
            names::NSEC3 => {
                let (&length, behind) = behind.split_first()?;
                Some(behind.split_at_checked(length.into())?)
            }
            _ => None,
        };
        let begun = write!(f, "{algorithm} {flags} {} ", word(bytes, 2)?);
        let salted = begun.and_then(|()| if salt.is_empty() { f.write_str("-") } else { write!(f, "{}", Hex(salt)) });
        Some(salted.and_then(|()| match hashed {
            Some((next, maps)) => write!(f, " {}{}", Base32Hex(next), TypeMaps(maps)),
            None => Ok(()),
        }))
    }
}

/// One parameter of a service, after a blank.
fn write_parameter(f: &mut fmt::Formatter<'_>, key: u16, value: &[u8]) -> fmt::Result {
    write!(f, " {}", names::Named(names::SERVICE_KEYS, "key", key))?;
    let mut separator = "=";
    let mut next = || std::mem::replace(&mut separator, ",");
    match key {
        0 => value.chunks_exact(2).try_for_each(|key| {
            let key = u16::from_be_bytes([key[0], key[1]]);
            write!(f, "{}{}", next(), names::Named(names::SERVICE_KEYS, "key", key))
        }),
        1 => strings(value).try_for_each(|name| write!(f, "{}{}", next(), name.escape_ascii())),
        3 if value.len() == 2 => write!(f, "={}", u16::from_be_bytes([value[0], value[1]])),
        4 => value.chunks_exact(4).try_for_each(|octets| {
            write!(f, "{}{}", next(), Ipv4Addr::from(<[u8; 4]>::try_from(octets).unwrap_or_default()))
        }),
        6 => value.chunks_exact(16).try_for_each(|octets| {
            write!(f, "{}{}", next(), Ipv6Addr::from(<[u8; 16]>::try_from(octets).unwrap_or_default()))
        }),
        5 => write!(f, "={}", Base64Display::new(value, &STANDARD)),
        _ if value.is_empty() => Ok(()),
        _ => write!(f, "={}", Quoted(value)),
    }
}
