//! Going through a segment's batches by their own headers, past damage where there is some.

use std::io;
use std::sync::Arc;

use audittrail_entry::OpenPart;
use uuid::Uuid;

use crate::disk::DiskFile;
use crate::format::{
    BATCH_HEADER_LEN, BATCH_MAGIC, BatchHeader, RecordFrame, SEGMENT_HEADER_LEN, SegmentHeader,
    SegmentHeaderError, decode_batch,
};
use crate::locations::Location;

const SEARCH_BYTES: usize = 1 << 20;

/// What stands at an offset where a batch could begin.
pub(crate) enum BatchAt {
    /// A batch whose every checksum holds.
    Good {
        header: BatchHeader,
        records: Vec<u8>,
        frames: Vec<RecordFrame>,
    },
    /// Something else.
    Bad(&'static str),
    /// The end of the file.
    End,
}

/// A segment's file and its length when it was opened.
#[derive(Clone)]
pub(crate) struct SegmentFile {
    pub(crate) first_index: u64,
    pub(crate) name: String,
    pub(crate) file: Arc<dyn DiskFile>,
    pub(crate) len: u64,
}

/// A segment's header that cannot be used.
pub(crate) struct BadHeader {
    /// Whether its bytes were changed, rather than being those of another log or version.
    pub(crate) damaged: bool,
    pub(crate) message: String,
}

impl SegmentFile {
    /// Its header.
    pub(crate) fn header(&self) -> Result<SegmentHeader, BadHeader> {
        let bytes = self
            .read(0, SEGMENT_HEADER_LEN as u64)
            .map_err(|error| BadHeader {
                damaged: true,
                message: error.to_string(),
            })?;
        let bytes: [u8; SEGMENT_HEADER_LEN] = bytes.try_into().unwrap_or([0; SEGMENT_HEADER_LEN]);
        SegmentHeader::decode(&bytes).map_err(|error| BadHeader {
            damaged: error == SegmentHeaderError::Damaged,
            message: error.to_string(),
        })
    }

    pub(crate) fn read(&self, offset: u64, len: u64) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(len).map_err(io::Error::other)?];
        self.file.read_at(&mut bytes, offset)?;
        Ok(bytes)
    }

    /// The sound batch header at an offset, if its records fit the file.
    pub(crate) fn header_at(&self, offset: u64) -> io::Result<Option<BatchHeader>> {
        if self.len.saturating_sub(offset) < BATCH_HEADER_LEN as u64 {
            return Ok(None);
        }
        let header = BatchHeader::decode(&self.read(offset, BATCH_HEADER_LEN as u64)?);
        Ok(header.filter(|header| header.len() <= self.len - offset))
    }

    pub(crate) fn records_of(&self, offset: u64, header: &BatchHeader) -> io::Result<Vec<u8>> {
        self.read(
            offset + BATCH_HEADER_LEN as u64,
            u64::from(header.records_len),
        )
    }

    pub(crate) fn batch_at(&self, offset: u64) -> io::Result<BatchAt> {
        if offset >= self.len {
            return Ok(BatchAt::End);
        }
        let Some(header) = self.header_at(offset)? else {
            return Ok(BatchAt::Bad("there is no whole batch with a sound header"));
        };
        let records = self.records_of(offset, &header)?;
        Ok(match decode_batch(&header, &records) {
            Ok(frames) => BatchAt::Good {
                header,
                records,
                frames,
            },
            Err(_) => BatchAt::Bad("a record in the batch fails its checksum"),
        })
    }

    /// The first sound batch header at or after an offset.
    pub(crate) fn next_header(&self, from: u64) -> io::Result<Option<(u64, BatchHeader)>> {
        // Nearly always the next batch begins where the last one ended.
        if let Some(header) = self.header_at(from)? {
            return Ok(Some((from, header)));
        }
        let mut at = from;
        while self.len.saturating_sub(at) >= BATCH_HEADER_LEN as u64 {
            let window = self.read(at, (self.len - at).min(SEARCH_BYTES as u64))?;
            for start in 0..=window.len() - BATCH_HEADER_LEN {
                if window[start..start + BATCH_MAGIC.len()] != BATCH_MAGIC {
                    continue;
                }
                let offset = at + start as u64;
                if let Some(header) = self.header_at(offset)? {
                    return Ok(Some((offset, header)));
                }
            }
            // The next window begins where no header was looked for yet.
            at += (window.len() - BATCH_HEADER_LEN + 1) as u64;
        }
        Ok(None)
    }

    /// The first batch at or after an offset whose every checksum holds.
    pub(crate) fn next_good_batch(&self, from: u64) -> io::Result<Option<u64>> {
        let mut at = from;
        while let Some((offset, header)) = self.next_header(at)? {
            if decode_batch(&header, &self.records_of(offset, &header)?).is_ok() {
                return Ok(Some(offset));
            }
            at = offset + 1;
        }
        Ok(None)
    }

    /// The headers of all batches, skipping what is damaged.
    pub(crate) fn headers(&self) -> Headers<'_> {
        Headers {
            segment: self,
            at: SEGMENT_HEADER_LEN as u64,
        }
    }

    /// Where the record of index `size` begins or would begin, by the batches' own headers.
    pub(crate) fn boundary_by_headers(&self, size: u64) -> io::Result<Option<u64>> {
        for found in self.headers() {
            let (offset, header) = found?;
            if header.first_index == size {
                return Ok(Some(offset));
            }
            if header.head.size == size {
                return Ok(Some(offset + header.len()));
            }
        }
        Ok(None)
    }

    /// The locations of the records up to the one before `end`, from the log itself.
    pub(crate) fn locations(&self, end: u64) -> io::Result<Vec<Location>> {
        let mut locations = Vec::new();
        for found in self.headers() {
            let (offset, header) = found?;
            let next = self.first_index + locations.len() as u64;
            if header.first_index < next || header.first_index >= end {
                continue;
            }
            locations.resize(
                (header.first_index - self.first_index) as usize,
                Location::UNKNOWN,
            );
            let records = self.records_of(offset, &header)?;
            let mut at = 0;
            for _ in header.first_index..header.head.size.min(end) {
                let Ok(frame) = RecordFrame::read(&records[at..]) else {
                    break;
                };
                locations.push(Location {
                    id: id_of(frame.leaf(&records[at..])),
                    offset: offset + (BATCH_HEADER_LEN + at) as u64,
                    len: frame.len() as u32,
                });
                at += frame.len();
            }
        }
        locations.resize((end - self.first_index) as usize, Location::UNKNOWN);
        Ok(locations)
    }
}

/// The id in a leaf; the nil UUID where the leaf cannot be read.
pub(crate) fn id_of(leaf: &[u8]) -> Uuid {
    OpenPart::parse(leaf).map_or(Uuid::nil(), |open| open.id)
}

/// See [`SegmentFile::headers`].
pub(crate) struct Headers<'s> {
    segment: &'s SegmentFile,
    at: u64,
}

impl Iterator for Headers<'_> {
    type Item = io::Result<(u64, BatchHeader)>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.segment.next_header(self.at) {
            Ok(Some((offset, header))) => {
                self.at = offset + header.len();
                Some(Ok((offset, header)))
            }
            Ok(None) => None,
            Err(error) => {
                self.at = self.segment.len;
                Some(Err(error))
            }
        }
    }
}
