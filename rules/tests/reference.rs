//! The engine against a matcher that is slow and obviously right: the same rules match the same payloads.

mod common;

use common::{Ends, Flow, Talk, compile, modbus};
use proptest::prelude::*;
use proptest::sample::select;
use vigia_parsers::Direction::ToServer;
use vigia_parsers::ot::modbus::PROTOCOL as MODBUS;

/// Where a content may stand.
#[derive(Debug, Clone)]
enum Place {
    Anywhere,
    Window { offset: usize, depth: Option<usize> },
    After { distance: i64, within: Option<i64> },
    Start,
}

/// What a rule asks, one after the other.
#[derive(Debug, Clone)]
enum Step {
    Content { text: String, negated: bool, nocase: bool, place: Place, at_end: bool, fast: bool },
    Pcre { atoms: Vec<&'static str>, caseless: bool, negated: bool, relative: bool },
    ByteTest { operator: &'static str, value: u8, offset: usize, relative: bool, negated: bool },
    IsDataAt { at: usize, relative: bool, negated: bool },
}

/// Whom a rule is about, and whether that is the packet of the test.
type Header = (&'static str, bool);

/// The packet goes from 10.0.0.10:40000 to 10.0.0.1:502.
const HEADERS: [Header; 9] = [
    ("any any -> any any", true),
    ("any any -> any 502", true),
    ("10.0.0.0/8 any -> any [500:510,!505]", true),
    ("any 1024: -> $HOME_NET any", true),
    ("$EXTERNAL_NET any -> $HOME_NET any", false),
    ("any any -> any 80", false),
    ("any 502 -> any any", false),
    ("any any -> !$HOME_NET 502", false),
    ("10.0.0.1 502 <> 10.0.0.10 40000", true),
];

/// Does a step hold in `payload` after a match that ended at `before`? Every place where the next may count from.
fn ends(step: &Step, payload: &[u8], before: usize) -> Vec<usize> {
    let when = |holds: bool| if holds { vec![before] } else { Vec::new() };
    match step {
        Step::Content { text, negated, nocase, place, at_end, .. } => {
            let length = text.len();
            let admitted = |start: usize| {
                let end = start + length;
                let placed = match *place {
                    Place::Anywhere => true,
                    Place::Start => start == 0,
                    Place::Window { offset, depth } => {
                        start >= offset && depth.is_none_or(|depth| end <= offset + depth)
                    }
                    Place::After { distance, within } => {
                        let from = before as i64 + distance;
                        start as i64 >= from && within.is_none_or(|within| end as i64 <= from + within)
                    }
                };
                let part = payload.get(start..end).unwrap_or_default();
                let same = if *nocase { part.eq_ignore_ascii_case(text.as_bytes()) } else { part == text.as_bytes() };
                placed && same && part.len() == length && (!at_end || end == payload.len())
            };
            let found: Vec<usize> = (0..=payload.len()).filter(|&start| admitted(start)).collect();
            if *negated { when(found.is_empty()) } else { found.iter().map(|start| start + length).collect() }
        }
        Step::Pcre { atoms, caseless, negated, relative } => {
            let from = if *relative { before } else { 0 };
            let fits = |atom: &str, byte: u8| match atom {
                "." => true,
                "[ab]" if *caseless => b"abAB".contains(&byte),
                "[ab]" => b"ab".contains(&byte),
                letter if *caseless => letter.as_bytes()[0].eq_ignore_ascii_case(&byte),
                letter => letter.as_bytes()[0] == byte,
            };
            let starts = (from..=payload.len()).filter(|&start| {
                let part = payload.get(start..start + atoms.len());
                part.is_some_and(|part| atoms.iter().zip(part).all(|(atom, &byte)| fits(atom, byte)))
            });
            let found: Vec<usize> = starts.map(|start| start + atoms.len()).collect();
            if *negated { when(found.is_empty()) } else { found }
        }
        Step::ByteTest { operator, value, offset, relative, negated } => {
            let at = if *relative { before + offset } else { *offset };
            when(payload.get(at).is_some_and(|byte| {
                let holds = match *operator {
                    "<" => byte < value,
                    ">" => byte > value,
                    "=" => byte == value,
                    _ => byte & value != 0,
                };
                holds != *negated
            }))
        }
        Step::IsDataAt { at, relative, negated } => {
            let there = if *relative { before + at <= payload.len() } else { *at < payload.len() };
            when(there != *negated)
        }
    }
}

/// Do all steps hold, the first after a match that ended at `before`?
fn matches(steps: &[Step], payload: &[u8], before: usize) -> bool {
    let Some((step, rest)) = steps.split_first() else { return true };
    ends(step, payload, before).into_iter().any(|end| matches(rest, payload, end))
}

fn write(step: &Step) -> String {
    let not = |negated: &bool| if *negated { "!" } else { "" };
    match step {
        Step::Content { text, negated, nocase, place, at_end, fast } => {
            let mut out = format!("content:{}\"{text}\"; ", not(negated));
            match place {
                Place::Anywhere => {}
                Place::Start => out += "startswith; ",
                Place::Window { offset, depth } => {
                    out += &format!("offset:{offset}; ");
                    out += &depth.map(|depth| format!("depth:{depth}; ")).unwrap_or_default();
                }
                Place::After { distance, within } => {
                    out += &format!("distance:{distance}; ");
                    out += &within.map(|within| format!("within:{within}; ")).unwrap_or_default();
                }
            }
            for (wanted, word) in [(nocase, "nocase; "), (at_end, "endswith; "), (fast, "fast_pattern; ")] {
                out += if *wanted { word } else { "" };
            }
            out
        }
        Step::Pcre { atoms, caseless, negated, relative } => {
            let flag = |set: &bool, letter| if *set { letter } else { "" };
            format!("pcre:{}\"/{}/{}{}\"; ", not(negated), atoms.concat(), flag(caseless, "i"), flag(relative, "R"))
        }
        Step::ByteTest { operator, value, offset, relative, negated } => {
            let relative = if *relative { ",relative" } else { "" };
            format!("byte_test:1,{}{operator},{value},{offset}{relative}; ", not(negated))
        }
        Step::IsDataAt { at, relative, negated } => {
            format!("isdataat:{}{at}{}; ", not(negated), if *relative { ",relative" } else { "" })
        }
    }
}

fn content(positive: bool) -> impl Strategy<Value = Step> {
    let place = |length: usize| {
        prop_oneof![
            3 => Just(Place::Anywhere),
            1 => Just(Place::Start),
            2 => (0usize..6, proptest::option::of(0usize..6))
                .prop_map(move |(offset, more)| Place::Window { offset, depth: more.map(|more| length + more) }),
            3 => (-3i64..5, proptest::option::of(0i64..6))
                .prop_map(move |(distance, more)| Place::After { distance, within: more.map(|more| length as i64 + more) }),
        ]
    };
    ("[abAB-]{1,7}", any::<[bool; 2]>(), proptest::bool::weighted(0.2), proptest::bool::weighted(0.2)).prop_flat_map(
        move |(text, [nocase, fast], negated, at_end)| {
            let negated = negated && !positive;
            place(text.len()).prop_map(move |place| Step::Content {
                text: text.clone(),
                negated,
                nocase,
                at_end: at_end && !positive && !matches!(place, Place::Start),
                fast: fast && !negated,
                place,
            })
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    let atoms = prop::collection::vec(select(vec!["a", "b", "A", "-", ".", "[ab]"]), 1..5);
    prop_oneof![
        6 => content(false),
        1 => (atoms, any::<[bool; 2]>(), proptest::bool::weighted(0.2))
            .prop_map(|(atoms, [caseless, relative], negated)| Step::Pcre { atoms, caseless, negated, relative }),
        1 => (select(vec!["<", ">", "=", "&"]), select(b"abAB-".to_vec()), 0usize..6, any::<[bool; 2]>())
            .prop_map(|(operator, value, offset, [relative, negated])| {
                Step::ByteTest { operator, value, offset, relative, negated }
            }),
        1 => (0usize..20, any::<[bool; 2]>())
            .prop_map(|(at, [relative, negated])| Step::IsDataAt { at, relative, negated }),
    ]
}

/// One fast pattern a rule, for more are a mistake.
fn single_fast_pattern(mut steps: Vec<Step>) -> Vec<Step> {
    let mut chosen = false;
    for step in &mut steps {
        if let Step::Content { fast, .. } = step {
            *fast &= !chosen;
            chosen |= *fast;
        }
    }
    steps
}

fn is_anywhere(step: &Step) -> bool {
    matches!(step, Step::Content { place: Place::Anywhere, .. })
}

fn rules() -> impl Strategy<Value = Vec<(Header, Vec<Step>)>> {
    let steps = prop::collection::vec(step(), 1..5).prop_map(single_fast_pattern);
    prop::collection::vec((select(HEADERS.to_vec()), steps), 1..24)
}

fn text<'r>(transport: &str, rules: impl Iterator<Item = (Header, &'r [Step])>) -> String {
    let rule = |(sid, (header, steps)): (usize, (Header, &[Step]))| {
        let options: String = steps.iter().map(write).collect();
        format!("alert {transport} {} (msg:\"r\"; {options}sid:{sid};)\n", header.0)
    };
    (1..).zip(rules).map(rule).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn packets_match_the_rules_that_they_should(rules in rules(), payloads in prop::collection::vec("[abAB-]{0,40}", 1..8)) {
        let text = text("udp", rules.iter().map(|(header, steps)| (*header, &**steps)));
        let compiled = compile(&text);
        prop_assert_eq!(compiled.failed, 0, "{}\n{:?}", text, compiled.diagnostics);
        for payload in &payloads {
            let expected: Vec<u32> = (1u32..)
                .zip(&rules)
                .filter(|(_, (header, steps))| header.1 && matches(steps, payload.as_bytes(), 0))
                .map(|(sid, _)| sid)
                .collect();
            let raised = Flow::new(&compiled.engine).packet(17, payload.as_bytes(), ToServer);
            prop_assert_eq!(raised, expected, "{} in\n{}", payload, text);
        }
    }

    /// What only asks for bytes to be there is found once it is there, however the stream is cut.
    #[test]
    fn streams_match_however_they_are_cut(
        contents in prop::collection::vec(prop::collection::vec(content(true), 1..4), 1..12),
        stream in "[abAB-]{1,60}",
        cuts in prop::collection::vec(0usize..60, 0..4),
    ) {
        let loose = |step: &Step| !matches!(step, Step::Content { place: Place::Start | Place::Window { .. }, .. });
        let contents: Vec<Vec<Step>> = contents
            .into_iter()
            .map(|steps| single_fast_pattern(steps.into_iter().filter(loose).collect()))
            // What counts from nothing has its place, too: where the inspection began.
            .map(|steps| steps.into_iter().skip_while(|step| !is_anywhere(step)).collect::<Vec<_>>())
            .filter(|steps| !steps.is_empty())
            .collect();
        let text = text("tcp", contents.iter().map(|steps| (HEADERS[0], &**steps)));
        let compiled = compile(&text);
        prop_assert_eq!(compiled.failed, 0, "{}\n{:?}", text, compiled.diagnostics);
        let cuts = bounds(cuts, stream.len());
        let mut flow = Flow::new(&compiled.engine);
        let mut raised: Vec<u32> =
            cuts.windows(2).flat_map(|cut| flow.stream(&stream.as_bytes()[cut[0]..cut[1]], ToServer)).collect();
        raised.sort_unstable();
        raised.dedup();
        let expected: Vec<u32> = (1u32..)
            .zip(&contents)
            .filter(|(_, steps)| matches(steps, stream.as_bytes(), 0))
            .map(|(sid, _)| sid)
            .collect();
        prop_assert_eq!(raised, expected, "{} cut at {:?} in\n{}", stream, cuts, text);
    }

    /// What asks for places is found in packets, and in what is said over several; it is reported once for either.
    #[test]
    fn places_are_those_of_a_packet_or_of_all_that_is_said(
        contents in prop::collection::vec(prop::collection::vec(content(true), 1..4), 1..12),
        stream in "[abAB-]{1,60}",
        cuts in prop::collection::vec(0usize..60, 0..4),
    ) {
        let placed = |step: &Step| matches!(step, Step::Content { place: Place::Start | Place::Window { .. }, .. });
        let contents: Vec<Vec<Step>> =
            contents.into_iter().map(single_fast_pattern).filter(|steps| steps.iter().any(placed)).collect();
        let text = text("tcp", contents.iter().map(|steps| (HEADERS[0], &**steps)));
        let compiled = compile(&text);
        prop_assert_eq!(compiled.failed, 0, "{}\n{:?}", text, compiled.diagnostics);
        let cuts = bounds(cuts, stream.len());
        let segments = || cuts.windows(2).map(|cut| &stream.as_bytes()[cut[0]..cut[1]]);
        let mut flow = Flow::new(&compiled.engine);
        let mut told = |segment| [flow.stream(segment, ToServer), flow.packet(6, segment, ToServer)].concat();
        let mut raised: Vec<u32> = segments().flat_map(&mut told).collect();
        raised.sort_unstable();
        let expected: Vec<u32> = (1u32..)
            .zip(&contents)
            .flat_map(|(sid, steps)| {
                let within = |from: usize, to: usize| matches(steps, &stream.as_bytes()[from..to], 0);
                let holds = |cut: &&[usize]| {
                    within(cut[0], cut[1]) || cut[0] > 0 && within(0, cut[1]) && !within(0, cut[0])
                };
                std::iter::repeat_n(sid, cuts.windows(2).filter(holds).count())
            })
            .collect();
        prop_assert_eq!(raised, expected, "{} cut at {:?} in\n{}", stream, cuts, text);
    }
}

/// What a rule asks of a Modbus message.
#[derive(Debug, Clone)]
enum Ask {
    Request,
    Function { codes: Vec<u8>, not: bool },
    Value(u16),
    ValueAbove(u16),
    NoValueOf(u16),
    Data(u8),
}

impl Ask {
    fn write(&self) -> String {
        match self {
            Self::Request => "modbus.request; ".to_owned(),
            Self::Function { codes, not } => {
                let not = if *not { "!" } else { "" };
                let codes: Vec<String> = codes.iter().map(|code| format!("{not}{code}")).collect();
                format!("modbus.function:{}; ", codes.join(","))
            }
            Self::Value(value) => format!("modbus.value:{value}; "),
            Self::ValueAbove(value) => format!("modbus.value:>{value}; "),
            Self::NoValueOf(value) => format!("modbus.value:!{value},all_or_absent; "),
            Self::Data(byte) => format!("modbus.data; content:\"|{byte:02x} {byte:02x}|\"; "),
        }
    }

    /// Does it hold of this request, which writes these values?
    fn holds(&self, pdu: &[u8], values: &[u16]) -> bool {
        match self {
            Self::Request => true,
            Self::Function { codes, not } => codes.contains(&pdu[0]) != *not,
            Self::Value(value) => values.contains(value),
            Self::ValueAbove(value) => values.iter().any(|of| of > value),
            Self::NoValueOf(value) => !values.contains(value),
            Self::Data(byte) => pdu[1..].windows(2).any(|two| two == [*byte; 2]),
        }
    }
}

fn asks() -> impl Strategy<Value = Vec<Ask>> {
    let ask = prop_oneof![
        Just(Ask::Request),
        (prop::collection::vec(select(vec![3u8, 6, 16, 4, 43]), 1..3), any::<bool>())
            .prop_map(|(codes, not)| Ask::Function { codes, not }),
        (0u16..4).prop_map(Ask::Value),
        (0u16..4).prop_map(Ask::ValueAbove),
        (0u16..4).prop_map(Ask::NoValueOf),
    ];
    (prop::collection::vec(ask, 1..4), proptest::option::weighted(0.3, (0u8..3).prop_map(Ask::Data)))
        .prop_map(|(asks, data)| asks.into_iter().chain(data).collect())
}

/// A request with the values that it writes.
fn requests() -> impl Strategy<Value = (Vec<u8>, Vec<u16>)> {
    let several = |values: Vec<u16>| {
        let count = values.len() as u8;
        let octets = values.iter().flat_map(|value| value.to_be_bytes());
        ([16, 0, 9, 0, count, 2 * count].into_iter().chain(octets).collect(), values)
    };
    prop_oneof![
        (0u8..4).prop_map(|at| (vec![3, 0, at, 0, 2], Vec::new())),
        (0u8..4).prop_map(|value| (vec![6, 0, 9, 0, value], vec![value.into()])),
        prop::collection::vec(0u16..4, 1..4).prop_map(several),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// Rules on messages are found by exact fields, by bytes, or by both; few of them or many.
    #[test]
    fn messages_match_the_rules_that_they_should(
        rules in prop::collection::vec((select(HEADERS.to_vec()), asks()), 1..100),
        requests in prop::collection::vec(requests(), 1..8),
    ) {
        let rule = |(sid, (header, asks)): (usize, &(Header, Vec<Ask>))| {
            let options: String = asks.iter().map(Ask::write).collect();
            format!("alert modbus {} (msg:\"r\"; {options}sid:{sid};)\n", header.0)
        };
        let text: String = (1..).zip(&rules).map(rule).collect();
        let compiled = compile(&text);
        prop_assert_eq!(compiled.failed, 0, "{}\n{:?}", text, compiled.diagnostics);
        let mut talk = Talk::new(&compiled.engine, &MODBUS);
        for (transaction, (pdu, values)) in (1u16..).zip(&requests) {
            let matches = |(_, (header, asks)): &(u32, &(Header, Vec<Ask>))| {
                header.1 && asks.iter().all(|ask| ask.holds(pdu, values))
            };
            let expected: Vec<u32> = (1u32..).zip(&rules).filter(matches).map(|(sid, _)| sid).collect();
            prop_assert_eq!(talk.ask(&modbus(transaction, pdu)), expected, "{:02x?} in\n{}", pdu, text);
        }
    }
}

/// Where a stream is cut, its beginning and end among them.
fn bounds(cuts: Vec<usize>, length: usize) -> Vec<usize> {
    let mut cuts: Vec<usize> = cuts.into_iter().filter(|&cut| cut < length).chain([0, length]).collect();
    cuts.sort_unstable();
    cuts.dedup();
    cuts
}

/// A payload of near misses for contents that depend on each other, and an expression that tries everything.
#[test]
fn a_hostile_payload_is_not_looked_into_for_ever() {
    let near = "content:\"a\"; content:\"a\"; distance:0; content:\"a\"; distance:0; content:\"b\"; distance:0; ";
    let hard = "content:\"aaaa\"; pcre:\"/(a+)+(a+)+c/\"; ";
    let rules: String = (1..=2_000)
        .map(|sid| {
            let options = if sid % 2 == 0 { near } else { hard };
            format!("alert udp any any -> any any (msg:\"m\"; {options}sid:{sid};)\n")
        })
        .collect();
    let last = "alert udp any any -> any any (msg:\"m\"; content:\"aaaa\"; priority:1; sid:9999;)";
    let mut engine = common::engine(&(rules + last));
    let payload = vec![b'a'; 1_400];
    engine.limit_steps(Some(250_000));
    let mut flow = Flow::new(&engine);
    // The most severe rule comes first, so it has had its say.
    assert_eq!(flow.packet(17, &payload, ToServer), [9999]);
    assert!(flow.scratch.is_cut());
    // One step more may have been begun: the costliest is an expression over the whole payload.
    assert!(flow.scratch.steps() < 250_000 + 20_000, "{}", flow.scratch.steps());
    assert_eq!(flow.packet(17, b"aaaa", ToServer), [9999]);
    assert!(!flow.scratch.is_cut());
}

/// Limits of single rules: what is given up does not match, asked for or asked against, and is counted.
#[test]
fn a_rule_that_would_try_too_much_is_given_up_and_counted() {
    let hard = "pcre:\"/(a|aa|aaa)+$/\"; ";
    let not = "content:\"a\"; pcre:!\"/(a|aa|aaa)+$/\"; ";
    let places = "content:\"a\"; content:\"a\"; distance:0; content:\"b\"; distance:0; ";
    let rule = |sid, what: &str| format!("alert udp any any -> any any (msg:\"m\"; {what}sid:{sid};)\n");
    let engine = common::engine(&[rule(1, hard), rule(2, not), rule(3, places)].concat());
    let mut flow = Flow::new(&engine);
    let payload = [vec![b'a'; 400], vec![b'-']].concat();
    assert_eq!(flow.packet(17, &payload, ToServer), [] as [u32; 0]);
    let given_up = flow.scratch.given_up();
    assert_eq!((given_up.expressions, given_up.places), (2, 1));
    assert_eq!(flow.packet(17, b"aab", ToServer), [2, 3]);
    assert_eq!(flow.scratch.given_up(), vigia_rules::GivenUp::default());
}

/// Addresses and ports of the test below, as the last byte of an address in 10.0.0.0/24 and a port.
type End = (u8, u16);

/// What a rule asks of one end: a prefix length of 10.0.0.`address`, and ports from a first to a last; either turned round.
#[derive(Debug, Clone)]
struct Side {
    address: u8,
    prefix: u8,
    outside: bool,
    ports: (u16, u16),
    others: bool,
}

impl Side {
    fn write(&self) -> String {
        let not = |turned: bool| if turned { "!" } else { "" };
        let shift = 32 - u32::from(self.prefix);
        let network = (u32::from(self.address) >> shift) << shift;
        let (first, last) = self.ports;
        format!("{}10.0.0.{network}/{} {}{first}:{last}", not(self.outside), self.prefix, not(self.others))
    }

    fn admits(&self, (address, port): End) -> bool {
        let shift = 32 - u32::from(self.prefix);
        let inside = u32::from(address) >> shift == u32::from(self.address) >> shift;
        let among = (self.ports.0..=self.ports.1).contains(&port);
        inside != self.outside && among != self.others
    }
}

fn side() -> impl Strategy<Value = Side> {
    (0u8..8, 29u8..33, proptest::bool::weighted(0.3), (0u16..6, 0u16..6), proptest::bool::weighted(0.3)).prop_map(
        |(address, prefix, outside, (from, more), others)| Side {
            address,
            prefix,
            outside,
            ports: (from, from + more),
            others,
        },
    )
}

proptest! {
    /// However many flows take their turn with one worker's memory, a packet meets the rules of its own ends: rules that look
    /// for bytes, and rules about ends alone.
    #[test]
    fn packets_of_many_flows_meet_the_rules_of_their_ends(
        rules in prop::collection::vec((any::<[bool; 3]>(), side(), side()), 1..24),
        flows in prop::collection::vec(((0u8..8, 0u16..12), (0u8..8, 0u16..12), any::<bool>()), 1..12),
        turns in prop::collection::vec((any::<prop::sample::Index>(), any::<bool>()), 1..40),
    ) {
        let rule = |(sid, ([bytes, both, udp], from, to)): (u32, &([bool; 3], Side, Side))| {
            let content = if *bytes { "content:\"needle\"; " } else { "dsize:>0; " };
            let (arrow, protocol) = (if *both { "<>" } else { "->" }, if *udp { "udp" } else { "ip" });
            format!("alert {protocol} {} {arrow} {} (msg:\"r\"; {content}sid:{sid};)\n", from.write(), to.write())
        };
        let text: String = (1..).zip(&rules).map(rule).collect();
        let compiled = compile(&text);
        prop_assert_eq!(compiled.failed, 0, "{}\n{:?}", text, compiled.diagnostics);
        let mut bench = Ends::new(&compiled.engine, flows.len());
        for (flow, answer) in turns {
            let flow = flow.index(flows.len());
            let (client, server, routed) = flows[flow];
            let (source, destination) = if answer { (server, client) } else { (client, server) };
            let met = |([_, both, _], from, to): &([bool; 3], Side, Side)| {
                from.admits(source) && to.admits(destination)
                    || *both && from.admits(destination) && to.admits(source)
            };
            let expected: Vec<u32> = (1..).zip(&rules).filter(|rule| met(rule.1)).map(|rule| rule.0).collect();
            let direction = if answer { vigia_parsers::Direction::ToClient } else { ToServer };
            let raised = bench.packet(routed.then_some(flow), source, destination, direction);
            prop_assert_eq!(raised, expected, "{:?} to {:?} in\n{}", source, destination, text);
        }
    }
}
