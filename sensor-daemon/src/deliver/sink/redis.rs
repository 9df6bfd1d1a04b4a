//! Events to a stream of Redis (or Valkey), over RESP2.
//!
//! Taken means: the server has appended it and said so. Whether that outlives the server is for its own settings
//! (`appendonly`). A stream has no ids of the sender's own that could be checked, so what is delivered again is there twice,
//! with the same `event_id`.

use std::io;
use std::path::PathBuf;

use tokio::io::{AsyncBufReadExt, AsyncReadExt as _, AsyncWriteExt as _, BufReader};

use super::super::connection::{self, Duplex, Tls};
use super::super::secret::Secret;
use super::{Delivery, Event, Expiry, Failure, Kind, Settled, Sink};
use crate::language::{Argument, Message};

/// Longest answer that is read: an id, or an error.
const LONGEST: u64 = 64 << 10;

/// A server of Redis 5 or later.
#[derive(Debug, Clone, PartialEq, serde::Deserialize, serde::Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Host and port.
    pub address: String,
    /// Key of the stream. An entry has two fields: `event_id` and `event`, the event as JSON.
    #[serde(default = "stream")]
    pub stream: String,
    /// Entries that the stream is about to keep; older ones go (`MAXLEN ~`). Unset: all.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub max_entries: Option<u64>,
    /// User (Redis 6). Unset: the default one.
    #[serde(default)]
    pub user: Option<String>,
    /// File with the password. Only the file's first line is read; a path that is not absolute is the name of a credential
    /// of systemd.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// Speak TLS, and how.
    #[serde(default)]
    pub tls: Option<Tls>,
}

fn stream() -> String {
    "vigia".to_owned()
}

impl Settings {
    async fn connect(&self) -> io::Result<Box<dyn Duplex>> {
        let mut connection = connection::reach(&self.address, self.tls.as_ref()).await?;
        if let Some(file) = &self.password_file {
            let password = Secret::read(file)?;
            let words = [Some("AUTH"), self.user.as_deref(), Some(password.reveal())];
            let mut command = Vec::new();
            append(&mut command, &words.into_iter().flatten().map(str::as_bytes).collect::<Vec<_>>());
            connection.write_all(&command).await?;
            connection.flush().await?;
            answer(&mut BufReader::new(&mut connection)).await?;
        }
        Ok(connection)
    }

    fn append(&self, commands: &mut Vec<u8>, event: &Event<'_>) {
        let most = self.max_entries.map(|most| most.to_string());
        let mut words: Vec<&[u8]> = vec![b"XADD", self.stream.as_bytes()];
        if let Some(most) = &most {
            words.extend([b"MAXLEN".as_slice(), b"~", most.as_bytes()]);
        }
        words.extend([b"*".as_slice(), b"event_id", event.id.as_bytes(), b"event", event.json]);
        append(commands, &words);
    }
}

impl Kind for Settings {
    fn problems(&self) -> Vec<(&'static str, Argument)> {
        let mut problems = connection::problems(&self.address, self.tls.as_ref());
        if self.user.is_some() && self.password_file.is_none() {
            problems.push(("user", Message::ExportUserWithPassword.into()));
        }
        problems
    }

    fn target(&self) -> String {
        format!("{} {}", self.address, self.stream)
    }

    fn expiry(&self) -> Option<Expiry> {
        self.tls.as_ref().map(|tls| tls.expiry.clone())
    }

    fn sink(&self) -> Box<dyn Sink> {
        Box::new(Redis { settings: self.clone(), open: None })
    }
}

struct Redis {
    settings: Settings,
    open: Option<Box<dyn Duplex>>,
}

impl Sink for Redis {
    fn deliver<'a>(&'a mut self, events: &'a [Event<'a>]) -> Delivery<'a> {
        Box::pin(async move {
            let mut count = 0;
            let appended = self.append(events, &mut count).await;
            Settled { count, failure: appended.err().map(Failure::from), ..Settled::default() }
        })
    }
}

