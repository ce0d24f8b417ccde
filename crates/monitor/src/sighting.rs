//! Checkpoints that were seen, and how they stand to the one that was kept.

use audittrail_checkpoint::{Checkpoint, CheckpointError, Note, NoteError, VerifierKey};
use audittrail_merkle::TreeHead;

/// Keys that do not belong together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeysError {
    /// There is none.
    #[error("there is no key")]
    None,
    /// They are of several logs.
    #[error("the keys are of several logs, {0} and {1}; monitor each with its own keys")]
    Several(String, String),
}

/// The keys of one log: one, and others while it changes from one to the next.
#[derive(Debug, Clone)]
pub struct LogKeys(Vec<VerifierKey>);

/// A checkpoint that a key of the log signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// What it says.
    pub checkpoint: Checkpoint,
    /// The signed note, as it came.
    pub note: String,
}

/// Why what came is no checkpoint of the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It names another log.
    #[error("the checkpoint is of the log {seen:?}, the key is of {wanted}")]
    OtherLog {
        /// The origin in it.
        seen: String,
        /// The log that is monitored.
        wanted: String,
    },
    /// It is not signed, or not by a key of the log, or is no checkpoint.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// tlog-checkpoint: sizes have 63 bits.
    #[error("the checkpoint says that the log has {0} entries, more than a log can have")]
    Size(u64),
}

impl LogKeys {
    /// # Errors
    /// If there is no key, or they do not have the same name.
    pub fn new(keys: Vec<VerifierKey>) -> Result<Self, KeysError> {
        let first = keys.first().ok_or(KeysError::None)?.name();
        match keys.iter().find(|key| key.name() != first) {
            None => Ok(Self(keys)),
            Some(other) => Err(KeysError::Several(
                first.to_owned(),
                other.name().to_owned(),
            )),
        }
    }

    /// The log's name.
    pub fn origin(&self) -> &str {
        self.0.first().map_or("", VerifierKey::name)
    }

    /// Reads a checkpoint that one of the keys signed.
    ///
    /// # Errors
    /// If it is not one of this log.
    pub fn open(&self, note: &[u8]) -> Result<Sighting, Refusal> {
        // Before the signature: a note of another log has none by these keys, which says less.
        let parsed = Note::parse(note).map_err(CheckpointError::from)?;
        let seen = parsed.text.lines().next().unwrap_or_default();
        if seen != self.origin() {
            let seen = seen.chars().take(200).collect();
            let wanted = self.origin().to_owned();
            return Err(Refusal::OtherLog { seen, wanted });
        }
        let checkpoint = Checkpoint::open(note, &self.0)?;
        if i64::try_from(checkpoint.head.size).is_err() {
            return Err(Refusal::Size(checkpoint.head.size));
        }
        let note = String::from_utf8(note.to_vec())
            .map_err(|_| CheckpointError::from(NoteError::Malformed("not UTF-8")))?;
        Ok(Sighting { checkpoint, note })
    }
}

/// How the head of a tree stands to one that was kept, before any hash is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It is the same.
    Same,
    /// It has more leaves: whether it extends the other has to be proven.
    Larger,
    /// It has fewer leaves: the log does not show what it showed.
    Smaller,
    /// It has as many leaves and another root: two histories, and the two notes prove it.
    Contradicts,
}

impl Standing {
    /// How `seen` stands to `kept`.
    pub fn of(seen: &TreeHead, kept: &TreeHead) -> Self {
        match seen.size.cmp(&kept.size) {
            std::cmp::Ordering::Less => Self::Smaller,
            std::cmp::Ordering::Greater => Self::Larger,
            std::cmp::Ordering::Equal if seen.root == kept.root => Self::Same,
            std::cmp::Ordering::Equal => Self::Contradicts,
        }
    }
}
