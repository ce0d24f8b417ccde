//! Checking a directory from outside: every frame, signature and commitment, the ids, the tree,
//! the checkpoint and the search index. It changes nothing and needs no lock, so it also checks
//! the committed part of a running store, and a directory that can only be read.

use std::io;
use std::path::Path;
use std::sync::Arc;

use audittrail_entry::KeyRing;
use audittrail_merkle::{Edge, Hash, TreeHead, leaf_hash};
use audittrail_store::Node;

use crate::disk::{Disk, Mode};
use crate::format::{
    BATCH_HEADER_LEN, BatchHeader, RecordFrame, SEGMENT_HEADER_LEN, chain, decode_record,
};
use crate::fsck_ids::Ids;
use crate::fsck_index::check_index;
use crate::layout::Layout;
use crate::locations::{Location, Locations, ROW_LEN};
use crate::start::{Identity, list_segments, read_checkpoint};
use crate::start_error::StartError;
use crate::tree::Tree;
use crate::walk::{SegmentFile, id_of};

/// Findings kept one by one; beyond them only their number is.
const FINDINGS_KEPT: usize = 10_000;

/// So many entries may be missing beyond the checkpoint, where nothing tells how far the log
/// goes; an index that is further off is a changed one.
const MISSING_MAX: u64 = 1 << 24;
/// Fewer bytes than an entry takes, with everything around it.
const ENTRY_BYTES: u64 = 400;

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The file, below the data directory.
    pub file: String,
    /// Where in the file, in bytes.
    pub offset: Option<u64>,
    /// Which entry.
    pub index: Option<u64>,
    /// What is wrong, in a sentence.
    pub what: String,
}

/// What a check found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FsckReport {
    /// Entries looked at.
    pub entries: u64,
    /// Size and root that the log itself gives.
    pub head: Option<TreeHead>,
    /// The checkpoint in the directory.
    pub checkpoint: Option<TreeHead>,
    /// The first findings.
    pub findings: Vec<Finding>,
    /// How many there were.
    pub found: u64,
    /// Bytes at the very end that are no whole batch: a running server is writing it, or a
    /// crash tore it.
    pub torn_bytes: u64,
    /// Entries in the search index, if there is one and it can be read. The others of the log
    /// are not in its files yet.
    pub indexed: Option<u64>,
    /// Whether there were too many entries to look at all their ids for those that stand twice.
    pub ids_left_out: bool,
}

impl FsckReport {
    /// Nothing could have led to a larger index.
    pub(crate) fn farthest(&self) -> u64 {
        let known = self.checkpoint.iter().chain(&self.head);
        let known = known.map(|head| head.size).max().unwrap_or_default();
        known.saturating_add(MISSING_MAX)
    }
}

/// What a check is given besides the directory.
pub struct FsckInput<'i> {
    /// Whose log it is.
    pub identity: &'i Identity,
    /// The keys that signed its entries; without them signatures are not looked at.
    pub keys: Option<&'i KeyRing>,
    /// An earlier tree head of the log, from a place that is not the directory.
    pub since: Option<TreeHead>,
}

/// Checks the log in a directory. `progress` is told how many entries of how many were
/// looked at.
///
/// # Errors
/// If the directory cannot be read. What is wrong with the log is in the report.
pub fn fsck(
    disk: &Arc<dyn Disk>,
    root: &Path,
    input: &FsckInput<'_>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<FsckReport, StartError> {
    let layout = Layout::new(root);
    let files = list_segments(&**disk, &layout)?;
    let bytes: u64 = files.iter().map(|file| file.len).sum();
    let mut checker = Checker::new(disk, layout, input, bytes / ENTRY_BYTES)?;
    for (position, file) in files.iter().enumerate() {
        let last = position + 1 == files.len();
        checker
            .segment(file, last, progress)
            .map_err(StartError::io(format!("{} cannot be read", file.name)))?;
    }
    let (mut report, ids) = checker.finish();
    ids.report(&files, &mut report)
        .map_err(StartError::io("the log cannot be read"))?;
    let origin = crate::format::origin_hash(&input.identity.origin);
    check_index(&**disk, &Layout::new(root), origin, &files, &mut report);
    Ok(report)
}

