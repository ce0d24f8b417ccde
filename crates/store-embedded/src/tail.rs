//! What lies beyond the checkpoint at a start: the work of its last moments.

use std::io;
use std::sync::Arc;

use audittrail_entry::Timestamp;
use audittrail_merkle::{Edge, leaf_hash};
use audittrail_store::Node;

use crate::disk::{Disk, Mode, SyncPoint};
use crate::format::{BATCH_HEADER_LEN, BatchHeader, RecordFrame, SEGMENT_HEADER_LEN, chain};
use crate::layout::Layout;
use crate::locations::Location;
use crate::segments::{Segment, Segments};
use crate::start_error::StartError;
use crate::tree::Tree;
use crate::walk::{BatchAt, SegmentFile, id_of};

const REWRITE_BYTES: u64 = 4 << 20;
/// Derived rows are written to their files when so many are in memory: all of an unfinished copy lies
/// beyond a checkpoint.
const PENDING_FLUSH: usize = 1 << 20;

/// The log after its tail was checked.
pub(crate) struct Replayed {
    pub(crate) edge: Edge,
    pub(crate) active: Option<Arc<Segment>>,
    pub(crate) end: u64,
    pub(crate) cut: Option<String>,
}

/// Which segment, by position, holds what follows the checkpoint, and from which offset.
#[derive(Debug, Clone, Copy)]
pub(crate) struct From {
    pub(crate) position: usize,
    pub(crate) offset: u64,
}

/// Where a segment stops being good.
struct Bad {
    offset: u64,
    why: &'static str,
}

/// Steps 3, 4 and 5 of a start.
#[expect(
    clippy::too_many_arguments,
    reason = "the parts of a store that is being put together"
)]
pub(crate) fn replay(
    disk: &Arc<dyn Disk>,
    layout: &Layout,
    files: &[SegmentFile],
    from: From,
    edge: Edge,
    tree: &Tree,
    segments: &Segments,
    now: Timestamp,
) -> Result<Replayed, StartError> {
    let checkpoint_size = edge.size();
    let mut replayed = Replayed {
        edge,
        active: None,
        end: 0,
        cut: None,
    };
    for (position, file) in files.iter().enumerate().skip(from.position) {
        let start = if position == from.position {
            from.offset
        } else {
            check_follows(file, &replayed.edge)?;
            SEGMENT_HEADER_LEN as u64
        };
        let known = checkpoint_size.max(file.first_index);
        let segment = Segment::open(&**disk, layout, file.first_index, known, Mode::Write)
            .map_err(StartError::io(format!("{} cannot be opened", file.name)))?;
        segment.locations.truncate(known);
        let segment = Arc::new(segment);
        let mut tail = Tail {
            disk: &**disk,
            file,
            segment: &segment,
            tree,
            edge: &mut replayed.edge,
        };
        let (end, bad) = tail.read_from(start)?;
        if let Some(bad) = bad {
            refuse_if_damage(&files[position..], &bad)?;
            replayed.cut = Some(cut_off(&**disk, layout, file, &segment, &bad, now)?);
        }
        segments.push(Arc::clone(&segment));
        if segment.log.is_fixed() {
            // It was synced whole before it took the place of one that had been closed.
            (replayed.active, replayed.end) = (None, 0);
            continue;
        }
        rewrite(file, &segment, start, end)?;
        (replayed.active, replayed.end) = (Some(segment), end);
    }
    // A life before this one may have made files whose names its syncs did not reach.
    for directory in [layout.log(), layout.tree(), layout.locations()] {
        disk.sync_directory(&directory, SyncPoint::StartDirectories)
            .map_err(StartError::io(format!(
                "{} cannot be synced",
                directory.display()
            )))?;
    }
    Ok(replayed)
}

/// What a crash left of a new segment before it got its name, a header at the most, and of one that
/// was being packed, and of what was written to see whether there is room.
pub(crate) fn remove_leftovers(disk: &dyn Disk, layout: &Layout) -> Result<(), StartError> {
    for path in [layout.new_segment(), layout.packing(), layout.probe()] {
        match disk.remove(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                let what = format!("what a crash left in {} cannot be removed", path.display());
                return Err(StartError::io(what)(error));
            }
            _ => {}
        }
    }
    Ok(())
}

struct Tail<'t> {
    disk: &'t dyn Disk,
    file: &'t SegmentFile,
    segment: &'t Segment,
    tree: &'t Tree,
    edge: &'t mut Edge,
}

