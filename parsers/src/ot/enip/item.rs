//! The common packet format: a count, then typed items (volume 2 §2-6).

use super::read::uint;

/// Interface handle and timeout in front of the items of Send RR Data and Send Unit Data.
pub(super) const PREFIX: usize = 6;

/// Address of an unconnected message: none.
pub(super) const IDENTITY: u16 = 0x000c;
pub(super) const CONNECTED_ADDRESS: u16 = 0x00a1;
pub(super) const CONNECTED_DATA: u16 = 0x00b1;
pub(super) const UNCONNECTED_DATA: u16 = 0x00b2;
pub(super) const SERVICES: u16 = 0x0100;
pub(super) const SEQUENCED_ADDRESS: u16 = 0x8002;

/// One item.
#[derive(Debug, Clone, Copy)]
pub(super) struct Item<'a> {
    pub(super) kind: u16,
    pub(super) data: &'a [u8],
    /// Where its data begin in the message.
    pub(super) offset: usize,
}

/// The items in order, as far as they are whole.
#[derive(Debug, Clone, Copy)]
pub(super) struct Items<'a> {
    left: u16,
    rest: &'a [u8],
    offset: usize,
}

impl<'a> Items<'a> {
    /// Those of `bytes`, which begin at `offset` of the message.
    pub(super) fn new(bytes: &'a [u8], offset: usize) -> Option<Self> {
        Some(Self { left: uint(bytes, 0)?, rest: bytes.get(2..)?, offset: offset + 2 })
    }

    /// Do the items fill the bytes, neither more nor less?
    pub(super) fn is_whole(mut self) -> bool {
        self.by_ref().for_each(drop);
        self.left == 0 && self.rest.is_empty()
    }

    /// Where the item begins that is not whole; `None` when all are.
    pub(super) fn fault(mut self) -> Option<usize> {
        self.by_ref().for_each(drop);
        (self.left > 0).then_some(self.offset)
    }
}

impl<'a> Iterator for Items<'a> {
    type Item = Item<'a>;

    fn next(&mut self) -> Option<Item<'a>> {
        let left = self.left.checked_sub(1)?;
        let length = usize::from(uint(self.rest, 2)?);
        let data = self.rest.get(4..4 + length)?;
        let item = Item { kind: uint(self.rest, 0)?, data, offset: self.offset + 4 };
        self.left = left;
        self.rest = self.rest.get(4 + length..)?;
        self.offset += 4 + length;
        Some(item)
    }
}
