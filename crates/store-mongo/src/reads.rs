//! Reads by index and by id.

use std::collections::HashMap;
use std::ops::Range;

use audittrail_entry::Record;
use audittrail_store::{StoreError, StoreErrorKind, Stored};
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{Binary, Bson, Document, RawDocument, doc};
use uuid::Uuid;

use crate::MongoStore;
use crate::document::{decode, index_of, missing};
use crate::failure::invalid;
use crate::head::number;

/// So many ids or indices go into one question.
const ASKED_AT_ONCE: usize = 1_000;
/// So many records come in one answer: what a scan may read beyond its bound in bytes.
const READ_AT_ONCE: u64 = 256;

fn above(index: u64, size: u64) -> StoreError {
    invalid(format!("index {index} is not below the log's size {size}"))
}

pub(crate) fn uuid(id: &Uuid) -> Bson {
    Bson::Binary(Binary {
        subtype: BinarySubtype::Uuid,
        bytes: id.as_bytes().to_vec(),
    })
}

fn id_of(document: &RawDocument) -> Option<Uuid> {
    Uuid::from_slice(document.get_binary("id").ok()?.bytes).ok()
}

impl MongoStore {
    pub(crate) async fn find_ids(&self, ids: &[Uuid]) -> Result<Vec<Option<u64>>, StoreError> {
        // What is found below a size that was read before is in the log.
        let known = self.known().size;
        let mut found = self.find_documents(ids).await?;
        let beyond = found
            .values()
            .max()
            .map_or(0, |last| last.saturating_add(1));
        if beyond <= known {
            return Ok(ids.iter().map(|id| found.get(id).copied()).collect());
        }
        // What lies beyond the head is in no log. But where the head has gone on meanwhile, what was
        // found may have been removed, and another entry be in its place: it is looked at again.
        let size = self.saw(self.network.read_head().await?.tree_head()).size;
        let between: Vec<Uuid> = found
            .iter()
            .filter(|(_, index)| (known..size).contains(*index))
            .map(|(id, _)| *id)
            .collect();
        found.retain(|_, index| *index < known);
        if !between.is_empty() {
            found.extend(self.find_documents(&between).await?);
        }
        let committed = |id| found.get(id).copied().filter(|index| *index < size);
        Ok(ids.iter().map(committed).collect())
    }

    /// The documents with these ids, in the log or beyond its head: their indices.
    async fn find_documents(&self, ids: &[Uuid]) -> Result<HashMap<Uuid, u64>, StoreError> {
        let what = "ids cannot be looked up";
        let mut found: HashMap<Uuid, u64> = HashMap::new();
        for part in ids.chunks(ASKED_AT_ONCE) {
            let asked: Vec<Bson> = part.iter().map(uuid).collect();
            let find = self.network.entries.find(doc! { "id": { "$in": asked } });
            let find = find.projection(doc! { "id": 1 });
            let mut cursor = self.network.bounded(what, find).await?;
            while self.network.bounded(what, cursor.advance()).await? {
                let document = cursor.current();
                if let (Some(id), Some(index)) = (id_of(document), index_of(document)) {
                    found.insert(id, index);
                }
            }
        }
        Ok(found)
    }

    pub(crate) async fn read_records(&self, indices: &[u64]) -> Result<Vec<Stored>, StoreError> {
        let Some(last) = indices.iter().max() else {
            return Ok(Vec::new());
        };
        let size = self.size_for(last.saturating_add(1)).await?;
        if *last >= size {
            return Err(above(*last, size));
        }
        let mut read = self.read_once(indices).await?;
        let gone = |read: &HashMap<u64, Stored>| {
            let mut indices = indices.iter();
            indices.any(|index| !read.contains_key(index))
        };
        if gone(&read) {
            self.caught_up(size).await?;
            read = self.read_once(indices).await?;
        }
        let stored = indices.iter().map(|index| match read.get(index) {
            Some(stored) => stored.clone(),
            None => absent(*index),
        });
        Ok(stored.collect())
    }

