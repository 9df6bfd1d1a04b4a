//! What the tap is told: which frames nobody wants to see, and which go first when there are too many.
//!
//! The tap is a program in the kernel ([`super::probes::tap`]). Here stands what a person says of it ([`TapSettings`]), and
//! what follows from that and from the registry of protocols: the [`Classes`] of frames, by importance.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use vigia_parsers::Protocol;
use vigia_parsers::registry::PROTOCOLS;
use vigia_probes_abi::tap::{CLASS_BITS, IGNORED_BIT, NO_CLASS, Numbers, class_place};

use super::SettingsError;
use super::settings::outside;
use crate::language::{Message, Phrase};

/// What the kernel drops before it is captured. Every frame is counted with its fate (`vigia_tap_frames_total`), and `vigia
/// status` shows that none is missing. Where the kernel does not let Vigía load its programs nothing is dropped before capture.
#[derive(Debug, Clone, PartialEq, serde::Deserialize, serde::Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TapSettings {
    /// Let the kernel drop what is ignored, second copies (`flow.duplicates`), and what is shed. Without it all frames are only
    /// counted.
    pub enabled: bool,
    /// Networks whose frames are ignored, whichever end is in one: `["10.9.0.0/16", "fd00:9::/32"]`. Of tunnels the
    /// innermost addresses count.
    #[schemars(with = "Vec<String>")]
    pub ignore_networks: Vec<Network>,
    /// Ports and ethertypes that are ignored: `["udp/5353", "tcp/9100", "sctp/2905", "ethertype/0x88cc"]`.
    #[schemars(with = "Vec<String>")]
    pub ignore: Vec<Number>,
    /// VLANs that are ignored, from 1 to 4094, whether they are the outer or an inner tag.
    pub ignore_vlans: Vec<u16>,
    /// Ports and ethertypes of OT that Vigía does not dissect, or that a protocol has here besides its own: by the name of
    /// a class.
    #[schemars(with = "BTreeMap<String, Vec<String>>")]
    pub ot: BTreeMap<String, Vec<Number>>,
    /// Ports and ethertypes of IT, by the name of a class. Other IP packets are of the class `it`, IP fragments of the
    /// class `fragments`, other frames of the class `other`.
    #[schemars(with = "BTreeMap<String, Vec<String>>")]
    pub it: BTreeMap<String, Vec<Number>>,
    /// Percent of a worker's fullest capture ring that must wait to be read before frames are shed: dropped, because the
    /// workers cannot keep up. There the first class of `shed_order` goes, and the fuller the ring the more; at 90 percent
    /// all but OT. OT is never shed. 0 for never.
    pub shed_at_percent: u8,
    /// Classes in the order in which they are shed; those of IT that are not named go last.
    pub shed_order: Vec<String>,
    /// Leave TLS connections to the kernel once both sides have sent encrypted data: it drops their frames and counts them,
    /// so that flow records stay exact. Rules see nothing more of them. Flows of OT ports stay, and those with an alert.
    /// Flows that a rule says to pass by (`bypass`) are always left to it.
    pub shunt_encrypted: bool,
    /// Leave flows to the kernel that no dissector reads, after so many bytes; 0 for never. Rules see nothing more of them.
    /// Flows of OT ports stay, and those with an alert.
    pub shunt_bulk_bytes: u64,
    /// Flows that are left to the kernel at a time; further ones are captured.
    pub shunt_flows: u32,
}

impl Default for TapSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            ignore_networks: Vec::new(),
            ignore: Vec::new(),
            ignore_vlans: Vec::new(),
            ot: known_ot(),
            it: named(&[
                ("bulk", "tcp/20 tcp/22 tcp/139 tcp/445 tcp/515 tcp/873 tcp/2049 tcp/3260 tcp/9100 tcp/10000 udp/2049"),
                ("media", "tcp/554 udp/554 tcp/1935 udp/5004 udp/5005 tcp/3389 udp/3389 tcp/5900"),
                ("web", "tcp/80 tcp/443 udp/443 tcp/3128 tcp/8000 tcp/8080 tcp/8443"),
            ]),
            shed_at_percent: 60,
            shed_order: ["bulk", "media", "web", IT, OTHER, FRAGMENTS].map(str::to_owned).to_vec(),
            shunt_encrypted: true,
            shunt_bulk_bytes: 0,
            shunt_flows: 65_536,
        }
    }
}

