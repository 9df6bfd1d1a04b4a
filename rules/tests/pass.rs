//! What pass rules reach.

mod common;

use common::{Flow, Talk, engine, modbus};
use vigia_parsers::Direction::{ToClient, ToServer};
use vigia_parsers::ot::modbus::PROTOCOL as MODBUS;

const NONE: [u32; 0] = [];
const READ: &[u8] = &[3, 0, 10, 0, 2];
const WRITE: &[u8] = &[5, 0, 99, 0xff, 0];
/// Rules on a message, on stream bytes and on the packet.
const ALERTS: &str = "alert modbus any any -> any any (modbus.function:1-9; sid:11;)\n\
                      alert tcp any any -> any any (content:\"bytes\"; sid:12;)\n\
                      alert tcp any any -> any any (dsize:>0; sid:13;)\n";

/// What is raised by a packet with this message, and by a later one, as the sensor shows them: each as message, stream bytes
/// and packet.
fn raised(pass: &str, messages: [&[u8]; 2]) -> [Vec<u32>; 2] {
    let engine = engine(&format!("{pass}\n{ALERTS}"));
    let mut talk = Talk::new(&engine, &MODBUS);
    let mut number = 0;
    messages.map(|message| {
        number += 1;
        talk.flow.number = u64::from(number);
        let asked = talk.ask(&modbus(number, message));
        let flow = &mut talk.flow;
        [asked, flow.stream(b"bytes", ToServer), flow.packet(6, b"bytes", ToServer)].concat()
    })
}

#[test]
fn a_pass_rule_on_packets_passes_all_that_the_packet_completes() {
    let all = vec![11, 12, 13];
    assert_eq!(raised("", [READ, WRITE]), [all.clone(), all.clone()]);
    assert_eq!(raised("pass tcp any any <> any 502 (sid:1;)", [READ, WRITE]), [NONE, NONE]);
    assert_eq!(raised("pass tcp any any <> any 503 (sid:1;)", [READ, WRITE]), [all.clone(), all.clone()]);
    assert_eq!(raised("pass tcp any any -> any any (flags:PA; sid:1;)", [READ, WRITE]), [NONE, NONE]);
    // One packet passes, and not the next.
    let once = "pass tcp any any -> any any (flowbits:isnotset,a; flowbits:set,a; sid:1;)";
    assert_eq!(raised(once, [READ, WRITE]), [vec![], all]);
}

#[test]
fn a_pass_rule_on_addresses_the_protocol_or_messages_passes_the_flow() {
    for pass in [
        "pass ip any any <> 10.0.0.1 any (sid:1;)",
        "pass tcp !10.0.0.1 any -> any any (sid:1;)",
        "pass tcp any any -> any any (app-layer-protocol:modbus; sid:1;)",
        "pass modbus any any -> any any (sid:1;)",
        "pass modbus any any -> any any (modbus: function 3; sid:1;)",
        "pass:flow tcp any any -> any any (flowbits:isnotset,a; flowbits:set,a; sid:1;)",
    ] {
        assert_eq!(raised(pass, [READ, WRITE]), [NONE, NONE], "{pass}");
    }
}

#[test]
fn a_pass_rule_on_bytes_passes_the_flow_of_tcp_and_the_packet_of_others() {
    let rules = "pass ip any any -> any any (content:\"pass\"; startswith; sid:1;)\n\
                 alert ip any any -> any any (content:\"bytes\"; sid:2;)\n";
    let engine = engine(rules);
    for (ip_protocol, later) in [(6, vec![]), (17, vec![2])] {
        let mut flow = Flow::new(&engine);
        assert_eq!(flow.packet(ip_protocol, b"pass bytes", ToServer), NONE);
        let found =
            if ip_protocol == 6 { flow.stream(b"bytes", ToClient) } else { flow.packet(17, b"bytes", ToClient) };
        assert_eq!(found, later, "{ip_protocol}");
    }
    // It is found in the packet, before the stream bytes that this completes are reported.
    let engine = common::engine(
        "pass tcp any any -> any any (content:\"a pack\"; startswith; sid:1;)\n\
                                 alert tcp any any -> any any (content:\"bytes\"; sid:2;)\n",
    );
    let mut flow = Flow { number: 1, ..Flow::new(&engine) };
    assert_eq!(flow.stream(b"bytes", ToServer), NONE);
}

#[test]
fn an_action_may_say_how_far_it_reaches() {
    let all = vec![11, 12, 13];
    let transaction = "pass:tx modbus any any -> any any (modbus: function 3; sid:1;)";
    assert_eq!(raised(transaction, [READ, WRITE]), [vec![12, 13], all.clone()]);
    let packet = "pass:packet modbus any any -> any any (modbus: function 3; sid:1;)";
    assert_eq!(raised(packet, [READ, WRITE]), [NONE.to_vec(), all.clone()]);
    let engine = engine(&format!("{transaction}\n{ALERTS}"));
    let mut talk = Talk::new(&engine, &MODBUS);
    assert_eq!(talk.ask(&modbus(1, READ)), NONE);
    assert_eq!(talk.answer(&modbus(1, &[3, 4, 0, 1, 0, 2])), NONE);
    assert_eq!(talk.ask(&modbus(2, WRITE)), [11]);
}

#[test]
fn a_pass_rule_reports_when_it_says_so() {
    let pass = "pass modbus any any -> any any (modbus: function 3; alert; sid:1;)";
    assert_eq!(raised(pass, [READ, WRITE]), [vec![1], vec![]]);
    // Once for each packet, whatever of it is inspected.
    assert_eq!(raised("pass tcp any any -> any 502 (alert; sid:1;)", [READ, WRITE]), [[1], [1]]);
    assert_eq!(raised("pass tcp any any -> any any (alert; sid:1;)", [READ, WRITE]), [vec![1], vec![]]);
}
