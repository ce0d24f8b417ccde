//! Closed segments are packed, one at a time, by whoever calls.

use std::io;
use std::sync::Arc;

use crate::disk::{Mode, SyncPoint};
use crate::packed::{is_same, pack};
use crate::segments::Segment;
use crate::shared::Shared;

/// A segment is left as it is where less than a tenth is gained.
const WORTH: u64 = 10;

/// What became of a closed segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackedSegment {
    /// The index of its first record.
    pub first_index: u64,
    /// Its bytes before.
    pub bytes: u64,
    /// Its bytes now, or what they would have been where that was not worth it.
    pub packed_bytes: u64,
    /// Whether it is packed now.
    pub kept: bool,
}

impl Shared {
    /// Packs the first closed segment from index `from` on that is not packed yet and lies below
    /// the checkpoint; `None` if there is none. See [`crate::EmbeddedStore::pack_next`].
    pub(crate) fn pack_next(
        &self,
        from: u64,
        go_on: &mut dyn FnMut() -> bool,
    ) -> io::Result<Option<PackedSegment>> {
        let below = self.kept_checkpoint().map_or(0, |kept| kept.head.size);
        let mut from = from;
        while let Some(segment) = self.segments.next_closed(from, below)? {
            if !segment.log.is_fixed() {
                return self.pack_segment(&segment, go_on).map(Some);
            }
            from = segment.first_index + 1;
            if !go_on() {
                break;
            }
        }
        Ok(None)
    }

    /// A crash at any moment leaves the segment as it was or packed, and perhaps a temporary file
    /// that the next start removes.
    fn pack_segment(
        &self,
        segment: &Segment,
        go_on: &mut dyn FnMut() -> bool,
    ) -> io::Result<PackedSegment> {
        let temporary = self.layout.packing();
        let made = self.make_packed(segment, go_on);
        if !matches!(&made, Ok(packed) if packed.kept) {
            // A full disk is what it may have failed for.
            let removed = self.disk.remove(&temporary);
            if made.is_ok() {
                removed?;
            }
        }
        made
    }

    fn make_packed(
        &self,
        segment: &Segment,
        go_on: &mut dyn FnMut() -> bool,
    ) -> io::Result<PackedSegment> {
        let temporary = self.layout.packing();
        let file = self.disk.open(&temporary, Mode::Replace)?;
        let bytes = segment.log.len()?;
        let packed_bytes = pack(&*segment.log, &*file, go_on)?;
        let kept = packed_bytes <= bytes - bytes / WORTH;
        let packed = PackedSegment {
            first_index: segment.first_index,
            bytes,
            packed_bytes,
            kept,
        };
        if !kept {
            return Ok(packed);
        }
        if !is_same(&*segment.log, &file, go_on)? {
            return Err(io::Error::other(format!(
                "{} does not read the same when packed: it stays as it is, and memory or disk of \
                 this machine should be checked",
                segment.path.display()
            )));
        }
        // Under its name, it is all there is of the segment.
        file.sync_data(SyncPoint::PackedSegment)?;
        if !self.directory.is_in_place()? {
            return Err(io::Error::other("the data directory is another's now"));
        }
        self.disk.rename(&temporary, &segment.path)?;
        // The name is not synced: a crash may bring back the segment as it was, which says the same.
        self.segments.forget(segment.first_index);
        Ok(packed)
    }
}

impl crate::EmbeddedStore {
    /// Packs the first closed segment from index `from` on that is not packed yet; `None` if there
    /// is none. Reads go on meanwhile. `go_on` is asked after each MiB or so, and answers whether
    /// to: it can also wait.
    ///
    /// # Errors
    /// If it cannot be read or written, in which case it stays as it was; with
    /// [`io::ErrorKind::Interrupted`] where `go_on` said no.
    pub fn pack_next(
        &self,
        from: u64,
        go_on: &mut dyn FnMut() -> bool,
    ) -> io::Result<Option<PackedSegment>> {
        Arc::clone(&self.shared).pack_next(from, go_on)
    }
}
