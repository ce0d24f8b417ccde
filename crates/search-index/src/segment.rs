//! One segment of the index, which holds consecutive entries: its document numbers are their
//! indices less that of the first.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use audittrail_store::text::fold;
use tantivy::columnar::ColumnValues;
use tantivy::index::{InvertedIndexReader, SegmentId, SegmentReader};
use tantivy::postings::{SegmentPostings, TermInfo};
use tantivy::schema::IndexRecordOption;
use tantivy::{DocSet as _, TERMINATED};

use crate::error::IndexError;
use crate::schema::{Fields, INDEX, RECEIVED, TIMESTAMP};
use crate::terms;

/// So many documents have common bounds of their times: whole blocks are skipped by them.
pub(crate) const BLOCK: u32 = 4_096;

/// Up to so many actions of a segment are kept in memory.
const FEW_ACTIONS: usize = 1_024;

/// The least and the greatest value in a block.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) least: i64,
    pub(crate) greatest: i64,
}

/// A column of times with the bounds of its blocks.
pub(crate) struct Times {
    values: Arc<dyn ColumnValues<i64>>,
    bounds: OnceLock<Vec<Bounds>>,
}

impl Times {
    fn open(reader: &SegmentReader, name: &str) -> Result<Self, IndexError> {
        let column = reader.fast_fields().i64(name)?;
        if column.values.num_vals() != reader.max_doc() {
            return Err(IndexError::Damaged(format!("{name} is not whole")));
        }
        Ok(Self {
            values: column.values,
            bounds: OnceLock::new(),
        })
    }

    pub(crate) fn get(&self, doc: u32) -> i64 {
        self.values.get_val(doc)
    }

    /// Reads consecutive ones from a document on.
    pub(crate) fn read(&self, start: u32, values: &mut [i64]) {
        self.values.get_range(u64::from(start), values);
    }

    /// The bounds of each block.
    pub(crate) fn bounds(&self) -> &[Bounds] {
        self.bounds.get_or_init(|| {
            let len = self.values.num_vals();
            let mut buffer = vec![0; BLOCK as usize];
            (0..len)
                .step_by(BLOCK as usize)
                .map(|start| {
                    let values = &mut buffer[..(len - start).min(BLOCK) as usize];
                    self.values.get_range(u64::from(start), values);
                    Bounds {
                        least: values.iter().copied().min().unwrap_or(i64::MAX),
                        greatest: values.iter().copied().max().unwrap_or(i64::MIN),
                    }
                })
                .collect()
        })
    }
}

/// A segment, open for reading.
pub(crate) struct Segment {
    pub(crate) first_index: u64,
    pub(crate) len: u32,
    pub(crate) reader: SegmentReader,
    pub(crate) terms: Arc<InvertedIndexReader>,
    pub(crate) timestamp: Times,
    pub(crate) received: Times,
    /// Indices of entries that could not be read.
    pub(crate) damaged: Vec<u64>,
    /// Its actions, folded, unless they are many.
    actions: OnceLock<Option<Vec<(String, TermInfo)>>>,
}

impl Segment {
    pub(crate) fn open(reader: &SegmentReader, fields: &Fields) -> Result<Self, IndexError> {
        let (len, first_index) = consecutive(reader)?;
        let terms = reader.inverted_index(fields.terms)?;
        let mut damaged = Vec::new();
        if let Some(mut postings) = postings(&terms, &terms::damaged())? {
            let mut doc = postings.doc();
            while doc != TERMINATED {
                damaged.push(first_index + u64::from(doc));
                doc = postings.advance();
            }
        }
        Ok(Self {
            first_index,
            len,
            reader: reader.clone(),
            terms,
            timestamp: Times::open(reader, TIMESTAMP)?,
            received: Times::open(reader, RECEIVED)?,
            damaged,
            actions: OnceLock::new(),
        })
    }

    pub(crate) fn id(&self) -> SegmentId {
        self.reader.segment_id()
    }

    /// The index after the last.
    pub(crate) fn end(&self) -> u64 {
        self.first_index + u64::from(self.len)
    }

    /// The documents whose indices lie in a range.
    pub(crate) fn docs(&self, indices: &Range<u64>) -> Range<u32> {
        let within = |index: u64| {
            index
                .saturating_sub(self.first_index)
                .min(u64::from(self.len)) as u32
        };
        let start = within(indices.start);
        start..within(indices.end).max(start)
    }

    /// The folded actions of its entries, each with the documents that have it; `None` if they
    /// are more than are kept.
    pub(crate) fn actions(&self) -> Result<Option<&[(String, TermInfo)]>, IndexError> {
        if let Some(actions) = self.actions.get() {
            return Ok(actions.as_deref());
        }
        let (from, to) = terms::actions_starting("");
        let mut stream = self.terms.terms().range().ge(from).le(to).into_stream()?;
        let mut actions = Some(Vec::new());
        while let (Some((term, info)), Some(kept)) = (stream.next(), &mut actions) {
            if kept.len() == FEW_ACTIONS {
                actions = None;
                break;
            }
            let action = String::from_utf8_lossy(&term[1..]);
            kept.push((fold(&action).to_string(), info.clone()));
        }
        Ok(self.actions.get_or_init(|| actions).as_deref())
    }

    /// Adds the indices of the first documents with this term.
    pub(crate) fn with_term(
        &self,
        term: &[u8],
        most: usize,
        into: &mut Vec<u64>,
    ) -> Result<(), IndexError> {
        let Some(mut postings) = postings(&self.terms, term)? else {
            return Ok(());
        };
        let mut doc = postings.doc();
        for _ in 0..most {
            if doc == TERMINATED {
                break;
            }
            into.push(self.first_index + u64::from(doc));
            doc = postings.advance();
        }
        Ok(())
    }
}

/// How many documents there are, and the index of the first, if they are consecutive.
fn consecutive(reader: &SegmentReader) -> Result<(u32, u64), IndexError> {
    let len = reader.max_doc();
    let column = reader.fast_fields().u64(INDEX)?.values;
    let first = column.min_value();
    let holds = len > 0
        && column.num_vals() == len
        && !reader.has_deletes()
        && column.get_val(0) == first
        && column.max_value() == first + u64::from(len - 1);
    if holds {
        Ok((len, first))
    } else {
        Err(IndexError::Damaged(
            "a segment does not hold consecutive entries".to_owned(),
        ))
    }
}

/// The documents with a term.
pub(crate) fn postings(
    terms: &InvertedIndexReader,
    term: &[u8],
) -> Result<Option<SegmentPostings>, IndexError> {
    terms
        .terms()
        .get(term)?
        .map(|info| Ok(terms.read_postings_from_terminfo(&info, IndexRecordOption::Basic)?))
        .transpose()
}
