use std::collections::HashMap;

use proptest::prelude::*;

use super::super::testing::*;
use super::super::{FlowState, Reassembler, TcpState, tcp as stream};
use super::*;
use Direction::{ToClient, ToServer};

const CLIENT: (&str, u16) = ("10.0.0.1", 40000);
const SERVER: (&str, u16) = ("10.0.0.2", 502);

/// A table with the TCP work that the pipeline does between lookup and settle.
struct Rig {
    table: FlowTable,
    reassembler: Reassembler,
}

struct Deaf;

impl stream::Deliver for Deaf {
    fn data(&mut self, _: Direction, _: &[u8]) {}
    fn gap(&mut self, _: Direction, _: u64) {}
    fn event(&mut self, _: Direction, _: stream::StreamEvent) {}
}

impl Rig {
    fn with(settings: Settings) -> Self {
        Self { table: FlowTable::new(&settings), reassembler: Reassembler::new(&Default::default()) }
    }

    fn new() -> Self {
        Self::with(Settings::default())
    }

    fn push(&mut self, frame: &Frame) -> Found {
        let packet = frame.packet();
        let found = self.table.lookup(&packet).expect("it is IP");
        if let Transport::Tcp(tcp) = packet.transport {
            let flow = self.table.get_mut(found.id);
            let (now, payload) = (packet.timestamp, packet.payload());
            self.reassembler.push(&mut flow.tcp, &tcp, payload, found.direction, now, &mut Deaf);
        }
        self.table.settle(found.id);
        found
    }

    fn advance(&mut self, seconds: u64) -> Vec<EndedFlow> {
        let mut ended = Vec::new();
        self.table.advance(Timestamp::new(seconds, 0), &mut |flow| ended.push(flow));
        ended
    }

    fn handshake(&mut self, client: (&str, u16), second: u64) {
        self.push(&tcp(client, SERVER, Tcp::SYN, 0, 0, b"").at_s(second));
        self.push(&tcp(SERVER, client, Tcp::SYN | Tcp::ACK, 0, 1, b"").at_s(second));
        self.push(&tcp(client, SERVER, Tcp::ACK, 1, 1, b"").at_s(second));
    }
}

fn there() -> Frame {
    udp(CLIENT, SERVER, b"ask")
}

fn back() -> Frame {
    udp(SERVER, CLIENT, b"answer")
}

#[test]
fn both_directions_are_one_flow_and_counted_apart() {
    let mut rig = Rig::new();
    let first = rig.push(&there());
    let second = rig.push(&back());
    assert!(first.created && !second.created);
    assert_eq!((first.id, first.direction, second.direction), (second.id, ToServer, ToClient));
    let flow = rig.table.get(first.id);
    assert_eq!((flow.packets, flow.bytes), ([1, 1], [45, 48]));
    assert_eq!(flow.client(), ("10.0.0.1".parse().unwrap(), 40000));
    assert_eq!((flow.state(), flow.ip_protocol()), (FlowState::Established, 17));
}

#[test]
fn a_flow_seen_from_the_answer_on_has_its_client_all_the_same_and_can_be_reversed() {
    let mut rig = Rig::new();
    let found = rig.push(&back());
    assert_eq!(found.direction, ToClient);
    let flow = rig.table.get_mut(found.id);
    flow.reverse();
    assert_eq!((flow.client().1, flow.packets), (502, [1, 0]));
    assert_eq!(rig.push(&there()).direction, ToClient);
}

#[test]
fn a_connection_picked_up_midstream_has_the_roles_of_the_handshake_before() {
    let server = ("10.0.0.2", 50000);
    let answer = |port| tcp(server, ("10.0.0.1", port), Tcp::ACK, 5, 5, b"answer");
    let mut rig = Rig::new();
    assert_eq!(rig.push(&answer(40000)).direction, ToServer, "ports alone would mislead");
    rig.push(&tcp(("10.0.0.1", 40001), server, Tcp::SYN, 0, 0, b""));
    rig.push(&tcp(server, ("10.0.0.1", 40001), Tcp::SYN | Tcp::ACK, 0, 1, b""));
    assert_eq!(rig.push(&answer(40002)).direction, ToClient);
    assert_eq!(rig.table.stats().servers, 1);
}

