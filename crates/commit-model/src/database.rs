//! What a majority of the database's servers has, and the writes that change it. Each is done at
//! one moment, as an operation on one document is.

use crate::{Log, Wrong};

/// Indices from 0 up to this one may have a document.
pub const INDICES: usize = 6;

/// A document in `entries`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Doc {
    /// The epoch of the leader that wrote it.
    pub epoch: u8,
    /// The entry.
    pub id: u8,
}

/// The document in `head`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Head {
    /// Raised by each take-over.
    pub epoch: u8,
    /// Size and root.
    pub log: Log,
    /// The `batch_id` of the last commit: epoch and size that it began with, which no two commits
    /// have in common.
    pub batch: Option<(u8, u8)>,
    /// The checkpoint that is kept.
    pub kept: Log,
}

/// The database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Database {
    /// The head.
    pub head: Head,
    /// The entries, by index.
    pub docs: [Option<Doc>; INDICES],
}

/// A write, as it is on its way to the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Write {
    /// Raise the epoch.
    Raise,
    /// Delete what has an index of `from` or more and an earlier epoch.
    Remove {
        /// At or above which it deletes; it has done so below.
        from: u8,
        /// Below which epoch.
        epoch: u8,
    },
    /// Insert a document.
    Insert {
        /// Where.
        index: u8,
        /// What.
        doc: Doc,
    },
    /// Move the head.
    Move {
        /// Under which epoch.
        epoch: u8,
        /// From which size and root.
        from: Log,
        /// To which.
        to: Log,
    },
    /// Keep a checkpoint.
    Keep {
        /// Under which epoch.
        epoch: u8,
        /// Of which size and root.
        log: Log,
    },
}

/// How a write ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Done, or there was nothing to do any more.
    Done,
    /// The condition does not hold, or there is such a document.
    Not,
    /// A delete has deleted one document and goes on.
    Goes(Write),
}

impl Database {
    /// Whether the document of each index below the head is that of the log.
    pub fn is_whole(&self) -> bool {
        let docs = self.docs.iter().zip(self.head.log.ids());
        docs.into_iter()
            .all(|(doc, id)| doc.is_some_and(|doc| doc.id == *id))
    }

    /// Where entries are, in the log or beyond its head.
    pub fn find(&self, id: u8) -> Option<u8> {
        let at = self
            .docs
            .iter()
            .position(|doc| doc.is_some_and(|doc| doc.id == id));
        at.and_then(|at| u8::try_from(at).ok())
    }

    /// Does a write, or one step of it.
    pub(crate) fn apply(&mut self, write: Write, wrong: Option<Wrong>) -> Ended {
        let head = &mut self.head;
        let done = |holds: bool| if holds { Ended::Done } else { Ended::Not };
        match write {
            Write::Raise => {
                if wrong != Some(Wrong::TakeOverWithoutEpoch) {
                    head.epoch += 1;
                }
                Ended::Done
            }
            Write::Remove { from, epoch } => self.remove(from, epoch, wrong),
            Write::Insert { index, doc } => {
                let at = usize::from(index);
                let taken = self.docs.get(at).is_none_or(Option::is_some);
                let known = self.find(doc.id).is_some() && wrong != Some(Wrong::NoUniqueId);
                if taken || known {
                    return Ended::Not;
                }
                self.docs[at] = Some(doc);
                Ended::Done
            }
            Write::Move { epoch, from, to } => {
                let holds = (head.epoch == epoch || wrong == Some(Wrong::HeadWithoutEpoch))
                    && (head.log == from || wrong == Some(Wrong::HeadWithoutSize));
                if holds {
                    head.log = to;
                    head.batch = Some((epoch, from.size()));
                }
                done(holds)
            }
            Write::Keep { epoch, log } => {
                let (mut by_epoch, mut by_size) = (true, true);
                match wrong {
                    Some(Wrong::CheckpointUnconditional) => (by_epoch, by_size) = (false, false),
                    Some(Wrong::CheckpointWithoutSize) => by_size = false,
                    Some(Wrong::CheckpointWithoutEpoch) => by_epoch = false,
                    _ => {}
                }
                let holds = (head.epoch == epoch || !by_epoch)
                    && (head.kept.size() <= log.size() || !by_size);
                if holds {
                    head.kept = log;
                }
                done(holds)
            }
        }
    }

    /// Deletes the next document that is to be deleted. One that comes to lie below where the delete
    /// has been is not seen any more.
    fn remove(&mut self, from: u8, epoch: u8, wrong: Option<Wrong>) -> Ended {
        let meant = |doc: &Doc| match wrong {
            Some(Wrong::RemoveWithoutEpoch) => true,
            // It would remove nothing otherwise.
            Some(Wrong::TakeOverWithoutEpoch) => doc.epoch <= epoch,
            _ => doc.epoch < epoch,
        };
        for at in from..INDICES as u8 {
            let place = &mut self.docs[usize::from(at)];
            if place.as_ref().is_some_and(meant) {
                *place = None;
                return Ended::Goes(Write::Remove {
                    from: at + 1,
                    epoch,
                });
            }
        }
        Ended::Done
    }
}
