//! ASN.1 basic encoding rules (ITU-T X.690 §8): elements as views borrowed from the bytes.
//!
//! Nothing is allocated and nothing is unpacked before it is asked for. Lengths of the indefinite form are followed to
//! their end-of-contents within a bounded depth.

/// The identifier octets of an element (§8.1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tag {
    /// Class: 0 universal, 1 application, 2 context-specific, 3 private.
    pub class: u8,
    /// The contents are elements themselves.
    pub constructed: bool,
    /// Tag number.
    pub number: u32,
}

impl Tag {
    /// Is it the context-specific tag with this number?
    pub const fn is_context(&self, number: u32) -> bool {
        self.class == 2 && self.number == number
    }

    /// The number of a context-specific tag.
    pub const fn context(&self) -> Option<u32> {
        if self.class == 2 { Some(self.number) } else { None }
    }

    /// Is it the application tag with this number?
    pub const fn is_application(&self, number: u32) -> bool {
        self.class == 1 && self.number == number
    }
}

/// An element: its tag and contents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Element<'a> {
    /// The tag.
    pub tag: Tag,
    /// The contents octets.
    pub contents: &'a [u8],
    /// Where the contents begin, counted as the reader counts.
    pub offset: usize,
}

impl<'a> Element<'a> {
    /// The elements in the contents.
    pub fn elements(&self) -> Elements<'a> {
        Elements { rest: self.contents, offset: self.offset, fault: None }
    }

    /// The contents as an unsigned integer; leading zero octets do not count. `None` beyond 64 bits and when empty.
    pub fn unsigned(&self) -> Option<u64> {
        let significant = self.contents.iter().position(|&octet| octet != 0).unwrap_or(self.contents.len());
        let octets = self.contents.get(significant..).filter(|octets| octets.len() <= 8)?;
        if self.contents.is_empty() {
            return None;
        }
        Some(octets.iter().fold(0, |number, &octet| number << 8 | u64::from(octet)))
    }

    /// The contents as a signed integer in two's complement (§8.3). `None` beyond 64 bits and when empty.
    pub fn signed(&self) -> Option<i64> {
        let (&first, _) = self.contents.split_first().filter(|_| self.contents.len() <= 8)?;
        let sign = if first & 0x80 != 0 { -1 } else { 0 };
        Some(self.contents.iter().fold(sign, |number, &octet| number << 8 | i64::from(octet)))
    }

    /// The contents as a truth value (§8.2).
    pub fn boolean(&self) -> Option<bool> {
        self.contents.first().map(|&octet| octet != 0)
    }
}

/// Where and how an encoding is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// Where the element begins that cannot be read, counted as the reader counts.
    pub offset: usize,
    /// The bytes end before the element does; what is there of its contents is [`Fault::partial`].
    pub truncated: bool,
}

/// The elements in some bytes, one after the other. Ends at the first that cannot be read; [`Elements::fault`] then says
/// where. An element that the bytes end within is given as far as it goes.
#[derive(Debug, Clone)]
pub struct Elements<'a> {
    rest: &'a [u8],
    offset: usize,
    fault: Option<Fault>,
}

/// Elements of indefinite length within each other that are followed.
const DEPTH: u8 = 16;

impl<'a> Elements<'a> {
    /// The elements in `bytes`, whose first byte has the number `offset`.
    pub const fn new(bytes: &'a [u8], offset: usize) -> Self {
        Self { rest: bytes, offset, fault: None }
    }

    /// What ended the elements before the bytes did.
    pub const fn fault(&self) -> Option<Fault> {
        self.fault
    }

    /// What follows the elements read so far.
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    fn stop(&mut self, truncated: bool) {
        self.fault = Some(Fault { offset: self.offset, truncated });
        self.offset += self.rest.len();
        self.rest = &[];
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = Element<'a>;

    fn next(&mut self) -> Option<Element<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        let Some((tag, length, header)) = header(self.rest) else {
            let truncated = self.rest.len() < 6;
            self.stop(truncated);
            return None;
        };
        let body = self.rest.get(header..).unwrap_or_default();
        let (contents, trailer) = match length {
            Length::Definite(length) if length <= body.len() => (&body[..length], 0),
            Length::Definite(_) => {
                let offset = self.offset + header;
                self.stop(true);
                return Some(Element { tag, contents: body, offset });
            }
            Length::Indefinite => match until_end(body, DEPTH) {
                Some(length) => (&body[..length], 2),
                None => {
                    let offset = self.offset + header;
                    self.stop(true);
                    return Some(Element { tag, contents: body, offset });
                }
            },
        };
        let element = Element { tag, contents, offset: self.offset + header };
        let taken = header + contents.len() + trailer;
        self.rest = self.rest.get(taken..).unwrap_or_default();
        self.offset += taken;
        Some(element)
    }
}

/// The first thing that is broken in `elements` or in constructed ones within them, no deeper than `depth`.
pub fn fault_within(mut elements: Elements<'_>, depth: u8) -> Option<Fault> {
    let inner = elements.by_ref().find_map(|element| match depth.checked_sub(1) {
        Some(depth) if element.tag.constructed => fault_within(element.elements(), depth),
        _ => None,
    });
    inner.or(elements.fault())
}

/// An object identifier (§8.19), from the contents of its element: `1.0.9506.2.3`.
#[derive(Debug, Clone, Copy)]
pub struct ObjectIdentifier<'a>(pub &'a [u8]);

