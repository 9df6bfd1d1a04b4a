//! Look-ups in lists: `dataset`, `datarep`, `iprep` and `geoip`.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::flow::identify;
use super::payload::literal;
use super::{Arity, Draft, Environment, Keyword, Need, Use};
use crate::engine::chain::Step;
use crate::engine::dataset::{self, Dataset, DatasetTest, Kind, ReputationTest};
use crate::engine::hosts::{HostBit, Mark, Owner};
use crate::engine::view::{Condition, View};
use crate::language::said::{Said, say};
use crate::language::syntax::Word;
use crate::language::{Countries, Problem, Reputation, nearest};

type Outcome = Result<(), Problem>;

pub(super) const KEYWORDS: &[Keyword] = &[
    Keyword {
        name: "dataset",
        aliases: &[],
        doc: "The buffer is in a set: isset|isnotset|set|unset, name, then type, load, save, state",
        arity: Arity::Required,
        compile: dataset,
    },
    Keyword {
        name: "datarep",
        aliases: &[],
        doc: "The buffer's reputation in a list: name, operator, score, then type, load",
        arity: Arity::Required,
        compile: datarep,
    },
    Keyword {
        name: "iprep",
        aliases: &[],
        doc: "Reputation of an address: any|src|dst|both, category, operator, score; or isset, isnotset",
        arity: Arity::Required,
        compile: iprep,
    },
    Keyword {
        name: "geoip",
        aliases: &[],
        doc: "Country of an address: any|src|dst|both, then ISO codes; with ! none of these",
        arity: Arity::Required,
        compile: geoip,
    },
];

/// The score of each value.
type Scores = HashMap<Box<[u8]>, u16>;

/// The sets that the rules compiled so far name.
#[derive(Default)]
pub(super) struct Sets {
    sets: HashMap<String, Arc<Dataset>>,
    scores: HashMap<String, (Kind, Arc<Scores>)>,
}

impl Sets {
    /// The sets, by the numbers of their names.
    pub(super) fn into_named(self) -> Vec<(u64, Arc<Dataset>)> {
        let mut sets: Vec<_> = self.sets.into_iter().collect();
        sets.sort_unstable_by(|one, other| one.0.cmp(&other.0));
        sets.into_iter().map(|(name, set)| (number(&name), set)).collect()
    }
}

/// The number of a set's name.
fn number(name: &str) -> u64 {
    identify(&format!("dataset:{name}"))
}

const KINDS: &[(&str, Kind)] = &[
    ("string", Kind::String),
    ("md5", Kind::Md5),
    ("sha256", Kind::Sha256),
    ("ipv4", Kind::Ipv4),
    ("ipv6", Kind::Ipv6),
    ("ip", Kind::Ip),
];

/// What a rule says of a set besides its name.
#[derive(Default)]
struct Options<'a> {
    kind: Option<Kind>,
    load: Option<Word<'a>>,
    /// A file that has what rules have made of the set.
    save: Option<Word<'a>>,
    /// Both at once: a file that need not be there yet.
    state: Option<Word<'a>>,
    /// What the file is written in; values one a line without.
    json: Option<Json>,
    /// Where in an element the value stands, and where in the file the elements.
    value_key: Option<Word<'a>>,
    array_key: Option<Word<'a>>,
    /// Under which key alerts have the element of the value that matched, and whether without the value.
    context_key: Option<Word<'a>>,
    remove_key: bool,
}

/// A form of JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Json {
    /// One object or list.
    Whole,
    /// An object a line.
    Lines,
}

