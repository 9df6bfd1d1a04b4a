//! Requests to a server over HTTP/1.1, on one connection that is kept between them.

use std::error::Error as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::Uri;
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HOST, HeaderValue, InvalidHeaderValue, RETRY_AFTER, USER_AGENT,
};
use hyper_util::rt::TokioIo;

use super::connection::{Tls, connect};
use super::secret::{self, Secret};
use super::sink::Failure;
use crate::language::{Argument, Message};

/// Longest answer that is read.
const LONGEST_ANSWER: usize = 16 << 20;

/// How a request is compressed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// It is not.
    #[default]
    None,
    /// By gzip.
    Gzip,
    /// By zstd.
    Zstd,
}

impl Compression {
    /// A body as it is sent.
    pub(super) fn apply(self, body: Vec<u8>) -> std::io::Result<Body> {
        let (bytes, encoding) = match self {
            Self::None => (body, None),
            Self::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                encoder.write_all(&body)?;
                (encoder.finish()?, Some("gzip"))
            }
            Self::Zstd => (zstd::encode_all(&body[..], 1)?, Some("zstd")),
        };
        Ok(Body { bytes: bytes.into(), encoding })
    }
}

/// A server, and by what the sensor shows that it may speak to it.
#[derive(Debug, Clone)]
pub(super) struct Server {
    pub(super) url: String,
    /// The scheme by which a token is shown.
    pub(super) scheme: &'static str,
    pub(super) token_file: Option<PathBuf>,
    pub(super) user: Option<String>,
    pub(super) password_file: Option<PathBuf>,
    pub(super) tls: Tls,
}

impl Server {
    /// What cannot work of its settings: the key, and what is wrong, as the end of a sentence.
    pub(super) fn problems(&self) -> Vec<(&'static str, Argument)> {
        let mut problems = self.tls.problems();
        if self.place().is_none() {
            problems.push(("url", Message::ExportUrl.into()));
        }
        problems.extend(secret::problems(
            self.token_file.as_deref(),
            self.user.as_deref(),
            self.password_file.as_deref(),
        ));
        problems
    }

    fn place(&self) -> Option<Place> {
        let uri: Uri = self.url.parse().ok()?;
        let secure = match uri.scheme_str()? {
            "http" => false,
            "https" => true,
            _ => return None,
        };
        let authority = uri.authority()?.as_str();
        if authority.contains('@') {
            return None;
        }
        // The brackets of an IPv6 address are the URL's, not the address's.
        let host = uri.host()?.trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        Some(Place { secure, host, port, authority: authority.to_owned(), path })
    }

    /// The header by which the sensor shows that it may.
    fn authorization(&self) -> std::io::Result<Option<HeaderValue>> {
        use base64::Engine as _;
        let text = match (&self.token_file, &self.user, &self.password_file) {
            (Some(file), ..) => format!("{} {}", self.scheme, Secret::read(file)?.reveal()),
            (None, Some(user), Some(file)) => {
                let both = format!("{user}:{}", Secret::read(file)?.reveal());
                format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(both))
            }
            _ => return Ok(None),
        };
        let mut value: HeaderValue =
            text.try_into().map_err(|error: InvalidHeaderValue| std::io::Error::other(error))?;
        value.set_sensitive(true);
        Ok(Some(value))
    }
}

/// Where a URL points to.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Place {
    secure: bool,
    host: String,
    port: u16,
    /// As the header `Host` has it.
    authority: String,
    /// With its query.
    pub(super) path: String,
}

impl Place {
    /// A path below that of the URL; its query stays.
    pub(super) fn below(&self, path: &str) -> String {
        let (base, query) = self.path.split_once('?').unwrap_or((&self.path, ""));
        let query = if query.is_empty() { String::new() } else { format!("?{query}") };
        format!("{}/{path}{query}", base.trim_end_matches('/'))
    }
}

/// Speaks to one server.
pub(super) struct Client {
    server: Server,
    place: Place,
    open: Option<SendRequest<Full<Bytes>>>,
}

/// What is posted.
pub(super) struct Request<'r> {
    /// Path and query.
    pub(super) path: String,
    /// Content type of the body.
    pub(super) kind: &'static str,
    /// Headers beside those of every request.
    pub(super) headers: &'r [(&'static str, &'r str)],
    pub(super) body: Body,
}

/// A body as it is sent, and how it is encoded.
#[derive(Debug, Clone)]
pub(super) struct Body {
    pub(super) bytes: Bytes,
    pub(super) encoding: Option<&'static str>,
}

/// What the server says.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) retry_after: Option<Duration>,
    pub(super) body: Vec<u8>,
}

