//! `modbus`: Suricata's keyword, spelt out over the fields of the protocol.
//!
//! It is about requests; a response is looked at only when its request was not seen. Addresses count from 1, as
//! Suricata's do: address 1 is 0 on the wire.

use vigia_parsers::Protocol;
use vigia_parsers::field::Kind;

use super::field::{Integer, flag_test};
use super::{Arity, Draft, Environment, Keyword, Use, names};
use crate::engine::view::{Condition, View, as_number};
use crate::language::integer::{self, Domain, IntegerTest};
use crate::language::said::say;
use crate::language::set::RangeSet;
use crate::language::syntax::Word;
use crate::language::{Problem, nearest};

pub(super) const KEYWORDS: &[Keyword] = &[Keyword {
    name: "modbus",
    aliases: &[],
    doc: "Modbus requests: function, subfunction, access, address, value, unit",
    arity: Arity::Required,
    compile,
}];

/// The fields it is spelt over.
struct Fields {
    protocol: &'static Protocol,
}

impl Fields {
    fn index(&self, name: &str, at: Word<'_>) -> Result<usize, Problem> {
        self.protocol.field(name).ok_or_else(|| {
            Problem::new("not-supported", say!("{}.{} is not dissected yet", self.protocol.name, name), at.span())
        })
    }

    fn integer(&self, name: &str, test: IntegerTest, at: Word<'_>) -> Result<Box<dyn Condition>, Problem> {
        Ok(Box::new(Integer::new(self.protocol, self.index(name, at)?, test)))
    }
}

/// A request, or a response whose request was lost.
struct Asked {
    request: usize,
}

impl Condition for Asked {
    fn holds(&self, view: &View<'_>) -> bool {
        view.any(self.request, |value| as_number(value) == Some(1)) || view.has_anomaly("unsolicited_response")
    }
}

/// The range of addresses accessed touches these, counted from 0.
struct Touches {
    address: usize,
    quantity: usize,
    addresses: RangeSet<u64>,
}

impl Condition for Touches {
    fn holds(&self, view: &View<'_>) -> bool {
        let (Some(first), Some(quantity)) = (first(view, self.address), first(view, self.quantity)) else {
            return false;
        };
        let Some(last) = (first + quantity).checked_sub(1) else { return false };
        self.addresses.ranges().iter().any(|range| range.0 <= last && first <= range.1)
    }
}

/// At one of these addresses, counted from 0, one of these values is written.
struct Writes {
    address: usize,
    value: usize,
    addresses: RangeSet<u64>,
    values: RangeSet<u64>,
}

impl Condition for Writes {
    fn holds(&self, view: &View<'_>) -> bool {
        let Some(mut address) = first(view, self.address) else { return false };
        let mut found = false;
        view.visit(self.value, &mut |value| {
            found |= self.addresses.contains(address) && as_number(value).is_some_and(|v| self.values.contains(v));
            address = address.saturating_add(1);
        });
        found
    }
}

/// The first value of a field.
fn first(view: &View<'_>, field: usize) -> Option<u64> {
    let mut found = None;
    view.visit(field, &mut |value| found = found.or(as_number(value)));
    found
}

fn compile(draft: &mut Draft, environment: &Environment<'_>, it: Use<'_>) -> Result<(), Problem> {
    let protocol = environment
        .protocol(names::MODBUS)
        .ok_or_else(|| Problem::new("not-dissected", say!("modbus is not dissected yet"), it.name.span()))?;
    draft.need(protocol, it.name)?;
    draft.message = true;
    let fields = Fields { protocol };
    draft.conditions.push(Box::new(Asked { request: fields.index("request", it.name)? }));
    let mut settings = it.value.unquoted().split(',').peekable();
    let mut seen = Vec::new();
    while let Some(setting) = settings.next() {
        let (name, value) = setting.text.split_once(char::is_whitespace).unwrap_or((setting.text, ""));
        let value = setting.part(value).trim();
        if value.text.is_empty() {
            return Err(unknown(setting.part(name)));
        }
        match name {
            "function" => function(draft, &fields, value)?,
            "subfunction" if seen.contains(&"function") => {
                let test = plain(value, 16)?;
                draft.conditions.push(fields.integer("sub_function", test, value)?);
            }
            // One byte; but an open end of a range may lie beyond it, as in `10<>500`.
            "unit" => {
                let test = plain(value, 16)?;
                draft.conditions.push(fields.integer("unit_id", test, value)?);
            }
            "access" => {
                let mut rest = Vec::new();
                while let Some(next) = settings.next_if(|next| next.text.starts_with(['a', 'v'])) {
                    rest.push(next);
                }
                access(draft, &fields, value, &rest)?;
            }
            _ => return Err(unknown(setting.part(name))),
        }
        seen.push(name);
    }
    Ok(())
}

fn unknown(word: Word<'_>) -> Problem {
    let settings = ["function", "subfunction", "access", "address", "value", "unit"];
    let near = nearest(word.text, settings.into_iter()).filter(|near| *near != word.text);
    Problem::new("invalid-value", say!("`{}` is not a setting of modbus here", word.text), word.span()).help(match near
    {
        Some(near) => say!("did you mean `{}`?", near),
        None => say!("expected function, subfunction, unit, or access with address and value"),
    })
}

/// `5`, `>5`, `<5`, `5<>9`.
fn plain(word: Word<'_>, bits: u8) -> Result<IntegerTest, Problem> {
    integer::parse(word, Domain::unsigned(bits))
}

