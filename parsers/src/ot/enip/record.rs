//! The record of EtherNet/IP: an encapsulation message, and the request it answers.

use super::cip::connection::Opening;
use super::cip::identity::Attributes;
use super::cip::names as cip_names;
use super::cip::operation::tell;
use super::cip::path::Logical;
use super::cip::record::unsigned;
use super::cip::service::{Service, code};
use super::encapsulation::{Identity, Message, command};
use super::{PROTOCOL, eve, names};
use crate::dissector::{Pairing, Protocol, Record};
use crate::field::{Tree, Value, Visit};
use crate::identity::VisitFacts;
use crate::operation::{Operation, VisitPoints};

/// A message with its place in the flow.
#[derive(Debug, Clone, Copy)]
pub(super) struct Exchange<'a> {
    pub(super) message: &'a Message<'a>,
    /// What it answers, if that was seen.
    pub(super) request: Option<&'a Message<'a>>,
    pub(super) transaction: u64,
    pub(super) pairing: Pairing,
}

impl Record for Exchange<'_> {
    fn protocol(&self) -> &'static Protocol {
        &PROTOCOL
    }

    fn visit(&self, index: usize, out: &mut Visit<'_>) {
        visit(self, index, out);
    }

    fn tree(&self, tree: &mut dyn Tree) {
        eve::write(self, tree);
    }

    fn transaction(&self) -> u64 {
        self.transaction
    }

    fn pairing(&self) -> Pairing {
        self.pairing
    }

    /// Of what it carries, the records of CIP tell.
    fn operation(&self) -> Option<Operation> {
        use command::*;
        matches!(self.message.command, LIST_IDENTITY | LIST_SERVICES | LIST_INTERFACES).then_some(Operation::Discover)
    }

    fn points(&self, _: &mut VisitPoints<'_>) {}

    fn facts(&self, out: &mut VisitFacts<'_>) {
        if let Some(identity) = self.message.identity() {
            let attributes = Attributes {
                vendor: Some(identity.vendor),
                device_type: Some(identity.device_type),
                product_code: Some(identity.product_code),
                revision: Some(identity.revision),
                status: Some(identity.status),
                serial: Some(identity.serial),
                product_name: Some(identity.product_name),
            };
            tell(&attributes, out);
        }
    }
}

