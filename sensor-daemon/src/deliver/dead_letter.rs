//! Events that a sink refused, each with its answer: a file that a person looks at.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use serde::de::IgnoredAny;
use serde_json::Value;

use super::Event;

/// Characters of an answer that are kept.
const LONGEST_ANSWER: usize = 2048;

/// The file of one sink.
#[derive(Debug)]
pub(super) struct DeadLetter {
    path: PathBuf,
    most: u64,
}

impl DeadLetter {
    pub(super) fn new(path: PathBuf, most: u64) -> Self {
        Self { path, most }
    }

    /// Its size; 0 when it is not there.
    pub(super) fn size(&self) -> u64 {
        std::fs::metadata(&self.path).map_or(0, |file| file.len())
    }

    pub(super) fn is_full(&self) -> bool {
        self.size() >= self.most
    }

    /// Appends refused events and syncs them. One that is no JSON is kept as text.
    pub(super) fn park(&self, refused: &[(Event<'_>, &str)]) -> io::Result<()> {
        if refused.is_empty() {
            return Ok(());
        }
        let refused_at = crate::event::now_text();
        let mut lines = Vec::new();
        for (event, answer) in refused {
            let answer = Value::from(answer.chars().take(LONGEST_ANSWER).collect::<String>());
            write!(lines, "{{\"refused_at\":\"{refused_at}\",\"answer\":{answer},\"event\":")?;
            match serde_json::from_slice::<IgnoredAny>(event.json) {
                Ok(_) => lines.extend_from_slice(event.json),
                Err(_) => write!(lines, "{}", Value::from(String::from_utf8_lossy(event.json)))?,
            }
            lines.extend_from_slice(b"}\n");
        }
        let mut file = File::options().append(true).create(true).mode(0o640).open(&self.path)?;
        let before = file.metadata()?.len();
        let written = file.write_all(&lines).and_then(|()| file.sync_all());
        if written.is_err() {
            // They are offered again, and parked then.
            let _ = file.set_len(before);
        }
        written
    }
}

#[cfg(test)]
mod tests {
    use vigia_parsers::Timestamp;

    use super::*;

    #[test]
    fn what_was_refused_stands_there_with_the_answer() {
        let folder = tempfile::tempdir().unwrap();
        let letters = DeadLetter::new(folder.path().join("soc.refused.ndjson"), 400);
        assert!(!letters.is_full());
        let event = |json| Event { id: "", json, time: Timestamp(0), flow: None };
        letters.park(&[(event(b"{\"a\":1}"), "mapping \"x\""), (event(b"no json"), "é")]).unwrap();
        letters.park(&[(event(b"{\"a\":2}"), &"é".repeat(3000))]).unwrap();
        let text = std::fs::read_to_string(&letters.path).unwrap();
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!((&lines[0]["answer"], &lines[0]["event"]["a"]), (&"mapping \"x\"".into(), &1.into()));
        assert_eq!(lines[1]["event"], "no json");
        assert_eq!(lines[2]["answer"].as_str().unwrap().chars().count(), LONGEST_ANSWER);
        assert!(lines[0]["refused_at"].as_str().unwrap().starts_with("20"));
        assert!(letters.is_full());
    }
}
