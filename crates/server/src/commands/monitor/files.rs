//! Files that are whole or not there, whenever the process or the machine stops.

use std::collections::BTreeSet;
use std::fs::{self, File, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use crate::Failure;

/// Directories whose names are not synced yet, at the most.
const UNSYNCED: usize = 64;

/// An error that names the file.
pub(super) fn unusable(path: &Path, error: &io::Error) -> Failure {
    Failure::Failed(format!("{}: {error}", path.display()))
}

/// A path with more at the end of its last name.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Keeps another monitor away until it is dropped.
pub(super) fn lock(path: &Path) -> Result<File, Failure> {
    let file = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(|error| unusable(path, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Failure::Failed(format!(
            "another monitor has {}; stop it, or name other files",
            path.display()
        ))),
        Err(TryLockError::Error(error)) => Err(unusable(path, &error)),
    }
}

/// All of a file that is not longer; `None` if there is none, or it is longer.
pub(super) fn read(path: &Path, limit: usize) -> io::Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    file.take(limit as u64 + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() <= limit).then_some(bytes))
}

/// Writes aside, syncs, and gives the file its name. The name is not synced.
#[expect(
    clippy::disallowed_methods,
    reason = "the file is no part of a data directory"
)]
fn put(aside: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(aside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(aside, path)
}

fn sync_names(directory: &Path) -> io::Result<()> {
    let here = directory.as_os_str().is_empty();
    File::open(if here { Path::new(".") } else { directory })?.sync_all()
}

/// Makes a directory, durably, if it is not there.
pub(super) fn make_directory(path: &Path) -> Result<(), Failure> {
    if path.is_dir() {
        return Ok(());
    }
    let made =
        fs::create_dir_all(path).and_then(|()| sync_names(path.parent().unwrap_or(Path::new(""))));
    made.map_err(|error| unusable(path, &error))
}

/// Replaces a file. It is durable when this has returned; before that the old one or the new
/// one is there.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let outcome = put(&beside(path, ".partial"), path, bytes)
        .and_then(|()| sync_names(path.parent().unwrap_or(Path::new(""))));
    outcome.map_err(|error| unusable(path, &error))
}

/// The files of a mirror.
pub(super) struct Files {
    root: PathBuf,
    unsynced: BTreeSet<PathBuf>,
    _lock: File,
}

impl Files {
    /// Makes the directory if need be.
    pub(super) fn open(root: &Path) -> Result<Self, Failure> {
        make_directory(root)?;
        Ok(Self {
            root: root.to_owned(),
            unsynced: BTreeSet::new(),
            _lock: lock(&root.join(".lock"))?,
        })
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Its content is durable at once, its name after [`Files::sync`].
    pub(super) fn write(&mut self, path: &str, bytes: &[u8]) -> Result<(), Failure> {
        let target = self.root.join(path);
        let outcome = self.place(&target).and_then(|()| {
            put(&self.root.join(".partial"), &target, bytes)?;
            if self.unsynced.len() > UNSYNCED {
                self.sync_all()?;
            }
            Ok(())
        });
        outcome.map_err(|error| unusable(&target, &error))
    }

    /// Makes the directories above a file; each of their names may be new.
    fn place(&mut self, target: &Path) -> io::Result<()> {
        let above = target.ancestors().skip(1);
        let directories = above.take_while(|path| path.starts_with(&self.root));
        self.unsynced.extend(directories.map(Path::to_owned));
        fs::create_dir_all(target.parent().unwrap_or(&self.root))
    }

    fn sync_all(&mut self) -> io::Result<()> {
        for directory in std::mem::take(&mut self.unsynced) {
            sync_names(&directory)?;
        }
        Ok(())
    }

    /// Everything written so far is durable under its name.
    pub(super) fn sync(&mut self) -> Result<(), Failure> {
        let outcome = self.sync_all();
        outcome.map_err(|error| unusable(&self.root, &error))
    }

    /// Removes a directory, if it is there.
    pub(super) fn remove(&self, path: &str) -> Result<(), Failure> {
        let path = self.root.join(path);
        match fs::remove_dir_all(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(unusable(&path, &error)),
            _ => Ok(()),
        }
    }
}