impl Redis {
    /// Appends events, all in one go; each has an answer, by which `count` goes up.
    async fn append(&mut self, events: &[Event<'_>], count: &mut usize) -> io::Result<()> {
        // One that fails, or is given up halfway, does not come back.
        let mut connection = match self.open.take() {
            Some(open) => open,
            None => self.settings.connect().await?,
        };
        let mut commands = Vec::new();
        events.iter().for_each(|event| self.settings.append(&mut commands, event));
        // Written and read side by side: a server that cannot get rid of its answers stops reading.
        let (read, mut write) = tokio::io::split(&mut connection);
        let mut read = BufReader::new(read);
        let writing = async {
            write.write_all(&commands).await?;
            write.flush().await
        };
        let reading = async {
            while *count < events.len() {
                answer(&mut read).await?;
                *count += 1;
            }
            Ok(())
        };
        tokio::try_join!(writing, reading)?;
        self.open = Some(connection);
        Ok(())
    }
}

/// Appends a command: an array of strings.
fn append(commands: &mut Vec<u8>, words: &[&[u8]]) {
    commands.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
    for word in words {
        commands.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        commands.extend_from_slice(word);
        commands.extend_from_slice(b"\r\n");
    }
}

/// Reads an answer: a simple string, an integer, or a string with its length. An error is one: no event is at fault where
/// the memory is full, the key is of no stream, the server is loading or only a replica.
async fn answer(connection: &mut (impl AsyncBufReadExt + Unpin)) -> io::Result<()> {
    let line = line(connection).await?;
    let unexpected = || io::Error::new(io::ErrorKind::InvalidData, format!("no answer of Redis: {line:?}"));
    match line.split_at_checked(1).ok_or_else(unexpected)? {
        ("+" | ":", _) => Ok(()),
        ("-", told) => Err(io::Error::other(told)),
        ("$", length) => {
            let length: u64 = length.parse().ok().filter(|length| *length <= LONGEST).ok_or_else(unexpected)?;
            let mut text = vec![0; length as usize + 2];
            connection.read_exact(&mut text).await.map(drop)
        }
        _ => Err(unexpected()),
    }
}

async fn line(connection: &mut (impl AsyncBufReadExt + Unpin)) -> io::Result<String> {
    let mut line = Vec::new();
    connection.take(LONGEST).read_until(b'\n', &mut line).await?;
    match line.strip_suffix(b"\r\n") {
        Some(line) => Ok(String::from_utf8_lossy(line).into_owned()),
        None => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(mut text: &[u8]) -> Vec<io::Result<()>> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut answers = Vec::new();
        while !text.is_empty() && answers.last().is_none_or(io::Result::is_ok) {
            answers.push(runtime.block_on(answer(&mut text)));
        }
        answers
    }

    #[test]
    fn commands_and_answers_are_those_of_the_protocol() {
        let mut command = Vec::new();
        append(&mut command, &[b"XADD", b"ot", b"*", b"event", b"{\"a\":\r\n1}"]);
        assert_eq!(command, b"*5\r\n$4\r\nXADD\r\n$2\r\not\r\n$1\r\n*\r\n$5\r\nevent\r\n$9\r\n{\"a\":\r\n1}\r\n");
        let found = answers(b"+OK\r\n$3\r\n1-0\r\n:7\r\n-OOM command not allowed\r\n");
        let found: Vec<_> = found.into_iter().map(|one| one.map_err(|error| error.to_string())).collect();
        assert_eq!(found, [Ok(()), Ok(()), Ok(()), Err("OOM command not allowed".to_owned())]);
        for wrong in ["\r\n", "x\r\n", "$-5\r\n", "$99999999999\r\n", "$9\r\n1-0\r\n", "+OK", "*1\r\n"] {
            assert!(answers(wrong.as_bytes())[0].is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn what_cannot_work_is_told() {
        let keys = |more: &str| -> Vec<_> {
            let settings: Settings = toml::from_str(more).unwrap();
            settings.problems().iter().map(|(key, _)| *key).collect()
        };
        assert_eq!(keys("address = \"[::1]:6379\"\nuser = \"u\"\npassword_file = \"p\""), [""; 0]);
        for address in ["", "redis.example", ":6379", "redis.example:port"] {
            assert_eq!(keys(&format!("address = {address:?}")), ["address"], "{address}");
        }
        assert_eq!(keys("address = \"a:1\"\nuser = \"u\"\ntls = { cert = \"c\" }"), ["tls", "user"]);
    }
}
