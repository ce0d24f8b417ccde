//! The directory that a log is copied into. What a crash leaves of it at any moment is the copy
//! as it was before, perhaps with more of the log than its checkpoint covers.

use std::io;
use std::path::Path;
use std::sync::Arc;

use audittrail_merkle::{Edge, TreeHead};

use super::marker::{BackupMarker, BackupState};
use super::{BackupInput, Purpose};
use crate::disk::{DirectoryLock, Disk, DiskFile, Mode, SyncPoint, read_file, replace_file};
use crate::layout::{Layout, parse_segment_name};
use crate::locations::Locations;
use crate::start::{check_contiguous, find_checkpoint_end, list_segments, read_checkpoint};
use crate::start_error::StartError;
use crate::tail::From;
use crate::tree::Tree;
use crate::walk::SegmentFile;

/// So much is written at once.
const WRITE_BYTES: usize = 4 << 20;

/// An error of the copy's disk, with what to do.
pub(super) fn unwritten(layout: &Layout) -> impl FnOnce(io::Error) -> StartError {
    let root = layout.root().display().to_string();
    move |source| {
        let advice = match source.kind() {
            io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::FileTooLarge => {
                "; make room there and run it again: it goes on where it stopped, and what was \
                 whole before is whole still"
            }
            _ => "; run it again when that is mended: it goes on where it stopped",
        };
        StartError::Io {
            what: format!("the copy in {root} cannot be written{advice}"),
            source,
        }
    }
}

/// A directory that holds a part of a log, or nothing yet.
pub(super) struct Target {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) layout: Layout,
    _lock: Box<dyn DirectoryLock>,
    /// What its checkpoint signs.
    pub(super) kept: TreeHead,
    /// Whether zeros stand in it for what an earlier run could not read.
    pub(super) lacks: bool,
    pub(super) tree: Tree,
}

impl Target {
    /// Takes the directory, making it if need be.
    pub(super) fn open(input: &BackupInput<'_>) -> Result<Self, StartError> {
        let (disk, root) = (Arc::clone(input.disk), input.to);
        let layout = Layout::new(root);
        disk.create_directory(root).map_err(|source| {
            let advice = match source.kind() {
                io::ErrorKind::NotFound => "; the directory above it has to exist",
                _ => "",
            };
            StartError::Io {
                what: format!("{} cannot be made{advice}", root.display()),
                source,
            }
        })?;
        check_content(&*disk, &layout)?;
        let parent = root.parent().unwrap_or(Path::new(""));
        disk.sync_directory(parent, SyncPoint::BackupNames)
            .map_err(unwritten(&layout))?;
        let lock = disk
            .lock(&layout.lock())
            .map_err(|error| match error.kind() {
                io::ErrorKind::WouldBlock => StartError::Refused(format!(
                    "another process is using {}: wait for it, or choose another directory",
                    root.display()
                )),
                _ => unwritten(&layout)(error),
            })?;
        let lacks = mark(&*disk, &layout, input)? == BackupState::Lacking;
        let (tree, locations) = (layout.tree(), layout.locations());
        for directory in [layout.log(), tree, locations, layout.keys()] {
            disk.create_directory(&directory)
                .map_err(unwritten(&layout))?;
        }
        disk.sync_directory(root, SyncPoint::BackupNames)
            .map_err(unwritten(&layout))?;
        let kept = read_checkpoint(&*disk, &layout, input.identity)?;
        let kept = kept.map_or(TreeHead::EMPTY, |kept| kept.head);
        let tree = Tree::open(&*disk, &layout, kept.size, Mode::Write);
        let tree = tree.map_err(unwritten(&layout))?;
        Ok(Self {
            disk,
            layout,
            _lock: lock,
            kept,
            lacks,
            tree,
        })
    }

    /// The tree as its checkpoint signs it, if its hashes give that.
    pub(super) fn edge(&self) -> Option<Edge> {
        let sound = self.tree.is_complete(self.kept.size);
        let edge = self.tree.edge(self.kept.size).filter(|_| sound)?;
        (edge.head() == self.kept).then_some(edge)
    }

