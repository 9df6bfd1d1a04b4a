//! What rules refer to without saying it: address and port variables, classifications.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::syntax::{Word, statements};
use super::{Countries, Diagnostic, Library, Problem, Reputation, Severity, Source};
use crate::language::said::say;
use crate::thresholds::Thresholds;

/// What rules and their headers refer to.
#[derive(Debug, Clone, Default)]
pub struct Variables {
    /// Address variables without `$`: `HOME_NET` to `[192.168.0.0/16,10.0.0.0/8,172.16.0.0/12]`.
    pub addresses: BTreeMap<String, String>,
    /// Port variables without `$`: `HTTP_PORTS` to `80`.
    pub ports: BTreeMap<String, String>,
    /// Classification to (description, priority), from `classification.config`.
    pub classifications: BTreeMap<String, (String, u8)>,
    /// Systems that `reference` refers to, in lower case, and what their links begin with.
    pub references: BTreeMap<String, String>,
    /// The files that rules name.
    pub library: Library,
    /// What `iprep` asks; rules that do are off without.
    pub reputation: Option<Arc<Reputation>>,
    /// What `geoip` asks; rules that do are off without.
    pub countries: Option<Arc<Countries>>,
    /// How often rules report, told beside them.
    pub thresholds: Thresholds,
}

impl Variables {
    /// The variables and classifications that rule sets take for granted, with the values that users of Suricata
    /// expect: `HOME_NET` is private addresses (RFC 1918), `EXTERNAL_NET` everything else.
    pub fn standard() -> Self {
        let own = |table: &[(&str, &str)]| table.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Self {
            addresses: own(ADDRESSES),
            ports: own(PORTS),
            classifications: CLASSIFICATIONS.iter().map(|c| (c.0.to_owned(), (c.1.to_owned(), c.2))).collect(),
            references: own(REFERENCES),
            ..Self::default()
        }
    }

    /// Adds the classifications of a `classification.config`, whose lines read
    /// `config classification: name,description,priority`.
    pub fn read_classifications(&mut self, source: &Source) -> Vec<Diagnostic> {
        let mut diagnostics = Vec::new();
        for statement in statements(&source.text) {
            let word = Word { text: statement.text, start: statement.start };
            match classification(word) {
                Some((name, description, priority)) => {
                    self.classifications.insert(name.to_owned(), (description.to_owned(), priority));
                }
                None => diagnostics.push(
                    Problem::new("invalid-classification", say!("this is not a classification"), word.span())
                        .help(say!("expected `config classification: name,description,priority`"))
                        .diagnostic(Severity::Error, source),
                ),
            }
        }
        diagnostics
    }
}

impl Variables {
    /// Adds the systems of a `reference.config`, whose lines read `config reference: name prefix`.
    pub fn read_references(&mut self, source: &Source) -> Vec<Diagnostic> {
        let mut diagnostics = Vec::new();
        for statement in statements(&source.text) {
            let word = Word { text: statement.text, start: statement.start };
            match reference(word) {
                Some((name, prefix)) => {
                    self.references.insert(name.to_ascii_lowercase(), prefix.to_owned());
                }
                None => diagnostics.push(
                    Problem::new("invalid-reference", say!("this is not a reference system"), word.span())
                        .help(say!("expected `config reference: name prefix`"))
                        .diagnostic(Severity::Error, source),
                ),
            }
        }
        diagnostics
    }
}

fn reference(word: Word<'_>) -> Option<(&str, &str)> {
    let rest = word.text.strip_prefix("config")?.trim_start().strip_prefix("reference")?.trim_start();
    let (name, prefix) = rest.strip_prefix(':')?.trim().split_once(char::is_whitespace)?;
    Some((name, prefix.trim()))
}

