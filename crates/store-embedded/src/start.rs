//! The start of a store: what stands on disk becomes a log that can be trusted, or the start
//! is refused with the reason.

use std::io;
use std::sync::Arc;

use audittrail_checkpoint::{Checkpoint, VerifierKey};
use audittrail_entry::Timestamp;
use audittrail_merkle::{Edge, TreeHead};
use audittrail_store::KeptCheckpoint;

use crate::disk::{Disk, Mode, SyncPoint, read_file};
use crate::format::{SEGMENT_HEADER_LEN, origin_hash};
use crate::layout::{Layout, parse_segment_name};
use crate::locations::Locations;
use crate::packed::open_segment;
use crate::rebuild::{check_locations, rebuild_tree};
use crate::segments::{Segment, Segments};
use crate::start_error::StartError;
use crate::tail::{From, remove_leftovers, replay};
use crate::tree::Tree;
use crate::walk::SegmentFile;

/// Whose log it is.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The log's name.
    pub origin: String,
    /// The keys whose checkpoints are accepted.
    pub keys: Vec<VerifierKey>,
}

/// What a start found and did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StartReport {
    /// The number of entries.
    pub size: u64,
    /// How many of them lie beyond the last checkpoint.
    pub beyond_checkpoint: u64,
    /// Whether the tree's files were made anew from the log.
    pub tree_rebuilt: bool,
    /// How many segments got their locations anew from the log.
    pub locations_rebuilt: usize,
    /// What was cut off the end, in a sentence.
    pub cut: Option<String>,
}

/// What a start hands to the store.
pub(crate) struct Started {
    pub(crate) tree: Tree,
    pub(crate) segments: Segments,
    pub(crate) edge: Edge,
    pub(crate) active: Option<Arc<Segment>>,
    pub(crate) end: u64,
    pub(crate) checkpoint: Option<KeptCheckpoint>,
    pub(crate) report: StartReport,
}

/// The six steps. The sixth, a checkpoint of what stands, is the sequencer's: it alone signs.
pub(crate) fn start(
    disk: &Arc<dyn Disk>,
    layout: &Layout,
    identity: &Identity,
    now: Timestamp,
    copying: bool,
) -> Result<Started, StartError> {
    let mut report = StartReport::default();
    make_directories(&**disk, layout)?;
    // Before anything that needs room.
    remove_leftovers(&**disk, layout)?;

    // 1. The checkpoint is the one thing that the files cannot vouch for themselves.
    let checkpoint = read_checkpoint(&**disk, layout, identity)?;
    let kept_head = checkpoint
        .as_ref()
        .map_or(TreeHead::EMPTY, |kept| kept.head);
    let files = list_segments(&**disk, layout)?;
    // A copy gets its checkpoint when it is complete; until then nothing is signed on it.
    if checkpoint.is_none() && !files.is_empty() && !copying {
        return Err(StartError::Refused(format!(
            "there is a log in {} but no checkpoint: put the file `checkpoint` back from a copy, \
             or start with an empty directory",
            layout.root().display()
        )));
    }
    check_headers(&files, identity, &kept_head)?;
    let from = find_checkpoint_end(&**disk, layout, &files, &kept_head)?;
    for pair in files
        .windows(2)
        .filter(|pair| pair[1].first_index <= kept_head.size)
    {
        check_contiguous(&**disk, layout, &pair[0], pair[1].first_index)?;
    }

    // 2. Derived files below the checkpoint; a crash while they are made anew leaves them
    // incomplete, and the next start makes them anew again.
    report.locations_rebuilt = check_locations(disk, layout, &files, kept_head.size)?;
    let closed = files.iter().map(|file| file.first_index).collect();
    let segments = Segments::new(Arc::clone(disk), layout.clone(), closed);
    let tree = Tree::open(&**disk, layout, kept_head.size, Mode::Write)
        .map_err(StartError::io("the tree cannot be opened"))?;
    let stored = tree
        .edge(kept_head.size)
        .filter(|edge| edge.head() == kept_head);
    let edge = match stored.filter(|_| tree.is_complete(kept_head.size)) {
        Some(edge) => edge,
        None => {
            report.tree_rebuilt = kept_head.size > 0;
            rebuild_tree(&**disk, &tree, &segments, &kept_head)?
        }
    };

    // 3 to 5. What lies beyond the checkpoint.
    tree.truncate(kept_head.size);
    let replayed = replay(disk, layout, &files, from, edge, &tree, &segments, now)?;
    report.cut = replayed.cut;
    report.size = replayed.edge.size();
    report.beyond_checkpoint = report.size - kept_head.size;
    Ok(Started {
        tree,
        segments,
        edge: replayed.edge,
        active: replayed.active,
        end: replayed.end,
        checkpoint,
        report,
    })
}

fn make_directories(disk: &dyn Disk, layout: &Layout) -> Result<(), StartError> {
    for directory in [
        layout.log(),
        layout.tree(),
        layout.locations(),
        layout.keys(),
    ] {
        disk.create_directory(&directory)
            .map_err(StartError::io(format!(
                "{} cannot be made",
                directory.display()
            )))?;
    }
    disk.sync_directory(layout.root(), SyncPoint::Subdirectories)
        .map_err(StartError::io("the data directory cannot be synced"))
}