fn options<'a>(words: impl Iterator<Item = Word<'a>>) -> Result<Options<'a>, Problem> {
    let mut options = Options::default();
    for option in words {
        let (key, value) = option.text.split_once(char::is_whitespace).unwrap_or((option.text, ""));
        let value = option.part(value).trim();
        match key {
            "type" => {
                let kind = KINDS.iter().find(|kind| kind.0 == value.text).map(|kind| kind.1);
                options.kind = Some(kind.ok_or_else(|| {
                    let problem =
                        Problem::new("unknown-value", say!("`{}` is not a type of set", value.text), value.span());
                    problem.help(match nearest(value.text, KINDS.iter().map(|kind| kind.0)) {
                        Some(near) => say!("did you mean `{}`?", near),
                        None => say!("expected string, md5, sha256, ipv4, ipv6 or ip"),
                    })
                })?);
            }
            "load" => options.load = Some(value),
            "state" => options.state = Some(value),
            "save" => options.save = Some(value),
            "format" => {
                options.json = match value.text {
                    "csv" => None,
                    "json" => Some(Json::Whole),
                    "jsonline" | "ndjson" => Some(Json::Lines),
                    text => {
                        return Err(Problem::new(
                            "unknown-value",
                            say!("`{}` is not a format of sets", text),
                            value.span(),
                        )
                        .help(say!("expected csv, json, jsonline or ndjson")));
                    }
                }
            }
            "value_key" => options.value_key = Some(value),
            "array_key" => options.array_key = Some(value),
            // Its first name, and the one that it has now.
            "enrichment_key" | "context_key" => options.context_key = Some(value),
            "remove_key" => options.remove_key = true,
            // How big a table of the reference engine is to be.
            "memcap" | "hashsize" => {}
            _ => {
                return Err(Problem::new("unknown-value", say!("`{}` is not an option of a set", key), option.span())
                    .help(say!("expected type, load, state, save, format, value_key, array_key, context_key, remove_key, memcap or hashsize")));
            }
        }
    }
    match options.state {
        Some(file) if options.load.is_some() || options.save.is_some() => Err(Problem::new(
            "conflict",
            say!("`state` is both `load` and `save`: it does not go with them"),
            file.span(),
        )),
        _ => Ok(options),
    }
}

impl<'a> Options<'a> {
    /// The file that the set is read from.
    fn read(&self) -> Option<Word<'a>> {
        self.load.or(self.state)
    }

    /// The file that the set is to be saved in, if it is one that may be written.
    fn saved(&self) -> Result<Option<Box<str>>, Problem> {
        let Some(file) = self.save.or(self.state) else { return Ok(None) };
        // Rules come from outside: they must not write what is none of theirs.
        let parts = Path::new(file.text).components();
        let path: PathBuf = parts.take_while(|part| matches!(part, Component::Normal(_))).collect();
        if let Some(within) = path.to_str().filter(|path| !path.is_empty() && Path::new(path) == Path::new(file.text)) {
            return Ok(Some(within.into()));
        }
        let outside = say!("`{}` does not lie in the folder of saved sets", file.text);
        Err(Problem::new("invalid-value", outside, file.span())
            .help(say!("expected a name, as seen.lst or plant/seen.lst")))
    }
}

fn unreadable(file: Word<'_>, why: String) -> Problem {
    Problem::new("unreadable", say!("`{}`: {}", file.text, why), file.span())
}

