//! What the driver's errors mean.

use audittrail_store::{StoreError, StoreErrorKind};
use mongodb::error::{Error, ErrorKind, InsertManyError, WriteFailure};

/// The server's code for an index that says that there can be only one.
pub(crate) const DUPLICATE_KEY: i32 = 11_000;
/// The server's code for a user or password that it does not know.
const AUTHENTICATION_FAILED: i32 = 18;
/// The server's code for a question that took longer than it may.
const TIME_EXPIRED: i32 = 50;

/// What happened, in one line. What the server says of a document is left out: it may hold what
/// a client sent.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Failure(String);

/// An error of the driver as it can be shown.
pub(crate) fn described(error: &Error) -> Failure {
    Failure(match &*error.kind {
        ErrorKind::InsertMany(failed) => insert_text(failed),
        ErrorKind::Write(WriteFailure::WriteError(one)) => write_text(one.code),
        ErrorKind::Write(WriteFailure::WriteConcernError(one)) => concern_text(one.code),
        ErrorKind::Command(failed) if failed.code == DUPLICATE_KEY => write_text(failed.code),
        ErrorKind::Command(failed) => format!("{} ({})", failed.message, failed.code_name),
        ErrorKind::ServerSelection { .. } => {
            // The driver's own text lists addresses and their errors.
            format!("no server that can be written to was found: {}", error.kind)
        }
        other => other.to_string(),
    })
}

fn insert_text(failed: &InsertManyError) -> String {
    let first = failed.write_errors.iter().flatten().next();
    match (first, &failed.write_concern_error) {
        (Some(one), _) => write_text(one.code),
        (None, Some(one)) => concern_text(one.code),
        (None, None) => "the insert failed".to_owned(),
    }
}

fn write_text(code: i32) -> String {
    if code == DUPLICATE_KEY {
        "a document with this index or id is there already".to_owned()
    } else {
        format!("the server refused a document with code {code}")
    }
}

fn concern_text(code: i32) -> String {
    format!("a majority of the servers did not confirm the write (code {code})")
}

/// Whether the server refused a document for what it is: it would do so again, and the write of
/// a duplicate is not meant.
pub(crate) fn refuses_document(error: &Error) -> bool {
    match &*error.kind {
        ErrorKind::InsertMany(failed) => {
            failed.write_concern_error.is_none()
                && failed
                    .write_errors
                    .iter()
                    .flatten()
                    .any(|one| one.code != DUPLICATE_KEY)
        }
        _ => false,
    }
}

/// Whether a write failed on a unique index.
pub(crate) fn is_duplicate(error: &Error) -> bool {
    match &*error.kind {
        ErrorKind::Write(WriteFailure::WriteError(one)) => one.code == DUPLICATE_KEY,
        ErrorKind::Command(failed) => failed.code == DUPLICATE_KEY,
        _ => false,
    }
}

/// Whether the server does not know the user, or not this password.
pub(crate) fn keeps_out(error: &Error) -> bool {
    match &*error.kind {
        ErrorKind::Authentication { .. } => true,
        ErrorKind::Command(failed) => failed.code == AUTHENTICATION_FAILED,
        _ => false,
    }
}

/// Whether the server gave up since the time was over.
pub(crate) fn is_out_of_time(error: &Error) -> bool {
    matches!(&*error.kind, ErrorKind::Command(failed) if failed.code == TIME_EXPIRED)
}

/// An error of a read or write that can be tried again later.
pub(crate) fn unavailable(what: &str, error: &Error) -> StoreError {
    let what = format!("MongoDB: {what}");
    StoreError::caused(StoreErrorKind::Unavailable, what, described(error))
}

/// The answer did not come in time.
pub(crate) fn silent(what: &str, after: std::time::Duration) -> StoreError {
    let what = format!("MongoDB: {what}: no answer within {after:?}");
    StoreError::new(StoreErrorKind::Unavailable, what)
}

/// What the database holds is not what this log wrote there.
pub(crate) fn broken(what: impl std::fmt::Display) -> StoreError {
    let what = format!("MongoDB: {what}");
    StoreError::new(StoreErrorKind::Fatal, what)
}

/// Something was asked for that there is not.
pub(crate) fn invalid(what: impl Into<String>) -> StoreError {
    StoreError::new(StoreErrorKind::Invalid, what)
}
