//! The PDUs of MMS (ISO 9506-2 §7), read as far as their service; the rest when it is asked for.

use super::association::{self, Association};
use super::object::Access;
use super::{INVALID_ENCODING, MISSING_FIELD, UNKNOWN_PDU, UNKNOWN_SERVICE, names, service};
use crate::dissector::Direction;
use crate::encoding::ber::{Element, Elements, fault_within};
use crate::findings::Findings;

/// Numbers of the tags of PDUs.
pub(super) mod kind {
    pub(in super::super) const CONFIRMED_REQUEST: u8 = 0;
    pub(in super::super) const CONFIRMED_RESPONSE: u8 = 1;
    pub(in super::super) const CONFIRMED_ERROR: u8 = 2;
    pub(in super::super) const UNCONFIRMED: u8 = 3;
    pub(in super::super) const REJECT: u8 = 4;
    pub(in super::super) const CANCEL_REQUEST: u8 = 5;
    pub(in super::super) const CANCEL_RESPONSE: u8 = 6;
    pub(in super::super) const CANCEL_ERROR: u8 = 7;
    pub(in super::super) const INITIATE_REQUEST: u8 = 8;
    pub(in super::super) const INITIATE_RESPONSE: u8 = 9;
    pub(in super::super) const INITIATE_ERROR: u8 = 10;
    pub(in super::super) const CONCLUDE_REQUEST: u8 = 11;
    pub(in super::super) const CONCLUDE_RESPONSE: u8 = 12;
    pub(in super::super) const CONCLUDE_ERROR: u8 = 13;
}

/// Elements within each other that are looked into for broken ones.
const DEPTH: u8 = 24;

const INTEGER: u32 = 2;

/// A PDU.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pdu<'a> {
    /// One of [`kind`].
    pub(super) kind: u8,
    /// What is within its tag.
    pub(super) body: Element<'a>,
    /// Which request it is or answers.
    pub(super) invoke_id: Option<u32>,
    /// Request, response or unconfirmed service: its tag is the service, its contents the argument.
    pub(super) service: Option<Element<'a>>,
}

impl<'a> Pdu<'a> {
    /// Reads a PDU; `None` when it is none, or no PDU of MMS.
    fn read(bytes: &'a [u8], offset: usize, findings: &mut Findings) -> Option<Self> {
        let mut elements = Elements::new(bytes, offset);
        let body = elements.next()?;
        let kind = body.tag.context().filter(|&kind| kind <= kind::CONCLUDE_ERROR.into())? as u8;
        if let Some(fault) = fault_within(Elements::new(bytes, offset), DEPTH) {
            findings.push(INVALID_ENCODING, fault.offset);
        }
        let mut pdu = Self { kind, body, invoke_id: None, service: None };
        match kind {
            kind::CONFIRMED_REQUEST | kind::CONFIRMED_RESPONSE => {
                let mut elements = body.elements();
                pdu.invoke_id = elements.next().filter(|id| id.tag.class == 0 && id.tag.number == INTEGER).and_then(id);
                pdu.service = elements.find(|element| element.tag.class == 2);
                pdu.check(pdu.invoke_id.is_some(), service::SERVICES, findings);
            }
            kind::UNCONFIRMED => {
                pdu.service = body.elements().find(|element| element.tag.class == 2);
                pdu.check(true, names::UNCONFIRMED, findings);
            }
            kind::CONFIRMED_ERROR | kind::REJECT | kind::CANCEL_ERROR => {
                pdu.invoke_id = pdu.field(0).and_then(id);
                if kind != kind::REJECT && (pdu.invoke_id.is_none() || pdu.error().is_none()) {
                    findings.push(MISSING_FIELD, body.offset);
                }
            }
            kind::CANCEL_REQUEST | kind::CANCEL_RESPONSE => {
                pdu.invoke_id = id(body);
                if pdu.invoke_id.is_none() {
                    findings.push(MISSING_FIELD, body.offset);
                }
            }
            _ => {}
        }
        Some(pdu)
    }

    fn check(&self, identified: bool, services: crate::field::Names, findings: &mut Findings) {
        match self.service {
            Some(service) if crate::field::name_of(services, service.tag.number.into()).is_none() => {
                findings.push(UNKNOWN_SERVICE, service.offset);
            }
            Some(_) if identified => {}
            _ => findings.push(MISSING_FIELD, self.body.offset),
        }
    }

