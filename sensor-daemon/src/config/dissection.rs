//! Settings of dissectors: what they may keep, and what no message tells.

use std::net::IpAddr;

use vigia_parsers::Limits;
use vigia_parsers::ot::iec104::Sizes;

use crate::capture::tap::Network;

/// What the dissector of a flow may keep between messages, whatever its protocol. When a bound bites, the oldest is given up
/// and counted (`vigia_dissection_bounded_total`).
#[derive(Debug, Clone, PartialEq, serde::Deserialize, serde::Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Dissection {
    /// Requests of a flow that wait for their answers.
    #[schemars(range(min = 1, max = 65_535))]
    pub max_requests: u16,
    /// Bytes kept of these requests.
    #[schemars(range(min = 1024))]
    pub max_request_bytes: u32,
    /// Bytes of a flow's messages that are being joined from several frames or segments.
    #[schemars(range(min = 1024))]
    pub max_joined_bytes: u32,
    /// Bytes of unfinished messages that all flows of a worker hold together. Beyond, a flow that holds more than 4096 of
    /// them lets go of its own and is picked up again at its next message.
    #[schemars(range(min = 4096))]
    pub max_unfinished_bytes: u64,
    /// Sizes of fields in IEC 104, by station. Without an entry they are found by what suits the lengths of its messages, 2,
    /// 2 and 3 octets before others; which is not always the only thing that suits.
    pub iec104: Vec<StationSizes>,
}

impl Default for Dissection {
    fn default() -> Self {
        let Limits { requests, request_bytes, joined_bytes, .. } = Limits::DEFAULT;
        Self {
            max_requests: requests,
            max_request_bytes: request_bytes,
            max_joined_bytes: joined_bytes,
            max_unfinished_bytes: 64 << 20,
            iec104: Vec::new(),
        }
    }
}

impl Dissection {
    /// As the dissector of a flow between these ends takes them. Of the entries that suit the first counts.
    pub fn limits(&self, ends: &[IpAddr]) -> Limits {
        let listed = self.iec104.iter().find(|entry| ends.iter().any(|end| entry.is_of(*end)));
        Limits {
            requests: self.max_requests,
            request_bytes: self.max_request_bytes,
            joined_bytes: self.max_joined_bytes,
            iec104_sizes: listed.map(StationSizes::sizes),
        }
    }
}

/// Sizes of fields in the messages of some stations, in octets.
#[derive(Debug, Clone, PartialEq, serde::Deserialize, serde::Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StationSizes {
    /// Addresses or networks of the controlled stations: `["10.4.0.17", "10.5.0.0/16"]`. None for all.
    #[schemars(with = "Vec<String>")]
    pub stations: Vec<Network>,
    /// Cause of transmission: 2 with the originator address, 1 without.
    #[schemars(range(min = 1, max = 2))]
    pub cause: u8,
    /// Common address.
    #[schemars(range(min = 1, max = 2))]
    pub common_address: u8,
    /// Information object address.
    #[schemars(range(min = 1, max = 3))]
    pub object_address: u8,
}

impl Default for StationSizes {
    fn default() -> Self {
        Self { stations: Vec::new(), cause: 2, common_address: 2, object_address: 3 }
    }
}

impl StationSizes {
    fn is_of(&self, end: IpAddr) -> bool {
        self.stations.is_empty() || self.stations.iter().any(|network| network.contains(end))
    }

    fn sizes(&self) -> Sizes {
        Sizes::new(self.cause, self.common_address, self.object_address)
    }
}
