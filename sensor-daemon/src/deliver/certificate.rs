//! What the certificates on the way up say: until when they are valid, and whose key they carry.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{SHA256, digest};
use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{DigitallySignedStruct, Error, SignatureScheme};

use crate::metrics::subject::{Family, Reading, Subject};

/// Whose a certificate is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Owner {
    /// The sensor, which shows it to the other side.
    Own,
    /// The other side.
    Other,
}

impl Owner {
    pub(super) const ALL: [Self; 2] = [Self::Own, Self::Other];

    /// Its name, on the way to such a subject: `own`, or what the other side is.
    pub(super) const fn name(self, subject: Subject) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Other => subject.label(),
        }
    }
}

/// When the certificates that were seen last expire, in seconds since 1970. Copies of it are the same.
#[derive(Debug, Clone, Default)]
pub struct Expiry(Arc<[AtomicU64; 2]>);

impl PartialEq for Expiry {
    /// What was seen makes no settings another.
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Expiry {
    /// That of a certificate; none while none was seen.
    pub(super) fn of(&self, owner: Owner) -> Option<u64> {
        Some(self.0[owner as usize].load(Ordering::Relaxed)).filter(|seconds| *seconds > 0)
    }

    /// What metrics tell.
    pub(super) fn readings(&self, family: &'static Family) -> impl Iterator<Item = Reading> {
        let one = move |owner: Owner| {
            Some(Reading { family, label: owner.name(family.subject).to_owned(), value: self.of(owner)? })
        };
        Owner::ALL.into_iter().filter_map(one)
    }

    /// A certificate was seen.
    pub(super) fn saw(&self, owner: Owner, certificate: &CertificateDer<'_>) {
        if let Some(Certificate { not_after, .. }) = Certificate::read(certificate) {
            self.0[owner as usize].store(not_after, Ordering::Relaxed);
        }
    }
}

/// A fingerprint of a public key, as in settings: SHA-256 in base64. None where it is no such text.
pub(super) fn pin(text: &str) -> Option<[u8; 32]> {
    STANDARD.decode(text).ok()?.try_into().ok()
}

/// Verifies a sink's certificate as usual, holds its key against the pins, and remembers when it expires.
#[derive(Debug)]
pub(super) struct Verifier {
    pub(super) usual: Arc<WebPkiServerVerifier>,
    /// One of them, where there are any.
    pub(super) pins: Vec<[u8; 32]>,
    pub(super) expiry: Expiry,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        // One that has expired is told, too.
        self.expiry.saw(Owner::Other, certificate);
        let verified = self.usual.verify_server_cert(certificate, between, name, ocsp, now)?;
        let key = Certificate::read(certificate).map(|certificate| digest(&SHA256, certificate.key));
        let pinned = key.is_some_and(|key| self.pins.iter().any(|pin| pin[..] == *key.as_ref()));
        if pinned || self.pins.is_empty() {
            return Ok(verified);
        }
        let key = key.map_or_else(String::new, |key| STANDARD.encode(key));
        Err(Error::General(format!("the key of its certificate is none of the pins: {key}")))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.usual.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.usual.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.usual.supported_verify_schemes()
    }
}

/// The parts of a certificate (RFC 5280 §4.1) that are asked for here.
struct Certificate<'c> {
    /// Seconds since 1970.
    not_after: u64,
    /// The public key with its algorithm (`SubjectPublicKeyInfo`), as it is encoded.
    key: &'c [u8],
}

impl<'c> Certificate<'c> {
    fn read(mut der: &'c [u8]) -> Option<Self> {
        const VERSION: u8 = 0xa0;
        let mut signed = element(&mut der)?.inside;
        let mut rest = element(&mut signed)?.inside;
        // Version, where there is one; then number, algorithm, issuer.
        if rest.first() == Some(&VERSION) {
            element(&mut rest)?;
        }
        for _ in 0..3 {
            element(&mut rest)?;
        }
        let mut validity = element(&mut rest)?.inside;
        element(&mut validity)?;
        let not_after = time(element(&mut validity)?)?;
        let _subject = element(&mut rest)?;
        Some(Self { not_after, key: element(&mut rest)?.whole })
    }
}

/// An element of DER.
struct Element<'c> {
    tag: u8,
    inside: &'c [u8],
    /// With tag and length.
    whole: &'c [u8],
}

fn element<'c>(der: &mut &'c [u8]) -> Option<Element<'c>> {
    let [tag, first, ..] = **der else { return None };
    let (head, length) = match first {
        0..=0x7f => (2, usize::from(first)),
        // One to four bytes of length.
        0x81..=0x84 => {
            let count = usize::from(first & 0x7f);
            let bytes = der.get(2..2 + count)?;
            (2 + count, bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)))
        }
        _ => return None,
    };
    let whole = der.split_off(..head.checked_add(length)?)?;
    Some(Element { tag, inside: whole.get(head..)?, whole })
}

/// Seconds since 1970 of a time: `UTCTime` has two digits of the year, 1950 to 2049, `GeneralizedTime` four.
fn time(element: Element<'_>) -> Option<u64> {
    let text = std::str::from_utf8(element.inside).ok()?;
    let century = match element.tag {
        0x17 if text < "50" => "20",
        0x17 => "19",
        0x18 => "",
        _ => return None,
    };
    let text = format!("{century}{text}");
    let part = |range: std::ops::Range<usize>| text.get(range);
    let line = format!(
        "{}-{}-{}T{}:{}:{}.000000+0000",
        part(0..4)?,
        part(4..6)?,
        part(6..8)?,
        part(8..10)?,
        part(10..12)?,
        part(12..14)?
    );
    let time = crate::event::parse_time(&line)?;
    Some(time.0 / 1_000_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn issued(year: i32) -> (CertificateDer<'static>, rcgen::KeyPair) {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec!["soc.example".to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(year, 2, 3);
        (params.self_signed(&key).unwrap().der().clone(), key)
    }

    #[test]
    fn a_certificate_tells_its_end_and_its_key() {
        for (year, end) in [(2030, 1_896_307_200), (2001, 981_158_400), (2100, 4_105_296_000)] {
            let (certificate, key) = issued(year);
            let read = Certificate::read(&certificate).unwrap();
            assert_eq!(read.not_after, end);
            assert_eq!(read.key, rcgen::PublicKeyData::subject_public_key_info(&key));
            let expiry = Expiry::default();
            expiry.clone().saw(Owner::Other, &certificate);
            assert_eq!(Owner::ALL.map(|owner| expiry.of(owner)), [None, Some(end)]);
        }
    }

    #[test]
    fn what_is_cut_off_or_broken_tells_nothing() {
        let (certificate, _) = issued(2030);
        for length in 0..certificate.len() {
            assert!(Certificate::read(&certificate[..length]).is_none());
        }
        for at in 0..certificate.len() {
            let mut broken = certificate.to_vec();
            broken[at] ^= 0xff;
            let _ = Certificate::read(&broken);
        }
    }

    #[test]
    fn pins_are_of_32_bytes() {
        assert_eq!(pin("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="), Some([0; 32]));
        for wrong in ["", "AAAA", "sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="] {
            assert_eq!(pin(wrong), None, "{wrong}");
        }
    }
}
