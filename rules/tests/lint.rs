//! The lints: each finds what it is for, and says nothing of rules that are good.

mod common;

use common::source;
use vigia_rules::Variables;
use vigia_rules::lint::lint;

/// The codes that the lints find, with the line of each.
fn found(text: &str) -> Vec<(&'static str, usize)> {
    let found = lint(&[source(text)], &Variables::standard());
    found.iter().map(|diagnostic| (diagnostic.code, diagnostic.position().0)).collect()
}

#[track_caller]
fn check(rule: &str, expected: &[&str]) {
    let codes: Vec<&str> = found(rule).iter().map(|found| found.0).collect();
    assert_eq!(codes, expected, "{rule}");
}

#[test]
fn rules_that_nothing_is_looked_for_first_are_named() {
    check("alert tcp any any -> any any (flow:established; byte_test:1,>,3,0; sid:1;)", &["no-fast-pattern"]);
    check("alert tcp any any -> any 502 (flow:established; byte_test:1,>,3,0; sid:1;)", &[]);
    check("alert tcp any any -> any any (content:\"abcd\"; sid:1;)", &[]);
    check("alert icmp any any -> any any (itype:8; sid:1;)", &[]);
    check("alert modbus any any -> any any (modbus.function:5; sid:1;)", &[]);
    check("alert ip 10.0.0.1 any -> any any (sid:1;)", &[]);
}

#[test]
fn short_patterns_and_expressions_without_content_are_named() {
    check("alert tcp any any -> any any (content:\"ab\"; sid:1;)", &["short-pattern"]);
    check("alert tcp any any -> any 80 (content:\"ab\"; sid:1;)", &[]);
    check("alert tcp any any -> any any (pcre:\"/a+b/\"; sid:1;)", &["pcre-without-content"]);
    check("alert tcp any any -> any any (content:\"abc\"; pcre:\"/a+b/\"; sid:1;)", &[]);
}

#[test]
fn combinations_that_nothing_fulfils_are_named() {
    for rule in [
        "alert tcp any any -> any 80 (dsize:<4; content:\"abcdef\"; sid:1;)",
        "alert tcp any any -> any 80 (dsize:8; content:\"abcdef\"; offset:4; sid:1;)",
        "alert tcp any any -> any 80 (content:\"abc\"; content:!\"abc\"; sid:1;)",
        "alert icmp any any -> any 80 (itype:8; sid:1;)",
        "alert udp any any -> any 80 (flags:S; sid:1;)",
        "alert tcp any any -> any 80 (flowbits:isset,a; flowbits:isnotset,a; flowbits:set,a; content:\"abc\"; sid:1;)",
        "alert modbus any any -> any any (modbus.function:5; modbus.function:6; sid:1;)",
        "alert tcp any any -> any 80 (bsize:3; content:\"abcdef\"; sid:1;)",
    ] {
        check(rule, &["never-matches"]);
    }
    for rule in [
        "alert tcp any any -> any 80 (dsize:>4; content:\"abcdef\"; sid:1;)",
        "alert tcp any any -> any 80 (content:\"abc\"; content:!\"abc\"; distance:0; sid:1;)",
        "alert tcp any any -> any 80 (content:\"ABC\"; content:!\"abc\"; sid:1;)",
        "alert ip any any -> any any (flags:S; content:\"abc\"; sid:1;)",
        "alert modbus any any -> any any (modbus.function:5; modbus.unit_id:6; sid:1;)",
    ] {
        check(rule, &[]);
    }
}

#[test]
fn flowbits_that_only_one_side_knows_are_named() {
    let set = "alert tcp any any -> any 80 (content:\"abc\"; flowbits:set,a; flowbits:noalert; sid:1;)\n";
    let asks = "alert tcp any any -> any 80 (content:\"abd\"; flowbits:isset,a; sid:2;)\n";
    assert_eq!(found(set), [("flowbit-never-checked", 1)]);
    assert_eq!(found(asks), [("flowbit-never-set", 1)]);
    assert_eq!(found(&format!("{set}{asks}")), []);
}

#[test]
fn rules_that_another_stands_before_are_named() {
    let one = "alert tcp any any -> any 80 (msg:\"one\"; content:\"abc\"; nocase; sid:1;)\n";
    let two = "alert tcp any any -> any 80 (msg:\"two\"; content:\"abc\"; nocase; priority:1; sid:2;)\n";
    let other = "alert tcp any any -> any 80 (msg:\"two\"; content:\"abc\"; sid:3;)\n";
    assert_eq!(found(&format!("{one}{two}{other}")), [("shadowed-rule", 2)]);
    let pass = "pass tcp any any -> any 80 (content:\"abc\"; sid:9;)\n";
    assert_eq!(found(&format!("{other}{pass}")), [("shadowed-rule", 1)]);
    let narrow = "pass tcp 10.0.0.1 any -> any 80 (content:\"abc\"; sid:9;)\n";
    assert_eq!(found(&format!("{other}{narrow}")), []);
}

#[test]
fn of_rules_that_wait_for_a_dissector_only_the_marks_count() {
    let waits = "alert smtp any any -> any any (smtp.helo; content:\"a\"; flowbits:set,seen; sid:1;)\n\
                 alert smtp any any -> any any (smtp.helo; content:\"a\"; flowbits:set,seen; sid:2;)\n";
    let asks = "alert tcp any any -> any 25 (content:\"abc\"; flowbits:isset,seen; sid:3;)\n";
    assert_eq!(found(&format!("{waits}{asks}")), []);
}

#[test]
fn what_is_found_stands_where_it_says() {
    let text = "\n# remark\nalert tcp any any -> any any (content:\"good\"; sid:1;)\n\
                alert udp any any -> any any (msg:\"x\"; content:\"ab\"; sid:2;)\n";
    let found = lint(&[source(text)], &Variables::standard());
    let shown: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert_eq!(
        shown,
        ["test.rules:4:40: warning[short-pattern]: the fast pattern has 2 of at least 3 bytes \
          (look for more bytes, or name ports)"]
    );
}
