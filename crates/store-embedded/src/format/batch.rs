//! One batch: what one commit wrote with one sync.
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 4 | magic |
//! | 4 | 4 | checksum of the header's other bytes |
//! | 8 | 4 | length of the records |
//! | 12 | 4 | number of records |
//! | 16 | 8 | index of the first record |
//! | 24 | 4 | checksum of size and root of the tree before the batch |
//! | 28 | 4 | zero |
//! | 32 | 8 | size of the tree after the batch |
//! | 40 | 32 | root of the tree after the batch |
//! | 72 | | the records |

use std::io;

use audittrail_entry::Record;
use audittrail_merkle::{Hash, TreeHead};
use audittrail_store::{Batch, BatchEntry};

use super::bytes::{array_at, u32_at, u64_at};
use super::record::{
    FrameError, RECORD_MIN, RecordFrame, check_record, decode_record, encode_record,
};

pub(crate) const BATCH_HEADER_LEN: usize = 72;
/// Its first and third byte can stand in no JSON text, so no entry can hold it.
pub(crate) const BATCH_MAGIC: [u8; 4] = [0x00, b'B', 0xFF, b'1'];

/// A batch's header, checksum verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BatchHeader {
    pub(crate) records_len: u32,
    pub(crate) count: u32,
    pub(crate) first_index: u64,
    /// [`chain`] of the head before.
    pub(crate) before: u32,
    pub(crate) head: TreeHead,
}

/// What ties a batch or a segment to everything before it.
pub(crate) fn chain(head: &TreeHead) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&head.size.to_le_bytes()), &head.root.0)
}

impl BatchHeader {
    pub(crate) fn encode(&self) -> [u8; BATCH_HEADER_LEN] {
        let mut bytes = [0; BATCH_HEADER_LEN];
        bytes[..4].copy_from_slice(&BATCH_MAGIC);
        bytes[8..12].copy_from_slice(&self.records_len.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.count.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.first_index.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.before.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.head.size.to_le_bytes());
        bytes[40..72].copy_from_slice(&self.head.root.0);
        let checksum = crc32c::crc32c(&bytes[8..]);
        bytes[4..8].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// The header at the start of `bytes`, if there is a sound one.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.get(..BATCH_HEADER_LEN)?;
        if bytes[..4] != BATCH_MAGIC || u32_at(bytes, 4) != crc32c::crc32c(&bytes[8..]) {
            return None;
        }
        let header = Self {
            records_len: u32_at(bytes, 8),
            count: u32_at(bytes, 12),
            first_index: u64_at(bytes, 16),
            before: u32_at(bytes, 24),
            head: TreeHead {
                size: u64_at(bytes, 32),
                root: Hash(array_at(bytes, 40)),
            },
        };
        let size = header.first_index.checked_add(u64::from(header.count))?;
        // Whoever goes through the records does so as often as there are some.
        let fits = u64::from(header.count) * RECORD_MIN as u64 <= u64::from(header.records_len);
        let sound = header.count > 0 && fits && size == header.head.size;
        (sound && u32_at(bytes, 28) == 0).then_some(header)
    }

    /// Header and records together.
    pub(crate) fn len(&self) -> u64 {
        BATCH_HEADER_LEN as u64 + u64::from(self.records_len)
    }
}

/// Appends a batch to `out` and gives the length of each record.
///
/// # Errors
/// If a record is larger than entries can be, or all together than 4 GiB.
pub(crate) fn encode_batch(
    before: &TreeHead,
    after: TreeHead,
    entries: &[BatchEntry<'_>],
    out: &mut Vec<u8>,
) -> Result<Vec<u32>, FrameError> {
    let start = out.len();
    out.extend([0; BATCH_HEADER_LEN]);
    let mut lengths = Vec::with_capacity(entries.len());
    for (index, entry) in (before.size..).zip(entries) {
        lengths.push(encode_record(index, entry.record, out)?.len() as u32);
    }
    let records_len = out.len() - start - BATCH_HEADER_LEN;
    let header = BatchHeader {
        records_len: u32::try_from(records_len).map_err(|_| FrameError::Leaf)?,
        count: u32::try_from(entries.len()).map_err(|_| FrameError::Leaf)?,
        first_index: before.size,
        before: chain(before),
        head: after,
    };
    out[start..start + BATCH_HEADER_LEN].copy_from_slice(&header.encode());
    Ok(lengths)
}

/// Appends the bytes of a batch to `out`, as a commit writes them: for whoever measures that.
///
/// # Errors
/// If a record is larger than entries can be, or all together than 4 GiB.
pub fn append_batch(
    before: &TreeHead,
    after: TreeHead,
    batch: &Batch<'_>,
    out: &mut Vec<u8>,
) -> io::Result<()> {
    let lengths = encode_batch(before, after, &batch.entries, out);
    lengths.map(drop).map_err(io::Error::other)
}

/// The frames of a batch's records, every checksum verified; `bytes` holds the records.
pub(crate) fn decode_batch(
    header: &BatchHeader,
    bytes: &[u8],
) -> Result<Vec<RecordFrame>, FrameError> {
    if bytes.len() != header.records_len as usize {
        return Err(FrameError::Short);
    }
    let mut frames = Vec::new();
    let mut at = 0;
    for index in header.first_index..header.head.size {
        let frame = check_record(index, &bytes[at..])?;
        at += frame.len();
        frames.push(frame);
    }
    if at == bytes.len() {
        Ok(frames)
    } else {
        Err(FrameError::Short)
    }
}

/// The head after a batch, and its records, of which the first has the index that the number
/// says: for whoever tests that nothing else is read. `None` unless the bytes are one sound batch.
#[doc(hidden)]
pub fn read_batch(bytes: &[u8]) -> Option<(u64, TreeHead, Vec<Record>)> {
    let header = BatchHeader::decode(bytes)?;
    let mut rest = &bytes[BATCH_HEADER_LEN..];
    let mut records = Vec::new();
    for (index, frame) in (header.first_index..).zip(decode_batch(&header, rest).ok()?) {
        records.push(decode_record(index, rest).ok()?);
        rest = &rest[frame.len()..];
    }
    Some((header.first_index, header.head, records))
}
