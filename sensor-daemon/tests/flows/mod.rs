//! Frames of flows that travel plain, tagged or in tunnels, for the tests of the fanout.

// Every test uses a part of it.
#![allow(dead_code, unreachable_pub)]

/// An Ethernet frame between two stations.
pub fn ethernet(from: u8, to: u8, kind: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, to, 2, 0, 0, 0, 0, from];
    frame.extend(kind.to_be_bytes());
    frame.extend(payload);
    frame
}

pub fn ipv4(from: [u8; 4], to: [u8; 4], protocol: u8, fragment: u16, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x45, 0];
    packet.extend((20 + payload.len() as u16).to_be_bytes());
    packet.extend([0, 1]);
    packet.extend(fragment.to_be_bytes());
    packet.extend([64, protocol, 0, 0]);
    packet.extend(from);
    packet.extend(to);
    packet.extend(payload);
    packet
}

pub fn ipv6(from: u16, to: u16, next: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend((payload.len() as u16).to_be_bytes());
    packet.extend([next, 64]);
    for end in [from, to] {
        packet.extend([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        packet.extend(end.to_be_bytes());
    }
    packet.extend(payload);
    packet
}

/// As much of a segment or datagram as matters: its ports.
pub fn segment(from: u16, to: u16) -> Vec<u8> {
    let mut segment = [from.to_be_bytes(), to.to_be_bytes()].concat();
    segment.resize(20, 0x50);
    segment
}

/// A flow between two ends.
#[derive(Debug, Clone, Copy)]
pub struct Flow {
    pub client: ([u8; 4], u16),
    pub server: ([u8; 4], u16),
}

impl Flow {
    pub fn number(number: u16) -> Self {
        let [high, low] = number.to_be_bytes();
        Self { client: ([10, 1, high, low], 1024 + number % 40_000), server: ([10, 2, 0, low % 16], 502) }
    }

    /// A few hosts, told apart by ports only.
    pub fn of_one_pair(number: u16) -> Self {
        Self { client: ([10, 1, 0, 1], 1024 + number), server: ([10, 2, 0, 1], 502) }
    }

    fn packet(self, protocol: u8) -> Vec<u8> {
        ipv4(self.client.0, self.server.0, protocol, 0x4000, &segment(self.client.1, self.server.1))
    }

    pub fn back(self) -> Self {
        Self { client: self.server, server: self.client }
    }

    pub fn frame(self) -> Vec<u8> {
        ethernet(1, 2, 0x0800, &self.packet(6))
    }
}

fn tagged(mut frame: Vec<u8>, tag: &[u8]) -> Vec<u8> {
    frame.splice(12..12, tag.iter().copied());
    frame
}

/// The ways a frame's IP packet may travel; all of them are of the same flow.
pub fn ways(flow: Flow) -> Vec<(&'static str, Vec<u8>)> {
    let (plain, packet) = (flow.frame(), flow.packet(6));
    let outside =
        |protocol, payload: &[u8]| ethernet(7, 8, 0x0800, &ipv4([192, 0, 2, 1], [192, 0, 2, 2], protocol, 0, payload));
    let vxlan = |inner: &[u8]| {
        let mut payload = [0xd0_u8, 0x07, 0x12, 0xb5, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 5, 0].to_vec();
        payload.extend(inner);
        payload
    };
    let with = |head: &[u8], rest: &[u8]| [head, rest].concat();
    let mut prp = plain.clone();
    prp.extend([0x12, 0x34, 0xa0, 0x30, 0x88, 0xfb]);
    let mut to_outside6 = ethernet(7, 8, 0x86dd, &ipv6(1, 2, 0, &with(&[4, 0, 1, 4, 0, 0, 0, 0], &packet)));
    to_outside6.extend([0; 4]);
    vec![
        ("VLAN", tagged(plain.clone(), &[0x81, 0, 0, 100])),
        ("QinQ", tagged(plain.clone(), &[0x88, 0xa8, 0, 5, 0x81, 0, 0, 100])),
        ("PRP", prp),
        ("HSR", tagged(plain.clone(), &[0x89, 0x2f, 0x00, 0x40, 0x12, 0x34])),
        ("MPLS", ethernet(7, 8, 0x8847, &with(&[0, 1, 0, 64, 0, 2, 1, 64], &packet))),
        ("pseudowire", ethernet(7, 8, 0x8847, &with(&[0, 1, 1, 64, 0, 0, 0, 0], &plain))),
        ("PPPoE", ethernet(7, 8, 0x8864, &with(&[0x11, 0, 0, 1, 0, 42, 0, 0x21], &packet))),
        ("GRE", outside(47, &with(&[0, 0, 0x08, 0], &packet))),
        ("GRE with key and sequence", outside(47, &with(&[0x30, 0, 0x08, 0, 0, 0, 0, 1, 0, 0, 0, 2], &packet))),
        ("GRE, bridged", outside(47, &with(&[0, 0, 0x65, 0x58], &plain))),
        ("ERSPAN I", outside(47, &with(&[0, 0, 0x88, 0xbe], &plain))),
        ("ERSPAN II", outside(47, &with(&[0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, 0x10, 0, 0, 1, 0, 0, 0, 0], &plain))),
        (
            "ERSPAN III",
            outside(47, &with(&[0x10, 0, 0x22, 0xeb, 0, 0, 0, 1, 0x20, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0], &plain)),
        ),
        ("VXLAN", outside(17, &vxlan(&plain))),
        ("VXLAN with a tag inside", outside(17, &vxlan(&tagged(plain.clone(), &[0x81, 0, 0, 7])))),
        ("IP in IP", outside(4, &packet)),
        ("IP in IPv6 with hop-by-hop options", to_outside6),
    ]
}
