//! The command line: one file a subcommand.

mod alerts;
mod check;
mod config;
mod docs;
mod evidence;
#[cfg(target_os = "linux")]
mod guard;
mod journal;
mod logging;
mod manual;
mod mistake;
#[cfg(target_os = "linux")]
mod probes;
mod reload;
mod replay;
mod rules;
mod run;
mod status;
pub mod summary;
pub mod table;

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Arg, ArgAction, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

pub use replay::Replay;
pub use run::Run;

use crate::capture::SourceError;
use crate::config::Loaded;
use crate::config::rules::NO_RULE_FILE;
use crate::diagnostic::{Diagnostic, render_all};
use crate::language::{Language, Message, help};

/// Diagnostics that a person is shown at once.
const DIAGNOSTICS_SHOWN: usize = 20;

/// How a command ended, as its exit code tells. clap itself exits with 2 when the command line is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Everything asked for was done.
    Done,
    /// It was not: the configuration, rules, files or the sensor stood in the way.
    Failed,
    /// What was checked has errors.
    Faulty,
    /// A file that was read (a capture, a segment of the journal) is damaged: everything before the damage was processed.
    Damaged,
}

impl Outcome {
    /// The exit code.
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Faulty => 2,
            Self::Damaged => 3,
        }
    }
}

/// What every command knows of its surroundings.
#[derive(Debug, Clone, Copy)]
pub struct Context {
    /// Language of what a person reads.
    pub language: Language,
    /// Are there colours on standard error?
    pub colour: bool,
    /// How many times `-v` was given.
    pub verbose: u8,
}

#[derive(Debug, Parser)]
#[command(
    name = "vigia",
    version,
    max_term_width = 100,
    after_help = "\
Exit codes:
  0  done
  1  not done: configuration, rules, a file or the sensor stood in the way
  2  wrong command line; of `rules check`: errors in the rules; of `journal verify` and `evidence`: changes
  3  a file that was read is damaged; everything before the damage was processed

Example:
  vigia replay capture.pcap --rules modbus.rules --output out"
)]
struct Cli {
    /// Language of what is shown
    #[arg(long, global = true, value_name = "en|es", hide_possible_values = true)]
    lang: Option<Language>,
    /// Log more (-v debug, -vv everything)
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(Run),
    Replay(Replay),
    Check(check::Check),
    Rules(rules::Rules),
    Alerts(alerts::Alerts),
    Evidence(evidence::Evidence),
    Journal(journal::Arguments),
    Status(status::Status),
    Reload(reload::Reload),
    Config(config::Config),
    #[cfg(target_os = "linux")]
    Guard(guard::Arguments),
    #[cfg(target_os = "linux")]
    Probes(probes::Arguments),
    #[command(hide = true)]
    Docs(docs::Docs),
    #[command(hide = true)]
    Manual(manual::Manual),
}

/// Where the configuration comes from; part of most commands.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct ConfigArgument {
    /// Configuration file [default: $VIGIA_CONFIG, else /etc/vigia/vigia.toml if it exists]
    #[arg(short = 'c', long = "config", value_name = "FILE")]
    pub path: Option<PathBuf>,
}

impl ConfigArgument {
    /// Loads it.
    pub fn load(&self) -> Result<Loaded, Vec<Diagnostic>> {
        crate::config::load(self.path.as_deref())
    }
}

/// Rule files that stand in for those of the configuration; part of most commands.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct RulesArgument {
    /// Rule file, folder or pattern, instead of those of the configuration; may be repeated
    #[arg(short = 'r', long = "rules", value_name = "FILE", num_args = 1..)]
    pub files: Vec<PathBuf>,
}

impl RulesArgument {
    /// Puts them into the settings.
    pub fn apply(&self, settings: &mut crate::config::rules::Settings) {
        if !self.files.is_empty() {
            settings.files.clone_from(&self.files);
        }
    }

    /// Whether one was named that is not there, as loading them found. Whoever names it wants no sensor without it.
    pub fn is_any_absent(&self, found: &[Diagnostic]) -> bool {
        !self.files.is_empty() && found.iter().any(|diagnostic| diagnostic.code == NO_RULE_FILE)
    }
}