/// Other IP packets.
const IT: &str = "it";
/// Frames without IP.
const OTHER: &str = "other";
/// IP fragments, of which only the first has ports.
const FRAGMENTS: &str = "fragments";

/// OT by port or ethertype that the registry does not have: what it has must not be said twice.
fn known_ot() -> BTreeMap<String, Vec<Number>> {
    let known: HashSet<Number> = PROTOCOLS.iter().flat_map(|protocol| numbers_of(protocol)).collect();
    let mut classes = named(&[
        ("bacnet", "udp/47808"),
        ("cc-link", "ethertype/0x890f tcp/45237 udp/61450"),
        ("codesys", "tcp/1217 tcp/2455 udp/1740"),
        ("dlr", "ethertype/0x80e1"),
        ("enip", "tcp/44818 udp/44818 udp/2222"),
        ("ethercat", "ethertype/0x88a4 udp/34980"),
        ("ff-hse", "tcp/1089 udp/1089 udp/1090 udp/1091"),
        ("fins", "tcp/9600 udp/9600"),
        ("ge-srtp", "tcp/18245 tcp/18246"),
        ("goose", "ethertype/0x88b8 ethertype/0x88b9"),
        ("hart-ip", "tcp/5094 udp/5094"),
        ("iec104", "tcp/2404 tcp/19998"),
        ("melsec", "tcp/5007 udp/5006"),
        ("mrp", "ethertype/0x88e3"),
        ("opcua", "tcp/4840 udp/4840 tcp/4843"),
        ("powerlink", "ethertype/0x88ab"),
        ("profinet", "ethertype/0x8892 udp/34962 udp/34963 udp/34964"),
        ("prp", "ethertype/0x88fb"),
        ("ptp", "ethertype/0x88f7 udp/319 udp/320"),
        ("s7", "tcp/102"),
        ("sercos", "ethertype/0x88cd"),
        ("sv", "ethertype/0x88ba"),
        ("synchrophasor", "tcp/4712 udp/4713"),
    ]);
    classes.values_mut().for_each(|numbers| numbers.retain(|number| !known.contains(number)));
    classes.retain(|_, numbers| !numbers.is_empty());
    classes
}

fn named(classes: &[(&str, &str)]) -> BTreeMap<String, Vec<Number>> {
    let numbers = |text: &str| text.split(' ').filter_map(|number| number.parse().ok()).collect();
    classes.iter().map(|(name, text)| ((*name).to_owned(), numbers(text))).collect()
}

/// The numbers by which a protocol of the registry is served.
fn numbers_of(protocol: &Protocol) -> impl Iterator<Item = Number> {
    let tcp = protocol.tcp_ports.iter().map(|port| Number { of: Numbers::Tcp, number: *port });
    let udp = protocol.udp_ports.iter().map(|port| Number { of: Numbers::Udp, number: *port });
    // Below stand service access points, where the tap reads the length of the frame.
    let ethertypes = protocol.ethertypes.iter().filter(|number| **number > 1500);
    let ethertypes = ethertypes.map(|number| Number { of: Numbers::Ethertype, number: *number });
    tcp.chain(udp).chain(ethertypes)
}

/// A port or an ethertype: `tcp/502`, `ethertype/0x88b8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Number {
    /// What it is a number of.
    pub of: Numbers,
    /// The number.
    pub number: u16,
}

impl std::hash::Hash for Number {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        (self.of as u32, self.number).hash(state);
    }
}

/// Their spellings.
const NUMBERS: [(&str, Numbers); 4] =
    [("ethertype", Numbers::Ethertype), ("tcp", Numbers::Tcp), ("udp", Numbers::Udp), ("sctp", Numbers::Sctp)];

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = NUMBERS.iter().find(|(_, of)| *of == self.of).map_or("", |(name, _)| name);
        match self.of {
            Numbers::Ethertype => write!(f, "{name}/0x{:04x}", self.number),
            _ => write!(f, "{name}/{}", self.number),
        }
    }
}

/// Not a port or an ethertype.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is none of tcp/PORT, udp/PORT, sctp/PORT and ethertype/0xNUMBER")]
pub struct NoNumber(String);

impl FromStr for Number {
    type Err = NoNumber;

