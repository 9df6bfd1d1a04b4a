//! `flow` and `flowbits`.

use vigia_parsers::Direction;

use super::rule::Only;
use super::{Arity, Draft, Environment, Keyword, Use};
use crate::engine::program::{BitEffect, BitTest, FlowTest, Holder};
use crate::language::said::say;
use crate::language::{Problem, nearest};

pub(super) const KEYWORDS: &[Keyword] = &[
    Keyword {
        name: "flow",
        aliases: &[],
        doc: "Direction and state of the flow",
        arity: Arity::Required,
        compile: flow,
    },
    Keyword {
        name: "flowbits",
        aliases: &[],
        doc: "Sets and asks for marks on the flow",
        arity: Arity::Required,
        compile: flowbits,
    },
];

const OPTIONS: &[&str] = &[
    "established",
    "not_established",
    "stateless",
    "to_server",
    "to_client",
    "from_server",
    "from_client",
    "only_stream",
    "no_stream",
    "only_frag",
    "no_frag",
];

fn flow(draft: &mut Draft, _: &Environment<'_>, it: Use<'_>) -> Result<(), Problem> {
    let mut test = draft.flow.unwrap_or_default();
    for word in it.value.split(',') {
        let conflict =
            || Problem::new("conflict", say!("`{}` contradicts another option of flow", word.text), word.span());
        let name = word.text.to_ascii_lowercase();
        match name.as_str() {
            "established" => set(&mut test.established, true).ok_or_else(conflict)?,
            "not_established" => set(&mut test.established, false).ok_or_else(conflict)?,
            "stateless" if test.established.is_some() => return Err(conflict()),
            "stateless" => test.stateless = true,
            "to_server" | "from_client" => set(&mut test.direction, Direction::ToServer).ok_or_else(conflict)?,
            "to_client" | "from_server" => set(&mut test.direction, Direction::ToClient).ok_or_else(conflict)?,
            "only_stream" => set(&mut draft.only, Only::Stream).ok_or_else(conflict)?,
            "no_stream" => set(&mut draft.only, Only::Packet).ok_or_else(conflict)?,
            "only_frag" => set(&mut test.joined, true).ok_or_else(conflict)?,
            "no_frag" => set(&mut test.joined, false).ok_or_else(conflict)?,
            _ => {
                let near = nearest(&name, OPTIONS.iter().copied());
                return Err(Problem::new(
                    "unknown-value",
                    say!("`{}` is not an option of flow", word.text),
                    word.span(),
                )
                .help(match near {
                    Some(near) => say!("did you mean `{}`?", near),
                    None => say!("expected {}", OPTIONS.join(", ")),
                }));
            }
        }
    }
    draft.flow = Some(FlowTest { ..test });
    Ok(())
}

/// Sets an option that may have one value only.
fn set<T: PartialEq>(slot: &mut Option<T>, value: T) -> Option<()> {
    if slot.as_ref().is_some_and(|known| *known != value) {
        return None;
    }
    *slot = Some(value);
    Some(())
}

fn flowbits(draft: &mut Draft, _: &Environment<'_>, it: Use<'_>) -> Result<(), Problem> {
    let (command, names) = it.value.split_once(',').unwrap_or((it.value, it.value.part("")));
    let mut bits = Vec::new();
    if command.text != "noalert" {
        for name in names.split('|') {
            if name.text.is_empty() || name.text.contains(|c: char| c.is_whitespace() || c == ',') {
                return Err(Problem::new("invalid-value", say!("this is not the name of a flowbit"), name.span())
                    .help(say!("expected `flowbits:{},name`", command.text)));
            }
            let bit = identify(name.text);
            draft.bits.push((bit, name.text.to_owned()));
            bits.push(bit);
        }
    }
    draft.selective |= matches!(command.text, "isset" | "isnotset");
    match (command.text, bits.as_slice()) {
        ("noalert", _) => draft.silent = true,
        ("isset", _) => draft.bit_tests.push(BitTest { bits, set: true, of: Holder::Flow }),
        ("isnotset", _) => draft.bit_tests.push(BitTest { bits, set: false, of: Holder::Flow }),
        ("set", &[bit]) => draft.bit_effects.push(BitEffect::Set(bit)),
        ("unset", &[bit]) => draft.bit_effects.push(BitEffect::Unset(bit)),
        ("toggle", &[bit]) => draft.bit_effects.push(BitEffect::Toggle(bit)),
        ("set" | "unset" | "toggle", _) => {
            return Err(Problem::new("invalid-value", say!("`{}` takes one flowbit", command.text), names.span()));
        }
        _ => {
            let commands = ["set", "isset", "isnotset", "unset", "toggle", "noalert"];
            return Err(Problem::new(
                "unknown-value",
                say!("`{}` is not a command of flowbits", command.text),
                command.span(),
            )
            .help(match nearest(command.text, commands.into_iter()) {
                Some(near) => say!("did you mean `{}`?", near),
                None => say!("expected {}", commands.join(", ")),
            }));
        }
    }
    Ok(())
}

/// FNV-1a: the same name is the same bit in every engine, so a flow's bits outlive a reload.
pub(super) fn identify(name: &str) -> u64 {
    name.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |state, byte| (state ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}
