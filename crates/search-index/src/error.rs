//! What can go wrong with an index.

use std::io;
use std::sync::Arc;

use audittrail_store::StoreError;
use tantivy::TantivyError;
use tantivy::directory::error::{OpenDirectoryError, OpenReadError};

/// Why the index gives no answer, or cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// It does not hold what it has to, and is made anew from the log.
    #[error("the search index is damaged: {0}")]
    Damaged(String),
    /// It is being made from the log, and stands so far.
    #[error(
        "the search index is being built from the log: {position} of {size} entries; try again \
         later"
    )]
    Building {
        /// Entries in the index.
        position: u64,
        /// Entries in the log.
        size: u64,
    },
    /// The system failed.
    #[error("{what}: {source}")]
    Io {
        /// What was to be done.
        what: &'static str,
        /// The reason.
        source: io::Error,
    },
    /// The question has no answer, for a reason that lies in itself.
    #[error(transparent)]
    Refused(#[from] StoreError),
    /// Nobody waits for the answer any more.
    #[error("the question was given up")]
    GivenUp,
    /// The library failed, for a reason that lies neither in its files nor in the system.
    #[error("the search index failed: {0}")]
    Failed(#[source] TantivyError),
}

impl IndexError {
    /// A failure of the system, with what was attempted.
    pub fn io(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { what, source }
    }
}

impl From<io::Error> for IndexError {
    /// What the system itself did not report is the library's word on what a file holds.
    fn from(error: io::Error) -> Self {
        let of_system = error.raw_os_error().is_some();
        match error.kind() {
            io::ErrorKind::InvalidInput | io::ErrorKind::NotFound => {
                Self::Damaged(error.to_string())
            }
            _ if of_system => Self::io("the search index cannot be read or written")(error),
            _ => Self::Damaged(error.to_string()),
        }
    }
}

impl From<Arc<io::Error>> for IndexError {
    fn from(error: Arc<io::Error>) -> Self {
        Arc::try_unwrap(error)
            .unwrap_or_else(|shared| match shared.raw_os_error() {
                Some(code) => io::Error::from_raw_os_error(code),
                None => io::Error::new(shared.kind(), shared.to_string()),
            })
            .into()
    }
}

impl From<TantivyError> for IndexError {
    fn from(error: TantivyError) -> Self {
        match error {
            // That there are no file handles left, say, is no reason to throw an index away.
            TantivyError::IoError(error)
            | TantivyError::OpenReadError(OpenReadError::IoError {
                io_error: error, ..
            })
            | TantivyError::OpenDirectoryError(OpenDirectoryError::IoError {
                io_error: error,
                ..
            }) => error.into(),
            TantivyError::DataCorruption(_)
            | TantivyError::IncompatibleIndex(_)
            | TantivyError::OpenReadError(_)
            | TantivyError::OpenDirectoryError(_)
            | TantivyError::FieldNotFound(_)
            | TantivyError::SchemaError(_)
            | TantivyError::DeserializeError(_) => Self::Damaged(error.to_string()),
            error => Self::Failed(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_file_holds_is_told_from_what_the_system_lacks() {
        let said = io::Error::other("Unsupported sstable version");
        assert!(matches!(said.into(), IndexError::Damaged(_)));
        for (code, damaged) in [(2, true), (5, false), (24, false), (28, false)] {
            for shared in [false, true] {
                let error = Arc::new(io::Error::from_raw_os_error(code));
                let _kept = shared.then(|| Arc::clone(&error));
                let error = TantivyError::OpenReadError(OpenReadError::IoError {
                    io_error: error,
                    filepath: "x.idx".into(),
                });
                let found = matches!(IndexError::from(error), IndexError::Damaged(_));
                assert_eq!(found, damaged, "{code}");
            }
        }
    }
}
