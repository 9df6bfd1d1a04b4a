//! Classes of rules: short name, the category that alerts show, priority.
//!
//! The names are those that consumers of EVE filter by; the file format is that of `classification.config`.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::diagnostic::{Diagnostic, Text};
use crate::language::Message;

/// Short name to category and priority (1 is the most severe).
pub type Classifications = BTreeMap<String, (String, u8)>;

/// The classes that public rule sets refer to.
const DEFAULT: &[(&str, &str, u8)] = &[
    ("attempted-admin", "Attempted Administrator Privilege Gain", 1),
    ("attempted-dos", "Attempted Denial of Service", 2),
    ("attempted-recon", "Attempted Information Leak", 2),
    ("attempted-user", "Attempted User Privilege Gain", 1),
    ("bad-unknown", "Potentially Bad Traffic", 2),
    ("coin-mining", "Crypto Currency Mining Activity Detected", 2),
    ("command-and-control", "Malware Command and Control Activity Detected", 1),
    ("credential-theft", "Successful Credential Theft Detected", 1),
    ("default-login-attempt", "Attempt to login by a default username and password", 2),
    ("denial-of-service", "Detection of a Denial of Service Attack", 2),
    ("domain-c2", "Domain Observed Used for C2 Detected", 1),
    ("exploit-kit", "Exploit Kit Activity Detected", 1),
    ("external-ip-check", "Device Retrieving External IP Address Detected", 2),
    ("icmp-event", "Generic ICMP event", 3),
    ("misc-activity", "Misc activity", 3),
    ("misc-attack", "Misc Attack", 2),
    ("network-scan", "Detection of a Network Scan", 3),
    ("non-standard-protocol", "Detection of a non-standard protocol or event", 2),
    ("not-suspicious", "Not Suspicious Traffic", 3),
    ("policy-violation", "Potential Corporate Privacy Violation", 1),
    ("protocol-command-decode", "Generic Protocol Command Decode", 3),
    ("pup-activity", "Possibly Unwanted Program Detected", 2),
    ("rpc-portmap-decode", "Decode of an RPC Query", 2),
    ("shellcode-detect", "Executable code was detected", 1),
    ("social-engineering", "Possible Social Engineering Attempted", 2),
    ("string-detect", "A suspicious string was detected", 3),
    ("successful-admin", "Successful Administrator Privilege Gain", 1),
    ("successful-dos", "Denial of Service", 2),
    ("successful-recon-largescale", "Large Scale Information Leak", 2),
    ("successful-recon-limited", "Information Leak", 2),
    ("successful-user", "Successful User Privilege Gain", 1),
    ("suspicious-filename-detect", "A suspicious filename was detected", 2),
    ("suspicious-login", "An attempted login using a suspicious username was detected", 2),
    ("system-call-detect", "A system call was detected", 2),
    ("targeted-activity", "Targeted Malicious Activity was Detected", 1),
    ("tcp-connection", "A TCP connection was detected", 4),
    ("trojan-activity", "A Network Trojan was detected", 1),
    ("unknown", "Unknown Traffic", 3),
    ("unsuccessful-user", "Unsuccessful User Privilege Gain", 1),
    ("unusual-client-port-connection", "A client was using an unusual port", 2),
    ("web-application-activity", "access to a potentially vulnerable web application", 2),
    ("web-application-attack", "Web Application Attack", 1),
];

/// The classes that hold without a file.
pub fn default() -> Classifications {
    DEFAULT.iter().map(|(name, category, priority)| ((*name).into(), ((*category).into(), *priority))).collect()
}

/// Reads lines of the form `config classification: name,category,priority` over the defaults. Lines that are none are
/// diagnostics, and the others count.
pub fn read(text: &Arc<Text>) -> (Classifications, Vec<Diagnostic>) {
    let mut classes = default();
    let mut diagnostics = Vec::new();
    let mut at = 0;
    for line in text.text().split('\n') {
        let content = line.trim();
        if !content.is_empty() && !content.starts_with('#') {
            match entry(content) {
                Some((name, value)) => {
                    classes.insert(name, value);
                }
                None => diagnostics.push(
                    Diagnostic::error("classification", Message::ClassificationSyntax)
                        .help(Message::HelpClassification)
                        .at(text, at..at + line.trim_end().len()),
                ),
            }
        }
        at += line.len() + 1;
    }
    (classes, diagnostics)
}

fn entry(line: &str) -> Option<(String, (String, u8))> {
    let fields = line.strip_prefix("config")?.trim_start().strip_prefix("classification:")?;
    let (name, rest) = fields.split_once(',')?;
    let (category, priority) = rest.rsplit_once(',')?;
    let (name, category) = (name.trim(), category.trim());
    let priority = priority.trim().parse().ok().filter(|priority| *priority > 0)?;
    (!name.is_empty() && !category.is_empty()).then(|| (name.into(), (category.into(), priority)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_adds_to_the_default_classes_and_names_its_bad_lines() {
        let text = Text::new(
            "classes",
            "# mine\nconfig classification: plant, Plant, and its parts,1\nnonsense\nconfig classification: unknown,Else, 0\r\n",
        );
        let (classes, diagnostics) = read(&text);
        assert_eq!(classes["plant"], ("Plant, and its parts".to_owned(), 1));
        assert_eq!(classes["unknown"].1, 3, "a priority of 0 is refused");
        assert_eq!(classes.len(), DEFAULT.len() + 1);
        let places: Vec<_> = diagnostics.iter().map(|d| d.place.as_ref().unwrap()).collect();
        assert_eq!(places.len(), 2);
        assert_eq!(places[0].0.position(places[0].1.start), (3, 1));
        assert_eq!(places[1].0.position(places[1].1.start), (4, 1));
    }
}
