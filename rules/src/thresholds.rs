//! `threshold.config`: how often rules report, and for whom not at all, told beside the rules.
//!
//! ```text
//! suppress gen_id 1, sig_id 2002087, track by_src, ip 192.0.2.0/24
//! event_filter gen_id 1, sig_id 0, type limit, track by_src, count 1, seconds 60
//! rate_filter gen_id 1, sig_id 1000, track by_src, count 10, seconds 60, new_action pass, timeout 300
//! ```
//!
//! An id of 0 stands for all. An `event_filter` for one rule takes the place of the rule's own threshold; one for all
//! rules leaves those alone that have a threshold already.

use crate::engine::build::Ready;
use crate::engine::counter::Threshold;
use crate::engine::gate::{RateFilter, Suppressed, Suppression};
use crate::keyword::Use;
use crate::keyword::threshold as keyword;
use crate::language::header::{AddressSet, address_list};
use crate::language::said::say;
use crate::language::syntax::{Word, statements};
use crate::language::{Diagnostic, Problem, Severity, Source, Variables, nearest};

/// What a `threshold.config` says, in the order of its lines.
#[derive(Debug, Clone, Default)]
pub struct Thresholds {
    lines: Vec<Line>,
}

#[derive(Debug, Clone)]
struct Line {
    gid: u32,
    sid: u32,
    what: What,
    source: Source,
    span: std::ops::Range<usize>,
}

#[derive(Debug, Clone)]
enum What {
    Suppress(Suppression),
    Filter(Threshold),
    Rate(RateFilter),
}

/// The `name value` pairs of a line.
struct Settings<'a> {
    whole: Word<'a>,
    pairs: Vec<(Word<'a>, Word<'a>)>,
}

impl<'a> Settings<'a> {
    fn of(whole: Word<'a>, known: &[&str]) -> Result<Self, Problem> {
        let mut pairs: Vec<(Word<'a>, Word<'a>)> = Vec::new();
        for pair in items(whole) {
            let (name, value) = pair.text.split_once(char::is_whitespace).unwrap_or((pair.text, ""));
            let (name, value) = (pair.part(name), pair.part(value).trim());
            if !known.contains(&name.text) {
                let near = nearest(name.text, known.iter().copied());
                let message = say!("`{}` is not a setting here", name.text);
                return Err(Problem::new("unknown-value", message, name.span()).help(match near {
                    Some(near) => say!("did you mean `{}`?", near),
                    None => say!("expected {}", known.join(", ")),
                }));
            }
            if pairs.iter().any(|known| known.0.text == name.text) {
                return Err(Problem::new("conflict", say!("`{}` is given twice", name.text), name.span()));
            }
            pairs.push((name, value));
        }
        Ok(Self { whole, pairs })
    }

    fn get(&self, name: &str) -> Option<Word<'a>> {
        self.pairs.iter().find(|pair| pair.0.text == name).map(|pair| pair.1)
    }

    fn need(&self, name: &str) -> Result<Word<'a>, Problem> {
        let missing = || Problem::new("missing-value", say!("`{}` is missing", name), self.whole.span());
        self.get(name).filter(|value| !value.text.is_empty()).ok_or_else(missing)
    }

    fn number(&self, name: &str, low: u32) -> Result<u32, Problem> {
        let word = self.need(name)?;
        word.text.parse().ok().filter(|&number| number >= low).ok_or_else(|| {
            Problem::new("invalid-value", say!("`{}` is not a number in range", word.text), word.span()).help(say!(
                "expected {} to {}",
                low,
                u32::MAX
            ))
        })
    }
}

/// The parts between commas, but those within brackets.
fn items(word: Word<'_>) -> Vec<Word<'_>> {
    let (mut found, mut from, mut depth) = (Vec::new(), 0, 0usize);
    for (at, c) in word.text.char_indices() {
        match c {
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                found.push(word.part(&word.text[from..at]).trim());
                from = at + 1;
            }
            _ => {}
        }
    }
    found.push(word.part(&word.text[from..]).trim());
    found
}

