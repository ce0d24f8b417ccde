//! C2SP signed notes and checkpoints.

mod checkpoint;
mod key;
mod note;
mod tlog_proof;

pub use checkpoint::{Checkpoint, CheckpointError};
pub use key::{KeyError, Signer, VerifierKey, default_origin};
pub use note::{Note, NoteError, NoteSignature};
pub use tlog_proof::tlog_proof;
