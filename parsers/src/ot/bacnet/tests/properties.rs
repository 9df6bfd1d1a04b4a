//! What holds for any octets.

use proptest::prelude::*;

use super::*;

/// An application tag with its contents, as an encoder writes it (20.2.1).
fn encode(kind: u8, contents: &[u8]) -> Vec<u8> {
    let length = contents.len();
    let head = match length {
        0..=4 => vec![kind << 4 | length as u8],
        5..=253 => vec![kind << 4 | 5, length as u8],
        _ => vec![kind << 4 | 5, 254, (length >> 8) as u8, length as u8],
    };
    [head, contents.to_vec()].concat()
}

/// A value with any application tag but the boolean's, and nulls.
fn value() -> impl Strategy<Value = Vec<u8>> {
    let octets = |range: std::ops::Range<usize>| proptest::collection::vec(any::<u8>(), range);
    prop_oneof![
        octets(1..9).prop_map(|contents| encode(2, &contents)),
        octets(1..9).prop_map(|contents| encode(3, &contents)),
        any::<f32>().prop_map(|number| encode(4, &number.to_be_bytes())),
        any::<f64>().prop_map(|number| encode(5, &number.to_be_bytes())),
        octets(0..300).prop_map(|contents| encode(6, &contents)),
        octets(0..300).prop_map(|contents| encode(7, &[&[0], &contents[..]].concat())),
        octets(1..5).prop_map(|contents| encode(9, &contents)),
        any::<u32>().prop_map(|object| encode(12, &object.to_be_bytes())),
        any::<bool>().prop_map(|flag| vec![0x10 | u8::from(flag)]),
    ]
}

proptest! {
    /// No octets make it panic, and no message is longer than what it is found in.
    #[test]
    fn any_octets_are_taken(octets in proptest::collection::vec(any::<u8>(), 0..80), to_server: bool) {
        let direction = if to_server { ToServer } else { ToClient };
        (PROTOCOL.probe)(&octets, direction);
        if let Frame::Whole(length) = (PROTOCOL.frame)(&octets, direction) {
            prop_assert!((4..=octets.len()).contains(&length));
        }
        for carrier in [Carrier::Ip, Carrier::Ethernet] {
            let mut state = State::new(carrier, &Limits::DEFAULT);
            let mut sink = Collected::default();
            state.parse(&envelope(direction, 1), &octets, &mut sink);
            state.expire(Timestamp::MAX, &mut sink);
        }
    }

    /// Any parameters of any service are read to the end, and the record closes what it opens.
    #[test]
    fn any_parameters_are_taken(
        kind in 0u8..8,
        service in 0u8..36,
        parameters in proptest::collection::vec(any::<u8>(), 0..60),
        segments in proptest::collection::vec((0u8..4, any::<bool>()), 0..5),
    ) {
        let mut session = Session::new();
        let head: &[u8] = match kind {
            0 => &[0, 5, 7],
            1 => &[0x10],
            _ => &[0x20, 7],
        };
        let mut head = head.to_vec();
        head[0] = kind << 4;
        session.send(ToServer, &unicast(&[&head[..], &[service], &parameters].concat()));
        for (sequence, more) in segments {
            let first = 0x38 | u8::from(more) << 2;
            session.send(ToClient, &unicast(&[&[first, 7, sequence, 4, service], &parameters[..]].concat()));
        }
        session.finish();
    }

    /// What an encoder writes as the value of a property is read without an anomaly.
    #[test]
    fn values_of_any_type_are_sound(values in proptest::collection::vec(value(), 1..6)) {
        let apdu = [&bytes("00 05 07 0f 0c 00 80 00 01 19 55 3e")[..], &values.concat(), &[0x3f, 0x49, 16]].concat();
        let mut session = Session::new();
        let heard = session.send(ToServer, &unicast(&apdu));
        prop_assert!(heard.anomalies.is_empty(), "{:?}", heard.anomalies);
        prop_assert_eq!(heard.field("priority"), "16");
    }

    /// However an answer is divided, the joined message is the same.
    #[test]
    fn an_answer_is_the_same_however_it_is_divided(size in 8usize..700, count in 1u32..200) {
        let mut session = Session::new();
        session.apdu(ToServer, OBJECT_LIST);
        for datagram in segments(count, size) {
            session.send(ToClient, &datagram);
        }
        prop_assert_eq!(session.sink.transactions.len(), 1);
        prop_assert_eq!(session.sink.transactions[0].json.matches("analog_input").count(), count as usize);
        prop_assert!(session.sink.messages.iter().all(|heard| heard.anomalies.is_empty()));
    }
}
