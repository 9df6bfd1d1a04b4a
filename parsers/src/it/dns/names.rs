//! Names of DNS's numbers (IANA, Domain Name System Parameters), as the standards write them: in capital letters.

use std::fmt;

use crate::field::{Names, name_of};

pub(super) const A: u16 = 1;
pub(super) const NS: u16 = 2;
pub(super) const MD: u16 = 3;
pub(super) const MF: u16 = 4;
pub(super) const CNAME: u16 = 5;
pub(super) const SOA: u16 = 6;
pub(super) const MB: u16 = 7;
pub(super) const MG: u16 = 8;
pub(super) const MR: u16 = 9;
pub(super) const NULL: u16 = 10;
pub(super) const PTR: u16 = 12;
pub(super) const HINFO: u16 = 13;
pub(super) const MX: u16 = 15;
pub(super) const TXT: u16 = 16;
pub(super) const AFSDB: u16 = 18;
pub(super) const RT: u16 = 21;
pub(super) const SIG: u16 = 24;
pub(super) const KEY: u16 = 25;
pub(super) const AAAA: u16 = 28;
pub(super) const SRV: u16 = 33;
pub(super) const NAPTR: u16 = 35;
pub(super) const KX: u16 = 36;
pub(super) const DNAME: u16 = 39;
pub(super) const OPT: u16 = 41;
pub(super) const DS: u16 = 43;
pub(super) const SSHFP: u16 = 44;
pub(super) const RRSIG: u16 = 46;
pub(super) const NSEC: u16 = 47;
pub(super) const DNSKEY: u16 = 48;
pub(super) const NSEC3: u16 = 50;
pub(super) const NSEC3PARAM: u16 = 51;
pub(super) const TLSA: u16 = 52;
pub(super) const SMIMEA: u16 = 53;
pub(super) const CDS: u16 = 59;
pub(super) const CDNSKEY: u16 = 60;
pub(super) const SVCB: u16 = 64;
pub(super) const HTTPS: u16 = 65;
pub(super) const SPF: u16 = 99;
pub(super) const EUI48: u16 = 108;
pub(super) const EUI64: u16 = 109;
pub(super) const IXFR: u16 = 251;
pub(super) const AXFR: u16 = 252;
pub(super) const URI: u16 = 256;
pub(super) const CAA: u16 = 257;
pub(super) const DLV: u16 = 32769;

/// Types of records, and of questions.
pub(super) const TYPES: Names = &[
    (1, "A"),
    (2, "NS"),
    (3, "MD"),
    (4, "MF"),
    (5, "CNAME"),
    (6, "SOA"),
    (7, "MB"),
    (8, "MG"),
    (9, "MR"),
    (10, "NULL"),
    (11, "WKS"),
    (12, "PTR"),
    (13, "HINFO"),
    (14, "MINFO"),
    (15, "MX"),
    (16, "TXT"),
    (17, "RP"),
    (18, "AFSDB"),
    (19, "X25"),
    (20, "ISDN"),
    (21, "RT"),
    (22, "NSAP"),
    (23, "NSAP_PTR"),
    (24, "SIG"),
    (25, "KEY"),
    (26, "PX"),
    (27, "GPOS"),
    (28, "AAAA"),
    (29, "LOC"),
    (30, "NXT"),
    (31, "EID"),
    (32, "NIMLOC"),
    (33, "SRV"),
    (34, "ATMA"),
    (35, "NAPTR"),
    (36, "KX"),
    (37, "CERT"),
    (38, "A6"),
    (39, "DNAME"),
    (40, "SINK"),
    (41, "OPT"),
    (42, "APL"),
    (43, "DS"),
    (44, "SSHFP"),
    (45, "IPSECKEY"),
    (46, "RRSIG"),
    (47, "NSEC"),
    (48, "DNSKEY"),
    (49, "DHCID"),
    (50, "NSEC3"),
    (51, "NSEC3PARAM"),
    (52, "TLSA"),
    (53, "SMIMEA"),
    (55, "HIP"),
    (56, "NINFO"),
    (57, "RKEY"),
    (58, "TALINK"),
    (59, "CDS"),
    (60, "CDNSKEY"),
    (61, "OPENPGPKEY"),
    (62, "CSYNC"),
    (63, "ZONEMD"),
    (64, "SVCB"),
    (65, "HTTPS"),
    (66, "DSYNC"),
    (67, "HHIT"),
    (68, "BRID"),
    (99, "SPF"),
    (100, "UINFO"),
    (101, "UID"),
    (102, "GID"),
    (103, "UNSPEC"),
    (104, "NID"),
    (105, "L32"),
    (106, "L64"),
    (107, "LP"),
    (108, "EUI48"),
    (109, "EUI64"),
    (128, "NXNAME"),
    (249, "TKEY"),
    (250, "TSIG"),
    (251, "IXFR"),
    (252, "AXFR"),
    (253, "MAILB"),
    (254, "MAILA"),
    (255, "ANY"),
    (256, "URI"),
    (257, "CAA"),
    (258, "AVC"),
    (259, "DOA"),
    (260, "AMTRELAY"),
    (261, "RESINFO"),
    (262, "WALLET"),
    (263, "CLA"),
    (264, "IPN"),
    (32768, "TA"),
    (32769, "DLV"),
];

