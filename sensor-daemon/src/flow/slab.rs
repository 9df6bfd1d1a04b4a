//! The flows themselves, in chunks that never move: growing allocates one chunk and copies nothing.

use super::Flow;
use super::timer::NONE;

/// Flows a chunk; a power of two. About 240 KiB.
const CHUNK: usize = 1024;

pub(super) struct Slab {
    chunks: Vec<Vec<Flow>>,
    /// First vacant slot; the others hang on it by their links.
    vacant: u32,
    used: usize,
}

impl Slab {
    pub(super) fn new() -> Self {
        Self { chunks: Vec::new(), vacant: NONE, used: 0 }
    }

    /// Flows kept.
    pub(super) fn len(&self) -> usize {
        self.used
    }

    /// Bytes held, without what flows own on the heap.
    pub(super) fn memory(&self) -> usize {
        self.chunks.len() * CHUNK * size_of::<Flow>()
    }

    pub(super) fn get(&self, slot: u32) -> &Flow {
        &self.chunks[slot as usize / CHUNK][slot as usize % CHUNK]
    }

    pub(super) fn get_mut(&mut self, slot: u32) -> &mut Flow {
        &mut self.chunks[slot as usize / CHUNK][slot as usize % CHUNK]
    }

    pub(super) fn insert(&mut self, flow: Flow) -> u32 {
        self.used += 1;
        if self.vacant != NONE {
            let slot = self.vacant;
            self.vacant = self.get(slot).links.next;
            *self.get_mut(slot) = flow;
            return slot;
        }
        if self.chunks.last().is_none_or(|chunk| chunk.len() == CHUNK) {
            self.chunks.push(Vec::with_capacity(CHUNK));
        }
        let before = (self.chunks.len() - 1) * CHUNK;
        let chunk = self.chunks.last_mut().expect("pushed above");
        chunk.push(flow);
        (before + chunk.len() - 1) as u32
    }

    pub(super) fn remove(&mut self, slot: u32) -> Flow {
        self.used -= 1;
        let mut vacant = Flow::vacant();
        vacant.links.next = std::mem::replace(&mut self.vacant, slot);
        std::mem::replace(self.get_mut(slot), vacant)
    }
}