    /// What is there is cut where the log of `files` is, up to where its checkpoint ends.
    pub(super) fn compare(&self, files: &[SegmentFile], from: &From) -> Result<(), StartError> {
        if self.kept.size == 0 {
            return Ok(());
        }
        let other = |why: String| {
            StartError::Refused(format!(
                "{} is not what a copy of this log is: {why}. Check both with `audittrail fsck`, and \
                 make a new copy in an empty directory",
                self.layout.root().display()
            ))
        };
        let own = list_segments(&*self.disk, &self.layout)?;
        let end = find_checkpoint_end(&*self.disk, &self.layout, &own, &self.kept)
            .map_err(|error| other(error.to_string()))?;
        let below = own.iter().filter(|one| one.first_index < self.kept.size);
        let same = below
            .zip(files)
            .take(from.position)
            .find(|(own, file)| (own.first_index, own.len) != (file.first_index, file.len));
        if let Some((own, file)) = same {
            let (len, there) = (file.len, own.len);
            return Err(other(format!("{} has {there} bytes, not {len}", own.name)));
        }
        if (end.position, end.offset) != (from.position, from.offset) {
            return Err(other(format!(
                "it ends elsewhere at index {}",
                self.kept.size
            )));
        }
        for pair in own.windows(2) {
            if pair[1].first_index <= self.kept.size {
                check_contiguous(&*self.disk, &self.layout, &pair[0], pair[1].first_index)?;
            }
        }
        Ok(())
    }

    /// The segment of that name, made with this header if there is none: a durable header before
    /// the name, and a durable name before anything else.
    pub(super) fn segment(&self, file: &SegmentFile, header: &[u8]) -> Result<Part, StartError> {
        let path = self.layout.segment(file.first_index);
        let made = || -> io::Result<Part> {
            let existing = match self.disk.open(&path, Mode::Write) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                other => Some(other?),
            };
            let opened = match existing {
                Some(file) => file,
                None => {
                    let temporary = self.layout.new_segment();
                    let new = self.disk.open(&temporary, Mode::Replace)?;
                    new.write_at(header, 0)?;
                    new.sync_data(SyncPoint::BackupSegment)?;
                    self.disk.rename(&temporary, &path)?;
                    self.disk
                        .sync_directory(&self.layout.log(), SyncPoint::BackupNames)?;
                    new
                }
            };
            Ok(Part {
                len: opened.len()?,
                file: opened,
                at: 0,
                buffer: Vec::new(),
                fills: Fills::Zeros,
                fixed: 0,
                written: 0,
            })
        };
        made().map_err(unwritten(&self.layout))
    }

    /// The locations of a segment's records below `end`, to be added to.
    pub(super) fn locations(&self, file: &SegmentFile, end: u64) -> Result<Locations, StartError> {
        let first = file.first_index;
        let opened = Locations::open(&*self.disk, &self.layout, first, end, Mode::Write);
        let locations = opened.map_err(unwritten(&self.layout))?;
        if locations.end() < end {
            let rows = file.locations(end);
            let rows = rows.map_err(StartError::io(format!("{} cannot be read", file.name)))?;
            locations.truncate(first);
            locations.push(rows);
        }
        Ok(locations)
    }

    pub(super) fn finish_locations(&self, locations: &Locations) -> Result<(), StartError> {
        let finish = || -> io::Result<()> {
            locations.flush(&*self.disk)?;
            if locations.sync()? {
                let directory = self.layout.locations();
                self.disk
                    .sync_directory(&directory, SyncPoint::LocationsDirectory)?;
            }
            Ok(())
        };
        finish().map_err(unwritten(&self.layout))
    }

    /// Segments that are none of the log's: they lie beyond the checkpoint that was there, and
    /// the log has something else there now.
    pub(super) fn remove_others(&self, files: &[SegmentFile]) -> Result<(), StartError> {
        let remove = || -> io::Result<()> {
            for name in self.disk.list(&self.layout.log())? {
                let first = parse_segment_name(&name);
                let other = first.is_some_and(|first| {
                    first >= self.kept.size && files.iter().all(|file| file.first_index != first)
                });
                if other || name == "new.seg.tmp" {
                    self.disk.remove(&self.layout.log().join(name))?;
                }
            }
            self.disk
                .sync_directory(&self.layout.log(), SyncPoint::BackupNames)
        };
        remove().map_err(unwritten(&self.layout))
    }

    /// Makes a small file durable under its name, unless it is there already.
    pub(super) fn put_file(&self, path: &Path, bytes: &[u8]) -> Result<(), StartError> {
        let put = || -> io::Result<()> {
            if read_file(&*self.disk, path)?.as_deref() == Some(bytes) {
                return Ok(());
            }
            let (content, name) = (SyncPoint::CheckpointFile, SyncPoint::CheckpointDirectory);
            Ok(replace_file(&*self.disk, path, bytes, content, name)?)
        };
        put().map_err(unwritten(&self.layout))
    }
}

