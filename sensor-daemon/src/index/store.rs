//! The file: its tables, and what is written to them.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _, Statement, Transaction, params};

use super::{IndexError, Place, VERSION, beside, path, signed, unsigned};
use crate::event::AlertColumns;
use crate::journal::Cursor;

/// The tables; `alerts` is what people look at, with the event's id.
const TABLES: &str = "
    CREATE TABLE state (
        identity TEXT NOT NULL, segment INTEGER NOT NULL, offset INTEGER NOT NULL, event INTEGER NOT NULL, boot TEXT NOT NULL
    );
    CREATE TABLE segment (number INTEGER PRIMARY KEY, name TEXT NOT NULL);
    CREATE TABLE alert (
        segment INTEGER NOT NULL, offset INTEGER NOT NULL, time INTEGER,
        sid INTEGER, gid INTEGER, rev INTEGER, severity INTEGER, action TEXT, signature TEXT, category TEXT,
        src_ip TEXT, src_port INTEGER, dest_ip TEXT, dest_port INTEGER, proto TEXT, app_proto TEXT,
        flow_id INTEGER, community_id TEXT,
        PRIMARY KEY (segment, offset)
    ) WITHOUT ROWID;
    CREATE INDEX alert_time ON alert (time);
    CREATE INDEX alert_sid ON alert (sid);
    CREATE INDEX alert_src ON alert (src_ip);
    CREATE INDEX alert_dest ON alert (dest_ip);
    CREATE VIEW alerts AS SELECT
        identity || '-a-' || name || '-' || alert.offset AS event_id,
        strftime('%Y-%m-%dT%H:%M:%S', time / 1000000000, 'unixepoch')
            || printf('.%06dZ', time / 1000 % 1000000) AS timestamp,
        sid, gid, rev, severity, action, signature, category, src_ip, src_port, dest_ip, dest_port, proto, app_proto,
        flow_id, community_id
        FROM alert JOIN segment ON number = alert.segment JOIN state;
";

/// Memory for pages, in KiB.
const CACHE_KIB: i64 = 8192;

/// The open file, for writing.
pub(super) struct Store {
    connection: Connection,
    path: PathBuf,
    file: (u64, u64),
}

impl Store {
    /// Opens the index of a journal; makes it where there is none. Gives how far the journal was read; none where the file is
    /// of another journal or version, or the machine stopped while it was open. A damaged one is an error.
    pub(super) fn open(journal: &Path, identity: &str) -> Result<(Self, Option<Cursor>), IndexError> {
        let path = path(journal);
        let mut connection = Connection::open(&path)?;
        connection.busy_timeout(Duration::from_secs(5))?;
        connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "journal_size_limit", 16 << 20)?;
        let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        if version == 0 {
            let transaction = connection.transaction()?;
            transaction.execute_batch(TABLES)?;
            transaction.execute("INSERT INTO state VALUES (?, 0, 0, 0, '')", [identity])?;
            transaction.pragma_update(None, "user_version", VERSION)?;
            transaction.commit()?;
        }
        let metadata = fs::metadata(&path)?;
        let store = Self { connection, path, file: (metadata.dev(), metadata.ino()) };
        let state = match version {
            0 | VERSION => store.state(identity)?,
            _ => None,
        };
        if state.is_some() && store.mark(&boot()?)? {
            // A sync of it would hold up those of the alerts themselves, and all of it can be made again: see `close`.
            store.connection.pragma_update(None, "synchronous", "OFF")?;
        }
        Ok((store, state))
    }

    fn state(&self, identity: &str) -> Result<Option<Cursor>, IndexError> {
        let fault: String = self.connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        if fault != "ok" {
            let damage = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
            return Err(rusqlite::Error::SqliteFailure(damage, Some(fault)).into());
        }
        if !is_of(&self.connection, identity)? {
            return Ok(None);
        }
        let state = self.connection.query_row("SELECT segment, offset, event FROM state", [], |row| {
            let [segment, offset, event] = [0, 1, 2].map(|column| row.get(column).map(unsigned));
            Ok(Cursor { segment: segment?, offset: offset?, event: event? })
        });
        Ok(state.optional()?)
    }

    /// Writes down which start of the machine it is open in, before anything is written that is not synced. False when a reader
    /// keeps it from the disk.
    fn mark(&self, boot: &str) -> Result<bool, IndexError> {
        self.connection.execute("UPDATE state SET boot = ?", [boot])?;
        // With a page that is new, so that both files are synced.
        let busy: i64 = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
        Ok(busy == 0)
    }

    /// Closes it for good: it is synced first, and then says that any start of the machine will do. Where a reader keeps it from
    /// the disk, it does not say so.
    pub(super) fn close(self) -> Result<(), IndexError> {
        self.connection.pragma_update(None, "synchronous", "FULL")?;
        if self.mark(&boot()?)? {
            self.connection.execute("UPDATE state SET boot = ''", [])?;
        }
        Ok(())
    }

    /// Is the open file still the one at its path?
    pub(super) fn is_there(&self) -> bool {
        fs::metadata(&self.path).is_ok_and(|file| (file.dev(), file.ino()) == self.file)
    }

    /// Bytes of it that are in use; what went leaves room in it.
    pub(super) fn bytes(&self) -> Result<u64, IndexError> {
        bytes(&self.connection)
    }

    /// Begins to write.
    pub(super) fn begin(&mut self) -> Result<Writing<'_>, IndexError> {
        Ok(Writing(self.connection.transaction()?))
    }

    /// Closes it and moves it aside, with an ending that says why; what stood there before goes.
    pub(super) fn put_aside(journal: &Path) -> Result<PathBuf, IndexError> {
        let path = path(journal);
        let aside = path.with_extension("sqlite.damaged");
        fs::rename(&path, &aside)?;
        for ending in super::BESIDE {
            super::gone(fs::remove_file(beside(&path, ending)))?;
        }
        Ok(aside)
    }
}

