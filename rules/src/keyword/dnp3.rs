//! `dnp3_func`, `dnp3_ind`, `dnp3_obj` and `dnp3_data`: Suricata's keywords, spelt out over the fields of the protocol.

use vigia_parsers::Protocol;
use vigia_parsers::field::{Kind, Names};

use super::field::Integer;
use super::{Arity, Draft, Environment, Keyword, Use, names};
use crate::engine::Buffer;
use crate::engine::view::Condition;
use crate::language::integer::{self, Domain, IntegerTest};
use crate::language::said::say;
use crate::language::set::RangeSet;
use crate::language::{Problem, nearest};

pub(super) const KEYWORDS: &[Keyword] = &[
    Keyword {
        name: "dnp3_func",
        aliases: &["dnp3.func"],
        doc: "DNP3 application function code, by number or name",
        arity: Arity::Required,
        compile: function,
    },
    Keyword {
        name: "dnp3_ind",
        aliases: &["dnp3.ind"],
        doc: "DNP3 internal indications of a response: any of these is set",
        arity: Arity::Required,
        compile: indications,
    },
    Keyword {
        name: "dnp3_obj",
        aliases: &["dnp3.obj"],
        doc: "DNP3 object header: group,variation",
        arity: Arity::Required,
        compile: object,
    },
    Keyword {
        name: "dnp3_data",
        aliases: &["dnp3.data"],
        doc: "DNP3 application fragment without CRCs; a sticky buffer",
        arity: Arity::None,
        compile: data,
    },
];

/// The protocol and the index of one of its fields.
fn field(
    draft: &mut Draft,
    environment: &Environment<'_>,
    it: Use<'_>,
    name: &str,
) -> Result<(&'static Protocol, usize), Problem> {
    let missing = || Problem::new("not-dissected", say!("dnp3.{} is not dissected yet", name), it.name.span());
    let protocol = environment.protocol(names::DNP3).ok_or_else(missing)?;
    let index = protocol.field(name).ok_or_else(missing)?;
    draft.need(protocol, it.name)?;
    draft.message = true;
    Ok((protocol, index))
}

fn push(draft: &mut Draft, protocol: &'static Protocol, field: usize, test: IntegerTest) {
    draft.conditions.push(Box::new(Integer::new(protocol, field, test)) as Box<dyn Condition>);
}

fn function(draft: &mut Draft, environment: &Environment<'_>, it: Use<'_>) -> Result<(), Problem> {
    let (protocol, index) = field(draft, environment, it, "function")?;
    let names = match protocol.fields.get(index).map(|field| field.kind) {
        Some(Kind::Unsigned { names, .. }) => names,
        _ => &[],
    };
    push(draft, protocol, index, integer::parse(it.value, Domain { bits: 8, signed: false, names })?);
    Ok(())
}

/// Internal indications by the bit that they have in `iin`, whose high octet is IIN1 (IEEE 1815 §4.2.2).
const INDICATIONS: Names = &[
    (0x0001, "no_func_code_support"),
    (0x0002, "object_unknown"),
    (0x0004, "parameter_error"),
    (0x0008, "event_buffer_overflow"),
    (0x0010, "already_executing"),
    (0x0020, "config_corrupt"),
    (0x0040, "reserved_2"),
    (0x0080, "reserved_1"),
    (0x0100, "all_stations"),
    (0x0200, "class_1_events"),
    (0x0400, "class_2_events"),
    (0x0800, "class_3_events"),
    (0x1000, "need_time"),
    (0x2000, "local_control"),
    (0x4000, "device_trouble"),
    (0x8000, "device_restart"),
];

fn indications(draft: &mut Draft, environment: &Environment<'_>, it: Use<'_>) -> Result<(), Problem> {
    let (protocol, index) = field(draft, environment, it, "iin")?;
    if it.value.text.starts_with(|c: char| c.is_ascii_digit() || "<>=!&".contains(c)) {
        push(draft, protocol, index, integer::parse(it.value, Domain::unsigned(16))?);
        return Ok(());
    }
    let mut mask = 0;
    for name in it.value.split(',') {
        let Some((bit, _)) = INDICATIONS.iter().find(|indication| indication.1 == name.text) else {
            let near = nearest(name.text, INDICATIONS.iter().map(|indication| indication.1));
            return Err(Problem::new(
                "unknown-value",
                say!("`{}` is not an internal indication", name.text),
                name.span(),
            )
            .maybe_help(near.map(|near| say!("did you mean `{}`?", near))));
        };
        mask |= bit;
    }
    push(draft, protocol, index, IntegerTest::Mask { mask, value: 0, negated: true });
    Ok(())
}

fn object(draft: &mut Draft, environment: &Environment<'_>, it: Use<'_>) -> Result<(), Problem> {
    let (protocol, index) = field(draft, environment, it, "object")?;
    let parts: Vec<_> = it.value.split(',').collect();
    let &[group, variation] = parts.as_slice() else {
        return Err(Problem::new("invalid-value", say!("this is not an object"), it.value.span())
            .help(say!("expected `group,variation`")));
    };
    let byte = |word: crate::language::syntax::Word<'_>| {
        word.text.parse::<u8>().map_err(|_| {
            Problem::new("value-out-of-range", say!("`{}` is not a number in range", word.text), word.span())
                .help(say!("expected 0 to 255"))
        })
    };
    let number = u64::from(byte(group)?) << 8 | u64::from(byte(variation)?);
    push(draft, protocol, index, IntegerTest::In(RangeSet::one(number)));
    Ok(())
}

fn data(draft: &mut Draft, environment: &Environment<'_>, it: Use<'_>) -> Result<(), Problem> {
    let (_, index) = field(draft, environment, it, "data")?;
    draft.stick(Buffer::Field(index), false, it.name)
}
