//! Which ports of a host answered another host's handshakes, where ports alone say otherwise or nothing: so a connection between
//! the two that is picked up midstream has its client and server by what was seen before.
//!
//! Kept by pair of hosts, since a pair is one worker's: what is known of it does not depend on how many workers there are.

use std::collections::HashSet;

use vigia_parsers::packet::{Packet, Tcp, Transport};

use super::key::{ServicePorts, Tuple};

/// Services that are known at the same time; with one more the memory begins anew.
const MOST: usize = 8192;

/// Services by what [`Tuple::service`] says of them.
#[derive(Default)]
pub(super) struct Servers {
    known: HashSet<u64>,
    /// Times that there were too many, and all were forgotten.
    pub(super) begun_anew: u64,
}

impl Servers {
    /// Looks at a packet: one that accepts a connection comes from a server.
    #[inline]
    pub(super) fn see(&mut self, packet: &Packet<'_>, tuple: &Tuple, source_is_low: bool, ports: &ServicePorts) {
        if let Transport::Tcp(tcp) = packet.transport
            && tcp.has(Tcp::SYN | Tcp::ACK)
            && ports.by_ports(packet.ports, true) != Some(false)
        {
            self.keep(tuple.service(source_is_low));
        }
    }

    #[cold]
    fn keep(&mut self, service: u64) {
        if self.known.len() >= MOST && !self.known.contains(&service) {
            self.known.clear();
            self.begun_anew += 1;
        }
        self.known.insert(service);
    }

    /// Is the sender of a connection's first packet its client? `None` when nothing is known of its ends, or of both.
    pub(super) fn sender_is_client(&self, packet: &Packet<'_>, tuple: &Tuple, source_is_low: bool) -> Option<bool> {
        match packet.transport {
            Transport::Tcp(tcp) if !tcp.has(Tcp::SYN) => {}
            _ => return None,
        }
        let serves = |low| self.known.contains(&tuple.service(low));
        let (sender, receiver) = (serves(source_is_low), serves(!source_is_low));
        (sender != receiver).then_some(receiver)
    }

    /// Services known.
    pub(super) fn len(&self) -> usize {
        self.known.len()
    }

    /// Bytes that they take.
    pub(super) fn memory(&self) -> usize {
        self.known.capacity() * (size_of::<u64>() + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

    fn see(servers: &mut Servers, frame: &Frame) {
        let packet = frame.packet();
        let (tuple, source_is_low) = Tuple::of(&packet).unwrap();
        servers.see(&packet, &tuple, source_is_low, &ServicePorts::new());
    }

    fn sender_is_client(servers: &Servers, frame: &Frame) -> Option<bool> {
        let packet = frame.packet();
        let (tuple, source_is_low) = Tuple::of(&packet).unwrap();
        servers.sender_is_client(&packet, &tuple, source_is_low)
    }

    #[test]
    fn who_accepted_a_connection_of_a_host_is_its_server_in_the_next_one() {
        let mut servers = Servers::default();
        let (client, server) = (("10.0.0.1", 40000), ("10.0.0.2", 50000));
        see(&mut servers, &tcp(client, server, Tcp::SYN, 1, 0, b""));
        assert_eq!(servers.len(), 0, "a SYN alone says nothing: anyone may knock");
        see(&mut servers, &tcp(server, client, Tcp::SYN | Tcp::ACK, 1, 2, b""));
        for (other, expected) in [("10.0.0.1", true), ("10.0.0.3", false)] {
            let other = (other, 40001);
            let known = expected.then_some(true);
            assert_eq!(sender_is_client(&servers, &tcp(other, server, Tcp::ACK, 1, 2, b"x")), known);
            assert_eq!(sender_is_client(&servers, &tcp(server, other, Tcp::ACK, 1, 2, b"x")), known.map(|_| false));
        }
        see(&mut servers, &tcp(("10.0.0.2", 502), client, Tcp::SYN | Tcp::ACK, 1, 2, b""));
        assert_eq!(servers.len(), 1, "of a service that its port tells nothing is kept");
        let handshake = tcp(("10.0.0.1", 40002), server, Tcp::SYN, 1, 0, b"");
        assert_eq!(sender_is_client(&servers, &handshake), None, "a handshake tells itself");
    }

    #[test]
    fn ends_that_both_served_are_told_by_something_else() {
        let mut servers = Servers::default();
        let (one, other) = (("10.0.0.1", 4000), ("10.0.0.2", 5000));
        for [server, client] in [[one, other], [other, one]] {
            see(&mut servers, &tcp(server, client, Tcp::SYN | Tcp::ACK, 1, 2, b""));
        }
        assert_eq!(sender_is_client(&servers, &tcp(one, other, Tcp::ACK, 1, 2, b"x")), None);
    }

    #[test]
    fn services_are_bounded() {
        let mut servers = Servers::default();
        (0..=MOST as u64).for_each(|service| servers.keep(service));
        assert_eq!((servers.len(), servers.begun_anew), (1, 1));
    }
}