    fn from_str(text: &str) -> Result<Self, NoNumber> {
        let refused = || NoNumber(text.to_owned());
        let (name, number) = text.split_once('/').ok_or_else(refused)?;
        let (_, of) = *NUMBERS.iter().find(|(known, _)| *known == name).ok_or_else(refused)?;
        let number = match number.strip_prefix("0x") {
            Some(digits) => u16::from_str_radix(digits, 16),
            None => number.parse(),
        };
        Ok(Self { of, number: number.map_err(|_| refused())? })
    }
}

/// An IP network: `10.9.0.0/16`. An address alone is a network of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    /// Its address, without the bits behind the prefix.
    pub address: IpAddr,
    /// Length of the prefix in bits.
    pub prefix: u8,
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// Not a network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no network: an address, a slash and the length of the prefix are expected (10.9.0.0/16, fd00:9::/32)"
)]
pub struct NoNetwork(String);

impl FromStr for Network {
    type Err = NoNetwork;

    fn from_str(text: &str) -> Result<Self, NoNetwork> {
        let refused = |_| NoNetwork(text.to_owned());
        let (address, prefix) = text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
        let address: IpAddr = address.parse().map_err(|_| NoNetwork(text.to_owned()))?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.map_or(Ok(longest), str::parse::<u8>).map_err(refused)?;
        if prefix > longest {
            return Err(NoNetwork(text.to_owned()));
        }
        Ok(Self { address: masked(address, prefix), prefix })
    }
}

impl Network {
    /// Is this address in it?
    pub fn contains(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.address.is_ipv4() && masked(address, self.prefix) == self.address
    }
}

/// An address without the bits behind a prefix, which is no longer than it.
fn masked(address: IpAddr, prefix: u8) -> IpAddr {
    let kept = |bits: u8| u128::MAX.checked_shl(u32::from(bits.saturating_sub(prefix))).unwrap_or(0);
    match address {
        IpAddr::V4(address) => IpAddr::V4((address.to_bits() & kept(32) as u32).into()),
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() & kept(128)).into()),
    }
}

/// Serialised as people write them.
macro_rules! as_text {
    ($type:ty) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
as_text!(Number);
as_text!(Network);

impl TapSettings {
    /// The same for a tap that drops nothing: frames are only counted by class.
    pub(super) fn without_drops(self) -> Self {
        Self { ignore_networks: Vec::new(), ignore: Vec::new(), ignore_vlans: Vec::new(), shed_at_percent: 0, ..self }
    }

    /// Whether the values can work.
    pub(super) fn validate(&self) -> Result<(), SettingsError> {
        let refuse = |key: String, what: Phrase| Err(SettingsError::new(format!("tap.{key}"), what));
        for (index, vlan) in self.ignore_vlans.iter().enumerate() {
            if !(1..4095).contains(vlan) {
                return refuse(format!("ignore_vlans[{index}]"), outside(*vlan, 1, 4094));
            }
        }
        if self.shed_at_percent > 100 {
            return refuse("shed_at_percent".to_owned(), outside(self.shed_at_percent, 0, 100));
        }
        let is_it = |name: &&String| self.it.contains_key(*name) || BUILT_IN.contains(&name.as_str());
        if let Some(name) = self.ot.keys().find(is_it) {
            return refuse(format!("ot.{name}"), Message::SettingClassOfIt.into());
        }
        let sheddable: Vec<&str> = BUILT_IN.into_iter().chain(self.it.keys().map(String::as_str)).collect();
        for (index, name) in self.shed_order.iter().enumerate() {
            if !sheddable.contains(&name.as_str()) {
                let what = Message::SettingNotShed.with([name.as_str().into(), sheddable.join(", ").into()]);
                return refuse(format!("shed_order[{index}]"), what);
            }
        }
        let classes = Classes::new(self).list.len();
        if classes > usize::from(NO_CLASS) {
            let what = Message::SettingClasses.with([classes.into(), usize::from(NO_CLASS).into()]);
            return refuse("ot".to_owned(), what);
        }
        if !(1..=1_000_000).contains(&self.shunt_flows) {
            return refuse("shunt_flows".to_owned(), outside(self.shunt_flows, 1, 1_000_000));
        }
        Ok(())
    }
}

/// Classes that need no numbers.
const BUILT_IN: [&str; 3] = [IT, OTHER, FRAGMENTS];

/// A class of frames.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Class {
    /// The protocol's name, or the one in the settings.
    pub name: String,
    /// Operational technology: it is not shed.
    pub ot: bool,
}

