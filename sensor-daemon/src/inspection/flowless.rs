//! Packets without a flow, as ARP and fragments are: the rules that look at packets see them, and that is all.

use std::cell::OnceCell;

use vigia_parsers::packet::Packet;
use vigia_rules::{Match, Moment, Subject, Told};

use super::Inspector;
use super::facts::{NOWHERE, packet_header};
use super::observer::{ask, count_limits};
use crate::capture::InterfaceId;
use crate::event::Alert;

impl Inspector {
    /// Keeps a packet without a flow, and shows it to the rules that look at packets.
    #[cold]
    pub(super) fn flowless(&mut self, packet: &Packet<'_>, interface: InterfaceId) {
        if let Some(recorder) = &mut self.output.evidence {
            recorder.without_flow(packet, interface);
        }
        self.without_flow(packet, interface);
    }

    /// Shows a packet without a flow (ARP, bare Ethernet) to the rules that look at packets.
    pub(super) fn without_flow(&mut self, packet: &Packet<'_>, interface: InterfaceId) {
        if !self.rules.engine.wants_packet(packet) {
            return;
        }
        let ends = packet.ip.as_ref().map_or([NOWHERE; 2], |ip| [(ip.source, 0), (ip.destination, 0)]);
        let moment = Moment {
            packet: Some(packet),
            source: ends[0],
            destination: ends[1],
            direction: None,
            ip_protocol: packet.ip.as_ref().map_or(0, |ip| ip.protocol),
            established: false,
            protocol: None,
            timestamp: packet.timestamp,
            flow: None,
            route: None,
        };
        let (observer, engine) = (self.observer.as_deref_mut(), &self.rules.engine);
        // Of a packet without a flow nothing is remembered; what was found in it is told with it.
        let mut memory = None;
        ask(observer, engine, &moment, &Subject::Packet, &mut memory, &mut self.scratch);
        count_limits(&mut self.output, &self.scratch, &Subject::Packet);
        let header = packet_header(packet, &self.names, interface, 0);
        let alert = Alert {
            flow: None,
            protocol: None,
            packet: Some(packet),
            record: None,
            direction: None,
            payload: packet.payload(),
            stream: false,
            told: Told::nothing(),
            remarks: &[],
        };
        let [source, destination] = header.endpoints.map_or([NOWHERE; 2], |ends| [ends.source, ends.destination]);
        let told = OnceCell::new();
        for &rule in self.scratch.matches() {
            let noted = self.scratch.noted(rule);
            let found = Match { source, destination, timestamp: header.timestamp, noted };
            if let Some(entry) = self.output.matched(rule, header.number, found) {
                let told = told.get_or_init(|| self.rules.engine.told(memory.as_deref(), &self.scratch));
                let remarks = self.scratch.remarks(rule);
                self.output.alert(entry, &header, &Alert { told, remarks, ..alert });
            }
        }
    }
}
