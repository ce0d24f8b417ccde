//! One commit, and the keeping of a checkpoint.

use std::io;
use std::sync::Arc;

use audittrail_merkle::{Edge, TreeHead};
use audittrail_store::{
    Batch, CommitError, CommitErrorKind, KeptCheckpoint, StoreError, StoreErrorKind,
};

use crate::disk::{Mode, ReplaceError, SyncPoint, replace_file, was_not_begun};
use crate::format::{BATCH_HEADER_LEN, SEGMENT_HEADER_LEN, SegmentHeader, encode_batch};
use crate::locations::{Location, Locations};
use crate::segments::Segment;
use crate::shared::{Shared, Writer};

/// Derived rows are written to their files when so many are in memory.
const PENDING_FLUSH: usize = 16_384;
/// With so many in memory the derived files cannot be written, and nothing more is taken.
const PENDING_MAX: usize = 4 << 20;

fn refused(what: &str, error: io::Error) -> CommitError {
    CommitError::caused(CommitErrorKind::Refused, what, error)
}

impl Writer {
    fn fatal(&mut self, what: &str, error: io::Error) -> CommitError {
        self.broken = Some(format!("{what}: {error}"));
        CommitError::caused(CommitErrorKind::Fatal, what, error)
    }

    fn checkpoint_lost(&mut self, error: io::Error) -> StoreError {
        let what = "the checkpoint, or what it needs, could not be synced";
        self.broken = Some(format!("{what}: {error}"));
        StoreError::caused(StoreErrorKind::Fatal, what, error)
    }
}

impl Shared {
    pub(crate) fn commit(
        &self,
        expected: TreeHead,
        batch: &Batch<'_>,
        new: TreeHead,
    ) -> Result<(), CommitError> {
        let mut writer = self.writer();
        if let Some(why) = &writer.broken {
            return Err(CommitError::new(CommitErrorKind::Fatal, why.clone()));
        }
        let head = writer.edge.head();
        if head != expected {
            let message = format!("the head is at {}, not at {}", head.size, expected.size);
            return Err(CommitError::new(CommitErrorKind::Lost, message));
        }
        let edge = plan_edge(&writer.edge, batch, new)?;
        if self.pending() > PENDING_MAX {
            let message = "the files derived from the log cannot be written";
            return Err(CommitError::new(CommitErrorKind::Refused, message));
        }
        self.make_room_in_index()?;
        self.check_in_place(&mut writer)
            .map_err(|why| CommitError::new(CommitErrorKind::Fatal, why))?;
        let mut buffer = std::mem::take(&mut writer.buffer);
        buffer.clear();
        let lengths = encode_batch(&head, new, &batch.entries, &mut buffer)
            .map_err(|error| refused("a record cannot be stored", io::Error::other(error)))?;
        let offset = self.append(&mut writer, &head, &buffer);
        writer.buffer = buffer;
        let offset = offset?;
        writer.edge = edge;
        self.make_visible(&writer, batch, &lengths, offset, new);
        Ok(())
    }

    /// Writes and syncs a batch, in a new segment where the active one is full; where it
    /// begins.
    fn append(
        &self,
        writer: &mut Writer,
        head: &TreeHead,
        bytes: &[u8],
    ) -> Result<u64, CommitError> {
        if writer.name_taken_back {
            self.sync_names(writer)?;
            writer.name_taken_back = false;
        }
        let full = writer.end > SEGMENT_HEADER_LEN as u64
            && writer.end + bytes.len() as u64 > self.options.segment_bytes;
        if writer.active.is_none() || full {
            self.begin_segment(writer, head)?;
        }
        let Some(active) = writer.active.clone() else {
            return Err(CommitError::new(
                CommitErrorKind::Fatal,
                "there is no active segment",
            ));
        };
        let offset = writer.end;
        // A crash here leaves any part of the batch, or nothing: a start finds no whole batch
        // and cuts it off.
        if let Err(error) = active.log.write_at(bytes, offset) {
            self.take_back(writer, &active, offset)?;
            return Err(refused("the batch could not be written", error));
        }
        // A crash here may leave the whole batch unacknowledged: a start keeps it, and the
        // client that sends it again gets the receipt by its ids.
        if let Err(error) = active.log.sync_data(SyncPoint::Batch) {
            return Err(writer.fatal("the batch could not be synced", error));
        }
        // A crash from here on leaves a durable batch.
        writer.end = offset + bytes.len() as u64;
        // Where it lies is where a start looks: who took the directory meanwhile has read it
        // with this batch.
        self.check_in_place(writer)
            .map_err(|why| CommitError::new(CommitErrorKind::Fatal, why))?;
        Ok(offset)
    }

