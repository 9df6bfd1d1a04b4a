//! `vigia manual`: pages of man(1) and completions of shells, made of the command line's own description. For a package;
//! hidden from users.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Command;
use clap_complete::shells::{Bash, Fish, Zsh};
use clap_mangen::Man;

use super::Outcome;

/// Arguments of `vigia manual`.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Manual {
    /// Folder that gets `man1/` and `completions/`
    folder: PathBuf,
}

impl Manual {
    /// Writes the pages and completions of `command`.
    pub(super) fn execute(&self, command: &Command) -> anyhow::Result<Outcome> {
        let mut command = visible(command);
        let (pages, completions) = (self.folder.join("man1"), self.folder.join("completions"));
        fs::create_dir_all(&pages)?;
        fs::create_dir_all(&completions)?;
        clap_complete::generate_to(Bash, &mut command, "vigia", &completions)?;
        clap_complete::generate_to(Zsh, &mut command, "vigia", &completions)?;
        clap_complete::generate_to(Fish, &mut command, "vigia", &completions)?;
        command.build();
        write(&command, &pages)?;
        Ok(Outcome::Done)
    }
}

/// The command without what is hidden from users, which completions would show.
fn visible(command: &Command) -> Command {
    Command::new("vigia")
        .version(env!("CARGO_PKG_VERSION"))
        .about(command.get_about().cloned().unwrap_or_default())
        .after_help(command.get_after_help().cloned().unwrap_or_default())
        .args(command.get_arguments())
        .subcommands(command.get_subcommands().filter(|inner| !inner.is_hide_set()))
        .subcommand_required(true)
        .disable_help_subcommand(true)
}

/// Writes the page of a command and those of its subcommands.
fn write(command: &Command, folder: &Path) -> std::io::Result<()> {
    command.get_subcommands().try_for_each(|inner| write(inner, folder))?;
    let name = command.get_display_name().unwrap_or(command.get_name());
    fs::write(folder.join(format!("{name}.1")), page(command)?)
}

/// A page. It has no date, so the same command line gives the same bytes.
fn page(command: &Command) -> std::io::Result<Vec<u8>> {
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
    out.extend(sections(&after).bytes());
    Ok(out)
}

/// What stands below a help text as sections of a page: a line that ends with a colon is a heading, indented lines stay as
/// they are, and what comes before the first heading are notes.
fn sections(text: &str) -> String {
    let mut out = String::new();
    if text.lines().next().is_some_and(|line| !line.ends_with(':')) {
        out.push_str(".SH \"NOTES\"\n");
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
        assert_eq!(sections("Exits with 0."), ".SH \"NOTES\"\nExits with 0.\n");
        assert_eq!(escape("'a\\b\""), "\\&'a\\eb\\(dq");
    }
}
