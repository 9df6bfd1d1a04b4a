//! `vigia journal verify`: is the journal as it was written?

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::command::table::Table;
use crate::command::{ConfigArgument, Context, Outcome, print};
use crate::evidence;
use crate::journal::{FaultKind, Proof, PublicKey, Stream, verify};
use crate::language::Message;

/// Arguments of `vigia journal verify`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "\
Sealed segments, and files of evidence, are held against the signed chain of them. Whoever can read the private key, \
or put back all files as they were before, can deceive it; not the one who was told key and heads before: note what \
it shows at another place.

Exits with 0 when everything is as it was written, with 2 when something is not, with 1 when that cannot be found out.

Example:
  vigia journal verify
  vigia journal verify --directory evidence/journal --key noted.pem --head 5f1c...")]
pub(super) struct Verify {
    #[command(flatten)]
    pub(super) config: ConfigArgument,
    /// The journal, instead of that of the configuration: a copy, say
    #[arg(long, value_name = "DIRECTORY")]
    directory: Option<PathBuf>,
    /// File of the public key, instead of the one that stands in the journal
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Head that was noted before, which the chain must still have; may be repeated
    #[arg(long, value_name = "HASH")]
    head: Vec<String>,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

impl Verify {
    pub(super) fn execute(&self, journal: &Path, context: Context) -> anyhow::Result<Outcome> {
        let key = self.key.as_deref().map(PublicKey::read).transpose()?;
        let proof = verify(self.directory.as_deref().unwrap_or(journal), key, &self.head)?;
        print(&if self.json { json(&proof) } else { text(&proof, context) })?;
        Ok(if proof.holds() { Outcome::Done } else { Outcome::Faulty })
    }
}

fn json(proof: &Proof) -> String {
    let [alerts, records] = &proof.streams;
    let all = json!({
        "holds": proof.holds(), "key": proof.key.fingerprint(), "alerts": alerts, "records": records,
        "evidence": proof.evidence,
    });
    format!("{all:#}\n")
}

fn text(proof: &Proof, context: Context) -> String {
    let language = context.language;
    let headings = [
        Message::ColumnStream,
        Message::ColumnProven,
        Message::ColumnBytes,
        Message::ColumnRemoved,
        Message::ColumnUnsealed,
        Message::ColumnHead,
    ];
    let mut table = Table::new(headings.map(|heading| heading.text(language)));
    let streams = Stream::ALL.into_iter().map(Stream::name).zip(&proof.streams);
    for (name, found) in streams.chain([(evidence::FOLDER, &proof.evidence)]) {
        table.row([
            name.to_owned(),
            found.segments.to_string(),
            found.bytes.to_string(),
            found.removed.to_string(),
            found.open.to_string(),
            found.head.clone(),
        ]);
    }
    let mut text = table.to_string();
    text.push_str(&Message::VerifiedKey.with([proof.key.fingerprint().into()]).text(language));
    text.push('\n');
    for fault in proof.faults() {
        let what = match fault.kind {
            FaultKind::Changed => Message::SegmentChanged,
            FaultKind::Missing => Message::SegmentMissing,
            FaultKind::Broken => Message::ChainBroken,
            FaultKind::Truncated => Message::ChainTruncated,
            FaultKind::Unsigned => Message::Unsigned,
        };
        text.push_str(&format!("{}: {}: {}\n", Message::Error.text(language), fault.place, what.text(language)));
    }
    if proof.holds() {
        text.push_str(Message::JournalHolds.text(language));
        text.push('\n');
    }
    text
}
