//! Names of flows as the kernel's programs know them.

use std::net::IpAddr;

use vigia_parsers::packet::Vlans;
use vigia_probes_abi::tap::{FlowKey, Shunted};

/// The key of one direction of a flow: from `source` to `destination`, of an IP protocol with ports, in these VLANs.
pub fn flow_key(source: (IpAddr, u16), destination: (IpAddr, u16), protocol: u8, vlans: &Vlans) -> FlowKey {
    let mut key = FlowKey {
        source: octets(source.0),
        destination: octets(destination.0),
        source_port: source.1,
        destination_port: destination.1,
        protocol,
        version: if source.0.is_ipv4() { 4 } else { 6 },
        ..Default::default()
    };
    for (place, id) in key.vlans.iter_mut().zip(vlans.ids()) {
        *place = *id;
    }
    key
}

fn octets(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        }
        IpAddr::V6(address) => address.octets(),
    }
}

/// The kernel's table of flows that nobody needs to see any more.
pub trait Shunts: Send + Sync {
    /// Drops the frames of these directions of flows from now on and counts them. Returns how many were taken: the table may
    /// be full.
    fn shunt(&self, keys: &[FlowKey]) -> usize;

    /// What was counted of a direction by now; `None` if it is not shunted.
    fn shunted(&self, key: &FlowKey) -> Option<Shunted>;

    /// Captures a direction again, and says what was counted of it.
    fn unshunt(&self, key: &FlowKey) -> Option<Shunted>;

    /// Is a flow of this IP protocol with these ports OT?
    fn is_ot(&self, protocol: u8, ports: [u16; 2]) -> bool;
}
