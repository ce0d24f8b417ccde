//! `audittrail fsck`

use std::io::{IsTerminal as _, Write as _};
use std::path::Path;
use std::sync::Arc;

use audittrail_checkpoint::Checkpoint;
use audittrail_merkle::TreeHead;
use audittrail_store_embedded::disk::{Disk, RealDisk};
use audittrail_store_embedded::{BackupMarker, FsckInput, FsckReport, Identity, fsck};

use crate::Failure;
use crate::cli::FsckArguments;
use crate::log_keys;
use crate::settings::{Settings, read_small};

const PROGRESS_EVERY: u64 = 20_000;

pub(crate) fn run(settings: &Settings, arguments: &FsckArguments) -> Result<(), Failure> {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let identity = log_keys::identity(&*disk, settings, &settings.data, &arguments.key)?;
    let keys = log_keys::entry_keys(&*disk, settings, !arguments.key.is_empty())?;
    let since = arguments
        .since
        .as_deref()
        .map(|path| read_since(path, &identity))
        .transpose()?;
    let input = FsckInput {
        identity: &identity,
        keys: keys.as_ref(),
        since,
    };
    let mut shown = 0;
    let terminal = std::io::stderr().is_terminal();
    let mut progress = |done: u64, of: u64| {
        if terminal && done >= shown + PROGRESS_EVERY {
            shown = done;
            let _ = write!(std::io::stderr(), "\rchecked {done} of {of} entries");
        }
    };
    let report = fsck(&disk, &settings.data, &input, &mut progress)
        .map_err(|error| Failure::Failed(error.to_string()))?;
    if shown > 0 {
        let _ = writeln!(std::io::stderr());
    }
    print(&report);
    let marker = BackupMarker::read(&*disk, &settings.data).ok().flatten();
    if marker.is_some_and(|marker| !marker.state.is_finished()) {
        crate::out!(
            "the copy was not finished: run `audittrail backup`, `restore` or `copy` again"
        );
    }
    if keys.is_none() {
        crate::out!(
            "signatures of entries were not checked: their key, LOG_SIGNING_KEY, is not here"
        );
    }
    match report.found {
        0 => Ok(()),
        found => Err(Failure::Unverified(format!(
            "{found} findings: the log does not verify"
        ))),
    }
}

pub(crate) fn read_since(path: &Path, identity: &Identity) -> Result<TreeHead, Failure> {
    let note = read_small(path)
        .map_err(|error| Failure::Usage(format!("{} cannot be read: {error}", path.display())))?;
    let checkpoint = Checkpoint::open(&note, &identity.keys)
        .map_err(|error| Failure::Usage(format!("{}: {error}", path.display())))?;
    Ok(checkpoint.head)
}

fn print(report: &FsckReport) {
    for finding in &report.findings {
        let offset = finding
            .offset
            .map(|at| format!(" at offset {at}"))
            .unwrap_or_default();
        let index = finding
            .index
            .map(|at| format!(", entry {at}"))
            .unwrap_or_default();
        crate::out!("{}{offset}{index}: {}", finding.file, finding.what);
    }
    let more = report.found - report.findings.len() as u64;
    if more > 0 {
        crate::out!("and {more} more");
    }
    let size = report.head.map_or(0, |head| head.size);
    let checkpoint = report.checkpoint.map_or(0, |head| head.size);
    crate::out!(
        "{} entries read, log size {size}, checkpoint size {checkpoint}",
        report.entries
    );
    if size > checkpoint {
        crate::out!(
            "{} entries lie beyond the checkpoint: no more than the last second's, unless an older \
             checkpoint was put back",
            size - checkpoint
        );
    }
    if let Some(indexed) = report.indexed {
        crate::out!("{indexed} of them in the search index");
    }
    if report.torn_bytes > 0 {
        crate::out!(
            "{} bytes at the end are no whole batch: a running server is writing it, or the next \
             start cuts it off",
            report.torn_bytes
        );
    }
    if report.ids_left_out {
        crate::out!(
            "there are too many entries to look for all ids that stand twice: not all were looked for"
        );
    }
    if report.found == 0 {
        crate::out!("everything verifies");
    }
}