impl<'a> Exchange<'a> {
    /// Calls `visit` for each CIP message within, embedded ones too.
    fn services(&self, visit: &mut dyn FnMut(&Service<'a>)) {
        if let Some(service) = self.message.service() {
            service.walk(visit, &mut |_| {});
        }
    }

    /// Calls `visit` for each CIP request that the message makes or answers.
    fn asked(&self, visit: &mut dyn FnMut(&Service<'a>)) {
        let own = self.message.service().filter(|service| service.is_request());
        if let Some(service) = own.or_else(|| self.request?.service()) {
            service.walk(visit, &mut |_| {});
        }
    }

    fn numbers(&self, kind: Logical, out: &mut Visit<'_>) {
        self.services(&mut |service| {
            let opening = Opening::new(service, service).map(|opening| opening.path);
            let paths = [Some(service.path), opening].into_iter().flatten();
            paths.flat_map(|path| path.numbers(kind)).for_each(|number| out(Value::Unsigned(number.into())));
        });
    }

    fn attributes(&self, out: &mut Visit<'_>) {
        self.services(&mut |service| attributes(service, &mut |number| out(Value::Unsigned(number.into()))));
    }

    fn accesses(&self, out: &mut Visit<'_>) {
        self.asked(&mut |service| {
            let class = service.path.first(Logical::Class);
            let access = |attribute| access(service.code(), class, attribute);
            let mut any = false;
            attributes(service, &mut |number| {
                any = true;
                out(Value::Unsigned(access(Some(number))));
            });
            if !any {
                out(Value::Unsigned(access(None)));
            }
        });
    }

    fn identity(&self) -> Option<Identity<'a>> {
        self.message.identity()
    }

    fn protocol_version(&self, out: &mut Visit<'_>) {
        let registered = self.message.register().map(|registered| registered.0);
        unsigned(registered.or(self.identity().map(|identity| identity.protocol_version)), out);
        self.message.offers().for_each(|offer| out(Value::Unsigned(offer.protocol_version.into())));
    }
}

/// The attributes that a request names in its path, or in the list it carries.
fn attributes(service: &Service<'_>, out: &mut dyn FnMut(u32)) {
    service.path.numbers(Logical::Attribute).for_each(&mut *out);
    if service.raw == code::GET_ATTRIBUTE_LIST {
        let count = super::read::uint(service.data, 0).unwrap_or(0);
        let listed = (0..usize::from(count)).map_while(|at| super::read::uint(service.data, 2 + 2 * at));
        listed.for_each(|number| out(number.into()));
    }
}

/// Service, class and attribute in one number, so that a rule can ask for all three of one service.
fn access(service: u8, class: Option<u32>, attribute: Option<u32>) -> u64 {
    // Numbers beyond 16 bits are none that the standard gives.
    let packed = |number: Option<u32>| number.map_or(0, |number| u64::from(number.min(0xffff)) + 1);
    u64::from(service) << 34 | packed(class) << 17 | packed(attribute)
}

crate::fields! {
    /// What a rule can ask of an EtherNet/IP message.
    pub(super) static FIELDS, visit(record: &Exchange<'_>, out) {
        command: Unsigned { bits: 16, names: names::COMMANDS }, One, "Command of the encapsulation header (CIP volume 2 §2-3.2)"
            => out(Value::Unsigned(record.message.command.into()));
        status: Unsigned { bits: 32, names: names::STATUS }, One, "Status of the encapsulation header (§2-3.5)"
            => out(Value::Unsigned(record.message.status.into()));
        request: Flag, One, "Does it go from the client to the server?" => out(Value::Flag(record.message.request));
        session: Unsigned { bits: 32, names: &[] }, One, "Session handle (§2-3.4)"
            => out(Value::Unsigned(record.message.session.into()));
        length: Unsigned { bits: 16, names: &[] }, One, "Length of the data behind the header, in bytes (§2-3.3)"
            => out(Value::Unsigned(record.message.length.into()));
        sender_context: Bytes, One, "Sender context, which an answer repeats (§2-3.6)"
            => out(Value::Bytes(record.message.context));
        options: Unsigned { bits: 32, names: &[] }, One, "Options of the header: 0 (§2-3.7)"
            => out(Value::Unsigned(record.message.options.into()));
        protocol_version: Unsigned { bits: 16, names: &[] }, Many,
            "Protocol version of Register Session, List Identity or List Services"
            => record.protocol_version(out);
        capabilities: Unsigned { bits: 16, names: &[] }, Many, "Capability flags of List Services (§2-4.6)"
            => record.message.offers().for_each(|offer| out(Value::Unsigned(offer.capabilities.into())));
        service_name: Bytes, Many, "Name of the service of List Services (§2-4.6)"
            => record.message.offers().for_each(|offer| out(Value::Bytes(offer.name)));
        vendor_id: Unsigned { bits: 16, names: &[] }, Optional, "Vendor of a List Identity reply (§2-4.3)"
            => unsigned(record.identity().map(|identity| identity.vendor), out);
        device_type: Unsigned { bits: 16, names: cip_names::DEVICE_TYPES }, Optional, "Device type of a List Identity reply"
            => unsigned(record.identity().map(|identity| identity.device_type), out);
        product_code: Unsigned { bits: 16, names: &[] }, Optional, "Product code of a List Identity reply"
            => unsigned(record.identity().map(|identity| identity.product_code), out);
        revision: Unsigned { bits: 16, names: &[] }, Optional, "Revision of a List Identity reply, as major × 256 + minor"
            => unsigned(record.identity().map(|identity| u16::from_be_bytes(identity.revision)), out);
        identity_status: Unsigned { bits: 16, names: &[] }, Optional, "Device status of a List Identity reply"
            => unsigned(record.identity().map(|identity| identity.status), out);
        serial: Unsigned { bits: 32, names: &[] }, Optional, "Serial number of a List Identity reply"
            => unsigned(record.identity().map(|identity| identity.serial), out);
        product_name: Bytes, Optional, "Product name of a List Identity reply"
            => if let Some(identity) = record.identity() { out(Value::Bytes(identity.product_name)) };
        state: Unsigned { bits: 8, names: cip_names::DEVICE_STATES }, Optional, "Device state of a List Identity reply (volume 1 §5-2.2)"
            => unsigned(record.identity().and_then(|identity| identity.state), out);
        address: Address, Optional, "IP address that a List Identity reply states"
            => if let Some(identity) = record.identity() { out(Value::Address(identity.address.into())) };
        port: Unsigned { bits: 16, names: &[] }, Optional, "Port that a List Identity reply states"
            => unsigned(record.identity().map(|identity| identity.port), out);
        item: Unsigned { bits: 16, names: names::ITEMS }, Many, "Types of the items in the common packet format (§2-6)"
            => record.message.items().or(record.message.listed()).into_iter().flatten()
                .for_each(|item| out(Value::Unsigned(item.kind.into())));
        connection_id: Unsigned { bits: 32, names: &[] }, Optional, "Connection that a Send Unit Data travels in"
            => unsigned(record.message.connection(), out);
        sequence: Unsigned { bits: 16, names: &[] }, Optional, "Sequence count of a Send Unit Data"
            => unsigned(record.message.sequence(), out);
        cip_service: Unsigned { bits: 7, names: cip_names::SERVICES }, Many,
            "Services of the CIP messages within, embedded ones too, without the reply bit"
            => record.services(&mut |service| out(Value::Unsigned(service.code().into())));
        cip_class: Unsigned { bits: 32, names: cip_names::CLASSES }, Many, "Classes in the paths of the CIP requests within"
            => record.numbers(Logical::Class, out);
        cip_instance: Unsigned { bits: 32, names: &[] }, Many, "Instances in the paths of the CIP requests within"
            => record.numbers(Logical::Instance, out);
        cip_attribute: Unsigned { bits: 32, names: &[] }, Many,
            "Attributes that the CIP requests within name, in their paths or in a list"
            => record.attributes(out);
        cip_status: Unsigned { bits: 8, names: cip_names::STATUS }, Many, "General status of the CIP responses within"
            => record.services(&mut |service| if !service.is_request() { out(Value::Unsigned(service.status.into())) });
        cip_extendedstatus: Unsigned { bits: 16, names: cip_names::EXTENDED_STATUS }, Many,
            "First word of the additional status of the CIP responses within"
            => record.services(&mut |service| unsigned(service.extended_status(), out));
        cip_access: Unsigned { bits: 41, names: &[] }, Many,
            "Service, class and attribute of each CIP request within, or answered, in one number: service × 2^34 + (class + 1) × 2^17 + attribute + 1, 0 for what it does not name"
            => record.accesses(out);
        data: Bytes, One, "Everything after the header" => out(Value::Bytes(record.message.data));
    }
}
