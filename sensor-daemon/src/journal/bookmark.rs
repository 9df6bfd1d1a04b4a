//! Where a consumer of the journal stands, saved beside it.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::space::sync_directory;
use super::{Cursor, Stream};

/// Folder in the journal's directory with what its consumers keep.
const FOLDER: &str = "delivery";
/// Ending of the files.
const ENDING: &str = "cursor";

/// Positions in both streams: everything before them is done with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(default)]
pub struct Positions {
    /// In the stream of alerts.
    pub alerts: Cursor,
    /// In the stream of records.
    pub records: Cursor,
}

impl Positions {
    /// The one in a stream.
    pub fn get(&self, stream: Stream) -> Cursor {
        stream.of((self.alerts, self.records))
    }

    /// Moves the one in a stream.
    pub fn set(&mut self, stream: Stream, cursor: Cursor) {
        *match stream {
            Stream::Alerts => &mut self.alerts,
            Stream::Records => &mut self.records,
        } = cursor;
    }
}

/// A consumer's file of [`Positions`].
#[derive(Debug, Clone)]
pub struct Bookmark(PathBuf);

impl Bookmark {
    /// The bookmark of a consumer of the journal in `journal`. The folder is made.
    pub fn open(journal: &Path, consumer: &str) -> io::Result<Self> {
        let folder = journal.join(FOLDER);
        fs::create_dir_all(&folder)?;
        Ok(Self(folder.join(format!("{consumer}.{ENDING}"))))
    }

    /// A file of the consumer's own beside its bookmark.
    pub fn beside(&self, ending: &str) -> PathBuf {
        self.0.with_extension(ending)
    }

    /// The positions saved last; the beginning when there are none, or what is there makes no sense: then events come
    /// twice, none is left out.
    pub fn load(&self) -> Positions {
        match fs::read(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Positions::default(),
            read => read.map_err(|error| error.to_string()).and_then(|text| parse(&text)).unwrap_or_else(|reason| {
                tracing::error!(file = %self.0.display(), reason, "no cursor in it: all begins with the oldest event");
                Positions::default()
            }),
        }
    }

    /// Saves positions so that a crash or power cut leaves these or the ones before.
    pub fn save(&self, positions: &Positions) -> io::Result<()> {
        let unfinished = self.beside("cursor.tmp");
        let mut file = File::create(&unfinished)?;
        file.write_all(serde_json::to_string(positions)?.as_bytes())?;
        file.sync_all()?;
        fs::rename(&unfinished, &self.0)?;
        sync_directory(self.0.parent().unwrap_or(Path::new(".")))
    }
}

fn parse(text: &[u8]) -> Result<Positions, String> {
    serde_json::from_slice(text).map_err(|error| error.to_string())
}

/// The furthest position that a consumer has in each stream. After a power cut the journal may be shorter than what was
/// read of it; the numbers of its segments must not be used twice then.
pub(super) fn furthest(journal: &Path) -> Positions {
    let entries = fs::read_dir(journal.join(FOLDER)).into_iter().flatten().flatten();
    let files = entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|kind| kind == ENDING));
    let saved = files.filter_map(|path| parse(&fs::read(path).ok()?).ok());
    saved.fold(Positions::default(), |furthest, one| Positions {
        alerts: furthest.alerts.max(one.alerts),
        records: furthest.records.max(one.records),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(segment: u64) -> Cursor {
        Cursor { segment, offset: 70, event: 3 }
    }

    #[test]
    fn positions_read_back() {
        let journal = tempfile::tempdir().unwrap();
        let bookmark = Bookmark::open(journal.path(), "soc").unwrap();
        assert_eq!(bookmark.load(), Positions::default());
        let positions = Positions { alerts: at(2), records: at(9) };
        bookmark.save(&positions).unwrap();
        assert_eq!(bookmark.load(), positions);
        Bookmark::open(journal.path(), "other").unwrap().save(&Positions { alerts: at(5), records: at(1) }).unwrap();
        assert_eq!(furthest(journal.path()), Positions { alerts: at(5), records: at(9) });
    }

    #[test]
    fn what_makes_no_sense_begins_anew() {
        let journal = tempfile::tempdir().unwrap();
        let bookmark = Bookmark::open(journal.path(), "soc").unwrap();
        fs::write(&bookmark.0, "{\"alerts\":").unwrap();
        assert_eq!(bookmark.load(), Positions::default());
        assert_eq!(furthest(journal.path()), Positions::default());
    }
}
