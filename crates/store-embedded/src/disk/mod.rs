//! The file operations that the store uses, so that a simulated disk can stand in for the
//! real one.

mod real;
mod simulated;

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use real::RealDisk;
pub use simulated::{FaultMode, Operation, SimulatedDisk};

macro_rules! sync_points {
    (
        store { $($(#[$doc:meta])* $name:ident,)* }
        beside { $($(#[$other_doc:meta])* $other:ident,)* }
    ) => {
        /// Names each place where the store makes something durable, so that a test can leave
        /// out any one of them and see what is lost.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum SyncPoint {
            $($(#[$doc])* $name,)*
            $($(#[$other_doc])* $other,)*
        }

        impl SyncPoint {
            /// All of the store.
            pub const ALL: &[Self] = &[$(Self::$name,)*];
            /// Those of files that are kept beside the store.
            pub const BESIDE: &[Self] = &[$(Self::$other,)*];
        }
    };
}

sync_points! {
    store {
        /// The data directory's own name in its parent.
        DataDirectory,
        /// The name `keys`, before a key is kept there.
        KeysDirectory,
        /// A generated key's bytes, before its name.
        KeyFile,
        /// A generated key's name.
        KeyName,
        /// The names of keys found at start, before anything is signed with them.
        KeysFound,
        /// The names `log`, `tree`, `locations` and `keys`.
        Subdirectories,
        /// A new segment's header, before its name.
        SegmentHeader,
        /// A new segment's name, before the first batch in it.
        SegmentDirectory,
        /// A batch, before it is acknowledged.
        Batch,
        /// A segment's packed form, before it takes its place.
        PackedSegment,
        /// Tree hashes below a checkpoint, before that is kept.
        Tree,
        /// The names of the tree's files, likewise.
        TreeDirectory,
        /// Locations below a checkpoint, before that is kept.
        Locations,
        /// The names of the files of locations, likewise.
        LocationsDirectory,
        /// A checkpoint's bytes, before its name.
        CheckpointFile,
        /// A checkpoint's name, before it is shown.
        CheckpointDirectory,
        /// The names of the files found at start, before anything is added to them.
        StartDirectories,
        /// What is cut off at start, before it is taken from the log.
        CutFile,
        /// The name of the file it was saved to, likewise.
        CutDirectory,
        /// The log without what was cut off, before anything is added to it.
        Cut,
        /// The log without a batch that could not be written, before it is refused.
        TakeBack,
        /// What stands beyond the checkpoint, written again at start.
        Rewrite,
    }
    beside {
        /// The name `witnessed`, before a witness cosigns anything.
        WitnessedDirectory,
        /// A checkpoint that a witness is about to cosign, before its name.
        WitnessedFile,
        /// Its name, before the cosignature is sent.
        WitnessedName,
        /// A watermark, before its name.
        WatermarkFile,
        /// A watermark's name, before it is said to be kept.
        WatermarkName,
        /// What makes a directory a backup, before its name.
        BackupMarkerFile,
        /// Its name, before anything is copied; that it is gone, before a restore is done.
        BackupMarkerName,
        /// A backup's names, before its checkpoint.
        BackupNames,
        /// The part of a segment that was copied, before the next one and before the checkpoint.
        BackupSegment,
        /// Which segments are not worth packing, before its name.
        UnpackedFile,
        /// Its name.
        UnpackedName,
    }
}

/// An open file. Positions are explicit, so any number of readers share one.
#[expect(
    clippy::missing_errors_doc,
    reason = "they are those of the system call of that name"
)]
#[expect(clippy::len_without_is_empty, reason = "nobody asks")]
pub trait DiskFile: Send + Sync {
    /// Reads exactly `buffer.len()` bytes; `UnexpectedEof` if the file ends before.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
    /// Writes all bytes. After an error any part of them may have been written.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// The size in bytes.
    fn len(&self) -> io::Result<u64>;
    /// Cuts the file, or extends it with zeros.
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// Makes the content and the size durable. After an error nothing may be assumed of what
    /// was written since the last success, a later success included.
    fn sync_data(&self, point: SyncPoint) -> io::Result<()>;
    /// Whether the path still names this file: it was not moved, removed or replaced.
    fn is_at(&self, path: &Path) -> io::Result<bool>;
    /// Says that these bytes, whose ranges ascend, are read next, so that the disk is asked for all of them at once. A
    /// hint: reads answer the same without it.
    fn will_need(&self, _ranges: &[Range<u64>]) {}
    /// Lets go of what the system holds of it in memory and has written already, so that what is
    /// read next comes from the disk. A hint: a file system need not take it.
    fn forget_cached(&self) {}
    /// What is wrong with it that reading does not show, since it keeps something twice.
    fn flaw(&self) -> io::Result<Option<&'static str>> {
        Ok(None)
    }
    /// Whether it can only be read, and was synced whole before it got its name.
    fn is_fixed(&self) -> bool {
        false
    }
}

/// Holds a directory for this process until it is dropped.
#[expect(
    clippy::missing_errors_doc,
    reason = "they are those of the system call of that name"
)]
pub trait DirectoryLock: Send + Sync {
    /// Whether the file that was locked still has its name. Without it another process can take
    /// the directory too.
    fn is_in_place(&self) -> io::Result<bool>;
}

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// It must exist; it is only read.
    Read,
    /// It must exist.
    Write,
    /// It is made if it does not exist, readable by its owner alone.
    Create,
    /// It is made or emptied, readable by its owner alone.
    Replace,
}

/// The directory operations.
#[expect(
    clippy::missing_errors_doc,
    reason = "they are those of the system call of that name"
)]
pub trait Disk: Send + Sync + 'static {
    /// Opens a file. What is there and no regular file is an error, and never waited for.
    fn open(&self, path: &Path, mode: Mode) -> io::Result<Arc<dyn DiskFile>>;
    /// The names in a directory, sorted; `NotFound` if there is none.
    fn list(&self, directory: &Path) -> io::Result<Vec<String>>;
    /// The bytes that can still be written on the disk of a path, as far as it tells.
    fn free_bytes(&self, _path: &Path) -> io::Result<u64> {
        Ok(u64::MAX)
    }
    /// Makes a directory, for its owner alone; succeeds if it is there.
    fn create_directory(&self, path: &Path) -> io::Result<()>;
    /// Gives a file another name, replacing what has it.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in a directory durable.
    fn sync_directory(&self, path: &Path, point: SyncPoint) -> io::Result<()>;
    /// Where a library that opens files itself finds this path; nowhere on a disk that is not
    /// the system's.
    fn system_path(&self, _path: &Path) -> Option<PathBuf> {
        None
    }
    /// Takes the directory for this process until the answer is dropped; `WouldBlock` if
    /// another has it.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn DirectoryLock>>;
}

