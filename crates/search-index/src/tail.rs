//! Committed entries that the index does not hold yet, in memory.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use audittrail_entry::{Entry, OpenPart};
use audittrail_store::{Collector, Stored};
use uuid::Uuid;

use crate::index::Source;

/// So many entries share one allocation that a reader holds on to.
const CHUNK: usize = 256;

/// One entry, with what it costs.
#[derive(Debug)]
pub(crate) struct TailEntry {
    pub(crate) id: Uuid,
    pub(crate) stored: Stored,
    pub(crate) unreadable: bool,
    bytes: usize,
}

impl TailEntry {
    /// One that was just made.
    pub(crate) fn sound(id: Uuid, stored: Stored) -> Self {
        Self::new(id, stored, false)
    }

    /// One that was read from the log.
    pub(crate) fn read(stored: Stored, source: &dyn Source) -> Self {
        let entry = stored.record.as_ref().ok().and_then(|record| {
            let sealed = record.sealed.as_ref().map(|sealed| sealed.bytes.as_slice());
            Entry::parse(&record.leaf, sealed).ok()
        });
        match entry.map(|entry| entry.open.id) {
            Some(id) => Self::new(id, stored, false),
            None => Self::new(id_of(&stored, source), stored, true),
        }
    }

    /// The memory that it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    fn new(id: Uuid, stored: Stored, unreadable: bool) -> Self {
        // Two vectors, a place in a chunk and one in the table of ids, about.
        const OWN: usize = 256;
        let bytes = match &stored.record {
            Ok(record) => {
                let sealed = record.sealed.as_ref();
                record.leaf.len() + sealed.map_or(0, |sealed| sealed.bytes.len())
            }
            Err(_) => 0,
        };
        Self {
            id,
            stored,
            unreadable,
            bytes: bytes + OWN,
        }
    }
}

/// Consecutive entries.
#[derive(Debug, Clone, Default)]
struct Chunk {
    first_index: u64,
    entries: Vec<Arc<TailEntry>>,
}

/// Entries from the index's position to the head.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    chunks: std::collections::VecDeque<Arc<Chunk>>,
    ids: HashMap<Uuid, u64>,
    /// Ids that another entry of the tail has, too: only who edits the log makes some.
    repeated: Vec<(Uuid, u64)>,
    start: u64,
    end: u64,
    bytes: usize,
}

/// The entries of a tail as they were at one moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct TailView {
    chunks: Vec<Arc<Chunk>>,
    start: u64,
}

impl Tail {
    /// An empty one that goes on at an index.
    pub(crate) fn at(index: u64) -> Self {
        Self {
            start: index,
            end: index,
            ..Self::default()
        }
    }

    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    pub(crate) fn len(&self) -> usize {
        (self.end - self.start) as usize
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The indices of the entries with this id.
    pub(crate) fn find(&self, id: &Uuid) -> impl Iterator<Item = u64> {
        let repeated = self.repeated.iter().filter(move |(of, _)| of == id);
        let first = self.ids.get(id).copied();
        first.into_iter().chain(repeated.map(|(_, index)| *index))
    }

    /// Adds the next entry.
    pub(crate) fn push(&mut self, entry: TailEntry) {
        self.bytes += entry.bytes;
        // The nil UUID is that of entries whose id nobody knows.
        if !entry.id.is_nil() && *self.ids.entry(entry.id).or_insert(self.end) != self.end {
            self.repeated.push((entry.id, self.end));
        }
        let room = self
            .chunks
            .back()
            .is_some_and(|last| last.entries.len() < CHUNK);
        if !room {
            self.chunks.push_back(Arc::new(Chunk {
                first_index: self.end,
                entries: Vec::with_capacity(CHUNK),
            }));
        }
        if let Some(last) = self.chunks.back_mut() {
            Arc::make_mut(last).entries.push(Arc::new(entry));
        }
        self.end += 1;
    }

    /// Forgets what lies before an index.
    pub(crate) fn drop_before(&mut self, index: u64) {
        while let Some(first) = self.chunks.front() {
            let end = first.first_index + first.entries.len() as u64;
            for (at, entry) in (first.first_index..).zip(&first.entries) {
                if (self.start..index).contains(&at) {
                    self.bytes -= entry.bytes;
                    if self.ids.get(&entry.id) == Some(&at) {
                        self.ids.remove(&entry.id);
                    }
                }
            }
            if end > index {
                break;
            }
            self.chunks.pop_front();
        }
        self.start = index.clamp(self.start, self.end);
        // The next with an id whose first entry is gone is the first.
        let (kept, ids) = (self.start, &mut self.ids);
        self.repeated
            .retain(|(id, index)| *index >= kept && *ids.entry(*id).or_insert(*index) != *index);
    }

    pub(crate) fn view(&self) -> TailView {
        TailView {
            chunks: self.chunks.iter().cloned().collect(),
            start: self.start,
        }
    }
}

impl TailView {
    /// The entries in a range, with their indices.
    pub(crate) fn entries(&self, range: Range<u64>) -> impl Iterator<Item = &Arc<TailEntry>> {
        let start = range.start.max(self.start);
        self.chunks.iter().flat_map(move |chunk| {
            let end = range.end.saturating_sub(chunk.first_index);
            let end = usize::try_from(end)
                .unwrap_or(usize::MAX)
                .min(chunk.entries.len());
            let from = start.saturating_sub(chunk.first_index);
            let from = usize::try_from(from).unwrap_or(usize::MAX).min(end);
            &chunk.entries[from..end]
        })
    }

    /// Offers what cannot be read in a range, but for what is of `apart`.
    pub(crate) fn offer_unreadable(
        &self,
        range: Range<u64>,
        apart: &dyn Fn(u64) -> bool,
        collector: &mut Collector<'_>,
    ) {
        for entry in self.entries(range) {
            if entry.unreadable && !apart(entry.stored.index) {
                collector.offer(&entry.stored);
            }
        }
    }

    /// Offers the entries of a range, but for those of `apart`.
    pub(crate) fn offer(
        &self,
        range: Range<u64>,
        apart: &dyn Fn(u64) -> bool,
        collector: &mut Collector<'_>,
    ) {
        for entry in self.entries(range) {
            if !apart(entry.stored.index) {
                collector.offer(&entry.stored);
            }
        }
    }
}

/// The id of an entry, the nil UUID if nobody knows it.
pub(crate) fn id_of(stored: &Stored, source: &dyn Source) -> Uuid {
    let written = match &stored.record {
        Ok(record) => OpenPart::parse(&record.leaf).ok().map(|open| open.id),
        Err(_) => None,
    };
    written
        .or_else(|| source.id_of_damaged(stored.index))
        .unwrap_or_default()
}