/// The set of `plain`.
fn plain_set(word: Word<'_>) -> Result<RangeSet<u64>, Problem> {
    match plain(word, 16)? {
        IntegerTest::In(set) => Ok(set),
        IntegerTest::Mask { .. } => Err(Problem::new("invalid-value", say!("a mask makes no sense here"), word.span())),
    }
}

/// Categories as the keyword names them, and the names of the field's values they stand for.
const CATEGORIES: &[(&str, &[&str])] = &[
    ("assigned", &["public_assigned"]),
    ("unassigned", &["public_unassigned"]),
    ("public", &["public_assigned", "public_unassigned"]),
    ("user", &["user_defined"]),
    ("reserved", &["reserved"]),
    ("all", &["public_assigned", "public_unassigned", "user_defined", "reserved"]),
];

fn function(draft: &mut Draft, fields: &Fields, value: Word<'_>) -> Result<(), Problem> {
    let bare = value.part(value.text.trim_start_matches('!')).trim();
    if bare.text.starts_with(|c: char| c.is_ascii_digit()) {
        draft.conditions.push(fields.integer("function", plain(value, 8)?, value)?);
        return Ok(());
    }
    if let Some((_, members)) = CATEGORIES.iter().find(|category| category.0 == bare.text) {
        let index = fields.index("category", value)?;
        let Some(Kind::Unsigned { names, .. }) = fields.protocol.fields.get(index).map(|field| field.kind) else {
            return Err(Problem::new("not-supported", say!("categories are not dissected yet"), value.span()));
        };
        let values = names.iter().filter(|name| members.contains(&name.1)).map(|name| (name.0, name.0)).collect();
        let set = RangeSet::new(values);
        let set = if value.text.starts_with('!') { set.complement() } else { set };
        draft.conditions.push(fields.integer("category", IntegerTest::In(set), value)?);
        return Ok(());
    }
    // Beyond Suricata's grammar: the names of the field's enumeration.
    let index = fields.index("function", value)?;
    let names = match fields.protocol.fields.get(index).map(|field| field.kind) {
        Some(Kind::Unsigned { names, .. }) => names,
        _ => &[],
    };
    match integer::parse(value, Domain { bits: 8, signed: false, names }) {
        Ok(test) => {
            draft.conditions.push(fields.integer("function", test, value)?);
            Ok(())
        }
        Err(problem) => {
            let known = CATEGORIES.iter().map(|category| category.0).chain(names.iter().map(|name| name.1));
            Err(match nearest(bare.text, known) {
                Some(near) => problem.help(say!("did you mean `{}`?", near)),
                None => problem.help(say!("expected a number or assigned, unassigned, public, user, reserved or all")),
            })
        }
    }
}

fn access(draft: &mut Draft, fields: &Fields, value: Word<'_>, rest: &[Word<'_>]) -> Result<(), Problem> {
    let (kind, table) = value.text.split_once(char::is_whitespace).unwrap_or((value.text, ""));
    let table = value.part(table).trim();
    let (flag, address, quantity) = match kind {
        "read" => ("read", "read_address", "read_quantity"),
        "write" => ("write", "write_address", "write_quantity"),
        _ => {
            return Err(Problem::new(
                "invalid-value",
                say!("`{}` is not a kind of access", kind),
                value.part(kind).span(),
            )
            .help(say!("expected read or write")));
        }
    };
    draft.conditions.push(fields.integer(flag, flag_test(true), value)?);
    if !table.text.is_empty() {
        let known = ["discretes", "coils", "input", "holding"];
        let Some(number) = known.iter().position(|name| *name == table.text) else {
            let near = nearest(table.text, known.into_iter()).map(|near| say!("did you mean `{}`?", near));
            return Err(Problem::new("unknown-value", say!("`{}` is not a table", table.text), table.span())
                .help(near.unwrap_or_else(|| say!("expected {}", known.join(", ")))));
        };
        if kind == "write" && matches!(table.text, "discretes" | "input") {
            return Err(Problem::new("never-matches", say!("{} cannot be written", table.text), table.span())
                .help(say!("expected coils or holding")));
        }
        draft.conditions.push(fields.integer("table", IntegerTest::In(RangeSet::one(number as u64 + 1)), table)?);
    }
    let (address, quantity) = (fields.index(address, value)?, fields.index(quantity, value)?);
    let mut addresses = RangeSet::everything();
    for setting in rest {
        let (name, number) = setting.text.split_once(char::is_whitespace).unwrap_or((setting.text, ""));
        let number = setting.part(number).trim();
        match name {
            "address" if addresses.is_everything() => {
                addresses = from_zero(&plain_set(number)?);
                draft.conditions.push(Box::new(Touches { address, quantity, addresses: addresses.clone() }));
            }
            "value" if kind == "write" => {
                let (value, values) = (fields.index("value", number)?, plain_set(number)?);
                draft.conditions.push(Box::new(Writes { address, value, addresses: addresses.clone(), values }));
            }
            _ => return Err(unknown(setting.part(name))),
        }
    }
    Ok(())
}

/// Addresses that count from 1, as they stand on the wire.
fn from_zero(addresses: &RangeSet<u64>) -> RangeSet<u64> {
    RangeSet::new(
        addresses
            .ranges()
            .iter()
            .filter(|range| range.1 > 0)
            .map(|r| (r.0.max(1) - 1, r.1.saturating_sub(1)))
            .collect(),
    )
}
