//! `vigia evidence`: the packets of an alert. The sensor may run meanwhile, or not.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::table::Table;
use super::{ConfigArgument, Context, Outcome, print, tell};
use crate::config::Loaded;
use crate::event::{AlertFacts, time_of};
use crate::evidence::{self, Told};
use crate::journal;
use crate::journal::chain::{Subject, is_as_sealed};
use crate::language::Message;

/// Arguments of `vigia evidence`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "\
ALERT is the `event_id` of an alert, or a `flow_id`. Shown are the path of each capture file with its packets, \
whether it is as it was signed, and what is known to be missing. Without ALERT all files are listed. The alerts are \
comments on their packets in the files.

Exits with 0 when there is evidence, with 1 when there is none, with 2 when a file is not as it was signed, with 3 \
when one cannot be read.

Example:
  vigia evidence
  vigia alerts --since 1h --json | jq -r .event_id
  vigia evidence 5f1c0a2b3c4d5e6f-a-00000001-20260102T030405-4711
  vigia evidence 1367037540020445 --output - | tcpdump -nr -")]
pub(super) struct Evidence {
    /// Id of an alert, or of a flow
    #[arg(value_name = "ALERT")]
    alert: Option<String>,
    #[command(flatten)]
    pub(super) config: ConfigArgument,
    /// Folder of evidence, instead of that in the journal: of a replay, say
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,
    /// Copy the file to there; `-` is standard output
    #[arg(short, long, value_name = "FILE", requires = "alert")]
    output: Option<PathBuf>,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

/// A file, as its name tells of it.
struct Named {
    number: u64,
    path: PathBuf,
    name: String,
    flow: u64,
}

impl Evidence {
    pub(super) fn execute(&self, loaded: &Loaded, context: Context) -> anyhow::Result<Outcome> {
        let journal = &loaded.config.journal.directory;
        let folder = self.directory.clone().unwrap_or_else(|| evidence::folder(journal));
        let files: Vec<_> = evidence::list(&folder)?.into_iter().map(Named::of).collect();
        let Some(alert) = &self.alert else {
            print(&if self.json { list_json(&files) } else { list(&files, context) })?;
            return Ok(Outcome::Done);
        };
        let found = match alert.parse::<u64>() {
            Ok(flow) => files.into_iter().filter(|file| file.flow == flow).collect(),
            Err(_) => match journal::event_of(journal, alert)?.filter(|line| AlertFacts::of(line).is_some()) {
                Some(line) => of_alert(files, &line)?,
                None => anyhow::bail!(Message::EvidenceNoAlert.with([alert.as_str().into()]).text(context.language)),
            },
        };
        if found.is_empty() {
            anyhow::bail!(Message::EvidenceNone.with([alert.as_str().into()]).text(context.language));
        }
        // Only those of the journal are signed.
        self.show(&found, self.directory.is_none().then_some(journal), context)
    }

    fn show(&self, files: &[Named], journal: Option<&PathBuf>, context: Context) -> anyhow::Result<Outcome> {
        let language = context.language;
        let mut outcome = Outcome::Done;
        let mut text = String::new();
        let mut all = Vec::new();
        for file in files {
            let sealed = match journal {
                Some(journal) => is_as_sealed(journal, Subject::Evidence, &file.name)?,
                None => None,
            };
            let told = match file.read() {
                Ok(told) => told,
                Err(error) => {
                    tell(&format!("{}: {}: {error}\n", Message::Error.text(language), file.path.display()));
                    outcome = Outcome::Damaged;
                    Told::default()
                }
            };
            if sealed == Some(false) {
                let changed = Message::SegmentChanged.text(language);
                tell(&format!("{}: {}: {changed}\n", Message::Error.text(language), file.path.display()));
                outcome = Outcome::Faulty;
            }
            let state = match sealed {
                Some(true) => Message::EvidenceSigned,
                Some(false) => Message::SegmentChanged,
                None => Message::Unsigned,
            };
            let comment = told.of_file.first().map_or("", String::as_str);
            text.push_str(&format!("{}\n  {comment}\n", file.path.display()));
            if journal.is_some() {
                text.push_str(&format!("  {}\n", state.text(language)));
            }
            all.push(json!({ "packets": told.packets, "comment": comment, "as_signed": sealed, "file": file.json() }));
        }
        match (&self.output, files) {
            (Some(output), [file]) => copy(&file.path, output)?,
            (Some(_), _) => anyhow::bail!(Message::EvidenceMany.with([files.len().into()]).text(language)),
            (None, _) if self.json => print(&format!("{:#}\n", Value::from(all)))?,
            (None, _) => print(&text)?,
        }
        Ok(outcome)
    }
}

impl Named {
    fn of((number, path): (u64, PathBuf)) -> Self {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let flow = name.trim_end_matches(".pcapng").rsplit('-').next().and_then(|flow| flow.parse().ok()).unwrap_or(0);
        Self { number, path, name, flow }
    }

    fn read(&self) -> io::Result<Told> {
        evidence::read(File::open(&self.path)?)
    }

    fn bytes(&self) -> u64 {
        self.path.metadata().map_or(0, |file| file.len())
    }

    fn json(&self) -> Value {
        json!({ "path": self.path, "number": self.number, "flow_id": self.flow, "bytes": self.bytes() })
    }
}

/// The file that has an alert: as a comment, or, where a flow had too many for that, by the times of its first and last.
fn of_alert(files: Vec<Named>, line: &[u8]) -> io::Result<Vec<Named>> {
    let Some(facts) = AlertFacts::of(line) else { return Ok(Vec::new()) };
    let mut near = None;
    for file in files.into_iter().filter(|file| file.flow == facts.flow) {
        // One that cannot be read is told when it is asked for by its flow.
        let Ok(told) = file.read() else { continue };
        let comments = || told.of_packets.iter().chain(told.of_file.iter().skip(1));
        if comments().any(|comment| line.starts_with(comment.as_bytes())) {
            return Ok(vec![file]);
        }
        let times: Vec<_> = comments().filter_map(|comment| time_of(comment.as_bytes())).collect();
        if times.iter().min() <= Some(&facts.timestamp) && Some(&facts.timestamp) <= times.iter().max() {
            near = Some(file);
        }
    }
    Ok(near.into_iter().collect())
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let mut from = File::open(from)?;
    let copied = match to.as_os_str() == "-" {
        true => io::copy(&mut from, &mut io::stdout().lock()),
        false => io::copy(&mut from, &mut File::create(to)?),
    };
    match copied {
        // A reader that went away is no failure.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}

fn list(files: &[Named], context: Context) -> String {
    let headings = [Message::ColumnFile, Message::ColumnFlow, Message::ColumnBytes];
    let mut table = Table::new(headings.map(|heading| heading.text(context.language)));
    for file in files {
        table.row([file.name.clone(), file.flow.to_string(), file.bytes().to_string()]);
    }
    table.to_string()
}

fn list_json(files: &[Named]) -> String {
    format!("{:#}\n", files.iter().map(Named::json).collect::<Value>())
}
