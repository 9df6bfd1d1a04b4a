//! A bench for rules: frames and messages made by hand, put to an engine as the sensor would.
#![allow(dead_code)]

use std::net::{IpAddr, Ipv4Addr};

use vigia_parsers::dissector::{Dissector, Envelope};
use vigia_parsers::packet::{Captured, DecodeLimits, LinkType, decode};
use vigia_parsers::{Anomaly, Direction, Limits, Protocol, Record, Sink, Timestamp};
use vigia_rules::{
    Compiled, Engine, FlowMemory, Gate, Leaving, Match, Moment, Route, Scratch, Source, Subject, Variables, Verdict,
};

/// The station that asks.
pub(crate) const CLIENT: (IpAddr, u16) = (IpAddr::V4(Ipv4Addr::new(10, 0, 0, 10)), 40_000);
/// The station that answers.
pub(crate) const SERVER: (IpAddr, u16) = (IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), 502);

pub(crate) fn source(text: &str) -> Source {
    Source { name: "test.rules".into(), text: text.into() }
}

pub(crate) fn compile(text: &str) -> Compiled {
    Engine::compile(&[source(text)], &Variables::standard())
}

/// Compiles rules that have nothing wrong in them.
#[track_caller]
pub(crate) fn engine(text: &str) -> Engine {
    let compiled = compile(text);
    let problems: Vec<String> = compiled.diagnostics.iter().map(ToString::to_string).collect();
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    compiled.engine
}

/// Packets of several flows put to an engine by one worker.
pub(crate) struct Ends<'e> {
    engine: &'e Engine,
    routes: Vec<Route>,
    scratch: Scratch,
}

impl<'e> Ends<'e> {
    pub(crate) fn new(engine: &'e Engine, flows: usize) -> Self {
        let routes = std::iter::repeat_with(Route::default).take(flows).collect();
        Self { engine, routes, scratch: Scratch::default() }
    }

    /// Signature ids that a datagram raises which holds `a needle`, between two ends in 10.0.0.0/24; of a flow, or of none.
    pub(crate) fn packet(
        &mut self,
        flow: Option<usize>,
        source: (u8, u16),
        destination: (u8, u16),
        direction: Direction,
    ) -> Vec<u32> {
        let [source, destination] =
            [source, destination].map(|end| (IpAddr::V4(Ipv4Addr::new(10, 0, 0, end.0)), end.1));
        let frame = frame(17, source, destination, b"a needle");
        let packet = decode(&captured(&frame), &DecodeLimits::default());
        let moment = Moment {
            packet: Some(&packet),
            source,
            destination,
            direction: Some(direction),
            ip_protocol: 17,
            established: true,
            protocol: None,
            timestamp: Timestamp::new(0, 0),
            flow: None,
            route: flow.and_then(|flow| self.routes.get(flow)),
        };
        self.engine.inspect(&moment, &Subject::Packet, &mut None, &mut self.scratch);
        self.scratch.matches().iter().map(|&id| self.engine.rule(id).sid).collect()
    }
}

/// One flow put to an engine.
pub(crate) struct Flow<'e> {
    pub(crate) engine: &'e Engine,
    pub(crate) protocol: Option<&'static Protocol>,
    pub(crate) established: bool,
    pub(crate) memory: Option<Box<FlowMemory>>,
    pub(crate) route: Route,
    pub(crate) scratch: Scratch,
    pub(crate) seconds: u64,
    /// Number of the packet that carries what is inspected; 0 where it is not in hand.
    pub(crate) number: u64,
    /// What counts the matches in messages, if any does.
    pub(crate) gate: Option<Gate>,
    /// Matches that were found silent.
    pub(crate) silent: u64,
}

impl<'e> Flow<'e> {
    pub(crate) fn new(engine: &'e Engine) -> Self {
        Self {
            engine,
            protocol: None,
            established: true,
            memory: None,
            route: Route::default(),
            scratch: Scratch::default(),
            seconds: 0,
            number: 0,
            gate: None,
            silent: 0,
        }
    }

