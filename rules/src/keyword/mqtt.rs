//! `mqtt.flags` and `mqtt.connect.flags`: Suricata's lists of flag names, spelt out over the fields of the protocol; and
//! an older name of `mqtt.reason_code`. Its other keywords of MQTT are the fields themselves.

use vigia_parsers::field::Names;

use super::field::{self, Integer};
use super::{Arity, Draft, Environment, Keyword, Use, names};
use crate::language::integer::{self, Domain, IntegerTest};
use crate::language::said::say;
use crate::language::syntax::Argument;
use crate::language::{Problem, nearest};

pub(super) const KEYWORDS: &[Keyword] = &[
    Keyword {
        name: "mqtt.flags",
        aliases: &[],
        doc: "Flags of the fixed header: dup, retain, or !dup, !retain; or a number",
        arity: Arity::Required,
        compile: |draft, environment, it| flags(draft, environment, it, "flags", HEADER),
    },
    Keyword {
        name: "mqtt.connect.flags",
        aliases: &[],
        doc: "Flags of CONNECT: username, password, will, will_retain, clean_session, each also with `!`; or a number",
        arity: Arity::Required,
        compile: |draft, environment, it| flags(draft, environment, it, "connect.flags", CONNECT),
    },
    Keyword {
        name: "mqtt.connack.return_code",
        aliases: &[],
        doc: "As mqtt.reason_code: what the sender says became of a request",
        arity: Arity::Required,
        compile: |draft, environment, it| {
            let (protocol, index) = environment.dissected(names::MQTT, "reason_code", it)?;
            let argument = Argument { name: it.name, value: Some(it.value) };
            field::compile(draft, environment, Some(protocol), index, &argument)
        },
    },
];

/// Flags by their bits (MQTT 5.0 §2.1.3).
const HEADER: Names = &[(0x01, "retain"), (0x08, "dup")];

/// Flags by their bits (MQTT 5.0 §3.1.2.3).
const CONNECT: Names =
    &[(0x02, "clean_session"), (0x04, "will"), (0x20, "will_retain"), (0x40, "password"), (0x80, "username")];

fn flags(
    draft: &mut Draft,
    environment: &Environment<'_>,
    it: Use<'_>,
    field: &str,
    known: Names,
) -> Result<(), Problem> {
    let (protocol, index) = environment.dissected(names::MQTT, field, it)?;
    draft.need(protocol, it.name)?;
    draft.message = true;
    let value = it.value.unquoted();
    if value.text.trim_start_matches(['!', ' ']).starts_with(|c: char| c.is_ascii_digit() || "<>=&".contains(c)) {
        let test = integer::parse(value, Domain::unsigned(8))?;
        draft.conditions.push(Box::new(Integer::new(protocol, index, test)));
        return Ok(());
    }
    let (mut mask, mut wanted) = (0, 0);
    for word in value.split(',') {
        let name = word.part(word.text.trim_start_matches('!')).trim();
        let Some((bit, _)) = known.iter().find(|flag| flag.1 == name.text) else {
            let near = nearest(name.text, known.iter().map(|flag| flag.1));
            return Err(Problem::new("unknown-value", say!("`{}` is not a flag", name.text), name.span())
                .maybe_help(near.map(|near| say!("did you mean `{}`?", near))));
        };
        mask |= bit;
        wanted |= if word.text.starts_with('!') { 0 } else { *bit };
    }
    let test = IntegerTest::Mask { mask, value: wanted, negated: false };
    draft.conditions.push(Box::new(Integer::new(protocol, index, test)));
    Ok(())
}
