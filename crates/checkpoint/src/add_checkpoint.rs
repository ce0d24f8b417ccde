//! The bodies of C2SP tlog-witness `add-checkpoint`, and what a witness answers.

use std::fmt;

use audittrail_merkle::{Hash, TreeHead, verify_consistency};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::checkpoint::{parse_hash, parse_size};
use crate::note::{check_characters, parse_signatures};
use crate::{Checkpoint, CheckpointError, Note, NoteError, NoteSignature, VerifierKey};

/// No client sends more lines of a proof.
const HASHES_MAX: usize = 63;
/// The longest request that is read: a checkpoint with many cosignatures, and its proof.
pub const ADD_CHECKPOINT_BYTES_MAX: usize = 128 << 10;
/// The longest answer that is read: cosignatures of a few keys, of any type.
pub const COSIGNATURES_BYTES_MAX: usize = 64 << 10;
/// A size in decimal and a newline.
const SIZE_BYTES_MAX: usize = 21;
/// The media type of a 409's body.
pub const SIZE_MEDIA_TYPE: &str = "text/x.tlog.size";

/// A request to a witness.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddCheckpoint {
    /// The size that the witness is believed to know.
    pub old: u64,
    /// The consistency proof from there, at most 63 hashes; none from size 0.
    pub proof: Vec<Hash>,
    /// The signed checkpoint.
    pub checkpoint: String,
}

impl AddCheckpoint {
    /// Reads a request's body. Its checkpoint is looked at by [`AddCheckpoint::check`] only.
    ///
    /// # Errors
    /// If it is longer than [`ADD_CHECKPOINT_BYTES_MAX`] or does not have the form of one.
    pub fn parse(bytes: &[u8]) -> Result<Self, Refusal> {
        let malformed = Refusal::Malformed;
        if bytes.len() > ADD_CHECKPOINT_BYTES_MAX {
            return Err(malformed("it is too long"));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| malformed("it is not UTF-8"))?;
        let (head, checkpoint) = text
            .split_once("\n\n")
            .ok_or(malformed("it has no checkpoint after an empty line"))?;
        let mut lines = head.split('\n');
        let old = lines
            .next()
            .and_then(|line| line.strip_prefix("old "))
            .and_then(parse_size)
            .ok_or(malformed("it does not begin with the old size"))?;
        let mut proof = Vec::new();
        for line in lines {
            if proof.len() == HASHES_MAX {
                return Err(malformed("its proof has more than 63 lines"));
            }
            proof.push(parse_hash(line).ok_or(malformed("a line is no hash in base64"))?);
        }
        Ok(Self {
            old,
            proof,
            checkpoint: checkpoint.to_owned(),
        })
    }

    /// The first line of the checkpoint: whose it says that it is.
    pub fn origin(&self) -> &str {
        self.checkpoint.split('\n').next().unwrap_or_default()
    }

    /// Checks a request as a witness has to, in the order of the specification, given the keys
    /// that it trusts for [`AddCheckpoint::origin`] and the head that it cosigned last, the empty
    /// tree's if it never did. What it may cosign once that is persisted.
    ///
    /// # Errors
    /// What to answer in place of a cosignature.
    pub fn check(
        &self,
        keys: &[VerifierKey],
        latest: &TreeHead,
    ) -> Result<(Note, Checkpoint), Refusal> {
        let note = Note::parse(self.checkpoint.as_bytes()).map_err(|error| match error {
            NoteError::Malformed(why) => Refusal::Malformed(why),
            NoteError::Invalid(_) | NoteError::Unknown => Refusal::Unsigned,
        })?;
        note.verify(keys).map_err(|_| Refusal::Unsigned)?;
        let checkpoint = Checkpoint::parse_text(&note.text).map_err(|error| match error {
            CheckpointError::EmptyTree => {
                Refusal::Unproven("a tree without leaves has another root")
            }
            CheckpointError::Malformed(why) => Refusal::Malformed(why),
            CheckpointError::Note(_) | CheckpointError::Origin { .. } => Refusal::Unsigned,
        })?;
        let new = &checkpoint.head;
        if self.old > new.size {
            return Err(Refusal::OldAboveSize);
        }
        if self.old != latest.size {
            return Err(Refusal::Conflict(latest.size));
        }
        if self.old == 0 {
            let proven = self.proof.is_empty();
            let why = "nothing is proven from size 0: the proof has to be empty";
            return if proven {
                Ok((note, checkpoint))
            } else {
                Err(Refusal::Unproven(why))
            };
        }
        verify_consistency(self.old, new.size, &self.proof, &latest.root, &new.root)
            .map_err(|_| Refusal::Unproven("the proof does not hold for what was cosigned last"))?;
        Ok((note, checkpoint))
    }
}

impl fmt::Display for AddCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "old {}", self.old)?;
        for hash in &self.proof {
            writeln!(f, "{}", STANDARD.encode(hash.0))?;
        }
        write!(f, "\n{}", self.checkpoint)
    }
}

/// Why a witness does not cosign; the specification gives each its status.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// 400: the request does not have the form of one.
    #[error("this is not a request to add a checkpoint: {0}")]
    Malformed(&'static str),
    /// 400: the old size is above the checkpoint's.
    #[error("the old size is above that of the checkpoint")]
    OldAboveSize,
    /// 404: none of the logs has this origin.
    #[error("this witness does not know the log")]
    UnknownLog,
    /// 403: no key that is trusted for the origin signed it, or a signature of one does not hold.
    #[error("no trusted key of the log signed the checkpoint, or a signature does not hold")]
    Unsigned,
    /// 409: the old size is not that of the checkpoint cosigned last, which is this one.
    #[error("the checkpoint cosigned last has size {0}")]
    Conflict(u64),
    /// 422: the checkpoint is not proven to extend the one cosigned last.
    #[error("the checkpoint is not proven to extend the one cosigned last: {0}")]
    Unproven(&'static str),
}

impl Refusal {
    /// The HTTP status.
    pub fn status(&self) -> u16 {
        match self {
            Self::Malformed(_) | Self::OldAboveSize => 400,
            Self::UnknownLog => 404,
            Self::Unsigned => 403,
            Self::Conflict(_) => 409,
            Self::Unproven(_) => 422,
        }
    }
}

/// Reads the body of a witness's 200: signature lines, one or more.
///
/// # Errors
/// If it is longer than [`COSIGNATURES_BYTES_MAX`] or has anything else in it.
pub fn parse_cosignatures(bytes: &[u8]) -> Result<Vec<NoteSignature>, NoteError> {
    let malformed = NoteError::Malformed;
    if bytes.len() > COSIGNATURES_BYTES_MAX {
        return Err(malformed("it is too long"));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| malformed("not UTF-8"))?;
    check_characters(text)?;
    let lines = text
        .strip_suffix('\n')
        .ok_or(malformed("its end is missing"))?;
    parse_signatures(lines)
}

/// Reads the body of a witness's 409, which has to be of the type [`SIZE_MEDIA_TYPE`]: a size in
/// decimal and a newline. `None` for anything else, which is no hint at all.
pub fn parse_conflict(media_type: Option<&str>, bytes: &[u8]) -> Option<u64> {
    let named = media_type?.eq_ignore_ascii_case(SIZE_MEDIA_TYPE);
    if !named || bytes.len() > SIZE_BYTES_MAX {
        return None;
    }
    let size = std::str::from_utf8(bytes).ok()?.strip_suffix('\n')?;
    parse_size(size)
}
