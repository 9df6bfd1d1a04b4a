//! One connection to a server, kept between requests.

use std::io::Write as _;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HOST, RETRY_AFTER, USER_AGENT};
use hyper_util::rt::TokioIo;

use super::super::super::connection::connect;
use super::super::Failure;
use super::{Compression, Place, Settings};

/// Longest answer that is read.
const LONGEST_ANSWER: usize = 16 << 20;

/// Speaks to one server.
pub(super) struct Client {
    settings: Settings,
    place: Place,
    open: Option<SendRequest<Full<Bytes>>>,
}

/// What is posted.
pub(super) struct Request {
    /// Path and query.
    pub(super) path: String,
    /// Content type of the body.
    pub(super) kind: &'static str,
    /// Splunk's channel.
    pub(super) channel: Option<String>,
    pub(super) body: Vec<u8>,
}

/// What the server says.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) retry_after: Option<Duration>,
    pub(super) body: Vec<u8>,
}

impl Client {
    pub(super) fn new(settings: Settings) -> Self {
        // A URL that makes no sense was refused with the configuration.
        let nowhere =
            Place { secure: true, host: String::new(), port: 443, authority: String::new(), path: "/".into() };
        Self { place: settings.place().unwrap_or(nowhere), settings, open: None }
    }

    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    /// Posts and waits for the answer, whatever its status.
    pub(super) async fn post(&mut self, request: Request) -> Result<Answer, Failure> {
        let compression = self.settings.compression;
        let (body, encoding) = tokio::task::block_in_place(|| compress(request.body, compression))?;
        let mut head = hyper::Request::post(&request.path)
            .header(HOST, &self.place.authority)
            .header(USER_AGENT, concat!("vigia/", env!("CARGO_PKG_VERSION")))
            .header(CONTENT_TYPE, request.kind);
        if let Some(encoding) = encoding {
            head = head.header(CONTENT_ENCODING, encoding);
        }
        if let Some(channel) = &request.channel {
            head = head.header("x-splunk-request-channel", channel);
        }
        if let Some(authorization) = self.settings.authorization()? {
            head = head.header(AUTHORIZATION, authorization);
        }
        let request = head.body(Full::new(Bytes::from(body))).map_err(Failure::unavailable)?;
        // One that fails, or whose answer is not waited for, does not come back.
        let mut connection = match self.open.take().filter(|open| !open.is_closed()) {
            Some(open) => open,
            None => self.connect().await?,
        };
        connection.ready().await.map_err(Failure::unavailable)?;
        let answer = connection.send_request(request).await.map_err(Failure::unavailable)?;
        let retry_after = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let status = answer.status().as_u16();
        let body = Limited::new(answer.into_body(), LONGEST_ANSWER).collect().await.map_err(Failure::unavailable)?;
        self.open = Some(connection);
        let retry_after = retry_after.map(Duration::from_secs);
        Ok(Answer { status, retry_after, body: body.to_bytes().to_vec() })
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, Failure> {
        let Place { secure, host, port, .. } = &self.place;
        let stream = connect(host, *port, secure.then_some(&self.settings.tls)).await?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(Failure::unavailable)?;
        // It ends with the sender, or with the server; whoever sends meets the error.
        tokio::spawn(connection);
        Ok(sender)
    }
}

/// A body as it is sent, and how it is encoded.
fn compress(body: Vec<u8>, compression: Compression) -> std::io::Result<(Vec<u8>, Option<&'static str>)> {
    match compression {
        Compression::None => Ok((body, None)),
        Compression::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(&body)?;
            Ok((encoder.finish()?, Some("gzip")))
        }
        Compression::Zstd => Ok((zstd::encode_all(&body[..], 1)?, Some("zstd"))),
    }
}
