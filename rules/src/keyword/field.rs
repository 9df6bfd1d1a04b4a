//! Every field of every protocol is a keyword.
//!
//! Integers, numbers, flags and addresses are compared; text and bytes are sticky buffers. Of a field with many values,
//! any one fulfils the condition, unless `,all` stands at the end.

use vigia_parsers::field::{Cardinality, Field, Kind, Value};
use vigia_parsers::{Protocol, operation};

use super::{Draft, Environment};
use crate::engine::Buffer;
use crate::engine::view::{Condition, Key, View, as_number};
use crate::language::Problem;
use crate::language::decimal::{self, DecimalTest};
use crate::language::header::{AddressSet, address_list};
use crate::language::integer::{self, Domain, IntegerTest};
use crate::language::set::RangeSet;
use crate::language::syntax::{Argument, Word};

/// Which of a field's values must fulfil a condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Quantifier {
    /// At least one.
    Any,
    /// At least one, or there is none.
    AnyOrAbsent,
    /// Every one, even if there is none.
    All,
    /// Every one, and there is one.
    AllPresent,
    /// So many.
    Count(IntegerTest),
}

impl Quantifier {
    fn holds(&self, view: &View<'_>, field: usize, test: impl Fn(Value<'_>) -> bool) -> bool {
        let (mut met, mut total) = (0u64, 0u64);
        view.visit(field, &mut |value| {
            met += u64::from(test(value));
            total += 1;
        });
        match self {
            Self::Any => met > 0,
            Self::AnyOrAbsent => met > 0 || total == 0,
            Self::All => met == total,
            Self::AllPresent => total > 0 && met == total,
            Self::Count(count) => count.holds(met),
        }
    }
}

/// An integer or flag of the record.
pub(super) struct Integer {
    pub(super) field: usize,
    pub(super) test: IntegerTest,
    pub(super) quantifier: Quantifier,
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
        Self { field, test, quantifier: Quantifier::Any, bits }
    }
}

impl Condition for Integer {
    fn holds(&self, view: &View<'_>) -> bool {
        let test = |value: Value<'_>| as_number(value).is_some_and(|number| self.test.holds(number));
        self.quantifier.holds(view, self.field, test)
    }

    fn seen(&self, view: &View<'_>) -> Vec<String> {
        view.words(self.field)
    }

    fn domain(&self) -> Option<(Key, RangeSet<u64>)> {
        if self.quantifier != Quantifier::Any {
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
    quantifier: Quantifier,
}

impl Condition for Number {
    fn holds(&self, view: &View<'_>) -> bool {
        self.quantifier.holds(view, self.field, |value| match value {
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
    quantifier: Quantifier,
}

impl Condition for Address {
    fn holds(&self, view: &View<'_>) -> bool {
        self.quantifier.holds(view, self.field, |value| match value {
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
        Kind::Time => Err(Problem::new("not-supported", "times are not supported yet", argument.name.span())),
        Kind::Flag => {
            let value = flag(argument)?;
            draft.conditions.push(Box::new(Integer::of(Some(description.kind), field, flag_test(value))));
            Ok(())
        }
        kind => {
            let value = argument.value.ok_or_else(|| {
                Problem::new("missing-value", format!("`{}` needs a value", argument.name.text), argument.name.span())
                    .help(format!("expected `{}:...;`", argument.name.text))
            })?;
            let (value, quantifier) = quantified(value.unquoted(), description)?;
            draft.conditions.push(match kind {
                Kind::Unsigned { bits, names } => {
                    let test = integer::parse(value, Domain { bits, signed: false, names })?;
                    Box::new(Integer { quantifier, ..Integer::of(Some(kind), field, test) })
                }
                Kind::Signed(bits) => {
                    let test = integer::parse(value, Domain { bits, signed: true, names: &[] })?;
                    Box::new(Integer { quantifier, ..Integer::of(Some(kind), field, test) })
                }
                Kind::Address => {
                    Box::new(Address { field, set: address_list(environment.variables, value)?, quantifier })
                }
                _ => Box::new(Number { field, test: decimal::parse(value)?, quantifier }),
            });
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
            format!("`{}` is a sticky buffer and takes no value", argument.name.text),
            value.span(),
        )
        .help(format!("expected `{}; content:\"...\";`", argument.name.text)));
    }
    draft.stick(Buffer::Field(field), description.cardinality == Cardinality::Many, argument.name)
}

fn flag(argument: &Argument<'_>) -> Result<bool, Problem> {
    match argument.value.map(|value| (value.text, value)) {
        None | Some(("true" | "1", _)) => Ok(true),
        Some(("false" | "0", _)) => Ok(false),
        Some((text, value)) => Err(Problem::new("invalid-value", format!("`{text}` is not a flag"), value.span())
            .help("expected true or false")),
    }
}

/// Splits off the end of the value which of a field's many values are meant: `any`, `or_absent`, `all`, `all1`
/// or `nb>2`.
fn quantified<'a>(value: Word<'a>, description: &Field) -> Result<(Word<'a>, Quantifier), Problem> {
    let Some((rest, last)) = value.text.rsplit_once(',') else { return Ok((value, Quantifier::Any)) };
    let last = value.part(last).trim();
    let quantifier = match last.text {
        "any" => Quantifier::Any,
        "or_absent" => Quantifier::AnyOrAbsent,
        "all" | "all_or_absent" => Quantifier::All,
        "all1" => Quantifier::AllPresent,
        text => match text.strip_prefix("nb") {
            Some(count) => Quantifier::Count(integer::parse(last.part(count).trim(), Domain::unsigned(32))?),
            // The last of a list of values, unless it cannot be one.
            None => return Ok((value, Quantifier::Any)),
        },
    };
    if description.cardinality == Cardinality::One {
        return Err(Problem::new("invalid-value", "this field has always one value", last.span())
            .help(format!("leave out `,{}`", last.text)));
    }
    Ok((value.part(rest).trim(), quantifier))
}
