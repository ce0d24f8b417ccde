//! One copying under way: the segments, and the tree and the locations that follow from them.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use audittrail_merkle::{Edge, Hash, TreeHead, leaf_hash};
use audittrail_store::{KeptCheckpoint, Node};

use super::salvaged::Salvaged;
use super::target::{Fills, Part, Target, unwritten};
use super::{
    BackupInput, BackupMarker, BackupReport, BackupState, Earlier, Purpose, Secrets,
    another_history,
};
use crate::data_directory::{read_key, write_key};
use crate::disk::{Mode, SyncPoint, is_unreadable, read_file};
use crate::format::{
    BATCH_HEADER_LEN, BatchHeader, SEGMENT_HEADER_LEN, SegmentHeader, chain, decode_batch,
    origin_hash,
};
use crate::fsck::Finding;
use crate::layout::Layout;
use crate::locations::{Location, Locations};
use crate::start_error::StartError;
use crate::tail::From;
use crate::tree::Tree;
use crate::walk::{SegmentFile, id_of};

/// What is damaged is copied in parts of this size.
const READ_BYTES: u64 = 4 << 20;
/// Rows of the tree that are kept in memory.
const PENDING_MAX: usize = 65_536;
const FINDINGS_KEPT: usize = 1_000;

/// What is copied.
pub(super) struct Source<'c> {
    pub(super) files: &'c [SegmentFile],
    /// What the disk did not give of each.
    pub(super) salvaged: &'c [Arc<Salvaged>],
    pub(super) layout: Layout,
    pub(super) tree: Tree,
    /// What its checkpoint signs.
    pub(super) head: TreeHead,
}

pub(super) struct Copying<'c> {
    input: &'c BackupInput<'c>,
    files: &'c [SegmentFile],
    salvaged: &'c [Arc<Salvaged>],
    /// What the source's checkpoint signs.
    head: TreeHead,
    source: Layout,
    source_tree: Tree,
    /// What the copy's checkpoint signs, and where that ends.
    kept: TreeHead,
    kept_end: From,
    edge: Edge,
    /// Whether the log extends each of `input.earlier`, once that is known.
    earlier: Vec<Option<bool>>,
    report: BackupReport,
    target: Target,
}

/// Where the copying of a segment stopped.
enum Stopped {
    AtEnd,
    /// At bytes that are no whole batch, beyond the checkpoint, though more follows them.
    AtDamage,
}

impl<'c> Copying<'c> {
    /// What follows on what `target` has, which ends at `from` in the source's segments.
    pub(super) fn new(
        input: &'c BackupInput<'c>,
        source: Source<'c>,
        target: Target,
        from: From,
    ) -> Self {
        let head = source.head;
        Self {
            input,
            files: source.files,
            salvaged: source.salvaged,
            head,
            source: source.layout,
            source_tree: source.tree,
            kept: target.kept,
            kept_end: from,
            edge: Edge::new(),
            earlier: vec![None; input.earlier.len()],
            report: BackupReport {
                entries: 0,
                new_entries: 0,
                new_bytes: 0,
                checkpoint: head,
                findings: Vec::new(),
                found: 0,
                unreadable_bytes: 0,
                keys: Vec::new(),
            },
            target,
        }
    }

