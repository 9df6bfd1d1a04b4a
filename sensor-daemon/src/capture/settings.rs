//! Settings of capture.

use super::tap::TapSettings;
use crate::language::{Message, Phrase};

/// Capture: from which interfaces, with how much memory.
#[derive(Debug, Clone, PartialEq, serde::Deserialize, serde::Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The interfaces (taps, mirror ports) to capture on. Nothing is ever sent on them.
    pub interfaces: Vec<InterfaceSettings>,
    /// How to capture: `auto` takes the best way that works on an interface, each other value demands one (`vigia status`
    /// tells which it is). `af-xdp` (without copies, else with), `af-xdp-zero-copy`, `af-xdp-copy`; `af-packet` (rings,
    /// frames shared out among workers by eBPF, else by the kernel's hash), `af-packet-ebpf`, `af-packet-hash`; `libpcap`
    /// (one worker; needs a build with the feature `libpcap`).
    pub mode: Demand,
    /// Let the kernel drop whatever anything on this machine tries to send on the interfaces. It needs the capabilities
    /// CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON; without them the log says so and capture goes on. Interfaces with an address
    /// of their own are left alone. The guard stays when the sensor ends, until `vigia guard --remove`; `false` does not
    /// remove one that is there.
    pub guard: bool,
    /// Worker threads. Flows are shared out among them by a hash that gives both directions to the same worker.
    pub workers: u16,
    /// Blocks of each ring. There is a ring for every interface and worker; its memory is `block_count` times
    /// `block_bytes`. With AF_XDP the same memory, and a quarter more, is cut into buffers for single frames of 2048 bytes
    /// (4096 where the MTU is above 1770).
    pub block_count: u32,
    /// Bytes of a block; a multiple of 4096. A frame longer than a block is cut.
    pub block_bytes: u32,
    /// Milliseconds after which the kernel hands over a block that is not full: the delay of a packet, and so of an alert,
    /// while packets do not fill blocks sooner. A kernel older than 6.18 counts it in whole ticks of its clock (4 ms at 250 Hz)
    /// and may take two. A worker that stalls for longer than `block_count` times this loses packets even when they are few.
    pub block_timeout_ms: u32,
    /// Milliseconds a worker waits for packets before it looks after its timers.
    pub poll_timeout_ms: u32,
    /// Bytes captured of each frame; longer ones are cut.
    pub snaplen: u32,
    /// Seconds without a frame after which a LAN of PRP, or a path of HSR, is told to be silent (a `health` event), if it was
    /// heard before and frames still come over the other one; 0 for never.
    pub lan_silence_s: u32,
    /// What the kernel drops before it is captured.
    pub tap: TapSettings,
    /// Bounds of reading capture files.
    pub file: FileSettings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            interfaces: Vec::new(),
            mode: Demand::Auto,
            guard: true,
            workers: 1,
            // 48 MiB: a sensor is to start in less than 80 MB, of which the program takes 20. As few large blocks they would
            // bridge a shorter stall: a timeout hands over a block with one frame. As many small ones they would cost more: what
            // is done once a block takes some 30 µs.
            block_count: 192,
            block_bytes: 256 << 10,
            block_timeout_ms: 2,
            poll_timeout_ms: 100,
            snaplen: 262_144,
            lan_silence_s: 10,
            tap: TapSettings::default(),
            file: FileSettings::default(),
        }
    }
}

/// One interface to capture on.
#[derive(Debug, Clone, PartialEq, serde::Deserialize, serde::Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct InterfaceSettings {
    /// Its name, as `ip link` shows it.
    pub name: String,
    /// Take frames addressed to other stations, too. A tap needs it.
    pub promiscuous: bool,
    /// Leave out frames that this machine itself sends on the interface (and so the second copy of each on `lo`).
    pub ignore_outgoing: bool,
}

impl Default for InterfaceSettings {
    fn default() -> Self {
        Self { name: String::new(), promiscuous: true, ignore_outgoing: true }
    }
}

/// How interfaces are to be captured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize, serde::Serialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Demand {
    /// The best way that works.
    #[default]
    Auto,
    /// AF_XDP, without copies where the driver can.
    AfXdp,
    /// AF_XDP without copies.
    AfXdpZeroCopy,
    /// AF_XDP with copies.
    AfXdpCopy,
    /// AF_PACKET rings.
    AfPacket,
    /// AF_PACKET rings, shared out by eBPF.
    AfPacketEbpf,
    /// AF_PACKET rings, shared out by the kernel's hash.
    AfPacketHash,
    /// libpcap.
    Libpcap,
}

