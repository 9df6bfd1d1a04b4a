//! Older spellings of DNS's keywords. Its others are the fields of the protocol themselves.

use super::field::Integer;
use super::{Arity, Draft, Environment, Keyword, Use, names};
use crate::engine::Buffer;
use crate::language::Problem;
use crate::language::integer::{self, Domain};

pub(super) const KEYWORDS: &[Keyword] = &[
    name("dns_query", "As dns.query: names that a request asks for", |draft, environment, it| {
        buffer(draft, environment, it, "query")
    }),
    name("dns.query.name", "As dns.queries.rrname: names in the questions", |draft, environment, it| {
        buffer(draft, environment, it, "queries.rrname")
    }),
    name("dns.answer.name", "As dns.answers.rrname: names that answers are about", |draft, environment, it| {
        buffer(draft, environment, it, "answers.rrname")
    }),
    Keyword {
        name: "dns_opcode",
        aliases: &[],
        doc: "As dns.opcode: kind of request",
        arity: Arity::Required,
        compile: opcode,
    },
];

type Compile = fn(&mut Draft, &Environment<'_>, Use<'_>) -> Result<(), Problem>;

/// A sticky buffer of names.
const fn name(name: &'static str, doc: &'static str, compile: Compile) -> Keyword {
    Keyword { name, aliases: &[], doc, arity: Arity::None, compile }
}

fn buffer(draft: &mut Draft, environment: &Environment<'_>, it: Use<'_>, field: &str) -> Result<(), Problem> {
    let (protocol, index) = environment.dissected(names::DNS, field, it)?;
    draft.need(protocol, it.name)?;
    draft.message = true;
    draft.stick(Buffer::Field(index), true, it.name)
}

fn opcode(draft: &mut Draft, environment: &Environment<'_>, it: Use<'_>) -> Result<(), Problem> {
    let (protocol, index) = environment.dissected(names::DNS, "opcode", it)?;
    draft.need(protocol, it.name)?;
    draft.message = true;
    let test = integer::parse(it.value.unquoted(), Domain::unsigned(8))?;
    draft.conditions.push(Box::new(Integer::new(protocol, index, test)));
    Ok(())
}
