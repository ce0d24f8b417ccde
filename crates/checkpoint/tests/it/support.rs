//! A log and its neighbours.

use audittrail_checkpoint::{Checkpoint, Cosigner, Signer};
use audittrail_merkle::{Hash, TreeHead};

pub(crate) const ORIGIN: &str = "example.com/audit-log";

/// The root over the eight leaves that RFC 6962's own tests use.
pub(crate) const EIGHT: Hash = Hash([
    0x5d, 0xc9, 0xda, 0x79, 0xa7, 0x06, 0x59, 0xa9, 0xad, 0x55, 0x9c, 0xb7, 0x01, 0xde, 0xd9, 0xa2,
    0xab, 0x9d, 0x82, 0x3a, 0xad, 0x2f, 0x49, 0x60, 0xcf, 0xe3, 0x70, 0xef, 0xf4, 0x60, 0x43, 0x28,
]);

/// The key of the golden files: its seed is 00, 01, 02 and so on.
pub(crate) fn log() -> Signer {
    Signer::from_seed(ORIGIN, std::array::from_fn(|at| at as u8)).unwrap()
}

pub(crate) fn signer(name: &str, seed: u8) -> Signer {
    Signer::from_seed(name, [seed; 32]).unwrap()
}

pub(crate) fn cosigner(name: &str, seed: u8) -> Cosigner {
    Cosigner::from_seed(name, [seed; 32]).unwrap()
}

pub(crate) fn checkpoint(size: u64, root: Hash, extensions: &[&str]) -> Checkpoint {
    Checkpoint {
        origin: ORIGIN.to_owned(),
        head: TreeHead { size, root },
        extensions: extensions.iter().map(|line| (*line).to_owned()).collect(),
    }
}

/// The log's checkpoint of eight leaves, signed.
pub(crate) fn eight_signed() -> String {
    checkpoint(8, EIGHT, &[]).sign(&[&log()]).unwrap()
}
