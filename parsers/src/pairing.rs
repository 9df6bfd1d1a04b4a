//! Requests that wait for their answers, for the protocols that pair by a key in both.
//!
//! The requests themselves are kept as every protocol keeps them ([`Requests`]); here stands what their answers will have, too.

use crate::dissector::{Direction, Envelope};
use crate::limits::{Bound, Kept, Limits};
use crate::requests::{self, Requests};
use crate::time::Timestamp;

/// A request that waits.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a, K> {
    /// What its answer will have, too.
    pub key: K,
    /// Number of its transaction within the flow.
    pub transaction: u64,
    /// Where it was met.
    pub envelope: Envelope,
    /// Its bytes, as they were given to [`Outstanding::keep`].
    pub bytes: &'a [u8],
}

/// The outstanding requests of a flow, oldest first, bounded in number and in bytes.
#[derive(Debug)]
pub struct Outstanding<K> {
    /// Of each of `requests`, in their order.
    keys: Vec<Mark<K>>,
    requests: Requests,
}

/// What tells a request apart, and what of its envelope [`Requests`] does not keep.
#[derive(Debug, Clone, Copy)]
struct Mark<K> {
    key: K,
    direction: Direction,
    datagram: bool,
}

impl<K: Copy> Mark<K> {
    fn of<'a>(&self, request: requests::Request<'a>) -> Request<'a, K> {
        let requests::Request { transaction, timestamp, bytes } = request;
        let envelope = Envelope { direction: self.direction, timestamp, datagram: self.datagram };
        Request { key: self.key, transaction, envelope, bytes }
    }
}

impl<K: Copy + PartialEq> Outstanding<K> {
    /// None outstanding, in a flow that keeps to these limits.
    pub fn new(limits: &Limits) -> Self {
        Self { keys: Vec::new(), requests: Requests::new(limits) }
    }

    /// Those that wait, oldest first.
    pub fn waiting(&self) -> impl Iterator<Item = Request<'_, K>> {
        self.keys.iter().zip(self.requests.iter()).map(|(mark, request)| mark.of(request))
    }

    /// The oldest that waits with this key.
    pub fn find(&self, key: K) -> Option<Request<'_, K>> {
        self.waiting().find(|request| request.key == key)
    }

    /// Keeps a request. Where it has no room, the oldest are handed to `given_up`, with the bound that bit; a request that
    /// alone is longer than the limit is kept without the end of its bytes.
    pub fn keep(
        &mut self,
        key: K,
        transaction: u64,
        envelope: &Envelope,
        bytes: &[u8],
        mut given_up: impl FnMut(Bound, &Request<'_, K>),
    ) {
        while let Some(bound) = self.requests.bound(bytes.len()) {
            let Some(oldest) = self.take(0) else { break };
            given_up(bound, &oldest);
        }
        self.keys.push(Mark { key, direction: envelope.direction, datagram: envelope.datagram });
        self.requests.push(transaction, envelope.timestamp, bytes);
    }

    /// Takes out the oldest request with this key: its answer has come.
    pub fn answered(&mut self, key: K) -> Option<Request<'_, K>> {
        self.answered_where(|asked| *asked == key)
    }

    /// Takes out the oldest request whose key `suits`: its answer has come.
    pub fn answered_where(&mut self, mut suits: impl FnMut(&K) -> bool) -> Option<Request<'_, K>> {
        let at = self.keys.iter().position(|mark| suits(&mark.key))?;
        self.take(at)
    }

    /// Takes out the oldest request that `suits`.
    pub fn take_where(&mut self, suits: impl FnMut(Request<'_, K>) -> bool) -> Option<Request<'_, K>> {
        let at = self.waiting().position(suits)?;
        self.take(at)
    }

    /// Gives up those made until then, oldest first.
    pub fn expire(&mut self, until: Timestamp, mut given_up: impl FnMut(&Request<'_, K>)) {
        while self.requests.has_made(until)
            && let Some(request) = self.take(0)
        {
            given_up(&request);
        }
    }

    /// What the gauges are told of these requests.
    pub fn kept(&self) -> Kept {
        self.requests.kept()
    }

    /// Takes out one of those that wait.
    fn take(&mut self, at: usize) -> Option<Request<'_, K>> {
        self.keys.get(at)?;
        let mark = self.keys.remove(at);
        self.requests.remove(at);
        Some(mark.of(self.requests.removed()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dissector::Direction::ToServer;
    use crate::testing::envelope;

    fn outstanding() -> Outstanding<u16> {
        Outstanding::new(&Limits { requests: 3, request_bytes: 10, ..Limits::DEFAULT })
    }

    fn keep(outstanding: &mut Outstanding<u16>, key: u16, bytes: &[u8]) -> Vec<(Bound, u16)> {
        let mut given_up = Vec::new();
        let mut give_up = |bound, request: &Request<'_, u16>| given_up.push((bound, request.key));
        outstanding.keep(key, key.into(), &envelope(ToServer, 0), bytes, &mut give_up);
        given_up
    }

    #[test]
    fn answers_find_their_requests_in_any_order() {
        let mut outstanding = outstanding();
        for key in 1..=3 {
            assert!(keep(&mut outstanding, key, &[key as u8]).is_empty());
        }
        assert_eq!(outstanding.answered(2).map(|request| request.bytes), Some(&[2][..]));
        assert!(outstanding.answered(2).is_none());
        assert_eq!(outstanding.take_where(|request| request.bytes == [3]).map(|request| request.key), Some(3));
        assert_eq!(outstanding.waiting().map(|request| request.key).collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn what_was_asked_long_ago_is_given_up_and_the_rest_waits() {
        let mut outstanding = outstanding();
        for (key, seconds) in [(1, 1), (2, 2), (3, 9)] {
            outstanding.keep(key, key.into(), &envelope(ToServer, seconds * 1000), &[0], |_, _| {});
        }
        let mut given_up = Vec::new();
        outstanding.expire(Timestamp::new(2, 0), |request| given_up.push(request.key));
        assert_eq!(given_up, [1, 2]);
        assert_eq!(outstanding.waiting().map(|request| request.key).collect::<Vec<_>>(), [3]);
    }

    #[test]
    fn the_oldest_make_room_in_number_and_in_bytes() {
        let mut outstanding = outstanding();
        for key in 1..=3 {
            keep(&mut outstanding, key, &[0; 2]);
        }
        assert_eq!(keep(&mut outstanding, 4, &[0; 2]), [(Bound::Requests, 1)]);
        let full = |key| (Bound::RequestBytes, key);
        assert_eq!(keep(&mut outstanding, 5, &[0; 7]), [(Bound::Requests, 2), full(3)]);
        assert_eq!(keep(&mut outstanding, 6, &[0; 20]), [full(4), full(5)]);
        assert_eq!(outstanding.find(6).map(|request| request.bytes.len()), Some(10));
        let mut left = Vec::new();
        outstanding.expire(Timestamp::MAX, |request| left.push(request.key));
        assert_eq!(left, [6]);
        assert_eq!(outstanding.kept(), Kept::default());
    }
}
