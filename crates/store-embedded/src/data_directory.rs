//! The data directory as a whole: taken by one process, with its generated keys.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::backup::{BackupMarker, BackupState, refuse_backup};
use crate::disk::{DirectoryLock, Disk, SyncPoint, read_file, replace_file};
use crate::layout::Layout;
use crate::moved::refuse_moved;
use crate::start_error::StartError;

/// A data directory that this process has to itself.
pub struct DataDirectory {
    disk: Arc<dyn Disk>,
    layout: Layout,
    lock: Box<dyn DirectoryLock>,
    /// Whether a log is being copied to here, which may have no checkpoint yet.
    copying: bool,
}

impl DataDirectory {
    /// Takes the directory, making it if it does not exist. Its parent has to exist.
    ///
    /// # Errors
    /// If another process has it, it cannot be made or written, it is a backup, or its log goes on
    /// elsewhere.
    pub fn open(disk: Arc<dyn Disk>, path: &Path) -> Result<Self, StartError> {
        let directory = Self::open_to_read(disk, path)?;
        refuse_moved(&*directory.disk, &directory.layout)?;
        Ok(directory)
    }

    /// The same, also if its log goes on elsewhere: for who signs nothing.
    ///
    /// # Errors
    /// If another process has it, it cannot be made or written, or it is a backup.
    pub fn open_to_read(disk: Arc<dyn Disk>, path: &Path) -> Result<Self, StartError> {
        let directory = Self::take(disk, path)?;
        refuse_backup(&*directory.disk, &directory.layout)?;
        Ok(directory)
    }

    /// Takes a directory that the log of this origin is to be copied to: one that is empty, but for
    /// keys perhaps, or has a log, or what an interrupted copy left. Nothing is said of it there
    /// before [`crate::begin_copy`].
    ///
    /// # Errors
    /// If another process has it, it cannot be made or written, or it has anything else.
    pub fn open_to_copy(
        disk: Arc<dyn Disk>,
        path: &Path,
        origin: &str,
    ) -> Result<Self, StartError> {
        let mut directory = Self::take(disk, path)?;
        let shown = path.display();
        match BackupMarker::read(&*directory.disk, path)? {
            Some(marker) if marker.state != BackupState::Copying => {
                refuse_backup(&*directory.disk, &directory.layout)?;
            }
            Some(marker) if marker.identity.origin != origin => {
                return Err(StartError::Refused(format!(
                    "{shown} holds an unfinished copy of another log, {}, and this is {origin}: \
                     choose another directory",
                    marker.identity.origin
                )));
            }
            Some(_) => directory.copying = true,
            None if directory.has_log()? => {}
            None => directory.check_nothing_else()?,
        }
        Ok(directory)
    }

    /// Nothing is copied to a directory with anything else in it.
    fn check_nothing_else(&self) -> Result<(), StartError> {
        const OURS: [&str; 9] = [
            "LOCK",
            "backup.tmp",
            "lost+found",
            "log",
            "tree",
            "locations",
            "index",
            "keys",
            "probe.tmp",
        ];
        let shown = self.path().display();
        let names = self.disk.list(self.path());
        let names = names.map_err(StartError::io(format!("{shown} cannot be read")))?;
        match names.iter().find(|name| !OURS.contains(&name.as_str())) {
            None => Ok(()),
            Some(other) => Err(StartError::Refused(format!(
                "{shown} is neither empty nor a data directory, it has {other}: choose another \
                 directory"
            ))),
        }
    }

    pub(crate) fn is_copying(&self) -> bool {
        self.copying
    }

