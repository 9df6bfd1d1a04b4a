//! Requests that wait for their answers, for every protocol that pairs them.
//!
//! A request is kept as its raw bytes: reading them again is cheaper than a second form of every record. All of a flow
//! stand in one row of bytes, and the usual one of a dozen bytes in no memory of its own: a sensor keeps a million.

use smallvec::SmallVec;

use crate::limits::{Bound, Kept, Limits};
use crate::time::Timestamp;

/// Bytes in front of each request: transaction, time, length.
const HEADER: usize = 18;
/// Room for one short request beside the dissector's other state.
const INLINE: usize = 32;
/// Memory that is kept for the next requests when none waits, in bytes: long ones are rare.
const SPARE: usize = 1024;

/// A request that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request<'a> {
    /// Number of its transaction.
    pub transaction: u64,
    /// When it was made.
    pub timestamp: Timestamp,
    /// The message.
    pub bytes: &'a [u8],
}

/// The requests of one flow that wait, oldest first.
#[derive(Debug)]
pub struct Requests {
    /// Up to `used` the requests that wait; behind them the one `removed` last, and what is left of those before it: the
    /// next request is written over them, which takes less than to append it.
    entries: SmallVec<[u8; INLINE]>,
    used: u32,
    removed: bool,
    count: u16,
    most: u16,
    most_bytes: u32,
}

impl Requests {
    /// None yet, and never more than the limits allow; one at least.
    pub fn new(limits: &Limits) -> Self {
        Self {
            entries: SmallVec::from_buf([0; INLINE]),
            used: 0,
            removed: false,
            count: 0,
            most: limits.requests.max(1),
            most_bytes: limits.request_bytes,
        }
    }

    /// Number of requests that wait.
    pub fn len(&self) -> usize {
        self.count.into()
    }

    /// True when none waits.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes of the requests that wait.
    pub fn bytes(&self) -> usize {
        self.used as usize - self.len() * HEADER
    }

    /// What the gauges are told of these requests.
    pub fn kept(&self) -> Kept {
        Kept { requests: self.count.into(), request_bytes: self.bytes() as u32, joined_bytes: 0 }
    }

    /// The requests that wait, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = Request<'_>> {
        let mut rest = self.entries.get(..self.used as usize).unwrap_or_default();
        std::iter::from_fn(move || {
            let (request, left) = read(rest)?;
            rest = left;
            Some(request)
        })
    }

    /// Was the oldest that waits made by this time?
    pub fn has_made(&self, until: Timestamp) -> bool {
        self.iter().next().is_some_and(|oldest| oldest.timestamp <= until)
    }

    /// The bound that keeps a message of `length` from being added. Never, when none waits.
    pub fn bound(&self, length: usize) -> Option<Bound> {
        if self.count >= self.most {
            return Some(Bound::Requests);
        }
        let full = self.count > 0 && self.bytes() + length > self.most_bytes as usize;
        full.then_some(Bound::RequestBytes)
    }

    /// Adds a request; of one that is longer than all may be, the beginning.
    pub fn push(&mut self, transaction: u64, timestamp: Timestamp, bytes: &[u8]) {
        let bytes = bytes.get(..(self.most_bytes as usize).min(usize::from(u16::MAX))).unwrap_or(bytes);
        let start = self.used as usize;
        let end = start + HEADER + bytes.len();
        if self.count == 0 && self.entries.len() > SPARE && end <= SPARE {
            self.entries = SmallVec::from_buf([0; INLINE]);
        }
        if end > self.entries.len() {
            self.entries.resize(end, 0);
        }
        if let Some(room) = self.entries.get_mut(start..end) {
            write(room, transaction, timestamp, bytes);
        }
        self.used = end as u32;
        self.count += 1;
        self.removed = false;
    }

    /// Takes out the request at this place, counted from the oldest; [`Requests::removed`] has it then.
    pub fn remove(&mut self, at: usize) {
        let mut waiting = self.entries.get(..self.used as usize).unwrap_or_default();
        for _ in 0..at {
            let Some((_, rest)) = read(waiting) else { return };
            waiting = rest;
        }
        let Some((_, behind)) = read(waiting) else { return };
        let (start, length) = (self.used as usize - waiting.len(), waiting.len() - behind.len());
        if !behind.is_empty()
            && let Some(from) = self.entries.get_mut(start..self.used as usize)
        {
            from.rotate_left(length);
        }
        self.used -= length as u32;
        self.count -= 1;
        self.removed = true;
    }

    /// The request that was removed last, until another is added.
    pub fn removed(&self) -> Option<Request<'_>> {
        let behind = self.entries.get(self.used as usize..).filter(|_| self.removed)?;
        read(behind).map(|(request, _)| request)
    }
}