fn classification(word: Word<'_>) -> Option<(&str, &str, u8)> {
    let rest = word.text.strip_prefix("config")?.trim_start().strip_prefix("classification")?.trim_start();
    let (name, rest) = rest.strip_prefix(':')?.split_once(',')?;
    let (description, priority) = rest.rsplit_once(',')?;
    let priority = priority.trim().parse().ok().filter(|&priority| priority > 0)?;
    Some((name.trim(), description.trim(), priority))
}

const ADDRESSES: &[(&str, &str)] = &[
    ("HOME_NET", "[192.168.0.0/16,10.0.0.0/8,172.16.0.0/12]"),
    ("EXTERNAL_NET", "!$HOME_NET"),
    ("HTTP_SERVERS", "$HOME_NET"),
    ("SMTP_SERVERS", "$HOME_NET"),
    ("SQL_SERVERS", "$HOME_NET"),
    ("DNS_SERVERS", "$HOME_NET"),
    ("TELNET_SERVERS", "$HOME_NET"),
    ("AIM_SERVERS", "$EXTERNAL_NET"),
    ("DC_SERVERS", "$HOME_NET"),
    ("DNP3_SERVER", "$HOME_NET"),
    ("DNP3_CLIENT", "$HOME_NET"),
    ("MODBUS_SERVER", "$HOME_NET"),
    ("MODBUS_CLIENT", "$HOME_NET"),
    ("ENIP_SERVER", "$HOME_NET"),
    ("ENIP_CLIENT", "$HOME_NET"),
    ("MMS_SERVER", "$HOME_NET"),
    ("MMS_CLIENT", "$HOME_NET"),
    ("S7_CLIENT", "$HOME_NET"),
    ("IEC104_SERVER", "$HOME_NET"),
    ("IEC104_CLIENT", "$HOME_NET"),
    ("BACNET_SERVER", "$HOME_NET"),
    ("BACNET_CLIENT", "$HOME_NET"),
    ("MQTT_SERVER", "$HOME_NET"),
    ("MQTT_CLIENT", "$HOME_NET"),
    ("SPARKPLUG_HOST", "$MQTT_CLIENT"),
];

const PORTS: &[(&str, &str)] = &[
    ("HTTP_PORTS", "80"),
    ("SHELLCODE_PORTS", "!80"),
    ("ORACLE_PORTS", "1521"),
    ("SSH_PORTS", "22"),
    ("DNP3_PORTS", "20000"),
    ("MODBUS_PORTS", "502"),
    ("FILE_DATA_PORTS", "[$HTTP_PORTS,110,143]"),
    ("FTP_PORTS", "21"),
    ("GENEVE_PORTS", "6081"),
    ("VXLAN_PORTS", "4789"),
    ("TEREDO_PORTS", "3544"),
    ("SIP_PORTS", "[5060,5061]"),
];

/// Systems that rule sets commonly refer to.
const REFERENCES: &[(&str, &str)] = &[
    ("url", "http://"),
    ("cve", "https://cve.mitre.org/cgi-bin/cvename.cgi?name="),
    ("bugtraq", "http://www.securityfocus.com/bid/"),
    ("bid", "http://www.securityfocus.com/bid/"),
    ("nessus", "http://cgi.nessus.org/plugins/dump.php3?id="),
    ("et", "http://doc.emergingthreats.net/"),
    ("etpro", "http://doc.emergingthreatspro.com/"),
    ("arachnids", "http://www.whitehats.com/info/IDS"),
    ("exploitdb", "https://www.exploit-db.com/exploits/"),
    ("mcafee", "http://vil.nai.com/vil/content/v_"),
    ("md5", "https://www.virustotal.com/gui/file/"),
    ("osvdb", "http://osvdb.org/show/osvdb/"),
    ("secunia", "http://www.secunia.com/advisories/"),
    ("attack", "https://attack.mitre.org/techniques/"),
];