impl Demand {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Auto,
        Self::AfXdp,
        Self::AfXdpZeroCopy,
        Self::AfXdpCopy,
        Self::AfPacket,
        Self::AfPacketEbpf,
        Self::AfPacketHash,
        Self::Libpcap,
    ];
}

/// Bounds of reading capture files: what a hostile file can make Vigía hold in memory.
#[derive(Debug, Clone, PartialEq, serde::Deserialize, serde::Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FileSettings {
    /// Bytes a frame may have; a file that states a longer one is corrupt there.
    pub max_frame_bytes: u32,
    /// Bytes a block of a pcapng file may have; a file that states a longer one is corrupt there.
    pub max_block_bytes: u32,
    /// Bytes asked of the file at once. More than fit the processor's second-level cache makes reading slower. A replay that
    /// reads ahead holds four times as many.
    pub read_bytes: u32,
}

impl Default for FileSettings {
    fn default() -> Self {
        Self { max_frame_bytes: 256 << 10, max_block_bytes: 16 << 20, read_bytes: 256 << 10 }
    }
}

/// Settings that cannot work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingsError {
    /// The setting, within `capture`.
    pub key: String,
    /// What is wrong, and what was expected.
    pub what: Phrase,
}

impl SettingsError {
    pub(super) fn new(key: impl Into<String>, what: impl Into<Phrase>) -> Self {
        Self { key: key.into(), what: what.into() }
    }

    /// The error as a sentence.
    pub fn phrase(&self) -> Phrase {
        Message::Colon.with([format!("capture.{}", self.key).into(), self.what.clone().into()])
    }
}

impl Settings {
    /// Whether the values can work, alone and together.
    pub fn validate(&self) -> Result<(), SettingsError> {
        for (index, interface) in self.interfaces.iter().enumerate() {
            let key = format!("interfaces[{index}].name");
            if interface.name.is_empty() || interface.name.len() > 15 {
                return Err(SettingsError::new(key, Message::SettingName));
            }
            if self.interfaces[..index].iter().any(|other| other.name == interface.name) {
                return Err(SettingsError::new(key, Message::SettingTwice.with([interface.name.as_str().into()])));
            }
        }
        within("workers", self.workers, 1, 256)?;
        within("block_count", self.block_count, 2, 65_536)?;
        within("block_bytes", self.block_bytes, 4096, 64 << 20)?;
        if !self.block_bytes.is_multiple_of(4096) {
            return Err(SettingsError::new("block_bytes", Message::SettingPages));
        }
        within("block_timeout_ms", self.block_timeout_ms, 1, 10_000)?;
        within("poll_timeout_ms", self.poll_timeout_ms, 1, 60_000)?;
        within("snaplen", self.snaplen, 64, 262_144)?;
        if self.mode == Demand::Libpcap && self.workers != 1 {
            return Err(SettingsError::new("workers", Message::SettingOneWorker));
        }
        self.tap.validate()?;
        within("file.max_frame_bytes", self.file.max_frame_bytes, 64, 64 << 20)?;
        within("file.max_block_bytes", self.file.max_block_bytes, 4096, 256 << 20)?;
        within("file.read_bytes", self.file.read_bytes, 4096, 64 << 20)
    }
}

fn within<T: PartialOrd + std::fmt::Display>(key: &str, value: T, least: T, most: T) -> Result<(), SettingsError> {
    if value < least || value > most {
        return Err(SettingsError::new(key, outside(value, least, most)));
    }
    Ok(())
}

/// That a value is not within its bounds.
pub(super) fn outside<T: std::fmt::Display>(value: T, least: T, most: T) -> Phrase {
    Message::SettingOutside.with([value, least, most].map(|number| number.to_string().into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::Language;

    #[test]
    fn defaults_are_valid() {
        Settings::default().validate().unwrap();
    }

    #[test]
    fn an_interface_named_twice_is_refused_by_its_key() {
        let tap = InterfaceSettings { name: "tap0".into(), ..Default::default() };
        let settings = Settings { interfaces: vec![tap.clone(), tap], ..Default::default() };
        assert_eq!(
            settings.validate().unwrap_err().phrase().text(Language::English),
            "capture.interfaces[1].name: tap0 is there twice"
        );
    }

    #[test]
    fn a_block_that_is_not_whole_pages_is_refused() {
        let settings = Settings { block_bytes: 5000, ..Default::default() };
        assert_eq!(settings.validate().unwrap_err().key, "block_bytes");
    }
}