    pub(super) fn all(&mut self, progress: &mut dyn FnMut(u64, u64)) -> Result<(), StartError> {
        let compare = self.input.compare || self.target.lacks;
        let known = self.target.edge().filter(|_| !compare);
        let (mut position, mut at) = (self.kept_end.position, self.kept_end.offset);
        match known {
            Some(edge) => self.edge = edge,
            // All of the log is gone through, and compared with what is there.
            None => {
                (position, at) = (0, SEGMENT_HEADER_LEN as u64);
                self.target.tree.truncate(0);
            }
        }
        let files = self.files;
        for (place, file) in files.iter().enumerate().skip(position) {
            let start = if place == position {
                at
            } else {
                SEGMENT_HEADER_LEN as u64
            };
            let header = self.header(place)?;
            let mut part = self.target.segment(file, &header)?;
            let fixed = match place.cmp(&self.kept_end.position) {
                std::cmp::Ordering::Less => u64::MAX,
                std::cmp::Ordering::Equal => self.kept_end.offset,
                std::cmp::Ordering::Greater => 0,
            };
            if start == SEGMENT_HEADER_LEN as u64 {
                part.go_to(0, fixed);
                let sound = SegmentHeader::decode(&header).is_ok();
                let fills = if sound { Fills::Zeros } else { Fills::Nothing };
                self.put(file, &mut part, &header, fills)?;
            } else {
                part.go_to(start, fixed);
            }
            let known = self
                .edge
                .size()
                .clamp(file.first_index, self.head.size.max(file.first_index));
            let locations = self.target.locations(file, known)?;
            let stopped = self.segment(place, start, &mut part, &locations, progress)?;
            self.target.finish_locations(&locations)?;
            let stop = matches!(stopped, Stopped::AtDamage);
            let written = part.finish(!stop).map_err(unwritten(&self.target.layout))?;
            self.report.new_bytes += written.ok_or_else(|| self.differs(file))?;
            if stop {
                break;
            }
        }
        if self.edge.size() < self.head.size {
            return Err(StartError::Refused(format!(
                "the log in {} ends at index {}, before its checkpoint of size {}: `audittrail fsck` \
                 shows what is wrong",
                self.input.from.display(),
                self.edge.size(),
                self.head.size
            )));
        }
        Ok(())
    }

    /// The header of a segment that continues the log; a damaged one is copied as it is, and one
    /// that the disk does not give is made anew.
    fn header(&mut self, place: usize) -> Result<[u8; SEGMENT_HEADER_LEN], StartError> {
        let file = &self.files[place];
        let mut bytes = [0; SEGMENT_HEADER_LEN];
        file.file
            .read_at(&mut bytes, 0)
            .map_err(read_failed(file))?;
        let lost = self.salvaged[place].lost_in(&(0..SEGMENT_HEADER_LEN as u64));
        let before = self.edge.head();
        if !lost.is_empty() && before.size == file.first_index {
            let what = "the segment's header cannot be read; it was made anew in the copy";
            self.found(file, 0, None, what.to_owned());
            let origin = origin_hash(&self.input.identity.origin);
            return Ok(SegmentHeader { before, origin }.encode());
        }
        match file.header() {
            Ok(header) if header.origin != origin_hash(&self.input.identity.origin) => {
                return Err(refused(file, 0, "the segment belongs to another log"));
            }
            Ok(header) if header.before.size != file.first_index => {
                return Err(refused(file, 0, "the segment was renamed"));
            }
            Ok(_) => {}
            Err(why) if file.first_index >= self.head.size || !why.damaged => {
                return Err(refused(file, 0, &why.message));
            }
            Err(why) => self.found(file, 0, None, why.message),
        }
        Ok(bytes)
    }

