//! One walk over the parameters of a service, along the tables of [`super::schema`], and what is wrong on the way.

use super::apdu::{Apdu, kind};
use super::schema::{self, Known, OBJECT, Parameter, Parameters, Type};
use super::tag::{Kind, Object, Primitive, Tag, Tags};
use super::{INVALID_PARAMETER, INVALID_TAG, INVALID_VALUE, MISSING_PARAMETER, UNKNOWN_SERVICE, names};
use crate::dissector::Anomaly;
use crate::field::Names;

/// Constructed values that are told of, one within the other; what is deeper is passed over.
const DEEPEST: usize = 12;

/// A parameter with one value.
#[derive(Debug, Clone, Copy)]
pub(super) struct Leaf<'a> {
    pub(super) name: &'static str,
    pub(super) value: Primitive<'a>,
    /// Names of an enumeration's values or of bits.
    pub(super) names: Names,
}

/// What is met on the way.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step<'a> {
    Value(Leaf<'a>),
    /// Number and contents of a context tag that no table says the type of.
    Unknown(u8, &'a [u8]),
    /// Parameters within a parameter.
    Begin(&'static str),
    /// As [`Step::Begin`]; what follows are the elements of a list.
    BeginList(&'static str),
    End,
    Fault(Anomaly),
}

/// Walks over the parameters of an APDU.
pub(super) fn walk<'a>(apdu: &Apdu<'a>, out: &mut dyn FnMut(Step<'a>)) {
    if apdu.is_part() {
        return;
    }
    let confirmed = apdu.confirmed_service();
    let parameters = match apdu.kind {
        kind::CONFIRMED_REQUEST => confirmed.and_then(schema::request),
        kind::COMPLEX_ACK => confirmed.and_then(schema::acknowledgement),
        kind::ERROR => confirmed.map(schema::error),
        kind::UNCONFIRMED_REQUEST => apdu.unconfirmed_service().and_then(schema::unconfirmed),
        _ => return,
    };
    let mut walk = Walk { tags: Tags::new(apdu.parameters), object: None, property: None, out };
    match parameters {
        Some(parameters) => walk.all(parameters),
        None => {
            (walk.out)(Step::Fault(Anomaly { kind: UNKNOWN_SERVICE, offset: 0 }));
            (walk.out)(Step::BeginList("parameters"));
            walk.anything("", None);
            (walk.out)(Step::End);
        }
    }
    if let Some(offset) = walk.tags.fault() {
        (walk.out)(Step::Fault(Anomaly { kind: INVALID_TAG, offset }));
    }
}

struct Walk<'a, 'o> {
    tags: Tags<'a>,
    /// The object and the property that were named last: they say what values mean.
    object: Option<Object>,
    property: Option<u32>,
    out: &'o mut dyn FnMut(Step<'a>),
}

impl<'a> Walk<'a, '_> {
    fn fault(&mut self, kind: &'static str, offset: usize) {
        (self.out)(Step::Fault(Anomaly { kind, offset }));
    }

    fn all(&mut self, parameters: Parameters) {
        if parameters.repeats {
            (self.out)(Step::BeginList("parameters"));
            self.level(parameters.each, true, None);
            (self.out)(Step::End);
        } else {
            self.level(parameters.each, false, None);
        }
    }

    /// The parameters up to the closing tag with this number, or to the end. In a list, one that was passed begins the
    /// next element.
    fn level(&mut self, parameters: &'static [Parameter], repeats: bool, closing: Option<u8>) {
        let (mut next, mut within, mut listing) = (0, false, false);
        let mut closed = closing.is_none();
        while let Some(tag) = self.tags.next() {
            if let Kind::Closing(number) = tag.kind {
                if closing != Some(number) {
                    self.fault(INVALID_TAG, tag.offset);
                    continue;
                }
                closed = true;
                break;
            }
            let place = find(parameters, next, &tag).or_else(|| find(parameters, 0, &tag));
            let Some(at) = place else {
                self.fault(INVALID_PARAMETER, tag.offset);
                self.skip(&tag);
                continue;
            };
            let again = at < next;
            if repeats && (again || !within) {
                if within {
                    self.lacking(parameters, next, parameters.len(), tag.offset);
                    (self.out)(Step::End);
                }
                (self.out)(Step::Begin(""));
                (next, within) = (0, true);
            } else if again {
                self.fault(INVALID_PARAMETER, tag.offset);
                self.skip(&tag);
                continue;
            }
            self.lacking(parameters, next, at, tag.offset);
            let Some(parameter) = parameters.get(at) else { return };
            if parameter.repeats && !listing {
                (self.out)(Step::BeginList(parameter.name));
                listing = true;
            }
            next = if parameter.repeats { at } else { at + 1 };
            self.parameter(parameter, &tag);
        }
        if self.tags.fault().is_none() {
            if within || !repeats {
                self.lacking(parameters, next, parameters.len(), self.tags.at());
            }
            if !closed {
                self.fault(INVALID_TAG, self.tags.at());
            }
        }
        // A parameter that repeats is the last of its level.
        (0..usize::from(within) + usize::from(listing)).for_each(|_| (self.out)(Step::End));
    }

    /// Parameters from `next` to `at` were left out: may they be?
    fn lacking(&mut self, parameters: &'static [Parameter], next: usize, at: usize, offset: usize) {
        if parameters.get(next..at).unwrap_or_default().iter().any(|parameter| parameter.required) {
            self.fault(MISSING_PARAMETER, offset);
        }
    }

    fn parameter(&mut self, parameter: &'static Parameter, tag: &Tag<'a>) {
        match (parameter.kind, tag.kind) {
            (Type::Group(parameters), Kind::Opening(number)) => {
                self.group(Step::Begin(parameter.name), parameters, false, number);
            }
            (Type::List(parameters), Kind::Opening(number)) => {
                self.group(Step::BeginList(parameter.name), parameters, true, number);
            }
            (Type::Each(parameters), Kind::Opening(number)) => self.each(parameter.name, parameters, number),
            (Type::Any, Kind::Opening(number)) => self.any(parameter.name, number),
            (Type::Any, _) => self.value(parameter.name, tag),
            _ => self.primitive(parameter, tag),
        }
    }

    fn group(&mut self, begin: Step<'a>, parameters: &'static [Parameter], repeats: bool, closing: u8) {
        (self.out)(begin);
        self.level(parameters, repeats, Some(closing));
        (self.out)(Step::End);
    }

    fn each(&mut self, name: &'static str, parameters: &'static [Parameter], closing: u8) {
        (self.out)(Step::BeginList(name));
        while let Some(tag) = self.tags.next() {
            if tag.kind == Kind::Closing(closing) {
                break;
            }
            match find(parameters, 0, &tag).and_then(|at| parameters.get(at)) {
                Some(parameter) => {
                    (self.out)(Step::Begin(""));
                    self.parameter(parameter, &tag);
                    (self.out)(Step::End);
                }
                None => {
                    self.fault(INVALID_PARAMETER, tag.offset);
                    self.skip(&tag);
                }
            }
        }
        (self.out)(Step::End);
    }

    fn primitive(&mut self, parameter: &Parameter, tag: &Tag<'a>) {
        use super::tag::application::{BITS, ENUMERATED};
        let (kind, names) = match parameter.kind {
            Type::Primitive(kind) => (kind, &[][..]),
            Type::Enumerated(names) => (ENUMERATED, names),
            Type::Property => (ENUMERATED, names::PROPERTIES),
            Type::Bits(names) => (BITS, names),
            _ => return,
        };
        let value = match tag.kind {
            Kind::Application(_) => tag.primitive(),
            _ => Primitive::read(kind, tag.contents),
        };
        let Some(value) = value else { return self.fault(INVALID_VALUE, tag.offset) };
        match (parameter.kind, value) {
            (Type::Property, Primitive::Enumerated(property)) => self.property = Some(property as u32),
            (_, Primitive::Object(object)) if parameter.name == OBJECT => {
                (self.object, self.property) = (Some(object), None);
            }
            _ => {}
        }
        (self.out)(Step::Value(Leaf { name: parameter.name, value, names }));
    }

    /// A value of whatever type up to the closing tag: one alone, or a list.
    fn any(&mut self, name: &'static str, closing: u8) {
        let mut ahead = self.tags.clone();
        let first = ahead.next();
        let alone = ahead.next().is_some_and(|second| second.kind == Kind::Closing(closing));
        match first {
            Some(tag) if alone && matches!(tag.kind, Kind::Application(_)) => {
                self.value(name, &tag);
                self.tags = ahead;
            }
            _ => {
                (self.out)(Step::BeginList(name));
                self.anything(name, Some(closing));
                (self.out)(Step::End);
            }
        }
    }

    fn anything(&mut self, name: &'static str, closing: Option<u8>) {
        let mut depth = 0usize;
        while let Some(tag) = self.tags.next() {
            match tag.kind {
                Kind::Closing(number) if depth == 0 => {
                    if closing == Some(number) {
                        return;
                    }
                    self.fault(INVALID_TAG, tag.offset);
                }
                Kind::Opening(_) => {
                    depth += 1;
                    if depth <= DEEPEST {
                        (self.out)(Step::BeginList(name));
                    }
                }
                Kind::Closing(_) => {
                    if depth <= DEEPEST {
                        (self.out)(Step::End);
                    }
                    depth -= 1;
                }
                Kind::Application(_) => self.value(name, &tag),
                Kind::Context(number) => (self.out)(Step::Unknown(number, tag.contents)),
            }
        }
        (0..depth.min(DEEPEST)).for_each(|_| (self.out)(Step::End));
        if self.tags.fault().is_none() && (closing.is_some() || depth > 0) {
            self.fault(INVALID_TAG, self.tags.at());
        }
    }

    /// A value with an application tag.
    fn value(&mut self, name: &'static str, tag: &Tag<'a>) {
        let Some(value) = tag.primitive() else { return self.fault(INVALID_VALUE, tag.offset) };
        let names = match (value, self.property) {
            (Primitive::Enumerated(_), Some(property)) => {
                schema::enumeration_of(self.object.map(|object| object.kind), property)
            }
            // status_flags, event_enable and acked_transitions
            (Primitive::Bits(..), Some(111)) => names::STATUS_FLAGS,
            (Primitive::Bits(..), Some(0 | 35)) => names::TRANSITIONS,
            _ => &[],
        };
        (self.out)(Step::Value(Leaf { name, value, names }));
    }

    /// Passes over a parameter that is not known.
    fn skip(&mut self, tag: &Tag<'a>) {
        let mut depth = usize::from(matches!(tag.kind, Kind::Opening(_)));
        while depth > 0 {
            match self.tags.next().map(|tag| tag.kind) {
                Some(Kind::Opening(_)) => depth += 1,
                Some(Kind::Closing(_)) => depth -= 1,
                Some(_) => {}
                None => return,
            }
        }
    }
}

/// The first parameter from `next` on that is known by this tag, and is constructed as this is.
fn find(parameters: &[Parameter], next: usize, tag: &Tag<'_>) -> Option<usize> {
    let suits = |parameter: &Parameter| match (parameter.known, tag.kind) {
        (Known::Context(known), Kind::Context(number)) => known == number && !parameter.kind.is_constructed(),
        (Known::Context(known), Kind::Opening(number)) => known == number && parameter.kind.is_constructed(),
        (Known::Application(known), Kind::Application(number)) => known == number,
        (Known::Value, Kind::Application(_)) => true,
        _ => false,
    };
    parameters.get(next..)?.iter().position(suits).map(|at| next + at)
}

/// A property of an object, and what a service says of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Item<'a> {
    pub(super) object: Object,
    pub(super) property: Option<u32>,
    /// The element of an array property.
    pub(super) index: Option<u32>,
    /// The first value that is carried for it.
    pub(super) value: Option<Leaf<'a>>,
}

impl Item<'_> {
    const fn of(object: Object) -> Self {
        Self { object, property: None, index: None, value: None }
    }
}

/// Hands out each object and property that the parameters name, with its value.
pub(super) fn items<'a>(apdu: &Apdu<'a>, out: &mut dyn FnMut(&Item<'a>)) {
    let mut current = None::<Item<'a>>;
    walk(apdu, &mut |step| {
        let Step::Value(leaf) = step else { return };
        match (leaf.name, leaf.value, &mut current) {
            (OBJECT, Primitive::Object(object), _) => {
                if let Some(last) = current.replace(Item::of(object)) {
                    out(&last);
                }
            }
            (schema::PROPERTY, Primitive::Enumerated(property), Some(item)) => {
                if item.property.is_some() {
                    out(item);
                    *item = Item::of(item.object);
                }
                item.property = Some(property as u32);
            }
            (schema::INDEX, Primitive::Unsigned(index), Some(item)) => item.index = Some(index as u32),
            (schema::VALUE, _, Some(item)) => item.value = item.value.or(Some(leaf)),
            _ => {}
        }
    });
    if let Some(last) = &current {
        out(last);
    }
}
