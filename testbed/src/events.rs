//! Reading events while they are written.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::Value;

/// A follower of the plain NDJSON files of a folder (a stream of the journal, or a replay's output), which only grow.
#[derive(Debug)]
pub struct Events {
    folder: PathBuf,
    /// Bytes of each file that were read: whole lines.
    read: BTreeMap<PathBuf, u64>,
}

impl Events {
    /// Follows the files of a folder from their beginning. The folder need not be there yet.
    pub fn follow(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), read: BTreeMap::new() }
    }

    /// The events written since the last time, in the order of the files.
    ///
    /// # Errors
    /// A file cannot be read, or a line is not JSON.
    pub fn fresh(&mut self) -> Result<Vec<Value>> {
        let Ok(entries) = std::fs::read_dir(&self.folder) else { return Ok(Vec::new()) };
        let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "ndjson" || extension == "json"));
        paths.sort();
        let mut events = Vec::new();
        for path in paths {
            let at = self.read.entry(path.clone()).or_default();
            let mut file = File::open(&path)?;
            file.seek(SeekFrom::Start(*at))?;
            let mut text = Vec::new();
            file.read_to_end(&mut text)?;
            text.truncate(text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1));
            *at += text.len() as u64;
            for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                events.push(serde_json::from_slice(line)?);
            }
        }
        Ok(events)
    }
}
