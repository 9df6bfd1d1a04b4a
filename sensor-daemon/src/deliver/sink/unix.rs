//! EVE lines over a Unix socket, as Suricata writes them with `filetype: unix_stream` and `unix_dgram`.
//!
//! A receiver says nothing back, so taken means: in the kernel's hands. When the receiver of a stream ends, what the
//! socket still held of it is lost there; therefore the lines written last, as many as such a socket can hold, are kept
//! and written again over the next connection. The receiver may meet them twice.

use std::collections::VecDeque;
use std::path::PathBuf;

use tokio::io::AsyncWriteExt as _;
use tokio::net::{UnixDatagram, UnixStream};

use super::{Delivery, Event, Failure, Kind, Settled, Sink};
use crate::language::{Argument, Message};

/// Bytes of lines that are kept to be written again: more than the kernel's default for what a socket holds
/// (`net.core.wmem_default`, 212,992).
const KEPT: usize = 256 << 10;

/// Longest datagram that every kernel takes by default.
const LONGEST_DATAGRAM: usize = 200_000;

/// How lines are told apart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// A stream; each line ends with a line feed.
    #[default]
    Stream,
    /// Each line is a datagram.
    Datagram,
}

/// A Unix socket on which a receiver listens.
#[derive(Debug, Clone, PartialEq, serde::Deserialize, serde::Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Path of the socket.
    pub path: PathBuf,
    /// How lines are told apart.
    #[serde(default)]
    pub mode: Mode,
}

impl Kind for Settings {
    fn problems(&self) -> Vec<(&'static str, Argument)> {
        // What the kernel takes as the address of a socket.
        let fits = self.path.as_os_str().len() < 108;
        if fits { Vec::new() } else { vec![("path", Message::ExportSocketPath.into())] }
    }

    fn target(&self) -> String {
        self.path.display().to_string()
    }

    fn sink(&self) -> Box<dyn Sink> {
        match self.mode {
            Mode::Stream => Box::new(Stream { path: self.path.clone(), open: None, kept: Kept::default() }),
            Mode::Datagram => Box::new(Datagrams { path: self.path.clone() }),
        }
    }
}

/// The lines written last.
#[derive(Default)]
struct Kept {
    lines: VecDeque<Vec<u8>>,
    bytes: usize,
}

impl Kept {
    fn add(&mut self, line: Vec<u8>) {
        self.bytes += line.len();
        self.lines.push_back(line);
        while self.bytes > KEPT {
            self.bytes -= self.lines.pop_front().map_or(self.bytes, |line| line.len());
        }
    }
}

struct Stream {
    path: PathBuf,
    open: Option<UnixStream>,
    kept: Kept,
}

impl Sink for Stream {
    fn deliver<'a>(&'a mut self, events: &'a [Event<'a>]) -> Delivery<'a> {
        Box::pin(async move { self.write(events).await.map(|()| Settled::all(events)).into() })
    }
}

impl Stream {
    async fn write(&mut self, events: &[Event<'_>]) -> std::io::Result<()> {
        // One that fails, or is given up halfway through a line, does not come back.
        let mut stream = match self.open.take() {
            Some(stream) => stream,
            None => {
                let mut stream = UnixStream::connect(&self.path).await?;
                for line in &self.kept.lines {
                    stream.write_all(line).await?;
                }
                stream
            }
        };
        for event in events {
            let line = [event.json, b"\n"].concat();
            stream.write_all(&line).await?;
            self.kept.add(line);
        }
        self.open = Some(stream);
        Ok(())
    }
}

struct Datagrams {
    path: PathBuf,
}

impl Sink for Datagrams {
    fn deliver<'a>(&'a mut self, events: &'a [Event<'a>]) -> Delivery<'a> {
        Box::pin(async move {
            let socket = match UnixDatagram::unbound().and_then(|socket| socket.connect(&self.path).map(|()| socket)) {
                Ok(socket) => socket,
                Err(error) => return Settled::failed(error.into()),
            };
            let mut settled = Settled::default();
            for (index, event) in events.iter().enumerate() {
                if event.json.len() > LONGEST_DATAGRAM {
                    let answer = format!("{} bytes do not fit a datagram", event.json.len());
                    settled.refused.push(super::Refusal { index, answer });
                } else if let Err(error) = socket.send(event.json).await {
                    settled.failure = Some(Failure::from(error));
                    break;
                }
                settled.count += 1;
            }
            settled
        })
    }
}
