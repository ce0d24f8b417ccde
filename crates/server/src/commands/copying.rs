//! What `backup` and `restore` have in common.

use std::ffi::OsStr;
use std::io::{IsTerminal as _, Write as _};
use std::path::{Component, Path, PathBuf};

use audittrail_store_embedded::{BackupInput, BackupReport, StartError, backup};
use serde_json::json;

use crate::Failure;

const PROGRESS_EVERY: u64 = 20_000;

/// Copies, with progress on a terminal.
pub(crate) fn copy(input: &BackupInput<'_>) -> Result<BackupReport, Failure> {
    let mut shown = 0;
    let terminal = std::io::stderr().is_terminal();
    let mut progress = |done: u64, of: u64| {
        if terminal && done >= shown + PROGRESS_EVERY {
            shown = done;
            let _ = write!(std::io::stderr(), "\rcopied {done} of {of} entries");
        }
    };
    let copied = backup(input, &mut progress);
    if shown > 0 {
        let _ = writeln!(std::io::stderr());
    }
    copied.map_err(|error: StartError| Failure::Failed(error.to_string()))
}

/// Refuses two directories of which one is in the other.
pub(crate) fn check_apart(from: &Path, to: &Path, flag: &str) -> Result<(), Failure> {
    let unreadable = |error| Failure::Failed(format!("{} cannot be read: {error}", from.display()));
    let source = from.canonicalize().map_err(unreadable)?;
    let target = resolved(to);
    let (from, to) = (from.display(), to.display());
    if source == target {
        return Err(Failure::Usage(format!(
            "{flag} is {to}, which is {from} itself: choose another directory"
        )));
    }
    if target.starts_with(&source) || source.starts_with(&target) {
        return Err(Failure::Usage(format!(
            "{flag} is {to}, and one of it and {from} is in the other: choose a directory beside it, \
             on another disk if there is one"
        )));
    }
    Ok(())
}

/// A path without links, of which the end need not exist.
fn resolved(path: &Path) -> PathBuf {
    let mut missing: Vec<&OsStr> = Vec::new();
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut at = absolute.as_path();
    loop {
        if let Ok(there) = at.canonicalize() {
            return missing
                .iter()
                .rev()
                .fold(there, |path, name| path.join(name));
        }
        match (at.parent(), at.components().next_back()) {
            (Some(parent), Some(Component::Normal(name))) => {
                missing.push(name);
                at = parent;
            }
            _ => return absolute.clone(),
        }
    }
}

/// The findings, and the failure that they are.
pub(crate) fn judge(report: &BackupReport, what: &str) -> Result<(), Failure> {
    if report.found == 0 {
        return Ok(());
    }
    for finding in &report.findings {
        let offset = finding.offset.map(|at| format!(" at offset {at}"));
        let index = finding.index.map(|at| format!(", from entry {at}"));
        let (offset, index) = (offset.unwrap_or_default(), index.unwrap_or_default());
        crate::note!("{}{offset}{index}: {}", finding.file, finding.what);
    }
    Err(Failure::Unverified(format!(
        "{} findings: {what}",
        report.found
    )))
}

pub(crate) fn as_json(report: &BackupReport, origin: &str, to: &Path) -> serde_json::Value {
    let findings = report.findings.iter().map(|finding| {
        json!({
            "file": finding.file,
            "offset": finding.offset,
            "index": finding.index,
            "detail": finding.what,
        })
    });
    json!({
        "origin": origin,
        "directory": to.display().to_string(),
        "entries": report.entries,
        "new_entries": report.new_entries,
        "new_bytes": report.new_bytes,
        "unreadable_bytes": report.unreadable_bytes,
        "checkpoint_size": report.checkpoint.size,
        "checkpoint_root": report.checkpoint.root.to_string(),
        "keys": report.keys,
        "findings_total": report.found,
        "findings": findings.collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_inside_the_other_is_refused() {
        let home = tempfile::tempdir().unwrap();
        let (data, link) = (home.path().join("data"), home.path().join("link"));
        std::fs::create_dir(&data).unwrap();
        std::os::unix::fs::symlink(&data, &link).unwrap();
        for inside in ["data", "data/backup", "data/a/b/../c", "link/backup", "."] {
            let to = home.path().join(inside);
            assert!(check_apart(&data, &to, "--out").is_err(), "{inside}");
            assert!(check_apart(&link, &to, "--out").is_err(), "{inside}");
        }
        for beside in ["backup", "data2", "a/b", "data/../other"] {
            let to = home.path().join(beside);
            assert!(check_apart(&data, &to, "--out").is_ok(), "{beside}");
        }
        assert!(check_apart(&home.path().join("none"), &data, "--out").is_err());
    }
}