/// Nothing is written into a directory with anything else in it.
fn check_content(disk: &dyn Disk, layout: &Layout) -> Result<(), StartError> {
    let root = layout.root();
    let names = disk
        .list(root)
        .map_err(StartError::io(format!("{} cannot be read", root.display())))?;
    // A marker that was not finished yet is one of ours, too.
    let ours = |name: &String| ["LOCK", "backup.tmp", "lost+found"].contains(&name.as_str());
    if names.contains(&"backup".to_owned()) || names.iter().all(ours) {
        return Ok(());
    }
    Err(StartError::Refused(format!(
        "{} is neither empty nor a backup: choose another directory",
        root.display()
    )))
}

/// From the marker on nobody takes the directory for a log that can be continued.
/// What it was before, or is now.
fn mark(
    disk: &dyn Disk,
    layout: &Layout,
    input: &BackupInput<'_>,
) -> Result<BackupState, StartError> {
    let root = layout.root().display();
    let state = match input.purpose {
        Purpose::Backup => BackupState::Unfinished,
        Purpose::Restore => BackupState::Restoring,
    };
    let Some(marker) = BackupMarker::read(disk, layout.root())? else {
        let identity = input.identity.clone();
        let marker = BackupMarker { state, identity };
        let written = marker.write(disk, layout).map_err(unwritten(layout));
        return written.map(|()| state);
    };
    let (there, ours) = (&marker.identity.origin, &input.identity.origin);
    if there != ours {
        return Err(StartError::Refused(format!(
            "{root} holds a copy of another log, {there}, and this is {ours}: choose another \
             directory"
        )));
    }
    match (input.purpose, marker.state) {
        (Purpose::Backup, BackupState::Unfinished | BackupState::Whole | BackupState::Lacking)
        | (Purpose::Restore, BackupState::Restoring) => Ok(marker.state),
        (_, BackupState::Copying) => Err(StartError::Refused(format!(
            "{root} holds a copy that was not finished: run `audittrail copy` again, or choose another \
             directory"
        ))),
        (Purpose::Backup, BackupState::Restoring) => Err(StartError::Refused(format!(
            "{root} holds a restore that was not finished: choose another directory for the backup"
        ))),
        (Purpose::Restore, _) => Err(StartError::Refused(format!(
            "{root} is a backup itself: choose an empty directory to restore into"
        ))),
    }
}

/// Which zeros of the copy, below its checkpoint, bytes may take the place of: an earlier run put them
/// there for what it could not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fills {
    Nothing,
    /// Bytes that were verified: each.
    Zeros,
    /// Others: those of pages that are zeros as a whole, since one zero can be a sound byte.
    Pages,
}

/// What a disk gives, or does not give, at once.
const PAGE: u64 = 4 << 10;