/// The classes of frames by importance: OT, then IT in the reverse of the order in which it is shed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Classes {
    list: Vec<Class>,
    /// Class of each port and ethertype, as the kernel has it.
    table: Vec<[u8; 8]>,
}

impl Classes {
    /// Those of the registry and of the settings.
    pub fn new(settings: &TapSettings) -> Self {
        let mut list: Vec<Class> = Vec::new();
        let ot = PROTOCOLS.iter().filter(|protocol| protocol.ot).map(|protocol| protocol.name);
        for name in ot.chain(settings.ot.keys().map(String::as_str)) {
            if !list.iter().any(|class| class.name == name) {
                list.push(Class { name: name.to_owned(), ot: true });
            }
        }
        let mut shed: Vec<&str> = Vec::new();
        let rest = settings.it.keys().map(String::as_str).chain(BUILT_IN);
        for name in settings.shed_order.iter().map(String::as_str).chain(rest) {
            if !shed.contains(&name) {
                shed.push(name);
            }
        }
        list.extend(shed.into_iter().rev().map(|name| Class { name: name.to_owned(), ot: false }));
        let mut classes = Self { list, table: Vec::new() };
        classes.fill(settings);
        classes
    }

    fn fill(&mut self, settings: &TapSettings) {
        // Ethertypes, then the ports of three protocols.
        let filled = [self.index(OTHER), NO_CLASS, NO_CLASS, NO_CLASS];
        self.table = filled.into_iter().flat_map(|class| std::iter::repeat_n([class; 8], 65_536 / 8)).collect();
        // IP whose header is not whole is IP all the same.
        for ethertype in [0x0800, 0x86dd] {
            self.set(Number { of: Numbers::Ethertype, number: ethertype }, self.index(IT));
        }
        // What comes later wins: what a person says of IT, of OT, and then the registry.
        for (name, numbers) in settings.it.iter().chain(&settings.ot) {
            numbers.iter().for_each(|number| self.set(*number, self.index(name)));
        }
        for protocol in PROTOCOLS.iter().filter(|protocol| protocol.ot) {
            numbers_of(protocol).for_each(|number| self.set(number, self.index(protocol.name)));
        }
        for number in &settings.ignore {
            let (entry, byte) = class_place(number.of, number.number);
            self.table[entry as usize][byte] |= IGNORED_BIT;
        }
    }

    fn set(&mut self, number: Number, class: u8) {
        let (entry, byte) = class_place(number.of, number.number);
        self.table[entry as usize][byte] = class;
    }

    fn index(&self, name: &str) -> u8 {
        self.list.iter().position(|class| class.name == name).map_or(0, |index| index as u8)
    }

    /// The classes; a frame's class is an index into them.
    pub fn list(&self) -> &[Class] {
        &self.list
    }

    /// Class of each port and ethertype, as the kernel has it.
    pub fn table(&self) -> &[[u8; 8]] {
        &self.table
    }

    /// Class of IP packets without ports.
    pub fn of_ip(&self) -> u8 {
        self.index(IT)
    }

    /// Class of IP fragments.
    pub fn of_fragments(&self) -> u8 {
        self.index(FRAGMENTS)
    }

    /// Is a number one of OT?
    pub fn is_ot(&self, number: Number) -> bool {
        let (entry, byte) = class_place(number.of, number.number);
        let class = self.table.get(entry as usize).map(|entry| entry[byte] & CLASS_BITS);
        class.and_then(|class| self.list.get(usize::from(class))).is_some_and(|class| class.ot)
    }

    /// Levels of shedding beside none: one for each class that is shed.
    pub fn levels(&self) -> usize {
        self.list.iter().filter(|class| !class.ot).count()
    }

