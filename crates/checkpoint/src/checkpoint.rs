//! Checkpoints, C2SP tlog-checkpoint.

use std::fmt;

use audittrail_merkle::{Hash, TreeHead};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::{Note, NoteError, Signer, VerifierKey};

/// Why a checkpoint cannot be made or believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// The note around it.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// The text is not a checkpoint's.
    #[error("this is not a checkpoint: {0}")]
    Malformed(&'static str),
    /// A tree without leaves has one root only, RFC 6962's of nothing.
    #[error("this is not a checkpoint: size 0 has another root")]
    EmptyTree,
    /// A log's key has the log's name.
    #[error("the checkpoint is of {origin}, the key is of {key}")]
    Origin {
        /// The log that the checkpoint names.
        origin: String,
        /// The key's name.
        key: String,
    },
}

/// What a log signs: the head of its tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log's name.
    pub origin: String,
    /// The tree head.
    pub head: TreeHead,
    /// Further lines, none of them empty.
    pub extensions: Vec<String>,
}

impl Checkpoint {
    /// The signed note of this checkpoint.
    ///
    /// # Errors
    /// If a signer's name is not the origin, or a line cannot stand in a note.
    pub fn sign(&self, signers: &[&Signer]) -> Result<String, CheckpointError> {
        for signer in signers {
            let verifier = signer.verifier();
            if verifier.name() != self.origin {
                let (origin, key) = (self.origin.clone(), verifier.name().to_owned());
                return Err(CheckpointError::Origin { origin, key });
            }
        }
        let text = self.to_string();
        // Reading it back refuses an origin or an extension that would change the form.
        if Self::parse_text(&text)? != *self {
            return Err(CheckpointError::Malformed("a line holds a newline"));
        }
        Ok(Note::sign(text, signers)?.to_string())
    }

    /// Reads a signed checkpoint that one of these keys signed, under its own name.
    ///
    /// # Errors
    /// If the note is not sound, none of the keys signed it, or it names another log.
    pub fn open(note: &[u8], keys: &[VerifierKey]) -> Result<Self, CheckpointError> {
        let note = Note::parse(note)?;
        let signed = note.verify(keys)?;
        let checkpoint = Self::parse_text(&note.text)?;
        match signed.iter().find(|key| key.name() != checkpoint.origin) {
            None => Ok(checkpoint),
            Some(key) => Err(CheckpointError::Origin {
                origin: checkpoint.origin,
                key: key.name().to_owned(),
            }),
        }
    }

    /// Reads a checkpoint's text: origin, size and root, a line each, then extension lines.
    ///
    /// # Errors
    /// If it has another form.
    pub fn parse_text(text: &str) -> Result<Self, CheckpointError> {
        let malformed = CheckpointError::Malformed;
        let body = text
            .strip_suffix('\n')
            .ok_or(malformed("its end is missing"))?;
        let mut lines = body.split('\n');
        let mut next = || lines.next().filter(|line| !line.is_empty());
        let origin = next().ok_or(malformed("the origin is missing"))?.to_owned();
        let size = next().ok_or(malformed("the size is missing"))?;
        let root = next().ok_or(malformed("the root is missing"))?;
        let head = TreeHead {
            size: parse_size(size).ok_or(malformed("the size is not a number"))?,
            root: parse_hash(root).ok_or(malformed("the root is not a hash in base64"))?,
        };
        if head.size == 0 && head != TreeHead::EMPTY {
            return Err(CheckpointError::EmptyTree);
        }
        let extensions: Vec<String> = lines.map(str::to_owned).collect();
        if extensions.iter().any(String::is_empty) {
            return Err(malformed("it has an empty line"));
        }
        Ok(Self {
            origin,
            head,
            extensions,
        })
    }
}

pub(crate) fn parse_size(text: &str) -> Option<u64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let leading_zero = text.len() > 1 && text.starts_with('0');
    if digits && !leading_zero {
        text.parse().ok()
    } else {
        None
    }
}

pub(crate) fn parse_hash(text: &str) -> Option<Hash> {
    Some(Hash(STANDARD.decode(text).ok()?.try_into().ok()?))
}

impl fmt::Display for Checkpoint {
    /// The note's text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            origin,
            head,
            extensions,
        } = self;
        writeln!(
            f,
            "{origin}\n{}\n{}",
            head.size,
            STANDARD.encode(head.root.0)
        )?;
        extensions.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}