    async fn read_once(&self, indices: &[u64]) -> Result<HashMap<u64, Stored>, StoreError> {
        let what = "entries cannot be read";
        let mut read = HashMap::with_capacity(indices.len());
        for part in indices.chunks(ASKED_AT_ONCE) {
            let asked: Vec<i64> = part.iter().map(|index| number(*index)).collect();
            let find = self.network.entries.find(doc! { "_id": { "$in": asked } });
            let mut cursor = self.network.bounded(what, find).await?;
            while self.network.bounded(what, cursor.advance()).await? {
                if let Some(stored) = stored(cursor.current()) {
                    read.insert(stored.index, stored);
                }
            }
        }
        Ok(read)
    }

    pub(crate) async fn read_range(
        &self,
        range: Range<u64>,
        max_bytes: usize,
    ) -> Result<Vec<Stored>, StoreError> {
        if range.is_empty() {
            return Ok(Vec::new());
        }
        let size = self.size_for(range.end).await?;
        if range.end > size {
            return Err(above(range.end - 1, size));
        }
        let scanned = self.read_range_once(range.clone(), max_bytes).await?;
        if scanned.iter().all(|stored| stored.is_there) {
            return Ok(scanned.into_iter().map(|scanned| scanned.stored).collect());
        }
        self.caught_up(size).await?;
        let scanned = self.read_range_once(range, max_bytes).await?;
        Ok(scanned.into_iter().map(|scanned| scanned.stored).collect())
    }

    async fn read_range_once(
        &self,
        range: Range<u64>,
        max_bytes: usize,
    ) -> Result<Vec<Scanned>, StoreError> {
        let what = "the log cannot be read";
        let find = self
            .network
            .entries
            .find(in_range(&range))
            .sort(doc! { "_id": 1 })
            .batch_size(READ_AT_ONCE as u32);
        let mut cursor = self.network.bounded(what, find).await?;
        let (mut scanned, mut bytes) = (Vec::new(), 0);
        let mut next = self.network.bounded(what, cursor.advance()).await?;
        for index in range {
            let there = next.then(|| cursor.current());
            let there = there.filter(|document| index_of(document) == Some(index));
            let is_there = there.is_some();
            let stored = there.and_then(stored).unwrap_or_else(|| absent(index));
            bytes += stored.record.as_ref().map_or(0, Record::size_bytes);
            scanned.push(Scanned { stored, is_there });
            if bytes >= max_bytes {
                break;
            }
            if is_there {
                next = self.network.bounded(what, cursor.advance()).await?;
            }
        }
        Ok(scanned)
    }

    /// Whether the server has all entries of a log of this size. A primary that was just elected
    /// may show an earlier state for a moment; an entry that is then not there is no damage.
    pub(crate) async fn caught_up(&self, size: u64) -> Result<(), StoreError> {
        let now = self.network.read_head().await?.edge.size();
        if now >= size {
            return Ok(());
        }
        let what = format!(
            "MongoDB: the server shows {now} entries of at least {size}: it has not caught up yet"
        );
        Err(StoreError::new(StoreErrorKind::Unavailable, what))
    }

    /// The head, for a question about this many entries.
    pub(crate) async fn size_of_question(&self, size: u64) -> Result<u64, StoreError> {
        let known = self.known().size;
        let now = self.network.read_head().await?.tree_head();
        if now.size < size.min(known) {
            self.caught_up(size.min(known)).await?;
        }
        Ok(self.saw(now).size.min(size))
    }
}

struct Scanned {
    stored: Stored,
    is_there: bool,
}

fn absent(index: u64) -> Stored {
    Stored {
        index,
        record: Err(missing(index)),
    }
}

/// The entry of a document.
pub(crate) fn stored(document: &RawDocument) -> Option<Stored> {
    let index = index_of(document)?;
    Some(Stored {
        index,
        record: decode(index, document),
    })
}

pub(crate) fn in_range(range: &Range<u64>) -> Document {
    doc! { "_id": { "$gte": number(range.start), "$lt": number(range.end) } }
}
