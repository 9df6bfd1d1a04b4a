//! Which capture files the arguments of a command name.

use std::fs;
use std::path::{Path, PathBuf};

use super::SourceError;
use super::file::is_capture;

/// The capture files that `arguments` name: a file stands for itself, whatever it holds; a directory for all capture
/// files in and below it, recognised by their first bytes, in the order of their paths. Directories are not followed
/// through symbolic links.
///
/// # Errors
/// An argument that does not exist, a directory that cannot be read, or one without captures.
pub fn expand<P: AsRef<Path>>(arguments: &[P]) -> Result<Vec<PathBuf>, SourceError> {
    let mut captures = Vec::new();
    for argument in arguments {
        let argument = argument.as_ref();
        if fs::metadata(argument).map_err(|cause| open_error(argument, cause))?.is_dir() {
            let before = captures.len();
            descend(argument, &mut captures)?;
            if captures.len() == before {
                return Err(SourceError::NoCapture { name: argument.display().to_string() });
            }
        } else {
            captures.push(argument.to_path_buf());
        }
    }
    Ok(captures)
}

fn descend(directory: &Path, captures: &mut Vec<PathBuf>) -> Result<(), SourceError> {
    let entries: Result<Vec<_>, _> = fs::read_dir(directory).and_then(Iterator::collect);
    let mut entries = entries.map_err(|cause| open_error(directory, cause))?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        let kind = entry.file_type().map_err(|cause| open_error(&path, cause))?;
        if kind.is_dir() {
            descend(&path, captures)?;
        } else if path.is_file() && is_capture(&path) {
            captures.push(path);
        }
    }
    Ok(())
}

fn open_error(path: &Path, cause: std::io::Error) -> SourceError {
    SourceError::Open { name: path.display().to_string(), cause }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_stands_for_its_captures_in_the_order_of_their_paths() {
        let root = tempfile::tempdir().unwrap();
        let pcap: &[u8] = &[0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0];
        let pcapng: &[u8] = &[0x0a, 0x0d, 0x0d, 0x0a, 28, 0, 0, 0];
        let write = |name: &str, bytes: &[u8]| {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        };
        write("b/late.bin", pcap);
        write("b/deep/x", &zstd::encode_all(pcapng, 1).unwrap());
        write("a.pcap", pcap);
        write("notes.pcap", b"not a capture");
        write("empty.pcap", b"");
        std::os::unix::fs::symlink(root.path(), root.path().join("loop")).unwrap();

        let found = expand(&[root.path()]).unwrap();
        let names: Vec<_> = found.iter().map(|path| path.strip_prefix(root.path()).unwrap()).collect();
        assert_eq!(names, ["a.pcap", "b/deep/x", "b/late.bin"].map(Path::new));
    }

    #[test]
    fn a_directory_without_a_capture_is_an_error() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("notes.txt"), b"none here").unwrap();
        assert!(matches!(expand(&[root.path()]), Err(SourceError::NoCapture { .. })));
    }

    #[test]
    fn a_file_stands_for_itself_and_a_missing_one_is_an_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert_eq!(expand(&[file.path()]).unwrap(), [file.path()]);
        assert!(
            matches!(expand(&["/nowhere/at/all"]), Err(SourceError::Open { name, .. }) if name == "/nowhere/at/all")
        );
    }
}
