//! What a rule says of itself: `msg`, `sid`, `classtype`, `metadata` and their like.

use super::{Arity, Draft, Environment, Keyword, Use};
use crate::engine::{Reference, Target};
use crate::language::said::say;
use crate::language::syntax::Word;
use crate::language::{Problem, nearest};

pub(super) const KEYWORDS: &[Keyword] = &[
    Keyword { name: "msg", aliases: &[], doc: "What the alert says", arity: Arity::Required, compile: msg },
    Keyword { name: "sid", aliases: &[], doc: "Signature id", arity: Arity::Required, compile: sid },
    Keyword { name: "rev", aliases: &[], doc: "Revision of the rule", arity: Arity::Required, compile: rev },
    Keyword { name: "gid", aliases: &[], doc: "Generator id, 1 by default", arity: Arity::Required, compile: gid },
    Keyword {
        name: "classtype",
        aliases: &[],
        doc: "Classification: gives category and priority",
        arity: Arity::Required,
        compile: classtype,
    },
    Keyword {
        name: "priority",
        aliases: &[],
        doc: "1 (most severe) to 255; overrides the one of classtype",
        arity: Arity::Required,
        compile: priority,
    },
    Keyword {
        name: "reference",
        aliases: &[],
        doc: "Where to read more: type,value",
        arity: Arity::Required,
        compile: reference,
    },
    Keyword {
        name: "metadata",
        aliases: &[],
        doc: "Key and value pairs, by comma",
        arity: Arity::Required,
        compile: metadata,
    },
    Keyword {
        name: "target",
        aliases: &[],
        doc: "Which endpoint is the victim: src_ip or dest_ip",
        arity: Arity::Required,
        compile: target,
    },
    Keyword {
        name: "requires",
        aliases: &[],
        doc: "Leaves the rule out unless version, keyword or feature are there",
        arity: Arity::Required,
        compile: requires,
    },
    Keyword {
        name: "prefilter",
        aliases: &[],
        doc: "Accepted: every rule is found by its cheapest exact condition",
        arity: Arity::None,
        compile: |_, _, _| Ok(()),
    },
    Keyword {
        name: "bypass",
        aliases: &[],
        doc: "After a match, the rest of the flow is counted and not inspected",
        arity: Arity::None,
        compile: |draft, _, _| {
            draft.bypass = true;
            Ok(())
        },
    },
    Keyword {
        name: "nfq_set_mark",
        aliases: &[],
        doc: "Accepted without effect: packets are not marked",
        arity: Arity::Required,
        compile: |_, _, _| Ok(()),
    },
    Keyword {
        name: "alert",
        aliases: &[],
        doc: "Alerts, although it is a pass rule or `noalert` stands before it",
        arity: Arity::None,
        compile: |draft, _, _| {
            draft.silent = false;
            draft.alerts = true;
            Ok(())
        },
    },
    Keyword {
        name: "noalert",
        aliases: &[],
        doc: "Matches silently: only its flowbits count",
        arity: Arity::None,
        compile: noalert,
    },
];

type Outcome = Result<(), Problem>;

fn msg(draft: &mut Draft, _: &Environment<'_>, it: Use<'_>) -> Outcome {
    draft.rule.message = unescape(it.value.unquoted().text);
    Ok(())
}

/// Text with `\;`, `\"` and `\\` resolved.
fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        match c {
            '\\' => out.extend(characters.next()),
            c => out.push(c),
        }
    }
    out
}

/// A whole number from `low` to the highest of its type.
fn number(word: Word<'_>, low: u32, high: u32) -> Result<u32, Problem> {
    word.unquoted().text.parse().ok().filter(|number| (low..=high).contains(number)).ok_or_else(|| {
        Problem::new("invalid-value", say!("`{}` is not a number in range", word.text), word.span()).help(say!(
            "expected {} to {}",
            low,
            high
        ))
    })
}

fn sid(draft: &mut Draft, _: &Environment<'_>, it: Use<'_>) -> Outcome {
    draft.rule.sid = number(it.value, 1, u32::MAX)?;
    Ok(())
}

fn rev(draft: &mut Draft, _: &Environment<'_>, it: Use<'_>) -> Outcome {
    draft.rule.rev = number(it.value, 0, u32::MAX)?;
    Ok(())
}

fn gid(draft: &mut Draft, _: &Environment<'_>, it: Use<'_>) -> Outcome {
    draft.rule.gid = number(it.value, 0, u32::MAX)?;
    Ok(())
}

fn classtype(draft: &mut Draft, environment: &Environment<'_>, it: Use<'_>) -> Outcome {
    let classes = &environment.variables.classifications;
    let name = it.value.unquoted();
    match classes.get(name.text) {
        Some((description, priority)) => {
            draft.rule.category.clone_from(description);
            if !draft.own_priority {
                draft.rule.priority = *priority;
            }
        }
        None => draft.warnings.push(
            Problem::new("unknown-classtype", say!("classtype `{}` is not defined", name.text), name.span())
                .maybe_help(
                    nearest(name.text, classes.keys().map(String::as_str)).map(|near| say!("did you mean `{}`?", near)),
                ),
        ),
    }
    Ok(())
}

