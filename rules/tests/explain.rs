//! The probe says how far a rule comes and what stops it, and never differs from the engine.

mod common;

use common::{CLIENT, SERVER, captured, frame, modbus, source};
use vigia_parsers::packet::{DecodeLimits, decode};
use vigia_parsers::registry::PROTOCOLS;
use vigia_parsers::{Anomaly, Direction, Envelope, Limits, Protocol, Record, Sink, Timestamp};
use vigia_rules::explain::{Asked, End, Occasion, Probe, Reason, Shortfall, Sighting, Silence, explain};
use vigia_rules::{Engine, FlowMemory, Moment, Scratch, Subject, Variables};

struct Trial {
    engine: Engine,
    probe: Probe,
    memory: Option<Box<FlowMemory>>,
    protocol: Option<&'static Protocol>,
}

impl Trial {
    /// A trial of the first rule of a text.
    #[track_caller]
    fn of(text: &str) -> Self {
        let variables = Variables::standard();
        let sources = [source(text)];
        let compiled = Engine::compile(&sources, &variables);
        assert!(compiled.diagnostics.is_empty(), "{:?}", compiled.diagnostics);
        let first = compiled.engine.rules().iter().min_by_key(|rule| rule.origin.1).expect("a rule");
        let probe = Probe::new(first, &sources, &variables).expect("it is in the sources");
        Self { engine: compiled.engine, probe, memory: None, protocol: None }
    }

    /// Shows a subject to both, holds what they say together, and gives what the probe says.
    #[track_caller]
    fn show(&mut self, moment: &Moment<'_>, subject: &Subject<'_>) -> Option<Sighting> {
        let sighting = self.probe.look(moment, subject, self.memory.as_deref());
        let mut scratch = Scratch::default();
        self.engine.inspect(moment, subject, &mut self.memory, &mut scratch);
        let reported = scratch.matches().iter().any(|&id| self.engine.rule(id).origin.1 == 1);
        let expected = sighting.as_ref().is_some_and(|it| it.reason.is_none() && it.silence.is_none());
        assert_eq!(reported, expected, "{sighting:?}");
        sighting
    }

    #[track_caller]
    fn packet(&mut self, ip_protocol: u8, payload: &[u8], direction: Direction) -> Option<Sighting> {
        let (source, destination) = ends(direction);
        let frame = frame(ip_protocol, source, destination, payload);
        let packet = decode(&captured(&frame), &DecodeLimits::default());
        let moment = Moment { packet: Some(&packet), ip_protocol, ..moment(direction) };
        self.show(&moment, &Subject::Packet)
    }

    #[track_caller]
    fn stream(&mut self, bytes: &[u8]) -> Sighting {
        self.show(&moment(Direction::ToServer), &Subject::Stream(bytes)).expect("inspected in the stream")
    }

    /// What the probe says of a Modbus request.
    fn ask(&mut self, pdu: &[u8]) -> Vec<Sighting> {
        let protocol = PROTOCOLS.iter().copied().find(|protocol| protocol.name == "modbus").expect("modbus");
        self.protocol = Some(protocol);
        let mut dissector = (protocol.open)(&Limits::DEFAULT);
        let envelope = Envelope { direction: Direction::ToServer, timestamp: Timestamp::new(0, 0), datagram: false };
        let mut hearer = Hearer { trial: self, seen: Vec::new() };
        dissector.parse(&envelope, &modbus(1, pdu), &mut hearer);
        hearer.seen
    }

    #[track_caller]
    fn reached(&self, sighting: &Sighting) -> &str {
        &self.probe.requirements()[sighting.met].text
    }
}

struct Hearer<'t> {
    trial: &'t mut Trial,
    seen: Vec<Sighting>,
}

impl Sink for Hearer<'_> {
    fn message(&mut self, envelope: &Envelope, record: &dyn Record, anomalies: &[Anomaly]) {
        let moment = Moment { protocol: self.trial.protocol, ..moment(envelope.direction) };
        self.seen.extend(self.trial.show(&moment, &Subject::Message { record: Some(record), anomalies, left: None }));
    }

    fn transaction(&mut self, _: &Envelope, _: &dyn Record) {}

    fn anomaly(&mut self, _: &Envelope, _: &'static Protocol, _: Anomaly) {}
}

