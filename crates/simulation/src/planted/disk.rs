//! A disk whose failed syncs are tried again.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use audittrail_store_embedded::disk::{
    DirectoryLock, Disk, DiskFile, Mode, SimulatedDisk, SyncPoint,
};

pub(super) struct RepeatedSync(pub(super) SimulatedDisk);

struct File(Arc<dyn DiskFile>);

impl DiskFile for File {
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

impl Disk for RepeatedSync {
    fn open(&self, path: &Path, mode: Mode) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(File(self.0.open(path, mode)?)))
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        self.0.list(directory)
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        self.0.create_directory(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.0.remove(path)
    }

    fn sync_directory(&self, path: &Path, point: SyncPoint) -> io::Result<()> {
        self.0.sync_directory(path, point)
    }

    fn system_path(&self, path: &Path) -> Option<PathBuf> {
        self.0.system_path(path)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn DirectoryLock>> {
        self.0.lock(path)
    }
}
