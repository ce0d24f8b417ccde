//! What several targets share: fixed keys, and small logs whose every answer is known.

#[cfg(feature = "store")]
pub mod directory;

use audittrail_checkpoint::{Signer, VerifierKey};
use audittrail_entry::{Limits, NewEntry, Record, SealWith, SigningKey, Submitter, Timestamp};
use audittrail_merkle::{Edge, Hash, TreeHead, leaf_hash, node_hash};

/// The log's name in checkpoints and proofs.
pub const ORIGIN: &str = "example.com/audit-log";
/// When everything happens.
pub const NOW: Timestamp = Timestamp::from_nanos(1_767_225_600_000_000_000);

/// Signed the golden notes, and nothing else.
pub fn signer() -> Signer {
    Signer::from_seed(ORIGIN, std::array::from_fn(|at| at as u8)).expect("the name is a key's")
}

/// Its key alone.
pub fn keys() -> Vec<VerifierKey> {
    vec![signer().verifier()]
}

/// Those that the tests of Certificate Transparency use.
const LEAVES: [&[u8]; 8] = [
    b"",
    b"\x00",
    b"\x10",
    b"\x20\x21",
    b"01",
    b"@ABC",
    b"PQRSTUVW",
    b"`abcdefghijklmno",
];

/// The leaf hashes of eight leaves.
pub fn leaves() -> [Hash; 8] {
    LEAVES.map(leaf_hash)
}

/// The head of their tree.
pub fn head() -> TreeHead {
    let mut edge = Edge::new();
    leaves().into_iter().for_each(|leaf| edge.push(leaf));
    edge.head()
}

/// All notes that the key signed: the seeds, of which the first is the leaves' checkpoint.
pub const SIGNED: [&str; 3] = [
    include_str!("../../crates/checkpoint/testdata/eight-leaves.note"),
    include_str!("../../crates/checkpoint/testdata/extensions.note"),
    include_str!("../../crates/checkpoint/testdata/empty.note"),
];

/// Whether the key signed this text.
pub fn is_signed(text: &str) -> bool {
    let mut texts = SIGNED.iter().filter_map(|note| note.split_once("\n\n"));
    texts.any(|(body, _)| text.strip_suffix('\n') == Some(body))
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
