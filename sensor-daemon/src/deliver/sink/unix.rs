//! EVE lines over a Unix socket, as Suricata writes them with `filetype: unix_stream` and `unix_dgram`.

use std::path::{Path, PathBuf};

use tokio::net::{UnixDatagram, UnixStream};

use super::super::connection::Duplex;
use super::datagram::Socket;
use super::stream::OneWay;
use super::{Delivery, Event, Kind, Settled, Sink};
use crate::language::{Argument, Message};

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
            Mode::Stream => Box::new(Stream { path: self.path.clone(), way: OneWay::default() }),
            Mode::Datagram => Box::new(Datagrams { path: self.path.clone() }),
        }
    }
}

struct Stream {
    path: PathBuf,
    way: OneWay,
}

impl Sink for Stream {
    fn deliver<'a>(&'a mut self, events: &'a [Event<'a>]) -> Delivery<'a> {
        let Self { path, way } = self;
        let connect = async || Ok(Box::new(UnixStream::connect(&*path).await?) as Box<dyn Duplex>);
        let lines = events.iter().map(|event| [event.json, b"\n"].concat());
        Box::pin(async move { way.write(connect, lines).await.map(|()| Settled::all(events)).into() })
    }
}

struct Datagrams {
    path: PathBuf,
}

impl Sink for Datagrams {
    fn deliver<'a>(&'a mut self, events: &'a [Event<'a>]) -> Delivery<'a> {
        Box::pin(async move {
            match connect(&self.path) {
                Ok(socket) => socket.send(events.iter().map(|event| event.json), LONGEST_DATAGRAM).await,
                Err(error) => Settled::failed(error.into()),
            }
        })
    }
}

fn connect(path: &Path) -> std::io::Result<Socket> {
    let socket = UnixDatagram::unbound()?;
    socket.connect(path)?;
    Ok(Socket::Unix(socket))
}
