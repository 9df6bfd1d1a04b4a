//! `cargo xtask new-protocol`: the file of a new protocol, from a template, and its line in the registry.

use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::tools;

/// Begins a protocol: writes its file from a template, and its line in the registry.
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  cargo xtask new-protocol opcua --title 'OPC UA binary (IEC 62541-6)' --tcp-port 4840"
)]
pub struct Arguments {
    /// Name in rules and events: lower-case letters, digits and underscores.
    name: String,
    /// Full name, and the standard it follows.
    #[arg(long)]
    title: Option<String>,
    /// Its TCP port; may be repeated.
    #[arg(long = "tcp-port")]
    tcp_ports: Vec<u16>,
    /// Its UDP port; may be repeated.
    #[arg(long = "udp-port")]
    udp_ports: Vec<u16>,
    /// It is a protocol of information technology, not of plants.
    #[arg(long)]
    it: bool,
}

const TEMPLATE: &str = include_str!("../templates/protocol.rs");

/// Writes the file and the two lines that name it.
pub fn run(arguments: &Arguments) -> Result<()> {
    let name = &arguments.name;
    let is_name = |text: &str| {
        text.starts_with(|first: char| first.is_ascii_lowercase())
            && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    };
    ensure!(is_name(name), "{name:?} is no name: lower-case letters, digits and underscores, a letter first");
    let realm = if arguments.it { "it" } else { "ot" };
    let parsers = tools::root().join("parsers/src");
    let file = parsers.join(realm).join(format!("{name}.rs"));
    let folder = parsers.join(realm).join(name);
    ensure!(!file.exists() && !folder.exists(), "there is a protocol {name} already");
    insert(&parsers.join(realm).join("mod.rs"), "pub mod ", &format!("pub mod {name};"))?;
    insert(&parsers.join("registry.rs"), &format!("    &{realm}::"), &format!("    &{realm}::{name}::PROTOCOL,"))?;
    std::fs::write(&file, filled(arguments)).with_context(|| format!("writing {}", file.display()))?;
    println!("wrote {}", file.display());
    println!("next: docs/src/adding-a-protocol.md, then `cargo xtask docs`");
    Ok(())
}

fn filled(arguments: &Arguments) -> String {
    let ports = |ports: &[u16]| ports.iter().map(u16::to_string).collect::<Vec<_>>().join(", ");
    TEMPLATE
        .replace("TITLE", arguments.title.as_deref().unwrap_or(&arguments.name))
        .replace("NAME", &arguments.name)
        .replace("TCP_PORTS", &ports(&arguments.tcp_ports))
        .replace("UDP_PORTS", &ports(&arguments.udp_ports))
        .replace("ot: OT", if arguments.it { "ot: false" } else { "ot: true" })
}

fn insert(path: &Path, beginning: &str, line: &str) -> Result<()> {
    let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    let text = with_line(&text, beginning, line).with_context(|| format!("no line in {}", path.display()))?;
    std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))
}

/// `text` with `line` among the lines that begin like it: before the first that comes after it in the alphabet, else
/// behind the last. `None` when there is none like it.
fn with_line(text: &str, beginning: &str, line: &str) -> Option<String> {
    let mut lines: Vec<&str> = text.lines().collect();
    let alike = |at: &usize| lines[*at].starts_with(beginning);
    let last = (0..lines.len()).rfind(alike)?;
    let at = (0..lines.len()).filter(alike).find(|&at| lines[at] > line).unwrap_or(last + 1);
    lines.insert(at, line);
    Some(lines.join("\n") + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_finds_its_place_among_its_like() {
        let text = "//! Doc.\n\nlist = [\n    &ot::a::PROTOCOL,\n    &ot::c::PROTOCOL,\n    &it::b::PROTOCOL,\n];\n";
        let of = |name: &str| with_line(text, "    &ot::", &format!("    &ot::{name}::PROTOCOL,")).unwrap();
        assert!(of("b").contains("a::PROTOCOL,\n    &ot::b::PROTOCOL,\n    &ot::c::PROTOCOL,"));
        assert!(of("d").contains("c::PROTOCOL,\n    &ot::d::PROTOCOL,\n    &it::b"));
        assert_eq!(with_line(text, "    &xt::", "    &xt::d"), None);
    }

    #[test]
    fn nothing_of_the_template_is_left_open() {
        let arguments = Arguments {
            name: "opcua".to_owned(),
            title: Some("OPC UA binary (IEC 62541-6)".to_owned()),
            tcp_ports: vec![4840, 4843],
            udp_ports: vec![],
            it: false,
        };
        let text = filled(&arguments);
        assert!(text.contains("name: \"opcua\"") && text.contains("tcp_ports: &[4840, 4843]"));
        assert!(["NAME", "TITLE", "_PORTS", "OT,"].iter().all(|mark| !text.contains(mark)));
    }
}