    /// The classes that are kept at a level: all at 0, OT alone at the highest.
    pub fn kept(&self, level: usize) -> usize {
        self.list.len() - level.min(self.levels())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid_and_say_nothing_that_the_registry_says() {
        let settings = TapSettings::default();
        settings.validate().unwrap();
        let known: Vec<Number> = PROTOCOLS.iter().flat_map(|protocol| numbers_of(protocol)).collect();
        for (name, numbers) in &settings.ot {
            assert!(numbers.iter().all(|number| !known.contains(number)), "{name}");
        }
        // Every number of the defaults is written as it must be.
        assert_eq!(settings.it["bulk"].len(), 11);
        assert_eq!(settings.it["web"].len(), 7);
    }

    #[test]
    fn numbers_and_networks_read_back_as_they_are_written() {
        for text in ["tcp/502", "udp/20000", "sctp/2905", "ethertype/0x88b8"] {
            assert_eq!(text.parse::<Number>().unwrap().to_string(), text);
        }
        for text in ["", "tcp", "tcp/", "tcp/65536", "icmp/8", "ethertype/88b8", "tcp/-1"] {
            assert!(text.parse::<Number>().is_err(), "{text}");
        }
        for (text, shown) in [
            ("10.9.3.4/16", "10.9.0.0/16"),
            ("192.0.2.1", "192.0.2.1/32"),
            ("fd00:9::1/32", "fd00:9::/32"),
            ("::/0", "::/0"),
        ] {
            assert_eq!(text.parse::<Network>().unwrap().to_string(), shown);
        }
        for text in ["", "10.9.0.0/33", "10.9.0/16", "fd00::/129", "10.0.0.0/"] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }

    #[test]
    fn ot_is_the_most_important_and_the_first_to_be_shed_the_least() {
        let classes = Classes::new(&TapSettings::default());
        let names: Vec<&str> = classes.list().iter().map(|class| class.name.as_str()).collect();
        for protocol in PROTOCOLS.iter().filter(|protocol| protocol.ot) {
            assert!(names.contains(&protocol.name), "{}", protocol.name);
        }
        assert!(classes.list().is_sorted_by_key(|class| !class.ot), "{names:?}");
        assert!(names.ends_with(&["fragments", "other", "it", "web", "media", "bulk"]), "{names:?}");
        assert_eq!(classes.kept(0), names.len());
        assert_eq!(classes.kept(1), names.len() - 1);
        assert_eq!(classes.kept(1000), classes.list().iter().filter(|class| class.ot).count());
    }

    #[test]
    fn a_port_has_the_class_of_its_protocol_and_the_mark_of_being_ignored() {
        let settings = TapSettings {
            ignore: vec!["tcp/445".parse().unwrap(), "ethertype/0x88cc".parse().unwrap()],
            ot: named(&[("pump", "tcp/80"), ("modbus", "tcp/1502")]),
            ..Default::default()
        };
        settings.validate().unwrap();
        let classes = Classes::new(&settings);
        let of = |text: &str| {
            let number: Number = text.parse().unwrap();
            let (entry, byte) = class_place(number.of, number.number);
            let class = classes.table()[entry as usize][byte];
            let named = classes.list().get(usize::from(class & !IGNORED_BIT));
            (named.map_or("", |class| class.name.as_str()).to_owned(), class & IGNORED_BIT != 0)
        };
        assert_eq!(of("tcp/502"), ("modbus".into(), false));
        assert_eq!(of("tcp/1502"), ("modbus".into(), false));
        assert_eq!(of("tcp/80"), ("pump".into(), false), "OT wins over IT");
        assert_eq!(of("tcp/445"), ("bulk".into(), true));
        assert_eq!(of("udp/1234"), (String::new(), false));
        assert_eq!(of("ethertype/0x88cc"), ("other".into(), true));
        assert_eq!(of("ethertype/0x0800"), ("it".into(), false));
    }

    #[test]
    fn what_cannot_be_is_refused_by_its_key() {
        let refused = |settings: TapSettings| settings.validate().unwrap_err().key;
        let valid = TapSettings::default;
        assert_eq!(refused(TapSettings { ignore_vlans: vec![1, 4095], ..valid() }), "tap.ignore_vlans[1]");
        assert_eq!(refused(TapSettings { shed_order: vec!["modbus".into()], ..valid() }), "tap.shed_order[0]");
        assert_eq!(refused(TapSettings { ot: named(&[("web", "tcp/1")]), ..valid() }), "tap.ot.web");
        assert_eq!(refused(TapSettings { shunt_flows: 0, ..valid() }), "tap.shunt_flows");
        let many: BTreeMap<_, _> = (0..70).map(|number| (format!("class-{number}"), Vec::new())).collect();
        assert_eq!(refused(TapSettings { ot: many, ..valid() }), "tap.ot");
    }
}
