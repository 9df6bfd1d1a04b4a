//! modbus.

use crate::dissector::{Direction, Dissector, Envelope, Frame, Probe, Protocol, Sink};

/// modbus.
pub static PROTOCOL: Protocol = Protocol {
    name: "modbus",
    title: "modbus",
    tcp_ports: &[502],
    udp_ports: &[502],
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