#[test]
fn a_tap_may_tag_one_direction_or_each_with_another_vlan() {
    for (one, other) in [(&[100][..], &[][..]), (&[100], &[200]), (&[], &[7]), (&[30, 7], &[30, 8])] {
        let mut rig = Rig::new();
        let ids =
            [there().vlan(one), back().vlan(other), there().vlan(one), back().vlan(other)].map(|f| rig.push(&f).id);
        assert_eq!(rig.table.stats().active, 1, "{one:?} {other:?}");
        assert_eq!(rig.table.get(ids[0]).vlans().ids(), one);
    }
}

#[test]
fn the_same_addresses_in_two_vlans_are_two_flows() {
    let mut rig = Rig::new();
    let one = rig.push(&there().vlan(&[1])).id;
    let two = rig.push(&there().vlan(&[2])).id;
    assert_ne!(one, two);
    assert_ne!(rig.table.get(one).id(), rig.table.get(two).id());
    assert_eq!(rig.push(&back().vlan(&[2])).id, two);
    assert_eq!(rig.push(&back().vlan(&[1])).id, one);
    assert_eq!(rig.push(&there().vlan(&[2])).id, two);
}

#[test]
fn strict_tells_vlans_of_directions_apart_and_ignore_none() {
    let count = |vlan| {
        let mut rig = Rig::with(Settings { vlan, ..Settings::default() });
        [there().vlan(&[1]), back().vlan(&[2]), back().vlan(&[1]), there().vlan(&[])].iter().for_each(|f| {
            rig.push(f);
        });
        rig.table.stats().active
    };
    assert_eq!(count(VlanMode::Strict), 3);
    assert_eq!(count(VlanMode::Ignore), 1);
}

#[test]
fn vlans_made_up_without_end_do_not_make_lookups_long() {
    let mut rig = Rig::new();
    (0..4000).for_each(|id| {
        rig.push(&there().vlan(&[id]));
    });
    let stats = rig.table.stats();
    assert_eq!((stats.active, stats.vlan_limited), (SAME_TUPLE as u64, 4000 - SAME_TUPLE as u64));
}

#[test]
fn idle_flows_end_after_the_timeout_of_their_state() {
    let mut rig = Rig::new();
    rig.push(&there().at_s(100));
    rig.push(&icmp("10.0.0.1", "10.0.0.2", 8, 0, 1).at_s(100));
    rig.push(&udp(("10.0.0.1", 1), SERVER, b"").at_s(100));
    rig.push(&udp(SERVER, ("10.0.0.1", 1), b"").at_s(100));
    rig.handshake(("10.0.0.1", 2), 100);
    rig.push(&tcp(("10.0.0.1", 3), SERVER, Tcp::SYN, 0, 0, b"").at_s(100));
    rig.handshake(("10.0.0.1", 4), 100);
    rig.push(&tcp(("10.0.0.1", 4), SERVER, Tcp::RST, 1, 0, b"").at_s(100));
    assert_eq!(rig.advance(130).len(), 0);
    assert_eq!(rig.advance(131).len(), 2);
    assert_eq!(rig.advance(160).len(), 0);
    let closed = rig.advance(161);
    assert_eq!(closed.len(), 2);
    let closed = closed.iter().find(|ended| ended.flow.tcp.state() == TcpState::Closed).expect("the closed one");
    assert_eq!((closed.reason, closed.at), (EndReason::Timeout, Timestamp::new(160, 0)));
    assert_eq!(rig.advance(401).len(), 1);
    assert_eq!(rig.advance(3_701).len(), 1);
    assert_eq!(rig.table.stats().active, 0);
}

#[test]
fn at_the_end_a_flow_that_was_over_has_timed_out() {
    let mut rig = Rig::new();
    rig.push(&there().at_s(100));
    rig.push(&udp(("10.9.9.9", 1), SERVER, b"").at_s(125));
    let mut ended = Vec::new();
    rig.table.finish(Timestamp::new(131, 0), &mut |flow| ended.push((flow.reason, flow.at)));
    assert_eq!(ended, [(EndReason::Timeout, Timestamp::new(130, 0)), (EndReason::Shutdown, Timestamp::new(125, 0))]);
}

