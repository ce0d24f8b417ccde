//! The segments of a log, and reading records out of them.

use std::io;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use audittrail_entry::Record;
use audittrail_merkle::{Hash, leaf_hash};
use audittrail_store::{Damage, Stored};
use lru::LruCache;

use crate::disk::{Disk, DiskFile, Mode};
use crate::format::{
    FrameError, RECORD_MIN, RecordFrame, decode_open_part, decode_record, open_len,
};
use crate::layout::Layout;
use crate::locations::{Location, Locations};
use crate::packed::open_segment;

/// Closed segments kept open: two file handles each.
const OPEN_SEGMENTS: NonZeroUsize = NonZeroUsize::new(64).unwrap();
/// The most bytes that are read together.
const READ_BYTES: u64 = 1 << 20;
/// The most bytes between two records that are read together: a batch's header, or a record that
/// nobody asked for and costs less than another read.
const GAP_BYTES: u64 = 4 << 10;

/// What was read, by index.
type Read<T> = Vec<(u64, Result<T, Damage>)>;
/// An index, and where its record is if that can be told.
type Row = (u64, Option<Location>);
type Decode<'d, T> = &'d dyn Fn(u64, &[u8]) -> Result<T, FrameError>;

/// One segment, open.
pub(crate) struct Segment {
    pub(crate) first_index: u64,
    pub(crate) path: PathBuf,
    pub(crate) log: Arc<dyn DiskFile>,
    pub(crate) locations: Locations,
}

impl Segment {
    /// Opens a segment whose last record is the one before `end`.
    pub(crate) fn open(
        disk: &dyn Disk,
        layout: &Layout,
        first_index: u64,
        end: u64,
        mode: Mode,
    ) -> io::Result<Self> {
        let path = layout.segment(first_index);
        Ok(Self {
            first_index,
            log: open_segment(disk, &path, mode)?,
            locations: Locations::open(disk, layout, first_index, end, mode)?,
            path,
        })
    }

    fn damage(&self, offset: u64, what: &dyn std::fmt::Display) -> Damage {
        let name = self
            .path
            .file_name()
            .map(|name| name.to_string_lossy())
            .unwrap_or_default();
        Damage(format!("log/{name} at offset {offset}: {what}"))
    }

    /// Reads records of this segment as `decode` does, which is given index and bytes of each;
    /// what cannot be read is a [`Damage`].
    fn read<T>(
        &self,
        range: Range<u64>,
        decode: Decode<'_, T>,
        into: &mut Read<T>,
    ) -> io::Result<()> {
        let locations = self.locations.read(range.clone())?;
        self.read_rows(range.zip(locations), decode, into);
        Ok(())
    }

    /// The places of the records of these indices, which ascend.
    fn rows(&self, indices: &[u64]) -> io::Result<Vec<Row>> {
        let mut rows = Vec::with_capacity(indices.len());
        for run in indices.chunk_by(|one, next| one + 1 == *next) {
            let range = run[0]..run[0] + run.len() as u64;
            rows.extend(range.clone().zip(self.locations.read(range)?));
        }
        Ok(rows)
    }

    fn read_rows<T>(
        &self,
        rows: impl IntoIterator<Item = Row>,
        decode: Decode<'_, T>,
        into: &mut Read<T>,
    ) {
        let mut rows = rows.into_iter().peekable();
        let mut buffer = Vec::new();
        while let Some((index, location)) = rows.next() {
            let Some(location) = location.filter(Location::is_known) else {
                let damage = self.damage(0, &"the record's place is not known");
                into.push((index, Err(damage)));
                continue;
            };
            // Neighbours are read together as long as their places make sense.
            let mut together = vec![(index, location)];
            let mut end = location.offset.saturating_add(u64::from(location.len));
            while let Some((next, Some(row))) = rows.peek().copied() {
                let row_end = row.offset.saturating_add(u64::from(row.len));
                let near = row.is_known()
                    && row.offset >= end
                    && row.offset - end <= GAP_BYTES
                    && row_end - location.offset <= READ_BYTES;
                if !near {
                    break;
                }
                together.push((next, row));
                end = row_end;
                rows.next();
            }
            self.read_together(&together, end, decode, &mut buffer, into);
        }
    }

    /// Each for itself, so that what is wrong with one does not keep the others from being read.
    fn read_alone<T>(
        &self,
        records: &[(u64, Location)],
        decode: Decode<'_, T>,
        buffer: &mut Vec<u8>,
        into: &mut Read<T>,
    ) {
        for record in records {
            let end = record.1.offset.saturating_add(u64::from(record.1.len));
            self.read_together(std::slice::from_ref(record), end, decode, buffer, into);
        }
    }

