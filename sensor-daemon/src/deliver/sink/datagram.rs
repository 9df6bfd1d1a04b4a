//! Messages as datagrams, each whole or not at all.

use std::io;

use tokio::net::{UdpSocket, UnixDatagram};

use super::{Refusal, Settled};

/// A socket that is connected to a receiver.
pub(super) enum Socket {
    Udp(UdpSocket),
    Unix(UnixDatagram),
}

impl Socket {
    /// Sends each message; one of more than `most` bytes is refused.
    pub(super) async fn send<M: AsRef<[u8]>>(&self, messages: impl Iterator<Item = M>, most: usize) -> Settled {
        let mut settled = Settled::default();
        for message in messages {
            let message = message.as_ref();
            if message.len() > most {
                let answer = format!("{} bytes do not fit a datagram", message.len());
                settled.refused.push(Refusal { index: settled.count, answer });
            } else if let Err(error) = self.send_one(message).await {
                settled.failure = Some(error.into());
                return settled;
            }
            settled.count += 1;
        }
        settled
    }

    async fn send_one(&self, message: &[u8]) -> io::Result<usize> {
        match self {
            Self::Udp(socket) => socket.send(message).await,
            Self::Unix(socket) => socket.send(message).await,
        }
    }
}
