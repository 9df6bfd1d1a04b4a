//! `cargo xtask captures`: the captures that the shipped signatures are tested with, made from the cases beside them.
//!
//! A case tells in hexadecimal digits what a client and a server say to each other; here it gets its headers, checksums
//! and times. The same cases give the same bytes, so the captures are committed and compared with their cases in CI.

mod frame;
mod session;

use std::fs;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use crate::tools::root;
use frame::{Framer, Framing};
use session::Session;

/// Makes the captures that the shipped signatures are tested with.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  cargo xtask captures\n  cargo xtask captures --check")]
pub struct Arguments {
    /// Only compare; fail when a capture is not what its case says.
    #[arg(long)]
    check: bool,
}

/// What the task reads of a `.test.toml`; the rest is for who runs the cases.
#[derive(Deserialize)]
struct Cases {
    framing: Framing,
    client: Ipv4Addr,
    /// Who publishes on the link layer has none.
    #[serde(default = "nobody")]
    server: SocketAddrV4,
    case: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    capture: PathBuf,
    /// Instead of that of the file.
    framing: Option<Framing>,
    client: Option<Ipv4Addr>,
    server: Option<SocketAddrV4>,
    /// DNP3 link address of the outstation.
    #[serde(default = "outstation")]
    outstation: u16,
    /// How often the messages are said.
    #[serde(default = "once")]
    repeat: u32,
    /// `> hex` from the client or publisher, `< hex` from the server; `>raw` and `<raw` get no header of the protocol;
    /// `wait` and a number of milliseconds; `anew` for another connection.
    messages: Vec<String>,
}

fn nobody() -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0)
}

fn once() -> u32 {
    1
}

fn outstation() -> u16 {
    10
}

/// Where signatures and cases stand.
fn folder() -> PathBuf {
    root().join("rules/signatures")
}

/// Runs the task.
pub fn run(arguments: &Arguments) -> Result<()> {
    let mut stale = Vec::new();
    let mut made = 0;
    for (path, bytes) in captures()? {
        if fs::read(&path).is_ok_and(|there| there == bytes) {
            continue;
        }
        if arguments.check {
            stale.push(path.display().to_string());
            continue;
        }
        fs::write(&path, bytes).with_context(|| path.display().to_string())?;
        made += 1;
    }
    ensure!(stale.is_empty(), "not what their cases say (run `cargo xtask captures`): {}", stale.join(", "));
    if !arguments.check {
        println!("{made} captures written, the others are as they should be");
    }
    Ok(())
}

/// The files of cases, in order.
fn files() -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder()).with_context(|| folder().display().to_string())?;
    let mut files: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.retain(|path| path.to_string_lossy().ends_with(".test.toml"));
    files.sort();
    Ok(files)
}

/// Every capture with its bytes.
fn captures() -> Result<Vec<(PathBuf, Vec<u8>)>> {
    let mut captures = Vec::new();
    for path in files()? {
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let cases: Cases = toml::from_str(&text).with_context(|| path.display().to_string())?;
        for case in &cases.case {
            let bytes = capture(&cases, case).with_context(|| case.capture.display().to_string())?;
            captures.push((folder().join(&case.capture), bytes));
        }
    }
    Ok(captures)
}

fn capture(cases: &Cases, case: &Case) -> Result<Vec<u8>> {
    let (client, server) = (case.client.unwrap_or(cases.client), case.server.unwrap_or(cases.server));
    let framing = case.framing.unwrap_or(cases.framing);
    let mut session = Session::open(framing.transport(), client, server, start(case)?);
    let mut framer = Framer::new(framing, case.outstation);
    for _ in 0..case.repeat {
        for message in &case.messages {
            if message == "anew" {
                session.renew();
                framer = Framer::new(framing, case.outstation);
                continue;
            }
            let (head, rest) = message.split_once(' ').context("a message is `> hex` or `< hex`")?;
            if head == "wait" {
                session.wait(rest.parse().context("`wait` has a number of milliseconds")?);
                continue;
            }
            let bytes = bytes(rest)?;
            match head {
                ">" => session.say(true, &framer.frame(true, &bytes)?),
                "<" => session.say(false, &framer.frame(false, &bytes)?),
                ">raw" => session.say(true, &bytes),
                "<raw" => session.say(false, &bytes),
                _ => bail!("a message begins with >, <, >raw, <raw, wait or anew, not with `{head}`"),
            }
        }
    }
    Ok(session.close())
}

/// When the capture begins, in seconds since 1970: a day for every signature, the silent capture at noon. So the window
/// of no threshold reaches from one capture into another, and a new case changes no other's capture.
fn start(case: &Case) -> Result<u32> {
    const NEW_YEAR_2026: u32 = 1_767_225_600;
    let name = case.capture.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
    let (sid, what) = name.split_once('-').context("a capture is named SID-fires or SID-silent")?;
    let day: u32 = sid.parse().context("a capture's name begins with a signature id")?;
    Ok(NEW_YEAR_2026 + day % 1000 * 86_400 + if what == "silent" { 43_200 } else { 0 })
}

fn bytes(hex: &str) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for word in hex.split_ascii_whitespace() {
        // `00*500` is one byte five hundred times.
        let (word, times) = word.split_once('*').unwrap_or((word, "1"));
        let digits: Vec<u32> = word
            .chars()
            .map(|c| c.to_digit(16).with_context(|| format!("`{c}` is not a hexadecimal digit")))
            .collect::<Result<_>>()?;
        ensure!(digits.len().is_multiple_of(2), "a byte has two digits");
        let word: Vec<u8> = digits.chunks(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect();
        bytes.extend(word.repeat(times.parse().context("behind * stands a number")?));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn committed_captures_are_what_their_cases_say() {
        run(&Arguments { check: true }).unwrap();
    }
}