    fn read_together<T>(
        &self,
        records: &[(u64, Location)],
        end: u64,
        decode: Decode<'_, T>,
        buffer: &mut Vec<u8>,
        into: &mut Read<T>,
    ) {
        let start = records[0].1.offset;
        let whole = self.log.len().is_ok_and(|len| end <= len);
        if records.len() > 1 && !whole {
            // One of them lies beyond the file.
            self.read_alone(records, decode, buffer, into);
            return;
        }
        let outcome = if whole {
            buffer.resize((end - start) as usize, 0);
            self.log.read_at(buffer, start)
        } else {
            Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the file ends before the record does",
            ))
        };
        if records.len() > 1 && outcome.is_err() {
            // The disk does not give some of it.
            self.read_alone(records, decode, buffer, into);
            return;
        }
        for (index, location) in records {
            let record = match &outcome {
                Err(error) => Err(self.damage(location.offset, error)),
                Ok(()) => {
                    let from = (location.offset - start) as usize;
                    let bytes = &buffer[from..from + location.len as usize];
                    decode(*index, bytes).map_err(|e| self.damage(location.offset, &e))
                }
            };
            into.push((*index, record));
        }
    }
}

/// All segments of a log.
pub(crate) struct Segments {
    disk: Arc<dyn Disk>,
    layout: Layout,
    /// The first index of each, in order.
    first_indices: RwLock<Vec<u64>>,
    /// Those with locations that are only in memory, the active one last.
    recent: RwLock<Vec<Arc<Segment>>>,
    closed: Mutex<Closed>,
}

/// Closed segments that are open.
struct Closed {
    segments: LruCache<u64, Arc<Segment>>,
    /// How often one was forgotten: what was opened before that is not kept.
    forgotten: u64,
}

impl Segments {
    pub(crate) fn new(disk: Arc<dyn Disk>, layout: Layout, closed: Vec<u64>) -> Self {
        Self {
            disk,
            layout,
            first_indices: RwLock::new(closed),
            recent: RwLock::default(),
            closed: Mutex::new(Closed {
                segments: LruCache::new(OPEN_SEGMENTS),
                forgotten: 0,
            }),
        }
    }

    /// Adds the newest segment.
    pub(crate) fn push(&self, segment: Arc<Segment>) {
        let mut first_indices = write(&self.first_indices);
        if first_indices.last() != Some(&segment.first_index) {
            first_indices.push(segment.first_index);
        }
        // Who read it before, as a start does that makes the tree anew, has not seen what it gets now.
        self.forget(segment.first_index);
        write(&self.recent).push(segment);
    }

    pub(crate) fn recent(&self) -> Vec<Arc<Segment>> {
        read(&self.recent).clone()
    }

    /// Everything in memory is on disk: only the active segment stays pinned.
    pub(crate) fn settle(&self) {
        let mut recent = write(&self.recent);
        let active = recent.pop();
        recent.clear();
        recent.extend(active);
    }

    /// The first index of the first segment at or after index `from` that is closed and ends at or
    /// below `below`, nothing of it only in memory.
    pub(crate) fn next_closed(&self, from: u64, below: u64) -> Option<u64> {
        let first_indices = read(&self.first_indices);
        let at = first_indices.partition_point(|first| *first < from);
        let first = *first_indices.get(at)?;
        let ends = first_indices.get(at + 1).is_some_and(|end| *end <= below);
        drop(first_indices);
        let in_memory = read(&self.recent)
            .iter()
            .any(|one| one.first_index == first);
        (ends && !in_memory).then_some(first)
    }

    /// Its files changed: who reads it next opens them anew.
    pub(crate) fn forget(&self, first_index: u64) {
        let mut closed = self.closed();
        closed.segments.pop(&first_index);
        closed.forgotten += 1;
    }

    fn closed(&self) -> MutexGuard<'_, Closed> {
        self.closed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The segment that holds `index`, and the index after its last record, which for the
    /// active one is `u64::MAX`.
    fn holding(&self, index: u64) -> io::Result<(Arc<Segment>, u64)> {
        // Held until the recent ones were looked at: what they are follows from these.
        let first_indices = read(&self.first_indices);
        let (first, end) = {
            let after = first_indices.partition_point(|first| *first <= index);
            let first = after
                .checked_sub(1)
                .and_then(|at| first_indices.get(at).copied());
            let end = first_indices.get(after).copied().unwrap_or(u64::MAX);
            (first.ok_or(io::ErrorKind::NotFound)?, end)
        };
        if let Some(segment) = read(&self.recent)
            .iter()
            .find(|one| one.first_index == first)
        {
            return Ok((Arc::clone(segment), end));
        }
        drop(first_indices);
        let forgotten = {
            let mut closed = self.closed();
            if let Some(segment) = closed.segments.get(&first) {
                return Ok((Arc::clone(segment), end));
            }
            closed.forgotten
        };
        // Without the lock, since the disk may take its time: who reads another segment does not wait.
        let segment = Segment::open(&*self.disk, &self.layout, first, end, Mode::Read)?;
        let segment = Arc::new(segment);
        let mut closed = self.closed();
        if let Some(other) = closed.segments.get(&first) {
            return Ok((Arc::clone(other), end));
        }
        if closed.forgotten == forgotten {
            closed.segments.put(first, Arc::clone(&segment));
        }
        Ok((segment, end))
    }