struct Checker<'i> {
    input: &'i FsckInput<'i>,
    disk: &'i Arc<dyn Disk>,
    layout: Layout,
    tree: Tree,
    /// The tree over the leaves in the log.
    edge: Edge,
    /// The tree over the leaf hashes in `tree/`.
    stored_edge: Edge,
    stored_leaves: StoredLeaves,
    /// Heads that have to come out on the way, with the name of who says so.
    expected: Vec<(TreeHead, &'static str)>,
    /// Leaves that differ between the log and the tree: index, file, offset.
    differing: Vec<(u64, String, u64)>,
    diverged: bool,
    ids: Ids,
    report: FsckReport,
}

/// Leaf hashes of `tree/00`, read ahead.
#[derive(Default)]
struct StoredLeaves {
    from: u64,
    hashes: Vec<Hash>,
}

impl StoredLeaves {
    fn get(&mut self, tree: &Tree, index: u64, end: u64) -> Option<Hash> {
        let inside = index >= self.from && index < self.from + self.hashes.len() as u64;
        if !inside {
            let upto = end.min(index + 4_096);
            self.hashes = tree.hashes(0, index..upto.max(index)).unwrap_or_default();
            self.from = index;
        }
        self.hashes.get((index - self.from) as usize).copied()
    }
}

impl<'i> Checker<'i> {
    fn new(
        disk: &'i Arc<dyn Disk>,
        layout: Layout,
        input: &'i FsckInput<'i>,
        entries: u64,
    ) -> Result<Self, StartError> {
        let mut report = FsckReport::default();
        let mut expected = Vec::new();
        match read_checkpoint(&**disk, &layout, input.identity) {
            Ok(Some(kept)) => {
                report.checkpoint = Some(kept.head);
                expected.push((kept.head, "the checkpoint in the directory"));
            }
            Ok(None) => push(
                &mut report,
                "checkpoint",
                None,
                None,
                "there is none".to_owned(),
            ),
            Err(StartError::Refused(why)) => push(&mut report, "checkpoint", None, None, why),
            // The log can be looked at without it.
            Err(error @ StartError::Io { .. }) => {
                push(&mut report, "checkpoint", None, None, error.to_string());
            }
        }
        if let Some(since) = input.since {
            expected.push((since, "the checkpoint given with --since"));
        }
        let size = report.checkpoint.map_or(0, |head| head.size);
        let tree = Tree::open(&**disk, &layout, size, Mode::Read)
            .map_err(StartError::io("the tree cannot be opened"))?;
        let mut checker = Self {
            input,
            disk,
            layout,
            tree,
            edge: Edge::new(),
            stored_edge: Edge::new(),
            stored_leaves: StoredLeaves::default(),
            expected,
            differing: Vec::new(),
            diverged: false,
            ids: Ids::new(entries),
            report,
        };
        checker.compare_heads();
        Ok(checker)
    }

    fn found(&mut self, file: &str, offset: Option<u64>, index: Option<u64>, what: String) {
        push(&mut self.report, file, offset, index, what);
    }

    fn checkpoint_size(&self) -> u64 {
        self.report.checkpoint.map_or(0, |head| head.size)
    }

    fn segment(
        &mut self,
        file: &SegmentFile,
        last: bool,
        progress: &mut dyn FnMut(u64, u64),
    ) -> io::Result<()> {
        if self.is_far_off(file.first_index, &file.name, 0) {
            return Ok(());
        }
        if let Some(what) = file.file.flaw()? {
            self.found(&file.name, None, None, what.to_owned());
        }
        self.header(file);
        let end = self.checkpoint_size().max(file.first_index);
        let (disk, first_index) = (&**self.disk, file.first_index);
        let locations = Locations::open(disk, &self.layout, first_index, end, Mode::Read)?;
        let mut at = SEGMENT_HEADER_LEN as u64;
        for found in file.headers() {
            let (offset, header) = found?;
            if offset > at {
                let what = "the bytes up to the next batch are none".to_owned();
                self.found(&file.name, Some(at), None, what);
            }
            self.batch(file, offset, &header, &locations)?;
            at = offset + header.len();
            progress(
                self.edge.size(),
                self.checkpoint_size().max(self.edge.size()),
            );
        }
        if at < file.len {
            if last && self.edge.size() >= self.checkpoint_size() {
                self.report.torn_bytes = file.len - at;
            } else {
                let what = format!("the last {} bytes are no whole batch", file.len - at);
                self.found(&file.name, Some(at), None, what);
            }
        }
        Ok(())
    }