impl Thresholds {
    /// Adds the lines of a file. Those that are wrong are diagnostics and left out.
    pub fn read(&mut self, source: &Source, variables: &Variables) -> Vec<Diagnostic> {
        let mut diagnostics = Vec::new();
        for statement in statements(&source.text) {
            // A continued line has the backslash and the line end in it.
            let text = statement.text.replace("\\\r\n", "   ").replace("\\\n", "  ");
            let word = Word { text: &text, start: statement.start };
            match line(word, variables) {
                Ok((gid, sid, what, warning)) => {
                    diagnostics.extend(warning.map(|warning| warning.diagnostic(Severity::Warning, source)));
                    self.lines.push(Line { gid, sid, what, source: source.clone(), span: word.span() });
                }
                Err(problem) => diagnostics.push(problem.diagnostic(Severity::Error, source)),
            }
        }
        diagnostics
    }

    /// Applies them to the rules that compiled; a line about a rule that is not there is a warning.
    pub(crate) fn apply(&self, ready: &mut [Ready]) -> Vec<Diagnostic> {
        let own: Vec<bool> = ready.iter().map(|one| one.program.threshold.is_some()).collect();
        let mut diagnostics = Vec::new();
        for line in &self.lines {
            let mut met = false;
            for (one, own) in ready.iter_mut().zip(&own) {
                let (gid, sid) = (one.rule.gid, one.rule.sid);
                if (line.gid != 0 && line.gid != gid) || (line.sid != 0 && line.sid != sid) {
                    continue;
                }
                met = true;
                match &line.what {
                    What::Suppress(suppression) => one.program.suppressions.push(suppression.clone()),
                    What::Filter(_) if *own && line.sid == 0 => {}
                    What::Filter(threshold) => one.program.threshold = Some(*threshold),
                    What::Rate(filter) => one.program.rate = Some(*filter),
                }
                one.rule.gated = one.program.is_gated();
            }
            if !met && line.sid != 0 {
                let message = say!("there is no rule {}:{}", line.gid, line.sid);
                let problem = Problem::new("unknown-sid", message, line.span.clone());
                diagnostics.push(problem.diagnostic(Severity::Warning, &line.source));
            }
        }
        diagnostics
    }

    /// What the hash of a ruleset takes in of them.
    pub(crate) fn text(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().filter_map(|line| line.source.text.get(line.span.clone()))
    }
}

const KINDS: &[&str] = &["suppress", "threshold", "event_filter", "rate_filter"];

fn line(word: Word<'_>, variables: &Variables) -> Result<(u32, u32, What, Option<Problem>), Problem> {
    let (kind, rest) = word.text.split_once(char::is_whitespace).unwrap_or((word.text, ""));
    let (kind, rest) = (word.part(kind), word.part(rest).trim());
    let mut warning = None;
    let (settings, what) = match kind.text {
        "suppress" => {
            let settings = Settings::of(rest, &["gen_id", "sig_id", "track", "ip"])?;
            let what = What::Suppress(suppression(&settings, variables)?);
            (settings, what)
        }
        "threshold" | "event_filter" => {
            let known = ["gen_id", "sig_id", "type", "track", "count", "seconds", "multiplier", "unique_on"];
            let settings = Settings::of(rest, &known)?;
            // Beside the ids stand the settings of a rule's own threshold.
            let own = settings.pairs.iter().filter(|pair| !pair.0.text.ends_with("_id"));
            let text = own.map(|(name, value)| format!("{} {}", name.text, value.text)).collect::<Vec<_>>().join(",");
            let value = Word { text: &text, start: rest.start };
            let threshold = keyword::read(Use { name: kind, value });
            let threshold = threshold.map_err(|problem| Problem { span: rest.span(), ..problem })?;
            (settings, What::Filter(threshold))
        }
        "rate_filter" => {
            let known = ["gen_id", "sig_id", "track", "count", "seconds", "new_action", "timeout"];
            let settings = Settings::of(rest, &known)?;
            let (filter, odd) = rate(&settings)?;
            warning = odd;
            (settings, What::Rate(filter))
        }
        text => {
            let near = nearest(text, KINDS.iter().copied());
            return Err(Problem::new("unknown-value", say!("`{}` does not begin a threshold", text), kind.span())
                .help(match near {
                    Some(near) => say!("did you mean `{}`?", near),
                    None => say!("expected {}", KINDS.join(", ")),
                }));
        }
    };
    Ok((settings.number("gen_id", 0)?, settings.number("sig_id", 0)?, what, warning))
}