#[test]
fn a_packet_after_the_timeout_is_of_a_new_flow_whether_or_not_the_table_noticed() {
    let mut rig = Rig::new();
    let old = rig.push(&there().at_s(100));
    let old = rig.table.get(old.id).id();
    let found = rig.push(&there().at_s(131));
    let replaced = found.replaced.expect("the old flow");
    assert_eq!((replaced.flow.id(), replaced.reason, replaced.at), (old, EndReason::Timeout, Timestamp::new(130, 0)));
    assert!(found.created);
    assert_ne!(rig.table.get(found.id).id(), old);
}

#[test]
fn time_that_steps_back_neither_ends_flows_nor_blocks_those_behind() {
    let mut rig = Rig::new();
    rig.push(&there().at_s(1_000_000));
    assert!(!rig.push(&back().at_s(1_000)).created);
    rig.push(&udp(("10.9.9.9", 1), SERVER, b"").at_s(1_000_000));
    (0..10).for_each(|n| {
        rig.push(&udp(("10.0.0.3", n), SERVER, b"").at_s(1_000));
    });
    let ended: usize = (0..3).map(|_| rig.advance(1_100).len()).sum();
    assert_eq!(ended, 10);
}

#[test]
fn long_flows_are_reported_in_between() {
    let mut rig = Rig::new();
    let interim: Vec<u64> =
        (0..1000).step_by(20).filter(|&second| rig.push(&there().at_s(5_000 + second)).interim).collect();
    assert_eq!(interim, [300, 600, 900]);
    let mut rig = Rig::with(Settings { interim_s: 0, ..Settings::default() });
    assert!((0..1000).step_by(20).all(|second| !rig.push(&there().at_s(second)).interim));
}

#[test]
fn a_new_connection_on_the_same_ports_is_a_new_flow() {
    let mut rig = Rig::new();
    rig.handshake(CLIENT, 100);
    rig.push(&tcp(CLIENT, SERVER, Tcp::RST, 1, 0, b"").at_s(101));
    let found = rig.push(&tcp(CLIENT, SERVER, Tcp::SYN, 77, 0, b"").at_s(102));
    assert_eq!(found.replaced.expect("the closed one").reason, EndReason::TcpReuse);
    assert_eq!(rig.table.get(found.id).tcp.state(), TcpState::SynSent);
    assert_eq!(rig.table.stats().reused, 1);
}

#[test]
fn a_full_table_gives_up_the_least_useful_flow_and_ot_last() {
    let mut rig = Rig::with(Settings { max_flows: 5, ..Settings::default() });
    // An OT flow that is idle longest; an IT flow; another one; an unanswered one; a closed one.
    rig.handshake(("10.0.0.1", 1), 100);
    let ot = rig.push(&tcp(("10.0.0.1", 1), SERVER, Tcp::ACK, 1, 1, b"x").at_s(100)).id;
    rig.table.get_mut(ot).protocol = vigia_parsers::registry::PROTOCOLS.iter().copied().find(|protocol| protocol.ot);
    rig.table.settle(ot);
    rig.handshake(("10.0.0.1", 2), 101);
    rig.handshake(("10.0.0.1", 3), 102);
    rig.push(&there().at_s(103));
    rig.handshake(("10.0.0.1", 4), 104);
    rig.push(&tcp(("10.0.0.1", 4), SERVER, Tcp::RST, 1, 0, b"").at_s(104));
    // Use of the second one makes the third the one that is idle longest.
    rig.push(&tcp(("10.0.0.1", 2), SERVER, Tcp::ACK, 1, 1, b"").at_s(105));
    let mut gone = Vec::new();
    for n in 0..4 {
        // Answered flows, so that they are more useful than those without an answer.
        rig.handshake(("10.0.1.1", 100 + n), 110 + u64::from(n));
    }
    rig.table.finish(Timestamp::new(115, 0), &mut |ended| gone.push(ended.flow.client().1));
    gone.sort_unstable();
    assert_eq!(gone, [1, 100, 101, 102, 103], "closed, unanswered, 3 and 2 went; the OT flow stayed");
    let stats = rig.table.stats();
    assert_eq!((stats.evicted_closed, stats.evicted_new, stats.evicted_established, stats.evicted_ot), (1, 1, 2, 0));
    assert_eq!((stats.active, stats.shut_down), (0, 5));
}

