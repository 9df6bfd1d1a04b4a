//! The journal's own pair of keys, ed25519.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::rand::SystemRandom;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use sha2::{Digest as _, Sha256};

use crate::journal::space::sync_directory;

const PRIVATE: &str = "key";
const PUBLIC: &str = "public.pem";

/// What stands before the 32 bytes of an ed25519 key in a SubjectPublicKeyInfo (RFC 8410 section 4).
const SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// The private key.
pub(super) struct Key(Ed25519KeyPair);

impl Key {
    /// The key in the folder of the chains; none where there is none.
    pub(super) fn load(folder: &Path) -> io::Result<Option<Self>> {
        let path = folder.join(PRIVATE);
        let document = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            read => read?,
        };
        if fs::metadata(&path)?.permissions().mode() & 0o077 != 0 {
            tracing::warn!(file = %path.display(), "others than its owner may read the journal's private key");
        }
        let key = Self::of(&document).map_err(|error| io::Error::other(format!("{}: {error}", path.display())))?;
        Ok(Some(key))
    }

    fn of(document: &[u8]) -> io::Result<Self> {
        let wrong = |error| io::Error::new(io::ErrorKind::InvalidData, format!("no ed25519 key: {error}"));
        Ed25519KeyPair::from_pkcs8(document).map(Self).map_err(wrong)
    }

    /// A new key, and the document to keep it as.
    pub(super) fn make() -> io::Result<(Self, Vec<u8>)> {
        let failed = |_| io::Error::other("the system gives no random numbers for a key");
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(failed)?.as_ref().to_vec();
        Ok((Self::of(&document)?, document))
    }

    /// Keeps a key's document.
    pub(super) fn keep(folder: &Path, document: &[u8]) -> io::Result<()> {
        save(folder, PRIVATE, 0o600, document)
    }

    /// Puts the public key beside it, where it does not stand there.
    pub(super) fn publish(&self, folder: &Path) -> io::Result<()> {
        let public = self.public().to_pem();
        match fs::read_to_string(folder.join(PUBLIC)) {
            Ok(there) if there == public => Ok(()),
            _ => save(folder, PUBLIC, 0o644, public.as_bytes()),
        }
    }

    /// The signature of a text, in base64.
    pub(super) fn sign(&self, text: &str) -> String {
        BASE64.encode(self.0.sign(text.as_bytes()))
    }

    pub(super) fn public(&self) -> PublicKey {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(self.0.public_key().as_ref());
        PublicKey(bytes)
    }
}

/// Puts a file into a folder so that a crash leaves the new one or what was there.
pub(super) fn save(folder: &Path, name: &str, mode: u32, bytes: &[u8]) -> io::Result<()> {
    let unfinished = folder.join(format!("{name}.tmp"));
    match fs::remove_file(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = File::options().write(true).create_new(true).mode(mode).open(&unfinished)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&unfinished, folder.join(name))?;
    sync_directory(folder)
}

/// The public key of a journal, with which its statements are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// The one that stands in a journal's directory.
    pub fn of_journal(journal: &Path) -> io::Result<Self> {
        Self::read(&super::folder(journal).join(PUBLIC))
    }

    /// The one in a PEM file.
    pub fn read(path: &Path) -> io::Result<Self> {
        let told = |reason: String| format!("{}: {reason}", path.display());
        let text = fs::read_to_string(path).map_err(|error| io::Error::new(error.kind(), told(error.to_string())))?;
        let wrong = || io::Error::new(io::ErrorKind::InvalidData, told("no ed25519 public key in PEM".to_owned()));
        Self::of_pem(&text).ok_or_else(wrong)
    }

    fn of_pem(text: &str) -> Option<Self> {
        let body = text.trim().strip_prefix("-----BEGIN PUBLIC KEY-----")?.strip_suffix("-----END PUBLIC KEY-----")?;
        let document = BASE64.decode(body.split_whitespace().collect::<String>()).ok()?;
        document.strip_prefix(&SPKI)?.try_into().ok().map(Self)
    }

    fn document(&self) -> Vec<u8> {
        [SPKI.as_slice(), &self.0].concat()
    }

    /// As PEM, as OpenSSL reads it.
    pub fn to_pem(&self) -> String {
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", BASE64.encode(self.document()))
    }

    /// SHA-256 of the key in DER, to compare two keys by eye.
    pub fn fingerprint(&self) -> String {
        format!("{:x}", Sha256::digest(self.document()))
    }

    /// Is this the signature, in base64, of a text?
    pub(super) fn verifies(&self, text: &str, signature: &str) -> bool {
        let Ok(signature) = BASE64.decode(signature) else { return false };
        UnparsedPublicKey::new(&ED25519, self.0).verify(text.as_bytes(), &signature).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_its_owners_and_signs_what_its_public_half_verifies() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Key::load(folder.path()).unwrap().is_none());
        let (key, document) = Key::make().unwrap();
        Key::keep(folder.path(), &document).unwrap();
        key.publish(folder.path()).unwrap();
        assert_eq!(fs::metadata(folder.path().join(PRIVATE)).unwrap().permissions().mode() & 0o777, 0o600);
        let signature = Key::load(folder.path()).unwrap().unwrap().sign("a statement");
        assert_eq!(signature, key.sign("a statement"), "no chance is in a signature");
        let public = PublicKey::read(&folder.path().join(PUBLIC)).unwrap();
        assert_eq!(public, key.public());
        assert!(public.verifies("a statement", &signature));
        assert!(!public.verifies("another", &signature));
        assert!(!public.verifies("a statement", "no base64!"));
        assert!(!Key::make().unwrap().0.public().verifies("a statement", &signature));
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(PRIVATE), "no key").unwrap();
        assert!(Key::load(folder.path()).is_err());
        for wrong in ["", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"] {
            assert_eq!(PublicKey::of_pem(wrong), None);
        }
    }
}
