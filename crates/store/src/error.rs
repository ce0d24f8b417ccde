//! What a caller does next is the kind; what happened is the message and its source.

use std::error::Error;
use std::fmt;

type Source = Box<dyn Error + Send + Sync>;

/// What the caller of a read does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreErrorKind {
    /// Try again later: the store cannot answer now.
    Unavailable,
    /// Try again later: what the answer is found by is being built. The message says how far it
    /// is, and nothing that a reader may not know.
    Building,
    /// Another process leads the log, and may do so until the time in the message: stop leading
    /// if you did, and ask again after that. Only where a store has a lead that can be lost.
    Led,
    /// Do not try again with the same arguments.
    Invalid,
    /// The process has to stop: what it holds in memory can no longer be trusted to be on disk.
    Fatal,
}

/// What the leader does after a commit that did not succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommitErrorKind {
    /// Nothing of the batch was stored, and nothing of it will appear later: refuse it.
    Refused,
    /// The head is not the expected one: another leader has taken over. Stop sequencing.
    Lost,
    /// The batch may or may not be stored: [`crate::Store::lead`] again and look the ids up.
    Unknown,
    /// The process has to stop, acknowledging nothing of the batch and retrying nothing.
    Fatal,
}

macro_rules! error_type {
    ($(#[$doc:meta])* $name:ident, $kind:ident) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name {
            kind: $kind,
            message: String,
            source: Option<Source>,
        }

        impl $name {
            /// An error with a message that says what was attempted and where.
            pub fn new(kind: $kind, message: impl Into<String>) -> Self {
                Self { kind, message: message.into(), source: None }
            }

            /// The same, keeping what caused it.
            pub fn caused(kind: $kind, message: impl Into<String>, source: impl Into<Source>) -> Self {
                Self { kind, message: message.into(), source: Some(source.into()) }
            }

            /// What the caller does next.
            pub fn kind(&self) -> $kind {
                self.kind
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.message)?;
                match &self.source {
                    Some(source) => write!(f, ": {source}"),
                    None => Ok(()),
                }
            }
        }

        impl Error for $name {
            fn source(&self) -> Option<&(dyn Error + 'static)> {
                self.source.as_ref().and_then(|source| source.source())
            }
        }
    };
}

error_type! {
    /// A read, or the keeping of a checkpoint, that did not succeed.
    StoreError, StoreErrorKind
}
error_type! {
    /// A commit that did not succeed.
    CommitError, CommitErrorKind
}
