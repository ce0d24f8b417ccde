//! A column of values: for each document its value's ordinal in the segment's sorted dictionary.

use audittrail_store::Facet;
use tantivy::columnar::{BytesColumn, Streamer, TermOrdHit};

use crate::error::IndexError;
use crate::schema::facet_name;
use crate::segment::Segment;

/// The values of one facet in one segment.
pub(crate) struct Column(BytesColumn);

/// An ordinal that the dictionary does not have.
pub(crate) fn beyond() -> IndexError {
    IndexError::Damaged("a column names a value that is none".to_owned())
}

impl Column {
    /// The column; none if no document has a value.
    pub(crate) fn open(segment: &Segment, facet: Facet) -> Result<Option<Self>, IndexError> {
        let name = facet_name(facet);
        let Some(column) = segment.reader.fast_fields().bytes(&name)? else {
            return Ok(None);
        };
        if column.num_rows() != segment.len {
            return Err(IndexError::Damaged(format!("{name} is not whole")));
        }
        Ok(Some(Self(column)))
    }

    /// How many different values there are.
    pub(crate) fn values(&self) -> usize {
        self.0.num_terms()
    }

    /// The ordinals of some documents' values; `ordinals` has the same length.
    pub(crate) fn of(&self, docs: &[u32], ordinals: &mut [Option<u64>]) {
        self.0.ords().first_vals(docs, ordinals);
    }

    /// Every ordinal that a document has, of which there is one at most.
    pub(crate) fn all_of(&self, doc: u32) -> impl Iterator<Item = u64> {
        self.0.term_ords(doc)
    }

    /// The values in order.
    pub(crate) fn stream(&self) -> Result<Streamer<'_>, IndexError> {
        Ok(self.0.dictionary().stream()?)
    }

    /// The values in order, from one on.
    pub(crate) fn stream_from(&self, from: &[u8]) -> Result<Streamer<'_>, IndexError> {
        Ok(self.0.dictionary().range().ge(from).into_stream()?)
    }

    /// The value of an ordinal.
    pub(crate) fn value(&self, ordinal: u64) -> Result<Vec<u8>, IndexError> {
        let mut value = Vec::new();
        if self.0.ord_to_bytes(ordinal, &mut value)? {
            Ok(value)
        } else {
            Err(beyond())
        }
    }

    /// The ordinal of the first value that is not before this one.
    pub(crate) fn first_from(&self, value: &[u8]) -> Result<u64, IndexError> {
        let (TermOrdHit::Exact(ordinal) | TermOrdHit::Next(ordinal)) =
            self.0.dictionary().term_ord_or_next(value)?;
        Ok(ordinal.min(self.values() as u64))
    }

    /// Gives the values of ordinals, which are in order and may repeat.
    pub(crate) fn each_value(
        &self,
        ordinals: &[u64],
        each: impl FnMut(&[u8]),
    ) -> Result<(), IndexError> {
        if self.0.dictionary().sorted_ords_to_term_cb(ordinals, each)? {
            Ok(())
        } else {
            Err(beyond())
        }
    }
}