/// Whether all that is there of the page with this byte is zeros; `existing` begins at `start` in the
/// file.
fn is_empty_page(existing: &[u8], start: u64, at: usize) -> bool {
    let page = (start + at as u64) / PAGE * PAGE;
    let from = page.saturating_sub(start) as usize;
    let to = ((page + PAGE).saturating_sub(start) as usize).min(existing.len());
    existing[from..to].iter().all(|byte| *byte == 0)
}

/// The segment that is being written, from where the copy goes on.
pub(super) struct Part {
    file: Arc<dyn DiskFile>,
    /// Of the file as it is.
    len: u64,
    /// Where `buffer` goes.
    at: u64,
    buffer: Vec<u8>,
    /// Which zeros below the checkpoint it may take the place of.
    fills: Fills,
    /// Below this nothing is changed, since the checkpoint that was there covers it.
    fixed: u64,
    /// Bytes that were not there before.
    written: u64,
}

impl Part {
    pub(super) fn go_to(&mut self, at: u64, fixed: u64) {
        (self.at, self.fixed) = (at, fixed);
    }

    /// Appends bytes, which take the place of zeros where they are what `fills`. `Ok(false)`: below
    /// the checkpoint there stands something else.
    pub(super) fn put(&mut self, bytes: &[u8], fills: Fills) -> io::Result<bool> {
        if self.fills != fills && !self.flush()? {
            return Ok(false);
        }
        self.fills = fills;
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= WRITE_BYTES {
            return self.flush();
        }
        Ok(true)
    }

    /// Reads what an earlier run put at an offset, if it did.
    pub(super) fn recall(&self, bytes: &mut [u8], at: u64) -> io::Result<()> {
        let there = self.len.saturating_sub(at).min(bytes.len() as u64) as usize;
        let (known, unknown) = bytes.split_at_mut(there);
        unknown.fill(0);
        match known {
            [] => Ok(()),
            known => self.file.read_at(known, at),
        }
    }

    /// What is there already and equal stays as it is: it may be all that is left of the log. Zeros
    /// below the checkpoint may be what could not be read then: what can be read now takes their
    /// place.
    fn flush(&mut self) -> io::Result<bool> {
        let there = self
            .len
            .saturating_sub(self.at)
            .min(self.buffer.len() as u64) as usize;
        let mut existing = vec![0; there];
        self.file.read_at(&mut existing, self.at)?;
        let same = existing
            .iter()
            .zip(&self.buffer)
            .take_while(|(one, other)| one == other)
            .count();
        let end = self.at + self.buffer.len() as u64;
        if same < self.buffer.len() {
            let from = self.at + same as u64;
            if from < self.fixed {
                let below = usize::try_from(self.fixed - from).unwrap_or(usize::MAX);
                let pairs = existing.iter().zip(&self.buffer).enumerate();
                let mut changed = pairs
                    .skip(same)
                    .take(below)
                    .filter(|(_, (one, other))| one != other);
                let filled = changed.all(|(at, (one, _))| match self.fills {
                    Fills::Nothing => false,
                    Fills::Zeros => *one == 0,
                    Fills::Pages => is_empty_page(&existing, self.at, at),
                });
                if !filled {
                    return Ok(false);
                }
                self.len = self.len.max(end);
            } else {
                if self.len > from {
                    self.file.set_len(from)?;
                }
                self.len = end;
            }
            self.file.write_at(&self.buffer[same..], from)?;
            self.written += end - from;
        }
        self.at = end;
        self.buffer.clear();
        Ok(true)
    }

    /// Makes the segment durable, where it is `whole` with nothing behind what was put; the bytes
    /// that are new, none as for [`Part::put`].
    pub(super) fn finish(mut self, whole: bool) -> io::Result<Option<u64>> {
        if !self.flush()? {
            return Ok(None);
        }
        if whole && self.len > self.at {
            self.file.set_len(self.at)?;
        }
        self.file.sync_data(SyncPoint::BackupSegment)?;
        Ok(Some(self.written))
    }
}
