//! A disk on which one thing goes wrong.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use audittrail_store_embedded::disk::{
    DirectoryLock, Disk, DiskFile, Mode, SimulatedDisk, SyncPoint,
};

use super::Planted;

pub(super) struct Wrong {
    pub(super) disk: SimulatedDisk,
    pub(super) what: Planted,
}

/// A file whose failed syncs are tried again.
struct Retried(Arc<dyn DiskFile>);

impl Wrong {
    /// Changes a byte of the first block of what was packed, after it was compared.
    fn change_block(&self, path: &Path) -> io::Result<()> {
        const AT: u64 = 40;
        let (file, mut byte) = (self.disk.open(path, Mode::Write)?, [0]);
        file.read_at(&mut byte, AT)?;
        file.write_at(&[byte[0] ^ 1], AT)
    }
}

impl DiskFile for Retried {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_at(bytes, offset)
    }

    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self, point: SyncPoint) -> io::Result<()> {
        let first = self.0.sync_data(point);
        first.or_else(|_| self.0.sync_data(point))
    }

    fn is_at(&self, path: &Path) -> io::Result<bool> {
        self.0.is_at(path)
    }
}

impl Disk for Wrong {
    fn open(&self, path: &Path, mode: Mode) -> io::Result<Arc<dyn DiskFile>> {
        let file = self.disk.open(path, mode)?;
        Ok(match self.what {
            Planted::RepeatedSync => Arc::new(Retried(file)),
            _ => file,
        })
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        self.disk.list(directory)
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        self.disk.create_directory(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        if self.what == Planted::WrongBlock && from.ends_with("pack.seg.tmp") {
            self.change_block(from)?;
        }
        self.disk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.disk.remove(path)
    }

    fn sync_directory(&self, path: &Path, point: SyncPoint) -> io::Result<()> {
        self.disk.sync_directory(path, point)
    }

    fn system_path(&self, path: &Path) -> Option<PathBuf> {
        self.disk.system_path(path)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn DirectoryLock>> {
        self.disk.lock(path)
    }
}
