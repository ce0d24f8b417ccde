//! A file on a disk that cannot be read in places: those read as zeros, and are remembered.
//!
//! Who checks what it reads sees damage there, as wherever bytes were changed, and goes on behind it.

use std::collections::BTreeSet;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::disk::{DiskFile, SyncPoint, is_unreadable};

/// What is tried by itself where a read fails: the system reads, and gives up, whole pages.
const PIECE: u64 = 4 << 10;

pub(super) struct Salvaged {
    file: Arc<dyn DiskFile>,
    /// Numbers of pieces that could not be read. None is tried twice: each try may take a failing
    /// disk many seconds, and wears it.
    lost: Mutex<BTreeSet<u64>>,
}

impl Salvaged {
    pub(super) fn new(file: Arc<dyn DiskFile>) -> Self {
        let lost = Mutex::default();
        Self { file, lost }
    }

    fn lost(&self) -> MutexGuard<'_, BTreeSet<u64>> {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The parts of a range that could not be read, as far as they were asked for.
    pub(super) fn lost_in(&self, range: &Range<u64>) -> Vec<Range<u64>> {
        if range.is_empty() {
            return Vec::new();
        }
        let pieces = range.start / PIECE..range.end.div_ceil(PIECE);
        let lost = self.lost();
        let parts = lost.range(pieces).map(|piece| {
            let (start, end) = (piece * PIECE, (piece + 1) * PIECE);
            start.max(range.start)..end.min(range.end)
        });
        parts.collect()
    }

    /// How many of so many bytes could not be read.
    pub(super) fn lost_bytes(&self, len: u64) -> u64 {
        let lost = self.lost_in(&(0..len));
        lost.iter().map(|part| part.end - part.start).sum()
    }

    fn read_pieces(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let mut filled = 0;
        while filled < buffer.len() {
            let at = offset + filled as u64;
            let piece = at / PIECE;
            let count = ((piece + 1) * PIECE - at).min((buffer.len() - filled) as u64) as usize;
            let part = &mut buffer[filled..filled + count];
            let known = self.lost().contains(&piece);
            let read = match known {
                true => None,
                false => Some(self.file.read_at(part, at)),
            };
            match read {
                Some(Ok(())) => {}
                Some(Err(error)) if !is_unreadable(&error) => return Err(error),
                Some(Err(_)) | None => {
                    part.fill(0);
                    self.lost().insert(piece);
                }
            }
            filled += count;
        }
        Ok(())
    }
}

impl DiskFile for Salvaged {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let end = offset.saturating_add(buffer.len() as u64);
        if self.lost_in(&(offset..end)).is_empty() {
            match self.file.read_at(buffer, offset) {
                Err(error) if is_unreadable(&error) => {}
                other => return other,
            }
        }
        self.read_pieces(buffer, offset)
    }

    fn write_at(&self, _: &[u8], _: u64) -> io::Result<()> {
        Err(io::Error::other("what is copied is not written to"))
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn set_len(&self, _: u64) -> io::Result<()> {
        Err(io::Error::other("what is copied is not cut"))
    }

    fn sync_data(&self, point: SyncPoint) -> io::Result<()> {
        self.file.sync_data(point)
    }

    fn is_at(&self, path: &Path) -> io::Result<bool> {
        self.file.is_at(path)
    }

    fn will_need(&self, ranges: &[Range<u64>]) {
        self.file.will_need(ranges);
    }
}