/// What this start of the machine is called.
fn boot() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

/// Is it of this journal, and as it was written? An index that was open when the machine stopped may have pages of different
/// times.
pub(super) fn is_of(connection: &Connection, identity: &str) -> Result<bool, IndexError> {
    let state = connection.query_row("SELECT identity, boot FROM state", [], |row| {
        let [of, last]: [String; 2] = [row.get(0)?, row.get(1)?];
        Ok((of, last))
    });
    let Some((of, last)) = state.optional()? else { return Ok(false) };
    Ok(of == identity && (last.is_empty() || last == boot()?))
}

/// Bytes of pages in use.
pub(super) fn bytes(connection: &Connection) -> Result<u64, IndexError> {
    let sql = "SELECT (page_count - freelist_count) * page_size
        FROM pragma_page_count, pragma_freelist_count, pragma_page_size";
    Ok(unsigned(connection.query_row(sql, [], |row| row.get(0))?))
}

/// Changes that are committed together.
pub(super) struct Writing<'s>(Transaction<'s>);

impl Writing<'_> {
    /// The statement that [`put`] takes.
    pub(super) fn insertion(&self) -> Result<Statement<'_>, IndexError> {
        Ok(self.0.prepare("INSERT OR REPLACE INTO alert VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)")?)
    }

    /// A segment is begun.
    pub(super) fn begin_segment(&self, number: u64, name: &str) -> Result<(), IndexError> {
        self.0.execute("INSERT OR REPLACE INTO segment VALUES (?, ?)", params![signed(number), name])?;
        Ok(())
    }

    /// Removes the segments before one.
    pub(super) fn remove_before(&self, segment: u64) -> Result<usize, IndexError> {
        self.remove("<", segment)
    }

    /// Removes the segments from one on.
    pub(super) fn remove_from(&self, segment: u64) -> Result<usize, IndexError> {
        self.remove(">=", segment)
    }

    fn remove(&self, relation: &str, segment: u64) -> Result<usize, IndexError> {
        self.0.execute(&format!("DELETE FROM alert WHERE segment {relation} ?"), [signed(segment)])?;
        Ok(self.0.execute(&format!("DELETE FROM segment WHERE number {relation} ?"), [signed(segment)])?)
    }

    /// The oldest segment that there is anything of.
    pub(super) fn oldest(&self) -> Result<Option<u64>, IndexError> {
        let oldest: Option<i64> = self.0.query_row("SELECT min(number) FROM segment", [], |row| row.get(0))?;
        Ok(oldest.map(unsigned))
    }

    /// Bytes in use, with what was changed.
    pub(super) fn bytes(&self) -> Result<u64, IndexError> {
        bytes(&self.0)
    }

    /// Everything before a position was read; commits.
    pub(super) fn commit(self, cursor: Cursor) -> Result<(), IndexError> {
        let [segment, offset, event] = [cursor.segment, cursor.offset, cursor.event].map(signed);
        self.0.execute("UPDATE state SET segment = ?, offset = ?, event = ?", [segment, offset, event])?;
        Ok(self.0.commit()?)
    }
}

/// Puts an alert in.
pub(super) fn put(insertion: &mut Statement<'_>, place: Place, alert: &AlertColumns<'_>) -> Result<(), IndexError> {
    let number = |number: Option<u64>| number.map(signed);
    let rule = &alert.alert;
    insertion.execute(params![
        signed(place.segment),
        signed(place.offset),
        number(alert.time.map(|time| time.0)),
        number(rule.signature_id),
        number(rule.gid),
        number(rule.rev),
        number(rule.severity),
        rule.action.as_deref(),
        rule.signature.as_deref(),
        rule.category.as_deref(),
        alert.src_ip.as_deref(),
        number(alert.src_port),
        alert.dest_ip.as_deref(),
        number(alert.dest_port),
        alert.proto.as_deref(),
        alert.app_proto.as_deref(),
        number(alert.flow_id),
        alert.community_id.as_deref(),
    ])?;
    Ok(())
}