/// The checkpoint in a data directory, its signature verified.
pub(crate) fn read_checkpoint(
    disk: &dyn Disk,
    layout: &Layout,
    identity: &Identity,
) -> Result<Option<KeptCheckpoint>, StartError> {
    let path = layout.checkpoint();
    let note = read_file(disk, &path).map_err(StartError::io(format!(
        "the checkpoint {} cannot be read",
        path.display()
    )))?;
    let Some(note) = note else { return Ok(None) };
    let refused = |why: &dyn std::fmt::Display| {
        StartError::Refused(format!(
            "the checkpoint in {} cannot be trusted: {why}. Put it back from a copy; no log is \
             continued without it",
            path.display()
        ))
    };
    let checkpoint = Checkpoint::open(&note, &identity.keys).map_err(|error| refused(&error))?;
    if checkpoint.origin != identity.origin {
        return Err(refused(&format!(
            "it is of the log {}, this is {}",
            checkpoint.origin, identity.origin
        )));
    }
    let note = String::from_utf8(note).map_err(|error| refused(&error))?;
    Ok(Some(KeptCheckpoint {
        head: checkpoint.head,
        note,
    }))
}

/// The segments in order of their first index.
pub(crate) fn list_segments(
    disk: &dyn Disk,
    layout: &Layout,
) -> Result<Vec<SegmentFile>, StartError> {
    let names = disk
        .list(&layout.log())
        .map_err(StartError::io("the log cannot be listed"))?;
    let mut files = Vec::new();
    for name in names {
        let Some(first_index) = parse_segment_name(&name) else {
            continue;
        };
        let what = || format!("log/{name} cannot be opened");
        let file =
            open_segment(disk, &layout.segment(first_index), Mode::Read).map_err(|source| {
                StartError::Io {
                    what: what(),
                    source,
                }
            })?;
        let len = file.len().map_err(|source| StartError::Io {
            what: what(),
            source,
        })?;
        files.push(SegmentFile {
            first_index,
            name: format!("log/{name}"),
            file,
            len,
        });
    }
    files.sort_by_key(|file| file.first_index);
    Ok(files)
}

/// A segment has its header before it has its name, so a bad one is never a crash's work.
/// Below the checkpoint it is damage that readers work round, since name and locations say
/// the same; beyond, it is refused.
fn check_headers(
    files: &[SegmentFile],
    identity: &Identity,
    kept: &TreeHead,
) -> Result<(), StartError> {
    let origin = origin_hash(&identity.origin);
    for segment in files {
        let refused = |why: &dyn std::fmt::Display| {
            Err(StartError::Refused(format!(
                "{} cannot be used: {why}. Put it back from a copy",
                segment.name
            )))
        };
        let of_another_version = |why: &str| {
            Err(StartError::Refused(format!(
                "{} cannot be used: {why}. Nothing was changed",
                segment.name
            )))
        };
        match segment.header() {
            Ok(header) if header.origin != origin => {
                return refused(&"it belongs to another log");
            }
            Ok(header) if header.before.size != segment.first_index => {
                return refused(&format!(
                    "it was renamed: it begins at {}",
                    header.before.size
                ));
            }
            Err(why) if !why.damaged => return of_another_version(&why.message),
            Err(why) if segment.first_index >= kept.size => {
                return refused(&why.message);
            }
            Err(why) => tracing::error!(segment = segment.name, why = why.message, "damage"),
            Ok(_) => {}
        }
    }
    Ok(())
}

pub(crate) fn find_checkpoint_end(
    disk: &dyn Disk,
    layout: &Layout,
    files: &[SegmentFile],
    kept: &TreeHead,
) -> Result<From, StartError> {
    let short = |why: &str| {
        Err(StartError::Refused(format!(
            "the log does not reach its checkpoint of size {}: {why}. Entries were removed, or \
             an old copy was put back; put the newer one back",
            kept.size
        )))
    };
    let Some(first) = files.first() else {
        return if kept.size == 0 {
            Ok(From {
                position: 0,
                offset: 0,
            })
        } else {
            short("there is no segment")
        };
    };
    if first.first_index != 0 {
        return short(&format!("its first segment is {}", first.name));
    }
    // A segment that begins at the checkpoint's size lies beyond it as a whole.
    let position = files
        .partition_point(|file| file.first_index < kept.size)
        .saturating_sub(1);
    let segment = &files[position];
    match boundary(disk, layout, segment, kept.size)? {
        Some(offset) => Ok(From { position, offset }),
        None => short(&format!(
            "{} ends before, or is damaged there",
            segment.name
        )),
    }
}

/// Where the record of index `size` begins or would begin in a segment. The locations say it
/// at once; what they say counts if the log agrees, else its own headers are gone through.
fn boundary(
    disk: &dyn Disk,
    layout: &Layout,
    segment: &SegmentFile,
    size: u64,
) -> Result<Option<u64>, StartError> {
    if size == segment.first_index {
        return Ok(Some(SEGMENT_HEADER_LEN as u64));
    }
    let look = || -> io::Result<Option<u64>> {
        let first_index = segment.first_index;
        let locations = Locations::open(disk, layout, first_index, size, Mode::Read)?;
        let row = locations
            .read(size - 1..size)
            .ok()
            .and_then(|rows| rows.into_iter().next());
        if let Some(Some(row)) = row {
            let end = row.offset.saturating_add(u64::from(row.len));
            let confirmed = segment
                .header_at(end)?
                .is_some_and(|next| next.first_index == size);
            if row.is_known() && (confirmed || end == segment.len) {
                return Ok(Some(end));
            }
        }
        segment.boundary_by_headers(size)
    };
    look().map_err(StartError::io(format!("{} cannot be read", segment.name)))
}

pub(crate) fn check_contiguous(
    disk: &dyn Disk,
    layout: &Layout,
    segment: &SegmentFile,
    next: u64,
) -> Result<(), StartError> {
    if boundary(disk, layout, segment, next)? == Some(segment.len) {
        return Ok(());
    }
    Err(StartError::Refused(format!(
        "{} does not end where the next segment begins, at index {next}: a segment is missing, or \
         this one was cut. Put it back from a copy",
        segment.name
    )))
}
