//! Every field of every protocol is a keyword.
//!
//! Integers, numbers, flags and addresses are compared; text and bytes are sticky buffers. Of a field with many values,
//! any one fulfils the condition, unless something else is said behind it (`many.rs`).

use vigia_parsers::field::{Cardinality, Field, Kind, Value};
use vigia_parsers::{Protocol, operation};

use super::many::{self, Which};
use super::{Draft, Environment};
use crate::engine::Buffer;
use crate::engine::view::{Condition, Key, View, as_number};
use crate::language::Problem;
use crate::language::decimal::{self, DecimalTest};
use crate::language::header::{AddressSet, address_list};
use crate::language::integer::{Domain, IntegerTest};
use crate::language::said::say;
use crate::language::set::RangeSet;
use crate::language::syntax::{Argument, Word};

/// Suricata's keywords behind whose condition a number is the place of a value, not another value.
const INDEXED: &[&str] = &[
    "dns.rrtype",
    "enip.cip_attribute",
    "enip.cip_class",
    "enip.cip_instance",
    "mqtt.connack.return_code",
    "mqtt.reason_code",
    "mqtt.type",
];

/// Do the values of a field that are meant fulfil `test`?
fn holds(which: &Which, view: &View<'_>, field: usize, test: impl Fn(Value<'_>) -> bool) -> bool {
    which.holds(|meet| view.visit(field, &mut |value| meet(test(value))))
}

/// An integer or flag of the record.
pub(super) struct Integer {
    pub(super) field: usize,
    pub(super) test: IntegerTest,
    pub(super) which: Which,
    /// Width, when it is small enough for a mask to be turned into a set.
    bits: u8,
}

impl Integer {
    pub(super) fn new(protocol: &'static Protocol, field: usize, test: IntegerTest) -> Self {
        Self::of(protocol.fields.get(field).map(|field| field.kind), field, test)
    }

    fn of(kind: Option<Kind>, field: usize, test: IntegerTest) -> Self {
        let bits = match kind {
            Some(Kind::Unsigned { bits, .. }) => bits,
            Some(Kind::Flag) => 1,
            _ => 64,
        };
        Self { field, test, which: Which::ANY, bits }
    }
}

impl Condition for Integer {
    fn holds(&self, view: &View<'_>) -> bool {
        let test = |value: Value<'_>| as_number(value).is_some_and(|number| self.test.holds(number));
        holds(&self.which, view, self.field, test)
    }

    fn seen(&self, view: &View<'_>) -> Vec<String> {
        view.words(self.field)
    }

    fn domain(&self) -> Option<(Key, RangeSet<u64>)> {
        if self.which != Which::ANY {
            return None;
        }
        let set = match &self.test {
            IntegerTest::In(set) => set.clone(),
            mask if self.bits <= 8 => {
                RangeSet::new((0..=255).filter(|&value| mask.holds(value)).map(|value| (value, value)).collect())
            }
            IntegerTest::Mask { .. } => return None,
        };
        Some((Key::Field(self.field), set))
    }
}

/// A measured value of the record.
struct Number {
    field: usize,
    test: DecimalTest,
    which: Which,
}

impl Condition for Number {
    fn holds(&self, view: &View<'_>) -> bool {
        holds(&self.which, view, self.field, |value| match value {
            Value::Float(number) => self.test.holds(number),
            _ => false,
        })
    }

    fn seen(&self, view: &View<'_>) -> Vec<String> {
        view.words(self.field)
    }
}

/// An address carried in the record.
struct Address {
    field: usize,
    set: AddressSet,
    which: Which,
}

impl Condition for Address {
    fn holds(&self, view: &View<'_>) -> bool {
        holds(&self.which, view, self.field, |value| match value {
            Value::Address(address) => self.set.contains(address),
            _ => false,
        })
    }

    fn seen(&self, view: &View<'_>) -> Vec<String> {
        view.words(self.field)
    }
}