impl Client {
    pub(super) fn new(server: Server) -> Self {
        // A URL that makes no sense was refused with the configuration.
        let nowhere =
            Place { secure: true, host: String::new(), port: 443, authority: String::new(), path: "/".into() };
        Self { place: server.place().unwrap_or(nowhere), server, open: None }
    }

    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    /// Posts and waits for the answer, whatever its status.
    pub(super) async fn post(&mut self, request: Request<'_>) -> Result<Answer, Failure> {
        let mut head = hyper::Request::post(&request.path)
            .header(HOST, &self.place.authority)
            .header(USER_AGENT, concat!("vigia/", env!("CARGO_PKG_VERSION")))
            .header(CONTENT_TYPE, request.kind);
        if let Some(encoding) = request.body.encoding {
            head = head.header(CONTENT_ENCODING, encoding);
        }
        for (name, value) in request.headers {
            head = head.header(*name, *value);
        }
        if let Some(authorization) = self.server.authorization()? {
            head = head.header(AUTHORIZATION, authorization);
        }
        let request = head.body(Full::new(request.body.bytes)).map_err(Failure::unavailable)?;
        // One that fails, or whose answer is not waited for, does not come back.
        let mut connection = match self.open.take().filter(|open| !open.is_closed()) {
            Some(open) => open,
            None => self.connect().await?,
        };
        connection.ready().await.map_err(broken)?;
        let answer = connection.send_request(request).await.map_err(broken)?;
        let retry_after = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let status = answer.status().as_u16();
        let body = Limited::new(answer.into_body(), LONGEST_ANSWER).collect().await.map_err(Failure::unavailable)?;
        self.open = Some(connection);
        let retry_after = retry_after.map(Duration::from_secs);
        Ok(Answer { status, retry_after, body: body.to_bytes().to_vec() })
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, Failure> {
        let Place { secure, host, port, .. } = &self.place;
        let stream = connect(host, *port, secure.then_some(&self.server.tls)).await?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(broken)?;
        // It ends with the sender, or with the server; whoever sends meets the error.
        tokio::spawn(connection);
        Ok(sender)
    }
}

/// A connection that broke: at what, and why.
fn broken(error: hyper::Error) -> Failure {
    match error.source() {
        Some(cause) => Failure::unavailable(format!("{error}: {cause}")),
        None => Failure::unavailable(error),
    }
}

impl Answer {
    /// It has nothing to do with what was sent.
    pub(super) fn unavailable(&self) -> Failure {
        Failure::Unavailable { reason: self.text(), retry_after: self.retry_after }
    }

    /// What it says, for a person: its status and how its body begins.
    pub(super) fn text(&self) -> String {
        let body = String::from_utf8_lossy(&self.body);
        let beginning: String = body.chars().take(512).collect();
        format!("HTTP {} {}", self.status, beginning.trim())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(url: &str) -> Server {
        Server {
            url: url.to_owned(),
            scheme: "Bearer",
            token_file: None,
            user: None,
            password_file: None,
            tls: Tls::default(),
        }
    }

    #[test]
    fn a_url_says_where_to_and_hides_nothing() {
        let place = |url: &str| server(url).place();
        let found = place("https://es.example:9200/prefix/?pipeline=ot").unwrap();
        assert_eq!((found.secure, &*found.host, found.port), (true, "es.example", 9200));
        assert_eq!(found.below("_bulk"), "/prefix/_bulk?pipeline=ot");
        let found = place("http://[::1]").unwrap();
        assert_eq!((&*found.host, found.port, &*found.authority, &*found.path), ("::1", 80, "[::1]", "/"));
        for wrong in ["es.example:9200", "ftp://a", "https://user:secret@a", "/path", "https://"] {
            assert_eq!(place(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn credentials_come_from_files_and_go_together() {
        let keys = |server: Server| server.problems().iter().map(|(key, _)| *key).collect::<Vec<_>>();
        let plain = || server("https://a");
        let user = || Some("u".to_owned());
        assert_eq!(keys(plain()), [""; 0]);
        assert_eq!(keys(Server { user: user(), ..plain() }), ["user"]);
        let both = Server { user: user(), password_file: Some("p".into()), token_file: Some("t".into()), ..plain() };
        assert_eq!(keys(both), ["token_file"]);
        let tls = Tls { cert: Some("c".into()), ..Tls::default() };
        assert_eq!(keys(Server { tls, ..plain() }), ["tls"]);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        std::fs::write(&file, "s3cret\n").unwrap();
        let header = |server: Server| {
            let value = server.authorization().unwrap().unwrap();
            assert!(!format!("{value:?}").contains("s3cret"));
            value.to_str().unwrap().to_owned()
        };
        assert_eq!(header(Server { token_file: Some(file.clone()), ..plain() }), "Bearer s3cret");
        assert_eq!(header(Server { user: user(), password_file: Some(file.clone()), ..plain() }), "Basic dTpzM2NyZXQ=");
    }
}
