//! Where each record lies and what its id is: one file of rows for each segment, derived
//! from the log.
//!
//! A row is 32 bytes: id (16), offset in the segment (8), length (4), checksum (4) over
//! these and the record's index. Length 0 says that the log does not tell where the record
//! is, because a header before it is damaged.
//!
//! A wrong place is seen as soon as the record is read, since its checksum is over its index too.
//! The id counts only for a record that itself cannot be read, and there only as long as no
//! other entry has the id.

use std::io;
use std::ops::Range;

use uuid::Uuid;

use crate::appended::Appended;
use crate::disk::{Disk, Mode, SyncPoint};
use crate::layout::Layout;

pub(crate) const ROW_LEN: usize = 32;

/// Where one record lies in its segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Location {
    pub(crate) id: Uuid,
    pub(crate) offset: u64,
    pub(crate) len: u32,
}

impl Location {
    /// For a record that cannot be found.
    pub(crate) const UNKNOWN: Self = Self {
        id: Uuid::nil(),
        offset: 0,
        len: 0,
    };

    pub(crate) fn is_known(&self) -> bool {
        self.len > 0
    }

    /// The location in a segment of what this is the location of in a part of it.
    pub(crate) fn moved_by(self, offset: u64) -> Self {
        Self {
            offset: self.offset + offset,
            ..self
        }
    }

    fn encode(&self, index: u64) -> [u8; ROW_LEN] {
        let mut row = [0; ROW_LEN];
        row[..16].copy_from_slice(self.id.as_bytes());
        row[16..24].copy_from_slice(&self.offset.to_le_bytes());
        row[24..28].copy_from_slice(&self.len.to_le_bytes());
        let checksum = checksum(index, &row);
        row[28..].copy_from_slice(&checksum.to_le_bytes());
        row
    }

    fn decode(index: u64, row: &[u8; ROW_LEN]) -> Option<Self> {
        if row[28..] != checksum(index, row).to_le_bytes() {
            return None;
        }
        let (mut id, mut offset, mut len) = ([0; 16], [0; 8], [0; 4]);
        id.copy_from_slice(&row[..16]);
        offset.copy_from_slice(&row[16..24]);
        len.copy_from_slice(&row[24..28]);
        Some(Self {
            id: Uuid::from_bytes(id),
            offset: u64::from_le_bytes(offset),
            len: u32::from_le_bytes(len),
        })
    }
}

fn checksum(index: u64, row: &[u8; ROW_LEN]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&index.to_le_bytes()), &row[..28])
}

/// The locations of one segment's records.
pub(crate) struct Locations {
    first_index: u64,
    rows: Appended<ROW_LEN>,
}

impl Locations {
    /// Those of a segment that begins at `first_index`, up to the record before `end`.
    pub(crate) fn open(
        disk: &dyn Disk,
        layout: &Layout,
        first_index: u64,
        end: u64,
        mode: Mode,
    ) -> io::Result<Self> {
        let path = layout.segment_locations(first_index);
        let rows = Appended::open(disk, path, end.saturating_sub(first_index), mode)?;
        Ok(Self { first_index, rows })
    }

    /// The index after the last row's.
    pub(crate) fn end(&self) -> u64 {
        self.first_index + self.rows.len()
    }

    /// Adds the rows of the next records.
    pub(crate) fn push(&self, locations: impl IntoIterator<Item = Location>) {
        let rows = (self.end()..)
            .zip(locations)
            .map(|(index, row)| row.encode(index));
        self.rows.push(rows.collect::<Vec<_>>());
    }

    pub(crate) fn truncate(&self, end: u64) {
        self.rows.truncate(end.saturating_sub(self.first_index));
    }

    /// The rows of some records of this segment; `None` for one that fails its checksum or lies
    /// beyond the end of a file that somebody cut.
    pub(crate) fn read(&self, range: Range<u64>) -> io::Result<Vec<Option<Location>>> {
        let (Some(start), Some(end)) = (
            range.start.checked_sub(self.first_index),
            range.end.checked_sub(self.first_index),
        ) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let rows = match self.rows.read(start..end) {
            Ok(rows) => rows,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof && end - start > 1 => {
                let rows = range.map(|index| self.read(index..index + 1));
                return Ok(rows.collect::<io::Result<Vec<_>>>()?.concat());
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(vec![None]),
            Err(error) => return Err(error),
        };
        Ok(range
            .zip(&rows)
            .map(|(index, row)| Location::decode(index, row))
            .collect())
    }

    /// Says that the rows of these indices, which ascend, are read next.
    pub(crate) fn will_need(&self, indices: &[u64]) {
        let rows = indices
            .iter()
            .filter_map(|index| index.checked_sub(self.first_index));
        self.rows.will_need(rows.map(|row| row..row + 1));
    }

    pub(crate) fn pending(&self) -> usize {
        self.rows.pending()
    }

    pub(crate) fn flush(&self, disk: &dyn Disk) -> io::Result<()> {
        self.rows.flush(disk)
    }

    /// Whether the directory has to be synced too.
    pub(crate) fn sync(&self) -> io::Result<bool> {
        self.rows.sync(SyncPoint::Locations)?;
        Ok(self.rows.is_unnamed())
    }

    /// The directory was synced.
    pub(crate) fn set_named(&self) {
        self.rows.set_named();
    }
}