    /// Copies a segment's batches from `at` on.
    fn segment(
        &mut self,
        place: usize,
        mut at: u64,
        part: &mut Part,
        locations: &Locations,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Stopped, StartError> {
        let file = &self.files[place];
        while at < file.len {
            let header = file.header_at(at).map_err(read_failed(file))?;
            let mut bytes = match header {
                Some(header) => file.read(at, header.len()).map_err(read_failed(file))?,
                None => Vec::new(),
            };
            let lost = self.recall(place, at, &mut bytes, part)?;
            let beyond = self.edge.size() >= self.head.size;
            let leaves = header
                .filter(|header| self.follows(header))
                .and_then(|header| Some((header, self.leaves(&header, &bytes)?)));
            match (leaves, beyond) {
                (Some((header, (leaves, rows))), _) => {
                    let rows = rows.into_iter().map(|row| row.moved_by(at));
                    if lost > 0 {
                        let what = format!(
                            "{lost} bytes of the batch cannot be read; the copy has them from an \
                             earlier run"
                        );
                        self.found(file, at, Some(header.first_index), what);
                    }
                    self.take(file, at, &leaves, rows, locations)?;
                    self.put(file, part, &bytes, Fills::Zeros)?;
                    at += header.len();
                }
                // What a server is writing, or what a crash tore, unless something good follows.
                (None, true) => return self.end_of_log(place, at),
                (None, false) => at = self.damaged(place, at, header, part, locations)?,
            }
            progress(self.edge.size(), self.head.size.max(self.edge.size()));
        }
        Ok(Stopped::AtEnd)
    }

    fn follows(&self, header: &BatchHeader) -> bool {
        header.first_index == self.edge.size() && header.before == chain(&self.edge.head())
    }

    /// The hashes of a batch's leaves, if its checksums hold and they give its root, and where in
    /// the batch the records are.
    fn leaves(&self, header: &BatchHeader, bytes: &[u8]) -> Option<(Vec<Hash>, Vec<Location>)> {
        let records = &bytes[BATCH_HEADER_LEN..];
        let mut at = 0;
        let (mut leaves, mut rows) = (Vec::new(), Vec::new());
        for frame in decode_batch(header, records).ok()? {
            let leaf = frame.leaf(&records[at..]);
            leaves.push(leaf_hash(leaf));
            rows.push(Location {
                id: id_of(leaf),
                offset: (BATCH_HEADER_LEN + at) as u64,
                len: frame.len() as u32,
            });
            at += frame.len();
        }
        let mut edge = self.edge.clone();
        leaves.iter().for_each(|leaf| edge.push(*leaf));
        (edge.head() == header.head).then_some((leaves, rows))
    }

    /// Takes the next leaves into the tree, and holds it against all that signed one.
    fn take(
        &mut self,
        file: &SegmentFile,
        at: u64,
        leaves: &[Hash],
        rows: impl Iterator<Item = Location>,
        locations: &Locations,
    ) -> Result<(), StartError> {
        let covered = self.edge.size() < self.head.size;
        locations.push(rows.filter(|_| covered));
        for leaf in leaves {
            let mut nodes = Vec::new();
            Node::push_leaf(&mut self.edge, *leaf, &mut nodes);
            let size = self.edge.size();
            if size <= self.head.size {
                self.target.tree.push([*leaf], &nodes);
            }
            if size == self.kept.size && self.edge.head() != self.kept {
                return Err(another_history(self.input, size));
            }
            if size == self.head.size && self.edge.head() != self.head {
                let extends = self.kept.size > 0;
                return Err(if extends {
                    another_history(self.input, self.kept.size)
                } else {
                    refused(
                        file,
                        at,
                        "the entries up to here do not give the checkpoint's root",
                    )
                });
            }
            for (earlier, known) in self.input.earlier.iter().zip(&mut self.earlier) {
                if earlier.head.size == size {
                    *known = Some(self.edge.head() == earlier.head);
                }
            }
        }
        if self.target.tree.pending() > PENDING_MAX {
            let flushed = self.target.tree.flush(&*self.target.disk);
            flushed.map_err(unwritten(&self.target.layout))?;
        }
        Ok(())
    }

    /// Puts the next bytes, which may fill in zeros of an earlier run: they verified, or do not only
    /// because the disk does not give all of them.
    fn put(
        &self,
        file: &SegmentFile,
        part: &mut Part,
        bytes: &[u8],
        fills: Fills,
    ) -> Result<(), StartError> {
        let put = part
            .put(bytes, fills)
            .map_err(unwritten(&self.target.layout))?;
        if put { Ok(()) } else { Err(self.differs(file)) }
    }

    /// Takes what the source's disk did not give of these bytes from the copy, as far as it has
    /// them; how many bytes the disk did not give.
    fn recall(
        &self,
        place: usize,
        at: u64,
        bytes: &mut [u8],
        part: &Part,
    ) -> Result<u64, StartError> {
        let lost = self.salvaged[place].lost_in(&(at..at + bytes.len() as u64));
        for range in &lost {
            let within = (range.start - at) as usize..(range.end - at) as usize;
            part.recall(&mut bytes[within], range.start)
                .map_err(unwritten(&self.target.layout))?;
        }
        Ok(lost.iter().map(|range| range.end - range.start).sum())
    }

    fn differs(&self, file: &SegmentFile) -> StartError {
        StartError::Refused(format!(
            "{} in {} is not the one of the log, below the checkpoint of both: one of them was \
             changed or is damaged. Check both with `audittrail fsck`, and make a new copy in an empty \
             directory",
            file.name,
            self.input.to.display()
        ))
    }

    /// Below the checkpoint, at a batch that does not verify: its bytes are copied as they are,
    /// with the hashes that the source's tree has for it. If these are not the ones that were
    /// signed, a root further on shows it. Where the next batch begins.
    fn damaged(
        &mut self,
        place: usize,
        at: u64,
        header: Option<BatchHeader>,
        part: &mut Part,
        locations: &Locations,
    ) -> Result<u64, StartError> {
        let file = &self.files[place];
        let next = file.next_header(at + 1).map_err(read_failed(file))?;
        let whole = header.filter(|header| header.first_index == self.edge.size());
        let end = whole.map_or_else(
            || next.map_or(file.len, |(offset, _)| offset),
            |header| at + header.len(),
        );
        let upto = match (whole, next) {
            (Some(header), _) => header.head.size,
            (None, Some((_, next))) => next.first_index,
            (None, None) => match self.files.get(place + 1) {
                Some(next) => next.first_index,
                None => self.head.size,
            },
        };
        let lost = self.salvaged[place].lost_in(&(at..end));
        let lost: u64 = lost.iter().map(|range| range.end - range.start).sum();
        let what = match lost {
            0 => "the batch does not verify; it was copied as it is".to_owned(),
            lost => format!(
                "{lost} bytes cannot be read here; the rest was copied, and they are zeros in the \
                 copy unless an earlier run had them"
            ),
        };
        let range = self.edge.size()..upto;
        let hashes = Some(range.clone())
            .filter(|range| range.start < range.end && range.end <= self.head.size)
            .and_then(|range| self.source_tree.hashes(0, range).ok())
            .ok_or_else(|| refused(file, at, "the batch does not follow the one before"))?;
        self.found(file, at, Some(range.start), what);
        let rows = self.source_rows(file, range);
        self.take(file, at, &hashes, rows.into_iter(), locations)?;
        let fills = if lost > 0 {
            Fills::Pages
        } else {
            Fills::Nothing
        };
        let mut from = at;
        while from < end {
            let mut bytes = file
                .read(from, (end - from).min(READ_BYTES))
                .map_err(read_failed(file))?;
            self.recall(place, from, &mut bytes, part)?;
            self.put(file, part, &bytes, fills)?;
            from += bytes.len() as u64;
        }
        Ok(end)
    }

    /// Where the source says that records are, as far as it can be read.
    fn source_rows(&self, file: &SegmentFile, range: Range<u64>) -> Vec<Location> {
        let (disk, first) = (&**self.input.disk, file.first_index);
        let opened = Locations::open(disk, &self.source, first, range.end, Mode::Read);
        let read = opened.and_then(|locations| locations.read(range.clone()));
        let rows = read.unwrap_or_else(|_| range.map(|_| None).collect());
        let known = rows.into_iter().map(|row| row.unwrap_or(Location::UNKNOWN));
        known.collect()
    }

    /// Beyond the checkpoint, at bytes that are no batch.
    fn end_of_log(&mut self, place: usize, at: u64) -> Result<Stopped, StartError> {
        let file = &self.files[place];
        let follows = file.next_good_batch(at + 1).map_err(read_failed(file))?;
        let lost = self.salvaged[place].lost_in(&(at..file.len));
        if follows.is_none() && place + 1 == self.files.len() && lost.is_empty() {
            return Ok(Stopped::AtEnd);
        }
        let what = match lost.is_empty() {
            true => "the log is damaged there, beyond its checkpoint: what follows was not copied",
            false => {
                "the log cannot be read there, beyond its checkpoint: what follows was not copied"
            }
        };
        self.found(file, at, Some(self.edge.size()), what.to_owned());
        Ok(Stopped::AtDamage)
    }

    fn found(&mut self, file: &SegmentFile, offset: u64, index: Option<u64>, what: String) {
        self.report.found += 1;
        if self.report.findings.len() < FINDINGS_KEPT {
            self.report.findings.push(Finding {
                file: file.name.clone(),
                offset: Some(offset),
                index,
                what,
            });
        }
    }

    /// The keys and what was cosigned, and then the checkpoint that covers all of it.
    pub(super) fn finish(
        mut self,
        checkpoint: &KeptCheckpoint,
    ) -> Result<BackupReport, StartError> {
        let (disk, layout) = (Arc::clone(&self.target.disk), self.target.layout.clone());
        self.target.tree.flush(&*disk).map_err(unwritten(&layout))?;
        let synced = self.target.tree.sync(&*disk, &layout);
        synced.map_err(unwritten(&layout))?;
        self.check_earlier()?;
        let files = self.files.iter().zip(self.salvaged);
        self.report.unreadable_bytes = files
            .map(|(file, salvaged)| salvaged.lost_bytes(file.len))
            .sum();
        if let (1.., 0, Some(file)) = (
            self.report.unreadable_bytes,
            self.report.found,
            self.files.last(),
        ) {
            // They were asked for to find where to go on.
            let lost = self.report.unreadable_bytes;
            let what = format!("{lost} bytes of the log cannot be read");
            self.found(file, 0, None, what);
        }
        if self.report.found == 0 {
            self.target.remove_others(self.files)?;
        }
        let keys = self.keys()?;
        self.report.keys = keys;
        // Nobody needs it: it is believed only if it holds.
        if let Ok(Some(cosigned)) = read_file(&*disk, &self.source.cosigned()) {
            self.target.put_file(&layout.cosigned(), &cosigned)?;
        }
        let note = checkpoint.note.as_bytes();
        self.target.put_file(&layout.checkpoint(), note)?;
        self.finish_marker()?;
        let entries = self.edge.size();
        Ok(BackupReport {
            entries,
            new_entries: entries.saturating_sub(self.kept.size),
            ..self.report
        })
    }

    fn check_earlier(&self) -> Result<(), StartError> {
        for (earlier, known) in self.input.earlier.iter().zip(&self.earlier) {
            let Earlier { head, name } = earlier;
            let extends = known.or_else(|| {
                let then = self
                    .target
                    .tree
                    .edge(head.size)
                    .filter(|_| head.size <= self.head.size);
                then.map(|edge| edge.head() == *head)
            });
            let why = match extends {
                Some(true) => continue,
                Some(false) => format!("this log had another history up to size {}", head.size),
                None => format!(
                    "this log had {} entries, and there are only {}",
                    head.size,
                    self.edge.size()
                ),
            };
            return Err(StartError::Refused(format!(
                "{name} says that {why}: going on from here would be a second history, so nothing is \
                 signed in {}. Restore the newest backup; if there is none that is new enough, start \
                 a new log in an empty directory under a new name, and keep this backup to read",
                self.input.to.display()
            )));
        }
        Ok(())
    }

    /// Copies the files in `keys/`, of which only `begun` is no secret.
    fn keys(&mut self) -> Result<Vec<String>, StartError> {
        let (disk, from) = (&**self.input.disk, self.input.from);
        let mut copied = Vec::new();
        for name in disk.list(&Layout::new(from).keys()).unwrap_or_default() {
            let wanted = name == "begun" || self.input.secrets == Secrets::Copied;
            if !wanted || name.ends_with(".tmp") {
                continue;
            }
            let read = match read_key(disk, from, &name) {
                Err(StartError::Io { source, .. }) if is_unreadable(&source) => {
                    self.report.found += 1;
                    self.report.findings.push(Finding {
                        file: format!("keys/{name}"),
                        offset: None,
                        index: None,
                        what: format!("it cannot be read and is not in the copy: {source}"),
                    });
                    continue;
                }
                other => other?,
            };
            if let Some(key) = read {
                if read_key(disk, self.input.to, &name)?.as_ref() != Some(&key) {
                    write_key(disk, self.input.to, &name, &key)?;
                }
                copied.push(name);
            }
        }
        copied.retain(|name| name != "begun");
        Ok(copied)
    }

    /// The copy is whole: a backup says so, and a data directory is one from now on.
    fn finish_marker(&self) -> Result<(), StartError> {
        let (disk, layout) = (&*self.target.disk, &self.target.layout);
        let done = match self.input.purpose {
            Purpose::Backup => {
                let lacks = self.report.unreadable_bytes > 0
                    || (self.target.lacks && self.report.found > 0);
                let marker = BackupMarker {
                    state: match lacks {
                        true => BackupState::Lacking,
                        false => BackupState::Whole,
                    },
                    identity: self.input.identity.clone(),
                };
                marker.write(disk, layout)
            }
            Purpose::Restore => disk
                .remove(&layout.backup())
                .and_then(|()| disk.sync_directory(layout.root(), SyncPoint::BackupMarkerName)),
        };
        done.map_err(unwritten(layout))
    }
}

fn read_failed(file: &SegmentFile) -> impl FnOnce(io::Error) -> StartError {
    StartError::io(format!("{} cannot be read", file.name))
}

fn refused(file: &SegmentFile, at: u64, why: &str) -> StartError {
    StartError::Refused(format!(
        "{} at offset {at}: {why}. `audittrail fsck` shows what is wrong; what was backed up before \
         is whole",
        file.name
    ))
}
