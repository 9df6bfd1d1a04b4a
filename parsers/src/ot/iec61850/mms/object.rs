//! How MMS names things: objects, addresses, files, and parts of variables.

use std::fmt;

use crate::encoding::ber::{Element, Elements};
use crate::text::Utf8;

/// The tag of a sequence.
const SEQUENCE: u32 = 16;

/// The name of an object (ISO 9506-2 §7.6.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Name<'a> {
    /// Of the device as a whole.
    Device(&'a [u8]),
    /// Of a domain: in IEC 61850 a logical device.
    Domain(&'a [u8], &'a [u8]),
    /// Of the association, gone with it.
    Association(&'a [u8]),
}

impl<'a> Name<'a> {
    pub(super) fn read(element: &Element<'a>) -> Option<Self> {
        Some(match element.tag.context()? {
            0 => Self::Device(element.contents),
            1 => {
                let mut parts = element.elements();
                Self::Domain(parts.next()?.contents, parts.next()?.contents)
            }
            2 => Self::Association(element.contents),
            _ => return None,
        })
    }

    /// The domain, for an object of one.
    pub(super) fn domain(&self) -> Option<&'a [u8]> {
        if let Self::Domain(domain, _) = self { Some(domain) } else { None }
    }

    /// The name within its scope.
    pub(super) fn item(&self) -> &'a [u8] {
        match self {
            Self::Device(item) | Self::Domain(_, item) | Self::Association(item) => item,
        }
    }
}

/// As IEC 61850-8-1 writes references: `domain/item`, `@item` for those of the association.
impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Device(item) => write!(f, "{}", Utf8(item)),
            Self::Domain(domain, item) => write!(f, "{}/{}", Utf8(domain), Utf8(item)),
            Self::Association(item) => write!(f, "@{}", Utf8(item)),
        }
    }
}

/// A variable or a part of one (§14.5.2).
#[derive(Debug, Clone)]
pub(super) struct Variable<'a> {
    specification: Option<Element<'a>>,
    /// Which part of it.
    part: Option<Elements<'a>>,
}

impl<'a> Variable<'a> {
    /// A member of a list of variables: a specification, then perhaps which part of it.
    fn of_list(member: &Element<'a>) -> Self {
        let mut parts = member.elements();
        let specification = parts.next();
        Self { specification, part: parts.find(|part| part.tag.is_context(5)).map(|part| part.elements()) }
    }

    /// A variable as a whole.
    pub(super) fn of(specification: Option<Element<'a>>) -> Self {
        Self { specification, part: None }
    }

    /// Its name, if it is not addressed otherwise.
    pub(super) fn name(&self) -> Option<Name<'a>> {
        let specification = self.specification.filter(|specification| specification.tag.is_context(0))?;
        Name::read(&specification.elements().next()?)
    }

    /// Its address: number, symbol or octets.
    fn address(&self) -> Option<Element<'a>> {
        let specification =
            self.specification.filter(|specification| matches!(specification.tag.context(), Some(1 | 2)))?;
        let inner = specification.elements().next()?;
        // A description puts the address in front of the type.
        if specification.tag.is_context(2) && inner.tag.constructed { inner.elements().next() } else { Some(inner) }
    }
}

impl fmt::Display for Variable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.name(), self.address()) {
            (Some(name), _) => write!(f, "{name}")?,
            (None, Some(address)) => match (address.tag.context(), address.unsigned()) {
                (Some(0), Some(number)) => write!(f, "address {number}")?,
                (Some(1), _) => write!(f, "{}", Utf8(address.contents))?,
                _ => {
                    f.write_str("address 0x")?;
                    address.contents.iter().try_for_each(|octet| write!(f, "{octet:02x}"))?;
                }
            },
            (None, None) => f.write_str("unnamed")?,
        }
        self.part.clone().map_or(Ok(()), |part| write_part(part, f, PARTS))
    }
}

/// Parts of parts that are written.
const PARTS: u8 = 8;

/// Which part of a variable (§14.5.3): `.component`, `[index]`, `[low..high]`, several one behind the other.
fn write_part(parts: Elements<'_>, f: &mut fmt::Formatter<'_>, depth: u8) -> fmt::Result {
    let Some(depth) = depth.checked_sub(1) else { return Ok(()) };
    for part in parts {
        match part.tag.context() {
            // A selection of a selection, and a selection that is given a name.
            Some(0 | 5) => write_part(part.elements(), f, depth)?,
            None if part.tag.number == SEQUENCE => write_part(part.elements(), f, depth)?,
            Some(1) => write!(f, ".{}", Utf8(part.contents))?,
            Some(2) => write!(f, "[{}]", part.unsigned().unwrap_or_default())?,
            Some(3) => {
                let mut range = part.elements().map(|bound| bound.unsigned().unwrap_or_default());
                let (low, count) = (range.next().unwrap_or_default(), range.next().unwrap_or_default());
                write!(f, "[{low}..{}]", low.saturating_add(count).saturating_sub(1))?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// What is read, written or reported: a list of variables, or one that has a name (§14.5.4).
#[derive(Debug, Clone)]
pub(super) enum Access<'a> {
    List(Elements<'a>),
    Named(Option<Name<'a>>),
}

impl<'a> Access<'a> {
    pub(super) fn read(element: &Element<'a>) -> Option<Self> {
        match element.tag.context()? {
            0 => Some(Self::List(element.elements())),
            1 => Some(Self::Named(element.elements().next().and_then(|name| Name::read(&name)))),
            _ => None,
        }
    }

    /// The variables, if they are listed.
    pub(super) fn variables(&self) -> impl Iterator<Item = Variable<'a>> + use<'a> {
        let list = if let Self::List(list) = self { list.clone() } else { Elements::new(&[], 0) };
        list.map(|member| Variable::of_list(&member))
    }

    /// The name of the list, if it has one.
    pub(super) fn list_name(&self) -> Option<Name<'a>> {
        if let Self::Named(name) = self { *name } else { None }
    }
}

/// The name of a file: one component or more (§16.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct File<'a>(pub(super) &'a [u8]);

impl<'a> File<'a> {
    /// The components. Some stacks put them into a sequence of their own.
    pub(super) fn components(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let inner =
            Elements::new(self.0, 0).next().filter(|inner| inner.tag.class == 0 && inner.tag.number == SEQUENCE);
        inner.map_or(Elements::new(self.0, 0), |inner| inner.elements()).map(|component| component.contents)
    }
}

impl fmt::Display for File<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, component) in self.components().enumerate() {
            let separator = if number == 0 { "" } else { "/" };
            write!(f, "{separator}{}", Utf8(component))?;
        }
        Ok(())
    }
}

/// What a service is about.
#[derive(Debug, Clone)]
pub(super) enum Target<'a> {
    Variable(Variable<'a>),
    Object(Name<'a>),
    Domain(&'a [u8]),
    Program(&'a [u8]),
    Station(&'a [u8]),
    File(File<'a>),
}

impl fmt::Display for Target<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variable(variable) => write!(f, "{variable}"),
            Self::Object(name) => write!(f, "{name}"),
            Self::Domain(name) => write!(f, "domain {}", Utf8(name)),
            Self::Program(name) => write!(f, "program {}", Utf8(name)),
            Self::Station(name) => write!(f, "station {}", Utf8(name)),
            Self::File(file) => write!(f, "file {file}"),
        }
    }
}
