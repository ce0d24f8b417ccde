//! C2SP signed notes, checkpoints, cosignatures, policies and proofs in one text.

mod add_checkpoint;
mod checkpoint;
mod cosignature;
mod key;
mod note;
mod policy;
mod policy_lines;
mod tlog_proof;

pub use add_checkpoint::{
    ADD_CHECKPOINT_BYTES_MAX, AddCheckpoint, COSIGNATURES_BYTES_MAX, Refusal, SIZE_MEDIA_TYPE,
    parse_conflict, parse_cosignatures,
};
pub use checkpoint::{Checkpoint, CheckpointError};
pub use cosignature::{Cosigner, CosignerKey};
pub use key::{KeyError, Signer, VerifierKey, default_origin};
pub use note::{Note, NoteError, NoteSignature};
pub use policy::{
    Met, POLICY_BYTES_MAX, Policy, PolicyError, PolicyFault, PolicyLog, PolicyRefusal,
    PolicyWitness,
};
pub use tlog_proof::{TlogProof, TlogProofError, tlog_proof};
