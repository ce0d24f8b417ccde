//! Closed segments are packed, one at a time, by whoever calls.

use std::io;
use std::sync::Arc;

use crate::disk::{DiskFile, Mode, SyncPoint};
use crate::packed::{is_packed, is_same, pack};
use crate::shared::Shared;

/// A segment is left as it is where less than a tenth is gained.
const WORTH: u64 = 10;
/// Room on the disk that packing leaves for what is committed meanwhile.
const RESERVE: u64 = 256 << 20;

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

/// What one call did.
#[derive(Debug)]
pub struct Packing {
    /// From which index on to go on: nothing is left to do below it.
    pub next: u64,
    /// What became of the segment that was to be packed; `None` if there was none. A segment that
    /// could not be packed stays as it was: [`io::ErrorKind::StorageFull`] where the disk has too
    /// little room for it, [`io::ErrorKind::Interrupted`] where the caller said no.
    pub outcome: Option<io::Result<PackedSegment>>,
}

impl Shared {
    fn pack_next(&self, from: u64, go_on: &mut dyn FnMut() -> bool) -> Packing {
        let below = self.kept_checkpoint().map_or(0, |kept| kept.head.size);
        let mut next = from;
        while let Some(first_index) = self.segments.next_closed(next, below) {
            next = first_index + 1;
            let path = self.layout.segment(first_index);
            let opened = self.disk.open(&path, Mode::Read);
            let looked = opened.and_then(|file| Ok((self.is_done(first_index, &*file)?, file)));
            let outcome = match looked {
                Ok((true, _)) if go_on() => continue,
                Ok((true, _)) => Err(io::ErrorKind::Interrupted.into()),
                Ok((false, file)) => self.pack_segment(first_index, &file, go_on),
                Err(error) => Err(error),
            };
            let outcome = Some(outcome);
            return Packing { next, outcome };
        }
        let outcome = None;
        Packing { next, outcome }
    }

    /// Whether a segment is packed, or is not worth it.
    fn is_done(&self, first_index: u64, file: &dyn DiskFile) -> io::Result<bool> {
        let (disk, layout) = (&*self.disk, &self.layout);
        Ok(is_packed(file)? || self.unpacked.has(disk, layout, first_index, file.len()?))
    }

    /// A crash at any moment leaves the segment as it was or packed, and perhaps a temporary file
    /// that the next start removes.
    fn pack_segment(
        &self,
        first_index: u64,
        segment: &Arc<dyn DiskFile>,
        go_on: &mut dyn FnMut() -> bool,
    ) -> io::Result<PackedSegment> {
        self.check_directory()?;
        let bytes = segment.len()?;
        if self.disk.free_bytes(&self.layout.log())? < bytes.saturating_add(RESERVE) {
            let what = "the disk has too little room to pack a segment";
            return Err(io::Error::new(io::ErrorKind::StorageFull, what));
        }
        let made = self.make_packed(first_index, segment, go_on);
        if !matches!(&made, Ok(packed) if packed.kept) {
            // A full disk is what it may have failed for.
            let removed = self.disk.remove(&self.layout.packing());
            if let Ok(packed) = &made {
                removed?;
                self.check_directory()?;
                let (disk, layout) = (&*self.disk, &self.layout);
                self.unpacked.add(disk, layout, first_index, packed.bytes);
            }
        }
        made
    }

    fn make_packed(
        &self,
        first_index: u64,
        segment: &Arc<dyn DiskFile>,
        go_on: &mut dyn FnMut() -> bool,
    ) -> io::Result<PackedSegment> {
        let (temporary, path) = (self.layout.packing(), self.layout.segment(first_index));
        let file = self.disk.open(&temporary, Mode::Replace)?;
        let bytes = segment.len()?;
        let packed_bytes = pack(&**segment, &*file, SyncPoint::PackedSegment, go_on)?;
        let kept = packed_bytes <= bytes - bytes / WORTH;
        let packed = PackedSegment {
            first_index,
            bytes,
            packed_bytes,
            kept,
        };
        if !kept {
            return Ok(packed);
        }
        if !is_same(&**segment, &file, go_on)? {
            return Err(io::Error::other(format!(
                "{} does not read the same when packed: it stays as it is, and memory or disk of \
                 this machine should be checked",
                path.display()
            )));
        }
        self.check_directory()?;
        if !(segment.is_at(&path)? && file.is_at(&temporary)?) {
            return Err(io::Error::other(format!(
                "{} was moved or replaced while it was packed: what is there now stays",
                path.display()
            )));
        }
        // Under its name, it is all there is of the segment, and it was synced. The name is not: a
        // crash may bring back the segment as it was, which says the same.
        self.disk.rename(&temporary, &path)?;
        self.segments.forget(first_index);
        Ok(packed)
    }

    fn check_directory(&self) -> io::Result<()> {
        if self.directory.is_in_place()? {
            Ok(())
        } else {
            Err(io::Error::other("the data directory is another's now"))
        }
    }
}

impl crate::EmbeddedStore {
    /// Packs the first closed segment from index `from` on that is not packed yet, and was not found
    /// to be not worth it. Reads go on
    /// meanwhile. `go_on` is asked after each MiB or so, and answers whether to: it can also wait.
    pub fn pack_next(&self, from: u64, go_on: &mut dyn FnMut() -> bool) -> Packing {
        self.shared.pack_next(from, go_on)
    }
}
