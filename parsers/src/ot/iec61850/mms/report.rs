//! Reports of IEC 61850 (IEC 61850-8-1 §17.2.3): what a report control block sends when data change or time has passed.
//!
//! An information report of the variable list `RPT` whose first values say which others there are.

use super::super::data::{self, Datum};
use super::object::Name;
use crate::encoding::ber::{Element, Elements};
use crate::time::Timestamp;

/// The name of the list of variables that is a report.
const REPORT: &[u8] = b"RPT";

/// Bits of the optional fields (IEC 61850-8-1 §8.1.3.10).
mod option {
    pub(super) const SEQUENCE_NUMBER: usize = 1;
    pub(super) const TIME: usize = 2;
    pub(super) const REASON: usize = 3;
    pub(super) const DATA_SET: usize = 4;
    pub(super) const REFERENCE: usize = 5;
    pub(super) const OVERFLOW: usize = 6;
    pub(super) const ENTRY: usize = 7;
    pub(super) const REVISION: usize = 8;
    pub(super) const SEGMENTATION: usize = 9;
}

/// Is this the name of reports?
pub(super) fn is_report(list: Option<Name<'_>>) -> bool {
    list == Some(Name::Device(REPORT))
}

/// A report.
#[derive(Debug, Clone)]
pub(super) struct Report<'a> {
    /// Which report it is, RptID.
    pub(super) id: &'a [u8],
    pub(super) sequence_number: Option<u64>,
    /// When its entry was made.
    pub(super) time: Option<Timestamp>,
    pub(super) data_set: Option<&'a [u8]>,
    /// Entries were lost before this one.
    pub(super) overflow: Option<bool>,
    pub(super) entry: Option<&'a [u8]>,
    pub(super) revision: Option<u64>,
    /// Number of the segment, and whether more follow.
    pub(super) segment: Option<(u64, bool)>,
    /// Which members of the data set are reported.
    pub(super) inclusion: (&'a [u8], usize),
    references: Option<Elements<'a>>,
    /// The values reported.
    pub(super) values: Elements<'a>,
    /// Why each is.
    reasons: Option<Elements<'a>>,
}

/// A member of the data set that is reported.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry<'a> {
    /// Number of the member in the data set, from 1.
    pub(super) number: usize,
    /// Its reference, if reports carry them.
    pub(super) reference: Option<&'a [u8]>,
    pub(super) value: Element<'a>,
    /// Why it is reported: one bit a reason.
    pub(super) reason: Option<&'a [u8]>,
}

impl<'a> Report<'a> {
    /// Reads the values of a report; `None` when they do not follow from its optional fields.
    pub(super) fn read(mut values: Elements<'a>) -> Option<Self> {
        let Datum::Text(id) = data::datum(&values.next()?)? else { return None };
        let Datum::Bits(options, _) = data::datum(&values.next()?)? else { return None };
        let has = |bit: usize| is_set(options, bit);
        let mut next = |bit: usize| if has(bit) { values.next().map(Some).ok_or(()) } else { Ok(None) };
        let sequence_number = next(option::SEQUENCE_NUMBER).ok()?.and_then(|number| number.unsigned());
        let time = next(option::TIME).ok()?.and_then(|time| data::binary_time(time.contents));
        let data_set = next(option::DATA_SET).ok()?.map(|name| name.contents);
        let overflow = next(option::OVERFLOW).ok()?.and_then(|flag| flag.boolean());
        let entry = next(option::ENTRY).ok()?.map(|entry| entry.contents);
        let revision = next(option::REVISION).ok()?.and_then(|number| number.unsigned());
        let segment = next(option::SEGMENTATION).ok()?.and_then(|number| number.unsigned());
        let more = next(option::SEGMENTATION).ok()?.and_then(|more| more.boolean());
        let Datum::Bits(included, size) = data::datum(&values.next()?)? else { return None };
        let count = (0..size).filter(|&bit| is_set(included, bit)).count();
        let references = if has(option::REFERENCE) { Some(take(&mut values, count)?) } else { None };
        let data = take(&mut values, count)?;
        let reasons = if has(option::REASON) { Some(take(&mut values, count)?) } else { None };
        Some(Self {
            id,
            sequence_number,
            time,
            data_set,
            overflow,
            entry,
            revision,
            segment: segment.zip(more),
            inclusion: (included, size),
            references,
            values: data,
            reasons,
        })
    }

    /// The members reported, in order.
    pub(super) fn entries(&self) -> impl Iterator<Item = Entry<'a>> + use<'a> {
        let (included, size) = self.inclusion;
        let (mut references, mut reasons) = (self.references.clone(), self.reasons.clone());
        let numbers = (0..size).filter(move |&bit| is_set(included, bit));
        numbers.zip(self.values.clone()).map(move |(bit, value)| Entry {
            number: bit + 1,
            reference: references.as_mut().and_then(Iterator::next).map(|reference| reference.contents),
            value,
            reason: match reasons.as_mut().and_then(Iterator::next).and_then(|reason| data::datum(&reason)) {
                Some(Datum::Bits(bits, _)) => Some(bits),
                _ => None,
            },
        })
    }
}

fn is_set(bits: &[u8], bit: usize) -> bool {
    bits.get(bit / 8).is_some_and(|octet| octet >> (7 - bit % 8) & 1 != 0)
}

/// The next `count` elements; `None` when there are fewer.
fn take<'a>(elements: &mut Elements<'a>, count: usize) -> Option<Elements<'a>> {
    let from = elements.clone();
    for _ in 0..count {
        elements.next()?;
    }
    Some(from)
}
