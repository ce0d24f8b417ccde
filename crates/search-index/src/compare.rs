//! Whether an index says what its log says: each term and each column of each entry, in both
//! directions. It reads all of both and writes nothing.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};
use std::path::Path;

use audittrail_store::Facet;
use audittrail_store::Stored;
use tantivy::directory::MmapDirectory;
use tantivy::postings::Postings as _;
use tantivy::schema::{Field, IndexRecordOption};
use tantivy::tokenizer::{TokenStream as _, Tokenizer as _};
use tantivy::{DocSet as _, Index, SegmentReader, TERMINATED};

use uuid::Uuid;

use crate::checksum;
use crate::document::{Document, FieldValue};
use crate::error::IndexError;
use crate::follow::Position;
use crate::grams::Grams;
use crate::index::caught;
use crate::schema::{Fields, schema};
use crate::segment::Segment;
use crate::stats::{self, Column};

/// An index is written while it is read: files that a merge replaced are looked for again.
const ATTEMPTS: usize = 5;

/// What a comparison found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Compared {
    /// Entries in the index.
    pub entries: u64,
    /// Entries of which the index says something else than the log, or nothing.
    pub differing: Vec<u64>,
}

/// Compares the index in a directory with a log. `next` gives the log's entries one after the
/// other from the first; those that cannot be read are not compared.
///
/// # Errors
/// [`IndexError::Damaged`] if the index cannot be read as one of this log.
pub fn compare(
    directory: &Path,
    origin: [u8; 32],
    next: &mut dyn FnMut() -> std::io::Result<Option<Stored>>,
) -> Result<Compared, IndexError> {
    let fields = schema().1;
    let segments = caught(|| open(directory, &origin, &fields))?;
    let mut compared = Compared::default();
    for segment in &segments {
        let sums = caught(|| sums(segment, &fields))?;
        for (doc, sum) in (0_u32..).zip(sums) {
            let stored = next().map_err(IndexError::io("the log cannot be read"))?;
            let index = segment.first_index + u64::from(doc);
            let Some(stored) = stored else {
                return Err(IndexError::Damaged(format!(
                    "it holds entry {index}, the log ends before"
                )));
            };
            let columns = (
                segment.timestamp.get(doc),
                segment.received.get(doc),
                stored.index,
            );
            if stored.record.is_ok() && expected(&fields, &stored) != (sum, columns) {
                compared.differing.push(index);
            }
        }
        compared.entries = segment.end();
    }
    if compared.differing.is_empty() {
        // What no comparison comes by, like the lists that searches skip by.
        caught(|| check_files(directory))?;
    }
    Ok(compared)
}

fn check_files(directory: &Path) -> Result<(), IndexError> {
    let mapped = MmapDirectory::open(directory).map_err(tantivy::TantivyError::from)?;
    checksum::check(Some(directory), &Index::open(mapped)?, |_, _| true)
}