/// The lines of a file that a rule names.
fn lines(environment: &Environment<'_>, file: Word<'_>) -> Result<String, Problem> {
    let bytes = environment.variables.library.read(file.text).map_err(|why| unreadable(file, why))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The lines of the file of a set: as it was saved, else as it was when rules had not changed it yet, if it is there at all.
fn state(environment: &Environment<'_>, file: Word<'_>) -> Result<String, Problem> {
    match environment.variables.library.read_saved(file.text).map_err(|why| unreadable(file, why))? {
        Some(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        None => Ok(lines(environment, file).unwrap_or_default()),
    }
}

fn entry(text: &str) -> Option<&str> {
    Some(text.trim()).filter(|text| !text.is_empty() && !text.starts_with('#'))
}

/// Values are looked up of buffers that the rule names.
fn check_buffer(draft: &Draft, it: Use<'_>) -> Outcome {
    match draft.sticking() {
        Some(_) => Ok(()),
        None => {
            Err(Problem::new("misplaced", say!("`{}` belongs after a sticky buffer", it.name.text), it.name.span()))
        }
    }
}

fn dataset(draft: &mut Draft, environment: &Environment<'_>, it: Use<'_>) -> Outcome {
    check_buffer(draft, it)?;
    let mut parts = it.value.split(',');
    let command = parts.next().unwrap_or(it.value);
    let (how, mark) = match command.text {
        "isset" => (dataset::Use::Is(true), Mark::Is(true)),
        "isnotset" => (dataset::Use::Is(false), Mark::Is(false)),
        "set" => (dataset::Use::Add, Mark::Add),
        "unset" => (dataset::Use::Remove, Mark::Remove),
        text => {
            let near = nearest(text, ["isset", "isnotset", "set", "unset"].into_iter());
            return Err(Problem::new("unknown-value", say!("`{}` is not a command of dataset", text), command.span())
                .help(match near {
                    Some(near) => say!("did you mean `{}`?", near),
                    None => say!("expected isset, isnotset, set or unset"),
                }));
        }
    };
    let name = parts.next().filter(|name| !name.text.is_empty());
    let name =
        name.ok_or_else(|| Problem::new("missing-value", say!("the name of the set is missing"), it.value.span()))?;
    let options = options(parts)?;
    let set = set(draft, environment, name, &options)?;
    set.expect(how);
    let step = draft.host_bits.len();
    draft.host_bits.push(HostBit { name: number(name.text), owner: Owner::Value(step), mark });
    draft.selective = true;
    let context = options.context_key.filter(|_| matches!(how, dataset::Use::Is(true))).map(|key| key.text.into());
    draft.push_step(Step::Dataset(DatasetTest { set, how, step, context }));
    Ok(())
}

/// The set of that name; made by the first rule that says what it is.
fn set(
    draft: &mut Draft,
    environment: &Environment<'_>,
    name: Word<'_>,
    options: &Options<'_>,
) -> Result<Arc<Dataset>, Problem> {
    let mut sets = environment.sets.borrow_mut();
    let conflict = |message, word: Word<'_>| Err(Problem::new("conflict", message, word.span()));
    let file = options.save.or(options.state);
    let saved = options.saved()?.filter(|_| options.json.is_none());
    if let Some(file) = file.filter(|_| options.json.is_some()) {
        let message = say!("sets in JSON are only read: what rules change in this one is not saved");
        draft.warnings.push(Problem::new("not-supported", message, file.span()));
    }
    if let Some(known) = sets.sets.get(name.text) {
        return match (options.kind, file) {
            (Some(kind), _) if kind != known.kind => {
                conflict(say!("set `{}` is of another type elsewhere", name.text), name)
            }
            (_, Some(file)) if saved.is_some() && saved != known.saved => {
                conflict(say!("the first rule with set `{}` does not save it in this file", name.text), file)
            }
            _ => Ok(Arc::clone(known)),
        };
    }
    let is_taken = |other: &Arc<Dataset>| saved.is_some() && other.saved == saved;
    if let (Some(file), true) = (file, sets.sets.values().any(is_taken)) {
        return conflict(say!("another set is saved in `{}`", file.text), file);
    }
    let kind = options.kind.ok_or_else(|| {
        Problem::new("missing-value", say!("the type of set `{}` is not known", name.text), name.span())
            .help(say!("expected `type string|md5|sha256|ipv4|ipv6|ip`"))
    })?;
    let text = match (options.load, options.state) {
        (Some(file), _) => lines(environment, file)?,
        (None, Some(file)) => state(environment, file)?,
        (None, None) => String::new(),
    };
    if let Some(json) = options.json {
        let file = options.read().unwrap_or(name);
        let set = Arc::new(Dataset::with_contexts(kind, contexts(kind, json, &text, file, options)?));
        sets.sets.insert(name.text.to_owned(), Arc::clone(&set));
        return Ok(set);
    }
    let mut loaded = HashSet::new();
    for line in text.lines().filter_map(entry) {
        let Some(value) = kind.parse(line) else {
            let file = options.read().unwrap_or(name);
            return Err(Problem::new("invalid-value", say!("`{}` is not of the set's type", line), file.span()));
        };
        loaded.insert(value);
    }
    let set = Arc::new(Dataset::new(kind, loaded, saved));
    sets.sets.insert(name.text.to_owned(), Arc::clone(&set));
    Ok(set)
}

/// The values in a file of JSON, each with the element that it stands in. What has no value is passed over, but there must be
/// one.
fn contexts(
    kind: Kind,
    json: Json,
    text: &str,
    file: Word<'_>,
    options: &Options<'_>,
) -> Result<HashMap<Box<[u8]>, Arc<str>>, Problem> {
    use serde_json::Value;
    let faulty = |error: serde_json::Error| {
        Problem::new("invalid-value", say!("this is not JSON: {}", error.to_string()), file.span())
    };
    let elements: Vec<Value> = match json {
        Json::Lines => {
            text.lines().filter_map(entry).map(serde_json::from_str).collect::<Result<_, _>>().map_err(faulty)?
        }
        Json::Whole => {
            let mut whole: Value = serde_json::from_str(text).map_err(faulty)?;
            for key in options.array_key.iter().flat_map(|path| path.text.split('.')) {
                whole = whole.get_mut(key).map(Value::take).unwrap_or_default();
            }
            match whole {
                Value::Array(elements) => elements,
                other => vec![other],
            }
        }
    };
    let mut contexts = HashMap::new();
    for mut element in elements {
        let value = match options.value_key {
            Some(path) => path.text.split('.').try_fold(&element, |inner, key| inner.get(key)),
            None => Some(&element),
        };
        let Some(value) = value.and_then(Value::as_str) else { continue };
        let parsed = match kind {
            Kind::String => Some(value.as_bytes().into()),
            _ => kind.parse(value),
        };
        let Some(parsed) = parsed else {
            return Err(Problem::new("invalid-value", say!("`{}` is not of the set's type", value), file.span()));
        };
        if let (true, Some(key), Value::Object(members)) = (options.remove_key, options.value_key, &mut element) {
            members.remove(key.text);
        }
        contexts.insert(parsed, element.to_string().into());
    }
    match contexts.is_empty() {
        true => Err(Problem::new("invalid-value", say!("the file has no value of the set"), file.span())),
        false => Ok(contexts),
    }
}

type Compare = fn(u16, u16) -> bool;

const OPERATORS: &[(&str, Compare)] = &[
    (">=", |found, wanted| found >= wanted),
    ("<=", |found, wanted| found <= wanted),
    ("!=", |found, wanted| found != wanted),
    (">", |found, wanted| found > wanted),
    ("<", |found, wanted| found < wanted),
    ("=", |found, wanted| found == wanted),
    ("==", |found, wanted| found == wanted),
];

fn operator(word: Word<'_>) -> Result<Compare, Problem> {
    OPERATORS.iter().find(|operator| operator.0 == word.text).map(|operator| operator.1).ok_or_else(|| {
        Problem::new("unknown-value", say!("`{}` is not an operator", word.text), word.span())
            .help(say!("expected >, <, =, >=, <= or !="))
    })
}

/// The next part, which must be there.
fn next<'a>(parts: &mut impl Iterator<Item = Word<'a>>, missing: Said, it: Use<'_>) -> Result<Word<'a>, Problem> {
    parts
        .next()
        .filter(|word| !word.text.is_empty())
        .ok_or_else(|| Problem::new("missing-value", missing, it.value.span()))
}

fn datarep(draft: &mut Draft, environment: &Environment<'_>, it: Use<'_>) -> Outcome {
    check_buffer(draft, it)?;
    let mut parts = it.value.split(',');
    let name = next(&mut parts, say!("the name of the list is missing"), it)?;
    let compare = operator(next(&mut parts, say!("the operator is missing"), it)?)?;
    let score = literal(next(&mut parts, say!("the score is missing"), it)?, 0, u16::MAX.into())? as u16;
    let options = options(parts)?;
    let mut sets = environment.sets.borrow_mut();
    let (kind, scores) = match sets.scores.get(name.text) {
        Some((kind, scores)) => (*kind, Arc::clone(scores)),
        None => {
            let missing = |message| {
                Problem::new("missing-value", message, name.span())
                    .help(say!("expected `type string|md5|sha256|ipv4|ipv6|ip, load FILE`"))
            };
            let kind = options.kind.ok_or_else(|| missing(say!("the type of list `{}` is not known", name.text)))?;
            let file = options.read().ok_or_else(|| missing(say!("the file of list `{}` is not known", name.text)))?;
            let mut scores = HashMap::new();
            for line in lines(environment, file)?.lines().filter_map(entry) {
                let parsed = line
                    .rsplit_once(',')
                    .and_then(|(value, score)| Some((kind.parse(value.trim())?, score.trim().parse::<u16>().ok()?)));
                let Some((value, score)) = parsed else {
                    return Err(Problem::new("invalid-value", say!("`{}` is not `value,score`", line), file.span()));
                };
                scores.insert(value, score);
            }
            let scores = Arc::new(scores);
            sets.scores.insert(name.text.to_owned(), (kind, Arc::clone(&scores)));
            (kind, scores)
        }
    };
    draft.push_step(Step::Reputation(ReputationTest { kind, scores, compare, score }));
    Ok(())
}

/// Whose address is looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Any,
    Source,
    Destination,
    Both,
}

impl Side {
    fn named(word: Word<'_>) -> Option<Self> {
        Some(match word.text {
            "any" => Self::Any,
            "src" => Self::Source,
            "dst" | "dest" => Self::Destination,
            "both" => Self::Both,
            _ => return None,
        })
    }

    fn holds(self, view: &View<'_>, test: impl Fn(IpAddr) -> bool) -> bool {
        let (source, destination) = (view.moment.source.0, view.moment.destination.0);
        match self {
            Self::Any => test(source) || test(destination),
            Self::Source => test(source),
            Self::Destination => test(destination),
            Self::Both => test(source) && test(destination),
        }
    }
}

struct AddressReputation {
    list: Arc<Reputation>,
    side: Side,
    category: u8,
    /// Without a score, whether there is one.
    test: Result<(Compare, u16), bool>,
}

impl Condition for AddressReputation {
    fn holds(&self, view: &View<'_>) -> bool {
        self.side.holds(view, |address| {
            let found = self.list.score(address, self.category);
            match self.test {
                Ok((compare, wanted)) => found.is_some_and(|score| compare(score.into(), wanted)),
                Err(wanted) => found.is_some() == wanted,
            }
        })
    }
}

fn iprep(draft: &mut Draft, environment: &Environment<'_>, it: Use<'_>) -> Outcome {
    let mut parts = it.value.split(',');
    let side = next(&mut parts, say!("the side is missing"), it)?;
    let side = Side::named(side).ok_or_else(|| {
        Problem::new("unknown-value", say!("`{}` is not a side", side.text), side.span())
            .help(say!("expected any, src, dst or both"))
    })?;
    let category = next(&mut parts, say!("the category is missing"), it)?;
    let operation = next(&mut parts, say!("the operator is missing"), it)?;
    let test = match operation.text {
        "isset" => Err(true),
        "isnotset" => Err(false),
        _ => Ok((operator(operation)?, literal(next(&mut parts, say!("the score is missing"), it)?, 0, 127)? as u16)),
    };
    let Some(list) = &environment.variables.reputation else {
        draft.wait(it.name, Need::Feature("lists of reputation, of which none is configured"));
        return Ok(());
    };
    let number = list.category(category.text).ok_or_else(|| {
        let near = nearest(category.text, list.categories());
        Problem::new("unknown-value", say!("`{}` is not a category of reputation", category.text), category.span())
            .maybe_help(near.map(|near| say!("did you mean `{}`?", near)))
    })?;
    draft.conditions.push(Box::new(AddressReputation { list: Arc::clone(list), side, category: number, test }));
    Ok(())
}

struct Country {
    countries: Arc<Countries>,
    side: Side,
    codes: Vec<[u8; 2]>,
    negated: bool,
}

impl Condition for Country {
    fn holds(&self, view: &View<'_>) -> bool {
        // Nothing is said of an address whose country is not known.
        self.side.holds(view, |address| {
            self.countries.code(address).is_some_and(|code| self.codes.contains(&code) != self.negated)
        })
    }
}

fn geoip(draft: &mut Draft, environment: &Environment<'_>, it: Use<'_>) -> Outcome {
    let mut words = it.value.split(',').peekable();
    let side = words.peek().copied().and_then(Side::named);
    if side.is_some() {
        words.next();
    }
    let (mut codes, mut negated) = (Vec::new(), false);
    for word in words {
        let code = match word.text.strip_prefix('!') {
            Some(rest) => {
                negated = true;
                word.part(rest).trim()
            }
            None => word,
        };
        match *code.text.as_bytes() {
            [a, b] if a.is_ascii_alphabetic() && b.is_ascii_alphabetic() => {
                codes.push([a.to_ascii_uppercase(), b.to_ascii_uppercase()]);
            }
            _ => {
                return Err(Problem::new("invalid-value", say!("`{}` is not a country", code.text), code.span())
                    .help(say!("expected two letters of ISO 3166, as ES")));
            }
        }
    }
    if codes.is_empty() {
        return Err(Problem::new("missing-value", say!("no country is named"), it.value.span()));
    }
    let Some(countries) = &environment.variables.countries else {
        draft.wait(it.name, Need::Feature("a database of countries, which is not configured"));
        return Ok(());
    };
    let (countries, side) = (Arc::clone(countries), side.unwrap_or(Side::Any));
    draft.conditions.push(Box::new(Country { countries, side, codes, negated }));
    Ok(())
}
