//! dnp3.

use crate::dissector::{Direction, Dissector, Envelope, Frame, Probe, Protocol, Sink};

/// dnp3.
pub static PROTOCOL: Protocol = Protocol {
    name: "dnp3",
    title: "dnp3",
    tcp_ports: &[20000],
    udp_ports: &[20000],
    ot: true,
    longest_message: 292,
    fields: &[],
    anomalies: &[],
    probe,
    frame,
    open: || Box::new(State),
};

fn probe(_bytes: &[u8], _direction: Direction) -> Probe {
    Probe::No
}

fn frame(_bytes: &[u8], _direction: Direction) -> Frame {
    Frame::Not
}

struct State;

impl Dissector for State {
    fn parse(&mut self, _envelope: &Envelope, _message: &[u8], _sink: &mut dyn Sink) {}
}
