//! Association control (ISO 8650-1), which sets up and ends what MMS is spoken over.

use super::INVALID_ASSOCIATION;
use crate::encoding::ber::Elements;
use crate::findings::Findings;

/// APDUs, by the number of their tag.
pub(super) mod apdu {
    pub(in super::super) const REQUEST: u8 = 0;
    pub(in super::super) const RESPONSE: u8 = 1;
    pub(in super::super) const RELEASE_REQUEST: u8 = 2;
    pub(in super::super) const RELEASE_RESPONSE: u8 = 3;
    pub(in super::super) const ABORT: u8 = 4;
}

/// The application context of MMS, 1.0.9506.2.3, and its predecessor 1.0.9506.1.1.
const MMS_CONTEXT: &[u8] = &[0x28, 0xca, 0x22];

/// An APDU of the association control service.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Association<'a> {
    /// One of [`apdu`].
    pub(super) kind: u8,
    /// Application context, an object identifier.
    pub(super) context: Option<&'a [u8]>,
    /// Who is asked for: an object identifier.
    pub(super) called_title: Option<&'a [u8]>,
    pub(super) called_qualifier: Option<i64>,
    /// Who asks.
    pub(super) calling_title: Option<&'a [u8]>,
    pub(super) calling_qualifier: Option<i64>,
    /// Who answers.
    pub(super) responding_title: Option<&'a [u8]>,
    pub(super) responding_qualifier: Option<i64>,
    /// How the calling or responding end proves who it is: an object identifier.
    pub(super) mechanism: Option<&'a [u8]>,
    /// With what: password, certificate or signature.
    pub(super) proof: Option<&'a [u8]>,
    /// Result of the request.
    pub(super) result: Option<u64>,
    /// Reason of a release, source of an abort.
    pub(super) reason: Option<u64>,
    /// The PDU of MMS within, and where it begins.
    pub(super) user: Option<(&'a [u8], usize)>,
}

/// Reads an APDU; `None` when it is none.
pub(super) fn read<'a>(bytes: &'a [u8], offset: usize, findings: &mut Findings) -> Option<Association<'a>> {
    let mut elements = Elements::new(bytes, offset);
    let element = elements.next()?;
    if element.tag.class != 1 || element.tag.number > apdu::ABORT.into() {
        return None;
    }
    let mut association = Association { kind: element.tag.number as u8, ..Association::default() };
    let mut fields = element.elements();
    for field in fields.by_ref() {
        let Some(number) = field.tag.context() else { continue };
        let inner = || field.elements().next();
        let title = || inner().map(|title| title.contents);
        let qualifier = || inner().and_then(|qualifier| qualifier.signed());
        match (association.kind, number) {
            (_, 30) => association.user = user(field.elements()),
            (apdu::REQUEST | apdu::RESPONSE, 1) => association.context = title(),
            (apdu::REQUEST, 2) => association.called_title = title(),
            (apdu::REQUEST, 3) => association.called_qualifier = qualifier(),
            (apdu::REQUEST, 6) => association.calling_title = title(),
            (apdu::REQUEST, 7) => association.calling_qualifier = qualifier(),
            (apdu::REQUEST, 11) | (apdu::RESPONSE, 9) => association.mechanism = Some(field.contents),
            (apdu::REQUEST, 12) | (apdu::RESPONSE, 10) => association.proof = title(),
            (apdu::RESPONSE, 2) => association.result = inner().and_then(|result| result.unsigned()),
            (apdu::RESPONSE, 4) => association.responding_title = title(),
            (apdu::RESPONSE, 5) => association.responding_qualifier = qualifier(),
            (apdu::RELEASE_REQUEST | apdu::RELEASE_RESPONSE | apdu::ABORT, 0) => association.reason = field.unsigned(),
            _ => {}
        }
    }
    if let Some(fault) = fields.fault().or(elements.fault()) {
        findings.push(INVALID_ASSOCIATION, fault.offset);
    }
    Some(association)
}

/// What an `EXTERNAL` holds: one ASN.1 value, or octets.
fn user<'a>(mut externals: Elements<'a>) -> Option<(&'a [u8], usize)> {
    let value = externals.next()?.elements().find(|element| matches!(element.tag.context(), Some(0 | 1)))?;
    Some((value.contents, value.offset))
}

impl Association<'_> {
    /// Is it known to be about MMS?
    pub(super) fn is_mms(&self) -> bool {
        self.context.is_some_and(|context| context.starts_with(MMS_CONTEXT))
    }
}
