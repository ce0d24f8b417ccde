//! C2SP signed notes, checkpoints and proofs in one text.

mod checkpoint;
mod key;
mod note;
mod tlog_proof;

pub use checkpoint::{Checkpoint, CheckpointError};
pub use key::{KeyError, Signer, VerifierKey, default_origin};
pub use note::{Note, NoteError, NoteSignature};
pub use tlog_proof::{TlogProof, TlogProofError, tlog_proof};
