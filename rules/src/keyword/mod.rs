//! Every keyword of the rule language: one file a family, each with its own table.

mod application;
mod bytes;
mod data;
mod dnp3;
mod dns;
mod enip;
mod event;
mod field;
mod flow;
mod frame;
mod header;
mod hook;
mod kind;
mod many;
mod meta;
mod modbus;
mod mqtt;
mod names;
mod option;
mod packet;
mod payload;
mod pcre;
mod registered;
mod rule;
mod state;
pub(crate) mod threshold;
mod transform;

use std::cell::{OnceCell, RefCell};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use vigia_parsers::field::{Cardinality, Field, Kind};
use vigia_parsers::{Protocol, operation};

use crate::engine::dataset::Dataset;
use crate::language::said::say;
use crate::language::syntax::{Argument, Word};
use crate::language::{Problem, Variables, nearest};

pub(crate) use packet::payload_length;
use registered::Takes;
pub(crate) use registered::{Need, waiting};
pub(crate) use rule::{Draft, Fate, Place, Section, Waiting, compile, draft, finish};

/// Does a keyword take a value?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arity {
    /// `nocase;`
    None,
    /// `sid:1;`
    Required,
    /// Either way.
    Optional,
}

/// One keyword.
pub(crate) struct Keyword {
    /// Its name.
    pub(crate) name: &'static str,
    /// Other spellings.
    pub(crate) aliases: &'static [&'static str],
    /// One line of doc.
    pub(crate) doc: &'static str,
    /// Does it take a value?
    pub(crate) arity: Arity,
    /// Adds it to a rule. The value is trimmed; with [`Arity::None`] it is empty.
    pub(crate) compile: fn(&mut Draft, &Environment<'_>, Use<'_>) -> Result<(), Problem>,
}

/// A keyword as a rule uses it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Use<'a> {
    pub(crate) name: Word<'a>,
    pub(crate) value: Word<'a>,
}

/// All families.
const TABLE: &[&[Keyword]] = &[
    meta::KEYWORDS,
    payload::KEYWORDS,
    bytes::KEYWORDS,
    pcre::KEYWORDS,
    transform::KEYWORDS,
    flow::KEYWORDS,
    state::KEYWORDS,
    threshold::KEYWORDS,
    packet::KEYWORDS,
    option::KEYWORDS,
    header::KEYWORDS,
    application::KEYWORDS,
    event::KEYWORDS,
    data::KEYWORDS,
    modbus::KEYWORDS,
    dnp3::KEYWORDS,
    enip::KEYWORDS,
    mqtt::KEYWORDS,
    dns::KEYWORDS,
    frame::KEYWORDS,
];

/// What rules are compiled against.
pub(crate) struct Environment<'v> {
    pub(crate) variables: &'v Variables,
    pub(crate) protocols: &'static [&'static Protocol],
    keywords: HashMap<&'static str, &'static Keyword>,
    registered: HashMap<&'static str, (u16, Need, Takes)>,
    sets: RefCell<data::Sets>,
    /// Names of all fields, for the nearest one; made when first needed.
    field_names: OnceCell<Vec<String>>,
    /// Rules that wait for something are compiled like the others, so that what they will cost can be measured.
    pub(crate) whole: bool,
}

impl<'v> Environment<'v> {
    pub(crate) fn new(variables: &'v Variables, protocols: &'static [&'static Protocol]) -> Self {
        let mut keywords = HashMap::new();
        for keyword in TABLE.iter().copied().flatten() {
            keywords.insert(keyword.name, keyword);
            keywords.extend(keyword.aliases.iter().map(|&alias| (alias, keyword)));
        }
        let mut registered = HashMap::new();
        for (need, takes, names) in registered::TABLE {
            for name in *names {
                registered.insert(*name, (registered.len() as u16, *need, *takes));
            }
        }
        Self {
            variables,
            protocols,
            keywords,
            registered,
            sets: RefCell::default(),
            field_names: OnceCell::new(),
            whole: false,
        }
    }

    /// The sets that the rules compiled so far name, by the numbers of their names.
    pub(crate) fn into_sets(self) -> Vec<(u64, Arc<Dataset>)> {
        self.sets.into_inner().into_named()
    }

    /// The protocol of that name.
    pub(crate) fn protocol(&self, name: &str) -> Option<&'static Protocol> {
        self.protocols.iter().copied().find(|protocol| protocol.name == name)
    }

    /// The protocol of that name, and the index of one of its fields; for a keyword that is spelt over it.
    fn dissected(&self, protocol: &str, field: &str, it: Use<'_>) -> Result<(&'static Protocol, usize), Problem> {
        let found = self.protocol(protocol).and_then(|known| Some((known, known.field(field)?)));
        let missing = || say!("{}.{} is not dissected yet", protocol, field);
        found.ok_or_else(|| Problem::new("not-dissected", missing(), it.name.span()))
    }

