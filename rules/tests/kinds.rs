//! How often rules speak, by what they ask: the types of rules.

mod common;

use common::{Flow, engine};
use vigia_parsers::Direction::{ToClient, ToServer};
use vigia_parsers::ot::{dnp3, modbus};
use vigia_parsers::registry::FAILED;

const NONE: [u32; 0] = [];

/// What a rule says of six packets of a TCP flow: two each way, then, once its protocol is known, one each way.
fn speaks(rule: &str) -> [usize; 6] {
    let engine = engine(&format!("alert {rule}"));
    let mut flow = Flow::new(&engine);
    let ways = [ToServer, ToServer, ToClient, ToClient, ToServer, ToClient];
    let mut packets = ways.into_iter().enumerate();
    std::array::from_fn(|_| {
        let (at, way) = packets.next().unwrap_or((0, ToServer));
        flow.protocol = (at >= 4).then_some(&modbus::PROTOCOL);
        flow.packet(6, b"some bytes", way).len()
    })
}

#[test]
fn a_rule_about_addresses_alone_speaks_once_for_each_direction() {
    const ONCE: [usize; 6] = [1, 0, 1, 0, 0, 0];
    assert_eq!(speaks("tcp any any -> any any (sid:1;)"), ONCE);
    assert_eq!(speaks("tcp-pkt 10.0.0.0/8 any -> any any (sid:1;)"), ONCE);
    assert_eq!(speaks("tcp-stream any any -> any any (sid:1;)"), ONCE);
    assert_eq!(speaks("ip 10.0.0.10 any -> any any (sid:1;)"), [1, 0, 0, 0, 0, 0]);
    // What only sets and marks is about what it would be about without.
    assert_eq!(speaks("tcp any any -> any any (flowbits:set,a; flowint:b,=,1; sid:1;)"), ONCE);
}

#[test]
fn a_negated_address_has_every_packet_inspected() {
    assert_eq!(speaks("tcp !10.0.0.1 any -> any any (sid:1;)"), [1, 1, 0, 0, 1, 0]);
    assert_eq!(speaks("tcp [10.0.0.0/8,!10.0.0.9] any -> any any (sid:1;)"), [1; 6]);
    assert_eq!(speaks("tcp $EXTERNAL_NET any <> $HOME_NET any (sid:1;)"), [0; 6]);
}

#[test]
fn ports_the_keyword_flow_and_hooks_of_packets_have_every_packet_inspected() {
    assert_eq!(speaks("tcp any any -> any 502 (sid:1;)"), [1, 1, 0, 0, 1, 0]);
    assert_eq!(speaks("tcp any any -> any any (flow:to_server; sid:1;)"), [1, 1, 0, 0, 1, 0]);
    for hook in ["tcp:all", "ip:all", "tcp:pre_flow", "tcp:pre_stream"] {
        assert_eq!(speaks(&format!("{hook} any any -> any any (sid:1;)")), [1; 6], "{hook}");
    }
}

#[test]
fn what_may_change_with_each_packet_is_asked_of_each() {
    assert_eq!(speaks("tcp any any -> any any (flowbits:isnotset,a; sid:1;)"), [1; 6]);
    assert_eq!(
        speaks("tcp any any -> any any (app-layer-protocol:modbus; flowbits:isnotset,a; sid:1;)"),
        [0, 0, 0, 0, 1, 1]
    );
    assert_eq!(speaks("tcp any any -> any any (flowint:a,+,1; sid:1;)"), [1; 6]);
    let engine = engine(
        "alert tcp any any -> any any (content:\"set\"; flowbits:set,a; noalert; sid:1;)\n\
         alert tcp any any -> any any (flowbits:isset,a; sid:2;)\n\
         alert modbus any any -> any any (flowbits:isset,a; sid:3;)\n",
    );
    let mut flow = Flow::new(&engine);
    assert_eq!(flow.packet(6, b"", ToServer), NONE);
    flow.stream(b"set", ToServer);
    assert_eq!(flow.packet(6, b"", ToServer), [2]);
    assert_eq!(flow.packet(6, b"", ToServer), [2]);
    flow.protocol = Some(&modbus::PROTOCOL);
    assert_eq!(flow.packet(6, b"", ToClient), [2, 3]);
}

#[test]
fn a_detected_protocol_is_told_once_for_each_direction() {
    const ONCE: [usize; 6] = [0, 0, 0, 0, 1, 1];
    assert_eq!(speaks("tcp any any -> any any (app-layer-protocol:modbus; sid:1;)"), ONCE);
    assert_eq!(speaks("tcp any any -> any any (app-layer-protocol:dnp3|modbus,either; sid:1;)"), ONCE);
    assert_eq!(speaks("tcp any any -> any any (app-layer-protocol:!dnp3; sid:1;)"), ONCE);
    assert_eq!(speaks("tcp any any -> any any (app-layer-protocol:!modbus; sid:1;)"), [0; 6]);
    assert_eq!(
        speaks("tcp any any -> any any (app-layer-protocol:modbus; flow:to_server; sid:1;)"),
        [0, 0, 0, 0, 1, 0]
    );
    assert_eq!(speaks("tcp any any -> any 502 (app-layer-protocol:!dnp3; sid:1;)"), [0, 0, 0, 0, 1, 0]);
    assert_eq!(speaks("tcp any any -> any any (app-layer-protocol:unknown; sid:1;)"), [1, 0, 1, 0, 0, 0]);
    let engine = engine(
        "alert tcp any any -> any any (app-layer-protocol:!modbus; sid:1;)\n\
         alert tcp any any -> any any (app-layer-protocol:failed; sid:2;)\n\
         alert tcp any any -> any any (app-layer-protocol:modbus; flow:established; sid:3;)\n",
    );
    let mut flow = Flow::new(&engine);
    assert_eq!(flow.packet(6, b"a", ToServer), NONE);
    flow.protocol = Some(&FAILED);
    assert_eq!(flow.packet(6, b"a", ToServer), [1, 2]);
    assert_eq!(flow.packet(6, b"a", ToServer), NONE);
    let mut flow = Flow { protocol: Some(&modbus::PROTOCOL), ..Flow::new(&engine) };
    assert_eq!(
        [flow.packet(6, b"a", ToServer), flow.packet(6, b"a", ToServer)],
        [[3], [3]],
        "the state of a flow changes"
    );
    let mut flow = Flow { protocol: Some(&dnp3::PROTOCOL), ..Flow::new(&engine) };
    assert_eq!(flow.packet(6, b"a", ToClient), [1]);
}

#[test]
fn a_header_with_a_protocol_alone_is_about_every_packet_of_its_flows() {
    assert_eq!(speaks("modbus any any -> any any (sid:1;)"), [0, 0, 0, 0, 1, 1]);
    let engine = engine("alert modbus any any -> any any (sid:1;)");
    let mut flow = Flow { protocol: Some(&modbus::PROTOCOL), ..Flow::new(&engine) };
    assert_eq!([flow.packet(6, b"", ToServer), flow.packet(6, b"", ToServer)], [[1], [1]]);
}
