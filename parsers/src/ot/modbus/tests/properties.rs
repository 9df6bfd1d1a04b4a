//! What holds for any bytes, any conversation and any values.

use proptest::prelude::*;

use super::*;

/// Any direction.
fn directions() -> impl Strategy<Value = Direction> {
    prop_oneof![Just(ToServer), Just(ToClient)]
}

/// Bytes that often get as far as the functions: an MBAP header or checksum that is right, any PDU.
fn messages() -> impl Strategy<Value = Vec<u8>> {
    let pdu = (prop_oneof![0u8..=25, Just(43), any::<u8>()], prop::collection::vec(any::<u8>(), 0..64));
    (any::<bool>(), 0u16..4, 0u8..3, pdu).prop_map(|(serial, transaction, unit, (function, data))| {
        let pdu = crate::testing::hex(&[&[function], &data[..]].concat());
        if serial { frame(unit, &pdu) } else { mbap(transaction, unit, &pdu) }
    })
}

fn probe_and_frame(protocol: &Protocol, input: &[u8], direction: Direction) {
    (protocol.probe)(input, direction);
    match (protocol.frame)(input, direction) {
        Frame::Whole(n) => assert!((1..=input.len()).contains(&n) && n <= protocol.longest_message),
        Frame::Need(n) => assert!(n > input.len() && n <= protocol.longest_message),
        Frame::Long { .. } => panic!("this protocol has no such messages"),
        Frame::Not => {}
    }
}

proptest! {
    #[test]
    fn no_bytes_panic(input in prop::collection::vec(any::<u8>(), 0..300), direction in directions()) {
        for (protocol, transport) in [(&PROTOCOL, Transport::Mbap), (&RTU, Transport::Rtu)] {
            probe_and_frame(protocol, &input, direction);
            Session::new(transport).send(direction, &input).finish();
        }
    }

    #[test]
    fn no_conversation_panics_and_each_transaction_is_logged_once(
        said in prop::collection::vec((directions(), messages(), 0u64..200), 0..80),
        datagram in any::<bool>(),
    ) {
        for (protocol, transport) in [(&PROTOCOL, Transport::Mbap), (&RTU, Transport::Rtu)] {
            let mut session = Session { datagram, ..Session::new(transport) };
            for (direction, message, wait) in &said {
                probe_and_frame(protocol, message, *direction);
                session.now += wait;
                session.send(*direction, message);
            }
            session.finish();
            let mut heard: Vec<_> = session.sink.messages.iter().map(|message| message.transaction).collect();
            heard.sort_unstable();
            heard.dedup();
            let mut logged = session.logged();
            logged.sort_unstable();
            prop_assert_eq!(heard, logged);
            let known = |anomaly: &Anomaly| PROTOCOL.anomalies.iter().any(|kind| kind.name == anomaly.kind);
            prop_assert!(session.sink.messages.iter().flat_map(|message| &message.anomalies).all(known));
            prop_assert!(session.sink.anomalies.iter().all(known));
        }
    }

    #[test]
    fn what_is_built_is_what_is_read(
        transaction in any::<u16>(),
        unit in 1u8..=247,
        function in prop_oneof![1u8..=6, 15u8..=16],
        address in 0u16..60_000,
        values in prop::collection::vec(any::<u16>(), 1..=120),
    ) {
        let is_bits = matches!(function, 1 | 2 | 5 | 15);
        let single = matches!(function, 5 | 6);
        let values: Vec<u16> = values.iter().map(|v| if is_bits { v & 1 } else { *v }).take(if single { 1 } else { 120 }).collect();
        let mut packed: Vec<u8> = if is_bits {
            values.chunks(8).map(|c| c.iter().rev().fold(0, |byte, bit| byte << 1 | *bit as u8)).collect()
        } else {
            values.iter().flat_map(|value| value.to_be_bytes()).collect()
        };
        let count = packed.len() as u8;
        let quantity = values.len() as u16;
        let mut request = [&[function], &address.to_be_bytes()[..]].concat();
        let mut response = request.clone();
        match function {
            1..=4 => {
                request.extend(quantity.to_be_bytes());
                response = vec![function, count];
                response.append(&mut packed);
            }
            5 => {
                request.extend([if values[0] == 1 { 0xff } else { 0 }, 0]);
                response.clone_from(&request);
            }
            6 => {
                request.append(&mut packed);
                response.clone_from(&request);
            }
            _ => {
                request.extend(quantity.to_be_bytes());
                response.clone_from(&request);
                request.push(count);
                request.append(&mut packed);
            }
        }
        let expected = values.iter().map(u16::to_string).collect::<Vec<_>>().join(" ");
        for transport in [Transport::Mbap, Transport::Rtu] {
            let mut session = Session::new(transport);
            for (direction, pdu) in [(ToServer, &request), (ToClient, &response)] {
                let pdu = crate::testing::hex(pdu);
                let (protocol, message) = match transport {
                    Transport::Mbap => (&PROTOCOL, mbap(transaction, unit, &pdu)),
                    Transport::Rtu => (&RTU, frame(unit, &pdu)),
                };
                prop_assert_eq!((protocol.frame)(&message, direction), Frame::Whole(message.len()));
                session.send(direction, &message);
            }
            let carrier = if function <= 4 { &session.sink.messages[1] } else { &session.sink.messages[0] };
            prop_assert_eq!(carrier.field("value"), &expected[..]);
            for heard in &session.sink.messages {
                prop_assert_eq!(heard.field("function"), function.to_string());
                prop_assert_eq!(heard.field("unit_id"), unit.to_string());
                prop_assert_eq!(heard.field("address"), address.to_string());
                prop_assert_eq!(heard.field("quantity"), quantity.to_string());
                prop_assert!(heard.anomalies.is_empty());
            }
        }
    }
}
