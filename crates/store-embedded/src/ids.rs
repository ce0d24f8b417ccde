//! Ids in memory: from an id to the indices that may have it.
//!
//! The table keeps a hash of each id, not the id: a candidate is confirmed by its location's
//! row, which has the id in full. That makes 16 bytes an entry.

use std::hash::BuildHasher as _;

use hashbrown::{DefaultHashBuilder, HashTable};
use uuid::Uuid;

#[derive(Default)]
pub(crate) struct IdTable {
    hasher: DefaultHashBuilder,
    table: HashTable<(u64, u64)>,
}

impl IdTable {
    pub(crate) fn insert(&mut self, id: &Uuid, index: u64) {
        let hash = self.hasher.hash_one(id.as_bytes());
        self.table
            .insert_unique(hash, (hash, index), |(hash, _)| *hash);
    }

    pub(crate) fn reserve(&mut self, additional: usize) {
        self.table.reserve(additional, |(hash, _)| *hash);
    }

    /// The indices whose ids have the hash of this one, nearly always none or one.
    pub(crate) fn candidates(&self, id: &Uuid) -> Vec<u64> {
        let wanted = self.hasher.hash_one(id.as_bytes());
        self.table
            .iter_hash(wanted)
            .filter_map(|(hash, index)| (*hash == wanted).then_some(*index))
            .collect()
    }
}
