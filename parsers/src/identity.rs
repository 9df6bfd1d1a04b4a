//! What a message tells of the devices themselves: facts for the inventory of assets.

use crate::field::Value;

/// Which end of the flow a fact is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum End {
    /// Who asks: HMI, master, publisher of a multicast.
    Client,
    /// Who answers: PLC, outstation.
    Server,
}

impl End {
    /// Its name in events.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
        }
    }
}

/// What is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FactKind {
    /// Who made the device.
    Vendor,
    /// Product or order code, model.
    Model,
    /// Serial number.
    Serial,
    /// Version of firmware or software.
    Firmware,
    /// Version of the application that a device runs, where it has one beside its firmware.
    Software,
    /// Version of the hardware.
    Hardware,
    /// What its owner calls the device: station, host or tag name.
    Name,
    /// What it is for: device class, function.
    Role,
    /// Where it stands.
    Location,
    /// Its number in the protocol, where that stays the same whatever network address it has: BACnet's device instance.
    Address,
}

impl FactKind {
    /// Its key in events.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Vendor => "vendor",
            Self::Model => "model",
            Self::Serial => "serial",
            Self::Firmware => "firmware",
            Self::Software => "software",
            Self::Hardware => "hardware",
            Self::Name => "name",
            Self::Role => "role",
            Self::Location => "location",
            Self::Address => "address",
        }
    }
}

/// A fact about a device, borrowed from the message.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fact<'a> {
    /// Whose it is.
    pub of: End,
    /// What is told.
    pub kind: FactKind,
    /// The value: text of any encoding as bytes, numbers as they are.
    pub value: Value<'a>,
}

/// Facts are handed to a visitor one by one.
pub type VisitFacts<'v> = dyn FnMut(Fact<'_>) + 'v;