    /// The directory still is this process's, and its files are those that a start would find.
    /// Otherwise nothing more is written, and nothing acknowledged.
    fn check_in_place(&self, writer: &mut Writer) -> Result<(), String> {
        if let Err(why) = self.in_place(writer) {
            writer.broken = Some(why.clone());
            return Err(why);
        }
        Ok(())
    }

    pub(crate) fn in_place(&self, writer: &Writer) -> Result<(), String> {
        let active = writer.active.as_ref();
        let segment = active.map_or(Ok(true), |active| active.log.is_at(&active.path));
        let lock = self.directory.is_in_place();
        let (lock, segment) = lock
            .and_then(|lock| Ok((lock, segment?)))
            .map_err(|error| format!("the data directory cannot be looked at: {error}"))?;
        let gone = match (lock, segment) {
            (true, true) => return Ok(()),
            (false, true) => "its file LOCK",
            (true, false) => "the newest file in its log/",
            (false, false) => "its files LOCK and the newest in log/",
        };
        Err(format!(
            "{gone} in {} was moved, removed or replaced under the running server, so that another \
             may be writing there, or a start would not find what is written. This server stops; \
             see that no other runs, check the directory with `audittrail fsck`, and start again",
            self.layout.root().display()
        ))
    }

    /// What was refused must not come back after a power cut, so the cut is synced too.
    fn take_back(
        &self,
        writer: &mut Writer,
        active: &Segment,
        offset: u64,
    ) -> Result<(), CommitError> {
        active
            .log
            .set_len(offset)
            .and_then(|()| active.log.sync_data(SyncPoint::TakeBack))
            .map_err(|error| writer.fatal("a failed write could not be taken back", error))
    }

    /// Makes the names in `log/` durable.
    fn sync_names(&self, writer: &mut Writer) -> Result<(), CommitError> {
        const WHAT: &str = "the names in log/ could not be synced";
        let (log, point) = (self.layout.log(), SyncPoint::SegmentDirectory);
        let synced = self.disk.sync_directory(&log, point);
        synced.map_err(|error| {
            if was_not_begun(&error) {
                refused(WHAT, error)
            } else {
                writer.fatal(WHAT, error)
            }
        })
    }

    /// A segment gets its name only with a durable header, and its first batch only with a
    /// durable name: a segment whose header is bad is damage, never a crash.
    fn begin_segment(&self, writer: &mut Writer, head: &TreeHead) -> Result<(), CommitError> {
        const WHAT: &str = "a new segment could not be made";
        let temporary = self.layout.new_segment();
        let path = self.layout.segment(head.size);
        let header = SegmentHeader {
            before: *head,
            origin: self.origin_hash,
        };
        let file = self
            .disk
            .open(&temporary, Mode::Replace)
            .map_err(|e| refused(WHAT, e))?;
        file.write_at(&header.encode(), 0)
            .map_err(|error| refused(WHAT, error))?;
        let (first, end) = (head.size, head.size);
        let locations = Locations::open(&*self.disk, &self.layout, first, end, Mode::Write);
        let locations = locations.map_err(|error| refused(WHAT, error))?;
        // A crash up to here leaves a temporary file that the next start removes.
        file.sync_data(SyncPoint::SegmentHeader)
            .map_err(|error| writer.fatal(WHAT, error))?;
        // A crash after the rename leaves an empty segment at the end, or none.
        self.disk
            .rename(&temporary, &path)
            .map_err(|error| writer.fatal(WHAT, error))?;
        let (log, point) = (self.layout.log(), SyncPoint::SegmentDirectory);
        if let Err(error) = self.disk.sync_directory(&log, point) {
            // A later batch may be small enough for the segment before, so that the name has to go
            // again; a crash before that leaves an empty segment at the end, or none.
            let taken_back = was_not_begun(&error) && self.disk.rename(&path, &temporary).is_ok();
            return Err(if taken_back {
                writer.name_taken_back = true;
                refused(WHAT, error)
            } else {
                writer.fatal(WHAT, error)
            });
        }
        let segment = Arc::new(Segment {
            first_index: head.size,
            path,
            log: file,
            locations,
        });
        self.segments.push(Arc::clone(&segment));
        writer.active = Some(segment);
        writer.end = SEGMENT_HEADER_LEN as u64;
        Ok(())
    }

    /// Everything a reader needs, then the head that lets it be seen.
    fn make_visible(
        &self,
        writer: &Writer,
        batch: &Batch<'_>,
        lengths: &[u32],
        offset: u64,
        new: TreeHead,
    ) {
        if let Some(active) = &writer.active {
            let mut at = offset + BATCH_HEADER_LEN as u64;
            active
                .locations
                .push(batch.entries.iter().zip(lengths).map(|(entry, len)| {
                    let location = Location {
                        id: entry.id,
                        offset: at,
                        len: *len,
                    };
                    at += u64::from(*len);
                    location
                }));
        }
        self.tree.push(
            batch.entries.iter().map(|entry| entry.leaf_hash),
            &batch.nodes,
        );
        self.index.push(batch.first_index, &batch.entries);
        self.set_head(new);
        if self.pending() >= PENDING_FLUSH
            && let Err(error) = self.flush_derived()
        {
            tracing::warn!(%error, "the files derived from the log cannot be written; trying again");
        }
    }