/// Classes (RFC 1035 §3.2.4, RFC 2136 §1.3).
pub(super) const CLASSES: Names = &[(1, "IN"), (2, "CS"), (3, "CH"), (4, "HS"), (254, "NONE"), (255, "ANY")];

pub(super) const QUERY: u8 = 0;

/// Kinds of request.
pub(super) const OPCODES: Names =
    &[(0, "QUERY"), (1, "IQUERY"), (2, "STATUS"), (4, "NOTIFY"), (5, "UPDATE"), (6, "DSO")];

/// The first opcode above those assigned.
pub(super) const FIRST_UNASSIGNED_OPCODE: u8 = 7;

/// Response codes; 16 and above need EDNS.
pub(super) const RCODES: Names = &[
    (0, "NOERROR"),
    (1, "FORMERR"),
    (2, "SERVFAIL"),
    (3, "NXDOMAIN"),
    (4, "NOTIMP"),
    (5, "REFUSED"),
    (6, "YXDOMAIN"),
    (7, "YXRRSET"),
    (8, "NXRRSET"),
    (9, "NOTAUTH"),
    (10, "NOTZONE"),
    (11, "DSOTYPENI"),
    (16, "BADVERS"),
    (17, "BADKEY"),
    (18, "BADTIME"),
    (19, "BADMODE"),
    (20, "BADNAME"),
    (21, "BADALG"),
    (22, "BADTRUNC"),
    (23, "BADCOOKIE"),
];

pub(super) const CLIENT_SUBNET: u16 = 8;
pub(super) const EXTENDED_ERROR: u16 = 15;

/// Options of EDNS(0).
pub(super) const OPTIONS: Names = &[
    (1, "LLQ"),
    (2, "UPDATE_LEASE"),
    (3, "NSID"),
    (5, "DAU"),
    (6, "DHU"),
    (7, "N3U"),
    (8, "CLIENT_SUBNET"),
    (9, "EXPIRE"),
    (10, "COOKIE"),
    (11, "TCP_KEEPALIVE"),
    (12, "PADDING"),
    (13, "CHAIN"),
    (14, "KEY_TAG"),
    (15, "EXTENDED_ERROR"),
    (16, "CLIENT_TAG"),
    (17, "SERVER_TAG"),
    (18, "REPORT_CHANNEL"),
    (19, "ZONEVERSION"),
    (26946, "DEVICEID"),
];

/// Parameters of SVCB and HTTPS records (RFC 9460 §14.3.2), in the spelling of master files.
pub(super) const SERVICE_KEYS: Names = &[
    (0, "mandatory"),
    (1, "alpn"),
    (2, "no-default-alpn"),
    (3, "port"),
    (4, "ipv4hint"),
    (5, "ech"),
    (6, "ipv6hint"),
    (7, "dohpath"),
    (8, "ohttp"),
];

/// A number by its name, or as RFC 3597 §5 writes those that have none: `TYPE731`.
pub(super) struct Named(pub(super) Names, pub(super) &'static str, pub(super) u16);

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match name_of(self.0, self.2.into()) {
            Some(name) => f.write_str(name),
            None => write!(f, "{}{}", self.1, self.2),
        }
    }
}

/// The type of a record or question.
pub(super) fn type_name(kind: u16) -> Named {
    Named(TYPES, "TYPE", kind)
}