    fn header(&mut self, file: &SegmentFile) {
        match file.header() {
            Err(why) => self.found(&file.name, Some(0), None, why.message),
            Ok(header) => {
                if header.origin != crate::format::origin_hash(&self.input.identity.origin) {
                    let what = "the segment belongs to another log".to_owned();
                    self.found(&file.name, Some(0), None, what);
                }
                if header.before.size != file.first_index {
                    let what = format!("the segment begins at {}", header.before.size);
                    self.found(&file.name, Some(0), None, what);
                } else if header.before != self.edge.head() && !self.diverged {
                    self.diverge(file, 0, "the segment does not continue the one before");
                }
            }
        }
        self.skip_to(file.first_index, &file.name, 0);
    }

    /// After the first disagreement about roots, every later root disagrees too.
    fn diverge(&mut self, file: &SegmentFile, offset: u64, what: &str) {
        self.diverged = true;
        let index = Some(self.edge.size());
        self.found(&file.name, Some(offset), index, what.to_owned());
    }

    /// Reports an index that nothing could have led to.
    fn is_far_off(&mut self, index: u64, file: &str, offset: u64) -> bool {
        let known = self.checkpoint_size().max(self.edge.size());
        let far_off = index > known.saturating_add(MISSING_MAX);
        if far_off {
            let what = format!(
                "it claims to begin at index {index}, far beyond the {known} entries that are known: \
                 what follows in it was not looked at"
            );
            self.found(file, Some(offset), Some(index), what);
        }
        far_off
    }

    /// Entries that the log does not have count with the hashes that the tree has for them,
    /// so that the others can still be checked.
    fn skip_to(&mut self, index: u64, file: &str, offset: u64) {
        let missing = index.saturating_sub(self.edge.size());
        if missing > 0 {
            let what = format!("{missing} entries before index {index} are missing");
            self.found(file, Some(offset), Some(self.edge.size()), what);
        }
        while self.edge.size() < index {
            let at = self.edge.size();
            let end = self.checkpoint_size();
            let Some(hash) = self.stored_leaves.get(&self.tree, at, end) else {
                self.diverged = true;
                self.push_leaf(Hash([0; 32]), None, file, offset);
                continue;
            };
            self.push_leaf(hash, Some(hash), file, offset);
        }
    }

    fn batch(
        &mut self,
        file: &SegmentFile,
        offset: u64,
        header: &BatchHeader,
        locations: &Locations,
    ) -> io::Result<()> {
        if header.first_index < self.edge.size() {
            let what = format!(
                "the batch stands twice: it begins at {}",
                header.first_index
            );
            self.found(&file.name, Some(offset), Some(header.first_index), what);
            return Ok(());
        }
        if self.is_far_off(header.first_index, &file.name, offset) {
            return Ok(());
        }
        self.skip_to(header.first_index, &file.name, offset);
        if header.before != chain(&self.edge.head()) && !self.diverged {
            self.diverge(file, offset, "the batch does not continue the one before");
        }
        let records = file.read(
            offset + BATCH_HEADER_LEN as u64,
            u64::from(header.records_len),
        )?;
        let mut at = 0;
        for index in header.first_index..header.head.size {
            let place = offset + (BATCH_HEADER_LEN + at) as u64;
            let Ok(frame) = RecordFrame::read(&records[at..]) else {
                let what = "the record's lengths are damaged".to_owned();
                self.found(&file.name, Some(place), Some(index), what);
                break;
            };
            self.record(file, place, index, &records[at..at + frame.len()], frame);
            self.location(file, index, place, frame, &records[at..], locations);
            at += frame.len();
        }
        self.skip_to(header.head.size, &file.name, offset);
        if self.edge.head() != header.head && !self.diverged {
            self.diverge(
                file,
                offset,
                "the batch's entries do not give the root it records",
            );
        }
        Ok(())
    }

    fn record(
        &mut self,
        file: &SegmentFile,
        place: u64,
        index: u64,
        bytes: &[u8],
        frame: RecordFrame,
    ) {
        match decode_record(index, bytes) {
            Err(error) => self.found(&file.name, Some(place), Some(index), error.to_string()),
            Ok(record) => {
                let id = id_of(&record.leaf);
                if !id.is_nil() {
                    self.ids.see(id);
                }
                let origin = &self.input.identity.origin;
                let checked = match self.input.keys {
                    Some(keys) => record.check(keys, origin),
                    None => record.check_unsigned(),
                };
                if let Err(error) = checked {
                    self.found(&file.name, Some(place), Some(index), error.to_string());
                }
            }
        }
        self.report.entries += 1;
        let end = self.checkpoint_size();
        let stored = self.stored_leaves.get(&self.tree, index, end);
        self.push_leaf(leaf_hash(frame.leaf(bytes)), stored, &file.name, place);
    }

