//! What can go wrong with an index.

use std::io;

use audittrail_store::StoreError;
use tantivy::TantivyError;

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
    pub(crate) fn io(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { what, source }
    }
}

impl From<io::Error> for IndexError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::InvalidData
            | io::ErrorKind::InvalidInput
            | io::ErrorKind::NotFound
            | io::ErrorKind::UnexpectedEof => Self::Damaged(error.to_string()),
            _ => Self::io("the search index cannot be read or written")(error),
        }
    }
}

impl From<TantivyError> for IndexError {
    fn from(error: TantivyError) -> Self {
        match error {
            TantivyError::IoError(error) => match std::sync::Arc::try_unwrap(error) {
                Ok(error) => error.into(),
                Err(error) => io::Error::new(error.kind(), error.to_string()).into(),
            },
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