    /// The field with this number within the PDU.
    pub(super) fn field(&self, number: u32) -> Option<Element<'a>> {
        service::field(&self.body, number)
    }

    /// Number and argument of the service, when the PDU is of this kind.
    pub(super) fn of(&self, kind: u8) -> Option<(u32, Element<'a>)> {
        let service = self.service.filter(|_| self.kind == kind)?;
        Some((service.tag.number, service))
    }

    /// The error that the PDU tells of.
    pub(super) fn error(&self) -> Option<ServiceError<'a>> {
        ServiceError::read(&match self.kind {
            kind::CONFIRMED_ERROR => self.field(2)?,
            kind::CANCEL_ERROR => self.field(1)?,
            kind::INITIATE_ERROR | kind::CONCLUDE_ERROR => self.body,
            _ => return None,
        })
    }

    /// What is rejected and why.
    pub(super) fn rejection(&self) -> Option<(u32, u64)> {
        if self.kind != kind::REJECT {
            return None;
        }
        let reason = self.body.elements().find(|field| field.tag.context().is_some_and(|number| number > 0))?;
        Some((reason.tag.context()?, reason.unsigned()?))
    }

    /// The variables that are read, written or reported.
    pub(super) fn access(&self) -> Option<Access<'a>> {
        match self.of(kind::CONFIRMED_REQUEST) {
            Some((number, argument)) => service::access(number, &argument),
            None => Access::read(&self.report()?.elements().next()?),
        }
    }

    /// The argument of an information report.
    pub(super) fn report(&self) -> Option<Element<'a>> {
        self.of(kind::UNCONFIRMED).filter(|(number, _)| *number == 0).map(|(_, argument)| argument)
    }

    /// The values that the PDU carries, in order: written, read or reported. What could not be read has tag 0.
    pub(super) fn values(&self) -> Option<Elements<'a>> {
        use service::number::{READ, WRITE};
        let (service, argument) = (self.service?.tag.number, self.service?);
        let field = match (self.kind, service) {
            (kind::CONFIRMED_RESPONSE, READ) => service::field(&argument, 1)?,
            // The specification in front of the values may have the same tag.
            (kind::CONFIRMED_REQUEST, WRITE) | (kind::UNCONFIRMED, 0) => {
                argument.elements().skip(1).find(|field| field.tag.is_context(0))?
            }
            _ => return None,
        };
        Some(field.elements())
    }

    /// What became of each variable, in order: tag 0 is a failure.
    pub(super) fn results(&self) -> Option<Elements<'a>> {
        match self.of(kind::CONFIRMED_RESPONSE) {
            Some((service::number::WRITE, argument)) => Some(argument.elements()),
            Some((service::number::READ, _)) => self.values(),
            Some(_) => None,
            None => self.report().and_then(|_| self.values()),
        }
    }
}

fn id(element: Element<'_>) -> Option<u32> {
    element.unsigned().and_then(|number| u32::try_from(number).ok())
}

/// An error of a service (§7.4.3).
#[derive(Debug, Clone, Copy)]
pub(super) struct ServiceError<'a> {
    pub(super) class: u64,
    pub(super) code: u64,
    /// A code of the maker's own.
    pub(super) additional_code: Option<i64>,
    pub(super) description: Option<&'a [u8]>,
}

impl<'a> ServiceError<'a> {
    fn read(element: &Element<'a>) -> Option<Self> {
        let class = service::field(element, 0)?.elements().next()?;
        Some(Self {
            class: class.tag.context()?.into(),
            code: class.unsigned()?,
            additional_code: service::field(element, 1).and_then(|code| code.signed()),
            description: service::field(element, 2).map(|text| text.contents),
        })
    }
}

/// What initiates an association (§8.2).
#[derive(Debug, Clone, Copy)]
pub(super) struct Initiation<'a> {
    /// The longest PDU.
    pub(super) longest: Option<u64>,
    /// Requests that may wait at a time, of the calling and of the called end.
    pub(super) calling: Option<u64>,
    pub(super) called: Option<u64>,
    pub(super) nesting: Option<u64>,
    pub(super) version: Option<u64>,
    /// One bit a parameter building block.
    pub(super) parameters: Option<Element<'a>>,
    /// One bit a service.
    pub(super) services: Option<Element<'a>>,
}

impl<'a> Initiation<'a> {
    pub(super) fn read(pdu: &Pdu<'a>) -> Option<Self> {
        if !matches!(pdu.kind, kind::INITIATE_REQUEST | kind::INITIATE_RESPONSE) {
            return None;
        }
        let number = |field| pdu.field(field).and_then(|field| field.unsigned());
        let detail = |field| service::field(&pdu.field(4)?, field);
        Some(Self {
            longest: number(0),
            calling: number(1),
            called: number(2),
            nesting: number(3),
            version: detail(0).and_then(|version| version.unsigned()),
            parameters: detail(1),
            services: detail(2),
        })
    }
}

/// One message: a PDU of MMS, or what sets up or ends the association that it is spoken over, or both.
#[derive(Debug, Clone, Copy)]
pub(super) struct Message<'a> {
    pub(super) direction: Direction,
    /// Identifier of the session PDU.
    pub(super) session: Option<u8>,
    pub(super) association: Option<Association<'a>>,
    pub(super) pdu: Option<Pdu<'a>>,
}

impl<'a> Message<'a> {
    /// Reads a presentation data value whose first octet has the number `offset`; `None` when it is of no known form.
    pub(super) fn read(
        session: Option<u8>,
        direction: Direction,
        bytes: &'a [u8],
        offset: usize,
        findings: &mut Findings,
    ) -> Option<Self> {
        let association = association::read(bytes, offset, findings);
        let pdu = match association {
            Some(Association { user: Some((bytes, offset)), .. }) => Pdu::read(bytes, offset, findings),
            Some(_) => None,
            None => Pdu::read(bytes, offset, findings),
        };
        if association.is_none() && pdu.is_none() {
            findings.push(UNKNOWN_PDU, offset);
            return None;
        }
        Some(Self { direction, session, association, pdu })
    }

    /// A confirmed request: its service and argument.
    pub(super) fn request(&self) -> Option<(u32, Element<'a>)> {
        self.pdu?.of(kind::CONFIRMED_REQUEST)
    }

    /// A confirmed response: its service and result.
    pub(super) fn response(&self) -> Option<(u32, Element<'a>)> {
        self.pdu?.of(kind::CONFIRMED_RESPONSE)
    }
}