/// No checkpoint and no key is larger; a sparse file that claims to be would fill the memory.
const SMALL_FILE_MAX: u64 = 1 << 20;

/// The whole content of a small file; `None` if there is no such file.
///
/// # Errors
/// If it is there and cannot be read, or is longer than 1 MiB.
pub fn read_file(disk: &dyn Disk, path: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = match disk.open(path, Mode::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let len = file.len()?;
    if len > SMALL_FILE_MAX {
        let what = format!("it has {len} bytes, and none of its kind has over {SMALL_FILE_MAX}");
        return Err(io::Error::other(what));
    }
    let mut bytes = vec![0; len as usize];
    file.read_at(&mut bytes, 0)?;
    Ok(Some(bytes))
}

/// Whether a sync failed for want of a file handle, before anything was synced: nothing is lost, and
/// it may be tried again. No sync itself ends so.
pub(crate) fn was_not_begun(error: &io::Error) -> bool {
    // ENFILE and EMFILE.
    matches!(error.raw_os_error(), Some(23 | 24))
}

/// Whether a read failed because the disk does not give these bytes, though it may give others.
pub(crate) fn is_unreadable(error: &io::Error) -> bool {
    // EIO, ENODATA, EBADMSG, EILSEQ, EUCLEAN and EREMOTEIO: a bad sector, and what file systems say
    // of one whose checksum fails.
    matches!(error.raw_os_error(), Some(5 | 61 | 74 | 84 | 117 | 121))
}

/// How a replacement failed.
#[derive(Debug)]
pub enum ReplaceError {
    /// The old file or the new one stands; trying again is safe.
    Write(io::Error),
    /// A sync failed: nothing may be assumed of what was written.
    Sync(io::Error),
}

impl From<ReplaceError> for io::Error {
    fn from(error: ReplaceError) -> Self {
        match error {
            ReplaceError::Write(error) | ReplaceError::Sync(error) => error,
        }
    }
}

/// Replaces a file by another of this content. A crash leaves the old one or the new one,
/// whole, and perhaps a `.tmp` beside it that the next replacement overwrites.
///
/// # Errors
/// If it could not be replaced, or it is not known whether it is.
pub fn replace_file(
    disk: &dyn Disk,
    path: &Path,
    bytes: &[u8],
    content: SyncPoint,
    name: SyncPoint,
) -> Result<(), ReplaceError> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    let temporary = PathBuf::from(temporary);
    let file = disk
        .open(&temporary, Mode::Replace)
        .map_err(ReplaceError::Write)?;
    file.write_at(bytes, 0).map_err(ReplaceError::Write)?;
    file.sync_data(content).map_err(ReplaceError::Sync)?;
    disk.rename(&temporary, path).map_err(ReplaceError::Write)?;
    let directory = path.parent().unwrap_or(Path::new(""));
    disk.sync_directory(directory, name).map_err(|error| {
        if was_not_begun(&error) {
            ReplaceError::Write(error)
        } else {
            ReplaceError::Sync(error)
        }
    })
}
