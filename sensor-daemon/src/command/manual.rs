//! `vigia manual`: pages of man(1) and completions of shells, made of the command line's own description. For a package;
//! hidden from users.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Command;
use clap::builder::StyledStr;
use clap_complete::shells::{Bash, Fish, Zsh};
use clap_mangen::Man;

use super::{COMMANDS, Outcome, localise};
use crate::language::Language;

/// Arguments of `vigia manual`.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Manual {
    /// Folder that gets `man1/`, `es/man1/` and `completions/`
    folder: PathBuf,
}

impl Manual {
    /// Writes the pages and completions of `command`.
    pub(super) fn execute(&self, command: &Command) -> anyhow::Result<Outcome> {
        let completions = self.folder.join("completions");
        fs::create_dir_all(&completions)?;
        let mut shown = visible(command);
        clap_complete::generate_to(Bash, &mut shown, "vigia", &completions)?;
        clap_complete::generate_to(Zsh, &mut shown, "vigia", &completions)?;
        clap_complete::generate_to(Fish, &mut shown, "vigia", &completions)?;
        for (language, folder) in [(Language::English, "man1"), (Language::Spanish, "es/man1")] {
            let folder = self.folder.join(folder);
            fs::create_dir_all(&folder)?;
            let mut shown = visible(&localise(command.clone(), language));
            shown.build();
            write(&shown, &folder, language)?;
        }
        Ok(Outcome::Done)
    }
}

/// The command without what is hidden from users, which completions would show.
fn visible(command: &Command) -> Command {
    let text = |text: Option<&StyledStr>| text.cloned().unwrap_or_default();
    let shown = Command::new("vigia")
        .version(env!("CARGO_PKG_VERSION"))
        .about(text(command.get_about()))
        .after_help(text(command.get_after_help()))
        .args(command.get_arguments())
        .subcommands(command.get_subcommands().filter(|inner| !inner.is_hide_set()))
        .disable_help_flag(command.is_disable_help_flag_set())
        .disable_version_flag(command.is_disable_version_flag_set())
        .disable_help_subcommand(true)
        .subcommand_required(true);
    match command.get_subcommand_help_heading() {
        Some(_) => shown.subcommand_help_heading(COMMANDS),
        None => shown,
    }
}

/// Writes the page of a command and those of its subcommands.
fn write(command: &Command, folder: &Path, language: Language) -> std::io::Result<()> {
    command.get_subcommands().try_for_each(|inner| write(inner, folder, language))?;
    let name = command.get_display_name().unwrap_or(command.get_name());
    fs::write(folder.join(format!("{name}.1")), page(command, language)?)
}

/// The headings that pages have by themselves, in Spanish.
const HEADINGS: [[&str; 2]; 4] =
    [["NAME", "NOMBRE"], ["SYNOPSIS", "SINOPSIS"], ["DESCRIPTION", "DESCRIPCIÓN"], ["NOTES", "NOTAS"]];

/// A page. It has no date, so the same command line gives the same bytes.
fn page(command: &Command, language: Language) -> std::io::Result<String> {
    let source = concat!("vigia ", env!("CARGO_PKG_VERSION"));
    let man = Man::new(command.clone()).source(source).manual("Vigía");
    let mut out = Vec::new();
    man.render_title(&mut out)?;
    man.render_name_section(&mut out)?;
    man.render_synopsis_section(&mut out)?;
    man.render_description_section(&mut out)?;
    man.render_options_section(&mut out)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut out)?;
    }
    let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let page = String::from_utf8_lossy(&out).into_owned() + &sections(&after);
    Ok(match language {
        Language::English => page,
        Language::Spanish => HEADINGS.iter().fold(page, |page, [english, spanish]| {
            page.replace(&format!(".SH {english}\n"), &format!(".SH {spanish}\n"))
        }),
    })
}

/// What stands below a help text as sections of a page: a line that ends with a colon is a heading, indented lines stay as
/// they are, and what comes before the first heading are notes.
fn sections(text: &str) -> String {
    let mut out = String::new();
    if text.lines().next().is_some_and(|line| !line.ends_with(':')) {
        out.push_str(".SH NOTES\n");
    }
    for line in text.lines() {
        match (line.strip_suffix(':'), line.starts_with(' ')) {
            (Some(heading), false) => out.push_str(&format!(".SH \"{}\"\n", escape(&heading.to_uppercase()))),
            (_, true) => out.push_str(&format!(".nf\n{}\n.fi\n", escape(line))),
            _ if line.is_empty() => out.push_str(".PP\n"),
            _ => out.push_str(&format!("{}\n", escape(line))),
        }
    }
    out
}

/// Text that roff takes for what it is.
fn escape(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-").replace('"', "\\(dq");
    if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::command::Cli;

    #[test]
    fn every_command_that_is_shown_has_a_page_and_is_completed() {
        let folder = tempfile::tempdir().unwrap();
        let manual = Manual { folder: folder.path().to_owned() };
        manual.execute(&Cli::command()).unwrap();
        let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
        let verify = read("man1/vigia-journal-verify.1");
        assert!(verify.starts_with(".ie") || verify.contains(".TH vigia-journal-verify 1"), "{verify}");
        assert!(verify.contains(".SH EXAMPLE") || verify.contains(".SH \"EXAMPLE\""), "{verify}");
        assert!(read("man1/vigia.1").contains("vigia\\-run(1)"));
        let verify = read("es/man1/vigia-journal-verify.1");
        assert!(["SINOPSIS", "OPCIONES", "\"EJEMPLO\"", "NOTAS"].iter().all(|it| verify.contains(it)), "{verify}");
        assert!(!folder.path().join("man1/vigia-docs.1").exists(), "it is hidden");
        for shell in ["vigia.bash", "_vigia", "vigia.fish"] {
            let completion = read(&format!("completions/{shell}"));
            assert!(completion.contains("verify") && !completion.contains("manual"), "{shell}");
        }
    }

    #[test]
    fn what_stands_below_a_help_text_keeps_its_shape() {
        assert_eq!(
            sections("Signals:\n  SIGHUP  load again\n\nExample:\n  vigia run --config x"),
            ".SH \"SIGNALS\"\n.nf\n  SIGHUP  load again\n.fi\n.PP\n.SH \"EXAMPLE\"\n.nf\n  vigia run \\-\\-config x\n.fi\n"
        );
        assert_eq!(sections("Exits with 0."), ".SH NOTES\nExits with 0.\n");
        assert_eq!(escape("'a\\b\""), "\\&'a\\eb\\(dq");
    }
}
