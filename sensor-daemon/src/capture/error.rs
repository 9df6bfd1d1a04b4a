//! Why a source gives no (more) frames, as a sentence that waits for its language.

use std::{fmt, io};

use super::SettingsError;
use crate::language::{Language, Message, Phrase};

/// Why a source gives no (more) frames. Offsets count uncompressed bytes from the beginning of the capture.
#[derive(Debug)]
pub enum SourceError {
    /// A file or directory cannot be opened.
    Open {
        /// File or directory.
        name: String,
        /// The system's word.
        cause: io::Error,
    },
    /// Reading or decompressing failed.
    Read {
        /// File.
        name: String,
        /// Uncompressed bytes read up to there.
        offset: u64,
        /// The system's or the decompressor's word.
        cause: io::Error,
    },
    /// Neither pcap nor pcapng.
    NotACapture {
        /// File.
        name: String,
        /// What its first bytes are instead.
        found: Phrase,
    },
    /// A directory without a capture in or below it.
    NoCapture {
        /// Directory.
        name: String,
    },
    /// No frame of the file has a link type that Vigía decodes.
    UnsupportedLink {
        /// File or interface.
        name: String,
        /// LINKTYPE of a file, ARPHRD of an interface.
        number: u32,
        /// Its usual name.
        known_as: Phrase,
    },
    /// The file ends within a record.
    Truncated {
        /// File.
        name: String,
        /// Where the record begins.
        offset: u64,
        /// Bytes it needs, as far as known.
        needed: usize,
        /// Bytes that are there.
        available: usize,
    },
    /// What stands in the file makes no sense.
    Corrupt {
        /// File.
        name: String,
        /// Where the record begins.
        offset: u64,
        /// What is wrong with it.
        what: Phrase,
    },
    /// A live interface cannot be captured on.
    Live {
        /// Interface.
        name: String,
        /// What was tried.
        what: Message,
        /// The system's word.
        cause: io::Error,
    },
    /// The settings name no live interface.
    NoInterfaces,
    /// A live interface that does not exist.
    NoInterface {
        /// Interface.
        name: String,
        /// Those that exist.
        existing: String,
    },
    /// Settings that cannot work.
    Settings(SettingsError),
    /// None of the ways to capture that would do works on an interface.
    NoWay {
        /// Each way, and why not.
        reasons: Phrase,
    },
}

impl SourceError {
    /// The error as a sentence.
    pub fn phrase(&self) -> Phrase {
        match self {
            Self::Open { name, cause } => Message::Colon.with([name.as_str().into(), cause.to_string().into()]),
            Self::Read { name, offset, cause } => {
                Message::FaultRead.with([name.as_str().into(), offset.to_string().into(), cause.to_string().into()])
            }
            Self::NotACapture { name, found } => {
                Message::FaultNotACapture.with([name.as_str().into(), found.clone().into()])
            }
            Self::NoCapture { name } => Message::FaultNoCapture.with([name.as_str().into()]),
            Self::UnsupportedLink { name, number, known_as } => {
                Message::FaultLink.with([name.as_str().into(), number.to_string().into(), known_as.clone().into()])
            }
            Self::Truncated { name, offset, needed, available } => Message::FaultTruncated.with([
                name.as_str().into(),
                offset.to_string().into(),
                (*needed).into(),
                (*available).into(),
            ]),
            Self::Corrupt { name, offset, what } => {
                Message::FaultCorrupt.with([name.as_str().into(), offset.to_string().into(), what.clone().into()])
            }
            Self::Live { name, .. } => Message::Colon.with([name.as_str().into(), self.reason().into()]),
            Self::NoInterfaces => Message::NoInterface.into(),
            Self::NoInterface { name, existing } => {
                Message::FaultNoInterface.with([name.as_str().into(), existing.as_str().into()])
            }
            Self::Settings(error) => error.phrase(),
            Self::NoWay { reasons } => reasons.clone(),
        }
    }

    /// What it says of a live interface, without the interface's name.
    pub(super) fn reason(&self) -> Phrase {
        match self {
            Self::Live { what, cause, .. } => Message::Colon.with([(*what).into(), cause.to_string().into()]),
            other => other.phrase(),
        }
    }

    /// The error in the language of whom it is told.
    pub fn told(&self, language: Language) -> anyhow::Error {
        anyhow::Error::msg(self.phrase().text(language))
    }
}

impl From<SettingsError> for SourceError {
    fn from(error: SettingsError) -> Self {
        Self::Settings(error)
    }
}

/// In English, as logs are.
impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.phrase().text(Language::English))
    }
}

impl std::error::Error for SourceError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_told_in_both_languages_and_its_cause_once() {
        let name = "a.pcap".to_owned();
        let fault = SourceError::Truncated { name: name.clone(), offset: 24, needed: 82, available: 7 };
        let spanish = "a.pcap: cortado en el registro del byte 24 (sin comprimir): hacen falta 82 bytes y hay 7";
        assert_eq!(fault.phrase().text(Language::Spanish), spanish);
        assert_eq!(format!("{:#}", fault.told(Language::Spanish)), spanish);
        let absent = SourceError::Open { name, cause: io::ErrorKind::NotFound.into() };
        assert_eq!(format!("{:#}", anyhow::Error::from(absent)), "a.pcap: entity not found");
    }
}
