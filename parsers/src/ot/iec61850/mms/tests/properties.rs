//! What holds for any bytes, any conversation and any values.

use proptest::prelude::*;

use super::*;

fn directions() -> impl Strategy<Value = Direction> {
    prop_oneof![Just(ToServer), Just(ToClient)]
}

/// Data units that often get as far as the arguments of a service.
fn units() -> impl Strategy<Value = Vec<u8>> {
    let body = prop::collection::vec(any::<u8>(), 0..80);
    (body, 0u8..88, 0u8..14, 0u8..6).prop_map(|(body, number, kind, form)| match form {
        0 => body,
        1 => data(&body),
        2 => data(&tlv(0xa0 | kind, &body)),
        3 => session_of(kind, &tlv(0x60 + kind % 5, &body)),
        4 => data(&response(number % 3, &service(number, true, &body))),
        _ => data(&request(number % 3, &service(number, true, &body))),
    })
}

/// Messages that are right, to be damaged.
fn samples() -> Vec<Vec<u8>> {
    let oper = write(&["LD/XCBR1$CO$Pos$Oper"], &[command(&boolean(true), false)]);
    let pdus = [
        request(1, &read(&["LD/a", "b"])),
        response(1, &results(&[integer(1), tlv(0x80, &[10])])),
        request(2, &oper),
        report(&full_report()),
        request(3, &service(72, true, &[tlv(0xa0, &tlv(0x19, b"f")), vec![0x81, 1, 0]].concat())),
        tlv(0xa2, &bytes("80 01 01 A2 0D A0 03 8B 01 07 81 01 05 82 03 616263")),
    ];
    [associate(Some("p")), accept()].into_iter().chain(pdus.iter().map(|pdu| packet(pdu))).collect()
}

fn declared(sink: &Collected) -> bool {
    let known = |anomaly: &crate::Anomaly| PROTOCOL.anomalies.iter().any(|kind| kind.name == anomaly.kind);
    sink.messages.iter().flat_map(|message| &message.anomalies).chain(&sink.anomalies).all(known)
}

proptest! {
    #[test]
    fn no_bytes_panic(input in prop::collection::vec(any::<u8>(), 0..300), direction in directions()) {
        (PROTOCOL.probe)(&input, direction);
        match (PROTOCOL.frame)(&input, direction) {
            Frame::Whole(n) => prop_assert!((1..=input.len()).contains(&n)),
            Frame::Need(n) => prop_assert!(n > input.len()),
            Frame::Long { .. } => prop_assert!(false, "this protocol has no such messages"),
                Frame::Not => {}
        }
        let mut session = Session::new();
        session.state.parse(&envelope(direction, 0), &input, &mut session.sink);
        session.finish();
        prop_assert!(declared(&session.sink));
    }

    #[test]
    fn no_conversation_panics_and_all_that_is_asked_is_logged_once(
        said in prop::collection::vec((directions(), units()), 0..40),
    ) {
        let mut session = Session::new();
        for (direction, unit) in &said {
            (PROTOCOL.probe)(&tpdu(true, unit), *direction);
            session.send(*direction, &tpdu(true, unit));
        }
        session.finish();
        prop_assert!(declared(&session.sink));
        let mut logged: Vec<_> = session.sink.transactions.iter().map(|heard| heard.transaction).collect();
        logged.sort_unstable();
        let mut told: Vec<_> = session.sink.messages.iter().map(|heard| heard.transaction).collect();
        told.sort_unstable();
        told.dedup();
        prop_assert_eq!(logged, told);
    }

    #[test]
    fn a_damaged_message_never_panics(which in 0usize..8, at: usize, value: u8) {
        let mut packet = samples().remove(which);
        let at = 7 + at % (packet.len() - 7);
        packet[at] = value;
        let mut session = Session::new();
        for direction in [ToServer, ToClient] {
            session.send(direction, &packet);
        }
        session.finish();
        prop_assert!(declared(&session.sink));
    }

    #[test]
    fn what_is_written_is_what_is_read(
        values in prop::collection::vec(any::<i32>(), 1..20),
        names in prop::collection::vec("[A-Z]{1,8}/[A-Za-z0-9$]{1,20}", 20),
    ) {
        let names: Vec<_> = names.iter().take(values.len()).map(String::as_str).collect();
        let data: Vec<_> = values.iter().map(|value| tlv(0x85, &value.to_be_bytes())).collect();
        let mut session = Session::new();
        session.ask(1, &write(&names, &data));
        let heard = session.last();
        let expected: Vec<_> = values.iter().map(|value| f64::from(*value).to_string()).collect();
        prop_assert_eq!(heard.field("value"), expected.join(" "));
        let items: Vec<_> = names.iter().map(|name| hex(name.split_once('/').unwrap().1.as_bytes())).collect();
        prop_assert_eq!(heard.field("item"), items.join(" "));
        prop_assert!(heard.anomalies.is_empty());
    }
}
