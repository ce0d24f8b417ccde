//! Proofs and checkpoints as clients check them.

use audittrail_checkpoint::{Checkpoint, TlogProof};
use audittrail_merkle::{Hash, TreeHead};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::process::verifier;

/// Checks a proof of the entry of a receipt; the head that it leads to.
pub(crate) fn check(proof: &str, index: u64, receipt: &Value) -> Result<TreeHead, String> {
    let hash = receipt.get("leaf_hash").and_then(Value::as_str);
    let hash = hash.ok_or("a receipt without a hash")?;
    let hash = STANDARD.decode(hash).map_err(|error| error.to_string())?;
    let hash: [u8; 32] = hash.try_into().map_err(|_| "a hash of another length")?;
    check_hash(proof, index, Hash(hash))
}

/// Checks a proof of a leaf.
pub(crate) fn check_hash(proof: &str, index: u64, hash: Hash) -> Result<TreeHead, String> {
    let proof = TlogProof::parse(proof.as_bytes()).map_err(|error| error.to_string())?;
    if proof.index != index {
        return Err(format!("the proof of {index} is one of {}", proof.index));
    }
    let keys: Vec<_> = verifier().into_iter().collect();
    let checkpoint = proof
        .verify(&hash, &keys)
        .map_err(|error| format!("the proof of {index}: {error}"))?;
    Ok(checkpoint.head)
}

/// The head that a checkpoint signs.
pub(crate) fn head(note: &[u8]) -> Result<TreeHead, String> {
    let keys: Vec<_> = verifier().into_iter().collect();
    let checkpoint = Checkpoint::open(note, &keys).map_err(|error| error.to_string())?;
    Ok(checkpoint.head)
}
