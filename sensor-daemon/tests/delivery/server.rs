//! A small HTTP server that answers as a test wants it, and remembers what it was sent.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::live::Tap;

/// A request as it came, its body decompressed.
#[derive(Debug, Clone)]
pub struct Request {
    pub path: String,
    /// `name: value`, names in lower case.
    pub headers: Vec<String>,
    pub body: Vec<u8>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    /// Its lines, each of them JSON.
    pub fn lines(&self) -> Vec<Value> {
        let lines = self.body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines.map(|line| serde_json::from_slice(line).unwrap()).collect()
    }
}

/// What is answered: status, further headers, body; nothing: the server goes on waiting.
pub type Reply = Option<(u16, &'static str, String)>;

type Handler = dyn FnMut(&Request) -> Reply + Send;

/// The server; it listens until the process ends.
pub struct Server {
    pub port: u16,
    pub requests: Arc<Mutex<Vec<Request>>>,
}

/// TLS settings that a test may exchange; none: plain.
pub type Security = Arc<Mutex<Option<Arc<ServerConfig>>>>;

impl Server {
    /// Listens where the tap is, on a port (0: any), and answers by `handler`.
    pub fn start(
        tap: &Tap,
        port: u16,
        security: Security,
        handler: impl FnMut(&Request) -> Reply + Send + 'static,
    ) -> Self {
        let listener = tap.inside(|| TcpListener::bind(("127.0.0.1", port)).unwrap());
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (kept, handler) = (Arc::clone(&requests), Arc::new(Mutex::new(handler)));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, kept, handler) = (stream.unwrap(), Arc::clone(&kept), Arc::clone(&handler));
                let security = security.lock().unwrap().clone();
                std::thread::spawn(move || {
                    let mut handle = |request: &Request| {
                        kept.lock().unwrap().push(request.clone());
                        let handler: &mut Handler = &mut *handler.lock().unwrap();
                        handler(request)
                    };
                    match security {
                        Some(config) => {
                            let connection = ServerConnection::new(config).unwrap();
                            serve(StreamOwned::new(connection, stream), &mut handle)
                        }
                        None => serve(stream, &mut handle),
                    }
                });
            }
        });
        Self { port, requests }
    }

    /// What was sent until now.
    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

/// Answers one connection until it ends. What goes wrong with it is the client's to notice.
fn serve(stream: impl Read + Write, handle: &mut dyn FnMut(&Request) -> Reply) {
    let mut reader = BufReader::new(stream);
    while let Some(request) = read(&mut reader) {
        let Some((status, headers, body)) = handle(&request) else {
            std::thread::sleep(Duration::from_secs(60));
            return;
        };
        let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n{headers}\r\n{body}", body.len());
        if reader.get_mut().write_all(answer.as_bytes()).and_then(|()| reader.get_mut().flush()).is_err() {
            return;
        }
    }
}

fn read(reader: &mut impl BufRead) -> Option<Request> {
    let mut line = String::new();
    let mut next = |reader: &mut dyn BufRead| {
        line.clear();
        reader.read_line(&mut line).ok().filter(|length| *length > 0)?;
        Some(line.trim_end().to_owned())
    };
    let path = next(reader)?.split(' ').nth(1)?.to_owned();
    let mut headers = Vec::new();
    loop {
        let line = next(reader)?;
        match line.split_once(": ") {
            Some((name, value)) => headers.push(format!("{}: {value}", name.to_lowercase())),
            None => break,
        }
    }
    let mut request = Request { path, headers, body: Vec::new() };
    let length = request.header("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    request.body = match request.header("content-encoding") {
        Some("gzip") => {
            let mut plain = Vec::new();
            flate2::read::GzDecoder::new(&body[..]).read_to_end(&mut plain).unwrap();
            plain
        }
        Some("snappy") => snap::raw::Decoder::new().decompress_vec(&body).unwrap(),
        Some("zstd") => zstd::decode_all(&body[..]).unwrap(),
        _ => body,
    };
    Some(request)
}
