//! A disk that can be full.
#![allow(unreachable_pub)] // Shared by tests, each a crate of its own.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A small disk of its own, in memory; it goes when this is dropped.
pub struct Disk(PathBuf);

impl Disk {
    pub fn mount(at: &Path) -> Option<Self> {
        fs::create_dir_all(at).unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=16m", "tmpfs"]).arg(at).status();
        if !mounted.is_ok_and(|status| status.success()) {
            println!("skipped: no tmpfs can be mounted");
            return None;
        }
        Some(Self(at.to_owned()))
    }

    /// Takes all room that is left.
    pub fn fill(&self) {
        let mut filler = File::create(self.0.join("filler")).unwrap();
        let mut block = vec![1; 1 << 16];
        while !block.is_empty() {
            if filler.write_all(&block).is_err() {
                block.truncate(block.len() / 2);
            }
        }
    }

    pub fn free(&self) {
        fs::remove_file(self.0.join("filler")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
