//! How the store stands, for who asks whether it takes writes. Apart from the writer, so that the
//! answer never waits for a disk that does not answer.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use audittrail_store::{CommitError, CommitErrorKind, StoreError, StoreErrorKind};

use crate::disk::Mode;
use crate::shared::Shared;

/// What is written to see whether there is room again, in bytes: more than most batches.
const PROBE: usize = 1 << 20;

/// What went wrong and has not gone well since.
#[derive(Default)]
pub(crate) struct Standing {
    state: Mutex<State>,
    /// Held by the one who tries the disk.
    trying: Mutex<()>,
}

#[derive(Default)]
struct State {
    /// Nothing is written any more.
    broken: Option<String>,
    /// The last batch was refused.
    refused: Option<String>,
    /// How many batches were refused.
    refusals: u64,
    /// The last checkpoint was not kept.
    unkept: Option<String>,
}

impl Standing {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// There is room, for what was refused up to then.
    fn tried(&self, refusals: u64) {
        let mut state = self.state();
        if state.refusals == refusals {
            state.refused = None;
        }
    }

    /// What became of a batch.
    pub(crate) fn committed(&self, outcome: &Result<(), CommitError>) {
        let mut state = self.state();
        match outcome {
            Ok(()) => state.refused = None,
            Err(error) => match error.kind() {
                CommitErrorKind::Fatal => state.broken = Some(told(error)),
                CommitErrorKind::Refused => {
                    state.refused = Some(told(error));
                    state.refusals += 1;
                }
                CommitErrorKind::Lost | CommitErrorKind::Unknown => {}
            },
        }
    }

    /// What became of a checkpoint.
    pub(crate) fn kept(&self, outcome: &Result<(), StoreError>) {
        let mut state = self.state();
        match outcome {
            Ok(()) => state.unkept = None,
            Err(error) => match error.kind() {
                StoreErrorKind::Fatal => state.broken = Some(told(error)),
                StoreErrorKind::Unavailable => state.unkept = Some(told(error)),
                StoreErrorKind::Invalid | StoreErrorKind::Building | StoreErrorKind::Led => {}
            },
        }
    }
}

/// An error with all of its causes, as the log has it.
fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(one) = cause {
        let one_text = one.to_string();
        if !text.ends_with(&one_text) {
            text = format!("{text}: {one_text}");
        }
        cause = one.source();
    }
    text
}

impl Shared {
    /// Whether a batch would be taken, and a checkpoint kept. Where the last batch was refused the
    /// disk is tried, so that who waits for this before sending more does not wait for ever. That
    /// writes: who is asked often asks this once in a while.
    pub(crate) fn ready(&self) -> Result<(), StoreError> {
        let (broken, refused, refusals, unkept) = {
            let state = self.standing.state();
            let (broken, refused) = (state.broken.clone(), state.refused.clone());
            (broken, refused, state.refusals, state.unkept.clone())
        };
        let fatal = |why| Err(StoreError::new(StoreErrorKind::Fatal, why));
        if let Some(why) = broken {
            return fatal(why);
        }
        let looked = match self.writer.try_lock() {
            Ok(writer) => Some(self.in_place(&writer)),
            Err(TryLockError::Poisoned(poisoned)) => Some(self.in_place(&poisoned.into_inner())),
            // A commit is under way, which looks for itself.
            Err(TryLockError::WouldBlock) => None,
        };
        if let Some(Err(why)) = looked {
            return fatal(why);
        }
        if let Some(why) = refused {
            // Not while a commit is under way, which needs the room itself; but one that comes while
            // the disk is tried does not wait for that.
            let trying = self.standing.trying.try_lock().ok();
            if looked.is_none() || trying.is_none() {
                return Err(StoreError::new(StoreErrorKind::Unavailable, why));
            }
            self.probe().map_err(|error| {
                StoreError::caused(StoreErrorKind::Unavailable, why.as_str(), error)
            })?;
            self.standing.tried(refusals);
        }
        match unkept {
            None => Ok(()),
            Some(why) => Err(StoreError::new(StoreErrorKind::Unavailable, why)),
        }
    }

    /// Whether what the next batch needs can be written.
    fn probe(&self) -> io::Result<()> {
        if self.is_behind() {
            return Err(io::Error::other(
                "what waits in memory has to be written first",
            ));
        }
        let path = self.layout.probe();
        let written = self
            .disk
            .open(&path, Mode::Replace)
            .and_then(|file| file.write_at(&vec![0; PROBE], 0));
        match self.disk.remove(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => written.and(Err(error)),
            _ => written,
        }
    }
}
