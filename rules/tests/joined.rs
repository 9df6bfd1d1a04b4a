//! Rules on request and response: `=>`.

mod common;

use common::{Talk, engine, modbus};
use vigia_parsers::Direction;
use vigia_parsers::Direction::{ToClient, ToServer};
use vigia_parsers::ot::modbus::PROTOCOL as MODBUS;

const NONE: [u32; 0] = [];
const WRITE: &[u8] = &[5, 0, 99, 0xff, 0];
const READ: &[u8] = &[3, 0, 10, 0, 2];
const REFUSED: &[u8] = &[0x85, 2];

/// What a rule says of messages: transaction, direction, PDU.
fn says(rule: &str, said: &[(u16, Direction, &[u8])]) -> Vec<bool> {
    let engine = engine(rule);
    let mut talk = Talk::new(&engine, &MODBUS);
    said.iter()
        .map(|&(transaction, direction, pdu)| !talk.say(direction, &modbus(transaction, pdu)).is_empty())
        .collect()
}

#[test]
fn request_and_response_of_a_transaction_fulfil_a_rule_together() {
    let rule = "alert modbus any any => any any (modbus: function 5; modbus.exception_code:2; sid:1;)";
    assert_eq!(says(rule, &[(1, ToServer, WRITE), (1, ToClient, REFUSED)]), [false, true]);
    assert_eq!(says(rule, &[(1, ToServer, READ), (1, ToClient, &[0x83, 2])]), [false, false]);
    assert_eq!(says(rule, &[(1, ToServer, WRITE), (1, ToClient, WRITE)]), [false, false]);
    // Each transaction for itself, whatever comes between, and once.
    let both = [
        (1, ToServer, WRITE),
        (2, ToServer, WRITE),
        (3, ToServer, READ),
        (2, ToClient, REFUSED),
        (1, ToClient, REFUSED),
    ];
    assert_eq!(says(rule, &both), [false, false, false, true, true]);
    let directed = rule.replace("=>", "->");
    assert_eq!(says(&directed, &[(1, ToServer, WRITE), (1, ToClient, REFUSED)]), [false, false]);
}

#[test]
fn bytes_and_numbers_of_either_side_find_a_rule_on_both() {
    let rule = "alert modbus 10.0.0.10 any => 10.0.0.1 502 (modbus.data; content:\"|00 63|\"; modbus.exception_code:2; sid:1;)";
    assert_eq!(says(rule, &[(1, ToServer, WRITE), (1, ToClient, REFUSED)]), [false, true]);
    let rule = "alert modbus 10.0.0.1 any => 10.0.0.10 any (modbus: function 5; modbus.exception_code:2; sid:1;)";
    assert_eq!(says(rule, &[(1, ToServer, WRITE), (1, ToClient, REFUSED)]), [false, false], "the other way round");
}

#[test]
fn what_one_side_fulfils_alone_is_told_at_its_message() {
    let rule = "alert modbus any any => any any (modbus.function:5; modbus.data; content:\"|00 63|\"; sid:1;)";
    assert_eq!(says(rule, &[(1, ToServer, WRITE), (1, ToClient, WRITE)]), [true, false]);
    let directed =
        "alert modbus any any => any any (flow:to_client; modbus: function 5; modbus.exception_code:2; sid:1;)";
    assert_eq!(says(directed, &[(1, ToServer, WRITE), (1, ToClient, REFUSED)]), [false, false]);
}

#[test]
fn what_is_absent_is_absent_from_both_sides() {
    let rule = "alert modbus any any => any any (modbus.server_id; absent; modbus.exception_code:2; sid:1;)";
    let engine = common::compile(rule);
    assert_eq!(engine.failed, 0, "{:?}", engine.diagnostics);
    let mut talk = Talk::new(&engine.engine, &MODBUS);
    assert_eq!(talk.ask(&modbus(1, WRITE)), NONE);
    assert_eq!(talk.answer(&modbus(1, REFUSED)), [1]);
    let rule = "alert modbus any any => any any (modbus.data; absent; modbus.exception_code:2; sid:1;)";
    assert_eq!(says(rule, &[(1, ToServer, WRITE), (1, ToClient, REFUSED)]), [false, false]);
}
