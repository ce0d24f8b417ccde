//! The file `moved`: a log that goes on elsewhere, so that nothing is signed on it here.
//!
//! ```text
//! audittrail moved 1
//! to mongodb://db1.example/audittrail
//! size 12345
//! ```

use std::path::Path;

use crate::disk::{Disk, SyncPoint, read_file, replace_file};
use crate::layout::Layout;
use crate::start_error::StartError;

const FIRST_LINE: &str = "audittrail moved 1";

/// Where a log went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// A directory, or the URL of a database without user and password.
    pub to: String,
    /// The number of entries that it had.
    pub size: u64,
}

impl Moved {
    /// What a directory says; `None` if its log was not moved.
    ///
    /// # Errors
    /// If there is a file that cannot be read, or that is damaged.
    pub fn read(disk: &dyn Disk, root: &Path) -> Result<Option<Self>, StartError> {
        let path = Layout::new(root).moved();
        let unreadable = StartError::io(format!("{} cannot be read", path.display()));
        let Some(bytes) = read_file(disk, &path).map_err(unreadable)? else {
            return Ok(None);
        };
        Self::parse(&bytes).map(Some).ok_or_else(|| {
            StartError::Refused(format!(
                "{} is damaged, or of a newer version. It says where the log of this directory was \
                 moved to: find out, and go on there",
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
        let to = named("to ")?.to_owned();
        let size = named("size ")?.parse().ok()?;
        lines.next().is_none().then_some(Self { to, size })
    }

    /// Says it of a directory, for the process that has it. On `Ok` it is durable: no server starts
    /// there any more.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, disk: &dyn Disk, root: &Path) -> Result<(), StartError> {
        let to = self.to.replace(char::is_control, "?");
        let text = format!("{FIRST_LINE}\nto {to}\nsize {}\n", self.size);
        let (content, name) = (SyncPoint::BackupMarkerFile, SyncPoint::BackupMarkerName);
        let path = Layout::new(root).moved();
        replace_file(disk, &path, text.as_bytes(), content, name)
            .map_err(std::io::Error::from)
            .map_err(StartError::io(format!(
                "{} cannot be written",
                path.display()
            )))
    }
}

/// Refuses a directory whose log goes on elsewhere, also where the file is damaged.
pub(crate) fn refuse_moved(disk: &dyn Disk, layout: &Layout) -> Result<(), StartError> {
    match Moved::read(disk, layout.root())? {
        None => Ok(()),
        Some(Moved { to, size }) => Err(StartError::Refused(format!(
            "the log in {0} was moved to {to} with {size} entries and goes on there: nothing is \
             signed here, since two histories of one log are worth no more than none. If it never \
             went on there, and is removed there, remove the file {1}",
            layout.root().display(),
            layout.moved().display()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::SimulatedDisk;

    #[test]
    fn it_is_read_as_it_was_written_and_nothing_else_is() {
        let disk = SimulatedDisk::new(1);
        let root = Path::new("/");
        assert_eq!(Moved::read(&disk, root).unwrap(), None);
        let moved = Moved {
            to: "mongodb://db1.example/a\nb".to_owned(),
            size: 5,
        };
        moved.write(&disk, root).unwrap();
        let read = Moved::read(&disk, root).unwrap().unwrap();
        assert_eq!(
            (read.to.as_str(), read.size),
            ("mongodb://db1.example/a?b", 5)
        );
        let bytes = read_file(&disk, Path::new("/moved")).unwrap().unwrap();
        for cut in 0..bytes.len() {
            assert_eq!(Moved::parse(&bytes[..cut]), None, "{cut}");
        }
        assert!(refuse_moved(&disk, &Layout::new(root)).is_err());
    }
}
