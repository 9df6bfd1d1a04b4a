//! What holds for any bytes, any conversation and any values.

use proptest::prelude::*;

use super::*;

fn directions() -> impl Strategy<Value = Direction> {
    prop_oneof![Just(ToServer), Just(ToClient)]
}

/// Bytes that often get as far as the information objects.
fn apdus() -> impl Strategy<Value = Vec<u8>> {
    let body = prop::collection::vec(any::<u8>(), 0..60);
    let head = (any::<u8>(), prop_oneof![1u8..4, 0x81u8..0x84, any::<u8>()], 0u8..50, 0u16..3, 0u16..3);
    (head, body, 0u8..4).prop_map(|((kind, structure, cause, send, common), body, format)| match format {
        0 => vec![0x68, 4, body.first().copied().unwrap_or(7), 0, 0, 0],
        _ => {
            let common = common.to_le_bytes();
            information(send, 0, &[&[kind, structure, cause, 0, common[0], common[1]], &body[..]].concat())
        }
    })
}

proptest! {
    #[test]
    fn no_bytes_panic(input in prop::collection::vec(any::<u8>(), 0..300), direction in directions()) {
        (PROTOCOL.probe)(&input, direction);
        match (PROTOCOL.frame)(&input, direction) {
            Frame::Whole(n) => prop_assert!((1..=input.len()).contains(&n) && n <= PROTOCOL.longest_message),
            Frame::Need(n) => prop_assert!(n > input.len() && n <= PROTOCOL.longest_message),
            Frame::Long { .. } => prop_assert!(false, "this protocol has no such messages"),
                Frame::Not => {}
        }
        let mut state = State::new(&Limits::DEFAULT);
        let mut sink = Collected::default();
        state.parse(&envelope(direction, 0), &input, &mut sink);
        state.expire(Timestamp::MAX, &mut sink);
    }

    #[test]
    fn no_conversation_panics_and_anomalies_are_declared(
        said in prop::collection::vec((directions(), apdus()), 0..60),
    ) {
        let mut session = Session::new();
        for (direction, apdu) in &said {
            session.send(*direction, apdu);
        }
        session.finish();
        let known = |anomaly: &crate::Anomaly| PROTOCOL.anomalies.iter().any(|kind| kind.name == anomaly.kind);
        prop_assert!(session.sink.messages.iter().flat_map(|message| &message.anomalies).all(known));
        prop_assert_eq!(session.sink.messages.len(), said.len());
    }

    #[test]
    fn what_is_built_is_what_is_read(
        values in prop::collection::vec(any::<f32>(), 1..30),
        first in 0u32..60_000,
        common in 1u16..=255,
        size in 0usize..3,
        sequence in any::<bool>(),
    ) {
        let (cause, station, object) = [(2, 2, 3), (1, 1, 2), (2, 2, 2)][size];
        let mut asdu = vec![13, u8::from(sequence) << 7 | values.len() as u8, 20];
        asdu.resize(2 + cause, 0);
        asdu.extend(&common.to_le_bytes()[..station]);
        for (at, value) in values.iter().enumerate() {
            if !sequence || at == 0 {
                asdu.extend(&(first + at as u32).to_le_bytes()[..object]);
            }
            asdu.extend(value.to_le_bytes());
            asdu.push(0);
        }
        if asdu.len() > 249 {
            return Ok(());
        }
        if size == 2 && (sequence || values.len() == 1) {
            // That suits several sizes.
            return Ok(());
        }
        let mut session = Session::new();
        session.send(ToClient, &information(0, 0, &asdu));
        let heard = session.send(ToClient, &information(1, 0, &asdu)).clone();
        let expected: Vec<_> = values.iter().map(|value| f64::from(*value).to_string()).collect();
        let addresses: Vec<_> = (0..values.len()).map(|at| (first + at as u32).to_string()).collect();
        prop_assert_eq!(heard.field("value"), expected.join(" "));
        prop_assert_eq!(heard.field("object_address"), addresses.join(" "));
        prop_assert_eq!(heard.field("common_address"), common.to_string());
        prop_assert!(heard.anomalies.is_empty());
    }
}
