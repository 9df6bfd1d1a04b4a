//! Questions, while the sensor runs or not.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension as _, Row, params, params_from_iter};
use vigia_parsers::Timestamp;

use super::{Choice, IndexError, Place, VERSION, path, signed, store, unsigned};
use crate::event::{AlertColumns, RuleColumns};
use crate::journal::Cursor;

/// The index of a journal, open for reading.
pub struct Index {
    connection: Connection,
}

/// What the index knows of a question.
#[derive(Debug)]
pub struct Found {
    /// The segment that it begins with: what stands in those before is not in it.
    pub begin: u64,
    /// How far it was read: what comes from there on is not in it.
    pub end: Cursor,
    /// The alerts between, in the order of the journal.
    pub places: Vec<Place>,
}

/// What the index holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holding {
    /// Segments that there is anything of.
    pub segments: u64,
    /// Alerts.
    pub alerts: u64,
    /// Bytes of its file in use.
    pub bytes: u64,
    /// Times of the first and the last of them.
    pub span: Option<(Timestamp, Timestamp)>,
}

impl Index {
    /// The index of a journal of this identity; none where there is none that is of use, which one that was open when the
    /// machine stopped is not.
    pub fn open(journal: &Path, identity: &str) -> Option<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path(journal), flags).ok()?;
        connection.busy_timeout(Duration::from_secs(1)).ok()?;
        let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0)).ok()?;
        if version != VERSION {
            return None;
        }
        store::is_of(&connection, identity).ok()?.then_some(Self { connection })
    }

    /// Looks for alerts in the segments from `oldest` on, which are all that the journal still has; none where nothing was read
    /// yet.
    pub fn find(&self, choice: &Choice, oldest: u64) -> Result<Option<Found>, IndexError> {
        // One state of it, whatever is written meanwhile.
        let transaction = self.connection.unchecked_transaction()?;
        let begin: Option<i64> = transaction.query_row("SELECT min(number) FROM segment", [], |row| row.get(0))?;
        let Some(begin) = begin.map(unsigned) else { return Ok(None) };
        let end = transaction.query_row("SELECT segment, offset, event FROM state", [], |row| {
            let [segment, offset, event] = [0, 1, 2].map(|column| row.get(column).map(unsigned));
            Ok(Cursor { segment: segment?, offset: offset?, event: event? })
        })?;
        let (condition, mut values) = choice.condition();
        values.push(signed(oldest).into());
        let sql =
            format!("SELECT segment, offset FROM alert WHERE {condition} AND segment >= ? ORDER BY segment, offset");
        let mut statement = transaction.prepare(&sql)?;
        let place = |row: &Row<'_>| Ok(Place { segment: row.get(0).map(unsigned)?, offset: row.get(1).map(unsigned)? });
        let places = statement.query_map(params_from_iter(values), place)?.collect::<Result<_, _>>()?;
        Ok(Some(Found { begin, end, places }))
    }

    /// These alerts; those that retention removed meanwhile are left out.
    pub fn alerts(&self, places: &[Place]) -> Result<Vec<AlertColumns<'static>>, IndexError> {
        let sql = "SELECT time, sid, severity, signature, src_ip, src_port, dest_ip, dest_port, proto, app_proto
            FROM alert WHERE segment = ? AND offset = ?";
        let mut statement = self.connection.prepare(sql)?;
        let mut alerts = Vec::with_capacity(places.len());
        for place in places {
            let key = params![signed(place.segment), signed(place.offset)];
            alerts.extend(statement.query_row(key, alert).optional()?);
        }
        Ok(alerts)
    }

    /// What it holds. Reads all of it.
    pub fn holding(&self) -> Result<Holding, IndexError> {
        let count = |sql: &str| self.connection.query_row(sql, [], |row| row.get(0)).map(unsigned);
        let span = self.connection.query_row("SELECT min(time), max(time) FROM alert", [], |row| {
            let [first, last]: [Option<i64>; 2] = [row.get(0)?, row.get(1)?];
            let time = |nanos| Timestamp(unsigned(nanos));
            Ok(first.map(time).zip(last.map(time)))
        })?;
        Ok(Holding {
            segments: count("SELECT count(*) FROM segment")?,
            alerts: count("SELECT count(*) FROM alert")?,
            bytes: store::bytes(&self.connection)?,
            span,
        })
    }
}

/// As much of an alert as is shown on its line.
fn alert(row: &Row<'_>) -> rusqlite::Result<AlertColumns<'static>> {
    let text = |column| Ok::<_, rusqlite::Error>(row.get::<_, Option<String>>(column)?.map(Into::into));
    let number = |column| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(column)?.map(unsigned));
    Ok(AlertColumns {
        time: number(0)?.map(Timestamp),
        alert: RuleColumns {
            signature_id: number(1)?,
            severity: number(2)?,
            signature: text(3)?,
            ..RuleColumns::default()
        },
        src_ip: text(4)?,
        src_port: number(5)?,
        dest_ip: text(6)?,
        dest_port: number(7)?,
        proto: text(8)?,
        app_proto: text(9)?,
        ..AlertColumns::default()
    })
}
