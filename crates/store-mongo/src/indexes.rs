//! The indexes of `entries`, made at start.

use std::collections::BTreeSet;
use std::time::Duration;

use mongodb::bson::{Document, RawDocumentBuf, doc};
use mongodb::error::Error;
use mongodb::options::IndexOptions;
use mongodb::{Collection, IndexModel};

/// Names of indexes with their fields, all ascending. That of `_id` is always there. In those
/// that have `t` and `_id` at the end, what they select lies in the order of pages.
pub const INDEXES: [(&str, &[&str]); 11] = [
    ("id", &["id"]),
    ("time", &["t", "_id"]),
    ("received", &["r", "_id"]),
    ("action", &["action", "t", "_id"]),
    ("outcome", &["outcome", "t", "_id"]),
    ("resource", &["resource", "t", "_id"]),
    ("tenant", &["tenant", "t", "_id"]),
    ("user", &["user", "t", "_id"]),
    ("tenant_user", &["tenant", "user", "t", "_id"]),
    ("ip", &["ip", "t", "_id"]),
    ("details", &["d"]),
];

/// What a start found of the indexes and made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IndexReport {
    /// All there are now, by name.
    pub present: Vec<String>,
    /// Those that were made.
    pub made: Vec<String>,
}

fn model(name: &str, fields: &[&str]) -> IndexModel {
    let keys: Document = fields
        .iter()
        .map(|field| ((*field).to_owned(), 1.into()))
        .collect();
    // Only entries that have some.
    let partial = matches!(name, "details" | "ip");
    let options = IndexOptions::builder()
        .name(name.to_owned())
        .unique((name == "id").then_some(true))
        .partial_filter_expression(partial.then(|| doc! { fields[0]: { "$exists": true } }))
        .build();
    IndexModel::builder().keys(keys).options(options).build()
}

/// Makes what is not there. On a log of many entries that takes minutes, during which it can be
/// read and written.
pub(crate) async fn make(entries: &Collection<RawDocumentBuf>) -> Result<IndexReport, Error> {
    let before: BTreeSet<String> = match entries.list_index_names().await {
        Ok(names) => names.into_iter().collect(),
        // There is no such collection yet.
        Err(_) => BTreeSet::new(),
    };
    let missing: Vec<_> = INDEXES
        .iter()
        .filter(|(name, _)| !before.contains(*name))
        .collect();
    if !missing.is_empty() {
        let models = missing.iter().map(|(name, fields)| model(name, fields));
        tracing::info!(indexes = missing.len(), "making indexes in MongoDB");
        entries
            .create_indexes(models)
            .max_time(Duration::from_secs(24 * 3_600))
            .await?;
    }
    Ok(IndexReport {
        present: entries.list_index_names().await?,
        made: missing.iter().map(|(name, _)| (*name).to_owned()).collect(),
    })
}