    fn moment(&self, direction: Direction) -> Moment<'static> {
        let (source, destination) = match direction {
            Direction::ToServer => (CLIENT, SERVER),
            Direction::ToClient => (SERVER, CLIENT),
        };
        Moment {
            packet: None,
            source,
            destination,
            direction: Some(direction),
            ip_protocol: 6,
            established: self.established,
            protocol: self.protocol,
            timestamp: Timestamp::new(self.seconds, 0),
            flow: None,
            route: None,
        }
    }

    /// Signature ids that the subject raises.
    pub(crate) fn inspect(&mut self, moment: &Moment<'_>, subject: &Subject<'_>) -> Vec<u32> {
        // It is a flow of TCP: what is of another protocol does not go its way.
        let route = Some(&self.route).filter(|_| moment.ip_protocol == 6);
        let frame = frame(moment.ip_protocol, moment.source, moment.destination, b"a packet");
        let carrier = decode(&Captured { number: self.number, ..captured(&frame) }, &DecodeLimits::default());
        let packet = moment.packet.or((self.number > 0).then_some(&carrier));
        let moment = Moment { route, packet, ..*moment };
        let idle = self.is_idle(&moment, subject);
        self.engine.inspect(&moment, subject, &mut self.memory, &mut self.scratch);
        assert!(!idle || !self.scratch.has_tried(), "the sensor would not have shown this packet");
        self.scratch.matches().iter().map(|&id| self.engine.rule(id).sid).collect()
    }

    /// Would the sensor not show this to the rules?
    fn is_idle(&self, moment: &Moment<'_>, subject: &Subject<'_>) -> bool {
        let way = moment.route.zip(moment.direction).zip(moment.packet);
        matches!(subject, Subject::Packet)
            && way.is_some_and(|(way, packet)| self.engine.is_idle(packet, way, moment.protocol, &self.scratch))
    }

    /// The same of a packet of TCP without payload.
    pub(crate) fn leaves_alone(&self, direction: Direction) -> bool {
        let moment = self.moment(direction);
        let frame = frame(6, moment.source, moment.destination, b"");
        let packet = decode(&captured(&frame), &DecodeLimits::default());
        let moment = Moment { packet: Some(&packet), route: Some(&self.route), ..moment };
        self.is_idle(&moment, &Subject::Packet)
    }

    /// A packet with this IP protocol (6 or 17) and payload.
    pub(crate) fn packet(&mut self, ip_protocol: u8, payload: &[u8], direction: Direction) -> Vec<u32> {
        let mut moment = self.moment(direction);
        let frame = frame(ip_protocol, moment.source, moment.destination, payload);
        let packet = decode(&Captured { number: self.number, ..captured(&frame) }, &DecodeLimits::default());
        moment.packet = Some(&packet);
        moment.ip_protocol = ip_protocol;
        self.inspect(&moment, &Subject::Packet)
    }

    /// A packet as it was decoded, of this flow or of none.
    pub(crate) fn shown(
        &mut self,
        packet: &vigia_parsers::packet::Packet<'_>,
        direction: Option<Direction>,
    ) -> Vec<u32> {
        let moment = Moment { packet: Some(packet), direction, ip_protocol: 17, ..self.moment(Direction::ToServer) };
        self.inspect(&moment, &Subject::Packet)
    }

    /// Bytes of the stream.
    pub(crate) fn stream(&mut self, bytes: &[u8], direction: Direction) -> Vec<u32> {
        let moment = self.moment(direction);
        self.inspect(&moment, &Subject::Stream(bytes))
    }

    pub(crate) fn stream_event(&mut self, event: &'static str) -> Vec<u32> {
        let moment = self.moment(Direction::ToServer);
        self.inspect(&moment, &Subject::StreamEvent(event))
    }

    pub(crate) fn message(
        &mut self,
        direction: Direction,
        record: Option<&dyn Record>,
        anomalies: &[Anomaly],
    ) -> Vec<u32> {
        let moment = self.moment(direction);
        // As the sensor does, which does not inspect what no rule can be about.
        let asked = record.and_then(|record| Some((record, self.engine.asked(record)?)));
        let left = asked.and_then(|(record, asked)| {
            let (memory, scratch) = (&mut self.memory, &mut self.scratch);
            let Leaving { left, silent } = self.engine.left(asked, &moment, record.transaction(), memory, scratch);
            self.silent += silent;
            left
        });
        if record.is_some() && left.is_none() && anomalies.is_empty() {
            return Vec::new();
        }
        let mut raised = self.inspect(&moment, &Subject::Message { record, anomalies, left });
        if let Some(gate) = &mut self.gate {
            let Moment { source, destination, timestamp, .. } = moment;
            raised.clear();
            for rule in self.scratch.matches().to_vec() {
                if gate.admit(self.engine, rule, &Match { source, destination, timestamp, noted: Box::default() })
                    == Verdict::Report
                {
                    raised.push(self.engine.rule(rule).sid);
                }
                self.scratch.hear(gate.forgotten());
                if let Some((left, silence)) = left.zip(gate.silence()) {
                    self.engine.hush(left, rule, silence, &mut self.scratch);
                }
            }
        }
        raised
    }
}

