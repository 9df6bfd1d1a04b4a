//! What must not be shown: read from files, never part of the configuration.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::language::{Argument, Message};

/// Where systemd puts the credentials of a service.
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";

/// Longest secret that is read.
const LONGEST: usize = 64 << 10;

/// A token or password. It is read whenever it is needed, so a new one takes effect without a restart.
pub(super) struct Secret(String);

impl Secret {
    /// The first line of a file. A path that is not absolute is the name of a credential of systemd.
    pub(super) fn read(path: &Path) -> io::Result<Self> {
        let text = read(path)?;
        let line = text.lines().next().unwrap_or_default().trim().to_owned();
        match line.is_empty() || text.len() > LONGEST {
            true => Err(io::Error::other(format!("{}: no secret in it", path.display()))),
            false => Ok(Self(line)),
        }
    }

    /// The secret, for who sends it.
    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("***")
    }
}

/// What cannot work of the settings by which the sensor shows who it is: a user goes with a password, and without a token.
pub(super) fn problems(
    token: Option<&Path>,
    user: Option<&str>,
    password: Option<&Path>,
) -> Vec<(&'static str, Argument)> {
    let mut problems = Vec::new();
    if user.is_some() != password.is_some() {
        problems.push(("user", Message::ExportUserWithPassword.into()));
    }
    if token.is_some() && user.is_some() {
        problems.push(("token_file", Message::ExportTokenOrUser.into()));
    }
    problems
}

/// The text of a file of secrets or certificates; the path is in the error.
pub(super) fn read(path: &Path) -> io::Result<String> {
    let place = locate(path, std::env::var_os(CREDENTIALS).map(PathBuf::from));
    std::fs::read_to_string(&place)
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", place.display())))
}

fn locate(path: &Path, credentials: Option<PathBuf>) -> PathBuf {
    match credentials {
        Some(folder) if path.is_relative() => folder.join(path),
        _ => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_the_first_line_of_its_file_and_is_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        std::fs::write(&file, " s3cret \nmore\n").unwrap();
        let secret = Secret::read(&file).unwrap();
        assert_eq!((secret.reveal(), format!("{secret:?}").as_str()), ("s3cret", "***"));
        std::fs::write(&file, "\n").unwrap();
        assert!(Secret::read(&file).is_err());
        assert!(Secret::read(&folder.path().join("none")).unwrap_err().to_string().contains("none"));
    }

    #[test]
    fn a_relative_path_is_a_credential_where_there_are_any() {
        let credentials = || Some(PathBuf::from("/run/credentials/vigia"));
        assert_eq!(locate(Path::new("token"), credentials()), Path::new("/run/credentials/vigia/token"));
        assert_eq!(locate(Path::new("/etc/token"), credentials()), Path::new("/etc/token"));
        assert_eq!(locate(Path::new("token"), None), Path::new("token"));
    }
}