fn ends(direction: Direction) -> ((std::net::IpAddr, u16), (std::net::IpAddr, u16)) {
    match direction {
        Direction::ToServer => (CLIENT, SERVER),
        Direction::ToClient => (SERVER, CLIENT),
    }
}

fn moment(direction: Direction) -> Moment<'static> {
    let (source, destination) = ends(direction);
    Moment {
        packet: None,
        source,
        destination,
        direction: Some(direction),
        ip_protocol: 6,
        established: true,
        protocol: None,
        timestamp: Timestamp::new(0, 0),
        flow: None,
        route: None,
    }
}

#[test]
fn the_header_is_tried_word_by_word_and_the_other_way_round() {
    let mut trial = Trial::of("alert udp 10.0.0.1 502 -> any any (content:\"x\"; depth:1; sid:1;)");
    let kinds: Vec<_> = trial.probe.requirements().iter().map(|it| it.kind.clone()).collect();
    assert_eq!(kinds[..3], [Asked::Transport, Asked::Address(End::Source), Asked::Port(End::Source)]);
    let seen = trial.packet(17, b"x", Direction::ToServer).expect("inspected");
    assert_eq!((seen.met, &seen.reason), (1, &Some(Reason::Address { was: CLIENT.0, reversed: true })));
    let seen = trial.packet(6, b"x", Direction::ToServer).expect("inspected");
    assert_eq!(seen.reason, Some(Reason::Transport(6)));
    assert_eq!(trial.packet(17, b"x", Direction::ToClient).expect("inspected").reason, None);
}

#[test]
fn flow_and_flowbits_are_told_apart() {
    let mut trial = Trial::of(
        "alert tcp any any -> any any (flow:to_client; flowbits:isset,seen; content:\"x\"; depth:1; sid:1;)\n\
         alert tcp any any -> any any (content:\"set\"; depth:3; flowbits:set,seen; flowbits:noalert; sid:2;)",
    );
    let seen = trial.packet(6, b"set", Direction::ToServer).expect("inspected");
    assert_eq!(seen.reason, Some(Reason::Direction(Some(Direction::ToServer))));
    let seen = trial.packet(6, b"x", Direction::ToClient).expect("inspected");
    assert_eq!(seen.reason, None);
    let mut fresh = Trial::of("alert tcp any any -> any any (flowbits:isset,seen; content:\"x\"; depth:1; sid:1;)");
    let seen = fresh.packet(6, b"x", Direction::ToClient).expect("inspected");
    assert_eq!(fresh.reached(&seen), "flowbits:isset,seen");
}

#[test]
fn a_captured_value_is_told_apart() {
    let mut trial = Trial::of(
        "alert udp any any -> any any (content:\"next\"; depth:4; flowvar:id,\"7\"; sid:1;)\n\
         alert udp any any -> any any (content:\"id=\"; pcre:\"/id=(\\d)/, flow:id\"; sid:2;)",
    );
    let seen = trial.packet(17, b"next", Direction::ToServer).expect("inspected");
    assert_eq!((trial.reached(&seen), &seen.reason), ("flowvar:id,\"7\"", &Some(Reason::Unmet)));
    trial.packet(17, b"id=7", Direction::ToServer);
    assert_eq!(trial.packet(17, b"next", Direction::ToServer).expect("inspected").reason, None);
}

#[test]
fn what_a_hook_asks_for_is_named_by_the_header() {
    let mut trial = Trial::of("alert modbus:request_complete any any -> any any (modbus.function:5; sid:1;)");
    let asked = trial.probe.requirements().iter().filter(|it| it.kind == Asked::Condition);
    assert!(asked.clone().any(|it| it.text == "modbus:request_complete"), "{:?}", asked.collect::<Vec<_>>());
    assert_eq!(trial.ask(&[5, 0, 0, 0xff, 0])[0].reason, None);
}

