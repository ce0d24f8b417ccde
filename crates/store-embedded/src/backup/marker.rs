//! The file `backup`: what makes a directory a backup, on which nothing is signed.
//!
//! ```text
//! audittrail backup 1
//! state whole
//! origin log.example.org
//! vkey log.example.org+0a1b2c3d+AR…
//! ```

use std::io;
use std::path::Path;

use audittrail_checkpoint::VerifierKey;

use crate::disk::{Disk, SyncPoint, read_file, replace_file};
use crate::layout::Layout;
use crate::start::Identity;
use crate::start_error::StartError;

const FIRST_LINE: &str = "audittrail backup 1";

/// How far the copy in a directory has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackupState {
    /// A first backup that was never finished.
    Unfinished,
    /// A backup, as of its checkpoint at least.
    Whole,
    /// The same, but that zeros stand for what the log's disk did not give: the next backup looks for
    /// it again.
    Lacking,
    /// A data directory that is being made from a backup.
    Restoring,
    /// A data directory to which a log is being copied, entry by entry.
    Copying,
}

impl BackupState {
    /// Whether there is a backup that can be restored.
    pub fn is_finished(self) -> bool {
        matches!(self, Self::Whole | Self::Lacking)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Unfinished => "unfinished",
            Self::Whole => "whole",
            Self::Lacking => "lacking",
            Self::Restoring => "restoring",
            Self::Copying => "copying",
        }
    }
}

/// What the marker of a backup says.
#[derive(Debug, Clone)]
pub struct BackupMarker {
    /// How far it has come.
    pub state: BackupState,
    /// Whose log it is: the word of whoever wrote the backup.
    pub identity: Identity,
}

impl BackupMarker {
    /// The marker of a directory; `None` if the directory is no backup.
    ///
    /// # Errors
    /// If there is one that cannot be read.
    pub fn read(disk: &dyn Disk, root: &Path) -> Result<Option<Self>, StartError> {
        let path = Layout::new(root).backup();
        let unreadable = StartError::io(format!("{} cannot be read", path.display()));
        let Some(bytes) = read_file(disk, &path).map_err(unreadable)? else {
            return Ok(None);
        };
        Self::parse(&bytes).map(Some).ok_or_else(|| {
            StartError::Refused(format!(
                "{} is damaged, or of a newer version: make the backup anew in an empty directory, \
                 or use the program that wrote it",
                path.display()
            ))
        })
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let mut lines = std::str::from_utf8(bytes).ok()?.strip_suffix('\n')?.lines();
        let mut named = |name: &str| lines.next()?.strip_prefix(name);
        if !named(FIRST_LINE)?.is_empty() {
            return None;
        }
        let state = match named("state ")? {
            "unfinished" => BackupState::Unfinished,
            "whole" => BackupState::Whole,
            "lacking" => BackupState::Lacking,
            "restoring" => BackupState::Restoring,
            "copying" => BackupState::Copying,
            _ => return None,
        };
        let origin = named("origin ")?.to_owned();
        let keys = lines.map(|line| VerifierKey::parse(line.strip_prefix("vkey ")?).ok());
        let keys = keys.collect::<Option<Vec<_>>>()?;
        let identity = Identity { origin, keys };
        (!identity.keys.is_empty()).then_some(Self { state, identity })
    }

    pub(crate) fn write(&self, disk: &dyn Disk, layout: &Layout) -> io::Result<()> {
        let Identity { origin, keys } = &self.identity;
        let keys: String = keys.iter().map(|key| format!("vkey {key}\n")).collect();
        let state = self.state.name();
        let text = format!("{FIRST_LINE}\nstate {state}\norigin {origin}\n{keys}");
        let (content, name) = (SyncPoint::BackupMarkerFile, SyncPoint::BackupMarkerName);
        replace_file(disk, &layout.backup(), text.as_bytes(), content, name)?;
        Ok(())
    }
}

/// From here on no server starts on a directory, until [`finish_copy`]: for the process that has it,
/// before it adds the first entry of a log that is copied there.
///
/// # Errors
/// If that cannot be written.
pub fn begin_copy(disk: &dyn Disk, root: &Path, identity: &Identity) -> Result<(), StartError> {
    let marker = BackupMarker {
        state: BackupState::Copying,
        identity: identity.clone(),
    };
    let layout = Layout::new(root);
    let what = format!("{} cannot be written", layout.backup().display());
    marker.write(disk, &layout).map_err(StartError::io(what))
}

/// All of a log is there: a server can go on with it.
///
/// # Errors
/// If that cannot be made durable.
pub fn finish_copy(disk: &dyn Disk, root: &Path) -> Result<(), StartError> {
    let layout = Layout::new(root);
    let remove = || -> io::Result<()> {
        for path in [layout.moved(), layout.backup()] {
            match disk.remove(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                other => other?,
            }
            disk.sync_directory(root, SyncPoint::BackupMarkerName)?;
        }
        Ok(())
    };
    let what = format!("what closes {} cannot be removed", root.display());
    remove().map_err(StartError::io(what))
}

/// Refuses a directory that is a backup: a log that is continued there would get a second history
/// if the one that was copied goes on.
pub(crate) fn refuse_backup(disk: &dyn Disk, layout: &Layout) -> Result<(), StartError> {
    let shown = layout.root().display();
    let state = match BackupMarker::read(disk, layout.root()) {
        Ok(None) => return Ok(()),
        Ok(Some(marker)) => Some(marker.state),
        Err(error @ StartError::Io { .. }) => return Err(error),
        // That it is there is enough.
        Err(StartError::Refused(_)) => None,
    };
    Err(StartError::Refused(match state {
        Some(BackupState::Restoring) => format!(
            "the restore into {shown} was not finished: nothing is signed there. Run `audittrail \
             restore` again"
        ),
        Some(BackupState::Copying) => format!(
            "the copy into {shown} was not finished: nothing is signed there. Run `audittrail copy` \
             again"
        ),
        _ => format!(
            "{shown} is a backup: nothing is signed on it, since the log that it was made of may be \
             going on, and two histories of one log are worth no more than none. If that log is gone \
             for good, `audittrail restore --from {shown} --original-is-gone` makes a data directory \
             of it"
        ),
    }))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::disk::SimulatedDisk;

    #[test]
    fn a_marker_is_read_as_it_was_written_and_nothing_else_is() {
        let disk: Arc<dyn Disk> = Arc::new(SimulatedDisk::new(1));
        let signer = audittrail_checkpoint::Signer::from_seed("log.example/a b", [1; 32]);
        assert!(
            signer.is_err(),
            "a name has no spaces: a line tells its end"
        );
        let signer = audittrail_checkpoint::Signer::from_seed("log.example", [1; 32]).unwrap();
        let root = Path::new("/");
        for state in [
            BackupState::Unfinished,
            BackupState::Whole,
            BackupState::Restoring,
            BackupState::Copying,
        ] {
            let identity = Identity {
                origin: "log.example".to_owned(),
                keys: vec![signer.verifier()],
            };
            let marker = BackupMarker { state, identity };
            marker.write(&*disk, &Layout::new(root)).unwrap();
            let read = BackupMarker::read(&*disk, root).unwrap().unwrap();
            assert_eq!((read.state, read.identity.keys.len()), (state, 1));
            assert_eq!(read.identity.origin, "log.example");
        }
        let bytes = read_file(&*disk, Path::new("/backup")).unwrap().unwrap();
        for cut in 0..bytes.len() {
            assert!(BackupMarker::parse(&bytes[..cut]).is_none(), "{cut}");
        }
    }
}
