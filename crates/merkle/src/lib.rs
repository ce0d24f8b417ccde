//! The RFC 6962 Merkle tree: hashing, the right edge, proofs and tiles.
