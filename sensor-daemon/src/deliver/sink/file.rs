//! A file of EVE lines, as Suricata writes `eve.json`: for EveBox, Filebeat, Vector.
//!
//! Taken means written and synced. A file that was moved or removed (`logrotate`) is noticed before the next write and made
//! anew; no signal is needed. A line that a crash left unfinished is cut off when the file is opened.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::{Delivery, Event, Kind, Settled, Sink};

/// A file of EVE lines.
#[derive(Debug, Clone, PartialEq, serde::Deserialize, serde::Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Path of the file. It is made where it is not, its folder too; mode 0640.
    pub path: PathBuf,
}

impl Kind for Settings {
    fn target(&self) -> String {
        self.path.display().to_string()
    }

    fn sink(&self) -> Box<dyn Sink> {
        Box::new(EveFile { path: self.path.clone(), open: None, lines: Vec::new() })
    }
}

struct EveFile {
    path: PathBuf,
    open: Option<File>,
    lines: Vec<u8>,
}

impl Sink for EveFile {
    fn deliver<'a>(&'a mut self, events: &'a [Event<'a>]) -> Delivery<'a> {
        Box::pin(
            async move { tokio::task::block_in_place(|| self.append(events)).map(|()| Settled::all(events)).into() },
        )
    }
}

impl EveFile {
    fn append(&mut self, events: &[Event<'_>]) -> io::Result<()> {
        self.lines.clear();
        for event in events {
            self.lines.extend_from_slice(event.json);
            self.lines.push(b'\n');
        }
        let mut file = match self.open.take().filter(|file| is_at(file, &self.path)) {
            Some(file) => file,
            None => open(&self.path)?,
        };
        let before = file.metadata()?.len();
        if let Err(error) = file.write_all(&self.lines).and_then(|()| file.sync_data()) {
            // Whoever reads it meets whole lines only; what is cut off comes again.
            let _ = file.set_len(before);
            return Err(error);
        }
        self.open = Some(file);
        Ok(())
    }
}

/// Is the open file still the one at the path?
fn is_at(file: &File, path: &Path) -> bool {
    let place = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    file.metadata().map(place).ok() == fs::metadata(path).map(place).ok()
}

fn open(path: &Path) -> io::Result<File> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut file = File::options().read(true).append(true).create(true).mode(0o640).open(path)?;
    let length = file.metadata()?.len();
    let whole = end_of_last_line(&mut file, length)?;
    if whole < length {
        file.set_len(whole)?;
    }
    Ok(file)
}

/// Where the last end of line of the first `end` bytes stands; what comes after is no whole line.
fn end_of_last_line(file: &mut File, mut end: u64) -> io::Result<u64> {
    let mut block = [0; 4096];
    while end > 0 {
        let length = end.min(block.len() as u64);
        file.seek(SeekFrom::Start(end - length))?;
        let block = &mut block[..length as usize];
        file.read_exact(block)?;
        if let Some(at) = memchr::memrchr(b'\n', block) {
            return Ok(end - length + at as u64 + 1);
        }
        end -= length;
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use vigia_parsers::Timestamp;

    use super::*;

    fn sink(path: &Path) -> EveFile {
        EveFile { path: path.to_owned(), open: None, lines: Vec::new() }
    }

    fn events() -> [Event<'static>; 2] {
        [&b"{\"a\":1}"[..], b"{\"a\":2}"].map(|json| Event { id: "", json, time: Timestamp(0), flow: None })
    }

    #[test]
    fn a_file_that_was_moved_away_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let (path, moved) = (folder.path().join("deep/eve.json"), folder.path().join("eve.json.1"));
        let mut sink = sink(&path);
        sink.append(&events()).unwrap();
        sink.append(&events()[..1]).unwrap();
        fs::rename(&path, &moved).unwrap();
        sink.append(&events()[1..]).unwrap();
        assert_eq!(fs::read_to_string(moved).unwrap(), "{\"a\":1}\n{\"a\":2}\n{\"a\":1}\n");
        assert_eq!(fs::read_to_string(path).unwrap(), "{\"a\":2}\n");
    }

    #[test]
    fn an_unfinished_line_is_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("eve.json");
        for (left, kept) in
            [("{\"b\":0}\n{\"a\":".to_owned(), "{\"b\":0}\n"), ("x".repeat(5000), ""), (String::new(), "")]
        {
            fs::write(&path, left).unwrap();
            sink(&path).append(&events()[..1]).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), format!("{kept}{{\"a\":1}}\n"));
        }
    }
}
