//! `enip_command` and `cip_service`: Suricata's keywords, spelt out over the fields of the protocol. Its other keywords
//! of EtherNet/IP are the fields themselves.

use vigia_parsers::Protocol;
use vigia_parsers::field::Kind;

use super::field::Integer;
use super::{Arity, Draft, Environment, Keyword, Use, names};
use crate::engine::view::{Condition, View, as_number};
use crate::language::Problem;
use crate::language::integer::{self, Domain, IntegerTest};
use crate::language::said::say;
use crate::language::syntax::Word;

pub(super) const KEYWORDS: &[Keyword] = &[
    Keyword {
        name: "enip_command",
        aliases: &["enip.command"],
        doc: "EtherNet/IP command, by number or name",
        arity: Arity::Required,
        compile: command,
    },
    Keyword {
        name: "cip_service",
        aliases: &[],
        doc: "CIP service, and its class and attribute: service[,class[,attribute]]",
        arity: Arity::Required,
        compile: service,
    },
];

/// The protocol and the index of one of its fields.
fn field(
    draft: &mut Draft,
    environment: &Environment<'_>,
    it: Use<'_>,
    name: &str,
) -> Result<(&'static Protocol, usize), Problem> {
    let missing = || Problem::new("not-dissected", say!("enip.{} is not dissected yet", name), it.name.span());
    let protocol = environment.protocol(names::ENIP).ok_or_else(missing)?;
    let index = protocol.field(name).ok_or_else(missing)?;
    draft.need(protocol, it.name)?;
    draft.message = true;
    Ok((protocol, index))
}

/// A condition on an integer field, by number or name.
fn integer(protocol: &'static Protocol, index: usize, value: Word<'_>) -> Result<IntegerTest, Problem> {
    let (bits, names) = match protocol.fields.get(index).map(|field| field.kind) {
        Some(Kind::Unsigned { bits, names }) => (bits, names),
        _ => (64, &[][..]),
    };
    integer::parse(value, Domain { bits, signed: false, names })
}

fn command(draft: &mut Draft, environment: &Environment<'_>, it: Use<'_>) -> Result<(), Problem> {
    let (protocol, index) = field(draft, environment, it, "command")?;
    draft.conditions.push(Box::new(Integer::new(protocol, index, integer(protocol, index, it.value)?)));
    Ok(())
}

/// One CIP request, made or answered, is of the service, the class and the attribute.
struct Access {
    field: usize,
    service: IntegerTest,
    class: Option<IntegerTest>,
    attribute: Option<IntegerTest>,
}

impl Condition for Access {
    fn holds(&self, view: &View<'_>) -> bool {
        // Class and attribute are one more than themselves, 0 for none.
        let part = |test: &Option<IntegerTest>, value: u64| {
            test.as_ref().is_none_or(|test| (value & 0x1_ffff).checked_sub(1).is_some_and(|value| test.holds(value)))
        };
        let access = |value: u64| {
            self.service.holds(value >> 34) && part(&self.class, value >> 17) && part(&self.attribute, value)
        };
        view.any(self.field, |value| as_number(value).is_some_and(access))
    }
}

fn service(draft: &mut Draft, environment: &Environment<'_>, it: Use<'_>) -> Result<(), Problem> {
    let (protocol, services) = field(draft, environment, it, "cip_service")?;
    let (_, index) = field(draft, environment, it, "cip_access")?;
    let mut parts = it.value.unquoted().split(',');
    let Some(first) = parts.next() else { return Ok(()) };
    let number = |word: Word<'_>| integer::parse(word, Domain::unsigned(16));
    let service = integer(protocol, services, first)?;
    let class = parts.next().map(number).transpose()?;
    let attribute = parts.next().map(number).transpose()?;
    if let Some(more) = parts.next() {
        return Err(Problem::new("invalid-value", say!("there is nothing after the attribute"), more.span())
            .help(say!("expected `service[,class[,attribute]]`")));
    }
    if class.is_none() {
        // The services of responses, too, whose requests may not have been seen.
        draft.conditions.push(Box::new(Integer::new(protocol, services, service)));
        return Ok(());
    }
    draft.conditions.push(Box::new(Access { field: index, service, class, attribute }));
    Ok(())
}
