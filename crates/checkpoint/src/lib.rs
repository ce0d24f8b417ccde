//! C2SP signed notes and checkpoints.

mod checkpoint;
mod key;
mod note;

pub use checkpoint::{Checkpoint, CheckpointError};
pub use key::{KeyError, Signer, VerifierKey, default_origin};
pub use note::{Note, NoteError, NoteSignature};