    fn read_with<T>(&self, range: Range<u64>, decode: Decode<'_, T>) -> io::Result<Read<T>> {
        let mut read = Vec::new();
        let mut next = range.start;
        while next < range.end {
            let (segment, end) = self.holding(next)?;
            let end = end.min(range.end);
            segment.read(next..end, decode, &mut read)?;
            next = end;
        }
        Ok(read)
    }

    /// Reads the records of these indices, which ascend and are below the head. The disk is asked
    /// for all of them before the first is read.
    pub(crate) fn read_each(&self, indices: &[u64]) -> io::Result<Vec<Stored>> {
        let mut parts = Vec::new();
        let mut rest = indices;
        while let Some(first) = rest.first() {
            let (segment, end) = self.holding(*first)?;
            let (here, after) = rest.split_at(rest.partition_point(|index| *index < end));
            parts.push((segment, here));
            rest = after;
        }
        for (segment, here) in &parts {
            segment.locations.will_need(here);
        }
        let mut placed = Vec::with_capacity(parts.len());
        for (segment, here) in parts {
            let rows = segment.rows(here)?;
            let known = rows.iter().filter_map(|(_, location)| location.as_ref());
            let bytes = known.map(|row| row.offset..row.offset.saturating_add(u64::from(row.len)));
            segment.log.will_need(&bytes.collect::<Vec<_>>());
            placed.push((segment, rows));
        }
        let mut read = Vec::with_capacity(indices.len());
        for (segment, rows) in placed {
            segment.read_rows(rows, &decode_record, &mut read);
        }
        Ok(read.into_iter().map(stored).collect())
    }

    /// Reads consecutive records, all below the head.
    pub(crate) fn read(&self, range: Range<u64>, into: &mut Vec<Stored>) -> io::Result<()> {
        let read = self.read_with(range, &decode_record)?;
        into.extend(read.into_iter().map(stored));
        Ok(())
    }

    /// The hashes of consecutive leaves as they stand in the log, whatever their checksums say:
    /// for who has a root that they have to give.
    pub(crate) fn leaf_hashes(&self, range: Range<u64>) -> io::Result<Read<Hash>> {
        self.read_with(range, &|_, bytes| {
            RecordFrame::read(bytes).map(|frame| leaf_hash(frame.leaf(bytes)))
        })
    }

    /// Consecutive records from `range.start`, up to about `max_bytes` of them.
    pub(crate) fn scan(&self, range: Range<u64>, max_bytes: usize) -> io::Result<Vec<Stored>> {
        let mut stored = Vec::new();
        let mut bytes = 0;
        let mut next = range.start;
        while next < range.end && (bytes < max_bytes || stored.is_empty()) {
            // A few at a time, so that the bound in bytes is kept without reading twice.
            let end = range.end.min(next + 256);
            let from = stored.len();
            self.read(next..end, &mut stored)?;
            bytes += stored[from..].iter().map(size_bytes).sum::<usize>();
            next = end;
        }
        Ok(stored)
    }

    /// A record without its sealed part, which is not read.
    pub(crate) fn open_part(&self, index: u64) -> io::Result<Option<Record>> {
        let (segment, _) = self.holding(index)?;
        let rows = segment.locations.read(index..index + 1)?;
        let known = rows.into_iter().next().flatten();
        let Some(location) = known.filter(Location::is_known) else {
            return Ok(None);
        };
        let mut bytes = vec![0; RECORD_MIN.min(location.len as usize)];
        segment.log.read_at(&mut bytes, location.offset)?;
        let Some(len) = open_len(&bytes).filter(|len| *len <= location.len as usize) else {
            return Ok(None);
        };
        bytes.resize(len, 0);
        segment.log.read_at(&mut bytes, location.offset)?;
        Ok(decode_open_part(index, &bytes))
    }

    /// Where a record is and what its id is, if its row is sound.
    pub(crate) fn location(&self, index: u64) -> io::Result<Option<Location>> {
        let (segment, _) = self.holding(index)?;
        let rows = segment.locations.read(index..index + 1)?;
        Ok(rows.into_iter().next().flatten())
    }
}

fn stored((index, record): (u64, Result<Record, Damage>)) -> Stored {
    Stored { index, record }
}

fn size_bytes(stored: &Stored) -> usize {
    stored.record.as_ref().map_or(0, Record::size_bytes)
}

fn read<T>(lock: &RwLock<T>) -> std::sync::RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> std::sync::RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}
