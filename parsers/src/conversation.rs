//! What two endpoints say to each other, as messages: protocol detection, framing, resynchronisation after gaps.

use crate::dissector::{Direction, Envelope, Protocol, Sink};
use crate::time::Timestamp;

/// The application layer of one flow.
#[derive(Default)]
pub struct Conversation {}

impl Conversation {
    /// A conversation on these ports (client's, server's); the ports are hints for detection.
    pub fn new(client_port: u16, server_port: u16, datagram: bool) -> Self {
        let _ = (client_port, server_port, datagram);
        Self {}
    }

    /// The next bytes of one direction of a stream, in order; or one datagram.
    pub fn data(&mut self, envelope: &Envelope, bytes: &[u8], sink: &mut dyn Sink) {
        let _ = (envelope, bytes, sink);
    }

    /// `lost` bytes of this direction will never come.
    pub fn gap(&mut self, direction: Direction, lost: u64) {
        let _ = (direction, lost);
    }

    /// The flow ended.
    pub fn finish(&mut self, timestamp: Timestamp, sink: &mut dyn Sink) {
        let _ = (timestamp, sink);
    }

    /// The protocol, once detected.
    pub fn protocol(&self) -> Option<&'static Protocol> {
        None
    }
}
