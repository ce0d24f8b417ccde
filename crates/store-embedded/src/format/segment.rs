//! The header of a segment, written and synced before the file gets its name.
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 8 | magic |
//! | 8 | 4 | version, 1 |
//! | 12 | 4 | checksum of the header's other bytes |
//! | 16 | 8 | index of the first record: the size of the tree before |
//! | 24 | 32 | root of the tree before |
//! | 56 | 32 | SHA-256 of the log's origin |

use audittrail_merkle::{Hash, TreeHead};
use sha2::{Digest as _, Sha256};

use super::bytes::{array_at, u32_at, u64_at};

pub(crate) const SEGMENT_HEADER_LEN: usize = 88;
const MAGIC: [u8; 8] = *b"ATSEG\r\n\0";
const VERSION: u32 = 1;

/// What a segment says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    /// The tree before the segment's first record.
    pub(crate) before: TreeHead,
    pub(crate) origin: [u8; 32],
}

/// Why a segment's header cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SegmentHeaderError {
    #[error("its header fails its checksum")]
    Damaged,
    #[error(
        "it has format version {0}, this program reads version 1: use the program that wrote it"
    )]
    Version(u32),
}

pub(crate) fn origin_hash(origin: &str) -> [u8; 32] {
    Sha256::digest(origin.as_bytes()).into()
}

impl SegmentHeader {
    pub(crate) fn encode(&self) -> [u8; SEGMENT_HEADER_LEN] {
        let mut bytes = [0; SEGMENT_HEADER_LEN];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.before.size.to_le_bytes());
        bytes[24..56].copy_from_slice(&self.before.root.0);
        bytes[56..88].copy_from_slice(&self.origin);
        let checksum = checksum(&bytes);
        bytes[12..16].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8; SEGMENT_HEADER_LEN]) -> Result<Self, SegmentHeaderError> {
        if bytes[..8] != MAGIC || u32_at(bytes, 12) != checksum(bytes) {
            return Err(SegmentHeaderError::Damaged);
        }
        match u32_at(bytes, 8) {
            VERSION => Ok(Self {
                before: TreeHead {
                    size: u64_at(bytes, 16),
                    root: Hash(array_at(bytes, 24)),
                },
                origin: array_at(bytes, 56),
            }),
            other => Err(SegmentHeaderError::Version(other)),
        }
    }
}

fn checksum(bytes: &[u8; SEGMENT_HEADER_LEN]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&bytes[..12]), &bytes[16..])
}
