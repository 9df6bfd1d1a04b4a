//! The Identity object as its attributes are read (volume 1 §5-2).

use super::super::read::{octet, short_string, udint, uint};
use super::path::Logical;
use super::service::{Service, class, code};

/// What an answer says of a device, as far as it was asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Attributes<'a> {
    pub(crate) vendor: Option<u16>,
    pub(crate) device_type: Option<u16>,
    pub(crate) product_code: Option<u16>,
    pub(crate) revision: Option<[u8; 2]>,
    pub(crate) status: Option<u16>,
    pub(crate) serial: Option<u32>,
    pub(crate) product_name: Option<&'a [u8]>,
}

/// Does the request ask a device who it is?
pub(crate) fn asks(request: &Service<'_>) -> bool {
    // An attribute list is what development software polls the status by.
    const STATUS: u32 = 5;
    let of_identity = request.path.class() == Some(class::IDENTITY);
    let single = request.raw == code::GET_ATTRIBUTE_SINGLE && request.path.first(Logical::Attribute) != Some(STATUS);
    of_identity && (request.raw == code::GET_ATTRIBUTES_ALL || single)
}

impl<'a> Attributes<'a> {
    /// Reads the answer to `request`, where it is about instance 1: the device itself.
    pub(crate) fn new(answer: &Service<'a>, request: &Service<'_>) -> Option<Self> {
        if answer.is_request() || answer.status != 0 || !asks(request) {
            return None;
        }
        if request.path.numbers(Logical::Instance).last() != Some(1) {
            return None;
        }
        let data = answer.data;
        let mut found = Self::default();
        if request.raw == code::GET_ATTRIBUTES_ALL {
            found.vendor = uint(data, 0);
            found.device_type = uint(data, 2);
            found.product_code = uint(data, 4);
            found.revision = octet(data, 6).zip(octet(data, 7)).map(|(major, minor)| [major, minor]);
            found.status = uint(data, 8);
            found.serial = udint(data, 10);
            found.product_name = short_string(data, 14);
            return Some(found);
        }
        match request.path.first(Logical::Attribute)? {
            1 => found.vendor = uint(data, 0),
            2 => found.device_type = uint(data, 0),
            3 => found.product_code = uint(data, 0),
            4 => found.revision = octet(data, 0).zip(octet(data, 1)).map(|(major, minor)| [major, minor]),
            6 => found.serial = udint(data, 0),
            7 => found.product_name = short_string(data, 0),
            _ => return None,
        }
        Some(found)
    }
}
