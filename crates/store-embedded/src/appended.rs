//! A derived file of equal rows that grows at its end: written late, read at once.

use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use crate::disk::{Disk, DiskFile, Mode, SyncPoint};

/// Rows of `N` bytes in a file, the newest of them perhaps still in memory.
pub(crate) struct Appended<const N: usize> {
    path: PathBuf,
    state: RwLock<State<N>>,
}

struct State<const N: usize> {
    file: Option<Arc<dyn DiskFile>>,
    /// Rows that are in the file.
    written: u64,
    /// Rows that follow them.
    pending: Vec<[u8; N]>,
    /// Whether the file changed since its last sync.
    dirty: bool,
    /// Whether the file was made since its directory's last sync.
    unnamed: bool,
}

impl<const N: usize> Appended<N> {
    /// The rows of a file, which need not exist, up to `rows`. What is missing of them is
    /// told by [`Appended::len`]. With [`Mode::Read`] they can only be read.
    pub(crate) fn open(disk: &dyn Disk, path: PathBuf, rows: u64, mode: Mode) -> io::Result<Self> {
        let (file, present) = match disk.open(&path, mode) {
            Ok(file) => {
                let present = file.len()? / N as u64;
                (Some(file), present)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => (None, 0),
            Err(error) => return Err(error),
        };
        let state = State {
            file,
            written: present.min(rows),
            pending: Vec::new(),
            // What lies beyond is cut off by the first flush.
            dirty: present > rows,
            unnamed: false,
        };
        Ok(Self {
            path,
            state: RwLock::new(state),
        })
    }

    /// The number of rows.
    pub(crate) fn len(&self) -> u64 {
        let state = self.state();
        state.written + state.pending.len() as u64
    }

    /// How many rows are only in memory.
    pub(crate) fn pending(&self) -> usize {
        self.state().pending.len()
    }

    /// Adds rows at the end.
    pub(crate) fn push(&self, rows: impl IntoIterator<Item = [u8; N]>) {
        self.state_mut().pending.extend(rows);
    }

    /// Drops the rows from `rows` on.
    pub(crate) fn truncate(&self, rows: u64) {
        let mut state = self.state_mut();
        if rows >= state.written {
            let keep = usize::try_from(rows - state.written).unwrap_or(usize::MAX);
            state.pending.truncate(keep);
        } else {
            state.pending.clear();
            state.written = rows;
        }
        state.dirty = true;
    }

    /// Some rows; `UnexpectedEof` if there are fewer.
    pub(crate) fn read(&self, range: Range<u64>) -> io::Result<Vec<[u8; N]>> {
        let mut rows = Vec::new();
        let (file, in_file) = {
            let state = self.state();
            let split = range.end.min(state.written.max(range.start));
            let from = usize::try_from(split.saturating_sub(state.written)).unwrap_or(usize::MAX);
            let count = usize::try_from(range.end - split).unwrap_or(usize::MAX);
            if count > 0 {
                let pending = from
                    .checked_add(count)
                    .and_then(|to| state.pending.get(from..to))
                    .ok_or(io::ErrorKind::UnexpectedEof)?;
                rows.extend_from_slice(pending);
            }
            (state.file.clone(), range.start..split)
        };
        if in_file.is_empty() {
            return Ok(rows);
        }
        let file = file.ok_or(io::ErrorKind::UnexpectedEof)?;
        let count = usize::try_from(in_file.end - in_file.start).map_err(io::Error::other)?;
        let mut bytes = vec![0; count * N];
        file.read_at(&mut bytes, in_file.start * N as u64)?;
        let (read, _) = bytes.as_chunks::<N>();
        let mut all = read.to_vec();
        all.append(&mut rows);
        Ok(all)
    }

    /// Says which rows are read next.
    pub(crate) fn will_need(&self, ranges: impl IntoIterator<Item = Range<u64>>) {
        let (file, written) = {
            let state = self.state();
            (state.file.clone(), state.written)
        };
        if let Some(file) = file {
            let bytes =
                |range: Range<u64>| range.start * N as u64..range.end.min(written) * N as u64;
            file.will_need(&ranges.into_iter().map(bytes).collect::<Vec<_>>());
        }
    }

    /// Writes what is pending. On an error it stays pending.
    pub(crate) fn flush(&self, disk: &dyn Disk) -> io::Result<()> {
        let mut state = self.state_mut();
        let start = state.written * N as u64;
        if state.pending.is_empty() && !state.dirty {
            return Ok(());
        }
        let file = match &state.file {
            Some(file) => Arc::clone(file),
            None if state.pending.is_empty() => return Ok(()),
            None => {
                let file = disk.open(&self.path, Mode::Create)?;
                state.file = Some(Arc::clone(&file));
                state.unnamed = true;
                file
            }
        };
        state.dirty = true;
        if file.len()? > start {
            file.set_len(start)?;
        }
        if !state.pending.is_empty() {
            file.write_at(state.pending.as_flattened(), start)?;
            state.written += state.pending.len() as u64;
            state.pending.clear();
        }
        Ok(())
    }

    /// Makes what was flushed durable, the file's name excepted. On an error what was
    /// written since the last success may be lost for good.
    pub(crate) fn sync(&self, point: SyncPoint) -> io::Result<()> {
        let (file, dirty) = {
            let mut state = self.state_mut();
            (state.file.clone(), std::mem::take(&mut state.dirty))
        };
        match file {
            Some(file) if dirty => file.sync_data(point),
            _ => Ok(()),
        }
    }

    /// Whether the file's name is not durable yet.
    pub(crate) fn is_unnamed(&self) -> bool {
        self.state().unnamed
    }

    /// Its directory was synced.
    pub(crate) fn set_named(&self) {
        self.state_mut().unnamed = false;
    }

    fn state(&self) -> RwLockReadGuard<'_, State<N>> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn state_mut(&self) -> std::sync::RwLockWriteGuard<'_, State<N>> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}