#[test]
fn contents_tell_which_of_them_fails_and_where_their_bytes_are() {
    let mut trial = Trial::of(
        "alert tcp any any -> any any (content:\"GET\"; depth:3; content:\"admin\"; distance:1; within:5; sid:1;)",
    );
    let seen = trial.packet(6, b"GET /x/admin", Direction::ToServer).expect("inspected");
    assert_eq!(trial.reached(&seen), "content:\"admin\"; distance:1; within:5");
    let missing = Shortfall::Missing { from: 4, to: 9, length: 12, elsewhere: Some(7), other_case: None };
    assert_eq!(seen.reason, Some(Reason::Buffer(missing)));
    let seen = trial.packet(6, b"GET ADMIN", Direction::ToServer).expect("inspected");
    let missing = Shortfall::Missing { from: 4, to: 9, length: 9, elsewhere: None, other_case: Some(4) };
    assert_eq!(seen.reason, Some(Reason::Buffer(missing)));
    let seen = trial.packet(6, b"POST", Direction::ToServer).expect("inspected");
    assert_eq!(trial.reached(&seen), "content:\"GET\"; depth:3");
    assert_eq!(trial.packet(6, b"GET admin", Direction::ToServer).expect("inspected").reason, None);
}

#[test]
fn what_is_spread_over_segments_is_seen_as_the_engine_sees_it() {
    let mut trial = Trial::of("alert tcp any any -> any any (content:\"abcdef\"; content:!\"xyz\"; sid:1;)");
    assert!(trial.packet(6, b"abcdef", Direction::ToServer).is_none(), "it is inspected in the stream");
    assert!(trial.stream(b"..abc").reason.is_some());
    assert!(trial.stream(b"def..").reason.is_none());
    assert!(trial.stream(b"nothing").reason.is_some());
    let seen = trial.stream(b"abcdefxyz");
    assert_eq!(trial.reached(&seen), "content:!\"xyz\"");
}

#[test]
fn a_field_that_does_not_hold_tells_its_values() {
    let mut trial = Trial::of("alert modbus any any -> any any (modbus.request; modbus.function:5; sid:1;)");
    assert_eq!(trial.probe.occasions(), [Occasion::Messages("modbus")]);
    let seen = trial.ask(&[3, 0, 0, 0, 1]);
    assert_eq!(seen[0].reason, Some(Reason::Values(vec!["3 (read_holding_registers)".to_owned()])));
    assert_eq!(trial.reached(&seen[0]), "modbus.function:5");
    let seen = trial.ask(&[5, 0, 0, 0xff, 0]);
    assert_eq!(seen[0].reason, None);
}

#[test]
fn a_rule_that_matches_and_does_not_report_says_why() {
    let mut once = Trial::of("alert tcp any any -> any any (sid:1;)");
    assert_eq!(once.packet(6, b"x", Direction::ToServer).expect("inspected").silence, None);
    assert_eq!(once.packet(6, b"x", Direction::ToServer).expect("inspected").silence, Some(Silence::Repeated));
    let mut quiet = Trial::of("alert tcp any any -> any any (content:\"x\"; depth:1; noalert; sid:1;)");
    assert_eq!(quiet.packet(6, b"x", Direction::ToServer).expect("inspected").silence, Some(Silence::Quiet));
}

#[test]
fn a_rule_is_explained_from_its_text() {
    let text = "# a remark\nalert tcp $HOME_NET any -> any 502 (msg:\"m\"; content:\"GET\"; nocase; depth:9; \
                pcre:\"/a+/\"; classtype:misc-attack; sid:7;)";
    let variables = Variables::standard();
    let sources = [source(text)];
    let engine = Engine::compile(&sources, &variables).engine;
    let it = explain(&engine.rules()[0], &sources, &variables).expect("explained");
    assert!(it.text.starts_with("alert tcp $HOME_NET"));
    assert_eq!(it.occasions, [Occasion::Packets, Occasion::Turns]);
    assert_eq!(it.fast_pattern, Some(("payload".to_owned(), b"get".to_vec())));
    assert!(it.keys.iter().any(|key| key.name == "destination_port" && key.values == [(502, 502)]));
    assert_eq!((it.work.contents, it.work.expressions), (1, 1));
    let content = it.clauses.iter().find(|clause| clause.name == "content").expect("content");
    assert_eq!(content.modifiers, [("nocase".to_owned(), None), ("depth".to_owned(), Some("9".to_owned()))]);
}