/// A flow with a dissector in front: whole messages in, signature ids out.
pub(crate) struct Talk<'e> {
    pub(crate) flow: Flow<'e>,
    dissector: Box<dyn Dissector>,
}

impl<'e> Talk<'e> {
    pub(crate) fn new(engine: &'e Engine, protocol: &'static Protocol) -> Self {
        Self {
            flow: Flow { protocol: Some(protocol), ..Flow::new(engine) },
            dissector: (protocol.open)(&Limits::DEFAULT),
        }
    }

    pub(crate) fn say(&mut self, direction: Direction, message: &[u8]) -> Vec<u32> {
        let envelope = Envelope { direction, timestamp: Timestamp::new(self.flow.seconds, 0), datagram: false };
        let mut hearer = Hearer { flow: &mut self.flow, raised: Vec::new() };
        self.dissector.parse(&envelope, message, &mut hearer);
        hearer.raised
    }

    pub(crate) fn ask(&mut self, message: &[u8]) -> Vec<u32> {
        self.say(Direction::ToServer, message)
    }

    pub(crate) fn answer(&mut self, message: &[u8]) -> Vec<u32> {
        self.say(Direction::ToClient, message)
    }
}

struct Hearer<'t, 'e> {
    flow: &'t mut Flow<'e>,
    raised: Vec<u32>,
}

impl Sink for Hearer<'_, '_> {
    fn message(&mut self, envelope: &Envelope, record: &dyn Record, anomalies: &[Anomaly]) {
        self.raised.extend(self.flow.message(envelope.direction, Some(record), anomalies));
    }

    fn transaction(&mut self, _: &Envelope, _: &dyn Record) {}

    fn anomaly(&mut self, envelope: &Envelope, _: &'static Protocol, anomaly: Anomaly) {
        self.raised.extend(self.flow.message(envelope.direction, None, &[anomaly]));
    }
}

/// A Modbus/TCP message: transaction, unit 1, PDU.
pub(crate) fn modbus(transaction: u16, pdu: &[u8]) -> Vec<u8> {
    let mut message = transaction.to_be_bytes().to_vec();
    message.extend([0, 0]);
    message.extend((pdu.len() as u16 + 1).to_be_bytes());
    message.push(1);
    message.extend(pdu);
    message
}

pub(crate) fn captured(frame: &[u8]) -> Captured<'_> {
    Captured {
        number: 1,
        timestamp: Timestamp::new(0, 0),
        link: LinkType::Ethernet,
        frame,
        wire_length: frame.len() as u32,
        stripped_vlan: None,
    }
}

/// An Ethernet frame with IPv4 and TCP, UDP or ICMP.
pub(crate) fn frame(ip_protocol: u8, source: (IpAddr, u16), destination: (IpAddr, u16), payload: &[u8]) -> Vec<u8> {
    let (IpAddr::V4(from), IpAddr::V4(to)) = (source.0, destination.0) else { panic!("IPv4 only") };
    let mut transport = Vec::new();
    transport.extend(source.1.to_be_bytes());
    transport.extend(destination.1.to_be_bytes());
    match ip_protocol {
        6 => transport.extend([0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x18, 0x20, 0, 0, 0, 0, 0]),
        17 => {
            transport.extend((payload.len() as u16 + 8).to_be_bytes());
            transport.extend([0, 0]);
        }
        _ => transport = vec![8, 0, 0, 0, 0, 1, 0, 1],
    }
    let length = 20 + transport.len() + payload.len();
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0];
    frame.extend((length as u16).to_be_bytes());
    frame.extend([0, 1, 0x40, 0, 64, ip_protocol, 0, 0]);
    frame.extend(from.octets());
    frame.extend(to.octets());
    frame.extend(transport);
    frame.extend(payload);
    frame
}
