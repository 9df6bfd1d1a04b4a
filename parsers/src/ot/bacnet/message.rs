//! A message, layer by layer.

use super::apdu::{self, Apdu};
use super::link::{Bvlc, Carrier, Link};
use super::network::{self, Npdu};
use super::schema::PRIORITY;
use super::tag::Primitive;
use super::walk::{Step, walk};
use super::{INVALID_LENGTH, INVALID_VALUE};
use crate::dissector::Anomaly;
use crate::findings::Findings;

/// What of a message can be read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Message<'a> {
    pub(super) bvlc: Option<Bvlc<'a>>,
    pub(super) npdu: Option<Npdu<'a>>,
    pub(super) apdu: Option<Apdu<'a>>,
    /// Octets in front of the APDU.
    pub(super) lower: usize,
}

impl<'a> Message<'a> {
    /// Takes a message apart, and says what is wrong with it as far as its headers go; an error is where not even the
    /// link layer is there.
    pub(super) fn new(carrier: Carrier, bytes: &'a [u8]) -> Result<(Self, Findings), Anomaly> {
        let mut findings = Findings::NONE;
        let mut note = |fault: Anomaly| findings.push(fault.kind, fault.offset);
        let cut = Anomaly { kind: INVALID_LENGTH, offset: bytes.len() };
        let Link { bvlc, npdu, offset, fault } = carrier.open(bytes).ok_or(cut)?;
        let mut message = Self { bvlc, npdu: None, apdu: None, lower: offset };
        fault.into_iter().for_each(&mut note);
        if let Some(npdu) = npdu.filter(|npdu| !npdu.is_empty()) {
            match network::read(npdu, offset) {
                Ok(network) => {
                    network.fault.into_iter().for_each(&mut note);
                    message.npdu = Some(network.npdu);
                    message.lower = network.offset;
                    match network.apdu.map(|apdu| apdu::read(apdu, network.offset)) {
                        Some(Ok(apdu)) => message.apdu = Some(apdu),
                        Some(Err(fault)) => note(fault),
                        None => {}
                    }
                }
                Err(fault) => note(fault),
            }
        }
        Ok((message, findings))
    }

    /// What is wrong with the parameters.
    pub(super) fn check(&self, findings: &mut Findings) {
        let Some(apdu) = &self.apdu else { return };
        let base = self.lower + apdu.offset;
        walk(apdu, &mut |step| match step {
            Step::Fault(fault) => findings.push(fault.kind, base + fault.offset),
            Step::Value(leaf) if leaf.name == PRIORITY && !matches!(leaf.value, Primitive::Unsigned(1..=16)) => {
                findings.push(INVALID_VALUE, base);
            }
            _ => {}
        });
    }
}
