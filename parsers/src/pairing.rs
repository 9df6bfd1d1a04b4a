//! Requests that wait for their answers, for the protocols that pair by a key in both.
//!
//! A request is kept as its raw bytes: reading them again when the answer arrives costs nanoseconds, a second owned form
//! of every record would cost a second codebase. Buffers are used again, so the steady state allocates nothing.

use crate::dissector::Envelope;
use crate::limits::{Kept, Limits};

/// Bytes that a free buffer keeps for the next request.
const KEPT: usize = 512;

/// A request that waits.
#[derive(Debug)]
pub struct Request<K> {
    /// What its answer will have, too.
    pub key: K,
    /// Number of its transaction within the flow.
    pub transaction: u64,
    /// Where it was met.
    pub envelope: Envelope,
    /// Its bytes, as they were given to [`Outstanding::keep`].
    pub bytes: Vec<u8>,
}

/// The outstanding requests of a flow, oldest first, bounded in number and in bytes.
#[derive(Debug)]
pub struct Outstanding<K> {
    /// The first `waiting` are outstanding; those behind keep their buffers for the next.
    slots: Vec<Request<K>>,
    waiting: usize,
    held: usize,
    most: usize,
    most_bytes: usize,
}

impl<K: Copy + PartialEq> Outstanding<K> {
    /// None outstanding, in a flow that keeps to these limits.
    pub fn new(limits: &Limits) -> Self {
        Self {
            slots: Vec::new(),
            waiting: 0,
            held: 0,
            most: usize::from(limits.requests.max(1)),
            most_bytes: limits.request_bytes as usize,
        }
    }

    /// Those that wait, oldest first.
    pub fn waiting(&self) -> &[Request<K>] {
        self.slots.get(..self.waiting).unwrap_or_default()
    }

    /// Keeps a request. Where it has no room, the oldest are handed to `given_up`; a request that alone is longer than
    /// the limit is kept without the end of its bytes.
    pub fn keep(
        &mut self,
        key: K,
        transaction: u64,
        envelope: &Envelope,
        bytes: &[u8],
        mut given_up: impl FnMut(&Request<K>),
    ) {
        let bytes = bytes.get(..self.most_bytes).unwrap_or(bytes);
        while self.waiting >= self.most || (self.waiting > 0 && self.held + bytes.len() > self.most_bytes) {
            if let Some(oldest) = self.take(0) {
                given_up(oldest);
            }
        }
        if self.waiting == self.slots.len() {
            self.slots.push(Request { key, transaction, envelope: *envelope, bytes: Vec::new() });
        }
        let Some(slot) = self.slots.get_mut(self.waiting) else { return };
        slot.key = key;
        slot.transaction = transaction;
        slot.envelope = *envelope;
        slot.bytes.clear();
        slot.bytes.shrink_to(KEPT.max(bytes.len()));
        slot.bytes.extend_from_slice(bytes);
        self.waiting += 1;
        self.held += bytes.len();
    }

    /// Takes out the oldest request with this key: its answer has come.
    pub fn answered(&mut self, key: K) -> Option<&Request<K>> {
        let at = self.waiting().iter().position(|request| request.key == key)?;
        self.take(at)
    }

    /// Takes out the oldest request that `suits`.
    pub fn take_where(&mut self, suits: impl FnMut(&Request<K>) -> bool) -> Option<&Request<K>> {
        let at = self.waiting().iter().position(suits)?;
        self.take(at)
    }

    /// Gives up all, oldest first.
    pub fn give_up(&mut self, mut given_up: impl FnMut(&Request<K>)) {
        while let Some(request) = self.take(0) {
            given_up(request);
        }
    }

    /// Takes out one of those that wait; it lies in the first free slot then.
    fn take(&mut self, at: usize) -> Option<&Request<K>> {
        let from = self.slots.get_mut(at..self.waiting).filter(|from| !from.is_empty())?;
        from.rotate_left(1);
        self.waiting -= 1;
        let taken = self.slots.get(self.waiting)?;
        self.held -= taken.bytes.len();
        Some(taken)
    }
}

/// What the gauges are told of these requests.
pub fn kept<K: Copy + PartialEq>(requests: &Outstanding<K>) -> Kept {
    Kept { requests: requests.waiting as u32, request_bytes: requests.held as u32, ..Kept::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dissector::Direction::ToServer;
    use crate::testing::envelope;

    fn outstanding() -> Outstanding<u16> {
        Outstanding::new(&Limits { requests: 3, request_bytes: 10, ..Limits::DEFAULT })
    }

    fn keep(outstanding: &mut Outstanding<u16>, key: u16, bytes: &[u8]) -> Vec<u16> {
        let mut given_up = Vec::new();
        outstanding.keep(key, key.into(), &envelope(ToServer, 0), bytes, |request| given_up.push(request.key));
        given_up
    }

    #[test]
    fn answers_find_their_requests_in_any_order() {
        let mut outstanding = outstanding();
        for key in 1..=3 {
            assert!(keep(&mut outstanding, key, &[key as u8]).is_empty());
        }
        assert_eq!(outstanding.answered(2).map(|request| request.bytes.clone()), Some(vec![2]));
        assert!(outstanding.answered(2).is_none());
        assert_eq!(outstanding.take_where(|request| request.bytes == [3]).map(|request| request.key), Some(3));
        assert_eq!(outstanding.waiting().iter().map(|request| request.key).collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn the_oldest_make_room_in_number_and_in_bytes() {
        let mut outstanding = outstanding();
        for key in 1..=3 {
            keep(&mut outstanding, key, &[0; 2]);
        }
        assert_eq!(keep(&mut outstanding, 4, &[0; 2]), [1]);
        assert_eq!(keep(&mut outstanding, 5, &[0; 7]), [2, 3]);
        assert_eq!(keep(&mut outstanding, 6, &[0; 20]), [4, 5]);
        assert_eq!(outstanding.waiting()[0].bytes.len(), 10);
        let mut left = Vec::new();
        outstanding.give_up(|request| left.push(request.key));
        assert_eq!(left, [6]);
        assert_eq!(outstanding.held, 0);
    }
}
