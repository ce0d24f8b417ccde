//! The fields of the index.

use audittrail_store::Facet;
use tantivy::schema::{
    BytesOptions, Field, IndexRecordOption, NumericOptions, Schema, TextFieldIndexing, TextOptions,
};
use tantivy::tokenizer::{TextAnalyzer, TokenizerManager};

use crate::grams;

/// Another number means that the index was made by other rules and has to be made anew.
pub(crate) const FORMAT: u32 = 4;

pub(crate) const INDEX: &str = "index";
pub(crate) const TIMESTAMP: &str = "timestamp";
pub(crate) const RECEIVED: &str = "received_at";

/// The fields.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fields {
    /// All terms of [`terms`].
    pub(crate) terms: Field,
    /// The parts of the action and of the resource.
    pub(crate) action: Field,
    pub(crate) resource: Field,
    /// Columns.
    pub(crate) index: Field,
    pub(crate) timestamp: Field,
    pub(crate) received: Field,
    /// Columns of the values that statistics are made of, in the order of [`Facet::ALL`].
    pub(crate) facets: [Field; Facet::ALL.len()],
}

/// The name of a facet's column.
pub(crate) fn facet_name(facet: Facet) -> String {
    format!("by_{}", facet.as_str())
}

/// The schema with its fields.
pub(crate) fn schema() -> (Schema, Fields) {
    let mut builder = Schema::builder();
    let parts = TextFieldIndexing::default()
        .set_tokenizer(grams::NAME)
        .set_fieldnorms(false)
        .set_index_option(IndexRecordOption::WithFreqsAndPositions);
    let parts = TextOptions::default().set_indexing_options(parts);
    let column = NumericOptions::default().set_fast();
    let fields = Fields {
        terms: builder.add_bytes_field("terms", BytesOptions::default().set_indexed()),
        action: builder.add_text_field("action", parts.clone()),
        resource: builder.add_text_field("resource", parts),
        index: builder.add_u64_field(INDEX, column.clone()),
        timestamp: builder.add_i64_field(TIMESTAMP, column.clone()),
        received: builder.add_i64_field(RECEIVED, column),
        facets: Facet::ALL.map(|facet| {
            builder.add_bytes_field(&facet_name(facet), BytesOptions::default().set_fast())
        }),
    };
    (builder.build(), fields)
}

pub(crate) fn tokenizers() -> TokenizerManager {
    // The library looks one up for every field, those of bytes included.
    let manager = TokenizerManager::default();
    manager.register(grams::NAME, TextAnalyzer::from(grams::Grams::default()));
    manager
}