/// Reads the command line, does what it says, and tells how it ended.
pub fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().collect();
    let language = language_of(&arguments);
    let parsed = localise(Cli::command(), language).try_get_matches_from(arguments);
    let cli = match parsed.and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        Err(error) => match mistake::told(&error, language) {
            Some(text) => {
                tell(&text);
                return ExitCode::from(error.exit_code() as u8);
            }
            None => error.exit(),
        },
    };
    let context = Context {
        language: cli.lang.unwrap_or_else(Language::of_environment),
        colour: std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
        verbose: cli.verbose,
    };
    let outcome = match cli.command {
        Command::Run(run) => {
            with_config(&run.config, cli.lang, context, |loaded, context| run.execute(loaded, context))
        }
        Command::Replay(replay) => {
            with_config(&replay.config, cli.lang, context, |loaded, context| replay.execute(loaded, context))
        }
        Command::Rules(rules) => rules.execute(cli.lang, context),
        Command::Status(status) => {
            with_config(&status.config, cli.lang, context, |loaded, context| status.execute(&loaded, context))
        }
        Command::Alerts(alerts) => {
            with_config(&alerts.config, cli.lang, context, |loaded, context| alerts.execute(&loaded, context))
        }
        Command::Evidence(evidence) => {
            with_config(&evidence.config, cli.lang, context, |loaded, context| evidence.execute(&loaded, context))
        }
        Command::Journal(journal) => journal.execute(cli.lang, context),
        Command::Reload(reload) => {
            with_config(&reload.config, cli.lang, context, |loaded, context| reload.execute(&loaded, context))
        }
        Command::Check(check) => check.execute(context),
        Command::Config(config) => config.execute(cli.lang, context),
        #[cfg(target_os = "linux")]
        Command::Guard(guard) => guard.execute(context),
        #[cfg(target_os = "linux")]
        Command::Probes(probes) => {
            with_config(&probes.config, cli.lang, context, |loaded, context| probes.execute(&loaded, context))
        }
        Command::Docs(docs) => docs.execute(),
        Command::Manual(manual) => manual.execute(&Cli::command()),
    };
    let outcome = outcome.unwrap_or_else(|error| {
        tell(&format!("{}: {error:#}\n", Message::Error.text(context.language)));
        Outcome::Failed
    });
    ExitCode::from(outcome.code())
}

/// Loads the configuration and does `then` with it, in the language that the command line, else the configuration, else
/// the environment asks for.
fn with_config(
    argument: &ConfigArgument,
    lang: Option<Language>,
    context: Context,
    then: impl FnOnce(Loaded, Context) -> anyhow::Result<Outcome>,
) -> anyhow::Result<Outcome> {
    match argument.load() {
        Ok(loaded) => {
            let language = lang.or(loaded.config.language).unwrap_or(context.language);
            then(loaded, Context { language, ..context })
        }
        Err(diagnostics) => {
            report(&diagnostics, context);
            Ok(Outcome::Failed)
        }
    }
}

/// Shows diagnostics on standard error.
pub fn report(diagnostics: &[Diagnostic], context: Context) {
    tell(&render_all(diagnostics, context.language, context.colour, DIAGNOSTICS_SHOWN));
}

/// Says on standard error why captures could not be read, or not to their end.
pub fn report_faults(faults: &[SourceError], context: Context) {
    for fault in faults {
        tell(&format!("{}: {}\n", Message::Error.text(context.language), fault.phrase().text(context.language)));
    }
}

