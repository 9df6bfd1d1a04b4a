//! What holds for any bytes and any conversation.

use proptest::prelude::*;

use super::*;
use crate::dissector::Frame;

fn directions() -> impl Strategy<Value = Direction> {
    prop_oneof![Just(ToServer), Just(ToClient)]
}

/// PDUs that often get as far as items, blocks and lists.
fn pdus() -> impl Strategy<Value = Vec<u8>> {
    let kinds = prop_oneof![Just(1u8), Just(2), Just(3), Just(7), any::<u8>()];
    let functions = prop_oneof![Just(4u8), Just(5), 0x1au8..=0x1f, 0x28u8..=0x29, Just(0xf0), any::<u8>()];
    let bytes = || prop::collection::vec(prop_oneof![Just(0x12u8), Just(0), Just(0xff), any::<u8>()], 0..48);
    let plus = (prop_oneof![1u8..=3, any::<u8>()], prop_oneof![0x31u8..=0x33, any::<u8>()], bytes(), any::<bool>());
    prop_oneof![
        (kinds.clone(), 0u16..4, functions, bytes(), bytes()).prop_map(|(kind, reference, function, rest, data)| {
            let parameter = [&[function], &rest[..]].concat();
            let error = if kind == 2 || kind == 3 { "0000" } else { "" };
            pdu(kind, reference, error, &crate::testing::hex(&parameter), &crate::testing::hex(&data))
        }),
        (any::<u8>(), any::<u8>(), 0u8..3, 0u8..2, bytes()).prop_map(|(what, subfunction, sequence, more, payload)| {
            let parameter = format!("000112 08 12 {what:02x} {subfunction:02x} {sequence:02x} 01 {more:02x} 0000");
            let data = format!("ff09{:04x}{}", payload.len(), crate::testing::hex(&payload));
            pdu(7, u16::from(sequence), "", &parameter, &data)
        }),
        plus.prop_map(|(version, opcode, rest, trailer)| {
            let mut plus = vec![0x72, version, 0, rest.len() as u8 + 1, opcode];
            plus.extend(rest);
            if trailer {
                plus.extend([0x72, version, 0, 0]);
            }
            plus
        }),
    ]
}

proptest! {
    #[test]
    fn no_bytes_panic(input in prop::collection::vec(any::<u8>(), 0..200), direction in directions()) {
        let _ = (PROTOCOL.probe)(&input, direction);
        match (PROTOCOL.frame)(&input, direction) {
            Frame::Whole(n) => prop_assert!((1..=input.len()).contains(&n)),
            Frame::Need(n) => prop_assert!(n > input.len() && n <= PROTOCOL.longest_message),
            Frame::Long { .. } => prop_assert!(false, "this protocol has no such messages"),
                Frame::Not => {}
        }
        Session::new().packet(direction, &input).finish();
        Session::new().packet(direction, &packet(&input, true)).finish();
    }

    /// Whatever is said, each message on the wire is heard at most once, every transaction is logged exactly once, what is
    /// kept stays within its bounds, and no anomaly has a name or a place that there is not.
    #[test]
    fn no_conversation_panics_and_each_transaction_is_logged_once(
        said in prop::collection::vec((directions(), pdus(), any::<bool>(), 0u8..12), 0..60),
    ) {
        let limits = Limits { requests: 4, request_bytes: 300, joined_bytes: 200, ..Limits::DEFAULT };
        let mut session = Session::within(&limits);
        for (direction, pdu, end, what) in &said {
            if *what == 0 {
                session.state.gap(*direction);
            }
            let heard = session.sink.messages.len();
            let packet = packet(pdu, *end);
            session.packet(*direction, &packet);
            for message in &session.sink.messages[heard..] {
                prop_assert!(message.anomalies.iter().all(|anomaly| anomaly.offset <= packet.len()));
                let known = |anomaly: &crate::Anomaly| message.protocol.anomalies.iter().any(|kind| kind.name == anomaly.kind);
                prop_assert!(message.anomalies.iter().all(known));
            }
            prop_assert!(session.sink.messages.len() <= heard + 1);
            let kept = session.state.kept();
            prop_assert!(kept.requests <= 4 && kept.request_bytes <= 300 && kept.joined_bytes <= 400);
        }
        session.finish();
        let mut heard: Vec<_> = session.sink.messages.iter().map(|message| message.transaction).collect();
        heard.sort_unstable();
        heard.dedup();
        let mut logged: Vec<_> = session.sink.transactions.iter().map(|message| message.transaction).collect();
        logged.sort_unstable();
        prop_assert_eq!(heard, logged);
        let known = |anomaly: &crate::Anomaly| PROTOCOL.anomalies.iter().any(|kind| kind.name == anomaly.kind);
        prop_assert!(session.sink.anomalies.iter().all(known));
    }

    /// An address is written the same, however it is cut into TPDUs.
    #[test]
    fn what_is_encoded_is_read(db in any::<u16>(), byte in 0u32..65_536, bit in 0u32..8, size in 1usize..40) {
        let mut session = Session::new();
        session.send(ToServer, "03000016 11 e0 0000 0007 00 c1020100 c2020102 c0010a");
        let address = byte << 3 | bit;
        let job = pdu(1, 5, "", &format!("04 01 120a10 01 0001 {db:04x} 84 {address:06x}"), "");
        let count = job.chunks(size).count();
        for (at, part) in job.chunks(size).enumerate() {
            session.packet(ToServer, &packet(part, at + 1 == count));
        }
        prop_assert_eq!(&session.last().operation, &format!("read: DB{db}.DBX{byte}.{bit}"));
        prop_assert_eq!(fields(session.last(), &["db", "address", "bit"]), format!("db={db} address={byte} bit={bit}"));
    }
}