/// The segments in order, opened without the library's lock, which would write a file.
fn open(directory: &Path, origin: &[u8; 32], fields: &Fields) -> Result<Vec<Segment>, IndexError> {
    let directory = MmapDirectory::open(directory).map_err(tantivy::TantivyError::from)?;
    let index = Index::open(directory)?;
    if index.schema() != schema().0 {
        return Err(IndexError::Damaged(
            "it was made by another version".to_owned(),
        ));
    }
    let mut attempt = 0;
    loop {
        let meta = index.load_metas()?;
        let readers: tantivy::Result<Vec<SegmentReader>> = index
            .searchable_segments()?
            .iter()
            .map(SegmentReader::open)
            .collect();
        let readers = match readers {
            Ok(readers) => readers,
            Err(_) if attempt < ATTEMPTS => {
                attempt += 1;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        let mut segments = Vec::new();
        for reader in &readers {
            segments.push(Segment::open(reader, fields)?);
        }
        segments.sort_by_key(|segment| segment.first_index);
        let mut end = 0;
        for segment in &segments {
            if segment.first_index != end {
                return Err(IndexError::Damaged(format!("entry {end} is missing")));
            }
            end = segment.end();
        }
        let Some(payload) = meta.payload else {
            return Ok(segments);
        };
        return match Position::read(&payload)? {
            position if !position.is_of(origin) => {
                Err(IndexError::Damaged("it belongs to another log".to_owned()))
            }
            position if position.entries > end => {
                Err(IndexError::Damaged(format!("entry {end} is missing")))
            }
            _ => Ok(segments),
        };
    }
}

/// For each document a sum over its terms, with their places where they have some, and over
/// the values in its columns.
fn sums(segment: &Segment, fields: &Fields) -> Result<Vec<u64>, IndexError> {
    let mut sums = vec![0_u64; segment.len as usize];
    for (field, option) in [
        (fields.terms, IndexRecordOption::Basic),
        (fields.action, IndexRecordOption::WithFreqsAndPositions),
        (fields.resource, IndexRecordOption::WithFreqsAndPositions),
    ] {
        let reader = segment.reader.inverted_index(field)?;
        let mut terms = reader.terms().stream()?;
        let mut places = Vec::new();
        while let Some((term, info)) = terms.next() {
            let mut postings = reader.read_postings_from_terminfo(info, option)?;
            while postings.doc() != TERMINATED {
                places.clear();
                if option == IndexRecordOption::WithFreqsAndPositions {
                    postings.positions(&mut places);
                }
                let sum = sums.get_mut(postings.doc() as usize).ok_or_else(|| {
                    IndexError::Damaged("a term names a document that is none".to_owned())
                })?;
                *sum = sum.wrapping_add(part(field, term, &places));
                postings.advance();
            }
        }
    }
    for (facet, field) in Facet::ALL.into_iter().zip(fields.facets) {
        add_column(segment, facet, field, &mut sums)?;
    }
    Ok(sums)
}

/// Adds the values of a facet's column.
fn add_column(
    segment: &Segment,
    facet: Facet,
    field: Field,
    sums: &mut [u64],
) -> Result<(), IndexError> {
    let Some(column) = Column::open(segment, facet)? else {
        return Ok(());
    };
    let mut parts = Vec::with_capacity(column.values());
    let mut values = column.stream()?;
    while values.advance() {
        parts.push(part(field, values.key(), &[]));
    }
    for (doc, sum) in (0_u32..).zip(sums) {
        for ordinal in column.all_of(doc) {
            let part = parts.get(ordinal as usize).ok_or_else(stats::beyond)?;
            *sum = sum.wrapping_add(*part);
        }
    }
    Ok(())
}

fn part(field: Field, term: &[u8], places: &[u32]) -> u64 {
    let mut hasher = DefaultHasher::new();
    (field.field_id(), term, places).hash(&mut hasher);
    hasher.finish()
}

/// What the document made of an entry gives.
fn expected(fields: &Fields, stored: &Stored) -> (u64, (i64, i64, u64)) {
    let document = Document::of(fields, stored, Uuid::nil());
    let (mut parts, mut sum) = (Vec::new(), 0_u64);
    let mut columns = (0, 0, 0);
    for (field, value) in document.values() {
        match value {
            FieldValue::Bytes(term) => parts.push(part(field, term, &[])),
            FieldValue::Text(text) => sum = sum.wrapping_add(grams(field, text)),
            FieldValue::U64(index) => columns.2 = index,
            FieldValue::I64(time) if field == fields.timestamp => columns.0 = time,
            FieldValue::I64(time) => columns.1 = time,
        }
    }
    // A term counts once, however often the entry has it.
    parts.sort_unstable();
    parts.dedup();
    (parts.into_iter().fold(sum, u64::wrapping_add), columns)
}

fn grams(field: Field, text: &str) -> u64 {
    let mut places: std::collections::BTreeMap<String, Vec<u32>> =
        std::collections::BTreeMap::new();
    let mut tokenizer = Grams::default();
    let mut tokens = tokenizer.token_stream(text);
    while tokens.advance() {
        let token = tokens.token();
        let places = places.entry(token.text.clone()).or_default();
        places.push(token.position as u32);
    }
    places
        .iter()
        .map(|(gram, places)| part(field, gram.as_bytes(), places))
        .fold(0, u64::wrapping_add)
}