/// Writes to standard output. A reader that went away (`vigia ... | head`) is no failure.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// Writes to standard error. Where nobody reads it (`vigia ... 2>&1 | head`), there is nobody to tell of that.
pub(crate) fn tell(text: &str) {
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

/// The language for help texts, which clap prints before there are parsed arguments.
fn language_of(arguments: &[std::ffi::OsString]) -> Language {
    let mut arguments = arguments.iter().filter_map(|argument| argument.to_str());
    while let Some(argument) = arguments.next() {
        let value = if argument == "--lang" { arguments.next() } else { argument.strip_prefix("--lang=") };
        if let Some(value) = value {
            return Language::of_locale(value);
        }
    }
    Language::of_environment()
}

/// Puts all that the command line says of itself into `language`.
fn localise(command: clap::Command, language: Language) -> clap::Command {
    let command = summarise(command, language);
    if language == Language::English {
        return command;
    }
    let mut command = in_spanish(command);
    // Only then there are the subcommands `help` that clap makes.
    command.build();
    command.mut_subcommands(help_in_spanish)
}

fn help_in_spanish(command: clap::Command) -> clap::Command {
    match command.get_name() {
        "help" => command.about(Message::AboutHelp.text(Language::Spanish)),
        _ => command.mut_subcommands(help_in_spanish),
    }
}

/// The heading of subcommands in Spanish.
const COMMANDS: &str = "Órdenes";

/// The Spanish of what stands in English beside the arguments and below the help texts, and of clap's own words.
fn in_spanish(command: clap::Command) -> clap::Command {
    let line = |line| help::spanish(line).unwrap_or(line);
    let below = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let below: Vec<_> = below.lines().map(line).collect();
    let flag = |name, short, action| Arg::new(name).long(name).short(short).action(action);
    let help = flag("help", 'h', ArgAction::Help).help("Print help");
    let version = flag("version", 'V', ArgAction::Version).help("Print version");
    let command = match command.get_version() {
        Some(_) => command.disable_version_flag(true).arg(help).arg(version),
        None => command.arg(help),
    };
    command
        .disable_help_flag(true)
        .after_help(below.join("\n"))
        .help_template("{about-with-newline}\nUso: {usage}\n\n{all-args}{after-help}")
        .subcommand_help_heading(COMMANDS)
        .subcommand_value_name("ORDEN")
        .mut_args(|argument| {
            let spanish = argument.get_help().and_then(|help| help::spanish(&help.to_string()));
            let heading = if argument.is_positional() { "Argumentos" } else { "Opciones" };
            let argument = argument.help_heading(heading);
            match spanish {
                Some(spanish) => argument.help(spanish),
                None => argument,
            }
        })
        .mut_subcommands(in_spanish)
}

/// Puts the summaries of all commands into `language`.
fn summarise(command: clap::Command, language: Language) -> clap::Command {
    let about = |command: clap::Command, message: Message| command.about(message.text(language));
    about(command, Message::About)
        .mut_subcommand("run", |c| about(c, Message::AboutRun))
        .mut_subcommand("replay", |c| about(c, Message::AboutReplay))
        .mut_subcommand("check", |c| about(c, Message::AboutCheck))
        .mut_subcommand("alerts", |c| about(c, Message::AboutAlerts))
        .mut_subcommand("evidence", |c| about(c, Message::AboutEvidence))
        .mut_subcommand("journal", |c| {
            about(c, Message::AboutJournal)
                .mut_subcommand("export", |c| about(c, Message::AboutJournalExport))
                .mut_subcommand("stats", |c| about(c, Message::AboutJournalStats))
                .mut_subcommand("index", |c| about(c, Message::AboutJournalIndex))
                .mut_subcommand("verify", |c| about(c, Message::AboutJournalVerify))
                .mut_subcommand("key", |c| about(c, Message::AboutJournalKey))
        })
        .mut_subcommand("status", |c| about(c, Message::AboutStatus))
        .mut_subcommand("reload", |c| about(c, Message::AboutReload))
        .mut_subcommand("guard", |c| about(c, Message::AboutGuard))
        .mut_subcommand("probes", |c| about(c, Message::AboutProbes))
        .mut_subcommand("rules", |c| {
            about(c, Message::AboutRules)
                .mut_subcommand("list", |c| about(c, Message::AboutRulesList))
                .mut_subcommand("fields", |c| about(c, Message::AboutRulesFields))
                .mut_subcommand("check", |c| about(c, Message::AboutRulesCheck))
                .mut_subcommand("explain", |c| about(c, Message::AboutRulesExplain))
                .mut_subcommand("test", |c| about(c, Message::AboutRulesTest))
                .mut_subcommand("profile", |c| about(c, Message::AboutRulesProfile))
        })
        .mut_subcommand("config", |c| {
            about(c, Message::AboutConfig)
                .mut_subcommand("default", |c| about(c, Message::AboutConfigDefault))
                .mut_subcommand("show", |c| about(c, Message::AboutConfigShow))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn visible(command: &clap::Command, path: &str, found: &mut Vec<(String, clap::Command)>) {
        let made_by_clap = |inner: &&clap::Command| inner.get_name() == "help";
        for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set() && !made_by_clap(inner)) {
            let full = format!("{path} {}", inner.get_name());
            visible(inner, &full, found);
            found.push((full, inner.clone()));
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        localise(Cli::command(), Language::English).debug_assert();
    }

    #[test]
    fn every_command_has_a_summary_in_both_languages_and_an_example() {
        let (mut english, mut spanish) = (Vec::new(), Vec::new());
        visible(&localise(Cli::command(), Language::English), "vigia", &mut english);
        visible(&localise(Cli::command(), Language::Spanish), "vigia", &mut spanish);
        assert!(english.len() >= 10);
        for ((name, english), (_, spanish)) in english.iter().zip(&spanish) {
            let about = |command: &clap::Command| command.get_about().map(ToString::to_string);
            assert!(about(english).is_some(), "{name} has no summary");
            assert_ne!(about(english), about(spanish), "{name} has no Spanish summary");
            let help = english.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("Example"), "{name} has no example");
            assert!(help.contains(name.as_str()), "the example of {name} does not show it");
        }
    }

    #[test]
    fn every_argument_is_told_in_spanish_and_so_is_what_stands_below_a_help_text() {
        let mut found = vec![("vigia".to_owned(), Cli::command())];
        visible(&Cli::command(), "vigia", &mut found);
        let said = found.iter().flat_map(|(name, command)| {
            let arguments = command.get_arguments().filter_map(|argument| argument.get_help()).map(ToString::to_string);
            // What is indented more than a list of codes, or shows a command, is an example.
            let below = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let below: Vec<_> = below.lines().map(str::to_owned).collect();
            let below = below.into_iter().take_while(|line| line != "Example:");
            let below = below.filter(|line| !line.is_empty() && !line.contains(" = ") && !line.contains("[["));
            arguments.chain(below).map(move |text| (name, text))
        });
        let missing: Vec<_> = said.filter(|(_, text)| help::spanish(text).is_none()).collect();
        assert!(missing.is_empty(), "language/help.rs lacks {missing:#?}");
    }

    #[test]
    fn the_language_is_known_before_the_arguments_are_parsed() {
        let arguments = |list: &[&str]| list.iter().map(std::ffi::OsString::from).collect::<Vec<_>>();
        assert_eq!(language_of(&arguments(&["vigia", "--lang", "es", "run"])), Language::Spanish);
        assert_eq!(language_of(&arguments(&["vigia", "--lang=en"])), Language::English);
    }
}