fn priority(draft: &mut Draft, _: &Environment<'_>, it: Use<'_>) -> Outcome {
    draft.rule.priority = number(it.value, 1, 255)? as u8;
    draft.own_priority = true;
    Ok(())
}

fn reference(draft: &mut Draft, environment: &Environment<'_>, it: Use<'_>) -> Outcome {
    let Some((kind, value)) = it.value.unquoted().split_once(',') else {
        return Err(Problem::new("invalid-value", say!("this is not a reference"), it.value.span())
            .help(say!("expected `type,value`, as `url,example.org`")));
    };
    let (system, value) = (kind.text.to_owned(), unescape(value.unquoted().text));
    let link = match environment.variables.references.get(&system.to_ascii_lowercase()) {
        _ if value.contains("://") => value.clone(),
        Some(prefix) => format!("{prefix}{value}"),
        None => format!("{system}:{value}"),
    };
    draft.rule.references.push(Reference { system, value, link });
    Ok(())
}

fn metadata(draft: &mut Draft, _: &Environment<'_>, it: Use<'_>) -> Outcome {
    for pair in it.value.unquoted().split(',').filter(|pair| !pair.text.is_empty()) {
        let (key, value) = pair.text.split_once(char::is_whitespace).unwrap_or((pair.text, ""));
        let metadata = &mut draft.rule.metadata;
        let at = metadata.iter().position(|known| known.0 == key).unwrap_or_else(|| {
            metadata.push((key.to_owned(), Vec::new()));
            metadata.len() - 1
        });
        metadata[at].1.push(value.trim().to_owned());
    }
    Ok(())
}

fn target(draft: &mut Draft, _: &Environment<'_>, it: Use<'_>) -> Outcome {
    draft.rule.target = Some(match it.value.text {
        "src_ip" => Target::Source,
        "dest_ip" => Target::Destination,
        _ => {
            return Err(Problem::new("invalid-value", say!("`{}` is not an endpoint", it.value.text), it.value.span())
                .help(say!("expected src_ip or dest_ip")));
        }
    });
    Ok(())
}

fn noalert(draft: &mut Draft, _: &Environment<'_>, _: Use<'_>) -> Outcome {
    draft.silent = true;
    Ok(())
}

/// The version of Suricata whose rules are understood.
const VERSION: [u32; 3] = [9, 0, 0];

/// What Suricata has only where it was built with it, and is there.
const FEATURES: &[&str] = &["geoip"];

fn requires(draft: &mut Draft, environment: &Environment<'_>, it: Use<'_>) -> Outcome {
    for requirement in it.value.split(',') {
        let (kind, wanted) = requirement.text.split_once(char::is_whitespace).unwrap_or((requirement.text, ""));
        let wanted = requirement.part(wanted).trim();
        let met = match kind {
            "version" if std::mem::replace(&mut draft.versioned, true) => {
                return Err(Problem::new("conflict", say!("`{}` is given twice", kind), requirement.span())
                    .help(say!("expected as `>= 7.0.3 < 8 | >= 8.0.1`")));
            }
            "version" => version(wanted)?,
            "keyword" => environment.keywords.contains_key(wanted.text) || environment.field(wanted).is_some(),
            "feature" => FEATURES.contains(&wanted.text),
            // What later versions may ask for: the rule is not for this one.
            _ => false,
        };
        if !met {
            draft.unmet = Some(Problem::new(
                "requirement-unmet",
                say!("the rule requires {}", requirement.text),
                requirement.span(),
            ));
        }
    }
    Ok(())
}

/// `>= 7.0.3 < 8 | >= 8.0.1`: alternatives of conditions that must all hold.
fn version(word: Word<'_>) -> Result<bool, Problem> {
    let wrong = || {
        Problem::new("invalid-value", say!("`{}` is not a version condition", word.text), word.span())
            .help(say!("expected as `>= 7.0.3 < 8`"))
    };
    let mut any = false;
    for alternative in word.text.split('|') {
        let mut all = true;
        let mut rest = alternative.trim();
        while !rest.is_empty() {
            let operator = [">=", "<=", ">", "<", "="].into_iter().find(|operator| rest.starts_with(operator));
            let operator = operator.ok_or_else(wrong)?;
            rest = rest[operator.len()..].trim_start();
            let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
            let mut parts = [0; 3];
            for (slot, part) in parts.iter_mut().zip(rest[..end].split('.')) {
                *slot = part.parse().map_err(|_| wrong())?;
            }
            rest = rest[end..].trim_start();
            all &= match operator {
                ">=" => VERSION >= parts,
                "<=" => VERSION <= parts,
                ">" => VERSION > parts,
                "<" => VERSION < parts,
                _ => VERSION == parts,
            };
        }
        any |= all;
    }
    Ok(any)
}