    fn take(disk: Arc<dyn Disk>, path: &Path) -> Result<Self, StartError> {
        let layout = Layout::new(path);
        let shown = path.display();
        disk.create_directory(path)
            .map_err(|error| unusable(path, "cannot be made", error))?;
        let parent = path.parent().unwrap_or(Path::new(""));
        disk.sync_directory(parent, SyncPoint::DataDirectory)
            .map_err(StartError::io(format!(
                "the directory above {shown} cannot be synced"
            )))?;
        let lock = disk
            .lock(&layout.lock())
            .map_err(|error| match error.kind() {
                io::ErrorKind::WouldBlock => StartError::Refused(format!(
                    "{error} is using {shown}: stop it first, or choose another directory with \
                     --data"
                )),
                _ => unusable(path, "cannot be locked by its file LOCK", error),
            })?;
        Ok(Self {
            disk,
            layout,
            lock,
            copying: false,
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.layout.root()
    }

    /// Whether nobody else can take it.
    pub(crate) fn is_in_place(&self) -> io::Result<bool> {
        self.lock.is_in_place()
    }

    pub(crate) fn disk(&self) -> Arc<dyn Disk> {
        Arc::clone(&self.disk)
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// A key's bytes, durable; `None` if there is none of that name.
    ///
    /// # Errors
    /// If the file is there and cannot be read.
    pub fn read_key(&self, name: &str) -> Result<Option<Vec<u8>>, StartError> {
        let key = read_key(&*self.disk, self.path(), name)?;
        if key.is_some() {
            // The life that wrote it may have ended before its name was durable. What is
            // signed with it from now on must not outlive it.
            self.disk
                .sync_directory(&self.layout.keys(), SyncPoint::KeysFound)
                .map_err(StartError::io("the directory of the keys cannot be synced"))?;
        }
        Ok(key)
    }

    /// Keeps a key under that name, replacing one that was there. On `Ok` it is durable.
    ///
    /// # Errors
    /// If it cannot be written; nothing may be signed with it then.
    pub fn write_key(&self, name: &str, bytes: &[u8]) -> Result<(), StartError> {
        write_key(&*self.disk, self.path(), name, bytes)
    }

    /// Whether the directory holds a checkpoint or any segment: a log that was begun.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn has_log(&self) -> Result<bool, StartError> {
        let failed = || StartError::io(format!("{} cannot be read", self.path().display()));
        if read_file(&*self.disk, &self.layout.checkpoint())
            .map_err(failed())?
            .is_some()
        {
            return Ok(true);
        }
        match self.disk.list(&self.layout.log()) {
            Ok(names) => Ok(names.iter().any(|name| name.ends_with(".seg"))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(failed()(error)),
        }
    }
}

/// Why a data directory cannot be taken, with what to do where that is known.
fn unusable(path: &Path, what: &str, source: io::Error) -> StartError {
    let advice = match source.kind() {
        io::ErrorKind::NotFound => "; the directory above it has to exist",
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "; this user has to be able to write there, or choose another directory with --data"
        }
        _ => "",
    };
    StartError::Io {
        what: format!("the data directory {} {what}{advice}", path.display()),
        source,
    }
}

/// A key's bytes, from a directory that another process may be using.
///
/// # Errors
/// If the file is there and cannot be read.
pub fn read_key(disk: &dyn Disk, root: &Path, name: &str) -> Result<Option<Vec<u8>>, StartError> {
    let path: PathBuf = Layout::new(root).keys().join(name);
    read_file(disk, &path).map_err(StartError::io(format!(
        "the key {} cannot be read",
        path.display()
    )))
}

/// Keeps a key, as [`DataDirectory::write_key`] does, for the process that has the directory.
///
/// # Errors
/// If it cannot be written.
pub fn write_key(disk: &dyn Disk, root: &Path, name: &str, bytes: &[u8]) -> Result<(), StartError> {
    let failed = || StartError::io(format!("the key {name} cannot be kept"));
    let keys = Layout::new(root).keys();
    disk.create_directory(&keys).map_err(failed())?;
    disk.sync_directory(root, SyncPoint::KeysDirectory)
        .map_err(failed())?;
    replace_file(
        disk,
        &keys.join(name),
        bytes,
        SyncPoint::KeyFile,
        SyncPoint::KeyName,
    )
    .map_err(io::Error::from)
    .map_err(failed())
}
