//! The bytes of a segment: a header, then batches, each a header and its records. All
//! numbers are little-endian, all checksums CRC-32C.

mod batch;
mod bytes;
mod record;
mod segment;

pub(crate) use batch::{
    BATCH_HEADER_LEN, BATCH_MAGIC, BatchHeader, chain, decode_batch, encode_batch,
};
pub use batch::{append_batch, read_batch};
pub(crate) use record::{
    FrameError, RECORD_MIN, RecordFrame, decode_open_part, decode_record, open_len,
};
pub(crate) use segment::{SEGMENT_HEADER_LEN, SegmentHeader, SegmentHeaderError, origin_hash};
