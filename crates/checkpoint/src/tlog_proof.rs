//! Inclusion proofs in one text, C2SP tlog-proof.

use audittrail_merkle::Hash;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// A tlog-proof: the entry's index, the hashes from its leaf towards the root, and the
/// checkpoint that they lead to, as it is.
pub fn tlog_proof(index: u64, hashes: &[Hash], checkpoint: &str) -> String {
    let mut proof = format!("c2sp.org/tlog-proof@v1\nindex {index}\n");
    for hash in hashes {
        proof.push_str(&STANDARD.encode(hash.0));
        proof.push('\n');
    }
    proof.push('\n');
    proof.push_str(checkpoint);
    proof
}
