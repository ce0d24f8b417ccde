//! The real disk, on Unix.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::num::NonZeroU64;
use std::ops::Range;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Advice, fadvise, statvfs};

use super::{DirectoryLock, Disk, DiskFile, Mode, SyncPoint};

/// The file system of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealDisk;

/// What the system reads at least.
const PAGE_BYTES: u64 = 4 << 10;

struct RealFile(File);

struct RealLock {
    file: File,
    path: PathBuf,
}

impl DirectoryLock for RealLock {
    fn is_in_place(&self) -> io::Result<bool> {
        names(&self.path, &self.file)
    }
}

/// Who says in LOCK that it has the directory.
fn holder(lock: &File) -> Option<u32> {
    let mut bytes = [0; 16];
    let read = lock.read_at(&mut bytes, 0).ok()?;
    let text = std::str::from_utf8(bytes.get(..read)?).ok()?;
    text.strip_suffix('\n')?.parse().ok()
}

/// Whether the path names this open file.
fn names(path: &Path, file: &File) -> io::Result<bool> {
    let there = match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        other => other?,
    };
    let ours = file.metadata()?;
    Ok((there.dev(), there.ino()) == (ours.dev(), ours.ino()))
}

/// Opening a pipe waits for somebody at its other end, and a device may do anything.
fn refuse_other_than_file(path: &Path) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(there) if there.is_dir() => Err(io::Error::new(
            io::ErrorKind::IsADirectory,
            "it is a directory, where a file has to be",
        )),
        Ok(there) if !there.is_file() => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is a pipe, socket or device, where a file has to be",
        )),
        // What is not there may be made, and opening it says best what else is wrong.
        _ => Ok(()),
    }
}

impl DiskFile for RealFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_exact_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self, _: SyncPoint) -> io::Result<()> {
        self.0.sync_data()
    }

    fn is_at(&self, path: &Path) -> io::Result<bool> {
        names(path, &self.0)
    }

    fn will_need(&self, ranges: &[Range<u64>]) {
        // One call for neighbours, which are in the same page or read by the same request.
        for near in ranges.chunk_by(|one, next| next.start.saturating_sub(one.end) < PAGE_BYTES) {
            let (start, end) = (near[0].start, near[near.len() - 1].end);
            if let Some(len) = NonZeroU64::new(end.saturating_sub(start)) {
                // A file system that does not take the hint is read without it.
                let _ = fadvise(&self.0, start, Some(len), Advice::WillNeed);
            }
        }
    }

    fn forget_cached(&self) {
        let _ = fadvise(&self.0, 0, None, Advice::DontNeed);
    }
}

impl Disk for RealDisk {
    fn system_path(&self, path: &Path) -> Option<PathBuf> {
        Some(path.to_owned())
    }

    fn open(&self, path: &Path, mode: Mode) -> io::Result<Arc<dyn DiskFile>> {
        refuse_other_than_file(path)?;
        let file = OpenOptions::new()
            .read(true)
            .write(mode != Mode::Read)
            .create(matches!(mode, Mode::Create | Mode::Replace))
            .truncate(mode == Mode::Replace)
            .mode(0o600)
            .open(path)?;
        Ok(Arc::new(RealFile(file)))
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(directory)? {
            // A name that is not Unicode is none of ours.
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        let told = statvfs(path)?;
        Ok(told.f_bavail.saturating_mul(told.f_frsize))
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        match DirBuilder::new().mode(0o700).create(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
            other => other,
        }
    }

    #[expect(clippy::disallowed_methods, reason = "this is the Disk")]
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_directory(&self, path: &Path, _: SyncPoint) -> io::Result<()> {
        let path = if path.as_os_str().is_empty() {
            Path::new(".")
        } else {
            path
        };
        File::open(path)?.sync_all()
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn DirectoryLock>> {
        refuse_other_than_file(path)?;
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)?;
        match file.try_lock() {
            Ok(()) => {
                // For who finds it locked. It says nothing that has to be true.
                let id = format!("{}\n", std::process::id());
                let told = file.write_all_at(id.as_bytes(), 0);
                let told = told.and_then(|()| file.set_len(id.len() as u64));
                if let Err(error) = told {
                    tracing::debug!(%error, "the process's id is not in LOCK");
                }
                Ok(Box::new(RealLock {
                    file,
                    path: path.to_owned(),
                }))
            }
            Err(TryLockError::WouldBlock) => Err(io::Error::new(
                io::ErrorKind::WouldBlock,
                holder(&file).map_or("another process".to_owned(), |id| format!("process {id}")),
            )),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}
