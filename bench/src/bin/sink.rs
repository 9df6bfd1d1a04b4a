//! What the benchmark of delivery delivers to, beside servers that others wrote.
//!
//! Usage: vigia-sink bulk PORT | stream PORT SUBJECT | get PORT PATH
//!
//! `bulk`: an Elasticsearch as far as a bulk request goes; it takes every event at once and ends when it is killed. `stream`:
//! makes a stream of NATS JetStream in memory that listens to a subject. `get`: prints what a GET of HTTP answers. All on
//! loopback.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};

use anyhow::{Context, Result, bail, ensure};

fn main() -> Result<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match *words {
        ["bulk", port] => bulk(port.parse()?),
        ["stream", port, subject] => stream(port.parse()?, subject),
        ["get", port, path] => get(port.parse()?, path),
        _ => bail!("usage: vigia-sink bulk PORT | stream PORT SUBJECT | get PORT PATH"),
    }
}

/// Answers bulk requests, one connection after the other.
fn bulk(port: u16) -> Result<()> {
    for stream in TcpListener::bind(("127.0.0.1", port))?.incoming() {
        // A sender that goes away comes again.
        let _ = answer(stream?);
    }
    Ok(())
}

fn answer(stream: TcpStream) -> Result<()> {
    stream.set_nodelay(true)?;
    let (mut reader, mut writer) = (BufReader::with_capacity(1 << 20, stream.try_clone()?), stream);
    let mut body = Vec::new();
    while let Some(length) = head(&mut reader)? {
        body.resize(length, 0);
        reader.read_exact(&mut body)?;
        // Of an event there are two lines: what is to be done with it, and itself.
        let events = body.iter().filter(|byte| **byte == b'\n').count() / 2;
        let items = vec![r#"{"create":{"status":201}}"#; events].join(",");
        let said = format!(r#"{{"errors":false,"items":[{items}]}}"#);
        let lines =
            format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", said.len());
        writer.write_all((lines + &said).as_bytes())?;
    }
    Ok(())
}

/// Reads up to the body; gives its length, or none at the end of the connection.
fn head(reader: &mut impl BufRead) -> Result<Option<usize>> {
    let (mut line, mut length) = (String::new(), 0);
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        match line.trim_end().to_ascii_lowercase().split_once(": ") {
            Some(("content-length", value)) => length = value.parse().context("length of a body")?,
            None if line.trim_end().is_empty() => return Ok(Some(length)),
            _ => {}
        }
    }
}

fn stream(port: u16, subject: &str) -> Result<()> {
    let settings = format!(r#"{{"name":"{subject}","subjects":["{subject}"],"storage":"memory","num_replicas":1}}"#);
    let mut server = TcpStream::connect(("127.0.0.1", port))?;
    let ask = format!("PUB $JS.API.STREAM.CREATE.{subject} made {}\r\n{settings}\r\n", settings.len());
    server.write_all(format!("CONNECT {{\"verbose\":false}}\r\nSUB made 1\r\n{ask}").as_bytes())?;
    // The server's greeting, the line of the message, the message.
    let mut lines = BufReader::new(server).lines();
    let made = lines.by_ref().find(|line| line.as_ref().is_ok_and(|line| line.starts_with("MSG made")));
    let said = made.and(lines.next()).context("the server went away")??;
    ensure!(!said.contains("\"error\""), "{said}");
    Ok(())
}

fn get(port: u16, path: &str) -> Result<()> {
    let mut server = TcpStream::connect(("127.0.0.1", port))?;
    server.write_all(format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").as_bytes())?;
    let mut said = String::new();
    server.read_to_string(&mut said)?;
    print!("{said}");
    Ok(())
}
