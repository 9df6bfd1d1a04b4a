//! What a person is told of a rule that is wrong.

mod common;

use proptest::prelude::*;
use vigia_rules::{Engine, Source, Variables};

#[test]
fn each_mistake_is_named_where_it_stands() {
    let compiled = common::compile(include_str!("faulty.rules"));
    let lines: Vec<String> = compiled.diagnostics.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!("faulty", lines.join("\n"));
    let loaded: Vec<u32> = compiled.engine.rules().iter().map(|rule| rule.sid).collect();
    assert_eq!(loaded, [40, 42, 44], "the rules that are right are in force");
    assert_eq!(compiled.engine.rules()[1].rev, 2, "the higher revision is in force");
    assert_eq!(compiled.skipped, 2, "one revision and one requirement");
    let rules = include_str!("faulty.rules").matches("\nalert").count() + 1;
    assert_eq!(compiled.switched_off, 2, "one of a protocol and one with a keyword that wait for their dissector");
    assert_eq!(
        compiled.failed + compiled.skipped + compiled.switched_off + loaded.len(),
        rules,
        "every rule is accounted for"
    );
}

#[test]
fn a_report_shows_the_place() {
    let compiled = common::compile("alert tcp any any -> any any (contnet:\"a\"; sid:1;)");
    let report = compiled.diagnostics[0].report();
    assert_eq!(report.to_string(), "unknown keyword `contnet`");
    assert_eq!(report.help().map(|help| help.to_string()).as_deref(), Some("did you mean `content`?"));
    let label = report.labels().into_iter().flatten().next().expect("labelled");
    assert_eq!((label.offset(), label.len()), (30, 7));
    let shown = report.source_code().expect("source").read_span(label.inner(), 0, 0).expect("readable");
    assert_eq!(shown.name(), Some("test.rules"));
    assert_eq!(shown.data(), b"contnet");
}

#[test]
fn line_ends_of_any_kind_and_comments_are_fine() {
    let one = "alert tcp any any -> any any (content:\"a\"; sid:1;)";
    let text = format!(
        "\r\n# comment\r\n   {one}\r\n\t\r\n#alert nonsense \\\r\nalert udp any any -> \\\r\n any any (\\\r\nsid:2;)"
    );
    let compiled = common::compile(&text);
    assert!(compiled.diagnostics.is_empty(), "{:?}", compiled.diagnostics[0].to_string());
    assert_eq!(compiled.engine.rules().len(), 2);
    assert_eq!(compiled.engine.rules().iter().map(|rule| rule.origin.1).collect::<Vec<_>>(), [3, 6]);
}

#[test]
fn keywords_lists_the_language_and_every_field() {
    let all = vigia_rules::keywords();
    let find = |name: &str| all.iter().find(|keyword| keyword.name == name);
    assert_eq!(find("content").map(|keyword| keyword.takes), Some("value"));
    let function = find("modbus.function").expect("listed");
    assert!(function.names.contains(&(5, "write_single_coil")));
    let mut names: Vec<&str> = all.iter().map(|keyword| keyword.name.as_str()).collect();
    names.sort_unstable();
    let count = names.len();
    names.dedup();
    assert_eq!(names.len(), count, "no keyword is listed twice");
}

#[test]
fn what_waits_or_is_for_other_versions_is_no_mistake() {
    for options in [
        "filestore;",
        "filestore:request,file;",
        "uricontent:\"this\"; uricontent:\"is\"; within:6;",
        "http.connection:to_client; content:\"a\";",
        "requires: later thing; unheard.of:1;",
    ] {
        let compiled = common::compile(&format!("alert ip any any => any any ({options} sid:1;)"));
        let codes: Vec<_> = compiled.diagnostics.iter().map(|it| it.code).collect();
        assert!(compiled.failed == 0 && compiled.skipped + compiled.switched_off == 1, "{options}: {codes:?}");
    }
}