impl Tail<'_> {
    /// Takes in the batches from `offset` on; where the good ones end, and what follows them
    /// if that is not the end of the file.
    fn read_from(&mut self, mut offset: u64) -> Result<(u64, Option<Bad>), StartError> {
        loop {
            let found = self
                .file
                .batch_at(offset)
                .map_err(StartError::io(format!("{} cannot be read", self.file.name)))?;
            match found {
                BatchAt::End => return Ok((offset, None)),
                BatchAt::Bad(why) => return Ok((offset, Some(Bad { offset, why }))),
                BatchAt::Good {
                    header,
                    records,
                    frames,
                } => {
                    self.take_in(offset, &header, &records, &frames)?;
                    offset += header.len();
                }
            }
        }
    }

    /// A batch whose checksums hold was written whole. If it does not continue the log or
    /// its leaves do not give its root, no crash did that.
    fn take_in(
        &mut self,
        offset: u64,
        header: &BatchHeader,
        records: &[u8],
        frames: &[RecordFrame],
    ) -> Result<(), StartError> {
        let refused = |why: &str| {
            StartError::Refused(format!(
                "{} at offset {offset}: {why}, though its checksums hold: it was changed, moved \
                 or removed on purpose. Put the file back from a copy",
                self.file.name
            ))
        };
        if header.first_index != self.edge.size() || header.before != chain(&self.edge.head()) {
            return Err(refused("the batch does not follow the one before"));
        }
        let mut at = 0;
        let mut leaves = Vec::with_capacity(frames.len());
        let mut nodes = Vec::new();
        let mut locations = Vec::with_capacity(frames.len());
        for frame in frames {
            let leaf = frame.leaf(&records[at..]);
            let hash = leaf_hash(leaf);
            Node::push_leaf(self.edge, hash, &mut nodes);
            leaves.push(hash);
            locations.push(Location {
                id: id_of(leaf),
                offset: offset + (BATCH_HEADER_LEN + at) as u64,
                len: frame.len() as u32,
            });
            at += frame.len();
        }
        if self.edge.head() != header.head {
            return Err(refused(
                "the batch's entries do not give the root it records",
            ));
        }
        self.segment.locations.push(locations);
        self.tree.push(leaves, &nodes);
        if self.tree.pending() >= PENDING_FLUSH {
            self.tree
                .flush(self.disk)
                .and_then(|()| self.segment.locations.flush(self.disk))
                .map_err(StartError::io(
                    "the files derived from the log cannot be written",
                ))?;
        }
        Ok(())
    }
}

/// The segment begins where the log stands.
fn check_follows(file: &SegmentFile, edge: &Edge) -> Result<(), StartError> {
    let follows = file
        .header()
        .is_ok_and(|header| header.before == edge.head());
    if follows {
        return Ok(());
    }
    Err(StartError::Refused(format!(
        "{} does not continue the log, which stands at index {}: a segment is missing or was \
         changed. Put it back from a copy",
        file.name,
        edge.size()
    )))
}

/// A crash leaves something bad only at the very end: whatever good follows it was written
/// after it had been synced.
fn refuse_if_damage(from_here: &[SegmentFile], bad: &Bad) -> Result<(), StartError> {
    let (file, later) = match from_here.split_first() {
        Some((file, later)) => (file, later),
        None => return Ok(()),
    };
    let read = |error| StartError::io(format!("{} cannot be read", file.name))(error);
    let good = match file.next_good_batch(bad.offset + 1).map_err(read)? {
        Some(offset) => Some(format!("a good batch follows at offset {offset}")),
        None => later.first().map(|next| format!("{} follows", next.name)),
    };
    let Some(good) = good else { return Ok(()) };
    Err(StartError::Refused(format!(
        "{} is damaged at offset {}: {}, and {good}, so no crash did this. Put the file back from \
         a copy; entries from that offset on are at stake",
        file.name, bad.offset, bad.why
    )))
}

/// Takes a torn end off the log, keeping its bytes beside it.
fn cut_off(
    disk: &dyn Disk,
    layout: &Layout,
    file: &SegmentFile,
    segment: &Segment,
    bad: &Bad,
    now: Timestamp,
) -> Result<String, StartError> {
    let failed = || StartError::io(format!("the torn end of {} cannot be cut off", file.name));
    let path = layout.cut(&now.to_string());
    let cut = disk.open(&path, Mode::Replace).map_err(failed())?;
    let mut at = bad.offset;
    while at < file.len {
        let bytes = file
            .read(at, (file.len - at).min(REWRITE_BYTES))
            .map_err(failed())?;
        cut.write_at(&bytes, at - bad.offset).map_err(failed())?;
        at += bytes.len() as u64;
    }
    // A crash up to here leaves the torn end in place, and the next start cuts it again.
    cut.sync_data(SyncPoint::CutFile).map_err(failed())?;
    disk.sync_directory(&layout.log(), SyncPoint::CutDirectory)
        .map_err(failed())?;
    segment.log.set_len(bad.offset).map_err(failed())?;
    // A crash up to here brings the torn end back. Later, with a segment begun behind this
    // one, that would look like damage.
    segment.log.sync_data(SyncPoint::Cut).map_err(failed())?;
    Ok(format!(
        "{} bytes at the end of {}, from offset {}, are no whole batch ({}); they were moved to \
         {}. If the machine did not crash, somebody may have damaged the last second of the log",
        file.len - bad.offset,
        file.name,
        bad.offset,
        bad.why,
        path.display()
    ))
}

/// What can be read may be in the page cache only: after a sync that failed, pages count as
/// clean though they never reached the disk. Written again, they are dirty again.
fn rewrite(file: &SegmentFile, segment: &Segment, start: u64, end: u64) -> Result<(), StartError> {
    if start >= end {
        return Ok(());
    }
    let failed = || StartError::io(format!("{} cannot be made durable", file.name));
    let mut at = start;
    while at < end {
        let bytes = file
            .read(at, (end - at).min(REWRITE_BYTES))
            .map_err(failed())?;
        segment.log.write_at(&bytes, at).map_err(failed())?;
        at += bytes.len() as u64;
    }
    segment.log.sync_data(SyncPoint::Rewrite).map_err(failed())
}