    fn push_leaf(&mut self, hash: Hash, stored: Option<Hash>, file: &str, place: u64) {
        let index = self.edge.size();
        let mut nodes = Vec::new();
        Node::push_leaf(&mut self.edge, hash, &mut nodes);
        if index < self.checkpoint_size() {
            let stored = stored.unwrap_or(Hash([0; 32]));
            self.stored_edge.push(stored);
            if stored != hash && self.differing.len() < FINDINGS_KEPT {
                self.differing.push((index, file.to_owned(), place));
            }
        }
        for node in &nodes {
            self.node(node);
        }
        self.compare_heads();
    }

    fn node(&mut self, node: &Node) {
        let Node {
            level,
            index: at,
            hash,
        } = *node;
        let below = (at + 1).checked_shl(u32::from(level)).unwrap_or(u64::MAX);
        if below > self.checkpoint_size() || !self.differing.is_empty() {
            return;
        }
        let stored = self.tree.hashes(level, at..at + 1).ok();
        if stored.as_deref() != Some(&[hash]) {
            let what = "the hash is not that of the tree below it; the file can be deleted and is \
                        made anew at the next start"
                .to_owned();
            self.found(&format!("tree/{level:02}"), Some(at * 32), None, what);
        }
    }

    fn location(
        &mut self,
        file: &SegmentFile,
        index: u64,
        place: u64,
        frame: RecordFrame,
        bytes: &[u8],
        locations: &Locations,
    ) {
        if index >= locations.end() {
            return;
        }
        let id = id_of(frame.leaf(bytes));
        let expected = Location {
            id,
            offset: place,
            len: frame.len() as u32,
        };
        let stored = locations
            .read(index..index + 1)
            .ok()
            .and_then(|rows| rows[0]);
        if stored != Some(expected) && !id.is_nil() {
            let name = format!("locations/{:020}.loc", file.first_index);
            let offset = (index - file.first_index) * ROW_LEN as u64;
            let what = "the row is not that of the record; the file can be deleted and is made \
                        anew at the next start"
                .to_owned();
            self.found(&name, Some(offset), Some(index), what);
        }
    }

    fn compare_heads(&mut self) {
        let size = self.edge.size();
        if !self.expected.iter().any(|(head, _)| head.size == size) {
            return;
        }
        let root = self.edge.root();
        for (head, who) in self.expected.clone() {
            if head.size == size && head.root != root {
                self.diverged = true;
                let what = format!("the log's first {size} entries do not give the root of {who}");
                self.found("log", None, None, what);
            }
        }
    }

    /// Where log and tree differ, the one that gives the checkpoint's root is right.
    fn finish(mut self) -> (FsckReport, Ids) {
        let tree_is_right = self.report.checkpoint == Some(self.stored_edge.head());
        for (index, file, place) in std::mem::take(&mut self.differing) {
            let log_is_right = !self.diverged;
            if log_is_right {
                let what = "the hash is not that of the leaf in the log; the file can be deleted \
                            and is made anew at the next start";
                self.found("tree/00", Some(index * 32), Some(index), what.to_owned());
            } else {
                let what = if tree_is_right {
                    "the leaf is not the one in the tree that the checkpoint signs: it was changed"
                } else {
                    "the leaf is not the one in the tree, and neither gives the checkpoint's root"
                };
                self.found(&file, Some(place), Some(index), what.to_owned());
            }
        }
        let size = self.edge.size();
        for (head, who) in self.expected.clone() {
            if head.size > size {
                let what = format!("the log has {size} entries, {who} has {}", head.size);
                self.found("log", None, Some(size), what);
            }
        }
        if self.checkpoint_size() <= size && !self.tree.is_complete(self.checkpoint_size()) {
            let what = "hashes are missing; the folder can be deleted and is made anew at the next \
                        start";
            self.found("tree", None, None, what.to_owned());
        }
        self.report.head = Some(self.edge.head());
        (self.report, self.ids)
    }
}

pub(crate) fn push(
    report: &mut FsckReport,
    file: &str,
    offset: Option<u64>,
    index: Option<u64>,
    what: String,
) {
    report.found += 1;
    if report.findings.len() < FINDINGS_KEPT {
        report.findings.push(Finding {
            file: file.to_owned(),
            offset,
            index,
            what,
        });
    }
}