impl std::fmt::Display for ObjectIdentifier<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (mut number, mut first) = (0u64, true);
        for octet in self.0 {
            number = number << 7 | u64::from(octet & 0x7f);
            if octet & 0x80 != 0 {
                continue;
            }
            if std::mem::take(&mut first) {
                let root = (number / 40).min(2);
                write!(f, "{root}.{}", number - root * 40)?;
            } else {
                write!(f, ".{number}")?;
            }
            number = 0;
        }
        Ok(())
    }
}

enum Length {
    Definite(usize),
    Indefinite,
}

/// Identifier and length octets, and how many they are (§8.1.2, §8.1.3). `None` when they are cut off or beyond what any
/// protocol here uses: tags of more than 28 bits, lengths of more than 32.
fn header(bytes: &[u8]) -> Option<(Tag, Length, usize)> {
    let (&first, rest) = bytes.split_first()?;
    let (mut number, mut at) = (u32::from(first & 0x1f), 1);
    if number == 0x1f {
        number = 0;
        let octets = rest.iter().take(4).position(|octet| octet & 0x80 == 0)? + 1;
        for octet in rest.get(..octets)? {
            number = number << 7 | u32::from(octet & 0x7f);
        }
        at += octets;
    }
    let tag = Tag { class: first >> 6, constructed: first & 0x20 != 0, number };
    let length = *bytes.get(at)?;
    at += 1;
    let length = match length {
        0x80 if tag.constructed => Length::Indefinite,
        0x81..=0x84 => {
            let octets = bytes.get(at..at + usize::from(length & 0x7f))?;
            at += octets.len();
            Length::Definite(octets.iter().fold(0, |length, &octet| length << 8 | usize::from(octet)))
        }
        0x80 | 0x85.. => return None,
        short => Length::Definite(short.into()),
    };
    Some((tag, length, at))
}

/// Octets before the end-of-contents that closes an indefinite length (§8.1.5).
fn until_end(bytes: &[u8], depth: u8) -> Option<usize> {
    let depth = depth.checked_sub(1)?;
    let mut at = 0;
    loop {
        let rest = bytes.get(at..)?;
        if rest.starts_with(&[0, 0]) {
            return Some(at);
        }
        let (_, length, header) = header(rest)?;
        at += header;
        at += match length {
            Length::Definite(length) => length,
            Length::Indefinite => until_end(bytes.get(at..)?, depth)? + 2,
        };
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::bytes;

    fn all(digits: &str) -> (Vec<(u8, u32, String)>, Option<Fault>) {
        let bytes = bytes(digits);
        let mut elements = Elements::new(&bytes, 0);
        let found = elements.by_ref().map(|e| (e.tag.class, e.tag.number, crate::testing::hex(e.contents))).collect();
        (found, elements.fault())
    }

    #[test]
    fn elements_follow_each_other_with_short_long_and_indefinite_lengths() {
        let (found, fault) = all("80 01 AA  9F 8101 8102 BBCC  A1 80 02 01 05 A2 80 0000 0000  61 00");
        let expected = [(2, 0, "aa"), (2, 129, "bbcc"), (2, 1, "020105a2800000"), (1, 1, "")]
            .map(|(c, n, h)| (c, n, h.to_owned()));
        assert_eq!((found, fault), (expected.to_vec(), None));
    }

    #[test]
    fn an_element_that_is_cut_off_is_given_as_far_as_it_goes_and_told() {
        let (found, fault) = all("80 01 AA 81 05 0102");
        assert_eq!(found.last(), Some(&(2, 1, "0102".to_owned())));
        assert_eq!(fault, Some(Fault { offset: 3, truncated: true }));
    }

    #[test]
    fn integers_have_their_sign_and_leading_zeros_do_not_count() {
        let value = |digits: &str| {
            let bytes = bytes(digits);
            let element = Element { tag: Tag { class: 2, constructed: false, number: 0 }, contents: &bytes, offset: 0 };
            (element.unsigned(), element.signed())
        };
        assert_eq!(value("00 FF"), (Some(255), Some(255)));
        assert_eq!(value("FF"), (Some(255), Some(-1)));
        assert_eq!(value("80 00"), (Some(0x8000), Some(-32768)));
        assert_eq!(value("00 FFFFFFFF FFFFFFFF"), (Some(u64::MAX), None));
        assert_eq!(value(""), (None, None));
        assert_eq!(value("00"), (Some(0), Some(0)));
    }

    #[test]
    fn what_is_broken_within_is_found() {
        let fault = |digits: &str| fault_within(Elements::new(&bytes(digits), 0), 3).map(|fault| fault.offset);
        assert_eq!(fault("A0 05 A1 03 80 01 00"), None);
        assert_eq!(fault("A0 05 A1 03 80 02 00"), Some(4));
        assert_eq!(fault("A0 05 A1 03 80 01 00 81"), Some(7));
        assert_eq!(fault("A0 08 A1 06 A2 04 A3 02 80 01"), None, "deeper than asked for");
    }

    #[test]
    fn object_identifiers_are_written_with_dots() {
        let written = |digits: &str| ObjectIdentifier(&bytes(digits)).to_string();
        assert_eq!(written("28 CA 22 02 03"), "1.0.9506.2.3");
        assert_eq!(written("88 37"), "2.999");
        assert_eq!(written(""), "");
        assert!(written(&"FF".repeat(20)).is_empty(), "one that never ends");
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic_and_offsets_stay_within(octets in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut elements = Elements::new(&octets, 0);
            for element in elements.by_ref() {
                prop_assert!(element.offset + element.contents.len() <= octets.len());
                let mut inner = element.elements();
                inner.by_ref().for_each(drop);
            }
            prop_assert!(elements.rest().is_empty());
            prop_assert!(elements.fault().is_none_or(|fault| fault.offset < octets.len()));
        }
    }
}
