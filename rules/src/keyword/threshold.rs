//! `threshold` and `detection_filter`.

use super::{Arity, Draft, Environment, Keyword, Use};
use crate::engine::counter::{End, Mode, Threshold, Track};
use crate::language::Problem;
use crate::language::said::say;
use crate::language::syntax::Word;

pub(super) const KEYWORDS: &[Keyword] = &[
    Keyword {
        name: "threshold",
        aliases: &[],
        doc: "How often the rule alerts: type limit|threshold|both|backoff, track, count, seconds or multiplier",
        arity: Arity::Required,
        compile: threshold,
    },
    Keyword {
        name: "detection_filter",
        aliases: &[],
        doc: "Alerts on every match after the first ones of a window: track, count, seconds",
        arity: Arity::Required,
        compile: detection_filter,
    },
];

/// Seconds of a window whose rule says no end: more than any sensor runs.
const ENDLESS: u32 = u32::MAX;

/// The `name value` pairs of either keyword.
#[derive(Default)]
struct Settings<'a> {
    kind: Option<Word<'a>>,
    track: Option<Word<'a>>,
    count: Option<Word<'a>>,
    seconds: Option<Word<'a>>,
    multiplier: Option<Word<'a>>,
    unique_on: Option<Word<'a>>,
}

fn settings(value: Word<'_>) -> Result<Settings<'_>, Problem> {
    let mut settings = Settings::default();
    for pair in value.split(',') {
        let (name, text) = pair.text.split_once(char::is_whitespace).unwrap_or((pair.text, ""));
        let text = pair.part(text).trim();
        let slot = match name {
            "type" => &mut settings.kind,
            "track" => &mut settings.track,
            "count" => &mut settings.count,
            "seconds" => &mut settings.seconds,
            "multiplier" => &mut settings.multiplier,
            "unique_on" => &mut settings.unique_on,
            _ => {
                return Err(Problem::new("unknown-value", say!("`{}` is not a setting here", name), pair.span())
                    .help(say!("expected type, track, count, seconds")));
            }
        };
        if slot.replace(text).is_some() {
            return Err(Problem::new("conflict", say!("`{}` is given twice", name), pair.span()));
        }
    }
    Ok(settings)
}

/// The setting, which must be there.
fn given<'a>(word: Option<Word<'a>>, name: &str, it: Use<'_>) -> Result<Word<'a>, Problem> {
    word.ok_or_else(|| Problem::new("missing-value", say!("`{}` is missing", name), it.value.span()))
}

fn number(word: Word<'_>) -> Result<u32, Problem> {
    word.text
        .parse()
        .ok()
        .filter(|&number| number > 0)
        .ok_or_else(|| Problem::new("invalid-value", say!("`{}` is not a number above 0", word.text), word.span()))
}

pub(crate) fn track(word: Word<'_>) -> Result<Track, Problem> {
    Ok(match word.text {
        "by_src" => Track::Source,
        "by_dst" => Track::Destination,
        "by_both" => Track::Both,
        "by_rule" => Track::Rule,
        "by_flow" => Track::Flow,
        _ => {
            return Err(Problem::new("unknown-value", say!("`{}` cannot be tracked", word.text), word.span())
                .help(say!("expected by_src, by_dst, by_both, by_rule or by_flow")));
        }
    })
}

/// The end whose ports are counted once each.
fn unique(settings: &Settings<'_>) -> Result<Option<End>, Problem> {
    let Some(word) = settings.unique_on else { return Ok(None) };
    if let Some(track) = settings.track.filter(|track| track.text == "by_flow") {
        return Err(Problem::new("conflict", say!("a flow has one port at each end"), track.span()));
    }
    match word.text {
        "src_port" => Ok(Some(End::Source)),
        "dst_port" => Ok(Some(End::Destination)),
        text => Err(Problem::new("unknown-value", say!("`{}` cannot be counted", text), word.span())
            .help(say!("expected src_port or dst_port"))),
    }
}

fn store(draft: &mut Draft, threshold: Threshold, it: Use<'_>) -> Result<(), Problem> {
    if threshold.unique.is_some() && draft.portless {
        return Err(Problem::new("conflict", say!("unique_on goes with TCP, UDP and SCTP only"), it.value.span()));
    }
    if draft.threshold.replace(threshold).is_some() {
        return Err(Problem::new("conflict", say!("a rule has one threshold or detection_filter"), it.name.span()));
    }
    Ok(())
}

fn threshold(draft: &mut Draft, _: &Environment<'_>, it: Use<'_>) -> Result<(), Problem> {
    store(draft, read(it)?, it)
}

/// The value of a `threshold`.
pub(crate) fn read(it: Use<'_>) -> Result<Threshold, Problem> {
    let settings = settings(it.value)?;
    let kind = given(settings.kind, "type", it)?;
    let track_word = given(settings.track, "track", it)?;
    let track = track(track_word)?;
    let count = number(given(settings.count, "count", it)?)?;
    let grows = settings.multiplier.is_some() && settings.seconds.is_none();
    let mode = match kind.text {
        "limit" => Mode::Limit,
        "threshold" => Mode::Threshold,
        "backoff" | "both" if (kind.text == "backoff" || grows) && track != Track::Flow => {
            return Err(Problem::new("conflict", say!("backoff goes with by_flow only"), track_word.span()));
        }
        "both" if !grows => Mode::Both,
        "backoff" | "both" => Mode::Backoff(number(given(settings.multiplier, "multiplier", it)?)?),
        _ => {
            return Err(Problem::new("unknown-value", say!("`{}` is not a type of threshold", kind.text), kind.span())
                .help(say!("expected limit, threshold, both or backoff")));
        }
    };
    let seconds = match (mode, settings.seconds) {
        (Mode::Backoff(_), _) => 0,
        (_, Some(seconds)) => number(seconds)?,
        (_, None) => ENDLESS,
    };
    let unique = unique(&settings)?;
    Ok(Threshold { mode, track, count, seconds, unique })
}

fn detection_filter(draft: &mut Draft, _: &Environment<'_>, it: Use<'_>) -> Result<(), Problem> {
    let settings = settings(it.value)?;
    let track = track(given(settings.track, "track", it)?)?;
    let count = number(given(settings.count, "count", it)?)?;
    let seconds = number(given(settings.seconds, "seconds", it)?)?;
    let unique = unique(&settings)?;
    store(draft, Threshold { mode: Mode::Filter, track, count, seconds, unique }, it)
}