    /// Whether so much is only in memory that nothing more is taken.
    pub(crate) fn is_behind(&self) -> bool {
        self.pending() > PENDING_MAX || self.index.is_full()
    }

    pub(crate) fn pending(&self) -> usize {
        let locations = self.segments.recent();
        self.tree.pending()
            + locations
                .iter()
                .map(|one| one.locations.pending())
                .sum::<usize>()
    }

    pub(crate) fn flush_derived(&self) -> io::Result<()> {
        self.tree.flush(&*self.disk)?;
        self.segments
            .recent()
            .iter()
            .try_for_each(|one| one.locations.flush(&*self.disk))
    }

    fn sync_derived(&self) -> io::Result<()> {
        self.tree.sync(&*self.disk, &self.layout)?;
        let mut unnamed = false;
        for segment in self.segments.recent() {
            unnamed |= segment.locations.sync()?;
        }
        if unnamed {
            let directory = self.layout.locations();
            self.disk
                .sync_directory(&directory, SyncPoint::LocationsDirectory)?;
            for segment in self.segments.recent() {
                segment.locations.set_named();
            }
        }
        Ok(())
    }

    /// The head that the log had at a size; none where the tree's files do not tell.
    fn head_at(&self, writer: &Writer, size: u64) -> Option<TreeHead> {
        if size == writer.edge.size() {
            return Some(writer.edge.head());
        }
        let earlier = size < writer.edge.size();
        let edge = earlier.then(|| self.tree.edge(size)).flatten()?;
        Some(edge.head())
    }

    pub(crate) fn keep_checkpoint(&self, new: &KeptCheckpoint) -> Result<(), StoreError> {
        let mut writer = self.writer();
        if let Some(why) = &writer.broken {
            return Err(StoreError::new(StoreErrorKind::Fatal, why.clone()));
        }
        let kept = self.kept_checkpoint();
        let size = new.head.size;
        let older = kept.as_ref().is_some_and(|kept| kept.head.size > size);
        if older || self.head_at(&writer, size) != Some(new.head) {
            let message = format!("a checkpoint of size {size} is not the log's next");
            return Err(StoreError::new(StoreErrorKind::Invalid, message));
        }
        let fatal = |why| StoreError::new(StoreErrorKind::Fatal, why);
        self.check_in_place(&mut writer).map_err(fatal)?;
        // A crash up to here leaves the last checkpoint and a log that reaches beyond it,
        // which a start checks batch by batch.
        self.flush_derived().map_err(|error| {
            let what = "the files derived from the log could not be written";
            StoreError::caused(StoreErrorKind::Unavailable, what, error)
        })?;
        self.sync_derived().map_err(|error| {
            if was_not_begun(&error) {
                let what = "the files derived from the log could not be synced";
                StoreError::caused(StoreErrorKind::Unavailable, what, error)
            } else {
                writer.checkpoint_lost(error)
            }
        })?;
        // A crash within leaves this checkpoint or the last one, each whole.
        let (content, name) = (SyncPoint::CheckpointFile, SyncPoint::CheckpointDirectory);
        let path = self.layout.checkpoint();
        match replace_file(&*self.disk, &path, new.note.as_bytes(), content, name) {
            Ok(()) => {}
            Err(ReplaceError::Sync(error)) => return Err(writer.checkpoint_lost(error)),
            Err(ReplaceError::Write(error)) => {
                let what = "the checkpoint could not be written";
                return Err(StoreError::caused(StoreErrorKind::Unavailable, what, error));
            }
        }
        self.check_in_place(&mut writer).map_err(fatal)?;
        self.segments.settle();
        self.set_checkpoint(new.clone());
        Ok(())
    }
}

/// The edge after the batch; the planner's head has to be the one that its leaves give.
fn plan_edge(edge: &Edge, batch: &Batch<'_>, new: TreeHead) -> Result<Edge, CommitError> {
    let mut edge = edge.clone();
    let first_index = edge.size();
    for entry in &batch.entries {
        edge.push(entry.leaf_hash);
    }
    if batch.first_index == first_index && !batch.entries.is_empty() && edge.head() == new {
        Ok(edge)
    } else {
        let message = "the batch does not lead from the old head to the new one";
        Err(CommitError::new(CommitErrorKind::Refused, message))
    }
}
