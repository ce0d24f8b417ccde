//! The files that a command reads, which it must not write over.

use std::fs::{File, Metadata};
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::Failure;

/// Files by device and number, so that links to them are found as well.
#[derive(Debug, Default)]
pub(crate) struct Inputs(Vec<(u64, u64)>);

impl Inputs {
    /// An open file. What is no regular file, a pipe for instance, is not written over.
    pub(crate) fn add(&mut self, about: &Metadata) {
        if about.is_file() {
            self.0.push((about.dev(), about.ino()));
        }
    }

    /// A file that is opened later, if there is one.
    pub(crate) fn add_path(&mut self, path: &Path) {
        if let Ok(about) = std::fs::metadata(path) {
            self.add(&about);
        }
    }

    /// Standard input, which a shell may have opened a file for.
    pub(crate) fn add_stdin(&mut self) {
        let about = std::io::stdin().as_fd().try_clone_to_owned();
        if let Ok(about) = about.and_then(|stdin| File::from(stdin).metadata()) {
            self.add(&about);
        }
    }

    /// Refuses to write to a path that is one of the files.
    ///
    /// # Errors
    /// If it is, by whatever name or link.
    pub(crate) fn refuse(&self, option: &str, path: &Path) -> Result<(), Failure> {
        let there = std::fs::metadata(path);
        if there.is_ok_and(|there| self.0.contains(&(there.dev(), there.ino()))) {
            return Err(Failure::Usage(format!(
                "{} is a file that is read; give {option} another name",
                path.display()
            )));
        }
        Ok(())
    }
}
