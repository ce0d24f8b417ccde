//! What several targets share: fixed keys, and small logs whose every answer is known.

use audittrail_checkpoint::{Checkpoint, Signer, VerifierKey};
use audittrail_entry::{Limits, NewEntry, Record, SealWith, SigningKey, Submitter, Timestamp};
use audittrail_merkle::{Edge, Hash, TreeHead, leaf_hash, node_hash};

/// The log's name in checkpoints and proofs.
pub const ORIGIN: &str = "example.com/audit-log";
/// When everything happens.
pub const NOW: Timestamp = Timestamp::from_nanos(1_767_225_600_000_000_000);

/// Signs the checkpoint of the eight leaves, and nothing else.
pub fn signer() -> Signer {
    Signer::from_seed(ORIGIN, std::array::from_fn(|at| at as u8)).expect("the name is a key's")
}

/// Its key alone.
pub fn keys() -> Vec<VerifierKey> {
    vec![signer().verifier()]
}

/// The leaf hashes of eight leaves of one byte each.
pub fn leaves() -> [Hash; 8] {
    std::array::from_fn(|at| leaf_hash(&[at as u8]))
}

/// The head of their tree.
pub fn head() -> TreeHead {
    let mut edge = Edge::new();
    leaves().into_iter().for_each(|leaf| edge.push(leaf));
    edge.head()
}

/// Their checkpoint, signed.
pub fn checkpoint() -> String {
    let checkpoint = Checkpoint {
        origin: ORIGIN.to_owned(),
        head: head(),
        extensions: Vec::new(),
    };
    checkpoint
        .sign(&[&signer()])
        .expect("the origin is the key's name")
}

/// The path from one of the leaves to the root.
pub fn path(index: usize) -> Vec<Hash> {
    let (mut level, mut at, mut path) = (leaves().to_vec(), index, Vec::new());
    while level.len() > 1 {
        path.push(level[at ^ 1]);
        level = level
            .chunks(2)
            .map(|pair| node_hash(&pair[0], &pair[1]))
            .collect();
        at /= 2;
    }
    path
}

/// Signs entries.
pub fn signing_key() -> SigningKey {
    SigningKey::new(b"a signing key of thirty-two bytes or more").expect("it is long enough")
}

/// The record of an entry, if it is small enough to be sealed.
pub fn seal(entry: &NewEntry<'_>, id: uuid::Uuid) -> Option<Record> {
    let (key, limits) = (signing_key(), Limits::default());
    let sealed = entry.seal(SealWith {
        submitter: &Submitter {
            iss: None,
            sub: "fuzz",
        },
        received_at: NOW,
        id,
        salt: [7; 32],
        key: &key,
        origin: ORIGIN,
        limits: &limits,
    });
    sealed.ok()
}