#[test]
fn when_only_ot_flows_are_left_one_of_them_goes_and_is_counted() {
    let mut rig = Rig::with(Settings { max_flows: 1, ..Settings::default() });
    let id = rig.push(&there()).id;
    rig.table.get_mut(id).protocol = vigia_parsers::registry::PROTOCOLS.iter().copied().find(|protocol| protocol.ot);
    rig.table.settle(id);
    let found = rig.push(&udp(("10.0.0.9", 9), SERVER, b""));
    assert_eq!(found.replaced.expect("the OT flow").reason, EndReason::Forced);
    assert_eq!(rig.table.stats().evicted_ot, 1);
}

#[test]
fn packets_without_ip_and_fragments_have_no_flow() {
    let mut rig = Rig::new();
    let fragment = fragment("10.0.0.1", "10.0.0.2", 17, (1, 0, true), &[0; 8]);
    assert!(rig.table.lookup(&fragment.packet()).is_none());
    let mut packet = fragment.packet();
    packet.ip = None;
    assert!(rig.table.lookup(&packet).is_none());
}

#[test]
fn an_idle_tcp_flow_takes_at_most_256_bytes() {
    // An index entry of eight bytes, in shards that are at least 3/8 full once they have grown.
    let index = 8 * 8 / 3 + 1;
    assert!(size_of::<Flow>() + index <= 256, "{} + {index}", size_of::<Flow>());
    let mut rig = Rig::new();
    let empty = rig.table.stats().memory_bytes;
    assert!(empty < 64 * 1024, "{empty}");
    for n in 0..50_000u32 {
        let client = format!("10.1.{}.{}", n >> 8 & 255, n & 255);
        rig.handshake((&client, 1000 + (n >> 16) as u16), 100);
    }
    let stats = rig.table.stats();
    assert_eq!(stats.active, 50_000);
    assert!(stats.memory_bytes <= 50_000 * 256, "{} bytes a flow", stats.memory_bytes / 50_000);
}

proptest! {
    /// Flows by a map of unordered endpoint pairs, with the timeouts of UDP.
    #[test]
    fn the_table_agrees_with_a_map(
        steps in proptest::collection::vec((0u8..4, 0u16..3, 0u8..4, 0u16..3, 0u64..40, any::<bool>()), 1..200),
    ) {
        #[derive(Default)]
        struct Model { packets: [u64; 2], last: u64 }
        let mut rig = Rig::new();
        let mut model: HashMap<[(u8, u16); 2], Model> = HashMap::new();
        let (mut now, mut over) = (1_000, 0);
        for (a, a_port, b, b_port, wait, advance) in steps {
            now += wait;
            let (source, destination) = ((a, a_port), (b, b_port));
            let [low, high] = if source <= destination { [source, destination] } else { [destination, source] };
            let flow = model.entry([low, high]).or_default();
            let answered = flow.packets[0] > 0 && flow.packets[1] > 0;
            let timeout = if answered { 300 } else { 30 };
            let fresh = flow.packets == [0, 0] || now - flow.last > timeout;
            if fresh {
                over += u64::from(flow.packets != [0, 0]);
                *flow = Model::default();
            }
            flow.packets[usize::from(source != low)] += 1;
            flow.last = now;
            if advance { rig.advance(now); }
            let (a, b) = (format!("10.0.0.{a}"), format!("10.0.0.{b}"));
            let found = rig.push(&udp((&a, a_port), (&b, b_port), b"x").at_s(now));
            prop_assert_eq!(found.created, fresh);
            let got = rig.table.get(found.id);
            let mut packets = [got.packets[0], got.packets[1]];
            let mut expected = flow.packets;
            packets.sort_unstable();
            expected.sort_unstable();
            prop_assert_eq!(packets, expected);
        }
        let mut ended = 0;
        rig.table.finish(Timestamp::default(), &mut |_| ended += 1);
        let stats = rig.table.stats();
        prop_assert_eq!(ended + stats.timed_out, model.len() as u64 + over);
        prop_assert_eq!(stats.created, ended + stats.timed_out);
        prop_assert_eq!(stats.active, 0);
    }
}
