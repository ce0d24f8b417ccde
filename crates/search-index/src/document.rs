//! One entry as the library takes it: all of its terms and values in two allocations.

use std::iter::Empty;
use std::ops::Range;

use audittrail_entry::Entry;
use audittrail_store::{Facet, Stored};
use tantivy::schema::document::{ReferenceValue, ReferenceValueLeaf};
use tantivy::schema::{Field, Value};
use uuid::Uuid;

use crate::schema::Fields;
use crate::terms;

/// What most entries take.
const BYTES: usize = 2_048;
const VALUES: usize = 96;

/// The document of one entry. What cannot be read gets its id if it is known, a term that says so,
/// and the least times.
#[derive(Debug)]
pub(crate) struct Document {
    /// Terms and texts, one after the other.
    bytes: Vec<u8>,
    /// In the order of the fields, as the library wants them.
    values: Vec<(Field, Kept)>,
}

/// A value, or where it is.
#[derive(Debug)]
enum Kept {
    Bytes(Range<u32>),
    /// Copied from a text as a whole.
    Text(Range<u32>),
    U64(u64),
    I64(i64),
}

impl Document {
    pub(crate) fn of(fields: &Fields, stored: &Stored, id: Uuid) -> Self {
        let mut document = Self {
            bytes: Vec::with_capacity(BYTES),
            values: Vec::with_capacity(VALUES),
        };
        let entry = match &stored.record {
            Ok(record) => {
                let sealed = record.sealed.as_ref().map(|sealed| sealed.bytes.as_slice());
                Entry::parse(&record.leaf, sealed).ok()
            }
            Err(_) => None,
        };
        match &entry {
            Some(entry) => document.fill(fields, stored.index, entry),
            None => document.fill_damaged(fields, stored.index, id),
        }
        document
    }

    fn fill(&mut self, fields: &Fields, index: u64, entry: &Entry<'_>) {
        terms::of(entry, &mut |term| self.put_bytes(fields.terms, term));
        self.put_text(fields.action, &entry.open.action);
        let sealed = entry.sealed.as_ref();
        if let Some(resource) = sealed.and_then(|sealed| sealed.resource.as_deref()) {
            self.put_text(fields.resource, resource);
        }
        let times = (entry.open.timestamp.nanos(), entry.open.received_at.nanos());
        self.put_columns(fields, index, times);
        for (facet, field) in Facet::ALL.into_iter().zip(fields.facets) {
            if let Some(value) = facet.of(entry) {
                self.put_bytes(field, value.as_bytes());
            }
        }
    }

    fn fill_damaged(&mut self, fields: &Fields, index: u64, id: Uuid) {
        self.put_bytes(fields.terms, &terms::damaged());
        if !id.is_nil() {
            self.put_bytes(fields.terms, &terms::id(&id));
        }
        self.put_columns(fields, index, (i64::MIN, i64::MIN));
    }

    fn put_columns(&mut self, fields: &Fields, index: u64, (timestamp, received): (i64, i64)) {
        self.values.push((fields.index, Kept::U64(index)));
        self.values.push((fields.timestamp, Kept::I64(timestamp)));
        self.values.push((fields.received, Kept::I64(received)));
    }

    fn put_bytes(&mut self, field: Field, bytes: &[u8]) {
        let place = self.append(bytes);
        self.values.push((field, Kept::Bytes(place)));
    }

    fn put_text(&mut self, field: Field, text: &str) {
        let place = self.append(text.as_bytes());
        self.values.push((field, Kept::Text(place)));
    }

    /// An entry is far shorter than what 32 bits count.
    fn append(&mut self, bytes: &[u8]) -> Range<u32> {
        let start = self.bytes.len() as u32;
        self.bytes.extend_from_slice(bytes);
        start..self.bytes.len() as u32
    }

    /// The values with their fields.
    pub(crate) fn values(&self) -> Values<'_> {
        Values {
            bytes: &self.bytes,
            rest: self.values.iter(),
        }
    }
}

/// See [`Document::values`].
pub(crate) struct Values<'a> {
    bytes: &'a [u8],
    rest: std::slice::Iter<'a, (Field, Kept)>,
}

impl<'a> Iterator for Values<'a> {
    type Item = (Field, FieldValue<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let (field, kept) = self.rest.next()?;
        let at = |place: &Range<u32>| &self.bytes[place.start as usize..place.end as usize];
        let value = match kept {
            Kept::Bytes(place) => FieldValue::Bytes(at(place)),
            Kept::Text(place) => FieldValue::Text(str::from_utf8(at(place)).unwrap_or_default()),
            Kept::U64(number) => FieldValue::U64(*number),
            Kept::I64(number) => FieldValue::I64(*number),
        };
        Some((*field, value))
    }
}

impl tantivy::Document for Document {
    type Value<'a> = FieldValue<'a>;
    type FieldsValuesIter<'a> = Values<'a>;

    fn iter_fields_and_values(&self) -> Values<'_> {
        self.values()
    }
}

/// One value of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FieldValue<'a> {
    Bytes(&'a [u8]),
    Text(&'a str),
    U64(u64),
    I64(i64),
}

impl<'a> Value<'a> for FieldValue<'a> {
    type ArrayIter = Empty<Self>;
    type ObjectIter = Empty<(&'a str, Self)>;

    fn as_value(&self) -> ReferenceValue<'a, Self> {
        ReferenceValue::Leaf(match *self {
            Self::Bytes(bytes) => ReferenceValueLeaf::Bytes(bytes),
            Self::Text(text) => ReferenceValueLeaf::Str(text),
            Self::U64(number) => ReferenceValueLeaf::U64(number),
            Self::I64(number) => ReferenceValueLeaf::I64(number),
        })
    }
}
