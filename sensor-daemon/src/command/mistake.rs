//! A wrong command line, told as everything else is: in the language asked for, with what comes nearest.

use std::error::Error as _;

use clap::Error;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::language::{Language, Message, Phrase, help};

/// What is wrong, what was expected, and how the command is used. `None` of what is no mistake (help, the version) or is
/// told by clap alone.
pub(super) fn told(error: &Error, language: Language) -> Option<String> {
    let mut out = format!("{}: {}\n", Message::Error.text(language), headline(error, language)?.text(language));
    if let Some(help) = expected(error) {
        let label = Message::Help.text(language);
        out.push_str(&format!("  {label}: {}\n", help.text(language)));
    }
    if let Some(usage) = context(error, ContextKind::Usage) {
        let usage = usage.trim_start_matches("Usage:").trim();
        out.push_str(&format!("\n{}: {usage}\n", Message::Usage.text(language)));
    }
    out.push_str(&format!("\n{}\n", Message::MistakeTryHelp.text(language)));
    Some(out)
}

fn headline(error: &Error, language: Language) -> Option<Phrase> {
    let argument = || Some(context(error, ContextKind::InvalidArg)?.into());
    let value = || context(error, ContextKind::InvalidValue);
    Some(match error.kind() {
        ErrorKind::UnknownArgument => Message::MistakeArgument.with([argument()?]),
        ErrorKind::InvalidSubcommand => {
            Message::MistakeCommand.with([context(error, ContextKind::InvalidSubcommand)?.into()])
        }
        ErrorKind::MissingRequiredArgument => Message::MistakeMissing.with([argument()?]),
        ErrorKind::InvalidValue if value()?.is_empty() => Message::MistakeNoValue.with([argument()?]),
        ErrorKind::InvalidValue => Message::ConfigNotAChoice.with([argument()?, value()?.into()]),
        ErrorKind::ValueValidation => {
            let refused = Message::ConfigNotAChoice.with([argument()?, value()?.into()]);
            match error.source() {
                Some(reason) => {
                    Message::Colon.with([refused.into(), help::reason(&reason.to_string(), language).into()])
                }
                None => refused,
            }
        }
        ErrorKind::ArgumentConflict => {
            let (one, other) = (context(error, ContextKind::InvalidArg)?, context(error, ContextKind::PriorArg)?);
            match one == other {
                true => Message::SettingTwice.with([one.into()]),
                false => Message::MistakeConflict.with([one.into(), other.into()]),
            }
        }
        _ => return None,
    })
}

/// What comes nearest, or else what there is to choose from, or where the captures went.
fn expected(error: &Error) -> Option<Phrase> {
    let near = [ContextKind::SuggestedArg, ContextKind::SuggestedSubcommand, ContextKind::SuggestedValue];
    if let Some(near) = near.into_iter().find_map(|kind| context(error, kind)) {
        return Some(Message::HelpDidYouMean.with([near.into()]));
    }
    let missing =
        context(error, ContextKind::InvalidArg).filter(|_| error.kind() == ErrorKind::MissingRequiredArgument);
    if missing.is_some_and(|missing| missing.contains("<CAPTURE>")) {
        return Some(Message::HelpCapturesFirst.into());
    }
    let choices = context(error, ContextKind::ValidValue).filter(|choices| !choices.is_empty())?;
    Some(Message::HelpChoices.with([choices.into()]))
}

fn context(error: &Error, kind: ContextKind) -> Option<String> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(text.clone()),
        // Those that come near, the nearest last.
        ContextValue::Strings(texts) if kind == ContextKind::SuggestedSubcommand => texts.last().cloned(),
        ContextValue::Strings(texts) => Some(texts.join(", ")),
        ContextValue::StyledStr(text) => Some(text.to_string()),
        _ => None,
    }
}
