//! What tells a journal from every other: a random number made with it.

use std::fs::{self, File};
use std::hash::{BuildHasher as _, RandomState};
use std::io::{self, Write as _};
use std::path::Path;

use super::space::sync_directory;

/// Its file in the journal's directory.
const FILE: &str = "identity";

/// The identity of the journal in a directory, 16 hexadecimal digits; none where it has none.
pub fn identity_of(journal: &Path) -> io::Result<Option<String>> {
    match fs::read_to_string(journal.join(FILE)) {
        // A power cut may leave an empty file.
        Ok(text) => {
            Ok(Some(text.trim()).filter(|text| text.len() == 16 && text.bytes().all(is_digit)).map(str::to_owned))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_digit(byte: u8) -> bool {
    byte.is_ascii_hexdigit()
}

/// The same; it is made where there is none.
pub(super) fn of(journal: &Path) -> io::Result<String> {
    if let Some(identity) = identity_of(journal)? {
        return Ok(identity);
    }
    let path = journal.join(FILE);
    // The keys of the standard library's hash tables are random by design.
    let identity = format!("{:016x}", RandomState::new().hash_one(path.as_os_str()));
    if let Err(error) = save(&path, &identity) {
        // A full disk keeps no sensor from starting. Ids of this run are not those of the next one then.
        tracing::error!(%error, "the identity of the journal cannot be kept");
    }
    Ok(identity)
}

fn save(path: &Path, identity: &str) -> io::Result<()> {
    let mut file = File::create(path)?;
    writeln!(file, "{identity}")?;
    file.sync_all()?;
    sync_directory(path.parent().unwrap_or(Path::new(".")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_keeps_its_identity_and_no_other_has_it() {
        let [one, other] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let identity = of(one.path()).unwrap();
        assert_eq!(of(one.path()).unwrap(), identity);
        assert_ne!(of(other.path()).unwrap(), identity);
        fs::write(other.path().join("identity"), "").unwrap();
        assert_eq!(of(other.path()).unwrap().len(), 16);
    }
}
