//! Inclusion proofs in one text, C2SP tlog-proof.

use std::fmt;

use audittrail_merkle::{Hash, ProofError, verify_inclusion};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::checkpoint::{parse_hash, parse_size};
use crate::{Checkpoint, CheckpointError, VerifierKey};

const FIRST_LINE: &str = "c2sp.org/tlog-proof@v1";
/// A tree has fewer than 2^64 leaves, so that no path is longer.
const HASHES_MAX: usize = 64;
/// Longer extra data is refused; an entry of a log has up to 64 KiB.
const EXTRA_BYTES_MAX: usize = 64 << 10;
/// A checkpoint, as long as a note may be, and what stands before it.
const PROOF_BYTES_MAX: usize = (1 << 20) + (128 << 10);

/// Why a tlog-proof proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlogProofError {
    /// It does not have the form of one.
    #[error("this is not a tlog-proof: {0}")]
    Malformed(&'static str),
    /// Its checkpoint cannot be believed.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The path does not lead from the leaf to the checkpoint's root.
    #[error("the leaf is not proven to be in the log: {0}")]
    Path(#[from] ProofError),
}

/// What proves that a leaf is in the log of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlogProof {
    /// Data of the application's, at most 64 KiB. Nothing authenticates it.
    pub extra: Option<Vec<u8>>,
    /// The leaf's place in the log, from 0.
    pub index: u64,
    /// From the leaf towards the root, at most 64.
    pub hashes: Vec<Hash>,
    /// The signed note that they lead to, as it is.
    pub checkpoint: String,
}

impl TlogProof {
    /// Reads a proof. Its checkpoint is looked at by [`TlogProof::verify`] only.
    ///
    /// # Errors
    /// If it is longer than 1,152 KiB or does not have the form of one.
    pub fn parse(bytes: &[u8]) -> Result<Self, TlogProofError> {
        let malformed = TlogProofError::Malformed;
        if bytes.len() > PROOF_BYTES_MAX {
            return Err(malformed("it is too long"));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| malformed("not UTF-8"))?;
        let (head, checkpoint) = text
            .split_once("\n\n")
            .ok_or(malformed("it has no checkpoint"))?;
        let mut lines = head.split('\n').peekable();
        if lines.next() != Some(FIRST_LINE) {
            return Err(malformed("it does not begin with c2sp.org/tlog-proof@v1"));
        }
        let extra = lines
            .next_if(|line| line.starts_with("extra "))
            .map(|line| parse_extra(&line["extra ".len()..]))
            .transpose()?;
        let index = lines
            .next()
            .and_then(|line| line.strip_prefix("index "))
            .and_then(parse_size)
            .ok_or(malformed("the index is missing or no number"))?;
        let mut hashes = Vec::new();
        for line in lines {
            if hashes.len() == HASHES_MAX {
                return Err(malformed("it has too many hashes"));
            }
            hashes.push(parse_hash(line).ok_or(malformed("a line is no hash in base64"))?);
        }
        Ok(Self {
            extra,
            index,
            hashes,
            checkpoint: checkpoint.to_owned(),
        })
    }

    /// Checks that one of the keys signed the checkpoint, under its own name, and that the leaf
    /// of this hash has the proof's index in its tree. The checkpoint.
    ///
    /// # Errors
    /// If either does not hold.
    pub fn verify(
        &self,
        leaf_hash: &Hash,
        keys: &[VerifierKey],
    ) -> Result<Checkpoint, TlogProofError> {
        let checkpoint = Checkpoint::open(self.checkpoint.as_bytes(), keys)?;
        let (size, root) = (checkpoint.head.size, &checkpoint.head.root);
        verify_inclusion(self.index, size, leaf_hash, &self.hashes, root)?;
        Ok(checkpoint)
    }
}

fn parse_extra(text: &str) -> Result<Vec<u8>, TlogProofError> {
    let malformed = TlogProofError::Malformed;
    let extra = STANDARD
        .decode(text)
        .map_err(|_| malformed("the extra data is no base64"))?;
    if extra.len() > EXTRA_BYTES_MAX {
        return Err(malformed("the extra data is too long"));
    }
    Ok(extra)
}

impl fmt::Display for TlogProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{FIRST_LINE}")?;
        if let Some(extra) = &self.extra {
            writeln!(f, "extra {}", STANDARD.encode(extra))?;
        }
        writeln!(f, "index {}", self.index)?;
        for hash in &self.hashes {
            writeln!(f, "{}", STANDARD.encode(hash.0))?;
        }
        write!(f, "\n{}", self.checkpoint)
    }
}

/// A tlog-proof: the entry's index, the hashes from its leaf towards the root, and the
/// checkpoint that they lead to, as it is.
pub fn tlog_proof(index: u64, hashes: &[Hash], checkpoint: &str) -> String {
    let proof = TlogProof {
        extra: None,
        index,
        hashes: hashes.to_vec(),
        checkpoint: checkpoint.to_owned(),
    };
    proof.to_string()
}
