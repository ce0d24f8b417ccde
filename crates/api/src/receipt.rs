//! Receipts: what the client gets back for what it sent.

use audittrail_entry::{OpenPart, Record};
use audittrail_merkle::Hash;
use audittrail_queue::{Placed, Request};
use audittrail_store::StoreError;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::render::hex;
use crate::{Ack, Shared};

/// One stored entry.
pub(crate) struct Receipt {
    pub(crate) id: Uuid,
    pub(crate) index: u64,
    leaf_hash: Hash,
    /// Of a single entry, for [`Receipt::whole`].
    record: Option<Record>,
}

impl Receipt {
    /// The receipt of a single entry, with its proof where it is published.
    pub(crate) fn whole(&self, ack: Ack, proof: Option<String>) -> Value {
        let mut receipt = self.short();
        if let Some(open) = (self.record.as_ref()).and_then(|one| OpenPart::parse(&one.leaf).ok()) {
            receipt.insert("timestamp".to_owned(), json!(open.timestamp.to_string()));
            receipt.insert(
                "received_at".to_owned(),
                json!(open.received_at.to_string()),
            );
        }
        if let Some(record) = &self.record {
            receipt.insert("signature".to_owned(), json!(hex(&record.signature)));
            receipt.insert("key_id".to_owned(), json!(record.key_id.to_string()));
        }
        receipt.insert("ack".to_owned(), json!(ack.as_str()));
        if let Some(proof) = proof {
            receipt.insert("proof".to_owned(), json!(proof));
        }
        Value::Object(receipt)
    }

    fn short(&self) -> Map<String, Value> {
        let mut receipt = Map::new();
        receipt.insert("id".to_owned(), json!(self.id.to_string()));
        receipt.insert("index".to_owned(), json!(self.index));
        receipt.insert(
            "leaf_hash".to_owned(),
            json!(STANDARD.encode(self.leaf_hash.0)),
        );
        receipt
    }
}

/// The receipt of a batch; `with_results` lists its entries one by one.
pub(crate) fn of_batch(receipts: &[Receipt], ack: Ack, with_results: bool) -> Map<String, Value> {
    let indices = || receipts.iter().map(|receipt| receipt.index);
    let mut batch = Map::new();
    batch.insert("ack".to_owned(), json!(ack.as_str()));
    batch.insert("count".to_owned(), json!(receipts.len()));
    batch.insert("first_index".to_owned(), json!(indices().min()));
    batch.insert("last_index".to_owned(), json!(indices().max()));
    if with_results {
        let results = receipts
            .iter()
            .map(|receipt| Value::Object(receipt.short()));
        batch.insert("results".to_owned(), Value::Array(results.collect()));
    }
    batch
}

impl Shared {
    /// The receipts of a committed request. A retry gets those of the first time, whose
    /// times and signature are in what is stored.
    pub(crate) async fn receipts(
        &self,
        request: &Request,
        placed: &[Placed],
    ) -> Result<Vec<Receipt>, StoreError> {
        let retried: Vec<u64> = placed
            .iter()
            .filter(|placed| placed.retried)
            .map(|placed| placed.index)
            .collect();
        let stored = match retried.as_slice() {
            [] => Vec::new(),
            retried => self.api.store.records(retried).await?,
        };
        let mut stored = stored.into_iter();
        let receipts = request.entries.iter().zip(placed).map(|(entry, placed)| {
            let earlier = if placed.retried { stored.next() } else { None };
            let record = earlier.and_then(|stored| stored.record.ok());
            let single = request.entries.len() == 1;
            let (leaf_hash, record) = match record {
                Some(record) => (
                    audittrail_merkle::leaf_hash(&record.leaf),
                    single.then_some(record),
                ),
                None => (entry.leaf_hash, single.then(|| entry.record.clone())),
            };
            Receipt {
                id: entry.id,
                index: placed.index,
                leaf_hash,
                record,
            }
        });
        Ok(receipts.collect())
    }
}