/// Adds a condition on a field, or makes it the buffer of the contents that follow. A field of no protocol is one that
/// records of every industrial protocol have.
pub(super) fn compile(
    draft: &mut Draft,
    environment: &Environment<'_>,
    protocol: Option<&'static Protocol>,
    field: usize,
    argument: &Argument<'_>,
) -> Result<(), Problem> {
    let own = protocol.map_or(&[][..], |protocol| protocol.fields);
    let Some(description) = operation::description(own, field) else { return Ok(()) };
    if let Some(protocol) = protocol {
        draft.need(protocol, argument.name)?;
    }
    draft.message = true;
    match description.kind {
        Kind::Text | Kind::Bytes => buffer(draft, description, field, argument),
        Kind::Time => Err(Problem::new("not-supported", say!("times are not supported yet"), argument.name.span())),
        Kind::Flag => {
            let value = flag(argument)?;
            draft.conditions.push(Box::new(Integer::of(Some(description.kind), field, flag_test(value))));
            Ok(())
        }
        kind => {
            let value = argument.value.ok_or_else(|| {
                Problem::new("missing-value", say!("`{}` needs a value", argument.name.text), argument.name.span())
                    .help(say!("expected `{}:...;`", argument.name.text))
            })?;
            let value = value.unquoted();
            let name = argument.name.text.to_ascii_lowercase();
            let indexes = INDEXED.contains(&name.as_str()).then_some(i64::from(i32::MIN)..=i64::from(i32::MAX));
            // What Suricata holds for many values may be one here.
            let single = description.cardinality == Cardinality::One && indexes.is_none();
            let integer = |domain| -> Result<Box<dyn Condition>, Problem> {
                let (test, which) = many::integer(value, domain, indexes.clone())?;
                only_any(&which, single, value)?;
                Ok(Box::new(Integer { which, ..Integer::of(Some(kind), field, test) }))
            };
            let condition: Box<dyn Condition> = match kind {
                Kind::Unsigned { bits, names } => integer(Domain { bits, signed: false, names })?,
                Kind::Signed(bits) => integer(Domain { bits, signed: true, names: &[] })?,
                kind => {
                    let (value, which) = many::split(value, None)?;
                    only_any(&which, single, value)?;
                    match kind {
                        Kind::Address => {
                            Box::new(Address { field, set: address_list(environment.variables, value)?, which })
                        }
                        _ => Box::new(Number { field, test: decimal::parse(value)?, which }),
                    }
                }
            };
            draft.conditions.push(condition);
            Ok(())
        }
    }
}

/// The test that a flag has this value.
pub(super) fn flag_test(value: bool) -> IntegerTest {
    IntegerTest::In(RangeSet::one(value.into()))
}

fn buffer(draft: &mut Draft, description: &Field, field: usize, argument: &Argument<'_>) -> Result<(), Problem> {
    if let Some(value) = argument.value {
        return Err(Problem::new(
            "unexpected-value",
            say!("`{}` is a sticky buffer and takes no value", argument.name.text),
            value.span(),
        )
        .help(say!("expected `{}; content:\"...\";`", argument.name.text)));
    }
    draft.stick(Buffer::Field(field), description.cardinality == Cardinality::Many, argument.name)
}

fn flag(argument: &Argument<'_>) -> Result<bool, Problem> {
    match argument.value.map(|value| (value.text, value)) {
        None | Some(("true" | "yes" | "1", _)) => Ok(true),
        Some(("false" | "no" | "0", _)) => Ok(false),
        Some((text, value)) => Err(Problem::new("invalid-value", say!("`{}` is not a flag", text), value.span())
            .help(say!("expected true or false"))),
    }
}

/// Of a field that has always one value, there is nothing to choose.
fn only_any(which: &Which, single: bool, value: Word<'_>) -> Result<(), Problem> {
    if single && *which != Which::ANY {
        return Err(Problem::new("invalid-value", say!("this field has always one value"), value.span())
            .help(say!("leave out which of many values are meant")));
    }
    Ok(())
}
