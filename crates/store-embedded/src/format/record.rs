//! One record within a batch.
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 4 | length of the leaf |
//! | 4 | 4 | length of the sealed part |
//! | 8 | 4 | checksum of index, lengths, key id, signature and leaf |
//! | 12 | 4 | checksum of salt and sealed part |
//! | 16 | 4 | key id |
//! | 20 | 32 | signature |
//! | 52 | 32 | salt |
//! | 84 | | leaf, then sealed part |
//!
//! Two checksums, so that salt and sealed part can be zeroed and the rest still hold. The
//! index is in the checksum but not in the bytes: a record in the wrong place fails.

use audittrail_entry::{KeyId, Record, Sealed};

use super::bytes::{array_at, u32_at};

const HEADER_LEN: usize = 84;
/// No record is shorter.
pub(crate) const RECORD_MIN: usize = HEADER_LEN;
/// A leaf has to fit an entry bundle, which gives it a 16-bit length.
const LEAF_MAX: usize = u16::MAX as usize;
const SEALED_MAX: usize = 16 << 20;

/// Where a record lies within the bytes it was decoded from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RecordFrame {
    pub(crate) leaf_len: usize,
    pub(crate) sealed_len: usize,
}

impl RecordFrame {
    /// The lengths a header claims, if they can be true of `available` bytes.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, FrameError> {
        if bytes.len() < HEADER_LEN {
            return Err(FrameError::Short);
        }
        let frame = Self {
            leaf_len: u32_at(bytes, 0) as usize,
            sealed_len: u32_at(bytes, 4) as usize,
        };
        if frame.leaf_len > LEAF_MAX || frame.sealed_len > SEALED_MAX {
            return Err(FrameError::Leaf);
        }
        if frame.len() > bytes.len() {
            return Err(FrameError::Short);
        }
        Ok(frame)
    }

    pub(crate) fn len(self) -> usize {
        HEADER_LEN + self.leaf_len + self.sealed_len
    }

    pub(crate) fn leaf(self, bytes: &[u8]) -> &[u8] {
        &bytes[HEADER_LEN..HEADER_LEN + self.leaf_len]
    }
}

/// Why the bytes are not a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FrameError {
    #[error("the record is cut short")]
    Short,
    #[error("the record's open part fails its checksum")]
    Leaf,
    #[error("the record's sealed part fails its checksum")]
    Sealed,
    #[error("the record has no sealed part, which only a new format could mean")]
    Unsealed,
}

/// Appends a record.
///
/// # Errors
/// For a record without a sealed part and for one that is larger than entries can be.
pub(super) fn encode_record(
    index: u64,
    record: &Record,
    out: &mut Vec<u8>,
) -> Result<RecordFrame, FrameError> {
    let sealed = record.sealed.as_ref().ok_or(FrameError::Unsealed)?;
    let frame = RecordFrame {
        leaf_len: record.leaf.len(),
        sealed_len: sealed.bytes.len(),
    };
    if frame.leaf_len > LEAF_MAX || frame.sealed_len > SEALED_MAX {
        return Err(FrameError::Leaf);
    }
    let start = out.len();
    out.extend((frame.leaf_len as u32).to_le_bytes());
    out.extend((frame.sealed_len as u32).to_le_bytes());
    out.extend([0; 8]);
    out.extend(record.key_id.0);
    out.extend(record.signature);
    out.extend(sealed.salt);
    out.extend(&record.leaf);
    out.extend(&sealed.bytes);
    let bytes = &mut out[start..];
    let leaf_checksum = leaf_checksum(index, frame, bytes);
    let sealed_checksum = sealed_checksum(frame, bytes);
    bytes[8..12].copy_from_slice(&leaf_checksum.to_le_bytes());
    bytes[12..16].copy_from_slice(&sealed_checksum.to_le_bytes());
    Ok(frame)
}

fn leaf_checksum(index: u64, frame: RecordFrame, bytes: &[u8]) -> u32 {
    let checksum = crc32c::crc32c(&index.to_le_bytes());
    let checksum = crc32c::crc32c_append(checksum, &bytes[..8]);
    let checksum = crc32c::crc32c_append(checksum, &bytes[16..52]);
    crc32c::crc32c_append(checksum, frame.leaf(bytes))
}

fn sealed_checksum(frame: RecordFrame, bytes: &[u8]) -> u32 {
    let checksum = crc32c::crc32c(&bytes[52..HEADER_LEN]);
    crc32c::crc32c_append(checksum, &bytes[HEADER_LEN + frame.leaf_len..frame.len()])
}

/// Checks both checksums without copying anything.
pub(crate) fn check_record(index: u64, bytes: &[u8]) -> Result<RecordFrame, FrameError> {
    let frame = RecordFrame::read(bytes)?;
    if u32_at(bytes, 8) != leaf_checksum(index, frame, bytes) {
        return Err(FrameError::Leaf);
    }
    if u32_at(bytes, 12) != sealed_checksum(frame, bytes) {
        return Err(FrameError::Sealed);
    }
    Ok(frame)
}

/// How many bytes of a record its header and its leaf are, as the header has it.
pub(crate) fn open_len(header: &[u8]) -> Option<usize> {
    let leaf_len = u32_at(header.get(..HEADER_LEN)?, 0) as usize;
    (leaf_len <= LEAF_MAX).then_some(HEADER_LEN + leaf_len)
}

/// The record whose first [`open_len`] bytes these are, without its sealed part; `None` where they
/// fail their checksum.
pub(crate) fn decode_open_part(index: u64, bytes: &[u8]) -> Option<Record> {
    if open_len(bytes) != Some(bytes.len()) {
        return None;
    }
    let frame = RecordFrame {
        leaf_len: bytes.len() - HEADER_LEN,
        sealed_len: u32_at(bytes, 4) as usize,
    };
    (u32_at(bytes, 8) == leaf_checksum(index, frame, bytes)).then(|| Record {
        leaf: frame.leaf(bytes).to_vec(),
        sealed: None,
        signature: array_at(bytes, 20),
        key_id: KeyId(array_at(bytes, 16)),
    })
}

/// The record at the start of `bytes`, whose index is `index`.
pub(crate) fn decode_record(index: u64, bytes: &[u8]) -> Result<Record, FrameError> {
    let frame = check_record(index, bytes)?;
    Ok(Record {
        leaf: frame.leaf(bytes).to_vec(),
        sealed: Some(Sealed {
            bytes: bytes[HEADER_LEN + frame.leaf_len..frame.len()].to_vec(),
            salt: array_at(bytes, 52),
        }),
        signature: array_at(bytes, 20),
        key_id: KeyId(array_at(bytes, 16)),
    })
}
