//! A log that nobody may lead: a copy that is not complete yet, or one that goes on elsewhere.

use std::fmt;
use std::sync::atomic::Ordering;

use audittrail_store::{StoreError, StoreErrorKind};
use mongodb::bson::{Document, doc};

use crate::MongoStore;
use crate::head;
use crate::lead::led;

/// Why nobody leads a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Closed {
    /// It is being copied to here, and not all of it is here.
    Copying,
    /// It goes on elsewhere.
    Moved {
        /// Where, as it can be shown: no password.
        to: String,
    },
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Copying => f.write_str(
                "the log in this database is a copy that was not finished: nothing is signed on it. \
                 Run `audittrail copy` again",
            ),
            Self::Moved { to } => write!(
                f,
                "the log in this database was moved to {to} and goes on there: nothing is signed \
                 here, since two histories of one log are worth no more than none"
            ),
        }
    }
}

impl Closed {
    fn document(&self) -> Document {
        match self {
            Self::Copying => doc! { "why": "copying" },
            Self::Moved { to } => doc! { "why": "moved", "to": to },
        }
    }

    pub(crate) fn read(document: &Document) -> Option<Self> {
        match document.get_str("why").ok()? {
            "copying" => Some(Self::Copying),
            "moved" => Some(Self::Moved {
                to: document.get_str("to").ok()?.to_owned(),
            }),
            _ => None,
        }
    }
}

/// The error for who wants to lead a log that is closed.
pub(crate) fn refused(closed: &Closed) -> StoreError {
    StoreError::new(StoreErrorKind::Invalid, closed.to_string())
}

impl MongoStore {
    /// From now on [`audittrail_store::Store::lead`] takes the lead of a closed log, too: for who
    /// copies it.
    pub fn lead_closed(&self) {
        self.leads_closed.store(true, Ordering::Release);
    }

    /// Whether the log is closed, and why.
    ///
    /// # Errors
    /// If the head cannot be read.
    pub async fn closed(&self) -> Result<Option<Closed>, StoreError> {
        Ok(self.network.read_head().await?.closed)
    }

    /// Closes the log, or with `None` opens it again. Only its leader can.
    ///
    /// # Errors
    /// `Led` if this process does not lead; `Unavailable` if it is not known whether it is done.
    pub async fn close(&self, closed: Option<&Closed>) -> Result<(), StoreError> {
        let mut held = self.leader.lock().await;
        let Some(epoch) = held.as_ref().map(|leader| leader.epoch) else {
            let what = "this process does not lead the log; it has to take the lead first";
            return Err(StoreError::new(StoreErrorKind::Led, what));
        };
        let change = match closed {
            Some(closed) => doc! { "$set": { "closed": closed.document() } },
            None => doc! { "$unset": { "closed": "" } },
        };
        let update = self
            .network
            .head
            .update_one(doc! { "_id": head::ID, "epoch": epoch }, change);
        let what = "whether the log is closed cannot be written";
        if self.network.bounded(what, update).await?.matched_count == 1 {
            return Ok(());
        }
        *held = None;
        Err(led(&self.network.read_head().await?))
    }
}
