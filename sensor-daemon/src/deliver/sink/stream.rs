//! A stream of bytes to a receiver that says nothing back.
//!
//! Taken means: in the kernel's hands. What a socket still held when its receiver went away is lost there; therefore the
//! messages written last are kept and written again over the next connection. The receiver may meet them twice.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::Poll;

use tokio::io::{AsyncRead as _, AsyncWriteExt as _, ReadBuf};

use super::super::connection::Duplex;

/// Bytes of messages that are kept to be written again: more than the kernel's default for what a Unix socket holds
/// (`net.core.wmem_default`, 212,992).
const KEPT: usize = 256 << 10;

/// Writes to one receiver after another at the same place.
#[derive(Default)]
pub(super) struct OneWay {
    open: Option<Box<dyn Duplex>>,
    kept: VecDeque<Vec<u8>>,
    kept_bytes: usize,
}

impl OneWay {
    /// Writes messages; connects where there is no connection that lives.
    pub(super) async fn write(
        &mut self,
        connect: impl AsyncFnOnce() -> io::Result<Box<dyn Duplex>>,
        messages: impl Iterator<Item = Vec<u8>>,
    ) -> io::Result<()> {
        // One that fails, or is given up halfway through a message, does not come back.
        let open = match self.open.take() {
            Some(mut open) => lives(&mut open).await.then_some(open),
            None => None,
        };
        let mut stream = match open {
            Some(open) => open,
            None => {
                let mut stream = connect().await?;
                for message in &self.kept {
                    stream.write_all(message).await?;
                }
                stream
            }
        };
        for message in messages {
            stream.write_all(&message).await?;
            self.keep(message);
        }
        stream.flush().await?;
        self.open = Some(stream);
        Ok(())
    }

    fn keep(&mut self, message: Vec<u8>) {
        self.kept_bytes += message.len();
        self.kept.push_back(message);
        while self.kept_bytes > KEPT {
            self.kept_bytes -= self.kept.pop_front().map_or(self.kept_bytes, |message| message.len());
        }
    }
}

/// Has the receiver not gone away? What it says, against all custom, is read and forgotten.
pub(super) async fn lives(stream: &mut Box<dyn Duplex>) -> bool {
    let mut bytes = [0; 512];
    poll_fn(|context| {
        loop {
            let mut buffer = ReadBuf::new(&mut bytes);
            match Pin::new(&mut *stream).poll_read(context, &mut buffer) {
                Poll::Pending => return Poll::Ready(true),
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {}
                Poll::Ready(_) => return Poll::Ready(false),
            }
        }
    })
    .await
}
