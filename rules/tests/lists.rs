//! What rules look up beyond the packet: sets, reputation, countries. And that every keyword of the language is known.

mod common;

use std::sync::Arc;

use common::{CLIENT, Flow, SERVER, source};
use vigia_parsers::Direction::{ToClient, ToServer};
use vigia_parsers::Timestamp;
use vigia_rules::{
    Compiled, Countries, Engine, Gate, Library, Match, Remark, Reputation, Severity, Tag, TagLimit, TagScope,
    Variables, Verdict,
};

/// Every keyword of Suricata 9, one a line.
const KEYWORDS: &str = include_str!("keywords.txt");

#[test]
fn every_keyword_of_the_language_is_implemented_or_registered() {
    let known: Vec<String> = vigia_rules::keywords()
        .into_iter()
        .flat_map(|keyword| {
            keyword.aliases.iter().map(|&alias| alias.to_owned()).chain([keyword.name]).collect::<Vec<_>>()
        })
        .collect();
    let missing: Vec<&str> = KEYWORDS.lines().filter(|name| !known.iter().any(|it| it == name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert_eq!(KEYWORDS.lines().count(), 412);
}

#[test]
fn no_keyword_is_both_implemented_and_waiting() {
    let all = vigia_rules::keywords();
    for waiting in all.iter().filter(|keyword| keyword.waits_for.is_some()) {
        let implemented = |other: &&vigia_rules::KeywordInfo| {
            other.waits_for.is_none() && (other.name == waiting.name || other.aliases.contains(&waiting.name.as_str()))
        };
        assert!(all.iter().find(implemented).is_none(), "{}", waiting.name);
    }
}

#[test]
fn rules_that_wait_are_checked_and_one_warning_a_keyword_names_them() {
    let rule = |sid: u32, options: &str| format!("alert http any any -> any any ({options} sid:{sid};)\n");
    let mut text: String = (1..=7).map(|sid| rule(sid, "http.uri; content:\"a\";")).collect();
    text += &rule(8, "http.uri; contnet:\"a\";");
    text += &rule(9, "http.uri;");
    text += &rule(10, "content:\"a\"; http_method; urilen:>5; pcre:\"/a/U\";");
    text += "alert tcp any any -> any any (content:\"a\"; sid:11;)\n";
    let compiled = common::compile(&text);
    assert_eq!((compiled.switched_off, compiled.failed, compiled.engine.rules().len()), (8, 2, 1));
    let lines: Vec<String> = compiled.diagnostics.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(lines.join("\n"));
}

const FILES: &[(&str, &str)] = &[
    ("words.lst", "# base64\nYmFk\nd29yc2U=\n"),
    ("md5.lst", "bae60998ffe4923b131e3d6e4c19993e\n"),
    ("hosts.lst", "10.0.0.10\n2001:db8::1\n"),
    ("mapped.lst", "::ffff:10.0.0.10\n"),
    ("wrong.lst", "YmFk\n???\n"),
    (
        "threats.json",
        r#"{"time": 1, "response": {"threats": [{"host": "bad", "origin": "es"}, {"origin": "fr"}, {"host": "worse"}]}}"#,
    ),
    ("bad_ips.ndjson", "{\"ip\": \"10.0.0.10\", \"why\": [\"scan\"]}\n{\"ip\": \"10.9.9.9\"}\n"),
    ("scores.lst", "YmFk,100\nZ29vZA==,5\n"),
];

fn variables() -> Variables {
    let read = |name: &str| {
        let file = FILES.iter().find(|file| file.0 == name);
        file.map(|file| file.1.as_bytes().to_vec()).ok_or_else(|| "no such file".to_owned())
    };
    Variables { library: Library::new(read), ..Variables::standard() }
}

#[track_caller]
fn engine(rules: &str, variables: &Variables) -> Engine {
    let Compiled { engine, diagnostics, .. } = Engine::compile(&[source(rules)], variables);
    assert!(diagnostics.is_empty(), "{}", diagnostics[0]);
    engine
}

/// Signature ids that payloads of one flow report, once the gate has had its say.
fn reported(engine: &Engine, payloads: &[&str]) -> Vec<Vec<u32>> {
    reported_by(engine, &mut Gate::default(), payloads)
}

/// The same with a gate that has heard of more.
fn reported_by(engine: &Engine, gate: &mut Gate, payloads: &[&str]) -> Vec<Vec<u32>> {
    let mut flow = Flow::new(engine);
    let mut one = |payload: &&str| {
        flow.packet(17, payload.as_bytes(), ToServer);
        let admitted = |id: &&vigia_rules::RuleId| {
            let noted = flow.scratch.noted(**id);
            let found = Match { source: CLIENT, destination: SERVER, timestamp: Timestamp::new(9, 0), noted };
            gate.admit(engine, **id, &found) == Verdict::Report
        };
        flow.scratch.matches().iter().filter(admitted).map(|&id| engine.rule(id).sid).collect()
    };
    payloads.iter().map(&mut one).collect()
}

const NONE: Vec<u32> = Vec::new();

#[test]
fn a_value_is_new_to_a_set_once() {
    let engine = engine(
        "alert udp any any -> any any (pkt_data; dataset:set,seen,type string; sid:1;)\n\
         alert udp any any -> any any (pkt_data; dataset:isset,seen; sid:2;)\n\
         alert udp any any -> any any (content:\"forget\"; startswith; pkt_data; subslice:7; dataset:unset,seen; sid:3;)\n",
        &variables(),
    );
    let found = reported(&engine, &["a", "a", "b", "forget a", "forget a", "a"]);
    // What asks comes after what sets.
    assert_eq!(found, [vec![1, 2], vec![2], vec![1, 2], vec![1, 3, 2], vec![2], vec![1, 2]]);
}

#[test]
fn values_are_looked_up_in_the_sets_of_files() {
    let udp = |options: &str| engine(&format!("alert udp any any -> any any ({options} sid:1;)"), &variables());
    for (options, expected) in [
        ("pkt_data; dataset:isset,words,type string,load words.lst;", [true, false, true]),
        ("pkt_data; dataset:isnotset,words,type string,load words.lst;", [false, true, false]),
        ("pkt_data; to_md5; dataset:isset,sums,type md5,load md5.lst;", [true, false, false]),
        ("ip.src; dataset:isset,hosts,type ip,load hosts.lst;", [true; 3]),
        ("ip.dst; dataset:isset,hosts,type ip,load hosts.lst;", [false; 3]),
        ("ip.src; dataset:isset,hosts,type ipv4,state absent.lst;", [false; 3]),
        ("pkt_data; datarep:scores,>,50,type string,load scores.lst;", [true, false, false]),
        ("pkt_data; datarep:scores,<=,5,type string,load scores.lst;", [false, true, false]),
    ] {
        let raised: Vec<bool> =
            reported(&udp(options), &["bad", "good", "worse"]).iter().map(|found| !found.is_empty()).collect();
        assert_eq!(raised, expected, "{options}");
    }
}

#[test]
fn a_set_of_a_file_can_be_added_to() {
    let rules = "alert udp any any -> any any (pkt_data; dataset:set,words,type string,load words.lst; sid:1;)\n\
                 alert udp any any -> any any (pkt_data; dataset:isset,words; sid:2;)\n";
    let engine = engine(rules, &variables());
    assert_eq!(reported(&engine, &["bad", "new", "new"]), [vec![2], vec![1, 2], vec![2]]);
}

#[test]
fn a_value_of_a_file_can_be_taken_out_and_put_back() {
    let rules = "alert udp any any -> any any (content:\"forget\"; startswith; pkt_data; subslice:7; \
                 dataset:unset,words,type string,load words.lst; sid:1;)\n\
                 alert udp any any -> any any (content:\"learn\"; startswith; pkt_data; subslice:6; dataset:set,words; sid:2;)\n\
                 alert udp any any -> any any (pkt_data; dataset:isset,words; sid:3;)\n\
                 alert udp any any -> any any (pkt_data; dataset:isnotset,words; sid:4;)\n";
    let engine = engine(rules, &variables());
    let said = ["bad", "learn bad", "forget bad", "forget bad", "bad", "learn bad", "bad", "forget new"];
    let expected = [vec![3], vec![4], vec![1, 4], vec![4], vec![4], vec![2, 4], vec![3], vec![4]];
    assert_eq!(reported(&engine, &said), expected);
}

/// The rules with the set in this file as it was saved last.
#[track_caller]
fn engine_with(rules: &str, saved: Option<&str>) -> Engine {
    let saved = saved.map(|text| text.as_bytes().to_vec());
    let read = move |name: &str| Ok(saved.clone().filter(|_| name == "seen.lst"));
    let variables = variables();
    engine(rules, &Variables { library: variables.library.with_saved(read), ..variables })
}

/// The files of sets that are to be saved.
fn saved(engine: &Engine, gate: &Gate) -> Vec<(String, String)> {
    let sets = engine.saved_sets(&gate.set_changes());
    assert!(sets.iter().all(|set| set.left_out == 0));
    sets.into_iter().map(|set| (set.file.into(), set.text)).collect()
}

/// What is said after `learn ` is put into the set, after `forget ` taken out of it.
fn learning(options: &str) -> String {
    format!(
        "alert udp any any -> any any (content:\"learn\"; startswith; pkt_data; subslice:6; dataset:set,seen,{options}; sid:1;)\n\
         alert udp any any -> any any (content:\"forget\"; startswith; pkt_data; subslice:7; dataset:unset,seen; sid:2;)\n\
         alert udp any any -> any any (pkt_data; dataset:isset,seen; sid:3;)\n"
    )
}

#[test]
fn a_set_is_saved_as_rules_have_made_it() {
    let said =
        ["learn new", "learn a", "learn a", "forget bad", "learn gone", "forget gone", "learn bad", "forget bad"];
    // A file that the set is loaded from, what it says, and what is to be saved.
    for (options, files) in [
        ("type string", vec![]),
        ("type string,load words.lst", vec![]),
        ("type string,save seen.lst", vec![("seen.lst", "YQ==\nbmV3\n")]),
        ("type string,state plant/seen.lst", vec![("plant/seen.lst", "YQ==\nbmV3\n")]),
        ("type string,load words.lst,save seen.lst", vec![("seen.lst", "YQ==\nbmV3\nd29yc2U=\n")]),
        ("type string,state words.lst", vec![("words.lst", "YQ==\nbmV3\nd29yc2U=\n")]),
    ] {
        let engine = engine(&learning(options), &variables());
        let mut gate = Gate::default();
        reported_by(&engine, &mut gate, &said);
        let files: Vec<_> = files.into_iter().map(|(file, text)| (file.to_owned(), text.to_owned())).collect();
        assert_eq!(saved(&engine, &gate), files, "{options}");
    }
}

#[test]
fn a_set_that_no_rule_changes_is_not_saved() {
    let engine = engine(
        "alert udp any any -> any any (pkt_data; dataset:isset,a,type string,state words.lst; sid:1;)",
        &variables(),
    );
    assert_eq!(saved(&engine, &Gate::default()), []);
}

#[test]
fn values_are_saved_as_their_type_is_spelt_and_read_back_as_the_same() {
    for (buffer, kind, spelt) in [
        ("pkt_data; to_md5", "md5", "900150983cd24fb0d6963f7d28e17f72\n"),
        ("pkt_data; to_sha256", "sha256", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\n"),
        ("pkt_data", "string", "YWJj\n"),
        ("ip.src", "ip", "10.0.0.10\n"),
        ("ip.src", "ipv4", "10.0.0.10\n"),
        ("ip.src", "ipv6", "::ffff:10.0.0.10\n"),
        // What a file cannot say.
        ("pkt_data; subslice:3", "string", ""),
    ] {
        let rule =
            format!("alert udp any any -> any any ({buffer}; dataset:set,seen,type {kind},state seen.lst; sid:1;)");
        let (first, mut gate) = (engine_with(&rule, None), Gate::default());
        assert_eq!(reported_by(&first, &mut gate, &["abc", "abc"]), [vec![1], NONE], "{rule}");
        assert_eq!(saved(&first, &gate), [("seen.lst".to_owned(), spelt.to_owned())], "{rule}");
        let expected = if spelt.is_empty() { vec![1] } else { NONE };
        assert_eq!(reported(&engine_with(&rule, Some(spelt)), &["abc"]), [expected], "{rule}");
    }
}

/// The same sensor goes on with rules that are loaded anew: its gate stays, the set is read as it was saved. Or it was not,
/// since the disk was full.
#[test]
fn a_saved_set_is_the_same_after_every_reload() {
    let rules = learning("type string,state seen.lst");
    for is_saved in [true, false] {
        let mut gate = Gate::default();
        let mut file: Option<String> = None;
        let mut run = |said: &[&str]| {
            let engine = engine_with(&rules, file.as_deref().filter(|_| is_saved));
            let found = reported_by(&engine, &mut gate, said);
            file = saved(&engine, &gate).pop().map(|(_, text)| text);
            (found, file.clone().unwrap())
        };
        let text = |text: &str| text.to_owned();
        assert_eq!(run(&["learn a", "a"]), (vec![vec![1], vec![3]], text("YQ==\n")));
        assert_eq!(run(&["a", "learn a", "forget a", "a"]), (vec![vec![3], NONE, vec![2], NONE], text("")));
        assert_eq!(run(&["a", "forget a", "learn a", "a"]), (vec![NONE, NONE, vec![1], vec![3]], text("YQ==\n")));
        assert_eq!(run(&["a", "forget a", "a"]), (vec![vec![3], vec![2], NONE], text("")));
        assert_eq!(run(&["a", "learn a", "a"]), (vec![NONE, vec![1], vec![3]], text("YQ==\n")));
    }
}

#[test]
fn a_rule_may_ask_one_set_and_add_to_another() {
    let rules = "alert udp any any -> any any (pkt_data; dataset:isset,words,type string,load words.lst; \
                 ip.src; dataset:set,seen,type ip,state seen.lst; sid:1;)\n\
                 alert udp any any -> any any (content:\"forget\"; startswith; pkt_data; subslice:7; dataset:unset,words; sid:2;)\n";
    let (engine, mut gate) = (engine(rules, &variables()), Gate::default());
    let said = ["good", "forget bad", "bad", "worse", "worse"];
    assert_eq!(reported_by(&engine, &mut gate, &said), [NONE, vec![2], NONE, vec![1], NONE]);
    assert_eq!(saved(&engine, &gate), [("seen.lst".to_owned(), "10.0.0.10\n".to_owned())]);
}

#[test]
fn sets_are_saved_below_their_folder_each_in_a_file_of_its_own() {
    let rule = |sid: u32, options: &str| {
        format!("alert udp any any -> any any (pkt_data; dataset:set,{options}; sid:{sid};)\n")
    };
    let first = rule(1, "a,type string,state a.lst");
    for (options, code, at) in [
        ("b,type string,state /etc/passwd", "invalid-value", "/etc/passwd"),
        ("b,type string,save ../b.lst", "invalid-value", "../b.lst"),
        ("b,type string,save x/../../b.lst", "invalid-value", "x/../../b.lst"),
        ("b,type string,save ./b.lst", "invalid-value", "./b.lst"),
        ("b,type string,save", "invalid-value", ""),
        ("b,type string,load words.lst,state b.lst", "conflict", "b.lst"),
        ("b,type string,save c.lst,state b.lst", "conflict", "b.lst"),
        ("b,type string,save a.lst", "conflict", "a.lst"),
        ("a,type string,save b.lst", "conflict", "b.lst"),
        (
            "b,type string,load threats.json,format json,value_key host,array_key response.threats,save b.lst",
            "not-supported",
            "b.lst",
        ),
    ] {
        let text = first.clone() + &rule(2, options);
        let found = Engine::compile(&[source(&text)], &variables()).diagnostics;
        let [problem] = &found[..] else { panic!("{options}: {found:?}") };
        assert_eq!((problem.code, &text[problem.span.clone()]), (code, at), "{options}");
    }
    let both = first.clone() + &rule(2, "a,state a.lst") + &rule(3, "a");
    assert!(Engine::compile(&[source(&both)], &variables()).diagnostics.is_empty());
}

#[test]
fn a_saved_set_that_cannot_be_read_leaves_the_rule_out() {
    let variables = variables();
    let library = variables.library.with_saved(|_| Err("permission denied".to_owned()));
    let text = "alert udp any any -> any any (pkt_data; dataset:set,a,type string,state a.lst; sid:1;)";
    let compiled = Engine::compile(&[source(text)], &Variables { library, ..variables });
    assert_eq!((compiled.failed, compiled.diagnostics[0].code), (1, "unreadable"));
}

#[test]
fn the_reputation_of_an_address_is_asked() {
    let mut list = Reputation::default();
    let found = list.read_categories(&source("1,BadHosts,Known bad\n2,CnC,Command\n"));
    assert!(found.is_empty() && list.read_scores(&source("10.0.0.10,1,100\n10.0.0.0/24,2,20\n")).is_empty());
    let variables = Variables { reputation: Some(Arc::new(list)), ..variables() };
    for (value, expected) in [
        ("src,BadHosts,>,50", true),
        ("dst,BadHosts,>,50", false),
        ("any,BadHosts,>,50", true),
        ("both,CnC,=,20", true),
        ("both,BadHosts,>,1", false),
        ("dst,BadHosts,isnotset", true),
        ("src,CnC,isset", true),
        ("src,CnC,>=,21", false),
    ] {
        let engine = engine(&format!("alert udp any any -> any any (iprep:{value}; sid:1;)"), &variables);
        assert_eq!(reported(&engine, &["x"]) == [vec![1]], expected, "{value}");
    }
}

/// A database in MaxMind's format: addresses below 128.0.0.0 are in Spain, the others nowhere.
fn countries() -> Countries {
    let text = |text: &str| [&[0x40 | text.len() as u8], text.as_bytes()].concat();
    let map = |entries: &[(&str, Vec<u8>)]| {
        let entries_bytes: Vec<u8> =
            entries.iter().flat_map(|(key, value)| [text(key), value.clone()].concat()).collect();
        [vec![0xe0 | entries.len() as u8], entries_bytes].concat()
    };
    let number = |value: u8| vec![0xa1, value];
    let long = |value: u8| vec![0xc1, value];
    // One node of two records of 24 bits: the data begin 16 bytes behind the tree.
    let tree = [0, 0, 1 + 16, 0, 0, 1];
    let data = map(&[("country", map(&[("iso_code", text("ES"))]))]);
    let metadata = map(&[
        ("binary_format_major_version", number(2)),
        ("binary_format_minor_version", number(0)),
        ("build_epoch", vec![0x01, 0x02, 0]),
        ("database_type", text("Test")),
        ("description", map(&[])),
        ("ip_version", number(4)),
        ("languages", vec![0x00, 0x04]),
        ("node_count", long(1)),
        ("record_size", number(24)),
    ]);
    let file = [&tree[..], &[0; 16], &data, b"\xab\xcd\xefMaxMind.com", &metadata].concat();
    Countries::new(file).expect("a database")
}

#[test]
fn the_country_of_an_address_is_asked() {
    let variables = Variables { countries: Some(Arc::new(countries())), ..variables() };
    for (value, expected) in
        [("src,ES", true), ("ES,FR", true), ("both,es", true), ("src,FR", false), ("src,!FR", true), ("dst,!ES", false)]
    {
        let engine = engine(&format!("alert udp any any -> any any (geoip:{value}; sid:1;)"), &variables);
        assert_eq!(reported(&engine, &["x"]) == [vec![1]], expected, "{value}");
    }
}

#[test]
fn mistakes_in_look_ups_are_named_where_they_stand() {
    for (options, code, at, help) in [
        ("dataset:iset,a;", "unknown-value", "iset", "did you mean `isset`?"),
        ("dataset:isset;", "missing-value", "isset", ""),
        ("rpc:*,2,3;", "invalid-value", "*", "expected 0 to"),
        ("dataset:isset,a;", "missing-value", "a", "type string"),
        ("dataset:isset,a,type strin;", "unknown-value", "strin", "did you mean `string`?"),
        ("dataset:isset,a,type string,lod x;", "unknown-value", "lod x", "expected type, load"),
        ("dataset:isset,a,type string,load none.lst;", "unreadable", "none.lst", ""),
        ("dataset:isset,a,type string,load wrong.lst;", "invalid-value", "wrong.lst", ""),
        ("dataset:isset,a,type md5; dataset:isset,a,type ip;", "conflict", "a", ""),
        ("datarep:a,~,5,type string,load scores.lst;", "unknown-value", "~", "expected >, <"),
        ("datarep:a,>,x,type string,load scores.lst;", "invalid-value", "x", "expected 0 to 65535"),
        ("datarep:a,>,5,type string,load words.lst;", "invalid-value", "words.lst", ""),
        ("iprep:left,A,>,5;", "unknown-value", "left", "expected any, src, dst or both"),
        ("iprep:src,A,>;", "missing-value", "src,A,>", ""),
        ("iprep:src,A,>,128;", "invalid-value", "128", "expected 0 to 127"),
        ("dataset:isset,a,type string,format xml;", "unknown-value", "xml", "expected csv, json, jsonline or ndjson"),
        ("dataset:isset,a,type string,load words.lst,format json;", "invalid-value", "words.lst", ""),
        (
            "dataset:isset,a,type string,load threats.json,format json,value_key ip;",
            "invalid-value",
            "threats.json",
            "",
        ),
        ("geoip:src,Spain;", "invalid-value", "Spain", "two letters"),
        ("geoip:src;", "missing-value", "src", ""),
        ("tag:session,5;", "invalid-value", "session,5", ""),
        ("tag:sesion,5,packets;", "unknown-value", "sesion", "did you mean `session`?"),
        ("tag:session,5,lines;", "unknown-value", "lines", "expected packets, bytes or seconds"),
        ("entropy:bytes 5;", "missing-value", "bytes 5", ""),
        ("entropy:value > x;", "invalid-value", "> x", ""),
        ("xor:offset 1;", "missing-value", "offset 1", "extract"),
        ("l3_proto:ipv5;", "unknown-value", "ipv5", "expected ipv4, ipv6 or arp"),
        ("rpc:1,2,3,4;", "invalid-value", "4", ""),
        ("app-layer-protocol:modbus,fnal;", "unknown-value", "fnal", "did you mean `final`?"),
        ("app-layer-protocol:!unknown;", "conflict", "unknown", ""),
        ("byte_test:0,>,5,0;", "value-out-of-range", "0,>,5,0", "string"),
    ] {
        let text = format!("alert ip any any -> any any (pkt_data; {options} content:\"a\"; sid:1;)");
        let compiled = Engine::compile(&[source(&text)], &variables());
        let errors: Vec<_> = compiled.diagnostics.iter().filter(|it| it.severity == Severity::Error).collect();
        assert_eq!(errors.len(), 1, "{options}");
        let error = errors[0];
        assert_eq!((error.code, &text[error.span.clone()]), (code, at), "{options}");
        assert!(error.help.as_ref().map(ToString::to_string).unwrap_or_default().contains(help), "{options}: {error}");
    }
}

#[test]
fn values_are_looked_up_of_buffers_that_the_rule_names() {
    for options in ["dataset:isset,a,type string;", "content:\"a\"; datarep:a,>,5,type string,load scores.lst;"] {
        let text = format!("alert ip any any -> any any ({options} sid:1;)");
        let compiled = Engine::compile(&[source(&text)], &variables());
        assert_eq!(compiled.diagnostics.iter().map(|it| it.code).collect::<Vec<_>>(), ["misplaced"], "{options}");
    }
}

#[test]
fn an_address_of_ipv4_is_the_same_mapped_into_ipv6() {
    let engine = engine(
        "alert udp any any -> any any (ip.src; dataset:isset,mapped,type ip,load mapped.lst; sid:1;)\n\
         alert udp any any -> any any (ip.dst; dataset:isset,mapped; sid:2;)\n",
        &variables(),
    );
    assert_eq!(Flow::new(&engine).packet(17, b"a", ToServer), [1]);
}

#[test]
fn a_mark_on_a_host_lasts_as_long_as_its_rule_says() {
    let engine = engine(
        "alert udp any any -> any any (content:\"a\"; hostbits:set,seen,src,10; sid:1;)\n\
         alert udp any any -> any any (content:\"b\"; hostbits:isset,seen,src; sid:2;)\n",
        &variables(),
    );
    let mut gate = Gate::default();
    let mut admit = |rule, seconds| {
        let timestamp = Timestamp::new(seconds, 0);
        let found = Match { source: CLIENT, destination: SERVER, timestamp, noted: Box::default() };
        gate.admit(&engine, vigia_rules::RuleId(rule), &found) == Verdict::Report
    };
    assert!(admit(0, 0) && admit(1, 10) && !admit(1, 11));
}

#[test]
fn a_set_of_json_tells_what_it_knows_of_a_value() {
    let variables = variables();
    let engine = engine(
        "alert udp any any -> any any (pkt_data; dataset:isset,threats,type string,load threats.json,format json,enrichment_key threat,value_key host,array_key response.threats,remove_key; sid:1;)\n\
         alert udp any any -> any any (ip.src; dataset:isset,ips,type ip,load bad_ips.ndjson,format ndjson,context_key ips,value_key ip; sid:2;)\n",
        &variables,
    );
    let mut flow = Flow::new(&engine);
    assert_eq!(flow.packet(17, b"bad", ToServer), [1, 2]);
    let of = |flow: &Flow<'_>, at: usize| flow.scratch.remarks(flow.scratch.matches()[at]).to_vec();
    assert_eq!(of(&flow, 0), [Remark::Context("threat".into(), r#"{"origin":"es"}"#.into())]);
    assert_eq!(of(&flow, 1), [Remark::Context("ips".into(), r#"{"ip":"10.0.0.10","why":["scan"]}"#.into())]);
    assert_eq!(flow.packet(17, b"good", ToClient), [] as [u32; 0]);
    assert!(flow.scratch.matches().is_empty());
}

#[test]
fn what_is_not_configured_switches_the_rule_off() {
    for options in ["iprep:src,BadHosts,>,50;", "geoip:src,ES;"] {
        let compiled = common::compile(&format!("alert ip any any -> any any ({options} sid:1;)"));
        assert_eq!((compiled.switched_off, compiled.diagnostics[0].code), (1, "not-supported"), "{options}");
    }
}

#[test]
fn payloads_are_matched_as_each_keyword_says() {
    let cases: &[(&str, &[u8], &[u8])] = &[
        ("entropy:value > 2.9;", b"abcdefgh", b"aaaaaaab"),
        ("entropy: >2.9;", b"abcdefgh", b"aaaaaaab"),
        ("entropy:bytes 0, offset 0, value = 3;", b"abcdefgh", b"aaaaaaab"),
        ("entropy:offset 4, bytes 4, value = 2;", b"aaaaabcd", b"abcdaaaa"),
        ("pkt_data; xor:offset 1,extract 1 0; content:\"@@\";", b"\x01AA", b"\x02AA"),
        ("pkt_data; header_lowercase; content:\"host: A\";", b"HOST: A\r\n", b"HOST: a\r\n"),
        ("pkt_data; strip_pseudo_headers; content:\"host\"; startswith;", b":path: /\r\nhost: a", b"x: /\r\nhost: a"),
        ("pkt_data; domain; content:\"example.co.uk\"; startswith;", b"www.example.co.uk", b"www.example.org.uk"),
        ("pkt_data; tld; bsize:5;", b"www.example.co.uk", b"www.example.de"),
        ("l3_proto:ipv4; content:\"a\";", b"a", b"b"),
        ("byte_test:0,>,100,0,string,dec;", b"101", b"99 "),
        ("rpc:100000,2,*;", RPC, b"none"),
        ("rpc:100000,*,4;", b"\0\0\0\x01\0\0\0\0\0\0\0\x02\0\x01\x86\xa0\0\0\0\x02\0\0\0\x04", RPC),
    ];
    for (options, matching, other) in cases {
        let engine = engine(&format!("alert udp any any -> any any ({options} sid:1;)"), &variables());
        let raised = |payload: &[u8]| !Flow::new(&engine).packet(17, payload, ToServer).is_empty();
        assert!(raised(matching), "{options} matches {}", matching.escape_ascii());
        assert!(!raised(other), "{options} does not match {}", other.escape_ascii());
    }
}

/// A call of the portmapper's version 2, procedure 3.
const RPC: &[u8] = &[0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1, 0x86, 0xa0, 0, 0, 0, 2, 0, 0, 0, 3];

#[test]
fn the_protocol_of_a_flow_may_be_one_of_several_or_none() {
    use vigia_parsers::ot::{dnp3, modbus};
    let all = [None, Some(&vigia_parsers::registry::FAILED), Some(&modbus::PROTOCOL), Some(&dnp3::PROTOCOL)];
    for (value, expected) in [
        ("modbus", [false, false, true, false]),
        ("!modbus", [false, true, false, true]),
        ("modbus|dnp3", [false, false, true, true]),
        ("!modbus|dnp3,final", [false, true, false, false]),
        ("failed", [false, true, false, false]),
        ("!failed", [false, false, true, true]),
        ("unknown", [true, false, false, false]),
        ("unknown|modbus,either", [true, false, true, false]),
    ] {
        let rule = format!("alert tcp any any -> any any (app-layer-protocol:{value}; dsize:>0; sid:1;)");
        let engine = engine(&rule, &variables());
        let raised = all.map(|protocol| {
            let mut flow = Flow { protocol, ..Flow::new(&engine) };
            !flow.packet(6, b"x", ToServer).is_empty()
        });
        assert_eq!(raised, expected, "{value}");
    }
}

#[test]
fn a_rule_says_what_is_to_be_recorded_and_what_is_passed_by() {
    let rules = "alert udp any any -> any any (content:\"a\"; tag:session,5,packets; tag:host,9,seconds,dst; tag:host,src; sid:1;)\n\
                 alert udp any any -> any any (content:\"b\"; bypass; noalert; sid:2;)\n";
    let engine = engine(rules, &variables());
    let tag = |scope, limit| Tag { scope, limit };
    let rule = engine.rules().iter().find(|rule| rule.sid == 1).expect("there");
    assert_eq!(
        rule.tags,
        [
            tag(TagScope::Session, TagLimit::Packets(5)),
            tag(TagScope::Destination, TagLimit::Seconds(9)),
            tag(TagScope::Source, TagLimit::Packets(256)),
        ]
    );
    let mut flow = Flow::new(&engine);
    assert_eq!((flow.packet(17, b"a", ToServer), flow.scratch.bypass()), (vec![1], false));
    assert_eq!((flow.packet(17, b"b", ToClient), flow.scratch.bypass()), (NONE, true));
}