/// Writes a request over `room`, which is as long as it with its header.
fn write(room: &mut [u8], transaction: u64, timestamp: Timestamp, bytes: &[u8]) {
    let Some((header, message)) = room.split_first_chunk_mut::<HEADER>() else { return };
    header[..8].copy_from_slice(&transaction.to_le_bytes());
    header[8..16].copy_from_slice(&timestamp.0.to_le_bytes());
    header[16..].copy_from_slice(&(bytes.len() as u16).to_le_bytes());
    message.copy_from_slice(bytes);
}

fn read(entries: &[u8]) -> Option<(Request<'_>, &[u8])> {
    let (transaction, rest) = entries.split_first_chunk()?;
    let (timestamp, rest) = rest.split_first_chunk()?;
    let (length, rest) = rest.split_first_chunk()?;
    let (bytes, left) = rest.split_at_checked(u16::from_le_bytes(*length).into())?;
    let (transaction, timestamp) = (u64::from_le_bytes(*transaction), Timestamp(u64::from_le_bytes(*timestamp)));
    Some((Request { transaction, timestamp, bytes }, left))
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_short_request_takes_no_memory_of_its_own() {
        let mut requests = Requests::new(&Limits::DEFAULT);
        requests.push(1, Timestamp(1), &[0; 14]);
        assert!(!requests.entries.spilled());
        requests.push(2, Timestamp(2), &[0; 14]);
        assert!(requests.entries.spilled());
    }

    #[test]
    fn a_request_longer_than_all_may_be_keeps_its_beginning() {
        let mut requests = Requests::new(&Limits { request_bytes: 4, ..Limits::DEFAULT });
        assert_eq!(requests.bound(100), None);
        requests.push(1, Timestamp(1), b"abcdefgh");
        assert_eq!(requests.iter().map(|request| request.bytes.to_vec()).collect::<Vec<_>>(), [b"abcd"]);
        assert_eq!(requests.bound(1), Some(Bound::RequestBytes));
    }

    proptest! {
        /// Whatever is added and taken out, what waits is what a list of owned copies has.
        #[test]
        fn requests_wait_in_order(steps in proptest::collection::vec((any::<bool>(), 0usize..6, 0usize..40), 0..60)) {
            let limits = Limits { requests: 5, request_bytes: 90, ..Limits::DEFAULT };
            let mut requests = Requests::new(&limits);
            let mut model = VecDeque::new();
            for (number, (add, at, length)) in steps.into_iter().enumerate() {
                let number = number as u64;
                if add {
                    while requests.bound(length).is_some() {
                        requests.remove(0);
                        let oldest: (u64, Vec<u8>) = model.pop_front().unwrap();
                        let removed = requests.removed().unwrap();
                        prop_assert_eq!((removed.transaction, removed.bytes), (oldest.0, oldest.1.as_slice()));
                    }
                    let bytes = vec![number as u8; length];
                    requests.push(number, Timestamp(number * 7), &bytes);
                    model.push_back((number, bytes));
                } else {
                    requests.remove(at);
                    if let Some(gone) = model.remove(at) {
                        prop_assert_eq!(requests.removed().map(|request| request.transaction), Some(gone.0));
                    }
                }
                let waiting: Vec<_> = requests.iter().map(|request| (request.transaction, request.bytes.to_vec())).collect();
                prop_assert_eq!(&waiting, model.make_contiguous());
                prop_assert!(requests.iter().all(|request| request.timestamp.0 == request.transaction * 7));
                prop_assert_eq!(requests.len(), model.len());
                prop_assert_eq!(requests.bytes(), model.iter().map(|entry| entry.1.len()).sum::<usize>());
                prop_assert!(requests.len() <= 5 && requests.bytes() <= 90);
            }
        }
    }
}
