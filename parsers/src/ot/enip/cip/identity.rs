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
    let single = request.raw == code::GET_ATTRIBUTE_SINGLE && request.path.first(Logical::Attribute) != Some(STATUS);
    is_of_identity(request) && (request.raw == code::GET_ATTRIBUTES_ALL || single)
}

fn is_of_identity(request: &Service<'_>) -> bool {
    request.path.class() == Some(class::IDENTITY)
}

/// The attribute that changes while the device is the same.
const STATUS: u32 = 5;
/// Attributes in the order in which Get Attributes All has them.
const ALL: std::ops::RangeInclusive<u32> = 1..=7;

impl<'a> Attributes<'a> {
    /// Reads the answer to `request`, where it is about instance 1: the device itself.
    pub(crate) fn new(answer: &Service<'a>, request: &Service<'_>) -> Option<Self> {
        // Of a list, some attributes may be told and others not.
        let listed = request.raw == code::GET_ATTRIBUTE_LIST && answer.status == code::LIST_ERROR;
        if answer.is_request() || answer.status != 0 && !listed || !is_of_identity(request) {
            return None;
        }
        if request.path.numbers(Logical::Instance).last() != Some(1) {
            return None;
        }
        let mut found = Self::default();
        let mut data = answer.data;
        match request.raw {
            code::GET_ATTRIBUTES_ALL => {
                for attribute in ALL {
                    let Some(length) = found.take(attribute, data) else { break };
                    data = data.get(length..).unwrap_or_default();
                }
            }
            code::GET_ATTRIBUTE_SINGLE => {
                found.take(request.path.first(Logical::Attribute)?, data)?;
            }
            // How many, then of each its number, its status, and where that is success its value.
            code::GET_ATTRIBUTE_LIST => {
                data = data.get(2..)?;
                while let (Some(attribute), Some(status)) = (uint(data, 0), uint(data, 2)) {
                    data = data.get(4..).unwrap_or_default();
                    if status == 0 {
                        // How long the value of another attribute is, is not known.
                        let Some(length) = found.take(attribute.into(), data) else { break };
                        data = data.get(length..).unwrap_or_default();
                    }
                }
            }
            _ => return None,
        }
        Some(found)
    }

    /// Takes over the attribute that `data` begins with, and gives its length.
    fn take(&mut self, attribute: u32, data: &'a [u8]) -> Option<usize> {
        match attribute {
            1 => self.vendor = Some(uint(data, 0)?),
            2 => self.device_type = Some(uint(data, 0)?),
            3 => self.product_code = Some(uint(data, 0)?),
            4 => self.revision = Some([octet(data, 0)?, octet(data, 1)?]),
            STATUS => self.status = Some(uint(data, 0)?),
            6 => {
                self.serial = Some(udint(data, 0)?);
                return Some(4);
            }
            7 => {
                let name = short_string(data, 0)?;
                self.product_name = Some(name);
                return Some(1 + name.len());
            }
            _ => return None,
        }
        Some(2)
    }
}

/// Attribute 6 of the TCP/IP Interface object: what the device is called in the network (volume 2 §5-4.3.2.6).
const HOST_NAME: u32 = 6;

/// The host name that `answer` tells of the device.
pub(crate) fn host_name<'a>(answer: &Service<'a>, request: &Service<'_>) -> Option<&'a [u8]> {
    let asked = request.raw == code::GET_ATTRIBUTE_SINGLE
        && request.path.class() == Some(class::TCP_IP_INTERFACE)
        && request.path.first(Logical::Attribute) == Some(HOST_NAME);
    if !asked || answer.is_request() || answer.status != 0 {
        return None;
    }
    let length = usize::from(uint(answer.data, 0)?);
    answer.data.get(2..2 + length).filter(|name| !name.is_empty())
}
