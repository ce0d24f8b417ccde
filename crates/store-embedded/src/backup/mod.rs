//! Copying a log: a backup of one that may be growing, and a data directory made from a backup.
//!
//! The source is read without its LOCK: the checkpoint first, then the segments as long as they
//! are at that moment. Everything that was acknowledged before is in them. Each batch is verified
//! before it is written, and the roots have to lead from what the copy's own checkpoint signs to
//! what the source's signs. The copy's checkpoint is replaced last.

mod copying;
mod marker;
mod salvaged;
mod target;

use std::path::Path;
use std::sync::Arc;

use audittrail_merkle::TreeHead;

use self::copying::Copying;
pub(crate) use self::marker::refuse_backup;
pub use self::marker::{BackupMarker, BackupState, begin_copy, finish_copy};
use self::salvaged::Salvaged;
use self::target::Target;
use crate::disk::{Disk, DiskFile, Mode};
use crate::fsck::Finding;
use crate::layout::Layout;
use crate::start::{Identity, find_checkpoint_end, list_segments, read_checkpoint};
use crate::start_error::StartError;
use crate::tree::Tree;
use crate::walk::SegmentFile;

/// What a copy is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A directory on which nothing is signed.
    Backup,
    /// A data directory, from a backup: on `Ok` a server can go on with the log there.
    Restore,
}

/// Which of the files in `keys/` are copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secrets {
    /// None that is secret.
    LeftOut,
    /// All of them: whoever has the copy can sign.
    Copied,
}

/// An earlier tree head, which the log has to extend.
#[derive(Debug, Clone)]
pub struct Earlier {
    /// What was signed.
    pub head: TreeHead,
    /// Where it is from, for messages.
    pub name: String,
}

/// What is copied, and how.
pub struct BackupInput<'i> {
    /// Where both directories are.
    pub disk: &'i Arc<dyn Disk>,
    /// The data directory, or the backup that is restored.
    pub from: &'i Path,
    /// The copy: nothing yet, an empty directory, or what an earlier run made of the same log.
    pub to: &'i Path,
    /// Whose log it is.
    pub identity: &'i Identity,
    /// What for.
    pub purpose: Purpose,
    /// The keys.
    pub secrets: Secrets,
    /// Compare what is there already byte for byte, too.
    pub compare: bool,
    /// What the log has to extend, or it is not restored.
    pub earlier: &'i [Earlier],
}

/// What a copy came to.
#[derive(Debug, Clone)]
pub struct BackupReport {
    /// Entries in the copy.
    pub entries: u64,
    /// Those of them that were not there before.
    pub new_entries: u64,
    /// Bytes of the log that were not there before.
    pub new_bytes: u64,
    /// The copy's checkpoint.
    pub checkpoint: TreeHead,
    /// Damage in the source, which was copied as it is.
    pub findings: Vec<Finding>,
    /// How much of it there was.
    pub found: u64,
    /// Bytes of the log that its disk did not give. They are zeros in the copy, but for those that
    /// an earlier run had.
    pub unreadable_bytes: u64,
    /// Names of the files in `keys/` that were copied.
    pub keys: Vec<String>,
}

/// Copies a log, or what is new of it. `progress` is told how many entries of about how many.
///
/// What is damaged in the source is copied as it is, as long as the source's tree still says what
/// it was, and reported. What its disk does not give counts as damaged: it becomes zeros, unless the
/// copy has it from an earlier run. The next run into that copy compares all of it, and fills in what
/// can be read by then.
///
/// # Errors
/// If either directory cannot be used, or the log is not what its checkpoint, that of the copy or
/// an earlier one says. What the copy held before is whole then.
pub fn backup(
    input: &BackupInput<'_>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<BackupReport, StartError> {
    let source = Layout::new(input.from);
    check_source(input, &source)?;
    let checkpoint = read_checkpoint(&**input.disk, &source, input.identity)?;
    let checkpoint = checkpoint.ok_or_else(|| {
        StartError::Refused(format!(
            "there is no checkpoint in {}: name the directory of a log that was started once",
            input.from.display()
        ))
    })?;
    let mut files = list_segments(&**input.disk, &source)?;
    let salvaged = salvage(&mut files);
    let target = Target::open(input)?;
    let tree = Tree::open(&**input.disk, &source, checkpoint.head.size, Mode::Read)
        .map_err(StartError::io("the log's tree cannot be opened"))?;
    check_extends(input, &checkpoint.head, &target.kept, &tree)?;
    let from = find_checkpoint_end(&**input.disk, &source, &files, &target.kept)?;
    target.compare(&files, &from)?;
    let from_disk = copying::Source {
        files: &files,
        salvaged: &salvaged,
        layout: source,
        tree,
        head: checkpoint.head,
    };
    let mut copying = Copying::new(input, from_disk, target, from);
    copying.all(progress)?;
    copying.finish(&checkpoint)
}

/// Has the segments read so that what their disk does not give does not end the copy.
fn salvage(files: &mut [SegmentFile]) -> Vec<Arc<Salvaged>> {
    let salvaged = files.iter_mut().map(|file| {
        let salvaged = Arc::new(Salvaged::new(Arc::clone(&file.file)));
        file.file = Arc::clone(&salvaged) as Arc<dyn DiskFile>;
        salvaged
    });
    salvaged.collect()
}

fn check_source(input: &BackupInput<'_>, source: &Layout) -> Result<(), StartError> {
    let shown = input.from.display();
    match (
        BackupMarker::read(&**input.disk, source.root())?,
        input.purpose,
    ) {
        (None, Purpose::Backup) => Ok(()),
        (Some(marker), _) if marker.state.is_finished() => Ok(()),
        (Some(_), _) => Err(StartError::Refused(format!(
            "{shown} holds a copy that was not finished: finish that first, or use another"
        ))),
        (None, Purpose::Restore) => Err(StartError::Refused(format!(
            "{shown} is no backup: name a directory that `audittrail backup` made"
        ))),
    }
}

/// The copy is not ahead of the log, and of one size there is one root.
fn check_extends(
    input: &BackupInput<'_>,
    head: &TreeHead,
    kept: &TreeHead,
    tree: &Tree,
) -> Result<(), StartError> {
    let (from, to) = (input.from.display(), input.to.display());
    if kept.size > head.size {
        return Err(StartError::Refused(format!(
            "the copy in {to} has {} entries, and the log in {from} only {}: the log is an older \
             copy. The newer one in {to} was left as it is",
            kept.size, head.size
        )));
    }
    // What the log's tree says is not believed, but it tells soonest.
    let then = tree.edge(kept.size);
    let differs = then.is_some_and(|edge| edge.head() != *kept);
    if differs || (kept.size == head.size && kept != head) {
        return Err(another_history(input, kept.size));
    }
    Ok(())
}

fn another_history(input: &BackupInput<'_>, size: u64) -> StartError {
    StartError::Refused(format!(
        "the copy in {} and the log in {} have the same name and key and differ below size {size}: \
         one of them is another history. Keep both, and compare with a checkpoint kept elsewhere \
         (`audittrail fsck --since`)",
        input.to.display(),
        input.from.display()
    ))
}
