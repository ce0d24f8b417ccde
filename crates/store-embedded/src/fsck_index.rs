//! Comparing the search index with the log.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;

use audittrail_search_index::{IndexError, compare};
use audittrail_store::{Damage, Stored};

use crate::disk::Disk;
use crate::format::{RecordFrame, SEGMENT_HEADER_LEN, decode_record};
use crate::fsck::{FsckReport, push};
use crate::layout::Layout;
use crate::walk::SegmentFile;

const REMEDY: &str = "the directory can be deleted and is made anew at the next start";

/// Reports each entry of which the index says something else than the log. There need not be
/// an index, and it may lag behind.
pub(crate) fn check_index(
    disk: &dyn Disk,
    layout: &Layout,
    origin: [u8; 32],
    files: &[SegmentFile],
    report: &mut FsckReport,
) {
    let path = disk.system_path(&layout.index());
    let Some(path) = path.filter(|path| path.join("meta.json").exists()) else {
        return;
    };
    let mut records = Records::new(files, report.farthest());
    match compare(&path, origin, &mut || records.next()) {
        Ok(compared) => {
            report.indexed = Some(compared.entries);
            for index in compared.differing {
                let what = format!("the search index says something else of the entry; {REMEDY}");
                push(report, "index", None, Some(index), what);
            }
        }
        Err(error @ IndexError::Io { .. }) => {
            push(report, "index", None, None, error.to_string());
        }
        Err(error) => push(report, "index", None, None, format!("{error}; {REMEDY}")),
    }
}

/// The entries of a log one after the other, by the batches' own headers.
pub(crate) struct Records<'f> {
    files: std::slice::Iter<'f, SegmentFile>,
    file: Option<&'f SegmentFile>,
    /// Where in the file the next batch is looked for.
    at: u64,
    /// The index of the next entry.
    index: u64,
    /// Entries from `index` up to this one are not in the log.
    missing_to: u64,
    limit: u64,
    batch: VecDeque<Stored>,
}

impl<'f> Records<'f> {
    /// Batches that begin beyond `limit` are passed over.
    pub(crate) fn new(files: &'f [SegmentFile], limit: u64) -> Self {
        Self {
            limit,
            files: files.iter(),
            file: None,
            at: 0,
            index: 0,
            missing_to: 0,
            batch: VecDeque::new(),
        }
    }

    pub(crate) fn next(&mut self) -> io::Result<Option<Stored>> {
        loop {
            if self.index < self.missing_to {
                let index = self.index;
                self.index += 1;
                let record = Err(Damage("it is missing".to_owned()));
                return Ok(Some(Stored { index, record }));
            }
            if let Some(stored) = self.batch.pop_front() {
                self.index = stored.index + 1;
                return Ok(Some(stored));
            }
            let Some(file) = self.file else {
                self.file = self.files.next();
                self.at = SEGMENT_HEADER_LEN as u64;
                if self.file.is_none() {
                    return Ok(None);
                }
                continue;
            };
            match file.next_header(self.at)? {
                None => self.file = None,
                Some((offset, header)) => {
                    self.at = offset + header.len();
                    if (self.index..=self.limit).contains(&header.first_index) {
                        let records = file.records_of(offset, &header)?;
                        self.missing_to = header.first_index;
                        self.take_in(header.first_index..header.head.size, &records);
                    }
                }
            }
        }
    }

    fn take_in(&mut self, indices: Range<u64>, records: &[u8]) {
        let mut at = 0;
        for index in indices {
            let record = match RecordFrame::read(&records[at..]) {
                Ok(frame) => {
                    let bytes = &records[at..at + frame.len()];
                    at += frame.len();
                    decode_record(index, bytes).map_err(|error| Damage(error.to_string()))
                }
                Err(_) => {
                    at = records.len();
                    Err(Damage("it is missing".to_owned()))
                }
            };
            self.batch.push_back(Stored { index, record });
        }
    }
}