/// Short name, description and priority, as rule sets use them.
const CLASSIFICATIONS: &[(&str, &str, u8)] = &[
    ("not-suspicious", "Not Suspicious Traffic", 3),
    ("unknown", "Unknown Traffic", 3),
    ("bad-unknown", "Potentially Bad Traffic", 2),
    ("attempted-recon", "Attempted Information Leak", 2),
    ("successful-recon-limited", "Information Leak", 2),
    ("successful-recon-largescale", "Large Scale Information Leak", 2),
    ("attempted-dos", "Attempted Denial of Service", 2),
    ("successful-dos", "Denial of Service", 2),
    ("attempted-user", "Attempted User Privilege Gain", 1),
    ("unsuccessful-user", "Unsuccessful User Privilege Gain", 1),
    ("successful-user", "Successful User Privilege Gain", 1),
    ("attempted-admin", "Attempted Administrator Privilege Gain", 1),
    ("successful-admin", "Successful Administrator Privilege Gain", 1),
    ("rpc-portmap-decode", "Decode of an RPC Query", 2),
    ("shellcode-detect", "Executable code was detected", 1),
    ("string-detect", "A suspicious string was detected", 3),
    ("suspicious-filename-detect", "A suspicious filename was detected", 2),
    ("suspicious-login", "An attempted login using a suspicious username was detected", 2),
    ("system-call-detect", "A system call was detected", 2),
    ("tcp-connection", "A TCP connection was detected", 4),
    ("trojan-activity", "A Network Trojan was detected", 1),
    ("unusual-client-port-connection", "A client was using an unusual port", 2),
    ("network-scan", "Detection of a Network Scan", 3),
    ("denial-of-service", "Detection of a Denial of Service Attack", 2),
    ("non-standard-protocol", "Detection of a non-standard protocol or event", 2),
    ("protocol-command-decode", "Generic Protocol Command Decode", 3),
    ("web-application-activity", "access to a potentially vulnerable web application", 2),
    ("web-application-attack", "Web Application Attack", 1),
    ("misc-activity", "Misc activity", 3),
    ("misc-attack", "Misc Attack", 2),
    ("icmp-event", "Generic ICMP event", 3),
    ("inappropriate-content", "Inappropriate Content was Detected", 1),
    ("policy-violation", "Potential Corporate Privacy Violation", 1),
    ("default-login-attempt", "Attempt to login by a default username and password", 2),
    ("targeted-activity", "Targeted Malicious Activity was Detected", 1),
    ("exploit-kit", "Exploit Kit Activity Detected", 1),
    ("external-ip-check", "Device Retrieving External IP Address Detected", 2),
    ("domain-c2", "Domain Observed Used for C2 Detected", 1),
    ("pup-activity", "Possibly Unwanted Program Detected", 2),
    ("credential-theft", "Successful Credential Theft Detected", 1),
    ("social-engineering", "Possible Social Engineering Attempted", 2),
    ("coin-mining", "Crypto Currency Mining Activity Detected", 2),
    ("command-and-control", "Malware Command and Control Activity Detected", 1),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reference_systems_are_read_and_wrong_lines_named() {
        let text = "config reference: PLANT https://plant.example/?id=\nconfig reference: no\n";
        let source = Source { name: "reference.config".into(), text: text.into() };
        let mut variables = Variables::standard();
        let diagnostics = variables.read_references(&source);
        assert_eq!(variables.references["plant"], "https://plant.example/?id=");
        assert_eq!((diagnostics.len(), diagnostics[0].position()), (1, (2, 1)));
    }

    #[test]
    fn classifications_are_read_and_wrong_lines_named() {
        let source = Source {
            name: "classification.config".into(),
            text: "# c\n\nconfig classification: plant-stop,A plant, stopped,1\nconfig classification: no\n".into(),
        };
        let mut variables = Variables::default();
        let diagnostics = variables.read_classifications(&source);
        assert_eq!(variables.classifications["plant-stop"], ("A plant, stopped".to_owned(), 1));
        assert_eq!(diagnostics.len(), 1);
        assert_eq!(diagnostics[0].position(), (4, 1));
    }
}
