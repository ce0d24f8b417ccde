//! Workers, and where in the protocol each of them is.

use crate::Log;

/// Where the entries of a request were found: an index each.
pub type Found = [Option<u8>; 2];

/// What a worker does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Step {
    /// It does not lead: it has just started, was told that it lost, or does not know what became of
    /// a write.
    #[default]
    Out,
    /// It has raised the epoch and removes what earlier leaders left; done below this index.
    Removing(u8),
    /// It leads, and nothing is in its hands.
    Leads,
    /// It has asked where the entries of a request are, and asks for the head now.
    Looking {
        /// The request.
        request: u8,
        /// What it found, some of it beyond the size that it knew.
        found: Found,
    },
    /// It has the head, and asks again for what it found beyond the size it knew before.
    Again {
        /// The request.
        request: u8,
        /// The head's size.
        size: u8,
    },
    /// It inserts the entries of a request; those of this set of bits are in.
    Inserting {
        /// The request.
        request: u8,
        /// One bit for each entry.
        done: u8,
    },
    /// It moves the head.
    Moving {
        /// The request.
        request: u8,
    },
    /// It heard nothing of that, and asks whether the head has its batch.
    Asking {
        /// The request.
        request: u8,
    },
}

/// A worker. That it is asleep is nothing but others' steps coming first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Worker {
    /// The epoch that it leads under.
    pub epoch: u8,
    /// The log that it appends to: committed, as far as it knows.
    pub log: Log,
    /// What it does next.
    pub step: Step,
}

impl Worker {
    /// Whether it believes that it leads, and is past its take-over.
    pub fn leads(&self) -> bool {
        !matches!(self.step, Step::Out | Step::Removing(_))
    }

    pub(crate) fn at(self, step: Step) -> Self {
        if step == Step::Out {
            Self::default()
        } else {
            Self { step, ..self }
        }
    }
}