fn suppression(settings: &Settings<'_>, variables: &Variables) -> Result<Suppression, Problem> {
    let Some(track) = settings.get("track") else {
        return match settings.get("ip") {
            None => Ok(Suppression { end: Suppressed::Either, addresses: AddressSet::everything() }),
            Some(ip) => Err(Problem::new("missing-value", say!("`track` is missing"), ip.span())
                .help(say!("expected `track by_src|by_dst|by_either, ip ADDRESSES`"))),
        };
    };
    let end = match track.text {
        "by_src" => Suppressed::Source,
        "by_dst" => Suppressed::Destination,
        "by_either" => Suppressed::Either,
        text => {
            return Err(Problem::new("unknown-value", say!("`{}` cannot be suppressed", text), track.span())
                .help(say!("expected by_src, by_dst or by_either")));
        }
    };
    Ok(Suppression { end, addresses: address_list(variables, settings.need("ip")?)? })
}

fn rate(settings: &Settings<'_>) -> Result<(RateFilter, Option<Problem>), Problem> {
    let track = keyword::track(settings.need("track")?)?;
    let action = settings.need("new_action")?;
    let silences = match action.text {
        "pass" => true,
        "alert" | "drop" | "reject" => false,
        text => {
            let near = nearest(text, ["pass", "alert", "drop", "reject"].into_iter());
            return Err(Problem::new("unknown-action", say!("`{}` is not an action", text), action.span()).help(
                near.map_or(say!("expected pass, alert, drop or reject"), |near| say!("did you mean `{}`?", near)),
            ));
        }
    };
    let odd = (!silences).then(|| {
        let message = say!("`new_action {}` changes nothing: the sensor never blocks", action.text);
        Problem::new("no-effect", message, action.span())
    });
    let filter = RateFilter {
        track,
        count: settings.number("count", 1)?,
        seconds: settings.number("seconds", 1)?,
        timeout: settings.number("timeout", 0)?,
        silences,
    };
    Ok((filter, odd))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Engine, Gate, Match, RuleId, Verdict};
    use vigia_parsers::Timestamp;

    const RULES: &str = "alert icmp any any -> any any (itype:8; sid:1;)\n\
                         alert icmp any any -> any any (itype:8; threshold:type limit, track by_src, count 2, seconds 60; sid:2;)\n";

    fn source(name: &str, text: &str) -> Source {
        Source { name: name.into(), text: text.into() }
    }

    /// How many of ten matches, a second apart, from 10.0.0.1 each of the rules reports.
    fn reported(thresholds: &str) -> [usize; 2] {
        let mut variables = Variables::standard();
        let mut read = Thresholds::default();
        let found = read.read(&source("threshold.config", thresholds), &variables);
        assert!(found.is_empty(), "{}", found[0]);
        variables.thresholds = read;
        let compiled = Engine::compile(&[source("a.rules", RULES)], &variables);
        assert!(compiled.diagnostics.is_empty(), "{}", compiled.diagnostics[0]);
        let mut gate = Gate::default();
        [0, 1].map(|at| {
            let admitted = |second| {
                let (source, destination) = (([10, 0, 0, 1].into(), 0), ([10, 0, 0, 2].into(), 0));
                let found = Match { source, destination, timestamp: Timestamp::new(second, 0), noted: Box::default() };
                gate.admit(&compiled.engine, RuleId(at), &found) == Verdict::Report
            };
            (0..10).map(admitted).filter(|admitted| *admitted).count()
        })
    }

    #[test]
    fn rules_are_suppressed_whole_or_by_address() {
        assert_eq!(reported(""), [10, 2]);
        assert_eq!(reported("suppress gen_id 1, sig_id 1\n"), [0, 2]);
        assert_eq!(reported("suppress gen_id 0, sig_id 0\n"), [0, 0]);
        assert_eq!(reported("suppress gen_id 1, sig_id 1, track by_src, ip [10.0.0.0/24,!10.0.0.2]\n"), [0, 2]);
        assert_eq!(reported("suppress gen_id 1, sig_id 1, track by_dst, ip 10.0.0.1"), [10, 2]);
        assert_eq!(reported("suppress gen_id 1, sig_id 1, \\\n track by_either, ip $HOME_NET"), [0, 2]);
    }

    #[test]
    fn an_event_filter_takes_the_place_of_a_threshold_unless_it_is_for_all() {
        let one = "type threshold, track by_src, count 5, seconds 60";
        assert_eq!(reported(&format!("event_filter gen_id 1, sig_id 2, {one}")), [10, 2]);
        assert_eq!(reported(&format!("threshold gen_id 1, sig_id 0, {one}")), [2, 2]);
        assert_eq!(reported("event_filter gen_id 1, sig_id 2, type limit, track by_src, count 1, seconds 60"), [10, 1]);
    }

    #[test]
    fn a_rate_filter_silences_what_comes_too_often_for_a_while() {
        let filter = |timeout| {
            format!(
                "rate_filter gen_id 1, sig_id 1, track by_src, count 3, seconds 60, new_action pass, timeout {timeout}"
            )
        };
        assert_eq!(reported(&filter(60)), [2, 2]);
        assert_eq!(reported(&filter(3)), [4, 2]);
    }

    #[test]
    fn mistakes_are_named_where_they_stand() {
        for (text, code, column, help) in [
            ("supress gen_id 1, sig_id 1", "unknown-value", 1, "did you mean `suppress`?"),
            ("suppress gen_id 1, sigid 1", "unknown-value", 20, "did you mean `sig_id`?"),
            ("suppress gen_id 1", "missing-value", 10, ""),
            ("suppress gen_id 1, sig_id x", "invalid-value", 27, "expected 0 to 4294967295"),
            (
                "suppress gen_id 1, sig_id 1, track by_rule, ip any",
                "unknown-value",
                36,
                "expected by_src, by_dst or by_either",
            ),
            ("suppress gen_id 1, sig_id 1, track by_src, ip 10.0.0", "invalid-address", 47, ""),
            ("suppress gen_id 1, gen_id 1", "conflict", 20, ""),
            ("event_filter gen_id 1, sig_id 1, type limits, track by_src, count 1, seconds 1", "unknown-value", 14, ""),
            (
                "rate_filter gen_id 1, sig_id 1, track by_src, count 1, seconds 1, new_action passs, timeout 1",
                "unknown-action",
                78,
                "did you mean `pass`?",
            ),
        ] {
            let found = Thresholds::default().read(&source("t", text), &Variables::standard());
            let help_of = |it: &Diagnostic| it.help.as_ref().map(ToString::to_string).unwrap_or_default();
            let found: Vec<_> = found.iter().map(|it| (it.code, it.position().1, help_of(it))).collect();
            assert_eq!(found.len(), 1, "{text}");
            assert_eq!((found[0].0, found[0].1), (code, column), "{text}");
            assert!(found[0].2.contains(help), "{text}: {}", found[0].2);
        }
    }

    #[test]
    fn what_has_no_effect_or_no_rule_is_a_warning() {
        let mut variables = Variables::standard();
        let text = "rate_filter gen_id 1, sig_id 9, track by_src, count 1, seconds 1, new_action drop, timeout 1";
        let mut thresholds = Thresholds::default();
        let found = thresholds.read(&source("t", text), &variables);
        assert_eq!((found[0].code, found[0].severity), ("no-effect", Severity::Warning));
        variables.thresholds = thresholds;
        let compiled = Engine::compile(&[source("a.rules", RULES)], &variables);
        assert_eq!(compiled.diagnostics[0].code, "unknown-sid");
    }
}