#[test]
fn what_an_expression_captures_has_a_group_and_a_place() {
    for (option, message) in [
        ("pcre:\"/id=\\d+/, flow:id\"", "the expression has no group for `id`"),
        ("pcre:\"/id=(\\d+)/, host:id\"", "`host:id` is not where to keep a value"),
        ("flowvar:id", "this is not a test of a captured value"),
    ] {
        let compiled = common::compile(&format!("alert tcp any any -> any any ({option}; content:\"id\"; sid:1;)"));
        let found: Vec<_> = compiled.diagnostics.iter().map(|it| it.message.to_string()).collect();
        assert_eq!(found, [message], "{option}");
    }
}

/// Pieces that rules are made of, whole and broken.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("alert modbus any any -> any any (".to_owned()),
        Just("alert tcp [10.0.0.0/8,!$HOME_NET] 1: <> ![::1, 1.1.1.1] [80,!81] (".to_owned()),
        Just("msg:\"x\"; sid:1; ".to_owned()),
        Just("content:\"a|00 ff|\\;\"; ".to_owned()),
        Just("content:!\"b\"; distance:-1; within:5; nocase; ".to_owned()),
        Just("modbus.data; content:\"|01|\"; offset:1; depth:4; fast_pattern:0,1; ".to_owned()),
        Just("modbus: access write holding, address 5<>9, value >3; ".to_owned()),
        Just("modbus.value:1<>5,!3,any; modbus.function:&0x7=1; ".to_owned()),
        Just("dnp3_ind:all_stations; dnp3_obj:1,2; ".to_owned()),
        Just("flowbits:isset,a|b; threshold:type both, track by_src, count 1, seconds 1; ".to_owned()),
        Just("requires: version >= 7 < 9 | = 1.2.3, keyword modbus; ".to_owned()),
        Just(")".to_owned()),
        Just("\\\r\n".to_owned()),
        Just("\n".to_owned()),
        Just("é€".to_owned()),
        "[ -~\\t\\n]{0,12}",
        any::<String>(),
    ]
}

proptest! {
    #[test]
    fn any_text_is_compiled_or_refused(pieces in prop::collection::vec(piece(), 0..16)) {
        let text = pieces.concat();
        let source = Source { name: "fuzz".into(), text: text.as_str().into() };
        let compiled = Engine::compile(&[source], &Variables::standard());
        for diagnostic in &compiled.diagnostics {
            prop_assert!(!diagnostic.to_string().is_empty());
            prop_assert!(diagnostic.span.end <= text.len(), "{diagnostic}");
        }
    }

    #[test]
    fn what_is_printed_is_read_the_same(pieces in prop::collection::vec(piece(), 0..16)) {
        let print = |text: &str| {
            let source = common::source(text);
            vigia_rules::language::reprint(&source).into_iter().flatten().collect::<Vec<String>>()
        };
        let once = print(&pieces.concat());
        let text = once.join("\n");
        prop_assert_eq!(print(&text), once.clone());
        let codes = |text: &str| {
            let compiled = common::compile(text);
            let errors = compiled.diagnostics.iter().filter(|it| it.code != "syntax").map(|it| it.code);
            (errors.collect::<Vec<_>>(), compiled.engine.rules().iter().map(|rule| rule.sid).collect::<Vec<_>>())
        };
        prop_assert_eq!(codes(&pieces.concat()), codes(&text));
    }
}

#[test]
fn rules_on_events_that_are_never_told_are_switched_off_and_it_is_said() {
    let rule = |option: &str| common::compile(&format!("alert tcp any any -> any any ({option}; sid:1;)"));
    for told in ["stream-event:4whs_wrong_seq", "app-layer-event:applayer_mismatch_protocol_both_directions"] {
        assert_eq!(rule(told).engine.rules().len(), 1, "{told}");
    }
    for besides in ["stream-event:wrong_thread", "app-layer-event:applayer_unexpected_protocol"] {
        let compiled = rule(besides);
        assert_eq!((compiled.switched_off, compiled.failed, compiled.diagnostics.len()), (1, 0, 1), "{besides}");
    }
    for unknown in ["stream-event:wrong_thred", "app-layer-event:applayer_unexpected_protocl"] {
        let compiled = rule(unknown);
        assert_eq!((compiled.failed, compiled.diagnostics[0].code), (1, "unknown-event"), "{unknown}");
        assert!(compiled.diagnostics[0].help.is_some(), "{unknown}");
    }
}