    /// Adds one option to a rule.
    fn apply(&self, draft: &mut Draft, argument: &Argument<'_>) -> Result<(), Problem> {
        let name = argument.name;
        let Some(keyword) = self.keywords.get(name.text).or_else(|| {
            // Suricata takes keywords in any case.
            self.keywords.get(name.text.to_ascii_lowercase().as_str())
        }) else {
            if let Some((protocol, field)) = self.field(name) {
                return field::compile(draft, self, protocol, field, argument);
            }
            if let Some(&(number, need, takes)) = self.registered.get(name.text.to_ascii_lowercase().as_str()) {
                let value = argument.value.unwrap_or(Word { text: "", start: name.span().end });
                draft.wait(name, need);
                return registered::apply(draft, number, takes, Use { name, value });
            }
            return Err(self.unknown(name));
        };
        let value = match (keyword.arity, argument.value) {
            (Arity::Required, None) => {
                return Err(Problem::new("missing-value", say!("`{}` needs a value", name.text), name.span())
                    .help(say!("expected `{}:...;`", name.text)));
            }
            (Arity::None, Some(value)) => {
                return Err(Problem::new("unexpected-value", say!("`{}` takes no value", name.text), value.span()));
            }
            (_, value) => value.unwrap_or(Word { text: "", start: name.span().end }),
        };
        (keyword.compile)(draft, self, Use { name, value })
    }

    /// The field that `protocol.field` names; without a protocol, one that records of every industrial protocol have.
    fn field(&self, name: Word<'_>) -> Option<(Option<&'static Protocol>, usize)> {
        let (protocol, field) = name.text.split_once('.')?;
        if protocol == operation::PREFIX {
            return Some((None, operation::field(field)?));
        }
        let protocol = self.protocol(protocol)?;
        Some((Some(protocol), protocol.field(field)?))
    }

    fn unknown(&self, name: Word<'_>) -> Problem {
        let fields = self.field_names.get_or_init(|| {
            let tables = self.protocols.iter().map(|protocol| (protocol.name, protocol.fields));
            let tables = tables.chain([(operation::PREFIX, operation::FIELDS)]);
            let names = |(protocol, fields): (&'static str, &'static [Field])| {
                fields.iter().map(move |field| format!("{protocol}.{}", field.name))
            };
            tables.flat_map(names).collect()
        });
        let candidates = self.keywords.keys().chain(self.registered.keys()).copied();
        let near = nearest(name.text, candidates.chain(fields.iter().map(String::as_str)));
        Problem::new("unknown-keyword", say!("unknown keyword `{}`", name.text), name.span())
            .maybe_help(near.map(|near| say!("did you mean `{}`?", near)))
    }
}

/// A keyword as the reference and `vigia rules fields` list it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeywordInfo {
    /// Its name: `content`, `modbus.function`.
    pub name: String,
    /// Other spellings.
    pub aliases: Vec<&'static str>,
    /// One line of doc.
    pub doc: &'static str,
    /// What values it takes: `value`, `no value`, or the kind of the field.
    pub takes: &'static str,
    /// The names that a field's values have.
    pub names: Vec<(u64, &'static str)>,
    /// The protocol whose field it is.
    pub protocol: Option<&'static str>,
    /// It stands for any number of values of a message.
    pub many: bool,
    /// What it waits for; rules that use it are switched off.
    pub waits_for: Option<&'static str>,
}

/// Every keyword that rules can use: those of the language, then every field of every protocol, then those that wait for
/// a dissector or a feature.
pub fn keywords() -> Vec<KeywordInfo> {
    let language = TABLE.iter().copied().flatten().map(|keyword| KeywordInfo {
        name: keyword.name.to_owned(),
        aliases: keyword.aliases.to_vec(),
        doc: keyword.doc,
        takes: match keyword.arity {
            Arity::None => "no value",
            Arity::Required => "value",
            Arity::Optional => "value or none",
        },
        names: Vec::new(),
        protocol: None,
        many: false,
        waits_for: None,
    });
    let all = vigia_parsers::registry::PROTOCOLS;
    // A protocol with several framings is listed once.
    let distinct = all.iter().enumerate().filter(|(at, p)| !all.iter().take(*at).any(|other| other.name == p.name));
    let tables = distinct.map(|(_, protocol)| (protocol.name, protocol.fields));
    let fields = tables.chain([(operation::PREFIX, operation::FIELDS)]).flat_map(|(protocol, fields)| {
        fields.iter().map(move |field| KeywordInfo {
            name: format!("{protocol}.{}", field.name),
            aliases: Vec::new(),
            doc: field.doc,
            takes: match field.kind {
                Kind::Unsigned { .. } | Kind::Signed(_) => "integer",
                Kind::Float => "number",
                Kind::Text | Kind::Bytes => "sticky buffer",
                Kind::Flag => "flag",
                Kind::Address => "address",
                Kind::Time => "nothing yet",
            },
            names: match field.kind {
                Kind::Unsigned { names, .. } => names.to_vec(),
                _ => Vec::new(),
            },
            protocol: Some(protocol),
            many: field.cardinality == Cardinality::Many,
            waits_for: None,
        })
    });
    // A keyword that reads more than the field of its name stands for it.
    let fields = fields.filter(|field| !TABLE.iter().copied().flatten().any(|keyword| keyword.name == field.name));
    let registered = registered::TABLE.iter().flat_map(|(need, takes, names)| {
        names.iter().map(|&name| KeywordInfo {
            name: name.to_owned(),
            aliases: Vec::new(),
            doc: "",
            takes: takes.words(),
            names: Vec::new(),
            protocol: None,
            many: *takes == Takes::Buffers,
            waits_for: Some(need.name()),
        })
    });
    let mut known: Vec<KeywordInfo> = language.chain(fields).collect();
    // The dissector of some is there by now.
    let names: HashSet<String> =
        known.iter().flat_map(|it| it.aliases.iter().map(|&alias| alias.to_owned()).chain([it.name.clone()])).collect();
    known.extend(registered.filter(|keyword| !names.contains(&keyword.name)));
    known
}
