//! A file that appears under its name only when it is whole.

use std::fs::{File, TryLockError};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::Failure;
use crate::commands::inputs::Inputs;

/// A file under the name with `.partial` after it. Dropped, it is removed.
pub(crate) struct Partial {
    file: File,
    path: PathBuf,
    target: PathBuf,
    finished: bool,
}

impl Partial {
    /// Takes the place of a file of that name, and waits for [`Partial::finish`]. What a
    /// killed run left there is written over; where one still runs, this is refused, as it is
    /// where either name is that of an input. `option` is what named the file.
    pub(crate) fn open(target: &Path, option: &str, inputs: &Inputs) -> Result<Self, Failure> {
        if target.file_name().is_none() || std::fs::metadata(target).is_ok_and(|at| !at.is_file()) {
            return Err(Failure::Usage(format!(
                "{} is no file; name one, or leave {option} out",
                target.display()
            )));
        }
        let mut name = target.as_os_str().to_owned();
        name.push(".partial");
        let path = PathBuf::from(name);
        inputs.refuse(option, target)?;
        inputs.refuse(option, &path)?;
        let unusable =
            |error: std::io::Error| Failure::Usage(format!("{}: {error}", path.display()));
        loop {
            let file = File::options()
                .write(true)
                .create(true)
                .truncate(false)
                .open(&path)
                .map_err(unusable)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    return Err(Failure::Failed(format!(
                        "another run is writing {}; wait for it, or give {option} another name",
                        path.display()
                    )));
                }
                Err(TryLockError::Error(error)) => return Err(unusable(error)),
            }
            // Between opening and locking another run may have given the file its name.
            let (ours, there) = (file.metadata().map_err(unusable)?, std::fs::metadata(&path));
            if there.is_ok_and(|there| (there.dev(), there.ino()) == (ours.dev(), ours.ino())) {
                file.set_len(0).map_err(unusable)?;
                return Ok(Self {
                    file,
                    path,
                    target: target.to_owned(),
                    finished: false,
                });
            }
        }
    }

    pub(crate) fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// Syncs the file and gives it its name, in place of what may have had it; the name.
    #[expect(
        clippy::disallowed_methods,
        reason = "the file is no part of the data directory"
    )]
    pub(crate) fn finish(mut self) -> Result<PathBuf, Failure> {
        let outcome = self.file.sync_all().and_then(|()| {
            std::fs::rename(&self.path, &self.target)?;
            self.finished = true;
            let directory = self.target.parent().filter(|at| !at.as_os_str().is_empty());
            File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
        });
        match outcome {
            Ok(()) => Ok(self.target.clone()),
            Err(error) => Err(Failure::Failed(format!(
                "{} cannot be written: {error}",
                self.target.display()
            ))),
        }
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.finished {
            // Still locked, so that it is ours.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}
