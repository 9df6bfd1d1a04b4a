//! The end of what was inspected of one direction's stream. Rules may look back to it, for what they look for may be spread
//! over segments.

/// Bytes of a stream that rules may look back to.
pub(super) const TAIL: usize = 1024;
/// Bytes at the end in which a pattern may stand that goes on in the next ones.
pub(super) const SEAM: usize = super::group::LONGEST - 1;
/// The end of a stream. All that is asked of it for nearly every piece of a stream stands in one line of the processor's cache.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(super) struct StreamTail {
    /// Its last bytes, each at its place in the stream modulo [`TAIL`]; those that fill it first, in order.
    ring: Vec<u8>,
    /// Bytes inspected so far.
    through: u64,
    /// How many of them its sender has said in one turn: since it spoke first, or first after the other had spoken.
    said: u32,
    /// The last bytes, at the end: nearly always they are all that is looked at, and the others need not be fetched.
    last: [u8; SEAM],
    /// How many of `last` there are.
    known: u8,
    /// The other direction has spoken since.
    pub(super) answered: bool,
    /// Rules are waiting for what comes.
    pub(super) awaited: bool,
}

impl StreamTail {
    /// Takes note of the next bytes of the stream.
    pub(super) fn follow(&mut self, new: &[u8]) {
        if std::mem::take(&mut self.answered) {
            self.said = 0;
        }
        self.said = self.said.saturating_add(u32::try_from(new.len()).unwrap_or(u32::MAX));
        self.through += new.len() as u64;
        self.end_with(new);
        let new = new.get(new.len().saturating_sub(TAIL)..).unwrap_or_default();
        self.make_room();
        let begin = ((self.through - new.len() as u64) % TAIL as u64) as usize;
        let (fitting, rest) = new.split_at(new.len().min(TAIL - begin));
        for (at, part) in [(begin, fitting), (0, rest)] {
            if let Some(place) = self.ring.get_mut(at..at + part.len()) {
                place.copy_from_slice(part);
            }
        }
    }

    /// Makes the ring as long as it is to be after [`through`](Self::through) bytes.
    fn make_room(&mut self) {
        let needed = usize::try_from(self.through).unwrap_or(TAIL).min(TAIL);
        if needed <= self.ring.len() {
            return;
        }
        if needed > self.ring.capacity() {
            // Twice what is needed, but no more than can be: flows are many.
            self.ring.reserve_exact((2 * needed).min(TAIL) - self.ring.len());
        }
        self.ring.resize(needed, 0);
    }

    fn end_with(&mut self, new: &[u8]) {
        let new = new.get(new.len().saturating_sub(SEAM)..).unwrap_or_default();
        self.last.copy_within(new.len().., 0);
        self.last[SEAM - new.len()..].copy_from_slice(new);
        self.known = (usize::from(self.known) + new.len()).min(SEAM) as u8;
    }

    /// What stands in the place of the next byte.
    #[inline]
    pub(super) fn next(&self) -> Option<u8> {
        self.ring.get((self.through % TAIL as u64) as usize).copied()
    }

    /// Bytes inspected so far.
    pub(super) fn through(&self) -> u64 {
        self.through
    }

    /// The last [`TAIL`] bytes, in two parts.
    pub(super) fn parts(&self) -> [&[u8]; 2] {
        let begin = if self.through > TAIL as u64 { (self.through % TAIL as u64) as usize } else { 0 };
        let (end, start) = self.ring.split_at_checked(begin).unwrap_or_default();
        [start, end]
    }

    /// As many of the last bytes as a pattern may begin before new ones.
    pub(super) fn last(&self) -> &[u8] {
        self.last.get(SEAM - usize::from(self.known)..).unwrap_or_default()
    }

    /// How many bytes at the end its sender has said in one turn; none when its turn begins now, or began further back than
    /// what is kept.
    pub(super) fn turn(&self) -> Option<usize> {
        let said = usize::try_from(self.said).unwrap_or(usize::MAX);
        (!self.answered && (1..=self.ring.len()).contains(&said)).then_some(said)
    }

    /// The stream is over: another begins, in the same room.
    pub(super) fn begin_anew(&mut self) {
        let mut ring = std::mem::take(&mut self.ring);
        ring.clear();
        *self = Self { ring, ..Self::default() };
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn kept(tail: &StreamTail) -> Vec<u8> {
        tail.parts().concat()
    }

    #[test]
    fn what_is_asked_for_every_piece_is_one_line_of_the_cache() {
        assert_eq!((size_of::<StreamTail>(), align_of::<StreamTail>()), (64, 64));
    }

    #[test]
    fn nothing_is_left_of_a_stream_that_is_over_but_its_room() {
        let mut tail = StreamTail::default();
        tail.follow(&[b'a'; TAIL]);
        tail.follow(b"end");
        assert_eq!((kept(&tail).len(), tail.last()), (TAIL, &b"aaaaaaaaaaaaaaaaaaaaend"[..]));
        tail.begin_anew();
        assert_eq!((kept(&tail).as_slice(), tail.last(), tail.turn()), (&b""[..], &b""[..], None));
        tail.follow(b"b");
        assert_eq!((kept(&tail).as_slice(), tail.last(), tail.turn()), (&b"b"[..], &b"b"[..], Some(1)));
        assert_eq!(tail.ring.capacity(), TAIL);
    }

    proptest! {
        #[test]
        fn the_end_of_a_stream_is_kept_however_it_comes(lengths in prop::collection::vec(0usize..1500, 0..40)) {
            let (mut tail, mut all) = (StreamTail::default(), Vec::new());
            for length in lengths {
                let new: Vec<u8> = (all.len()..all.len() + length).map(|at| (at % 251) as u8).collect();
                all.extend_from_slice(&new);
                tail.follow(&new);
                prop_assert_eq!(kept(&tail), &all[all.len().saturating_sub(TAIL)..]);
                prop_assert_eq!(tail.last(), &all[all.len().saturating_sub(SEAM)..]);
                prop_assert_eq!(tail.turn(), Some(all.len()).filter(|said| (1..=TAIL).contains(said)));
            }
        }
    }
}
