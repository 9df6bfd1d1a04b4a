//! A file read ahead by a thread of its own, while what was read is worked on.
//!
//! A few blocks go round between the two: the thread fills those that are spent and waits when none is, so what is read
//! ahead is bounded, and nothing is allocated or copied on the way. They meet once a block, never for a record.

use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use super::block::Block;
use super::reader::Reader;

/// Blocks that go round: one is worked on, one is read into, and two lie between when one side is held up.
pub(super) const BLOCKS: usize = 4;

/// The near end of a reading thread. The thread ends with the file, or once this is dropped.
pub(super) struct Ahead {
    spent: SyncSender<Block>,
    filled: Receiver<io::Result<Block>>,
}

impl Ahead {
    /// Has a thread read on. Where there can be no other thread the reader is given back.
    pub(super) fn start(reader: Reader, read_bytes: usize) -> Result<Self, Reader> {
        let (spent, to_fill) = sync_channel(BLOCKS);
        let (to_work, filled) = sync_channel(BLOCKS);
        let (hand, handed) = sync_channel(1);
        let run = move || {
            if let Ok(reader) = handed.recv() {
                run(reader, &to_fill, &to_work);
            }
        };
        if thread::Builder::new().name("vigia-read".into()).spawn(run).is_err() {
            return Err(reader);
        }
        // The other ends are the thread's, which waits for them; none of these can fail.
        (1..BLOCKS).try_for_each(|_| spent.send(Block::new(read_bytes))).ok();
        hand.send(reader).ok();
        Ok(Self { spent, filled })
    }

    /// Puts what was read next in the place of a spent block; gives the number of bytes, 0 at the end. After an error
    /// the block is as it was.
    pub(super) fn exchange(&mut self, block: &mut Block) -> io::Result<usize> {
        let failed = |_| io::Error::other("the thread that reads it failed");
        let next = self.filled.recv().map_err(failed)??;
        let spent = std::mem::replace(block, next);
        // A thread that has read to the end takes no more.
        self.spent.send(spent).ok();
        Ok(block.bytes().len())
    }
}

/// Reads to the end, the first error, or the end of interest.
fn run(mut reader: Reader, spent: &Receiver<Block>, filled: &SyncSender<io::Result<Block>>) {
    while let Ok(mut block) = spent.recv() {
        let read = block.read(&mut reader);
        let more = matches!(read, Ok(1..));
        if filled.send(read.map(|_| block)).is_err() || !more {
            return;
        }
    }
}
