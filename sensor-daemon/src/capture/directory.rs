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
/// An argument that does not exist, or a directory that cannot be read.
pub fn expand<P: AsRef<Path>>(arguments: &[P]) -> Result<Vec<PathBuf>, SourceError> {
    let mut captures = Vec::new();
    for argument in arguments {
        let argument = argument.as_ref();
        if fs::metadata(argument).map_err(|cause| open_error(argument, cause))?.is_dir() {
            descend(argument, &mut captures)?;
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
