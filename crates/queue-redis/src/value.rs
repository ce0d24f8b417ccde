//! What Redis answers, as values of ours. Nothing here trusts an answer to have a form.

use std::fmt;

use redis::Value;

/// The id of a stream's entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct StreamId {
    pub(crate) milliseconds: u64,
    pub(crate) sequence: u64,
}

impl StreamId {
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        let (milliseconds, sequence) = std::str::from_utf8(text).ok()?.split_once('-')?;
        Some(Self {
            milliseconds: milliseconds.parse().ok()?,
            sequence: sequence.parse().ok()?,
        })
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.milliseconds, self.sequence)
    }
}

/// An entry of a stream.
#[derive(Debug, Clone, Default)]
pub(crate) struct StreamEntry {
    pub(crate) id: StreamId,
    /// Empty where it was deleted.
    pub(crate) fields: Vec<(Vec<u8>, Vec<u8>)>,
}

impl StreamEntry {
    pub(crate) fn take(&mut self, name: &[u8]) -> Option<Vec<u8>> {
        let field = self.fields.iter_mut().find(|(is, _)| is == name)?;
        Some(std::mem::take(&mut field.1))
    }
}

pub(crate) fn bytes(value: Value) -> Option<Vec<u8>> {
    match value {
        Value::BulkString(bytes) => Some(bytes),
        Value::SimpleString(text) => Some(text.into_bytes()),
        _ => None,
    }
}

pub(crate) fn text(value: Value) -> Option<String> {
    String::from_utf8(bytes(value)?).ok()
}

pub(crate) fn number(value: &Value) -> Option<u64> {
    match value {
        Value::Int(number) => u64::try_from(*number).ok(),
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok()?.parse().ok(),
        _ => None,
    }
}

pub(crate) fn array(value: Value) -> Option<Vec<Value>> {
    match value {
        Value::Array(values) => Some(values),
        Value::Nil => Some(Vec::new()),
        _ => None,
    }
}

/// The entries of an array as XRANGE and XCLAIM give it.
pub(crate) fn entries(value: Value) -> Option<Vec<StreamEntry>> {
    let entries = array(value)?.into_iter();
    // XCLAIM before Redis 7 gives nil for what was deleted.
    let entries = entries.filter(|entry| *entry != Value::Nil);
    entries.map(entry).collect()
}

fn entry(value: Value) -> Option<StreamEntry> {
    let mut parts = array(value)?.into_iter();
    let id = StreamId::parse(&bytes(parts.next()?)?)?;
    let mut values = array(parts.next()?)?.into_iter();
    let mut fields = Vec::with_capacity(values.len() / 2);
    while let (Some(name), Some(value)) = (values.next(), values.next()) {
        fields.push((bytes(name)?, bytes(value)?));
    }
    Some(StreamEntry { id, fields })
}

/// The entries of the one stream that XREAD or XREADGROUP was asked for; none if it waited in
/// vain.
pub(crate) fn read_entries(value: Value) -> Option<Vec<StreamEntry>> {
    let Some(stream) = array(value)?.into_iter().next() else {
        return Some(Vec::new());
    };
    entries(array(stream)?.into_iter().nth(1)?)
}

/// The members of an array of names and values.
pub(crate) fn members(value: Value) -> Option<Vec<(String, Value)>> {
    let mut values = array(value)?.into_iter();
    let mut members = Vec::with_capacity(values.len() / 2);
    while let (Some(name), Some(value)) = (values.next(), values.next()) {
        members.push((text(name)?, value));
    }
    Some(members)
}
